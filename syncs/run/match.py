"""Pair unpaired record links whose match keys agree, a set of key values at a time.

For each key in order: a value that exactly one record holds on each side pairs the two,
unless both hold different values of an earlier key. A value that several records of a side
hold, or whose only holder is paired already, pairs nothing; the unpaired ones among its
holders are marked ambiguous, with the others as candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from connections.catalogue import Code
from connections.records import Side
from syncs.models import Change, RecordKey, RecordLink
from syncs.models.choices import RecordState
from syncs.run.holders import MAX_CANDIDATES, Crowds, Holder, Rivals, holders_of
from syncs.run.identity import free
from syncs.run.idset import IdSet, pages, update_in_pieces
from syncs.run.rivals import Asked, some_rival_is_gone
from syncs.run.session import Session, now
from syncs.run.store import save_links, update_rows

LINKS_AT_ONCE = 400  # whose key values are looked up together

Moved = Callable[[dict[int, int]], None]  # {absorbed link: surviving link}


def match(session: Session, moved: Moved) -> None:
    """Pair what can be paired; `moved` is told which links were absorbed by which."""
    run = session.run
    place = run.place if run.place.get("phase") == "match" else {}
    if not place:
        _clear_ambiguous(session)
    session.advance("matching", place.get("rank", 0), len(session.keys))
    # Links that an earlier key, or an earlier slice, found ambiguous or paired.
    settled = IdSet()
    asked: Asked = set()
    for page in pages(_ambiguous(session), "pk") if place else ():
        settled.update(pk for (pk,) in page)
    for rank in range(place.get("rank", 0), len(session.keys)):
        start = place.get("last", 0) if rank == place.get("rank") else 0
        crowds = Crowds(session, rank)
        for some, values, last in _values(session, rank, start):
            crowds.look(values)
            _match_values(session, rank, some, values, crowds, settled, asked, moved)
            run.place = {"phase": "match", "rank": rank, "last": last}
            run.save(update_fields=["place"])
            session.breathe()
        session.advance("matching", rank + 1)


def _open_links(session: Session) -> QuerySet[RecordLink]:
    """Unpaired links that this run looks at: whatever moved, and what was ambiguous."""
    return RecordLink.objects.filter(
        Q(hubspot_id__isnull=True) | Q(app_id__isnull=True),
        sync=session.sync,
        dirty=True,
        keep_apart=False,
        hubspot_gone_at__isnull=True,
        app_gone_at__isnull=True,
    )


def _clear_ambiguous(session: Session) -> None:
    blank: Any = {"error_code": "", "error_text": "", "candidates": []}
    update_in_pieces(_ambiguous(session), dirty=True, **blank)


def _ambiguous(session: Session) -> QuerySet[RecordLink]:
    return RecordLink.objects.filter(
        sync=session.sync,
        state=RecordState.FAILING,
        error_code=Code.MATCH_AMBIGUOUS,
    )


def _values(
    session: Session, rank: int, last: int
) -> Iterator[tuple[list[int], list[str], int]]:
    """The values of one key that open links hold, some links at a time.

    Yields: the links, their values, and the last of the links. Walking the links by their
    own order takes one look at each, whatever the database knows of its tables.
    """
    while True:
        links = _open_links(session).filter(pk__gt=last).order_by("pk")
        some = list(links.values_list("pk", flat=True)[:LINKS_AT_ONCE])
        if not some:
            return
        last = some[-1]
        keys = RecordKey.objects.filter(link__in=some, rank=rank)
        yield some, sorted(set(keys.values_list("value", flat=True))), last


def _match_values(
    session: Session,
    rank: int,
    links: Sequence[int],
    values: Sequence[str],
    crowds: Crowds,
    settled: IdSet,
    asked: Asked,
    moved: Moved,
) -> None:
    """Pair or clash the holders of the values that some links hold."""
    holders, by_value = holders_of(session, rank, crowds.holders(values, links))
    pairs, clashes = _judge(holders, by_value, crowds)
    if some_rival_is_gone(session, holders, clashes, asked):
        holders, by_value = holders_of(session, rank, crowds.holders(values, links))
        pairs, clashes = _judge(holders, by_value, crowds)
    _pair_or_clash(session, holders, pairs, clashes, settled, moved)


def _judge(
    holders: Mapping[int, Holder], by_value: Mapping[str, set[int]], crowds: Crowds
) -> tuple[set[tuple[int, int]], dict[int, set[int]]]:
    """Which links pair, and which are ambiguous with which others."""
    pairs: set[tuple[int, int]] = set()
    clashes: dict[int, set[int]] = {}
    for value in sorted(by_value):
        peers = [holders[i] for i in sorted(by_value[value])]
        rivals = Rivals(peers)
        for holder in peers:
            if holder.paired:
                continue
            found = rivals.of(holder)
            partner = found[0] if len(found) == 1 else None
            if (
                partner is not None
                and value not in crowds
                and partner.free
                and partner.side != holder.side
                and rivals.of(partner) == [holder]
            ):
                pairs.add(_ordered(holder, partner))
            elif found:
                clashes.setdefault(holder.link_id, set()).update(
                    other.link_id for other in found
                )
    return pairs, clashes


def _ordered(one: Holder, other: Holder) -> tuple[int, int]:
    """Two links, the HubSpot record's first."""
    if one.side == Side.HUBSPOT:
        return one.link_id, other.link_id
    return other.link_id, one.link_id


