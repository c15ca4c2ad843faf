"""The hand-over document of connected apps, as a file."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from associations.handover import document
from connections.admin.base import Button
from connections.models import ConnectedApp
from syncs.admin.actions import CHANGE_SYNCS
from syncs.admin.apps import SyncedAppAdmin

NAME = "connections_connectedapp_document"
SEE_SYNCS = "syncs.view_objectsync"


def _export(request: HttpRequest, apps: Sequence[ConnectedApp]) -> str:
    query = urlencode({"app": [app.pk for app in apps]}, doseq=True)
    return f"{reverse(f'admin:{NAME}')}?{query}"


class HandoverPages(SyncedAppAdmin):
    """Connected apps with the button that writes the document, and its address."""

    buttons = (
        *SyncedAppAdmin.buttons,
        Button(
            "document", "Export document", _export, CHANGE_SYNCS, icon="description"
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.document_view)
        return [path("document/", view, name=NAME), *super().get_urls()]

    def document_view(self, request: HttpRequest) -> HttpResponse:
        """The document of some apps, as a file."""
        may = self.has_view_permission(request) and request.user.has_perm(SEE_SYNCS)
        if not may:
            raise PermissionDenied
        asked = [pk for pk in request.GET.getlist("app") if pk.isdecimal()]
        apps = ConnectedApp.objects.filter(pk__in=asked, archived_at=None)
        names = list(apps.values_list("name", flat=True))
        if not names:
            raise Http404
        answer = HttpResponse(document(names, form="html"), content_type="text/html")
        answer["Content-Disposition"] = 'attachment; filename="crosslink.html"'
        return answer
