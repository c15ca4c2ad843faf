"""What waits for a person: held plans, deletions, conflicts; approve it or drop it.

Approving moves the chosen changes, as they are, to a run of their own. It reads both
sides first and leaves out, as drifted, whatever moved since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models import Count, Q, QuerySet

from connections.catalogue import Code
from connections.records import Side
from syncs.models import Change, ObjectSync, RecordLink, SyncRun
from syncs.models.choices import Awaiting, ChangeOutcome, Trigger
from syncs.run import review
from syncs.run.holding import VANISHED, held_runs, waiting_of
from syncs.run.session import now
from syncs.services import conflicts
from syncs.services.runs import RunError, in_order


def waiting(what: Awaiting | None = None) -> QuerySet[Change]:
    """Changes that wait for a person, oldest first."""
    rows = _held().exclude(awaiting="")
    if what is not None:
        rows = rows.filter(awaiting=what)
    return rows.select_related("sync__app", "link", "run").order_by("pk")


def _held() -> QuerySet[Change]:
    """What waits, but for syncs that are not set up any more."""
    rows = Change.objects.filter(outcome=ChangeOutcome.HELD)
    gone = not_set_up()
    return rows.exclude(sync__in=gone) if gone else rows


def not_set_up() -> list[int]:
    """Syncs whose file or app left them out: nothing of them is asked any more."""
    gone = Q(archived_at__isnull=False) | Q(app__archived_at__isnull=False)
    return list(ObjectSync.objects.filter(gone).values_list("pk", flat=True))


def held_children(run_id: int) -> list[SyncRun]:
    """The parts of a run that wait for a person.

    Args: run_id, a run's id or a child's.
    Raises: RunError when there is no such run, or nothing of it waits.
    """
    run = SyncRun.objects.filter(pk=run_id).first()
    if run is None:
        raise RunError(Code.HELD_BY_LIMITS, f"There is no run {run_id}.", remedy="")
    rows = held_runs().select_related("sync__app", "app").order_by("pk")
    found = list(
        rows.filter(parent=run) if run.parent_id is None else rows.filter(pk=run.pk)
    )
    if not found:
        raise RunError(
            Code.HELD_BY_LIMITS,
            f"Nothing of run {run_id} waits for approval: it was not held, was decided, "
            "or a newer run took its place.",
            remedy="Look at what waits now with approve --list.",
        )
    return found


def waits(run: SyncRun) -> bool:
    """Whether something of a run waits for a person."""
    family = Q(pk=run.pk) | Q(parent=run.pk)
    return held_runs().filter(family).exists()


def counted(most: int) -> dict[str, int]:
    """How many runs, deletions and conflicts wait, each counted up to `most`.

    A conflict has a row for each side that could win.
    """
    rows = _held().order_by()
    found = {"runs": held_runs().count()}
    for what in (Awaiting.DELETES, Awaiting.CONFLICTS):
        some = rows.filter(awaiting=what).values_list("link", "mapping_key")
        found[str(what)] = len(set(some.distinct()[:most]))
    return found


def all_held() -> list[SyncRun]:
    """Every part of a run that waits for a person, the latest first."""
    return list(held_runs().select_related("sync__app", "app").order_by("-pk"))


def outcomes(run: SyncRun) -> dict[str, int]:
    """What became of a run's changes: {outcome: how many}."""
    rows = Change.objects.filter(run__in=run.children.values("pk")).order_by()
    return dict(rows.values_list("outcome").annotate(Count("pk")))


def approve_run(
    run_id: int,
    *,
    only: Sequence[int] = (),
    trigger: Trigger,
    user: AbstractBaseUser | None = None,
) -> SyncRun:
    """Make the run that writes a held plan, or those changes of it.

    Where records seem to have vanished all at once, it takes them for gone.
    Raises: RunError when nothing waits, a change is not among it, or the set-up changed.
    """
    held = held_children(run_id)
    for child in held:
        assert child.sync is not None, "a held run has a sync"
        if child.sync.revision != child.revision:
            raise RunError(
                Code.CHANGED_SINCE_PLAN,
                f"The set-up changed since run {child.pk} was planned.",
            )
    rows = _only(_of(held), only)
    by_sync = {child.sync_id: child for child in held}
    chosen = {child.sync_id for child in held if VANISHED in child.held and not only}
    chosen |= set(rows.order_by().values_list("sync", flat=True).distinct())
    with transaction.atomic():
        run = _begin([by_sync[i].sync for i in chosen], trigger, user)
        for child in run.children.all():
            old = by_sync[child.sync_id]
            if VANISHED in old.held:
                child.approved, child.full, child.accepts_vanished = False, True, True
            else:
                child.plan = old
                _hand_over(rows.filter(run=old), child)
            child.save()
            _decided(old, f"Approved: run {run.pk} writes it.")
    return run


def drop_run(run_id: int, *, only: Sequence[int] = ()) -> int:
    """Give up a held plan, or those changes of it; the next run decides anew.

    Returns: how many changes were dropped. Raises: RunError as `approve_run`.
    """
    held = held_children(run_id)
    rows = _only(_of(held), only)
    mine = set(rows.order_by().values_list("run", flat=True).distinct())
    with transaction.atomic():
        dropped = _drop(rows)
        for child in held:
            if child.pk in mine or not only:  # else it waits for something else
                _decided(child, f"{dropped} changes dropped by a person.")
    return dropped


