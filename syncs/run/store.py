"""Write what was read into record links, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, models

from connections.connectors.base import SchemaError
from connections.records import Record, Reference, Side
from syncs.engine.matching import key_values
from syncs.models import RecordKey, RecordLink
from syncs.models.choices import RecordState
from syncs.run import identity
from syncs.run.merges import follow_merges
from syncs.run.session import PROBLEMS, REFUSED, Session, now
from syncs.run.tombstones import settle_gone

KEPT = "="  # before names in app_references that no read gives or takes away
MAX_KEY = 600  # characters of RecordKey.value; longer keys keep their head and length

LINK_COLUMNS = [f.name for f in RecordLink._meta.concrete_fields if not f.primary_key]


def save_links(links: Sequence[RecordLink]) -> None:
    """Write whole rows back, in one statement a few hundred rows."""
    stamp = now()
    for link in links:
        link.updated_at = stamp
    RecordLink.objects.bulk_create(
        links,
        batch_size=200,
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=LINK_COLUMNS,
    )


def update_rows(rows: Sequence[models.Model], names: Sequence[str]) -> None:
    """Write some columns of rows back, as one statement run many times.

    A tenth of the time of `bulk_update`, whose CASE has a branch for each row and column.
    """
    if not rows:
        return
    meta = rows[0]._meta
    fields = [f for f in meta.concrete_fields if f.name in names]
    quote = connection.ops.quote_name
    columns = ", ".join(f"{quote(str(f.column))} = %s" for f in fields)
    (key,) = (quote(str(f.column)) for f in meta.concrete_fields if f.primary_key)
    statement = f"UPDATE {quote(meta.db_table)} SET {columns} WHERE {key} = %s"
    with connection.cursor() as cursor:
        cursor.executemany(
            statement,
            [
                (
                    *(
                        f.get_db_prep_save(getattr(r, f.attname), connection)
                        for f in fields
                    ),
                    r.pk,
                )
                for r in rows
            ],
        )


def references_json(references: Iterable[tuple[str, Reference]]) -> dict[str, Any]:
    """How a record's references are stored on its link."""
    return {
        name: {"ids": list(ref.ids), "complete": ref.complete}
        for name, ref in references
    }


def clip(value: str) -> str:
    return value if len(value) <= MAX_KEY else f"{value[: MAX_KEY - 12]}…{len(value)}"


def keys_of(
    session: Session,
    side: Side,
    values: Mapping[str, Any],
    more: Mapping[str, tuple[str, ...]],
) -> set[tuple[int, str]]:
    """A record's key values by rank, from its stored values and what counts besides."""
    known = {k: v for k, v in values.items() if k != PROBLEMS}
    return {
        (rank, clip(value))
        for rank, key in enumerate(session.keys)
        for value in key_values(known, more, key, side)
    }


def put(
    session: Session,
    side: Side,
    link: RecordLink,
    record: Record,
    *,
    changed: bool | None = None,
) -> bool:
    """Take a record as read into its link (in memory); True if what we look at moved.

    `changed`: whether the record did since it was read last; None where only its own time
    can tell.
    """
    values = session.canonical_values(side, record)
    # What an answer says nothing of is as it was.
    problems = values.get(PROBLEMS)
    failed = set(problems) if isinstance(problems, dict) else set()
    untold = session.names(side) - values.keys() - failed
    known = link.values_on(side)
    values |= {name: known[name] for name in untold if name in known}
    moved = settle_gone(session, side, link, values)
    missing = session.missing.get(side, set()) - failed
    lost = session.lost_references if side is Side.APP else set()
    still = bool(missing or lost) and not (
        _moved(session, side, link, record) if changed is None else changed
    )
    if still:  # and so is what cannot be read of it now
        values |= {name: known[name] for name in missing if name in known}
    references = link.app_references
    if side is Side.APP and (session.references or lost):
        kept = {
            name: held
            for name, held in references.items()
            if name.startswith(KEPT) or (still and name in lost)
        }
        references = kept | references_json(record.references.items())
    moved |= (
        values != known
        or references != link.app_references
        or link.id_on(side) != record.id
    )
    setattr(link, f"{side}_id", record.id)
    setattr(link, f"{side}_values", values)
    link.app_references = references
    setattr(link, f"{side}_modified_at", record.modified_at)
    setattr(link, f"{side}_read_at", now())
    setattr(link, f"{side}_seen", session.run.pk)
    if moved:
        link.dirty = True
        link.stage_state.pop(REFUSED, None)  # worth another try
    return moved


def _moved(session: Session, side: Side, link: RecordLink, record: Record) -> bool:
    """Whether a record may have changed since it was read last, by its own time.

    A time of change may be a minute's, or become known late: only one that was old
    already when the record was read counts.
    """
    at: datetime | None = getattr(link, f"{side}_modified_at")
    read_at: datetime | None = getattr(link, f"{side}_read_at")
    if at is None or read_at is None or record.modified_at != at:
        return True
    ahead_s = session.meters[side].ahead_s(now())
    margin_s = session.connector(side).capabilities.overlap_s + ahead_s
    return (read_at - at).total_seconds() <= margin_s


