"""What to read of each row, and how a row becomes a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.connectors.postgres.fields import MOMENTS, reading
from connections.connectors.postgres.tables import (
    INTEGERS,
    Column,
    ForeignKey,
    Table,
)
from connections.records import ObjectType, Raw, Record, Reference, Want

Decoder = Callable[[Sequence[Any]], Reference]


def qualified(alias: str, names: Sequence[str]) -> sql.Composed:
    """Columns of one table in a list."""
    return sql.SQL(", ").join(sql.Identifier(alias, name) for name in names)


def typed(expression: sql.Composable, column: Column) -> sql.Composed:
    """A text expression as the column's type."""
    if column.base == "money" and not column.array:  # its own input goes by the locale
        expression = sql.SQL("{}::numeric").format(expression)
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


def unnested(count: int) -> sql.Composed:
    """So many lists of texts, one parameter each, as the columns of a table."""
    return sql.SQL("unnest({})").format(
        sql.SQL(", ").join([sql.SQL("%s::text[]")] * count)
    )
