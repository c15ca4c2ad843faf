"""Filters of lists, each with one query for its choices."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from connections.admin.base import SimpleListFilter
from connections.records import Side
from syncs.models import ObjectSync


class SyncFilter(SimpleListFilter):
    """Rows of one object sync."""

    title = "CRM sync"
    parameter_name = "sync"
    column = "sync"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        syncs = ObjectSync.objects.filter(archived_at=None).select_related("app")
        return [(str(sync.pk), str(sync)) for sync in syncs]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> QuerySet[Any] | None:
        value = self.value()
        if not value or not value.isdecimal():
            return None
        return queryset.filter(**{self.column: int(value)})


class SideFilter(SimpleListFilter):
    """Writes to one side."""

    title = "side"
    parameter_name = "side"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(Side.HUBSPOT, "HubSpot"), (Side.APP, "App")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> QuerySet[Any] | None:
        value = self.value()
        return queryset.filter(side=value) if value in tuple(Side) else None
