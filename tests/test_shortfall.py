"""Complete reads that show fewer records than there are: nothing is made twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import LogEntry, ObjectSync, RecordLink, SyncRun
from syncs.models.choices import Trigger
from syncs.run import shortfall
from syncs.run.pull import keep_page
from syncs.run.session import Session, SliceOver
from tests.vendor import all_records
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
LIST = "path=/0-2,method=GET"
NAMES = ("a", "b", "c")


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        world.set_up()
        for name in NAMES:
            domain = f"{name}.example"
            world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s)", domain)
        yield world


def in_hubspot(world: World) -> list[str]:
    world.sandbox.control.set_clock(-3600.0)  # changed long before they are read
    world.create("companies", [{"domain": f"{name}.example"} for name in NAMES])
    world.sandbox.control.set_clock(0.0)
    return domains(world)


def domains(world: World) -> list[str]:
    world.sandbox.control.set_faults()
    rows = all_records(world.client, "companies", ["domain"])
    return sorted(row["domain"] or "" for row in rows.values())


def counts(world: World) -> int:
    return world.sandbox.control.count("companies/search")


@pytest.mark.parametrize("fault", ["truncate", "truncate=2", "omit=1", "omit=2"])
def test_a_short_list_makes_nothing_twice(world, fault):
    before = in_hubspot(world)
    world.sandbox.control.set_faults(f"{fault},{LIST}")
    report = world.run(world.companies)
    assert report["status"] == "succeeded"
    assert report["syncs"][0]["created"] == {"hubspot": 0, "app": 0}
    [said] = LogEntry.objects.filter(text__contains="A complete read")
    assert "of 3" in said.text
    assert domains(world) == before
    assert world.run(world.companies)["syncs"][0]["created"] == {"hubspot": 0, "app": 0}
    assert domains(world) == before


def test_a_few_are_tried_by_the_same_rule(world):
    before = in_hubspot(world)
    world.sandbox.control.set_faults(f"truncate,{LIST}")
    assert world.run(world.companies, limit=1)["status"] == "succeeded"
    assert domains(world) == before


def test_what_was_refused_before_is_not_created_beside_what_a_list_left_out(world):
    world.sandbox.control.set_faults("status=400,path=batch/create")
    world.run(world.companies)
    assert RecordLink.objects.filter(state="failing", dirty=False).count() == len(NAMES)
    world.sandbox.control.set_faults()
    before = in_hubspot(world)
    RecordLink.objects.update(retry_at=timezone.now())
    ObjectSync.objects.update(full_read_at=None)
    world.sandbox.control.set_faults(f"truncate,{LIST}")
    assert world.run(world.companies)["syncs"][0]["created"] == {"hubspot": 0, "app": 0}
    assert domains(world) == before


def test_a_read_that_outlasts_its_slice_is_followed_by_another_list(world, monkeypatch):
    before = in_hubspot(world)
    world.sandbox.control.set_faults(f"truncate,{LIST},nth=1")
    run = services.start(syncs=[world.companies], trigger=Trigger.COMMAND)

    def slow(session: Session, *args: Any, **how: Any) -> None:
        keep_page(session, *args, **how)
        session.deadline = time.monotonic() - 1

    with monkeypatch.context() as patch:
        patch.setattr(shortfall, "keep_page", slow)
        with pytest.raises(SliceOver):
            services.execute(run, deadline=time.monotonic() + 60)
    services.execute(SyncRun.objects.get(pk=run.pk), deadline=time.monotonic() + 60)
    assert SyncRun.objects.get(pk=run.pk).status == "succeeded"
    assert domains(world) == before


def test_where_nobody_can_count_nothing_is_created_until_somebody_can(world):
    before = in_hubspot(world)
    faults = [f"truncate,{LIST}", "status=500,path=0-2/search"]
    world.sandbox.control.set_faults(*faults)
    assert world.run(world.companies)["status"] == "failed"
    # The list was read, so that this run reads what changed, and counts before it creates.
    world.sandbox.control.set_faults()
    assert world.run(world.companies)["status"] == "succeeded"
    assert domains(world) == before


def test_a_count_is_asked_once_for_a_complete_read_that_leaves_records_to_create(world):
    world.sandbox.control.reset_counts()
    assert world.run(world.companies)["syncs"][0]["created"]["hubspot"] == len(NAMES)
    assert counts(world) == 1
    world.sandbox.control.reset_counts()
    world.run(world.companies, full=True)
    assert counts(world) == 0  # all have their partner
    world.sql("INSERT INTO companies (name, domain) VALUES ('D', 'd.example')")
    world.run(world.companies, full=True)
    assert counts(world) == 1
