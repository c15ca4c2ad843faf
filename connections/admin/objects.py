"""The object types that discovery found, to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from connections.admin.base import PageAdmin
from connections.models import RemoteObject
from connections.schemas import from_json


@admin.register(RemoteObject)
class RemoteObjectAdmin(PageAdmin[RemoteObject]):
    page_template = "crosslink/object.html"
    empty_title = "No objects yet"
    empty_text = (
        "The objects of an account or an app are read when it is connected, and again by "
        "Refresh schema on its page."
    )
    empty_link = ("admin:connections_connectedapp_changelist", "Connected apps")
    list_display = ["__str__", "name", "object_id", "owner", "discovered_at"]
    list_filter = ["account", "app"]
    list_select_related = ["account", "app"]
    search_fields = ["name", "label", "object_id"]
    ordering = ["name", "pk"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[RemoteObject]:
        return super().get_queryset(request).defer("definition")

    @admin.display(description="in")
    def owner(self, obj: RemoteObject) -> str:
        return str(obj.account or obj.app)

    def page_context(self, request: HttpRequest, obj: RemoteObject) -> dict[str, Any]:
        return {"found": from_json(obj.definition), "owner": obj.account or obj.app}
