"""Statements that read rows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

from psycopg import sql

from connections.catalogue import Code
from connections.connectors.base import SchemaError, TransientError
from connections.connectors.postgres.database import Database, Row
from connections.connectors.postgres.errors import RowError
from connections.connectors.postgres.selection import (
    Selection,
    qualified,
    typed,
    unnested,
)
from connections.connectors.postgres.tables import Column
from connections.records import Fetched, Page, Record

PAGE_SIZE = 1000  # rows
SMALLEST_PAGE = 50  # rows; what a page shrinks to when the server is too slow for more
FETCH_BATCH = 1000  # ids in one statement

NO_CLAUSE = sql.SQL("")
HIDES = sql.SQL("SELECT row_security_active(%s::text::regclass)")


class Reader:
    """Reads rows of one table."""

    def __init__(self, database: Database, chosen: Selection) -> None:
        self._db = database
        self._chosen = chosen
        self._table = chosen.table

    def pages(
        self,
        cursor: str | None = None,
        where: sql.Composable = NO_CLAUSE,
        params: Sequence[Any] = (),
    ) -> Iterator[Page]:
        """Read by keyset, a page a statement.

        Args: cursor, a JSON list of the last row's key; where, a condition with `params`.
        """
        after: list[str] = json.loads(cursor) if cursor else []
        size = PAGE_SIZE
        if self._table.given_key and not after:
            self._refuse_blank_keys()
        while True:
            statement, values = self._page(after, where, params, size)
            try:
                rows = self._read(statement, values)
            except TransientError as exc:
                if exc.code != Code.TIMED_OUT or size <= SMALLEST_PAGE:
                    raise
                size = max(size // 4, SMALLEST_PAGE)
                continue
            if self._table.given_key:
                self._refuse_twins([row[1:] for row in rows])
            more = len(rows) > size
            rows = rows[:size]
            if more:
                after = self._chosen.key_of(rows[-1][1:])
            yield Page(
                tuple(self._chosen.record(row[1:]) for row in rows),
                json.dumps(after) if more else None,
                rows[0][0].astimezone(UTC) if rows else None,
            )
            if not more:
                return

    def _refuse_blank_keys(self) -> None:
        """A page goes on after a key, so a row without one would never be shown."""
        names = self._table.key
        blank = sql.SQL(" OR ").join(
            sql.SQL("{} IS NULL").format(sql.Identifier("t", name)) for name in names
        )
        statement = sql.SQL("SELECT 1 FROM {} AS t WHERE {} LIMIT 1").format(
            self._table.identifier, blank
        )
        if self._read(statement, []):
            raise SchemaError(
                f"{self._table.name} has rows whose key ({', '.join(names)}) is empty."
            )

    def _refuse_twins(self, rows: Sequence[Row]) -> None:
        """Rows of one key stand side by side; the key is only what a person said."""
        width = len(self._table.key)
        for one, other in itertools.pairwise(rows):
            if one[:width] == other[:width]:
                raise SchemaError(
                    f"{self._table.name} has several rows whose key "
                    f"({', '.join(self._table.key)}) is {', '.join(one[:width])}."
                )

    def _page(
        self,
        after: Sequence[str],
        where: sql.Composable,
        params: Sequence[Any],
        size: int,
    ) -> tuple[sql.Composed, list[Any]]:
        """One row more than the page shows whether there is another page."""
        changed = self._chosen.changed if where is not NO_CLAUSE else None
        order = [*([changed] if changed else []), *self._table.key_columns]
        names = qualified("t", [c.name for c in order])
        conditions = [where] if where is not NO_CLAUSE else []
        values = list(params)
        if after:
            # Without a window, pages go by the key alone.
            values += after[-len(order) :]
            conditions.append(
                sql.SQL("({}) > ({})").format(
                    names,
                    sql.SQL(", ").join(typed(sql.Placeholder(), c) for c in order),
                )
            )
        statement = sql.SQL(
            "SELECT statement_timestamp(), {} FROM {} AS t {} {} ORDER BY {} LIMIT {}"
        ).format(
            self._chosen.columns,
            self._table.identifier,
            sql.SQL(" ").join(self._chosen.joins),
            sql.SQL("WHERE {}").format(sql.SQL(" AND ").join(conditions))
            if conditions
            else NO_CLAUSE,
            names,
            sql.Literal(size + 1),
        )
        return statement, values

    def _read(
        self, statement: sql.SQL | sql.Composed, params: Sequence[Any]
    ) -> list[Row]:
        try:
            return self._db.read(statement, params)
        except RowError as exc:
            raise SchemaError(
                f"The key or a column of {self._table.name} is not of the type it was: "
                f"{exc.cause.diag.message_primary}."
            ) from exc

    # By id and by value ----------------------------------------------------------------

    def fetch(self, ids: Sequence[str]) -> Fetched:
        """Read rows by id; where policies hide rows, a missing one is not called gone."""
        records: dict[str, Record] = {}
        try:
            keys = [self._table.key_texts(i) for i in ids]
        except ValueError as exc:
            raise SchemaError(
                f"The primary key of {self._table.name} is not what it was."
            ) from exc
        for place, row in self.by_key(keys):
            records[ids[place]] = self._chosen.record(row)
        missing = frozenset(i for i in ids if i not in records)
        return Fetched(records, missing if self._all_shown(missing) else frozenset())

    def _all_shown(self, missing: frozenset[str]) -> bool:
        """Whether rows that were not shown are not there.

        Policies may have been put on the table since its catalogue was read.
        """
        if not missing or not self._table.shows_all:
            return not missing
        name = self._table.identifier.as_string()
        rows = self._read(HIDES, [name])
        return bool(rows) and not rows[0][0]

    def by_key(self, keys: Sequence[Sequence[str]]) -> Iterator[tuple[int, Row]]:
        """Rows by their key's texts, each with the place of its key among `keys`."""
        columns = self._table.key_columns
        statement = self._joined(
            [sql.Identifier("a", f"k{i}") for i in range(len(columns))],
            columns,
            sql.SQL("a.ord"),
        )
        for start in range(0, len(keys), FETCH_BATCH):
            some = keys[start : start + FETCH_BATCH]
            lists = [list(part) for part in zip(*some, strict=True)]
            for row in self._read(statement, lists):
                yield start + row[0] - 1, row[1:]

    def lookup(self, column: Column, values: Sequence[str]) -> dict[str, Record]:
        """Find rows by a unique column; what the type cannot hold is in no row."""
        statement = self._joined(
            [sql.Identifier("a", "k0")], [column], sql.Identifier("a", "k0")
        )
        found: dict[str, Record] = {}
        for start in range(0, len(values), FETCH_BATCH):
            some = [v for v in values[start : start + FETCH_BATCH] if "\0" not in v]
            for row in self._rows_of(statement, some):
                found[row[0]] = self._chosen.record(row[1:])
        return found

    def _rows_of(self, statement: sql.Composed, values: list[str]) -> list[Row]:
        if not values:
            return []
        try:
            return self._db.read(statement, [values])
        except RowError:
            half = len(values) // 2
            if not half:
                return []
            return self._rows_of(statement, values[:half]) + self._rows_of(
                statement, values[half:]
            )

    def _joined(
        self,
        given: Sequence[sql.Composable],
        columns: Sequence[Column],
        lead: sql.Composable,
    ) -> sql.Composed:
        """Rows whose columns equal what a list of texts gives, with what was given."""
        on = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("t", c.name), typed(g, c))
            for g, c in zip(given, columns, strict=True)
        )
        return sql.SQL(
            "SELECT {}, {} FROM {} WITH ORDINALITY AS a({}, ord) JOIN {} AS t ON {} {}"
        ).format(
            lead,
            self._chosen.columns,
            unnested(len(given)),
            sql.SQL(", ").join(sql.Identifier(f"k{i}") for i in range(len(given))),
            self._table.identifier,
            on,
            sql.SQL(" ").join(self._chosen.joins),
        )
