"""A progress line on a terminal; nothing where there is none."""

from __future__ import annotations

from typing import Any

from syncs.models import SyncRun

WIDTH = 24  # characters of the bar


class Progress:
    """Called by a run whenever it has moved on.

    Args: stream, a command's stderr.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._on = bool(stream.isatty())

    def __call__(self, run: SyncRun) -> None:
        if not self._on:
            return
        total = max(run.progress_total, run.progress_done, 1)
        filled = WIDTH * run.progress_done // total
        bar = "#" * filled + "." * (WIDTH - filled)
        calls = sum(run.counters.get("api_calls", {}).values())
        text = (
            f"\r\033[K{run.sync} [{bar}] {run.phase} {run.progress_done}/{total}, "
            f"{calls} calls"
        )
        self._stream.write(text, ending="")
        self._stream.flush()

    def close(self) -> None:
        """Leave the line to what is printed next."""
        if self._on:
            self._stream.write("\r\033[K", ending="")
