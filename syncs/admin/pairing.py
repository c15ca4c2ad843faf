"""Pair, untie and keep apart by hand, with ambiguous matches and their candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from connections.admin.base import Button, PageAdmin, number_of, page_url
from connections.catalogue import Code
from connections.connectors.base import ConnectorError
from connections.models import ConnectedApp
from connections.records import Side
from syncs import services
from syncs.admin.actions import CHANGE_SYNCS, start
from syncs.models import ObjectSync, RecordLink
from syncs.models.choices import RecordState
from syncs.run.identity import marked
from syncs.run.naming import show
from syncs.run.session import PROBLEMS

RECORDS = 20  # ambiguous records of a page, with up to twenty candidates each
SHOWN = 6  # values of a record
NAMES = {Side.HUBSPOT: "HubSpot", Side.APP: "app"}


# Buttons -------------------------------------------------------------------------------


def _by_sync(links: Iterable[RecordLink]) -> dict[ObjectSync, list[RecordLink]]:
    rows = list(links)
    syncs = ObjectSync.objects.select_related("app").in_bulk({r.sync_id for r in rows})
    found: dict[ObjectSync, list[RecordLink]] = {}
    for row in rows:
        found.setdefault(syncs[row.sync_id], []).append(row)
    return found


Act = Callable[[ObjectSync, list[RecordLink]], int]


def _do(act: Act, said: str) -> Callable[[HttpRequest, Sequence[RecordLink]], None]:
    """A button's deed, sync by sync; `said` tells what came of so many records."""

    def do(request: HttpRequest, links: Sequence[RecordLink]) -> None:
        for sync, mine in _by_sync(links).items():
            try:
                count = act(sync, mine)
            except services.PairError as exc:
                messages.error(request, str(exc))
            else:
                noun = "record" if count == 1 else "records"
                messages.success(request, f"{sync}: {count} {noun} {said}")

    return do


def _ids(links: Iterable[RecordLink]) -> list[int]:
    return [link.pk for link in links]


def _unpair(sync: ObjectSync, links: list[RecordLink]) -> int:
    for link in links:
        ids = {"hubspot_id": link.hubspot_id or "", "app_id": link.app_id or ""}
        services.unpair(sync=sync, **ids)
    return len(links)


def _confirm(sync: ObjectSync, links: list[RecordLink]) -> int:
    for link in links:
        ids = {"hubspot_id": link.hubspot_id or "", "app_id": link.app_id or ""}
        services.pair(sync=sync, **ids)
    return len(links)


def resync(request: HttpRequest, links: Sequence[RecordLink]) -> str | None:
    """Try failing records again at once: their back-off is forgotten and a run starts."""
    ready = []
    for sync, mine in _by_sync(links).items():
        try:
            services.resync(sync=sync, link_ids=_ids(mine))
        except services.PairError as exc:
            messages.error(request, str(exc))
        else:
            ready.append(sync)
    return start(request, ready) if ready else None


def resync_failing(request: HttpRequest, syncs: Sequence[ObjectSync]) -> str | None:
    """Try whatever fails in some syncs again at once."""
    ready = []
    for sync in syncs:
        try:
            services.resync_failing(sync=sync)
        except services.PairError as exc:
            messages.error(request, str(exc))
        else:
            ready.append(sync)
    return start(request, ready) if ready else None


AGAIN = (
    "What failed is tried again at once, whatever its back-off, in a run that also does "
    "what else is due: records and links are written to HubSpot and to the app."
)


def resync_button(chosen: Callable[[Iterable[Any]], Sequence[ObjectSync]]) -> Button:
    """Resync failing, of the syncs of what was ticked."""

    def do(request: HttpRequest, objects: Sequence[Any]) -> str | None:
        return resync_failing(request, chosen(objects))

    return Button(
        "resync-failing",
        "Resync failing",
        do,
        CHANGE_SYNCS,
        icon="sync_problem",
        question=AGAIN,
    )


