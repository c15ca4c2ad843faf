"""HubSpot merges records: their links follow the survivor, with their labels."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest

from associations.models import AssociationLink
from connections.sandbox.server import SandboxServer
from syncs.models import Change, RecordLink
from tests.test_join_rows import put_label
from tests.test_join_tables import SILENT, Office, links_of
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
A, B, TWIN = "a.example", "b.example", "twin.example"
ANN, BOB = "ann@x.example", "bob@x.example"
ROWS = [
    (ANN, A, "dm", "own"),
    (ANN, B, "adv", "own"),
    (BOB, A, "bill", "own"),
    (BOB, A, "dm", "own"),
]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def merge(world: World, kind: str, primary: str, other: str) -> str:
    """Merge two records, as a person does in HubSpot; the survivor's id."""
    made = import_module(f"hubspot.crm.{kind}").PublicMergeInput(
        primary_object_id=primary, object_id_to_merge=other
    )
    return str(getattr(world.client.crm, kind).basic_api.merge(made).id)


def rows(world: World) -> list[tuple[str, str, str, str]]:
    return sorted(
        world.sql(
            "SELECT p.email, c.domain, w.role, w.note FROM works w "
            "JOIN people p ON p.id = w.person JOIN companies c ON c.id = w.company"
        )
    )


def labels(world: World) -> set[tuple[str, str, int]]:
    return {
        (mail, domain, type_id)
        for (mail, domain), types in world.links().items()
        for category, type_id in types
        if category == "USER_DEFINED"
    }


def linked(world: World) -> None:
    """Ann and Bob, with labels on their links to A and B, on both sides."""
    office = Office(world)
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s), ('B', %s)", A, B)
    world.sql("INSERT INTO people (email) VALUES (%s), (%s)", ANN, BOB)
    for mail, domain, role, note in ROWS:
        world.sql(
            "INSERT INTO works SELECT p.id, c.id, %s, %s FROM people p, companies c "
            "WHERE p.email = %s AND c.domain = %s",
            role,
            note,
            mail,
            domain,
        )
    office.put(office.labelled())
    assert world.run()["status"] == "succeeded"


def merge_into_a_twin(world: World) -> None:
    """Company A goes on as another record, under A's domain."""
    firms = world.companies_in_hubspot()
    (twin,) = world.create("companies", [{"name": "A", "domain": TWIN}])
    survivor = merge(world, "companies", twin, str(firms[A]["id"]))
    assert survivor not in (twin, firms[A]["id"])
    world.update("companies", survivor, domain=A)


def test_labels_and_both_ends_follow_the_survivor_and_the_app_is_left_alone(world):
    linked(world)
    before = labels(world)
    assert len(before) == len(ROWS)
    held = RecordLink.objects.count(), AssociationLink.objects.count()

    # The far end: A is merged into a company that nobody has read yet.
    merge_into_a_twin(world)
    followed(world, before, held)

    # The near end: Ann, who has links to both.
    people = world.contacts_in_hubspot()
    (other,) = world.create("contacts", [{"email": "ann2@x.example"}])
    survivor = merge(world, "contacts", str(people[ANN]["id"]), other)
    followed(world, before, held)
    assert RecordLink.objects.filter(hubspot_id=survivor, app_id__isnull=False).exists()


def followed(world: World, before: object, held: tuple[int, int]) -> None:
    """Two runs: nothing is made or removed in the app, no label is lost, then silence."""
    for attempt in range(2):
        report = world.run()
        assert report["status"] == "succeeded", report["syncs"]
        assert links_of(report) == SILENT
        assert all(not any(s["created"].values()) for s in report["syncs"])
        assert rows(world) == sorted(ROWS)
        assert labels(world) == before, attempt
    assert (len(world.company_rows()), len(world.people_rows())) == (2, 2)
    assert (RecordLink.objects.count(), AssociationLink.objects.count()) == held
    assert not Change.objects.filter(
        side="app", kind__in=["unlink", "archive"]
    ).exists()


def test_a_merge_of_two_linked_companies_takes_no_row_of_the_app_s(world):
    """Contacts run alone, and find one link to a survivor where there were two."""
    linked(world)
    firms = world.companies_in_hubspot()
    merge(world, "companies", str(firms[A]["id"]), str(firms[B]["id"]))
    _, contacts = world.both
    world.run(contacts, full=True)
    assert rows(world) == sorted(ROWS)
    world.run(full=True)  # the survivor goes on as one of the two, with all labels
    assert set(ROWS) <= set(rows(world))
    assert not Change.objects.filter(side="app", kind="unlink").exists()


def test_a_new_link_to_two_merged_companies_waits_for_the_one_that_goes_on(world):
    """Contacts run alone, and know of one of the two by its links. Seed 5229."""
    linked(world)
    world.sql("INSERT INTO companies (name, domain) VALUES ('C', 'c.example')")
    world.run()
    firms = {d: str(row["id"]) for d, row in world.companies_in_hubspot().items()}
    bob = str(world.contacts_in_hubspot()[BOB]["id"])
    survivor = merge(world, "companies", firms["c.example"], firms[B])
    put_label(world, bob, survivor, "Adviser")
    _, contacts = world.both
    world.run(contacts, full=True)
    assert rows(world) == sorted(ROWS)
    world.run(full=True)
    added = set(rows(world)) - set(ROWS)
    assert {row[:2] for row in added if row[0] == BOB} == {(BOB, "c.example")}


def test_a_merge_that_the_companies_sync_has_not_read_moves_no_link(world):
    """Contacts run alone, and find A's links at an id that nobody knows. Seed 1707."""
    linked(world)
    before = labels(world)
    merge_into_a_twin(world)
    world.sql(
        "UPDATE works SET role = 'adv' WHERE role = 'dm' AND person = "
        "(SELECT id FROM people WHERE email = %s)",
        BOB,
    )
    edited = sorted(
        (m, d, "adv" if (m, r) == (BOB, "dm") else r, n) for m, d, r, n in ROWS
    )
    _, contacts = world.both
    world.run(contacts, full=True)
    assert rows(world) == edited
    assert not Change.objects.filter(side="app", kind="unlink").exists()
    world.run()
    assert rows(world) == edited
    assert len(labels(world) - before) == len(before - labels(world)) == 1
