"""Take what is due through the stages, a chunk at a time, and keep the plan as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from syncs.models import Change, RecordLink
from syncs.models.choices import RECORD_KINDS, ChangeOutcome, RecordState
from syncs.run import review
from syncs.run.idset import IdSet
from syncs.run.mending import note_judged
from syncs.run.session import Session, now
from syncs.run.stage import Chunk, Note, Stage
from syncs.run.store import save_links

CHUNK = 1000  # record links: what one read of associations holds
BACK_OFF = timedelta(minutes=10)  # doubled each time, to a day
LONGEST = timedelta(days=1)


def plan(
    session: Session,
    stages: Sequence[Stage],
    *,
    sweep: bool,
    only: IdSet | None = None,
) -> int:
    """Plan every due record, and look at the links of all paired ones in a sweep.

    Args: only, the records whose plan is made anew, instead of what is due.
    Returns: how many changes were planned.
    """
    size = _size(session, sweep=sweep) if only is None else len(only)
    session.advance("planning", 0, size)
    planned = 0
    budget = session.run.limit
    chunks = _chunks(session, sweep=sweep) if only is None else _of(session, only)
    for links, place in chunks:
        chunk = _plan_chunk(session, stages, links, sweep=sweep)
        if budget is not None:
            budget = _cut(chunk, budget)
        session.run.place = {"phase": "plan", **place, **kept(stages)}
        _keep(chunk, anew=only is not None)
        planned += len(chunk.changes)
        session.advance("planning", session.run.progress_done + len(links))
        if session.cancelled:
            break
    return planned


def _mine(session: Session) -> QuerySet[RecordLink]:
    return RecordLink.objects.filter(sync=session.sync)


def due(session: Session) -> tuple[QuerySet[RecordLink], ...]:
    """What must be looked at. Each has an index that ends in the id: no row is sorted."""
    return (
        _mine(session).filter(dirty=True),
        _mine(session).filter(
            Q(retry_at__lte=now()) | Q(retry_at__gt=now() + 2 * LONGEST),
            state=RecordState.FAILING,
        ),
        # What waits for a link cannot tell by itself when that has come.
        _mine(session).filter(state=RecordState.WAITING),
    )


def _size(session: Session, *, sweep: bool) -> int:
    """About how many links there are to look at."""
    if sweep:
        return _mine(session).count()
    return sum(rows.count() for rows in due(session))


def _next(
    session: Session, last: int, *, sweep: bool, in_hubspot: bool
) -> list[RecordLink]:
    """The next links of a half, at most a chunk; a sweep's may need nothing."""
    if sweep and in_hubspot:
        return list(_mine(session).filter(pk__gt=last).order_by("pk")[:CHUNK])
    ids: set[int] = set()
    for rows in due(session):
        half = rows.filter(pk__gt=last, hubspot_id__isnull=not in_hubspot)
        ids.update(half.order_by("pk").values_list("pk", flat=True)[:CHUNK])
    some = sorted(ids)[:CHUNK]
    if not some:
        return []
    return list(RecordLink.objects.filter(pk__in=some).order_by("pk"))


def _chunks(
    session: Session, *, sweep: bool
) -> Iterator[tuple[list[RecordLink], dict[str, int]]]:
    """The links to look at, each time with the place after them.

    Those that HubSpot has come first, so that reads of their links are full.
    """
    place = session.run.place if session.run.place.get("phase") == "plan" else {}
    for number, in_hubspot in enumerate((True, False)):
        if number < place.get("half", 0):
            continue
        last = place.get("last", 0) if number == place.get("half", 0) else 0
        while True:
            links = _next(session, last, sweep=sweep, in_hubspot=in_hubspot)
            if not links:
                break
            last, more = links[-1].pk, len(links) >= CHUNK
            if in_hubspot:
                links = [x for x in links if x.hubspot_id is not None]
            yield links, {"half": number, "last": last}
            if not more:
                break


def _of(
    session: Session, only: IdSet
) -> Iterator[tuple[list[RecordLink], dict[str, int]]]:
    """Some records, each time with the place after them."""
    place = session.run.place if session.run.place.get("phase") == "plan" else {}
    for some in only.chunks(CHUNK):
        ids = [i for i in some if i > place.get("last", 0)]
        if ids:
            links = list(_mine(session).filter(pk__in=ids).order_by("pk"))
            yield links, {"half": 0, "last": ids[-1]}


