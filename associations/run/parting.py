"""Of a write that several mappings share, what those of them want that really go.

A plan holds one write a pair. A person may approve one mapping's change of it alone, and
one may have drifted: the others go without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from associations.engine.edges import Pairs, PairWrite
from associations.run.causes import Causes
from associations.run.keeping import KINDS
from associations.run.mappings import Pair
from associations.run.stored import PARTS, types_json, types_of
from connections.records import Side
from syncs.models import Change
from syncs.models.choices import ChangeOutcome
from syncs.run.session import Session

GOING = (ChangeOutcome.PLANNED, ChangeOutcome.SENT, ChangeOutcome.APPLIED)


def part(
    session: Session, batch: Sequence[Change], pairs: Mapping[str, Pair]
) -> list[Change]:
    """Have changes that are about to be sent write no more than what goes with them.

    Returns: those that cannot go alone: what kept their pair in HubSpot does not go.
    """
    shared = [c for c in batch if PARTS in c.after and c.mapping_key in pairs]
    if not shared:
        return []
    going: dict[int, list[Change]] = {}
    rows = Change.objects.filter(
        run__in={c.run_id for c in shared},
        link__in={c.link_id for c in shared},
        side=Side.HUBSPOT,
        kind__in=KINDS,
        outcome__in=GOING,
    )
    for row in rows.select_related("other_link").order_by("pk"):
        going.setdefault(row.link_id or 0, []).append(row)
    alone: list[Change] = []
    for change in shared:
        # Planned in one go: a later look at the record has seen other links.
        mine = [
            c
            for c in going.get(change.link_id or 0, ())
            if PARTS in c.after and c.origin == change.origin
        ]
        write = _write(change, mine, pairs[change.mapping_key])
        if write.kind == "dissociate" and change.after["op"] != write.kind:
            alone.append(change)
        else:
            _take(session, change, write, pairs[change.mapping_key])
    return alone


def _take(session: Session, change: Change, write: PairWrite, pair: Pair) -> None:
    types = types_json(write.types)
    fresh = {"op": write.kind, "types": types, "off": types_json(write.off)}
    if all(change.after.get(name) == value for name, value in fresh.items()):
        return
    left: list[Any] = types
    if write.kind == "unlabel":
        left = [t for t in change.before.get("types", ()) if t not in types]
    change.after |= fresh | {"shown": Causes(session, pair).shown(left)}


def _write(change: Change, going: Sequence[Change], pair: Pair) -> PairWrite:
    """The one write of a change's pair, by what goes of the record's plan."""
    edges = change.origin["edges"]
    fars = {c.other_link_id or 0: c.other_link for c in going}
    held = {
        key: types_of(edges.get((far.hubspot_id or "") if far is not None else "", ()))
        for key, far in fars.items()
    }
    pairs = Pairs({key: types for key, types in held.items() if types}, pair.plain)
    for row in going:
        added, removed = map(types_of, row.after[PARTS].get(row.mapping_key, ((), ())))
        if added:
            pairs.add(row.mapping_key, row.other_link_id or 0, added)
        if removed or not added:
            pairs.remove(row.mapping_key, row.other_link_id or 0, removed)
    return next(w for w in pairs.writes() if w.far_key == change.other_link_id)
