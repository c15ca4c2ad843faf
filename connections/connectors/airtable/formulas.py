"""Formulas to filter records by.

Source: https://support.airtable.com/docs/formula-field-reference
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime


def quoted(text: str) -> str:
    """A text literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    for character, word in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        escaped = escaped.replace(character, word)
    return f"'{escaped}'"


def field(field_id: str) -> str:
    return f"{{{field_id}}}"


def any_of_ids(ids: Iterable[str]) -> str:
    return f"OR({','.join(f'RECORD_ID()={quoted(i)}' for i in ids)})"


def moment(at: datetime) -> str:
    text = at.astimezone(UTC).isoformat(timespec="milliseconds")
    return f"DATETIME_PARSE({quoted(text.replace('+00:00', 'Z'))})"


def between(field_id: str, after: datetime, until: datetime | None) -> str:
    """Times later than `after` and not later than `until`."""
    late = f"IS_AFTER({field(field_id)},{moment(after)})"
    if until is None:
        return late
    return f"AND({late},NOT(IS_AFTER({field(field_id)},{moment(until)})))"


def blank(field_id: str) -> str:
    return f"{field(field_id)}=BLANK()"


def created_since(since: datetime) -> str:
    return f"NOT(IS_BEFORE(CREATED_TIME(),{moment(since)}))"
