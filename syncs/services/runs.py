"""Start, do, queue and stop runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from graphlib import CycleError, TopologicalSorter

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django_q.tasks import async_task

from connections.catalogue import Code, remedy_for
from syncs.models import ObjectSync, SyncRun
from syncs.models.choices import (
    ENDED_STATUSES,
    OPEN_STATUSES,
    ChangeOutcome,
    Status,
    Trigger,
)
from syncs.run.child import (
    WAIT_STEP_S,
    Progress,
    beat,
    close_abandoned,
    let_be,
    refuse_busy,
    run_child,
)
from syncs.run.closing import closes, reopen
from syncs.run.lease import holder, holder_is_dead
from syncs.run.session import SliceOver, now
from syncs.run.stage import make_stages

WOKEN_AFTER = timedelta(minutes=5)  # a queue may well be so long
WORST_FIRST = (
    Status.FAILED,
    Status.HELD,
    Status.CANCELLED,
    Status.PARTIAL,
    Status.SUCCEEDED,
)


class RunError(Exception):
    """A run that cannot start; nothing was changed."""

    def __init__(self, code: str, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.remedy = remedy_for(code) if remedy is None else remedy


def _targets(syncs: Sequence[ObjectSync]) -> Mapping[int, set[int]]:
    """By sync, the others of these that must come before it."""
    ids = [sync.pk for sync in syncs]
    wanted: dict[int, set[int]] = {i: set() for i in ids}
    for stage in make_stages():
        for sync_id, before in stage.targets(ids).items():
            wanted[sync_id] |= before & set(ids) - {sync_id}
    return wanted


def in_order(syncs: Sequence[ObjectSync]) -> list[ObjectSync]:
    """Syncs that others point to first; a cycle keeps the given order."""
    by_id = {sync.pk: sync for sync in syncs}
    wanted = {i: set(before) for i, before in _targets(syncs).items()}
    while True:
        sorter = TopologicalSorter({i: sorted(b) for i, b in wanted.items()})
        try:
            return [by_id[i] for i in sorter.static_order()]
        except CycleError as exc:
            chain: list[int] = exc.args[1]
            wanted[chain[1]].discard(chain[0])


def start(
    *,
    syncs: Sequence[ObjectSync],
    trigger: Trigger,
    dry_run: bool = False,
    full: bool = False,
    limit: int | None = None,
    wait: bool = False,
    plan: SyncRun | None = None,
    sweep: bool = True,
    user: AbstractBaseUser | None = None,
) -> SyncRun:
    """Make a run and its children, in dependency order; nothing is read or written yet.

    Raises: RunError when there is nothing to run.
    """
    if not syncs:
        raise RunError(Code.TARGET_NOT_SYNCED, "There is no sync to run.")
    close_abandoned()
    common = {
        "trigger": trigger,
        "dry_run": dry_run,
        "full": full,
        "limit": limit,
        "wait": wait,
        "sweep": sweep,
        "started_by": user,
    }
    apps = {sync.app_id for sync in syncs}
    plans = {c.sync_id: c for c in plan.children.all()} if plan else {}
    ordered = in_order(syncs)
    undo = plan is not None and plan.undo_of_id is not None
    with transaction.atomic():
        run = SyncRun.objects.create(
            app=syncs[0].app if len(apps) == 1 else None,
            plan=plan,
            undo_of_id=plan.undo_of_id if plan else None,
            **common,
        )
        for sync in reversed(ordered) if undo else ordered:
            planned = plans.get(sync.pk)
            SyncRun.objects.create(
                parent=run,
                app=sync.app,
                sync=sync,
                revision=sync.revision,
                plan=planned,
                undo_of_id=planned.undo_of_id if planned else None,
                **common,
            )
    return run


def plan_run(run_id: int) -> tuple[SyncRun, list[SyncRun]]:
    """The dry run whose plan may be applied, and which of its children.

    Args: run_id, a run's id (all its children that were not applied yet) or a child's.
    Raises: RunError when it is none, is not done, was applied, or the set-up changed.
    """
    found = (
        SyncRun.objects.filter(pk=run_id).select_related("parent", "sync__app").first()
    )
    if found is None:
        raise RunError(Code.CHANGED_SINCE_PLAN, f"There is no run {run_id}.")
    run = found.parent or found
    children = [found]
    if found.parent is None:
        children = list(run.children.select_related("sync__app").order_by("pk"))
    done = (Status.SUCCEEDED, Status.PARTIAL)
    if not run.dry_run or any(child.status not in done for child in children):
        raise RunError(
            Code.CHANGED_SINCE_PLAN, f"Run {run_id} is not a finished dry run."
        )
    # A run that was busy or cancelled before it began has applied nothing.
    never_began = Q(attempts=0, status__in=ENDED_STATUSES)
    children = [c for c in children if not c.applied_by.exclude(never_began).exists()]
    if not children:
        raise RunError(Code.CHANGED_SINCE_PLAN, f"Run {run_id} was applied already.")
    for child in children:
        sync = child.sync
        if sync is None or sync.revision != child.revision or not sync.set_up:
            raise RunError(
                Code.CHANGED_SINCE_PLAN,
                f"The set-up changed since run {child.pk} was planned.",
            )
    return run, children


def execute(
    run: SyncRun,
    *,
    progress: Progress | None = None,
    deadline: float | None = None,
) -> SyncRun:
    """Do a run here and now; its row says how it went.

    A run that is over, or that another worker has begun, is left alone.
    Raises: SliceOver when `deadline` (monotonic seconds) passed and there is more to do.
    """
    if not _claim(run):
        return run
    try:
        _children(run, progress, deadline)
        if reopen(run):
            _children(run, progress, deadline)
    except SliceOver:
        run.status = Status.QUEUED
        run.save(update_fields=["status"])
        raise
    except BaseException:
        run.children.filter(status=Status.QUEUED).update(
            status=Status.CANCELLED, finished_at=now()
        )
        _close(run)
        raise
    _close(run)
    return run


def _children(run: SyncRun, progress: Progress | None, deadline: float | None) -> None:
    for child in run.children.order_by("pk"):
        if child.open:
            _child(run, child, progress, deadline)


def _claim(run: SyncRun) -> bool:
    """Take a waiting run; False if somebody else has it. A task may well come twice."""
    moment = now()
    claimed = SyncRun.objects.filter(pk=run.pk, status=Status.QUEUED).update(
        status=Status.RUNNING,
        started_at=Coalesce("started_at", moment),
        heartbeat_at=moment,
        holder=holder(),
    )
    run.refresh_from_db()
    return bool(claimed)


def _before(run: SyncRun, sync_id: int | None) -> bool:
    """Whether an earlier run is at work that has this sync, too, and has still to do it.

    It will do the whole of what it was asked for: taking one sync out of its middle would
    leave both runs with half, and links without their ends.
    """
    others = SyncRun.objects.filter(
        status__in=OPEN_STATUSES,
        started_at__isnull=False,
        parent=None,
        children__sync=sync_id,
        children__status__in=OPEN_STATUSES,
    ).exclude(pk=run.pk)
    mine = (run.started_at, run.pk)
    return any((o.started_at, o.pk) < mine and _goes_on(o) for o in others)


def _goes_on(run: SyncRun) -> bool:
    """Whether a run that has begun is at work, or waits for its next slice."""
    if run.status == Status.RUNNING:
        return not holder_is_dead(run.holder)
    return run.queued_at is not None and run.queued_at > now() - 3 * WOKEN_AFTER


def _child(
    run: SyncRun, child: SyncRun, progress: Progress | None, deadline: float | None
) -> None:
    if _cancelled(run, child):
        return
    while _before(run, child.sync_id):
        if not run.wait:
            (let_be if closes(child) else refuse_busy)(child)
            return
        beat(run)
        if _cancelled(run, child):
            return
        if deadline is not None and time.monotonic() > deadline:
            raise SliceOver
        time.sleep(WAIT_STEP_S)
    if run.plan_id is not None and child.plan_id is None:
        child.status, child.finished_at = Status.SUCCEEDED, now()
        child.save(update_fields=["status", "finished_at"])
        return
    run_child(child, progress, deadline)


def _cancelled(run: SyncRun, child: SyncRun) -> bool:
    """End a child that has not begun if somebody asked the run to stop."""
    run.refresh_from_db(fields=["cancel_requested"])
    if run.cancel_requested:
        child.status, child.finished_at = Status.CANCELLED, now()
        child.save(update_fields=["status", "finished_at"])
    return run.cancel_requested


def _close(run: SyncRun) -> None:
    children = list(run.children.all())
    ended = [Status.FAILED if c.open else c.status for c in children]
    run.status = next((s for s in WORST_FIRST if s in ended), Status.SUCCEEDED)
    worst = next((c for c in children if c.status == run.status and c.error_code), None)
    if worst is not None:
        run.error_code, run.error_text = worst.error_code, worst.error_text
    run.finished_at = now()
    run.save(update_fields=["status", "error_code", "error_text", "finished_at"])


def enqueue(run: SyncRun) -> None:
    """Hand a run to the task cluster once this transaction is committed."""
    SyncRun.objects.filter(pk=run.pk).update(queued_at=now())
    transaction.on_commit(
        partial(async_task, "syncs.tasks.run_sync", run.pk, task_name=f"run {run.pk}")
    )


def wake() -> int:
    """Tell the task cluster again of runs that wait although their time has come.

    A task can be lost; the run's row is what counts. Returns how many were woken.
    """
    moment = now()
    # A time to come was written before the clock was put back.
    lost = Q(queued_at__lt=moment - WOKEN_AFTER) | Q(queued_at__gt=moment + WOKEN_AFTER)
    waiting = SyncRun.objects.filter(lost, status=Status.QUEUED, parent=None)
    for run in waiting:
        enqueue(run)
    return len(waiting)


def cancel(run: SyncRun) -> None:
    """Ask a run to stop at the next place where nothing is half done."""
    SyncRun.objects.filter(pk=run.pk).update(cancel_requested=True)
    run.children.update(cancel_requested=True)
    family = SyncRun.objects.filter(Q(pk=run.pk) | Q(parent=run.pk))
    family.filter(status=Status.QUEUED).update(
        status=Status.CANCELLED, finished_at=now()
    )


def pause(sync: ObjectSync) -> None:
    """Start no scheduled runs of a sync any more."""
    ObjectSync.objects.filter(pk=sync.pk).update(paused=True)


def resume(sync: ObjectSync) -> None:
    """Start scheduled runs again, the next at once."""
    ObjectSync.objects.filter(pk=sync.pk).update(paused=False, due_at=now())


def applicable(run: SyncRun) -> bool:
    """Whether a run is a preview whose plan can still be applied."""
    try:
        _, children = plan_run(run.pk)
    except RunError:
        return False
    return any(
        child.changes.filter(outcome=ChangeOutcome.PLANNED).exists()
        for child in children
    )
