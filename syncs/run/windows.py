"""Whether our rows have what a window of change times shows on a side."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import BigIntegerField, Count, F, Func, Q, QuerySet, Sum
from django.db.models.fields.json import KeyTransform

from connections.records import Side, Window
from syncs.models import RecordLink
from syncs.run.session import Session

WINDOWS = (
    "windows"  # in a sync's read_state: {side: the window that agreed with our rows}
)


class Microseconds(Func):
    """A stored time as microseconds since 1970, less a number of whole seconds.

    SQLite keeps times as text, and cannot add up as many whole ones as PostgreSQL can.
    """

    output_field = BigIntegerField()

    def __init__(self, expression: Any, since_s: int) -> None:
        super().__init__(expression, since=since_s)

    def as_sqlite(self, compiler: Any, connection: Any, **more: Any) -> Any:
        # The text is "2026-01-31 12:00:00.123456", or ends with the second.
        text = "%(expressions)s"
        return self.as_sql(
            compiler,
            connection,
            template=f"((CAST(strftime('%%%%s', substr({text}, 1, 19)) AS INTEGER) "
            f"- %(since)d) * 1000000 + CAST(substr({text}, 21, 6) AS INTEGER))",
            **more,
        )

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        return self.as_sql(
            compiler,
            connection,
            template="((extract(epoch FROM %(expressions)s) - %(since)d) * 1000000)"
            "::bigint",
            **more,
        )


def note_of(
    session: Session, window: Window, after: datetime, until: datetime
) -> list[Any] | None:
    """What is kept of a window that agrees with our rows; None where little tells."""
    if window.stamps is None:
        return None
    ends = [after.isoformat(), until.isoformat()]
    return [session.sync.revision, *ends, window.count, str(window.stamps)]


def known_well(
    session: Session, side: Side, window: Window, *, after: datetime, until: datetime
) -> bool:
    """Whether our rows have what a window shows: neither a record nor a change is missed.

    A change that became visible late may lie in the window beside one known before. A
    window that is as it was when it last agreed is not added up again: one statement may
    have given a million rows the same time.
    """
    note = note_of(session, window, after, until)
    if note is not None and session.sync.read_state.get(WINDOWS, {}).get(side) == note:
        return True
    known = known_in(session, side, after=after, until=until)
    at = f"{side}_modified_at"
    if window.stamps is None:
        if known.count() != window.count:
            return False
    else:
        since_s = int(after.timestamp())
        found = known.aggregate(
            count=Count("pk"), stamps=Sum(Microseconds(F(at), since_s))
        )
        stamps = int(found["stamps"] or 0) + found["count"] * since_s * 1_000_000
        if (found["count"], stamps) != (window.count, window.stamps):
            return False
    seen = dict(
        known.filter(**{f"{side}_id__in": list(window.newest)}).values_list(
            f"{side}_id", at
        )
    )
    return all(seen.get(i) == stamp for i, stamp in window.newest.items())


def known_in(
    session: Session, side: Side, *, after: datetime, until: datetime
) -> QuerySet[RecordLink]:
    """Links whose record should show in a window: those that are archived by a field
    are there, too."""
    there = Q(
        **{f"{side}_gone_at__isnull": True, f"{side}_vanished_at__isnull": True},
    )
    rows = RecordLink.objects.filter(
        sync=session.sync,
        **{
            f"{side}_modified_at__gt": after,
            f"{side}_modified_at__lte": until,
            f"{side}_id__isnull": False,
        },
    )
    declared = session.sync.archive.get(side)
    if declared is not None:
        rows = rows.alias(archived=KeyTransform(declared["field"], f"{side}_values"))
        there |= Q(archived=declared["value"])
    return rows.filter(there)
