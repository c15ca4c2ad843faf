"""Try again now what failed, whatever its back-off."""

from __future__ import annotations

from collections.abc import Iterable

from syncs.models import ObjectSync, RecordLink
from syncs.models.choices import RecordState
from syncs.run.renew import try_again
from syncs.run.stage import make_stages
from syncs.services.pairing import alone

FAILED = (RecordState.FAILING, RecordState.WAITING, RecordState.UNCERTAIN)


def resync(*, sync: ObjectSync, link_ids: Iterable[int]) -> int:
    """Let the next run try some failing records again, with their links.

    Returns: how many. Raises: PairError while a run of the sync is going on.
    """
    rows = RecordLink.objects.filter(sync=sync, pk__in=list(link_ids), state__in=FAILED)
    with alone(sync):
        return try_again(rows)


def resync_failing(*, sync: ObjectSync) -> int:
    """Let the next run try every failing record and link of a sync again.

    Returns: how many records failed. Raises: PairError while a run is going on.
    """
    with alone(sync):
        for stage in make_stages():
            stage.retry(sync.pk)
        return try_again(RecordLink.objects.filter(sync=sync, state__in=FAILED))
