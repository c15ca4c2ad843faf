"""HubSpot and an Airtable base brought into step, links from both sides included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.tokens import MAIN_BASE
from connections.sandbox.host import Host
from connections.sandbox.server import SandboxServer
from tests.airtable_world import AirtableWorld
from tests.world import PLAIN, PRIMARY

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
QUIET = {"hubspot": 0, "app": 0}


@pytest.fixture
def world(tmp_path) -> Iterator[AirtableWorld]:
    with (
        SandboxServer(switches={"search_lag_s": 0}) as sandbox,
        Host(Airtable()) as host,
    ):
        yield AirtableWorld(sandbox, host, tmp_path)


def plant(world: AirtableWorld) -> None:
    """Companies and people, some on one side only."""
    acorn, birch = world.create(
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
    world.make_primary(ann, acorn)
    world.make_primary(bob, birch)
    there, cedar = world.add(
        "Companies",
        {"Name": "Acorn", "Website": "https://www.acorn.example", "Revenue": 1000.5},
        {"Name": "Cedar", "Website": "cedar.example", "Revenue": 2},
    )
    world.add(
        "People",
        {"Email": "ann@acorn.example", "First name": "Ann", "Last name": "Ash"}
        | {"Company": [there]},
        {"Email": "cid@cedar.example", "First name": "Cid", "Last name": "Cox"}
        | {"Company": [cedar]},
        {"Email": "dot@none.example", "First name": "Dot"},
    )


def work(report: dict[str, Any]) -> list[Any]:
    parts = [
        (s, k) for s in report["syncs"] for k in ("created", "updated", "archived")
    ]
    parts += [
        (s["associations"], k)
        for s in report["syncs"]
        for k in ("added", "removed", "changed")
    ]
    return [part[k] for part, k in parts if part[k] != QUIET]


def test_records_and_links_come_into_step_and_stay_so(world):
    plant(world)
    world.apply(world.tree())
    report = world.run()
    assert report["status"] == "succeeded", report
    both = frozenset({PRIMARY, PLAIN})
    assert world.links() == {
        ("ann@acorn.example", "acorn.example"): both,
        ("bob@birch.example", "birch.example"): both,
        ("cid@cedar.example", "cedar.example"): both,
    }
    assert world.employers() == {
        "ann@acorn.example": {"Acorn"},
        "bob@birch.example": {"Birch"},
        "cid@cedar.example": {"Cedar"},
    }
    assert set(world.contacts_in_hubspot()) == set(world.people_there())
    acorn = world.companies_in_hubspot()["acorn.example"]
    assert (acorn["annualrevenue"], acorn["phone"]) == ("1000.5", "1")
    second = world.run()
    assert work(second) == [], second
    world.host.reset_counts()
    third = world.run()
    assert work(third) == [], third
    for child in third["syncs"]:
        assert child["api_calls"]["app"] <= 3, world.host.counts()
    assert world.host.count("webhooks/payloads") == 2


def test_links_set_changed_and_cleared_travel_from_both_sides(world):
    plant(world)
    world.apply(world.tree())
    world.run()
    ids = {m: str(r["id"]) for m, r in world.contacts_in_hubspot().items()}
    company = {d: str(r["id"]) for d, r in world.companies_in_hubspot().items()}
    people = {m: p["id"] for m, p in world.people_there().items()}
    names = {c["Name"]: c["id"] for c in world.companies_there().values()}
    # Changed in HubSpot, cleared in Airtable, and set from the links' other end there.
    world.make_primary(ids["ann@acorn.example"], company["cedar.example"])
    world.edit("People", people["cid@cedar.example"], Company=[])
    world.edit("Companies", names["Birch"], Name="Birch Ltd")
    world.edit(
        "Companies",
        names["Acorn"],
        People=[people["ann@acorn.example"], people["dot@none.example"]],
    )
    report = world.run()
    assert report["status"] == "succeeded", report
    assert world.primary() == {
        "ann@acorn.example": "cedar.example",
        "bob@birch.example": "birch.example",
        "dot@none.example": "acorn.example",
    }
    assert world.employers() == {
        "ann@acorn.example": {"Cedar"},
        "bob@birch.example": {"Birch Ltd"},
        "dot@none.example": {"Acorn"},
    }
    assert world.companies_in_hubspot()["birch.example"]["name"] == "Birch Ltd"
    # Cleared in HubSpot, changed in Airtable.
    world.unlink(ids["ann@acorn.example"], company["cedar.example"])
    world.edit("People", people["dot@none.example"], Company=[names["Cedar"]])
    assert world.run()["status"] == "succeeded"
    assert world.employers() == {
        "bob@birch.example": {"Birch Ltd"},
        "dot@none.example": {"Cedar"},
    }
    assert world.primary() == {
        "bob@birch.example": "birch.example",
        "dot@none.example": "cedar.example",
    }
    assert work(world.run()) == []
    assert work(world.run()) == []


def test_a_field_of_many_unites_and_keeps_members_that_nobody_knows(world, tmp_path):
    with Host(Airtable()) as host:
        many = AirtableWorld(world.sandbox, host, tmp_path, many=True)
        plant(many)
        (keyless,) = many.add("Companies", {"Name": "No key"})
        ann = many.people_there()["ann@acorn.example"]
        many.edit("People", ann["id"], Company=[keyless, *ann["Company"]])
        tree = many.tree()
        tree["apps"][0]["syncs"][1]["associations"][0]["type"] = "default"
        many.apply(tree)
        assert many.run()["status"] == "succeeded"
        ids = {m: str(r["id"]) for m, r in many.contacts_in_hubspot().items()}
        company = {d: str(r["id"]) for d, r in many.companies_in_hubspot().items()}
        many.link(ids["ann@acorn.example"], company["cedar.example"])
        assert many.run()["status"] == "succeeded"
        assert many.employers()["ann@acorn.example"] == {"No key", "Acorn", "Cedar"}
        many.unlink(ids["ann@acorn.example"], company["acorn.example"])
        assert many.run()["status"] == "succeeded"
        assert many.employers()["ann@acorn.example"] == {"No key", "Cedar"}
        assert work(many.run()) == []


def test_what_is_deleted_in_the_base_is_told_by_the_log_and_takes_no_link_along(world):
    plant(world)
    world.apply(world.tree())
    world.run()
    before = world.links()
    cedar = world.companies_there()["cedar.example"]
    world.fake.remove("Companies", cedar["id"])
    world.host.reset_counts()
    report = world.run()
    assert report["status"] == "succeeded", report
    assert world.host.count("POST listRecords") <= 2  # what changed, by id
    assert world.links() == before
    assert "cedar.example" in world.companies_in_hubspot()
    assert work(world.run()) == []


def add_roles(world: AirtableWorld) -> None:
    """A table that joins people and companies by a role."""
    link = {"type": "multipleRecordLinks"}
    fields: list[dict[str, Any]] = [
        {"name": "Title", "type": "singleLineText"},
        {
            "name": "Role",
            "type": "singleSelect",
            "options": {"choices": [{"name": "Billing"}, {"name": "Decider"}]},
        },
        link
        | {
            "name": "Person",
            "options": {"linkedTableId": world.fake.table("People")["id"]},
        },
        link
        | {
            "name": "Firm",
            "options": {"linkedTableId": world.fake.table("Companies")["id"]},
        },
    ]
    with world.fake.store.transaction():
        world.fake.bases.make_table(MAIN_BASE, "Roles", fields)


def roles(world: AirtableWorld) -> set[tuple[str, str, str | None]]:
    """(e-mail, website, role) of every row."""
    people = {i: c["Email"] for i, c in world.fake.cells("People").items()}
    firms = {i: c["Website"] for i, c in world.fake.cells("Companies").items()}
    rows = world.fake.cells("Roles").values()
    found = [(people[r["Person"][0]], firms[r["Firm"][0]], r.get("Role")) for r in rows]
    assert len(set(found)) == len(found), "a row stands there twice"
    return set(found)


def test_a_junction_table_carries_labels_both_ways(world):
    world.sandbox.set_switches(first_link_primary="never")
    add_roles(world)
    account = world.sandbox.hubspot.main
    ends = (account.catalogue.kind("contacts"), account.catalogue.kind("companies"))
    with account.store.transaction():
        account.types.define(ends, "decider", ("Decision Maker", None))
    acorn, _ = world.create(
        "companies",
        [{"name": n, "domain": f"{n}.example"} for n in ("acorn", "birch")],
    )
    ann, _ = world.create(
        "contacts", [{"email": "ann@x.example"}, {"email": "bob@x.example"}]
    )
    world.link(ann, acorn)
    (firm,) = world.add("Companies", {"Name": "Birch", "Website": "birch.example"})
    (person,) = world.add("People", {"Email": "bob@x.example"})
    (row,) = world.add("Roles", {"Person": [person], "Firm": [firm], "Role": "Billing"})
    tree = world.tree()
    columns = {"name": "Roles", "from": "Person", "to": "Firm", "label": "Role"}
    tree["apps"][0]["syncs"][1]["associations"] = [
        {
            "join_table": columns,
            "to": "Companies",
            "labels": {"Billing": "Billing Contact", "Decider": "Decision Maker"},
        }
    ]
    world.apply(tree)
    assert world.run()["status"] == "succeeded"
    assert roles(world) == {
        ("ann@x.example", "acorn.example", None),
        ("bob@x.example", "birch.example", "Billing"),
    }
    (billing,) = world.links()["bob@x.example", "birch.example"] - {PLAIN}
    assert work(world.run()) == []
    # The row is relabelled and keeps what else it holds; the plain link goes in HubSpot.
    world.edit("Roles", row, Role="Decider", Title="since May")
    world.unlink(ann, acorn)
    assert world.run()["status"] == "succeeded"
    assert roles(world) == {("bob@x.example", "birch.example", "Decider")}
    (decider,) = world.links()["bob@x.example", "birch.example"] - {PLAIN}
    assert decider != billing
    assert world.fake.cells("Roles")[row]["Title"] == "since May"
    # The row goes, and the pair with it.
    world.fake.remove("Roles", row)
    assert world.run()["status"] == "succeeded"
    assert world.links() == {}
    assert work(world.run()) == []
