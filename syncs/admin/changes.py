"""The sync log: every planned or done write, across runs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from connections.admin.base import CodeFilter, InfinitePaginator, PageAdmin, page_url
from connections.admin.csv_files import csv_answer
from connections.records import Side
from connections.templatetags.crosslink import ago, badge
from syncs.admin.details import LINK_KINDS, details, moves, side_name
from syncs.admin.exporting import change_rows
from syncs.admin.filters import (
    LATEST,
    KindFilter,
    OutcomeFilter,
    SideFilter,
    SyncFilter,
    latest,
)
from syncs.admin.records import FOUND, records_with_id, records_with_key
from syncs.models import Change, SyncRun
from syncs.models.choices import ChangeKind, ChangeOutcome

SIDES = {Side.HUBSPOT: "HubSpot", Side.APP: "App"}
LOG_CSV = "syncs_change_csv"
PER_PAGE = 50
FEW = 10  # records
TOGETHER = 20_000  # changes of a run's parts that are listed in one order


def search(rows: QuerySet[Change], term: str) -> QuerySet[Change]:
    """Changes of the records with an id or a match key; else, among the latest, those
    whose record, near or far, has a text in its name."""
    links = [*records_with_id(term), *records_with_key(term)]
    if links:
        # Of a few records the latest changes; of many, some: in order, all of the log
        # might be gone through for them.
        order = ["-pk"] if len(links) <= FEW else []
        ids: list[int] = []
        for end in ("link", "other_link"):
            mine = Change.objects.filter(**{f"{end}__in": links}).order_by(*order)
            ids += mine.values_list("pk", flat=True)[:FOUND]
        if ids:
            return rows.filter(pk__in=ids)
    named = Q(record__icontains=term) | Q(other_record__icontains=term)
    return latest(rows).filter(named)


@admin.register(Change)
class ChangeAdmin(PageAdmin[Change]):
    page_template = "crosslink/change.html"
    empty_title = "No change yet"
    empty_text = (
        "Each write of a run will stand here with what was there before, what came after, "
        "and why; what a preview plans, too."
    )
    empty_link = ("admin:connections_connectedapp_changelist", "Connected apps")
    list_display = [
        "what",
        "shown_side",
        "moves",
        "sync",
        "shown_run",
        "outcome_",
        "age",
    ]
    list_select_related = ()
    list_filter = [KindFilter, OutcomeFilter, SideFilter, CodeFilter, SyncFilter]
    search_fields = ["record"]
    search_help_text = (
        "A record's id or the beginning of a match key; or, among the latest "
        f"{LATEST:,} changes, part of its name"
    )
    ordering = ["-pk"]
    paginator = InfinitePaginator
    show_full_result_count = False
    sortable_by = ()
    list_before_template = "crosslink/log_tools.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.csv_view)
        return [path("export.csv", view, name=LOG_CSV), *super().get_urls()]

    def csv_view(self, request: HttpRequest) -> HttpResponseBase:
        """What the list shows under its filters and search, all pages of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        shown = self.get_changelist_instance(request).queryset
        return csv_answer("sync log", change_rows([shown], newest_first=True))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Change]:
        # Joined, the small tables would be tempting to begin with.
        return super().get_queryset(request).prefetch_related("sync__app")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Change], search_term: str
    ) -> tuple[QuerySet[Change], bool]:
        term = search_term.strip()
        return search(queryset, term) if term else queryset, False

    @admin.display(description="change")
    def what(self, obj: Change) -> str:
        far = f" → {obj.other_record}" if obj.other_record else ""
        return f"{obj.get_kind_display()} {obj.record}{far}"

    @admin.display(description="in")
    def shown_side(self, obj: Change) -> str:
        return side_name(obj)

    @admin.display(description="before → after")
    def moves(self, obj: Change) -> SafeString:
        return moves(obj)

    @admin.display(description="run")
    def shown_run(self, obj: Change) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>', page_url(SyncRun(pk=obj.run_id)), obj.run_id
        )

    @admin.display(description="outcome")
    def outcome_(self, obj: Change) -> SafeString:
        shown = badge(obj.outcome, obj.get_outcome_display())
        return format_html("{} {}", shown, obj.error_code)

    @admin.display(description="when")
    def age(self, obj: Change) -> str:
        return ago(obj.created_at)

    def page_context(self, request: HttpRequest, obj: Change) -> dict[str, Any]:
        return {
            "title": self.what(obj),
            "details": details(obj),
            "origin": () if obj.kind in LINK_KINDS else obj.origin.items(),
            "side": side_name(obj),
            "may_see_records": request.user.has_perm("syncs.view_recordlink"),
        }


