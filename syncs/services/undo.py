"""Take back what a run wrote, as a run of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models import Count, Min, QuerySet

from connections.catalogue import Code
from syncs.models import Change, SyncRun
from syncs.models.choices import ChangeOutcome, Trigger
from syncs.run.child import close_abandoned
from syncs.services.reports import report
from syncs.services.runs import RunError

LEFT = (ChangeOutcome.SKIPPED, ChangeOutcome.DRIFTED)


def start_undo(
    *,
    run_id: int,
    trigger: Trigger,
    dry_run: bool = False,
    wait: bool = False,
    user: AbstractBaseUser | None = None,
) -> SyncRun:
    """Make the run that takes another one back; nothing is read or written yet.

    Args: run_id, a run's id (all its children) or a child's.
    Raises: RunError when there is no such run, or nothing of it to take back.
    """
    close_abandoned()
    run, children = _original(run_id)
    common = {
        "app": run.app,
        "trigger": trigger,
        "dry_run": dry_run,
        "wait": wait,
        "started_by": user,
    }
    with transaction.atomic():
        undo = SyncRun.objects.create(undo_of=run, **common)
        # What others point to came first, and is taken back last.
        for child in sorted(children, key=lambda c: -c.pk):
            assert child.sync is not None
            SyncRun.objects.create(
                parent=undo,
                sync=child.sync,
                revision=child.sync.revision,
                undo_of=child,
                **common,
            )
    return undo


def _original(run_id: int) -> tuple[SyncRun, list[SyncRun]]:
    """A run, and those of its children that something can be taken back of."""
    run = SyncRun.objects.filter(pk=run_id).select_related("sync__app", "app").first()
    if run is None:
        raise _no(f"There is no run {run_id}.")
    if run.dry_run:
        raise _no(f"Run {run_id} is a preview: it wrote nothing.")
    if run.open:
        text = f"Run {run_id} is still going on: wait for its end, or cancel it."
        raise RunError(Code.RUN_OPEN, text)
    family = [run]
    if run.sync_id is None:
        family = list(run.children.select_related("sync__app", "app"))
    wrote = written(family)
    children = [c for c in family if c.pk in wrote and c.sync is not None]
    if not children:
        changes = Change.objects.filter(run__in=[c.pk for c in family])
        if changes.filter(outcome=ChangeOutcome.REVERTED).exists():
            raise _no(f"Run {run_id} was undone already.")
        raise _no(f"Run {run_id} wrote nothing, so there is nothing to undo.")
    gone = [str(c.sync) for c in children if c.sync and not c.sync.set_up]
    if gone:
        raise _no(f"{', '.join(gone)} is not set up any more.")
    return run, children


def _no(text: str) -> RunError:
    return RunError("", text)


def written(family: Sequence[SyncRun]) -> set[int]:
    """Those of some child runs whose writes still stand."""
    applied = Change.objects.filter(
        run__in=[c.pk for c in family], outcome=ChangeOutcome.APPLIED
    )
    return {c.pk for c in family if applied.filter(run=c.pk).exists()}


def undoable(run: SyncRun) -> bool:
    """Whether anything of a run can be asked to be taken back."""
    if run.dry_run or run.open:
        return False
    return bool(written([run] if run.sync_id else list(run.children.all())))


# What came of it -------------------------------------------------------------------------


def left_alone(runs: Sequence[SyncRun]) -> list[dict[str, Any]]:
    """What an undo did not take back: how many of each sort, why, and an example."""
    rows = _left(runs)
    found = (
        rows.values("rule", "error_code", "outcome")
        .annotate(count=Count("pk"), first=Min("pk"))
        .order_by("-count", "rule", "error_code")
    )
    examples = Change.objects.in_bulk([group["first"] for group in found])
    sorted_out: dict[tuple[str, str], dict[str, Any]] = {}
    for group in found:
        drifted = group["outcome"] == ChangeOutcome.DRIFTED
        why = "changed since" if drifted else group["rule"]
        one = examples[group["first"]]
        entry = sorted_out.setdefault(
            (why, group["error_code"]),
            {
                "reason": why,
                "code": group["error_code"],
                "count": 0,
                "example": f"{one.record}: {one.error_text}",
            },
        )
        entry["count"] += group["count"]
    return list(sorted_out.values())


def _left(runs: Sequence[SyncRun]) -> QuerySet[Change]:
    return Change.objects.filter(run__in=[r.pk for r in runs], outcome__in=LEFT)


def taken_back(run: SyncRun) -> int:
    """How many of the original's changes an undo took back, or would."""
    outcome = ChangeOutcome.PLANNED if run.dry_run else ChangeOutcome.APPLIED
    rows = Change.objects.filter(run=run, outcome=outcome)
    lists = rows.values_list("undoes", flat=True).iterator(chunk_size=2000)
    return sum(len(some) for some in lists)


def undo_report(run: SyncRun) -> dict[str, Any]:
    """An undo as plain values: as any run, with what was and what was not taken back."""
    shown = report(run)
    children = {child.pk: child for child in run.children.all()}
    for entry in shown["syncs"]:
        child = children[entry["run"]]
        entry["undo_of"] = child.undo_of_id
        entry["reverted"] = taken_back(child)
        entry["skipped"] = left_alone([child])
    return {
        **shown,
        "undo_of": run.undo_of_id,
        "reverted": sum(entry["reverted"] for entry in shown["syncs"]),
        "skipped": left_alone(list(children.values())),
    }