def approve_queue(
    what: Awaiting,
    *,
    app_id: int | None = None,
    only: Sequence[int] = (),
    take: Side | None = None,
    trigger: Trigger,
    user: AbstractBaseUser | None = None,
) -> SyncRun:
    """Make the run that writes what waits in a queue, or those changes of it.

    Args: take, of conflicts without `only`: whose values are taken, HubSpot's if not said.
    Raises: RunError when nothing waits or a change is not among it, or where both values
    of one field are chosen.
    """
    rows = _queue(what, app_id, only)
    if what == Awaiting.CONFLICTS:
        rows = conflicts.chosen(rows, only=only, take=take)
    ids = set(rows.order_by().values_list("sync", flat=True).distinct())
    syncs = list(ObjectSync.objects.filter(pk__in=ids).select_related("app"))
    with transaction.atomic():
        if what == Awaiting.CONFLICTS:
            review.drop_twins(rows)
        run = _begin(syncs, trigger, user)
        for child in run.children.all():
            _hand_over(rows.filter(sync=child.sync_id), child)
    return run


def drop_queue(
    what: Awaiting, *, app_id: int | None = None, only: Sequence[int] = ()
) -> int:
    """Decide that what waits in a queue is not done, and is not asked again.

    Of a conflict, either value's id means the field: both sides stay as they are.
    Returns: how many changes (of conflicts: fields) were dropped. Raises: RunError as
    `approve_queue`; for conflicts also while a run of their sync is going on.
    """
    rows = _queue(what, app_id, only)
    if what == Awaiting.CONFLICTS:
        return conflicts.drop(rows)
    with transaction.atomic():
        return _drop(rows)


def describe(change: Change) -> dict[str, Any]:
    """A waiting change as `approve --list --json` prints it."""
    link = change.link
    return {
        "id": change.pk,
        "awaiting": change.awaiting,
        "run": change.run.parent_id or change.run_id,
        "app": change.sync.app.name,
        "sync": change.sync.name,
        "side": change.side,
        "kind": change.kind,
        "record": change.record,
        "other_record": change.other_record,
        "hubspot_id": link.hubspot_id if link else None,
        "app_id": link.app_id if link else None,
        "before": change.before,
        "after": change.after,
        "reason": change.reason,
        "rule": change.rule,
        "undoable": change.undoable,
        "undo_text": change.undo_text,
        "since": change.created_at.isoformat(),
    }


# The steps -----------------------------------------------------------------------------


def _of(held: Sequence[SyncRun]) -> QuerySet[Change]:
    return Change.objects.filter(
        run__in=[child.pk for child in held],
        outcome=ChangeOutcome.HELD,
        awaiting=Awaiting.LIMITS,
    )


def _queue(what: Awaiting, app_id: int | None, only: Sequence[int]) -> QuerySet[Change]:
    rows = _held().filter(awaiting=what)
    if app_id is not None:
        rows = rows.filter(sync__app=app_id)
    rows = _only(rows, only)
    if not rows.exists():
        raise RunError(
            Code.HELD_BY_LIMITS, f"No {what} wait for a decision.", remedy=""
        )
    return rows


def _only(rows: QuerySet[Change], only: Sequence[int]) -> QuerySet[Change]:
    """Those of the rows; every id must be among them."""
    if not only:
        return rows
    chosen = rows.filter(pk__in=only)
    missing = sorted(set(only) - set(chosen.values_list("pk", flat=True)))
    if missing:
        raise RunError(
            Code.HELD_BY_LIMITS,
            f"Change {missing[0]} does not wait there.",
            remedy="Take the ids from approve --list --json.",
        )
    return chosen


def _begin(
    syncs: Sequence[ObjectSync | None],
    trigger: Trigger,
    user: AbstractBaseUser | None,
) -> SyncRun:
    """A run that writes only what is handed over to its children, and waits its turn."""
    real = [sync for sync in syncs if sync is not None]
    off = next((sync for sync in real if not sync.enabled), None)
    if off is not None:
        raise RunError(
            Code.TARGET_NOT_SYNCED,
            f"{off} is off, so nothing is written for it.",
            remedy="Set enabled: true first, or drop what waits there.",
        )
    apps = {sync.app_id for sync in real}
    common = {
        "trigger": trigger,
        "started_by": user,
        "approved": True,
        "wait": True,
    }
    run = SyncRun.objects.create(
        app_id=apps.pop() if len(apps) == 1 else None, **common
    )
    for sync in in_order(real):
        SyncRun.objects.create(
            parent=run, app_id=sync.app_id, sync=sync, revision=sync.revision, **common
        )
    return run


def _hand_over(rows: QuerySet[Change], child: SyncRun) -> None:
    rows.update(run=child, outcome=ChangeOutcome.PLANNED, awaiting="", error_code="")


def _drop(rows: QuerySet[Change]) -> int:
    ids = rows.order_by().values("link_id")
    # Of a dropped plan, what moved on either side is decided anew by the next run.
    RecordLink.objects.filter(pk__in=ids).update(dirty=True)
    return rows.update(
        outcome=ChangeOutcome.DROPPED,
        error_text="Dropped by a person.",
        done_at=now(),
    )


def _decided(held: SyncRun, text: str) -> None:
    """Note what became of a held run; what was not decided goes on waiting."""
    if not waiting_of(held).exists():
        SyncRun.objects.filter(pk=held.pk).update(held={})
    held.entries.create(text=text)


__all__ = [
    "all_held",
    "approve_queue",
    "approve_run",
    "counted",
    "describe",
    "drop_queue",
    "drop_run",
    "held_children",
    "not_set_up",
    "outcomes",
    "waiting",
    "waits",
]
