"""What people see of a record."""

from __future__ import annotations

from syncs.models import RecordLink


def show(link: RecordLink) -> str:
    """What people see of a record: a name if it has one, else its id."""
    for values in (link.hubspot_values, link.app_values):
        named = next(
            (
                str(v)
                for k, v in values.items()
                if v and isinstance(v, str) and "name" in k.lower()
            ),
            "",
        )
        mail = next(
            (str(v) for k, v in values.items() if v and "email" in k.lower()), ""
        )
        if mail or named:
            return (mail or named)[:300]
    return (link.hubspot_id or link.app_id or "")[:300]