BUTTONS = (
    Button(
        "resync",
        "Resync",
        resync,
        CHANGE_SYNCS,
        icon="sync_problem",
        question=AGAIN,
        when=lambda link: link.state in services.FAILED,
    ),
    Button(
        "keep-pair",
        "Keep this pair",
        _do(_confirm, "kept as they are paired; what moved travels in the next run."),
        CHANGE_SYNCS,
        icon="how_to_reg",
        question="The two are the same, and the keys were really changed: what moved on "
        "either side travels in the next run.",
        when=lambda link: link.paired and marked(link),
    ),
    Button(
        "pair-anew",
        "Pair anew by key",
        _do(
            lambda sync, links: services.pair_anew(sync=sync, link_ids=_ids(links)),
            "untied; the next run pairs them by their keys.",
        ),
        CHANGE_SYNCS,
        icon="shuffle",
        question="The ids were given to other records, as when a table was emptied and "
        "loaded again: the two are untied, and the next run pairs each by its key.",
        when=lambda link: link.paired and marked(link),
    ),
    Button(
        "unpair",
        "Unpair",
        _do(_unpair, "unpaired; their keys do not pair them again."),
        CHANGE_SYNCS,
        icon="link_off",
        question="Neither record is changed. Their keys do not pair them again, and "
        "nothing is created for them; you can pair each by hand.",
        when=lambda link: link.paired,
    ),
    Button(
        "keep-apart",
        "Keep apart",
        _do(
            lambda sync, links: services.keep_apart(sync=sync, link_ids=_ids(links)),
            "kept apart: not paired by key, and nothing is created for them.",
        ),
        CHANGE_SYNCS,
        icon="call_split",
        question="Its keys pair it with nothing any more, and nothing is created for it. "
        "Records that share its key stay ambiguous until the right two are paired.",
        when=lambda link: not link.paired and not link.keep_apart,
    ),
    Button(
        "match-again",
        "Match again",
        _do(
            lambda sync, links: services.keep_apart(
                sync=sync, link_ids=_ids(links), apart=False
            ),
            "matched by their keys again, from the next run on.",
        ),
        CHANGE_SYNCS,
        icon="join",
        question="The next run pairs it by its keys, or creates its counterpart.",
        when=lambda link: not link.paired and link.keep_apart,
    ),
)


# Pages ---------------------------------------------------------------------------------


class PairingPages(PageAdmin[RecordLink]):
    """The list of ambiguous matches, and the page that pairs one of them."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path(
                "ambiguous/",
                wrap(self.ambiguous_view),
                name="syncs_recordlink_ambiguous",
            ),
            path(
                "<int:link_id>/pair/",
                wrap(self.pair_view),
                name="syncs_recordlink_pair",
            ),
            *super().get_urls(),
        ]

    def ambiguous_view(self, request: HttpRequest) -> HttpResponse:
        """Records that several others could match, a page at a time."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = RecordLink.objects.filter(
            state=RecordState.FAILING, error_code=Code.MATCH_AMBIGUOUS
        )
        chosen = {
            n: number_of(request.GET.get(n)) or 0 for n in ("app", "sync", "after")
        }
        if chosen["app"]:
            rows = rows.filter(sync__app=chosen["app"])
        if chosen["sync"]:
            rows = rows.filter(sync=chosen["sync"])
        rows = rows.filter(pk__gt=chosen["after"]).select_related("sync__app")
        rows = rows.prefetch_related("sync__match_keys")
        found = list(rows.order_by("pk")[: RECORDS + 1])
        shown = found[:RECORDS]
        more = {k: v for k, v in chosen.items() if v and k != "after"}
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Ambiguous matches",
            "records": [
                _record(link, candidates)
                for link, candidates in zip(shown, _candidates(shown), strict=True)
            ],
            "apps": ConnectedApp.objects.filter(archived_at=None).order_by("name"),
            "app": chosen["app"],
            "may_pair": request.user.has_perm(CHANGE_SYNCS),
            "next": urlencode({**more, "after": shown[-1].pk})
            if len(found) > RECORDS
            else "",
        }
        return TemplateResponse(request, "crosslink/ambiguous.html", context)

    def pair_view(self, request: HttpRequest, link_id: int) -> HttpResponse:
        """Choose a counterpart; look at both; pair them."""
        rows = RecordLink.objects.select_related("sync__app")
        link = rows.filter(pk=link_id).first()
        if link is None:
            raise Http404
        if not request.user.has_perm(CHANGE_SYNCS):
            raise PermissionDenied
        if link.paired:
            messages.warning(request, f"{link} is paired already: unpair it first.")
            return HttpResponseRedirect(page_url(link))
        given = request.POST if request.method == "POST" else request.GET
        other_id = given.get("other", "").strip()
        other = self._other(request, link, other_id) if other_id else None
        if other is not None and request.method == "POST":
            return HttpResponseRedirect(_pair(request, link, other) or request.path)
        here = _side(link)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Pair by hand",
            "record": _record(link, _candidates([link])[0]),
            "original": link,
            "there": NAMES[here.other],
            "other": _shown(other) if other is not None else None,
            "fields": _beside(link, other) if other is not None else [],
            "back": page_url(link),
            "may_pair": True,
        }
        return TemplateResponse(request, "crosslink/pair.html", context)

    def _other(
        self, request: HttpRequest, link: RecordLink, remote_id: str
    ) -> RecordLink | None:
        """The record of the other side by its id, if it can be paired."""
        side = _side(link).other
        found = RecordLink.objects.filter(
            **{"sync": link.sync_id, f"{side}_id": remote_id}
        ).first()
        if found is None:
            messages.error(
                request,
                f"No run has read a record {remote_id} in {NAMES[side]}. Give the "
                "record's id, not its name; press Sync now if it is new.",
            )
        elif found.paired:
            messages.error(request, f"{found} is paired already: unpair it first.")
            found = None
        return found


