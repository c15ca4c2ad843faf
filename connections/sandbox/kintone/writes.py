"""What a write does to a record: values, lookups with their copies, rows of subtables.

Source: https://kintone.dev/en/docs/kintone/rest-api/records/
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from connections.sandbox.kintone.domain import App, Domain, Record, shown
from connections.sandbox.kintone.errors import (
    ApiError,
    invalid,
    no_lookup,
    no_record,
    outdated,
)
from connections.sandbox.kintone.fields import Bad, blank, stored, taken

Json = dict[str, Any]
MAX_BATCH = 100
Sees = Callable[[App], bool]  # whether whoever writes may view an app


class Writer:
    """Writes records on behalf of one caller.

    Args: sees, whether the caller may view a lookup's source; user, who that is.
    """

    def __init__(self, domain: Domain, sees: Sees, user: str) -> None:
        self._domain, self._sees, self._user = domain, sees, user

    # One record

    def create(self, app: App, given: Any, path: str) -> Record:
        """Add a record; a field that is left out has its default."""
        now = self._domain.now()
        values = {
            code: deepcopy(definition.get("defaultValue", blank(definition)))
            for code, definition in stored(app.properties)
        }
        values = {
            c: taken(app.properties[c], v)
            if app.properties[c]["type"] != "SUBTABLE"
            else v
            for c, v in values.items()
        }
        record = Record(app.last_id + 1, values, now, now)
        record.creator = record.modifier = self._user
        self._fill(app, record, given or {}, path)
        self._domain.put(app, record)
        return record

    def update(
        self,
        app: App,
        entry: Json,
        path: str,
        *,
        upsert: bool = False,
    ) -> tuple[Record, str]:
        """Change a record that an entry names by id or by a unique field.

        Returns: the record and what was done: UPDATE, or INSERT for an upsert of none.
        """
        found = self._named(app, entry, path)
        if found is None:
            if not upsert:
                key = entry.get("updateKey") or {}
                raise no_record(entry.get("id") or key.get("value"))
            key = entry["updateKey"]
            fields = dict(entry.get("record") or {})
            fields[key["field"]] = {"value": key["value"]}
            return self.create(app, fields, path), "INSERT"
        self._check_revision(found, entry.get("revision"))
        record = deepcopy(found)
        record.revision += 1
        record.updated, record.modifier = self._domain.now(), self._user
        self._fill(app, record, entry.get("record") or {}, path)
        self._domain.put(app, record)
        return record, "UPDATE"

    def delete(self, app: App, number: Any, revision: Any = None) -> None:
        found = app.records.get(int(number)) if str(number).isdigit() else None
        if found is None:
            raise no_record(number)
        self._check_revision(found, revision)
        self._domain.remove(app, found)

    @staticmethod
    def _check_revision(record: Record, wanted: Any) -> None:
        if wanted not in (None, "", -1, "-1") and str(wanted) != str(record.revision):
            raise outdated()

    def _named(self, app: App, entry: Json, path: str) -> Record | None:
        if entry.get("id") not in (None, ""):
            text = str(entry["id"])
            found = app.records.get(int(text)) if text.isdigit() else None
            if found is None:
                raise no_record(text)
            return found
        key = entry.get("updateKey") or {}
        code = str(key.get("field", ""))
        definition = app.properties.get(code, {})
        if definition.get("type") not in ("SINGLE_LINE_TEXT", "NUMBER") or (
            not definition.get("unique")
        ):
            raise invalid(f"{path}updateKey.field", "The field cannot be a key.")
        return app.find(code, str(key.get("value", "")))

    # Values

    def _fill(self, app: App, record: Record, given: Json, path: str) -> None:
        """Put what was given into a record; a code there is not is not looked at."""
        copied = {
            mapping["field"]
            for definition in app.properties.values()
            for mapping in (definition.get("lookup") or {}).get("fieldMappings", [])
        }
        errors: dict[str, list[str]] = {}
        lookups: list[tuple[str, Any]] = []
        for code, definition in stored(app.properties):
            if code not in given or code in copied:
                continue
            value = (given[code] or {}).get("value")
            try:
                if definition["type"] == "SUBTABLE":
                    record.values[code] = self._rows(app, definition, record, value)
                else:
                    record.values[code] = taken(definition, value)
            except Bad as bad:
                errors.setdefault(f"{path}{code}.value", []).append(str(bad))
                continue
            if definition.get("lookup"):
                lookups.append((code, record.values[code]))
        self._check(app, record, path, errors)
        if errors:
            raise ApiError(400, "CB_VA01", "Missing or invalid input.", errors)
        for code, value in lookups:
            definition = app.properties[code]
            record.values |= self._copies(code, definition, value, app.properties)

    def _check(
        self, app: App, record: Record, path: str, errors: dict[str, list[str]]
    ) -> None:
        """Required and unique, of every field: an old record may break either too."""
        for code, definition in stored(app.properties):
            value = record.values.get(code)
            at = f"{path}{code}.value"
            if definition.get("required") and value in (None, "", []):
                errors.setdefault(at, []).append("Required.")
            if definition.get("unique") and value:
                holder = app.holders.get((code, str(value)))
                if holder is not None and holder != record.id:
                    text = "This value already exists in another record."
                    errors.setdefault(at, []).append(text)

    def _copies(self, code: str, definition: Json, value: Any, fields: Json) -> Json:
        """What a lookup copies from the record with a key; nothing for no key."""
        lookup = definition["lookup"]
        mappings = lookup["fieldMappings"]
        if value in (None, ""):
            return {m["field"]: blank(fields[m["field"]]) for m in mappings}
        source = self._domain.apps.get(int(lookup["relatedApp"]["app"]))
        if source is None or not self._sees(source):
            raise no_lookup(code, value)
        found = source.find(lookup["relatedKeyField"], str(value))
        if found is None:
            raise no_lookup(code, value)
        there = shown(source, found)
        return {m["field"]: there[m["relatedField"]]["value"] for m in mappings}

    def _rows(self, app: App, definition: Json, record: Record, given: Any) -> Any:
        """A subtable's rows: those that are named are merged, those left out deleted."""
        before = {row["id"]: row for row in record.values.get(definition["code"]) or []}
        inner = definition["fields"]
        found = []
        for row in given or []:
            cells = row.get("value") or {}
            known = before.get(str(row.get("id")))
            if known is None:
                app.last_row += 1
                known = {
                    "id": str(app.last_row),
                    "value": {c: blank(f) for c, f in inner.items()},
                }
            values = dict(known["value"])
            for code, cell in cells.items():
                if code not in inner:
                    continue
                values[code] = taken(inner[code], cell.get("value"), inside=True)
                if inner[code].get("lookup"):
                    values |= self._copies(code, inner[code], values[code], inner)
            found.append({"id": known["id"], "value": values})
        return found
