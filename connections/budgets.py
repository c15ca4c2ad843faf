"""Call budgets that every process and machine of an installation shares.

A budget is a token bucket in one database row. Taking a call is one UPDATE: it refills
the bucket by the time that passed, takes a token, perhaps one that is not there yet, and
returns how long to wait until it is. So callers queue in the order they came, nobody
polls, and what a killed process took is simply lost.

A system counts calls in any window of its length, wherever it starts. With a burst of B
and R calls a second, the (L+1)th call comes no earlier than (L + 1 - B) / R seconds
after the first; R is chosen so that this is a little more than the window, which leaves
room for calls that arrive closer together than they were sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import OperationalError, connection

from connections.catalogue import Code
from connections.connectors.base import LimitError
from connections.models import RateBudget

MAX_WAIT_S = 60.0  # a run stands still no longer than this
LONG_S = (
    600.0  # nobody is kept waiting so long but by the end of a day's or month's calls
)
BURST = 0.02  # of a window's calls, at least one
SLACK = 0.02  # of a window, at least SLACK_S
SLACK_S = 0.05
CLOCK_LEAP_S = 5.0  # a row so far in the future was written by a clock set back since
LOCK_TRIES = 50  # in-memory SQLite shared by threads refuses instead of waiting
LOCK_PAUSE_S = 0.02
GENERAL = "general"
INSIDE_GENERAL = frozenset({"associations"})  # such calls count for both

_CLOCK = {
    "postgresql": "EXTRACT(EPOCH FROM clock_timestamp())::float8",
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
}
_BASE = (
    "CASE WHEN updated_at > {greatest}(blocked_until, {now}) + {leap} THEN {now} "
    "ELSE {greatest}(updated_at, {now}) END"
)
_LEFT = (
    "{least}(%(burst)s, {greatest}(tokens, -{max_wait} * %(rate)s) "
    "+ {greatest}({now} - updated_at, 0) * %(rate)s)"
)
_WAIT = "({base}) - {now} + {greatest}(1 - {left}, 0) / %(rate)s"
_MONTH = {
    "postgresql": "date_trunc('month', CURRENT_DATE)::date",
    "sqlite": "date('now', 'start of month')",
}
_COUNTED = """used_today = CASE WHEN day = CURRENT_DATE THEN used_today + 1 ELSE 1 END,
    day = CURRENT_DATE,
    used_this_month = CASE WHEN month = {month} THEN used_this_month + 1 ELSE 1 END,
    month = {month}"""
_TAKE = """
UPDATE {table}
SET tokens = {left} - 1, updated_at = {base},
    {counted}
WHERE key = %(key)s AND bucket = %(bucket)s AND {wait} <= {max_wait}
RETURNING updated_at - {now} + {greatest}(-tokens, 0) / %(rate)s
"""
_COUNT = """
UPDATE {table}
SET {counted}
WHERE key = %(key)s AND bucket = %(bucket)s
"""
_PENALISE = """
UPDATE {table}
SET blocked_until = {greatest}(blocked_until, {now} + %(seconds)s),
    updated_at = {greatest}(updated_at, {now} + %(seconds)s),
    tokens = {least}(tokens, 1)
WHERE key = %(key)s AND bucket = %(bucket)s
"""
_BLOCKED = """
SELECT blocked_until - {now} FROM {table}
WHERE key = %(key)s AND bucket = %(bucket)s
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """How a limit is kept: tokens that may pile up, tokens a second."""

    burst: float
    per_second: float

    @classmethod
    def of(cls, per_seconds: float, calls: float) -> Rate:
        """The fastest pace that never passes `calls` in any `per_seconds`."""
        burst = max(1.0, BURST * calls)
        window = per_seconds + max(SLACK * per_seconds, SLACK_S)
        return cls(burst, (max(calls, 0.001) + 1 - burst) / window)


NO_RATE = Rate(0.0, 1.0)  # of a bucket that is only counted


