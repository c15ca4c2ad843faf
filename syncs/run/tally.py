"""Count what a run does, in the shape that `sync --json` prints."""

from __future__ import annotations

import threading
from typing import Any

WORK = ("read", "created", "updated", "archived", "api_calls")
PLANNED = ("created", "updated", "archived")
LINK_WORK = ("added", "removed", "changed")
KEPT_EXAMPLES = 300  # characters


def _sides() -> dict[str, int]:
    return {"hubspot": 0, "app": 0}


class Tally:
    """This run's work and its errors; safe to use from the two reading threads.

    A run that goes on in a later slice goes on counting from what its row holds.
    """

    def __init__(
        self,
        counters: dict[str, Any] | None = None,
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self.counters: dict[str, Any] = {name: _sides() for name in WORK}
        self.counters["associations"] = {name: _sides() for name in LINK_WORK}
        self.counters |= counters or {}
        self._errors = {e["code"]: dict(e) for e in errors or []}

    def add(self, name: str, side: str, count: int = 1) -> None:
        with self._lock:
            self.counters[name][side] += count

    def add_link(self, name: str, side: str, count: int = 1) -> None:
        with self._lock:
            self.counters["associations"][name][side] += count

    def error(self, code: str, example: str, count: int = 1) -> None:
        with self._lock:
            entry = self._errors.setdefault(
                code, {"code": code, "count": 0, "example": example[:KEPT_EXAMPLES]}
            )
            entry["count"] += count

    def forget_work(self) -> None:
        """Begin to count a preview's planned work anew; what was read stays counted."""
        with self._lock:
            for name in PLANNED:
                self.counters[name] = _sides()
            self.counters["associations"] = {name: _sides() for name in LINK_WORK}

    def by_code(self) -> dict[str, int]:
        return {code: entry["count"] for code, entry in self._errors.items()}

    @property
    def errors(self) -> list[dict[str, Any]]:
        return sorted(self._errors.values(), key=lambda e: (-e["count"], e["code"]))
