"""A run, the task cluster, people in the admin and a slow writer at once: on one database
file as on a server, nobody fails because another one writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from django.db import connection, transaction
from django.test import Client

from connections.sandbox.server import SandboxServer
from syncs import services, tasks
from syncs.models import ObjectSync, SyncRun
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

PEOPLE = 40
HELD_S = 0.2  # how long the slow writer keeps the database


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        world.sql(
            "INSERT INTO companies (name, domain) SELECT 'C' || n, 'c' || n || '.example' "
            "FROM generate_series(1, 20) n"
        )
        world.sql(
            "INSERT INTO people (email, company_id) SELECT 'p' || n || '@x.example', "
            "mod(n, 20) + 1 FROM generate_series(1, %s) n",
            PEOPLE,
        )
        world.set_up()
        yield world


def test_nobody_fails_because_another_one_writes(world, admin_user) -> None:
    over = threading.Event()
    failed: list[BaseException] = []
    done = dict.fromkeys(("cluster", "person", "slow"), 0)
    client = Client()
    client.force_login(admin_user)

    def person() -> None:
        for page in ("/admin/", "/admin/syncs/syncrun/", "/admin/syncs/recordlink/"):
            assert client.get(page).status_code == 200
        sync = ObjectSync.objects.get(pk=world.contacts.pk)
        services.pause(sync)
        services.resume(sync)

    def slow() -> None:
        with transaction.atomic():
            ObjectSync.objects.filter(pk=world.companies.pk).update(position=3)
            over.wait(HELD_S)
        over.wait(HELD_S / 2)  # one that never lets go would starve everybody

    def again(name: str, act: Callable[[], object]) -> None:
        try:
            while not over.is_set():
                act()
                done[name] += 1
        except BaseException as exc:
            failed.append(exc)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=again, args=("cluster", tasks.tick)),
        threading.Thread(target=again, args=("person", person)),
        threading.Thread(target=again, args=("slow", slow)),
    ]
    for thread in threads:
        thread.start()
    try:
        reports = [world.run(), world.run()]
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert failed == []
    assert [report["status"] for report in reports] == ["succeeded"] * 2, reports
    assert len(world.primary()) == PEOPLE
    assert min(done.values()) > 1, done
    errors = SyncRun.objects.exclude(error_code="").exclude(error_code="RUN_OPEN")
    assert not errors.exists(), list(errors.values_list("error_code", "error_text"))


def test_a_file_is_shared_by_waiting_and_a_server_by_its_own_means() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            assert connection.settings_dict["CONN_HEALTH_CHECKS"]
            cursor.execute("SHOW transaction_isolation")
            assert cursor.fetchone() == ("read committed",)
            return
        for name, value in (("journal_mode", "wal"), ("busy_timeout", 20_000)):
            cursor.execute(f"PRAGMA {name}")
            assert cursor.fetchone() == (value,)
        assert connection.settings_dict["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
