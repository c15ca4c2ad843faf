"""How columns look to the engine, and how their values go in and out."""

from __future__ import annotations

from decimal import Decimal

from psycopg import sql

from connections.connectors.postgres.tables import (
    INTEGERS,
    QUERIED,
    Column,
    ForeignKey,
    Table,
    named,
)
from connections.records import (
    Canon,
    Field,
    JoinTable,
    ObjectType,
    Option,
    ReferenceField,
    Schema,
    ValueType,
)

TEXTS = ("text", "varchar", "bpchar", "citext", "name", "uuid")
NUMBERS = (*INTEGERS, "numeric", "money", "float4", "float8")
MOMENTS = ("timestamp", "timestamptz")
SKIPPED = ("bytea",)  # no text form that anybody would want in a CRM
DISPLAYED = ("name", "full_name", "title", "subject", "email", "label")
MONEY_LIMIT = "92233720368547758.07"


def value_type(column: Column) -> ValueType:
    """The engine's type of a column; what it has no type for is text."""
    if column.array:
        listed = column.enum or column.base in (*TEXTS, *INTEGERS)
        return ValueType.OPTIONS if listed else ValueType.TEXT
    if column.labels:
        return ValueType.OPTION
    if column.base in NUMBERS:
        return ValueType.NUMBER
    if column.base in MOMENTS:
        return ValueType.DATETIME
    plain = {"bool": ValueType.BOOLEAN, "date": ValueType.DATE}
    return plain.get(column.base, ValueType.TEXT)


def is_plain_text(column: Column) -> bool:
    """Whether the column is text only for want of a better type: it is not written."""
    known = column.base in (*TEXTS, *NUMBERS, *MOMENTS, "bool", "date")
    if column.array:
        return value_type(column) is ValueType.TEXT
    return not (known or column.enum)


def reading(column: Column, alias: str = "t") -> sql.Composable:
    """The expression that reads a column as one of the raw values."""
    name = sql.Identifier(alias, column.name)
    kind = value_type(column)
    if kind is ValueType.OPTIONS:
        return sql.SQL("{}::text[]").format(name)
    if column.base == "money":
        return sql.SQL("{}::numeric").format(name)
    native = kind not in (ValueType.TEXT, ValueType.OPTION)
    return name if native else sql.SQL("{}::text").format(name)


def to_text(value: Canon) -> str | None:
    """A canonical value as PostgreSQL's text input takes it for the column's type."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    quoted = ('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in value)
    return "{" + ",".join(quoted) + "}"


# Object types --------------------------------------------------------------------------


def schema_of(tables: dict[str, Table], offered: set[str]) -> Schema:
    """What discovery tells: the tables that are offered, and those that link others."""
    chosen = [t for name, t in tables.items() if name in offered]
    joins = [_join_table(t, offered) for t in chosen if t.kind in ("r", "p")]
    return Schema(
        tuple(_object(t, offered) for t in chosen),
        tuple(j for j in joins if j is not None),
    )


def _object(table: Table, offered: set[str]) -> ObjectType:
    references = tuple(
        _reference(name, key, table)
        for name, key in named(table.foreign_keys)
        if key.target in offered
    )
    return ObjectType(
        name=table.name,
        id=table.name,
        label=table.comment,
        fields=tuple(
            _field(c, table, offered)
            for c in table.columns.values()
            if c.readable and c.base not in SKIPPED
        ),
        references=references,
        display_field=_display(table),
        writable=table.writable,
        refused=_refused(table),
        read_only_reason=table.unwritable,
        undeletable=""
        if table.may_delete
        else f"The role may not delete rows of {table.name}: grant it DELETE.",
        key=table.key,
    )


def _refused(table: Table) -> str:
    if not table.readable:
        return f"The role may not read {table.name}: grant it SELECT."
    if not table.key:
        return keyless(table)
    hidden = [c.name for c in table.key_columns if not c.readable]
    if hidden:
        return f"The role may not read the key of {table.name}: grant it SELECT."
    return ""


def keyless(table: Table) -> str:
    """Why a table's rows cannot be told apart, and what would help."""
    if table.kind in QUERIED:
        return (
            f"{table.name} {QUERIED[table.kind]} and so has no primary key: name the "
            "column that tells its rows apart in the app's setting keys, as in keys: "
            f"[{table.name}.id]."
        )
    return (
        f"{table.name} has no primary key, by which its rows could be told apart: add "
        "one, or a unique index over columns that are NOT NULL."
    )


