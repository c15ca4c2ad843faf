"""What a run reads once a field that was missing is there again: what changed meanwhile,
where it is the field that it was, and everything where nothing shows that.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.tokens import MAIN_BASE
from connections.sandbox.host import Host
from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync, RecordLink, SyncRun
from tests.airtable_world import AirtableWorld

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

PEOPLE = 120  # two pages
LISTS = "POST listRecords"
Json = dict[str, Any]


def mail(n: int) -> str:
    return f"p{n}@acorn.example"


class Office(AirtableWorld):
    """Companies and more people than a page holds, in step; all is read again once a
    day, and no sooner."""

    def fill(self) -> None:
        (acorn,) = self.add("Companies", {"Name": "Acorn", "Website": "acorn.example"})
        (birch,) = self.add("Companies", {"Name": "Birch", "Website": "birch.example"})
        rows = [
            {"Email": mail(n), "First name": f"F{n}", "Last name": f"L{n}"}
            for n in range(PEOPLE)
        ]
        for n, row in enumerate(rows):
            row["Company"] = [acorn if n % 2 else birch]  # type: ignore[assignment]
        self.people = self.add("People", *rows)
        self.create(
            "contacts",
            [
                {"email": mail(n), "firstname": f"F{n}", "lastname": f"L{n}"}
                for n in range(PEOPLE)
            ],
        )
        self.apply(self.tree())
        assert self.go()["status"] == "succeeded"
        assert self.go()["status"] == "succeeded"
        contacts = self.contacts_in_hubspot()
        self.ids = {m: str(c["id"]) for m, c in contacts.items()}

    def go(self) -> Json:
        self.host.reset_counts()
        report: Json = self.run(*ObjectSync.objects.all())
        return report

    def codes(self, report: Json) -> set[str]:
        return {e["code"] for s in report["syncs"] for e in s["errors"]}

    def change(self, how: str, *args: Any, **more: Any) -> None:
        """Let a person change the table of people."""
        with self.fake.store.transaction():
            table = self.fake.table("People")["id"]
            getattr(self.fake.bases, how)(MAIN_BASE, table, *args, **more)

    def full_reads(self) -> set[Any]:
        return set(ObjectSync.objects.values_list("full_read_at", flat=True))

    def be_due(self) -> None:
        """Have both sides read completely by the next run."""
        at = timezone.now() - timedelta(days=2)
        ObjectSync.objects.update(full_read_at=at)

    def resumed(self) -> Json:
        """Run, which succeeds and reads neither side completely."""
        read = self.full_reads()
        report = self.go()
        assert report["status"] == "succeeded", report
        assert self.full_reads() == read
        return report

    def put_back(self, base: Json) -> None:
        with self.fake.store.transaction():
            self.fake.bases.keep(copy.deepcopy(base))

    def read_in(self, report: Json) -> dict[str, int]:
        """How many records of its people a run read, by side."""
        run = SyncRun.objects.get(pk=report["syncs"][1]["run"])
        found: dict[str, int] = run.counters["read"]
        return found

    def first_names(self) -> dict[str, tuple[str, str]]:
        """Both sides' first names, by e-mail."""
        there = self.people_there()
        return {
            m: (c["firstname"] or "", there[m].get("First name", ""))
            for m, c in self.contacts_in_hubspot().items()
        }


@pytest.fixture
def office(tmp_path) -> Iterator[Office]:
    with (
        SandboxServer(switches={"search_lag_s": 0}) as sandbox,
        Host(Airtable()) as host,
    ):
        office = Office(sandbox, host, tmp_path)
        office.fill()
        yield office


def rename_a_field_and_back(office: Office) -> None:
    """Both sides' changes of the gap travel, as if the field had been there throughout:
    in a first sync the conflict rule would have decided, and lost one side's."""
    office.change("rename", "First name", "Given")
    office.edit("People", office.people[0], Given="Ada")
    office.update("contacts", office.ids[mail(1)], firstname="Ben")
    office.update("contacts", office.ids[mail(2)], firstname="Cid", lastname="Cox")
    assert office.codes(office.go()) == {"FIELD_MISSING"}
    assert office.people_there()[mail(2)]["Last name"] == "Cox"
    # A complete read meanwhile leaves what is known of records that did not change.
    office.edit("People", office.people[3], Given="Dan")
    office.be_due()
    assert office.codes(office.go()) == {"FIELD_MISSING"}
    office.change("rename", "Given", "First name")
    office.edit("People", office.people[4], First_name="Eve")
    report = office.resumed()
    assert office.read_in(report)["app"] <= 10
    assert office.host.counts()[LISTS] <= 5, office.host.counts()
    names = office.first_names()
    changed = enumerate(("Ada", "Ben", "Cid", "Dan", "Eve"))
    assert {n: names[mail(n)] for n in range(5)} == {n: (v, v) for n, v in changed}
    assert all(a == b for a, b in names.values())


