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
from connections.connectors.base import ConnectorError, SchemaError
from connections.redaction import redact
from syncs.models import Change, ObjectSync, SyncRun
from syncs.models.choices import ENDED_STATUSES as ENDED
from syncs.models.choices import ChangeOutcome, Status
from syncs.run import reissued
from syncs.run.holding import check_limits, hold, note_pairs, supersede
from syncs.run.lease import (
    Lease,
    LeaseBusy,
    LeaseLost,
    holder_is_dead,
    once_it_can,
)
from syncs.run.match import match
from syncs.run.plan import kept, plan
from syncs.run.pull import pull
from syncs.run.renew import renew
from syncs.run.scope import wake
from syncs.run.session import (
    Cancelled,
    Held,
    Session,
    SliceOver,
    is_due,
    now,
    open_session,
)
from syncs.run.stage import make_stages
from syncs.run.undoing import plan_undo
from syncs.run.unknown import drop_planned, give_up_planned

logger = logging.getLogger(__name__)

Progress = Callable[[SyncRun], None]
PASSES = 3  # plan and write again at most so often for what moved meanwhile
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
    session = open_session(run, lease, progress)
    session.deadline = deadline
    session.stages = make_stages()
    held = None
    try:
        try:
            _pin(session)
            for stage in session.stages:
                stage.prepare(session)
            session.look_for_missing()
            session.look_for_returned()
            if run.as_planned:
                _apply_plan(session)
            else:
                _sync(session)
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


def _pin(session: Session) -> None:
    """Hold a run to the set-up that it began with.

    A run that waits takes the set-up as it is when it begins. One that was interrupted
    between two slices plans again by the new one, and a preview's plan is not applied
    by another set-up than its own.
    """
    run, sync = session.run, session.sync
    if run.revision == sync.revision:
        return
    if run.as_planned and not run.plans_undo:
        raise SchemaError(
            "The set-up changed since this was planned.",
            code=Code.CHANGED_SINCE_PLAN,
        )
    if run.place:
        session.log("The set-up changed meanwhile: the run plans again by the new one.")
        give_up_planned(session)
        run.place = {}
    run.revision = sync.revision
    run.save(update_fields=["revision", "place"])


@contextmanager
def _timed(session: Session, phase: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        spent = session.run.timings.get(phase, 0.0) + time.monotonic() - started
        session.run.timings[phase] = round(spent, 3)
    if session.cancelled:
        raise Cancelled


def _sync(session: Session) -> None:
    run = session.run
    if _must_look(run):
        _look(session)
    sweep = run.sweep or _sweep_due(session.sync)
    for attempt in range(PASSES):
        session.again = bool(run.place.get("again"))  # in an earlier slice
        if run.place.get("phase") != "write":
            with _timed(session, "plan"):
                plan(session, session.stages, sweep=sweep and attempt == 0)
            check_limits(session)
        if run.dry_run:
            for stage in session.stages:
                stage.work(session)
            break
        run.place = {"phase": "write", **kept(session.stages)}
        with _timed(session, "write"):
            _write(session)
        run.place = {}
        if not session.again or run.limit is not None:
            break
    if sweep and run.limit is None and not run.dry_run:
        session.sync.swept_at = now()
        session.sync.save(update_fields=["swept_at"])
        for stage in session.stages:
            stage.swept(session)


def _must_look(run: SyncRun) -> bool:
    return not run.place or run.place.get("phase") == "match"


def _look(session: Session) -> None:
    """Read both sides, settle what earlier runs left, and pair what matches."""
    if not session.run.place:
        note_pairs(session)
        with _timed(session, "read"):
            renew(session)
            pull(session)
            wake(session)
        with _timed(session, "recover"):
            drop_planned(session)
            for stage in session.stages:
                stage.resolve(session)
            reissued.decide(session)
    with _timed(session, "match"):
        match(session, lambda links: _absorbed(session, links))
    if not session.run.dry_run and not session.run.as_planned:
        supersede(session)
    session.run.place = {"phase": "plan"}


def _absorbed(session: Session, links: dict[int, int]) -> None:
    for stage in session.stages:
        stage.absorbed(links)


def _write(session: Session) -> None:
    planned = Change.objects.filter(run=session.run, outcome=ChangeOutcome.PLANNED)
    session.advance("writing", 0, planned.count())
    # What was built up is taken down in the opposite order: links before records.
    undo = session.run.undo_of_id is not None
    try:
        for stage in reversed(session.stages) if undo else session.stages:
            stage.apply(session)
    except SliceOver:
        for stage in session.stages:
            stage.interrupted(session)
        raise


def _sweep_due(sync: ObjectSync) -> bool:
    return is_due(sync.swept_at, timedelta(seconds=sync.sweep_every_s))


def _apply_plan(session: Session) -> None:
    """Write a plan that was made before: a preview's, or what a person approved.

    Both sides are looked at first: what an earlier run left behind, or a record that
    turned up since, must not be created a second time.
    """
    run = session.run
    if run.place.get("phase") != "write":
        if _must_look(run):
            _look(session)
        if run.plans_undo:
            with _timed(session, "plan"):
                plan_undo(session)
        elif not run.approved and run.plan_id is not None:
            _take_over(session)
        if run.dry_run:
            for stage in session.stages:
                stage.work(session)
            return
        run.place = {"phase": "write"}
    with _timed(session, "write"):
        _write(session)


def _take_over(session: Session) -> None:
    """Make a preview's planned changes this run's own."""
    run = session.run
    fields = [f.name for f in Change._meta.concrete_fields]
    skip = {"id", "run", "trace", "outcome", "created_at", "sent_at", "done_at"}
    last = 0
    while True:
        rows = list(
            Change.objects.filter(
                run=run.plan_id, outcome=ChangeOutcome.PLANNED, pk__gt=last
            ).order_by("pk")[:500]
        )
        if not rows:
            return
        last = rows[-1].pk
        Change.objects.bulk_create(
            [
                Change(run=run, **{f: getattr(r, f) for f in fields if f not in skip})
                for r in rows
            ]
        )


# The end -------------------------------------------------------------------------------


def _count(session: Session) -> dict[str, object]:
    """Count what stands, for the run's row."""
    totals: dict[str, object] = {}
    for stage in session.stages:
        totals |= stage.totals(session)
    session.run.totals = totals
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
