"""What the task cluster runs. Ids in, safe to repeat: the rows say what is to be done."""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings
from django_q.models import Task

from syncs import services
from syncs.models import Change, LogEntry, ObjectSync, SyncRun
from syncs.models.choices import OPEN_STATUSES, ChangeOutcome, Status, Trigger
from syncs.run.child import close_abandoned
from syncs.run.session import SliceOver, now

LONGEST_REST = timedelta(days=32)  # that a system with a monthly quota asks for
SLICE_S = 200  # well under the queue's time-out
PRUNED_AT_ONCE = 5000  # rows
RESULTS_KEPT = timedelta(days=1)  # of tasks; runs have rows of their own


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
    """Delete a bounded number of old log rows, and of the queue's own results.

    What was sent and never answered stays: it alone can tell what became of a create.
    So does what waits for a person.
    """
    before = now() - timedelta(days=settings.LOG_RETENTION_DAYS)
    kept = (ChangeOutcome.SENT, ChangeOutcome.HELD)
    unanswered = Change.objects.filter(outcome__in=kept)
    over = SyncRun.objects.filter(created_at__lt=before, finished_at__isnull=False)
    pruned = 0
    for rows in (
        Change.objects.filter(created_at__lt=before).exclude(outcome__in=kept),
        LogEntry.objects.filter(at__lt=before),
        over.exclude(pk__in=unanswered.values("run")).exclude(
            pk__in=unanswered.values("run__parent")
        ),
        Task.objects.filter(stopped__lt=now() - RESULTS_KEPT),
    ):
        ids = list(rows.values_list("pk", flat=True)[:PRUNED_AT_ONCE])
        pruned += rows.model.objects.filter(pk__in=ids).delete()[0]
    return pruned
