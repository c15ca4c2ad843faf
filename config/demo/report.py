"""What the demo prints: a table of what happened, and what became of what was planted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connections.sandbox.seeds import business
from syncs.models import RecordLink
from syncs.models.choices import RecordState

COLUMNS = (
    "app",
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
    """A run's report as a table, app by app."""
    order = {name: at for at, name in enumerate(business.APPS)}
    syncs = sorted(report["syncs"], key=lambda sync: order.get(sync["app"], len(order)))
    rows = [COLUMNS, *(_row(sync) for sync in syncs)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    for row in rows:
        yield "  ".join(
            text.ljust(width) for text, width in zip(row, widths, strict=True)
        )
    yield ""
    kinds = ", ".join(f"{name}: {kind}" for name, kind in business.APPS.items())
    yield f"Numbers with a slash are HubSpot / the app ({kinds})."


def _row(sync: dict[str, Any]) -> tuple[str, ...]:
    links = sync["associations"]
    return (
        sync["app"],
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
        f"{sync['app']} {sync['sync']} {sync['status']}: {sync['errors']}"
        for sync in report["syncs"]
        if sync["status"] not in ("succeeded", "partial")
    ]
    bad = (RecordState.FAILING, RecordState.UNCERTAIN)
    rows = RecordLink.objects.filter(sync__app__name__in=business.APPS, state__in=bad)
    failing: dict[tuple[str, str], set[str]] = {}
    for row in rows.select_related("sync__app"):
        key = (row.sync.app.name, row.sync.name)
        failing.setdefault(key, set()).add(str(_key(row)))
    wanted = business.failing()
    for key in sorted(failing.keys() | wanted):
        held, planned = failing.get(key, set()), wanted.get(key, set())
        if held != planned:
            where = " ".join(key)
            found.append(f"{where}: failing are {sorted(held)}, not {sorted(planned)}")
    return found


def _key(link: RecordLink) -> object:
    """What a person knows a record by, whichever side has it."""
    values = link.hubspot_values or link.app_values
    names = ("email", "Email", "domain", "Website")
    return next((values[name] for name in names if values.get(name)), link)
