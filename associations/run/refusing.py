"""Planned links that must not be written: they close a cycle, or pass a limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from associations.engine.edges import EdgeChange, Result
from associations.engine.refusals import Caps, Chains, Counter, Over
from associations.engine.types import CHILD_TO_PARENT, ONE_PRIMARY, PARENT_TO_CHILD
from associations.models import AssociationType as StoredType
from associations.run.ends import parts
from associations.run.fars import Fars
from associations.run.mappings import Mapped, Pair
from connections.catalogue import Code
from connections.records import AssociationType, Linked, Side
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeKind, ChangeOutcome
from syncs.run.planning import show
from syncs.run.stage import Chunk

Edges = Mapping[str, tuple[Linked, ...]]
Types = frozenset[AssociationType]
# By record, mapping, far record and side: the code and why.
Refused = dict[tuple[int, str], dict[tuple[int, Side], tuple[str, str]]]
SMALL = 1000  # a plan's limit below which a far record's links are counted, too
NAMED = 5  # records named in a sentence
HIERARCHY = {PARENT_TO_CHILD, CHILD_TO_PARENT}


class Refuser:
    """Looks through what was planned for a chunk's records."""

    def __init__(self, chunk: Chunk, pair: Pair, edges: Edges, fars: Fars) -> None:
        self.chunk, self.pair, self.edges, self.fars = chunk, pair, edges, fars
        self.session = chunk.session
        self.same = pair.to_sync.pk == self.session.sync.pk
        self.links = {link.pk: link for link in chunk.links}
        self.refused: Refused = {}

    def look(self, results: Mapping[int, Result]) -> Refused:
        """Refuse what cannot be, one link after the other."""
        if self.same:
            for mapped in self.pair.mappings:
                if mapped.rule.types & HIERARCHY:
                    for side in Side:
                        self._cycles(mapped, side, results)
        self._limits(results)
        return self.refused

    def itself(self, link: RecordLink) -> dict[tuple[int, Side], tuple[str, str]]:
        """No record is linked to itself."""
        if not self.same:
            return {}
        text = f"{show(link)} → {show(link)}: a record cannot be linked to itself."
        return {(link.pk, side): (Code.CYCLE, text) for side in Side}

    def _refuse(
        self, link_id: int, change: EdgeChange, side: Side, code: Code, text: str
    ) -> None:
        mine = self.refused.setdefault((link_id, change.mapping_key), {})
        mine[change.far_key or 0, side] = (code, text)

    def _new(
        self, results: Mapping[int, Result], side: Side, keys: Iterable[str]
    ) -> list[tuple[int, EdgeChange]]:
        wanted = set(keys)
        return [
            (link_id, change)
            for link_id, result in sorted(results.items())
            for change in result.changes
            if change.side is side
            and change.kind != "unlink"
            and change.far_key is not None
            and change.mapping_key in wanted
        ]

    # Cycles -----------------------------------------------------------------------------

    def _cycles(
        self, mapped: Mapped, side: Side, results: Mapping[int, Result]
    ) -> None:
        new = self._new(results, side, [mapped.key])
        if not new:
            return
        follow = self._in_hubspot if side is Side.HUBSPOT else self._in_app
        graph: Chains[int] = Chains(partial(follow, mapped))
        for link_id, result in results.items():
            for change in result.changes:
                if change.mapping_key == mapped.key and change.side is side:
                    for far in change.ends:
                        graph.drop(link_id, far)
        for near, far in self._planned(mapped, side):
            graph.add(near, far)
        for link_id, change in new:
            chain = graph.add(link_id, change.far_key or 0)
            if chain:
                names = " → ".join(self._names(chain))
                text = (
                    f"{names}: this link would close a cycle of parents and children."
                )
                self._refuse(link_id, change, side, Code.CYCLE, text)

    def _planned(self, mapped: Mapped, side: Side) -> list[tuple[int, int]]:
        """What earlier chunks of this run are about to write."""
        rows = Change.objects.filter(
            run=self.session.run,
            mapping_key=mapped.key,
            side=side,
            kind__in=(ChangeKind.LINK, ChangeKind.RELABEL),
            outcome=ChangeOutcome.PLANNED,
            link__isnull=False,
            other_link__isnull=False,
        )
        return [(a or 0, b or 0) for a, b in rows.values_list("link", "other_link")]

    def _in_hubspot(
        self, mapped: Mapped, keys: Sequence[int]
    ) -> dict[int, Iterable[int]]:
        links = RecordLink.objects.defer("baseline").in_bulk(
            [k for k in keys if k not in self.links]
        )
        links |= {k: self.links[k] for k in keys if k in self.links}
        ids = {link.hubspot_id: k for k, link in links.items() if link.hubspot_id}
        edges = {i: self.edges[i] for i in ids if i in self.edges}
        if left := [i for i in ids if i not in edges]:
            edges |= self.session.hubspot.associations(
                self.pair.from_object, self.pair.to_object, left
            )
        wanted = mapped.rule.types & HIERARCHY
        ends = {
            i: [e.to_id for e in linked if e.types & wanted]
            for i, linked in edges.items()
        }
        known = self._keys("hubspot_id", {e for far in ends.values() for e in far})
        return {
            ids[i]: [known[e] for e in far if e in known] for i, far in ends.items()
        }

    def _in_app(self, mapped: Mapped, keys: Sequence[int]) -> dict[int, Iterable[int]]:
        links = RecordLink.objects.defer("baseline").in_bulk(list(keys))
        links |= {k: self.links[k] for k in keys if k in self.links}
        held = {k: mapped.end.ids(link) or [] for k, link in links.items()}
        names = {n for some in held.values() for n in some}
        known = {
            name: far.pk
            for name, far in mapped.end.find(self.pair.to_sync, sorted(names))
        }
        return {k: [known[n] for n in some if n in known] for k, some in held.items()}

    def _keys(self, column: str, values: set[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for some in parts(sorted(values)):
            rows = RecordLink.objects.filter(
                sync=self.pair.to_sync, **{f"{column}__in": some}
            )
            found.update(rows.values_list(column, "pk"))
        return found

    def _names(self, keys: Sequence[int]) -> list[str]:
        links = RecordLink.objects.defer("baseline").in_bulk(list(keys))
        return [show(links[k]) if k in links else str(k) for k in keys]

    # Limits -----------------------------------------------------------------------------

    def _limits(self, results: Mapping[int, Result]) -> None:
        new = self._new(results, Side.HUBSPOT, [m.key for m in self.pair.mappings])
        if not new:
            return
        near_caps, labels = self._caps(self.pair.from_object, self.pair.to_object)
        far_caps, _ = self._caps(self.pair.to_object, self.pair.from_object, far=True)
        if not near_caps and not far_caps:
            return
        inverse = self._inverses()
        fars = self._far_counters(new, far_caps) if far_caps else {}
        for link_id, result in sorted(results.items()):
            link = self.links[link_id]
            held = {e.to_id: e.types for e in self.edges.get(link.hubspot_id or "", ())}
            near = Counter(near_caps, held)
            for write in result.hubspot:  # what goes makes room first
                if write.kind == "dissociate":
                    there = self._hubspot_id(write.far_key)
                    near.set(there, frozenset())
                    if there in fars:
                        fars[there].set(link.hubspot_id, frozenset())
            for change in (c for i, c in new if i == link_id):
                write = next(w for w in result.hubspot if w.far_key == change.far_key)
                there = self._hubspot_id(change.far_key or 0)
                added = write.types - ONE_PRIMARY - held.get(there, frozenset())
                back = frozenset(inverse[t] for t in write.types if t in inverse)
                over = near.over(there, added)
                who, way = link, (self.pair.from_object, self.pair.to_object)
                if over is None and there in fars:
                    over = fars[there].over(link.hubspot_id or f"new {link_id}", back)
                    far = self.fars.link_of(change.far_key or 0)
                    who, way = far or link, way[::-1]
                if over is not None:
                    text = self._over(who, over, way, labels)
                    self._refuse(
                        link_id, change, Side.HUBSPOT, Code.LIMIT_REACHED, text
                    )
                    continue
                near.set(there, write.types)
                if there in fars:
                    fars[there].set(link.hubspot_id or f"new {link_id}", back)

    def _hubspot_id(self, key: int) -> str:
        far = self.fars.link_of(key)
        known = far.hubspot_id if far is not None else None
        return known or f"new {key}"

    def _caps(
        self, one: str, other: str, *, far: bool = False
    ) -> tuple[Caps, dict[AssociationType, str]]:
        """A direction's limits as last read. Args: far, of records whose links are not
        at hand: a plan's high limit is left to HubSpot then, which refuses the link."""
        rows = list(
            StoredType.objects.filter(
                account=self.session.sync.app.hubspot_id,
                from_object=one,
                to_object=other,
                gone_at=None,
            )
        )
        labels = {AssociationType(r.category, r.type_id): r.label for r in rows}
        pairs = [
            most
            for row in rows
            for most in (row.plan_most, None if row.label else row.most)
            if most is not None and not (far and most == row.plan_most and most > SMALL)
        ]
        by_type = {
            AssociationType(r.category, r.type_id): r.most
            for r in rows
            if r.label and r.most is not None
        }
        return Caps(by_type, min(pairs, default=None)), labels

    def _inverses(self) -> dict[AssociationType, AssociationType]:
        rows = StoredType.objects.filter(
            account=self.session.sync.app.hubspot_id,
            from_object=self.pair.from_object,
            to_object=self.pair.to_object,
            inverse_id__isnull=False,
        )
        return {
            AssociationType(r.category, r.type_id): AssociationType(
                r.category, r.inverse_id or 0
            )
            for r in rows
        }

    def _far_counters(
        self, new: Sequence[tuple[int, EdgeChange]], caps: Caps
    ) -> dict[str, Counter]:
        """The links that far records have by now, read from their end."""
        fars = {self.fars.link_of(c.far_key or 0) for _, c in new}
        ids = sorted({far.hubspot_id for far in fars if far and far.hubspot_id})
        if not ids:
            return {}
        read = self.session.hubspot.associations(
            self.pair.to_object, self.pair.from_object, ids
        )
        return {
            i: Counter(caps, {e.to_id: e.types for e in links})
            for i, links in read.items()
        }

    def _over(
        self,
        who: RecordLink,
        over: Over,
        way: tuple[str, str],
        labels: Mapping[AssociationType, str],
    ) -> str:
        what = (
            "links" if over.type is None else f"{labels.get(over.type) or 'such'} links"
        )
        held = [str(h) for h in over.held[:NAMED]]
        rest = ", …" if len(over.held) > NAMED else ""
        return (
            f"HubSpot allows a record {over.most} {what} from {way[0]} to {way[1]}, and "
            f"{show(who)} has them already: {', '.join(held)}{rest}."
        )