def map_fields_by_new_names(office: Office) -> None:
    office.change("rename", "First name", "Given")
    office.change("rename", "Email", "Mail")
    office.edit("People", office.people[0], Given="Ida")
    office.update("contacts", office.ids[mail(1)], firstname="Bob")
    assert office.codes(office.go()) == {"FIELD_MISSING"}
    tree = office.tree()
    contacts = tree["apps"][0]["syncs"][1]
    contacts["fields"][0]["app"] = contacts["match"][0]["app"] = "Mail"
    contacts["fields"][1]["app"] = "Given"
    office.apply(tree)
    office.edit("People", office.people[2], Mail="new@acorn.example")
    report = office.resumed()
    assert office.read_in(report)["app"] <= 8
    assert office.host.counts()[LISTS] <= 5, office.host.counts()
    there = {c["Mail"]: c["Given"] for c in office.fake.cells("People").values()}
    here = {m: c["firstname"] for m, c in office.contacts_in_hubspot().items()}
    assert there == here
    assert (here[mail(0)], here[mail(1)]) == ("Ida", "Bob")
    assert "new@acorn.example" in here
    assert RecordLink.objects.filter(hubspot_id=None).count() == 0


def rename_a_link_field_and_back(office: Office) -> None:
    companies = {c["Name"]: c["id"] for c in office.companies_there().values()}
    office.change("rename", "Company", "Firm")
    office.edit("People", office.people[0], Firm=[companies["Acorn"]])
    office.edit("People", office.people[1], Firm=[])
    assert office.codes(office.go()) == {"FIELD_MISSING"}
    office.change("rename", "Firm", "Company")
    report = office.resumed()
    assert office.read_in(report)["app"] <= 6
    assert office.host.counts()[LISTS] <= 4, office.host.counts()
    primary = office.primary()
    assert primary[mail(0)] == "acorn.example"
    assert mail(1) not in primary
    assert len(primary) == PEOPLE - 1


def test_what_comes_back_has_only_what_changed_meanwhile_read(office):
    rename_a_field_and_back(office)
    rename_a_link_field_and_back(office)
    restore_a_table(office)
    map_fields_by_new_names(office)


def test_what_is_made_anew_has_everything_read_and_empties_nothing(office):
    ObjectSync.objects.update(limits={"percent": None})
    for name in ("First name", "Company"):
        make_anew(office, name)


def make_anew(office: Office, name: str) -> None:
    """Nothing shows that it is the field it was, and nobody emptied it."""
    fields = {f["name"]: dict(f) for f in office.fake.table("People")["fields"]}
    office.change("drop_field", name)
    office.edit("People", office.people[0], Last_name=f"Without {name}")
    assert office.codes(office.go()) == {"FIELD_MISSING"}
    links = office.primary()
    kept = {k: v for k, v in fields[name].items() if k in ("name", "type")}
    if name == "Company":
        kept["options"] = {"linkedTableId": office.fake.table("Companies")["id"]}
    office.change("make_field", kept, by_person=True)
    assert office.go()["status"] == "succeeded"
    assert office.host.counts()[LISTS] >= 2
    assert office.go()["status"] == "succeeded"
    assert office.primary() == links
    assert len(office.employers()) == PEOPLE
    assert all(a == b != "" for a, b in office.first_names().values())


def restore_a_table(office: Office) -> None:
    before = copy.deepcopy(office.fake.bases.get(MAIN_BASE))
    office.change("drop_table")
    assert office.codes(office.go()) == {"SCHEMA_CHANGED"}
    office.update("contacts", office.ids[mail(1)], firstname="Bel")
    office.put_back(before)
    report = office.resumed()
    assert office.read_in(report)["app"] <= 3
    assert office.host.counts()[LISTS] <= 3, office.host.counts()
    assert office.people_there()[mail(1)]["First name"] == "Bel"
