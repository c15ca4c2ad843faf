"""Filters of lists, each with one query for its choices."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from connections.admin.base import SimpleListFilter, number_of
from connections.records import Side
from syncs.models import Change, ObjectSync
from syncs.models.choices import USUAL_OUTCOMES, ChangeKind, ChangeOutcome

LATEST = 100_000  # changes that are looked through where no index finds them


def latest(rows: QuerySet[Any]) -> QuerySet[Any]:
    """The latest changes: a rare one among millions would take minutes to find."""
    last = Change.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    return rows.filter(pk__gt=last - LATEST)


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
        value = number_of(self.value())
        return None if value is None else queryset.filter(**{self.column: value})


class OutcomeFilter(SimpleListFilter):
    """Changes that ended in one way."""

    title = "outcome"
    parameter_name = "outcome__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(ChangeOutcome.choices)

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> QuerySet[Any] | None:
        value = self.value()
        if value not in ChangeOutcome.values:
            return None
        if value not in USUAL_OUTCOMES:
            for usual in USUAL_OUTCOMES:
                queryset = queryset.exclude(outcome=usual)
        elif value != ChangeOutcome.APPLIED:  # of which there is one wherever one looks
            # The index over these outcomes begins with the sync.
            syncs = list(ObjectSync.objects.values_list("pk", flat=True))
            queryset = queryset.filter(sync__in=syncs)
        return queryset.filter(outcome=value)


class KindFilter(SimpleListFilter):
    """Changes of one kind, among the latest: no index goes by it."""

    title = f"kind (latest {LATEST:,})"
    parameter_name = "kind__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(ChangeKind.choices)

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> QuerySet[Any] | None:
        value = self.value()
        if value not in ChangeKind.values:
            return None
        return latest(queryset).filter(kind=value)


class SideFilter(SimpleListFilter):
    """Writes to one side, among the latest."""

    title = f"side (latest {LATEST:,})"
    parameter_name = "side"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(Side.HUBSPOT, "HubSpot"), (Side.APP, "App")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> QuerySet[Any] | None:
        value = self.value()
        return latest(queryset).filter(side=value) if value in tuple(Side) else None
