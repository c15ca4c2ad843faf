"""Pair unpaired record links whose match keys agree, a set of key values at a time.

For each key in order: a value that exactly one record holds on each side pairs the two,
unless both hold different values of an earlier key. A value that several records of a side
hold, or whose only holder is paired already, pairs nothing; the unpaired ones among its
holders are marked ambiguous, with the others as candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from django.db import transaction
from django.db.models import Q, QuerySet

from connections.catalogue import Code
from connections.records import Side
from syncs.models import Change, RecordKey, RecordLink
from syncs.models.choices import RecordState
from syncs.run.session import Session, now
from syncs.run.store import save_links, update_rows

LINKS_AT_ONCE = 400  # whose key values are looked up together
IDS_AT_ONCE = 5000
# What matching looks at; a popular value has many holders.
KEY_COLUMNS = (
    "value",
    "side",
    *(
        f"link__{name}"
        for name in (
            "hubspot_id",
            "app_id",
            "hubspot_gone_at",
            "app_gone_at",
            "keep_apart",
            "stage_state",
        )
    ),
)
MAX_CANDIDATES = 20  # named on an ambiguous record

Moved = Callable[[dict[int, int]], None]  # {absorbed link: surviving link}


@dataclass
class Holder:
    """One live record as far as matching looks at it.

    `paired` records are not to be had; `survivor` is one whose counterpart is gone.
    """

    link_id: int
    side: str
    paired: bool
    survivor: bool
    apart: bool
    remote_id: str
    keys: dict[int, set[str]] = field(default_factory=dict)

    @property
    def free(self) -> bool:
        return not self.paired


def match(session: Session, moved: Moved) -> None:
    """Pair what can be paired; `moved` is told which links were absorbed by which."""
    run = session.run
    place = run.place if run.place.get("phase") == "match" else {}
    if not place:
        _clear_ambiguous(session)
    session.advance("matching", place.get("rank", 0), len(session.keys))
    # Links that an earlier key, or an earlier slice, found ambiguous or paired.
    settled = set(_ambiguous(session).values_list("pk", flat=True)) if place else set()
    for rank in range(place.get("rank", 0), len(session.keys)):
        start = place.get("last", 0) if rank == place.get("rank") else 0
        popular: set[str] = set()  # values of so many that once is enough
        for values, last in _values(session, rank, start):
            fresh = [value for value in values if value not in popular]
            popular |= _match_values(session, rank, fresh, settled, moved)
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
    _ambiguous(session).update(dirty=True, error_code="", error_text="", candidates=[])


def _ambiguous(session: Session) -> QuerySet[RecordLink]:
    return RecordLink.objects.filter(
        sync=session.sync,
        state=RecordState.FAILING,
        error_code=Code.MATCH_AMBIGUOUS,
    )


def _values(session: Session, rank: int, last: int) -> Iterator[tuple[list[str], int]]:
    """The values of one key that open links hold, some links at a time.

    Yields: values, and the last of the links that hold them. Walking the links by their
    own order takes one look at each, whatever the database knows of its tables.
    """
    while True:
        links = _open_links(session).filter(pk__gt=last).order_by("pk")
        some = list(links.values_list("pk", flat=True)[:LINKS_AT_ONCE])
        if not some:
            return
        last = some[-1]
        keys = RecordKey.objects.filter(link__in=some, rank=rank)
        yield sorted(set(keys.values_list("value", flat=True))), last


def _holders(
    session: Session, rank: int, values: list[str]
) -> tuple[dict[int, Holder], dict[str, set[int]]]:
    """The living records that hold one of the values, and who holds which."""
    holders: dict[int, Holder] = {}
    by_value: dict[str, set[int]] = {}
    rows = RecordKey.objects.filter(
        Q(side=Side.HUBSPOT, link__hubspot_gone_at__isnull=True)
        | Q(side=Side.APP, link__app_gone_at__isnull=True),
        sync=session.sync,
        rank=rank,
        value__in=values,
    ).select_related("link")
    for key in rows.only(*KEY_COLUMNS).iterator(chunk_size=5000):
        link = key.link
        by_value.setdefault(key.value, set()).add(link.pk)
        gone = link.hubspot_gone_at is not None or link.app_gone_at is not None
        # What a merge left behind keeps its place (RECORD_MERGED).
        survivor = gone and "merged_into" not in link.stage_state
        holders[link.pk] = Holder(
            link.pk,
            key.side,
            paired=link.paired and not survivor,
            survivor=survivor,
            apart=link.keep_apart,
            remote_id=link.id_on(Side(key.side)) or "",
        )
    if rank:
        ids = list(holders)
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = ids[start : start + IDS_AT_ONCE]
            earlier = RecordKey.objects.filter(link__in=some, rank__lt=rank)
            for link_id, at, side, value in earlier.values_list(
                "link_id", "rank", "side", "value"
            ):
                holder = holders[link_id]
                if holder.paired or side == holder.side:
                    holder.keys.setdefault(at, set()).add(value)
    return holders, by_value


def _match_values(
    session: Session, rank: int, values: list[str], settled: set[int], moved: Moved
) -> set[str]:
    """Pair or clash the holders of some values. Returns the values of very many."""
    holders, by_value = _holders(session, rank, values)
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
                and partner.free
                and partner.side != holder.side
                and rivals.of(partner) == [holder]
            ):
                pairs.add(_ordered(holder, partner))
            elif found:
                clashes.setdefault(holder.link_id, set()).update(
                    other.link_id for other in found
                )
    _pair_or_clash(session, holders, pairs, clashes, settled, moved)
    return {v for v, holding in by_value.items() if len(holding) > LINKS_AT_ONCE}


def _ordered(one: Holder, other: Holder) -> tuple[int, int]:
    """Two links, the HubSpot record's first."""
    if one.side == Side.HUBSPOT:
        return one.link_id, other.link_id
    return other.link_id, one.link_id


