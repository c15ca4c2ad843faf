"""A system that nothing happens in is left alone, whatever it holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import RecordLink, SyncRun
from syncs.models.choices import Status, Trigger
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        world.create("companies", [{"name": "A", "domain": "a.example"}])
        world.set_up()
        world.run()
        yield world


def link(world: World) -> RecordLink:
    return RecordLink.objects.get(sync=world.companies)


def test_the_back_off_of_a_refused_value_doubles(world: World) -> None:
    world.sql("ALTER TABLE companies ADD CHECK (phone IS NULL OR length(phone) < 5)")
    company = world.companies_in_hubspot()["a.example"]["id"]
    world.update("companies", str(company), phone="1234567")
    waits = []
    for _ in range(3):
        before = timezone.now()
        assert world.run(world.companies)["status"] == "partial"
        due = link(world).retry_at
        assert due is not None
        waits.append(round((due - before).total_seconds(), -2))
        RecordLink.objects.update(retry_at=before - timedelta(seconds=1))
    assert waits == [600, 1200, 2400]


def test_a_preview_neither_tries_nor_settles_what_fails(world: World) -> None:
    world.sql("ALTER TABLE companies ADD CHECK (phone IS NULL OR length(phone) < 5)")
    company = world.companies_in_hubspot()["a.example"]["id"]
    world.update("companies", str(company), phone="1234567")
    world.run(world.companies)
    world.sql("ALTER TABLE companies DROP CONSTRAINT companies_phone_check")
    RecordLink.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
    world.run(world.companies, dry_run=True)
    assert world.run(world.companies)["status"] == "succeeded"
    assert world.company_rows()["a.example"][1] == "1234567"


def test_a_row_that_takes_no_write_fails_and_rests(world: World) -> None:
    world.sql(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NULL; END $$"
    )
    world.sql(
        "CREATE TRIGGER a_no BEFORE UPDATE ON companies "
        "FOR EACH ROW EXECUTE FUNCTION no()"
    )
    company = world.companies_in_hubspot()["a.example"]["id"]
    world.update("companies", str(company), phone="2")
    first = world.run(world.companies)
    assert first["status"] == "partial"
    assert [e["code"] for e in first["syncs"][0]["errors"]] == ["RECORD_GONE"]
    assert not link(world).dirty
    second = world.run(world.companies)["syncs"][0]
    assert second["updated"] == {"hubspot": 0, "app": 0}


def test_a_run_that_waits_for_another_can_be_cancelled(world: World) -> None:
    earlier = services.start(syncs=[world.companies], trigger=Trigger.SCHEDULE)
    SyncRun.objects.filter(pk=earlier.pk).update(
        status=Status.RUNNING, started_at=timezone.now(), heartbeat_at=timezone.now()
    )
    waits = services.start(syncs=[world.companies], trigger=Trigger.COMMAND, wait=True)
    SyncRun.objects.filter(pk=waits.pk).update(cancel_requested=True)
    services.execute(waits)
    assert SyncRun.objects.get(pk=waits.pk).status == Status.CANCELLED


def test_a_plan_that_another_run_kept_from_being_applied_can_be_applied(
    world: World,
) -> None:
    world.create("companies", [{"name": "B", "domain": "b.example"}])
    preview = world.run(world.companies, dry_run=True)
    busy = services.start(syncs=[world.companies], trigger=Trigger.SCHEDULE)
    SyncRun.objects.filter(pk=busy.pk).update(
        status=Status.RUNNING, started_at=timezone.now(), heartbeat_at=timezone.now()
    )
    plan, _ = services.plan_run(preview["run"])
    refused = services.start(
        syncs=[world.companies], trigger=Trigger.COMMAND, plan=plan
    )
    services.execute(refused)
    assert services.report(refused)["status"] == "failed"
    SyncRun.objects.filter(pk=busy.pk).update(status=Status.CANCELLED)
    SyncRun.objects.filter(parent=busy).update(status=Status.CANCELLED)
    plan, _ = services.plan_run(preview["run"])
    run = services.start(syncs=[world.companies], trigger=Trigger.COMMAND, plan=plan)
    services.execute(run)
    assert "b.example" in world.company_rows()
