"""Five calls a second and base, fifty a second and user, a month's calls.

Source: https://airtable.com/developers/web/api/rate-limits
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from connections.sandbox.clock import Clock

Json = dict[str, Any]
WINDOW_S = 1.0


@dataclass(slots=True)
class Most:
    """What may be spent; `monthly` 0 is unlimited."""

    per_base: int = 5
    per_user: int = 50
    monthly: int = 0


class Limits:
    """The windows of every base and user; `enforced` off: all pass, and are counted."""

    def __init__(self, clock: Clock, *, enforced: bool) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.enforced = enforced
        self.most = Most()
        self.forget()

    def forget(self) -> None:
        with self._lock:
            self._windows: dict[str, deque[float]] = {}
            self._until: dict[str, float] = {}
            self.spent = self.refused = self.peak = 0

    def refuses(self, base: str, user: str, penalty_s: float) -> str:
        """Count a call. Returns: "" if it passes, else "rate" or "month"."""
        now = self._clock.now()
        with self._lock:
            caps = {f"user {user}": self.most.per_user}
            if base:
                caps[f"base {base}"] = self.most.per_base
            verdict = self._verdict(caps, now, penalty_s) if self.enforced else ""
            if verdict:
                self.refused += 1
                return verdict
            self.spent += 1
            for name in caps:
                window = self._held(name, now)
                window.append(now)
                if name.startswith("base"):
                    self.peak = max(self.peak, len(window))
            return ""

    def _held(self, name: str, now: float) -> deque[float]:
        window = self._windows.setdefault(name, deque())
        while window and window[0] <= now - WINDOW_S:
            window.popleft()
        return window

    def _verdict(self, caps: dict[str, int], now: float, penalty_s: float) -> str:
        if self.most.monthly and self.spent >= self.most.monthly:
            return "month"
        for name, most in caps.items():
            if self._until.get(name, 0.0) > now:
                return "rate"
            if len(self._held(name, now)) >= most:
                self._until[name] = now + penalty_s
                return "rate"
        return ""

    def change(self, **values: Any) -> None:
        """Raises: ValueError for a limit there is not."""
        if "enforced" in values:
            self.enforced = bool(values.pop("enforced"))
        for name, value in values.items():
            if not hasattr(self.most, name):
                raise ValueError(f"no limit {name}")
            setattr(self.most, name, int(value))

    def report(self) -> Json:
        return asdict(self.most) | {
            "enforced": self.enforced,
            "spent": self.spent,
            "refused": self.refused,
            "peak": self.peak,
        }
