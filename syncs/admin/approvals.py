"""What waits for a person: held plans, deletions and conflicts, in one list."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from connections.admin.base import (
    Button,
    InfinitePaginator,
    PageAdmin,
    SimpleListFilter,
    number_of,
    page_url,
)
from connections.records import Side
from connections.templatetags.crosslink import ago, badge
from syncs import services
from syncs.admin import decide
from syncs.admin.actions import CHANGE_SYNCS
from syncs.admin.changes import search
from syncs.admin.details import LINK_KINDS, details, moves, side_name
from syncs.admin.filters import SyncFilter
from syncs.models import Approval, SyncRun
from syncs.models.choices import Awaiting

SHOWN = 4  # fields of a change on the list
HELD_RUNS = 20  # on the list


class AwaitingFilter(SimpleListFilter):
    """Plans over a limit, deletions or conflicts."""

    title = "what it waits for"
    parameter_name = "awaiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in Awaiting.choices]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> QuerySet[Any] | None:
        value = self.value()
        return queryset.filter(awaiting=value) if value in Awaiting.values else None


class HeldRunFilter(SimpleListFilter):
    """The plan of one held run."""

    title = "held run"
    parameter_name = "held"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        runs = services.all_held()[:HELD_RUNS]
        return [(str(run.pk), f"Run {run.pk}: {run.sync}") for run in runs]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> QuerySet[Any] | None:
        value = number_of(self.value())
        if value is None:
            return None
        family = Q(run=value) | Q(run__parent=value)
        return queryset.filter(family, awaiting=Awaiting.LIMITS)


@admin.register(Approval)
class ApprovalAdmin(PageAdmin[Approval]):
    empty_title = "No change waits"
    empty_text = (
        "What goes over a limit of its sync, a deletion to confirm and a conflict in "
        "review wait here until somebody approves or drops them."
    )
    page_template = "crosslink/change.html"
    list_before_template = "crosslink/held_runs.html"
    list_display = ["what", "shown_side", "moves", "why", "sync", "for_", "age"]
    list_select_related = ()
    list_filter = [AwaitingFilter, SyncFilter, HeldRunFilter, "kind"]
    search_fields = ["record"]
    search_help_text = "A record's name or id"
    ordering = ["pk"]
    paginator = InfinitePaginator
    show_full_result_count = False
    sortable_by = ()
    buttons = (
        Button(
            "approve",
            "Approve",
            decide.approve,
            CHANGE_SYNCS,
            icon="task_alt",
            question="What you chose is written. Both sides are read first, and what "
            "moved since is left out, and named.",
            primary=True,
        ),
        *(
            Button(
                f"take-{side}",
                f"Take {name} value",
                partial(decide.take, side=side),
                CHANGE_SYNCS,
                icon="rule",
                question=f"Of each conflict that you chose, {name} value is written to the "
                "other side, whichever of its two rows you ticked.",
                when=lambda change: change.awaiting == Awaiting.CONFLICTS,
            )
            for side, name in ((Side.HUBSPOT, "HubSpot's"), (Side.APP, "the app's"))
        ),
        Button(
            "drop",
            "Drop",
            decide.drop,
            CHANGE_SYNCS,
            icon="block",
            question="What you chose is not written. A deletion or a conflict is not "
            "asked again; what a limit held is planned again if it still differs.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Approval]:
        rows = super().get_queryset(request).filter(outcome="held")
        if gone := services.not_set_up():
            rows = rows.exclude(sync__in=gone)
        return rows.exclude(awaiting="").prefetch_related("sync__app")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Approval], search_term: str
    ) -> tuple[QuerySet[Approval], bool]:
        term = search_term.strip()
        return search(queryset, term) if term else queryset, False  # type: ignore[return-value]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        runs = services.all_held()[: HELD_RUNS + 1]
        extra = {
            "held_runs": [(run, page_url(run)) for run in runs[:HELD_RUNS]],
            "more_held": len(runs) > HELD_RUNS,
            "ambiguous_url": reverse("admin:syncs_recordlink_ambiguous"),
        }
        return super().changelist_view(request, {**extra, **(extra_context or {})})

    @admin.display(description="change")
    def what(self, obj: Approval) -> str:
        far = f" → {obj.other_record}" if obj.other_record else ""
        return f"{obj.get_kind_display()} {obj.record}{far}"

    @admin.display(description="in")
    def shown_side(self, obj: Approval) -> str:
        return side_name(obj)

    @admin.display(description="before → after")
    def moves(self, obj: Approval) -> SafeString:
        return moves(obj)

    @admin.display(description="reason")
    def why(self, obj: Approval) -> str:
        return obj.reason

    @admin.display(description="waits for")
    def for_(self, obj: Approval) -> SafeString:
        return badge("held", obj.get_awaiting_display())

    @admin.display(description="since")
    def age(self, obj: Approval) -> SafeString:
        run = page_url(SyncRun(pk=obj.run_id))
        return format_html('<a href="{}">{}</a>', run, ago(obj.created_at))

    def page_context(self, request: HttpRequest, obj: Approval) -> dict[str, Any]:
        return {
            "title": self.what(obj),
            "details": details(obj),
            "origin": () if obj.kind in LINK_KINDS else obj.origin.items(),
            "side": side_name(obj),
            "may_see_records": request.user.has_perm("syncs.view_recordlink"),
        }
