"""A second look at the children of a run that others of it came after.

Syncs that point at each other cannot all come after the other. Once a run's children are
through, those of a circle that left something for lack of the others are opened again; their
work counts with what they did before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from syncs.models import RecordLink, SyncRun
from syncs.models.choices import Status
from syncs.run.idset import IdSet
from syncs.run.session import Session
from syncs.run.stage import make_stages

CLOSING = "closing"  # in a run's place: its children that were opened again
STANDING = "standing"  # in a child's place: errors that stood at its end, by code
WAS = "was"  # in the place of one opened again: how it had ended
PHASE = "close"
WELL = (Status.SUCCEEDED, Status.PARTIAL)
AT_ONCE = 5000  # record links


def reopen(run: SyncRun) -> bool:
    """Open children again, once a run. Returns whether there is one to do.

    A run that writes a few records only, or takes another back, leaves it to the next.
    """
    if CLOSING in run.place or run.limit is not None or run.undo_of_id is not None:
        return False
    children = list(run.children.order_by("pk"))
    stages = make_stages()
    found: list[SyncRun] = []
    for at, child in enumerate(children):
        later = {c.sync_id for c in children[at + 1 :] if c.sync_id is not None}
        well = child.status in WELL and child.started_at is not None
        if well and later and any(s.can_close(child, later) for s in stages):
            found.append(child)
    with transaction.atomic():
        run.place = {**run.place, CLOSING: [child.pk for child in found]}
        run.save(update_fields=["place"])
        for child in found:
            phase = "write" if child.as_planned else PHASE
            child.place = {**child.place, "phase": phase, WAS: child.status}
            child.status, child.finished_at = Status.QUEUED, None
            child.save(update_fields=["place", "status", "finished_at"])
    return bool(found)


def closes(run: SyncRun) -> bool:
    """Whether a child run is at its second look."""
    return run.parent is not None and run.pk in run.parent.place.get(CLOSING, ())


def drop_standing(run: SyncRun) -> None:
    """Take the errors that stood at the first look's end off: they are counted anew."""
    standing: Mapping[str, int] = run.place.pop(STANDING, {})
    left: list[dict[str, Any]] = []
    for error in run.errors:
        count = error["count"] - standing.get(error["code"], 0)
        if count > 0:
            left.append({**error, "count": count})
    run.errors = left


def look_again(session: Session) -> IdSet | None:
    """Make due what waited. Returns, of a preview, the records to be planned anew: it
    leaves none due, nor does it settle one that was."""
    run = session.run
    if run.dry_run:
        session.tally.forget_work()
        return IdSet(
            i for s in session.stages for some in s.closable(session) for i in some
        )
    if run.place.get("phase") == PHASE:
        for stage in session.stages:
            for some in stage.closable(session):
                for start in range(0, len(some), AT_ONCE):
                    due = some[start : start + AT_ONCE]
                    RecordLink.objects.filter(pk__in=due).update(dirty=True)
        run.place = {"phase": "plan"}
    return None
