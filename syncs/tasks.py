"""What the task cluster runs. Ids in, safe to repeat: the rows say what is to be done."""

from __future__ import annotations

import time
from datetime import timedelta

from syncs import services
from syncs.models import ObjectSync, SyncRun
from syncs.models.choices import OPEN_STATUSES, Status, Trigger
from syncs.run.child import close_abandoned
from syncs.run.session import SliceOver, now

LONGEST_REST = timedelta(days=32)  # that a system with a monthly quota asks for
SLICE_S = 200  # well under the queue's time-out


def run_sync(run_id: int) -> str:
    """Do one slice of a run; a run that is over, or at work elsewhere, is left alone."""
    run = SyncRun.objects.filter(pk=run_id, parent=None, status=Status.QUEUED).first()
    if run is None:
        return "nothing to do"
    try:
        services.execute(run, deadline=time.monotonic() + SLICE_S)
    except SliceOver:
        services.enqueue(run)
        return "goes on in the next slice"
    return str(run.status)


def tick() -> str:
    """Each minute: close what died, start what is due, prune what is old."""
    closed = close_abandoned()
    woken = services.wake()
    started = start_due()
    pruned = prune()
    return f"closed {closed}, woken {woken}, started {started}, pruned {pruned}"


def start_due() -> int:
    """Start the syncs whose time has come, one run an app.

    A sync's first time comes one interval after it was set up, which leaves its author
    as long to preview it.
    """
    scheduled = (
        ObjectSync.objects.filter(
            enabled=True,
            paused=False,
            archived_at=None,
            every_s__isnull=False,
            app__paused=False,
            app__archived_at=None,
        )
        .exclude(runs__status__in=OPEN_STATUSES)
        .select_related("app")
        .order_by("app_id", "position")
    )
    for sync in scheduled.filter(due_at=None):
        sync.due_at = now() + timedelta(seconds=sync.every_s or 0)
        sync.save(update_fields=["due_at"])
    by_app: dict[int, list[ObjectSync]] = {}
    for sync in filter(_is_due, scheduled):
        by_app.setdefault(sync.app_id, []).append(sync)
    for syncs in by_app.values():
        run = services.start(syncs=syncs, trigger=Trigger.SCHEDULE, sweep=False)
        services.enqueue(run)
    return len(by_app)


def _is_due(sync: ObjectSync) -> bool:
    """Whether a sync's time has come; one too far ahead was set before the clock was
    put back."""
    moment, due_at = now(), sync.due_at
    latest = moment + timedelta(seconds=sync.every_s or 0) + LONGEST_REST
    return due_at is not None and (due_at <= moment or due_at > latest)


def prune() -> int:
    """Delete some of what is older than the retention time."""
    return services.prune()
