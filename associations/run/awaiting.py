"""Targets whose sync was off: once it is on, every link that waited is looked at."""

from __future__ import annotations

from collections.abc import Collection

from syncs.run.session import Session

OFF = (
    "targets_off"  # in a sync's read_state: target syncs that were off in its last run
)


def note_targets_off(session: Session, off: Collection[int]) -> None:
    """Keep which targets are off, and have all links read where one is on again.

    Nothing of the records that have the links changed, so no run would look at them
    before the next sweep.
    """
    sync = session.sync
    before = set(sync.read_state.get(OFF, ()))
    if before - set(off):
        sync.swept_at = None
    if session.run.dry_run or before == set(off):
        return
    state = {k: v for k, v in sync.read_state.items() if k != OFF}
    sync.read_state = state | ({OFF: sorted(off)} if off else {})
    sync.save(update_fields=["read_state", "swept_at"])
