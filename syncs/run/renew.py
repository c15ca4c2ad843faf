"""What a changed set-up means for what is stored: nothing old may decide by new rules."""

from __future__ import annotations

from django.db.models import QuerySet

from connections.records import Side
from syncs.models import RecordLink
from syncs.models.choices import RecordState
from syncs.run.idset import update_in_pieces
from syncs.run.session import REFUSED, RESYNCED, Session, now
from syncs.run.store import update_rows

LINKS_AT_ONCE = 1000


def renew(session: Session) -> None:
    """Look at every record again after the set-up changed, failing ones at once.

    The baseline of a mapping that is gone, or means something else now, is dropped: if it
    ever comes back, that is its first sync. So it is where its field was missing and is
    there again: a column that was dropped and made anew is empty, and nobody emptied it.
    """
    if session.run.full:
        _try_failing(session)
    if not session.renewed:
        return
    mine = RecordLink.objects.filter(sync=session.sync)
    known = {
        mapped.key
        for mapped in session.fields
        if not any(mapped.name_on(s) in session.returned.get(s, ()) for s in Side)
    }
    last = 0
    while rows := list(mine.filter(pk__gt=last).order_by("pk")[:LINKS_AT_ONCE]):
        last = rows[-1].pk
        stale = [
            row
            for row in rows
            if row.baseline.keys() - known or REFUSED in row.stage_state
        ]
        for row in stale:
            row.baseline = {k: v for k, v in row.baseline.items() if k in known}
            row.stage_state.pop(REFUSED, None)
        update_rows(stale, ["baseline", "stage_state"])
        session.lease.check()
    update_in_pieces(mine.filter(dirty=False), dirty=True)
    update_in_pieces(mine.filter(retry_at__isnull=False), retry_at=None)


def _try_failing(session: Session) -> None:
    """A full run tries what failed before at once, whatever its back-off."""
    failing = RecordLink.objects.filter(sync=session.sync, state=RecordState.FAILING)
    try_again(failing)


def try_again(failing: QuerySet[RecordLink]) -> int:
    """Let failing records be tried by the next run, as if they never were.

    Returns: how many.
    """
    last = done = 0
    while rows := list(failing.filter(pk__gt=last).order_by("pk")[:LINKS_AT_ONCE]):
        last = rows[-1].pk
        for row in rows:
            row.stage_state.pop(REFUSED, None)
            row.stage_state[RESYNCED] = now().isoformat()
            row.dirty, row.retry_at, row.attempts = True, None, 0
        update_rows(rows, ["stage_state", "dirty", "retry_at", "attempts"])
        done += len(rows)
    return done
