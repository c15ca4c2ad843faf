"""The record endpoints.

Source: https://airtable.com/developers/web/api/list-records
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connections.sandbox.airtable.bases import COMPUTED
from connections.sandbox.airtable.errors import ApiError, invalid, not_found
from connections.sandbox.airtable.formula import compiled, truthy
from connections.sandbox.airtable.showing import Show
from connections.sandbox.airtable.store import Row, Store, new_id
from connections.sandbox.airtable.writing import Writer
from connections.sandbox.hubspot.switches import Switches

Json = dict[str, Any]
PAGE, BATCH, MERGE_FIELDS = 100, 10, 3
ITERATOR_S = 300.0  # how long a listing may rest between two pages
ITERATORS = 200
BY_IDS = re.compile(r"OR\((RECORD_ID\(\)='rec\w+',?)+\)")
MERGEABLE = frozenset(
    {
        "number",
        "singleLineText",
        "multilineText",
        "singleSelect",
        "multipleSelects",
        "date",
    }
)


@dataclass
class Listing:
    """A listing under way: its order was fixed with its first page."""

    table: str
    ids: list[str]
    at: float


class Listings:
    """Listings under way; they are lost when the fake ends."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._held: dict[str, Listing] = {}

    def begin(self, table: str, ids: list[str]) -> str:
        while len(self._held) >= ITERATORS:
            self._held.pop(next(iter(self._held)))
        name = new_id("itr")
        self._held[name] = Listing(table, ids, self._now())
        return name

    def find(self, name: str, table: str) -> Listing:
        found = self._held.get(name)
        if found is None or self._now() - found.at > ITERATOR_S:
            self._held.pop(name, None)
            text = "The iterator is not available: list the records from the start."
            raise invalid(text, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")
        if found.table != table:
            raise invalid("Invalid offset value", "INVALID_OFFSET_VALUE")
        found.at = self._now()
        return found

    def forget(self) -> None:
        self._held.clear()


class Reader:
    """Answers reads of one base."""

    def __init__(
        self, store: Store, base: Json, switches: Switches, listings: Listings
    ) -> None:
        self._store = store
        self._base = base
        self._switches = switches
        self._listings = listings
        self._show = Show(store, base)

    def listed(self, table: Json, asked: Json) -> Json:
        size = asked.get("pageSize", PAGE)
        if not isinstance(size, int) or not 1 <= size <= PAGE:
            raise invalid("pageSize must be between 1 and 100.", "INVALID_PAGE_SIZE")
        by_id = asked.get("returnFieldsByFieldId") in (True, "true", "1")
        names = asked.get("fields")
        only = None if names is None else [self._field(table, n) for n in names]
        name, _, start = str(asked.get("offset") or "").partition("/")
        if name:
            listing = self._listings.find(name, table["id"])
            if not start.isdigit():
                raise invalid("Invalid offset value", "INVALID_OFFSET_VALUE")
            at = int(start)
        else:
            ids = self._matching(table, asked)
            listing, at = Listing(table["id"], ids, 0), 0
            if len(ids) > size:
                name = self._listings.begin(table["id"], ids)
        shown: list[Json] = []
        while at < len(listing.ids) and len(shown) < size:
            row = self._store.row(table["id"], listing.ids[at])
            at += 1
            if row is not None:
                shown.append(self._show.record(table, row, by_id=by_id, only=only))
        body: Json = {"records": shown}
        if at < len(listing.ids):
            body["offset"] = f"{name}/{at}"
        return body

    def _matching(self, table: Json, asked: Json) -> list[str]:
        formula = str(asked.get("filterByFormula") or "")
        if BY_IDS.fullmatch(formula):  # the same, without looking at every record
            ids = dict.fromkeys(re.findall(r"rec\w+", formula))
            found = (self._store.row(table["id"], i) for i in ids)
            rows = sorted((r for r in found if r is not None), key=lambda r: r.id)
        else:
            rows = list(self._store.rows(table["id"]))
        if formula and not BY_IDS.fullmatch(formula):
            part = compiled(formula, lambda n: self._field(table, n, formula=True))
            rows = [r for r in rows if truthy(part(self._show.asked(table, r)))]
        for order in reversed(asked.get("sort") or []):
            field_id = self._field(table, order.get("field"))
            rows.sort(
                key=lambda r: _sortable(self._show.cell(table, r, field_id)),
                reverse=order.get("direction") == "desc",
            )
        most = asked.get("maxRecords")
        return [r.id for r in rows][: int(most) if most else None]

    def _field(self, table: Json, name: Any, *, formula: bool = False) -> str:
        for field in table["fields"]:
            if name in (field["id"], field["name"]):
                return str(field["id"])
        if formula:
            text = f"The formula for filtering records is invalid: Unknown field names: {name}"
            raise invalid(text, "INVALID_FILTER_BY_FORMULA")
        kind = str(self._switches["unknown_field"])
        raise invalid(f'Unknown field name: "{name}"', kind)

    def one(self, table: Json, record_id: str, asked: Json) -> Json:
        by_id = asked.get("returnFieldsByFieldId") in (True, "true", "1")
        row = self._store.row(table["id"], record_id)
        if row is None and self._switches["other_tables_record"] == "shown":
            tables = {t["id"]: t for t in self._base["tables"]}
            row = self._store.elsewhere(tables, record_id)
            table = tables[row.table] if row else table
        if row is None:
            raise not_found()
        return self._show.record(table, row, by_id=by_id)


def _sortable(value: Any) -> tuple[int, Any]:
    if isinstance(value, bool | int | float):
        return 1, float(value)
    return (0, 0.0) if value is None else (2, str(value))


# Writes ---------------------------------------------------------------------------------


class Batch:
    """Answers writes to one table."""

    def __init__(
        self,
        store: Store,
        show: Show,
        writer: Writer,
        switches: Switches,
    ) -> None:
        self._store = store
        self._show = show
        self._writer = writer
        self._switches = switches
        self.keeps = False  # what is done so far, even if the request fails

    def create(self, table: Json, body: Json) -> Json:
        by_id = bool(body.get("returnFieldsByFieldId"))
        if "records" not in body:
            if "fields" not in body:
                raise invalid("Could not find field fields in the request body.")
            row = self._writer.create(table, body["fields"])
            return self._show.record(table, row, by_id=by_id)
        rows: list[Row] = []
        for entry in inputs(body):
            try:
                rows.append(self._writer.create(table, entry.get("fields", {})))
            except ApiError:
                self._before()
                raise
        return self._answer(table, rows, by_id)

    def update(self, table: Json, body: Json, *, replace: bool) -> Json:
        by_id = bool(body.get("returnFieldsByFieldId"))
        upsert = body.get("performUpsert")
        keys = self._merge_fields(table, upsert) if upsert is not None else []
        rows: list[Row] = []
        made: list[str] = []
        named = [entry["id"] for entry in inputs(body) if "id" in entry]
        if any(named.count(record_id) > 1 for record_id in named):
            raise invalid(
                "You cannot update the same record multiple times in a single request.",
                "INVALID_RECORDS",
            )
        for entry in inputs(body):
            try:
                record_id = entry.get("id")
                if record_id is None and upsert is not None:
                    record_id = self._merge(table, keys, entry.get("fields", {}))
                if record_id is None and upsert is not None:
                    rows.append(self._writer.create(table, entry.get("fields", {})))
                    made.append(rows[-1].id)
                    continue
                if not isinstance(record_id, str):
                    raise invalid("A record id is missing.", "INVALID_RECORDS")
                rows.append(
                    self._writer.update(
                        table, record_id, entry.get("fields", {}), replace=replace
                    )
                )
            except ApiError:
                self._before()
                raise
        answer = self._answer(table, rows, by_id)
        if upsert is not None:
            answer["createdRecords"] = made
            answer["updatedRecords"] = [r.id for r in rows if r.id not in made]
        return answer

    def update_one(
        self, table: Json, record_id: str, body: Json, *, replace: bool
    ) -> Json:
        by_id = bool(body.get("returnFieldsByFieldId"))
        fields = body.get("fields", {})
        row = self._writer.update(table, record_id, fields, replace=replace)
        return self._show.record(table, row, by_id=by_id)

    def delete(self, table: Json, ids: list[str]) -> Json:
        if not 1 <= len(ids) <= BATCH:
            raise invalid(
                "You must provide between 1 and 10 records.", "INVALID_RECORDS"
            )
        for record_id in ids:
            try:
                self._writer.delete(table, record_id)
            except ApiError:
                self._before()
                raise
        return {"records": [{"id": i, "deleted": True} for i in ids]}

    def _before(self) -> None:
        if self._switches["failed_batch"] == "before":
            self.keeps = True

    def _answer(self, table: Json, rows: list[Row], by_id: bool) -> Json:
        fresh = (self._store.row(table["id"], r.id) or r for r in rows)
        return {"records": [self._show.record(table, r, by_id=by_id) for r in fresh]}

    def _merge_fields(self, table: Json, upsert: Any) -> list[Json]:
        names = upsert.get("fieldsToMergeOn") if isinstance(upsert, dict) else None
        if not isinstance(names, list) or not 1 <= len(names) <= MERGE_FIELDS:
            raise invalid("fieldsToMergeOn must name 1 to 3 fields.")
        fields = []
        for name in names:
            field = next(
                (f for f in table["fields"] if name in (f["id"], f["name"])), None
            )
            if field is None:
                kind = str(self._switches["unknown_field"])
                raise invalid(f'Unknown field name: "{name}"', kind)
            if field["type"] in COMPUTED or field["type"] not in MERGEABLE:
                raise invalid(f'Field "{name}" cannot be merged on.')
            fields.append(field)
        return fields

    def _merge(self, table: Json, keys: list[Json], given: Json) -> str | None:
        wanted = []
        for field in keys:
            name = next((n for n in (field["id"], field["name"]) if n in given), None)
            if name is None:
                raise invalid(f'Every record needs the merge field "{field["name"]}".')
            wanted.append((field["id"], given[name]))
        found = [
            row.id
            for row in self._store.rows(table["id"])
            if all(row.cells.get(f) == v for f, v in wanted)
        ]
        if len(found) > 1:
            raise invalid("Several records match the merge fields.")
        return found[0] if found else None


def inputs(body: Json) -> list[Json]:
    """The records of a write. Raises: ApiError 422."""
    found = body.get("records")
    if not isinstance(found, list) or not all(isinstance(r, dict) for r in found):
        raise invalid("Could not find a list of records in the request body.")
    if not 1 <= len(found) <= BATCH:
        raise invalid("You must provide between 1 and 10 records.", "INVALID_RECORDS")
    return found
