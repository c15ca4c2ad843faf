"""Statements that write rows: whole batches, split until a bad row stands alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from psycopg import sql

from connections.catalogue import Code
from connections.connectors.base import TransientError, UncertainError
from connections.connectors.postgres.cells import Item, Preparer, Refused
from connections.connectors.postgres.database import Database, Row
from connections.connectors.postgres.errors import RowError
from connections.connectors.postgres.refusals import refusal
from connections.connectors.postgres.selection import Selection, typed, unnested
from connections.connectors.postgres.tables import Column, Table
from connections.records import Draft, Outcome, Patch

Send = Callable[[Sequence[Item]], Sequence[Row | None]]


class Writer:
    """Writes rows of one table.

    Args: chosen, what to return of each row; targets, the foreign keys' tables by name.
    """

    def __init__(
        self, database: Database, chosen: Selection, targets: Mapping[str, Table]
    ) -> None:
        self._db = database
        self._chosen = chosen
        self._table = chosen.table
        self._cells = Preparer(database, chosen.table, targets)

    # Creates ---------------------------------------------------------------------------

    def create(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Insert rows; outcomes in the order of `drafts`."""
        resolved = self._cells.resolve(drafts)
        outcomes: dict[int, Outcome] = {}
        groups: dict[tuple[str, ...], list[Item]] = {}
        for index, draft in enumerate(drafts):
            try:
                item = self._cells.drafted(index, draft, resolved)
            except Refused as exc:
                outcomes[index] = exc.outcome
                continue
            # A column without default may as well be null: fewer statements.
            left_out = tuple(
                n
                for n, c in self._table.columns.items()
                if c.fills_itself and n not in item.cells
            )
            groups.setdefault(left_out, []).append(item)
        for items in groups.values():
            columns = sorted({name for item in items for name in item.cells})
            # Rows of nothing but defaults cannot share a statement.
            for some in [items] if columns else [[item] for item in items]:
                self._split(some, partial(self._insert, columns), outcomes)
        return [outcomes[i] for i in range(len(drafts))]

    def _insert(
        self, columns: Sequence[str], items: Sequence[Item]
    ) -> Sequence[Row | None]:
        """One statement; its rows come back in the order they went in."""
        if not columns:
            return self._placed(items, self._db.write(self._defaults()))
        given = [self._table.columns[name] for name in columns]
        statement = sql.SQL(
            "INSERT INTO {} AS t ({}) SELECT {} FROM {} WITH ORDINALITY AS v({}, ord) "
            "ORDER BY v.ord RETURNING {}"
        ).format(
            self._table.identifier,
            sql.SQL(", ").join(sql.Identifier(name) for name in columns),
            sql.SQL(", ").join(_cast(i, c) for i, c in enumerate(given)),
            unnested(len(columns)),
            _names(len(columns)),
            self._chosen.columns,
        )
        return self._placed(items, self._db.write(statement, _lists(items, columns)))

    def _placed(self, items: Sequence[Item], rows: list[Row]) -> Sequence[Row | None]:
        """The rows by item, where a trigger may have dropped some."""
        if len(rows) == len(items):
            return rows
        if not all(all(item.key) for item in items):
            raise UncertainError(
                f"A trigger of {self._table.name} dropped rows, and nobody knows which."
            )
        width = len(self._table.key)
        by_key = {row[:width]: row for row in rows}
        return [by_key.get(item.key) for item in items]

    def _defaults(self) -> sql.Composed:
        return sql.SQL("INSERT INTO {} AS t DEFAULT VALUES RETURNING {}").format(
            self._table.identifier, self._chosen.columns
        )

    # Updates ---------------------------------------------------------------------------

    def update(self, patches: Sequence[Patch]) -> list[Outcome]:
        """Change rows; outcomes in the order of `patches`."""
        resolved = self._cells.resolve(patches)
        outcomes: dict[int, Outcome] = {}
        # A statement changes a row once, so a record's second patch waits for the next.
        waves: list[dict[tuple[str, ...], list[Item]]] = []
        seen: dict[str, int] = {}
        for index, patch in enumerate(patches):
            try:
                item = self._cells.patched(index, patch, resolved)
            except Refused as exc:
                outcomes[index] = exc.outcome
                continue
            wave = seen.get(patch.id, 0)
            seen[patch.id] = wave + 1
            if wave == len(waves):
                waves.append({})
            waves[wave].setdefault(tuple(sorted(item.cells)), []).append(item)
        for groups in waves:
            for columns, items in groups.items():
                items.sort(key=lambda item: item.key)  # fewer deadlocks
                self._split(items, partial(self._change, columns), outcomes)
        return [outcomes[i] for i in range(len(patches))]

    def _change(
        self, columns: Sequence[str], items: Sequence[Item]
    ) -> Sequence[Row | None]:
        """One statement; its rows come back in any order, each with its place first."""
        keys = self._table.key_columns
        on = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("t", c.name), _cast(i, c))
            for i, c in enumerate(keys)
        )
        lists: list[list[str | None]] = [
            list(part) for part in zip(*(item.key for item in items), strict=True)
        ]
        if not columns:  # nothing but the key was given, and that is as it was
            statement = sql.SQL(
                "SELECT v.ord, {} FROM {} WITH ORDINALITY AS v({}, ord) "
                "JOIN {} AS t ON {}"
            ).format(
                self._chosen.columns,
                unnested(len(keys)),
                _names(len(keys)),
                self._table.identifier,
                on,
            )
            return _by_place(items, self._db.read(statement, lists))
        given = [self._table.columns[name] for name in columns]
        statement = sql.SQL(
            "UPDATE {} AS t SET {} FROM {} WITH ORDINALITY AS v({}, ord) WHERE {} "
            "RETURNING v.ord, {}"
        ).format(
            self._table.identifier,
            sql.SQL(", ").join(
                sql.SQL("{} = {}").format(
                    sql.Identifier(c.name), _cast(len(keys) + i, c)
                )
                for i, c in enumerate(given)
            ),
            unnested(len(keys) + len(given)),
            _names(len(keys) + len(given)),
            on,
            self._chosen.columns,
        )
        parameters = [*lists, *_lists(items, columns)]
        return _by_place(items, self._db.write(statement, parameters))

    # What both share -------------------------------------------------------------------

    def _split(
        self, items: Sequence[Item], send: Send, outcomes: dict[int, Outcome]
    ) -> None:
        """Send a batch; halve it as often as a row of it is refused.

        What was written stays written, so a server that goes away half-way is told of
        row by row. Raises: ConnectorError while nothing of the request has been written.
        """
        try:
            rows = send(items)
        except RowError as exc:
            if len(items) > 1:
                half = len(items) // 2
                self._split(items[:half], send, outcomes)
                self._split(items[half:], send, outcomes)
            else:
                outcomes[items[0].index] = refusal(self._db, self._table, items[0], exc)
            return
        except UncertainError as exc:
            lost = Outcome(False, code=exc.code, message=exc.message, uncertain=True)
            outcomes.update({item.index: lost for item in items})
            return
        except TransientError as exc:
            if not any(o.ok or o.uncertain for o in outcomes.values()):
                raise
            unsent = Outcome(False, code=exc.code, message=exc.message)
            outcomes.update({item.index: unsent for item in items})
            return
        for item, row in zip(items, rows, strict=True):
            outcomes[item.index] = self._written(item, row)

    def _written(self, item: Item, row: Row | None) -> Outcome:
        if row is not None:
            record = self._chosen.record(row)
            # A reference to another unique key could not be read along; it is as sent.
            linked = {**item.references, **record.references}
            return Outcome(True, record=replace(record, references=linked))
        table = self._table
        if item.new:
            return Outcome(
                False,
                code=Code.VALUE_INVALID,
                message=f"A trigger of {table.name} dropped the row.",
            )
        if table.hides_rows:
            return Outcome(
                False,
                code=Code.SCOPE_MISSING,
                message=f"Row-level security of {table.name} hides the row from this "
                "role, or it is gone.",
            )
        return Outcome(
            False,
            code=Code.RECORD_GONE,
            message=f"{table.name} has no row {table.record_id(item.key)} any more.",
        )


def _by_place(items: Sequence[Item], rows: Sequence[Row]) -> Sequence[Row | None]:
    found = {row[0]: row[1:] for row in rows}
    return [found.get(place + 1) for place in range(len(items))]


def _names(count: int) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(f"c{i}") for i in range(count))


def _cast(place: int, column: Column) -> sql.Composed:
    return typed(sql.Identifier("v", f"c{place}"), column)


def _lists(items: Sequence[Item], columns: Sequence[str]) -> list[list[str | None]]:
    """One list of texts a column."""
    return [[item.cells.get(name) for item in items] for name in columns]
