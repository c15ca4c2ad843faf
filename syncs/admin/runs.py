"""Runs: the list, and the page of one with its progress, events and changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from connections.admin.base import (
    Button,
    CodeFilter,
    InfinitePaginator,
    PageAdmin,
    page_url,
)
from connections.admin.csv_files import csv_answer
from connections.templatetags.crosslink import ago, badge
from syncs import services
from syncs.admin import decide, figures, undo
from syncs.admin.actions import CHANGE_SYNCS, start
from syncs.admin.changes import ChangesOfRun
from syncs.admin.exporting import change_rows
from syncs.admin.filters import SyncFilter
from syncs.models import LogEntry, SyncRun
from syncs.models.choices import Awaiting, ChangeOutcome, Status

EVENTS = 200
RUN_CSV = "syncs_syncrun_csv"
SEE_CHANGES = "syncs.view_change"
DECIDED = (
    "It stopped before it wrote. Its plan was decided, or made anew by a later run."
)
PLANNED = "Some records or links fail; everything else can be done."
MEANINGS: dict[str, str] = {
    Status.PARTIAL: "Some records or links fail; everything else is done.",
    Status.HELD: "It stopped before it wrote, and waits for a decision.",
    Status.FAILED: "It could not go on. What was written stands; the next run goes on.",
    Status.CANCELLED: "It was stopped. What was written stands; the next run goes on.",
}


def apply_plan(request: HttpRequest, runs: Sequence[SyncRun]) -> str | None:
    """Queue a run that applies a preview's plan."""
    run = runs[0]
    try:
        plan, children = services.plan_run(run.pk)
    except services.RunError as exc:
        messages.error(request, f"{exc.code}: {exc.message} {exc.remedy}")
        return None
    if plan.undo_of_id:
        return undo.apply_preview(request, plan, children)
    return start(request, [c.sync for c in children if c.sync], plan=plan)


def _would_apply(runs: Sequence[SyncRun]) -> list[str]:
    """What a preview's plan comes to, but for parts that were applied already."""
    try:
        _, children = services.plan_run(runs[0].pk)
    except services.RunError:
        return []
    return figures.planned(children, outcome=ChangeOutcome.PLANNED)


def _would_approve(runs: Sequence[SyncRun]) -> list[str]:
    """What held plans come to."""
    parts = [part for run in runs for part in parts_of(run)]
    held = [part for part in parts if part.status == Status.HELD]
    return figures.planned(held, outcome=ChangeOutcome.HELD, awaiting=Awaiting.LIMITS)


def approve(request: HttpRequest, runs: Sequence[SyncRun]) -> str | None:
    """Queue the runs that write held plans."""
    started = [decide.approve_run(request, run.pk) for run in runs]
    return started[0] if len(started) == 1 else None


def drop(request: HttpRequest, runs: Sequence[SyncRun]) -> None:
    """Give held plans up."""
    for run in runs:
        decide.drop_run(request, run.pk)


def _waits(run: SyncRun) -> bool:
    return run.status == Status.HELD and services.waits(run)


def cancel(request: HttpRequest, runs: Sequence[SyncRun]) -> str | None:
    """Ask runs to stop."""
    with transaction.atomic():
        for run in runs:
            services.cancel(run.parent or run)
    messages.success(
        request, "The run stops at the next place where nothing is half done."
    )
    return page_url(runs[0])


def _may_apply(run: SyncRun) -> bool:
    return run.dry_run and not run.open and services.applicable(run)


def _meaning(run: SyncRun) -> str:
    """A status in a sentence."""
    if run.status == Status.HELD and not services.waits(run):
        return DECIDED
    if run.status == Status.PARTIAL and run.dry_run:
        return PLANNED
    return MEANINGS.get(run.status, "")


class RunSyncFilter(SyncFilter):
    column = "children__sync"


