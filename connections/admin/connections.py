"""HubSpot accounts and connected apps: form, credentials, test and discovery."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from connections import tasks
from connections.admin.base import Button, CrosslinkAdmin, M, page_url
from connections.admin.forms import ConnectedAppForm, HubSpotAccountForm
from connections.connectors.registry import KINDS, app_kinds
from connections.models import (
    ConnectedApp,
    Connection,
    HubSpotAccount,
    RateBudget,
    RemoteObject,
)
from connections.redaction import redact
from connections.schemas import Owner
from connections.templatetags.crosslink import ago, badge

WAIT_S = 90  # how long a page looks for the outcome of a task
ASKED = "asked"  # the query parameter that says since when

# What can be another without the system being reached otherwise.
NOT_HOW = {
    "name",
    "requests_per_10s",
    "association_requests_per_10s",
    "search_per_second",
}


def _queue(task: str, doing: str) -> Any:
    def do(request: HttpRequest, owners: Sequence[Owner]) -> str | None:
        for owner in owners:
            tasks.enqueue(task, owner)
        names = ", ".join(owner.name for owner in owners)
        messages.info(
            request, f"{doing} {names}. What comes of it is shown on its page."
        )
        if len(owners) > 1:
            return None
        return f"{page_url(owners[0])}?{ASKED}={time.time():.3f}"

    return do


def test_button(model: str) -> Button:
    """Queue a test of the connection."""
    return Button(
        "test-connection",
        "Test connection",
        _queue("connections.tasks.test_connection", "Testing"),
        f"connections.change_{model}",
        icon="network_check",
    )


def refresh_button(model: str) -> Button:
    """Queue a discovery of the system's objects."""
    return Button(
        "refresh-schema",
        "Refresh schema",
        _queue(settings.REFRESH_TASK, "Reading the objects of"),
        f"connections.change_{model}",
        icon="refresh",
    )


