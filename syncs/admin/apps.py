"""Connected apps with what they sync."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from connections.admin import ConnectedAppAdmin
from connections.admin.base import Button, page_url
from connections.models import ConnectedApp
from connections.templatetags.crosslink import badge
from syncs.admin.actions import (
    CHANGE_SYNCS,
    pause_apps,
    pause_buttons,
    resume_apps,
    run_buttons,
)
from syncs.admin.health import healths, with_runs
from syncs.admin.pairing import resync_button
from syncs.models import ObjectSync, SyncRun
from syncs.models.choices import Status

BAD = (Status.FAILED, Status.PARTIAL, Status.HELD)


def syncs_of(apps: Iterable[ConnectedApp]) -> Sequence[ObjectSync]:
    """All syncs of some apps that are on."""
    rows = ObjectSync.objects.filter(app__in=list(apps), enabled=True, archived_at=None)
    return list(rows.select_related("app"))


class SyncedAppAdmin(ConnectedAppAdmin):
    """Connected apps (H): what is connected, how it fares, what it syncs."""

    change_form_outer_before_template = "crosslink/app.html"
    list_display = ["name", "kind", "hubspot", "syncs_on", "health", "last_run"]
    buttons: Sequence[Button] = (
        *run_buttons(syncs_of),
        resync_button(syncs_of),
        *pause_buttons(pause_apps, resume_apps, CHANGE_SYNCS),
        *ConnectedAppAdmin.buttons,
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConnectedApp]:
        last = SyncRun.objects.filter(app=OuterRef("pk")).order_by("-pk")
        on = Q(syncs__enabled=True, syncs__paused=False, syncs__archived_at=None)
        return (
            super()
            .get_queryset(request)
            .annotate(
                on_count=Count("syncs", filter=on),
                last_run_id=Subquery(last.values("pk")[:1]),
                last_status=Subquery(last.values("status")[:1]),
                last_at=Subquery(last.values("created_at")[:1]),
            )
        )

    @admin.display(description="syncs on", ordering="on_count")
    def syncs_on(self, obj: Any) -> int:
        return int(obj.on_count)

    @admin.display(description="health")
    def health(self, obj: Any) -> SafeString:
        if obj.test_code:
            return badge("error", obj.test_code)
        if obj.paused:
            return badge("paused")
        if obj.last_status in BAD:
            return badge(obj.last_status)
        return badge("ok", "Healthy") if obj.last_status else badge("untested", "New")

    @admin.display(description="last run", ordering="last_at")
    def last_run(self, obj: Any) -> SafeString | str:
        if obj.last_run_id is None:
            return "—"
        return format_html(
            '<a href="{}">{} ago</a>',
            page_url(SyncRun(pk=obj.last_run_id)),
            timesince(obj.last_at, depth=1),
        )

    def panel(self, request: HttpRequest, owner: ConnectedApp) -> dict[str, Any]:
        rows = ObjectSync.objects.filter(app=owner, archived_at=None)
        may_see = request.user.has_perm("syncs.view_objectsync")
        runs = SyncRun.objects.filter(app=owner, parent=None)
        return {
            **super().panel(request, owner),
            "healths": healths(with_runs(rows.select_related("app")))
            if may_see
            else [],
            "runs": list(runs.select_related("started_by")[:5]) if may_see else [],
            "may_add_syncs": request.user.has_perm("syncs.add_objectsync"),
        }


admin.site.register(ConnectedApp, SyncedAppAdmin)
