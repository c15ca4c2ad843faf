"""What a changed set-up means for what is stored: nothing old may decide by new rules."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet

from connections.catalogue import Code
from connections.records import Side
from syncs.models import RecordLink
from syncs.models.choices import RecordState
from syncs.run.idset import update_in_pieces
from syncs.run.session import REFUSED, RESYNCED, MappedField, Session, now
from syncs.run.store import update_rows

LINKS_AT_ONCE = 1000
SIDES = (Side.HUBSPOT, Side.APP)  # as a baseline has them


def renew(session: Session) -> None:
    """Look at every record again after the set-up changed, failing ones at once.

    The baseline of a mapping that is gone, or means something else now, is dropped: if it
    ever comes back, that is its first sync. So it is where its field was missing and
    nothing shows that it is the same: a column that was dropped and made anew is empty,
    and nobody emptied it. Of a field that is the same, only the records are looked at
    whose values moved meanwhile.
    """
    if session.run.full:
        _try_failing(session)
    fresh = {name for names in session.returned.values() for name in names}
    if not (session.renewed or fresh or any(session.resumed.values())):
        return
    mine = RecordLink.objects.filter(sync=session.sync)
    whole = session.renewed or bool(fresh) or _filters(session)
    known = {
        mapped.key
        for mapped in session.fields
        if not any(mapped.name_on(s) in session.returned.get(s, ()) for s in Side)
    }
    resumed = [
        mapped
        for mapped in session.fields
        if any(mapped.name_on(s) in session.resumed.get(s, ()) for s in Side)
    ]
    last = 0
    while rows := list(mine.filter(pk__gt=last).order_by("pk")[:LINKS_AT_ONCE]):
        last = rows[-1].pk
        stale = [row for row in rows if _brought_up(row, known, resumed, whole)]
        update_rows(stale, ["baseline", "stage_state", "dirty", "retry_at"])
        session.lease.check()
    if whole:
        update_in_pieces(mine.filter(dirty=False), dirty=True)
        update_in_pieces(mine.filter(retry_at__isnull=False), retry_at=None)
    _sweep(session, fresh)


def _brought_up(
    row: RecordLink, known: set[str], resumed: Sequence[MappedField], whole: bool
) -> bool:
    """Bring a row (in memory) up to what the set-up means now. Returns: whether it moved.

    Args: known, the mappings whose baseline stands; resumed, those of a field that was
        missing and is what it was; whole, whether all rows are planned again.
    """
    untold = {m.key for m in resumed if not all(_told(row, m, s) for s in Side)}
    kept = {k: v for k, v in row.baseline.items() if k in known and k not in untold}
    stale = kept != row.baseline or (whole and REFUSED in row.stage_state)
    row.baseline = kept
    if whole:
        row.stage_state.pop(REFUSED, None)
        return stale
    now_ = [[row.values_on(s).get(m.name_on(s)) for s in SIDES] for m in resumed]
    moved = any(kept.get(m.key) != v for m, v in zip(resumed, now_, strict=True))
    if stale or (moved and row.paired) or row.error_code == Code.FIELD_MISSING:
        row.dirty, row.retry_at = True, None
        return True
    return False


def _told(row: RecordLink, mapped: MappedField, side: Side) -> bool:
    """Whether it is known what a side's record holds, or there is none."""
    return row.id_on(side) is None or mapped.name_on(side) in row.values_on(side)


def _filters(session: Session) -> bool:
    """Whether a filter looks at a field that is there again: any record may be in scope."""
    return any(
        f.field in session.resumed.get(Side(f.side), ()) for f in session.filters
    )


def _sweep(session: Session, fresh: set[str]) -> None:
    """Have all links looked at where a field of links is there again: in HubSpot they
    moved no record's time meanwhile."""
    back = fresh | session.resumed.get(Side.APP, {}).keys()
    if back & {*session.references, *session.extra_fields.get(Side.APP, ())}:
        session.sync.swept_at = None
        session.sync.save(update_fields=["swept_at"])


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
