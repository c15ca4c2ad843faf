"""A record's page with its links."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest

from associations.models import AssociationLink
from syncs.admin.records import RecordLinkAdmin
from syncs.models import RecordLink

SHOWN = 100


class LinkedRecordAdmin(RecordLinkAdmin):
    def page_context(self, request: HttpRequest, obj: RecordLink) -> dict[str, Any]:
        mine = AssociationLink.objects.filter(Q(link=obj.pk) | Q(other=obj.pk))
        links = mine.select_related("mapping__to_sync", "mapping__sync")
        found = list(links.order_by("-pk")[:SHOWN])
        ends = {pk for row in found for pk in (row.link_id, row.other_id)}
        known = RecordLink.objects.only("hubspot_id", "app_id").in_bulk(ends - {None})
        return {
            **super().page_context(request, obj),
            "links": [
                {"row": row, "far": known.get(_far(row, obj)), "out": _out(row, obj)}
                for row in found
            ],
        }


def _out(row: AssociationLink, obj: RecordLink) -> bool:
    return row.link_id == obj.pk


def _far(row: AssociationLink, obj: RecordLink) -> int | None:
    return row.other_id if _out(row, obj) else row.link_id


admin.site.unregister(RecordLink)
admin.site.register(RecordLink, LinkedRecordAdmin)
