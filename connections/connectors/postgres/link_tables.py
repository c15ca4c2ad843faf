"""What a table whose rows are links looks like, and whether it can serve as one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from psycopg import sql

from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.connectors.postgres.database import Database
from connections.connectors.postgres.fields import TEXTS, is_plain_text
from connections.connectors.postgres.known import Tables
from connections.connectors.postgres.selection import direct_order
from connections.connectors.postgres.tables import (
    INTEGERS,
    QUERIED,
    Column,
    ForeignKey,
    Table,
)
from connections.records import LinkTable, TableFault, TableReport

RIGHTS = sql.SQL("SELECT has_table_privilege(%s::text::regclass, 'DELETE')")
Faults = Iterator[TableFault]


@dataclass(frozen=True, slots=True)
class End:
    """One end of a link table: which of its columns hold which columns of a table."""

    key: ForeignKey
    target: Table
    order: (
        tuple[int, ...] | None
    )  # where the parts of a record's id stand; None: joined

    @property
    def direct(self) -> bool:
        """Whether the columns themselves spell the record's id."""
        return self.order is not None


@dataclass(frozen=True, slots=True)
class Shape:
    """A link table with its ends, as the server has them."""

    table: Table
    near: End
    far: End
    label: Column | None

    @property
    def ends(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.near.key.columns, *self.far.key.columns)))

    @property
    def blank(self) -> str | None:
        """What the label of a plain link is: null, else "" where a text must be given."""
        return "" if self.label is not None and self.label.not_null else None

    @property
    def single(self) -> bool:
        """Whether a unique key lets a pair have one row only."""
        ends = set(self.ends)
        return any(k.plain and set(k.columns) <= ends for k in self.table.unique_keys)


class _Unfit(Exception):
    def __init__(self, part: str, text: str, code: Code = Code.FIELD_MISSING) -> None:
        super().__init__(text)
        self.fault = TableFault(part, text, code)


def shape_of(tables: Tables, spec: LinkTable) -> Shape:
    """Raises: SchemaError where the table cannot be read as links."""
    try:
        return _shape(tables, spec)
    except _Unfit as exc:
        raise SchemaError(exc.fault.text, code=Code(exc.fault.code)) from None


def examine(
    database: Database, tables: Tables, spec: LinkTable, chosen: Collection[str] | None
) -> TableReport:
    """Look whether a table can serve. Args: chosen, the only tables to offer (None: all)."""
    try:
        if chosen is not None and spec.name not in chosen:
            text = f"The app's setting tables leaves out {spec.name}: add it there."
            raise _Unfit("name", text, Code.SCHEMA_CHANGED)
        shape = _shape(tables, spec)
    except _Unfit as exc:
        return TableReport((exc.fault,))
    may_delete = bool(database.read(RIGHTS, [shape.table.identifier.as_string()])[0][0])
    faults = (*_unreadable(shape), *_unwritable(shape, may_delete))
    return TableReport(faults, shape.single)


def _shape(tables: Tables, spec: LinkTable) -> Shape:
    table = tables.named(spec.name)
    if table is None:
        raise _Unfit("name", f"There is no table {spec.name}.", Code.SCHEMA_CHANGED)
    label = table.columns.get(spec.label) if spec.label else None
    if spec.label and label is None:
        raise _Unfit("label", f"{spec.name} has no column {spec.label}.")
    near = _end(tables, table, "from", spec.from_columns, spec.near)
    far = _end(tables, table, "to", spec.to_columns, spec.far)
    shape = Shape(table, near, far, label)
    if set(near.key.columns) == set(far.key.columns):
        raise _Unfit("to", "from and to cannot be the same columns.")
    if spec.label in shape.ends:
        raise _Unfit("label", f"{spec.label} holds an end of the link, not its label.")
    return shape


def _end(tables: Tables, table: Table, part: str, given: str, target_name: str) -> End:
    """The foreign key on the columns; else columns that match the target's key."""
    columns = tuple(name.strip() for name in given.split(","))
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise _Unfit(part, f"{table.name} has no column {missing[0]}.")
    target = tables.named(target_name)
    if target is None or not target.key:
        text = f"There is no table {target_name} with a key."
        raise _Unfit(part, text, Code.SCHEMA_CHANGED)
    on_these = [k for k in table.foreign_keys if k.columns == columns]
    key = next((k for k in on_these if k.target == target.name), None)
    if key is None and on_these:
        text = f"{given} points to {on_these[0].target}, not to {target.name}."
        raise _Unfit(part, text, Code.SCHEMA_CHANGED)
    if key is None:
        key = ForeignKey("", columns, target.name, target.key, "")
        _must_fit(part, table, key, target)
    order = direct_order(key, table, target)
    return End(key, target, None if order is None else tuple(order))