def _pair_or_clash(
    session: Session,
    holders: dict[int, Holder],
    pairs: set[tuple[int, int]],
    clashes: dict[int, set[int]],
    settled: IdSet,
    moved: Moved,
) -> None:
    uses = Counter(link_id for pair in pairs for link_id in pair)
    good: list[tuple[int, int]] = []
    for h, a in sorted(pairs):
        taken = h in settled or a in settled or h in clashes or a in clashes
        if taken or uses[h] > 1 or uses[a] > 1:
            clashes.setdefault(h, set()).add(a)
            clashes.setdefault(a, set()).add(h)
        elif not (holders[h].apart or holders[a].apart):
            good.append((h, a))
    unclear = {
        link_id: sorted(f"{holders[i].side}:{holders[i].remote_id}" for i in others)
        for link_id, others in clashes.items()
        if not (holders[link_id].survivor or holders[link_id].apart)
    }
    with transaction.atomic():
        session.lease.check()
        _mark_ambiguous(session, unclear)
        join(session, good, moved)
    settled.update(clashes)
    for pair in good:
        settled.update(pair)


def _mark_ambiguous(session: Session, clashes: dict[int, list[str]]) -> None:
    if not clashes:
        return
    links = list(RecordLink.objects.filter(pk__in=list(clashes)))
    for link in links:
        names = clashes[link.pk]
        many = len(names) > MAX_CANDIDATES
        link.candidates = names[:MAX_CANDIDATES]
        link.state = RecordState.FAILING
        link.error_code = Code.MATCH_AMBIGUOUS
        link.error_text = (
            f"The match key is shared by {'more than ' if many else ''}"
            f"{min(len(names), MAX_CANDIDATES) + 1} records: this one and "
            f"{', '.join(names[:5])}{' …' if len(names) > 5 else ''}."
        )
        link.dirty = True
    save_links(links)


def join(session: Session, pairs: Sequence[tuple[int, int]], moved: Moved) -> None:
    """Make one link of two: the HubSpot side's link takes in the app side's.

    Call inside a transaction.
    """
    links = RecordLink.objects.in_bulk([i for pair in pairs for i in pair])
    absorbed = {a: h for h, a in pairs if h in links and a in links}
    if not absorbed:
        return
    revived = [
        h
        for a, h in absorbed.items()
        if links[h].app_gone_at is not None or links[a].hubspot_gone_at is not None
    ]
    for a, h in absorbed.items():
        take_in(links[h], links[a])
    # A survivor's counterpart is gone: what it was known by is nobody's now.
    RecordKey.objects.filter(
        Q(link__in=list(absorbed.values()), side=Side.APP)
        | Q(link__in=list(absorbed), side=Side.HUBSPOT)
    ).delete()
    keys = list(RecordKey.objects.filter(link__in=list(absorbed)))
    for key in keys:
        key.link_id = absorbed[key.link_id]
    update_rows(keys, ["link"])
    for field_name in ("link", "other_link"):
        rows = list(Change.objects.filter(**{f"{field_name}__in": list(absorbed)}))
        for row in rows:
            old = getattr(row, f"{field_name}_id")
            setattr(row, f"{field_name}_id", absorbed[old])
        update_rows(rows, [field_name])
    moved(absorbed)
    for stage in session.stages:
        stage.revived(revived)
    RecordLink.objects.filter(pk__in=list(absorbed)).delete()
    save_links([links[h] for h in absorbed.values()])


def take_in(link: RecordLink, other: RecordLink) -> None:
    """Give a HubSpot-only link the app side of another, as a first sync."""
    for name in (
        "app_id",
        "app_values",
        "app_references",
        "app_modified_at",
        "app_read_at",
        "app_seen",
        "app_gone_at",
        "app_vanished_at",
    ):
        setattr(link, name, getattr(other, name))
    link.paired_at = now()
    link.baseline = {}
    link.dirty = True
    link.state = RecordState.NEW
    link.keep_apart = False
    free(link)
    link.error_code = link.error_text = link.error_field = ""
    link.candidates = []
