"""How many records are in and out of a draft's filters, counted live."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from associations.drafts.looking import Look
from associations.drafts.sampling import Sample, sample
from connections.records import Side
from syncs.engine.filters import Condition, condition, judge
from syncs.models import SyncDraft

Json = dict[str, Any]


def count(draft: SyncDraft, look: Look) -> None:
    """Count records in and out, and keep the numbers on the draft.

    Raises: ConnectorError.
    """
    assert look.settled is not None, "both objects are known"
    asked = conditions(look)
    names = {side: {one.field.name for one in asked[side]} for side in Side}
    samples = sample(draft.app, look.objects, names, look.settled.timezone)
    found: Json = {
        "at": timezone.now().isoformat(timespec="seconds"),
        "filters": draft.tree.get("filters") or {},
        **{str(side): _counted(samples[side], asked[side]) for side in Side},
    }
    draft.findings = draft.findings | {"scope": found}
    draft.save(update_fields=["findings"])


def shown_count(draft: SyncDraft) -> Json | None:
    """What was counted last; `stale` where the filters are others by now."""
    found = draft.findings.get("scope")
    if not found:
        return None
    return {**found, "stale": found["filters"] != (draft.tree.get("filters") or {})}


def conditions(look: Look) -> dict[Side, list[Condition]]:
    """The filters, ready to judge with. Raises: ValueProblem for one that is wrong."""
    assert look.settled is not None
    zone = ZoneInfo(look.settled.timezone)
    found: dict[Side, list[Condition]] = {side: [] for side in Side}
    for spec in look.settled.filters:
        field = look.objects[spec.side].field(spec.field)
        if field is not None:
            found[spec.side].append(condition(field, spec.operator, spec.value, zone))
    return found


def _counted(found: Sample, asked: Iterable[Condition]) -> Json:
    now, rules = timezone.now(), list(asked)
    verdicts = [
        judge(rules, record.values, {}, now).inside is True if rules else True
        for record in found.records
    ]
    inside = sum(verdicts)
    return {
        "in": inside,
        "out": len(verdicts) - inside,
        "complete": found.complete,
    }