def written(run: SyncRun) -> int:
    """How many changes a part of a run did, or planned, by its own counts."""
    work = run.counters
    links = work.get("associations", {})
    parts = [work.get(name, {}) for name in ("created", "updated", "archived")]
    return sum(sum(by.values()) for by in (*parts, *links.values()))


class ChangesOfRun:
    """A run's changes as its page lists them: filtered, searched, a page at a time."""

    NAMES = ("side", "kind", "outcome", "code", "of")

    def __init__(self, request: HttpRequest, run: SyncRun, children: list[Any]) -> None:
        self.chosen = {name: request.GET.get(name, "") for name in self.NAMES}
        self.term = request.GET.get("q", "").strip()
        page = request.GET.get("page", "1")
        self.page = max(1, int(page)) if page.isdecimal() and len(page) < 7 else 1
        ids = [child.pk for child in children] or [run.pk]
        of = self.chosen["of"]
        if of.isdecimal() and int(of) in ids:
            ids = [int(of)]
        self.ids = ids
        self.apart = len(ids) > 1 and sum(map(written, children)) > TOGETHER
        if self.apart:
            # In one order over several runs they would all be sorted for each page.
            ids = [next((c.pk for c in children if written(c)), ids[0])]
            self.chosen["of"] = str(ids[0])
        self.rows = self._rows(ids)
        self.more = len(self.rows) > PER_PAGE
        self.rows = self.rows[:PER_PAGE]
        self.children = children

    def _rows(self, ids: list[int]) -> list[Change]:
        rows = self._chosen(ids).prefetch_related("sync__app").order_by("pk")
        start = (self.page - 1) * PER_PAGE
        found = list(rows[start : start + PER_PAGE + 1])
        for change in found:
            change.details = details(change)  # type: ignore[attr-defined]
            change.side_name = side_name(change)  # type: ignore[attr-defined]
        return found

    def _chosen(self, ids: list[int]) -> QuerySet[Change]:
        rows = Change.objects.filter(run__in=ids)
        for name, column in (
            ("side", "side"),
            ("kind", "kind"),
            ("outcome", "outcome"),
            ("code", "error_code"),
        ):
            if self.chosen[name]:
                rows = rows.filter(**{column: self.chosen[name]})
        return search(rows, self.term) if self.term else rows

    def parts(self) -> list[QuerySet[Change]]:
        """All that fits, on whatever page, a part of the run at a time."""
        return [self._chosen([pk]) for pk in self.ids]

    @property
    def filtered(self) -> bool:
        return bool(self.term or any(self.chosen.values()))

    def _query(self, **more: object) -> str:
        kept = {k: v for k, v in self.chosen.items() if v}
        if self.term:
            kept["q"] = self.term
        return "?" + urlencode({**kept, **more})

    def _at(self, page: int) -> str:
        return self._query(page=page) + "#changes"

    @property
    def csv_query(self) -> str:
        """The query that asks for the file of what fits."""
        return self._query()

    @property
    def before(self) -> str:
        return self._at(self.page - 1) if self.page > 1 else ""

    @property
    def after(self) -> str:
        return self._at(self.page + 1) if self.more else ""

    @property
    def selects(self) -> list[dict[str, Any]]:
        """The form's selects: name, label, and choices with the chosen one marked."""
        codes = sorted({e["code"] for c in self.children for e in c.errors})
        asked = [
            ("side", "Side", SIDES.items()),
            ("kind", "Kind", ChangeKind.choices),
            ("outcome", "Outcome", ChangeOutcome.choices),
            ("code", "Code", [(c, c) for c in codes]),
        ]
        if len(self.children) > 1:
            syncs = [(str(c.pk), str(c.sync)) for c in self.children]
            asked.insert(0, ("of", "CRM sync", syncs))
        return [
            {
                "name": name,
                "label": label,
                "choices": [(v, t, self.chosen[name] == v) for v, t in choices],
            }
            for name, label, choices in asked
        ]
