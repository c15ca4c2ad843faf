"""Create again what was deleted: the record that is left starts anew."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from connections.records import Side
from syncs.models import Change, RecordKey, RecordLink
from syncs.models.choices import Awaiting, ChangeKind, ChangeOutcome, RecordState
from syncs.run.session import now
from syncs.run.stage import make_stages
from syncs.run.store import save_links
from syncs.run.tombstones import GONE
from syncs.services.pairing import PairError, alone


def survives(link: RecordLink) -> bool:
    """Whether one record of a pair is gone and the other is there."""
    gone = [side for side in Side if link.gone_on(side) is not None]
    return link.paired and len(gone) == 1 and "merged_into" not in link.stage_state


def create_again(*, links: Sequence[RecordLink]) -> int:
    """Let the next run pair the survivors by their keys, or create their counterparts.

    What they were paired with is forgotten; a deletion that waits for a person falls.
    Returns: how many. Raises: PairError, also while a run of their sync is going on.
    """
    by_sync: dict[int, list[int]] = {}
    for link in links:
        by_sync.setdefault(link.sync_id, []).append(link.pk)
    done = 0
    for ids in by_sync.values():
        sync = RecordLink.objects.select_related("sync__app").get(pk=ids[0]).sync
        with alone(sync), transaction.atomic():
            rows = list(RecordLink.objects.filter(pk__in=ids))
            left = [row for row in rows if not survives(row)]
            if left or len(rows) < len(ids):
                what = str(left[0]) if left else "one of the records"
                raise PairError(
                    f"{sync}: nothing of {what} is gone that could be made."
                )
            _renew(rows)
            done += len(rows)
    return done


def _renew(links: Sequence[RecordLink]) -> None:
    for link in links:
        side = Side.HUBSPOT if link.hubspot_gone_at is not None else Side.APP
        RecordKey.objects.filter(link=link, side=side).delete()
        for name in ("id", "modified_at", "read_at", "gone_at", "vanished_at"):
            setattr(link, f"{side}_{name}", None)
        setattr(link, f"{side}_values", {})
        setattr(link, f"{side}_seen", 0)
        if side is Side.APP:
            link.app_references = {}
        link.stage_state.pop(GONE, None)
        link.baseline, link.paired_at, link.candidates = {}, None, []
        link.state, link.dirty, link.keep_apart = RecordState.NEW, True, False
        link.error_code = link.error_text = link.error_field = ""
        link.attempts, link.retry_at = 0, None
    save_links(links)
    Change.objects.filter(
        link__in=[link.pk for link in links],
        kind=ChangeKind.ARCHIVE,
        outcome=ChangeOutcome.HELD,
        awaiting=Awaiting.DELETES,
    ).update(
        outcome=ChangeOutcome.SKIPPED,
        awaiting="",
        error_text="The deleted record is to be created again.",
        done_at=now(),
    )
    for stage in make_stages():
        for link in links:
            stage.released(link.pk)
