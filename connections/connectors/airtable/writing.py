"""Create, change and delete records, ten a call.

A batch that is refused is split until the bad record stands alone. Whether a refused
create stored what stood before the bad record is not documented: it is looked up.

Source: https://airtable.com/developers/web/api/update-multiple-records
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any

from connections.catalogue import Code
from connections.connectors.airtable.api import Api, Json, Table
from connections.connectors.airtable.errors import (
    code_of,
    field_named,
    message_of,
    record_named,
)
from connections.connectors.airtable.merging import Merger
from connections.connectors.airtable.reading import Reader, to_record
from connections.connectors.airtable.types import LONGEST_TEXT, BadValue, to_cell
from connections.connectors.base import ConnectorError, SchemaError, UncertainError
from connections.connectors.dialect import Answer
from connections.connectors.http import Safety
from connections.connectors.parts import chunks, rows
from connections.records import (
    Canon,
    Draft,
    ObjectType,
    Outcome,
    Patch,
    Reference,
    Want,
)

BATCH = 10  # records of one call
# Field types that an upsert may tell records by.
MERGES_ON = ("singleLineText", "multilineText", "number")
ROUNDING = timedelta(seconds=2)  # of the clock that answers tell
UNMENTIONED = "Airtable's answer does not account for this record."


@dataclass
class Input:
    """One record of a request: its place in the caller's list and its cells."""

    at: int
    cells: Json
    id: str = ""
    values: Mapping[str, Canon] = field(default_factory=dict)
    references: Mapping[str, Reference] = field(default_factory=dict)

    @property
    def body(self) -> Json:
        found: Json = {"fields": self.cells}
        return found | {"id": self.id} if self.id else found


