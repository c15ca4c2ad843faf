"""What connected apps are set up as: for people, and as a file to apply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from associations.handover import document
from associations.setup.exporting import export
from connections.admin.base import Button, number_of
from connections.models import ConnectedApp
from syncs.admin.actions import CHANGE_SYNCS
from syncs.admin.apps import SyncedAppAdmin

NAME = "connections_connectedapp_document"
SETUP = "connections_connectedapp_export"
SEE_SYNCS = "syncs.view_objectsync"


def _leads_to(name: str) -> Callable[[HttpRequest, Sequence[ConnectedApp]], str]:
    """What a button does that only leads to a file of the apps."""

    def go(request: HttpRequest, apps: Sequence[ConnectedApp]) -> str:
        query = urlencode({"app": [app.pk for app in apps]}, doseq=True)
        return f"{reverse(f'admin:{name}')}?{query}"

    return go


class HandoverPages(SyncedAppAdmin):
    """Connected apps with the buttons that write the files, and their addresses."""

    buttons = (
        *SyncedAppAdmin.buttons,
        Button(
            "document",
            "Export document",
            _leads_to(NAME),
            CHANGE_SYNCS,
            icon="description",
        ),
        Button(
            "export",
            "Export set-up (YAML)",
            _leads_to(SETUP),
            CHANGE_SYNCS,
            icon="download",
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("document/", wrap(self.document_view), name=NAME),
            path("set-up.yaml", wrap(self.export_view), name=SETUP),
            *super().get_urls(),
        ]

    def document_view(self, request: HttpRequest) -> HttpResponse:
        """The document of some apps, as a file."""
        text = document(self._asked(request), form="html")
        answer = HttpResponse(text, content_type="text/html")
        answer["Content-Disposition"] = 'attachment; filename="crosslink.html"'
        return answer

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """The set-up file of some apps; it names credentials and holds none."""
        text = export(*self._asked(request))
        answer = HttpResponse(text, content_type="application/yaml; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="crosslink.yaml"'
        return answer

    def _asked(self, request: HttpRequest) -> list[str]:
        """The names of the apps that are asked for. Raises: PermissionDenied, Http404."""
        may = self.has_view_permission(request) and request.user.has_perm(SEE_SYNCS)
        if not may:
            raise PermissionDenied
        asked = [
            pk for pk in map(number_of, request.GET.getlist("app")) if pk is not None
        ]
        apps = ConnectedApp.objects.filter(pk__in=asked, archived_at=None)
        names = list(apps.values_list("name", flat=True))
        if not names:
            raise Http404
        return names