def kept(stages: Sequence[Stage]) -> dict[str, Any]:
    """What the stages hand on to the next slice of the run."""
    return {key: what for stage in stages for key, what in stage.place().items()}


def _plan_chunk(
    session: Session,
    stages: Sequence[Stage],
    links: list[RecordLink],
    *,
    sweep: bool,
) -> Chunk:
    moment = now()
    due = {
        link.pk
        for link in links
        if link.dirty
        or link.state == RecordState.WAITING
        or (link.retry_at is not None and rested(link.retry_at, moment))
    }
    chunk = Chunk(session, links, due, sweep=sweep)
    for stage in stages:
        stage.read(chunk)
    for stage in stages:
        stage.plan(chunk)
    return chunk


def _cut(chunk: Chunk, budget: int) -> int:
    """Keep the changes of at most `budget` records; the others stay due."""
    order: dict[int, None] = {}
    for change in chunk.changes:
        order.setdefault(change.link_id or 0, None)
    kept = set(list(order)[:budget])
    chunk.changes = [c for c in chunk.changes if (c.link_id or 0) in kept]
    for link_id in set(order) - kept:
        chunk.notes.pop(link_id, None)
        chunk.touched.discard(link_id)
        chunk.due.discard(link_id)
    return budget - len(kept)


def _keep(chunk: Chunk, *, anew: bool) -> None:
    """Write a chunk's plan and where its records stand, in one transaction.

    Args: anew, whether it takes the place of what this run had planned for the records.
    """
    dry = chunk.session.run.dry_run
    # Links that are written besides leave the record itself as it is.
    changing = {
        c.link_id
        for c in chunk.changes
        if c.kind in RECORD_KINDS and c.outcome == ChangeOutcome.PLANNED
    }
    saved: list[RecordLink] = []
    for link in chunk.links:
        if link.pk not in chunk.due and link.pk not in chunk.touched:
            continue
        note = chunk.notes.get(link.pk)
        if note is not None:
            stand(link, note, changing=link.pk in changing, dry=dry)
        if not dry and link.pk in chunk.due and link.pk not in changing:
            link.dirty = link.state == RecordState.UNCERTAIN
        saved.append(link)
    if not dry:
        note_judged(chunk)
    with transaction.atomic():
        chunk.session.lease.check()  # links were read meanwhile
        if anew:
            Change.objects.filter(
                run=chunk.session.run,
                link__in=[link.pk for link in chunk.links],
                outcome=ChangeOutcome.PLANNED,
            ).delete()
        Change.objects.bulk_create(chunk.changes, batch_size=300)
        save_links(saved)
        review.keep(chunk)
        chunk.session.run.save(update_fields=["place"])


def stand(link: RecordLink, note: Note, *, changing: bool, dry: bool) -> None:
    """Put a note's state on a link; a record being written is in sync once it is done.

    A preview writes nothing, so it neither settles a failing record nor counts as a try;
    what would keep a value of the record from being written it tells as a run does.
    """
    if changing and link.state == RecordState.EXCLUDED:
        link.state = RecordState.NEW  # it counts as in scope from here on
    failing = note.state in (RecordState.FAILING, RecordState.WAITING)
    if dry and changing and not failing:
        if link.state == RecordState.FAILING and not link.attempts:
            # An earlier preview said so, and no run has met it.
            link.state = RecordState.IN_SYNC if link.paired else RecordState.NEW
            link.error_code = link.error_text = link.error_field = ""
        return
    link.error_code, link.error_text = note.code, note.text
    link.error_field = note.field
    if not changing or failing or note.state == RecordState.GONE:
        link.state = note.state
    if dry:
        return
    if not failing:
        link.retry_at = None
        if not changing:  # else the write decides whether it works this time
            link.attempts = 0
    elif note.state == RecordState.FAILING:
        back_off(link)


def back_off(link: RecordLink) -> None:
    """Try a failing record again later, at most a day apart, until something moves."""
    link.attempts += 1
    link.retry_at = now() + wait_after(link.attempts)


def rested(retry_at: datetime, moment: datetime) -> bool:
    """Whether what failed may be tried again; no rest is longer than a day, so a later
    time was written before the clock was put back."""
    return retry_at <= moment or retry_at > moment + 2 * LONGEST


def wait_after(attempts: int) -> timedelta:
    """How long what failed so often is left alone."""
    doubled: timedelta = BACK_OFF * 2 ** min(attempts - 1, 12)
    return min(doubled, LONGEST)
