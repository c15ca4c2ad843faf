"""Record links: what is kept in step with what, and where each record stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db import connection
from django.db.models import Max, Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from connections.admin.base import Button, CodeFilter, InfinitePaginator
from connections.records import Side
from connections.templatetags.crosslink import ago, badge
from syncs import services
from syncs.admin.actions import CHANGE_SYNCS
from syncs.admin.filters import SyncFilter
from syncs.admin.pairing import BUTTONS, PairingPages
from syncs.admin.why import WhyPages
from syncs.models import Change, MatchKey, ObjectSync, RecordKey, RecordLink
from syncs.models.choices import RecordState
from syncs.run.session import PROBLEMS, mapping_key

FOUND = 200  # records that a search shows at most
CHANGES = 50


def records_with_id(term: str) -> list[int]:
    """Record links with this id on either side, found by their unique indexes."""
    syncs = list(ObjectSync.objects.values_list("pk", flat=True))
    found: list[int] = []
    for column in ("hubspot_id", "app_id"):
        rows = RecordLink.objects.filter(**{"sync__in": syncs, column: term})
        found += rows.values_list("pk", flat=True)[:FOUND]
    return found


def records_with_key(term: str) -> list[int]:
    """Record links one of whose match keys begins with a text, in its own letters or in
    small ones, as most keys are kept."""
    syncs = list(ObjectSync.objects.values_list("pk", flat=True))
    ranks = MatchKey.objects.aggregate(most=Max("rank"))["most"] or 0
    # Every column of the index up to the value, which then is a range of it.
    keys = RecordKey.objects.filter(
        sync__in=syncs, rank__in=range(ranks + 1), side__in=list(Side)
    )
    found: list[int] = []
    for text in dict.fromkeys([term, term.casefold()]):
        rows = keys.filter(_begins(text)).values_list("link", flat=True)
        found += rows[:FOUND]
    return list(dict.fromkeys(found))[:FOUND]


def _begins(text: str) -> Q:
    """A key value that begins so, in the form that each database looks up in an index."""
    if connection.vendor == "postgresql":
        return Q(value__startswith=text)
    return Q(value__gte=text, value__lt=text + chr(0x10FFFF))


def create_again(request: HttpRequest, links: Sequence[RecordLink]) -> None:
    try:
        count = services.create_again(links=links)
    except services.PairError as exc:
        messages.error(request, str(exc))
        return
    messages.success(
        request,
        f"{count} to be paired by key, or created, in the next run. Press Sync now on "
        "the sync's page to do it at once.",
    )


@admin.register(RecordLink)
class RecordLinkAdmin(WhyPages, PairingPages):
    """What each record of a sync is paired with; only the engine writes it."""

    page_template = "crosslink/record.html"
    buttons = (
        Button(
            "create-again",
            "Create again",
            create_again,
            CHANGE_SYNCS,
            icon="restart_alt",
            question="The record that is left is paired by its key in the next run, or "
            "its counterpart is created. What it was paired with is forgotten.",
            when=services.survives,
        ),
        *BUTTONS,
    )
    empty_title = "No record yet"
    empty_text = (
        "The first run of a sync, or its preview, reads the records of both sides and "
        "pairs those that match."
    )
    empty_link = ("admin:syncs_objectsync_changelist", "CRM syncs")
    list_display = ["record", "sync", "key", "shown_state", "shown_code", "age"]
    list_select_related = ()
    list_filter = ["state", CodeFilter, SyncFilter]
    search_fields = ["hubspot_id"]
    search_help_text = "A HubSpot id, an app id, or the beginning of a match key"
    ordering = ["-pk"]
    paginator = InfinitePaginator
    show_full_result_count = False
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[RecordLink]:
        # Joined, the small tables would be tempting to begin with.
        return super().get_queryset(request).prefetch_related("sync__app")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RecordLink], search: str
    ) -> tuple[QuerySet[RecordLink], bool]:
        term = search.strip()
        if not term:
            return queryset, False
        found = records_with_id(term) or records_with_key(term)
        return queryset.filter(pk__in=found), False

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        rows = list(found.result_list)
        keys: dict[int, str] = {}
        for key in RecordKey.objects.filter(link__in=[r.pk for r in rows]).order_by(
            "rank", "pk"
        ):
            keys.setdefault(key.link_id, key.value)
        for row in rows:
            row.shown_key = keys.get(row.pk, "—")
        found.result_list = rows
        return found

    @admin.display(description="HubSpot ↔ app")
    def record(self, obj: RecordLink) -> str:
        return str(obj)

    @admin.display(description="match key")
    def key(self, obj: Any) -> str:
        return str(obj.shown_key)

    @admin.display(description="state")
    def shown_state(self, obj: RecordLink) -> SafeString:
        return badge(obj.state, obj.get_state_display())

    @admin.display(description="code")
    def shown_code(self, obj: RecordLink) -> str:
        return obj.error_code or "—"

    @admin.display(description="looked at")
    def age(self, obj: RecordLink) -> str:
        return ago(obj.updated_at)

    def page_context(self, request: HttpRequest, obj: RecordLink) -> dict[str, Any]:
        changes = Change.objects.filter(link=obj).order_by("-pk")
        failing = obj.state in (RecordState.FAILING, RecordState.UNCERTAIN)
        return {
            "fields": fields_of(obj),
            "is_failing": failing,
            "changes": list(changes.select_related("run")[:CHANGES]),
            "candidates": _candidates(obj),
            "may_pair": not obj.paired and request.user.has_perm(CHANGE_SYNCS),
            "may_see_changes": request.user.has_perm("syncs.view_change"),
        }


def fields_of(link: RecordLink) -> list[dict[str, Any]]:
    """Both sides' values beside the baseline: mapped fields first, then what else is held."""
    rows = []
    seen: dict[str, set[str]] = {side: set() for side in Side}
    for mapping in link.sync.field_mappings.all():
        names = {Side.HUBSPOT: mapping.hubspot, Side.APP: mapping.app}
        direction = mapping.direction or link.sync.direction
        base = link.baseline.get(mapping_key(mapping, direction))
        for side, name in names.items():
            seen[side].add(name)
        rows.append(_field_row(link, names, base))
    for side in Side:
        for name in link.values_on(side):
            if name != PROBLEMS and name not in seen[side]:
                rows.append(_field_row(link, {side: name}, None))
    return rows


