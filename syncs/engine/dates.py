"""Dates that a filter compares with: fixed ones, and ones that move with the clock.

A `When` is a day of the sync's own calendar or a moment. Times of a record are compared
with days by the day they fall on there, so that "today" is the administrator's today.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from syncs.engine.parsing import day, invalid, moment

MOST = {"h": 24 * 366 * 200, "d": 366 * 200, "w": 53 * 200, "m": 12 * 200, "y": 200}
MOMENT = timedelta(microseconds=1)  # the least that our database tells apart
_WORDS = {"today": 0, "yesterday": -1, "tomorrow": 1}
_UNITS = {"hour": "h", "day": "d", "week": "w", "month": "m", "year": "y"}
_UNIT = "|".join(_UNITS)
_SHORT = re.compile(r"([+-])\s*(\d{1,7})\s*([hdwmy])", re.ASCII)
_AGO = re.compile(rf"(\d{{1,7}})\s+({_UNIT})s?\s+ago", re.ASCII)
_AHEAD = re.compile(rf"in\s+(\d{{1,7}})\s+({_UNIT})s?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class When:
    """A day or a moment: `fixed`, or `amount` of `unit` (h, d, w, m, y) from now.

    `now` itself is 0 hours away. Hours make moments, everything larger makes days.
    """

    text: str
    fixed: date | datetime | None = None
    amount: int = 0
    unit: str = ""

    @property
    def relative(self) -> bool:
        return self.fixed is None

    def at(self, now: datetime, zone: tzinfo) -> date | datetime:
        """What it means at a time: a date, or an aware datetime."""
        if self.fixed is not None:
            return self.fixed
        if self.unit == "h":
            return now + timedelta(hours=self.amount)
        return self._day(now.astimezone(zone).date())

    def _day(self, today: date) -> date:
        if self.unit in ("m", "y"):
            return _months(today, self.amount * (12 if self.unit == "y" else 1))
        days = self.amount * (7 if self.unit == "w" else 1)
        return today + timedelta(days=days)

    def passes(self, value: date | datetime, zone: tzinfo) -> Iterator[datetime]:
        """The times at which it reaches a value and at which it leaves it behind."""
        if self.fixed is not None:
            return
        try:
            yield from self._passes(value, zone)
        except (OverflowError, ValueError):  # beyond the calendar: never
            return

    def _passes(self, value: date | datetime, zone: tzinfo) -> Iterator[datetime]:
        if self.unit == "h":
            away = timedelta(hours=self.amount)
            if isinstance(value, datetime):
                yield value - away
                yield value - away + MOMENT
            else:
                yield _midnight(value, zone) - away
                yield _midnight(value + timedelta(days=1), zone) - away
            return
        there = value
        if isinstance(value, datetime):
            there = value.astimezone(zone).date()
        for passed in (False, True):
            yield _midnight(self._first(there, passed=passed), zone)

    def _first(self, there: date, *, passed: bool) -> date:
        """The first day on which it means a day, or (`passed`) a later one."""
        # Months differ by at most three days: 31 January and a month is 28 February.
        opposite = When("", None, -self.amount, self.unit)
        today = opposite._day(there) - timedelta(days=4)
        while self._day(today) < there or (passed and self._day(today) == there):
            today += timedelta(days=1)
        return today


def read_when(raw: object, zone: tzinfo) -> When:
    """A date, a time or one that moves with the clock, from what a person wrote.

    Raises: ValueProblem.
    """
    text = str(raw).strip()
    found = _relative(text.casefold())
    if found is not None:
        if abs(found.amount) > MOST[found.unit]:
            raise invalid(text, "is too far away")
        return found
    if _DAY.fullmatch(text):
        known = day(text, epoch=False)
        return When(known, date.fromisoformat(known))
    if not text[:1].isdigit() or text.isdigit():
        raise invalid(text, "is no date such as 2026-01-31, today or -30d")
    known = moment(text, zone, epoch=False)
    return When(known, datetime.fromisoformat(known))


def _relative(text: str) -> When | None:
    if text == "now":
        return When("now", amount=0, unit="h")
    if text in _WORDS:
        return When(text, amount=_WORDS[text], unit="d")
    if short := _SHORT.fullmatch(text):
        amount, unit = int(short[1] + short[2]), short[3]
    elif ago := _AGO.fullmatch(text):
        amount, unit = -int(ago[1]), _UNITS[ago[2]]
    elif ahead := _AHEAD.fullmatch(text):
        amount, unit = int(ahead[1]), _UNITS[ahead[2]]
    else:
        return None
    return When(f"{amount:+d}{unit}", amount=amount, unit=unit)


def compare(value: date | datetime, there: date | datetime, zone: tzinfo) -> int:
    """-1, 0 or 1: whether a value lies before, on or after a day or a moment."""
    if isinstance(value, datetime) != isinstance(there, datetime):
        value, there = _local(value, zone), _local(there, zone)
    return (value > there) - (value < there)


def _local(value: date | datetime, zone: tzinfo) -> date:
    return value.astimezone(zone).date() if isinstance(value, datetime) else value


def _months(start: date, count: int) -> date:
    """So many months on, on the same day or the month's last."""
    years, month = divmod(start.year * 12 + start.month - 1 + count, 12)
    for last in (start.day, 30, 29):
        try:
            return date(years, month + 1, min(last, start.day))
        except ValueError:
            if last == start.day and start.day <= 28:
                raise  # a year outside the calendar
    return date(years, month + 1, 28)


def _midnight(local: date, zone: tzinfo) -> datetime:
    return datetime.combine(local, time(), tzinfo=zone).astimezone(UTC)
