"""An answer, and how a system words what HTTP itself leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any

from connections.connectors.base import AuthError, ConnectorError, ScopeError

LOCKED = 423


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system answered: `body` is its JSON, {} where there was none."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def at(self) -> datetime | None:
        """The system's own clock."""
        return http_date(self.headers.get("Date", ""))


@dataclass(frozen=True, slots=True)
class Pause:
    """How long a system wants to be left alone; `daily` where an allowance is spent."""

    seconds: float
    daily: bool = False


class Dialect:
    """How a system words its refusals: the parts that HTTP itself leaves open."""

    name = "the system"
    allowance = "day's"  # whose calls are used up when a pause is `daily`

    def refused(self, answer: Answer) -> ConnectorError | None:
        """The error that says no call of ours will do; None for any other answer."""
        if answer.status == 401:
            return AuthError(f"{self.name} refused the credentials.")
        if answer.status == 403:
            return ScopeError(f"{self.name} does not permit this call.")
        return None

    def locked(self, answer: Answer) -> bool:
        """Whether the records are held by another write for a moment."""
        return answer.status == LOCKED

    def limit(self, answer: Answer, attempt: int) -> Pause:
        """How long to wait after a 429 that says nothing itself."""
        return Pause(2.0**attempt)

    def exhausted(self, answer: Answer) -> Pause | None:
        """A pause that an answer's headers ask for before a 429 has to."""
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a Retry-After header asks for, which may hold a date instead."""
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
        return max(seconds, 0.0) if isfinite(seconds) else None
    except ValueError:
        at = http_date(text)
    return None if at is None else max((at - datetime.now(UTC)).total_seconds(), 0.0)


def http_date(text: str) -> datetime | None:
    """An aware time from a header such as Date; None if it is not one."""
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
