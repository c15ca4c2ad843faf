"""A base that changes under a sync, and one that counts our calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connections.models import ConnectedApp, RateBudget
from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.tokens import MAIN_BASE
from connections.sandbox.host import Host
from connections.sandbox.server import SandboxServer
from tests.airtable_world import AirtableWorld

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(tmp_path) -> Iterator[AirtableWorld]:
    with (
        SandboxServer(switches={"search_lag_s": 0}) as sandbox,
        Host(Airtable()) as host,
    ):
        yield AirtableWorld(sandbox, host, tmp_path)


def codes(report: dict[str, Any]) -> dict[str, list[str]]:
    return {s["sync"]: [e["code"] for e in s["errors"]] for s in report["syncs"]}


def test_what_a_person_takes_away_has_its_code_and_mending_it_resumes(world):
    acorn = world.add("Companies", {"Name": "Acorn", "Website": "acorn.example"})
    (ann,) = world.add("People", {"Email": "ann@acorn.example", "Company": acorn})
    world.apply(world.tree())
    world.run()
    bases, table = world.fake.bases, world.fake.table("People")["id"]
    # A field is renamed: it is left alone and named, and the rest goes on.
    with world.fake.store.transaction():
        bases.rename(MAIN_BASE, table, "First name", "Given name")
    world.fake.edit("People", ann, {"Given name": "Ann", "Last name": "Ash"})
    assert codes(world.run()) == {"Companies": [], "Contacts": ["FIELD_MISSING"]}
    contact = world.contacts_in_hubspot()["ann@acorn.example"]
    assert (contact["firstname"], contact["lastname"]) == (None, "Ash")
    with world.fake.store.transaction():
        bases.rename(MAIN_BASE, table, "Given name", "First name")
    assert codes(world.run()) == {"Companies": [], "Contacts": []}
    assert world.contacts_in_hubspot()["ann@acorn.example"]["firstname"] == "Ann"
    # A right is removed, and given back.
    app = ConnectedApp.objects.get()
    app.credentials = {"token": world.fake.tokens["no records"]}
    app.save()
    world.fake.edit("People", ann, {"Last name": "Ashe"})
    report = world.run(world.contacts)
    assert report["status"] == "failed"
    assert codes(report) == {"Contacts": ["SCOPE_MISSING"]}
    app.credentials = {"token": world.fake.tokens["everything"]}
    app.save()
    assert world.run()["status"] == "succeeded"
    assert world.contacts_in_hubspot()["ann@acorn.example"]["lastname"] == "Ashe"
    assert world.primary() == {"ann@acorn.example": "acorn.example"}
    # A table is deleted: that sync alone fails, and nothing in HubSpot goes with it.
    with world.fake.store.transaction():
        bases.drop_table(MAIN_BASE, table)
    report = world.run()
    statuses = {s["sync"]: s["status"] for s in report["syncs"]}
    assert statuses == {"Companies": "succeeded", "Contacts": "failed"}
    assert codes(report)["Contacts"] == ["SCHEMA_CHANGED"]
    assert world.primary() == {"ann@acorn.example": "acorn.example"}


def test_a_run_stays_below_the_limits_that_airtable_enforces(world):
    names = [f"c{n}" for n in range(25)]
    world.create("companies", [{"name": n, "domain": f"{n}.example"} for n in names])
    tree = world.tree()
    tree["apps"][0]["settings"].pop("requests_per_second")
    tree["apps"][0]["syncs"] = [world.companies_sync()]
    world.apply(tree)
    world.fake.set_limits(enforced=True)
    assert world.run(world.companies)["status"] == "succeeded"
    assert len(world.companies_there()) == 25
    limits = world.fake.limits()
    assert limits["refused"] == 0
    assert limits["peak"] <= 5
    assert world.host.counts()["POST records"] == 3
    (budget,) = RateBudget.objects.filter(key__startswith="airtable:")
    assert budget.used_today >= limits["spent"]


def test_a_create_that_got_no_answer_is_found_by_the_next_run_and_not_made_twice(
    world, settings
):
    settings.CREATE_SETTLE_SECONDS = 0
    names = [f"c{n}" for n in range(12)]
    world.create("companies", [{"name": n, "domain": f"{n}.example"} for n in names])
    tree = world.tree()
    tree["apps"][0]["syncs"] = [world.companies_sync()]
    world.apply(tree)
    world.host.set_faults("drop,method=POST,path=/tbl,when=after,nth=3")
    first = world.run(world.companies)["syncs"][0]
    assert (first["created"]["app"], first["in_sync"]) == (10, 10)
    assert len(world.companies_there()) == 12  # the second batch arrived all the same
    world.host.set_faults()
    report = world.run(world.companies)
    assert report["status"] == "succeeded", report
    assert sorted(world.companies_there()) == sorted(f"{n}.example" for n in names)
    assert report["syncs"][0]["in_sync"] == 12


def test_a_listing_without_records_makes_none_twice(world):
    world.add("Companies", {"Name": "Acorn", "Website": "acorn.example"})
    world.create("companies", [{"name": "Acorn", "domain": "acorn.example"}])
    world.apply(world.tree())
    world.host.set_faults("hollow,path=/listRecords,nth=1")
    report = world.run(world.companies)
    assert (report["status"], codes(report)["Companies"]) == ("failed", ["UNAVAILABLE"])
    assert world.run(world.companies)["status"] == "succeeded"
    assert world.companies_there().keys() == {"acorn.example"}
    assert len(world.companies_in_hubspot()) == 1