class ConnectionAdmin(CrosslinkAdmin[M]):
    """What accounts and apps share."""

    change_form_outer_before_template = "crosslink/connection.html"
    search_fields = ["name", "identity"]
    ordering = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        return super().get_queryset(request).filter(archived_at=None)

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False  # a deleted connection would take its records' links with it

    @admin.display(description="connection")
    def connection(self, obj: Connection) -> SafeString:
        return connection_badge(obj)

    @admin.display(description="tested", ordering="tested_at")
    def tested(self, obj: Connection) -> str:
        return ago(obj.tested_at) if obj.tested_at else "never"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        owner = self.get_object(request, object_id)
        extra = dict(extra_context or {})
        if owner is not None and self.has_view_permission(request, owner):
            extra |= self.panel(request, owner)
        return super().change_view(request, object_id, form_url, extra)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """What was changed, with its value before and after; of a secret, that it was."""
        if add:
            return super().construct_change_message(request, form, formsets, add)
        return "; ".join(_changed(form, name) for name in form.changed_data)

    def panel(self, request: HttpRequest, owner: M) -> dict[str, Any]:
        """What stands above the form."""
        assert isinstance(owner, HubSpotAccount | ConnectedApp)
        objects = RemoteObject.objects.filter(**_owned(owner)).order_by("name")
        rows = objects.values("pk", "name", "label", "object_id", "definition")
        return {
            "owner": owner,
            "title": owner.name,
            "placed_buttons": self.placed_buttons(request, owner),
            "waiting": is_waiting(request, owner),
            "objects": [
                {
                    "pk": row["pk"],
                    "name": row["name"],
                    "label": row["label"],
                    "fields": len(row["definition"]["fields"]),
                    "references": [
                        f"{r['name']} → {r['target']}"
                        for r in row["definition"]["references"]
                    ],
                    "refused": row["definition"]["refused"],
                }
                for row in rows
            ],
        }

    def response_add(
        self, request: HttpRequest, obj: M, post_url_continue: str | None = None
    ) -> HttpResponse:
        """A new connection is tried at once, and its objects read."""
        assert isinstance(obj, HubSpotAccount | ConnectedApp)
        super().response_add(request, obj, post_url_continue)  # says that it was added
        return self._connect(request, obj)

    def save_model(self, request: HttpRequest, obj: M, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        request.reached_otherwise = bool(  # type: ignore[attr-defined]
            change and set(form.changed_data) - NOT_HOW
        )

    def response_change(self, request: HttpRequest, obj: M) -> HttpResponse:
        """A connection whose credentials or address are others is tried at once."""
        assert isinstance(obj, HubSpotAccount | ConnectedApp)
        answer = super().response_change(request, obj)
        again = getattr(request, "reached_otherwise", False)
        return self._connect(request, obj) if again else answer

    def _connect(
        self, request: HttpRequest, obj: HubSpotAccount | ConnectedApp
    ) -> HttpResponse:
        tasks.enqueue(settings.REFRESH_TASK, obj)
        messages.info(request, f"Connecting to {obj.name} and reading its objects.")
        return HttpResponseRedirect(f"{page_url(obj)}?{ASKED}={time.time():.3f}")


def _changed(form: Any, name: str) -> str:
    field = form.fields[name]
    label = form[name].label
    if field.widget.input_type == "password":
        return f"{label}: replaced"
    before, after = form.get_initial_for_field(field, name), form.cleaned_data[name]
    return redact(f"{label}: {before or '—'} → {after or '—'}")


def _owned(owner: Owner) -> dict[str, Any]:
    return {"account" if isinstance(owner, HubSpotAccount) else "app": owner}


def connection_badge(obj: Connection) -> SafeString:
    """How the last test went, in a word."""
    if obj.tested_at is None:
        return badge("untested", "Not tested yet")
    return badge("error", obj.test_code) if obj.test_code else badge("ok", "Connected")


def is_waiting(request: HttpRequest, owner: Owner) -> bool:
    """Whether a task that this page asked for has not answered yet."""
    try:
        asked = float(request.GET.get(ASKED, ""))
    except ValueError:
        return False
    if not 0 <= time.time() - asked < WAIT_S:
        return False
    return owner.tested_at is None or owner.tested_at.timestamp() < asked


@admin.register(HubSpotAccount)
class HubSpotAccountAdmin(ConnectionAdmin[HubSpotAccount]):
    form = HubSpotAccountForm
    empty_title = "No HubSpot account yet"
    empty_text = (
        "Everything begins with one: make a private app in HubSpot, and connect the "
        "account with its access token."
    )
    empty_link = ("admin:connections_hubspotaccount_add", "Connect HubSpot")
    buttons = (test_button("hubspotaccount"), refresh_button("hubspotaccount"))
    list_display = ["name", "identity", "connection", "apps_connected", "tested"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[HubSpotAccount]:
        return super().get_queryset(request).annotate(app_count=Count("apps"))

    def get_fieldsets(
        self, request: HttpRequest, obj: HubSpotAccount | None = None
    ) -> Any:
        names = ["name", "token"] if self._may_edit(request, obj) else ["name"]
        limits = [
            "requests_per_10s",
            "association_requests_per_10s",
            "search_per_second",
        ]
        return [
            ("Account", {"fields": names}),
            ("What this installation may spend", {"fields": limits}),
            ("Address", {"fields": ["base_url", "api_version"]}),
        ]

    def _may_edit(self, request: HttpRequest, obj: HubSpotAccount | None) -> bool:
        if obj is None:
            return self.has_add_permission(request)
        return self.has_change_permission(request, obj)

    def get_form(
        self,
        request: HttpRequest,
        obj: HubSpotAccount | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> Any:
        kwargs["fields"] = HubSpotAccountForm.Meta.fields  # the token is no column
        return super().get_form(request, obj, change, **kwargs)

    @admin.display(description="apps", ordering="app_count")
    def apps_connected(self, obj: HubSpotAccount) -> int:
        return int(obj.app_count)  # type: ignore[attr-defined]

    def panel(self, request: HttpRequest, owner: HubSpotAccount) -> dict[str, Any]:
        budgets = RateBudget.objects.filter(key=f"hubspot:{owner.pk}")
        return {
            **super().panel(request, owner),
            "budgets": list(budgets.order_by("bucket")),
        }


class ConnectedAppAdmin(ConnectionAdmin[ConnectedApp]):
    """Connected apps; what they sync is added by who knows of syncs."""

    form = ConnectedAppForm
    empty_title = "No connected app yet"
    empty_text = (
        "Choose the kind of app that HubSpot should be in step with, and give it its "
        "credentials. They are tested at once, and its objects are read."
    )
    empty_link = ("admin:connections_connectedapp_add", "Connect an app")
    buttons: Sequence[Button] = (
        test_button("connectedapp"),
        refresh_button("connectedapp"),
    )
    list_filter = ["kind", "hubspot"]
    list_select_related = ["hubspot"]

    def get_readonly_fields(
        self, request: HttpRequest, obj: ConnectedApp | None = None
    ) -> list[str]:
        return ["kind", "hubspot"] if obj else []

    def get_fieldsets(
        self, request: HttpRequest, obj: ConnectedApp | None = None
    ) -> Any:
        first = ("App", {"fields": ["name", "kind", "hubspot"]})
        may_edit = self.has_change_permission(request, obj) if obj else True
        if not may_edit:
            return [first]
        form = ConnectedAppForm(
            data=request.POST or None,
            instance=obj,
            initial={"kind": request.GET.get("kind", "")},
        )
        return [
            first,
            (f"Connection to {form.kind.label}", {"fields": form.kind_fields}),
        ]

    def get_form(
        self,
        request: HttpRequest,
        obj: ConnectedApp | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> Any:
        kwargs["fields"] = ["name"] if obj else ConnectedAppForm.Meta.fields
        return super().get_form(request, obj, change, **kwargs)

    def formfield_for_foreignkey(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> Any:
        if db_field.name == "hubspot":
            kwargs["queryset"] = HubSpotAccount.objects.filter(archived_at=None)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if not HubSpotAccount.objects.filter(archived_at=None).exists():
            messages.info(
                request, "Connect a HubSpot account first; then connect the app to it."
            )
            return HttpResponseRedirect(reverse("admin:connections_hubspotaccount_add"))
        asked = request.POST.get("kind") or request.GET.get("kind", "")
        known = dict(app_kinds())
        if asked not in known:
            return self._choose_kind(request)
        extra = {"title": f"Connect {known[asked]}", **(extra_context or {})}
        return super().add_view(request, form_url, extra)

    def _choose_kind(self, request: HttpRequest) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Connect an app",
            "kinds": [(name, KINDS[name]) for name, _ in app_kinds()],
        }
        return TemplateResponse(request, "crosslink/choose_kind.html", context)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The kind that was chosen, and the account where there is only one."""
        accounts = HubSpotAccount.objects.filter(archived_at=None)[:2]
        only = {"hubspot": accounts[0].pk} if len(accounts) == 1 else {}
        return {**only, **super().get_changeform_initial_data(request)}
