"""Try again what a field refused, once the field is another one.

An option that is added again, a length that is raised or a field that can be written again
moves no record, so nothing else would end a back-off before its time. What a field was when
it refused a value is kept; while records rest for it, each run looks at the schema once.
The records are read anew, for a field that changed may show other values: an option that is
renamed back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from hashlib import sha256
from operator import itemgetter
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from connections.catalogue import Code
from connections.connectors.base import ConnectorError
from connections.records import Field, Outcome, Side
from syncs.models import RecordLink
from syncs.models.choices import RecordState, Trigger
from syncs.run.pull import reread
from syncs.run.session import REFUSED, Session, is_due, now
from syncs.run.stage import Chunk
from syncs.run.store import update_rows

TRIED = "tried"  # in a sync's read_state: {side: {field: what it was when it refused}}
LOOKED = "looked"  # in a sync's read_state: when the schema was looked at for these
LOOK_EVERY = timedelta(minutes=10)  # in scheduled runs
LINKS_AT_ONCE = 1000

JsonDict = dict[str, Any]
Marks = dict[str, dict[str, str]]  # {side: {field: what it was}}


def look_for_mended(session: Session) -> None:
    """Let records that rest for a field be tried by this run if the field has changed.

    One look at a side that has such a field; none where no record rests, nor in a scheduled
    run soon after the last.
    """
    tried: Marks = session.sync.read_state.get(TRIED) or {}
    if not tried:
        return
    if not _resting(session, tried).exists():
        session.keep(_forget)
        return
    if session.run.trigger == Trigger.SCHEDULE and _looked_lately(session):
        return
    session.keep(lambda state: state.update({LOOKED: now().isoformat()}))
    mended: Marks = {}
    for side in Side:
        known = {
            name: mark
            for name, mark in tried.get(side, {}).items()
            if name not in session.missing.get(side, ())
        }
        if not known:
            continue
        with suppress(ConnectorError):  # reading tells, if it is more than this look
            session.look_once(side, known)
            mended[side] = {
                name: is_now
                for name, mark in known.items()
                if (is_now := _mark(session.object_on(side).field(name))) != mark
                and not _of_another_type(session, side, name)
            }
    if not any(mended.values()):
        return
    count = _try_again(session, mended)
    session.renew_rules({(Side(s), n) for s, names in mended.items() for n in names})
    session.keep(lambda state: _note(state, mended))
    names = ", ".join(sorted({n for names in mended.values() for n in names}))
    if count:
        session.log(f"{names} changed: {count} records that rested are tried again.")


def note_refused(session: Session, side: Side, outcomes: Iterable[Outcome]) -> None:
    """Keep what the fields are that refused values of a batch, as the system says now.

    Call it when what was answered is kept: the system is asked once a run and side.
    """
    names: set[str] = set()
    for outcome in outcomes:
        if outcome.ok or outcome.uncertain:
            continue
        if outcome.field:
            names.add(outcome.field)
        elif outcome.code == Code.OPTION_UNKNOWN:  # of some field
            names |= session.names(side)
    names &= _there(session, side)
    noted = session.refused.setdefault(side, set())
    if names <= noted or not session.run.pk:
        return
    if not noted:
        with suppress(ConnectorError):  # else as it was known: one more try at most
            session.refresh(side, names)
    field = session.object_on(side).field
    marks = {str(side): {name: _mark(field(name)) for name in names}}
    session.keep(lambda state: _note(state, marks))
    noted |= names


def note_judged(chunk: Chunk) -> None:
    """Keep what the fields were by which a plan found that values cannot be written.

    A run may have looked at the schema since it took them up.
    """
    session = chunk.session
    names = {n.field for n in chunk.notes.values() if n.state == RecordState.FAILING}
    ends = _ends(session, names)
    known = session.sync.read_state.get(TRIED) or {}
    marks = {
        str(side): {
            name: _mark(_judged_by(session, side, name))
            for name in ends[side] - known.get(side, {}).keys()
        }
        for side in Side
    }
    if any(marks.values()) and session.run.pk:
        session.keep(lambda state: _note(state, marks))


def _looked_lately(session: Session) -> bool:
    at = session.sync.read_state.get(LOOKED)
    return at is not None and not is_due(datetime.fromisoformat(at), LOOK_EVERY)


def _forget(state: JsonDict) -> None:
    state.pop(TRIED, None)
    state.pop(LOOKED, None)


def _note(state: JsonDict, marks: Marks) -> None:
    for side, names in marks.items():
        state.setdefault(TRIED, {}).setdefault(side, {}).update(names)


def _mark(field: Field | None) -> str:
    """What a field is, in few characters; "" where it is not there.

    In which order a system names its options says nothing about what it takes.
    """
    if field is None:
        return ""
    said = asdict(field)
    said["options"] = sorted(said["options"], key=itemgetter("value"))
    text = json.dumps(said, sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:16]


def _judged_by(session: Session, side: Side, name: str) -> Field | None:
    """A field as this run decides by it."""
    fields = (mapped.field_on(side) for mapped in session.fields)
    mapped = next((field for field in fields if field.name == name), None)
    return mapped or session.object_on(side).field(name)


def _of_another_type(session: Session, side: Side, name: str) -> bool:
    """Whether only the next run can decide by what a field is now."""
    now_, before = session.object_on(side).field(name), _judged_by(session, side, name)
    return now_ is not None and before is not None and now_.type is not before.type


def _ends(session: Session, names: set[str]) -> dict[Side, set[str]]:
    """The fields of either side that are meant by names: a plan calls a mapping by the
    name that one of its ends has."""
    found: dict[Side, set[str]] = {}
    for side in Side:
        meant = {*names} | {
            mapped.name_on(side)
            for mapped in session.fields
            if mapped.name_on(side.other) in names
        }
        found[side] = meant & _there(session, side)
    return found


def _there(session: Session, side: Side) -> set[str]:
    """A side's fields; one that must be filled may be mapped by nobody."""
    names = {field.name for field in session.object_on(side).fields}
    return names - session.missing.get(side, set())


