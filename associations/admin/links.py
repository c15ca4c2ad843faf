"""Association links and association types, to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from associations.models import (
    AssociationLink,
    AssociationMapping,
    AssociationType,
    LinkState,
)
from connections.admin.base import (
    CodeFilter,
    InfinitePaginator,
    PageAdmin,
    ReadOnlyAdmin,
    SimpleListFilter,
    number_of,
    page_url,
)
from connections.models import RemoteObject
from connections.records import Side
from connections.templatetags.crosslink import ago, badge
from syncs.admin.filters import SyncFilter
from syncs.admin.records import records_with_id
from syncs.admin.why import link_url
from syncs.models import RecordLink
from syncs.run.naming import show

NO_LABEL = "Default"  # a type without one: the plain link


class LinkCodeFilter(CodeFilter):
    column = "code"


class LinkSyncFilter(SyncFilter):
    """Links of one object sync: by its mappings, which an index begins with."""

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> QuerySet[Any] | None:
        value = number_of(self.value())
        if value is None:
            return None
        mine = AssociationMapping.objects.filter(sync=value)
        return queryset.filter(mapping__in=list(mine.values_list("pk", flat=True)))


class LinkStateFilter(SimpleListFilter):
    """Links in one state; the others than in sync have an index of their own."""

    title = "state"
    parameter_name = "state__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(LinkState.choices)

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> QuerySet[Any] | None:
        value = self.value()
        if value not in LinkState.values:
            return None
        if value != LinkState.IN_SYNC:
            queryset = queryset.exclude(state=LinkState.IN_SYNC)
        return queryset.filter(state=value)


def named(link: RecordLink | None, fallback: str = "") -> SafeString | str:
    """A record's name, and its two ids."""
    if link is None:
        return fallback or "—"
    return format_html('{}<br><span class="cl-quiet">{}</span>', show(link), link)


def _types(link: AssociationLink) -> str:
    """The types that a link has in HubSpot, by their labels."""
    found = AssociationType.objects.filter(
        account=link.mapping.sync.app.hubspot_id,
        type_id__in=[number for _, number in link.types],
    )
    labels = {(row.category, row.type_id): row.label for row in found}
    return ", ".join(labels.get((one[0], one[1])) or NO_LABEL for one in link.types)


@admin.register(AssociationLink)
class AssociationLinkAdmin(PageAdmin[AssociationLink]):
    page_template = "crosslink/association_link.html"
    empty_title = "No link yet"
    empty_text = (
        "Links appear with the first run of a sync that has an association mapping, once "
        "the records at both ends are paired."
    )
    empty_link = ("admin:syncs_objectsync_changelist", "CRM syncs")
    list_display = ["near", "mapping", "far", "shown_state", "shown_code", "age"]
    list_select_related = ()
    list_filter = [LinkStateFilter, LinkCodeFilter, LinkSyncFilter]
    search_fields = ["link__hubspot_id"]
    search_help_text = "A record's HubSpot or app id"
    ordering = ["-pk"]
    paginator = InfinitePaginator
    show_full_result_count = False
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[AssociationLink]:
        rows = super().get_queryset(request)
        # Joined, the small tables would be tempting to begin with.
        return rows.prefetch_related("mapping__to_sync", "mapping__sync__app")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        ids = {pk for row in found.result_list for pk in (row.link_id, row.other_id)}
        shown = ("hubspot_id", "app_id", "hubspot_values", "app_values")
        known = RecordLink.objects.only(*shown).in_bulk(ids - {None})
        for row in found.result_list:
            row.ends = known.get(row.link_id), known.get(row.other_id)
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AssociationLink], search: str
    ) -> tuple[QuerySet[AssociationLink], bool]:
        term = search.strip()
        if not term:
            return queryset, False
        records = records_with_id(term)
        return (
            queryset.filter(link__in=records) | queryset.filter(other__in=records)
        ), False

    @admin.display(description="record")
    def near(self, obj: Any) -> SafeString | str:
        return named(obj.ends[0])

    @admin.display(description="linked to")
    def far(self, obj: Any) -> SafeString | str:
        link = obj.ends[1]
        if link is None:
            return named(link, obj.other_remote_id)
        return format_html('<a href="{}">{}</a>', page_url(link), named(link))

    @admin.display(description="state", ordering="state")
    def shown_state(self, obj: AssociationLink) -> SafeString:
        return badge(obj.state, obj.get_state_display())

    @admin.display(description="code")
    def shown_code(self, obj: AssociationLink) -> str:
        return obj.code or "—"

    @admin.display(description="since")
    def age(self, obj: AssociationLink) -> str:
        return ago(obj.since)

    def page_context(
        self, request: HttpRequest, obj: AssociationLink
    ) -> dict[str, Any]:
        return {
            "title": f"{obj.link} → {obj.other or obj.other_remote_id}",
            "types": _types(obj),
            "why_url": self._why_url(request, obj),
        }

    def _why_url(self, request: HttpRequest, obj: AssociationLink) -> str:
        """The page that explains the link; "" where its far end has no id."""
        if not request.user.has_perm("syncs.view_recordlink"):
            return ""
        ids = {
            side: obj.other.id_on(side)
            if obj.other
            else (obj.other_remote_id if side == obj.side else "")
            for side in Side
        }
        side = next((side for side in Side if ids[side]), None)
        if side is None:
            return ""
        return link_url(obj.link, side, ids[side] or "", str(obj.mapping_id))


@admin.register(AssociationType)
class AssociationTypeAdmin(ReadOnlyAdmin[AssociationType]):
    empty_title = "No association type yet"
    empty_text = (
        "HubSpot's types and labels are read when an account is connected, and again by "
        "Refresh schema on its page."
    )
    empty_link = ("admin:connections_hubspotaccount_changelist", "HubSpot accounts")
    list_display = ["name", "of", "to", "category", "type_id"]
    list_filter = ["account", "category"]
    search_fields = ["label", "from_object", "to_object", "type_id"]
    ordering = ["from_object", "to_object", "type_id"]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        known = RemoteObject.objects.filter(account__isnull=False)
        rows = known.values_list("account", "object_id", "label", "name")
        names = {(account, pk): label or name for account, pk, label, name in rows}
        for row in found.result_list:
            row.ends = [
                names.get((row.account_id, end), end)
                for end in (row.from_object, row.to_object)
            ]
        return found

    @admin.display(description="type", ordering="label")
    def name(self, obj: AssociationType) -> str:
        return obj.label or NO_LABEL

    @admin.display(description="of", ordering="from_object")
    def of(self, obj: Any) -> str:
        return str(obj.ends[0])

    @admin.display(description="to", ordering="to_object")
    def to(self, obj: Any) -> str:
        return str(obj.ends[1])
