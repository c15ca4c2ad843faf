"""A folder of files as a contract test sees it: a record with a field of each type."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from connections.catalogue import Code
from connections.connectors.base import Context
from connections.records import ObjectType, Want
from tests.contract.harness import (
    COLOURS,
    FIELDS,
    MS,
    NO_TIME,
    TAGS,
    Values,
    new_context,
)
from tests.files.connector import FilesConnector

PROBES: dict[str, dict[str, Any]] = {
    "title": {"type": "text"},
    "code": {"type": "text"},
    "amount": {"type": "number"},
    "flag": {"type": "boolean"},
    "day": {"type": "date"},
    "moment": {"type": "datetime"},
    "colour": {"type": "option", "options": COLOURS},
    "tags": {"type": "options", "options": TAGS},
    "note": {"type": "text", "max_length": 2000},
    "fixed": {"type": "text", "read_only": True},
    "one": {"type": "reference", "target": "probes"},
    "more": {"type": "reference", "target": "probes", "many": True},
}


class FilesSystem:
    """The folder `probes`."""

    name = "files"
    grain, behind = MS, NO_TIME
    page = changed_page = 100
    lacks: Mapping[object, str] = {
        "unique": "nothing keeps two files from holding the same value",
    }
    bad: Mapping[str, tuple[Values, Code]] = {
        "option": ({"colour": "no_such"}, Code.OPTION_UNKNOWN),
        "length": ({"note": "x" * 2_001}, Code.VALUE_TOO_LONG),
        "number": ({"amount": "9" * 400}, Code.VALUE_INVALID),
        "read_only": ({"fixed": "x"}, Code.FIELD_READ_ONLY),
        "date": ({"day": "2026-02-30"}, Code.VALUE_INVALID),
    }

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.make("probes", PROBES)
        self.use(new_context())

    def make(self, name: str, fields: Mapping[str, Any]) -> None:
        """Make or change an object type."""
        path = self.folder / name / "fields.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(fields))

    def use(self, context: Context) -> None:
        self.context = context
        self.connector = self.connect()

    def connect(self, **changes: Any) -> FilesConnector:
        context = changes.pop("context", self.context)
        settings = {"folder": str(self.folder)} | changes
        return FilesConnector(settings, {}, context)

    @cached_property
    def obj(self) -> ObjectType:
        found = self.connector.discover().object("probes")
        assert found is not None
        return found

    @property
    def want(self) -> Want:
        return Want(FIELDS)

    def path(self, record_id: str) -> Path:
        return self.folder / "probes" / f"{record_id}.json"

    def plant(
        self, rows: Iterable[Mapping[str, Any]], *, at: datetime | None = None
    ) -> list[str]:
        ids = []
        for row in rows:
            ids.append(uuid4().hex)
            self.path(ids[-1]).write_text(json.dumps(dict(row)))
            if at is not None:
                ns = round(at.timestamp() * 1000) * 10**6
                os.utime(self.path(ids[-1]), ns=(ns, ns))
        return ids

    def held(self) -> dict[str, dict[str, Any]]:
        """What every file holds, by id."""
        files = (self.folder / "probes").glob("*.json")
        return {f.stem: json.loads(f.read_text()) for f in files if f.stem != "fields"}

    def titles(self) -> dict[str, str]:
        return {i: held.get("title", "") for i, held in self.held().items()}

    def edit(self, record_id: str, title: str) -> None:
        held = self.held()[record_id] | {"title": title}
        self.path(record_id).write_text(json.dumps(held))

    def remove(self, record_id: str) -> None:
        self.path(record_id).unlink()

    def lose_field(self, name: str) -> None:
        self.make("probes", {n: d for n, d in PROBES.items() if n != name})
