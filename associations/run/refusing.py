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
from associations.run.stored import types_of
from connections import schemas
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
        stored = [(a or 0, b or 0) for a, b in rows.values_list("link", "other_link")]
        return stored + [
            (c.link_id or 0, c.other_link_id or 0)
            for c in self._shares_before(side)
            if c.mapping_key == mapped.key
        ]

    def _shares_before(self, side: Side) -> list[Change]:
        """New links of the chunk's records that were planned before these."""
        new = (ChangeKind.LINK, ChangeKind.RELABEL)
        mine = {m.key for m in self.pair.mappings}
        return [
            c
            for c in self.chunk.changes
            if c.side == side and c.kind in new and c.mapping_key in mine
        ]

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
        far_caps, far_labels = self._caps(
            self.pair.to_object, self.pair.from_object, far=True
        )
        if not near_caps and not far_caps:
            return
        inverse = self._inverses()
        fars = self._far_counters(new, far_caps) if far_caps else {}
        for earlier in self._shares_before(Side.HUBSPOT):
            self._count_before(earlier, fars, inverse)
        nears = {i: self._near_counter(self.links[i], near_caps) for i in results}
        for link_id, result in results.items():  # what goes makes room first
            self._make_room(link_id, result, nears[link_id], fars, inverse)
        for link_id, change in new:
            near, link = nears[link_id], self.links[link_id]
            writes = results[link_id].hubspot
            types = next(w for w in writes if w.far_key == change.far_key).types
            there = self._hubspot_id(change.far_key or 0)
            here = link.hubspot_id or f"new {link_id}"
            held = {e.to_id: e.types for e in self.edges.get(here, ())}
            added = types - ONE_PRIMARY - held.get(there, frozenset())
            back = frozenset(inverse[t] for t in types if t in inverse)
            text = ""
            if over := near.over(there, added):
                text = self._over(link, over, labels, near=True)
            elif there in fars and (over := fars[there].over(here, back)):
                far = self.fars.link_of(change.far_key or 0)
                text = self._over(far or link, over, far_labels, near=False)
            if text:
                self._refuse(link_id, change, Side.HUBSPOT, Code.LIMIT_REACHED, text)
                continue
            near.set(there, types)
            if there in fars:
                fars[there].set(here, back)

    def _count_before(
        self,
        change: Change,
        fars: Mapping[str, Counter],
        inverse: Mapping[AssociationType, AssociationType],
    ) -> None:
        near, far = change.link, change.other_link
        there = (far.hubspot_id or "") if far is not None else ""
        if near is not None and there in fars:
            types = types_of(change.after.get("types", ()))
            back = frozenset(inverse[t] for t in types if t in inverse)
            fars[there].set(near.hubspot_id or f"new {near.pk}", back)

    def _near_counter(self, link: RecordLink, caps: Caps) -> Counter:
        links = self.edges.get(link.hubspot_id or "", ())
        return Counter(caps, {e.to_id: e.types for e in links})

    def _make_room(
        self,
        link_id: int,
        result: Result,
        near: Counter,
        fars: Mapping[str, Counter],
        inverse: Mapping[AssociationType, AssociationType],
    ) -> None:
        """Count what a record's links are about to lose, at both ends."""
        here = self.links[link_id].hubspot_id
        for write in result.hubspot:
            taken: Types | None = None  # the whole pair
            if write.kind != "dissociate":
                taken = write.types if write.kind == "unlabel" else write.off
            there = self._hubspot_id(write.far_key)
            near.drop(there, taken)
            if there in fars:
                back = {inverse[t] for t in taken or () if t in inverse}
                fars[there].drop(here, None if taken is None else frozenset(back))

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

    def _called(self, held: Sequence[object], *, near: bool) -> list[str]:
        """What people call the records at the other ends; HubSpot's id where we have
        none. Args: near, whether the full record is the near one."""
        sync = self.pair.to_sync if near else self.session.sync
        ids = [str(h) for h in held]
        rows = RecordLink.objects.filter(sync=sync, hubspot_id__in=ids)
        names = {row.hubspot_id or "": show(row) for row in rows.defer("baseline")}
        for one in ids:
            new = one.removeprefix("new ")
            if new != one:  # planned by this run, and without an id yet
                key = int(new)
                link = self.fars.link_of(key) if near else self.links.get(key)
                names[one] = show(link) if link is not None else "a new record"
        return [names.get(one, one) for one in ids]

    def _over(
        self,
        who: RecordLink,
        over: Over,
        labels: Mapping[AssociationType, str],
        *,
        near: bool,
    ) -> str:
        """Which limit a record has reached, and by what. Args: near, whether it is the
        record that the sync is of."""
        what = "links"
        if over.type is not None:
            what = f"{labels.get(over.type) or 'such'} links"
        mine = self.session.object_on(Side.HUBSPOT).name
        account = self.session.sync.app.hubspot
        other = schemas.load_object(account, self.pair.to_sync.hubspot_object).name
        one, two = (mine, other) if near else (other, mine)
        held = self._called(over.held[:NAMED], near=near)
        rest = ", …" if len(over.held) > NAMED else ""
        return (
            f"HubSpot allows {over.most} {what} from one of {one} to {two}, and "
            f"{show(who)} has as many: {', '.join(held)}{rest}."
        )
