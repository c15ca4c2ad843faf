"""Ids of rows that do not exist yet."""

from __future__ import annotations

import uuid

from psycopg import sql

from connections.connectors.base import ScopeError
from connections.connectors.postgres.database import Database
from connections.connectors.postgres.errors import RowError
from connections.connectors.postgres.tables import UUID_DEFAULT, Column, Table

RESERVE_ROUNDS = 5  # how often a sequence may give numbers that rows already have

TAKE_NUMBERS = sql.SQL("""
SELECT s.v::text FROM (
  SELECT nextval(%s::text::regclass) AS v FROM generate_series(1, %s)) s
WHERE NOT EXISTS (SELECT 1 FROM {} AS t WHERE t.{} = s.v) ORDER BY s.v
""")


def reserve(database: Database, table: Table, count: int) -> list[str] | None:
    """Numbers of the key's sequence, or new UUIDs; None where the key is neither."""
    made = table.made_key
    if made is None or made.identity == "a" or count < 1:
        return None
    if made.base == "uuid":
        random = not made.default or UUID_DEFAULT.match(made.default)
        return [str(uuid.uuid4()) for _ in range(count)] if random else None
    return _numbers(database, table, made, count) if made.sequence else None


def _numbers(
    database: Database, table: Table, made: Column, count: int
) -> list[str] | None:
    """Numbers that no row has: rows may have been inserted past the sequence."""
    statement = TAKE_NUMBERS.format(table.identifier, sql.Identifier(made.name))
    free: list[str] = []
    for _ in range(RESERVE_ROUNDS):
        try:
            rows = database.read(statement, [made.sequence, count - len(free)])
        except (ScopeError, RowError):
            return None
        free += [row[0] for row in rows]
        if len(free) == count:
            return free
    return None
