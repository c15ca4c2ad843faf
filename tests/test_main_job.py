"""Two systems brought into step, and a change of each kind on each side that travels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connections.sandbox.server import SandboxServer
from tests.world import PLAIN, PRIMARY, World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
QUIET = {"hubspot": 0, "app": 0}


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def plant(world: World) -> None:
    """Three companies and four people, some on one side only."""
    shared, lone = world.create(
        "companies",
        [
            {"name": "Acorn", "domain": "acorn.example", "phone": "1"},
            {"name": "Birch", "domain": "birch.example"},
        ],
    )
    ann, bob = world.create(
        "contacts",
        [
            {"email": "ann@acorn.example", "firstname": "Ann", "lastname": "Ash"},
            {"email": "bob@birch.example", "firstname": "Bob", "lastname": "Bay"},
        ],
    )
    world.make_primary(ann, shared)
    world.make_primary(bob, lone)
    world.sql(
        "INSERT INTO companies (name, domain, annual_revenue) VALUES "
        "('Acorn', 'www.acorn.example', 1000.5), ('Cedar', 'cedar.example', 2)"
    )
    world.sql(
        "INSERT INTO people (email, first_name, last_name, company_id) VALUES "
        "('ann@acorn.example', 'Ann', 'Ash', 1), ('cid@cedar.example', 'Cid', 'Cox', 2),"
        "('dot@none.example', 'Dot', NULL, NULL)"
    )


def quiet(report: dict[str, Any]) -> bool:
    work = [s[k] for s in report["syncs"] for k in ("created", "updated", "archived")]
    work += [
        s["associations"][k]
        for s in report["syncs"]
        for k in ("added", "removed", "changed")
    ]
    return all(w == QUIET for w in work)


def test_a_first_sync_brings_records_and_links_into_step(world):
    plant(world)
    world.set_up()
    report = world.run()
    assert report["status"] == "succeeded", report
    companies = world.companies_in_hubspot()
    assert {d: r["name"] for d, r in companies.items()} == {
        "acorn.example": "Acorn",
        "birch.example": "Birch",
        "cedar.example": "Cedar",
    }
    assert companies["acorn.example"]["annualrevenue"] == "1000.5"
    assert {
        m: (r["firstname"], r["lastname"])
        for m, r in world.contacts_in_hubspot().items()
    } == {
        "ann@acorn.example": ("Ann", "Ash"),
        "bob@birch.example": ("Bob", "Bay"),
        "cid@cedar.example": ("Cid", "Cox"),
        "dot@none.example": ("Dot", None),
    }
    assert world.links() == {
        ("ann@acorn.example", "acorn.example"): frozenset({PRIMARY, PLAIN}),
        ("bob@birch.example", "birch.example"): frozenset({PRIMARY, PLAIN}),
        ("cid@cedar.example", "cedar.example"): frozenset({PRIMARY, PLAIN}),
    }
    assert world.people_rows()["bob@birch.example"] == ("Bob", "Bay", "birch.example")
    assert len(world.people_rows()) == 4
    second = world.run()
    assert quiet(second), second
    third = world.run()
    assert quiet(third), third
    for child in third["syncs"]:
        assert child["api_calls"]["hubspot"] <= 3 + 1, third  # and the sweep
        assert child["api_calls"]["app"] <= 3, third


@pytest.mark.parametrize("version", ["v4", "v3", "2026-09"])
def test_the_job_is_the_same_under_every_version_of_hubspots_api(world, version):
    """But under v3 a company link that HubSpot does not show is not one removed."""
    plant(world)
    world.connect()
    world.account.api_version = version
    world.account.save()
    world.make_syncs()
    report = world.run()
    assert report["status"] == "succeeded", report
    both = frozenset({PRIMARY, PLAIN})
    assert world.links() == {
        ("ann@acorn.example", "acorn.example"): both,
        ("bob@birch.example", "birch.example"): both,
        ("cid@cedar.example", "cedar.example"): both,
    }
    assert quiet(world.run())
    ids = {m: r["id"] for m, r in world.contacts_in_hubspot().items()}
    company = {d: r["id"] for d, r in world.companies_in_hubspot().items()}
    world.update("companies", company["acorn.example"], name="Acorn & Sons")
    world.make_primary(ids["ann@acorn.example"], company["cedar.example"])
    world.unlink(ids["bob@birch.example"], company["birch.example"])
    world.sql(
        "UPDATE people SET company_id = (SELECT id FROM companies WHERE domain = "
        "'birch.example') WHERE email = 'dot@none.example'"
    )
    world.sql("UPDATE people SET company_id = NULL WHERE email = 'cid@cedar.example'")
    assert world.run()["status"] == "succeeded"
    assert world.company_rows()["www.acorn.example"][0] == "Acorn & Sons"
    assert {m: row[2] for m, row in world.people_rows().items()} == {
        "ann@acorn.example": "cedar.example",
        "bob@birch.example": "birch.example" if version == "v3" else None,
        "cid@cedar.example": None,
        "dot@none.example": "birch.example",
    }
    assert world.primary() == {
        "ann@acorn.example": "cedar.example",
        "dot@none.example": "birch.example",
    }
    assert quiet(world.run())


def test_a_change_of_each_kind_on_each_side_travels(world):
    plant(world)
    world.set_up()
    world.run()
    ids = {m: r["id"] for m, r in world.contacts_in_hubspot().items()}
    company = {d: r["id"] for d, r in world.companies_in_hubspot().items()}
    world.update("companies", company["acorn.example"], name="Acorn & Sons")
    world.make_primary(ids["ann@acorn.example"], company["cedar.example"])
    world.sql("UPDATE companies SET name = 'Birch Ltd' WHERE domain = 'birch.example'")
    world.sql(
        "UPDATE people SET company_id = (SELECT id FROM companies "
        "WHERE domain = 'birch.example') WHERE email = 'cid@cedar.example'"
    )
    report = world.run()
    assert report["status"] == "succeeded", report
    assert world.company_rows()["www.acorn.example"][0] == "Acorn & Sons"
    assert world.companies_in_hubspot()["birch.example"]["name"] == "Birch Ltd"
    assert world.people_rows()["ann@acorn.example"][2] == "cedar.example"
    assert world.primary() == {
        "ann@acorn.example": "cedar.example",
        "bob@birch.example": "birch.example",
        "cid@cedar.example": "birch.example",
    }
    assert (
        "ann@acorn.example",
        "acorn.example",
    ) in world.links()  # the plain link stays
    contacts = report["syncs"][1]["associations"]
    assert contacts["changed"] == {"hubspot": 1, "app": 1}
    assert quiet(world.run())
