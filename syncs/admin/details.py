"""What one change wrote or would write, for people."""

from __future__ import annotations

from typing import Any

from connections.records import Side
from syncs.models import Change
from syncs.models.choices import ChangeKind

LINK_KINDS = (ChangeKind.LINK, ChangeKind.UNLINK, ChangeKind.RELABEL)


def side_name(change: Change) -> str:
    """HubSpot, or the app by its name."""
    if change.side == Side.HUBSPOT:
        return "HubSpot"
    return str(change.sync.app)


def details(change: Change) -> list[dict[str, Any]]:
    """What a change wrote, a field a row: before, after; what it was decided from last."""
    if change.kind in LINK_KINDS:
        return _link_details(change)
    names = [*change.before, *(n for n in change.after if n not in change.before)]
    return [
        {"name": n, "before": change.before.get(n), "after": change.after.get(n)}
        for n in names
    ]


def _link_details(change: Change) -> list[dict[str, Any]]:
    """For a link: its association types in HubSpot, or the app's reference field."""
    before, after = change.before, change.after
    if change.side == Side.APP:
        linked = change.other_record if change.kind != ChangeKind.UNLINK else None
        name = str(after.get("field") or before.get("field") or "reference")
        return [{"name": name, "before": before.get("ids"), "after": linked}]
    rows: list[dict[str, Any]] = [
        {
            "name": "association types",
            "before": before.get("shown") or _types(before.get("types")),
            "after": after.get("shown") or _types(after.get("types")),
        }
    ]
    if after.get("inline"):
        rows.append({"name": "sent", "before": [], "after": "with the new record"})
    return rows


def _types(types: Any) -> list[str]:
    return [f"{category} {type_id}" for category, type_id in types or ()]
