"""What is to be written, as Kintone takes it: values, keys of lookups, rows of subtables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.connectors.kintone.api import PAGE_SIZE, Api, Json, any_of
from connections.connectors.kintone.api import text as as_text
from connections.connectors.kintone.forms import Form
from connections.connectors.kintone.keys import KeyIndex, cells_of
from connections.connectors.kintone.values import Refused, check, key_text, to_wire
from connections.connectors.parts import chunks
from connections.records import (
    Canon,
    Draft,
    ObjectType,
    Patch,
    Reference,
    ReferenceField,
)

Written = dict[str, dict[str, Any]]  # {"value": …} by field code


class Drafting:
    """Turns drafts and patches of one app into what is sent.

    Args: form, the app's form as it is now: a field there is not any more would be left
        out by Kintone without a word.
    """

    def __init__(self, api: Api, obj: ObjectType, form: Form) -> None:
        self._api, self._obj, self._form = api, obj, form
        self._index = KeyIndex(api)
        self._keys: dict[tuple[str, str], str] = {}  # by reference field and id
        self._rows: dict[str, Json] = {}  # records whose subtables are written

    def prepare(self, requests: Sequence[Draft | Patch]) -> None:
        """Look up keys of targets, and the rows that stand in subtables: 500 a call."""
        wanted: dict[str, set[str]] = {}
        for request in requests:
            for name, reference in request.references.items():
                wanted.setdefault(name, set()).update(reference.ids)
        for name, ids in wanted.items():
            field = self.reference(name)
            (key,) = field.target_columns
            for record_id, held in self._index.keys_of(field.target, key, ids).items():
                self._keys[name, record_id] = held
        tables = {
            name: self.reference(name) for name in wanted if self.reference(name).many
        }
        patched = [
            r.id
            for r in requests
            if isinstance(r, Patch) and tables.keys() & r.references
        ]
        if tables and patched:
            self._read_rows(list(dict.fromkeys(patched)), list(tables.values()))

    def _read_rows(self, ids: Sequence[str], tables: Sequence[ReferenceField]) -> None:
        names = ["$id", "$revision", *(t.columns[0] for t in tables)]
        for some in chunks([i for i in ids if i.isdecimal()], PAGE_SIZE):
            listed, _, _ = self._api.records(
                self._obj.id,
                f"{any_of('$id', some)} limit {PAGE_SIZE}",
                names,
                f"read rows of {self._obj.name}",
            )
            self._rows |= {as_text(row["$id"]["value"]): row for row in listed}
            for table in tables:
                cells = [c for row in listed for c in cells_of(table, row) or ()]
                held = {k for k in map(key_text, cells) if k}
                self._index.ids(table.target, table.target_columns[0], held)

    def reference(self, name: str) -> ReferenceField:
        """Raises: SchemaError for a lookup that the form has no more."""
        field = self._obj.reference(name)
        definition = self._form.column(name)
        if field is None or definition is None or "lookup" not in definition:
            raise SchemaError(
                f"{self._obj.name} has no lookup {name} (any more).",
                code=Code.FIELD_MISSING,
            )
        return field

    # One record ------------------------------------------------------------------------

    def revision_of(self, record_id: str) -> str:
        """The revision of a record whose rows were read; "" for any other."""
        row = self._rows.get(record_id)
        return as_text(row["$revision"]["value"]) if row is not None else ""

    def written(
        self,
        values: Mapping[str, Canon],
        references: Mapping[str, Reference],
        *,
        record_id: str = "",
    ) -> Written:
        """A record's part of a request. Args: record_id, "" for a new one.

        Raises: Refused.
        """
        found: Written = {}
        for name, value in values.items():
            if not record_id and value in (None, []):
                continue  # a new record keeps the form's default
            definition = self._form.properties.get(name)
            if definition is None:
                raise Refused(
                    Code.FIELD_MISSING,
                    f"The app {self._obj.name} has no field {name} (any more).",
                    name,
                )
            known = self._obj.field(name)
            if known is not None and known.read_only:
                raise Refused(Code.FIELD_READ_ONLY, known.read_only_reason, name)
            check(name, value, definition)
            found[name] = {"value": to_wire(value, definition)}
        for name, reference in references.items():
            field = self.reference(name)
            keys = [self._key(field, target) for target in reference.ids]
            if field.many:
                rows = self._merged(field, keys, record_id)
                found[field.columns[0]] = {"value": rows}
            else:
                found[name] = {"value": self._only(field, keys, record_id)}
        return found

    def _key(self, field: ReferenceField, target: str) -> str:
        key = self._keys.get((field.name, target), "")
        if not key:
            (name,) = field.target_columns
            raise Refused(
                Code.TARGET_NOT_MATCHED,
                f"Record {target} of app {field.target} has no {name}, by which "
                f"{field.name} could look it up.",
                field.name,
            )
        return key

    def _only(self, field: ReferenceField, keys: Sequence[str], record_id: str) -> str:
        if len(keys) > 1:
            raise Refused(
                Code.LIMIT_REACHED,
                f"{field.name} looks up one record, not {len(keys)}.",
                field.name,
            )
        if not keys and record_id and not field.nullable:
            raise Refused(
                Code.REQUIRED_MISSING, f"{field.name} must have a value.", field.name
            )
        return keys[0] if keys else ""

    def _merged(
        self, field: ReferenceField, keys: Sequence[str], record_id: str
    ) -> list[Json]:
        """The complete set of rows: those of other links go, what is unknown stays.

        A row keeps its id, and so its other columns.
        """
        table, column = field.columns
        row = self._rows.get(record_id)
        lines = (row or {}).get(table, {}).get("value") or []
        if record_id and row is None:
            raise Refused(Code.RECORD_GONE, f"There is no record {record_id}.", "")
        ids = self._index.ids(field.target, field.target_columns[0], ())
        kind = {"type": str((self._form.column(field.name) or {}).get("type"))}
        wanted = {key_text({**kind, "value": key}): key for key in keys}
        kept, there = [], set()
        for line in lines:
            cell = (line.get("value") or {}).get(column)
            key = key_text(cell)
            if key in wanted or not key or not ids.get(key):
                there.add(key)
                kept.append({"id": line["id"], "value": {}})
        new = [key for plain, key in wanted.items() if plain not in there]
        return [*kept, *({"value": {column: {"value": key}}} for key in new)]


def names_of(requests: Iterable[Draft | Patch]) -> list[str]:
    """The fields that some requests write."""
    return list(dict.fromkeys(name for r in requests for name in r.values))
