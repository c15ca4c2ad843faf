"""What a property accepts, and the form in which it keeps it.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/properties
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connections.sandbox.clock import iso
from connections.sandbox.hubspot.errors import ApiError

Json = dict[str, Any]
MAX_TEXT = 65_536  # characters
DAY_MS = 86_400_000
EMAIL = re.compile(r"[^@\s,;<>()\"]+@[^@\s,;<>()\".]+(\.[^@\s,;<>()\".]+)+")


class Refusal(Exception):
    """One value that one property does not take."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def refused(refusals: dict[str, Refusal]) -> ApiError:
    """Return the 400 for the values that a record's properties refused."""
    details = [
        {
            "isValid": False,
            "message": refusal.message,
            "error": refusal.code,
            "name": name,
            "localizedErrorMessage": refusal.message,
        }
        for name, refusal in refusals.items()
    ]
    errors = [
        {
            "message": refusal.message,
            "code": refusal.code,
            "context": {"propertyName": [name]},
        }
        for name, refusal in refusals.items()
    ]
    message = f"Property values were not valid: {json.dumps(details)}"
    return ApiError(400, "VALIDATION_ERROR", message, errors=errors)


def clean(prop: Json, raw: object, current: str | None, owners: set[str]) -> str | None:
    """Return a written value as it is kept, None for a blank.

    Args: prop, the property's definition; raw, the JSON value; current, what stands
        (an appended option needs it); owners, the ids that an owner property takes.
    Raises: Refusal.
    """
    text = _as_text(raw)
    if prop["modificationMetadata"]["readOnlyValue"] or prop["calculated"]:
        raise Refusal("READ_ONLY_VALUE", f'"{prop["name"]}" is a read only property')
    if text == "":
        return None
    if prop["name"] == "email":
        return _email(text)
    if prop["type"] == "enumeration":
        return _enumeration(prop, text, current, owners)
    if prop["type"] == "string" or prop["type"] not in CLEANERS:
        return _text(text)
    return CLEANERS[prop["type"]](text)


def _as_text(raw: object) -> str:
    if raw is None:
        return ""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, str):
        return raw
    if isinstance(raw, int | float):
        return str(raw)
    raise Refusal("INVALID_VALUE", f"{json.dumps(raw)[:80]} is not a property value")


def _text(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise Refusal(
            "VALUE_TOO_LONG", f"The value is {len(text)} characters, over {MAX_TEXT}"
        )
    return text


def _email(text: str) -> str:
    """E-mail addresses lose their case and must look like one."""
    address = text.strip().lower()
    if not EMAIL.fullmatch(address) or len(address) > 254:
        raise Refusal("INVALID_EMAIL", f"Email address {text} is invalid")
    return address


def _enumeration(
    prop: Json, text: str, current: str | None, owners: set[str]
) -> str | None:
    many = prop["fieldType"] == "checkbox"
    known = [option["value"] for option in prop["options"]]
    if prop["externalOptions"]:
        known = sorted(owners)
    asked = [part for part in text.split(";") if part] if many else [text]
    for value in asked:
        if value not in known:
            raise Refusal(
                "INVALID_OPTION",
                f"{value} was not one of the allowed options: {known}",
            )
    if many and text.startswith(";"):  # a leading semicolon adds to what stands
        asked = [*(current or "").split(";"), *asked]
    kept = list(dict.fromkeys(value for value in asked if value))
    return ";".join(kept) or None


def _number(text: str) -> str:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or "_" in text or abs(number.adjusted()) > 300:
        raise Refusal("INVALID_INTEGER", f"{text} was not a valid number.")
    plain = format(number, "f")
    return plain.rstrip("0").rstrip(".") or "0" if "." in plain else plain


def _bool(text: str) -> str:
    if text.lower() not in ("true", "false"):
        raise Refusal("INVALID_BOOLEAN", f"{text} was not true or false.")
    return text.lower()


def _date(text: str) -> str:
    """A date is ISO or epoch milliseconds, which must be midnight UTC."""
    try:
        if re.fullmatch(r"-?\d+", text):
            if int(text) % DAY_MS:
                raise Refusal("INVALID_DATE", f"{text} is not at midnight UTC.")
            return iso(int(text))[:10]
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return date.fromisoformat(text).isoformat()
        moment = _moment(text)
    except (ValueError, OverflowError, OSError):
        raise Refusal("INVALID_DATE", f"{text} was not a valid date.") from None
    if moment % DAY_MS:
        raise Refusal("INVALID_DATE", f"{text} is not at midnight UTC.")
    return iso(moment)[:10]


def _datetime(text: str) -> str:
    try:
        moment = int(text) if re.fullmatch(r"-?\d+", text) else _moment(text)
        return iso(moment)
    except (ValueError, OverflowError, OSError):
        raise Refusal("INVALID_DATE", f"{text} was not a valid datetime.") from None


def _moment(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def moment_of(text: str) -> str:
    """Return a filter's date or time in the form in which values are kept.

    Raises: Refusal.
    """
    return _datetime(text)


CLEANERS = {
    "number": _number,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
}
