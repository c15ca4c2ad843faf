"""Whatever stops a run, a later one goes on to the same end: our own database lost or
full in the middle, a clock that steps, a worker that slept through its lease.

Kills of the process are in tests/test_kill.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from connections.connectors.http import Door
from connections.connectors.postgres.database import Database
from connections.sandbox.server import SandboxServer
from syncs import tasks
from syncs.models import ObjectSync, RecordLink, SyncRun
from syncs.models.choices import RecordState
from syncs.run.child import close_abandoned
from syncs.run.lease import Lease
from tests.office import open_office, records
from tests.test_kill import creates_sent_twice, state
from tests.world import World

integration = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
NOTHING = {"hubspot": 0, "app": 0}
PLACES = 3  # where a run is broken, spread over it


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        world.set_up()
        yield world


def plant(world: World, batch: str) -> None:
    """Records on either side, linked; each batch has its own."""
    for n in range(4):
        world.sql(
            "WITH c AS (INSERT INTO companies (name, domain) VALUES (%s, %s) "
            "RETURNING id) INSERT INTO people (email, first_name, company_id) "
            "SELECT %s, 'P', id FROM c",
            f"C{batch}{n}",
            f"{batch}{n}.example",
            f"p{n}@{batch}.example",
        )
    (company,) = world.create(
        "companies", [{"name": f"H{batch}", "domain": f"h{batch}.example"}]
    )
    for contact in world.create(
        "contacts", [{"email": f"h{n}@{batch}.example"} for n in range(3)]
    ):
        world.make_primary(contact, company)


@contextmanager
def at_place(number: int, act: Callable[[], None]) -> Iterator[list[int]]:
    """Do something before the so-manieth call to HubSpot or statement to the app."""
    seen = [0]
    kept = {(Door, "_exchange"): Door._exchange, (Database, "_run"): Database._run}

    def around(call: Any) -> Any:
        def passing(*args: Any, **kwargs: Any) -> Any:
            seen[0] += 1
            if seen[0] == number:
                act()
            return call(*args, **kwargs)

        return passing

    for (owner, name), call in kept.items():
        setattr(owner, name, around(call))
    try:
        yield seen
    finally:
        for (owner, name), call in kept.items():
            setattr(owner, name, call)


class Broken:
    """Our own database, out of order while `left` says so; `writes` alone if it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        self.left, self.writes, self._text = 0, False, text
        for name in ("execute", "executemany"):
            whole = getattr(CursorWrapper, name)
            monkeypatch.setattr(CursorWrapper, name, self._around(whole))

    def _around(self, whole: Any) -> Any:
        def call(cursor: Any, sql: str, params: Any = None) -> Any:
            verb = sql.lstrip()[:6].upper()
            if self.left and (not self.writes or verb in ("INSERT", "UPDATE")):
                self.left -= 1
                raise OperationalError(self._text)
            return whole(cursor, sql, params)

        return call


