"""Make up for a complete read that showed fewer records than its side holds.

A list may end early, or leave records out, and look like any other: nothing in it tells
how many there should be. What it left out would be taken for missing, and created a second
time. So before the first records are created on a side after a complete read of it, the
side is asked once how many it has. If our rows are fewer, they are read by their time of
change, which is another way to the same records.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db.models import Q

from connections.records import Side
from syncs.run.plan import due
from syncs.run.pull import (
    UNCOUNTED,
    give_up_if_endless,
    has_changes,
    keep_page,
    note_uncounted,
)
from syncs.run.session import Cancelled, Session, now
from syncs.run.windows import known_in

LONG_AGO = datetime(1990, 1, 1, tzinfo=UTC)  # before any record's last change
AHEAD = timedelta(days=1)  # more than a side's clock and ours differ by


def make_up(session: Session) -> bool:
    """Read what complete reads left out of the sides that records would be created on.

    Call it when what was read is matched: a record that has its partner costs no call.
    Returns: whether anything was read, so that matching may pair more.
    Raises: ConnectorError; the next run then asks again before it creates.
    """
    found = False
    for side in Side:
        began = session.sync.read_state.get(UNCOUNTED, {}).get(side)
        if began is None or not _creates(session, side):
            continue
        found |= _make_up(session, side, datetime.fromisoformat(began))
        note_uncounted(session, side, None)
    return found


def _creates(session: Session, side: Side) -> bool:
    """Whether a record that only the other side has may be created on this one."""
    if not session.sync.creates_on(side) or not has_changes(session, side):
        return False
    other = side.other
    alone = {f"{side}_id__isnull": True, f"{other}_id__isnull": False}
    there = {f"{other}_gone_at__isnull": True, f"{other}_vanished_at__isnull": True}
    lonely = Q(**alone, **there, keep_apart=False)
    return any(links.filter(lonely).exists() for links in due(session))


def _make_up(session: Session, side: Side, began: datetime) -> bool:
    total = _total(session, side)
    if total <= _known(session, side):
        return False
    _read(session, side, began)  # what was added since the complete read
    known = _known(session, side)
    if total > known:
        name = "HubSpot" if side is Side.HUBSPOT else session.sync.app.name
        session.log(
            f"A complete read of {session.object_on(side).name} in {name} showed {known} "
            f"records of {total}. The others are read by their time of change.",
            level="warning",
        )
        _read(session, side, LONG_AGO)
    return True


def _total(session: Session, side: Side) -> int:
    """How many records a side has, by its own count."""
    obj, want = session.object_on(side), session.want(side)
    connector = session.connector(side)
    return connector.window(obj, want, after=LONG_AGO, until=now() + AHEAD).count


def _known(session: Session, side: Side) -> int:
    return known_in(session, side, after=LONG_AGO, until=now() + AHEAD).count()


def _read(session: Session, side: Side, after: datetime) -> None:
    obj, want = session.object_on(side), session.want(side)
    for page in session.connector(side).changed(obj, want, after=after):
        keep_page(session, side, page, None, searched=True)
        if session.cancelled:
            raise Cancelled
        if session.over_time:
            # Another slice would begin with the first record again; a list goes on from
            # page to page, and is not likely to come back short a second time.
            session.run.place = {}
            session.run.save(update_fields=["place"])
        give_up_if_endless(session, side)
