"""What a person writes as a filter's value, checked and brought into its stored form."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any

from connections.records import Field, ValueType
from syncs.engine.dates import When, compare, read_when
from syncs.engine.filters import (
    LISTS,
    TEXTS,
    TIMES,
    VALUELESS,
    read_operand,
    shown_raw,
)
from syncs.engine.parsing import invalid, number
from syncs.engine.values import canonical, convert, is_blank

MAX_LIST = 1000
BLANK = "is blank; use the operator known or unknown"


def settled(field: Field, operator: str, value: Any, zone: tzinfo) -> Any:
    """The one form in which a condition's value is stored and exported (JSON-able).

    Raises: ValueProblem where it is no value that the field could hold.
    """
    if operator in VALUELESS:
        if value is not None:
            raise invalid(value, f"is too much: {operator} takes no value")
        return None
    if operator not in LISTS:
        return _settled_one(field, operator, value, zone)
    if not isinstance(value, list):
        raise invalid(
            shown_raw(value), f"is one value; {operator} takes a list, in brackets"
        )
    if operator == "between" and len(value) != 2:
        raise invalid(shown_raw(value), "must be two values: the least and the most")
    if not 0 < len(value) <= MAX_LIST:
        raise invalid(shown_raw(value), f"must be 1 to {MAX_LIST} values")
    found = [_settled_one(field, operator, one, zone) for one in value]
    if operator == "between":
        _in_order(field, found, zone)
        return found
    return [one for at, one in enumerate(found) if one not in found[:at]]


def _settled_one(field: Field, operator: str, value: Any, zone: tzinfo) -> Any:
    several = field.type is ValueType.OPTIONS and operator in ("is", "is_not")
    if (
        value is None
        or is_blank(value)
        or (isinstance(value, str) and not value.strip())
    ):
        raise invalid("", BLANK)
    if isinstance(value, dict) or (isinstance(value, list) and not several):
        raise invalid(shown_raw(value), f"is not one value, which {operator} needs")
    if isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
        raise invalid(shown_raw(value), "must be a list of options")
    if field.type in TIMES:
        return read_when(value, zone).text
    if field.type is ValueType.NUMBER:
        return _settled_number(value)
    found = canonical(value, field, zone=zone)
    if found is None:
        raise invalid("", BLANK)
    if operator in ("contains", "not_contains") and field.type in TEXTS:
        return found
    found = convert(found, field, field)
    if not isinstance(found, list) or several:
        return found
    if len(found) != 1:
        raise invalid(shown_raw(value), f"is not one option, which {operator} needs")
    return found[0]


def _settled_number(value: Any) -> int | float | str:
    if isinstance(value, bool):
        raise invalid(value, "is not a number")
    text = number(value, None)
    if "." not in text and len(text) < 16:
        return int(text)
    return float(text) if number(float(text), None) == text else text


def _in_order(field: Field, ends: Sequence[Any], zone: tzinfo) -> None:
    low, high = (read_operand(field, end, zone) for end in ends)
    wrong = False
    if isinstance(low, When) and isinstance(high, When):
        now = datetime.now(UTC)
        if low.relative == high.relative:
            wrong = compare(low.at(now, zone), high.at(now, zone), zone) > 0
    elif isinstance(low, Decimal) and isinstance(high, Decimal):
        wrong = low > high
    if wrong:
        raise invalid(shown_raw(list(ends)), "has its greater end first")
