"""How links stand in HubSpot after a write of ours, as it answered or was read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from associations.engine.types import PRIMARIES
from associations.run.ends import AppEnd
from associations.run.keeping import KINDS
from associations.run.restoring import RESTORE
from associations.run.stored import types_json, types_of
from connections.records import Side
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeOutcome
from syncs.run.session import Session
from syncs.run.store import update_rows

Types = list[list[Any]]  # as `types_json` gives them
Pairs = dict[str, Types]  # what a record has in HubSpot: types by far id


def answers_of(change: Change) -> Pairs:
    found: Pairs = change.answered.get("edges", {})
    return found


def left_in_hubspot(change: Change, far: RecordLink) -> Pairs:
    """The pairs that a change wrote, and how it left them.

    What HubSpot makes of a write besides (a first primary, a former one demoted) was
    noted when the links were read back.
    """
    answered = answers_of(change)
    if answered:
        return answered
    after = change.after
    if after.get("op") == RESTORE:
        return dict(after["pairs"])
    if after.get("op") == "unlabel":
        rest = [t for t in change.before.get("types", ()) if t not in after["types"]]
        return {far.hubspot_id or "": rest}
    return {far.hubspot_id or "": list(after.get("types", ()))}


def took_effect(
    change: Change, held: Mapping[str, Types], near: RecordLink, end: AppEnd
) -> bool:
    """Whether what was sent to take a link back is what stands there now."""
    if change.side == Side.HUBSPOT:
        pairs: Pairs = change.after["pairs"]
        return all(held.get(i, []) == types for i, types in pairs.items())
    return end.in_effect(change, near)


def remember_half(change: Change, held: Pairs) -> None:
    """Where a restore of several pairs was broken off, what stands is our own work: the
    next undo goes on from there.

    It adds first and then takes away, and HubSpot demotes a former primary by itself.
    """
    if change.side != Side.HUBSPOT:
        return
    origin, pairs = change.origin.get("edges", {}), change.after["pairs"]
    for far, wanted in pairs.items():
        lost = types_of(origin.get(far, ())) - types_of(held.get(far, ()))
        less = types_of(held.get(far, ())) <= types_of(origin.get(far, ()))
        if held.get(far, []) != wanted and not (less and lost <= PRIMARIES):
            return  # somebody else's
    now = {far: held.get(far, []) for far in pairs}
    originals = list(
        Change.objects.filter(pk__in=change.undoes).select_related("other_link")
    )
    for original in originals:
        if original.other_link is not None:
            left = left_in_hubspot(original, original.other_link)
            original.answered = {"edges": {**left, **now}}
    update_rows(originals, ["answered"])


def note_answers(
    session: Session, link_ids: Sequence[int], edges: Mapping[str, Mapping[str, Any]]
) -> None:
    """Keep what HubSpot made of links this run wrote, where that is not what was sent.

    It makes a first primary and demotes a former one by itself. What else moved in the
    same moment is somebody's own work. What a later pass of the run wrote is no answer to
    an earlier one, which is what that pass was planned from.
    """
    rows = Change.objects.filter(
        run=session.run,
        link__in=link_ids,
        side=Side.HUBSPOT,
        kind__in=KINDS,
        outcome=ChangeOutcome.APPLIED,
    ).select_related("link", "other_link")
    rows = rows.order_by("pk")
    later = _later(rows)
    changes = [c for c in rows if not c.answered and c.link and c.other_link]
    ends = {k for c in changes for k in c.after.get("ends", ())}
    ids = dict(RecordLink.objects.filter(pk__in=ends).values_list("pk", "hubspot_id"))
    told: list[Change] = []
    for change in changes:
        assert change.link is not None
        assert change.other_link is not None
        read = edges.get(change.origin.get("to_object", ""), {})
        linked = read.get(change.link.hubspot_id or "")
        if change.pk in later:
            now = later[change.pk]
        elif linked is None:
            continue
        else:
            now = {e.to_id: types_json(e.types) for e in linked}
        own = {ids.get(k) for k in change.after.get("ends", ())}
        far = change.other_link.hubspot_id or ""
        pairs = {far: now.get(far, [])} | _besides(change, now, own)
        if pairs != left_in_hubspot(change, change.other_link):
            change.answered = {"edges": pairs}
            told.append(change)
    update_rows(told, ["answered"])


def _later(changes: Iterable[Change]) -> dict[int, Pairs]:
    """What the next pass found of a record's links, by change of a pass before it.

    Changes that were planned together have the same origin. Args: changes, the oldest
    first.
    """
    found: dict[int, Pairs] = {}
    last: dict[tuple[int | None, str], list[Change]] = {}
    for change in changes:
        at = (change.link_id, change.origin.get("to_object", ""))
        before = last.setdefault(at, [])
        origin: Pairs = change.origin.get("edges", {})
        if before and before[0].origin.get("edges", {}) != origin:
            found |= {c.pk: origin for c in before}
            before.clear()
        before.append(change)
    return found


def _besides(change: Change, now: Pairs, own: set[str | None]) -> Pairs:
    """What else is another way since: the change's own ends, and primaries."""
    was: Pairs = change.origin.get("edges", {})
    found: Pairs = {}
    for far in now.keys() | was.keys():
        moved = types_of(now.get(far, ())) ^ types_of(was.get(far, ()))
        if moved and (far in own or moved <= PRIMARIES):
            found[far] = now.get(far, [])
    return found
