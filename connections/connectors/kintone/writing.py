"""Create, update and delete records, and read back what became of them.

Kintone's answer to a write names ids and revisions only, so that the values are read: 500
records a call.

Source: https://kintone.dev/en/docs/kintone/rest-api/records/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from connections.catalogue import Code
from connections.connectors.base import ConnectorError
from connections.connectors.http import Safety
from connections.connectors.kintone.api import Api, Json, text
from connections.connectors.kintone.batches import (
    Kind,
    Row,
    placed,
    send,
    uncertain,
)
from connections.connectors.kintone.drafting import Drafting, Written, names_of
from connections.connectors.kintone.forms import Form
from connections.connectors.kintone.judging import Judging
from connections.connectors.kintone.keeping import KeyKeeper
from connections.connectors.kintone.reading import Reader
from connections.connectors.kintone.revisions import ANY, Revisions
from connections.connectors.kintone.values import Refused, key_text
from connections.connectors.parts import rows
from connections.records import (
    Draft,
    ObjectType,
    Outcome,
    Patch,
    Record,
    Want,
)

SILENT = "Kintone's answer does not say what became of this record."
FormOf = Callable[[ObjectType], Form]


class Writer:
    """Writes the records of one domain.

    Args: form_of, reads an app's form as it is now; keeper, takes lookups along.
    """

    def __init__(
        self,
        api: Api,
        reader: Reader,
        revisions: Revisions,
        form_of: FormOf,
        keeper: KeyKeeper,
    ) -> None:
        self._api, self._reader, self._keeper = api, reader, keeper
        self._revisions, self._form_of = revisions, form_of

    def create(
        self, obj: ObjectType, drafts: Sequence[Draft], want: Want
    ) -> list[Outcome]:
        """Add records; a request is sent once and never again.

        Raises: ConnectorError if nothing was sent.
        """
        if not drafts:
            return []
        work = self._drafting(obj, drafts)
        found, outcomes = [], {}
        for at, draft in enumerate(drafts):
            try:
                body = work.written(draft.values, draft.references)
            except Refused as exc:
                outcomes[at] = _refused(exc)
                continue
            found.append(Row(at, body, claims=_claims(obj, body)))
        kind = Kind(
            "POST",
            Safety.ONCE,
            f"create {obj.name}",
            lambda some: {"app": obj.id, "records": [row.body for row in some]},
            lambda body, some: _made(body, some),
        )
        judging = Judging(self._api, obj)
        outcomes |= send(self._api, kind, found, judging.judge)
        answered = self._read_back(obj, outcomes, want, names_of(drafts))
        return placed(answered, len(drafts))

    def update(
        self, obj: ObjectType, patches: Sequence[Patch], want: Want
    ) -> list[Outcome]:
        """Change records that are as they were last read.

        CHANGED_SINCE_PLAN where somebody else wrote meanwhile.
        Raises: ConnectorError if nothing was sent.
        """
        if not patches:
            return []
        outcomes: dict[int, Outcome] = {}
        work = self._drafting(obj, patches)
        held = self._keeper.held(obj, patches)
        found = []
        for at, patch in enumerate(patches):
            try:
                if not patch.id.isdecimal():
                    raise Refused(Code.RECORD_GONE, f"There is no {patch.id}.", "")
                body = work.written(patch.values, patch.references, record_id=patch.id)
            except Refused as exc:
                outcomes[at] = _refused(exc)
                continue
            # What was planned from, if it was read; else what rows were merged into.
            lock = self._revisions.get(obj.id, patch.id)
            if lock == ANY:
                lock = work.revision_of(patch.id) or ANY
            found.append(Row(at, body, patch.id, _claims(obj, body), lock))
        kind = Kind(
            "PUT",
            Safety.REPEATABLE,
            f"update {obj.name}",
            lambda some: self._entries(obj, some),
            lambda body, some: self._updated(obj, body, some),
        )
        judging = Judging(self._api, obj)
        outcomes |= send(self._api, kind, found, judging.judge)
        self._keeper.keep(obj, held, patches, placed(outcomes, len(patches)))
        answered = self._read_back(obj, outcomes, want, names_of(patches))
        return placed(answered, len(patches))

    def delete(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        """Delete records for good; one that is not there any more is RECORD_GONE."""
        outcomes: dict[int, Outcome] = {}
        found = []
        for at, record_id in enumerate(ids):
            if record_id.isdecimal():
                found.append(Row(at, record_id, record_id))
            else:
                text = f"There is no record {record_id}."
                outcomes[at] = Outcome(False, code=Code.RECORD_GONE, message=text)
        kind = Kind(
            "DELETE",
            Safety.REPEATABLE,
            f"delete {obj.name}",
            lambda some: {"app": obj.id, "ids": [row.id for row in some]},
            lambda body, some: [Outcome(True) for _ in some],
        )
        judging = Judging(self._api, obj)
        outcomes |= send(self._api, kind, found, judging.judge)
        return placed(outcomes, len(ids))

    # Common ----------------------------------------------------------------------------

    def _drafting(
        self, obj: ObjectType, requests: Sequence[Draft] | Sequence[Patch]
    ) -> Drafting:
        work = Drafting(self._api, obj, self._form_of(obj))
        work.prepare(list(requests))
        return work

    @staticmethod
    def _entries(obj: ObjectType, some: Sequence[Row]) -> dict[str, Any]:
        entries = [
            {"id": row.id, "revision": row.revision, "record": row.body} for row in some
        ]
        return {"app": obj.id, "records": entries}

    def _updated(
        self, obj: ObjectType, body: Json, some: Sequence[Row]
    ) -> list[Outcome]:
        told = {
            text(r.get("id")): text(r.get("revision")) for r in rows(body, "records")
        }
        outcomes = []
        for row in some:
            if row.id not in told:
                outcomes.append(uncertain(SILENT))
                continue
            self._revisions.put(obj.id, row.id, told[row.id])
            outcomes.append(Outcome(True, record=Record(row.id)))
        return outcomes

    def _read_back(
        self,
        obj: ObjectType,
        outcomes: Mapping[int, Outcome],
        want: Want,
        written: Iterable[str],
    ) -> dict[int, Outcome]:
        """The outcomes with what Kintone holds now; without it where it cannot be read.

        A link alone is as it was sent: nothing is read for it.
        """
        names = tuple(dict.fromkeys((*want.fields, *written)))
        ids = [o.record.id for o in outcomes.values() if o.ok and o.record is not None]
        found: dict[str, Record] = {}
        if names and ids:
            answer = replace(want, fields=names, references=())
            with suppress(ConnectorError):  # it was written all the same
                found.update(self._reader.listed(obj, list(dict.fromkeys(ids)), answer))
        return {
            at: replace(o, record=found.get(o.record.id, o.record))
            if o.ok and o.record is not None
            else o
            for at, o in outcomes.items()
        }


def _made(body: Json, some: Sequence[Row]) -> list[Outcome]:
    """What was made: ids in the order of the records that were sent."""
    ids = body.get("ids")
    if not isinstance(ids, list) or len(ids) != len(some):
        return [uncertain(SILENT) for _ in some]
    return [Outcome(True, record=Record(text(i))) for i in ids]


def _claims(obj: ObjectType, body: Written) -> frozenset[tuple[str, str]]:
    """The unique values that a record is to have."""
    unique = ((f.name, f.native_type) for f in obj.fields if f.unique)
    held = (
        (name, key_text({"type": kind, "value": body[name]["value"]}))
        for name, kind in unique
        if name in body
    )
    return frozenset((name, key) for name, key in held if key)


def _refused(exc: Refused) -> Outcome:
    return Outcome(False, code=exc.code, message=exc.message, field=exc.field)
