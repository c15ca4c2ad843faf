"""What lists and pages say of a sync: its state, its counts, its last run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from connections.admin.base import page_url
from connections.templatetags.crosslink import badge
from syncs.models import ObjectSync, SyncRun
from syncs.models.choices import COUNTED_STATUSES, Direction

ARROWS = {Direction.TWO_WAY: "↔", Direction.TO_HUBSPOT: "→", Direction.TO_APP: "←"}


def with_runs(rows: QuerySet[ObjectSync]) -> QuerySet[ObjectSync]:
    """Add the ids of each sync's last run, and of the last that counted its records.

    Counts are the totals that the run left: counting a million record links for a list
    would be slow, and only a run changes them.
    """
    runs = SyncRun.objects.filter(sync=OuterRef("pk")).order_by("-pk")
    counted = runs.filter(status__in=COUNTED_STATUSES, dry_run=False)
    return rows.annotate(
        last_run_id=Subquery(runs.values("pk")[:1]),
        counted_run_id=Subquery(counted.values("pk")[:1]),
    )


@dataclass
class Health:
    """One sync as people see it."""

    sync: ObjectSync
    last_run: SyncRun | None = None
    totals: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        sync = self.sync
        if not sync.enabled or sync.archived_at:
            return "off"
        return "paused" if sync.paused or sync.app.paused else "on"

    @property
    def objects(self) -> str:
        arrow = ARROWS[Direction(self.sync.direction)]
        return f"{self.sync.app_object} {arrow} {self.sync.hubspot_object}"

    @property
    def counted(self) -> bool:
        return bool(self.totals)

    @property
    def links(self) -> dict[str, int]:
        found: dict[str, int] = self.totals.get("associations", {})
        return found

    def count(self, name: str) -> int:
        return int(self.totals.get(name, 0))

    @property
    def in_sync(self) -> int:
        return self.count("in_sync")

    @property
    def failing(self) -> int:
        return self.count("failing")

    @property
    def excluded(self) -> int:
        return self.count("excluded")

    @property
    def waiting(self) -> int:
        return self.count("waiting")

    @property
    def url(self) -> str:
        return page_url(self.sync)

    @property
    def records_url(self) -> str:
        return records_url(self.sync.pk)


def records_url(sync_id: int) -> str:
    """The list of a sync's records."""
    return f"{reverse('admin:syncs_recordlink_changelist')}?sync={sync_id}"


def healths(syncs: Iterable[ObjectSync]) -> list[Health]:
    """Syncs from `with_runs`, with what their runs say; one query for all."""
    rows = list(syncs)
    wanted = {
        pk
        for sync in rows
        for pk in (sync.last_run_id, sync.counted_run_id)  # type: ignore[attr-defined]
        if pk
    }
    runs = (
        SyncRun.objects.filter(pk__in=wanted)
        .only(
            "parent",
            "status",
            "dry_run",
            "created_at",
            "finished_at",
            "totals",
            "error_code",
        )
        .in_bulk()
    )
    found = []
    for sync in rows:
        counted = runs.get(sync.counted_run_id)  # type: ignore[attr-defined]
        last = runs.get(sync.last_run_id)  # type: ignore[attr-defined]
        found.append(Health(sync, last, counted.totals if counted else {}))
    return found


def run_badge(run: SyncRun | None) -> SafeString:
    """A run's state, linked to its page."""
    if run is None:
        return badge("untested", "No run yet")
    return format_html(
        '<a href="{}" title="{}">{}</a>',
        page_url(run),
        run.error_code,
        badge(run.status, run.get_status_display()),
    )
