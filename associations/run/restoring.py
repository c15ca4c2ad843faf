"""Give HubSpot's pairs the types that they had before a run, and note what stands then.

An undo leaves a link on one side alone. It stands apart there: it neither travels as new
nor as an unlink until somebody changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from associations.models import AssociationLink, LinkState
from associations.run.ends import Held
from associations.run.insisting import Insister
from associations.run.mappings import Mapped, Pair
from associations.run.reading import NO_TYPES, Ends, Sent, Types, read_links
from associations.run.stored import types_json, types_of
from connections.records import Edge, Outcome, Side
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeOutcome
from syncs.run.session import Session

RESTORE = "restore"  # the `op` of a change that takes links in HubSpot back
READ_AT_ONCE = 1000  # records whose links one call reads

Stored = list[list[Any]]  # types as `types_json` gives them
Edges = dict[str, dict[str, dict[str, Stored]]]  # by far object, near id and far id
# Columns of a record link that its ids can be had without.
HEAVY = ("hubspot_values", "app_values", "app_references", "baseline", "stage_state")


def read_edges(
    session: Session,
    to_objects: Iterable[str],
    ids: Sequence[str],
    sent: Sent | None = None,
) -> Edges:
    """HubSpot's links of some records; one that could not be read is absent."""
    found: Edges = {}
    for to_object in sorted(set(to_objects)):
        mine = found.setdefault(to_object, {})
        for start in range(0, len(ids), READ_AT_ONCE):
            some = ids[start : start + READ_AT_ONCE]
            read = read_links(session, to_object, some, sent)
            for near_id, linked in read.items():
                mine[near_id] = {e.to_id: types_json(e.types) for e in linked}
    return found


# Write -----------------------------------------------------------------------------------


class Restorer:
    """Writes what changes want of the pairs under one far object."""

    def __init__(self, session: Session, pair: Pair, changes: Sequence[Change]) -> None:
        self.session, self.pair, self.changes = session, pair, changes
        self.from_object = session.object_on(Side.HUBSPOT).id
        self.wanted: dict[Ends, Types] = {}
        self.held: dict[Ends, Types] = {}
        known: dict[str, dict[str, Types]] = {}
        for change in changes:  # the newest of the run first: the oldest has its way
            near = _near_id(change)
            edges = change.origin["edges"]
            known[near] = {far: types_of(types) for far, types in edges.items()}
            for far, types in change.after["pairs"].items():
                self.wanted[near, far] = types_of(types)
                self.held[near, far] = types_of(edges.get(far, ()))
        self.insister = Insister(
            session.hubspot, self.from_object, pair.to_object, known
        )
        self.outcomes: dict[Ends, Outcome] = {}

    def write(self) -> list[tuple[Change, Outcome]]:
        """Add first, so that a primary moves in one call; then take away."""
        hubspot = self.session.hubspot
        more = {e: t for e, t in self.wanted.items() if t - self.held[e]}
        self._send(hubspot.associate, more, self.insister.associate)
        away = {e: NO_TYPES for e in self._left() if not self.wanted[e]}
        self._send(hubspot.dissociate, {e: t for e, t in away.items() if self.held[e]})
        lesser = {
            e: self.held[e] - self.wanted[e] - {self.pair.plain}
            for e in self._left()
            if self.wanted[e] and e not in more
        }
        self._unlabel(lesser)
        self._take_off_what_came_besides()
        return [(change, self._outcome(change)) for change in self.changes]

    def _left(self) -> list[Ends]:
        """The pairs of records nothing of which was refused."""
        bad = {e[0] for e, outcome in self.outcomes.items() if not outcome.ok}
        return [e for e in self.wanted if e[0] not in bad]

    def _send(
        self, write: Any, types: Mapping[Ends, Types], insist: Any = None
    ) -> None:
        if not types:
            return
        edges = {e: Edge(e[0], e[1], some) for e, some in types.items()}
        answers = write(self.from_object, self.pair.to_object, list(edges.values()))
        found = dict(zip(edges, answers, strict=True))
        if insist is not None:
            found |= insist(edges, found)
        self.outcomes |= found

    def _unlabel(self, types: Mapping[Ends, Types]) -> None:
        some = {e: t for e, t in types.items() if t}
        self._send(self.session.hubspot.unlabel, some, self.insister.unlabel)

    def _take_off_what_came_besides(self) -> None:
        """HubSpot makes a first link primary by itself, and an account may add types
        where another replaces them."""
        now = self._read()
        besides = {
            e: types_of(now[e[0]].get(e[1], ())) - self.wanted[e] - {self.pair.plain}
            for e in self._left()
            if self.wanted[e] and e[0] in now
        }
        self._unlabel(besides)
        if any(besides.values()):
            now = self._read()
        for change in self.changes:
            held = now.get(_near_id(change), {})
            pairs = {far: held.get(far, []) for far in change.after["pairs"]}
            if held and pairs != change.after["pairs"]:
                change.answered = {"edges": pairs}

    def _read(self) -> dict[str, dict[str, Stored]]:
        ids = sorted({near for near, _ in self.wanted})
        to_object = self.pair.to_object
        sent = {e: self.wanted[e] for e, done in self.outcomes.items() if done.ok}
        return read_edges(self.session, [to_object], ids, sent)[to_object]

    def _outcome(self, change: Change) -> Outcome:
        near = _near_id(change)
        mine = [
            outcome
            for far in change.after["pairs"]
            if (outcome := self.outcomes.get((near, far))) and not outcome.ok
        ]
        return mine[0] if mine else Outcome(True)