def store_page(
    session: Session,
    side: Side,
    records: Sequence[Record],
    *,
    lagging: bool = False,
    changed: bool | None = None,
) -> None:
    """Take a page into the record links; the caller's transaction holds its cursor too.

    `lagging`: a record that is older than what is known of it says nothing new; its
    index shows it as it was before our own write. `changed`: see `put`.
    """
    _refuse_long(session, side, records)
    by_id = {record.id: record for record in records}  # the last answer wins
    session.seen(side, records)
    column = f"{side}_id"
    known = {
        link.id_on(side): link
        for link in RecordLink.objects.filter(
            sync=session.sync, **{f"{column}__in": list(by_id)}
        )
    }
    if side is Side.HUBSPOT:
        follow_merges(session, by_id, known)
    fresh: list[RecordLink] = []
    moved: list[RecordLink] = []
    same: list[tuple[RecordLink, datetime | None]] = []
    back: list[int] = []  # gone until now
    was: dict[int, tuple[str | None, dict[str, Any]]] = {}  # id and values till now
    for record_id, record in by_id.items():
        link = known.get(record_id)
        if link is None:
            link = RecordLink(sync=session.sync, state=RecordState.NEW)
            put(session, side, link, record)
            fresh.append(link)
            continue
        before = getattr(link, f"{side}_modified_at")
        was[link.pk] = (link.id_on(side), link.values_on(side))
        if (
            lagging
            and _is_older(record, before)
            and _differs(session, side, record, link)
        ):
            continue
        gone = link.gone_on(side) is not None
        if put(session, side, link, record, changed=changed):
            moved.append(link)
            if gone and link.gone_on(side) is None:
                back.append(link.pk)
        else:
            same.append((link, before))
    # Another normaliser makes other keys of the same values.
    again = [link for link, _ in same] if session.renewed else []
    stored = _stored_keys(side, moved + again) if session.keys else {}
    for link in moved:
        known_as, values = was[link.pk]
        record_id = link.id_on(side) or ""
        if known_as != record_id or not stored.get(link.pk):
            continue  # merged, or it had no key
        old = keys_of(session, side, values, {}) if session.renewed else stored[link.pk]
        new = keys_of(session, side, link.values_on(side), by_id[record_id].keys)
        identity.suspect(session, side, link, old, new)
    RecordLink.objects.bulk_create(fresh, batch_size=200)
    save_links(moved)
    if back:
        for stage in session.stages:
            stage.revived(back)
    _touch(session, side, same)
    if session.keys:
        _store_keys(session, side, fresh, moved + again, by_id, stored)


def _refuse_long(session: Session, side: Side, records: Sequence[Record]) -> None:
    """Raises: SchemaError for an id that a record link has no room for."""
    longest = int(getattr(RecordLink._meta.get_field(f"{side}_id"), "max_length", 0))
    if any(len(record.id) > longest for record in records):
        raise SchemaError(
            f"{session.object_on(side).name} has a key of more than {longest} characters, "
            "which is no id to keep: give it a shorter one."
        )


def _is_older(record: Record, known_at: datetime | None) -> bool:
    return (
        known_at is not None
        and record.modified_at is not None
        and record.modified_at < known_at
    )


def _differs(session: Session, side: Side, record: Record, link: RecordLink) -> bool:
    return session.canonical_values(side, record) != link.values_on(side)


def _touch(
    session: Session, side: Side, same: list[tuple[RecordLink, datetime | None]]
) -> None:
    """Note that unchanged records were read; most of a quiet full read ends here."""
    stamps = {f"{side}_read_at": now(), f"{side}_seen": session.run.pk}
    still = {
        link.pk
        for link, before in same
        if before == getattr(link, f"{side}_modified_at")
    }
    if still:
        RecordLink.objects.filter(pk__in=still).update(**stamps)
    save_links([link for link, _ in same if link.pk not in still])


def _stored_keys(
    side: Side, links: Sequence[RecordLink]
) -> dict[int, set[tuple[int, str]]]:
    stored: dict[int, set[tuple[int, str]]] = {}
    if not links:
        return stored
    for key in RecordKey.objects.filter(
        link__in=[link.pk for link in links], side=side
    ):
        stored.setdefault(key.link_id, set()).add((key.rank, key.value))
    return stored


def _store_keys(
    session: Session,
    side: Side,
    fresh: Sequence[RecordLink],
    moved: Sequence[RecordLink],
    by_id: dict[str, Record],
    stored: dict[int, set[tuple[int, str]]],
) -> None:
    rows: list[RecordKey] = []
    stale: list[int] = []
    for link in (*fresh, *moved):
        more = by_id[link.id_on(side) or ""].keys
        wanted = keys_of(session, side, link.values_on(side), more)
        if wanted == stored.get(link.pk, set()):
            continue
        if link.pk in stored:
            stale.append(link.pk)
        rows += [
            RecordKey(link=link, sync=session.sync, side=side, rank=r, value=v)
            for r, v in sorted(wanted)
        ]
    if stale:
        RecordKey.objects.filter(link__in=stale, side=side).delete()
    RecordKey.objects.bulk_create(rows, batch_size=500)
