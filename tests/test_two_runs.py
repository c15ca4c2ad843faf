"""Two runs at once: one does the whole of it, the other says so or waits."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections

from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import ObjectSync, SyncRun
from syncs.models.choices import Status, Trigger
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}, latency_ms=40) as sandbox:
        world = World(sandbox, pg_dsn)
        world.sql(
            "INSERT INTO companies (name, domain) SELECT 'C' || n, 'c' || n || '.example' "
            "FROM generate_series(1, 40) n"
        )
        world.sql(
            "INSERT INTO people (email, company_id) SELECT 'p' || n || '@x.example', n "
            "FROM generate_series(1, 40) n"
        )
        world.set_up()
        yield world


def at_once(count: int, **how: Any) -> list[list[str]]:
    """Run every sync in several threads together; each run's and its children's end."""
    gate = threading.Barrier(count)
    ended: list[list[str]] = []

    def work() -> None:
        try:
            syncs = list(ObjectSync.objects.order_by("pk"))
            run = services.start(syncs=syncs, trigger=Trigger.COMMAND, **how)
            gate.wait(30)
            services.execute(run)
            children = run.children.order_by("pk")
            ended.append([str(run.status), *(c.error_code for c in children)])
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return sorted(ended)


def whole(world: World) -> bool:
    """Whether both systems have everything, once, with its links."""
    linked = {f"p{n}@x.example": f"c{n}.example" for n in range(1, 41)}
    return len(world.companies_in_hubspot()) == 40 and world.primary() == linked


def test_one_of_two_runs_does_everything_and_the_other_says_run_open(
    world: World,
) -> None:
    assert at_once(2) == [
        ["failed", "RUN_OPEN", "RUN_OPEN"],
        ["succeeded", "", ""],
    ]
    assert whole(world)


def test_a_run_that_may_wait_comes_after_the_other(world: World) -> None:
    assert at_once(2, wait=True) == [["succeeded", "", ""]] * 2
    assert whole(world)
    creates = world.sandbox.control.count("batch/create")
    assert creates == 2  # one for companies, one for contacts, both by the first


def test_a_run_whose_process_was_killed_stands_in_nobodys_way(world: World) -> None:
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        try:
            world.run()
        finally:
            os._exit(0)
    until = time.monotonic() + 30
    while not SyncRun.objects.filter(status=Status.RUNNING, parent__isnull=False):
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert world.run()["status"] == "succeeded"
    assert whole(world)
    assert not SyncRun.objects.filter(status__in=(Status.QUEUED, Status.RUNNING))
