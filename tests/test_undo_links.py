"""Links taken back: under what HubSpot may do, and records that went with them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from associations.models import AssociationLink
from connections.sandbox.hubspot.switches import BY_NAME
from connections.sandbox.server import SandboxServer
from syncs.models import Change, ObjectSync
from tests.test_undo import (
    ANN,
    BOB,
    CAT,
    A,
    B,
    C,
    company_of,
    named,
    placed,
    plant,
    quiet,
    undo,
)
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def goes_back_in_hubspot(world: World) -> None:
    """A link moved, one new and one removed in the app, and all of it taken back."""
    placed(world, BOB, None)
    world.run()
    before = world.links()
    placed(world, ANN, B)
    placed(world, BOB, C)
    placed(world, CAT, None)
    done = world.run()
    assert world.links() != before
    report = undo(done["run"])
    assert (report["status"], report["skipped"]) == ("succeeded", [])
    outcomes = Change.objects.filter(run__parent=done["run"]).values_list("outcome")
    assert set(outcomes) == {("reverted",)}
    assert world.links() == before
    assert quiet(world)
    assert world.run(full=True)["status"] == "succeeded"
    assert world.links() == before
    where = [company_of(world, mail) for mail in (ANN, BOB, CAT)]
    assert where == [B, C, None]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in ("label_write", "second_primary")
        for value in BY_NAME[name].values[1:]
    ],
)
def test_links_in_hubspot_go_back_whatever_it_does_by_itself(world, name, value):
    plant(world)
    world.sandbox.control.set_switches(**{name: value})
    goes_back_in_hubspot(world)


@pytest.mark.parametrize("how", [{"type_id": 279}, {"on_unlink": "remove_pair"}])
def test_links_in_hubspot_go_back_under_every_kind_of_mapping(world, how):
    plant(world)
    world.associate(**how)
    assert world.run()["status"] == "succeeded"
    goes_back_in_hubspot(world)


def test_links_in_hubspot_go_back_where_it_shows_the_primary_company_alone(world):
    plant(world)
    world.account.api_version = "v3"
    world.account.save()
    goes_back_in_hubspot(world)


def test_a_link_that_hubspot_refuses_to_take_back_fails_and_does_not_travel(world):
    plant(world)
    placed(world, ANN, B)
    named(world, ANN, first_name="Anna")
    done = world.run()
    before = world.links()
    world.sandbox.control.set_faults("status=400,path=0-2/batch/create,times=2")
    report = undo(done["run"])
    world.sandbox.control.set_faults()
    assert report["status"] == "partial"
    assert report["reverted"] == 1
    assert world.contacts_in_hubspot()[ANN]["firstname"] == "F"
    assert quiet(world, runs=1)
    assert world.links() == before
    assert (company_of(world, ANN), world.people_rows()[ANN][0]) == (B, "Anna")


def test_an_answer_that_never_came_is_read_back_and_does_not_travel(world):
    plant(world)
    placed(world, ANN, B)
    named(world, BOB, first_name="Bobby")
    done = world.run()
    world.sandbox.control.set_faults(
        "drop,path=contacts/batch/update,when=after", "drop,path=/0-2/,when=after,nth=4"
    )
    undo(done["run"])
    world.sandbox.control.set_faults()
    assert world.contacts_in_hubspot()[BOB]["firstname"] == "F"
    world.run()
    if Change.objects.filter(run__parent=done["run"], outcome="applied").exists():
        undo(done["run"])
    assert world.primary()[ANN] == A
    assert quiet(world)
    assert (company_of(world, ANN), world.people_rows()[BOB][0]) == (B, "Bobby")


def test_records_that_were_created_with_their_link_go_the_way_they_came(world):
    plant(world)
    world.sql("INSERT INTO companies (name, domain) VALUES ('D', 'd.example')")
    world.sql("INSERT INTO people (email) VALUES ('dan@x.example')")
    placed(world, "dan@x.example", "d.example")
    done = world.run()
    assert world.primary()["dan@x.example"] == "d.example"
    report = undo(done["run"])
    assert [s["sync"] for s in report["syncs"]] == ["Contacts", "Companies"]
    assert report["skipped"] == []
    assert [s["archived"]["hubspot"] for s in report["syncs"]] == [1, 1]
    assert set(world.companies_in_hubspot()) == {A, B, C}
    assert set(world.contacts_in_hubspot()) == {ANN, BOB, CAT}
    world.run()
    assert quiet(world)
    world.run(full=True)
    assert set(world.companies_in_hubspot()) == {A, B, C}
    assert company_of(world, "dan@x.example") == "d.example"
    assert not AssociationLink.objects.filter(state="failing").exists()


def test_syncs_that_are_off_by_now_are_taken_back_all_the_same(world):
    ids = plant(world)
    world.make_primary(ids[ANN], ids[B])
    world.update("contacts", ids[ANN], firstname="Anna")
    done = world.run()
    ObjectSync.objects.update(enabled=False)
    report = undo(done["run"])
    assert (report["reverted"], report["skipped"]) == (2, [])
    assert world.people_rows()[ANN] == ("F", "L", A)
    ObjectSync.objects.update(enabled=True)
    assert quiet(world)


def test_a_mapping_that_is_gone_is_said_and_the_fields_go_back(world):
    ids = plant(world)
    world.make_primary(ids[ANN], ids[B])
    world.update("contacts", ids[ANN], firstname="Anna")
    done = world.run()
    world.mapping.delete()
    report = undo(done["run"])
    assert report["reverted"] == 1
    (left,) = report["skipped"]
    assert "not set up any more" in left["example"]
    assert world.people_rows()[ANN] == ("F", "L", B)
