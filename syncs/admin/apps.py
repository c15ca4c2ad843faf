"""Connected apps with what they sync: one app has a page for each of its tabs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from connections.admin import ConnectedAppAdmin
from connections.admin.base import Button, page_url
from connections.admin.connections import connection_badge
from connections.models import ConnectedApp
from connections.quotas import shown
from connections.templatetags.crosslink import ago, badge
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
RUNS = 25  # on the tab; the rest stand in the list of all runs
SEE_SYNCS, SEE_RUNS = "syncs.view_objectsync", "syncs.view_syncrun"


def syncs_of(apps: Iterable[ConnectedApp]) -> Sequence[ObjectSync]:
    """All syncs of some apps that are on."""
    rows = ObjectSync.objects.filter(app__in=list(apps), enabled=True, archived_at=None)
    return list(rows.select_related("app"))


class SyncedAppAdmin(ConnectedAppAdmin):
    """Connected apps (H): what is connected, how it fares, what it syncs."""

    change_form_outer_before_template = "crosslink/app_settings.html"
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

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """A list whose rows lead to an app's first tab."""
        plain: Any = super().get_changelist(request, **kwargs)

        class Rows(plain):  # type: ignore[misc]
            def url_for_result(self, result: ConnectedApp) -> str:
                return page_url(result)

        return Rows

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
            '<a href="{}">{}</a>',
            page_url(SyncRun(pk=obj.last_run_id)),
            ago(obj.last_at),
        )

    # One app ---------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        pages = {"": self.overview, "syncs/": self.syncs_tab, "runs/": self.runs_tab}
        return [
            *(
                path(
                    f"<int:app_id>/{rest}",
                    self.admin_site.admin_view(view),
                    name=f"connections_connectedapp_{rest.strip('/') or 'overview'}",
                )
                for rest, view in pages.items()
            ),
            *super().get_urls(),
        ]

    def tabs(
        self, request: HttpRequest, app: ConnectedApp, here: str
    ) -> list[dict[str, Any]]:
        """The tabs that this user may open (H)."""
        named = [
            ("overview", "Overview", ""),
            ("syncs", "CRM syncs", SEE_SYNCS),
            ("runs", "Runs", SEE_RUNS),
            ("change", "Settings", ""),
        ]
        return [
            {
                "title": title,
                "url": reverse(f"admin:connections_connectedapp_{name}", args=[app.pk]),
                "here": name == here,
            }
            for name, title, needs in named
            if not needs or request.user.has_perm(needs)
        ]

    def _tab(
        self, request: HttpRequest, app_id: int, here: str
    ) -> tuple[ConnectedApp, dict[str, Any]]:
        """An app, and what all its tabs show. Raises: PermissionDenied, Http404."""
        app = self.get_object(request, str(app_id))
        if not self.has_view_permission(request, app):
            raise PermissionDenied
        if app is None:
            raise Http404
        return app, {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": app,
            "owner": app,
            "title": app.name,
            "tabs": self.tabs(request, app, here),
        }

    def overview(self, request: HttpRequest, app_id: int) -> HttpResponse:
        """How the app fares, and what can be done with it."""
        app, context = self._tab(request, app_id, "overview")
        context |= super().panel(request, app)
        if request.user.has_perm(SEE_SYNCS):
            times = _times(app)
            context |= {"times": times, "health": self.health(app)}
            context["first"] = app.discovered_at is not None and not app.syncs.exists()
        context |= {"credentials": connection_badge(app), "quotas": shown(app)}
        return TemplateResponse(request, "crosslink/app.html", context)

    def syncs_tab(self, request: HttpRequest, app_id: int) -> HttpResponse:
        """CRM syncs (H): one row per object sync."""
        app, context = self._tab(request, app_id, "syncs")
        if not request.user.has_perm(SEE_SYNCS):
            raise PermissionDenied
        rows = ObjectSync.objects.filter(app=app, archived_at=None)
        context |= {
            "healths": healths(with_runs(rows.select_related("app"))),
            "may_add_syncs": request.user.has_perm("syncs.add_objectsync"),
            **self.waiting_links(request, app),
        }
        return TemplateResponse(request, "crosslink/app_syncs.html", context)

    def waiting_links(self, request: HttpRequest, app: ConnectedApp) -> dict[str, Any]:
        """What waits for a sync, told by who knows of it."""
        return {}

    def runs_tab(self, request: HttpRequest, app_id: int) -> HttpResponse:
        """The app's last runs."""
        app, context = self._tab(request, app_id, "runs")
        if not request.user.has_perm(SEE_RUNS):
            raise PermissionDenied
        runs = SyncRun.objects.filter(app=app, parent=None)
        context["runs"] = list(runs.select_related("started_by")[:RUNS])
        return TemplateResponse(request, "crosslink/app_runs.html", context)

    def panel(self, request: HttpRequest, owner: ConnectedApp) -> dict[str, Any]:
        """Above the form of the settings stand the tabs alone."""
        return {
            "owner": owner,
            "title": owner.name,
            "tabs": self.tabs(request, owner, "change"),
        }


def _times(app: ConnectedApp) -> dict[str, Any]:
    """When the app's syncs run next, and were last read; None where none is or was."""
    syncs = ObjectSync.objects.filter(app=app, archived_at=None, enabled=True)
    going = Q(paused=False, every_s__isnull=False)
    found: dict[str, Any] = syncs.aggregate(
        on=Count("pk"),
        going=Count("pk", filter=going),
        due=Min("due_at", filter=going),
        swept=Max("swept_at"),
        full=Min("full_read_at"),
    )
    return found


admin.site.register(ConnectedApp, SyncedAppAdmin)
