"""History goes after its time, a little at a time, and never what is still needed."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import Task

from syncs import services, tasks
from syncs.models import Change, LogEntry, SyncRun
from syncs.services import pruning
from tests.many import UUID, copies
from tests.office import open_office, past_run

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

OLD = timedelta(days=91)


@pytest.fixture
def office() -> SimpleNamespace:
    return open_office()


def aged(office: SimpleNamespace, by: timedelta = OLD, **how: Any) -> SyncRun:
    """A finished run with its children, changes and entries, of some time ago."""
    run = past_run(office, None, **how)
    at = timezone.now() - by
    family = [run.pk, *run.children.values_list("pk", flat=True)]
    SyncRun.objects.filter(pk__in=family).update(created_at=at)
    Change.objects.filter(run__in=family).update(created_at=at)
    LogEntry.objects.filter(run__in=family).update(at=at)
    return run


def left(run: SyncRun) -> tuple[int, int, int]:
    """How many runs, changes and entries are there of one."""
    family = [run.pk, *SyncRun.objects.filter(parent=run).values_list("pk", flat=True)]
    return (
        SyncRun.objects.filter(pk__in=family).count(),
        Change.objects.filter(run__in=family).count(),
        LogEntry.objects.filter(run__in=family).count(),
    )


def test_old_history_goes_and_the_rest_stays(office) -> None:
    old, young = aged(office), aged(office, timedelta(days=89))
    Task.objects.create(
        id="x" * 32,
        name="tick",
        func="f",
        started=timezone.now() - timedelta(days=3),
        stopped=timezone.now() - timedelta(days=2),
        success=True,
    )
    before = left(young)
    tasks.prune()
    assert left(old) == (0, 0, 0)
    assert left(young) == before == (3, 8, 2)
    assert not Task.objects.exists()
    assert tasks.prune() == 0


@pytest.mark.parametrize(
    "needed",
    [
        {"outcome": "sent", "kind": "create"},
        {"outcome": "held", "awaiting": "limits"},
        {"outcome": "held", "awaiting": "deletes"},
        {"outcome": "held", "awaiting": "conflicts"},
        {"outcome": "dropped", "awaiting": "deletes", "kind": "archive"},
    ],
    ids=lambda needed: " ".join(needed.values()),
)
def test_what_is_still_needed_stays_with_its_runs_while_it_is(office, needed) -> None:
    run = aged(office)
    aged(office, timedelta())  # the one whose totals are kept
    change = Change.objects.filter(run__parent=run, kind="update").earliest("pk")
    Change.objects.filter(pk=change.pk).update(**needed)
    tasks.prune()
    assert list(Change.objects.filter(run__parent=run)) == [change]
    assert left(run) == (2, 1, 0)  # the run, and its child with the change
    Change.objects.filter(pk=change.pk).update(outcome="applied", awaiting="")
    tasks.prune()
    assert left(run) == (0, 0, 0)


def test_an_open_run_keeps_everything(office) -> None:
    run = aged(office, status="running")
    family = SyncRun.objects.filter(pk=run.pk) | SyncRun.objects.filter(parent=run)
    family.update(finished_at=None)
    tasks.prune()
    assert left(run)[:2] == (3, 8)


def test_the_totals_that_home_shows_stay(office) -> None:
    older = aged(office)
    last = aged(office, status="held")
    preview = aged(office, dry_run=True)
    tasks.prune()
    assert left(older) == left(preview) == (0, 0, 0)
    assert left(last) == (3, 0, 0)


def test_a_backlog_goes_over_several_ticks_in_small_statements(
    office, monkeypatch
) -> None:
    run = aged(office)
    aged(office, timedelta())
    change = Change.objects.filter(run__parent=run, kind="update").latest("pk")
    copies(change, 2_500, trace=UUID)
    monkeypatch.setattr(pruning, "AT_ONCE", 400)
    biggest, ticks = 0, 0
    while left(run) != (0, 0, 0):
        before = Change.objects.count()
        assert services.prune(seconds=0) > 0
        ticks += 1
        biggest = max(biggest, before - Change.objects.count())
        assert ticks < 40
    assert biggest == 400
    assert ticks > 6


def test_deleting_a_run_takes_no_change_with_it(office) -> None:
    """Whatever comes in between, a run goes only once nothing hangs on it."""
    run = aged(office)
    aged(office, timedelta())
    before = timezone.now() - timedelta(days=90)
    assert pruning._runs(before) == 0
    assert left(run) == (3, 8, 2)
