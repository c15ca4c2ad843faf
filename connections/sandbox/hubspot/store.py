"""Where a fake account keeps its state: one SQLite file, or memory.

Every call runs under one lock and in one transaction; batch calls put each input in
a savepoint of its own. Whole tables are never loaded.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
  kind TEXT, id INTEGER, properties TEXT NOT NULL, created INTEGER NOT NULL,
  updated INTEGER NOT NULL, archived INTEGER, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_archived
  ON record (kind, id) WHERE archived IS NOT NULL;
CREATE TABLE IF NOT EXISTS history (
  kind TEXT, id INTEGER, name TEXT, at INTEGER, value TEXT,
  PRIMARY KEY (kind, id, name, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unique_value (
  kind TEXT, name TEXT, value TEXT, id INTEGER NOT NULL,
  PRIMARY KEY (kind, name, value)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unique_owner ON unique_value (kind, id);
CREATE TABLE IF NOT EXISTS merged (
  kind TEXT, old INTEGER, new INTEGER NOT NULL, PRIMARY KEY (kind, old)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blocked (email TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (
  name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS document (
  family TEXT, key TEXT, body TEXT NOT NULL, PRIMARY KEY (family, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS link (
  from_kind TEXT, from_id INTEGER, to_kind TEXT, to_id INTEGER, category TEXT,
  type_id INTEGER, PRIMARY KEY (from_kind, from_id, to_kind, to_id, category, type_id)
  ) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS degree (
  kind TEXT, id INTEGER, to_kind TEXT, links INTEGER NOT NULL,
  PRIMARY KEY (kind, to_kind, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS degree_links ON degree (kind, to_kind, links);
CREATE TABLE IF NOT EXISTS search_row (
  kind TEXT, id INTEGER, properties TEXT NOT NULL, created INTEGER NOT NULL,
  updated INTEGER NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS search_updated ON search_row (kind, updated, id);
CREATE TABLE IF NOT EXISTS search_pending (
  seq INTEGER PRIMARY KEY, written INTEGER NOT NULL, kind TEXT, id INTEGER,
  properties TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS search_pending_record ON search_pending (kind, id);
CREATE TABLE IF NOT EXISTS write_log (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, method TEXT, path TEXT,
  body TEXT, status INTEGER);
"""
TABLES = (
    "record",
    "history",
    "unique_value",
    "merged",
    "blocked",
    "counter",
    "document",
    "link",
    "degree",
    "search_row",
    "search_pending",
    "write_log",
)
FIRST_ID = 211_000_000_019  # ids are opaque: large, with gaps, alike between types


class Store:
    """A fake account's tables.

    Args: path of the SQLite file; None keeps everything in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.lock = threading.RLock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            str(path or ":memory:"), isolation_level=None, check_same_thread=False
        )
        # A machine that loses power loses the sandbox's last seconds; so be it.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("PRAGMA cache_size=-32000")
        self._db.create_function("fold", 1, fold, deterministic=True)
        self._db.create_function("has_token", 2, has_token, deterministic=True)
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
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

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Take back what one input of a batch did if it fails."""
        self._db.execute("SAVEPOINT one_input")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO one_input")
            self._db.execute("RELEASE one_input")
            raise
        self._db.execute("RELEASE one_input")

    def run(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Run one statement."""
        return self._db.execute(sql, values)

    def one(self, sql: str, *values: Any) -> Any:
        """Return the first row, or None."""
        return self._db.execute(sql, values).fetchone()

    def all(self, sql: str, *values: Any) -> list[Any]:
        """Return every row of a statement that is known to be small."""
        return self._db.execute(sql, values).fetchall()

    def changes(self) -> int:
        """Return how many rows were ever changed: alike means nothing moved."""
        return self._db.total_changes

    def empty(self) -> None:
        """Remove everything."""
        for table in TABLES:
            self._db.execute(f"DELETE FROM {table}")

    def count_up(self, name: str, by: int = 1) -> int:
        """Add to a counter and return its new value (the first is `by`)."""
        row = self.one(
            "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) "
            "DO UPDATE SET value = value + excluded.value RETURNING value",
            name,
            by,
        )
        return int(row[0])

    def new_id(self, kind: str) -> int:
        """Return a fresh record id; two object types may well use the same one."""
        step = self.count_up(f"records of {kind}")
        gap = step * 2_654_435_761 % 997
        return FIRST_ID + step * 1_009 + gap

    def document(self, family: str, key: str) -> Any:
        """Return a stored definition, or None."""
        row = self.one(
            "SELECT body FROM document WHERE family = ? AND key = ?", family, key
        )
        return None if row is None else json.loads(row[0])

    def documents(self, family: str) -> dict[str, Any]:
        """Return all definitions of a family by key."""
        rows = self.all("SELECT key, body FROM document WHERE family = ?", family)
        return {key: json.loads(body) for key, body in rows}

    def keep(self, family: str, key: str, body: Any) -> None:
        """Store a definition."""
        self.run("REPLACE INTO document VALUES (?, ?, ?)", family, key, dump(body))

    def drop(self, family: str, key: str) -> None:
        """Forget a definition."""
        self.run("DELETE FROM document WHERE family = ? AND key = ?", family, key)


def dump(value: Any) -> str:
    """Write compact JSON, non-ASCII as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def fold(text: Any) -> Any:
    """Return text without case, for SQL."""
    return text.casefold() if isinstance(text, str) else text


def has_token(text: object, wanted: str) -> bool:
    """Say whether one of a text's words is the wanted one; `*` stands for any end."""
    if not isinstance(text, str):
        return False
    words = "".join(c if c.isalnum() else " " for c in text.casefold()).split()
    head, tail = wanted.startswith("*"), wanted.endswith("*")
    parts = "".join(c if c.isalnum() else " " for c in wanted.casefold()).split()
    return bool(parts) and all(_among(part, words, head, tail) for part in parts)


def _among(part: str, words: list[str], head: bool, tail: bool) -> bool:
    if head and tail:
        return any(part in word for word in words)
    if head:
        return any(word.endswith(part) for word in words)
    if tail:
        return any(word.startswith(part) for word in words)
    return part in words
