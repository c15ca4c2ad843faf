"""By hand alone, in a browser beside a task cluster: from nothing to links in step.

One installation lives through all of it, as a cluster and a browser take longer to start
than most of what is done in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from connections.models import ConnectedApp
from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.tokens import MAIN_BASE
from connections.sandbox.host import Host
from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync, SyncRun
from tests.airtable_world import AirtableWorld
from tests.e2e.person import Person
from tests.vendor import all_edges, all_records

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
ANN, CID = "ann@acorn.example", "cid@cedar.example"
ACORN, BIRCH, CEDAR = "acorn.example", "birch.example", "cedar.example"
AMPLE = "1000000"  # calls: the sandbox's own limits are off
AURORA, BOREALIS = "Aurora", "Borealis"


class Fleet(AirtableWorld):
    """Companies, people, and vessels (a custom object) with their roles' table."""

    aurora = ""  # in HubSpot
    row = ""  # of the table of roles

    def plant(self) -> None:
        bases = self.fake.bases
        with self.fake.store.transaction():
            table = self.fake.table("Companies")["id"]
            city = {"name": "City", "type": "singleLineText"}
            bases.make_field(MAIN_BASE, table, city, by_person=True)
            vessels = [
                {"name": "Name", "type": "singleLineText"},
                {"name": "Tonnage", "type": "number"},
            ]
            vessel = bases.make_table(MAIN_BASE, "Vessels", vessels)["id"]
            link = {"type": "multipleRecordLinks"}
            roles: list[dict[str, Any]] = [
                {"name": "Title", "type": "singleLineText"},
                {"name": "Role", "type": "singleLineText"},
                {"name": "Vessel", "options": {"linkedTableId": vessel}} | link,
                {"name": "Firm", "options": {"linkedTableId": table}} | link,
            ]
            bases.make_table(MAIN_BASE, "Roles", roles)
        account = self.sandbox.hubspot.main
        kind = account.catalogue.kind
        ends = (kind("vessels"), kind("companies"))
        with account.store.transaction():
            for label in ("Owner", "Operator"):
                account.types.define(ends, label.lower(), (label, None))
        names = {ACORN: "Acorn", BIRCH: "Birch"}
        self.acorn, self.birch = self.create(
            "companies",
            [{"name": n, "domain": d, "city": "Ulm"} for d, n in names.items()],
        )
        (self.ann,) = self.create("contacts", [{"email": ANN, "firstname": "Ann"}])
        self.make_primary(self.ann, self.acorn)
        (self.cedar,) = self.add("Companies", {"Name": "Cedar", "Website": CEDAR})
        (self.cid,) = self.add("People", {"Email": CID, "Company": [self.cedar]})

    def labels(self) -> dict[int, str]:
        """HubSpot's labels from vessels to companies, by type id."""
        api = self.client.crm.associations.v4.schema.definitions_api
        rows = api.get_all("vessels", "companies").results
        return {int(row.type_id): row.label for row in rows if row.label}

    def label(self, vessel: str, company: str, label: str) -> None:
        """Give a link this label alone, as a person does in HubSpot."""
        from hubspot.crm.associations.v4 import AssociationSpec as Spec
        from hubspot.crm.associations.v4 import (
            BatchInputPublicAssociationMultiPost as Batch,
        )
        from hubspot.crm.associations.v4 import PublicAssociationMultiPost as Post

        specs = {
            word: Spec(association_category="USER_DEFINED", association_type_id=number)
            for number, word in self.labels().items()
        }
        v4 = self.client.crm.associations.v4
        v4.basic_api.create("vessels", vessel, "companies", company, [specs.pop(label)])
        post = Post(_from={"id": vessel}, to={"id": company}, types=[*specs.values()])
        v4.batch_api.archive_labels("vessels", "companies", Batch(inputs=[post]))

    def companies_by_name(self) -> dict[str, str]:
        """The base's record ids."""
        return {c["Name"]: i for i, c in self.fake.cells("Companies").items()}

    def owners(self) -> dict[str, str]:
        """The labels of links in HubSpot, by vessel."""
        found = all_records(self.client, "vessels", ("vessel_name",))
        names = {i: str(row["vessel_name"]) for i, row in found.items()}
        labels = self.labels()
        return {
            names[vessel]: ", ".join(labels[n] for _, n in types if n in labels)
            for (vessel, _), types in all_edges(
                self.client, "vessels", "companies", names
            ).items()
        }

    def roles(self) -> dict[str, str]:
        """The role in the base, by vessel."""
        names = {i: c["Name"] for i, c in self.fake.cells("Vessels").items()}
        rows = self.fake.cells("Roles").values()
        assert len({row["Vessel"][0] for row in rows}) == len(rows)
        return {names[row["Vessel"][0]]: row.get("Role", "") for row in rows}


