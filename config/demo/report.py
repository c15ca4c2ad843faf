"""What the demo prints: a table of what happened, and what became of what was planted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connections.sandbox.seeds import business
from syncs.models import RecordLink
from syncs.models.choices import RecordState

COLUMNS = (
    "sync",
    "status",
    "read",
    "matched",
    "in sync",
    "created",
    "updated",
    "links +",
    "pending",
    "failing",
)


def lines(report: dict[str, Any]) -> Iterator[str]:
    """A run's report as a table; pairs are HubSpot/PostgreSQL."""
    rows = [COLUMNS, *(_row(sync) for sync in report["syncs"])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    for row in rows:
        yield "  ".join(
            text.ljust(width) for text, width in zip(row, widths, strict=True)
        )
    yield ""
    yield "Numbers with a slash are HubSpot / PostgreSQL."


def _row(sync: dict[str, Any]) -> tuple[str, ...]:
    links = sync["associations"]
    return (
        sync["sync"],
        sync["status"],
        _both(sync["read"]),
        str(sync["matched"]),
        str(sync["in_sync"]),
        _both(sync["created"]),
        _both(sync["updated"]),
        _both(links["added"]),
        str(links["pending"]),
        str(sync["failing"] + links["failing"]),
    )


def _both(counts: dict[str, int]) -> str:
    return f"{counts['hubspot']}/{counts['app']}"


def planted() -> Iterator[str]:
    """What was planted and how it was handled."""
    yield "Planted in the data, and what became of it:"
    for oddity in business.oddities():
        yield f"  - {oddity.what}:"
        yield f"      {oddity.handled}."


def surprises(report: dict[str, Any]) -> list[str]:
    """What is not as the demo plants it; [] where all is."""
    found = [
        f"{sync['sync']} {sync['status']}: {sync['errors']}"
        for sync in report["syncs"]
        if sync["status"] not in ("succeeded", "partial")
    ]
    for name, keys in business.failing().items():
        rows = RecordLink.objects.filter(
            sync__name=name,
            sync__app__name="Operations",
            state__in=(RecordState.FAILING, RecordState.UNCERTAIN),
        )
        failing = {str(_key(row)) for row in rows}
        if failing != keys:
            found.append(f"{name}: failing are {sorted(failing)}, not {sorted(keys)}")
    return found


def _key(link: RecordLink) -> object:
    values = link.hubspot_values or link.app_values
    return values.get("email") or values.get("domain") or link
