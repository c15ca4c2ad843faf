"""Read what changed from a system's own change log, where it keeps one.

The log tells of late commits and of deletions. Where it may have a gap, everything is
read again, and the run's log says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from connections.connectors.base import FeedConnector, FeedLost
from connections.records import Fed, Side
from syncs.models import SyncRun
from syncs.models.choices import Status
from syncs.run.session import Session

PLACES = "feed"  # in a sync's read_state: {side: place in the log}
WELL_ENDED = (Status.SUCCEEDED, Status.PARTIAL, Status.HELD)


def feeds(session: Session, side: Side) -> bool:
    return session.connector(side).capabilities.feeds


def place_of(session: Session, side: Side) -> str | None:
    """Where the log was read up to; None where everything has to be read first."""
    place = session.sync.read_state.get(PLACES, {}).get(side)
    return str(place) if place else None


def place_now(session: Session, side: Side) -> str | None:
    """Where the log stands before a complete read; None where it does not tell."""
    if not feeds(session, side):
        return None
    connector = cast(FeedConnector, session.connector(side))
    try:
        return connector.feed_place(session.object_on(side))
    except FeedLost as exc:
        session.log(f"{exc.message} Everything is read each time.", level="warning")
        return None


def fed(session: Session, side: Side, place: str) -> Iterator[Fed]:
    """What the log tells since a place, but for what a run that ended well wrote.

    Raises: FeedLost, told of in the run's log.
    """
    connector = cast(FeedConnector, session.connector(side))
    own = not _ended_well(session)
    try:
        yield from connector.fed(session.object_on(side), place, own=own)
    except FeedLost as exc:
        session.log(f"{exc.message} Everything is read again.", level="warning")
        raise


def _ended_well(session: Session) -> bool:
    """Whether the answers to all that this sync wrote before were kept."""
    # By when they began: a run may wait long in the queue. One that was busy never did.
    last = (
        SyncRun.objects.filter(sync=session.sync, attempts__gt=0)
        .exclude(pk=session.run.pk)
        .order_by("-started_at", "-pk")
        .values_list("status", flat=True)
        .first()
    )
    return last is None or last in WELL_ENDED
