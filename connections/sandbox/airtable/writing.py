"""Create, change and remove records; both ends of a link are one edge.

Source: https://airtable.com/developers/web/api/update-multiple-records
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connections.sandbox.airtable.bases import LINK
from connections.sandbox.airtable.cells import Taker
from connections.sandbox.airtable.errors import (
    ApiError,
    forbidden,
    invalid,
    not_found,
)
from connections.sandbox.airtable.showing import Show
from connections.sandbox.airtable.store import Row, Store, is_blank, new_id
from connections.sandbox.hubspot.switches import Switches

Json = dict[str, Any]
Cells = dict[str, Any]


class Happened:
    """What one request did to records: the payload log tells of it."""

    def __init__(self) -> None:
        self.created: dict[tuple[str, str], Cells] = {}
        self.changed: dict[tuple[str, str], dict[str, tuple[Any, Any]]] = {}
        self.destroyed: list[tuple[str, str]] = []

    def __bool__(self) -> bool:
        return bool(self.created or self.changed or self.destroyed)


class Writer:
    """Writes to the records of one base, on behalf of one request.

    Args: may_make, whether typecast may create records in a linked table.
    """

    def __init__(
        self,
        store: Store,
        base: Json,
        switches: Switches,
        now: int,
        *,
        typecast: bool = False,
        may_make: bool = True,
    ) -> None:
        self._store = store
        self.base = base
        self._switches = switches
        self._now = now
        self._may_make = may_make
        self._tables = {t["id"]: t for t in base["tables"]}
        self._taker = Taker(
            cap=switches.number("text_cap"), typecast=typecast, linked=self._linked
        )
        self.happened = Happened()

    # Records ----------------------------------------------------------------------------

    def create(self, table: Json, given: Mapping[str, Any], record_id: str = "") -> Row:
        self._may_write(table)
        cells = self._cells(table, given)
        row = Row(
            table["id"],
            record_id or new_id("rec"),
            {},
            self._now,
            self._now,
            self._store.next_number(table["id"]),
        )
        self._store.keep(row)
        self.happened.created[row.table, row.id] = row.cells
        self._put(table, row, cells)
        return row

    def update(
        self, table: Json, record_id: str, given: Mapping[str, Any], *, replace: bool
    ) -> Row:
        self._may_write(table)
        row = self._store.row(table["id"], record_id)
        if row is None:
            raise self._gone(record_id)
        cells = self._cells(table, given)
        if replace:
            kept = {f["id"] for f in table["fields"]} & row.cells.keys()
            cells = dict.fromkeys(kept) | cells
        self._put(table, row, cells)
        return row

    def delete(self, table: Json, record_id: str) -> None:
        self._may_write(table)
        row = self._store.row(table["id"], record_id)
        if row is None:
            raise self._gone(record_id)
        for field in table["fields"]:
            if field["type"] == LINK and row.cells.get(field["id"]):
                self._mirror(field, row, row.cells[field["id"]], [])
        for other in self.base["tables"]:
            self._unlink_one_way(other, table, record_id)
        self._store.trash(row, self._now)
        self.happened.destroyed.append((table["id"], record_id))

    def _unlink_one_way(self, other: Json, table: Json, record_id: str) -> None:
        """Links without another end lose a record that is deleted, too."""
        fields = [
            f["id"]
            for f in other["fields"]
            if f["type"] == LINK
            and f["options"]["linkedTableId"] == table["id"]
            and "inverseLinkFieldId" not in f["options"]
        ]
        if not fields:
            return
        for row in self._store.rows(other["id"]):
            for name in fields:
                ids = row.cells.get(name) or []
                if record_id in ids:
                    self._set(row, name, [i for i in ids if i != record_id])

    # Cells ------------------------------------------------------------------------------

    def _may_write(self, table: Json) -> None:
        if table.get("sandboxLocked"):
            raise forbidden("You are not permitted to edit records in this table")

    def _gone(self, record_id: str) -> ApiError:
        if self._switches["gone_record"] == "NOT_FOUND":
            return not_found()
        named = f" {record_id}" if self._switches["names_bad_record"] else ""
        return invalid(f"Record{named} does not exist", "ROW_DOES_NOT_EXIST")

    def _cells(self, table: Json, given: Mapping[str, Any]) -> Cells:
        if not isinstance(given, dict):
            raise invalid('Could not find field "fields" in the request body')
        kind = str(self._switches["unknown_field"])
        found: Cells = {}
        for name, value in given.items():
            field = next(
                (f for f in table["fields"] if name in (f["id"], f["name"])), None
            )
            if field is None:
                raise invalid(f'Unknown field name: "{name}"', kind)
            found[field["id"]] = self._taker.take(field, value)
        return found

    def _put(self, table: Json, row: Row, cells: Cells) -> None:
        fields = {f["id"]: f for f in table["fields"]}
        for field_id, value in cells.items():
            field = fields[field_id]
            if field["type"] == LINK:
                before = row.cells.get(field_id) or []
                self._mirror(field, row, before, value or [])
            self._set(row, field_id, value)

    def _set(self, row: Row, field_id: str, value: Any, *, moves: bool = True) -> None:
        before = row.cells.get(field_id)
        if before == value or (is_blank(before) and is_blank(value)):
            return
        row.cells.pop(field_id, None)
        if not is_blank(value):
            row.cells[field_id] = value
        if moves:
            row.modified = self._now
        self._store.keep(row)
        key = row.table, row.id
        if key not in self.happened.created:
            log = self.happened.changed.setdefault(key, {})
            first = log[field_id][0] if field_id in log else before
            log[field_id] = (first, value)
        else:
            self.happened.created[key] = row.cells

    def _mirror(
        self, field: Json, row: Row, before: list[str], after: list[str]
    ) -> None:
        """Write the other end of a link."""
        inverse = field["options"].get("inverseLinkFieldId")
        if inverse is None:
            return
        target = field["options"]["linkedTableId"]
        moves = bool(self._switches["inverse_moves_date"])
        for far_id in dict.fromkeys([*before, *after]):
            far = row if far_id == row.id else self._store.row(target, far_id)
            if far is None:
                continue
            ids = list(far.cells.get(inverse) or [])
            if far_id in after and row.id not in ids:
                ids.append(row.id)
            elif far_id not in after and row.id in ids:
                ids.remove(row.id)
            self._set(far, inverse, ids, moves=moves)

    def _linked(self, table_id: str, value: Any) -> str:
        """The record that a value of a link cell means."""
        if value.startswith("rec") and self._store.row(table_id, value) is not None:
            return str(value)
        if value.startswith("rec") and len(value) == 17:
            named = f" {value}" if self._switches["names_bad_record"] else ""
            raise invalid(f"Record{named} does not exist", "ROW_DOES_NOT_EXIST")
        table = self._tables[table_id]
        show = Show(self._store, self.base)
        for row in self._store.rows(table_id):
            if show.primary(table, row) == value:
                return row.id
        if not self._may_make:
            raise forbidden("You are not permitted to create records in this table")
        return self.create(table, {table["primaryFieldId"]: value}).id