class Writer:
    """Writes to one table. Args: want, what answers shall hold."""

    def __init__(self, api: Api, reader: Reader, obj: ObjectType, want: Want) -> None:
        self._api = api
        self._reader = reader
        self._obj = obj
        self._want = want
        self._outcomes: dict[int, Outcome] = {}
        self._stop: ConnectorError | None = None

    @cached_property
    def _table(self) -> Table:
        """The table as it was when the writing began: what is sent is named by it."""
        return self._api.table(self._obj)

    # What is asked for -------------------------------------------------------------------

    def create(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Create records. A request is sent once and never again, but for records with
        a marker to merge on: what holds its value already is the record itself.

        Raises: ConnectorError if nothing was sent.
        """
        plain: list[Input] = []
        marked: dict[str, list[Input]] = {}
        for at, draft in enumerate(drafts):
            made = self._input(at, "", draft.values, draft.references)
            if made is None:
                continue
            field_id = self._merge_field(draft.marker)
            if field_id and made.cells.get(field_id) is not None:
                marked.setdefault(field_id, []).append(made)
            else:
                plain.append(made)
        for field_id, inputs in marked.items():
            send = partial(self._upsert, field_id)
            for wave in _waves(inputs, partial(_cell, field_id)):
                for some in chunks(wave, BATCH):
                    self._batch(some, send)
        for some in chunks(plain, BATCH):
            self._batch(some, self._create)
        return self._all(len(drafts))

    def _merge_field(self, marker: str) -> str:
        """The id of a marker's field, if records can be merged on it."""
        found = self._table.by_name.get(marker)
        merges = found is not None and found.get("type") in MERGES_ON
        return str(found["id"]) if found is not None and merges else ""

    def update(self, patches: Sequence[Patch]) -> list[Outcome]:
        """Change records; a list of links is read again and only its difference made.

        Raises: ConnectorError if nothing was sent.
        """
        inputs: list[Input] = []
        if patches:
            merged = Merger(self._reader, self._obj).merged(patches)
            for at, (patch, found) in enumerate(zip(patches, merged, strict=True)):
                if isinstance(found, Outcome):
                    self._outcomes[at] = found
                elif made := self._input(at, patch.id, patch.values, found):
                    inputs.append(made)
        for wave in _waves(inputs):
            for some in chunks(wave, BATCH):
                self._batch(some, self._update)
        return self._all(len(patches))

    def delete(self, ids: Sequence[str]) -> list[Outcome]:
        """Delete records; people find them in the base's trash for some days."""
        inputs = [Input(at, {}, i) for at, i in enumerate(ids)]
        for wave in _waves(inputs):
            for some in chunks(wave, BATCH):
                self._batch(some, self._delete)
        return self._all(len(ids))

    def _all(self, count: int) -> list[Outcome]:
        return [self._outcomes[at] for at in range(count)]

    # Preparing --------------------------------------------------------------------------

    def _input(
        self,
        at: int,
        record_id: str,
        values: Mapping[str, Canon],
        references: Mapping[str, Reference],
    ) -> Input | None:
        """A record's cells; None where it is refused before it is sent."""
        table, cells = self._table, Json()
        for name, value in values.items():
            known = table.by_name.get(name)
            if known is None:
                text = f"{table.name} has no field {name} any more."
                self._refuse(at, Code.FIELD_MISSING, text, name)
                return None
            try:
                cells[str(known["id"])] = to_cell(known, value)
            except BadValue as exc:
                self._refuse(at, exc.code, str(exc), name)
                return None
        for name, reference in references.items():
            found = table.ids([name])
            if not found:
                text = f"{table.name} has no field {name} any more."
                self._refuse(at, Code.FIELD_MISSING, text, name)
                return None
            cells[found[0]] = list(reference.ids)
        if not record_id:
            cells = {k: v for k, v in cells.items() if v is not None and v != []}
        return Input(at, cells, record_id, values, references)

    def _refuse(self, at: int, code: Code, text: str, name: str = "") -> None:
        self._outcomes[at] = Outcome(False, code=code, message=text, field=name)

    # Sending ----------------------------------------------------------------------------

    def _batch(
        self, batch: Sequence[Input], send: Callable[[Sequence[Input]], None]
    ) -> None:
        """One request; once something was written, an error that stops the rest becomes
        their outcome."""
        if self._stop is None:
            try:
                send(batch)
                return
            except UncertainError as exc:
                for one in batch:
                    self._outcomes.setdefault(one.at, uncertain(exc.message))
                return
            except ConnectorError as exc:
                if not any(o.ok or o.uncertain for o in self._outcomes.values()):
                    raise
                self._stop = exc
        stop = self._stop
        for one in batch:
            self._outcomes.setdefault(
                one.at, Outcome(False, code=stop.code, message=stop.message)
            )

    def _create(self, batch: Sequence[Input]) -> None:
        pending = [list(batch)]
        while pending:
            some = pending.pop()
            began = time.monotonic()
            try:
                answer = self._send("POST", some, Safety.ONCE)
            except UncertainError as exc:
                for one in some:
                    self._outcomes[one.at] = uncertain(exc.message)
                continue
            if answer.ok:
                self._made(some, rows(answer.body, "records"))
                continue
            if len(some) > 1:
                took = timedelta(seconds=time.monotonic() - began)
                some = self._without_stored(some, answer, took)
            pending += self._split(some, answer)

    def _upsert(self, field_id: str, batch: Sequence[Input]) -> None:
        """Records come back in the order they were sent, made or found."""
        more = {"performUpsert": {"fieldsToMergeOn": [field_id]}}
        pending = [list(batch)]
        while pending:
            some = pending.pop()
            answer = self._send("PATCH", some, Safety.REPEATABLE, more)
            if answer.ok:
                self._made(some, rows(answer.body, "records"))
            else:
                pending += self._split(some, answer)

    def _update(self, batch: Sequence[Input]) -> None:
        pending = [list(batch)]
        while pending:
            some = pending.pop()
            answer = self._send("PATCH", some, Safety.REPEATABLE)
            if answer.ok:
                self._answered(some, rows(answer.body, "records"))
            else:
                pending += self._split(some, answer)

    def _delete(self, batch: Sequence[Input]) -> None:
        pending = [list(batch)]
        while pending:
            some = pending.pop()
            path = self._api.path(self._table)
            query = "&".join(f"records[]={one.id}" for one in some)
            answer = self._api.write(
                "DELETE", f"{path}?{query}", None, Safety.REPEATABLE
            )
            if not answer.ok:
                pending += self._split(some, answer)
                continue
            done = {
                str(r.get("id"))
                for r in rows(answer.body, "records")
                if r.get("deleted")
            }
            for one in some:
                known = one.id in done
                self._outcomes[one.at] = Outcome(True) if known else uncertain()

    def _send(
        self,
        method: str,
        some: Sequence[Input],
        safety: Safety,
        more: Json | None = None,
    ) -> Answer:
        body = (more or {}) | {
            "records": [one.body for one in some],
            "returnFieldsByFieldId": True,
            "typecast": False,
        }
        path = self._api.path(self._table)
        return self._api.write(method, path, body, safety)

    # Answers ----------------------------------------------------------------------------

    def _made(self, some: Sequence[Input], found: Sequence[Json]) -> None:
        """Records come back in the order they were sent."""
        if len(found) != len(some):
            found = []
        for at, one in enumerate(some):
            made = found[at] if found else {}
            self._outcomes[one.at] = self._outcome(one, made)

    def _answered(self, some: Sequence[Input], found: Sequence[Json]) -> None:
        by_id = {str(row.get("id")): row for row in found}
        for one in some:
            self._outcomes[one.at] = self._outcome(one, by_id.get(one.id, {}))

    def _outcome(self, one: Input, body: Json) -> Outcome:
        if not body.get("id"):
            return uncertain()
        want = Want(
            tuple(dict.fromkeys((*self._want.fields, *one.values))),
            tuple(dict.fromkeys((*self._want.references, *one.references))),
            self._want.changed_field,
        )
        return Outcome(True, record=to_record(self._table, body, want))

    # Refusals ---------------------------------------------------------------------------

    def _split(self, some: list[Input], answer: Answer) -> list[list[Input]]:
        """The halves of a refused request, to be sent by themselves; none where it is
        known of every record by now why."""
        if not some:
            return []
        code, name = code_of(answer), self._field(answer)
        shared = code is Code.FIELD_MISSING and name
        if shared and all(name in _names(one) for one in some):
            self._api.forget()
            for one in some:
                self._refuse(one.at, code, message_of(answer), name)
            return []
        if len(some) == 1:
            self._outcomes[some[0].at] = self._refusal(some[0], answer)
            return []
        middle = len(some) // 2
        return [some[middle:], some[:middle]]

    def _field(self, answer: Answer) -> str:
        given = field_named(answer)
        return self._table.name_of(given) or given

    def _refusal(self, one: Input, answer: Answer) -> Outcome:
        """Why the only record of a request was refused."""
        code, name, text = code_of(answer), self._field(answer), message_of(answer)
        if code is Code.FIELD_MISSING:
            self._api.forget()
        if code is Code.RECORD_GONE and not self._is_gone(one, answer):
            code = Code.TARGET_NOT_MATCHED
            text = f"A record that this one links to does not exist: {text}"
            name = name or next(iter(one.references), "")
        if code is Code.OPTION_UNKNOWN and not name:
            name = next((n for n, v in one.values.items() if _holds(text, v)), "")
        if code is Code.VALUE_INVALID and len(str(one.values.get(name))) > LONGEST_TEXT:
            code = Code.VALUE_TOO_LONG
        return Outcome(False, code=code, message=text, field=name)

    def _is_gone(self, one: Input, answer: Answer) -> bool:
        """Whether it is the record itself that does not exist, or one it links to."""
        named = record_named(answer)
        if not one.id or named:
            return bool(one.id) and named == one.id
        if not any(r.ids for r in one.references.values()):
            return True
        return self._reader.one(self._obj, one.id, Want()) is None

    # A refused create ---------------------------------------------------------------------

    def _without_stored(
        self, some: Sequence[Input], answer: Answer, took: timedelta
    ) -> list[Input]:
        """What of a refused create is not there: one call, by Airtable's own clock.

        A record that was made meanwhile and holds exactly what was sent is taken for
        the one; without a clock nothing can be told, and nothing is sent again.
        """
        at = answer.at
        if at is None:
            for one in some:
                self._outcomes[one.at] = uncertain(message_of(answer))
            return []
        names = [self._table.name_of(f) for one in some for f in one.cells]
        want = Want(tuple(dict.fromkeys(names)))
        known = {o.record.id for o in self._outcomes.values() if o.record is not None}
        stored: dict[str, Json] = {}
        since = at.astimezone(UTC) - took - ROUNDING
        for row in self._raw_since(want, since):
            if str(row["id"]) not in known:
                stored[str(row["id"])] = row
        left: list[Input] = []
        for one in some:
            held = next(
                (r for r in stored.values() if _holds_cells(r, one.cells)), None
            )
            if held is None:
                left.append(one)
                continue
            del stored[str(held["id"])]
            self._outcomes[one.at] = self._outcome(one, held)
        return left

    def _raw_since(self, want: Want, since: datetime) -> list[Json]:
        """Records made since a moment. One that was refused for a field that is gone
        cannot be among them, so that field need not be looked at."""
        for again in (False, True):
            try:
                pages = self._reader.raw_pages(self._obj, want, since)
                return [row for page in pages for row in page]
            except SchemaError as exc:
                if exc.code != Code.FIELD_MISSING or again:
                    raise
                self._api.forget()
        raise AssertionError("unreachable")


def _holds_cells(row: Json, cells: Json) -> bool:
    held = row.get("fields") or {}
    return all(_as_sent(held.get(name)) == _as_sent(v) for name, v in cells.items())


def _as_sent(cell: Any) -> Any:
    """A cell in the form that tells equal ones, whatever Airtable adds to it."""
    if isinstance(cell, dict):
        return cell.get("email") or cell.get("text") or cell.get("id")
    if isinstance(cell, list):
        return sorted(str(_as_sent(c)) for c in cell)
    if isinstance(cell, bool | int | float):
        return float(cell)
    return cell


def _names(one: Input) -> set[str]:
    return {*one.values, *one.references}


def _holds(text: str, value: Canon) -> bool:
    words = value if isinstance(value, list) else [str(value)]
    return any(word and word in text for word in words)


def _cell(field_id: str, one: Input) -> str:
    return str(one.cells[field_id])


def _waves(
    inputs: Sequence[Input], key: Callable[[Input], str] = lambda one: one.id
) -> list[list[Input]]:
    """Inputs so that no request names a record twice; the order of each one's stays."""
    waves: list[list[Input]] = []
    seen: dict[str, int] = {}
    for one in inputs:
        wave = seen.get(key(one), 0)
        seen[key(one)] = wave + 1
        if wave == len(waves):
            waves.append([])
        waves[wave].append(one)
    return waves


def uncertain(message: str = UNMENTIONED) -> Outcome:
    """The outcome of a write whose effect nobody knows."""
    return Outcome(False, code=Code.UNCERTAIN, message=message, uncertain=True)
