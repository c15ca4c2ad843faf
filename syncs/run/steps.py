"""What one object sync's run does, in order: read, match, plan, hold, write.

Each step notes its place on the run's row, so that the next slice of a long run, or the
run after one that was killed, goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from connections.catalogue import Code
from connections.connectors.base import SchemaError
from syncs.models import Change, ObjectSync, SyncRun
from syncs.models.choices import ChangeOutcome
from syncs.run import reissued
from syncs.run.closing import closes, look_again
from syncs.run.holding import check_limits, note_pairs, supersede
from syncs.run.match import match
from syncs.run.plan import kept, plan
from syncs.run.pull import pull
from syncs.run.scope import wake
from syncs.run.sending import note_planned
from syncs.run.session import Cancelled, Session, SliceOver, is_due, now
from syncs.run.shortfall import make_up
from syncs.run.undoing import plan_undo
from syncs.run.unknown import drop_planned, give_up_planned

PASSES = 3  # plan and write again at most so often for what moved meanwhile


def pin(session: Session) -> None:
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


def sync(session: Session) -> None:
    run = session.run
    if _must_look(run):
        _look(session)
    second = closes(run)
    sweep = not second and (run.sweep or _sweep_due(session.sync))
    only = look_again(session) if second else None
    for attempt in range(PASSES):
        session.again = bool(run.place.get("again"))  # in an earlier slice
        if run.place.get("phase") != "write":
            with _timed(session, "plan"):
                plan(session, session.stages, sweep=sweep and attempt == 0, only=only)
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
            pull(session)
            wake(session)
        with _timed(session, "recover"):
            drop_planned(session)
            for stage in session.stages:
                stage.resolve(session)
            reissued.decide(session)
    with _timed(session, "match"):
        moved = partial(_absorbed, session)
        match(session, moved)
        if make_up(session):
            session.run.place = {}  # matching begins anew
            match(session, moved)
    if not session.run.dry_run and not session.run.as_planned:
        supersede(session)
    session.run.place = {"phase": "plan"}


def _absorbed(session: Session, links: dict[int, int]) -> None:
    for stage in session.stages:
        stage.absorbed(links)


def _write(session: Session) -> None:
    session.advance("writing", 0, note_planned(session))
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


def apply_plan(session: Session) -> None:
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
