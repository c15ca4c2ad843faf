"""Other ways to write a primary, where HubSpot refuses the short one.

That a new primary demotes the former, and that a primary can be taken off its pair alone,
is how HubSpot is expected to behave and not documented; where an account refuses either,
the same end is reached in more steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from associations.engine.types import ONE_PRIMARY
from connections.catalogue import Code
from connections.connectors.base import AssociationConnector
from connections.records import AssociationType, Edge, Outcome

Ends = tuple[str, str]  # HubSpot ids, from and to
Types = frozenset[AssociationType]
Known = Mapping[str, Mapping[str, Types]]  # what each record was linked to when planned
NO_TYPES: Types = frozenset()
# Refusals that may mean that a record has one primary only.
OF_ONE_PRIMARY = (Code.VALUE_INVALID, Code.CONFLICT)
STUCK = Outcome(
    False,
    code=Code.VALUE_INVALID,
    message="HubSpot makes the link primary again by itself: take the primary off there.",
)
_Write = Callable[[str, str, Sequence[Edge]], list[Outcome]]


@dataclass
class Insister:
    """Tries refused writes of one pair of object types again, another way."""

    hubspot: AssociationConnector
    from_object: str
    to_object: str
    known: Known

    def take_off(self, edges: Mapping[Ends, Edge]) -> dict[Ends, Outcome]:
        """Take types off pairs that are written without them right after.

        That a write replaces a pair's types is documented; an account that adds them
        instead would show the old ones as new.

        Returns: what is refused; the write may still leave them out.
        """
        found = self._each(self.hubspot.unlabel, edges)
        return {ends: outcome for ends, outcome in found.items() if not outcome.ok}

    def still_on(
        self, edges: Mapping[Ends, Edge], refused: Mapping[Ends, Outcome]
    ) -> dict[Ends, Outcome]:
        """Of the types that could not be taken off, those that the write left there."""
        held = dict(self._held({ends: edges[ends] for ends in refused}))
        return {
            ends: outcome
            for ends, outcome in refused.items()
            if edges[ends].types & held.get(ends, NO_TYPES)
        }

    def associate(
        self, edges: Mapping[Ends, Edge], outcomes: Mapping[Ends, Outcome]
    ) -> dict[Ends, Outcome]:
        """Take the former primary off first, and put it back if that does not help.

        Args: edges, as they were sent; outcomes, what became of each.
        Returns: the outcomes that are better now.
        """
        refused = {
            ends: edges[ends]
            for ends in _refused(outcomes)
            if outcomes[ends].code in OF_ONE_PRIMARY and self._former(edges[ends])
        }
        self._look_again(refused)
        former = {e: f for e, edge in refused.items() if (f := self._former(edge))}
        taken = {(edge.from_id, edge.to_id): edge for edge in former.values()}
        demoted = self._each(self.hubspot.unlabel, taken)
        demoted |= self.unlabel(taken, demoted)
        free = {
            ends: edges[ends]
            for ends, edge in former.items()
            if demoted[edge.from_id, edge.to_id].ok
        }
        back = {
            ends: Edge(
                former[ends].from_id,
                former[ends].to_id,
                self.known[former[ends].from_id][former[ends].to_id],
            )
            for ends in free
        }
        try:
            found = self._each(self.hubspot.associate, free)
        except BaseException:
            self._each(self.hubspot.associate, back)
            raise
        left = {ends: back[ends] for ends, outcome in found.items() if not outcome.ok}
        self._each(self.hubspot.associate, left)
        moved = [former[ends] for ends, outcome in found.items() if outcome.ok]
        self.put_back({(edge.from_id, edge.to_id): edge for edge in moved})
        return {ends: outcome for ends, outcome in found.items() if outcome.ok}

    def unlabel(
        self, edges: Mapping[Ends, Edge], outcomes: Mapping[Ends, Outcome]
    ) -> dict[Ends, Outcome]:
        """Write the pair's complete set of types without the primary, and look."""
        lesser: dict[Ends, Edge] = {}
        for ends in _refused(outcomes):
            edge = edges[ends]
            rest = self.known.get(edge.from_id, {}).get(edge.to_id, NO_TYPES)
            rest -= edge.types
            if edge.types & ONE_PRIMARY and rest:
                lesser[ends] = Edge(edge.from_id, edge.to_id, rest)
        found = self._each(self.hubspot.associate, lesser)
        held = dict(self._held(lesser))
        return {
            ends: outcome
            for ends, outcome in found.items()
            if outcome.ok and ends in held and not held[ends] & edges[ends].types
        }

    def put_back(self, edges: Mapping[Ends, Edge]) -> dict[Ends, Outcome]:
        """Write again what an account took off a pair together with its primary.

        That the plain link and labels stay is how it is expected to be. A record's only
        link may become primary by itself with that: another write of its other types
        takes it off.

        Args: edges, from which types were taken. Returns: what could not be put back.
        """
        rests = {
            ends: Edge(*ends, rest)
            for ends, edge in edges.items()
            if edge.types & ONE_PRIMARY
            and (
                rest := self.known.get(ends[0], {}).get(ends[1], NO_TYPES) - edge.types
            )
        }
        gone = {ends: rests[ends] for ends, types in self._held(rests) if not types}
        found = self._each(self.hubspot.associate, gone)
        led = {
            ends: rests[ends] for ends, types in self._held(gone) if types & ONE_PRIMARY
        }
        self._each(self.hubspot.associate, led)
        stuck = {
            ends: rests[ends] for ends, types in self._held(led) if types & ONE_PRIMARY
        }
        # Then there is no plain link without the primary; a label is not given up.
        bare = {
            ends: edges[ends] for ends, edge in stuck.items() if len(edge.types) < 2
        }
        self._each(self.hubspot.unlabel, bare)
        failed = {ends: outcome for ends, outcome in found.items() if not outcome.ok}
        return failed | dict.fromkeys(stuck.keys() - bare.keys(), STUCK)

    def recover(self, sent: Mapping[Ends, Edge], *, taken_off: bool) -> None:
        """Put back what writes that nobody knows the end of took along.

        A process may have ended between taking a primary off and writing again what went
        with it. Args: sent, what was written; taken_off, it was to be taken off.
        """
        if not taken_off:
            former = [f for edge in sent.values() if (f := self._former(edge))]
            sent = {(edge.from_id, edge.to_id): edge for edge in former}
        self.put_back(sent)

    def _held(self, edges: Mapping[Ends, Edge]) -> list[tuple[Ends, Types]]:
        """The types that stand on pairs, of those whose record could be read."""
        if not edges:
            return []
        ids = sorted({from_id for from_id, _ in edges})
        now = self.hubspot.associations(self.from_object, self.to_object, ids)
        held = {(i, e.to_id): e.types for i, links in now.items() for e in links}
        return [(ends, held.get(ends, NO_TYPES)) for ends in edges if ends[0] in now]

    def _look_again(self, edges: Mapping[Ends, Edge]) -> None:
        """Know what records are linked to by now: what the run itself took off since it
        was planned must not be written again."""
        ids = sorted({from_id for from_id, _ in edges})
        if ids:
            now = self.hubspot.associations(self.from_object, self.to_object, ids)
            fresh = {i: {e.to_id: e.types for e in links} for i, links in now.items()}
            self.known = {**self.known, **fresh}

    def _former(self, edge: Edge) -> Edge | None:
        led = edge.types & ONE_PRIMARY
        for to_id, types in self.known.get(edge.from_id, {}).items():
            if to_id != edge.to_id and types & led:
                return Edge(edge.from_id, to_id, types & led)
        return None

    def _each(self, write: _Write, edges: Mapping[Ends, Edge]) -> dict[Ends, Outcome]:
        if not edges:
            return {}
        written = write(self.from_object, self.to_object, list(edges.values()))
        return dict(zip(edges, written, strict=True))


def less(known: Known, taken: Iterable[tuple[Ends, Types | None]]) -> Known:
    """What records are linked to without what was taken off pairs; None: all of it."""
    left = {from_id: dict(pairs) for from_id, pairs in known.items()}
    for (from_id, to_id), types in taken:
        pairs = left.get(from_id, {})
        rest = pairs.get(to_id, NO_TYPES) - types if types is not None else NO_TYPES
        if rest:
            pairs[to_id] = rest
        else:
            pairs.pop(to_id, None)
    return left


def _refused(outcomes: Mapping[Ends, Outcome]) -> Iterable[Ends]:
    return [e for e, o in outcomes.items() if not o.ok and not o.uncertain]
