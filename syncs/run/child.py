"""One object sync's part of a run, from lease to totals."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Q

from connections.catalogue import Code, remedy_for
from connections.connectors.base import ConnectorError
from connections.redaction import redact
from syncs.models import ObjectSync, SyncRun
from syncs.models.choices import ENDED_STATUSES as ENDED
from syncs.models.choices import Status
from syncs.run import steps
from syncs.run.allowance import tell_of_quota
from syncs.run.closing import STANDING, WAS, closes, drop_standing
from syncs.run.holding import hold
from syncs.run.lease import (
    Lease,
    LeaseBusy,
    LeaseLost,
    holder_is_dead,
    once_it_can,
)
from syncs.run.mending import look_for_mended
from syncs.run.resuming import look_for_returned
from syncs.run.session import (
    Cancelled,
    Held,
    Session,
    SliceOver,
    now,
    open_session,
)
from syncs.run.stage import make_stages

logger = logging.getLogger(__name__)

Progress = Callable[[SyncRun], None]
WAIT_STEP_S = 0.5


def run_child(
    run: SyncRun, progress: Progress | None = None, deadline: float | None = None
) -> None:
    """Do a child run; how it went stands on its row, whatever happens.

    Raises: SliceOver when `deadline` (monotonic seconds) passed and there is more to do;
    the run is queued again then, and a later call goes on.
    """
    try:
        with _leased(run, deadline) as lease, rare_collections():
            _close_dead(run)
            _begin(run)
            _work(run, lease, progress, deadline)
    except SliceOver:
        run.status = Status.QUEUED
        _save(run)
        raise
    except LeaseBusy:
        if closes(run):
            let_be(run)
            return
        if run.attempts:  # it had begun, and goes on once the other is done
            raise SliceOver from None
        refuse_busy(run)
    except LeaseLost:
        _end(
            run,
            Status.FAILED,
            Code.RUN_OPEN,
            "The run stalled longer than its lease and another took over.",
        )
    except Cancelled:
        _end(run, Status.CANCELLED, "", "Cancelled.")
    except ConnectorError as exc:
        _end(run, Status.FAILED, exc.code, exc.message)
        _next_time(run, getattr(exc, "retry_at", None))
    except DatabaseError as exc:
        logger.exception("Run %s failed", run.pk)
        why = f"{type(exc).__name__}: {exc}"
        # Where nothing can be written down, the sweep closes the run.
        once_it_can(lambda: _end(run, Status.FAILED, Code.INTERNAL, why))
    except Exception as exc:
        logger.exception("Run %s failed", run.pk)
        _end(run, Status.FAILED, Code.INTERNAL, f"{type(exc).__name__}: {exc}")
    except BaseException:  # Ctrl-C, or the queue's time-out
        _end(run, Status.CANCELLED, "", "Interrupted.")
        raise


def refuse_busy(run: SyncRun) -> None:
    """End a child run that another run is in the way of."""
    _end(run, Status.FAILED, Code.RUN_OPEN, "Another run of this sync is going on.")


def let_be(run: SyncRun) -> None:
    """End a second look that another run is in the way of: that one does its work."""
    _end(run, Status(run.place.get(WAS, Status.SUCCEEDED)))


def beat(run: SyncRun) -> None:
    """Show that a run which only waits is alive."""
    SyncRun.objects.filter(pk=run.pk).update(heartbeat_at=now())


@contextmanager
def _leased(run: SyncRun, deadline: float | None) -> Iterator[Lease]:
    sync = run.sync
    assert sync is not None
    while True:
        if deadline is not None and time.monotonic() > deadline:
            raise SliceOver
        try:
            with Lease(sync, run) as lease:
                yield lease
            return
        except LeaseBusy:
            if not run.wait or run.status == Status.RUNNING:
                raise
            if run.parent is not None:
                beat(run.parent)
            run.refresh_from_db(fields=["cancel_requested"])
            if run.cancel_requested:
                raise Cancelled from None
            time.sleep(WAIT_STEP_S)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let the collector of cycles look less often: rows by the hundred make none, and
    looking took a sixth of a first sync's time."""
    before = gc.get_threshold()
    gc.set_threshold(20_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _save(run: SyncRun) -> None:
    """Write a run's row, but for the wish of whoever wants it to stop."""
    names = (f.name for f in SyncRun._meta.concrete_fields if not f.primary_key)
    run.save(update_fields=[name for name in names if name != "cancel_requested"])


def _begin(run: SyncRun) -> None:
    run.status, run.started_at = Status.RUNNING, run.started_at or now()
    run.attempts += 1
    run.heartbeat_at = now()
    run.error_code = run.error_text = ""
    _save(run)


def _close_dead(run: SyncRun) -> None:
    """Close what another worker left running: this run has the lease now."""
    dead = SyncRun.objects.filter(sync=run.sync_id, status=Status.RUNNING).exclude(
        pk=run.pk
    )
    dead.update(
        status=Status.FAILED,
        error_code=Code.INTERNAL,
        error_text="The worker died; the next run goes on from where it was.",
        finished_at=now(),
    )


def _work(
    run: SyncRun, lease: Lease, progress: Progress | None, deadline: float | None
) -> None:
    drop_standing(run)
    session = open_session(run, lease, progress)
    session.deadline = deadline
    session.stages = make_stages()
    held = None
    try:
        try:
            steps.pin(session)
            for stage in session.stages:
                stage.prepare(session)
            session.look_for_missing()
            look_for_returned(session)
            if not run.place and not run.as_planned:
                look_for_mended(session)
            if run.as_planned:
                steps.apply_plan(session)
            else:
                steps.sync(session)
        except Held as exc:
            held = exc
            hold(session, exc)
        except SliceOver:
            if session.again and run.place:
                run.place["again"] = True
            raise
        except ConnectorError:
            # What stands, stands also after a run that could not go on.
            _count(session)
            raise
        _finish(session, held)
    finally:
        session.count_calls()
        run.counters = session.tally.counters
        run.errors = session.tally.errors
        session.close()


# The end -------------------------------------------------------------------------------


def _count(session: Session) -> dict[str, object]:
    """Count what stands, for the run's row."""
    before = session.tally.by_code()
    totals: dict[str, object] = {}
    for stage in session.stages:
        totals |= stage.totals(session)
    session.run.totals = totals
    after = session.tally.by_code()
    standing = {
        c: n - before.get(c, 0) for c, n in after.items() if n > before.get(c, 0)
    }
    session.run.place = {**session.run.place, STANDING: standing}
    return totals


def _finish(session: Session, held: Held | None) -> None:
    run = session.run
    session.deadline = None  # little is left: a held plan would not be found again
    session.advance("finishing")
    totals = _count(session)
    links = totals.get("associations")
    failing = int(str(totals.get("failing", 0)))
    failing += links.get("failing", 0) if isinstance(links, dict) else 0
    run.errors = session.tally.errors
    status = Status.PARTIAL if failing or run.errors else Status.SUCCEEDED
    session.count_calls()
    run.counters = session.tally.counters
    tell_of_quota(session)
    if held is None:
        _end(run, status)
    else:
        _end(run, Status.HELD, Code.HELD_BY_LIMITS, held.message)


def _end(run: SyncRun, status: Status, code: str = "", text: str = "") -> None:
    run.status = status
    run.error_code, run.error_text = code, redact(text)
    run.finished_at = now()
    if run.started_at is None:
        run.started_at = run.finished_at
    if code:
        known = {e["code"] for e in run.errors}
        if code not in known:
            run.errors = [
                *run.errors,
                {"code": code, "count": 1, "example": redact(text)},
            ]
        run.entries.create(
            level="error", code=code, text=f"{redact(text)} {remedy_for(code)}".strip()
        )
    _save(run)
    if code != Code.RUN_OPEN:
        _next_time(run)


def _next_time(run: SyncRun, not_before: datetime | None = None) -> None:
    """Set when the schedule starts the sync next, however this run ended."""
    sync = run.sync
    if sync is None or run.dry_run:
        return
    due = now() + timedelta(seconds=sync.every_s) if sync.every_s else None
    if due is not None and not_before is not None:
        due = max(due, not_before)
    ObjectSync.objects.filter(pk=sync.pk).update(due_at=due)


def close_abandoned() -> int:
    """Close runs that nobody works on or will start any more. Returns how many.

    A run waiting for the task cluster is not among them: it is woken again.
    """
    if not SyncRun.objects.filter(status__in=(Status.QUEUED, Status.RUNNING)).exists():
        return 0  # as mostly
    moment = now()
    silent = moment - timedelta(seconds=settings.LEASE_SECONDS)
    ahead = moment + timedelta(seconds=settings.LEASE_SECONDS)  # the clock went back
    died = SyncRun.objects.filter(status=Status.RUNNING).filter(
        Q(heartbeat_at__lt=silent)
        | Q(heartbeat_at__gt=ahead)
        | Q(heartbeat_at__isnull=True, started_at__lt=silent)
    )
    # A command makes its run and starts it at once.
    stillborn = SyncRun.objects.filter(
        Q(created_at__lt=silent) | Q(created_at__gt=ahead),
        status=Status.QUEUED,
        parent=None,
        queued_at=None,
    )
    orphans = SyncRun.objects.filter(status=Status.QUEUED, parent__status__in=ENDED)
    failed = {
        "status": Status.FAILED,
        "error_code": Code.INTERNAL,
        "error_text": "The worker died; the next run goes on from where it was.",
        "finished_at": moment,
    }
    closed = died.update(**failed) + stillborn.update(**failed)
    here = SyncRun.objects.filter(status=Status.RUNNING, parent=None).exclude(holder="")
    killed = [run.pk for run in here if holder_is_dead(run.holder)]
    closed += SyncRun.objects.filter(
        Q(pk__in=killed) | Q(parent__in=killed), status=Status.RUNNING
    ).update(**failed)
    return closed + orphans.update(status=Status.CANCELLED, finished_at=moment)
