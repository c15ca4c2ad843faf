"""Small words for the admin's own pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from connections.catalogue import meaning_of, remedy_for
from connections.models import RateBudget

register = template.Library()

GOOD, BAD, WARN, BUSY, PLAIN = "good", "bad", "warn", "busy", "plain"
TONES: Mapping[str, str] = {
    "succeeded": GOOD,
    "in_sync": GOOD,
    "applied": GOOD,
    "on": GOOD,
    "ok": GOOD,
    "failed": BAD,
    "failing": BAD,
    "uncertain": BAD,
    "error": BAD,
    "partial": WARN,
    "held": WARN,
    "drifted": WARN,
    "pending": WARN,
    "waiting": WARN,
    "paused": WARN,
    "warning": WARN,
    "running": BUSY,
    "queued": BUSY,
    "sent": BUSY,
}


@register.simple_tag
def badge(value: str, label: str = "") -> SafeString:
    """A state as a coloured word; the word says all, the colour repeats it."""
    tone = TONES.get(value, PLAIN)
    text = label or value.replace("_", " ").capitalize()
    return format_html('<span class="cl-badge cl-{}">{}</span>', tone, text)


@register.filter
def meaning(code: str) -> str:
    """What a code of the catalogue means."""
    return meaning_of(code)


@register.filter
def remedy(code: str) -> str:
    """What to do about a code of the catalogue."""
    return remedy_for(code)


@register.filter
def shown(value: Any) -> str:
    """A canonical value for people: a blank is a dash, a list its members."""
    if value is None or value in ("", [], {}):
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@register.simple_tag
def calls_today(budget: RateBudget) -> int:
    """Calls made today; the row keeps the count of the last day that had any."""
    today = datetime.now(UTC).date()
    return budget.used_today if budget.day == today else 0


def ago(moment: datetime) -> str:
    """How long ago something was, as lists say it."""
    if (timezone.now() - moment).total_seconds() < 60:
        return "a moment ago"
    return f"{timesince(moment, depth=1)} ago"


@register.filter
def spoken(seconds: float) -> str:
    """A length of time as people say it: "40 s", "3 min", "2 h"."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{max(round(seconds), 1)} s"
