"""A field that refused a value and takes it now: the records that rested for it are tried
by the next run, after one look at the schema, and nobody else's are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hubspot.crm.properties import PropertyCreate, PropertyUpdate

from connections import schemas
from connections import services as connection_services
from connections.records import Side
from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import Change, FieldMapping, RecordLink
from syncs.models.choices import ChangeOutcome, Trigger
from syncs.run.session import Session
from tests.vendor import make_choice, options
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def tiers(pg_dsn: str) -> Iterator[World]:
    """Companies with a tier: a choice in HubSpot, at most six characters in the app."""
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        world.set_up()
        make_tier(world)
        yield world


def make_tier(world: World) -> None:
    make_choice(world.client, "companies", "tier", "gold", "silver", "platinum")
    world.sql("ALTER TABLE companies ADD COLUMN tier varchar(6)")
    for owner in (world.account, world.app):
        connection_services.refresh_schema(owner)
    FieldMapping.objects.create(
        sync=world.companies, position=9, hubspot="tier", app="tier"
    )


def child(report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = report["syncs"][0]
    return found


def run(world: World) -> dict[str, Any]:
    return child(world.run(world.companies))


def set_options(world: World, *values: str) -> None:
    world.client.crm.properties.core_api.update(
        "companies", "tier", PropertyUpdate(options=options(*values))
    )


def tiers_in_hubspot(world: World) -> dict[str, str]:
    page = world.client.crm.companies.get_all(properties=["domain", "tier"])
    return {c.properties["domain"]: c.properties["tier"] for c in page}


def test_an_option_that_is_there_again_is_tried_by_the_next_run(tiers):
    for name in ("a", "b"):
        tiers.sql(
            "INSERT INTO companies (name, domain, tier) VALUES (%s, %s, 'gold')",
            name,
            f"{name}.example",
        )
    assert run(tiers)["status"] == "succeeded"
    set_options(tiers, "gold", "platinum")
    tiers.sql("UPDATE companies SET tier = 'silver', name = 'A' WHERE name = 'a'")
    report = run(tiers)
    assert [e["code"] for e in report["errors"]] == ["OPTION_UNKNOWN"]
    quiet = run(tiers)
    assert quiet["updated"] == {"hubspot": 0, "app": 0}
    assert quiet["failing"] == 1, "nothing changed: it rests"
    set_options(tiers, "gold", "silver", "platinum")
    mended = run(tiers)
    assert (mended["status"], mended["failing"]) == ("succeeded", 0)
    assert mended["updated"]["hubspot"] == 1
    assert tiers_in_hubspot(tiers) == {"a.example": "silver", "b.example": "gold"}
    after = run(tiers)
    assert after["api_calls"]["hubspot"] < quiet["api_calls"]["hubspot"], (
        "with nobody resting, the schema is not looked at"
    )


def test_a_column_that_takes_longer_values_is_tried_by_the_next_run(tiers):
    tiers.create("companies", [{"name": "A", "domain": "a.example", "tier": "gold"}])
    assert run(tiers)["status"] == "succeeded"
    (known,) = RecordLink.objects.filter(sync=tiers.companies)
    tiers.update("companies", known.hubspot_id, tier="platinum")
    assert [e["code"] for e in run(tiers)["errors"]] == ["VALUE_TOO_LONG"]
    assert run(tiers)["failing"] == 1
    tiers.sql("ALTER TABLE companies ALTER COLUMN tier TYPE varchar(20)")
    # As *Refresh fields* on the app's page: the change is not news to the run.
    connection_services.refresh_schema(tiers.app)
    assert run(tiers)["failing"] == 0
    assert tiers.sql("SELECT tier FROM companies") == [("platinum",)]


def test_an_unrelated_change_of_the_schema_wakes_nobody(tiers):
    tiers.sql("INSERT INTO companies (name, domain, tier) VALUES ('a', 'a.ex', 'none')")
    run(tiers)
    run(tiers)  # reads what the first one made
    before = RecordLink.objects.get(sync=tiers.companies)
    assert before.state == "failing"
    tiers.client.crm.properties.core_api.create(
        "companies",
        PropertyCreate(
            name="other",
            label="Other",
            type="string",
            field_type="text",
            group_name="companyinformation",
        ),
    )
    set_options(tiers, "platinum", "gold", "silver")  # shown in another order
    run(tiers)
    after = RecordLink.objects.get(sync=tiers.companies)
    assert (after.attempts, after.retry_at) == (before.attempts, before.retry_at)


def test_scheduled_runs_do_not_look_at_the_schema_each_time(tiers):
    tiers.sql("INSERT INTO companies (name, domain, tier) VALUES ('a', 'a.ex', 'none')")
    run(tiers)

    def scheduled() -> int:
        tiers.sandbox.control.reset_counts()
        run = services.start(syncs=[tiers.companies], trigger=Trigger.SCHEDULE)
        services.execute(run)
        calls: int = tiers.sandbox.control.count("properties")
        return calls

    assert [scheduled() for _ in range(3)] == [1, 0, 0]
    tiers.companies.refresh_from_db()
    assert "looked" in tiers.companies.read_state
    tiers.sql("UPDATE companies SET tier = NULL, updated_at = now()")
    run(tiers)
    run(tiers)
    tiers.companies.refresh_from_db()
    assert not {"looked", "tried"} & tiers.companies.read_state.keys()


def test_a_column_of_another_name_and_then_of_another_type_is_tried(tiers):
    """A plan names the field in HubSpot; what is mended is the column."""
    tiers.sql("ALTER TABLE companies ADD COLUMN level varchar(6), ADD COLUMN size int")
    tiers.client.crm.properties.core_api.create(
        "companies",
        PropertyCreate(
            name="how_big",
            label="How big",
            type="string",
            field_type="text",
            group_name="companyinformation",
        ),
    )
    for owner in (tiers.account, tiers.app):
        connection_services.refresh_schema(owner)
    FieldMapping.objects.filter(sync=tiers.companies, hubspot="tier").update(
        app="level"
    )
    FieldMapping.objects.create(
        sync=tiers.companies, position=10, hubspot="how_big", app="size"
    )
    tiers.create(
        "companies",
        [
            {"name": "A", "domain": "a.example", "tier": "platinum"},
            {"name": "B", "domain": "b.example", "how_big": "very"},
        ],
    )
    assert run(tiers)["failing"] == 2
    assert run(tiers)["failing"] == 2
    tiers.sql("ALTER TABLE companies ALTER COLUMN level TYPE varchar(20)")
    assert run(tiers)["failing"] == 1
    tiers.sql("ALTER TABLE companies ALTER COLUMN size TYPE text")
    run(tiers)  # it began with the type that it knew
    assert run(tiers)["failing"] == 0
    found = tiers.sql("SELECT name, level, size FROM companies ORDER BY name")
    assert found == [("A", "platinum", None), ("B", None, "very")]


def test_nobody_looks_for_records_that_rest_for_something_else(tiers):
    tiers.sql("INSERT INTO companies (name, domain, tier) VALUES ('a', 'a.ex', 'none')")
    run(tiers)
    assert run(tiers)["failing"] == 1
    tiers.sql("UPDATE companies SET tier = NULL, updated_at = now()")
    # Two that share a key fail until somebody decides.
    tiers.sql(
        "INSERT INTO companies (name, domain) VALUES ('b', 'b.ex'), ('c', 'b.ex')"
    )
    assert run(tiers)["failing"] == 2
    run(tiers)
    tiers.sandbox.control.reset_counts()
    assert run(tiers)["failing"] == 2
    assert tiers.sandbox.control.count("properties") == 0


def test_what_was_answered_is_kept_before_the_schema_is_looked_at(tiers, monkeypatch):
    """A look may take minutes: a run that dies in it must know what it created."""
    tiers.create(
        "companies",
        [
            {"name": "A", "domain": "a.example", "tier": "gold"},
            {"name": "B", "domain": "b.example"},
        ],
    )
    run(tiers)
    set_options(tiers, "silver")
    tiers.sql("INSERT INTO companies (name, domain) VALUES ('c', 'c.example')")
    tiers.sql("INSERT INTO companies (name, domain, tier) VALUES ('d', 'd.ex', 'gold')")

    def died(session: Session, side: Side) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Session, "refresh", died)
        assert run(tiers)["status"] == "failed"
    made = RecordLink.objects.get(sync=tiers.companies, app_values__name="c")
    assert made.paired
    assert not Change.objects.filter(outcome=ChangeOutcome.SENT).exists()


def test_an_option_added_while_another_field_is_looked_at_is_not_passed_over(tiers):
    """A run that decides by the field as it began, although it has seen what it is now,
    leaves the record to the next one."""
    tiers.client.crm.properties.core_api.create(
        "companies",
        PropertyCreate(
            name="grade",
            label="Grade",
            type="enumeration",
            field_type="select",
            group_name="companyinformation",
            options=options("a"),
        ),
    )
    tiers.sql("ALTER TABLE companies ADD COLUMN grade text")
    for owner in (tiers.account, tiers.app):
        connection_services.refresh_schema(owner)
    FieldMapping.objects.create(
        sync=tiers.companies, position=10, hubspot="grade", app="grade"
    )
    tiers.sql("INSERT INTO companies (name, domain, tier) VALUES ('a', 'a.ex', 'none')")
    tiers.sql("INSERT INTO companies (name, domain) VALUES ('b', 'b.ex')")
    run(tiers)
    run(tiers)
    tiers.client.crm.properties.core_api.update(
        "companies", "grade", PropertyUpdate(options=options("a", "b"))
    )
    tiers.sql("UPDATE companies SET grade = 'b', updated_at = now() WHERE name = 'b'")
    run(tiers)
    assert run(tiers)["failing"] == 1, "only the tier is not known"


def test_a_column_that_need_not_be_filled_any_more_is_found(tiers):
    """One that is not mapped: nobody reads it, and records waited for it."""
    tiers.sql("ALTER TABLE companies ADD COLUMN code text NOT NULL")
    connection_services.refresh_schema(tiers.app)
    tiers.create("companies", [{"name": "A", "domain": "a.example"}])
    assert [e["code"] for e in run(tiers)["errors"]] == ["REQUIRED_MISSING"]
    assert run(tiers)["failing"] == 1
    tiers.sql("ALTER TABLE companies ALTER COLUMN code DROP NOT NULL")
    assert run(tiers)["failing"] == 0
    assert tiers.sql("SELECT name FROM companies") == [("A",)]


def test_a_look_for_one_field_reads_no_owners_and_no_pipelines(tiers):
    tiers.sql("INSERT INTO companies (name, domain, tier) VALUES ('a', 'a.ex', 'none')")
    run(tiers)
    assert run(tiers)["failing"] == 1
    known = schemas.load_object(tiers.account, "companies")
    owners = known.field("hubspot_owner_id")
    assert owners is not None
    assert owners.options
    tiers.sandbox.control.reset_counts()
    report = run(tiers)
    assert report["failing"] == 1
    assert tiers.sandbox.control.count("properties") == 1
    assert tiers.sandbox.control.count("owners") == 0
    assert max(report["api_calls"].values()) <= 3, report["api_calls"]
    assert schemas.load_object(tiers.account, "companies") == known
    with closing(connection_services.open_hubspot(tiers.account)) as hubspot:
        deals = schemas.load_object(tiers.account, "deals")
        tiers.sandbox.control.reset_counts()
        assert hubspot.describe(deals, {"amount"}) == deals
        assert tiers.sandbox.control.count() == 1
        assert hubspot.describe(deals, {"dealstage"}) == deals
        assert tiers.sandbox.control.count() == 3, "the properties and the pipelines"
