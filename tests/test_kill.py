"""A run killed anywhere is finished by the next one: the same end, nothing twice.

The kill is a SIGKILL of a forked process, before or after one of its HTTP calls, its
statements to the app, or its commits. A sample of those places is tried here;
`make kill` tries every one.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from associations.models import AssociationLink
from connections.connectors.http import Door
from connections.connectors.postgres.database import Database
from connections.sandbox.hubspot.links import Pair
from connections.sandbox.server import SandboxServer
from syncs.models import Change, ObjectSync, RecordLink, SyncRun
from tests.world import World

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
SAMPLE = 24  # places tried by the suite
PARTS = 4  # tests that share them out
EVERY = "CROSSLINK_KILL_EVERYWHERE"
COMPANIES, PEOPLE = 24, 60  # records of the run, half of them on each side alone


def plant(world: World) -> None:
    """Half of the records in HubSpot, half in the app, some in both with other values."""
    world.sandbox.control.reset()
    account = world.sandbox.hubspot.main
    contact, company = (account.catalogue.kind(n) for n in ("contacts", "companies"))
    primary = account.types.primary(contact, company)
    assert primary is not None
    with account.store.transaction():
        ids = [
            account.records.create(
                company, {"name": f"C{n}", "domain": f"c{n}.example", "phone": "1"}
            ).id
            for n in range(COMPANIES // 2)
        ]
        for n in range(PEOPLE // 2):
            values = {"email": f"p{n}@x.example", "firstname": f"P{n}"}
            person = account.records.create(contact, values).id
            pair = Pair(contact, person, company, ids[n % len(ids)])
            account.links.write(pair, [primary], default=False)
    world.sandbox.control.settle()
    world.sql("TRUNCATE companies, people RESTART IDENTITY")
    world.sql(
        "INSERT INTO companies (name, domain, phone) SELECT 'C' || n, "
        "'c' || n || '.example', '2' FROM generate_series(%s::int, %s) n",
        COMPANIES // 2 - 8,
        COMPANIES - 1,
    )
    world.sql(
        "INSERT INTO people (email, first_name, last_name, company_id) SELECT "
        "'p' || n || '@x.example', 'P' || n, 'L', n %% %s + 1 "
        "FROM generate_series(%s::int, %s) n",
        COMPANIES // 2,
        PEOPLE // 2 - 10,
        PEOPLE - 1,
    )


def forget() -> None:
    """Leave the set-up alone, and nothing else."""
    for model in (Change, AssociationLink, SyncRun, RecordLink):
        model.objects.all().delete()
    ObjectSync.objects.update(
        hubspot_cursor=None,
        app_cursor_at=None,
        read_state={},
        full_read_at=None,
        swept_at=None,
    )


def state(world: World) -> tuple[Any, ...]:
    """Both systems whole, without ids."""
    companies = world.companies_in_hubspot()
    contacts = world.contacts_in_hubspot()
    for row in (*companies.values(), *contacts.values()):
        del row["id"]
    return companies, contacts, world.links(), world.company_rows(), world.people_rows()


def in_a_child(work: Callable[[], object]) -> int:
    """Do something in a forked process. Returns the signal that ended it, or 0."""
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


class Places:
    """Counts the places where a process can be killed, and kills at one of them."""

    def __init__(self, at: int | None = None) -> None:
        self.seen, self._at = 0, at

    def pass_by(self) -> None:
        self.seen += 1
        if self.seen == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Look at every call, statement and commit of this process from here on."""
        for owner, name in (
            (Door, "_exchange"),
            (Database, "_run"),
            (BaseDatabaseWrapper, "_commit"),
        ):
            setattr(owner, name, self._around(getattr(owner, name)))
        execute = CursorWrapper.execute

        def single(cursor: Any, sql: str, params: Any = None) -> Any:
            """A statement outside a transaction is a commit of its own."""
            found = execute(cursor, sql, params)
            writes = (
                not sql.lstrip().upper().startswith(("SELECT", "SAVEPOINT", "BEGIN"))
            )
            if writes and not cursor.db.in_atomic_block:
                self.pass_by()
            return found

        CursorWrapper.execute = single  # type: ignore[method-assign,assignment]

    def _around(self, call: Any) -> Any:
        def around(*args: Any, **kwargs: Any) -> Any:
            self.pass_by()
            found = call(*args, **kwargs)
            self.pass_by()
            return found

        return around


def killed_run(world: World, at: int) -> int:
    def work() -> None:
        Places(at).watch()
        world.run()

    return in_a_child(work)


def count_places(world: World) -> int:
    """How many places a run that nobody kills passes."""
    read, write = os.pipe()

    def work() -> None:
        places = Places()
        places.watch()
        report = world.run()
        assert report["status"] == "succeeded", report
        os.write(write, str(places.seen).encode())

    assert in_a_child(work) == 0
    with os.fdopen(read) as found:
        os.close(write)
        return int(found.read())


def creates_sent_twice(world: World) -> list[str]:
    """Trace ids of creates that HubSpot took more than once."""
    traces = [
        row["objectWriteTraceId"]
        for call in world.sandbox.control.writes("/batch/create")
        if "associations" not in call["path"] and call["status"] < 300
        for row in call["body"]["inputs"]
    ]
    return sorted({t for t in traces if traces.count(t) > 1})


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        world.set_up()
        yield world


@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_killed_anywhere_is_finished_by_the_next(world, part):
    plant(world)
    places = count_places(world)
    expected = state(world)
    assert len(expected[1]) == PEOPLE
    assert len(expected[2]) == PEOPLE
    step = 1 if os.environ.get(EVERY) else max(places // SAMPLE, 1)
    tried = range(1 + part * step, places + 1, step * PARTS)
    killed = 0
    for at in tried:
        forget()
        plant(world)
        killed += killed_run(world, at) == signal.SIGKILL
        world.run()
        assert state(world) == expected, f"killed at {at} of {places}"
        assert creates_sent_twice(world) == []
        again = world.run()
        for child in again["syncs"]:
            work = [child[k] for k in ("created", "updated")]
            assert work == [{"hubspot": 0, "app": 0}] * 2, (at, child)
    assert killed >= len(tried) * 0.8  # threads take turns: not every count is met
