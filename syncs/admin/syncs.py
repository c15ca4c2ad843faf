"""CRM syncs: the list, and the form of one with its keys and field mappings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from connections.admin.base import Button, CrosslinkAdmin, TabularInline, page_url
from connections.models import ConnectedApp
from connections.records import Side
from connections.templatetags.crosslink import badge
from syncs.admin.actions import (
    CHANGE_SYNCS,
    pause_buttons,
    pause_syncs,
    resume_syncs,
    run_buttons,
)
from syncs.admin.forms import (
    APP_FIELDS,
    HUBSPOT_FIELDS,
    FieldMappingForm,
    MatchKeyForm,
    ObjectSyncForm,
    objects_of,
    zone_names,
)
from syncs.admin.health import Health, healths, run_badge, with_runs
from syncs.admin.pairing import resync_button
from syncs.admin.scope import FILTER_COLUMNS, FILTER_INLINES
from syncs.models import FieldMapping, MatchKey, ObjectSync, SyncFilter, SyncRun

DEFINITION = (
    "hubspot_object",
    "app_object",
    "direction",
    "conflict",
    "creates",
    "matching",
    "marker",
    "on_create",
    "deletes",
    "hard_delete",
    "archive",
    "app_cursor",
    "timezone",
)
KEY_COLUMNS = ("rank", "part", "hubspot", "app", "normalize")
MAPPING_COLUMNS = ("hubspot", "app", "direction", "conflict", "never_blank", "values")


class MatchKeyInline(TabularInline[MatchKey, ObjectSync]):
    model = MatchKey
    form = MatchKeyForm
    extra = 1
    verbose_name = "match key"
    verbose_name_plural = "Record matching: keys, tried in the order of their rank"


class FieldMappingInline(TabularInline[FieldMapping, ObjectSync]):
    model = FieldMapping
    form = FieldMappingForm
    extra = 1
    verbose_name_plural = "Map your fields"


class ObjectSyncAdmin(CrosslinkAdmin[ObjectSync]):
    """CRM syncs (H)."""

    form = ObjectSyncForm
    empty_title = "Nothing is synced yet"
    empty_text = (
        "Choose the data of an app that should be kept in step with HubSpot. Nothing is "
        "read or written before you have looked at it."
    )
    empty_link = ("admin:syncs_objectsync_add", "Set up your sync")
    inlines: ClassVar[Any] = (MatchKeyInline, FieldMappingInline, *FILTER_INLINES)
    change_form_outer_before_template = "crosslink/sync.html"
    buttons: Sequence[Button] = (
        *run_buttons(lambda syncs: list(syncs)),
        resync_button(lambda syncs: list(syncs)),
        *pause_buttons(pause_syncs, resume_syncs, CHANGE_SYNCS),
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

    # The form ---------------------------------------------------------------------------

    @admin.display(description="app's object, HubSpot's object")
    def data(self, obj: ObjectSync) -> str:
        return Health(obj).objects

    def get_fieldsets(self, request: HttpRequest, obj: ObjectSync | None = None) -> Any:
        if obj is None:
            what = ["name", "app_object", "hubspot_object"]
            return [
                ("Select the data you want to sync", {"fields": what}),
                (
                    "Choose your sync direction",
                    {"fields": ["direction", "conflict", "creates"]},
                ),
                ("Time of change", {"fields": ["app_cursor", "timezone"]}),
            ]
        extras = ["marker_hubspot", "on_create_hubspot", "on_create_app"]
        archive = ["archive_hubspot", "archive_app"]
        if not self.has_change_permission(request, obj):
            extras, archive = ["marker", "on_create"], ["archive"]
        return [
            ("Data", {"fields": ["app", "name", "data", "enabled"]}),
            (
                "Sync direction and conflicts",
                {
                    "fields": ["direction", "conflict", "creates"],
                    "description": "Resolve data conflicts: the winner's value is kept "
                    "where both sides changed. An empty value there changes nothing, "
                    "and no rule overrules the direction.",
                },
            ),
            (
                "Record matching",
                {
                    "fields": ["matching"],
                    "description": "Default settings: contacts by email, companies by "
                    "domain then name, deals by name, tickets by subject.",
                },
            ),
            ("New records", {"fields": extras}),
            (
                "Deleted records",
                {
                    "fields": ["deletes", "hard_delete", *archive],
                    "description": "A record counts as deleted once its system says so "
                    "for its id, or its archive field holds the value that archives it.",
                },
            ),
            (
                "Schedule",
                {
                    "fields": [
                        "every_s",
                        "sweep_every_s",
                        "full_every_s",
                        "app_cursor",
                        "timezone",
                        "position",
                    ]
                },
            ),
        ]

    def get_readonly_fields(
        self, request: HttpRequest, obj: ObjectSync | None = None
    ) -> list[str]:
        return ["app", "data"] if obj else []

    def get_inlines(self, request: HttpRequest, obj: ObjectSync | None) -> Any:
        return self.inlines if obj else []

    def get_form(
        self,
        request: HttpRequest,
        obj: ObjectSync | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> Any:
        columns = {f.name for f in ObjectSync._meta.get_fields()}
        asked = kwargs.get("fields") or ()
        kwargs["fields"] = [name for name in asked if name in columns]
        made = super().get_form(request, obj, change, **kwargs)
        if obj is not None:
            return made
        app = self._app(request)

        def build(*args: Any, **kw: Any) -> Any:
            kw.setdefault("instance", None)
            kw["instance"] = kw["instance"] or ObjectSync(app=app)
            return made(*args, **kw)

        build.base_fields = made.base_fields  # type: ignore[attr-defined]
        return build

    def _app(self, request: HttpRequest) -> ConnectedApp | None:
        apps = ConnectedApp.objects.filter(archived_at=None).select_related("hubspot")
        asked = request.GET.get("app", "")
        if asked.isdecimal():
            return apps.filter(pk=int(asked)).first()
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
        if app.discovered_at is None or app.hubspot.discovered_at is None:
            owner = app if app.discovered_at is None else app.hubspot
            messages.warning(
                request, f"Refresh the schema of {owner} first: nothing is known of it."
            )
            return HttpResponseRedirect(page_url(owner))
        extra = {
            "title": f"Set up your sync: {app.name}",
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
            **(extra_context or {}),
        }
        return super().add_view(request, form_url, extra)

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

    def response_add(
        self, request: HttpRequest, obj: ObjectSync, post_url_continue: Any = None
    ) -> HttpResponse:
        messages.success(
            request, f"{obj} is set up. Map its fields, then press Preview or Sync now."
        )
        return HttpResponseRedirect(page_url(obj))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        sync = self.get_object(request, object_id)
        extra = dict(extra_context or {})
        if sync is not None and self.has_view_permission(request, sync):
            extra |= self.panel(request, sync)
        return super().change_view(request, object_id, form_url, extra)

    def panel(self, request: HttpRequest, sync: ObjectSync) -> dict[str, Any]:
        """What stands above the form, and the data lists that its fields offer."""
        found = objects_of(sync)
        lists = {HUBSPOT_FIELDS: found[Side.HUBSPOT], APP_FIELDS: found[Side.APP]}
        return {
            "sync": sync,
            "title": sync.name,
            "health": healths([sync])[0],
            "placed_buttons": self.placed_buttons(request, sync),
            "data_lists": [
                (name, [(f.name, f.label, f.type) for f in obj.fields])
                for name, obj in lists.items()
                if obj is not None
            ],
            "references": [r.name for r in getattr(found[Side.APP], "references", ())],
            "zones": zone_names(),
            "runs": list(
                SyncRun.objects.filter(sync=sync).select_related("started_by")[:5]
            ),
        }

    # Saving -----------------------------------------------------------------------------

    def definition(self, sync: ObjectSync) -> Any:
        """All of the stored set-up that decides what a run does."""
        return (
            ObjectSync.objects.filter(pk=sync.pk).values(*DEFINITION).first(),
            list(MatchKey.objects.filter(sync=sync).values_list(*KEY_COLUMNS)),
            list(SyncFilter.objects.filter(sync=sync).values_list(*FILTER_COLUMNS)),
            sorted(
                map(
                    repr,
                    FieldMapping.objects.filter(sync=sync).values_list(
                        *MAPPING_COLUMNS
                    ),
                )
            ),
        )

    def save_model(
        self, request: HttpRequest, obj: ObjectSync, form: Any, change: bool
    ) -> None:
        obj.defined = self.definition(obj) if change else None  # type: ignore[attr-defined]
        if "every_s" in form.changed_data:
            obj.due_at = None  # counted anew
        super().save_model(request, obj, form, change)

    def save_related(
        self, request: HttpRequest, form: Any, formsets: Any, change: bool
    ) -> None:
        super().save_related(request, form, formsets, change)
        self.settle(form)
        sync = form.instance
        if change and self.definition(sync) != sync.defined:
            sync.revision += 1
            sync.save(update_fields=["revision"])
            messages.info(
                request,
                "The set-up changed: the next run reads both sides again, and plans "
                "made before cannot be applied any more.",
            )

    def settle(self, form: Any) -> None:
        """Store what follows from what was typed."""
