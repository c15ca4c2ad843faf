"""What of a record's links in HubSpot a planned change was decided from.

A change stands as long as that is as it was, whatever else of the record moved: its own
pair, and for a field that holds one record every link that counts for the field, since
which of them the field stands for was chosen among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from associations.engine.edges import MappingRule
from associations.run.stored import types_of

Edges = Mapping[str, list[Any]]  # types, as stored, by the far record's HubSpot id


def unmoved(planned: Edges, now: Edges, far_id: str, rule: MappingRule | None) -> bool:
    """Whether a change may still go.

    Args: planned and now, the record's links when the change was planned and as they are;
        far_id, the pair's far record in HubSpot ("": it was not there); rule, the
        change's mapping (None: not known any more, and every link counts).
    """
    return _basis(planned, far_id, rule) == _basis(now, far_id, rule)


def _basis(edges: Edges, far_id: str, rule: MappingRule | None) -> dict[str, list[Any]]:
    def counts(types: list[Any]) -> bool:
        return rule is None or (not rule.many and rule.counts(types_of(types)))

    return {
        far: sorted(types)
        for far, types in edges.items()
        if far == far_id or counts(types)
    }
