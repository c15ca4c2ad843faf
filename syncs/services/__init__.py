"""What the commands, the admin and the tasks ask for."""

from __future__ import annotations

from syncs.services.pairing import PairError, pair, unpair
from syncs.services.reports import report
from syncs.services.runs import (
    RunError,
    applicable,
    cancel,
    enqueue,
    execute,
    pause,
    plan_run,
    resume,
    start,
    wake,
)

__all__ = [
    "PairError",
    "RunError",
    "applicable",
    "cancel",
    "enqueue",
    "execute",
    "pair",
    "pause",
    "plan_run",
    "report",
    "resume",
    "start",
    "unpair",
    "wake",
]