def _field_row(link: RecordLink, names: dict[Side, str], base: Any) -> dict[str, Any]:
    kept = base if isinstance(base, list) else [None, None]
    row: dict[str, Any] = {"names": {}, "now": {}, "base": {}, "problem": {}}
    for at, side in enumerate(Side):
        name = names.get(side, "")
        values = link.values_on(side)
        row["names"][side.value] = name
        row["now"][side.value] = values.get(name)
        row["base"][side.value] = kept[at] if name and len(kept) > at else None
        problem = values.get(PROBLEMS, {}).get(name)
        row["problem"][side.value] = ": ".join(map(str, problem)) if problem else ""
    now = row["now"]
    row["mapped"] = len(names) == len(Side)
    row["differs"] = row["mapped"] and link.paired and now["hubspot"] != now["app"]
    return row


def _candidates(link: RecordLink) -> list[dict[str, Any]]:
    """The records named as candidates, with their pages where they are known."""
    named = [one.partition(":") for one in link.candidates]
    known: dict[tuple[str, str], int] = {}
    for side in Side:
        ids = [remote_id for word, _, remote_id in named if word == side]
        rows = RecordLink.objects.filter(
            **{"sync": link.sync_id, f"{side}_id__in": ids}
        )
        for remote_id, pk in rows.values_list(f"{side}_id", "pk"):
            known[side.value, str(remote_id)] = pk
    return [
        {"side": word, "id": remote_id, "pk": known.get((word, remote_id))}
        for word, _, remote_id in named
    ]