@pytest.fixture
def world(tmp_path) -> Iterator[Fleet]:
    with (
        SandboxServer(switches={"search_lag_s": 0}) as sandbox,
        Host(Airtable()) as host,
    ):
        made = Fleet(sandbox, host, tmp_path)
        made.plant()
        yield made


def test_from_an_empty_installation_to_links_in_step(world, cluster, ada):
    connect(ada, world)
    set_contacts_up(ada, world)
    change_links(ada, world)
    set_vessels_up(ada, world)
    change_labels(ada, world)
    edit_at_work(ada, world)
    assert ada.complaints == []


def connect(ada: Person, world: Fleet) -> None:
    """Home leads from nothing to an account, and on to an app."""
    ada.follow("Connect HubSpot")
    ada.fill(
        Name="Acme",
        Access_token=world.sandbox.token,
        Address=world.sandbox.hubspot_url,
        Calls_per_10_seconds=AMPLE,
        Association_calls_per_10_seconds=AMPLE,
        Searches_per_second=AMPLE,
    )
    ada.press("Save")
    ada.sees("Connected", within="#outcome")
    ada.go("/admin/")
    ada.follow("Connect an app")
    ada.page.get_by_role("link", name="Airtable").click()
    ada.fill(
        Name="Base",
        Base=MAIN_BASE,
        Address=world.host.url,
        Calls_per_second=AMPLE,
        Personal_access_token=world.fake.tokens["everything"],
    )
    ada.press("Save")
    ada.sees("Connected", within="#outcome")
    ada.sees("4 objects found", within="#outcome")


def set_contacts_up(ada: Person, world: Fleet) -> None:
    """What contacts point to comes first, and leads back to what was chosen."""
    ada.go("/admin/")
    ada.follow("Set up your sync")
    ada.choose("Object of Base", "People")
    ada.choose("HubSpot object", "contacts")
    ada.press("Continue")
    ada.choose("Where both sides changed a field", "app")
    ada.press("Set up Companies first")
    expect(ada.field("HubSpot object")).to_have_value("companies")
    ada.press("Continue")
    ada.page.get_by_label("City with", exact=False).uncheck()
    ada.press("Save and continue")
    ada.press("Save and continue")
    ada.press("Save and sync")
    ada.sees_run()

    expect(ada.field("Where both sides changed a field")).to_have_value("app")
    ada.press("Map its links")
    ada.press("Save the mapping")
    ada.sees("Primary", within="#links")
    ada.press("Save and continue")
    ada.press("Save and continue")
    ada.press("Preview")
    ada.sees("Succeeded", within="#preview")
    assert set(world.people_there()) == {CID}, "a preview writes nothing"
    ada.field("Records").fill("1")
    ada.press("Test with a few records")
    ada.sees("Succeeded", within="#test")
    assert len(world.people_there()) + len(world.contacts_in_hubspot()) == 3
    ada.press("Save and sync")
    ada.page.wait_for_url("**/syncrun/**")
    ada.sees_run()
    ada.sees("Succeeded", within="#progress")
    assert world.employers() == {ANN: {"Acorn"}, CID: {"Cedar"}}
    assert world.primary() == {ANN: ACORN, CID: CEDAR}


def sync_now(ada: Person) -> SyncRun:
    app = ConnectedApp.objects.get()
    ada.go(f"/admin/connections/connectedapp/{app.pk}/")
    ada.follow("Sync now")
    ada.press("Sync now")
    ada.page.wait_for_url("**/syncrun/**")
    run = ada.sees_run()
    ada.sees("Succeeded", within="#progress")
    return run


def change_links(ada: Person, world: Fleet) -> None:
    """A link is changed on each side, and both arrive."""
    world.make_primary(world.ann, world.birch)
    world.edit("People", world.cid, Company=[world.companies_by_name()["Acorn"]])
    sync_now(ada)
    assert world.employers() == {ANN: {"Birch"}, CID: {"Acorn"}}
    assert world.primary() == {ANN: BIRCH, CID: ACORN}


def syncs_tab(ada: Person) -> None:
    app = ConnectedApp.objects.get()
    ada.go(f"/admin/connections/connectedapp/{app.pk}/syncs/")


