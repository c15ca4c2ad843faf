"""Statements that read rows, and rows as records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from connections.catalogue import Code
from connections.connectors.base import SchemaError, TransientError
from connections.connectors.postgres.database import Database, Row
from connections.connectors.postgres.errors import RowError
from connections.connectors.postgres.fields import MOMENTS, reading
from connections.connectors.postgres.tables import (
    INTEGERS,
    Column,
    ForeignKey,
    Table,
)
from connections.records import (
    Fetched,
    ObjectType,
    Page,
    Raw,
    Record,
    Reference,
    Want,
)

PAGE_SIZE = 1000  # rows
SMALLEST_PAGE = 50  # rows; what a page shrinks to when the server is too slow for more
FETCH_BATCH = 1000  # ids in one statement

Decoder = Callable[[Sequence[Any]], Reference]
NO_CLAUSE = sql.SQL("")


def qualified(alias: str, names: Sequence[str]) -> sql.Composed:
    """Columns of one table in a list."""
    return sql.SQL(", ").join(sql.Identifier(alias, name) for name in names)


def typed(expression: sql.Composable, column: Column) -> sql.Composed:
    """A text expression as the column's type."""
    return sql.SQL("{}::{}").format(expression, column.type)


def text(column: str, alias: str = "t") -> sql.Composed:
    return sql.SQL("{}::text").format(sql.Identifier(alias, column))


def need_column(table: Table, name: str, obj: ObjectType | None = None) -> Column:
    """A column that discovery and the server's catalogue both know.

    Raises: SchemaError, FIELD_MISSING.
    """
    known = obj is None or obj.field(name) is not None
    if name not in table.columns or not known:
        raise SchemaError(
            f"The table {table.name} has no column {name} (any more).",
            code=Code.FIELD_MISSING,
        )
    return table.columns[name]


def _reads_alike(one: Column, other: Column) -> bool:
    """Whether equal values of two columns have equal texts."""
    if one.base in INTEGERS and other.base in INTEGERS:
        return True
    same = (one.type_schema, one.type_name) == (other.type_schema, other.type_name)
    return same and one.base in ("uuid", "text", "varchar", "date")


@dataclass
class Selection:
    """What to read of each row of a table, and how a row becomes a record.

    The expressions stand in every row in this order: the key's texts, the change time
    and its text where it is wanted, fields, then what references are made of.
    """

    table: Table
    expressions: list[sql.Composable] = field(default_factory=list)
    joins: list[sql.Composable] = field(default_factory=list)
    changed: Column | None = None
    fields: list[tuple[str, int]] = field(default_factory=list)
    references: list[tuple[str, int, int, Decoder]] = field(default_factory=list)
    unknown: tuple[str, ...] = ()

    def add(self, *expressions: sql.Composable) -> int:
        """Read more of each row. Returns: where the first of it stands."""
        self.expressions += expressions
        return len(self.expressions) - len(expressions)

    @property
    def columns(self) -> sql.Composed:
        return sql.SQL(", ").join(self.expressions)

    def key_of(self, row: Sequence[Any]) -> list[str]:
        """The texts that a page goes on after."""
        width = len(self.table.key)
        lead = [row[width + 1]] if self.changed is not None else []
        return [*lead, *row[:width]]

    def record(self, row: Sequence[Any]) -> Record:
        """The record in a row of `columns`."""
        width = len(self.table.key)
        values: dict[str, Raw] = {n: _plain(row[i]) for n, i in self.fields}
        references = {
            name: decode(row[start : start + count])
            for name, start, count, decode in self.references
        }
        # A foreign key that is not there any more has unknown targets, not none.
        references |= {n: Reference((), complete=False) for n in self.unknown}
        return Record(
            id=self.table.record_id(row[:width]),
            values=values,
            references=references,
            modified_at=_moment(row[width]) if self.changed is not None else None,
        )


def select(
    table: Table,
    tables: Mapping[str, Table],
    obj: ObjectType,
    want: Want,
    *,
    joined: bool = True,
) -> Selection:
    """Plan what to read.

    Args: tables, the targets of `table`'s foreign keys by name; joined, False where no
        other table can be read along (RETURNING): such references are left out.
    Raises: SchemaError.
    """
    chosen = Selection(table)
    chosen.add(*(text(name) for name in table.key))
    if want.changed_field:
        chosen.changed = changed_column(table, obj, want)
        name = want.changed_field
        chosen.add(sql.Identifier("t", name), text(name))
    for name in want.fields:
        column = need_column(table, name, obj)
        chosen.fields.append((name, chosen.add(reading(column))))
    for name in want.references:
        if obj.reference(name) is None:
            chosen.unknown += (name,)
            continue
        key = table.reference(name)
        if key is None or key.target not in tables:
            raise SchemaError(
                f"The table {table.name} has no foreign key on {name} any more.",
                code=Code.FIELD_MISSING,
            )
        _add_reference(chosen, name, key, tables[key.target], joined=joined)
    return chosen


