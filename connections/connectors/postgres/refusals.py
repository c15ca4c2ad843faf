"""What a refused row is told: the code, the column to blame, the row in the way."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from connections.catalogue import Code
from connections.connectors.base import ConnectorError
from connections.connectors.postgres.cells import Item
from connections.connectors.postgres.database import Database
from connections.connectors.postgres.errors import RowError, code_of, text_of
from connections.connectors.postgres.selection import text, typed
from connections.connectors.postgres.tables import Table
from connections.records import Outcome

OVERFLOW = "22003"  # a number too large for its column


def refusal(database: Database, table: Table, item: Item, error: RowError) -> Outcome:
    """Why the server refused a row."""
    diag = error.cause.diag
    code, message = code_of(error.cause), f"{text_of(error.cause)}."
    columns = _blamed(table, item, error)
    existing = None
    if error.state == "23505":
        key = next(
            (k for k in table.unique_keys if k.name == diag.constraint_name), None
        )
        made = table.made_key
        if key is not None and key.primary and made is not None:
            message = (
                f"{table.name} already has the next {made.name} that its sequence "
                "gives: set the sequence past the largest one."
            )
        elif key is not None and key.plain:
            existing = _existing(database, table, item, key.columns)
            message = (
                f"{table.name} already has a row with this {', '.join(key.columns)}"
            )
            message += f": {existing}." if existing else "."
    elif error.state == "23514" and not any(_chosen(table, c) for c in columns):
        code = Code.VALUE_INVALID  # a check of another kind than a list of options
    elif error.state == "23503" and not columns:
        code = Code.VALUE_INVALID  # other rows still point at the value to replace
    return Outcome(
        False,
        code=code,
        message=message,
        field=",".join(columns),
        existing_id=existing,
    )


def _blamed(table: Table, item: Item, error: RowError) -> tuple[str, ...]:
    """The columns that the server, or its quoting of a value, blames."""
    diag = error.cause.diag
    if diag.column_name:
        return (diag.column_name,)
    name = diag.constraint_name
    keys = {key.name: key.columns for key in table.unique_keys}
    keys |= {key.name: key.columns for key in table.foreign_keys}
    if name and name in keys:
        return keys[name]
    if name and table.checks.get(name):
        return (table.checks[name],)
    if error.state.startswith("22"):
        told = diag.message_primary or ""
        for column, cell in item.cells.items():
            if cell and f'"{cell}"' in told:
                return (column,)
    if error.state == OVERFLOW:  # the server names neither column nor value
        sized = [n for n, cell in item.cells.items() if cell and _sized(table, n)]
        return tuple(sized) if len(sized) == 1 else ()
    return ()


def _chosen(table: Table, name: str) -> bool:
    """Whether a column takes one of some options."""
    column = table.columns.get(name)
    return column is not None and bool(column.labels)


def _sized(table: Table, name: str) -> bool:
    """Whether a column is a number of limited size."""
    return table.columns[name].precision is not None


def _existing(
    database: Database, table: Table, item: Item, columns: Sequence[str]
) -> str | None:
    """The id of the row that has the same values in a unique key."""
    cells = {**dict(zip(table.key, item.key, strict=True)), **item.cells}
    values = [cells.get(name) for name in columns]
    if None in values:
        return None
    statement = sql.SQL("SELECT {} FROM {} AS t WHERE {}").format(
        sql.SQL(", ").join(text(name) for name in table.key),
        table.identifier,
        sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(
                sql.Identifier("t", name),
                typed(sql.Placeholder(), table.columns[name]),
            )
            for name in columns
        ),
    )
    try:
        rows = database.read(statement, values)
    except (ConnectorError, RowError):
        return None  # the refusal itself is what has to be told
    return table.record_id(rows[0]) if rows else None
