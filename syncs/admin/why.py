"""Why? The gates of one record, or of its link to another, on a page of their own."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from connections.admin.base import PageAdmin, page_url
from connections.catalogue import Code
from connections.records import Side
from syncs import services
from syncs.models import RecordLink

TO = {Side.HUBSPOT: "to_hubspot_id", Side.APP: "to_app_id"}  # as the command calls them


def why_url(link: RecordLink) -> str:
    return reverse("admin:syncs_recordlink_why", args=[link.pk])


class WhyPages(PageAdmin[RecordLink]):
    """The page that explains a record, and asks for the other end of a link."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.why_view)
        why = path("<int:link_id>/why/", view, name="syncs_recordlink_why")
        return [why, *super().get_urls()]

    def why_view(self, request: HttpRequest, link_id: int) -> HttpResponse:
        rows = RecordLink.objects.select_related("sync__app__hubspot")
        link = rows.filter(pk=link_id).first()
        if link is None:
            raise Http404
        if not self.has_view_permission(request, link):
            raise PermissionDenied
        given = {side: request.GET.get(name, "").strip() for side, name in TO.items()}
        to = next(((side, given[side]) for side in Side if given[side]), None)
        relation = request.GET.get("by", "")
        found = None
        try:
            found = services.explain(
                sync=link.sync, **near(link), to=to, relation=relation
            )
        except services.BadId as exc:
            messages.error(request, str(exc))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Why aren't these linked?" if to else "Why isn't this in sync?",
            "original": link,
            "found": found,
            "mends": _mends(request, link, found),
            "fields": [
                (f"Linked record's id in {name}", TO[side], given[side])
                for side, name in (
                    (Side.HUBSPOT, "HubSpot"),
                    (Side.APP, link.sync.app.name),
                )
            ],
            "back": page_url(link),
        }
        return TemplateResponse(request, "crosslink/why.html", context)


def near(link: RecordLink) -> dict[str, Any]:
    """A record link as `explain` asks for it."""
    side = Side.HUBSPOT if link.hubspot_id is not None else Side.APP
    return {"side": side, "record_id": link.id_on(side) or ""}


def link_url(link: RecordLink, side: Side, far_id: str, relation: str) -> str:
    """The page that explains a link of a record, by one relation."""
    return f"{why_url(link)}?{urlencode({TO[side]: far_id, 'by': relation})}"


def _mends(
    request: HttpRequest, link: RecordLink, found: services.Explanation | None
) -> list[tuple[str, str]]:
    """Where what is shut can be opened: (what is said, address)."""
    places = [("The record's page", page_url(link))]
    if request.user.has_perm("syncs.view_objectsync"):
        places.append((f"The page of {link.sync}", page_url(link.sync)))
    shut = next((gate for gate in found.gates if not gate.ok), None) if found else None
    waits = shut is not None and shut.code in (Code.HELD_BY_LIMITS, Code.CONFLICT)
    if waits and request.user.has_perm("syncs.view_approval"):
        places.append(("Approvals", reverse("admin:syncs_approval_changelist")))
    return places
