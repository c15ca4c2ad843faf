"""A field that goes round stops, says why, and holds up nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from connections import services as connection_services
from connections.models import ConnectedApp
from connections.sandbox.server import SandboxServer
from syncs.models import Change, FieldMapping, MatchKey, ObjectSync, RecordLink
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
ANN = "ann@x.example"
NOTHING = {"hubspot": 0, "app": 0}


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def ann(world: World) -> str:
    (made,) = world.create("contacts", [{"email": ANN, "firstname": "Ann"}])
    world.set_up()
    world.run(world.contacts)
    return made


def quarrel(world: World, made: str, times: int) -> dict[str, Any]:
    """A trigger writes A and a workflow writes B, after each other; the last report."""
    report: dict[str, Any] = {}
    for n in range(times):
        if n % 2:
            world.update("contacts", made, firstname="B")
        else:
            world.sql("UPDATE people SET first_name = 'A'")
        report = world.run(world.contacts)
    return report


def mine(report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = report["syncs"][0]
    return found


def test_a_field_that_goes_round_stops_and_the_rest_of_the_record_goes_on(world):
    made = ann(world)
    report = quarrel(world, made, 4)
    assert report["status"] == "succeeded", report
    world.sql("UPDATE people SET first_name = 'A', last_name = 'Ash'")
    report = world.run(world.contacts)
    assert (report["status"], mine(report)["failing"]) == ("partial", 1)
    assert world.contacts_in_hubspot()[ANN]["firstname"] == "B"
    assert world.contacts_in_hubspot()[ANN]["lastname"] == "Ash"
    link = RecordLink.objects.get()
    assert (link.state, link.error_code, link.error_field) == (
        "failing",
        "LOOP",
        "firstname",
    )
    assert "between 'A' and 'B'" in link.error_text
    assert "a trigger or a person in Ops" in link.error_text
    again = world.run(world.contacts)
    assert mine(again)["updated"] == NOTHING


@pytest.mark.parametrize("how", ["day", "set-up", "full"])
def test_it_ends_with_the_day_a_changed_set_up_or_a_resync(world, how):
    made = ann(world)
    quarrel(world, made, 5)
    assert RecordLink.objects.get().error_code == "LOOP"
    if how == "day":
        Change.objects.update(done_at=F("done_at") - timedelta(days=1))
        RecordLink.objects.update(retry_at=F("retry_at") - timedelta(days=1))
    elif how == "set-up":
        ObjectSync.objects.update(revision=F("revision") + 1)
    report = world.run(world.contacts, full=how == "full")
    assert report["status"] == "succeeded", report
    assert world.contacts_in_hubspot()[ANN]["firstname"] == "A"


def test_somebody_who_changes_their_mind_all_day_is_followed(world):
    ann(world)
    for n in range(6):
        world.sql("UPDATE people SET first_name = %s", "AB"[n % 2])
        report = world.run(world.contacts)
        assert report["status"] == "succeeded", report
    assert world.contacts_in_hubspot()[ANN]["firstname"] == "B"


def second_app(world: World) -> ObjectSync:
    """Another app with the same people, in a table of its own."""
    world.sql(
        "CREATE TABLE others (id serial PRIMARY KEY, mail text, called text, "
        "updated_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    world.sql(
        "CREATE TRIGGER touch BEFORE UPDATE ON others "
        "FOR EACH ROW EXECUTE FUNCTION touch()"
    )
    app = ConnectedApp.objects.create(
        name="Crew",
        kind="postgres",
        hubspot=world.account,
        credentials={"dsn": world.dsn},
    )
    for owner in (world.app, app):
        connection_services.refresh_schema(owner)
    sync = ObjectSync.objects.create(
        app=app,
        name="People",
        hubspot_object="contacts",
        app_object="others",
        app_cursor="updated_at",
        matching="fields",
    )
    MatchKey.objects.create(sync=sync, hubspot="email", app="mail", normalize="email")
    for hubspot, column in (("email", "mail"), ("firstname", "called")):
        FieldMapping.objects.create(sync=sync, hubspot=hubspot, app=column)
    world.run(sync)
    return sync


def test_two_apps_that_fight_over_a_property_are_both_named(world):
    ann(world)
    other = second_app(world)
    stopped = None
    for _ in range(4):
        for sync, statement in (
            (world.contacts, "UPDATE people SET first_name = 'A'"),
            (other, "UPDATE others SET called = 'B'"),
        ):
            world.run(sync)  # takes what the other wrote
            world.sql(statement)  # and a trigger has it otherwise
            world.run(sync)
            stopped = stopped or RecordLink.objects.filter(error_code="LOOP").first()
    assert stopped is not None
    assert "Ops › Contacts and Crew › People overwrite" in stopped.error_text
    written = Change.objects.filter(kind="update", side="hubspot", outcome="applied")
    assert 3 <= written.count() <= 5


def test_a_quiet_record_costs_one_query_more_and_none_without_a_write(world):
    ann(world)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        world.run(world.contacts)
    assert not _looks_back(queries)
    world.sql("UPDATE people SET first_name = 'A', last_name = 'B'")
    with CaptureQueriesContext(connection) as queries:
        world.run(world.contacts)
    assert len(_looks_back(queries)) == 1


def _looks_back(queries: CaptureQueriesContext) -> list[str]:
    return [q["sql"] for q in queries if 'done_at" > ' in q["sql"]]
