"""The fake Airtable as a contract test sees it: a table with a field of each type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from connections.catalogue import Code
from connections.connectors.airtable import AirtableConnector
from connections.connectors.base import Context
from connections.records import ObjectType, Want
from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.tokens import MAIN_BASE
from connections.sandbox.host import Host
from tests.contract.harness import (
    COLOURS,
    FIELDS,
    MS,
    NO_TIME,
    TAGS,
    Naps,
    Values,
    new_context,
)


class AirtableSystem:
    """The table `probes` of the sandbox's base."""

    name = "airtable"
    grain, behind = MS, NO_TIME
    page = changed_page = 100
    lacks: Mapping[object, str] = {
        "unique": "Airtable holds no field unique",
        ("amount", "12345678901234.5678"): "Airtable keeps numbers as doubles",
        ("flag", None): "a checkbox in Airtable is never blank",
    }
    bad: Mapping[str, tuple[Values, Code]] = {
        "option": ({"colour": "no_such"}, Code.OPTION_UNKNOWN),
        "length": ({"note": "x" * 100_001}, Code.VALUE_TOO_LONG),
        "number": ({"amount": "9" * 400}, Code.VALUE_INVALID),
        "read_only": ({"fixed": "x"}, Code.FIELD_READ_ONLY),
        "date": ({"day": "2026-02-30"}, Code.VALUE_INVALID),
    }

    def __init__(self, host: Host) -> None:
        self.host = host
        assert isinstance(host.fake, Airtable)
        self.fake = host.fake
        self.naps = Naps()
        self.use(new_context())
        self.make("probes", PROBES)

    def make(self, name: str, fields: list[dict[str, Any]]) -> str:
        """Make a table as a person would; its id."""
        bases = self.fake.bases
        with self.fake.store.transaction():
            plain = [f for f in fields if f["type"] not in ("formula", WATCH)]
            table = bases.make_table(MAIN_BASE, name, plain)
            for field in fields:
                if field not in plain:
                    bases.make_field(MAIN_BASE, table["id"], field, by_person=True)
        return str(table["id"])

    def use(self, context: Context) -> None:
        self.context = context
        self.connector = self.connect()

    def connect(self, token: str = "everything", **changes: Any) -> AirtableConnector:
        """Another connector; its pauses take no time."""
        context = changes.pop("context", self.context)
        settings = {"base_id": MAIN_BASE, "base_url": self.host.url} | changes
        text = self.fake.tokens.get(token, token)
        connector = AirtableConnector(settings, {"token": text}, context)
        connector._door._sleep = self.naps
        return connector

    @cached_property
    def obj(self) -> ObjectType:
        return self.table("probes")

    def table(self, name: str) -> ObjectType:
        """A table as the connector discovers it now."""
        found = self.connector.discover().object(name)
        assert found is not None
        return found

    @property
    def want(self) -> Want:
        return Want(FIELDS, changed_field="changed_at")

    def plant(self, rows: Iterable[Values], *, at: datetime | None = None) -> list[str]:
        at_ms = None if at is None else round(at.timestamp() * 1000)
        return self.fake.add("probes", rows, at_ms=at_ms)

    def titles(self) -> dict[str, str]:
        cells = self.fake.cells("probes")
        return {i: str(c["title"]) if "title" in c else "" for i, c in cells.items()}

    def edit(self, record_id: str, title: str) -> None:
        self.fake.edit("probes", record_id, {"title": title})

    def remove(self, record_id: str) -> None:
        self.fake.remove("probes", record_id)

    def lose_field(self, name: str) -> None:
        table = self.fake.table("probes")
        with self.fake.store.transaction():
            self.fake.bases.drop_field(MAIN_BASE, table["id"], name)


def _choices(names: Iterable[str]) -> dict[str, Any]:
    return {"choices": [{"name": name} for name in names]}


WATCH = "lastModifiedTime"
PROBES: list[dict[str, Any]] = [
    {"name": "title", "type": "multilineText"},
    {"name": "code", "type": "singleLineText"},
    {"name": "amount", "type": "number", "options": {"precision": 4}},
    {"name": "flag", "type": "checkbox"},
    {"name": "day", "type": "date"},
    {"name": "moment", "type": "dateTime"},
    {"name": "colour", "type": "singleSelect", "options": _choices(COLOURS)},
    {"name": "tags", "type": "multipleSelects", "options": _choices(TAGS)},
    {"name": "note", "type": "multilineText"},
    {
        "name": "fixed",
        "type": "formula",
        "options": {
            "formula": "'f'",
            "isValid": True,
            "result": {"type": "singleLineText"},
        },
    },
    {
        "name": "changed_at",
        "type": WATCH,
        "options": {
            "isValid": True,
            "referencedFieldIds": [],
            "result": {"type": "dateTime", "options": {}},
        },
    },
]