class Rivals:
    """Who, of the records that share a key value, could be the same as another.

    Records that both hold different values of an earlier key are not: two shops of one
    name and two domains have nothing to do with each other.
    """

    def __init__(self, peers: Sequence[Holder]) -> None:
        self._peers = peers
        self._without: dict[int, list[Holder]] = {}
        self._with: dict[int, dict[str, list[Holder]]] = {}
        for rank in {rank for peer in peers for rank in peer.keys}:
            self._without[rank] = [p for p in peers if rank not in p.keys]
            by_value = self._with.setdefault(rank, {})
            for peer in peers:
                for value in peer.keys.get(rank, ()):
                    by_value.setdefault(value, []).append(peer)

    def of(self, holder: Holder) -> list[Holder]:
        """At most MAX_CANDIDATES + 1 of them: more than can be named."""
        found: dict[int, Holder] = {}
        for peer in self._possible(holder):
            if peer is not holder and not _contradict(holder, peer):
                found[peer.link_id] = peer
                if len(found) > MAX_CANDIDATES:
                    break
        return list(found.values())

    def _possible(self, holder: Holder) -> Iterable[Holder]:
        if not holder.keys:
            return self._peers
        rank = min(holder.keys, key=lambda r: len(self._without[r]))
        by_value = self._with[rank]
        same = [by_value[value] for value in sorted(holder.keys[rank])]
        return chain(self._without[rank], *same)


def _contradict(one: Holder, other: Holder) -> bool:
    """Whether two records both hold values of an earlier key, and none in common."""
    return any(
        at in other.keys and not values & other.keys[at]
        for at, values in one.keys.items()
    )


def _pair_or_clash(
    session: Session,
    holders: dict[int, Holder],
    pairs: set[tuple[int, int]],
    clashes: dict[int, set[int]],
    settled: set[int],
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
        if not holders[link_id].survivor
    }
    with transaction.atomic():
        _mark_ambiguous(session, unclear)
        join(session, good, moved)
    settled.update(clashes)
    for pair in good:
        settled.update(pair)


def _mark_ambiguous(session: Session, clashes: dict[int, list[str]]) -> None:
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
    link.error_code = link.error_text = link.error_field = ""
    link.candidates = []
