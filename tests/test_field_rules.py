"""Which value travels, what holds only itself back, and totals that add up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connections import services as connection_services
from connections.sandbox.server import SandboxServer
from syncs.models import FieldMapping, RecordLink
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
Json = dict[str, Any]
A = "a.example"
ANN = "ann@x.example"
NOTHING = {"hubspot": 0, "app": 0}


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def one_company(world: World, **values: str) -> str:
    (made,) = world.create("companies", [{"name": "A", "domain": A, **values}])
    return made


def map_too(world: World, hubspot: str, app: str, **rules: Any) -> None:
    """Add a column to the companies, with a mapping."""
    world.sql(f"ALTER TABLE companies ADD COLUMN IF NOT EXISTS {app} text")
    connection_services.refresh_schema(world.app)
    FieldMapping.objects.create(
        sync=world.companies, position=9, hubspot=hubspot, app=app, **rules
    )


def ann(world: World, **set_up: Any) -> str:
    (made,) = world.create("contacts", [{"email": ANN, "firstname": "Ann"}])
    world.set_up(**set_up)
    world.run()
    return made


# latest --------------------------------------------------------------------------------


@pytest.mark.parametrize("later", ["app", "hubspot"])
def test_the_latest_change_is_that_of_the_field_not_of_the_record(world, later):
    made = ann(world, conflict="latest")
    if later == "app":
        world.update("contacts", made, firstname="From HubSpot")
        world.sql("UPDATE people SET first_name = 'From the app'")
        world.update("contacts", made, lastname="Ash")  # moves the record, later still
        wins = "From the app"
    else:
        world.sql("UPDATE people SET first_name = 'From the app'")
        world.update("contacts", made, firstname="From HubSpot")
        wins = "From HubSpot"
    report = world.run()
    assert report["status"] == "succeeded", report
    assert world.people_rows()[ANN][0] == wins
    assert world.contacts_in_hubspot()[ANN]["firstname"] == wins


# Mappings beside each other ------------------------------------------------------------


def test_a_property_that_two_mappings_read_reaches_both_fields(world):
    made = one_company(world)
    world.set_up()
    map_too(world, "name", "title", direction="to_app")
    world.run()
    world.sql("UPDATE companies SET name = 'B'")
    world.run()
    assert world.sql("SELECT name, title FROM companies") == [("B", "B")]
    assert world.companies_in_hubspot()[A]["name"] == "B"
    world.update("companies", made, name="C")
    world.run()
    assert world.sql("SELECT name, title FROM companies") == [("C", "C")]
    for side in world.run()["syncs"]:
        assert side["updated"] == NOTHING


def test_what_hubspot_gives_a_record_created_from_the_app_reaches_the_app(world):
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s)", A)
    world.set_up()
    map_too(world, "hs_object_id", "hubspot_key", direction="to_app")
    report = world.run()
    assert report["status"] == "succeeded", report
    made = world.companies_in_hubspot()[A]["id"]
    assert world.sql("SELECT hubspot_key FROM companies") == [(made,)]
    assert world.run()["syncs"][0]["updated"] == NOTHING


# Refused values ------------------------------------------------------------------------


def failing_field(report: Json) -> str:
    assert report["status"] == "partial"
    assert sum(child["failing"] for child in report["syncs"]) == 1
    return RecordLink.objects.get(state="failing").error_field


def test_a_value_that_hubspot_refuses_holds_back_only_its_field(world):
    ann(world)
    world.sql("UPDATE people SET email = 'broken@', first_name = 'Anna'")
    assert failing_field(world.run()) == "email"
    assert world.contacts_in_hubspot()[ANN]["firstname"] == "Anna"
    tried = world.sandbox.control.count("contacts/batch/update")
    assert failing_field(world.run()) == "email"
    assert world.sandbox.control.count("contacts/batch/update") == tried
    world.sql("UPDATE people SET last_name = 'Ash'")
    assert failing_field(world.run()) == "email"
    assert world.contacts_in_hubspot()[ANN]["lastname"] == "Ash"
    world.sql("UPDATE people SET email = 'anna@x.example'")
    assert world.run()["status"] == "succeeded"
    assert list(world.contacts_in_hubspot()) == ["anna@x.example"]


def test_a_value_that_the_app_refuses_holds_back_only_its_field(world):
    made = one_company(world, phone="1")
    world.sql("ALTER TABLE companies ADD CHECK (length(phone) < 5)")
    world.set_up()
    world.run()
    world.update("companies", made, phone="1234567", name="B")
    for _ in range(2):
        assert failing_field(world.run()) == "phone"
        assert world.company_rows() == {A: ("B", "1", None)}
    world.update("companies", made, phone="2")
    assert world.run()["status"] == "succeeded"
    assert world.company_rows() == {A: ("B", "2", None)}


# Totals --------------------------------------------------------------------------------


def test_a_pair_whose_only_write_was_a_link_counts_as_in_sync(world):
    company = one_company(world)
    mails = [f"p{n}@x.example" for n in range(4)]
    for n, made in enumerate(world.create("contacts", [{"email": m} for m in mails])):
        if n < 2:
            world.make_primary(made, company)
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s)", A)
    for n, mail in enumerate(mails):
        world.sql(
            "INSERT INTO people (email, company_id) VALUES (%s, %s)",
            mail,
            1 if n == 2 else None,
        )
    world.set_up()
    report = world.run()
    contacts = report["syncs"][1]
    assert contacts["associations"]["added"] == {"hubspot": 1, "app": 2}
    assert contacts["updated"] == NOTHING
    again = world.run()["syncs"][1]
    for child in (contacts, again):
        assert (child["matched"], child["in_sync"]) == (4, 4)
        assert child["associations"]["in_sync"] == 3


def test_each_record_stands_in_exactly_one_total(world):
    world.create(
        "contacts",
        [{"email": ANN}, {"firstname": "No key"}, {"email": "bob@x.example"}],
    )
    world.sql("INSERT INTO people (email) VALUES ('c@x.example'), ('c@x.example')")
    world.sql("INSERT INTO people (email, first_name) VALUES (%s, 'Ann')", ANN)
    world.set_up()
    contacts = world.run()["syncs"][1]
    states = ("matched", "in_sync", "excluded", "failing", "waiting")
    assert [contacts[s] for s in states] == [2, 2, 1, 2, 0]
    assert contacts["created"] == {"hubspot": 0, "app": 1}
    assert contacts["updated"] == {"hubspot": 1, "app": 0}
