"""An app whose reference fields hold several records: PostgreSQL with arrays of ids.

The product knows no array as a reference; apps that it will know have such fields. This
stands for them in the matrix, and is a whole connector: what is read, compared and
written is the complete list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg import sql

from connections.connectors.postgres import PostgresConnector
from connections.connectors.postgres.selection import Selection
from connections.connectors.postgres.tables import Table
from connections.records import (
    Draft,
    ObjectType,
    Outcome,
    Patch,
    Reference,
    ReferenceField,
    Schema,
    Want,
)

LISTS = {"company_ids": "companies"}  # columns, and the tables that they lead to


class ListsConnector(PostgresConnector):
    """PostgreSQL, whose columns named in `LISTS` are references to several rows."""

    def _offer(self, tables: dict[str, Table]) -> Schema:
        found = super()._offer(tables)
        return replace(found, objects=tuple(map(_with_lists, found.objects)))

    def _selection(self, obj: ObjectType, want: Want) -> Selection:
        mine = [name for name in want.references if name in LISTS]
        chosen = super()._selection(obj, _without_lists(want))
        for name in mine:
            column = sql.SQL("{}::text[]").format(sql.Identifier("t", name))
            chosen.references.append((name, chosen.add(column), 1, _decoded))
        return chosen

    def create(
        self, obj: ObjectType, drafts: Sequence[Draft], want: Want
    ) -> list[Outcome]:
        plain = [replace(d, references=_others(d.references)) for d in drafts]
        outcomes = super().create(obj, plain, _without_lists(want))
        for draft, outcome in zip(drafts, outcomes, strict=True):
            if outcome.record is not None:
                self._write_lists(obj, outcome.record.id, draft.references)
        return outcomes

    def update(
        self, obj: ObjectType, patches: Sequence[Patch], want: Want
    ) -> list[Outcome]:
        plain = [replace(p, references=_others(p.references)) for p in patches]
        outcomes = super().update(obj, plain, _without_lists(want))
        for patch, outcome in zip(patches, outcomes, strict=True):
            if outcome.ok:
                self._write_lists(obj, patch.id, patch.references)
        return outcomes

    def _write_lists(
        self, obj: ObjectType, record_id: str, references: Mapping[str, Reference]
    ) -> None:
        table, _ = self._tables.of(obj)
        for name in LISTS.keys() & references.keys():
            statement = sql.SQL(
                "UPDATE {} SET {} = %s::int[] WHERE id = %s::int RETURNING id"
            ).format(table.identifier, sql.Identifier(name))
            ids = [int(i) for i in references[name].ids]
            self._db.write(statement, (ids, record_id))


def _with_lists(obj: ObjectType) -> ObjectType:
    mine = [f.name for f in obj.fields if f.name in LISTS]
    added = tuple(ReferenceField(name, LISTS[name], many=True) for name in mine)
    return replace(
        obj,
        fields=tuple(f for f in obj.fields if f.name not in mine),
        references=(*obj.references, *added),
    )


def _without_lists(want: Want) -> Want:
    kept = tuple(name for name in want.references if name not in LISTS)
    return replace(want, references=kept)


def _others(references: Mapping[str, Reference]) -> dict[str, Reference]:
    return {n: r for n, r in references.items() if n not in LISTS}


def _decoded(parts: Sequence[Any]) -> Reference:
    return Reference(tuple(str(part) for part in parts[0] or ()))
