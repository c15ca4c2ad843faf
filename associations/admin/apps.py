"""An app's page with the association mappings that wait for something."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from associations.admin.flow.base import NEEDS, address
from associations.admin.handover import HandoverPages
from associations.prerequisites import unmet
from associations.setup.offering import OpenLink, accept, open_links
from connections.admin.base import Button, page_url
from connections.connectors.base import ConnectorError
from connections.models import ConnectedApp
from syncs.models import ObjectSync, SyncDraft

KEEP, BY_KEY = "Keep these links", "Find by key only"


class LinkedAppAdmin(HandoverPages):
    def get_urls(self) -> list[URLPattern]:
        pressed = path(
            "<int:app_id>/links/<int:sync_id>/<path:field>/",
            self.admin_site.admin_view(self.link_view),
            name="connections_connectedapp_link",
        )
        return [pressed, *super().get_urls()]

    def waiting_links(self, request: HttpRequest, app: ConnectedApp) -> dict[str, Any]:
        """The mappings that wait for a sync, and reference fields that none keeps."""
        may = request.user.has_perms(NEEDS)
        unmet_links = unmet(ObjectSync.objects.filter(app=app))
        drafts = SyncDraft.objects.filter(app=app).select_related("author")
        return {
            "drafts": [(d, address(d, d.step)) for d in drafts] if may else [],
            "unmet_links": [
                (
                    why,
                    page_url(why.mapping.to_sync) if why.mapping.to_sync.set_up else "",
                )
                for why in unmet_links
            ],
            "open_links": [
                (link, _set_up_url(link), _press_url(link))
                for link in (open_links(app) if may else ())
            ],
        }

    def link_view(
        self, request: HttpRequest, app_id: int, sync_id: int, field: str
    ) -> HttpResponse:
        """Ask (GET), then set up (POST) what keeps a reference field's links."""
        if not request.user.has_perms(NEEDS):
            raise PermissionDenied
        app = ConnectedApp.objects.filter(pk=app_id, archived_at=None).first()
        if app is None:
            raise Http404
        back = reverse("admin:connections_connectedapp_syncs", args=[app.pk])
        link = next(
            (
                one
                for one in open_links(app)
                if (one.sync.pk, one.reference.name) == (sync_id, field)
                and (one.to_sync or one.short)
            ),
            None,
        )
        if link is None:
            messages.warning(request, f"{field} is set up already, or cannot be so.")
            return HttpResponseRedirect(back)
        if request.method != "POST":
            context = {
                **self.admin_site.each_context(request),
                "title": f"{link.sync}: {field}",
                "button": _button(link),
                "objects": [f"{link.sync}: {field}"],
                "hidden": {},
                "back": back,
            }
            return TemplateResponse(request, "crosslink/confirm.html", context)
        try:
            mapping = accept(link)
            changed: Any = link.sync
            made: Any = mapping.to_sync
        except ConnectorError as exc:
            messages.error(request, f"{exc.code}: {exc.message} {exc.remedy}")
            return HttpResponseRedirect(back)
        self.log_change(request, changed, f"Association mapping {mapping} added.")
        if link.to_sync is None:
            self.log_addition(request, made, "Finds records by key only.")
        messages.success(request, f"{mapping} is kept from the next run on.")
        return HttpResponseRedirect(back)


def _button(link: OpenLink) -> Button:
    """What is asked before an offer is taken up."""
    if link.to_sync is not None:
        text = (
            f"{link.reference.name} is mapped to {link.to_sync.name}: with the primary "
            "association where HubSpot has one, else with the default one. On the first "
            "run both sides' links unite, and no link is removed."
        )
        return Button("link", KEEP, lambda request, objects: None, "", "link", text)
    text = (
        f"Records of {link.target.name} are paired with HubSpot's {link.hubspot} by "
        f"{link.key}. Links use these pairs; no record of either side is created and no "
        "field is written."
    )
    return Button("link", BY_KEY, lambda request, objects: None, "", "key", text)


def _set_up_url(link: OpenLink) -> str:
    """The set-up of what a reference points to, with its objects chosen."""
    chosen = {"app_object": link.target.name, "hubspot_object": link.hubspot}
    url = reverse("admin:syncs_objectsync_set_up", args=[link.sync.app_id])
    return "" if link.to_sync else f"{url}?{urlencode(chosen)}"


def _press_url(link: OpenLink) -> str:
    if link.to_sync is None and link.short is None:
        return ""
    args = (link.sync.app_id, link.sync.pk, link.reference.name)
    return reverse("admin:connections_connectedapp_link", args=args)


admin.site.unregister(ConnectedApp)
admin.site.register(ConnectedApp, LinkedAppAdmin)
