"""Lookups hold a key's text, and we name records by their ids: one for the other.

A key that no record of the source app has any more, or that several have, leads nowhere that
is known: it is never taken for an empty field.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from connections.connectors.kintone.api import PAGE_SIZE, Api, Json, any_of, text
from connections.connectors.kintone.values import key_text
from connections.connectors.parts import chunks
from connections.records import Reference, ReferenceField

MOST_KEPT = 50_000  # keys of one read
Ids = Mapping[str, str | None]  # by key; None where several records have it


class KeyIndex:
    """What the keys of source apps lead to, as looked up for one read or write."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._ids: dict[tuple[str, str], dict[str, str | None]] = {}

    def ids(self, target: str, field: str, keys: Collection[str]) -> Ids:
        """The record of each key, asked for where it is not known: 500 a call."""
        known = self._ids.setdefault((target, field), {})
        if len(known) > MOST_KEPT:
            known.clear()
        missing = sorted({key for key in keys if key} - known.keys())
        for some in chunks(missing, PAGE_SIZE):
            known.update(self._asked(target, field, some))
        return known

    def _asked(
        self, target: str, field: str, keys: Sequence[str]
    ) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        last = "0"
        while True:
            query = f"{any_of(field, keys)} and $id > {last}"
            listed, _, _ = self._api.records(
                target,
                f"{query} order by $id asc limit {PAGE_SIZE}",
                ("$id", field),
                f"look up {field} in app {target}",
            )
            for row in listed:
                key, last = key_text(row.get(field)), text(row["$id"]["value"])
                found[key] = None if key in found else last
            if len(listed) < PAGE_SIZE:
                return found

    def keys_of(self, target: str, field: str, ids: Collection[str]) -> dict[str, str]:
        """The key of each record; "" for one without, none for one there is not."""
        found: dict[str, str] = {}
        numbers = sorted(i for i in ids if i.isdecimal())
        for some in chunks(numbers, PAGE_SIZE):
            listed, _, _ = self._api.records(
                target,
                f"{any_of('$id', some)} limit {PAGE_SIZE}",
                ("$id", field),
                f"read {field} of app {target}",
            )
            for row in listed:
                cell = row.get(field) or {}
                found[text(row["$id"]["value"])] = text(cell.get("value"))
        return found

    # References ------------------------------------------------------------------------

    def resolve(
        self, wanted: Sequence[ReferenceField], rows: Sequence[Json]
    ) -> list[dict[str, Reference]]:
        """What the reference fields of some records hold, in the order of the rows."""
        found: list[dict[str, Reference]] = [{} for _ in rows]
        for field in wanted:
            (key_field,) = field.target_columns
            held = [cells_of(field, row) for row in rows]
            keys = {k for cells in held if cells for k in map(key_text, cells) if k}
            ids = self.ids(field.target, key_field, keys) if keys else {}
            for place, cells in enumerate(held):
                found[place][field.name] = _reference(cells, ids)
        return found


def cells_of(field: ReferenceField, row: Json) -> list[Json] | None:
    """The cells of a record that hold a field's keys; None if the form has it no more."""
    cell = row.get(field.columns[0])
    if cell is None:
        return None
    if len(field.columns) == 1:
        return [cell]
    values = [line.get("value") or {} for line in cell.get("value") or ()]
    if any(field.columns[1] not in line for line in values):
        return None
    return [line[field.columns[1]] for line in values]


def _reference(cells: Sequence[Json] | None, ids: Ids) -> Reference:
    if cells is None:
        return Reference((), complete=False)
    keys = [key for key in map(key_text, cells) if key]
    known = [found for key in keys if (found := ids.get(key))]
    return Reference(tuple(dict.fromkeys(known)), complete=len(known) == len(keys))
