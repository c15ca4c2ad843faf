"""Archives that earlier runs left: sent without an answer, or waiting for nobody."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from connections.records import Outcome, Side
from syncs.models import Change, RecordLink
from syncs.models.choices import Awaiting, ChangeKind, ChangeOutcome
from syncs.run.archiving import Archiver
from syncs.run.pull import reread
from syncs.run.sending import close, save_changes
from syncs.run.session import Session, now
from syncs.run.store import save_links
from syncs.run.tombstones import DROPPED, keep

AT_ONCE = 500  # rows


def resolve_archives(session: Session, sent: Sequence[Change]) -> None:
    """Settle archives without an answer: a record that is gone by now was archived by us,
    whoever asked first; one that is there is due again."""
    archiver = Archiver(session)
    for side in Side:
        mine = [c for c in sent if c.side == side and c.kind == ChangeKind.ARCHIVE]
        for start in range(0, len(mine), AT_ONCE):
            _resolve(archiver, side, mine[start : start + AT_ONCE])


def _resolve(archiver: Archiver, side: Side, some: Sequence[Change]) -> None:
    session = archiver.session
    links = RecordLink.objects.in_bulk([c.link_id for c in some if c.link_id])
    reread(session, side, [x for x in links.values() if x.id_on(side) is not None])
    links = RecordLink.objects.in_bulk(list(links))
    for change in some:
        link = links.get(change.link_id or 0)
        if link is None or link.id_on(side) != change.reserved_id:
            close(change, ChangeOutcome.SKIPPED, "", "The pair was dissolved.")
        elif link.gone_on(side) is not None:
            archiver.archived(side, change, link, Outcome(True))
            session.tally.add("archived", side)
            link.dirty = True  # the other side may be back
        else:
            close(change, ChangeOutcome.SKIPPED, "", "It did not take effect.")
            link.dirty = True
    with transaction.atomic():
        session.lease.check()
        save_changes(some)
        save_links(list(links.values()))
        archiver.writer.keys.save()


def tidy_queue(session: Session) -> None:
    """Take out of the queue what has no pair any more, and remember what was dropped.

    A person's no holds for this deletion, whatever becomes of the row that says so.
    """
    rows = Change.objects.filter(sync=session.sync, kind=ChangeKind.ARCHIVE)
    rows.filter(
        outcome=ChangeOutcome.HELD, awaiting=Awaiting.DELETES, link=None
    ).update(
        outcome=ChangeOutcome.SKIPPED,
        awaiting="",
        error_text="The pair was dissolved.",
        done_at=now(),
    )
    if session.run.dry_run:
        return
    dropped = rows.filter(outcome=ChangeOutcome.DROPPED).exclude(awaiting="")
    while some := list(dropped.select_related("link").order_by("pk")[:AT_ONCE]):
        links: dict[int, RecordLink] = {}
        for change in some:
            link, gone_side = change.link, Side(change.side).other
            gone_at = link.gone_on(gone_side) if link is not None else None
            if link is not None and gone_at and gone_at <= change.created_at:
                keep(link, DROPPED)
                links[link.pk] = link
        with transaction.atomic():
            save_links(list(links.values()))
            rows.filter(pk__in=[c.pk for c in some]).update(awaiting="")
