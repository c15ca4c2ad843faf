"""What the unlink of a whole pair means for the other fields that hold the record.

A plain link owns its pair (docs/adr/0019): when the app takes it off, whatever else was
on the pair when both sides last agreed goes with it. So every other field of the app that still
holds the record loses it, and the plan says so; a field that may not be written keeps the
pair instead, else both sides would be apart for good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from associations.engine.edges import (
    NO_TYPES,
    EdgeChange,
    Far,
    MappingRule,
    Pending,
    Result,
    State,
    Types,
)
from connections.catalogue import Code
from connections.records import Side


class Holders:
    """Which of a record's fields in the app hold a pair that HubSpot shows for them.

    Args: visible, HubSpot's links to records that links can be written to.
    """

    def __init__(
        self,
        rules: Sequence[MappingRule],
        states: Mapping[str, State],
        visible: Mapping[int, Types],
    ) -> None:
        self.states, self.visible = states, visible
        self.rules = [r for r in rules if states[r.key].app is not None]

    def of(self, far: int, but: MappingRule | None = None) -> list[MappingRule]:
        """The mappings that hold a pair, without one of them."""
        held = self.visible.get(far)
        return [
            rule
            for rule in self.rules
            if rule != but
            and held
            and rule.counts(held)
            and far in (self.states[rule.key].app or ())
            and far not in self.states[rule.key].apart
        ]

    def keeps(self, far: int, but: MappingRule) -> bool:
        """Whether a mapping that may not be written holds the pair."""
        return any(not r.lets(Side.APP) for r in self.of(far, but))

    def owner(self, far: int, but: MappingRule) -> bool:
        """Whether a mapping of plain links holds the pair."""
        return any(r.kind == "default" for r in self.of(far, but))


def kept(key: str, far: int) -> Pending:
    """Note that a pair stays which the app took off."""
    text = (
        "The app took the link off, and HubSpot's stays: another field of the record, "
        "which goes to HubSpot only, still holds it. Clear that one, too."
    )
    return Pending(key, far, Side.HUBSPOT, Code.CONFLICT, text)


def follow(holders: Holders, fars: Mapping[int, Far], result: Result) -> None:
    """Take the records off the app's other fields whose pairs go whole."""
    for write in result.hubspot:
        far = write.far_key
        if write.kind != "dissociate" or fars[far].status != "paired":
            continue
        taken = {c.mapping_key for c in result.changes if c.far_key == far}
        ended = {c.mapping_key for c in result.changes if far in c.ends}
        for rule in holders.of(far):
            if rule.key not in taken | ended and rule.lets(Side.APP):
                _take(rule, far, holders, result)


def _take(rule: MappingRule, far: int, holders: Holders, result: Result) -> None:
    state = holders.states[rule.key]
    rows: Types | None = None
    if rule.kind == "labels":
        rows = NO_TYPES
    else:
        held = result.app.get(rule.key, state.app or ())
        if far not in held:
            return  # HubSpot's other link took its place
        result.app[rule.key] = tuple(k for k in held if k != far)
    result.changes.append(
        EdgeChange(
            rule.key,
            Side.APP,
            "unlink",
            far,
            "Another field of the app took off the link, which owns the whole pair.",
            "app moved",
            frozenset({far} & (state.base or {}).keys()),
            holders.visible[far],
            rows,
            NO_TYPES if rule.kind == "labels" else None,
            follows=True,
        )
    )
