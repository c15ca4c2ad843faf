"""The queue only wakes: lost, doubled and late tasks do no harm, the rows decide."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from connections.connectors.hubspot.connector import HubSpotConnector
from connections.sandbox.server import SandboxServer
from syncs import services, tasks
from syncs.models import Change, ObjectSync, RecordLink, SyncRun
from syncs.models.choices import Status, Trigger
from syncs.run.session import Session
from tests.office import open_office
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
HOUR = timedelta(hours=1)


@pytest.fixture
def office() -> SimpleNamespace:
    return open_office()


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        world.set_up()
        yield world


def queue(*syncs: ObjectSync) -> SyncRun:
    run = services.start(syncs=syncs, trigger=Trigger.ADMIN)
    services.enqueue(run)
    return run


def woken() -> list[int]:
    """The runs that the cluster was told of, in order; the queue is empty after."""
    found = [row.task["args"][0] for row in OrmQ.objects.order_by("pk")]
    OrmQ.objects.all().delete()
    return found


def age(run: SyncRun, **by: timedelta) -> None:
    """Set times of a run back."""
    fresh = SyncRun.objects.get(pk=run.pk)
    times = {name: getattr(fresh, name) - ago for name, ago in by.items()}
    SyncRun.objects.filter(pk=run.pk).update(**times)


def family(run: SyncRun) -> list[str]:
    """The status of a run and of its children."""
    rows = [SyncRun.objects.get(pk=run.pk), *run.children.order_by("pk")]
    return [str(row.status) for row in rows]


# The schedule --------------------------------------------------------------------------


def test_a_new_sync_is_started_one_interval_after_it_was_set_up(office) -> None:
    ObjectSync.objects.update(every_s=600)
    assert tasks.start_due() == 0
    soonest = ObjectSync.objects.earliest("due_at").due_at
    assert soonest is not None
    assert 590 < (soonest - timezone.now()).total_seconds() <= 600
    ObjectSync.objects.update(due_at=timezone.now())
    assert tasks.start_due() == 1  # both syncs of the app in one run
    (run_id,) = woken()
    assert SyncRun.objects.filter(parent=run_id).count() == 2


@pytest.mark.parametrize(
    "off", [{"paused": True}, {"enabled": False}, {"every_s": None}]
)
def test_what_is_off_or_by_hand_only_is_never_started(office, off) -> None:
    ObjectSync.objects.update(**{"due_at": timezone.now() - HOUR} | off)
    assert tasks.start_due() == 0
    assert woken() == []


def test_a_sync_with_an_open_run_is_not_started_again(office) -> None:
    ObjectSync.objects.update(due_at=timezone.now() - HOUR)
    run = queue(office.companies, office.contacts)
    assert tasks.start_due() == 0
    assert woken() == [run.pk]


# Lost and doubled tasks ----------------------------------------------------------------


def test_a_run_whose_task_was_lost_is_woken_again(office) -> None:
    run = queue(office.companies)
    assert woken() == [run.pk]
    tasks.tick()
    assert woken() == []  # its time has not come
    age(run, queued_at=timedelta(minutes=6))
    tasks.tick()
    assert woken() == [run.pk]
    tasks.tick()
    assert woken() == []  # told a moment ago
    assert family(run) == ["queued", "queued"]


def test_a_task_that_comes_twice_leaves_the_run_to_who_has_it(office) -> None:
    run = queue(office.companies)
    SyncRun.objects.filter(pk=run.pk).update(
        status=Status.RUNNING, heartbeat_at=timezone.now()
    )
    assert tasks.run_sync(run.pk) == "nothing to do"
    stale = SyncRun(pk=run.pk, status=Status.QUEUED)  # read before the other began
    services.execute(stale)
    assert family(run) == ["running", "queued"]


def test_a_cancelled_run_ends_even_if_its_task_was_lost(office) -> None:
    run = queue(office.companies)
    woken()
    services.cancel(run)
    assert family(run) == ["cancelled", "cancelled"]
    assert tasks.run_sync(run.pk) == "nothing to do"


# Dead workers --------------------------------------------------------------------------


def test_what_a_dead_worker_left_is_closed_and_stands_in_nobodys_way(office) -> None:
    run = queue(office.companies, office.contacts)
    first = run.children.order_by("pk")[0]
    long_ago = timezone.now() - HOUR
    SyncRun.objects.filter(pk__in=[run.pk, first.pk]).update(
        status=Status.RUNNING, started_at=long_ago, heartbeat_at=long_ago
    )
    tasks.tick()
    assert family(run) == ["failed", "failed", "cancelled"]
    ObjectSync.objects.update(due_at=timezone.now())
    woken()
    assert tasks.start_due() == 1


def test_a_command_that_died_before_it_began_is_closed(office) -> None:
    run = services.start(syncs=[office.companies], trigger=Trigger.COMMAND)
    tasks.tick()
    assert family(run) == ["queued", "queued"]
    age(run, created_at=HOUR)
    tasks.tick()
    assert family(run) == ["failed", "cancelled"]


def test_a_run_that_waits_long_in_the_queue_is_not_taken_for_dead(office) -> None:
    run = queue(office.companies)
    age(run, created_at=HOUR, queued_at=timedelta(minutes=2))
    tasks.tick()
    assert family(run) == ["queued", "queued"]


# Slices --------------------------------------------------------------------------------


def test_a_run_goes_on_slice_by_slice_to_the_same_end(world, monkeypatch) -> None:
    world.sql(
        "INSERT INTO companies (name, domain) SELECT 'C' || n, 'c' || n || '.example' "
        "FROM generate_series(1, 250) n"
    )
    run = queue(world.companies, world.contacts)
    slices = 0
    while woken() == [run.pk]:
        monkeypatch.setattr(tasks, "SLICE_S", 0.02 * 2**slices)
        said = tasks.run_sync(run.pk)
        slices += 1
    assert said == "succeeded"
    assert slices > 3
    assert len(world.companies_in_hubspot()) == 250
    creates = Change.objects.filter(kind="create", outcome="applied")
    assert creates.count() == 250
    assert family(run) == ["succeeded"] * 3


def test_links_written_before_a_slice_ended_are_read_back_by_the_next(
    world, monkeypatch
) -> None:
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', 'a.example')")
    world.sql(
        "INSERT INTO people (email, company_id) SELECT 'p' || n || '@a.example', 1 "
        "FROM generate_series(1, 150) n"
    )
    sent: list[int] = []
    create = HubSpotConnector.create

    def creating(connector, obj, drafts, want):
        """The slice is over right after the first batch of people was created."""
        found = create(connector, obj, drafts, want)
        if obj.name == "contacts" and not sent:
            sent.append(len(drafts))
            monkeypatch.setattr(Session, "over_time", True)
        return found

    monkeypatch.setattr(HubSpotConnector, "create", creating)
    run = queue(world.companies, world.contacts)
    assert tasks.run_sync(run.pk) == "goes on in the next slice"
    monkeypatch.setattr(Session, "over_time", False)
    made = RecordLink.objects.filter(sync=world.contacts, hubspot_id__isnull=False)
    first = set(made.values_list("pk", flat=True))
    assert len(first) == sent[0] == 100
    assert set(made.values_list("dirty", flat=True)) == {True}
    assert tasks.run_sync(run.pk) == "succeeded"
    people = RecordLink.objects.filter(sync=world.contacts)
    assert len(people) == 150
    assert not people.filter(dirty=True).exists()
    assert len(world.links()) == 150
