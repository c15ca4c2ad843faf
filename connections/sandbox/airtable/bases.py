"""Bases, their tables and fields, as the metadata API has them.

Source: https://airtable.com/developers/web/api/get-base-schema
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connections.sandbox.airtable.errors import bad_cell, invalid, unknown_model
from connections.sandbox.airtable.store import Store, new_id

Json = dict[str, Any]
LINK = "multipleRecordLinks"
COMPUTED = frozenset(
    {
        "formula",
        "rollup",
        "multipleLookupValues",
        "count",
        "createdTime",
        "lastModifiedTime",
        "createdBy",
        "lastModifiedBy",
        "autoNumber",
        "button",
        "externalSyncSource",
        "aiText",
    }
)
PLAIN = frozenset(
    {
        "singleLineText",
        "multilineText",
        "richText",
        "email",
        "url",
        "phoneNumber",
        "number",
        "currency",
        "percent",
        "duration",
        "rating",
        "checkbox",
        "date",
        "dateTime",
        "singleSelect",
        "multipleSelects",
        "singleCollaborator",
        "multipleCollaborators",
        "multipleAttachments",
        "barcode",
        LINK,
    }
)
TEXTS = frozenset(
    {"singleLineText", "multilineText", "richText", "email", "url", "phoneNumber"}
)
USUAL: dict[str, Json] = {
    "number": {"precision": 0},
    "currency": {"precision": 2, "symbol": "$"},
    "percent": {"precision": 0},
    "rating": {"max": 5, "icon": "star", "color": "yellowBright"},
    "checkbox": {"icon": "check", "color": "greenBright"},
    "duration": {"durationFormat": "h:mm"},
    "date": {"dateFormat": {"name": "iso", "format": "YYYY-MM-DD"}},
    "dateTime": {
        "dateFormat": {"name": "iso", "format": "YYYY-MM-DD"},
        "timeFormat": {"name": "24hour", "format": "HH:mm"},
        "timeZone": "utc",
    },
}


class Bases:
    """The schema of every base."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, base_id: str) -> Json:
        found = self._store.base(base_id)
        if found is None:
            raise unknown_model()
        return found

    def keep(self, base: Json) -> None:
        self._store.keep_base(base)

    def listed(self) -> Iterator[Json]:
        for (base_id,) in self._store.all("SELECT id FROM base ORDER BY id"):
            yield self.get(base_id)

    # Making -----------------------------------------------------------------------------

    def make_table(self, base_id: str, name: str, fields: list[Json]) -> Json:
        """Create a table; its first field is the primary one."""
        base = self.get(base_id)
        if not fields:
            raise invalid("A table needs at least one field.")
        if any(t["name"].casefold() == name.casefold() for t in base["tables"]):
            raise invalid(f"Duplicate table name: {name}", "DUPLICATE_TABLE_NAME")
        table: Json = {
            "id": new_id("tbl"),
            "name": name,
            "primaryFieldId": "",
            "fields": [],
            "views": [{"id": new_id("viw"), "name": "Grid view", "type": "grid"}],
        }
        base["tables"].append(table)
        self.keep(base)
        for field in fields:
            self.make_field(base_id, table["id"], field)
        return self.table(self.get(base_id), table["id"])

    def make_field(
        self, base_id: str, table_id: str, given: Json, *, by_person: bool = False
    ) -> Json:
        """Create a field; a link's other end comes by itself.

        Args: by_person, who may also make what the API may not, such as formulas.
        """
        base = self.get(base_id)
        table = self.table(base, table_id)
        kind, name = given.get("type"), given.get("name")
        if not isinstance(name, str) or not name.strip():
            raise invalid("A field needs a name.")
        if any(f["name"].casefold() == name.casefold() for f in table["fields"]):
            text = f"Duplicate field name: {name}"
            raise invalid(text, "DUPLICATE_OR_EMPTY_FIELD_NAME")
        if kind not in PLAIN and not (by_person and kind in COMPUTED | {"manualSort"}):
            text = f"Creating {kind} fields is not supported at this time"
            raise invalid(text, "UNSUPPORTED_FIELD_TYPE_FOR_CREATE")
        field: Json = {"id": new_id("fld"), "name": name, "type": kind}
        if given.get("description"):
            field["description"] = given["description"]
        options = USUAL.get(kind, {}) | dict(given.get("options") or {})
        if "choices" in options:
            options["choices"] = [choice(c["name"]) for c in options["choices"]]
        if kind == LINK:
            options = self._link(base, table, field, options, by_person)
        if options:
            field["options"] = options
        table["fields"].append(field)
        table["primaryFieldId"] = table["primaryFieldId"] or field["id"]
        self.keep(base)
        return field

    def _link(
        self, base: Json, table: Json, field: Json, given: Json, by_person: bool
    ) -> Json:
        target = self.table(base, str(given.get("linkedTableId")))
        options: Json = {
            "linkedTableId": target["id"],
            "isReversed": False,
            "prefersSingleRecordLink": bool(
                by_person and given.get("prefersSingleRecordLink")
            ),
        }
        if target is not table and not given.get("oneWay"):
            back: Json = {
                "id": new_id("fld"),
                "name": _free_name(target, given.get("inverseName") or table["name"]),
                "type": LINK,
                "options": {
                    "linkedTableId": table["id"],
                    "isReversed": False,
                    "prefersSingleRecordLink": False,
                    "inverseLinkFieldId": field["id"],
                },
            }
            target["fields"].append(back)
            options["inverseLinkFieldId"] = back["id"]
        return options

    # Changing, as people do --------------------------------------------------------------

    def rename(self, base_id: str, table_id: str, name: str, to: str) -> None:
        base = self.get(base_id)
        self.field(self.table(base, table_id), name)["name"] = to
        self.keep(base)

    def drop_field(self, base_id: str, table_id: str, name: str) -> None:
        base = self.get(base_id)
        table = self.table(base, table_id)
        lost = self.field(table, name)
        inverse = lost.get("options", {}).get("inverseLinkFieldId")
        gone = {lost["id"], inverse}
        for one in base["tables"]:
            one["fields"] = [f for f in one["fields"] if f["id"] not in gone]
        self.keep(base)

    def drop_table(self, base_id: str, table_id: str) -> None:
        base = self.get(base_id)
        lost = self.table(base, table_id)
        base["tables"] = [t for t in base["tables"] if t is not lost]
        for table in base["tables"]:
            table["fields"] = [
                f
                for f in table["fields"]
                if f.get("options", {}).get("linkedTableId") != lost["id"]
            ]
        self.keep(base)

    def drop_choice(self, base_id: str, table_id: str, name: str, option: str) -> None:
        base = self.get(base_id)
        options = self.field(self.table(base, table_id), name)["options"]
        options["choices"] = [c for c in options["choices"] if c["name"] != option]
        self.keep(base)

    # Finding ----------------------------------------------------------------------------

    @staticmethod
    def table(base: Json, wanted: str) -> Json:
        """A table by its id or name. Raises: ApiError 403."""
        for table in base["tables"]:
            if wanted in (table["id"], table["name"]):
                return dict_of(table)
        raise unknown_model()

    @staticmethod
    def field(table: Json, wanted: str, kind: str = "UNKNOWN_FIELD_NAME") -> Json:
        """A field by its id or name. Raises: ApiError 422."""
        for field in table["fields"]:
            if wanted in (field["id"], field["name"]):
                return dict_of(field)
        raise invalid(f'Unknown field name: "{wanted}"', kind)


def dict_of(value: Any) -> Json:
    assert isinstance(value, dict)
    return value


def choice(name: str) -> Json:
    return {"id": new_id("sel"), "name": name, "color": "blueLight2"}


def _free_name(table: Json, name: str) -> str:
    taken = {f["name"].casefold() for f in table["fields"]}
    found, number = name, 1
    while found.casefold() in taken:
        number += 1
        found = f"{name} {number}"
    return found


__all__ = ["COMPUTED", "LINK", "Bases", "bad_cell", "choice", "dict_of"]
