"""Where the fake keeps its state: one SQLite file, or memory."""

from __future__ import annotations

import json
import random
import sqlite3
import string
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
SCHEMA = """
CREATE TABLE IF NOT EXISTS base (id TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (
  table_id TEXT, id TEXT, cells TEXT NOT NULL, created INTEGER NOT NULL,
  modified INTEGER NOT NULL, number INTEGER NOT NULL, trashed INTEGER,
  PRIMARY KEY (table_id, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_id ON record (id);
CREATE TABLE IF NOT EXISTS webhook (
  id TEXT PRIMARY KEY, base_id TEXT NOT NULL, body TEXT NOT NULL,
  expires INTEGER NOT NULL, next INTEGER NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS payload (
  webhook TEXT, cursor INTEGER, at INTEGER NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (webhook, cursor)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
TABLES = ("base", "record", "webhook", "payload", "note")
LETTERS = string.ascii_letters + string.digits


@dataclass(slots=True)
class Row:
    """One record: cells by field id, as they are stored."""

    table: str
    id: str
    cells: Json
    created: int
    modified: int
    number: int


class Store:
    """The fake's tables. Every call runs under one lock and in one transaction."""

    def __init__(self, path: Path | None = None) -> None:
        self.lock = threading.RLock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            str(path or ":memory:"), isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        with self.lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock and one transaction; an exception takes everything back."""
        with self.lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def run(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self._db.execute(sql, values)

    def all(self, sql: str, *values: Any) -> list[Any]:
        return self._db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> Any:
        return self._db.execute(sql, values).fetchone()

    def empty(self) -> None:
        for table in TABLES:
            self._db.execute(f"DELETE FROM {table}")

    # Bases ------------------------------------------------------------------------------

    def base(self, base_id: str) -> Json | None:
        row = self.one("SELECT body FROM base WHERE id = ?", base_id)
        return None if row is None else dict(json.loads(row[0]))

    def keep_base(self, body: Json) -> None:
        self.run("INSERT OR REPLACE INTO base VALUES (?, ?)", body["id"], dump(body))

    # Records ----------------------------------------------------------------------------

    def rows(self, table: str) -> Iterator[Row]:
        """Every record of a table, in no meaningful order."""
        found = self.all(
            "SELECT id, cells, created, modified, number FROM record "
            "WHERE table_id = ? AND trashed IS NULL ORDER BY id",
            table,
        )
        for record_id, cells, *rest in found:
            yield Row(table, record_id, json.loads(cells), *rest)

    def row(self, table: str, record_id: str) -> Row | None:
        found = self.one(
            "SELECT cells, created, modified, number FROM record "
            "WHERE table_id = ? AND id = ? AND trashed IS NULL",
            table,
            record_id,
        )
        return found and Row(table, record_id, json.loads(found[0]), *found[1:])

    def elsewhere(self, tables: Iterable[str], record_id: str) -> Row | None:
        """A record by its id alone, in any of some tables."""
        return next((r for t in tables if (r := self.row(t, record_id))), None)

    def keep(self, row: Row) -> None:
        self.run(
            "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, NULL)",
            row.table,
            row.id,
            dump(row.cells),
            row.created,
            row.modified,
            row.number,
        )

    def trash(self, row: Row, at: int) -> None:
        self.run(
            "UPDATE record SET trashed = ? WHERE table_id = ? AND id = ?",
            at,
            row.table,
            row.id,
        )

    def restore(self, table: str, record_id: str) -> None:
        """Bring a record back from the trash, as a person may for some days."""
        self.run(
            "UPDATE record SET trashed = NULL WHERE table_id = ? AND id = ?",
            table,
            record_id,
        )

    def next_number(self, table: str) -> int:
        (last,) = self.one(
            "SELECT coalesce(max(number), 0) FROM record WHERE table_id = ?", table
        )
        return int(last) + 1


def new_id(prefix: str) -> str:
    """An id such as "rec" and fourteen letters, in no order."""
    return prefix + "".join(random.choices(LETTERS, k=14))


def is_blank(value: object) -> bool:
    """Whether a cell is left out of answers; a 0 is not."""
    return value is None or value is False or value == "" or value == []


def dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
