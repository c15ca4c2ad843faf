"""What a run's page counts: its work, its parts, and its pace while it is at work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Count
from django.utils import timezone

from connections.admin.base import page_url
from connections.records import Side
from connections.templatetags.crosslink import spoken
from syncs.admin.health import records_url
from syncs.models import Change, SyncRun
from syncs.models.choices import ChangeKind, Status
from syncs.run.tally import LINK_WORK, WORK

WRITTEN = ("created", "updated", "archived")
# By what a run calls them: while at it, what it counts then; and once they are over.
STEPS = {
    "reading": ("Reading both sides", "records"),
    "matching": ("Matching records", "keys"),
    "planning": ("Comparing both sides", "records"),
    "writing": ("Writing records", "changes"),
    "writing links": ("Writing links", "changes"),
    "finishing": ("Counting what stands", ""),
}
PHASES = {
    "read": "Reading both sides",
    "recover": "Settling what earlier runs left",
    "match": "Matching records",
    "plan": "Comparing both sides",
    "write": "Writing",
}
DONE = {
    ChangeKind.CREATE: ("record", "created"),
    ChangeKind.UPDATE: ("record", "updated"),
    ChangeKind.ARCHIVE: ("record", "archived"),
    ChangeKind.LINK: ("link", "added"),
    ChangeKind.UNLINK: ("link", "removed"),
    ChangeKind.RELABEL: ("link", "relabelled"),
}
SETTLED_S = 3.0  # of a step, before its pace says anything
LONG_WAIT_S = 60.0  # in the queue, before the page asks whether a task cluster runs


def summed(counters: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several runs' work in one."""
    total: dict[str, Any] = {name: {"hubspot": 0, "app": 0} for name in WORK}
    total["associations"] = {name: {"hubspot": 0, "app": 0} for name in LINK_WORK}
    for one in counters:
        for name in WORK:
            for side, count in one.get(name, {}).items():
                total[name][side] += count
        for name in LINK_WORK:
            for side, count in one.get("associations", {}).get(name, {}).items():
                total["associations"][name][side] += count
    return total


def planned(runs: Iterable[SyncRun], **chosen: Any) -> list[str]:
    """What the plans of some parts of runs would write, a line for each system.

    Args: chosen, which changes of them.
    """
    rows = Change.objects.filter(run__in=[run.pk for run in runs], **chosen)
    counts = rows.order_by().values_list("side", "run__app__name", "kind")
    found: dict[str, Counter[str]] = {}
    for side, app, kind, count in counts.annotate(Count("pk")):
        system = "HubSpot" if side == Side.HUBSPOT else app or "The app"
        found.setdefault(system, Counter())[kind] += count
    return [
        f"{system}: " + ", ".join(_counted(kind, by[kind]) for kind in DONE if by[kind])
        for system, by in sorted(found.items(), key=lambda one: one[0] != "HubSpot")
    ]


def _counted(kind: ChangeKind, count: int) -> str:
    noun, done = DONE[kind]
    return f"{count:,} {noun}{'' if count == 1 else 's'} {done}"


def records_written(work: dict[str, Any]) -> int:
    return sum(sum(work.get(name, {}).values()) for name in WRITTEN)


def links_written(work: dict[str, Any]) -> int:
    return sum(sum(by.values()) for by in work.get("associations", {}).values())


def work_table(work: dict[str, Any]) -> list[tuple[str, int, int]]:
    """A run's work by side, for people."""
    rows = [
        ("Records read", work["read"]),
        *((f"Records {name}", work[name]) for name in WRITTEN),
        *((f"Links {name}", work["associations"][name]) for name in LINK_WORK),
        ("API calls", work["api_calls"]),
    ]
    return [(label, by["hubspot"], by["app"]) for label, by in rows]


def part(run: SyncRun) -> dict[str, Any]:
    """One child run: what it did, what stands after it, and how far it is."""
    done, total = run.progress_done, max(run.progress_total, run.progress_done)
    spent = run.duration_s
    if run.status == Status.RUNNING and run.started_at:
        spent = (timezone.now() - run.started_at).total_seconds()
    links: dict[str, int] = run.totals.get("associations", {})
    return {
        "run": run,
        "url": page_url(run),
        "records_url": records_url(run.sync_id) if run.sync_id else "",
        "step": STEPS.get(run.phase, (run.phase.capitalize(), ""))[0],
        "done": done,
        "total": total,
        "seconds": round(spent, 1),
        "records": records_written(run.counters),
        "links_written": links_written(run.counters),
        "links": links,
        "open": run.open,
    }


def timings(parts: Sequence[SyncRun]) -> list[tuple[str, float, int]]:
    """Seconds by phase, with each one's share in per cent."""
    spent: dict[str, float] = {}
    for run in parts:
        for phase, seconds in run.timings.items():
            spent[phase] = spent.get(phase, 0.0) + seconds
    whole = sum(spent.values()) or 1.0
    return [
        (PHASES.get(phase, phase.capitalize()), seconds, round(100 * seconds / whole))
        for phase, seconds in spent.items()
    ]


def errors(parts: Sequence[SyncRun]) -> list[dict[str, Any]]:
    """Errors of all parts by code, the most frequent first."""
    found: dict[str, dict[str, Any]] = {}
    for run in parts:
        for error in run.errors:
            kept = found.setdefault(error["code"], {**error, "count": 0})
            kept["count"] += error["count"]
    return sorted(found.values(), key=lambda e: (-e["count"], e["code"]))


# At work ---------------------------------------------------------------------------------


def live(run: SyncRun, parts: Sequence[SyncRun], work: dict[str, Any]) -> Any:
    """What a run at work shows above all else; None once it is over."""
    if not run.open:
        return None
    moment = timezone.now()
    at_work = next((p for p in parts if p.status == Status.RUNNING), None)
    waits = sum(p.status == Status.QUEUED for p in parts)
    found: dict[str, Any] = {
        "records": records_written(work),
        "links": links_written(work),
        "read": sum(work["read"].values()),
        "calls": work["api_calls"],
        "waits": waits,
        "lonely": at_work is None and _seconds(run.queued_at, moment) > LONG_WAIT_S,
        "part": None,
    }
    if at_work is not None:
        found |= {"part": at_work, **_pace(at_work, moment)}
    return found


def _pace(run: SyncRun, moment: datetime) -> dict[str, Any]:
    """The step that a part is at, how fast it goes, and how long it will take."""
    label, unit = STEPS.get(
        run.phase, (run.phase.capitalize() or "Starting", "records")
    )
    done, total = run.progress_done, run.progress_total
    if run.phase == "reading":
        done, total = sum(run.counters.get("read", {}).values()), 0
    spent = _seconds(run.phase_at, moment)
    gone = max(done - run.phase_from, 0)
    rate = (
        gone / spent if spent >= SETTLED_S and unit in ("records", "changes") else 0.0
    )
    left = (total - done) / rate if rate and total > done else None
    return {
        "step": label,
        "unit": unit,
        "done": done,
        "total": max(total, done) if total else 0,
        "rate": _figures(rate),
        "left": f"about {spoken(left)}" if left is not None else "",
    }


def _figures(rate: float) -> str:
    """A rate to as many places as people read; "" where none is known."""
    if not rate:
        return ""
    return (
        f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}" if rate >= 0.1 else "under 0.1"
    )


def _seconds(since: datetime | None, until: datetime) -> float:
    return (until - since).total_seconds() if since is not None else 0.0
