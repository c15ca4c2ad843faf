"""Prove, in a sweep, that both sides have the same links: how many, and which.

Of each mapping, both sides' links between paired records are counted and added up as
64-bit numbers, in whatever order they come, so that any number of them takes no memory.
A record whose links this run changes counts once they were read back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from associations.engine.edges import Result, State
from associations.models import AssociationMapping
from associations.run.fars import Fars
from associations.run.mappings import Mapped, Pair
from connections.records import AssociationType
from syncs.models import RecordLink
from syncs.run.idset import IdSet
from syncs.run.session import Session, now

PLACE = "proof"  # where a run that goes on in another slice keeps it
OWED_KEPT = 5000  # ids of records still to be counted that a slice hands to the next
AT_ONCE = 1000
MASK = 2**64 - 1

Types = frozenset[AssociationType]
Seen = tuple[Mapping[int, Types] | None, Mapping[str, State]]


def edge_hash(near: int, far: int) -> int:
    """A number of 64 bits for one link, spread so that sums of them tell sets apart.

    Source: https://prng.di.unimi.it/splitmix64.c
    """
    mixed = (near * 0x9E3779B97F4A7C15 + far * 0xC2B2AE3D27D4EB4F) & MASK
    mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & MASK
    mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & MASK
    return mixed ^ mixed >> 31


@dataclass
class Sum:
    """The links of one side."""

    links: int = 0
    hash: int = 0

    def add(self, near: int, fars: Iterable[int]) -> None:
        for far in fars:
            self.links += 1
            self.hash = (self.hash + edge_hash(near, far)) & MASK


@dataclass
class Sums:
    """One mapping's links on both sides.

    `unknown` counts records whose list a side did not show whole; `owed` those whose
    links are being written, `paid` those of them that were counted since; `lost` says
    that a slice could not hand on which are owed.
    """

    hubspot: Sum = field(default_factory=Sum)
    app: Sum = field(default_factory=Sum)
    unknown: int = 0
    lost: bool = False
    owed: IdSet = field(default_factory=IdSet)
    paid: IdSet = field(default_factory=IdSet)

    def open(self) -> list[int]:
        return [pk for pk in self.owed if pk not in self.paid]

    def json(self) -> dict[str, Any]:
        many = len(self.owed) - len(self.paid) > OWED_KEPT
        return {
            "hubspot": [self.hubspot.links, self.hubspot.hash],
            "app": [self.app.links, self.app.hash],
            "unknown": self.unknown,
            "lost": self.lost or many,
            "owed": [] if many else self.open(),
        }

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Sums:
        return cls(
            Sum(*kept["hubspot"]),
            Sum(*kept["app"]),
            kept["unknown"],
            kept["lost"],
            IdSet(kept["owed"]),
        )


class Proof:
    """Adds up a sweep's links, by mapping."""

    def __init__(self, session: Session, pairs: Sequence[Pair]) -> None:
        self.session, self.pairs = session, pairs
        kept = session.run.place.get(PLACE, {})
        self.sums = {
            m.key: Sums.of(kept[m.key]) if m.key in kept else Sums()
            for pair in pairs
            for m in pair.mappings
        }

    def json(self) -> dict[str, Any]:
        """What the next slice needs to go on."""
        return {key: sums.json() for key, sums in self.sums.items()}

    def take(
        self,
        pair: Pair,
        links: Iterable[RecordLink],
        seen: Mapping[int, Seen],
        results: Mapping[int, Result],
        fars: Fars,
        *,
        sweep: bool,
        creating: Iterable[int],
    ) -> None:
        """Count the links of some records.

        Args: seen, both sides' links by record; sweep, whether this looks at all
            records, else only those still owed count; creating, records to be created.
        """
        new = set(creating)
        for link in links:
            changing = {c.mapping_key for c in results[link.pk].changes}
            hubspot, states = seen[link.pk]
            for mapped in pair.mappings:
                sums = self.sums[mapped.key]
                owed = link.pk in sums.owed
                if (link.pk in sums.paid) if owed else not sweep:
                    continue
                state = states.get(mapped.key)  # none where its type is gone
                app = None if state is None else state.app
                if mapped.key in changing or link.pk in new:
                    sums.owed.update([link.pk])
                elif hubspot is None or state is None or app is None:
                    sums.unknown += not owed
                else:
                    shown = {k: t for k, t in hubspot.items() if k not in state.hidden}
                    if mapped.rule.kind == "labels":
                        _count_labels(mapped, sums, link.pk, shown, state, fars)
                    else:
                        _count(mapped, sums, link.pk, shown, app, fars)
                    if owed:
                        sums.paid.update([link.pk])

    def keep(self) -> None:
        """Note what a sweep found that went through all records."""
        moment = now()
        for pair in self.pairs:
            whole = self.session.hubspot.shows_all_links(
                pair.from_object, pair.to_object
            )
            for mapped in pair.mappings:
                sums = self.sums[mapped.key]
                left = _still_paired(sums.open())
                equal = whole and not (left or sums.lost or sums.unknown)
                equal = equal and sums.hubspot == sums.app
                found = {
                    "at": moment.isoformat(),
                    "hubspot": [sums.hubspot.links, f"{sums.hubspot.hash:016x}"],
                    "app": [sums.app.links, f"{sums.app.hash:016x}"],
                    "unknown": sums.unknown,
                    "open": left,
                    "whole": whole and not sums.lost,
                }
                values: dict[str, Any] = {"sweep": found}
                if equal:
                    values["proven_at"] = moment
                AssociationMapping.objects.filter(pk=mapped.row.pk).update(**values)


def _count(
    mapped: Mapped,
    sums: Sums,
    near: int,
    hubspot: Mapping[int, Types],
    app: Sequence[int],
    fars: Fars,
) -> None:
    there = {k for k, types in hubspot.items() if mapped.rule.counts(types)}
    here = set(app)
    if not mapped.rule.many and here <= there:
        there = here or there  # of several links the field stands for the one it holds
    if there != here:  # what only one side can have is no difference
        there = {k for k in there if fars.far(k).status == "paired"}
        here = {k for k in here if fars.far(k).status == "paired"}
    known = [k for k in there if k > 0]
    sums.hubspot.add(near, known)
    if there == here:
        sums.app.add(near, known)
    else:
        sums.app.add(near, [k for k in here if k > 0])


def _count_labels(
    mapped: Mapped,
    sums: Sums,
    near: int,
    hubspot: Mapping[int, Types],
    state: State,
    fars: Fars,
) -> None:
    """Each label of a pair counts, as far as rows can stand for it."""
    rule = mapped.rule_now
    for far in {*hubspot, *state.labels}:
        if far < 0 or fars.far(far).status != "paired":
            continue
        here = state.labels.get(far, frozenset())
        here = here - {rule.plain} or here
        there = rule.edge(hubspot.get(far, frozenset()))
        if rule.single and here and here <= there:
            there = here  # the table has room for one
        sums.hubspot.add(near, [edge_hash(far, t.type_id) for t in there])
        sums.app.add(near, [edge_hash(far, t.type_id) for t in here])


def _still_paired(ids: Sequence[int]) -> int:
    """How many of some records are on both sides: the others have no links to compare."""
    found = 0
    for start in range(0, len(ids), AT_ONCE):
        found += RecordLink.objects.filter(
            pk__in=ids[start : start + AT_ONCE],
            hubspot_id__isnull=False,
            app_id__isnull=False,
        ).count()
    return found
