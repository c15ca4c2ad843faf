"""Take lookups along when we change the key that they hold.

Kintone leaves them as they were: a link would be lost because the key of its record was
corrected. What a user changes in Kintone is not ours to mend.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from connections.connectors.base import ConnectorError
from connections.connectors.http import Safety
from connections.connectors.kintone.api import PAGE_SIZE, Api, Json, any_of, text
from connections.connectors.kintone.batches import Kind, Row, send
from connections.connectors.kintone.forms import Form, object_of
from connections.connectors.kintone.judging import Judging
from connections.connectors.kintone.keys import KeyIndex
from connections.connectors.kintone.schema import SchemaReader
from connections.connectors.kintone.values import key_text
from connections.connectors.parts import chunks
from connections.records import ObjectType, Outcome, Patch, ReferenceField

logger = logging.getLogger(__name__)
KEYS_AT_ONCE = 100
Moves = Mapping[str, str]  # new keys by old ones


class KeyKeeper:
    """Knows which lookups hold which keys; each app's form is read once."""

    def __init__(self, api: Api, schema: SchemaReader) -> None:
        self._api, self._schema = api, schema
        self._forms: list[Form] | None = None

    def held(
        self, obj: ObjectType, patches: Sequence[Patch]
    ) -> dict[str, dict[str, str]]:
        """The keys that some patches are about to change, by field and record id."""
        found: dict[str, dict[str, str]] = {}
        for name in {n for p in patches for n in p.values}:
            field = obj.field(name)
            if field is None or not field.unique or not self._lookups(obj, name):
                continue
            ids = [p.id for p in patches if name in p.values]
            found[name] = KeyIndex(self._api).keys_of(obj.id, name, ids)
        return found

    def keep(
        self,
        obj: ObjectType,
        held: Mapping[str, Mapping[str, str]],
        patches: Sequence[Patch],
        outcomes: Sequence[Outcome],
    ) -> None:
        """Write the new keys where the old ones stand, once the records have them."""
        for name, keys in held.items():
            moves: dict[str, str] = {}
            for patch, outcome in zip(patches, outcomes, strict=True):
                old, new = keys.get(patch.id), patch.values.get(name)
                if outcome.ok and old and isinstance(new, str) and new != old:
                    moves[old] = new
            for form, field in self._lookups(obj, name) if moves else ():
                try:
                    self._rewrite(form, field, moves)
                except ConnectorError as exc:
                    logger.warning(
                        "Lookups %s of %s keep old keys: %s", field.name, form.name, exc
                    )

    def _lookups(self, obj: ObjectType, name: str) -> list[tuple[Form, ReferenceField]]:
        if self._forms is None:
            self._forms = self._schema.forms()
        return [
            (form, field)
            for form in self._forms
            for field in object_of(form).references
            if field.target == obj.id and field.target_columns == (name,)
        ]

    def _rewrite(self, form: Form, field: ReferenceField, moves: Moves) -> None:
        kind = Kind(
            "PUT",
            Safety.REPEATABLE,
            f"refresh {field.name} of {form.name}",
            lambda some: {
                "app": form.app,
                "records": [
                    {"id": r.id, "revision": r.revision, "record": r.body} for r in some
                ],
            },
            lambda body, some: [Outcome(True) for _ in some],
        )
        rows = list(self._rows(form, field, moves))
        judge = Judging(self._api, object_of(form)).judge
        left = [o for o in send(self._api, kind, rows, judge).values() if not o.ok]
        if left:
            logger.warning(
                "%s lookups %s of %s keep old keys: %s",
                *(len(left), field.name, form.name, left[0].message),
            )

    def _rows(self, form: Form, field: ReferenceField, moves: Moves) -> Iterator[Row]:
        code, at = field.columns[-1], 0
        for some in chunks(list(moves), KEYS_AT_ONCE):
            last = "0"
            while True:
                listed, _, _ = self._api.records(
                    form.app,
                    f"{any_of(code, some)} and $id > {last} "
                    f"order by $id asc limit {PAGE_SIZE}",
                    ("$id", "$revision", field.columns[0]),
                    f"read {form.name}",
                )
                for row in listed:
                    last = text(row["$id"]["value"])
                    revision = text(row["$revision"]["value"])
                    body = _body(field, row, moves)
                    yield Row(at, body, last, revision=revision)
                    at += 1
                if len(listed) < PAGE_SIZE:
                    break


def _body(field: ReferenceField, row: Json, moves: Moves) -> Json:
    """What a record is to hold: its lookup's new key, or its rows with theirs."""
    cell = row[field.columns[0]]
    if not field.many:
        return {field.name: {"value": moves[key_text(cell)]}}
    column, lines = field.columns[1], []
    for line in cell.get("value") or ():
        key = key_text(line["value"].get(column))
        value = {column: {"value": moves[key]}} if key in moves else {}
        lines.append({"id": line["id"], "value": value})
    return {field.columns[0]: {"value": lines}}