def _must_fit(part: str, table: Table, key: ForeignKey, target: Table) -> None:
    named = ", ".join(target.key)
    if len(key.columns) != len(target.key):
        text = f"The key of {target.name} is {named}: name as many columns."
        raise _Unfit(part, text)
    for own, theirs in zip(key.columns, target.key, strict=True):
        one, other = table.columns[own], target.columns[theirs]
        if not _comparable(one, other):
            text = (
                f"{own} holds {one.native}, and {target.name}.{theirs} "
                f"holds {other.native}."
            )
            raise _Unfit(part, text, Code.SCHEMA_CHANGED)


def _comparable(one: Column, other: Column) -> bool:
    if one.base in INTEGERS and other.base in INTEGERS:
        return True
    texts = ("text", "varchar", "bpchar", "name")
    alike = one.base in texts and other.base in texts
    return alike or (one.type_schema, one.type_name) == (
        other.type_schema,
        other.type_name,
    )


# What stands in the way ----------------------------------------------------------------


def _unreadable(shape: Shape) -> Faults:
    table = shape.table
    parts = {"from": shape.near.key.columns, "to": shape.far.key.columns}
    if shape.label is not None:
        parts["label"] = (shape.label.name,)
    for part, names in parts.items():
        for name in names:
            if not table.columns[name].readable:
                text = f"The role may not read {table.name}.{name}: grant it SELECT."
                yield TableFault(part, text, Code.SCOPE_MISSING)
    if table.hides_rows:
        text = (
            f"Row-level security of {table.name} hides rows from the role, and a row "
            "that is not shown would pass for a link that was removed: give the role "
            "BYPASSRLS."
        )
        yield TableFault("name", text, Code.SCOPE_MISSING)


def _unwritable(shape: Shape, may_delete: bool) -> Faults:
    table, label = shape.table, shape.label
    if table.kind in QUERIED:
        yield _write_fault("name", table.unwritable)
        return
    if table.unwritable:
        yield _write_fault("name", table.unwritable)
    if not may_delete:
        yield _write_fault("name", f"The role lacks DELETE on {table.name}: grant it.")
    given = [*shape.ends, *([label.name] if label is not None else [])]
    for name in given:
        column = table.columns[name]
        part = "label" if name not in shape.ends else "name"
        if column.generated or column.identity == "a" or is_plain_text(column):
            text = f"{table.name}.{name} cannot be written."
            yield _write_fault(part, text, Code.FIELD_READ_ONLY)
        elif not column.insertable:
            text = f"The role may not insert {table.name}.{name}: grant it INSERT."
            yield _write_fault(part, text)
    if label is not None and not label.updatable:
        text = f"The role may not update {table.name}.{label.name}: grant it UPDATE."
        yield _write_fault("label", text)
    for name in required_besides(shape):
        text = (
            f"{table.name}.{name} must be given and has no default, so that no row can "
            "be made: give the column a default, or let it be null."
        )
        yield _write_fault("name", text, Code.REQUIRED_MISSING)


def _write_fault(part: str, text: str, code: Code = Code.SCOPE_MISSING) -> TableFault:
    return TableFault(part, text, code, writing=True)


def required_besides(shape: Shape) -> list[str]:
    """Columns that a new row must be given, though nobody knows what."""
    known: Mapping[str, object] = dict.fromkeys(shape.ends)
    own = shape.label.name if shape.label is not None else ""
    made = made_uuid(shape)
    return [
        c.name
        for c in shape.table.columns.values()
        if c.not_null
        and not c.fills_itself
        and c.name not in known
        and c.name not in (own, made)
    ]


def made_uuid(shape: Shape) -> str:
    """The key's column if we make its values; "" if there is no such."""
    made = shape.table.made_key
    return "" if made is None or made.fills_itself else made.name


def takes_blank(shape: Shape) -> bool:
    """Whether a row may go without a label."""
    label = shape.label
    return label is None or not label.not_null or (label.base in TEXTS[:5])
