"""Options that an app's field lost, and what people did besides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connections.sandbox.airtable.app import Airtable
from connections.sandbox.host import Host
from connections.sandbox.server import SandboxServer
from tests.airtable_world import AirtableWorld
from tests.test_taken_away import AirtableOffice
from tests.vendor import all_records, make_choice

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
COLOURS = ("blue", "green", "red", "white")


class Colours(AirtableOffice):
    """People with colours, several of them."""

    def __init__(self, sandbox: SandboxServer, host: Host, folder: Any) -> None:
        self.world = AirtableWorld(sandbox, host, folder)
        make_choice(self.world.client, "contacts", "colours", *COLOURS, several=True)
        choices = {"choices": [{"name": s} for s in COLOURS]}
        made = {"name": "Colours", "type": "multipleSelects", "options": choices}
        self.change("make_field", "People", made, by_person=True)

    def apply(self) -> None:
        tree = self.world.tree()
        fields = tree["apps"][0]["syncs"][1]["fields"]
        fields.append({"hubspot": "colours", "app": "Colours"})
        self.world.apply(tree)

    def lose(self, option: str) -> None:
        """Delete an option, which takes it out of the records for good."""
        self.change("drop_choice", "People", "Colours", option)
        store, table = self.world.fake.store, self.world.fake.table("People")
        ids = [f["id"] for f in table["fields"] if f["name"] == "Colours"]
        with store.transaction():
            for row in list(store.rows(table["id"])):
                row.cells[ids[0]] = [c for c in row.cells[ids[0]] if c != option]
                store.keep(row)

    def in_app(self) -> list[str]:
        (held,) = self.world.people_there().values()
        return sorted(held.get("Colours") or ())

    def in_hubspot(self) -> list[str]:
        found = all_records(self.world.client, "contacts", ("colours",)).values()
        (held,) = (row["colours"] for row in found)
        return sorted(filter(None, (held or "").split(";")))

    def edit(self, *colours: str) -> None:
        (held,) = self.world.people_there().values()
        self.world.edit("People", held["id"], Colours=list(colours))


@pytest.fixture
def office(tmp_path) -> Iterator[Colours]:
    with (
        SandboxServer(switches={"search_lag_s": 0}) as sandbox,
        Host(Airtable()) as host,
    ):
        office = Colours(sandbox, host, tmp_path)
        row = {"email": "a@a.example", "colours": "blue;green;red"}
        office.world.create("contacts", [row])
        office.apply()
        assert office.run()["status"] == "succeeded"
        assert office.run()["status"] == "succeeded"
        assert office.in_app() == ["blue", "green", "red"]
        yield office


def test_hubspot_keeps_a_lost_option_where_a_person_took_off_another(office):
    office.lose("blue")
    office.edit("red")
    for _ in range(2):
        office.run()
        assert (office.in_app(), office.in_hubspot()) == (["red"], ["blue", "red"])


def test_a_pick_made_after_an_option_was_lost_travels(office):
    office.lose("blue")
    held = next(iter(office.world.people_there().values()))["id"]
    office.world.edit("People", held, Last_name="X")
    office.run()
    office.edit("white")
    office.run()
    assert office.in_hubspot() == ["white"]
