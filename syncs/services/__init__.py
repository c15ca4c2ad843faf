"""What the commands, the admin and the tasks ask for."""

from __future__ import annotations

from syncs.services.approvals import (
    all_held,
    approve_queue,
    approve_run,
    counted,
    describe,
    drop_queue,
    drop_run,
    held_children,
    not_set_up,
    outcomes,
    waiting,
    waits,
)
from syncs.services.conflicts import values_of
from syncs.services.explain import BadId, Explanation, explain
from syncs.services.pairing import PairError, keep_apart, pair, pair_anew, unpair
from syncs.services.pruning import prune
from syncs.services.reports import report
from syncs.services.resync import FAILED, resync, resync_failing
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
from syncs.services.survivors import create_again, survives
from syncs.services.undo import left_alone, start_undo, undo_report, undoable

__all__ = [
    "FAILED",
    "BadId",
    "Explanation",
    "PairError",
    "RunError",
    "all_held",
    "applicable",
    "approve_queue",
    "approve_run",
    "cancel",
    "counted",
    "create_again",
    "describe",
    "drop_queue",
    "drop_run",
    "enqueue",
    "execute",
    "explain",
    "held_children",
    "keep_apart",
    "left_alone",
    "not_set_up",
    "outcomes",
    "pair",
    "pair_anew",
    "pause",
    "plan_run",
    "prune",
    "report",
    "resume",
    "resync",
    "resync_failing",
    "start",
    "start_undo",
    "survives",
    "undo_report",
    "undoable",
    "unpair",
    "values_of",
    "waiting",
    "waits",
    "wake",
]
