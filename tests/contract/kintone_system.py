"""The fake Kintone as a contract test sees it: an app with a field of each type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from connections.catalogue import Code
from connections.connectors.base import Context
from connections.connectors.kintone import KintoneConnector
from connections.connectors.kintone.values import to_wire
from connections.records import ObjectType, Want
from connections.sandbox.kintone.domain import App
from connections.sandbox.kintone.server import KintoneServer
from connections.sandbox.kintone.writes import Writer
from tests.contract.harness import COLOURS, FIELDS, TAGS, Naps, Values, new_context

PROBES = {
    "title": {"type": "MULTI_LINE_TEXT"},
    "code": {"type": "SINGLE_LINE_TEXT", "unique": True},
    "amount": {"type": "NUMBER"},
    "flag": {"type": "CHECK_BOX", "options": ["Yes"]},
    "day": {"type": "DATE"},
    "moment": {"type": "DATETIME"},
    "colour": {"type": "DROP_DOWN", "options": list(COLOURS)},
    "tags": {"type": "MULTI_SELECT", "options": list(TAGS)},
    "note": {"type": "SINGLE_LINE_TEXT", "maxLength": "2000"},
}


class KintoneSystem:
    """The app `probes` of a domain."""

    name = "kintone"
    grain, behind = timedelta(minutes=1), timedelta(minutes=2)
    lacks: Mapping[object, str] = {
        ("flag", None): "a check box with one option in Kintone is never blank",
    }
    page = changed_page = 500
    bad: Mapping[str, tuple[Values, Code]] = {
        "option": ({"colour": "no_such"}, Code.OPTION_UNKNOWN),
        "length": ({"note": "x" * 2_001}, Code.VALUE_TOO_LONG),
        "number": ({"amount": "many"}, Code.VALUE_INVALID),
        "taken": ({"code": "taken"}, Code.DUPLICATE_KEY),
        "read_only": ({"Record_number": "5"}, Code.FIELD_READ_ONLY),
        "date": ({"day": "2026-02-30"}, Code.VALUE_INVALID),
        "nul": ({"title": "a\0b"}, Code.VALUE_INVALID),
    }

    def __init__(self, server: KintoneServer) -> None:
        self.server = server
        self.naps = Naps()
        self.app: App = server.domain.add_app("probes", PROBES)
        self.use(new_context())

    def use(self, context: Context) -> None:
        self.context = context
        self.connector = self.connect()

    def connect(self, tokens: str = "", **changes: Any) -> KintoneConnector:
        """Another connector; its pauses take no time."""
        context = changes.pop("context", self.context)
        credentials = changes.pop(
            "credentials", {"api_tokens": tokens or self.server.token(self.app)}
        )
        settings = {"base_url": self.server.url, "app_ids": [str(self.app.id)]}
        connector = KintoneConnector(settings | changes, credentials, context)
        connector._door._sleep = self.naps
        return connector

    @property
    def writer(self) -> Writer:
        return Writer(self.server.domain, lambda app: True, "clerk")

    @cached_property
    def obj(self) -> ObjectType:
        found = self.connector.discover().object("probes")
        assert found is not None
        return found

    @property
    def want(self) -> Want:
        return Want(FIELDS)

    def plant(self, rows: Iterable[Values], *, at: datetime | None = None) -> list[str]:
        ids: list[str] = []
        with self.server.domain.change():
            for row in rows:
                given = {
                    name: {"value": to_wire(value, self.app.properties[name])}
                    for name, value in row.items()
                }
                record = self.writer.create(self.app, given, "")
                if at is not None:
                    record.created = record.updated = f"{at:%Y-%m-%dT%H:%M:00Z}"
                ids.append(str(record.id))
        return ids

    def titles(self) -> dict[str, str | None]:
        records = self.app.records.values()
        return {str(r.id): r.values["title"] or None for r in records}

    def edit(self, record_id: str, title: str) -> None:
        with self.server.domain.change():
            entry = {"id": record_id, "record": {"title": {"value": title}}}
            self.writer.update(self.app, entry, "")

    def remove(self, record_id: str) -> None:
        with self.server.domain.change():
            self.writer.delete(self.app, record_id)

    def lose_field(self, name: str) -> None:
        self.server.domain.change_form(self.app, name, None)
