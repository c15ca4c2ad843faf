"""Mark pairs one of whose ids seems to belong to another record by now.

A table that is emptied and loaded again counts its ids from one: row 1 was Ann and is Bob.
What is marked is left alone until `syncs.run.reissued` has decided about it.
"""

from __future__ import annotations

from collections.abc import Collection

from connections.records import Side
from syncs.models import ObjectSync, RecordLink
from syncs.run.session import Session

MARK = "reissued"  # in a link's stage_state: {"side", "was": [[rank, value]], "text"}
FLAG = "reissued"  # in a sync's read_state: there are marks to decide about

Keys = Collection[tuple[int, str]]  # (rank, value)


def suspect(
    session: Session, side: Side, link: RecordLink, old: Keys, new: Keys
) -> None:
    """Mark a pair whose record on a side has no key value any more that it had.

    Call inside the transaction that saves the link.
    """
    if not old or not link.paired or set(old) & set(new):
        return
    if MARK in link.stage_state:
        return  # what it was when it was marked is what counts
    link.stage_state[MARK] = {"side": str(side), "was": sorted(map(list, old))}
    sync = ObjectSync.objects.select_for_update().get(pk=session.sync.pk)
    if not sync.read_state.get(FLAG):
        sync.read_state[FLAG] = True
        sync.save(update_fields=["read_state"])


def marked(link: RecordLink) -> bool:
    """Whether nothing may be written for a link: it is held, or may have to be."""
    return MARK in link.stage_state


def held_text(link: RecordLink) -> str:
    """Why a link is held; "" if it is not (yet)."""
    return str(link.stage_state.get(MARK, {}).get("text", ""))


def free(link: RecordLink) -> None:
    """Let a link go on, in memory."""
    link.stage_state.pop(MARK, None)
