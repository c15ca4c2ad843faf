"""Pair unpaired record links whose match keys agree, a set of key values at a time.

For each key in order: a value that exactly one record holds on each side pairs the two,
unless both hold different values of an earlier key. A value that several records of a side
hold, or whose only holder is paired already, pairs nothing; the unpaired ones among its
holders are marked ambiguous, with the others as candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Q

from connections.catalogue import Code
from connections.records import Side
from syncs.models import Change, RecordKey, RecordLink
from syncs.models.choices import RecordState
from syncs.run.session import Session, now
from syncs.run.store import save_links, update_rows

VALUES_AT_ONCE = 400  # key values looked up together
MAX_CANDIDATES = 20  # named on an ambiguous record

Moved = Callable[[dict[int, int]], None]  # {absorbed link: surviving link}


@dataclass
class Holder:
    """One live record link as far as matching looks at it."""

    link_id: int
    side: str
    paired: bool
    apart: bool
    remote_id: str
    keys: dict[int, set[str]] = field(default_factory=dict)


def match(session: Session, moved: Moved) -> None:
    """Pair what can be paired; `moved` is told which links were absorbed by which."""
    session.advance("matching", 0, len(session.keys))
    settled: set[int] = set()  # links that an earlier key paired or found ambiguous
    _clear_ambiguous(session)
    for rank in range(len(session.keys)):
        for values in _values(session, rank):
            _match_values(session, rank, values, settled, moved)
        session.advance("matching", rank + 1)


def _open_links(session: Session) -> Q:
    """Unpaired links that this run looks at: whatever moved, and what was ambiguous."""
    return (
        Q(link__sync=session.sync, link__dirty=True, link__keep_apart=False)
        & (Q(link__hubspot_id__isnull=True) | Q(link__app_id__isnull=True))
        & Q(link__hubspot_gone_at__isnull=True, link__app_gone_at__isnull=True)
    )


def _clear_ambiguous(session: Session) -> None:
    RecordLink.objects.filter(
        sync=session.sync,
        state=RecordState.FAILING,
        error_code=Code.MATCH_AMBIGUOUS,
    ).update(dirty=True, error_code="", error_text="", candidates=[])


def _values(session: Session, rank: int) -> Iterator[list[str]]:
    """The values of one key that open links hold, in order, some at a time."""
    found = (
        RecordKey.objects.filter(_open_links(session), sync=session.sync, rank=rank)
        .order_by("value")
        .values_list("value", flat=True)
        .distinct()
    )
    last = ""
    while True:
        values = list(found.filter(value__gt=last)[:VALUES_AT_ONCE])
        if not values:
            return
        yield values
        last = values[-1]


def _holders(
    session: Session, rank: int, values: list[str]
) -> tuple[dict[int, Holder], dict[str, dict[str, set[int]]]]:
    """Everyone who holds one of the values, and who holds which, by side."""
    holders: dict[int, Holder] = {}
    by_value: dict[str, dict[str, set[int]]] = {}
    rows = RecordKey.objects.filter(
        sync=session.sync,
        rank=rank,
        value__in=values,
        link__hubspot_gone_at__isnull=True,
        link__app_gone_at__isnull=True,
    ).values_list(
        "value",
        "side",
        "link_id",
        "link__hubspot_id",
        "link__app_id",
        "link__keep_apart",
    )
    for value, side, link_id, hubspot_id, app_id, apart in rows:
        by_value.setdefault(value, {}).setdefault(side, set()).add(link_id)
        holders[link_id] = Holder(
            link_id,
            side,
            hubspot_id is not None and app_id is not None,
            apart,
            (hubspot_id if side == Side.HUBSPOT else app_id) or "",
        )
    if rank:
        earlier = RecordKey.objects.filter(link__in=list(holders), rank__lt=rank)
        for link_id, at, value in earlier.values_list("link_id", "rank", "value"):
            holders[link_id].keys.setdefault(at, set()).add(value)
    return holders, by_value


def _match_values(
    session: Session, rank: int, values: list[str], settled: set[int], moved: Moved
) -> None:
    holders, by_value = _holders(session, rank, values)
    pairs: dict[tuple[int, int], str] = {}
    clashes: dict[int, set[str]] = {}
    for value, sides in by_value.items():
        mine = sides.get(Side.HUBSPOT, set())
        theirs = sides.get(Side.APP, set())
        together = {i for i in mine & theirs if holders[i].paired}
        mine, theirs = mine - together, theirs - together
        if together:  # a pair that already agrees on the value
            _clash(clashes, holders, {*mine, *theirs}, {*together, *mine, *theirs})
        elif len(mine) == 1 and len(theirs) == 1:
            h, a = holders[min(mine)], holders[min(theirs)]
            if not _contradict(h, a):
                pairs[h.link_id, a.link_id] = value
        elif len(mine) > 1 or len(theirs) > 1:
            _clash(clashes, holders, {*mine, *theirs}, {*mine, *theirs})
    _pair_or_clash(session, holders, pairs, clashes, settled, moved)


def _contradict(one: Holder, other: Holder) -> bool:
    """Whether two records both hold values of an earlier key, and none in common."""
    return any(
        at in other.keys and not values & other.keys[at]
        for at, values in one.keys.items()
    )


def _clash(
    clashes: dict[int, set[str]],
    holders: dict[int, Holder],
    whose: set[int],
    among: set[int],
) -> None:
    for link_id in whose:
        if not holders[link_id].paired:
            names = {
                f"{holders[i].side}:{holders[i].remote_id}" for i in among - {link_id}
            }
            clashes.setdefault(link_id, set()).update(names)


def _pair_or_clash(
    session: Session,
    holders: dict[int, Holder],
    pairs: dict[tuple[int, int], str],
    clashes: dict[int, set[str]],
    settled: set[int],
    moved: Moved,
) -> None:
    uses: dict[int, int] = {}
    for pair in pairs:
        for link_id in pair:
            uses[link_id] = uses.get(link_id, 0) + 1
    good: list[tuple[int, int]] = []
    for h, a in pairs:
        taken = holders[h].paired or holders[a].paired or h in settled or a in settled
        if taken or uses[h] > 1 or uses[a] > 1 or h in clashes or a in clashes:
            _clash(clashes, holders, {h, a}, {h, a})
        elif not (holders[h].apart or holders[a].apart):
            good.append((h, a))
    with transaction.atomic():
        _mark_ambiguous(session, clashes)
        join(session, good, moved)
    settled.update(clashes)
    for pair in good:
        settled.update(pair)


def _mark_ambiguous(session: Session, clashes: dict[int, set[str]]) -> None:
    links = list(RecordLink.objects.filter(pk__in=list(clashes)))
    for link in links:
        names = sorted(clashes[link.pk])
        link.candidates = names[:MAX_CANDIDATES]
        link.state = RecordState.FAILING
        link.error_code = Code.MATCH_AMBIGUOUS
        link.error_text = (
            f"The match key is shared by {len(names) + 1} records: this one and "
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
    for a, h in absorbed.items():
        take_in(links[h], links[a])
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
    ):
        setattr(link, name, getattr(other, name))
    link.paired_at = now()
    link.baseline = {}
    link.dirty = True
    link.state = RecordState.NEW
    link.keep_apart = False
    link.error_code = link.error_text = link.error_field = ""
    link.candidates = []
