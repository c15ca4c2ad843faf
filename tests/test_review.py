"""Conflicts that a person decides: asked once, for each field, and nothing else waits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from associations.models import AssociationLink
from connections.sandbox.server import SandboxServer
from syncs.models import Change, FieldMapping, RecordLink
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
Json = dict[str, Any]
ANN = "ann@x.example"
NOTHING = {"hubspot": 0, "app": 0}


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def ann(world: World, **set_up: Any) -> str:
    """One person on both sides, in step."""
    (made,) = world.create(
        "contacts", [{"email": ANN, "firstname": "Ann", "lastname": "Ash"}]
    )
    world.set_up(**{"conflict": "review"} | set_up)
    world.run()
    return made


def in_conflict(world: World, **set_up: Any) -> str:
    """Both sides gave her another first name since."""
    made = ann(world, **set_up)
    world.update("contacts", made, firstname="Anna")
    world.sql("UPDATE people SET first_name = 'Annie'")
    return made


def contacts(report: Json) -> Json:
    found: Json = report["syncs"][-1]
    return found


def choices() -> dict[str, tuple[Any, Any]]:
    """What each side would be written, before and after."""
    rows = Change.objects.filter(outcome="held", awaiting="conflicts")
    assert all(set(r.before) == set(r.after) for r in rows)
    return {
        r.side: (*r.before.values(), *r.after.values()) for r in rows.order_by("pk")
    }


def ids() -> list[int]:
    rows = Change.objects.filter(outcome="held", awaiting="conflicts")
    return sorted(rows.values_list("pk", flat=True))


def dropped() -> set[str]:
    return set(
        Change.objects.filter(outcome="dropped").values_list("error_text", flat=True)
    )


def test_a_conflict_waits_and_the_rest_of_the_record_goes_on(world):
    made = in_conflict(world)
    world.update("contacts", made, lastname="Beech")
    report = world.run()
    assert report["status"] == "succeeded", report
    mine = contacts(report)
    assert mine["awaiting"] == {"deletes": 0, "conflicts": 1}
    assert (mine["in_sync"], mine["failing"], mine["held"]) == (1, 0, 0)
    assert mine["updated"] == {"hubspot": 0, "app": 1}
    assert world.people_rows()[ANN][:2] == ("Annie", "Beech")
    assert world.contacts_in_hubspot()[ANN]["firstname"] == "Anna"
    assert choices() == {"app": ("Annie", "Anna"), "hubspot": ("Anna", "Annie")}
    link = RecordLink.objects.get(sync=world.contacts)
    assert (link.state, link.error_code, link.error_field) == (
        "in_sync",
        "CONFLICT",
        "firstname",
    )


def test_what_waits_stands_unchanged_until_a_side_moves(world):
    made = in_conflict(world)
    world.run()
    first = ids()
    for full in (False, True):
        report = world.run(full=full)
        assert contacts(report)["awaiting"]["conflicts"] == 1
        assert contacts(report)["updated"] == NOTHING
        assert ids() == first
    world.update("contacts", made, firstname="Anne")
    world.run()
    assert not set(first) & set(ids())
    assert choices() == {"app": ("Annie", "Anne"), "hubspot": ("Anne", "Annie")}


@pytest.mark.parametrize(
    "how", ["equal", "back", "blank", "set-up", "unpaired", "gone"]
)
def test_what_settles_by_itself_is_asked_no_more(world, how):
    made = in_conflict(world)
    world.run()
    expected = "Anna"
    if how == "equal":
        world.sql("UPDATE people SET first_name = 'Anna'")
    elif how == "back":
        world.sql("UPDATE people SET first_name = 'Ann'")
    elif how == "blank":
        world.sql("UPDATE people SET first_name = NULL")
    elif how == "set-up":
        FieldMapping.objects.filter(sync=world.contacts).update(conflict="app")
        world.contacts.revision += 1
        world.contacts.save()
        expected = "Annie"
    elif how == "unpaired":
        from syncs import services

        link = RecordLink.objects.get(sync=world.contacts)
        services.unpair(sync=world.contacts, hubspot_id=made, app_id=link.app_id or "")
        expected = "Annie"
    else:
        world.client.crm.objects.basic_api.archive("contacts", made)
        expected = "Annie"
    report = world.run(full=True)
    assert contacts(report)["awaiting"]["conflicts"] == 0
    assert ids() == []
    assert len(dropped()) == 1
    assert world.people_rows()[ANN][0] == expected


def test_a_first_sync_asks_where_both_hold_a_value(world):
    world.create("contacts", [{"email": ANN, "firstname": "Ann"}])
    world.sql(
        "INSERT INTO people (email, first_name, last_name) VALUES (%s, 'Anna', 'Ash')",
        ANN,
    )
    world.set_up(conflict="review")
    for _ in range(2):
        report = world.run()
        assert report["status"] == "succeeded", report
        assert contacts(report)["awaiting"]["conflicts"] == 1
    assert world.contacts_in_hubspot()[ANN]["lastname"] == "Ash"
    assert choices() == {"app": ("Anna", "Ann"), "hubspot": ("Ann", "Anna")}


@pytest.mark.parametrize("direction", ["to_app", "to_hubspot"])
def test_one_way_mappings_never_ask(world, direction):
    in_conflict(world)
    for sync in world.both:
        sync.direction = direction
        sync.revision += 1
        sync.save()
    report = world.run()
    assert contacts(report)["awaiting"]["conflicts"] == 0
    name = "Anna" if direction == "to_app" else "Annie"
    assert world.people_rows()[ANN][0] == name
    assert world.contacts_in_hubspot()[ANN]["firstname"] == name


def test_a_value_that_a_side_cannot_hold_is_no_choice(world):
    (made,) = world.create("companies", [{"domain": "a.example", "phone": "1"}])
    world.set_up(conflict="review")
    world.sql("ALTER TABLE companies ALTER phone TYPE varchar(5)")
    from connections import services as connection_services

    connection_services.refresh_schema(world.app)
    world.run()
    world.update("companies", made, phone="123456789")
    world.sql("UPDATE companies SET phone = '2'")
    world.run()
    assert choices() == {"hubspot": ("123456789", "2")}


def test_a_preview_shows_what_would_be_asked_and_asks_nothing(world):
    in_conflict(world)
    report = world.run(dry_run=True)
    assert contacts(report)["awaiting"]["conflicts"] == 1
    assert ids() == []
    rows = Change.objects.filter(outcome="skipped", error_code="CONFLICT")
    assert rows.count() == 2
    report = world.run()
    assert contacts(report)["awaiting"]["conflicts"] == 1
    report = world.run(dry_run=True)
    assert contacts(report)["awaiting"]["conflicts"] == 1


# Links ---------------------------------------------------------------------------------


def test_a_link_in_conflict_stands_as_pending_until_both_sides_agree(world):
    company, other = world.create(
        "companies", [{"name": d, "domain": f"{d}.example"} for d in "ab"]
    )
    made = ann(world)
    world.make_primary(made, company)
    world.sql(
        "UPDATE people SET company_id = (SELECT id FROM companies WHERE name = 'b')"
    )
    for _ in range(2):
        calls = world.sandbox.control.count("associations")
        report = world.run()
        assert report["status"] == "succeeded", report
        links = contacts(report)["associations"]
        assert (links["pending"], links["failing"]) == (1, 0)
        assert links["added"] == links["changed"] == links["removed"] == NOTHING
    assert world.sandbox.control.count("associations") - calls == 1
    assert world.primary() == {ANN: "a.example"}
    assert world.people_rows()[ANN][2] == "b.example"
    row = AssociationLink.objects.get(state="pending")
    assert row.code == "CONFLICT"
    assert "Set one side like the other" in row.text
    world.make_primary(made, other)
    links = contacts(world.run())["associations"]
    assert (links["pending"], links["in_sync"]) == (0, 1)
    assert world.people_rows()[ANN][2] == "b.example"


def test_a_refused_link_is_tried_again_before_its_time_when_its_target_moved(world):
    (company,) = world.create("companies", [{"name": "a", "domain": "a.example"}])
    made = ann(world)
    world.make_primary(made, company)
    world.run()
    resting = AssociationLink.objects.create(
        mapping=world.mapping,
        link=RecordLink.objects.get(sync=world.contacts),
        other=RecordLink.objects.get(sync=world.companies),
        state="failing",
        code="LIMIT_REACHED",
        attempts=9,
        retry_at=timezone.now() + timedelta(days=1),
    )
    for _ in range(2):
        world.run(sweep=False)
        assert AssociationLink.objects.filter(pk=resting.pk).exists()
    world.update("companies", company, name="Mended")
    world.run(sweep=False)
    assert not AssociationLink.objects.filter(pk=resting.pk).exists()
