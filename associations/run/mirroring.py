"""Links between records of one object that both ends see alike: one link each.

HubSpot shows such a link on both records, and the app's field of either may stand for it.
It belongs to the record whose field holds it, or held it last; one that is new in HubSpot
goes to the record whose field is free, else to the one that was known first. The other
record leaves it alone: what is removed at one end is not added again from the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from associations.engine.types import CHILD_TO_PARENT, PARENT_TO_CHILD
from associations.models import AssociationLink, LinkState
from associations.models import AssociationType as StoredType
from associations.run.ends import parts
from associations.run.fars import Fars
from associations.run.mappings import Mapped, Pair
from connections.records import AssociationType, Linked, Side
from syncs.models import RecordLink
from syncs.run.stage import Chunk

Edges = Mapping[str, tuple[Linked, ...]]
DIRECTED = (PARENT_TO_CHILD, CHILD_TO_PARENT)


class Mirrors:
    """The links of a chunk that belong to their far records."""

    def __init__(
        self,
        chunk: Chunk,
        pair: Pair,
        edges: Edges,
        fars: Fars,
        links: Sequence[RecordLink],
    ) -> None:
        self.chunk, self.pair, self.edges, self.fars = chunk, pair, edges, fars
        self.links = links
        self.session = chunk.session
        same = pair.to_sync.pk == self.session.sync.pk
        self.mapped = [m for m in pair.mappings if same and self._alike(m)]
        self._held = self._held_last() if self.mapped else set()
        self.woken: set[int] = set()

    def _alike(self, mapped: Mapped) -> bool:
        """Whether both ends see a mapping's links by the same types."""
        return all(self._reads_alike(t) for t in mapped.rule.types)

    def _reads_alike(self, type_: AssociationType) -> bool:
        if type_ == self.pair.plain:
            return True
        if type_ in DIRECTED:
            return False
        known = self.pair.looked.alike
        if type_ not in known:
            found = self._look(type_)
            if found is None:
                return False
            known[type_] = found
        return known[type_]

    def _look(self, type_: AssociationType) -> bool | None:
        """What is known of a label, else what one link shows from its other end."""
        row = StoredType.objects.filter(
            account=self.session.sync.app.hubspot_id,
            from_object=self.pair.from_object,
            to_object=self.pair.to_object,
            category=type_.category,
            type_id=type_.type_id,
        ).first()
        if row is not None and row.inverse_id is not None:
            return row.inverse_id == type_.type_id
        some = next(
            (
                (near, e.to_id)
                for near, links in self.edges.items()
                for e in links
                if type_ in e.types
            ),
            None,
        )
        if some is None:
            return None
        near, far = some
        back = self.edges.get(far) or self.session.hubspot.associations(
            self.pair.from_object, self.pair.to_object, [far]
        ).get(far)
        return (
            None
            if back is None
            else any(e.to_id == near and type_ in e.types for e in back)
        )

    def _held_last(self) -> set[tuple[str, int, int]]:
        """Links that far records stand for, by mapping, near and far record."""
        found: set[tuple[str, int, int]] = set()
        for some in parts([link.pk for link in self.links]):
            rows = AssociationLink.objects.filter(
                mapping__in=[m.row.pk for m in self.mapped],
                other__in=some,
                state=LinkState.IN_SYNC,
            )
            for mapping, far, near in rows.values_list("mapping", "link", "other"):
                found.add((str(mapping), near or 0, far))
        return found

    def hidden(
        self,
        mapped: Mapped,
        link: RecordLink,
        hubspot: Iterable[int],
        base: Mapping[int, object],
    ) -> frozenset[int]:
        """The far records that stand for their links with a record themselves."""
        if mapped not in self.mapped:
            return frozenset()
        keys = {*hubspot, *base}
        return frozenset(k for k in keys if self._is_theirs(mapped, link, k, base))

    def _is_theirs(
        self, mapped: Mapped, link: RecordLink, key: int, base: Mapping[int, object]
    ) -> bool:
        far = self.fars.link_of(key)
        mine = mapped.end.ids(link)
        if far is None or key == link.pk or self.fars.far(key).status != "paired":
            return False
        if mine and mapped.end.name_of(far) in mine:
            return False  # this record's field holds it
        theirs = mapped.end.ids(far)
        if mapped.end.name_of(link) in (theirs or ()):
            return True
        if (mapped.key, link.pk, key) in self._held:
            return True
        if key in base:
            return False  # this record's field held it
        if not mapped.rule.many and bool(mine) != bool(theirs):
            first = bool(mine)  # the free field takes it
        else:
            first = key < link.pk
        if first:
            self._wake(mapped, key)
        return first

    def _wake(self, mapped: Mapped, key: int) -> None:
        """A far record that is not read now must be, to take its link."""
        near = {link.pk for link in self.chunk.links}
        if mapped.rule.lets(Side.APP) and not self.chunk.sweep and key not in near:
            self.woken.add(key)

    def wake(self) -> None:
        if self.woken and not self.session.run.dry_run:
            RecordLink.objects.filter(pk__in=self.woken).update(dirty=True)