@admin.register(SyncRun)
class SyncRunAdmin(PageAdmin[SyncRun]):
    page_template = "crosslink/run.html"
    empty_title = "No run yet"
    empty_text = (
        "Open a connected app and press Preview: it shows what would be written, and "
        "writes nothing. Sync now does it. Runs of the schedule stand here, too."
    )
    empty_link = ("admin:connections_connectedapp_changelist", "Connected apps")
    list_display = ["number", "what", "how", "shown_status", "written", "by", "age"]
    list_filter = ["status", "trigger", "dry_run", CodeFilter, RunSyncFilter, "app"]
    search_fields = ["pk", "started_by__username"]
    search_help_text = "A run's number, or who started it"
    paginator = InfinitePaginator
    show_full_result_count = False
    ordering = ["-pk"]
    list_select_related = ["app", "started_by"]
    buttons = (
        Button(
            "apply",
            "Apply this plan",
            apply_plan,
            CHANGE_SYNCS,
            icon="task_alt",
            question="Exactly what this preview planned is written to HubSpot and to the "
            "app. Records and links that moved since are left out, and named.",
            when=_may_apply,
            told=_would_apply,
            primary=True,
            on_list=False,
        ),
        Button(
            "approve",
            "Approve held",
            approve,
            CHANGE_SYNCS,
            icon="task_alt",
            question="The whole plan that was held is written to HubSpot and to the app. "
            "Records and links that moved since are left out, and named. Where records "
            "seemed to be gone all at once, they are taken for gone.",
            when=_waits,
            told=_would_approve,
            primary=True,
        ),
        Button(
            "drop",
            "Drop",
            drop,
            CHANGE_SYNCS,
            icon="block",
            question="Nothing of the plan is written. What still differs is planned, and "
            "held, again by the next run.",
            when=_waits,
        ),
        Button(
            "cancel",
            "Cancel run",
            cancel,
            CHANGE_SYNCS,
            icon="cancel",
            when=lambda run: run.open and not run.cancel_requested,
        ),
        *undo.BUTTONS,
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[SyncRun]:
        rows = super().get_queryset(request).select_related("app", "started_by", "sync")
        match = request.resolver_match
        if match is None or not (match.url_name or "").endswith("_changelist"):
            return rows
        children = SyncRun.objects.select_related("sync__app").order_by("pk")
        return rows.filter(parent=None).prefetch_related(Prefetch("children", children))

    @admin.display(description="run")
    def number(self, obj: SyncRun) -> SafeString:
        return format_html('<span class="cl-when">Run {}</span>', obj.pk)

    @admin.display(description="of")
    def what(self, obj: SyncRun) -> str:
        syncs = [c.sync for c in obj.children.all() if c.sync]
        apps = ", ".join(dict.fromkeys(sync.app.name for sync in syncs))
        names = ", ".join(dict.fromkeys(sync.name for sync in syncs))
        return f"{apps}: {names}" if syncs else "—"

    @admin.display(description="how")
    def how(self, obj: SyncRun) -> str:
        return how(obj)

    @admin.display(description="status")
    def shown_status(self, obj: SyncRun) -> SafeString:
        return badge(obj.status, obj.get_status_display())

    @admin.display(description="written")
    def written(self, obj: SyncRun) -> str:
        done = [c.counters for c in obj.children.all()]
        records = sum(map(figures.records_written, done))
        links = sum(map(figures.links_written, done))
        word = " planned" if obj.dry_run else ""
        return f"{records:,} records, {links:,} links{word}"

    @admin.display(description="started by")
    def by(self, obj: SyncRun) -> str:
        return started_by(obj)

    @admin.display(description="when", ordering="pk")
    def age(self, obj: SyncRun) -> str:
        return ago(obj.created_at)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        answer = super().change_view(request, object_id, form_url, extra_context)
        if request.headers.get("HX-Request") and isinstance(answer, TemplateResponse):
            shown = answer.context_data or {}
            if not shown.get("live"):
                # The run is over: its buttons and changes are other ones now.
                answer["HX-Refresh"] = "true"
        return answer

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.csv_view)
        return [
            path("<int:run_id>/changes.csv", view, name=RUN_CSV),
            *super().get_urls(),
        ]

    def csv_view(self, request: HttpRequest, run_id: int) -> HttpResponseBase:
        """The run's changes that fit the page's filters and search."""
        may = self.has_view_permission(request) and request.user.has_perm(SEE_CHANGES)
        if not may:
            raise PermissionDenied
        run = get_object_or_404(SyncRun, pk=run_id)
        shown = ChangesOfRun(request, run, parts_of(run))
        return csv_answer(f"run {run.pk} changes", change_rows(shown.parts()))

    def page_context(self, request: HttpRequest, obj: SyncRun) -> dict[str, Any]:
        parts = parts_of(obj)
        ids = {obj.pk, *(c.pk for c in parts)}
        entries = LogEntry.objects.filter(run__in=ids).order_by("-pk")[:EVENTS]
        work = figures.summed([c.counters for c in parts])
        return {
            "title": f"{'Preview' if obj.dry_run else 'Run'} {obj.pk}",
            "run": obj,
            "how": how(obj),
            "by": started_by(obj),
            "live": figures.live(obj, parts, work),
            "parts": [figures.part(c) for c in parts],
            "work": figures.work_table(work),
            "timings": figures.timings(parts),
            "errors": figures.errors(parts),
            "entries": list(entries),
            "changes": ChangesOfRun(request, obj, parts),
            "choose_url": _choose_url(parts),
            **undo.shown(obj, parts),
            "meaning": _meaning(obj),
            "may_see_records": request.user.has_perm("syncs.view_recordlink"),
            "may_see_changes": request.user.has_perm(SEE_CHANGES),
        }


def parts_of(run: SyncRun) -> list[SyncRun]:
    """A run's children; a child alone is its own part."""
    children = run.children.select_related("sync__app", "app").order_by("pk")
    return list(children) or [run]


def _choose_url(parts: Sequence[SyncRun]) -> str:
    """Where to approve some of a held plan; "" where nothing waits there."""
    held = [p for p in parts if p.status == Status.HELD and p.held]
    if not held:
        return ""
    run = held[0].pk if len(held) == 1 else held[0].parent_id
    return f"{reverse('admin:syncs_approval_changelist')}?held={run}"


def how(run: SyncRun) -> str:
    """What kind of run it is, in words."""
    if run.undo_of_id:
        word = "Preview of the undo" if run.dry_run else "Undo"
        return f"{word} of run {run.undo_of_id}"
    if run.dry_run:
        return "Preview"
    words = "Full resync" if run.full else "Sync"
    if run.plan_id:
        words = f"Plan of run {run.plan_id}"
    elif run.approved:
        words = "Approved changes"
    return f"{words}, at most {run.limit} records" if run.limit else words


def started_by(run: SyncRun) -> str:
    """Who started a run and how."""
    person = run.started_by.get_username() if run.started_by else ""
    way = run.get_trigger_display()
    return f"{person} ({way})" if person else way
