"""Windows of change times."""

from __future__ import annotations

from datetime import datetime

from psycopg import sql

from connections.connectors.base import SchemaError
from connections.connectors.postgres.database import Database
from connections.connectors.postgres.selection import changed_column
from connections.connectors.postgres.tables import Column, Table
from connections.records import ObjectType, Want, Window

# What Python's times can hold, with a day to spare for time zones.
EARLIEST, LATEST = sql.SQL("'0001-01-02'"), sql.SQL("'9999-12-30'")


def unstamped(name: str) -> sql.Composed:
    """Rows without a time, or with one that says nothing."""
    return sql.SQL("({0} IS NULL OR {0} < {1} OR {0} >= {2})").format(
        sql.Identifier("t", name), EARLIEST, LATEST
    )


def column_of(table: Table, obj: ObjectType, want: Want) -> Column:
    """The column of change time. Raises: SchemaError."""
    if not want.changed_field:
        raise SchemaError(f"No column of change time is set for {table.name}.")
    return changed_column(table, obj, want)


def between(
    column: Column, after: datetime, until: datetime | None
) -> tuple[sql.Composed, list[datetime]]:
    """The condition of a window and its parameters."""
    bound = sql.SQL("%s::timestamptz")
    if column.base == "timestamp":
        bound = sql.SQL("(%s::timestamptz AT TIME ZONE 'UTC')")
    name = sql.Identifier("t", column.name)
    # What changed at infinity would be read each time, for ever.
    parts = [
        sql.SQL("{} > {}").format(name, bound),
        sql.SQL("{} < {}").format(name, LATEST),
    ]
    if until is not None:
        parts.append(sql.SQL("{} <= {}").format(name, bound))
    times = [after] if until is None else [after, until]
    return sql.SQL(" AND ").join(parts), times


def window(
    database: Database, table: Table, column: Column, after: datetime, until: datetime
) -> Window:
    """Count a window's rows and add up their times."""
    where, params = between(column, after, until)
    statement = sql.SQL(
        "SELECT count(*) FILTER (WHERE {where}), "
        "sum((extract(epoch FROM {name}) * 1000000)::bigint) FILTER (WHERE {where}), "
        "count(*) FILTER (WHERE {never}) FROM {table} AS t "
        "WHERE ({where}) OR ({never})"
    ).format(
        where=where,
        name=sql.Identifier("t", column.name),
        never=unstamped(column.name),
        table=table.identifier,
    )
    count, stamps, never = database.read(statement, [*params, *params, *params])[0]
    return Window(count, stamps=int(stamps or 0), unstamped=never)
