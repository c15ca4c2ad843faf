"""The JSON that `sync --json` prints."""

from __future__ import annotations

from typing import Any

from syncs.models import SyncRun
from syncs.models.choices import RECORD_KINDS, ChangeOutcome
from syncs.run.tally import Tally

LISTED = 10_000  # links of a preview; the run's page has them all
NO_LINKS = {"in_sync": 0, "pending": 0, "skipped": 0, "failing": 0}
NO_TOTALS: dict[str, Any] = {
    "matched": 0,
    "in_sync": 0,
    "excluded": 0,
    "failing": 0,
    "waiting": 0,
    "awaiting": {"deletes": 0, "conflicts": 0},
    "held": 0,
}


def report(run: SyncRun) -> dict[str, Any]:
    """A run and its children as plain values."""
    children = run.children.select_related("app", "sync").order_by("pk")
    return {
        "run": run.pk,
        "status": run.status,
        "dry_run": run.dry_run,
        "duration_s": round(run.duration_s, 1),
        "syncs": [_child(child) for child in children],
    }


def planned_links(run: SyncRun) -> tuple[list[dict[str, Any]], int]:
    """The links that a preview would add, remove or relabel, each with its reason.

    Returns: at most LISTED of them, and how many are left out.
    """
    rows = run.changes.filter(outcome=ChangeOutcome.PLANNED).exclude(
        kind__in=RECORD_KINDS
    )
    names = (
        "kind",
        "side",
        "record",
        "other_record",
        "association_type",
        "reason",
        "rule",
    )
    found = list(rows.order_by("pk").values(*names)[: LISTED + 1])
    left = rows.count() - LISTED if len(found) > LISTED else 0
    return found[:LISTED], left


def _final(run: SyncRun) -> int:
    """How many of a run's writes, done or planned, cannot be undone."""
    rows = run.changes.filter(
        outcome__in=(ChangeOutcome.PLANNED, ChangeOutcome.HELD, ChangeOutcome.APPLIED)
    )
    return rows.filter(undoable=False).count()


def _child(run: SyncRun) -> dict[str, Any]:
    work = Tally(run.counters).counters
    totals = NO_TOTALS | {k: v for k, v in run.totals.items() if k != "associations"}
    links = NO_LINKS | run.totals.get("associations", {})
    found = {
        "app": run.app.name if run.app else "",
        "sync": run.sync.name if run.sync else "",
        "run": run.pk,
        "status": run.status,
        "read": work["read"],
        **totals,
        "created": work["created"],
        "updated": work["updated"],
        "archived": work["archived"],
        "associations": {**work["associations"], **links},
        "api_calls": work["api_calls"],
        "not_undoable": _final(run),
        "errors": run.errors,
    }
    if run.dry_run:
        found["edges"], found["edges_left_out"] = planned_links(run)
    return found
