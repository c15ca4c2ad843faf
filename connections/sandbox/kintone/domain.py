"""The fake domain's state: apps, records, who may do what. One change takes place whole.

Everything is held in memory; what a call changed is written to one SQLite file as it ends.
A call that fails takes back what it did, as a bulk request does with all its parts.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connections.sandbox.clock import Clock
from connections.sandbox.kintone.errors import no_app
from connections.sandbox.kintone.fields import SYSTEM, blank, completed, stored

Json = dict[str, Any]
TABLES = """
CREATE TABLE IF NOT EXISTS app (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (
  app INTEGER, id INTEGER, body TEXT NOT NULL, PRIMARY KEY (app, id)) WITHOUT ROWID;
"""


@dataclass
class Record:
    """One record; `values` by code, without what the system knows by itself."""

    id: int
    values: Json
    created: str
    updated: str
    revision: int = 1
    creator: str = "Administrator"
    modifier: str = "Administrator"


@dataclass
class App:
    """One app: its form, its records, and who holds which value of a unique field."""

    id: int
    name: str
    properties: Json
    code: str = ""
    revision: int = 1
    last_id: int = 0
    last_row: int = 0
    records: dict[int, Record] = field(default_factory=dict)
    holders: dict[tuple[str, str], int] = field(default_factory=dict)

    def unique_codes(self) -> list[str]:
        return [c for c, f in self.properties.items() if f.get("unique")]

    def number_of(self, record: Record) -> str:
        """A record's number as it is shown: with the app's code, if it has one."""
        return f"{self.code}-{record.id}" if self.code else str(record.id)

    def hold(self, record: Record) -> None:
        """Note a record's unique values."""
        for code in self.unique_codes():
            if value := record.values.get(code):
                self.holders[code, str(value)] = record.id

    def release(self, record: Record) -> None:
        for code in self.unique_codes():
            if value := record.values.get(code):
                self.holders.pop((code, str(value)), None)

    def find(self, code: str, value: str) -> Record | None:
        """The record with a value of a unique field, or with a record number."""
        if self.properties[code]["type"] == "RECORD_NUMBER":
            number = value.rpartition("-")[2]
            found = self.records.get(int(number)) if number.isdigit() else None
            return found if found and value in (number, self.number_of(found)) else None
        return self.records.get(self.holders.get((code, value), 0))


class Domain:
    """Every app of the fake.

    Args: path, of the file of its state; None keeps all in memory only.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self.clock = clock
        self.apps: dict[int, App] = {}
        self.lock = threading.RLock()
        self._undo: list[Callable[[], None]] = []
        self._dirty: set[tuple[int, int]] = set()  # (app, record); record 0: the form
        self._db = sqlite3.connect(
            str(path or ":memory:"), isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(TABLES)
        self._load()

    def close(self) -> None:
        with self.lock:
            self._db.close()

    def now(self) -> str:
        """The time as Kintone keeps it: without seconds."""
        at = datetime.fromtimestamp(self.clock.now(), tz=UTC)
        return f"{at:%Y-%m-%dT%H:%M:00Z}"

    def app(self, number: object) -> App:
        """An app by its id.

        Raises: ApiError 404.
        """
        text = str(number)
        found = self.apps.get(int(text)) if text.isdigit() else None
        if found is None:
            raise no_app(number)
        return found

    # Changes

    @contextmanager
    def change(self) -> Iterator[None]:
        """Hold the lock; what an exception leaves half done is taken back."""
        with self.lock:
            outermost = not self._undo and not self._dirty
            try:
                yield
            except BaseException:
                while self._undo:
                    self._undo.pop()()
                self._dirty.clear()
                raise
            if outermost:
                self._undo.clear()
                self._save()

    def put(self, app: App, record: Record) -> None:
        """Add a record, or put it in the place of the one with its id."""
        before, last = app.records.get(record.id), (app.last_id, app.last_row)
        if before is not None:
            app.release(before)
        app.records[record.id] = record
        app.last_id = max(app.last_id, record.id)
        app.hold(record)
        self._undo.append(lambda: self._restore(app, record.id, before, last))
        self._dirty |= {(app.id, record.id), (app.id, 0)}

    def remove(self, app: App, record: Record) -> None:
        last = (app.last_id, app.last_row)
        app.release(record)
        del app.records[record.id]
        self._undo.append(lambda: self._restore(app, record.id, record, last))
        self._dirty.add((app.id, record.id))

    def _restore(
        self, app: App, number: int, before: Record | None, last: tuple[int, int]
    ) -> None:
        now = app.records.pop(number, None)
        if now is not None:
            app.release(now)
        if before is not None:
            app.records[number] = before
            app.hold(before)
        app.last_id, app.last_row = last

    # The form, as an administrator of the app changes it

    def add_app(
        self, name: str, fields: Json, *, code: str = "", number: int = 0
    ) -> App:
        """Make an app with these fields and those that every app has."""
        with self.change():
            app = App(number or max(self.apps, default=0) + 1, name, {}, code=code)
            for own, kind in SYSTEM.items():
                app.properties[own] = {"type": kind, "code": own, "label": own}
            for own, given in fields.items():
                app.properties[own] = completed(own, given)
            self.apps[app.id] = app
            self._dirty.add((app.id, 0))
        return app

    def change_form(self, app: App, code: str, given: Json | None) -> None:
        """Set a field's definition, or take the field away with its values."""
        with self.change():
            if given is None:
                del app.properties[code]
            else:
                app.properties[code] = completed(code, given)
            app.revision += 1
            app.holders.clear()
            for record in app.records.values():
                if given is None:
                    record.values.pop(code, None)
                app.hold(record)
                self._dirty.add((app.id, record.id))
            self._dirty.add((app.id, 0))

    def rename_field(self, app: App, old: str, new: str) -> None:
        """Give a field another code; the values stay."""
        with self.change():
            app.properties = {
                (new if c == old else c): (f | {"code": new} if c == old else f)
                for c, f in app.properties.items()
            }
            app.revision += 1
            app.holders.clear()
            for record in app.records.values():
                if old in record.values:
                    record.values[new] = record.values.pop(old)
                app.hold(record)
                self._dirty.add((app.id, record.id))
            self._dirty.add((app.id, 0))

    def drop_app(self, app: App) -> None:
        with self.change():
            del self.apps[app.id]
            self._db.execute("DELETE FROM record WHERE app = ?", (app.id,))
            self._db.execute("DELETE FROM app WHERE id = ?", (app.id,))

    def empty(self) -> None:
        """Remove everything."""
        with self.lock:
            self.apps.clear()
            self._db.execute("DELETE FROM record")
            self._db.execute("DELETE FROM app")

    def empty_records(self, app: App) -> None:
        """Remove an app's records; its ids go on."""
        with self.lock:
            app.records.clear()
            app.holders.clear()
            self._db.execute("DELETE FROM record WHERE app = ?", (app.id,))

    # The file

    def _save(self) -> None:
        dirty, self._dirty = self._dirty, set()
        self._db.execute("BEGIN")
        for number, record_id in dirty:
            app = self.apps.get(number)
            if app is None:  # deleted since, with its records
                continue
            record = app.records.get(record_id)
            if record_id == 0:
                body = {
                    name: getattr(app, name)
                    for name in (
                        *("name", "code", "properties", "revision", "last_id"),
                        "last_row",
                    )
                }
                self._db.execute(
                    "REPLACE INTO app VALUES (?, ?)", (number, json.dumps(body))
                )
            elif record is None:
                self._db.execute(
                    "DELETE FROM record WHERE app = ? AND id = ?", (number, record_id)
                )
            else:
                self._db.execute(
                    "REPLACE INTO record VALUES (?, ?, ?)",
                    (number, record_id, json.dumps(vars(record))),
                )
        self._db.execute("COMMIT")

    def _load(self) -> None:
        for number, body in self._db.execute("SELECT id, body FROM app ORDER BY id"):
            self.apps[number] = App(number, **json.loads(body))
        for number, body in self._db.execute(
            "SELECT app, body FROM record ORDER BY app, id"
        ):
            record = Record(**json.loads(body))
            self.apps[number].records[record.id] = record
            self.apps[number].hold(record)


def shown(app: App, record: Record) -> Json:
    """A record as the API shows it."""
    kinds = {
        "RECORD_NUMBER": app.number_of(record),
        "CREATOR": {"code": record.creator, "name": record.creator},
        "MODIFIER": {"code": record.modifier, "name": record.modifier},
        "CREATED_TIME": record.created,
        "UPDATED_TIME": record.updated,
    }
    found: Json = {}
    for code, definition in app.properties.items():
        kind = definition["type"]
        if kind in kinds:
            found[code] = {"type": kind, "value": kinds[kind]}
    for code, definition in stored(app.properties):
        value = record.values.get(code, blank(definition))
        if definition["type"] == "SUBTABLE":
            value = [_row(definition, row) for row in value]
        found[code] = {"type": definition["type"], "value": value}
    found["$id"] = {"type": "__ID__", "value": str(record.id)}
    found["$revision"] = {"type": "__REVISION__", "value": str(record.revision)}
    return found


def _row(definition: Json, row: Json) -> Json:
    cells = {
        code: {"type": inner["type"], "value": row["value"].get(code, blank(inner))}
        for code, inner in definition["fields"].items()
    }
    return {"id": row["id"], "value": cells}