def set_vessels_up(ada: Person, world: Fleet) -> None:
    """A custom object, in a flow that is left half way and gone on with after a new
    log-in; its links have labels."""
    (world.aurora,) = world.create("vessels", [{"vessel_name": AURORA}])
    world.label(world.aurora, world.acorn, "Owner")
    (there,) = world.add("Vessels", {"Name": BOREALIS})
    firm = [world.companies_by_name()["Birch"]]
    row = {"Vessel": [there], "Firm": firm, "Role": "Operator"}
    (world.row,) = world.add("Roles", row)
    syncs_tab(ada)
    ada.follow("Sync more data")
    ada.choose("Object of Base", "Vessels")
    custom = ada.page.locator("optgroup[label='Additional objects'] option")
    assert custom.all_text_contents() == ["Vessels (vessels)"]
    ada.choose("HubSpot object", "vessels")
    ada.press("Continue")
    ada.choose("Where both sides changed a field", "app")
    ada.press("Keys and key lab")

    ada.log_out()
    ada.log_in()
    syncs_tab(ada)
    ada.follow("Vessels")
    expect(ada.field("Where both sides changed a field")).to_have_value("app")
    ada.press("Keys and key lab")
    ada.press("Save and look at live data")
    ada.sees("0 pairs expected", within="#lab")
    ada.press("Done")
    ada.press("Add links of a table or key field")
    for label, text in {
        "Field or table": "Roles",
        "Column with this record's key": "Vessel",
        "Column with the target's key": "Firm",
        "Column with the label, if there is one": "Role",
        "Labels": "Owner = Owner\nOperator = Operator",
    }.items():
        ada.field(label).fill(text)
    ada.choose("Leads to the sync", "Companies")
    ada.press("Save the mapping")
    ada.press("Save and continue")
    ada.press("Save and continue")
    ada.press("Save and sync")
    ada.sees_run()
    assert world.owners() == {AURORA: "Owner", BOREALIS: "Operator"}
    assert world.roles() == {AURORA: "Owner", BOREALIS: "Operator"}


def change_labels(ada: Person, world: Fleet) -> None:
    """A link's label is changed on each side, and both arrive; the link stays itself."""
    world.label(world.aurora, world.acorn, "Operator")
    world.edit("Roles", world.row, Role="Owner")
    sync_now(ada)
    assert world.owners() == {AURORA: "Operator", BOREALIS: "Owner"}
    assert world.roles() == {AURORA: "Operator", BOREALIS: "Owner"}
    assert world.row in world.fake.cells("Roles")


def edit_at_work(ada: Person, world: Fleet) -> None:
    """An edit is a draft, while the sync goes on; saved, it is the next run's set-up."""
    sync = ObjectSync.objects.get(name="Companies")
    world.edit("Companies", world.companies_by_name()["Acorn"], City="Bonn")
    ada.go(f"/admin/syncs/objectsync/{sync.pk}/change/")
    ada.press("Edit")
    ada.page.get_by_label("City with", exact=False).check()
    ada.page.get_by_label("Whose values City", exact=False).select_option("app")
    ada.press("Save and continue")
    ada.press("Save and continue")
    ada.sees(
        "City of Base and city of HubSpot have never been read", within="#forecast"
    )
    ada.press("Preview")
    ada.sees("Preview: Succeeded", within="#preview")
    plan = ada.page.locator("#preview").get_by_role("row")
    expect(plan.filter(has_text="Records updated")).to_have_text("Records updated11")

    world.update("companies", world.birch, name="Birch & Co")
    sync_now(ada)
    assert "Birch & Co" in world.companies_by_name()
    assert cities(world) == ({ACORN: "Ulm", BIRCH: "Ulm"}, {ACORN: "Bonn"})

    syncs_tab(ada)
    ada.follow("Companies")
    ada.press("Save and sync")
    ada.page.wait_for_url("**/syncrun/**")
    assert not ada.sees_run().full
    sync.refresh_from_db()
    assert sync.revision == 2
    # Of two values the chosen side's was kept, and no blank won.
    kept = {ACORN: "Bonn", BIRCH: "Ulm"}
    assert cities(world) == (kept, kept)

    # What needs no record that was not read yet reads none.
    ada.go(f"/admin/syncs/objectsync/{sync.pk}/change/")
    ada.press("Edit")
    ada.choose("Where both sides changed a field", "app")
    ada.press("Save and continue")
    ada.press("Save and continue")
    ada.sees("No record is read again", within="#forecast")
    ada.press("Save and sync")
    ada.page.wait_for_url("**/syncrun/**")
    part = ada.sees_run().children.get()
    assert (part.revision, part.full) == (3, False)
    assert sum(part.counters["read"].values()) < 3 + 3


def cities(world: Fleet) -> tuple[dict[str, str], dict[str, str]]:
    """In HubSpot and in the base, by domain."""
    found = all_records(world.client, "companies", ("domain", "city")).values()
    there = world.companies_there().items()
    return (
        {str(row["domain"]): str(row["city"]) for row in found if row["city"]},
        {domain: cells["City"] for domain, cells in there if cells.get("City")},
    )
