"""The rows of planned changes as they are sent and answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Count

from connections.records import Side
from syncs.models import Change
from syncs.models.choices import ChangeKind, ChangeOutcome
from syncs.run.session import Session, now
from syncs.run.store import update_rows
from syncs.run.undoing import mark_reverted

FRESH = timedelta(seconds=60)  # a record read longer ago is read again before a write


def note_planned(session: Session) -> int:
    """Look what there is to write, so that nobody asks for what there is none of.

    To be called again when more was planned. Returns: how many changes.
    """
    rows = (
        Change.objects.filter(run=session.run, outcome=ChangeOutcome.PLANNED)
        .values_list("kind", "side")
        .annotate(count=Count("pk"))
        .order_by()
    )
    session.planned = {(kind, side): count for kind, side, count in rows}
    return sum(session.planned.values())


def planned(
    session: Session, size: int, side: Side, *kinds: ChangeKind, **where: Any
) -> Iterator[list[Change]]:
    """The run's planned changes of some kinds, some at a time."""
    if not any((kind, side) in session.planned for kind in kinds):
        return
    last = 0
    while True:
        rows = list(
            Change.objects.filter(
                run=session.run,
                outcome=ChangeOutcome.PLANNED,
                side=side,
                kind__in=kinds,
                pk__gt=last,
                **where,
            ).order_by("pk")[:size]
        )
        if not rows:
            return
        last = rows[-1].pk
        yield rows


def save_changes(changes: Sequence[Change]) -> None:
    """Write outcomes back."""
    update_rows(
        changes,
        [
            "outcome",
            "error_code",
            "error_text",
            "correlation_id",
            "sent_at",
            "done_at",
            "reserved_id",
            "after",
            "answered",
            "undoable",
            "undo_text",
        ],
    )
    mark_reverted(changes)


def close(
    change: Change, outcome: ChangeOutcome, code: str = "", text: str = ""
) -> None:
    """Give a change its outcome (in memory)."""
    change.outcome = outcome
    change.error_code, change.error_text = code, text
    change.done_at = now()
