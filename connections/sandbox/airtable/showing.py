"""Records as answers show them: computed cells, and what is left out.

Source: https://airtable.com/developers/web/api/field-model
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from connections.sandbox.airtable.formula import Row as Asked
from connections.sandbox.airtable.formula import compiled
from connections.sandbox.airtable.store import Row, Store, is_blank

Json = dict[str, Any]


def stamp(moment_ms: int) -> str:
    at = datetime.fromtimestamp(moment_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{moment_ms % 1000:03d}Z"


class Show:
    """Shows the records of one base. Args: base, its schema."""

    def __init__(self, store: Store, base: Json) -> None:
        self._store = store
        self.base = base
        self._tables = {t["id"]: t for t in base["tables"]}
        self._fields = {f["id"]: f for t in base["tables"] for f in t["fields"]}

    def asked(self, table: Json, row: Row) -> Asked:
        """A record as a formula sees it."""
        return Asked(
            row.id, row.created, row.modified, lambda f: self.cell(table, row, f)
        )

    def record(
        self, table: Json, row: Row, *, by_id: bool, only: Iterable[str] | None = None
    ) -> Json:
        """A record; blank cells are left out.

        Args: by_id, whether cells go by their field's id; only, ids of wanted fields.
        """
        wanted = None if only is None else set(only)
        cells: Json = {}
        for field in table["fields"]:
            if wanted is not None and field["id"] not in wanted:
                continue
            value = self.cell(table, row, field["id"])
            if not is_blank(value):
                cells[field["id"] if by_id else field["name"]] = value
        return {"id": row.id, "createdTime": stamp(row.created), "fields": cells}

    def cell(self, table: Json, row: Row, field_id: str) -> Any:
        field = next((f for f in table["fields"] if f["id"] == field_id), None)
        if field is None:
            return None
        computed = COMPUTERS.get(field["type"])
        if computed is not None:
            return computed(self, table, row, field)
        value = row.cells.get(field_id)
        if field["type"] in ("singleSelect", "multipleSelects"):
            return _still_options(field, value)
        return value

    def linked(self, row: Row, field_id: str) -> list[tuple[Json, Row]]:
        """The records that a link cell points to."""
        field = self._fields.get(field_id)
        if field is None:
            return []
        target = self._tables[field["options"]["linkedTableId"]]
        ids = row.cells.get(field_id) or []
        found = (self._store.row(target["id"], i) for i in ids)
        return [(target, r) for r in found if r is not None]

    def primary(self, table: Json, row: Row) -> str:
        value = self.cell(table, row, table["primaryFieldId"])
        return "" if value is None else str(value)

    # Computed cells ---------------------------------------------------------------------

    def formula(self, table: Json, row: Row, field: Json) -> Any:
        names = {f[key]: f["id"] for f in table["fields"] for key in ("name", "id")}
        options = field["options"]
        if options.get("isValid") is False:
            return {"error": "#ERROR!"}
        part = compiled(options["formula"], lambda name: names.get(name, ""))
        value = part(self.asked(table, row))
        if isinstance(value, float) and value != value:
            return {"specialValue": "NaN"}
        if isinstance(value, datetime):
            return stamp(int(value.timestamp() * 1000))
        return value

    def lookup(self, table: Json, row: Row, field: Json) -> Any:
        options = field["options"]
        values: list[Any] = []
        for target, far in self.linked(row, options["recordLinkFieldId"]):
            value = self.cell(target, far, options["fieldIdInLinkedTable"])
            values += value if isinstance(value, list) else [value]
        return [v for v in values if v is not None]

    def rollup(self, table: Json, row: Row, field: Json) -> Any:
        values = [
            v for v in self.lookup(table, row, field) if isinstance(v, int | float)
        ]
        return sum(values) if values else 0

    def count(self, table: Json, row: Row, field: Json) -> Any:
        return len(self.linked(row, field["options"]["recordLinkFieldId"]))


def _still_options(field: Json, value: Any) -> Any:
    """A cell without the options that somebody removed from the field."""
    known = {c["name"] for c in field["options"]["choices"]}
    if isinstance(value, list):
        return [v for v in value if v in known]
    return value if value in known else None


def _modified(show: Show, table: Json, row: Row, field: Json) -> Any:
    return None if field["options"].get("isValid") is False else stamp(row.modified)


COMPUTERS: dict[str, Callable[[Show, Json, Row, Json], Any]] = {
    "formula": Show.formula,
    "multipleLookupValues": Show.lookup,
    "rollup": Show.rollup,
    "count": Show.count,
    "createdTime": lambda show, table, row, field: stamp(row.created),
    "lastModifiedTime": _modified,
    "autoNumber": lambda show, table, row, field: row.number,
    "createdBy": lambda show, table, row, field: {"id": "usrSandboxAdmin01"},
    "lastModifiedBy": lambda show, table, row, field: {"id": "usrSandboxAdmin01"},
    "button": lambda show, table, row, field: {"label": "Open"},
    "aiText": lambda show, table, row, field: {"state": "empty", "isStale": True},
    "externalSyncSource": lambda show, table, row, field: None,
}
