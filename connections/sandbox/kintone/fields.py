"""An app's form: which fields it has, and what values each of them takes.

Source: https://kintone.dev/en/docs/kintone/overview/field-types/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

Json = dict[str, Any]

TEXTS = ("SINGLE_LINE_TEXT", "MULTI_LINE_TEXT", "RICH_TEXT", "LINK")
LISTS = ("CHECK_BOX", "MULTI_SELECT")
CHOICES = ("RADIO_BUTTON", "DROP_DOWN")
PEOPLE = ("USER_SELECT", "ORGANIZATION_SELECT", "GROUP_SELECT")
WRITABLE = (
    *TEXTS,
    *LISTS,
    *CHOICES,
    *PEOPLE,
    "NUMBER",
    "DATE",
    "TIME",
    "DATETIME",
    "FILE",
    "SUBTABLE",
)
# The fields that every app has; their codes are a language's, and can be changed.
SYSTEM = {
    "Record_number": "RECORD_NUMBER",
    "Created_by": "CREATOR",
    "Created_datetime": "CREATED_TIME",
    "Updated_by": "MODIFIER",
    "Updated_datetime": "UPDATED_TIME",
}
NOT_STORED = (*SYSTEM.values(), "CALC", "REFERENCE_TABLE", "GROUP", "STATUS")
_TIME = re.compile(r"([01]?\d|2[0-3]):[0-5]\d")
_ADDRESS = {
    "WEB": re.compile(r"(https?|ftp)://\S+"),
    "MAIL": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+"),
    "CALL": re.compile(r"[0-9A-Za-z()+*#,;. -]+"),
}


class Bad(Exception):
    """A value that a field does not take."""


def completed(code: str, given: Json) -> Json:
    """A field's definition with what the form sets by itself."""
    kind = given["type"]
    found: Json = {"code": code, "label": code, "noLabel": False} | deepcopy(given)
    if kind in WRITABLE and kind != "SUBTABLE":
        found.setdefault("required", False)
    if kind in ("SINGLE_LINE_TEXT", "NUMBER", "LINK", "DATE", "DATETIME"):
        found.setdefault("unique", False)
    if kind in ("SINGLE_LINE_TEXT", "LINK"):
        found = {"minLength": "", "maxLength": ""} | found
    if kind == "LINK":
        found.setdefault("protocol", "WEB")
    if kind == "NUMBER":
        found = {"minValue": "", "maxValue": "", "displayScale": ""} | found
    if isinstance(found.get("options"), list):
        found["options"] = {
            word: {"label": word, "index": str(place)}
            for place, word in enumerate(found["options"])
        }
    if kind in WRITABLE and kind not in ("SUBTABLE", "FILE"):
        found.setdefault("defaultValue", _first(found))
    if kind == "SUBTABLE":
        inner = found.get("fields", {})
        found["fields"] = {c: completed(c, f) for c, f in inner.items()}
    return found


def _first(field: Json) -> Any:
    kind = field["type"]
    if kind in (*LISTS, *PEOPLE):
        return []
    if kind == "RADIO_BUTTON":
        return next(iter(field.get("options", {})), "")
    return ""


def blank(field: Json) -> Any:
    """What a field holds that holds nothing."""
    kind = field["type"]
    if kind in (*LISTS, *PEOPLE, "FILE", "SUBTABLE"):
        return []
    if kind in ("DROP_DOWN", "DATE", "TIME", "DATETIME"):
        return None
    return ""


def stored(properties: Json) -> Iterator[tuple[str, Json]]:
    """The fields that a record's values are kept of."""
    for code, field in properties.items():
        if field["type"] not in NOT_STORED:
            yield code, field


def taken(field: Json, value: Any, *, inside: bool = False) -> Any:
    """A value as the field keeps it.

    Args: inside, whether the field is a column of a subtable, where a number that is
        none becomes nothing and no one is told.
    Raises: Bad.
    """
    kind = field["type"]
    if value is None or value == "" or value == []:
        if kind == "RADIO_BUTTON":
            return field.get("defaultValue") or _first(field)
        return blank(field)
    if kind in TEXTS:
        return _text(field, value)
    if kind in CHOICES:
        return _choice(field, value)
    if kind in LISTS:
        if not isinstance(value, list):
            raise Bad("An array is required.")
        return list(dict.fromkeys(_choice(field, word) for word in value))
    if kind in PEOPLE:
        return [{"code": p["code"], "name": p["code"].title()} for p in value]
    if kind == "NUMBER":
        return _number(field, value, inside=inside)
    if kind == "DATE":
        return _date(value)
    if kind == "TIME":
        if not _TIME.fullmatch(str(value)):
            raise Bad("The value is not a time.")
        return str(value).zfill(5)
    if kind == "DATETIME":
        return _moment(value)
    return value


def _text(field: Json, value: Any) -> str:
    text = str(value)
    least, most = field.get("minLength"), field.get("maxLength")
    if most and len(text) > int(most):
        raise Bad(f"Enter within {most} characters.")
    if least and len(text) < int(least):
        raise Bad(f"Enter at least {least} characters.")
    if field["type"] == "LINK" and not _ADDRESS[field["protocol"]].fullmatch(text):
        raise Bad("The format is incorrect.")
    return text


def _choice(field: Json, value: Any) -> str:
    if value not in field.get("options", {}):
        raise Bad(f'The value, "{value}", is not in options.')
    return str(value)


def _number(field: Json, value: Any, *, inside: bool) -> str:
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        if inside:
            return ""
        raise Bad("Only numbers are allowed.")
    low, high = field.get("minValue"), field.get("maxValue")
    if (low and found < Decimal(low)) or (high and found > Decimal(high)):
        raise Bad(f"The value must be between {low or 'any'} and {high or 'any'}.")
    return str(value)


def _date(value: Any) -> str:
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise Bad("The value is not a date.") from None


def _moment(value: Any) -> str:
    try:
        at = datetime.fromisoformat(str(value))
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Bad("The value is not a date and time.") from None
    return f"{at.replace(tzinfo=None).isoformat(timespec='minutes')}:00Z"
