"""The drift report: every link that stands on one side only, with its reason."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from associations import drift as drifting
from connections.admin.csv_files import harmless
from connections.sandbox.server import SandboxServer
from syncs.models import Change, RecordLink
from tests.test_links import ANN, BOB, A, B, C, move, plant
from tests.test_undo import undo
from tests.world import World


@pytest.mark.parametrize(
    ("cell", "shown"),
    [("=1+1", "'=1+1"), ("@x", "'@x"), ("-2", "'-2"), ("Ann", "Ann"), ("", "")],
)
def test_no_name_of_a_record_is_a_formula(cell, shown):
    assert harmless(cell) == shown


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def report(world: World, client: Client) -> list[dict[str, str]]:
    answer = client.get(
        reverse("admin:syncs_objectsync_drift", args=[world.contacts.pk])
    )
    assert answer.status_code == 200
    assert "attachment" in answer["Content-Disposition"]
    lines = answer.getvalue().decode().splitlines()
    return list(csv.DictReader(lines))


def reasons(world: World, client: Client) -> set[tuple[str, str, str]]:
    """By e-mail, the side that a link stands on and why."""
    return {(r["record"], r["stands_on"], r["reason"]) for r in report(world, client)}


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_each_link_on_one_side_only_is_listed_with_its_reason(
    world, client, monkeypatch
):
    monkeypatch.setattr(drifting, "AT_ONCE", 1)
    client.force_login(User.objects.create_superuser("root"))
    ids = plant(world)
    (bob,) = world.create("contacts", [{"email": BOB}])
    world.run()
    assert report(world, client) == []
    rows = Change.objects.count()
    # Not looked at yet; in PostgreSQL what was last read counts.
    world.make_primary(bob, ids[B])
    (found,) = report(world, client)
    assert (found["reason"], found["stands_on"]) == ("next_run", "hubspot")
    assert found["linked_hubspot_id"] == ids[B]
    assert found["linked_record"] == B
    # Linked to a company that no sync knows yet, then to one outside of the filters.
    (far,) = world.create("companies", [{"name": "Far"}])
    world.make_primary(bob, far)
    (found,) = report(world, client)
    assert (found["reason"], found["linked_hubspot_id"]) == ("pending", far)
    assert Change.objects.count() == rows
    world.unlink(bob, far)
    # HubSpot refuses it; then an undo leaves one on one side.
    world.unlink(bob, ids[B])
    world.run()
    move(world, BOB, C)
    world.sandbox.control.set_faults("status=400,path=batch/create")
    world.run()
    (found,) = report(world, client)
    assert (found["reason"], found["stands_on"]) == ("failing", "app")
    assert found["code"]
    assert found["text"]
    world.sandbox.control.set_faults()
    done = world.run(full=True)
    assert report(world, client) == []
    undo(done["run"])
    assert reasons(world, client) == {(BOB, "app", "apart")}
    # One way, the written side drifts; of several links in HubSpot none stands out.
    world.associate(279, direction="to_app")
    world.run()
    for domain in (A, B):
        world.client.crm.associations.v4.basic_api.create_default(
            "contacts", bob, "companies", ids[domain]
        )
    move(world, ANN, B)
    world.run()
    world.make_primary(ids[ANN], ids[C])
    assert reasons(world, client) == {
        (ANN, "app", "direction"),
        (ANN, "hubspot", "direction"),  # the one that the app moved away from
        (ANN, "hubspot", "kept"),
        (BOB, "hubspot", "single"),
    }
    # The API away on the way: the report says that it ends.
    world.sandbox.control.set_faults("401,path=batch/read")
    (found,) = report(world, client)
    assert (found["reason"], found["code"]) == ("incomplete", "CREDENTIALS_REFUSED")
    world.sandbox.control.set_faults()
    RecordLink.objects.filter(hubspot_values__email=ANN).update(app_references={})
    assert (ANN, "app", "unknown") in reasons(world, client)
    client.logout()
    url = reverse("admin:syncs_objectsync_drift", args=[world.contacts.pk])
    assert client.get(url).status_code == 302
