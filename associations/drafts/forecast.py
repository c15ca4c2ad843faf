"""What the runs of a draft will cost: calls, their share of what is allowed, and time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

from associations.drafts.looking import Look
from associations.drafts.sampling import sample
from connections import services
from connections.connectors.base import ConnectorError
from connections.connectors.registry import KINDS, capabilities
from connections.models import RateBudget
from connections.quotas import DAY, Quota, quotas_of
from connections.records import Side, Want
from syncs.models import SyncDraft, SyncRun

Json = dict[str, Any]
LINKS_A_CALL = 1_000  # record ids whose links HubSpot tells at once
LEAST_A_DAY = 250_000  # calls that HubSpot allows an account's private apps, at least
CALL_S = 0.15  # seconds that a call takes where nothing limits it
MONTH_S = 30 * 86_400
QUIET_CALLS = 2  # to an app whose change log or index tells that nothing changed
LONG_AGO = datetime(1990, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cost:
    """One system's part; `share` is of the day's calls, None where none are counted."""

    system: str
    records: int | None
    reading: int
    links: int
    writing: int
    seconds: float
    share: float | None = None

    @property
    def calls(self) -> int:
        return self.reading + self.links + self.writing


# Counting --------------------------------------------------------------------------------


def measure(draft: SyncDraft, look: Look) -> None:
    """Count both sides' records in as few calls as that takes, and keep the numbers.

    A side that cannot count is read in part: its number is "at least".
    Raises: ConnectorError.
    """
    found: Json = {}
    for side in Side:
        count = _counted(draft, look, side)
        if count is not None:
            found[side.value] = {"count": count, "exact": True}
    if len(found) < len(Side):
        zone = look.settled.timezone if look.settled else "UTC"
        samples = sample(draft.app, look.objects, dict.fromkeys(Side, ()), zone)
        for side, one in samples.items():
            read = {"count": len(one.records), "exact": one.complete}
            found.setdefault(side.value, read)
    draft.findings = draft.findings | {"counts": found}
    draft.save(update_fields=["findings"])


def _counted(draft: SyncDraft, look: Look, side: Side) -> int | None:
    """The records of a side, by one call; None where no call tells."""
    obj, app = look.objects[side], draft.app
    cursor = str(draft.tree.get("app_cursor") or "")
    changed = "" if cursor == "none" else cursor or obj.changed_field
    opened = (
        services.open_hubspot(app.hubspot)
        if side is Side.HUBSPOT
        else services.open_app(app)
    )
    with closing(opened) as connector:
        if not connector.capabilities.changes or (side is Side.APP and not changed):
            return None
        want = Want(changed_field=changed if side is Side.APP else "")
        try:
            window = connector.window(
                obj, want, after=LONG_AGO, until=datetime.now(UTC)
            )
        except ConnectorError:
            return None
        return window.count + window.unstamped


# Cost ------------------------------------------------------------------------------------


def forecast(
    draft: SyncDraft, look: Look, preview: SyncRun | None, *, rereads: Collection[Side]
) -> list[Cost]:
    """What the next run will cost, by system.

    Args: rereads, the sides of which it reads every record; preview, a finished dry run of
        this draft, which knows what is to be written.
    """
    if look.settled is None:
        return []
    counts = {s: _known(draft, s) for s in Side}
    reads = {s: (counts[s] or 0) if s in rereads else 0 for s in Side}
    app = capabilities(draft.app.kind)
    hubspot = capabilities("hubspot")
    writes = _writes(draft, preview)
    # A page holds as many records as one read by ids.
    pages = {
        Side.HUBSPOT: ceil(reads[Side.HUBSPOT] / hubspot.fetch_batch),
        Side.APP: ceil(reads[Side.APP] / app.fetch_batch),
    }
    sweeps = len(look.settled.associations)
    links = sweeps * ceil((counts[Side.HUBSPOT] or 0) / LINKS_A_CALL)
    batches = {
        Side.HUBSPOT: sum(ceil(n / hubspot.write_batch) for n in writes[Side.HUBSPOT]),
        Side.APP: sum(ceil(n / app.write_batch) for n in writes[Side.APP]),
    }
    account = draft.app.hubspot
    pace = account.requests_per_10s / 10
    total = pages[Side.HUBSPOT] + links + batches[Side.HUBSPOT]
    return [
        Cost(
            "HubSpot",
            counts[Side.HUBSPOT],
            pages[Side.HUBSPOT],
            links,
            batches[Side.HUBSPOT],
            total * max(1 / pace, CALL_S),
            100 * total / LEAST_A_DAY,
        ),
        app_cost(draft, counts[Side.APP], pages[Side.APP], batches[Side.APP]),
    ]


def app_cost(draft: SyncDraft, count: int | None, reading: int, writing: int) -> Cost:
    """The app's part: calls at its pace, and their share of what it has a day."""
    kind = KINDS.get(draft.app.kind)
    pace = kind.per_second if kind is not None else None
    pace = draft.app.settings.get("requests_per_second") or pace
    each = max(1 / float(pace), CALL_S) if pace else CALL_S
    calls = reading + writing
    (quota,) = quotas_of(draft.app, [""]).values() or [None]
    daily = quota is not None and quota.span == DAY and quota.most
    share = 100 * calls / daily if daily else None
    return Cost(draft.app.name, count, reading, 0, writing, calls * each, share)


def _known(draft: SyncDraft, side: Side) -> int | None:
    found = (draft.findings.get("counts") or {}).get(side.value)
    return int(found["count"]) if found else None


def _writes(draft: SyncDraft, preview: SyncRun | None) -> Mapping[Side, list[int]]:
    """How much there is to write by kind: what a preview found, else what the key lab
    leaves without a pair."""
    if preview is not None:
        work = preview.counters
        links = work.get("associations", {})
        return {
            side: [
                *(int(work.get(k, {}).get(side, 0)) for k in _KINDS),
                *(int(links.get(k, {}).get(side, 0)) for k in _LINKS),
            ]
            for side in Side
        }
    lab = draft.findings.get("lab")
    if not lab:
        return {side: [0] for side in Side}
    creates = str(draft.tree.get("creates", "both"))
    return {
        side: [
            max(lab["sides"][side.other]["read"] - lab["pairs"], 0)
            if creates in ("both", f"to_{side}")
            else 0
        ]
        for side in Side
    }


_KINDS = ("created", "updated", "archived")
_LINKS = ("added", "removed", "changed")


def used_today(draft: SyncDraft) -> int:
    """Calls to HubSpot that this installation made today."""
    rows = RateBudget.objects.filter(
        key=f"hubspot:{draft.app.hubspot_id}", day=datetime.now(UTC).date()
    )
    return sum(row.used_today for row in rows if row.bucket != "associations")


def quota_of_app(draft: SyncDraft, look: Look) -> Quota | None:
    """What the app's object has used; None where its kind counts no calls."""
    obj = look.objects[Side.APP]
    return quotas_of(draft.app, [obj.id]).get(obj.id)


def quiet_month(look: Look) -> int | None:
    """The app's calls of a month in which nothing changes; None without a schedule."""
    every_s = look.settled.every_s if look.settled is not None else None
    return ceil(MONTH_S / every_s) * QUIET_CALLS if every_s else None
