"""Plan the links of a chunk's records: both sides' links against what both had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from associations.engine.edges import EdgeChange, PairWrite, Result, State
from associations.engine.links import merge
from associations.run.causes import Causes
from associations.run.fars import Fars, find_fars
from associations.run.ledger import NOTE, Ledger, Types
from associations.run.mappings import Mapped, Pair
from associations.run.mirroring import Mirrors
from associations.run.proving import Proof, Seen
from associations.run.refusing import Refused, Refuser
from associations.run.stored import FOLLOWS, PARTS, parts_json, types_json
from associations.run.vanished import find_gone, find_lost_labels, find_merged
from connections.catalogue import Code
from connections.records import Linked, Side
from syncs.models import RecordLink
from syncs.models.choices import ChangeKind, RecordState
from syncs.run.identity import marked
from syncs.run.planning import show
from syncs.run.scope import scope_of
from syncs.run.stage import Chunk, Note

Edges = Mapping[str, tuple[Linked, ...]]


class LinkPlanner:
    """Plans one chunk's links under one pair of HubSpot objects.

    Args: links, the share of the chunk's records to plan; all of them if left out.
    """

    def __init__(
        self,
        chunk: Chunk,
        pair: Pair,
        edges: Edges,
        proof: Proof | None = None,
        *,
        links: Sequence[RecordLink] | None = None,
    ) -> None:
        self.chunk, self.pair, self.edges = chunk, pair, edges
        self.proof, self._seen = proof, dict[int, Seen]()
        self.session = chunk.session
        self.scope = scope_of(self.session)
        share = chunk.links if links is None else links
        self.links = [link for link in share if self._takes_part(link)]
        self.ledger = Ledger(chunk, pair, self.links, share)
        self.fars = self._fars()
        self._follow_merges()
        self.mirrors = Mirrors(chunk, pair, edges, self.fars, self.links)
        self.refuser = Refuser(chunk, pair, edges, self.fars)
        self.refused: Refused = {}
        self.causes = Causes(self.session, pair)
        self.waiting: list[int] = []  # records with a link that is pending

    def _takes_part(self, link: RecordLink) -> bool:
        if link.lost:
            return False
        if link.state == RecordState.UNCERTAIN or marked(link):
            return False
        if not self.scope.inside(link):
            return False
        return link.paired or link.pk in self.chunk.creating

    def _fars(self) -> Fars:
        hubspot = {e.to_id for link in self.links for e in self._edges_of(link) or ()}
        named = {
            m.end: {i for link in self.links for i in m.end.ids(link) or ()}
            for m in self.pair.mappings
        }
        return find_fars(self.chunk, self.pair, hubspot, named, self.ledger.keys)

    def _follow_merges(self) -> None:
        """Know a far record by the id that it goes on under after a merge.

        Its own sync may not have read that yet: what HubSpot shows then is no move to
        another record, and nothing was unlinked.
        """
        left: dict[int, RecordLink] = {}
        for link in self.links:
            shown = {edge.to_id for edge in self._edges_of(link) or ()}
            if shown <= self.fars.by_hubspot.keys():
                continue
            for mapped in self.pair.mappings:
                for key in self.ledger.base(mapped, link) or ():
                    far = self.fars.link_of(key)
                    if far is not None and not far.lost and far.hubspot_id not in shown:
                        left[key] = far
        if left:
            merged = find_merged(self.session, self.pair, list(left.values()))
            self.fars.by_hubspot |= {
                i: key for i, key in merged.items() if i not in self.fars.by_hubspot
            }

    def _edges_of(self, link: RecordLink) -> tuple[Linked, ...] | None:
        """HubSpot's links of a record; None where they could not be read."""
        if link.hubspot_id is None:
            return ()
        return self.edges.get(link.hubspot_id)

    # The merge --------------------------------------------------------------------------

    def plan(self) -> None:
        results = {link.pk: self._merge(link) for link in self.links}
        if find_lost_labels(self.session, self.pair, results.values()):
            results = {link.pk: self._merge(link) for link in self.links}
        again = self._confirm(results)
        results |= {
            link.pk: self._merge(link) for link in self.links if link.pk in again
        }
        self.refused = self.refuser.look(results)
        changed = {link_id for link_id, _ in self.refused}
        results |= {
            link.pk: self._merge(link) for link in self.links if link.pk in changed
        }
        self.waiting = [pk for pk, result in results.items() if result.pending]
        for link in self.links:
            self._take(link, results[link.pk])
        self.mirrors.wake()
        if self.proof is not None:
            self.proof.take(
                self.pair,
                self.links,
                self._seen,
                results,
                self.fars,
                sweep=self.chunk.sweep,
                creating=self.chunk.creating,
            )
        self.ledger.save(self.scope)

    def result(self, link: RecordLink) -> Result:
        """What the merge makes of one record, as far as it takes part."""
        return self._merge(link) if link in self.links else Result()

    def seen(self, link: RecordLink) -> Seen:
        """Both sides' links of a record, as it was last merged."""
        return self._seen[link.pk]

    def _merge(self, link: RecordLink) -> Result:
        edges = self._edges_of(link)
        hubspot: dict[int, Types] | None = None
        if edges is not None:
            hubspot = {self.fars.in_hubspot(e.to_id): e.types for e in edges}
        working = [m for m in self.pair.mappings if m.key not in self.pair.looked.lost]
        states = {m.key: self._state(link, m, hubspot or {}) for m in working}
        self._seen[link.pk] = hubspot, states
        keys = set(hubspot or {})
        for state in states.values():
            keys |= set(state.app or ()) | set(state.base or {}) | set(state.apart)
        fars = {key: self.fars.far(key) for key in keys}
        rules = [m.rule_now for m in working]
        return merge(rules, states, hubspot, fars, plain=self.pair.plain)

    def _state(
        self, link: RecordLink, mapped: Mapped, hubspot: Mapping[int, Types]
    ) -> State:
        end, fars = mapped.end, self.fars
        ids = end.ids(link)
        held = {fars.in_app(end, i): rows for i, rows in end.labels(link).items()}
        base = self.ledger.base(mapped, link)
        refused = self.refused.get((link.pk, mapped.key), {})
        return State(
            app=None if ids is None else tuple(fars.in_app(end, i) for i in ids),
            base=base,
            apart=self.ledger.apart(mapped, link),
            labels={key: rows.types for key, rows in held.items()},
            odd={key: rows.odd for key, rows in held.items() if rows.odd},
            differ=self.ledger.differ(mapped, link),
            hidden=self.mirrors.hidden(mapped, link, hubspot, base or {}),
            refused=self.refuser.itself(link) | refused,
        )

    def _confirm(self, results: Mapping[int, Result]) -> set[int]:
        """Look whether the far records of vanished links still exist.

        A link whose far record was archived or deleted disappears with it: that is no
        unlink, and it must not travel. Returns the links to merge again.
        """
        vanished: dict[Side, dict[int, set[int]]] = {s: {} for s in Side}
        for link_id, result in results.items():
            for change in result.changes:
                if change.follows:
                    continue  # nothing vanished yet
                for key in change.ends:
                    vanished[change.side.other].setdefault(key, set()).add(link_id)
        again: set[int] = set()
        for side, keys in vanished.items():
            fars = [self.fars.links[k] for k in keys if k in self.fars.links]
            for key in find_gone(self.session, self.pair, side, fars):
                again |= keys[key]
        return again

    # From a result to rows --------------------------------------------------------------

    def _take(self, link: RecordLink, result: Result) -> None:
        if link.pk in self.chunk.creating and self._must_wait(link, result):
            return
        changing: dict[str, set[int]] = {}
        resting = self.ledger.resting(link)
        goes = [c for c in result.changes if (c.mapping_key, c.far_key) not in resting]
        led = {c.far_key for c in goes if c.side is Side.HUBSPOT}
        for change in goes:
            # What follows an unlink rests with it.
            if not change.follows or change.far_key in led:
                self._change(link, change, result)
        for change in result.changes:
            mine = changing.setdefault(change.mapping_key, set())
            mine |= {*change.ends, *([change.far_key] if change.far_key else [])}
        for mapped in self.pair.mappings:
            mine = changing.get(mapped.key, set())
            self.ledger.take(link, mapped, result, mine, self.fars)

    def _must_wait(self, link: RecordLink, result: Result) -> bool:
        """A record whose reference must not be empty waits for its target."""
        create = self.chunk.creating[link.pk]
        if create.side != Side.APP:
            return False
        for mapped in self.pair.mappings:
            wanted = result.app.get(mapped.key)
            if not mapped.end.nullable and not wanted:
                self.chunk.drop_create(link)
                self.chunk.note(
                    link,
                    Note(
                        RecordState.WAITING,
                        Code.TARGET_NOT_MATCHED,
                        f"{mapped.end.name} must point to a record, and the linked "
                        "HubSpot record is not paired yet.",
                        mapped.end.name,
                    ),
                )
                return True
        return False

    def _change(self, link: RecordLink, change: EdgeChange, result: Result) -> None:
        mapped = self.pair.mapped(change.mapping_key)
        far = self.fars.link_of(change.far_key or 0)
        edges = {e.to_id: types_json(e.types) for e in self._edges_of(link) or ()}
        far_types = edges.get((far.hubspot_id or "") if far is not None else "", [])
        cause = self.causes.text(link, mapped, far, far_types)
        after: dict[str, object] = {"ends": sorted(change.ends)}
        before: dict[str, object] = mapped.end.before(link, far)
        if change.base is not None:
            after["base"] = types_json(change.base)
        if link.pk in self.chunk.creating:
            after["inline"] = change.side is Side.HUBSPOT or not mapped.end.by_pair
        if change.side is Side.HUBSPOT:
            write = self._write(result.hubspot, change.far_key)
            types = types_json(write.types)
            before |= {"types": far_types, "shown": self.causes.shown(far_types)}
            if len(result.hubspot) > 1 or len(write.parts) > 1:
                after[PARTS] = parts_json(write.parts)
            after |= {
                "op": write.kind,
                "types": types,
                "off": types_json(write.off),
                "to_object": self.pair.to_object,
                "shown": self.causes.shown(
                    types
                    if write.kind != "unlabel"
                    else [t for t in far_types if t not in types]
                ),
            }
        else:
            wanted = result.app.get(mapped.key) or ()
            after |= mapped.end.after(link, change, wanted, self.fars)
            after["types"] = types_json(change.types)
            if change.follows:
                after[FOLLOWS] = True
        self.chunk.plan(
            link,
            side=change.side,
            kind=ChangeKind(change.kind),
            other_link=far,
            record=show(link),
            other_record=self._name(change.far_key),
            association_type=mapped.label,
            mapping_key=mapped.key,
            reason=f"{change.reason} ({cause})",
            rule=change.rule,
            before=before,
            after=after,
            origin={"to_object": self.pair.to_object, "edges": edges},
        )

    def _write(self, writes: Sequence[PairWrite], far_key: int | None) -> PairWrite:
        return next(w for w in writes if w.far_key == far_key)

    def _name(self, key: int | None) -> str:
        if key is None:
            return ""
        link = self.fars.link_of(key)
        return show(link) if link else self.fars.remote_id(key)


__all__ = ["NOTE", "Edges", "LinkPlanner"]