def changed_column(table: Table, obj: ObjectType, want: Want) -> Column:
    """The column of change time. Raises: SchemaError."""
    column = need_column(table, want.changed_field, obj)
    if column.base not in MOMENTS or column.array:
        raise SchemaError(
            f"{table.name}.{column.name} holds {column.native}, which cannot tell when a "
            "row changed: it takes a timestamp with time zone.",
        )
    return column


def _add_reference(
    chosen: Selection, name: str, key: ForeignKey, target: Table, *, joined: bool
) -> None:
    if direct_order(key, chosen.table, target) is not None:
        start = chosen.add(*(text(c) for c in key.columns))
        decode = _direct(key, chosen.table, target)
        chosen.references.append((name, start, len(key.columns), decode))
        return
    if not joined:
        return
    alias = f"r{len(chosen.joins)}"
    on = sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(alias, theirs), sql.Identifier("t", o))
        for o, theirs in zip(key.columns, key.target_columns, strict=True)
    )
    chosen.joins.append(
        sql.SQL("LEFT JOIN {} AS {} ON {}").format(
            target.identifier, sql.Identifier(alias), on
        )
    )
    start = chosen.add(
        *(text(c) for c in key.columns), *(text(c, alias) for c in target.key)
    )
    own = len(key.columns)

    def decode_joined(parts: Sequence[Any]) -> Reference:
        if any(part is None for part in parts[:own]):
            return Reference()
        if any(part is None for part in parts[own:]):
            return Reference((), complete=False)  # hidden from us, or never checked
        return Reference((target.record_id(parts[own:]),))

    chosen.references.append((name, start, own + len(target.key), decode_joined))


def direct_order(key: ForeignKey, table: Table, target: Table) -> list[int] | None:
    """Where the parts of the target's id stand among the key's columns.

    None where the key's columns do not themselves spell the target's primary key.
    """
    if not target.key or set(key.target_columns) != set(target.key):
        return None
    pairs = zip(key.columns, key.target_columns, strict=True)
    alike = all(_reads_alike(table.columns[o], target.columns[t]) for o, t in pairs)
    return [key.target_columns.index(c) for c in target.key] if alike else None


def _direct(key: ForeignKey, table: Table, target: Table) -> Decoder:
    order = direct_order(key, table, target) or []

    def decode(parts: Sequence[Any]) -> Reference:
        if any(part is None for part in parts):
            return Reference()  # MATCH SIMPLE: any null is no link
        return Reference((target.record_id([parts[i] for i in order]),))

    return decode


def _plain(value: Any) -> Raw:
    """A loaded value as one of the raw values: arrays flat, without their nulls."""
    if not isinstance(value, list):
        return value  # type: ignore[no-any-return]
    flat: list[str] = []
    for item in value:
        inner = _plain(item)
        flat += inner if isinstance(inner, list) else [str(inner)] * (item is not None)
    return flat


def _moment(value: Any) -> datetime | None:
    """Aware UTC; a time without zone counts as UTC, one Python cannot hold as none."""
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# Pages ---------------------------------------------------------------------------------


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
        while True:
            statement, values = self._page(after, where, params, size)
            try:
                rows = self._read(statement, values)
            except TransientError as exc:
                if exc.code != Code.TIMED_OUT or size <= SMALLEST_PAGE:
                    raise
                size = max(size // 4, SMALLEST_PAGE)
                continue
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

    def _read(self, statement: sql.Composed, params: Sequence[Any]) -> list[Row]:
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
        hidden = self._table.hides_rows
        gone = frozenset() if hidden else frozenset(i for i in ids if i not in records)
        return Fetched(records, gone)

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


def unnested(count: int) -> sql.Composed:
    """So many lists of texts, one parameter each, as the columns of a table."""
    return sql.SQL("unnest({})").format(
        sql.SQL(", ").join([sql.SQL("%s::text[]")] * count)
    )
