"""Who holds a match key's values, and who of them could be the same record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from django.db.models import Count, Q, QuerySet

from connections.records import Side
from syncs.models import RecordKey
from syncs.run.session import Session

CROWD = 1000  # holders of one value that are still looked at together
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


class Crowds:
    """Values of one key that very many records hold, as a placeholder text may be.

    Such a value pairs nothing. Its holders are never loaded together: those at hand are
    held against a few of the others.
    """

    def __init__(self, session: Session, rank: int) -> None:
        self._living = living(session, rank)
        self._rank = rank
        self._some: dict[str, list[int]] = {}

    def look(self, values: Iterable[str]) -> None:
        """Find out which values are crowds, each once."""
        counted = self._living.filter(
            value__in=[v for v in values if v not in self._some]
        )
        found = counted.values_list("value").annotate(count=Count("pk")).order_by()
        for value, _ in found.filter(count__gt=CROWD):
            holders = self._living.filter(value=value)
            if self._rank:
                # The others hold an earlier key, which has decided about them.
                holders = holders.exclude(link__keys__rank__lt=self._rank)
            ids = holders.order_by("pk").values_list("link", flat=True)
            self._some[value] = list(ids[: MAX_CANDIDATES + 2])

    def __contains__(self, value: str) -> bool:
        return value in self._some

    def holders(self, values: Iterable[str], links: Sequence[int]) -> Q:
        """Whom to look at for these values, some links of theirs being at hand."""
        values = list(values)
        few = Q(value__in=[v for v in values if v not in self._some])
        many = [v for v in values if v in self._some]
        if not many:
            return few
        ids = {i for v in many for i in self._some[v]} | set(links)
        return few | Q(value__in=many, link__in=ids)


def living(session: Session, rank: int) -> QuerySet[RecordKey]:
    """The values of one key that records which are there hold."""
    return RecordKey.objects.filter(
        Q(side=Side.HUBSPOT, link__hubspot_gone_at__isnull=True)
        | Q(side=Side.APP, link__app_gone_at__isnull=True),
        sync=session.sync,
        rank=rank,
        side__in=list(Side),  # the index's columns, with no gap before the value
    )


def holders_of(
    session: Session, rank: int, whom: Q
) -> tuple[dict[int, Holder], dict[str, set[int]]]:
    """The living records that hold one of the values, and who holds which."""
    holders: dict[int, Holder] = {}
    by_value: dict[str, set[int]] = {}
    rows = living(session, rank).filter(whom).select_related("link")
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
