"""Try again what a field refused, once the field is another one.

An option that is added again, a length that is raised or a field that can be written again
moves no record, so nothing else would end a back-off before its time. What a field was when
it refused a value is kept; while records rest for it, each run looks at the schema once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db.models import QuerySet

from connections.catalogue import Code
from connections.connectors.base import ConnectorError
from connections.records import Outcome, Side
from syncs.models import RecordLink
from syncs.models.choices import RecordState, Trigger
from syncs.run.session import REFUSED, Session, is_due, now
from syncs.run.stage import Chunk
from syncs.run.store import update_rows

TRIED = "tried"  # in a sync's read_state: {side: {field: what it was when it refused}}
LOOKED = (
    "looked"  # in a sync's read_state: when the schema was last looked at for these
)
LOOK_EVERY = timedelta(minutes=10)  # in scheduled runs
LINKS_AT_ONCE = 1000

JsonDict = dict[str, Any]


def look_for_mended(session: Session) -> None:
    """Let records that rest for a field be tried by this run if the field has changed.

    One look at a side that has such a field; none where no record rests, nor in a scheduled
    run soon after the last.
    """
    tried: dict[str, dict[str, str]] = session.sync.read_state.get(TRIED) or {}
    if not tried:
        return
    if not _resting(session).exists():
        session.keep(_forget)
        return
    if session.run.trigger == Trigger.SCHEDULE and _looked_lately(session):
        return
    session.keep(lambda state: state.update({LOOKED: now().isoformat()}))
    mended: dict[str, dict[str, str]] = {}
    for side in Side:
        known = {
            name: mark
            for name, mark in tried.get(side, {}).items()
            if name in session.names(side)
        }
        if not known:
            continue
        with suppress(ConnectorError):  # reading tells, if it is more than this look
            session.look_once(side)
            mended[side] = {
                name: is_now
                for name, mark in known.items()
                if (is_now := _mark(session, side, name)) != mark
            }
    if not any(mended.values()):
        return
    count = _try_again(session, mended)
    session.renew_rules({(Side(s), n) for s, names in mended.items() for n in names})
    session.keep(lambda state: _note(state, mended))
    names = ", ".join(sorted({n for names in mended.values() for n in names}))
    session.log(f"{names} changed: {count} records that rested are tried again.")


def note_refused(session: Session, side: Side, outcomes: Iterable[Outcome]) -> None:
    """Keep what the fields are that refused values of a batch, as the system says now."""
    names: set[str] = set()
    for outcome in outcomes:
        if outcome.ok or outcome.uncertain:
            continue
        if outcome.field:
            names.add(outcome.field)
        elif outcome.code == Code.OPTION_UNKNOWN:  # of some field
            names |= session.names(side)
    names &= session.names(side)
    noted = session.refused.setdefault(side, set())
    if names <= noted or not session.run.pk:
        return
    with suppress(ConnectorError):  # what was answered counts all the same
        if not noted:
            session.refresh(side)
        marks = {str(side): {name: _mark(session, side, name) for name in names}}
        session.keep(lambda state: _note(state, marks))
        noted |= names


def note_judged(chunk: Chunk) -> None:
    """Keep what the fields were by which a plan found that values cannot be written."""
    session = chunk.session
    names = {n.field for n in chunk.notes.values() if n.state == RecordState.FAILING}
    known = session.sync.read_state.get(TRIED) or {}
    marks = {
        str(side): {
            name: _mark(session, side, name)
            for name in (names & session.names(side)) - known.get(side, {}).keys()
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


def _note(state: JsonDict, marks: dict[str, dict[str, str]]) -> None:
    for side, names in marks.items():
        state.setdefault(TRIED, {}).setdefault(side, {}).update(names)


def _mark(session: Session, side: Side, name: str) -> str:
    """What a field is, in few characters; "" where it is not there."""
    found = session.object_on(side).field(name)
    if found is None:
        return ""
    said = json.dumps(asdict(found), sort_keys=True, default=str)
    return sha256(said.encode()).hexdigest()[:16]


def _resting(session: Session) -> QuerySet[RecordLink]:
    return RecordLink.objects.filter(
        sync=session.sync, state=RecordState.FAILING, dirty=False
    )


def _try_again(session: Session, mended: dict[str, dict[str, str]]) -> int:
    last = done = 0
    resting = _resting(session).order_by("pk")
    while rows := list(resting.filter(pk__gt=last)[:LINKS_AT_ONCE]):
        last = rows[-1].pk
        some = [row for row in rows if _rests_for(row, mended)]
        for row in some:
            row.stage_state.pop(REFUSED, None)
            row.dirty, row.retry_at = True, None
        update_rows(some, ["stage_state", "dirty", "retry_at"])
        done += len(some)
    return done


def _rests_for(row: RecordLink, mended: dict[str, dict[str, str]]) -> bool:
    if not row.error_field and row.error_code == Code.OPTION_UNKNOWN:
        return True
    refused = row.stage_state.get(REFUSED) or {}
    return any(
        row.error_field in names or names.keys() & refused.get(side, {}).keys()
        for side, names in mended.items()
    )
