"""Read what changed on each side into record links.

A side's cursor is the latest change time that was read, never later than the system's
own clock. What becomes visible late (a search index, a transaction that commits late) lies
before the cursor; a count of the window before it, one call, tells whether anything there
was missed, and only then is that window read again.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from connections.catalogue import Code
from connections.connectors.base import FeedLost, SchemaError
from connections.records import Page, Side
from syncs.models import ObjectSync, RecordLink
from syncs.models.choices import Trigger
from syncs.run.ahead import one_ahead
from syncs.run.emptied import with_blanks
from syncs.run.feeding import PLACES, fed, feeds, place_now, place_of
from syncs.run.renew import renew
from syncs.run.resuming import forget, read_lacking, take_up
from syncs.run.session import MISSED, READS, Held, Session, SliceOver, is_due, now
from syncs.run.store import save_links, store_page
from syncs.run.tombstones import bury, forget_archived
from syncs.run.vanishing import conclude, enough
from syncs.run.windows import WINDOWS, known_in, known_well, note_of

DONE = "done"  # in a sync's read_state: {side: run that read it completely}
UNCOUNTED = "uncounted"  # in a sync's read_state: {side: when its complete read began}
CURSORS = {Side.HUBSPOT: "hubspot_cursor", Side.APP: "app_cursor_at"}
GONE_BATCH = 500  # ids confirmed at once


def pull(session: Session) -> None:
    """Read both sides at the same time.

    Raises: ConnectorError; what was read until then is kept.
    """
    session.advance("reading", 0, 0)
    # In a later slice some were read before.
    session.run.phase_from = sum(session.tally.counters["read"].values())
    full = {side: _must_be_full(session, side) for side in Side}
    whole = all(full[side] or not has_changes(session, side) for side in Side)
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="pull") as pool:
        futures = [pool.submit(_pull_side, session, side, full[side]) for side in Side]
        errors = [future.exception() for future in futures]
    # A side that has used its time has not failed; one that failed decides.
    failed = [error for error in errors if error is not None]
    for error in sorted(failed, key=lambda e: isinstance(e, SliceOver)):
        raise error
    renew(session)
    try:
        if session.run.limit is None:
            conclude(session, partial(reread, conclude=False))
    except Held:
        _note_done(session, whole)  # what was read need not be read again
        raise
    _note_done(session, whole)
    session.advance("reading")


def _note_done(session: Session, whole: bool) -> None:
    with transaction.atomic():
        sync = ObjectSync.objects.select_for_update().get(pk=session.sync.pk)
        sync.read_state.pop(DONE, None)
        if session.run.limit is None:
            sync.read_state["revision"] = session.sync.revision
            sync.read_state[MISSED] = session.missed
            sync.read_state[READS] = session.reads
            forget(sync.read_state)
            if whole:
                sync.full_read_at = now()
        sync.save(update_fields=["read_state", "full_read_at"])
    session.sync.read_state = sync.read_state
    session.sync.full_read_at = sync.full_read_at


def has_changes(session: Session, side: Side) -> bool:
    """Whether a side can say what changed, rather than be read in full each time."""
    if feeds(session, side):
        return True
    if not session.connector(side).capabilities.changes:
        return False
    return side is Side.HUBSPOT or bool(session.change_field)


def _must_be_full(session: Session, side: Side) -> bool:
    sync, run = session.sync, session.run
    if run.full or not has_changes(session, side):
        return True
    fed = feeds(session, side)
    begun = place_of(session, side) if fed else getattr(sync, CURSORS[side])
    if begun is None or sync.full_read_at is None:
        return True
    # Of another set-up: what was read tells enough, unless more is asked for now.
    if session.renewed and session.reads_more(side):
        return True
    return is_due(sync.full_read_at, timedelta(seconds=sync.full_every_s))


def _pull_side(session: Session, side: Side, full: bool) -> None:
    if session.sync.read_state.get(DONE, {}).get(side) == session.run.pk:
        return  # in an earlier slice of this run, which the other side outlasted
    try:
        try:
            _read_side(session, side, full)
        except SchemaError as exc:
            if exc.code == Code.SCHEMA_CHANGED:
                session.note_away(side)
            if exc.code != Code.FIELD_MISSING:
                raise
            session.refresh(side)
            _read_side(session, side, full)
    finally:
        connection.close()  # this thread's own


def _read_side(session: Session, side: Side, full: bool) -> None:
    told, feed = not full, None
    if full:
        told, feed = _told_before(session, side)
    elif feeds(session, side):
        told = _read_fed(session, side)
    else:
        _read_changed(session, side)
    whole = take_up(session, side)
    if full or not (told and whole):
        _read_all(session, side, feed=feed)
    else:
        read_lacking(session, side, reread)


def _told_before(session: Session, side: Side) -> tuple[bool, str | None]:
    """Before a complete read while fields are missing, read what the change log tells.

    Such a read does not show which records changed, and so of which the missing fields
    are not known any more.
    Returns: whether the log told, and the place up to which it did.
    """
    lacks = session.missed.get(str(side)) and feeds(session, side)
    if not lacks or not place_of(session, side) or session.sync.read_state.get(side):
        return False, None
    return (
        (True, place_of(session, side)) if _read_fed(session, side) else (False, None)
    )


# A complete read -----------------------------------------------------------------------


def _read_all(session: Session, side: Side, *, feed: str | None = None) -> None:
    """Read every record; the place is kept with each page, so a kill costs one page.

    Args: feed, the place in the change log up to which it was read just now.
    """
    sync = session.sync
    place = dict(sync.read_state.get(side) or {})
    stale = place.get("revision") != sync.revision
    if stale or (session.run.full and place.get("run") != session.run.pk):
        place = {"revision": sync.revision, "run": session.run.pk}
    if "feed" not in place:
        begun = place.get("cursor") is not None  # before there was a log
        place["feed"] = None if begun else feed or place_now(session, side)
    latest = _parse(place.get("latest"))
    started = _parse(place.get("started"))
    with closing(_pages(session, side, place.get("cursor"))) as pages:
        for page in pages:
            started = started or page.read_at
            latest = _latest(latest, page)
            place |= {
                "cursor": page.cursor,
                "latest": latest.isoformat() if latest else None,
                "started": started.isoformat() if started else None,
            }
            keep = page.cursor is not None and session.run.limit is None
            changed = False if feed else None
            keep_page(session, side, page, place if keep else None, changed=changed)
            if keep:
                session.breathe()
    _bury_missing(session, side, since_run=place["run"])
    if session.connector(side).capabilities.tells_total:
        note_uncounted(session, side, started or now())
    at = min((t for t in (latest, started) if t), default=None)
    _set_cursor(session, side, at, feed=place["feed"], done=True)


def _pages(
    session: Session, side: Side, cursor: str | None
) -> Generator[Page, None, None]:
    connector = session.connector(side)
    pages = connector.pages(session.object_on(side), session.want(side), cursor)
    if connector.capabilities.reads_ahead:
        yield from one_ahead(
            pages, session.meters[side], enough=lambda: session.over_time
        )
    else:
        yield from pages


def note_uncounted(session: Session, side: Side, began: datetime | None) -> None:
    """Remember that nothing vouches yet for how many records a complete read showed.

    Args: began, when the read began, by the side's clock; None once it was counted.
    """
    with transaction.atomic():
        sync = ObjectSync.objects.select_for_update().get(pk=session.sync.pk)
        sides = sync.read_state.setdefault(UNCOUNTED, {})
        sides.pop(side, None)
        if began is not None:
            sides[side] = began.isoformat()
        sync.save(update_fields=["read_state"])
    session.sync.read_state[UNCOUNTED] = sides


def _bury_missing(session: Session, side: Side, *, since_run: int) -> None:
    """Mark what a complete read did not show and the system confirms gone, id by id."""
    if session.run.limit is not None:
        return
    unseen = RecordLink.objects.filter(
        sync=session.sync,
        **{
            f"{side}_id__isnull": False,
            f"{side}_seen__lt": since_run,
            f"{side}_gone_at__isnull": True,
            f"{side}_vanished_at__isnull": True,
        },
    ).order_by("pk")
    last = 0
    while True:
        links = list(unseen.filter(pk__gt=last)[:GONE_BATCH])
        if not links or enough(session, side):
            return
        last = links[-1].pk
        reread(session, side, links, conclude=False)
        session.breathe()


def reread(
    session: Session, side: Side, links: list[RecordLink], *, conclude: bool = True
) -> set[str]:
    """Read records again by id and take what is found, or that they are gone.

    Args: conclude, whether what is gone is taken for gone at once, rather than noted
        as vanished until all that vanished is counted.
    Returns: the ids of which the system said that they are there, or gone.
    """
    ids = [link.id_on(side) or "" for link in links]
    return _take(session, side, ids, [x.pk for x in links], conclude=conclude)


def _take(
    session: Session,
    side: Side,
    ids: Sequence[str],
    known: Sequence[int],
    *,
    conclude: bool,
    changed: bool | None = None,
) -> set[str]:
    """Read records by id, new ones too; `known` are the links that may lose them."""
    fetched = session.connector(side).fetch(
        session.object_on(side), ids, session.want(side)
    )
    session.tally.add("read", side, len(fetched.records))
    vanished = f"{side}_vanished_at"
    found = with_blanks(session, side, list(fetched.records.values()), by_id=True)
    with session.storing, transaction.atomic():
        session.lease.check()
        store_page(session, side, found, changed=changed)
        gone = []
        for link in RecordLink.objects.filter(pk__in=known):
            lost = link.id_on(side) in fetched.gone or getattr(link, vanished)
            if not lost:
                continue
            if link.gone_on(side) is not None:
                gone += forget_archived(session.sync, side, link)
                continue
            if conclude or not link.paired or link.gone_on(side.other) is not None:
                bury(link, side)
            else:
                setattr(link, vanished, getattr(link, vanished) or now())
            gone.append(link)
        save_links(gone)
    return {*fetched.records, *fetched.gone}


# What changed --------------------------------------------------------------------------


def _read_changed(session: Session, side: Side) -> None:
    connector, obj, want = (
        session.connector(side),
        session.object_on(side),
        session.want(side),
    )
    cursor: datetime = getattr(session.sync, CURSORS[side])
    if side is Side.HUBSPOT:
        _let_search_settle(session)
    newest = cursor
    read_at: datetime | None = None
    for page in connector.changed(obj, want, after=cursor):
        read_at = read_at or page.read_at
        newest = max(newest, _latest(newest, page) or newest)
        keep_page(session, side, page, None, searched=True)
        give_up_if_endless(session, side)
    overlap = timedelta(seconds=connector.capabilities.overlap_s)
    since = cursor - overlap
    window = connector.window(obj, want, after=since, until=cursor)
    if window.unstamped:
        for page in connector.unstamped(obj, want):
            keep_page(session, side, page, None)
    agreed = known_well(session, side, window, after=since, until=cursor)
    if not agreed:
        for page in connector.changed(obj, want, after=since, until=cursor):
            keep_page(session, side, page, None, searched=True)
        _look_for_unseen(session, side, after=since, until=cursor)
    at = min(newest, max(read_at or newest, cursor))
    note = note_of(session, window, since, cursor) if agreed else None
    _set_cursor(session, side, at, window=note)


def _read_fed(session: Session, side: Side) -> bool:
    """Read what the system's change log names, and move on in it part by part.

    Returns: whether it tells everything; if not, all has to be read.
    """
    place = place_of(session, side) or ""
    try:
        for part in fed(session, side, place):
            for start in range(0, len(part.ids), GONE_BATCH):
                ids = part.ids[start : start + GONE_BATCH]
                links = RecordLink.objects.filter(
                    sync=session.sync, **{f"{side}_id__in": ids}
                )
                if session.run.limit is not None:
                    links = links.none()  # nothing is concluded gone
                known = list(links.values_list("pk", flat=True))
                _take(session, side, ids, known, conclude=False, changed=True)
            _set_cursor(session, side, None, feed=part.place)
            session.breathe()
    except FeedLost:
        return False
    return True


def give_up_if_endless(session: Session, side: Side) -> None:
    """A read of changes starts over each time; one that outlasts its slice would never
    end. A complete read goes on from page to page."""
    if not session.over_time:
        return
    with transaction.atomic():
        sync = ObjectSync.objects.select_for_update().get(pk=session.sync.pk)
        setattr(sync, CURSORS[side], None)
        sync.save(update_fields=[CURSORS[side]])
    raise SliceOver


def _let_search_settle(session: Session) -> None:
    """A person who just changed a record and presses the button wants to see it arrive.

    HubSpot's search shows a change some seconds late, so a run that a person started asks
    only once that time has passed since its start. Scheduled runs do not wait: the count
    of the overlap catches what they were too early for.
    """
    run = session.run
    if run.trigger == Trigger.SCHEDULE or run.created_at is None:
        return
    waited = (now() - run.created_at).total_seconds()
    time.sleep(min(max(settings.SEARCH_SETTLE_SECONDS - waited, 0.0), 60.0))


def _look_for_unseen(
    session: Session, side: Side, *, after: datetime, until: datetime
) -> None:
    """Read by id what should lie in a window and was not shown: it is gone, or search
    is behind. Left as it is, it would make every run read the window again."""
    unseen = known_in(session, side, after=after, until=until).filter(
        **{f"{side}_seen__lt": session.run.pk}
    )
    last = 0
    while links := list(unseen.filter(pk__gt=last).order_by("pk")[:GONE_BATCH]):
        last = links[-1].pk
        reread(session, side, links, conclude=False)


# Common --------------------------------------------------------------------------------


def keep_page(
    session: Session,
    side: Side,
    page: Page,
    place: dict[str, object] | None,
    *,
    searched: bool = False,
    changed: bool | None = None,
) -> None:
    """Commit a page's rows together with the place to go on from.

    `searched`: from an index that may be behind what we know of a record already.
    `changed`: whether the records did, where that is known; see `store.put`.
    """
    lagging = searched and session.connector(side).capabilities.search_lag_s > 0
    if lagging:
        page = _without_gone(session, side, page)
    page = replace(page, records=tuple(with_blanks(session, side, page.records)))
    for records in _slices(page):
        with session.storing, transaction.atomic():
            session.lease.check()  # else another run may know better by now
            store_page(session, side, records.records, lagging=lagging, changed=changed)
            if place is not None and records.cursor is not None:
                sync = ObjectSync.objects.select_for_update().get(pk=session.sync.pk)
                sync.read_state[side] = place
                sync.save(update_fields=["read_state"])
    session.tally.add("read", side, len(page.records))
    with session.storing:
        session.tell()


def _without_gone(session: Session, side: Side, page: Page) -> Page:
    """A page without what its index shows although it is gone, or is not back."""
    ids = [record.id for record in page.records]
    known = RecordLink.objects.filter(
        Q(**{f"{side}_gone_at__isnull": False})
        | Q(**{f"{side}_vanished_at__isnull": False}),
        sync=session.sync,
        **{f"{side}_id__in": ids},
    )
    tombs = list(known.values_list(f"{side}_id", flat=True))
    if not tombs:
        return page
    fetched = session.connector(side).fetch(
        session.object_on(side), tombs, session.want(side)
    )
    kept = [fetched.records.get(r.id, r) for r in page.records if r.id not in tombs]
    kept += [fetched.records[i] for i in tombs if i in fetched.records]
    return replace(page, records=tuple(kept))


def _slices(page: Page, size: int = 500) -> Iterator[Page]:
    """A page in short transactions; only the last slice carries the cursor."""
    records = page.records
    for start in range(0, len(records), size):
        last = start + size >= len(records)
        yield Page(records[start : start + size], page.cursor if last else None)


def _latest(latest: datetime | None, page: Page) -> datetime | None:
    times = [r.modified_at for r in page.records if r.modified_at is not None]
    return max((t for t in (latest, *times) if t is not None), default=None)


def _parse(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _set_cursor(
    session: Session,
    side: Side,
    at: datetime | None,
    *,
    feed: str | None = None,
    window: list[object] | None = None,
    done: bool = False,
) -> None:
    """Move a side's cursor, now that everything up to it is committed.

    `feed`: the place in the system's change log. `window`: the one before the cursor, if
    it agreed with our rows. `done`: by a complete read, which a later slice need not make
    again.
    """
    if session.run.limit is not None:
        return
    with transaction.atomic():
        session.lease.check()
        sync = ObjectSync.objects.select_for_update().get(pk=session.sync.pk)
        sync.read_state.pop(side, None)
        if done:
            sync.read_state.setdefault(DONE, {})[side] = session.run.pk
        sync.read_state.setdefault(WINDOWS, {})[side] = window
        if feed is not None or done:
            sync.read_state.setdefault(PLACES, {})[side] = feed
        fields = ["read_state"]
        if at is not None and has_changes(session, side):
            setattr(sync, CURSORS[side], at)
            fields.append(CURSORS[side])
        sync.save(update_fields=fields)
    setattr(session.sync, CURSORS[side], getattr(sync, CURSORS[side]))
    session.sync.read_state[PLACES] = sync.read_state.get(PLACES, {})
