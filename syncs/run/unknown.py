"""Settle what an earlier run sent and never heard of again.

A run that was killed, or lost the network, leaves changes `planned` or `sent`. The planned
ones are simply planned anew. A sent update is read back. A sent create is looked for: by
its reserved id, by the marker or another unique field, else among all records created since
the intent; one that is surely absent is free to be created again, and one that nobody can
tell about stays UNCERTAIN.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from connections.catalogue import Code
from connections.records import Record, Side, Want
from syncs.engine.values import ValueProblem, canonical, is_blank, same
from syncs.models import Change, RecordLink, SyncRun
from syncs.models.choices import (
    OPEN_STATUSES,
    RECORD_KINDS,
    ChangeKind,
    ChangeOutcome,
    RecordState,
)
from syncs.run.idset import pages
from syncs.run.left_archives import resolve_archives, tidy_queue
from syncs.run.plan import back_off, rested
from syncs.run.pull import reread
from syncs.run.sending import close, save_changes
from syncs.run.session import Session, now
from syncs.run.store import keys_of, references_json, save_links
from syncs.run.writes import RecordWriter, absorb, alike

CLOCK_SKEW = timedelta(minutes=5)  # how far a system's clock may be behind ours


def left_behind(session: Session, outcome: ChangeOutcome) -> QuerySet[Change]:
    """Changes of this sync that runs which are over left behind."""
    return (
        Change.objects.filter(sync=session.sync, outcome=outcome, run__dry_run=False)
        .exclude(run=session.run)
        .exclude(run__status__in=OPEN_STATUSES)
    )


def unfinished(session: Session, outcome: ChangeOutcome) -> list[Change]:
    """The same as rows: only of what was sent, at most a few batches."""
    if outcome in session.settled:
        return []
    found = list(left_behind(session, outcome).order_by("pk"))
    if not found:  # and while this run has the sync, nobody leaves any
        session.settled.add(outcome)
    return found


def drop_planned(session: Session) -> None:
    """What a run that is over planned and never sent is due again."""
    left = left_behind(session, ChangeOutcome.PLANNED)
    _give_up(session, left, "The run ended before it was written.")


def give_up_planned(session: Session) -> None:
    """Plan anew what this run itself has planned and not sent."""
    mine = Change.objects.filter(run=session.run, outcome=ChangeOutcome.PLANNED)
    _give_up(session, mine, "The set-up changed before it was written.")


def _give_up(session: Session, changes: QuerySet[Change], text: str) -> None:
    for some in pages(changes, "pk", "link_id"):
        with transaction.atomic():
            session.lease.check()
            links = RecordLink.objects.filter(pk__in={link for _, link in some if link})
            links.filter(sync=session.sync).update(dirty=True)
            Change.objects.filter(pk__in=[pk for pk, _ in some]).update(
                outcome=ChangeOutcome.SKIPPED, error_text=text, done_at=now()
            )


def resolve_records(session: Session) -> None:
    """Settle this sync's record changes of unknown effect."""
    sent = [
        c
        for c in unfinished(session, ChangeOutcome.SENT)
        if c.kind in RECORD_KINDS and c.link_id is not None
    ]
    for side in Side:
        _updates(session, side, [c for c in sent if _is(c, ChangeKind.UPDATE, side)])
        _creates(session, side, [c for c in sent if _is(c, ChangeKind.CREATE, side)])
    resolve_archives(session, sent)
    tidy_queue(session)


def _is(change: Change, kind: ChangeKind, side: Side) -> bool:
    return change.kind == kind and change.side == side


def _links(changes: Iterable[Change]) -> dict[int, RecordLink]:
    return RecordLink.objects.in_bulk([c.link_id for c in changes if c.link_id])


