"""Step 1: select the data you want to sync (H)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from associations.admin.flow.base import STEPS, Page, address, app_of
from associations.admin.flow.fields import choice, named, radio, text
from associations.drafts import begin
from associations.setup.default_links import far_object
from connections.admin.base import number_of, page_url
from connections.models import ConnectedApp, HubSpotAccount, RemoteObject
from connections.records import ObjectType, Schema, Side
from connections.schemas import load_object
from syncs.models import ObjectSync, SyncDraft

ADDITIONAL = "Additional objects"
SECOND_CLICK = timedelta(seconds=5)
PICK = ("", "Select an object")


def directions(app: ConnectedApp) -> list[tuple[str, str]]:
    """The arrows (H)."""
    return [
        ("two_way", "Data syncs between apps"),
        ("to_hubspot", "Data syncs only to HubSpot"),
        ("to_app", f"Data syncs only to {app.name}"),
    ]


def _objects(owner: ConnectedApp | HubSpotAccount) -> list[dict[str, Any]]:
    """The object types of a system that can be synced, as little of each as is shown."""
    what = "account" if isinstance(owner, HubSpotAccount) else "app"
    rows = RemoteObject.objects.filter(**{what: owner}).order_by("label", "name")
    return [
        {"name": name, "label": label, "custom": custom}
        for name, label, refused, custom in rows.values_list(
            "name", "label", "definition__refused", "definition__custom"
        )
        if not refused
    ]


class SelectForm(forms.Form):
    """Objects and arrow; of a sync that is stored, its name and arrow alone."""

    def __init__(
        self, *args: Any, app: ConnectedApp, draft: SyncDraft | None = None, **kw: Any
    ) -> None:
        super().__init__(*args, **kw)
        self.app, self.draft = app, draft
        self.fixed = draft is not None and draft.sync_id is not None
        if not self.fixed:
            mine = [(o["name"], named(o["name"], o["label"])) for o in _objects(app)]
            label = f"Object of {app.name}"
            self.fields["app_object"] = choice(label, [PICK, *mine])
        self.fields["direction"] = radio(
            "Which way", directions(app), initial="two_way"
        )
        if not self.fixed:
            objects = self._hubspot_objects()
            self.fields["hubspot_object"] = choice("HubSpot object", [PICK, *objects])
        self.fields["name"] = text(
            "Name of the sync",
            max_length=120,
            help_text="Blank: the HubSpot object's name.",
        )

    def _hubspot_objects(self) -> list[tuple[str, Any]]:
        rows = _objects(self.app.hubspot)
        plain = [(o["name"], o["label"] or o["name"]) for o in rows if not o["custom"]]
        custom = [
            (o["name"], named(o["name"], o["label"])) for o in rows if o["custom"]
        ]
        return [*plain, *([(ADDITIONAL, custom)] if custom else [])]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        hubspot = cleaned.get("hubspot_object", "")
        name = (cleaned.get("name") or "").strip() or _free_name(self.app, hubspot)
        others = ObjectSync.objects.filter(app=self.app, name=name)
        if self.draft is not None:
            others = others.exclude(pk=self.draft.sync_id or 0)
        if others.exists():
            self.add_error("name", "This app has a sync of this name already.")
        return {**cleaned, "name": name}


def _free_name(app: ConnectedApp, hubspot: str) -> str:
    row = RemoteObject.objects.filter(account=app.hubspot, name=hubspot).first()
    name = (row.label if row else "") or hubspot.capitalize() or "Sync"
    taken = set(ObjectSync.objects.filter(app=app).values_list("name", flat=True))
    numbered = (f"{name} {number}" for number in range(2, 1000))
    return name if name not in taken else next(n for n in numbered if n not in taken)


class SelectPage(Page):
    step = "select"
    template = "crosslink/flow/select.html"

    def get(self) -> HttpResponse:
        first = self.draft.tree
        return self._shown(SelectForm(app=self.app, draft=self.draft, initial=first))

    def post(self) -> HttpResponse:
        form = SelectForm(self.request.POST, app=self.app, draft=self.draft)
        if not form.is_valid():
            return self._shown(form)
        tree, given = self.tree(), form.cleaned_data
        moved = not form.fixed and any(
            tree.get(name) != given[name] for name in ("app_object", "hubspot_object")
        )
        tree |= given
        if moved:
            # Other objects have other fields: begin with what is usual for them.
            fresh = _begun(self.request, self.app, given, None)
            tree, self.draft.off = fresh.tree, []
            fresh.delete()
        self.save(tree, "configure")
        return self.go("configure")

    def _shown(self, form: SelectForm) -> HttpResponse:
        return self.show(form=form, fixed=form.fixed)


def _begun(
    request: HttpRequest,
    app: ConnectedApp,
    given: Mapping[str, Any],
    back: SyncDraft | None,
) -> SyncDraft:
    user: Any = request.user
    return begin(
        app,
        user,
        objects={
            Side.HUBSPOT: load_object(app.hubspot, given["hubspot_object"]),
            Side.APP: load_object(app, given["app_object"]),
        },
        name=given["name"],
        direction=given["direction"],
        back=back,
    )


def _just_begun(
    request: HttpRequest, app: ConnectedApp, given: Mapping[str, Any]
) -> SyncDraft | None:
    """The draft that a first click began, if this is a second one."""
    user: Any = request.user
    recent = SyncDraft.objects.filter(
        app=app,
        author=user,
        new=True,
        sync=None,
        created_at__gte=timezone.now() - SECOND_CLICK,
    )
    same = (d for d in recent if all(d.tree.get(n) == v for n, v in given.items()))
    return next(same, None)


def set_up(request: HttpRequest, app_id: int) -> HttpResponse:
    """Begin a new sync of an app; drafts that were left are offered to go on with."""
    app = app_of(request, app_id)
    for owner in (app, app.hubspot):
        if owner.discovered_at is None:
            messages.warning(
                request, f"Refresh the schema of {owner} first: nothing is known of it."
            )
            return HttpResponseRedirect(page_url(owner))
    first = {"direction": "two_way", **request.GET.dict()}
    form = SelectForm(request.POST or None, app=app, initial=first)
    if request.method == "POST" and form.is_valid():
        given, back = form.cleaned_data, _back(request, app)
        draft = _just_begun(request, app, given) or _begun(request, app, given, back)
        return HttpResponseRedirect(address(draft, "configure"))
    drafts = SyncDraft.objects.filter(app=app).select_related("app", "author")
    context = {
        **admin.site.each_context(request),
        "title": f"Set up your sync: {app.name}",
        "app": app,
        "form": form,
        "back": _back(request, app),
        "steps": [{"title": title, "here": name == "select"} for name, title in STEPS],
        "drafts": [(d, address(d, d.step)) for d in drafts],
        "syncs_url": reverse("admin:connections_connectedapp_syncs", args=[app.pk]),
    }
    return TemplateResponse(request, "crosslink/flow/select.html", context)


def _back(request: HttpRequest, app: ConnectedApp) -> SyncDraft | None:
    asked = number_of(request.GET.get("back"))
    if asked is None:
        return None
    return SyncDraft.objects.filter(app=app, pk=asked).first()


def first_url(
    draft: SyncDraft, target: ObjectType, known: Mapping[Side, Schema]
) -> str:
    """Where to set up what a reference points to, and to come back from."""
    near = known[Side.HUBSPOT].object(str(draft.tree.get("hubspot_object")))
    far = far_object(near, target, known[Side.HUBSPOT]) if near else None
    chosen: dict[str, Any] = {"app_object": target.name, "back": draft.pk}
    if far is not None:
        chosen["hubspot_object"] = far.name
    url = reverse("admin:syncs_objectsync_set_up", args=[draft.app_id])
    return f"{url}?{urlencode(chosen)}"
