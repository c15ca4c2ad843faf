"""Values between Kintone's JSON and ours, and what a field does not take. Pure.

Source: https://kintone.dev/en/docs/kintone/overview/field-types/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connections.catalogue import Code
from connections.connectors.kintone.forms import PEOPLE, PERSON, TYPES, one_option
from connections.records import Canon, Raw

Json = Mapping[str, Any]
NULLED = ("DROP_DOWN", "DATE", "TIME", "DATETIME")
LISTS = ("CHECK_BOX", "MULTI_SELECT", *PEOPLE)
CHOICES = ("RADIO_BUTTON", "DROP_DOWN", "CHECK_BOX", "MULTI_SELECT")
_NUMERAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d+)?", re.IGNORECASE)


class Refused(Exception):
    """A value that its field does not take."""

    def __init__(self, code: Code, message: str, field: str) -> None:
        super().__init__(message)
        self.code, self.message, self.field = code, message, field


def from_wire(value: Any, kind: str, *, boolean: bool) -> Raw:
    """A cell's value as one of the raw values. Args: boolean, for a one-option box."""
    if boolean:
        return bool(value)
    if kind in PEOPLE:
        return [str(person.get("code")) for person in value or ()]
    if kind in PERSON:
        return str(value["code"]) if value else None
    if isinstance(value, list):
        return [str(part) for part in value]
    return None if value in (None, "") else str(value)


def to_wire(value: Canon, definition: Json) -> Any:
    """A canonical value as its field takes it; what clears it for a blank."""
    kind = str(definition["type"])
    if single := one_option(definition):
        return [single] if value is True else []
    if value is None or value == []:
        return [] if kind in LISTS else None if kind in NULLED else ""
    if kind in PEOPLE:
        return [{"code": code} for code in _listed(value)]
    if kind in LISTS:
        return _listed(value)
    if kind == "DATETIME":
        return f"{str(value)[:16]}:00Z"  # canonical times are UTC
    return value


def _listed(value: Canon) -> list[str]:
    return list(value) if isinstance(value, list) else [str(value)]


def check(name: str, value: Canon, definition: Json) -> None:
    """Refuse what Kintone would refuse, without splitting a batch over it.

    Raises: Refused.
    """
    kind = str(definition["type"])
    row = TYPES.get(kind)
    if row is None or row.why_not:
        raise Refused(Code.FIELD_READ_ONLY, f"{name} cannot be written.", name)
    if value is None or value == []:
        if definition.get("required") and not one_option(definition):
            raise Refused(Code.REQUIRED_MISSING, f"{name} must have a value.", name)
        return
    if one_option(definition):
        if not isinstance(value, bool):
            raise _odd(name, value, "neither true nor false")
        return
    words = _listed(value)
    if any("\0" in word for word in words):
        raise _odd(name, value, "text with a NUL character")
    if kind in CHOICES:
        known = definition.get("options") or {}
        if odd := [word for word in words if word not in known]:
            raise Refused(
                Code.OPTION_UNKNOWN, f"{name} has no option {odd[0]!r}.", name
            )
    elif kind == "NUMBER":
        _check_number(name, words[0], definition)
    elif kind in ("DATE", "DATETIME"):
        _check_time(name, words[0], dated=kind == "DATE")
    most = str(definition.get("maxLength") or "")
    if most.isdigit() and any(len(word) > int(most) for word in words):
        raise Refused(Code.VALUE_TOO_LONG, f"{name} holds {most} characters.", name)


def _check_number(name: str, word: str, definition: Json) -> None:
    if not _NUMERAL.fullmatch(word):
        raise _odd(name, word, "not a number")
    low, high = definition.get("minValue"), definition.get("maxValue")
    found = Decimal(word)
    if (low and found < Decimal(low)) or (high and found > Decimal(high)):
        raise _odd(name, word, f"not from {low or 'any'} to {high or 'any'}")


def _check_time(name: str, word: str, *, dated: bool) -> None:
    try:
        date.fromisoformat(word) if dated else datetime.fromisoformat(word)
    except ValueError:
        raise _odd(name, word, "no date" if dated else "no time") from None


def _odd(name: str, value: object, what: str) -> Refused:
    shown = str(value)[:60]
    return Refused(Code.VALUE_INVALID, f"{name}: {shown!r} is {what}.", name)


def moment(text: object) -> datetime | None:
    """A time as Kintone writes it; None if it is none."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def key_text(cell: Json | None) -> str:
    """A key as it is compared: numbers however they are spelled, texts exactly."""
    value = (cell or {}).get("value")
    text = "" if value is None else str(value)
    if (cell or {}).get("type") != "NUMBER" or not text:
        return text
    try:
        return f"{Decimal(text).normalize():f}"
    except InvalidOperation:
        return text
