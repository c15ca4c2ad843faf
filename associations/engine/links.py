"""Merge the links of one record three-way, edge by edge.

`merge` looks at one record's links under one pair of HubSpot objects: what HubSpot has,
what each of the app's fields has, and what both had when they last agreed (the baseline).
An edge new on one side is added to the other, an edge that both had and one side lost is
removed from the other. What it cannot know (an end that is not paired yet, gone or
excluded, a list that was not shown whole) it never takes for a removal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from associations.engine.edges import (
    HIDDEN,
    Far,
    MappingRule,
    Pairs,
    Result,
    State,
    Types,
)
from associations.engine.fields import Field
from associations.engine.label_sets import LabelSets
from associations.engine.many import ManyField
from associations.engine.shared_pairs import Holders, follow
from associations.engine.single import SingleField
from connections.records import AssociationType


def merge(
    rules: Sequence[MappingRule],
    states: Mapping[str, State],
    hubspot: Mapping[int, Types] | None,
    fars: Mapping[int, Far],
    *,
    plain: AssociationType,
) -> Result:
    """Decide about one record's links.

    Args: rules, the mappings that share the pair of objects; states, by mapping key;
        hubspot, the types of every link that HubSpot has, by far record (None: could not
        be read); fars, every far record named anywhere; plain, the pair's unlabelled
        type.
    Returns: changes, at most one write a pair, and what stands.
    """
    result = Result()
    if hubspot is None:
        return result
    visible = {k: t for k, t in hubspot.items() if fars[k].status not in HIDDEN}
    pairs = Pairs(visible, plain)
    holders = Holders(rules, states, visible)
    for rule in rules:
        state = states[rule.key]
        if state.app is not None and rule.kind == "labels":
            LabelSets(rule, state, hubspot, fars, pairs, result, holders).merge()
        elif state.app is not None:
            kind: type[Field] = ManyField if rule.many else SingleField
            field_ = kind(rule, state, state.app, hubspot, fars, pairs, result, holders)
            result.apart[rule.key] = field_.apart
            field_.merge()
            field_.note_skipped()
    result.hubspot = list(pairs.writes())
    follow(holders, fars, result)
    return result
