"""Conclude that records are gone, unless many of a sync's pairs vanished at once.

Reading only notes that a side of a pair seems to be gone (`…_vanished_at`): its system
says so for its id, or its archive field does. Once both sides are read they are counted.
So many are held: the run ends, nothing is concluded, and each later run asks again, until
the records are back or a person says that they are gone.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Q, QuerySet

from connections.records import Side
from syncs.engine.limits import Breach, too_many_gone
from syncs.models import RecordLink
from syncs.run.holding import VANISHED, supersede
from syncs.run.session import Held, Session
from syncs.run.store import update_rows
from syncs.run.tombstones import bury

AT_ONCE = 500  # links
ENOUGH = 10_000  # of them, with more than the limits allow, no more are counted

Reread = Callable[[Session, Side, list[RecordLink]], object]


def vanished(session: Session, side: Side) -> QuerySet[RecordLink]:
    return _seeming_gone(session).filter(**{f"{side}_vanished_at__isnull": False})


def _seeming_gone(session: Session) -> QuerySet[RecordLink]:
    """What vanished on either side: just what the partial index holds."""
    return RecordLink.objects.filter(
        Q(hubspot_vanished_at__isnull=False) | Q(app_vanished_at__isnull=False),
        sync=session.sync,
    )


def conclude(session: Session, reread: Reread) -> None:
    """Take for gone what vanished, or hold the run.

    Args: reread, reads links of a side again by id and notes what is back or gone.
    Raises: Held.
    """
    if not _seeming_gone(session).exists():
        return
    counts = {side: _count(session, side, reread) for side in Side}
    if not any(counts.values()):
        return
    breach = too_many(session, max(counts.values()))
    if breach is not None and not session.run.accepts_vanished:
        _hold(session, counts, breach)
    for side, count in counts.items():
        if count:
            _bury(session, side)
            session.log(f"{count} records are gone in {_name(session, side)}.")


def too_many(session: Session, count: int) -> Breach | None:
    if not count:
        return None
    return too_many_gone(count, session.sync.limits, standing(session))


def standing(session: Session) -> int:
    """How many pairs there are, with those that seem to have lost a side."""
    return RecordLink.objects.filter(
        sync=session.sync,
        hubspot_id__isnull=False,
        app_id__isnull=False,
        hubspot_gone_at__isnull=True,
        app_gone_at__isnull=True,
    ).count()


def enough(session: Session, side: Side) -> bool:
    """Whether so many vanished that to ask for more of them changes nothing."""
    if session.run.accepts_vanished:
        return False
    count = vanished(session, side).count()
    return count >= ENOUGH and too_many(session, count) is not None


def _count(session: Session, side: Side, reread: Reread) -> int:
    """How many seem to be gone, once those that an earlier run noted were asked again."""
    since = session.run.started_at
    old = vanished(session, side).filter(**{f"{side}_vanished_at__lt": since})
    size = session.connector(side).capabilities.fetch_batch
    last, asked = 0, 0
    while links := list(old.filter(pk__gt=last).order_by("pk")[:size]):
        last, asked = links[-1].pk, asked + len(links)
        reread(session, side, links)
        session.breathe()
        if asked >= ENOUGH and enough(session, side):
            break
    return vanished(session, side).count()


def _bury(session: Session, side: Side) -> None:
    names = [f"{side}_gone_at", f"{side}_vanished_at", "dirty"]
    while links := list(vanished(session, side).order_by("pk")[:AT_ONCE]):
        session.lease.check()
        for link in links:
            bury(link, side, getattr(link, f"{side}_vanished_at"))
        update_rows(links, names)


def _hold(session: Session, counts: dict[Side, int], breach: Breach) -> None:
    pairs = standing(session)
    found = ", ".join(
        f"{count} in {_name(session, side)}" for side, count in counts.items() if count
    )
    why = {VANISHED: {str(s): c for s, c in counts.items() if c} | {"of": pairs}}
    unit = " %" if breach.name == "percent" else ""
    message = (
        f"Of {pairs} pairs many vanished at once: {found} (limit {breach.name} "
        f"{breach.most}{unit}). Nothing was concluded or written. Bring the records "
        "back, or approve this run to take them for gone."
    )
    if session.run.dry_run:
        why = {}  # there is nothing to approve
    else:
        supersede(session)
    raise Held(why, message)


def _name(session: Session, side: Side) -> str:
    return "HubSpot" if side is Side.HUBSPOT else session.sync.app.name
