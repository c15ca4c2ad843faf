"""Which records a refused request was refused for.

Kintone names some of them by their place, and others not at all. What a message says is for
people: the field's definition, the value that was sent and a look at what there is tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connections.catalogue import Code
from connections.connectors.kintone.api import PAGE_SIZE, Api, Json, any_of, text
from connections.connectors.kintone.batches import Refusal, Row, refused
from connections.connectors.kintone.errors import (
    INVALID,
    NO_RECORD,
    NO_TARGET,
    OUTDATED,
)
from connections.connectors.kintone.keys import KeyIndex
from connections.connectors.kintone.reading import LOOKED_UP
from connections.connectors.kintone.revisions import ANY
from connections.connectors.kintone.values import key_text
from connections.connectors.parts import chunks
from connections.records import ObjectType, Outcome, Record

Outcomes = dict[int, Outcome]
GONE = "There is no record {} any more."
MOVED = "Somebody changed the record in Kintone meanwhile."


class Judging:
    """Judges the refusals of one app's writes."""

    def __init__(self, api: Api, obj: ObjectType) -> None:
        self._api, self._obj = api, obj

    def judge(self, some: Sequence[Row], refusal: Refusal) -> Mapping[int, Outcome]:
        """The outcomes of the rows that are at fault, as far as they can be told."""
        if refusal.code == INVALID:
            return self._invalid(some, refusal)
        if refusal.code == NO_RECORD:
            return self._gone(some, refusal)
        if refusal.code == OUTDATED:
            return self._outdated(some, refusal)
        if refusal.code == NO_TARGET:
            return self._without_target(some, refusal)
        return {}

    def _invalid(self, some: Sequence[Row], refusal: Refusal) -> Outcomes:
        found: Outcomes = {}
        clashes: set[str] = set()
        for place, told in refusal.faults.items():
            name, message = next(iter(told.items()))
            code = self._code(some[place], name)
            if code == Code.DUPLICATE_KEY:
                clashes.add(name)
            found[place] = refused(refusal, code, f"{name}: {message}", name)
        for name in clashes:
            found |= self._taken(some, name, refusal)
        return found

    def _code(self, row: Row, name: str) -> Code:
        """Why a field took no value, by what the form says of it."""
        field = self._obj.field(name)
        sent = isinstance(row.body, dict) and name in row.body
        value = row.body[name].get("value") if sent else None
        if value in (None, "", []):
            return Code.REQUIRED_MISSING
        if field is not None and field.unique:
            return Code.DUPLICATE_KEY
        people = field is not None and field.native_type.endswith("_SELECT")
        return Code.OPTION_UNKNOWN if people else Code.VALUE_INVALID

    def _taken(self, some: Sequence[Row], name: str, refusal: Refusal) -> Outcomes:
        """All rows whose unique value another record has, with that record."""
        field = self._obj.field(name)
        kind = field.native_type if field is not None else ""
        if kind not in LOOKED_UP:
            return {}
        held: dict[str, list[int]] = {}
        for place, row in enumerate(some):
            cell = {"type": kind, "value": row.body.get(name, {}).get("value")}
            if key := key_text(cell):
                held.setdefault(key, []).append(place)
        known = KeyIndex(self._api).ids(self._obj.id, name, held)
        return {
            place: self._duplicate(refusal, name, holder)
            for key, places in held.items()
            if (holder := known.get(key)) is not None
            for place in places
            if some[place].id != holder
        }

    @staticmethod
    def _duplicate(refusal: Refusal, name: str, record_id: str) -> Outcome:
        message = f"{name}: record {record_id} has this value already."
        made = refused(refusal, Code.DUPLICATE_KEY, message, name)
        return Outcome(
            False,
            code=made.code,
            message=made.message,
            field=name,
            existing_id=record_id,
            correlation_id=made.correlation_id,
        )

    def _gone(self, some: Sequence[Row], refusal: Refusal) -> Outcomes:
        there = self._shown(some)
        return {
            place: refused(refusal, Code.RECORD_GONE, GONE.format(row.id))
            for place, row in enumerate(some)
            if row.id not in there
        }

    def _outdated(self, some: Sequence[Row], refusal: Refusal) -> Outcomes:
        """The records that moved on. One that holds what was sent may have it from a call
        of ours whose answer was lost."""
        names = dict.fromkeys(name for row in some for name in row.body)
        there = self._shown(some, tuple(names))
        found: Outcomes = {}
        for place, row in enumerate(some):
            now = there.get(row.id)
            if now is None:
                found[place] = refused(refusal, Code.RECORD_GONE, GONE.format(row.id))
            elif row.revision in (ANY, text(now["$revision"]["value"])):
                continue
            elif all(_value(now, name) == _value(row.body, name) for name in row.body):
                found[place] = Outcome(True, record=Record(row.id))
            else:
                found[place] = refused(refusal, Code.CHANGED_SINCE_PLAN, MOVED)
        return found

    def _shown(self, some: Sequence[Row], names: Sequence[str] = ()) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for ids in chunks([row.id for row in some], PAGE_SIZE):
            listed, _, _ = self._api.records(
                self._obj.id,
                f"{any_of('$id', ids)} limit {PAGE_SIZE}",
                ("$id", "$revision", *names),
                f"read {self._obj.name}",
            )
            found |= {text(row["$id"]["value"]): row for row in listed}
        return found

    def _without_target(self, some: Sequence[Row], refusal: Refusal) -> Outcomes:
        """The rows whose lookup has a key that the source app has no more."""
        found: Outcomes = {}
        index = KeyIndex(self._api)
        for field in self._obj.references:
            if field.many:
                continue
            (key_field,) = field.target_columns
            keys: dict[int, str] = {}
            for place, row in enumerate(some):
                sent = row.body.get(field.name) if isinstance(row.body, dict) else None
                if sent and (key := text(sent.get("value"))):
                    keys[place] = key
            known = index.ids(field.target, key_field, set(keys.values()))
            for place, key in keys.items():
                if not known.get(key):
                    message = (
                        f"{field.name}: app {field.target} has no {key!r} any more."
                    )
                    found[place] = refused(
                        refusal, Code.TARGET_NOT_MATCHED, message, field.name
                    )
        return found


def _value(row: Json, name: str) -> object:
    return (row.get(name) or {}).get("value")