class SharedBudget:
    """One credential's budget: a row per bucket, in our own database.

    Args: key, names the credential; limits, (seconds of a window, calls in it) by
        bucket; sleep, how waiting is done. A bucket without a limit is unlimited.
    """

    def __init__(
        self,
        key: str,
        limits: Mapping[str, tuple[float, float]],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.key = key
        self._rates = {name: Rate.of(*limit) for name, limit in limits.items()}
        self._sleep = sleep

    def acquire(self, bucket: str) -> None:
        """Wait for one call's worth; an association call also takes a general one.

        Raises: LimitError where that would take over a minute.
        """
        self._take(bucket)
        if bucket in INSIDE_GENERAL:
            self._take(GENERAL)

    def penalise(self, bucket: str, seconds: float, *, daily: bool = False) -> None:
        """Let nobody call for so many seconds; `daily` stops every bucket."""
        for name in self._rates if daily else {bucket} & self._rates.keys():
            if not self._run(_PENALISE, name, seconds=seconds):
                self._make(name)
                self._run(_PENALISE, name, seconds=seconds)

    def count(self, bucket: str) -> None:
        """Add a call to a bucket that is only counted."""
        if not self._run(_COUNT, bucket):
            self._make(bucket)
            self._run(_COUNT, bucket)

    def _take(self, bucket: str) -> None:
        if bucket not in self._rates:
            return
        while True:
            wait = self._reserve(bucket)
            if wait <= 0:
                return
            self._sleep(wait)
            # Somebody may have been told to stop while this call was waiting.
            if self._blocked_for(bucket) <= 0:
                return

    def _reserve(self, bucket: str) -> float:
        for _ in range(2):
            if rows := self._run(_TAKE, bucket):
                return float(rows[0][0])
            self._make(bucket)
        seconds = max(self._blocked_for(bucket), 0.0)
        until = datetime.now(UTC) + timedelta(seconds=seconds or MAX_WAIT_S)
        if seconds > LONG_S:
            raise LimitError(
                f"No more calls are allowed before {until:%Y-%m-%d %H:%M} UTC.",
                code=Code.QUOTA_SPENT,
                retry_at=until,
            )
        raise LimitError(
            f"The call budget ({bucket}) is spent for longer than a run waits.",
            retry_at=until,
        )

    def _blocked_for(self, bucket: str) -> float:
        rows = self._run(_BLOCKED, bucket)
        return float(rows[0][0]) if rows else 0.0

    def _make(self, bucket: str) -> None:
        rate = self._rates.get(bucket, NO_RATE)
        row = RateBudget(key=self.key, bucket=bucket, tokens=rate.burst)
        RateBudget.objects.bulk_create([row], ignore_conflicts=True)

    def _run(self, template: str, bucket: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run one statement: its rows, or for one that returns none, the count's."""
        rate = self._rates.get(bucket, NO_RATE)
        values |= {
            "key": self.key,
            "bucket": bucket,
            "burst": rate.burst,
            "rate": rate.per_second,
        }
        statement = _statement(template, connection.vendor)
        for attempt in range(1, LOCK_TRIES + 1):
            try:
                with connection.cursor() as cursor:
                    cursor.execute(statement, values)
                    if cursor.description:
                        return list(cursor.fetchall())
                    return [(cursor.rowcount,)] if cursor.rowcount else []
            except OperationalError as exc:
                if "locked" not in str(exc) or attempt == LOCK_TRIES:
                    raise
                time.sleep(LOCK_PAUSE_S)
        raise AssertionError("unreachable")


def _statement(template: str, vendor: str) -> str:
    words = {
        "table": RateBudget._meta.db_table,
        "now": _CLOCK[vendor],
        "leap": CLOCK_LEAP_S,
        "max_wait": MAX_WAIT_S,
        "greatest": "GREATEST" if vendor == "postgresql" else "MAX",
        "least": "LEAST" if vendor == "postgresql" else "MIN",
    }
    words["counted"] = _COUNTED.format(month=_MONTH[vendor])
    base, left = _BASE.format(**words), _LEFT.format(**words)
    wait = _WAIT.format(**words, base=base, left=left)
    return template.format(**words, base=base, left=left, wait=wait)
