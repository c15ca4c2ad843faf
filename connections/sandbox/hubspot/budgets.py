"""Request limits: rolling windows per token, search per account, a daily count.

Source: https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from dataclasses import dataclass
from typing import Any

from connections.sandbox.clock import Clock, iso

Json = dict[str, Any]
DAY_S = 86_400
WINDOW_S = 10.0
SEARCH_WINDOW_S = 1.0


@dataclass(slots=True)
class Limits:
    """What an account may spend; requests, in the windows named."""

    general_per_10s: int = 190
    association_per_10s: int = 150
    search_per_second: int = 5
    daily: int = 625_000
    association_daily: int = 500_000


class Window:
    """Requests in a rolling window, and the most that one ever held."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._at: deque[float] = deque()
        self.peak = 0
        self.refused = 0

    def held(self, now: float) -> int:
        """Return how many requests the window holds now."""
        while self._at and self._at[0] <= now - self._span_s:
            self._at.popleft()
        return len(self._at)

    def add(self, now: float) -> None:
        """Count a request."""
        self._at.append(now)
        self.peak = max(self.peak, self.held(now))

    def wait(self, now: float) -> float:
        """Return the seconds until the oldest request leaves the window."""
        return max(0.0, self._at[0] + self._span_s - now) if self._at else 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call may pass: the 429's body if not, and the headers either way."""

    refusal: Json | None
    headers: dict[str, str]


class Budgets:
    """The windows of one account.

    `enforced` off: everything passes, and is counted all the same.
    """

    def __init__(self, clock: Clock, *, enforced: bool) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.enforced = enforced
        self.limits = Limits()
        self.reset()

    def reset(self) -> None:
        """Forget every request."""
        self._windows: dict[tuple[str, str], Window] = {}
        self._day = self._today()
        self._spent_today = self._linked_today = 0

    def _today(self) -> int:
        return int(self._clock.now() // DAY_S)  # accounts here live in UTC

    def _window(self, bucket: str, owner: str) -> Window:
        span = SEARCH_WINDOW_S if bucket == "search" else WINDOW_S
        return self._windows.setdefault((bucket, owner), Window(span))

    def spend(self, token: str, bucket: str, *, inside: bool) -> Verdict:
        """Count a call, or refuse it.

        Args: token; bucket, "general", "association" or "search"; inside, whether
            association calls spend the general budget as well.
        """
        now = self._clock.now()
        with self._lock:
            if self._today() != self._day:
                self._day, self._spent_today, self._linked_today = self._today(), 0, 0
            buckets = [bucket]
            if bucket == "association" and inside:
                buckets.append("general")
            windows = {
                name: self._window(name, "" if name == "search" else token)
                for name in buckets
            }
            refusal = self._refusal(windows, now) if self.enforced else None
            if refusal is None:
                self._spent_today += 1
                self._linked_today += bucket == "association"
                for window in windows.values():
                    window.add(now)
            return Verdict(refusal, self._headers(bucket, windows[bucket], now))

    def most(self, bucket: str) -> int:
        """Return the limit of a bucket."""
        return {
            "search": self.limits.search_per_second,
            "association": self.limits.association_per_10s,
            "general": self.limits.general_per_10s,
        }[bucket]

    def _refusal(self, windows: dict[str, Window], now: float) -> Json | None:
        linked = "association" in windows
        if self._spent_today >= self.limits.daily or (
            linked and self._linked_today >= self.limits.association_daily
        ):
            return _body("DAILY", "You have reached your daily limit.")
        for bucket, window in windows.items():
            if window.held(now) >= self.most(bucket):
                window.refused += 1
                if bucket == "search":
                    text = "You have reached your secondly limit."
                    return _body("SECONDLY", text)
                text = "You have reached your ten_secondly_rolling limit."
                return _body("TEN_SECONDLY_ROLLING", text)
        return None

    def _headers(self, bucket: str, window: Window, now: float) -> dict[str, str]:
        if bucket == "search":  # search answers carry none of them
            return {}
        most, held = self.most(bucket), window.held(now)
        names = {
            "Max": most,
            "Remaining": max(0, most - held),
            "Interval-Milliseconds": round(WINDOW_S * 1000),
            "Daily": self.limits.daily,
            "Daily-Remaining": max(0, self.limits.daily - self._spent_today),
        }
        return {f"X-HubSpot-RateLimit-{name}": str(v) for name, v in names.items()}

    def wait(self, token: str, bucket: str) -> int:
        """Return whole seconds until a refused call may pass."""
        with self._lock:
            owner = "" if bucket == "search" else token
            return int(self._window(bucket, owner).wait(self._clock.now())) + 1

    def usage(self, name: str) -> Json:
        """Return the answer of the daily usage endpoint."""
        now = round(self._clock.now() * 1000)
        return {
            "name": name,
            "usageLimit": self.limits.daily,
            "currentUsage": self._spent_today,
            "collectedAt": iso(now),
            "resetsAt": iso((self._day + 1) * DAY_S * 1000),
            "fetchStatus": "SUCCESS",
        }

    def report(self) -> Json:
        """Return peak and refusals per bucket, over all tokens."""
        found: Json = {}
        with self._lock:
            for (bucket, _), window in self._windows.items():
                row = found.setdefault(bucket, {"peak": 0, "refused": 0})
                row["peak"] = max(row["peak"], window.peak)
                row["refused"] += window.refused
        return found


def _body(policy: str, message: str) -> Json:
    return {
        "status": "error",
        "message": message,
        "errorType": "RATE_LIMIT",
        "correlationId": str(uuid.uuid4()),
        "policyName": policy,
        "requestId": uuid.uuid4().hex,
    }
