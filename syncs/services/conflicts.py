"""Decide conflicts: take one side's value, or leave both as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import Count, QuerySet

from connections.catalogue import Code
from connections.records import Side
from syncs.models import Change, ObjectSync, RecordLink
from syncs.models.choices import ChangeOutcome
from syncs.run import review
from syncs.run.lease import Lease, LeaseBusy
from syncs.run.session import now
from syncs.run.store import update_rows
from syncs.services.runs import RunError

FIELDS_AT_ONCE = 500


def chosen(
    rows: QuerySet[Change], *, only: Sequence[int], take: Side | None
) -> QuerySet[Change]:
    """The changes to approve of those that wait: one of each field.

    Args: rows, what waits; only, the ids that a person named; take, whose values are
        taken where no id is named (HubSpot's, if not said).
    Raises: RunError for both values of one field, or where no field has that choice.
    """
    if only:
        if take is not None:
            raise RunError(
                Code.CONFLICT,
                "An id names its value already, so nothing is left to take.",
                remedy="Give the ids alone, or no id.",
            )
        _refuse_both(rows)
        return rows
    winner = take or Side.HUBSPOT
    found = rows.filter(side=winner.other)
    if not found.exists():
        raise RunError(
            Code.CONFLICT,
            f"No conflict that waits can be settled with the value of {winner}.",
            remedy="See approve conflicts --list.",
        )
    return found


def _refuse_both(rows: QuerySet[Change]) -> None:
    fields = rows.order_by().values("link", "mapping_key").annotate(rows=Count("pk"))
    double = next(iter(fields.filter(rows__gt=1)[:1]), None)
    if double is not None:
        both = rows.filter(link=double["link"], mapping_key=double["mapping_key"])
        one, other = both.order_by("pk").values_list("pk", flat=True)[:2]
        raise RunError(
            Code.CONFLICT,
            f"Changes {one} and {other} are the two values of one field.",
            remedy="Choose one of them.",
        )


def values_of(changes: Iterable[Change], winner: Side) -> list[int]:
    """The changes that would write one side's value of the fields some are about."""
    fields = {(change.link_id, change.mapping_key) for change in changes}
    rows = review.waiting().filter(
        side=winner.other, link__in={link_id for link_id, _ in fields}
    )
    return [r.pk for r in rows if (r.link_id, r.mapping_key) in fields]


def drop(rows: QuerySet[Change]) -> int:
    """Leave the fields that some choices are about as they are on both sides.

    Returns: how many fields. Raises: RunError while a run of a sync is going on, before
    anything of that sync was dropped.
    """
    dropped = 0
    syncs = rows.order_by().values_list("sync", flat=True).distinct()
    for sync in ObjectSync.objects.filter(pk__in=list(syncs)).select_related("app"):
        try:
            with Lease(sync):  # a run would write back whole rows that it read before
                dropped += _drop(rows.filter(sync=sync))
        except LeaseBusy as exc:
            raise RunError(Code.RUN_OPEN, f"{sync}: a run is going on.") from exc
    return dropped


def _drop(rows: QuerySet[Change]) -> int:
    dropped = 0
    while some := list(rows.order_by("pk")[:FIELDS_AT_ONCE]):
        ids = {row.link_id for row in some if row.link_id}
        fields = {(row.link_id, row.mapping_key) for row in some}
        with transaction.atomic():
            links = RecordLink.objects.in_bulk(ids)
            both: dict[int, list[Change]] = {}
            left: dict[int, list[str]] = {}
            for row in review.waiting().filter(link__in=ids):
                mine = (row.link_id, row.mapping_key) in fields
                if mine:
                    both.setdefault(row.link_id or 0, []).append(row)
                else:
                    left.setdefault(row.link_id or 0, []).append(row.mapping_key)
            for link_id, mine_rows in both.items():
                review.leave_as_it_is(links[link_id], mine_rows)
                review.restate(links[link_id], left.get(link_id, ()))
            names = ["baseline", "error_code", "error_text", "error_field"]
            update_rows(list(links.values()), names)
            done = [row.pk for rows in both.values() for row in rows]
            Change.objects.filter(pk__in=[*done, *(row.pk for row in some)]).update(
                outcome=ChangeOutcome.DROPPED,
                error_text="Left as it is by a person.",
                done_at=now(),
            )
        dropped += len(fields)
    return dropped
