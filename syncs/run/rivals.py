"""Ask whether the paired rivals of new records are still there.

A record that was deleted and made again between two runs has its old self for a rival:
nothing but a complete read, or this, tells that it is gone.
"""

from __future__ import annotations

from collections.abc import Mapping

from connections.records import Side
from syncs.models import RecordLink
from syncs.run.holders import Holder
from syncs.run.pull import reread
from syncs.run.session import Session

MAX_ASKED = 2000  # in one run

Asked = set[tuple[str, int]]  # side and link


def some_rival_is_gone(
    session: Session,
    holders: Mapping[int, Holder],
    clashes: Mapping[int, set[int]],
    asked: Asked,
) -> bool:
    """Read paired rivals again, on the side that the record in question is on.

    Args: clashes, links that are ambiguous, with their rivals; asked, those that were
        read again before in this run.
    Returns: whether any is gone, so that it is no rival.
    """
    gone = False
    for side in Side:
        suspects = {
            rival
            for link_id, rivals in clashes.items()
            for rival in rivals
            if holders[link_id].side == side
            and holders[rival].paired
            and (side, rival) not in asked
        }
        some = sorted(suspects)[: max(MAX_ASKED - len(asked), 0)]
        asked.update((side, pk) for pk in some)
        gone |= _ask(session, side, some)
    return gone


def _ask(session: Session, side: Side, ids: list[int]) -> bool:
    links = list(
        RecordLink.objects.filter(pk__in=ids, **{f"{side}_seen__lt": session.run.pk})
    )
    size = session.connector(side).capabilities.fetch_batch
    for start in range(0, len(links), size):
        reread(session, side, links[start : start + size])
    lost = RecordLink.objects.filter(
        pk__in=[link.pk for link in links], **{f"{side}_gone_at__isnull": False}
    )
    return bool(links) and lost.exists()