def _told_by(session: Session, marks: Marks) -> set[str]:
    """What rows that rest for some fields may call them."""
    names = {name for fields in marks.values() for name in fields}
    return names.union(*_ends(session, names).values())


def _resting(session: Session, tried: Marks) -> QuerySet[RecordLink]:
    """Records that rest, and for a field that is kept, as far as a row tells."""
    return RecordLink.objects.filter(
        Q(error_field__in=_told_by(session, tried))
        | Q(error_field="", error_code=Code.OPTION_UNKNOWN)
        | Q(stage_state__has_key=REFUSED),
        sync=session.sync,
        state=RecordState.FAILING,
        dirty=False,
    )


def _try_again(session: Session, mended: Marks) -> int:
    last = done = 0
    about = _told_by(session, mended)
    resting = _resting(session, mended).order_by("pk")
    while rows := list(resting.filter(pk__gt=last)[:LINKS_AT_ONCE]):
        last = rows[-1].pk
        some = [row for row in rows if _rests_for(row, mended, about)]
        for row in some:
            _forget_refusals(row, mended)
            row.dirty, row.retry_at = True, None
        with transaction.atomic():
            session.lease.check()  # a system was asked meanwhile
            update_rows(some, ["stage_state", "dirty", "retry_at"])
        for side in Side:
            held = [row for row in some if row.id_on(side) is not None]
            if held and mended.get(side):
                reread(session, side, held, conclude=False)
        done += len(some)
    return done


def _forget_refusals(row: RecordLink, mended: Marks) -> None:
    """Let the values of some fields be sent again; others would be refused once more."""
    left = {}
    for side, refused in row.stage_state.pop(REFUSED, {}).items():
        if some := {n: v for n, v in refused.items() if n not in mended.get(side, ())}:
            left[side] = some
    if left:
        row.stage_state[REFUSED] = left


def _rests_for(row: RecordLink, mended: Marks, about: set[str]) -> bool:
    if row.error_field in about:
        return True
    if not row.error_field and row.error_code == Code.OPTION_UNKNOWN:
        return True
    refused = row.stage_state.get(REFUSED) or {}
    return any(
        names.keys() & refused.get(side, {}).keys() for side, names in mended.items()
    )
