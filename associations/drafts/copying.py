"""A sync's records once more, for a copy of it: by the database itself, some at a time.

A sync may have a million records. Rows that are fetched and sent back would outlast a task,
and one transaction over all of them would keep everybody else from SQLite's one writer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection, models

from associations.models import AssociationLink, AssociationMapping
from syncs.models import (
    Change,
    LogEntry,
    ObjectSync,
    RecordKey,
    RecordLink,
    SyncRun,
)

AT_ONCE = 10_000  # rows of one statement, which is a transaction
DELETED_AT_ONCE = 1_000

# What of a copy grows with its records, each before what it hangs on.
MANY: Mapping[type[models.Model], str] = {
    AssociationLink: "mapping__sync",
    Change: "run__sync",
    LogEntry: "run__sync",
    RecordKey: "sync",
    RecordLink: "sync",
}


START: Mapping[str, int] = {"part": 0, "last": 0, "count": 0}


class Moved(Exception):
    """Records were paired or parted while they were copied."""


@dataclass(frozen=True)
class Part:
    """Rows of a table that are inserted again, some columns otherwise.

    `changes`: SQL by column. `source`: which rows `o` there are, with {0} for the table,
    {1} for that of record links, and one parameter, whose value is `pk`.
    """

    model: type[models.Model]
    changes: Mapping[str, str]
    source: str
    pk: int


def copy_records(
    sync: ObjectSync,
    copy: ObjectSync,
    mappings: Mapping[int, int],
    place: Mapping[str, int] = START,
    *,
    deadline: float = math.inf,
) -> Mapping[str, int] | None:
    """Copy the record links with their keys and association links.

    Args: mappings, the copy's association mapping by the sync's; place, where to go on;
        deadline, by the monotonic clock.
    Returns: where to go on; None once it is done.
    Raises: Moved, where a record was copied that then became another's, or a pair's.
    """
    parts = _parts(sync, copy, mappings)
    last, count = place["last"], place["count"]
    for number in range(place["part"], len(parts)):
        while step := _insert(parts[number], last):
            last, count = step[0], count + step[1]
            if time.monotonic() > deadline:
                return {"part": number, "last": last, "count": count}
        if number == 0:
            _check(copy, count)
        last = count = 0
    single = RecordLink.objects.filter(sync=copy, app_id=None).values("hubspot_id")
    pairs = RecordLink.objects.filter(sync=sync, app_id__isnull=False)
    if pairs.filter(hubspot_id__in=single).exists():
        raise Moved
    return None


def throw_away(copy: ObjectSync, *, deadline: float = math.inf) -> bool:
    """Delete a copy with its runs and all that is known of its records.

    Returns: whether it is done; the deadline is by the monotonic clock.
    """
    for model, way in MANY.items():
        # In no order: that of the index costs nothing, however many are left.
        rows = model._default_manager.filter(**{way: copy}).order_by()
        while some := list(rows.values_list("pk", flat=True)[:DELETED_AT_ONCE]):
            model._default_manager.filter(pk__in=some).delete()
            if time.monotonic() > deadline:
                return False
    parents = list(
        SyncRun.objects.filter(children__sync=copy).values_list("pk", flat=True)
    )
    # One of its own mappings may lead to itself, which protects it.
    AssociationMapping.objects.filter(sync=copy).delete()
    copy.delete()
    SyncRun.objects.filter(pk__in=parents, children=None).delete()
    return True


def _check(copy: ObjectSync, count: int) -> None:
    if RecordLink.objects.filter(sync=copy).count() < count:
        raise Moved
    if connection.vendor == "postgresql":
        # Else it takes the copy for empty, and goes through all of it for each record.
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {_quoted(RecordLink._meta.db_table)}")


def _parts(
    sync: ObjectSync, copy: ObjectSync, mappings: Mapping[int, int]
) -> list[Part]:
    into = {"sync_id": str(copy.pk)}
    twin, far = _twin(copy, "n"), _twin(copy, "f")
    near = "FROM {0} o JOIN {1} n ON n.id = o.link_id"
    # A link within the object leads to the far record's copy.
    other = f"CASE f.sync_id WHEN {sync.pk} THEN {far} ELSE o.other_id END"
    return [
        Part(RecordLink, into, "FROM {0} o WHERE o.sync_id = %s", sync.pk),
        Part(
            RecordKey,
            {**into, "link_id": twin},
            f"{near} WHERE n.sync_id = %s AND {twin} IS NOT NULL",
            sync.pk,
        ),
        *(
            Part(
                AssociationLink,
                {"mapping_id": str(its), "link_id": twin, "other_id": other},
                f"{near} LEFT JOIN {{1}} f ON f.id = o.other_id "
                f"WHERE o.mapping_id = %s AND {twin} IS NOT NULL "
                f"AND (f.id IS NULL OR f.sync_id <> {sync.pk} OR {far} IS NOT NULL)",
                mapping,
            )
            for mapping, its in sorted(mappings.items())
        ),
    ]


def _twin(copy: ObjectSync, alias: str) -> str:
    """The id of a record link's copy, as SQL; null where it has none."""
    table = _quoted(RecordLink._meta.db_table)
    by = (
        f"(SELECT c.id FROM {table} c "
        f"WHERE c.sync_id = {copy.pk} AND c.{name} = {alias}.{name})"
        for name in ("hubspot_id", "app_id")
    )
    return f"COALESCE({', '.join(by)})"


def _insert(part: Part, last: int) -> tuple[int, int] | None:
    """Insert the next rows of a part. Returns: the last one's id and how many there were."""
    meta = part.model._meta
    columns = [str(f.column) for f in meta.concrete_fields if not f.primary_key]
    table, records = _quoted(meta.db_table), _quoted(RecordLink._meta.db_table)
    names = ", ".join(_quoted(c) for c in columns)
    values = ", ".join(part.changes.get(c, f"o.{_quoted(c)}") for c in columns)
    source = part.source.format(table, records)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT max(id), count(*) FROM (SELECT o.id {source} AND o.id > %s "
            f"ORDER BY o.id LIMIT {AT_ONCE}) part",
            [part.pk, last],
        )
        end, count = cursor.fetchone()
        if not count:
            return None
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {values} {source} "
            "AND o.id > %s AND o.id <= %s ORDER BY o.id ON CONFLICT DO NOTHING",
            [part.pk, last, end],
        )
    return end, count


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
