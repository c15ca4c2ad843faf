"""What the flow's pages share: who may, which draft, where one is, what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cached_property
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from associations.drafts import Look, look
from associations.drafts.forecast import measure
from associations.setup.problems import Problem
from connections.connectors.base import ConnectorError
from connections.models import ConnectedApp
from connections.records import ObjectType, Side
from syncs.models import SyncDraft

NEEDS = ("syncs.add_objectsync", "syncs.change_objectsync")
STEPS = (
    ("select", "Select the data you want to sync"),
    ("configure", "Configure"),
    ("limit", "Limit"),
    ("review", "Review"),
)
# Which step a problem is mended in, by the key that it begins with; else in Configure.
MENDED = {
    **dict.fromkeys(("name", "hubspot_object", "app_object"), "select"),
    **dict.fromkeys(("filters", "limits", "deletes", "hard_delete"), "limit"),
    **dict.fromkeys(("archive", "every", "sweep_every", "full_every"), "limit"),
    **dict.fromkeys(("app_cursor", "timezone", "marker", "on_create"), "limit"),
}


def app_of(request: HttpRequest, app_id: int) -> ConnectedApp:
    """The app of an address. Raises: PermissionDenied, Http404."""
    if not all(request.user.has_perm(need) for need in NEEDS):
        raise PermissionDenied
    apps = ConnectedApp.objects.select_related("hubspot")
    return get_object_or_404(apps, pk=app_id, archived_at=None)


def address(draft: SyncDraft, page: str, **more: Any) -> str:
    """A page of a draft's flow."""
    kwargs = {"app_id": draft.app_id, "draft_id": draft.pk, **more}
    return reverse(f"admin:syncs_draft_{page}", kwargs=kwargs)


def step_of(problem: Problem) -> str:
    key = problem.path.removeprefix("sync.").split(".")[0].split("[")[0]
    return MENDED.get(key, "configure")


class Page:
    """One page over a draft; `get` shows, `post` saves and leads on."""

    step = ""
    template = ""

    def __init__(self, request: HttpRequest, draft: SyncDraft) -> None:
        self.request, self.draft = request, draft
        self.app = draft.app

    def get(self) -> HttpResponse:
        raise NotImplementedError

    def post(self) -> HttpResponse:
        raise NotImplementedError

    @cached_property
    def look(self) -> Look:
        return look(self.draft)

    def obj(self, side: Side) -> ObjectType | None:
        return self.look.objects.get(side)

    @cached_property
    def held_fields(self) -> set[tuple[str, str]] | None:
        """The field mappings that a sync at work has, HubSpot's field first; None of a
        sync that is new."""
        sync = self.draft.sync
        if self.draft.new or sync is None:
            return None
        return set(sync.field_mappings.values_list("hubspot", "app"))

    def tree(self) -> dict[str, Any]:
        """A copy of the draft's tree, to change."""
        return deepcopy(self.draft.tree)

    def save(self, tree: dict[str, Any], step: str = "") -> None:
        """Keep what was typed; what was looked up before is forgotten."""
        self.draft.tree = tree
        self.draft.step = step or self.draft.step
        self.draft.save(update_fields=["tree", "off", "step", "updated_at"])
        self.__dict__.pop("look", None)

    def problems_of(self, tree: dict[str, Any], *places: str) -> list[Problem]:
        """What would be wrong at some keys with another tree."""
        return look(self.draft, tree).under(*places)

    def url(self, page: str, **more: Any) -> str:
        return address(self.draft, page, **more)

    def go(self, page: str, at: str = "", **more: Any) -> HttpResponse:
        return HttpResponseRedirect(self.url(page, **more) + at)

    def measured(self) -> None:
        """Count both sides' records for the forecast."""
        if self.look.settled is None:
            return
        try:
            measure(self.draft, self.look)
        except ConnectorError as exc:
            messages.error(self.request, f"{exc.code}: {exc.message} {exc.remedy}")

    def say(self, text: str) -> None:
        messages.success(self.request, text)

    def show(self, **context: Any) -> HttpResponse:
        draft = self.draft
        steps = [
            {
                "title": title,
                "url": self.url(name),
                "here": name == self.step,
                "wrong": any(step_of(p) == name for p in self.look.problems),
            }
            for name, title in STEPS
        ]
        verb = "Set up your sync" if draft.new else "Edit a sync"
        return TemplateResponse(
            self.request,
            self.template,
            {
                **admin.site.each_context(self.request),
                "title": f"{verb}: {draft.name}",
                "draft": draft,
                "app": self.app,
                "steps": steps,
                "syncs_url": reverse(
                    "admin:connections_connectedapp_syncs", args=[self.app.pk]
                ),
                **context,
            },
        )


def _gone(request: HttpRequest, app: ConnectedApp) -> HttpResponse:
    """Where a draft's pages lead that was saved or thrown away: nothing is done twice."""
    messages.info(
        request, "There is no such draft any more: it was saved or thrown away."
    )
    url = reverse("admin:connections_connectedapp_syncs", args=[app.pk])
    return HttpResponseRedirect(url)


def served(page: Callable[..., Page]) -> Callable[..., HttpResponse]:
    """A page's view: only who may set up syncs gets there."""

    def view(
        request: HttpRequest, app_id: int, draft_id: int, **more: Any
    ) -> HttpResponse:
        app = app_of(request, app_id)
        drafts = SyncDraft.objects.select_related(
            "app__hubspot", "sync__app__hubspot", "back__app"
        )
        mine = drafts.filter(pk=draft_id, app=app_id)
        draft = mine.first()
        if draft is None:
            return _gone(request, app)
        shown = page(request, draft, **more)
        try:
            return shown.post() if request.method == "POST" else shown.get()
        except (SyncDraft.DoesNotExist, DatabaseError):
            if mine.exists():
                raise
            return _gone(request, app)  # saved meanwhile, as by a second click

    return view