def _display(table: Table) -> str:
    texts = [
        c.name
        for c in table.columns.values()
        if c.readable and value_type(c) is ValueType.TEXT and not is_plain_text(c)
    ]
    likely = [name for name in DISPLAYED if name in texts]
    others = [name for name in texts if name not in table.key]
    return next(iter([*likely, *others]), "")


def _reason(column: Column, table: Table, offered: set[str]) -> str:
    """Why a column takes no values; "" if it does."""
    if not table.writable:
        return table.unwritable
    if column.generated:
        return "The database computes it."
    if column.identity == "a":
        return "The database alone gives it its value."
    if table.made_key is column:
        return "It is the primary key, made for each new row."
    if is_plain_text(column):
        return f"Values of the type {column.native} are read only."
    target = next(
        (
            fk.target
            for fk in table.foreign_keys
            if column.name in fk.columns and fk.target in offered
        ),
        None,
    )
    if target is not None:
        return f"It points to {target}: map it as an association."
    if not (column.insertable or column.updatable):
        return "The role may not write it."
    return ""


def _field(column: Column, table: Table, offered: set[str]) -> Field:
    kind = value_type(column)
    reason = _reason(column, table, offered)
    scale, minimum, maximum = _range(column)
    unique = any(k.plain and k.columns == (column.name,) for k in table.unique_keys)
    return Field(
        name=column.name,
        type=kind,
        label=column.comment,
        native_type=column.native,
        read_only=bool(reason),
        read_only_reason=reason,
        required=(
            column.not_null and not column.fills_itself and table.made_key is not column
        ),
        unique=unique,
        options=tuple(Option(label, label) for label in column.labels),
        max_length=column.max_length,
        scale=scale,
        minimum=minimum,
        maximum=maximum,
        zoneless=column.base == "timestamp",
    )


def _range(column: Column) -> tuple[int | None, str | None, str | None]:
    """Digits after the point, smallest and largest number."""
    if column.array:
        return None, None, None
    if column.base in INTEGERS:
        return 0, *INTEGERS[column.base]
    if column.base == "money":
        return 2, f"-{MONEY_LIMIT}", MONEY_LIMIT
    if column.precision is None:
        return None, None, None
    digits, scale = column.precision
    largest = Decimal("9" * digits).scaleb(-scale)
    return max(scale, 0), f"{-largest:f}", f"{largest:f}"


def _reference(name: str, key: ForeignKey, table: Table) -> ReferenceField:
    columns = [table.columns[c] for c in key.columns]
    return ReferenceField(
        name=name,
        target=key.target,
        nullable=any(not c.not_null for c in columns),
        columns=key.columns,
        target_columns=key.target_columns,
        on_delete=key.on_delete,
        read_only=not table.writable
        or any(c.generated or c.identity == "a" for c in columns),
        label=columns[0].comment if len(columns) == 1 else "",
    )


def _join_table(table: Table, offered: set[str]) -> JoinTable | None:
    """The two foreign keys that make a table one of links, if it is one.

    Their columns are exactly a unique key, or all in one that has other columns too (a
    role beside the two ends).
    """
    keys = [(n, k) for n, k in named(table.foreign_keys) if k.target in offered]
    unique = [set(k.columns) for k in table.unique_keys if k.plain]
    pairs = [
        (len(u - ends) > 0, first, second)
        for i, first in enumerate(keys)
        for second in keys[i + 1 :]
        for ends in [{*first[1].columns, *second[1].columns}]
        for u in unique
        if ends <= u and not set(first[1].columns) & set(second[1].columns)
    ]
    if not pairs:
        return None
    _, first, second = min(pairs, key=lambda pair: pair[0])
    ends = {*first[1].columns, *second[1].columns}
    made = table.made_key
    return JoinTable(
        name=table.name,
        references=(_reference(*first, table), _reference(*second, table)),
        columns=tuple(
            _field(c, table, offered)
            for c in table.columns.values()
            if c.name not in ends and c is not made and c.readable
        ),
    )
