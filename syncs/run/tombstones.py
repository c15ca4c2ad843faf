"""What a record link keeps of a record that is gone, and when a record counts as gone.

A record is gone when its system says so for its id, or when the field that the set-up
declares as its archive holds the value that archives it. A link keeps, under GONE in its
stage_state, which side we archived ourselves and why its deletion does not travel.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connections.records import Side
from syncs.engine.values import same
from syncs.models import ObjectSync, RecordLink
from syncs.run.session import Session, now

GONE = "gone"  # in a link's stage_state: {"archived": {side: how}, "stays": why}

# Why a deletion does not travel, whatever the set-up says.
DROPPED = "a person decided so"
MERGED = "the HubSpot record was merged with another since"
FOUND = "it was archived before the two were paired"
BOTH = "both were gone at a time"
UNDONE = "its archiving was undone"


def is_archived(sync: ObjectSync, side: Side, values: Mapping[str, Any]) -> bool | None:
    """Whether a side's declared archive field says so; None where it cannot be told.

    Args: values, canonical, of a record as read.
    """
    declared = sync.archive.get(side)
    if declared is None:
        return False
    if declared["field"] not in values:
        return None
    return same(values[declared["field"]], declared["value"])


def settle_gone(
    session: Session, side: Side, link: RecordLink, values: Mapping[str, Any]
) -> bool:
    """Note on a link (in memory) that a side's record was read, archived or not.

    A pair that loses a side so is not gone yet: many at once hold the run
    (`syncs.run.vanishing`). Call it before the link takes the record in.
    Returns: whether that moved anything.
    """
    gone, vanished = f"{side}_gone_at", f"{side}_vanished_at"
    before = (getattr(link, gone), getattr(link, vanished))
    archived = is_archived(session.sync, side, values)
    if archived is None:
        return False
    if not archived:
        setattr(link, gone, None)
        setattr(link, vanished, None)
    elif before == (None, None):
        if link.paired and getattr(link, f"{side}_read_at") is None:
            keep(link, FOUND)
        whole = link.paired and link.gone_on(side.other) is None
        setattr(link, vanished if whole else gone, now())
    return before != (getattr(link, gone), getattr(link, vanished))


def bury(link: RecordLink, side: Side, at: datetime | None = None) -> None:
    """Take a side's record for gone (in memory)."""
    if link.gone_on(side) is None:
        setattr(link, f"{side}_gone_at", at or now())
    setattr(link, f"{side}_vanished_at", None)
    link.dirty = True


def forget_archived(sync: ObjectSync, side: Side, link: RecordLink) -> list[RecordLink]:
    """A record that its field archived is deleted by now: the field says nothing more.

    Returns: the link, changed in memory, if that is so.
    """
    if not is_archived(sync, side, link.values_on(side)):
        return []
    del link.values_on(side)[sync.archive[side]["field"]]
    return [link]


# What is remembered ---------------------------------------------------------------------


def notes(link: RecordLink) -> dict[str, Any]:
    found: dict[str, Any] = link.stage_state.get(GONE, {})
    return found


def keep(link: RecordLink, why: str) -> None:
    """Let the deletion that a link stands for not travel, for one of the reasons above."""
    link.stage_state[GONE] = {**notes(link), "stays": why}


def stays(link: RecordLink) -> str:
    return str(notes(link).get("stays", ""))


def ours(link: RecordLink, side: Side) -> dict[str, Any] | None:
    """How we archived a side's record: {"how": …, "before": the field's value}."""
    found: dict[str, Any] | None = notes(link).get("archived", {}).get(side)
    return found


def note_ours(link: RecordLink, side: Side, how: Mapping[str, Any] | None) -> None:
    """Remember that we archived a side's record; None to forget it."""
    archived = {k: v for k, v in notes(link).get("archived", {}).items() if k != side}
    if how is not None:
        archived[str(side)] = dict(how)
    link.stage_state[GONE] = {**notes(link), "archived": archived}
