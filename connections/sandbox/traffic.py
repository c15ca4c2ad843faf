"""What was called, so that tests can count and prove."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT_CALLS = 20_000


@dataclass(frozen=True, slots=True)
class Seen:
    """One call: its number from 1, what it was, how it was answered."""

    number: int
    method: str
    path: str
    family: str
    status: int
    fault: str = ""


class Traffic:
    """Counts by family, and the last calls in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Count from nothing again."""
        with self._lock:
            self._counts: Counter[str] = Counter()
            self._statuses: Counter[int] = Counter()
            self._calls: deque[Seen] = deque(maxlen=KEPT_CALLS)
            self._number = 0

    def next(self) -> int:
        """Return the number of a call that begins."""
        with self._lock:
            self._number += 1
            return self._number

    def add(self, seen: Seen) -> None:
        """Count a call that ends."""
        with self._lock:
            self._counts[seen.family] += 1
            self._statuses[seen.status] += 1
            self._calls.append(seen)

    def counts(self) -> dict[str, int]:
        """Return calls by family, such as "POST objects/contacts/batch/create"."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def statuses(self) -> dict[int, int]:
        """Return answers by status; 0 stands for none."""
        with self._lock:
            return dict(sorted(self._statuses.items()))

    def calls(self) -> list[dict[str, Any]]:
        """Return the last calls, oldest first."""
        with self._lock:
            return [asdict(seen) for seen in self._calls]
