"""CRM syncs: the list, and the page of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from connections import audit
from connections.admin.base import Button, CrosslinkAdmin, number_of
from connections.models import ConnectedApp
from connections.templatetags.crosslink import badge
from syncs.admin.actions import (
    CHANGE_SYNCS,
    pause_buttons,
    pause_syncs,
    resume_syncs,
    run_buttons,
)
from syncs.admin.health import Health, healths, run_badge, with_runs
from syncs.admin.pairing import resync_button
from syncs.models import ObjectSync, SyncRun


def turn(on: bool) -> Callable[[HttpRequest, Sequence[ObjectSync]], None]:
    """Turn syncs on or off: no set-up changes, so plans and pairs stay as they are."""

    def do(request: HttpRequest, syncs: Sequence[ObjectSync]) -> None:
        ids = [sync.pk for sync in syncs]
        ObjectSync.objects.filter(pk__in=ids).update(enabled=on)
        audit.keep_switched(request.user, syncs, "enabled", on)
        names = ", ".join(sync.name for sync in syncs)
        messages.success(request, f"Turned {'on' if on else 'off'}: {names}.")

    return do


TURN_BUTTONS = (
    Button(
        "turn-on",
        "Turn on",
        turn(True),
        CHANGE_SYNCS,
        icon="toggle_on",
        question="Runs and the schedule take the sync up again.",
        when=lambda sync: not sync.enabled,
    ),
    Button(
        "turn-off",
        "Turn off",
        turn(False),
        CHANGE_SYNCS,
        icon="toggle_off",
        question="No run looks at it any more, and links that lead to its records wait. "
        "Its pairs and its log stay.",
        when=lambda sync: sync.enabled,
    ),
)


class ObjectSyncAdmin(CrosslinkAdmin[ObjectSync]):
    """CRM syncs (H)."""

    page_template = "crosslink/sync.html"
    empty_title = "Nothing is synced yet"
    empty_text = (
        "Choose the data of an app that should be kept in step with HubSpot. Nothing is "
        "read or written before you have looked at it."
    )
    empty_link = ("admin:syncs_objectsync_add", "Set up your sync")
    buttons: Sequence[Button] = (
        *run_buttons(lambda syncs: list(syncs)),
        resync_button(lambda syncs: list(syncs)),
        *pause_buttons(pause_syncs, resume_syncs, CHANGE_SYNCS),
        *TURN_BUTTONS,
    )
    list_display = [
        "name",
        "app",
        "objects",
        "state",
        "in_sync",
        "failing",
        "excluded",
        "links",
        "last_run",
    ]
    list_filter = ["app", "enabled", "paused"]
    list_select_related = ["app__hubspot"]
    search_fields = ["name", "app__name", "hubspot_object", "app_object"]
    ordering = ["app__name", "position", "pk"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ObjectSync]:
        rows = super().get_queryset(request).filter(archived_at=None)
        return with_runs(rows.select_related("app__hubspot"))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        for health in healths(found.result_list):
            health.sync.health = health  # type: ignore[attr-defined]
        return found

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False  # turned off, a sync keeps its pairs and its log

    # Columns ----------------------------------------------------------------------------

    @admin.display(description="objects")
    def objects(self, obj: ObjectSync) -> str:
        return Health(obj).objects

    @admin.display(description="state")
    def state(self, obj: Any) -> SafeString:
        return badge(obj.health.state)

    @admin.display(description="In sync")
    def in_sync(self, obj: Any) -> SafeString | str:
        return self._count(obj.health, "in_sync")

    @admin.display(description="Failing")
    def failing(self, obj: Any) -> SafeString | str:
        return self._count(obj.health, "failing")

    @admin.display(description="Excluded")
    def excluded(self, obj: Any) -> SafeString | str:
        return self._count(obj.health, "excluded")

    @staticmethod
    def _count(health: Health, state: str) -> SafeString | str:
        if not health.counted:
            return "—"
        url = f"{health.records_url}&state__exact={state}"
        return format_html(
            '<a class="cl-link" href="{}">{}</a>', url, health.count(state)
        )

    @admin.display(description="links")
    def links(self, obj: Any) -> str:
        found = obj.health.links
        if not found:
            return "—"
        pending = found.get("pending", 0)
        more = f", {pending} pending" if pending else ""
        return f"{found.get('in_sync', 0)} in sync{more}"

    @admin.display(description="last run")
    def last_run(self, obj: Any) -> SafeString:
        return run_badge(obj.health.last_run)

    # Setting up -------------------------------------------------------------------------

    def _app(self, request: HttpRequest) -> ConnectedApp | None:
        apps = ConnectedApp.objects.filter(archived_at=None).select_related("hubspot")
        asked = number_of(request.GET.get("app"))
        if asked is not None:
            return apps.filter(pk=asked).first()
        some = list(apps[:2])
        return some[0] if len(some) == 1 else None

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        app = self._app(request)
        if app is None:
            return self._choose_app(request)
        url = reverse("admin:syncs_objectsync_set_up", args=[app.pk])
        return HttpResponseRedirect(url)

    def _choose_app(self, request: HttpRequest) -> HttpResponse:
        apps = ConnectedApp.objects.filter(archived_at=None).select_related("hubspot")
        if not apps:
            messages.info(request, "Connect an app first.")
            return HttpResponseRedirect(reverse("admin:connections_connectedapp_add"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Set up your sync",
            "apps": apps,
        }
        return TemplateResponse(request, "crosslink/choose_app.html", context)

    # One sync ---------------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What a sync is and how it fares; it is edited in the set-up flow."""
        sync = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, sync):
            raise PermissionDenied
        if sync is None:
            raise Http404
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": sync,
            "title": sync.name,
            **self.panel(request, sync),
        }
        return TemplateResponse(request, self.page_template, context)

    def panel(self, request: HttpRequest, sync: ObjectSync) -> dict[str, Any]:
        """What the page of a sync shows."""
        return {
            "sync": sync,
            "health": healths([sync])[0],
            "placed_buttons": self.placed_buttons(request, sync),
            "runs": list(
                SyncRun.objects.filter(sync=sync).select_related("started_by")[:5]
            ),
        }
