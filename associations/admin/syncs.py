"""CRM syncs with their association mappings, and how their sides compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from associations.admin.flow import flow_urls
from associations.admin.flow.base import NEEDS, address
from associations.drafts import edit
from associations.drafts.looking import stored_look
from associations.drafts.wording import sentences
from associations.drift import COLUMNS as COLUMNS_OF_DRIFT
from associations.drift import drift
from associations.models import AssociationMapping
from connections.admin.base import Button
from connections.admin.csv_files import csv_answer
from connections.connectors.base import ConnectorError
from connections.redaction import redact
from syncs.admin.syncs import ObjectSyncAdmin
from syncs.models import ObjectSync


def drift_rows(sync: ObjectSync) -> Iterator[Sequence[str]]:
    """The drift report's rows; what goes wrong on the way is its last one."""
    yield COLUMNS_OF_DRIFT
    try:
        for found in drift(sync):
            yield found.row()
    except ConnectorError as exc:
        text = f"The report ends here. {exc.message} {exc.remedy}".strip()
        blank = [""] * (len(COLUMNS_OF_DRIFT) - 3)
        yield [*blank, "incomplete", str(exc.code), redact(text)]


def shown_proof(mapping: AssociationMapping) -> SafeString | str:
    found = mapping.sweep
    if not found:
        return "No sweep went through yet."
    at = localize(localtime(datetime.fromisoformat(found["at"])))
    (there, one), (here, other) = found["hubspot"], found["app"]
    proven = mapping.proven_at
    if proven is not None and proven.isoformat() == found["at"]:
        return format_html("Proven equal {}: {} links, hash {}", at, there, one)
    last = localize(localtime(proven)) if proven is not None else "never"
    why = []
    if not found["whole"]:
        why.append("HubSpot shows a part only, or the sweep was interrupted")
    if found["unknown"]:
        why.append(f"{found['unknown']} lists could not be read")
    if found["open"]:
        why.append(f"links of {found['open']} records are still being written")
    if (there, one) != (here, other):
        why.append("see the drift report")
    return format_html(
        "Last proven equal: {}. Sweep of {}: HubSpot {} links, hash {}; app {} links, "
        "hash {}: {}.",
        last,
        at,
        there,
        one,
        here,
        other,
        "; ".join(why) or "they are equal",
    )


def _edit(request: HttpRequest, syncs: Sequence[ObjectSync]) -> str:
    """Go on with a sync's draft, or begin one."""
    user: Any = request.user
    draft = edit(syncs[0], user)
    return address(draft, draft.step)


class MappedSyncAdmin(ObjectSyncAdmin):
    buttons = (
        *ObjectSyncAdmin.buttons,
        Button("edit", "Edit", _edit, NEEDS[0], icon="edit", on_list=False),
    )

    def panel(self, request: HttpRequest, sync: ObjectSync) -> dict[str, Any]:
        mappings = AssociationMapping.objects.filter(sync=sync)
        found = stored_look(sync)
        return {
            **super().panel(request, sync),
            "sentences": list(sentences(found, sync.app)),
            "proofs": [(m, shown_proof(m)) for m in mappings.select_related("to_sync")],
        }

    def get_urls(self) -> list[URLPattern]:
        return [
            *flow_urls(self.admin_site.admin_view),
            path(
                "<int:sync_id>/drift.csv",
                self.admin_site.admin_view(self.drift_view),
                name="syncs_objectsync_drift",
            ),
            *super().get_urls(),
        ]

    def drift_view(self, request: HttpRequest, sync_id: int) -> HttpResponseBase:
        """Every link that stands on one side only, as it is found."""
        sync = get_object_or_404(ObjectSync, pk=sync_id, archived_at=None)
        if not self.has_view_permission(request, sync):
            raise PermissionDenied
        name = f"drift {sync.app.name} {sync.name}"
        return csv_answer(name, drift_rows(sync))


admin.site.register(ObjectSync, MappedSyncAdmin)
