"""A column or a HubSpot property that was missing and is there again: only what changed
meanwhile is read, on the one side that missed it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import Max
from hubspot.crm.properties import PropertyCreate

from connections import services as connection_services
from connections.sandbox.server import SandboxServer
from syncs.models import FieldMapping, ObjectSync, RecordLink, SyncRun
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

PEOPLE = 120
Json = dict[str, Any]


def mail(n: int) -> str:
    return f"p{n}@a.example"


class Office(World):
    """More people than a page of HubSpot's holds, in step, with a nickname each."""

    def fill(self) -> None:
        self.make_nick()
        self.sql("ALTER TABLE people ADD COLUMN nick text")
        self.connect()
        self.make_syncs()
        FieldMapping.objects.create(
            sync=self.contacts, position=9, hubspot="nick", app="nick"
        )
        self.sql(
            "INSERT INTO people (email, first_name, last_name, nick) "
            "SELECT 'p' || n || '@a.example', 'F' || n, 'L' || n, 'N' || n "
            f"FROM generate_series(0, {PEOPLE - 1}) n"
        )
        for _ in range(10):
            assert self.go()["status"] == "succeeded"
            # HubSpot tells its clock by the second: its cursor may be as far behind.
            newest = RecordLink.objects.aggregate(at=Max("hubspot_modified_at"))["at"]
            if ObjectSync.objects.get(pk=self.contacts.pk).hubspot_cursor >= newest:
                break
            time.sleep(0.2)
        else:
            raise AssertionError("HubSpot's cursor stays behind")
        self.ids = {m: str(c["id"]) for m, c in self.contacts_in_hubspot().items()}

    def make_nick(self) -> None:
        """Make the property, or take it back from where archived ones are kept."""
        made = PropertyCreate(
            name="nick",
            label="Nick",
            type="string",
            field_type="text",
            group_name="contactinformation",
        )
        self.client.crm.properties.core_api.create("contacts", made)

    def go(self) -> Json:
        self.sandbox.reset_counts()
        self.report: Json = self.run(self.contacts)
        return self.report

    @property
    def codes(self) -> set[str]:
        return {e["code"] for s in self.report["syncs"] for e in s["errors"]}

    @property
    def last(self) -> SyncRun:
        return SyncRun.objects.get(pk=self.report["syncs"][0]["run"])

    def read_full(self) -> object:
        return ObjectSync.objects.get(pk=self.contacts.pk).full_read_at

    def set_person(self, n: int, column: str, value: str) -> None:
        self.sql(f"UPDATE people SET {column} = %s WHERE email = %s", value, mail(n))

    def person(self, n: int, column: str) -> str:
        ((value,),) = self.sql(f"SELECT {column} FROM people WHERE email = %s", mail(n))
        return str(value)

    def contact(self, n: int, name: str) -> str:
        api = self.client.crm.objects.basic_api
        found = api.get_by_id("contacts", self.ids[mail(n)], properties=[name])
        return str(found.properties[name])

    def map_anew(self, app: str, to: str) -> None:
        """Have an administrator change a mapping, as the set-up flow does."""
        connection_services.refresh_schema(self.app)
        FieldMapping.objects.filter(sync=self.contacts, app=app).update(app=to)
        sync = ObjectSync.objects.get(pk=self.contacts.pk)
        sync.revision += 1
        sync.save()


@pytest.fixture
def office(pg_dsn: str) -> Iterator[Office]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        office = Office(sandbox, pg_dsn)
        office.fill()
        yield office


def test_a_column_that_comes_back_has_only_what_changed_read(office):
    read, calls = office.read_full(), office.last.counters["api_calls"]
    office.sql("ALTER TABLE people RENAME first_name TO given")
    office.set_person(0, "given", "Ada")
    office.update("contacts", office.ids[mail(1)], firstname="Ben")
    office.go()
    assert office.codes == {"FIELD_MISSING"}
    office.sql("ALTER TABLE people RENAME given TO first_name")
    assert office.go()["status"] == "succeeded"
    spent = office.last.counters["api_calls"]
    assert spent["app"] <= calls["app"] + 6, (spent, calls)
    assert spent["hubspot"] <= calls["hubspot"] + 5, (spent, calls)
    assert office.last.counters["read"]["app"] <= 6
    assert office.last.counters["read"]["hubspot"] <= 6
    assert (office.person(1, "first_name"), office.contact(0, "firstname")) == (
        "Ben",
        "Ada",
    )
    # And so it is where the mapping is changed to the new name.
    office.sql("ALTER TABLE people RENAME last_name TO surname")
    office.set_person(2, "surname", "Cox")
    office.map_anew("last_name", "surname")
    assert office.go()["status"] == "succeeded"
    assert office.last.counters["read"]["app"] <= 4
    assert office.last.counters["read"]["hubspot"] <= 4
    assert office.contact(2, "lastname") == "Cox"
    assert office.read_full() == read


def test_a_column_made_anew_is_read_whole_on_its_side_alone(office):
    read = office.read_full()
    office.sql("ALTER TABLE people DROP COLUMN nick")
    office.set_person(0, "last_name", "Ash")
    office.go()
    assert office.codes == {"FIELD_MISSING"}
    office.sql("ALTER TABLE people ADD COLUMN nick text DEFAULT 'none'")
    ObjectSync.objects.update(limits={"percent": None})
    assert office.go()["status"] == "succeeded"
    assert office.last.counters["read"]["app"] >= PEOPLE
    assert office.last.counters["read"]["hubspot"] <= 4
    assert office.read_full() == read
    assert [office.contact(n, "nick") for n in (0, 1)] == ["N0", "N1"]
    assert [office.person(n, "nick") for n in (0, 1)] == ["N0", "N1"]


def test_a_property_that_is_restored_has_only_what_changed_read(office):
    read = office.read_full()
    office.client.crm.properties.core_api.archive("contacts", "nick")
    office.update("contacts", office.ids[mail(0)], lastname="Ash")
    office.set_person(1, "nick", "Benny")
    office.go()
    assert office.codes == {"FIELD_MISSING"}
    office.make_nick()
    office.update("contacts", office.ids[mail(2)], nick="Cy")
    assert office.go()["status"] == "succeeded"
    assert office.last.counters["read"]["hubspot"] <= 6
    assert office.last.counters["read"]["app"] <= 6
    assert office.read_full() == read
    assert [office.contact(n, "nick") for n in range(4)] == ["N0", "Benny", "Cy", "N3"]
    assert [office.person(n, "nick") for n in range(4)] == ["N0", "Benny", "Cy", "N3"]
