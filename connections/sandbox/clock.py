"""A clock that tests can move."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Wall time plus an offset in seconds."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def now(self) -> float:
        """Return the sandbox's time as seconds since 1970."""
        return time.time() + self.offset_s

    def now_ms(self) -> int:
        """Return the sandbox's time as milliseconds since 1970."""
        return int(self.now() * 1000)


def iso(moment_ms: int) -> str:
    """Write a moment as HubSpot does: UTC, milliseconds, a `Z`."""
    moment = datetime.fromtimestamp(moment_ms // 1000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment_ms % 1000:03d}Z"