def _near_id(change: Change) -> str:
    assert change.link is not None
    return change.link.hubspot_id or ""


# What stands then ------------------------------------------------------------------------


@dataclass
class Standing:
    """How the links stand that some changes took back."""

    session: Session
    pairs: Mapping[str, Pair]  # by mapping key
    changes: Sequence[Change]
    edges: Edges = field(default_factory=dict)

    def read(self) -> Standing:
        """Read both sides' links again: the calls before our rows are written."""
        ids = sorted({_near_id(c) for c in self.changes} - {""})
        to_objects = {self.pairs[c.mapping_key].to_object for c in self.changes}
        sent = {
            (_near_id(change), far): types_of(types)
            for change in self.changes
            if change.outcome == ChangeOutcome.APPLIED
            for far, types in change.after.get("pairs", {}).items()
        }
        self.edges = read_edges(self.session, to_objects, ids, sent) if ids else {}
        near = {c.link_id: c.link for c in self.changes if c.link is not None}
        for key in {c.mapping_key for c in self.changes}:
            end = self.pairs[key].mapped(key).end
            end.load(self.session, list(near.values()))
        return self

    def of(self, change: Change) -> dict[str, Stored] | None:
        """What HubSpot has of the change's record; None where it could not be read."""
        to_object = self.pairs[change.mapping_key].to_object
        return self.edges.get(to_object, {}).get(_near_id(change))

    def keep(self, held: Sequence[RecordLink] = ()) -> None:
        """Write which links both sides have and which stand apart.

        Args: held, the records with what their reference fields hold now.
        """
        fresh = {link.pk: link for link in held}
        touched: dict[tuple[str, int], set[int]] = {}
        by_near: dict[tuple[str, int], Change] = {}
        for change in self.changes:
            at = (change.mapping_key, change.link_id or 0)
            touched.setdefault(at, set()).update(change.after.get("touched", ()))
            by_near[at] = change
        stale = self._know_apart(touched)
        keys = sorted({k for ks in touched.values() for k in ks})
        fars = RecordLink.objects.defer(*HEAVY).in_bulk(keys)
        rows: list[AssociationLink] = []
        for at, mine in touched.items():
            change = by_near[at]
            near = fresh.get(at[1], change.link)
            assert near is not None
            mapped = self.pairs[at[0]].mapped(at[0])
            edges = self.of(change)
            known = _as_sent(change) if edges is None else edges
            made = (_row(mapped, near, fars[k], known) for k in mine if k in fars)
            rows += [row for row in made if row is not None]
        AssociationLink.objects.filter(pk__in=stale).delete()
        AssociationLink.objects.bulk_create(rows, batch_size=300, ignore_conflicts=True)

    def _know_apart(self, touched: dict[tuple[str, int], set[int]]) -> list[int]:
        """Look again, too, at what stood apart before. Returns the rows to replace."""
        stale: list[int] = []
        rows = AssociationLink.objects.filter(link__in={at[1] for at in touched})
        for row in rows:
            mine = touched.get((str(row.mapping_id), row.link_id))
            if mine is None or row.other_id is None:
                continue
            if row.state == LinkState.APART:
                mine.add(row.other_id)
            if row.other_id in mine:
                stale.append(row.pk)
        return stale


def _as_sent(change: Change) -> dict[str, Stored]:
    """What HubSpot has if it did what it was asked to."""
    edges: dict[str, Stored] = dict(change.origin.get("edges", {}))
    for far, types in change.after.get("pairs", {}).items():
        edges[far] = types
    return {far: types for far, types in edges.items() if types}


def _row(
    mapped: Mapped, near: RecordLink, far: RecordLink, edges: Mapping[str, Stored]
) -> AssociationLink | None:
    stored = edges.get(far.hubspot_id or "", [])
    if mapped.rule.kind == "labels":
        return _row_of_labels(mapped, near, far, types_of(stored))
    in_hubspot = bool(stored) and mapped.rule.counts(types_of(stored))
    in_app = mapped.end.name_of(far) in (mapped.end.ids(near) or ())
    if not in_hubspot and not in_app:
        return None
    row = AssociationLink(mapping=mapped.row, link=near, other=far)
    if in_hubspot and in_app:
        row.types = stored
    else:
        row.state = LinkState.APART
        row.side = Side.HUBSPOT if in_hubspot else Side.APP
    return row


def _row_of_labels(
    mapped: Mapped, near: RecordLink, far: RecordLink, held: Types
) -> AssociationLink | None:
    """Sides whose labels differ stand apart, by the types in which they do."""
    there = mapped.rule.edge(held)
    rows = mapped.end.labels(near).get(mapped.end.name_of(far) or "", Held())
    here = rows.types - {mapped.rule.plain} or rows.types
    if not there and not here:
        return None
    differ = there ^ here
    row = AssociationLink(
        mapping=mapped.row, link=near, other=far, types=types_json(differ or there)
    )
    if differ:
        row.state = LinkState.APART
        row.side = Side.HUBSPOT if there - here else Side.APP
    return row