def _updates(session: Session, side: Side, changes: list[Change]) -> None:
    """Read back: a record that holds what was sent has taken it, the others are due."""
    if not changes:
        return
    links = _links(changes)
    size = session.connector(side).capabilities.fetch_batch
    rows = list(links.values())
    for start in range(0, len(rows), size):
        reread(session, side, rows[start : start + size])
    links = _links(changes)
    writer = RecordWriter(session)
    for change in changes:
        link = links.get(change.link_id or 0)
        if link is None:
            continue
        values = link.values_on(side)
        if all(same(values.get(name), v) for name, v in change.after.items()):
            writer.updated(side, change, link, None)
        else:
            close(change, ChangeOutcome.SKIPPED, "", "It did not take effect.")
        link.dirty = True
    with transaction.atomic():
        session.lease.check()
        save_changes(changes)
        save_links(list(links.values()))
        writer.keys.save()


def _creates(session: Session, side: Side, changes: list[Change]) -> None:
    if not changes:
        return
    links = _links(changes)
    changes = [
        c for c in changes if c.link_id in links and _is_due(session, links[c.link_id])
    ]
    if not changes:
        return
    found = _look(session, side, changes)
    missing = [c for c in changes if c.pk not in found]
    if missing:
        _wait_to_settle(missing)
        found |= _look(session, side, missing)
    with transaction.atomic():
        session.lease.check()  # to look may take long: another run may have settled it
        for change in changes:
            _settle(session, side, change, links[change.link_id or 0], found)


def _is_due(session: Session, link: RecordLink) -> bool:
    """What was looked for in vain is looked for again after its back-off."""
    resting = link.retry_at is not None and not rested(link.retry_at, now())
    return session.run.full or link.state != RecordState.UNCERTAIN or not resting


def _wait_to_settle(changes: Sequence[Change]) -> None:
    """Wait until the youngest intent is old enough for its absence to be believed."""
    patience = settings.CREATE_SETTLE_SECONDS
    sent = max((c.sent_at for c in changes if c.sent_at is not None), default=None)
    if sent is not None:
        age = (now() - sent).total_seconds()
        time.sleep(min(max(patience - age, 0.0), patience))


def _look(
    session: Session, side: Side, changes: list[Change]
) -> dict[int, Record | None]:
    """What is known of each create: its record, or None where several could be it.

    A create that is missing from the answer is surely not there.
    """
    connector, obj = session.connector(side), session.object_on(side)
    want = _all_that_was_sent(session, side, changes)
    reserved = {c.reserved_id: c for c in changes if c.reserved_id}
    if reserved:
        fetched = connector.fetch(obj, list(reserved), want)
        found: dict[int, Record | None] = {
            reserved[i].pk: record for i, record in fetched.records.items()
        }
        for record_id, change in reserved.items():
            if record_id not in fetched.records and record_id not in fetched.gone:
                found[change.pk] = None
        others = [c for c in changes if not c.reserved_id]
        return found | (_look(session, side, others) if others else {})
    for name in _unique_names(session, side):
        values = {
            str(c.after[name]): c for c in changes if not is_blank(c.after.get(name))
        }
        if len(values) != len(changes):
            continue
        answer = connector.lookup(obj, name, list(values), want)
        if answer is not None:
            return {values[v].pk: record for v, record in answer.items()}
    return _among_new(session, side, changes, want)


def _all_that_was_sent(session: Session, side: Side, changes: list[Change]) -> Want:
    """Constants for new records are sent, and otherwise not read."""
    want = session.want(side)
    sent = {name for change in changes for name in change.after}
    sent -= session.missing.get(side, set())
    return replace(want, fields=tuple(sorted({*want.fields, *sent})))


def _unique_names(session: Session, side: Side) -> list[str]:
    marker = session.sync.marker.get(side)
    unique = [
        f.name
        for f in session.object_on(side).fields
        if f.unique and f.name in session.names(side)
    ]
    return [marker, *unique] if marker else unique