def _pair(request: HttpRequest, link: RecordLink, other: RecordLink) -> str | None:
    """Tie the two; returns the pair's page, or None where it cannot be."""
    ids = {f"{_side(one)}_id": one.id_on(_side(one)) or "" for one in (link, other)}
    try:
        paired = services.pair(sync=link.sync, **ids)
    except (services.PairError, ConnectorError) as exc:
        messages.error(request, str(exc))
        return None
    messages.success(request, f"{paired} are paired; the next run is their first sync.")
    return page_url(paired)


def _side(link: RecordLink) -> Side:
    return Side.HUBSPOT if link.hubspot_id is not None else Side.APP


# What is shown of a record -------------------------------------------------------------


def _shown(link: RecordLink, side: Side | None = None) -> dict[str, Any]:
    """A record with its values, those it is matched by first."""
    side = side or _side(link)
    values = {k: v for k, v in link.values_on(side).items() if k != PROBLEMS}
    keys = [getattr(part, str(side)) for part in link.sync.match_keys.all()]
    names = [n for n in dict.fromkeys([*keys, *values]) if n in values]
    return {
        "link": link,
        "side": NAMES[side],
        "id": link.id_on(side),
        "name": show(link),
        "url": page_url(link),
        "values": [(name, values[name]) for name in names[:SHOWN]],
        "paired": link.paired,
        "apart": link.keep_apart,
    }


def _record(link: RecordLink, candidates: list[dict[str, Any]]) -> dict[str, Any]:
    pair_url = reverse("admin:syncs_recordlink_pair", args=[link.pk])
    here = NAMES[_side(link)]
    for one in candidates:
        free = one["link"] is not None and not one["paired"] and one["side"] != here
        query = urlencode({"other": one["id"]})
        one["pair_url"] = f"{pair_url}?{query}" if free else ""
    return {
        **_shown(link),
        "sync": link.sync,
        "text": link.error_text,
        "candidates": candidates,
        "pair_url": pair_url,
        "apart_url": reverse("admin:syncs_recordlink_do", args=[link.pk, "keep-apart"]),
    }


def _candidates(links: Sequence[RecordLink]) -> list[list[dict[str, Any]]]:
    """The records that each of some records could match, with two queries for all."""
    named = [
        [
            (link.sync_id, side, remote_id)
            for side, _, remote_id in (name.partition(":") for name in link.candidates)
        ]
        for link in links
    ]
    known: dict[tuple[int, str, str], RecordLink] = {}
    for side in Side:
        wanted: dict[int, list[str]] = {}
        for sync_id, word, remote_id in (at for some in named for at in some):
            if word == side:
                wanted.setdefault(sync_id, []).append(remote_id)
        where = Q(pk__in=[])
        for sync_id, ids in wanted.items():
            where |= Q(**{"sync": sync_id, f"{side}_id__in": ids})
        rows = RecordLink.objects.filter(where).select_related("sync__app")
        for row in rows.prefetch_related("sync__match_keys") if wanted else ():
            known[row.sync_id, str(side), row.id_on(side) or ""] = row
    return [
        [
            _shown(known[at], Side(at[1]))
            if at in known
            else {"link": None, "side": NAMES[Side(at[1])], "id": at[2], "values": []}
            for at in some
        ]
        for some in named
    ]


def _beside(link: RecordLink, other: RecordLink) -> list[dict[str, Any]]:
    """What the mapped fields of the two hold, side by side."""
    sides = {_side(one): one for one in (link, other)}
    values = {side: sides[side].values_on(side) for side in Side}
    return [
        {
            "hubspot_name": mapping.hubspot,
            "hubspot": values[Side.HUBSPOT].get(mapping.hubspot),
            "app": values[Side.APP].get(mapping.app),
            "app_name": mapping.app,
        }
        for mapping in link.sync.field_mappings.all()
    ]
