"""What one change wrote or would write, for people."""

from __future__ import annotations

from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from connections.records import Side
from connections.templatetags.crosslink import shown
from syncs.models import Change
from syncs.models.choices import ChangeKind

SHOWN, LONG = 3, 60  # fields of a change in a list, characters of a value
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


def moves(change: Change) -> SafeString:
    """The first of its fields, for a list: before and after, or what is new."""
    every = details(change)
    rows, left = every[:SHOWN], len(every) - SHOWN
    new = change.kind == ChangeKind.CREATE
    told = [
        (
            row["name"],
            "" if new else f"{shown(row['before'])[:LONG]} → ",
            shown(row["after"])[:LONG],
        )
        for row in rows
    ]
    found = format_html_join("", "<div><code>{}</code> {}{}</div>", told)
    if left > 0:
        found += format_html('<div class="cl-quiet">and {} more</div>', left)
    return found


def _types(types: Any) -> list[str]:
    return [f"{category} {type_id}" for category, type_id in types or ()]
