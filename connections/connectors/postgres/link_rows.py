"""Read the rows of a link table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from connections.connectors.base import SchemaError
from connections.connectors.postgres.database import Database
from connections.connectors.postgres.errors import RowError
from connections.connectors.postgres.link_tables import End, Shape
from connections.connectors.postgres.reading import FETCH_BATCH
from connections.connectors.postgres.selection import text, typed, unnested
from connections.records import LinkRow, LinkRows

NEAR, FAR = "n", "f"  # the aliases of the two tables at the ends


def texts_of(end: End, record_id: str) -> tuple[str, ...] | None:
    """The texts of a record's key; None where it is no id of that table."""
    try:
        return end.target.key_texts(record_id)
    except ValueError:
        return None


def join_of(end: End, alias: str) -> sql.Composable:
    """The table that an id leads to, where the link table does not hold the id itself.

    What is given of the id stands in `a`, its parts named after the alias.
    """
    if end.direct:
        return sql.SQL("")
    return sql.SQL("JOIN {} AS {} ON {}").format(
        end.target.identifier,
        sql.Identifier(alias),
        sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(
                sql.Identifier(alias, column.name),
                typed(sql.Identifier("a", f"{alias}{i}"), column),
            )
            for i, column in enumerate(end.target.key_columns)
        ),
    )


def values_of(end: End, alias: str, shape: Shape) -> list[sql.Composable]:
    """What the end's columns hold for the record whose id is given in `a`."""
    if end.order is None:
        return [sql.Identifier(alias, name) for name in end.key.target_columns]
    parts: list[sql.Composable] = []
    for name, theirs in zip(end.key.columns, end.key.target_columns, strict=True):
        place = end.target.key.index(theirs)
        given = sql.Identifier("a", f"{alias}{place}")
        parts.append(typed(given, shape.table.columns[name]))
    return parts


def holds(end: End, alias: str, shape: Shape) -> sql.Composed:
    """Whether a row `t` is of the record whose id is given in `a`."""
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier("t", name), value)
        for name, value in zip(
            end.key.columns, values_of(end, alias, shape), strict=True
        )
    )


def names_of(end: End, alias: str) -> list[sql.Composable]:
    return [sql.Identifier(f"{alias}{i}") for i in range(len(end.target.key))]


def read_rows(
    database: Database, shape: Shape, ids: Sequence[str]
) -> dict[str, LinkRows]:
    """The rows of near records; one whose far end is null is no link."""
    known = {i: texts for i in ids if (texts := texts_of(shape.near, i)) is not None}
    found: dict[str, LinkRows] = {i: LinkRows() for i in ids}
    rows: dict[str, list[LinkRow]] = {}
    hidden: set[str] = set()
    asked = list(known)
    statement = _statement(shape)
    for start in range(0, len(asked), FETCH_BATCH):
        some = asked[start : start + FETCH_BATCH]
        lists = [list(part) for part in zip(*(known[i] for i in some), strict=True)]
        for place, label, *ends in _read(database, shape, statement, lists):
            near = some[place - 1]
            far = _far_id(shape.far, ends)
            if far is None:
                hidden.add(near)
            elif far:
                rows.setdefault(near, []).append(LinkRow(far, label))
    for near in {*rows, *hidden}:
        found[near] = LinkRows(tuple(rows.get(near, ())), near not in hidden)
    return found


def _statement(shape: Shape) -> sql.Composed:
    far = shape.far
    ends = [text(name) for name in far.key.columns]
    join: sql.Composable = sql.SQL("")
    if not far.direct:
        on = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(
                sql.Identifier(FAR, theirs), sql.Identifier("t", own)
            )
            for own, theirs in zip(far.key.columns, far.key.target_columns, strict=True)
        )
        join = sql.SQL("LEFT JOIN {} AS {} ON {}").format(
            far.target.identifier, sql.Identifier(FAR), on
        )
        ends += [text(name, FAR) for name in far.target.key]
    label = text(shape.label.name) if shape.label else sql.SQL("NULL::text")
    return sql.SQL(
        "SELECT a.ord, {} FROM {} WITH ORDINALITY AS a({}, ord) {} JOIN {} AS t ON {} {}"
    ).format(
        sql.SQL(", ").join([label, *ends]),
        unnested(len(shape.near.target.key)),
        sql.SQL(", ").join(names_of(shape.near, NEAR)),
        join_of(shape.near, NEAR),
        shape.table.identifier,
        holds(shape.near, NEAR, shape),
        join,
    )


def _far_id(far: End, parts: Sequence[Any]) -> str | None:
    """The far record's id; "" where the row leads nowhere, None where it is hidden."""
    own = len(far.key.columns)
    if any(part is None for part in parts[:own]):
        return ""
    if far.order is not None:
        return far.target.record_id([parts[i] for i in far.order])
    if any(part is None for part in parts[own:]):
        return None
    return far.target.record_id(parts[own:])


def _read(
    database: Database,
    shape: Shape,
    statement: sql.Composed,
    lists: Sequence[Sequence[str]],
) -> list[tuple[Any, ...]]:
    try:
        return database.read(statement, lists)
    except RowError as exc:
        raise SchemaError(
            f"The columns of {shape.table.name} are not of the types they were: "
            f"{exc.cause.diag.message_primary}."
        ) from exc
