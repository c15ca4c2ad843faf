"""Delete old history a little at a time, and never what is still needed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django_q.models import Task

from syncs.models import Change, LogEntry, SyncRun
from syncs.models.choices import COUNTED_STATUSES, Awaiting, ChangeKind, ChangeOutcome
from syncs.run.session import now

AT_ONCE = 1000  # rows one statement deletes, so that no lock and no log entry is long
RUNS_AT_ONCE = 200
SPENT_S = 10.0  # in a tick; the next, a minute later, goes on
RESULTS_KEPT = timedelta(days=1)  # of tasks; runs have rows of their own
# A create that was sent and never answered: it alone can tell what became of it. What is
# held waits for a person.
NEEDED = (ChangeOutcome.SENT, ChangeOutcome.HELD)


def prune(*, seconds: float = SPENT_S) -> int:
    """Delete history older than the retention time, as much as the time allows.

    Returns: how many rows went. A backlog takes several calls.
    """
    began = time.monotonic()
    before = now() - timedelta(days=settings.LOG_RETENTION_DAYS)
    pruned = 0
    while True:
        # In turn, so that a backlog of one does not keep the others waiting.
        some = sum(kind(before) for kind in (_changes, _entries, _runs, _results))
        pruned += some
        if not some or time.monotonic() - began > seconds:
            return pruned


def _over(before: datetime) -> QuerySet[SyncRun]:
    return SyncRun.objects.filter(created_at__lt=before, finished_at__isnull=False)


def _old(**where: Any) -> QuerySet[Change]:
    """Changes that nothing depends on any more.

    A deletion that a person dropped is asked again unless the next run takes note of it.
    """
    gone = [outcome for outcome in ChangeOutcome if outcome not in NEEDED]
    unnoted = Q(
        outcome=ChangeOutcome.DROPPED,
        kind=ChangeKind.ARCHIVE,
        awaiting=Awaiting.DELETES,
    )
    return Change.objects.filter(outcome__in=gone, **where).exclude(unnoted)


def _changes(before: datetime) -> int:
    """Some changes of the first old run that has any: by the index over runs."""
    runs = _over(before).filter(Exists(_old(run=OuterRef("pk"))))
    run = runs.order_by("pk").values_list("pk", flat=True).first()
    if run is None:
        return 0
    return _delete(_old(run=run).order_by("pk").values_list("pk", flat=True), Change)


def _entries(before: datetime) -> int:
    old = LogEntry.objects.filter(at__lt=before).order_by("at")
    return _delete(old.values_list("pk", flat=True), LogEntry)


def _runs(before: datetime) -> int:
    """Some runs that hold nothing any more: deleting one takes nothing else with it."""
    of_it = {"run": OuterRef("pk")}
    # What Home says of a sync are the totals of its last run that counted.
    counted = SyncRun.objects.filter(
        sync__isnull=False, status__in=COUNTED_STATUSES, dry_run=False
    )
    last = counted.order_by().values("sync").annotate(last=Max("pk")).values("last")
    empty = (
        _over(before)
        .exclude(pk__in=last)
        .filter(
            ~Exists(Change.objects.filter(**of_it)),
            ~Exists(LogEntry.objects.filter(**of_it)),
            ~Exists(SyncRun.objects.filter(parent=OuterRef("pk"))),
        )
    )
    ids = empty.order_by("pk").values_list("pk", flat=True)
    return _delete(ids, SyncRun, RUNS_AT_ONCE)


def _results(before: datetime) -> int:
    old = Task.objects.filter(stopped__lt=now() - RESULTS_KEPT)
    return _delete(old.order_by("stopped").values_list("pk", flat=True), Task)


def _delete(ids: QuerySet[Any, Any], model: Any, size: int | None = None) -> int:
    some: Sequence[Any] = list(ids[: size or AT_ONCE])
    if not some:
        return 0
    model.objects.filter(pk__in=some).delete()
    return len(some)
