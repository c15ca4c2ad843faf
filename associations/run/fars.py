"""The records at the other ends of a chunk's links, by what either side calls them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from django.db.models import Q

from associations.engine.edges import Far
from associations.run.ends import AppEnd, parts
from associations.run.mappings import Pair
from connections.records import Side
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeKind, ChangeOutcome, RecordState
from syncs.run.identity import marked
from syncs.run.scope import Scope, scope_elsewhere
from syncs.run.session import Session
from syncs.run.stage import Chunk


@dataclass
class Fars:
    """The far records of a chunk; one never read has a negative number for a key."""

    scope: Scope
    links: dict[int, RecordLink] = field(default_factory=dict)
    by_hubspot: dict[str, int] = field(default_factory=dict)
    by_app: dict[tuple[str, str], int] = field(default_factory=dict)  # how named, name
    unknown: dict[int, tuple[Side, str]] = field(default_factory=dict)
    creating: set[int] = field(default_factory=set)

    def add(self, links: Iterable[RecordLink]) -> None:
        for link in links:
            self.links[link.pk] = link
            if link.hubspot_id is not None:
                self.by_hubspot[link.hubspot_id] = link.pk

    def call(self, end: AppEnd, name: str, link: RecordLink) -> None:
        """Note what an end calls a far record."""
        self.add([self.links.get(link.pk, link)])
        self.by_app[end.names_by, name] = link.pk

    def in_hubspot(self, remote_id: str) -> int:
        if remote_id not in self.by_hubspot:
            self.by_hubspot[remote_id] = self._unknown(Side.HUBSPOT, remote_id)
        return self.by_hubspot[remote_id]

    def in_app(self, end: AppEnd, name: str) -> int:
        at = (end.names_by, name)
        if at not in self.by_app:
            self.by_app[at] = self._unknown(Side.APP, name)
        return self.by_app[at]

    def _unknown(self, side: Side, remote_id: str) -> int:
        key = -(len(self.unknown) + 1)
        self.unknown[key] = (side, remote_id)
        return key

    def link_of(self, key: int) -> RecordLink | None:
        return self.links.get(key)

    def remote_id(self, key: int) -> str:
        """What a side calls a far record that was never read."""
        return self.unknown.get(key, ("", ""))[1]

    def far(self, key: int) -> Far:
        link = self.links.get(key)
        if link is None:
            return Far(key, "pending")
        if link.lost or marked(link):
            return Far(key, "invisible")
        if not self.scope.inside(link):
            return Far(key, "excluded")
        if link.paired or key in self.creating:
            return Far(key, "paired")
        no_key = link.state == RecordState.EXCLUDED and link.error_code
        return Far(key, "invisible" if no_key else "pending")


def find_fars(
    chunk: Chunk,
    pair: Pair,
    hubspot_ids: Collection[str],
    named: Mapping[AppEnd, Collection[str]],
    keys: Collection[int],
) -> Fars:
    """Look up far records by HubSpot's ids, by what each end calls them, by our keys."""
    fars = Fars(scope_elsewhere(chunk.session, pair.to_sync))
    for column, values in (("hubspot_id", hubspot_ids), ("pk", keys)):
        for some in parts(sorted(values, key=str)):
            found = RecordLink.objects.filter(
                sync=pair.to_sync, **{f"{column}__in": some}
            )
            fars.add(found.defer("baseline"))
    wanted: dict[str, tuple[AppEnd, set[str]]] = {}
    for end, names in named.items():
        wanted.setdefault(end.names_by, (end, set()))[1].update(names)
    for end, all_names in wanted.values():
        for name, link in end.find(pair.to_sync, sorted(all_names)):
            fars.call(end, name, link)
        for link in fars.links.values():
            known = end.name_of(link)
            if known is not None:
                fars.by_app.setdefault((end.names_by, known), link.pk)
    fars.creating = _creating(chunk.session, chunk, fars)
    return fars


def _creating(session: Session, chunk: Chunk, fars: Fars) -> set[int]:
    """Far records that this run, or the plan it is part of, is about to create."""
    open_ = [k for k, link in fars.links.items() if not link.paired]
    run = session.run
    found: set[int] = set()
    for some in parts(open_):
        found |= set(
            Change.objects.filter(
                Q(run=run) | Q(run__parent=run.parent_id),
                kind=ChangeKind.CREATE,
                outcome=ChangeOutcome.PLANNED,
                link__in=some,
            ).values_list("link_id", flat=True)
        )
    return found | {k for k in open_ if k in chunk.creating}
