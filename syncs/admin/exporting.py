"""Changes as a CSV file: a line for each field or link that was, or would be, written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from django.db.models import Prefetch, QuerySet
from django.utils.timezone import localtime

from connections.templatetags.crosslink import shown
from syncs.admin.details import details, side_name
from syncs.models import Change, RecordLink

BATCH = 1000  # changes read together
COLUMNS = (
    "run",
    "change",
    "crm sync",
    "written to",
    "kind",
    "record",
    "hubspot id",
    "app id",
    "linked record",
    "linked hubspot id",
    "linked app id",
    "association type",
    "field",
    "before",
    "after",
    "reason",
    "rule",
    "outcome",
    "code",
    "text",
    "can be undone",
    "planned at",
    "done at",
)


def change_rows(
    parts: Iterable[QuerySet[Change]], *, newest_first: bool = False
) -> Iterator[Sequence[str]]:
    """The head, then the rows of all changes, part after part."""
    yield COLUMNS
    for part in parts:
        for change in _each(part, newest_first=newest_first):
            yield from _rows(change)


def _each(rows: QuerySet[Change], *, newest_first: bool) -> Iterator[Change]:
    """Changes in order, a batch at a time: a million are never held together."""
    ends = RecordLink.objects.only("hubspot_id", "app_id")
    rows = rows.order_by("-pk" if newest_first else "pk").prefetch_related(
        "sync__app", Prefetch("link", ends), Prefetch("other_link", ends)
    )
    after = "pk__lt" if newest_first else "pk__gt"
    some = list(rows[:BATCH])
    while some:
        yield from some
        if len(some) < BATCH:
            return
        some = list(rows.filter(**{after: some[-1].pk})[:BATCH])


def _rows(change: Change) -> Iterator[Sequence[str]]:
    first = (
        str(change.run_id),
        str(change.pk),
        str(change.sync),
        side_name(change),
        change.get_kind_display(),
        change.record,
        *_ids(change.link),
        change.other_record,
        *_ids(change.other_link),
        change.association_type,
    )
    last = (
        change.reason,
        change.rule,
        change.get_outcome_display(),
        change.error_code,
        change.error_text,
        "yes" if change.undoable else f"no: {change.undo_text}",
        _at(change.created_at),
        _at(change.done_at),
    )
    found = details(change)
    for row in found:
        yield (
            *first,
            str(row["name"]),
            _text(row["before"]),
            _text(row["after"]),
            *last,
        )
    if not found:
        yield (*first, "", "", "", *last)


def _text(value: object) -> str:
    """A value as the pages show it, but a blank is blank."""
    return "" if value is None or value in ("", [], {}) else shown(value)


def _ids(link: RecordLink | None) -> tuple[str, str]:
    return (link.hubspot_id or "", link.app_id or "") if link else ("", "")


def _at(moment: datetime | None) -> str:
    return localtime(moment).isoformat(timespec="seconds") if moment else ""
