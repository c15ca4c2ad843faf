"""Whether a planned record change is still right when its turn to be written comes."""

from __future__ import annotations

from connections.catalogue import Code
from connections.records import Side
from syncs.engine.values import same
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeKind, ChangeOutcome, RecordState
from syncs.run.identity import marked
from syncs.run.pull import reread
from syncs.run.scope import still_in_scope
from syncs.run.sending import FRESH, close, save_changes
from syncs.run.session import Session, now


def still_right(
    session: Session,
    side: Side,
    batch: list[Change],
    links: dict[int, RecordLink],
    *,
    creating: bool,
) -> list[Change]:
    """Read again what was read too long ago, and set aside what moved meanwhile."""
    sides = [side.other] if creating else [side]
    if session.run.as_planned and not creating:
        sides = [side, side.other]
    for looked in sides:
        _refresh(session, looked, links, creating=creating)
    kept: list[Change] = []
    drifted: list[Change] = []
    for change in batch:
        link = links.get(change.link_id or 0)
        why = _why_not(session, side, change, link)
        if not why:
            kept.append(change)
            continue
        close(change, ChangeOutcome.DRIFTED, Code.CHANGED_SINCE_PLAN, why)
        drifted.append(change)
    save_changes(drifted)
    if drifted:
        RecordLink.objects.filter(
            pk__in=[c.link_id for c in drifted if c.link_id]
        ).update(dirty=True)
        session.again = True
    return kept


def _refresh(
    session: Session, side: Side, links: dict[int, RecordLink], *, creating: bool
) -> None:
    if creating and not session.run.as_planned:
        return  # nothing is overwritten
    limit = now() - FRESH
    always = session.run.as_planned
    stale = [
        link
        for link in links.values()
        if link.id_on(side) is not None
        and (always or (getattr(link, f"{side}_read_at") or limit) <= limit)
    ]
    size = session.connector(side).capabilities.fetch_batch
    for start in range(0, len(stale), size):
        reread(session, side, stale[start : start + size])
    links.update(RecordLink.objects.in_bulk([link.pk for link in stale]))


def _why_not(
    session: Session, side: Side, change: Change, link: RecordLink | None
) -> str:
    """Why a change is not right any more; "" if it is."""
    if link is None or not _matches(session, side, change, link):
        return "The record changed after this was planned."
    if change.kind == ChangeKind.CREATE:
        if link.keep_apart:
            return "The record was unpaired by hand: nothing is created for it."
        if link.error_code == Code.MATCH_AMBIGUOUS:
            return f"It is not surely missing any more. {link.error_text}"
    elif (
        change.mapping_key and not change.undoes and not _writes(session, side, change)
    ):
        return "The set-up changed: this value does not travel there any more."
    return ""


def _writes(session: Session, side: Side, change: Change) -> bool:
    """Whether the field that a person decided about is mapped as it was then."""
    return any(
        mapped.key == change.mapping_key and mapped.writes(side)
        for mapped in session.fields
    )


def _matches(session: Session, side: Side, change: Change, link: RecordLink) -> bool:
    """Whether both sides still hold what the change was planned from."""
    # What a person takes back does not hang on the other side's being there.
    lost = link.lost_on(side) if change.undoes else link.lost
    if lost or marked(link):
        return False
    if change.kind == ChangeKind.CREATE:
        if link.id_on(side) is not None or link.state == RecordState.UNCERTAIN:
            return False
    elif not link.paired:
        return False
    if not still_in_scope(session, link):
        return False
    here, there = link.values_on(side), link.values_on(side.other)
    before_holds = all(same(here.get(k), v) for k, v in change.before.items())
    return before_holds and all(same(there.get(k), v) for k, v in change.origin.items())
