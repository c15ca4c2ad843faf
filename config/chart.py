"""What was done on the last days, for the first page's chart."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Count, IntegerField, Max, Q, Sum
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Coalesce, TruncDate
from django.utils import timezone

from connections.records import Side
from syncs.models import SyncRun

DAYS = 7
MOST = 20_000  # runs looked at, the latest
KINDS = ("created", "updated", "archived")


def last_days() -> list[dict[str, Any]]:
    """Runs and records written, by day, today last; one query over the latest runs."""
    today = timezone.localdate()
    first = today - timedelta(days=DAYS - 1)
    latest = SyncRun.objects.aggregate(pk=Max("pk"))["pk"] or 0
    rows = (
        SyncRun.objects.filter(pk__gt=latest - MOST, dry_run=False)
        .annotate(day=TruncDate("created_at"))
        .filter(day__gte=first)
        .values("day")
        .annotate(runs=Count("pk", filter=Q(parent=None)), written=_written())
        .order_by("day")
    )
    known = {row["day"]: (row["runs"], int(row["written"] or 0)) for row in rows}
    if not known:
        return []
    days = [first + timedelta(days=n) for n in range(DAYS)]
    figures = [known.get(day, (0, 0)) for day in days]
    most = max(written for _, written in figures) or 1
    return [
        {"day": day, "runs": runs, "written": written, "most": most}
        for day, (runs, written) in zip(days, figures, strict=True)
    ]


def _written() -> Any:
    """The records that the runs' parts wrote, both sides together."""
    of_parts = Q(parent__isnull=False)
    total: Any = None
    for kind in KINDS:
        for side in Side:
            number = Cast(
                KeyTextTransform(side.value, KeyTransform(kind, "counters")),
                IntegerField(),
            )
            part = Coalesce(Sum(number, filter=of_parts), 0)
            total = part if total is None else total + part
    return total
