"""Links both ways: pending, frozen, ambiguous, unknown ones; under every switch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from associations.models import AssociationLink
from connections.sandbox.hubspot.switches import BY_NAME
from connections.sandbox.server import SandboxServer
from syncs.models import RecordLink
from tests.world import PLAIN, PRIMARY, World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
A, B, C = "a.example", "b.example", "c.example"
ANN, BOB = "ann@x.example", "bob@x.example"


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        yield world


def plant(world: World) -> dict[str, str]:
    """Three companies on both sides, Ann at A on both; ids in HubSpot by key."""
    domains = (A, B, C)
    ids = world.create("companies", [{"name": d, "domain": d} for d in domains])
    (ann,) = world.create("contacts", [{"email": ANN}])
    found = dict(zip(domains, ids, strict=True)) | {ANN: ann}
    world.make_primary(ann, found[A])
    world.set_up()
    assert world.run()["status"] == "succeeded"
    assert world.people_rows()[ANN][2] == A
    return found


def move(world: World, mail: str, domain: str | None) -> None:
    world.sql(
        "UPDATE people SET company_id = (SELECT id FROM companies WHERE domain = %s) "
        "WHERE email = %s",
        domain,
        mail,
    )


def silent(world: World) -> bool:
    links = world.run()["syncs"][1]["associations"]
    nothing = {"hubspot": 0, "app": 0}
    return all(links[w] == nothing for w in ("added", "removed", "changed"))


def test_a_cleared_field_takes_the_primary_off_and_leaves_the_plain_link(world):
    plant(world)
    move(world, ANN, None)
    report = world.run()
    assert report["syncs"][1]["associations"]["removed"] == {"hubspot": 1, "app": 0}
    assert world.links() == {(ANN, A): frozenset({PLAIN})}
    assert silent(world)


def test_a_cleared_field_removes_the_pair_where_that_is_asked_for(world):
    plant(world)
    world.associate(on_unlink="remove_pair")
    world.run()
    move(world, ANN, None)
    world.run()
    assert world.links() == {}
    assert silent(world)


def test_a_link_removed_in_hubspot_clears_the_field(world):
    ids = plant(world)
    world.unlink(ids[ANN], ids[A])
    report = world.run()
    assert report["syncs"][1]["associations"]["removed"] == {"hubspot": 0, "app": 1}
    assert world.people_rows()[ANN][2] is None
    assert silent(world)


@pytest.mark.parametrize(("conflict", "winner"), [("hubspot", B), ("app", C)])
def test_both_sides_moved_and_the_rule_decides(world, conflict, winner):
    ids = plant(world)
    world.associate(conflict=conflict)
    world.run()
    world.make_primary(ids[ANN], ids[B])
    move(world, ANN, C)
    world.run()
    assert world.primary() == {ANN: winner}
    assert world.people_rows()[ANN][2] == winner
    assert silent(world)


@pytest.mark.parametrize("direction", ["to_app", "to_hubspot"])
def test_a_one_way_link_travels_one_way_and_drift_is_left(world, direction):
    ids = plant(world)
    world.associate(direction=direction)
    world.run()
    if direction == "to_app":
        move(world, ANN, C)  # drift on the written side
        world.run()
        assert (world.primary(), world.people_rows()[ANN][2]) == ({ANN: A}, C)
        world.make_primary(ids[ANN], ids[B])
        world.run()
        assert (world.primary(), world.people_rows()[ANN][2]) == ({ANN: B}, B)
    else:
        world.make_primary(ids[ANN], ids[B])
        world.run()
        assert (world.primary(), world.people_rows()[ANN][2]) == ({ANN: B}, A)
        move(world, ANN, C)
        world.run()
        assert (world.primary(), world.people_rows()[ANN][2]) == ({ANN: C}, C)
    assert silent(world)


def test_a_link_to_a_record_that_is_not_paired_waits_and_arrives_by_itself(world):
    ids = plant(world)
    # Twins in HubSpot: neither is paired.
    late, twin = world.create(
        "companies", [{"name": "L", "domain": "late.example"}] * 2
    )
    world.sql("INSERT INTO companies (name, domain) VALUES ('L', 'late.example')")
    world.make_primary(ids[ANN], late)
    report = world.run()
    links = report["syncs"][1]["associations"]
    assert (links["pending"], links["failing"]) == (1, 0)
    assert world.people_rows()[ANN][2] == A
    pending = AssociationLink.objects.get(state="pending")
    assert pending.code == "TARGET_NOT_MATCHED"
    world.client.crm.objects.basic_api.archive("companies", twin)
    for _ in range(2):  # the twin is known to be gone after a complete read
        report = world.run(full=True)
    assert report["syncs"][1]["associations"]["pending"] == 0
    assert world.people_rows()[ANN][2] == "late.example"
    assert not AssociationLink.objects.filter(state="pending").exists()
    assert silent(world)


def test_what_vanished_because_its_end_vanished_is_no_unlink(world):
    ids = plant(world)
    world.client.crm.objects.basic_api.archive("companies", ids[A])
    assert silent(world)
    assert world.people_rows()[ANN][2] == A
    world.sandbox.control.restore("companies", ids[A])
    world.run(full=True)
    assert silent(world)
    assert world.people_rows()[ANN][2] == A
    # The other way: a deleted row empties the field by its foreign key.
    world.sql("DELETE FROM companies WHERE domain = %s", A)
    assert world.people_rows()[ANN][2] is None
    world.run(full=True)
    links = world.run()["syncs"][1]["associations"]
    assert (links["in_sync"], links["skipped"]) == (0, 1)
    assert (ANN, A) in world.links()
    assert PRIMARY in world.links()[ANN, A]


def test_links_that_are_not_ours_are_never_removed(world):
    ids = plant(world)
    (stranger,) = world.create("companies", [{"name": "no key, so excluded"}])
    for other in (ids[B], stranger):
        world.client.crm.associations.v4.basic_api.create_default(
            "contacts", ids[ANN], "companies", other
        )
    move(world, ANN, C)
    world.run()
    move(world, ANN, None)
    world.run()
    held = {d for (_, d) in world.links()}
    assert held == {A, B, C, "None"}
    assert world.primary() == {}


def test_a_default_link_owns_the_pair_and_keeps_the_current_one(world):
    ids = plant(world)
    world.associate(type_id=279)
    world.run()
    default = world.client.crm.associations.v4.basic_api.create_default
    default("contacts", ids[ANN], "companies", ids[B])
    assert silent(world)  # the current one stays while its link exists
    assert world.people_rows()[ANN][2] == A
    move(world, ANN, C)
    world.run()
    assert {d for (_, d) in world.links()} == {B, C}
    assert world.people_rows()[ANN][2] == C
    assert silent(world)


def test_several_links_and_none_primary_are_ambiguous(world):
    ids = plant(world)
    world.sandbox.control.set_switches(first_link_primary="never")
    world.associate(type_id=279)
    (bob,) = world.create("contacts", [{"email": BOB}])
    default = world.client.crm.associations.v4.basic_api.create_default
    for domain in (A, B):
        default("contacts", bob, "companies", ids[domain])
    report = world.run()
    assert report["status"] == "partial"
    assert report["syncs"][1]["associations"]["failing"] == 1
    assert {e["code"] for e in report["syncs"][1]["errors"]} == {"TARGET_AMBIGUOUS"}
    assert world.people_rows()[BOB][2] is None
    world.make_primary(bob, ids[B])
    assert world.run()["status"] == "succeeded"
    assert world.people_rows()[BOB][2] == B


def test_a_contact_without_its_company_waits_where_the_field_must_not_be_empty(world):
    world.sql("ALTER TABLE people ALTER COLUMN company_id SET NOT NULL")
    (company,) = world.create("companies", [{"name": "A", "domain": A}])
    ann, _bob = world.create("contacts", [{"email": m} for m in (ANN, BOB)])
    world.make_primary(ann, company)
    world.set_up()
    report = world.run()
    assert report["syncs"][1]["waiting"] == 1
    assert set(world.people_rows()) == {ANN}
    assert RecordLink.objects.get(state="waiting").error_code == "TARGET_NOT_MATCHED"
    world.make_primary(_bob, company)
    report = world.run()
    assert report["syncs"][1]["waiting"] == 0
    assert world.people_rows()[BOB][2] == A


SWITCHES = [
    (name, value)
    for name in (
        "first_link_primary",
        "labels_without_primary",
        "label_write",
        "moved_primary_reported",
        "link_moves_date",
        "equal_write_moves_date",
        "id_form",
        "association_bucket",
        "archive_hides_links",
        "restore_brings_links",
    )
    for value in BY_NAME[name].values
]


@pytest.mark.parametrize(("name", "value"), SWITCHES)
def test_the_main_job_ends_the_same_under_each_unknown_of_hubspot(world, name, value):
    world.sandbox.control.set_switches(**{name: value})
    ids = plant(world)
    world.sql("INSERT INTO people (email) VALUES (%s)", BOB)
    move(world, BOB, B)
    world.run()
    world.make_primary(ids[ANN], ids[C])
    move(world, BOB, A)
    world.run()
    assert world.primary() == {ANN: C, BOB: A}
    assert world.people_rows()[ANN][2] == C
    assert world.people_rows()[BOB][2] == A
    move(world, ANN, None)
    world.run()
    assert world.primary() == {BOB: A}
    assert (ANN, A) in world.links()
    assert (ANN, C) in world.links()
    assert silent(world)


@pytest.mark.parametrize("archive", ["leaves_plain", "removes_pair"])
def test_a_primary_moves_where_hubspot_refuses_a_second_one(world, archive):
    plant(world)
    world.run()
    world.sandbox.control.set_switches(second_primary="refuse", primary_archive=archive)
    move(world, ANN, B)
    report = world.run()
    assert report["status"] == "succeeded"
    assert world.primary() == {ANN: B}
    assert (ANN, A) in world.links()  # its plain link stays
    assert silent(world)


@pytest.mark.parametrize("value", BY_NAME["primary_archive"].values)
def test_a_cleared_field_takes_the_primary_off_however_hubspot_lets_it(world, value):
    plant(world)
    world.run()
    world.sandbox.control.set_switches(primary_archive=value)
    move(world, ANN, None)
    report = world.run()
    assert report["status"] == "succeeded"
    assert world.primary() == {}
    assert world.people_rows()[ANN][2] is None
    assert world.links() == {(ANN, A): frozenset({PLAIN})}
    assert silent(world)


def test_a_primary_that_cannot_be_taken_off_is_named_and_not_put_back(world):
    plant(world)
    world.run()
    world.sandbox.control.set_switches(
        primary_archive="refused", labels_without_primary="keep"
    )
    move(world, ANN, None)
    report = world.run()
    assert report["syncs"][1]["associations"]["failing"] == 1
    assert world.primary() == {ANN: A}
    assert world.people_rows()[ANN][2] is None


@pytest.mark.parametrize("value", BY_NAME["limit_error"].values)
def test_a_link_over_hubspots_limit_fails_alone(world, value):
    ids = plant(world)
    world.run()
    world.sandbox.control.set_switches(limit_error=value, technical_cap=1)
    world.sql("INSERT INTO people (email) VALUES (%s), (%s)", BOB, "cid@x.example")
    move(world, BOB, A)  # full: Ann is linked to it
    move(world, "cid@x.example", B)
    report = world.run()
    assert report["status"] == "partial"
    assert report["syncs"][1]["associations"]["failing"] == 1
    assert {e["code"] for e in report["syncs"][1]["errors"]} == {"LIMIT_REACHED"}
    assert world.primary() == {ANN: A, "cid@x.example": B}
    assert set(world.contacts_in_hubspot()) == {ANN, BOB, "cid@x.example"}
    assert ids


@pytest.mark.parametrize("brings_links", [True, False])
def test_a_contact_that_was_archived_and_is_back_has_its_link_again(
    world, brings_links
):
    ids = plant(world)
    world.sandbox.control.set_switches(restore_brings_links=brings_links)
    world.client.crm.objects.basic_api.archive("contacts", ids[ANN])
    world.run(full=True)
    assert world.people_rows()[ANN][2] == A
    world.sandbox.control.restore("contacts", ids[ANN])
    world.run(full=True)
    assert world.people_rows()[ANN][2] == A
    assert world.primary() == {ANN: A}
    assert silent(world)