def _among_new(
    session: Session, side: Side, changes: list[Change], want: Want
) -> dict[int, Record | None]:
    """Look among the records created since: one whose every sent value agrees is it,
    and so is one with the same match key, whatever the system made of the rest."""
    since = _first_sent(side, changes) - CLOCK_SKEW
    connector, obj = session.connector(side), session.object_on(side)
    fits: dict[int, list[Record]] = {}
    for page in connector.created_since(obj, want, since):
        ids = [r.id for r in page.records]
        taken = set(
            RecordLink.objects.filter(
                sync=session.sync,
                hubspot_id__isnull=False,
                app_id__isnull=False,
                **{f"{side}_id__in": ids},
            ).values_list(f"{side}_id", flat=True)
        )
        for record in page.records:
            if record.id not in taken:
                for change in changes:
                    if _agrees(session, side, change, record) or _same_key(
                        session, side, change, record
                    ):
                        fits.setdefault(change.pk, []).append(record)
    return _share_out(changes, fits)


def _first_sent(side: Side, changes: Sequence[Change]) -> datetime:
    """When the first of some creates was sent, by the system's clock."""
    runs = SyncRun.objects.in_bulk({c.run_id for c in changes})
    times = [
        c.sent_at - timedelta(seconds=runs[c.run_id].ahead.get(side, 0.0))
        for c in changes
        if c.sent_at is not None
    ]
    return min(times, default=now())


def _agrees(session: Session, side: Side, change: Change, record: Record) -> bool:
    for name, value in change.after.items():
        field = session.field_of(side, name)
        try:
            held = canonical(record.values.get(name), field, zone=session.zone)
        except ValueProblem:
            return False
        if not alike(held, value):
            return False
    return True


def _same_key(session: Session, side: Side, change: Change, record: Record) -> bool:
    held = session.canonical_values(side, record)
    ours = keys_of(session, side, change.after, {})
    return bool(ours & keys_of(session, side, held, record.keys))


def _share_out(
    changes: list[Change], fits: dict[int, list[Record]]
) -> dict[int, Record | None]:
    """Give each create its own record; creates that are alike are alike in this too."""
    found: dict[int, Record | None] = {}
    used: set[str] = set()
    for change in sorted(changes, key=lambda c: len(fits.get(c.pk, []))):
        free = [r for r in fits.get(change.pk, []) if r.id not in used]
        if not free:
            continue
        alike = sum(1 for c in changes if c.after == change.after)
        if len(free) > alike:
            found[change.pk] = None
            continue
        used.add(free[0].id)
        found[change.pk] = free[0]
    return found


def _settle(
    session: Session,
    side: Side,
    change: Change,
    link: RecordLink,
    found: dict[int, Record | None],
) -> None:
    record = found.get(change.pk)
    if change.pk not in found:
        close(change, ChangeOutcome.SKIPPED, "", "It did not take effect.")
        link.state, link.dirty = RecordState.NEW, True
        link.error_code = link.error_text = ""
    elif record is None:
        change.error_code = Code.UNCERTAIN
        link.state = RecordState.UNCERTAIN
        back_off(link)  # to look takes a complete read
        link.error_code = Code.UNCERTAIN
        link.error_text = (
            f"A create in {side} was sent at {change.sent_at} and no answer came; "
            "several records, or none that can be told apart, could be it."
        )
    else:
        _found(session, side, change, link, record)
    save_changes([change])
    save_links([link])


def _found(
    session: Session, side: Side, change: Change, link: RecordLink, record: Record
) -> None:
    """Pair a link with the record that its create seems to have made."""
    other = (
        RecordLink.objects.filter(sync=session.sync, **{f"{side}_id": record.id})
        .exclude(pk=link.pk)
        .first()
    )
    if other is not None and (other.paired or other.keep_apart):
        text = f"{record.id} has the same unique value and is paired already."
        close(change, ChangeOutcome.FAILED, Code.DUPLICATE_KEY, text)
        link.state, link.dirty = RecordState.FAILING, False
        link.error_code, link.error_text = Code.DUPLICATE_KEY, text
        back_off(link)
        return
    if other is not None:
        absorb(session, session.stages, side, link, other)
    link.error_code = link.error_text = ""
    writer = RecordWriter(session)
    writer.attach(side, change, link, record, recovered=True)
    writer.keys.save()
    if side is Side.APP:
        link.app_references = references_json(record.references.items())
    close(change, ChangeOutcome.APPLIED)
    link.dirty = True
    session.tally.add("created", side)
