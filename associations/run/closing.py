"""Links that waited for records of another sync, and can be settled by now.

Syncs whose links point at each other cannot all come after the other. The first of such a
circle leaves its links pending; once the others are through, it is looked at again in the
same run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from django.db import transaction
from django.db.models import Q, QuerySet

from associations.models import AssociationLink, AssociationMapping, LinkState
from associations.run.keeping import KINDS
from associations.run.key_ends import named_by_now
from connections.catalogue import Code
from connections.records import Side
from syncs.models import Change, RecordLink, SyncRun
from syncs.models.choices import ChangeOutcome, RecordState
from syncs.run.idset import IdSet, pages
from syncs.run.sending import close, save_changes
from syncs.run.session import Session, now
from syncs.run.stage import Chunk
from syncs.run.store import save_links, update_rows

LATER = "later"  # in a preview's place: records with links to what a later sync reads
LOOKED_AT_ONCE = 1000  # records whose links one call reads
LATER_KEPT = 20_000  # ids kept so; True stands for all of the sync's records

Rows = QuerySet[AssociationLink]


def paired_by_now(sync_id: int | None) -> Rows:
    """Pending links of a sync whose far record is on both sides.

    What waits for a person is looked at when a side changes.
    """
    return AssociationLink.objects.filter(
        mapping__sync=sync_id,
        state=LinkState.PENDING,
        other__hubspot_id__isnull=False,
        other__app_id__isnull=False,
        other__hubspot_gone_at__isnull=True,
        other__app_gone_at__isnull=True,
        other__hubspot_vanished_at__isnull=True,
        other__app_vanished_at__isnull=True,
    ).exclude(Q(other__state=RecordState.EXCLUDED) | Q(code=Code.CONFLICT))


def read_by_now(sync_id: int | None) -> Iterator[Rows]:
    """Pending links of a sync to records that have been read since."""
    mappings = AssociationMapping.objects.filter(sync=sync_id)
    targets = set(mappings.values_list("to_sync", flat=True))
    for side in Side:
        rows = AssociationLink.objects.filter(
            mapping__sync=sync_id,
            state=LinkState.PENDING,
            other__isnull=True,
            side=side.other,
        ).exclude(other_remote_id="")
        for target in targets:
            known = RecordLink.objects.filter(
                **{f"{side.other}_id__isnull": False}, sync=target
            ).values(f"{side.other}_id")
            yield rows.filter(mapping__to_sync=target, other_remote_id__in=known)


def can_close(run: SyncRun, later: Collection[int]) -> bool:
    """Whether a child run that ended left what the syncs after it have made possible."""
    aims = AssociationMapping.objects.filter(sync=run.sync_id, to_sync__in=later)
    if not aims.exists():
        return False
    if run.as_planned:
        return run.changes.filter(outcome=ChangeOutcome.PLANNED).exists()
    if run.dry_run:
        return bool(run.place.get(LATER))
    since = {"updated_at__gte": run.started_at}
    fresh = paired_by_now(run.sync_id).filter(
        **{f"other__{name}": value for name, value in since.items()}
    )
    known = (*read_by_now(run.sync_id), *named_by_now(run.sync_id))
    mine = Q(mapping__to_sync__in=later)
    if any(rows.filter(mine).exists() for rows in (fresh, *known)):
        return True
    # A record that must not be created without its link has no row of that yet.
    waiting = RecordLink.objects.filter(sync=run.sync_id, state=RecordState.WAITING)
    paired = RecordLink.objects.filter(
        sync__in=later, hubspot_id__isnull=False, app_id__isnull=False, **since
    )
    return waiting.exists() and paired.exists()


def later_syncs(run: SyncRun) -> set[int]:
    """The syncs that a run comes to after this one of its children."""
    if run.parent_id is None:
        return set()
    others = SyncRun.objects.filter(parent=run.parent_id, pk__gt=run.pk)
    return set(others.filter(sync__isnull=False).values_list("sync", flat=True))


class Later:
    """Of a preview, the records with links to what is only read, or planned, later on.

    A preview keeps no pending links of its own, so the ids stand in the run's place.
    """

    def __init__(self, run: SyncRun) -> None:
        self.targets = later_syncs(run) if run.dry_run else set()
        kept = run.place.get(LATER, ())
        self._all = kept is True
        self._ids = IdSet(() if self._all else kept)

    def add(self, link_ids: Collection[int]) -> None:
        if not self._all:
            self._ids.update(link_ids)
            self._all = len(self._ids) > LATER_KEPT

    def ids(self, sync_id: int) -> Iterator[list[int]]:
        """The records, some at a time."""
        if self._all:
            for some in pages(RecordLink.objects.filter(sync=sync_id), "pk"):
                yield [pk for (pk,) in some]
        else:
            yield list(self._ids)

    def json(self) -> list[int] | bool:
        return True if self._all else list(self._ids)


def renew(session: Session, look: Callable[[Session, Sequence[int]], Chunk]) -> None:
    """Plan links of an approved plan again that waited for records of its own.

    What they were planned from is what the plan itself has changed. A link is written
    where the same comes out again, and nothing else is.
    Args: look, which reads and plans the links of some records.
    """
    rows = Change.objects.filter(
        run=session.run, outcome=ChangeOutcome.PLANNED, kind__in=KINDS
    )
    for some in IdSet(rows.values_list("link", flat=True)).chunks(LOOKED_AT_ONCE):
        chunk = look(session, some)
        fresh = {_aim(change): change for change in chunk.changes}
        left = list(rows.filter(link__in=some).order_by("pk"))
        for change in left:
            made = fresh.get(_aim(change))
            if made is None:
                close(
                    change,
                    ChangeOutcome.DRIFTED,
                    Code.CHANGED_SINCE_PLAN,
                    "Both sides agree by now, or the link changed after this was planned.",
                )
            else:
                change.before, change.after = made.before, made.after
                change.origin, change.created_at = made.origin, now()
        with transaction.atomic():
            session.lease.check()
            update_rows(left, ["before", "after", "origin", "created_at"])
            save_changes(left)
            save_links([link for link in chunk.links if link.pk in chunk.touched])
            drifted = [c for c in left if c.outcome == ChangeOutcome.DRIFTED]
            moved = [c.link_id for c in drifted if c.link_id is not None]
            RecordLink.objects.filter(pk__in=moved).update(dirty=True)


def _aim(change: Change) -> tuple[object, ...]:
    """What a change does to which pair, however it is written."""
    ends = (change.link_id, change.other_link_id)
    return (*ends, change.mapping_key, change.side, change.kind)