def break_everywhere(world: World, act: Callable[[], None], mend: Any = None) -> None:
    """Break a run at some of its places, and look what the next ones make of it."""
    plant(world, "count")
    with at_place(-1, act) as seen:
        assert world.run()["status"] == "succeeded"
    step = max(seen[0] // PLACES, 1)
    for turn, place in enumerate(range(2, seen[0], step)):
        plant(world, f"b{turn}")
        with at_place(place, act):
            ended = run_or_fail(world)
        if mend is not None:
            mend()
        close_abandoned()
        assert ended in (None, "failed", "partial", "succeeded")
        world.run()
        whole(world, turn, place)
        again = world.run()
        for part in again["syncs"]:
            assert part["status"] == "succeeded", (place, part)
            assert [part["created"], part["updated"]] == [NOTHING] * 2, (place, part)
        assert creates_sent_twice(world) == []


def run_or_fail(world: World) -> str | None:
    """A run's status; None where it could not even write that down."""
    try:
        status: str = world.run()["status"]
    except (OperationalError, psycopg.OperationalError):
        connection.close()
        return None
    return status


def whole(world: World, turn: int, place: int) -> None:
    """Everything planted so far is on both sides, linked."""
    _, contacts, links, companies, people = state(world)
    assert people.keys() == contacts.keys(), place
    assert len(people) == 7 * (turn + 2), place
    assert len(companies) == 5 * (turn + 2), place
    assert {m: d for m, (_, _, d) in people.items()} == world.primary(), place
    assert len(links) == len(people), place


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_database_lost_for_a_moment_costs_a_run_and_no_data(world, monkeypatch):
    if connection.vendor == "postgresql":
        break_everywhere(world, _end_every_session)
        return
    broken = Broken(monkeypatch, "disk I/O error")
    break_everywhere(world, lambda: setattr(broken, "left", 3))


def _end_every_session() -> None:
    """What a restart does to whoever is connected."""
    params = connection.get_connection_params()
    names = {k: params[k] for k in ("host", "port", "user", "password") if k in params}
    with psycopg.connect(dbname="postgres", autocommit=True, **names) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [params["dbname"]],
        )


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_full_disk_costs_a_run_and_no_data(world, monkeypatch):
    monkeypatch.setattr("syncs.run.lease.BACK_AFTER_S", ())
    broken = Broken(monkeypatch, "database or disk is full")
    broken.writes = True

    def room() -> None:
        """Somebody makes room, later than a lease lasts that could not be given back."""
        broken.left = 0
        past = timezone.now() - timedelta(minutes=2)
        ObjectSync.objects.filter(lease_until__isnull=False).update(lease_until=past)
        SyncRun.objects.filter(status="running").update(heartbeat_at=past)

    break_everywhere(world, lambda: setattr(broken, "left", 10**6), room)


# A clock that steps --------------------------------------------------------------------


class Clock:
    """The machine's clock, which somebody sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off = timedelta()
        real = timezone.now
        monkeypatch.setattr(timezone, "now", lambda: real() + self.off)

    def step(self, **by: float) -> None:
        self.off += timedelta(**by)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.parametrize("hours", [2, -2])
@pytest.mark.django_db(transaction=True)
def test_a_clock_that_steps_within_a_run_costs_a_run_and_no_data(world, clock, hours):
    break_everywhere(world, lambda: clock.step(hours=hours))


@pytest.mark.django_db
@pytest.mark.parametrize("hours", [0, 24 * 400])
def test_what_was_due_before_the_clock_went_back_is_due_after_it(clock, hours):
    """At 0 hours the clock goes on; at 400 days it was wrong by that before."""
    clock.step(hours=hours)
    office = open_office()
    records(office, 5)
    ObjectSync.objects.update(due_at=timezone.now())
    rest = {"state": RecordState.FAILING, "dirty": False}
    RecordLink.objects.update(retry_at=timezone.now() + timedelta(hours=1), **rest)
    lost = SyncRun.objects.create(
        trigger="schedule", status="running", heartbeat_at=timezone.now()
    )
    clock.step(hours=-hours, minutes=2)
    assert close_abandoned() == 1
    lost.refresh_from_db()
    assert lost.status == "failed"
    assert tasks.start_due() == 1


@pytest.mark.django_db
def test_a_lease_from_before_the_clock_went_back_is_nobodys(clock):
    office = open_office()
    clock.step(hours=24 * 400)
    elsewhere = Lease(office.contacts)
    elsewhere.take()
    ObjectSync.objects.filter(pk=office.contacts.pk).update(
        lease_holder="another-host|1|1"
    )
    clock.step(hours=-24 * 400)
    mine = Lease(office.contacts)
    mine.take()
    mine.check()
    assert mine.token == elsewhere.token + 1


def test_a_time_to_come_says_nothing_of_when_something_was_done(clock):
    from syncs.run.session import is_due

    hour = timedelta(hours=1)
    moment: datetime = timezone.now()
    assert is_due(None, hour)
    assert not is_due(moment - hour / 2, hour)
    assert is_due(moment - 2 * hour, hour)
    assert is_due(moment + hour, hour)
