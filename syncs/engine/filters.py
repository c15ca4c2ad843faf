"""Filters: which records of a side are in scope, why one is not, and until when.

A condition names a field, an operator and a value. All conditions of a side must hold. A
blank has no size and no date and contains nothing, so it fails those operators; it *is not*
any value, so `is_not`, `not_in` and `not_contains` hold for it, as HubSpot's "is none of"
does. Text is compared without regard to case, options by their value, a set of options as
a set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from connections.records import Canon, Field, ValueType
from syncs.engine.dates import When, compare, read_when
from syncs.engine.parsing import invalid
from syncs.engine.values import canonical, is_blank, words

OPERATORS = {  # as a sentence goes on: "stage must be one of a, b"
    "is": "be",
    "is_not": "not be",
    "in": "be one of",
    "not_in": "be none of",
    "known": "have a value",
    "unknown": "be blank",
    "contains": "contain",
    "not_contains": "not contain",
    "greater": "be greater than",
    "greater_or_equal": "be at least",
    "less": "be less than",
    "less_or_equal": "be at most",
    "between": "be between",
    "before": "be before",
    "after": "be after",
}
VALUELESS = ("known", "unknown")
LISTS = ("in", "not_in", "between")
NEGATED = {"is_not": "is", "not_in": "in", "not_contains": "contains"}
TIMES = (ValueType.DATE, ValueType.DATETIME)
_SIZED = (ValueType.NUMBER, *TIMES)
TEXTS = (ValueType.TEXT, ValueType.REFERENCE)
_FITTING: dict[str, tuple[ValueType, ...]] = {
    "contains": (*TEXTS, ValueType.OPTIONS),
    "not_contains": (*TEXTS, ValueType.OPTIONS),
    "greater": _SIZED,
    "greater_or_equal": _SIZED,
    "less": _SIZED,
    "less_or_equal": _SIZED,
    "between": _SIZED,
    "before": TIMES,
    "after": TIMES,
}
Operand = str | bool | Decimal | frozenset[str] | When


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a field, its values read; `zone` is where its days begin."""

    field: Field
    operator: str
    operands: tuple[Operand, ...]
    zone: tzinfo

    def __str__(self) -> str:
        return f"{self.field.name} must {OPERATORS[self.operator]}{self._values()}"

    def _values(self) -> str:
        texts = [_written(operand) for operand in self.operands]
        joint = " and " if self.operator == "between" else ", "
        return f" {_short(joint.join(texts))}" if texts else ""

    def holds(self, value: Canon, now: datetime) -> bool:
        """Whether a canonical value meets it at a time."""
        operator = NEGATED.get(self.operator, self.operator)
        return self._meets(operator, value, now) != (operator != self.operator)

    def _meets(self, operator: str, value: Canon, now: datetime) -> bool:
        if operator in VALUELESS:
            return is_blank(value) == (operator == "unknown")
        if value is None or is_blank(value):
            return False
        if self.field.type in _SIZED:
            return self._sized(operator, _size(value, self.field.type), now)
        if operator == "contains":
            return any(_contains(value, operand) for operand in self.operands)
        return any(self._equals(operator, value, operand) for operand in self.operands)

    def _equals(self, operator: str, value: Canon, operand: Operand) -> bool:
        if isinstance(operand, frozenset):
            held = set(words(value))
            # One of a list is enough for "in"; "is" means the whole set.
            return bool(held & operand) if operator == "in" else held == operand
        if isinstance(operand, str) and self.field.type in TEXTS:
            return str(value).casefold() == operand.casefold()
        return value == operand

    def _sized(self, operator: str, value: Decimal | date, now: datetime) -> bool:
        signs = [self._sign(value, operand, now) for operand in self.operands]
        match operator:
            case "greater" | "after":
                return signs[0] > 0
            case "greater_or_equal":
                return signs[0] >= 0
            case "less" | "before":
                return signs[0] < 0
            case "less_or_equal":
                return signs[0] <= 0
            case "between":
                return signs[0] >= 0 and signs[1] <= 0
            case _:
                return 0 in signs

    def _sign(self, value: Decimal | date, operand: Operand, now: datetime) -> int:
        if isinstance(operand, When):
            assert isinstance(value, date)
            return compare(value, operand.at(now, self.zone), self.zone)
        assert isinstance(operand, Decimal)
        assert isinstance(value, Decimal)
        return (value > operand) - (value < operand)

    def turns_at(self, value: Canon, now: datetime) -> datetime | None:
        """When time alone makes it hold, or no longer hold; None for never."""
        moving = [w for w in self.operands if isinstance(w, When) and w.relative]
        if not moving or value is None or is_blank(value):
            return None
        size = _size(value, self.field.type)
        assert isinstance(size, date)
        held = self.holds(value, now)
        times = {at for when in moving for at in when.passes(size, self.zone)}
        return next(
            (at for at in sorted(times) if at > now and self.holds(value, at) != held),
            None,
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """Where a record stands: `inside` None means that it cannot be told.

    `failed` is the condition that decides, `text` a sentence that says why, `code` why it
    cannot be told; `turns_at` is when time alone may change it.
    """

    inside: bool | None
    failed: Condition | None = None
    code: str = ""
    text: str = ""
    turns_at: datetime | None = None


def judge(
    conditions: Sequence[Condition],
    values: Mapping[str, Canon],
    unreadable: Mapping[str, tuple[str, str]],
    now: datetime,
) -> Judgement:
    """Decide about one record of one side.

    Args: values, canonical by field name; unreadable, the code and message of the fields
        that could not be read. A condition on one of those can be told neither way, but
        another that fails decides all the same.
    """
    turns: list[datetime] = []
    failed: Condition | None = None
    doubt: tuple[str, str] | None = None
    for condition in conditions:
        name = condition.field.name
        if name in unreadable:
            doubt = doubt or unreadable[name]
            continue
        value = values.get(name)
        at = condition.turns_at(value, now)
        if at is not None:
            turns.append(at)
        if failed is None and not condition.holds(value, now):
            failed = condition
    turns_at = min(turns, default=None)
    if failed is not None:
        held = _short(", ".join(words(values.get(failed.field.name)))) or "blank"
        text = f"{failed}, and is {held}."
        return Judgement(False, failed, "", text, turns_at)
    if doubt is not None:
        return Judgement(None, None, doubt[0], doubt[1], turns_at)
    return Judgement(True, turns_at=turns_at)


# From what is stored ---------------------------------------------------------------------


def fits(operator: str, kind: ValueType) -> bool:
    """Whether an operator says anything about values of a type."""
    return kind in _FITTING.get(operator, tuple(ValueType))


def condition(field: Field, operator: str, value: Any, zone: tzinfo) -> Condition:
    """A condition ready to judge with, from its stored value.

    Raises: ValueProblem where the field's type is not what it was when that was stored.
    """
    if not fits(operator, field.type) or operator not in OPERATORS:
        raise invalid(operator, f"says nothing about a {field.type}")
    if operator in VALUELESS:
        return Condition(field, operator, (), zone)
    several = value if operator in LISTS and isinstance(value, list) else [value]
    operands = tuple(read_operand(field, one, zone) for one in several)
    return Condition(field, operator, operands, zone)


def read_operand(field: Field, value: Any, zone: tzinfo) -> Operand:
    """One stored value, ready to compare with.

    Raises: ValueProblem.
    """
    if field.type in TIMES:
        return read_when(value, zone)
    found = canonical(value, replace(field, scale=None), zone=zone)
    if found is None:
        raise invalid(shown_raw(value), "is blank")
    if field.type is ValueType.NUMBER:
        return Decimal(str(found))
    return frozenset(found) if isinstance(found, list) else found


# Common ----------------------------------------------------------------------------------


def _size(value: Canon, kind: ValueType) -> Decimal | date:
    text = str(value)
    if kind is ValueType.NUMBER:
        return Decimal(text)
    return date.fromisoformat(text) if kind is ValueType.DATE else _moment(text)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _contains(value: Canon, operand: Operand) -> bool:
    if isinstance(operand, frozenset):
        return operand <= set(words(value))
    return str(operand).casefold() in str(value).casefold()


def _written(operand: Operand) -> str:
    if isinstance(operand, When):
        return operand.text
    if isinstance(operand, bool):
        return "true" if operand else "false"
    if isinstance(operand, frozenset):
        return ";".join(sorted(operand))
    return f"{operand:f}" if isinstance(operand, Decimal) else operand


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}…"


def shown_raw(value: Any) -> str:
    """A raw value, or a list of them, as messages show it."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
