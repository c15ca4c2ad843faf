"""Conflicts decided from the command line, with the set-up file that asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from connections.sandbox.server import SandboxServer
from syncs.models import Change, ObjectSync, RecordLink, SyncRun
from syncs.run.lease import Lease
from tests.shell import manage
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
ANN, BOB = "ann@x.example", "bob@x.example"
FILE = """
version: 1
hubspot:
  - {name: Acme, token: "${HUBSPOT_TOKEN}", base_url: "${HUBSPOT_URL}",
     requests_per_10s: 100000, search_per_second: 1000}
apps:
  - name: Ops
    kind: postgres
    hubspot: Acme
    credentials: {dsn: "${OPS_DSN}"}
    syncs:
      - name: Companies
        hubspot_object: companies
        app_object: companies
        match: [{hubspot: domain, app: domain}]
        fields: [{hubspot: name, app: name}, {hubspot: domain, app: domain}]
        app_cursor: updated_at
      - name: Contacts
        hubspot_object: contacts
        app_object: people
        conflict: review
        match: [{hubspot: email, app: email, normalize: email}]
        fields:
          - {hubspot: firstname, app: first_name}
          - {hubspot: lastname, app: last_name, conflict: review}
          - {hubspot: email, app: email, conflict: app}
        app_cursor: updated_at
        associations: [{app_field: company_id, to: Companies, conflict: review}]
"""


@pytest.fixture
def world(
    pg_dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[World]:
    """Ann and Bob on both sides, each with two names on each; four fields wait."""
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        monkeypatch.setenv("HUBSPOT_TOKEN", sandbox.token)
        monkeypatch.setenv("HUBSPOT_URL", sandbox.hubspot_url)
        monkeypatch.setenv("OPS_DSN", pg_dsn)
        world = World(sandbox, pg_dsn)
        for mail in (ANN, BOB):
            world.create(
                "contacts", [{"email": mail, "firstname": "H", "lastname": "H"}]
            )
            world.sql(
                "INSERT INTO people (email, first_name, last_name) VALUES (%s, 'A', 'A')",
                mail,
            )
        file = tmp_path / "setup.yaml"
        file.write_text(FILE, encoding="utf-8")
        applied = manage("setup", "apply", str(file))
        assert (applied.status, applied.err) == (0, ""), applied
        assert run()["awaiting"]["conflicts"] == 4
        yield world


def run() -> dict[str, Any]:
    report = manage("sync", "--sync", "Contacts", "--json").json
    assert report["status"] == "succeeded", report
    child: dict[str, Any] = report["syncs"][0]
    return child


def waiting(mail: str = "") -> list[int]:
    rows = Change.objects.filter(outcome="held", record__contains=mail)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def names(world: World) -> dict[str, tuple[str, str, str, str]]:
    """First and last name in HubSpot, then in the app."""
    here, there = world.contacts_in_hubspot(), world.people_rows()
    return {
        mail: (row["firstname"], row["lastname"], *there[mail][:2])
        for mail, row in here.items()
    }


def test_the_rule_stands_in_an_export_and_is_applied_again_without_a_change(
    world, tmp_path
):
    exported = manage("setup", "export").out
    contacts = yaml.safe_load(exported)["apps"][0]["syncs"][1]
    assert contacts["conflict"] == "review"
    assert contacts["associations"][0]["conflict"] == "review"
    file = tmp_path / "again.yaml"
    file.write_text(exported, encoding="utf-8")
    assert manage("setup", "apply", str(file), "--json").json["changed"] == []


def test_a_file_whose_syncs_can_write_the_same_is_applied_with_a_warning(
    world, tmp_path
):
    tree = yaml.safe_load(manage("setup", "export").out)
    again = deepcopy(tree["apps"][0]["syncs"][1])
    again |= {"name": "Again", "associations": []}
    tree["apps"][0]["syncs"].append(again)
    file = tmp_path / "again.yaml"
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    applied = manage("setup", "apply", str(file))
    assert (applied.status, applied.err) == (0, ""), applied
    assert "Warning: Ops › Contacts and Ops › Again can all write" in applied.out


def test_one_value_is_chosen_by_its_id_and_the_other_falls(world):
    listed = manage("approve", "conflicts", "--list", "--json").json["changes"]
    assert len(listed) == 8
    (one,) = [
        c["id"]
        for c in listed
        if (c["side"], c["record"], c["after"]) == ("hubspot", ANN, {"firstname": "A"})
    ]
    done = manage("approve", "conflicts", "--only", str(one), "--json")
    assert (done.status, done.json["outcomes"]) == (0, {"applied": 1}), done
    assert names(world) == {ANN: ("A", "H", "A", "A"), BOB: ("H", "H", "A", "A")}
    assert len(waiting()) == 6
    assert Change.objects.get(outcome="dropped").error_text == (
        "The other value was chosen."
    )
    link = RecordLink.objects.get(app_values__email=ANN)
    assert "lastname" in link.error_text
    assert "firstname" not in link.error_text
    after = run()
    assert after["awaiting"]["conflicts"] == 3
    assert after["updated"] == {"hubspot": 0, "app": 0}


@pytest.mark.parametrize("take", ["", "hubspot", "app"])
def test_all_are_decided_for_one_side_and_said_so(world, take):
    done = manage("approve", "conflicts", *(["--take", take] if take else []))
    assert (done.status, done.err) == (0, "")
    winner = "H" if take != "app" else "A"
    assert names(world) == {ANN: (winner,) * 4, BOB: (winner,) * 4}
    assert ("the default" in done.out) == (not take)
    assert waiting() == []
    assert set(RecordLink.objects.values_list("error_code", flat=True)) == {""}
    after = run()
    assert after["awaiting"]["conflicts"] == 0
    assert after["updated"] == {"hubspot": 0, "app": 0}


def test_what_is_dropped_stays_as_it_is_until_a_side_moves(world):
    one = waiting(ANN)[0]
    done = manage("approve", "conflicts", "--only", str(one), "--drop")
    assert (done.status, done.err) == (0, "")
    assert "1 conflict" in done.out
    assert len(waiting(ANN)) == 2
    dropped = manage("approve", "conflicts", "--drop", "--json")
    assert dropped.json == {"dropped": 3}
    before = names(world)
    for full in ((), ("--full",)):
        report = manage("sync", "--sync", "Contacts", "--json", *full).json
        assert report["syncs"][0]["awaiting"]["conflicts"] == 0
        assert report["syncs"][0]["in_sync"] == 2
    assert names(world) == before
    world.sql("UPDATE people SET first_name = 'New' WHERE email = %s", ANN)
    assert run()["updated"] == {"hubspot": 1, "app": 0}
    assert names(world)[ANN] == ("New", "H", "New", "A")


def test_a_value_that_moved_since_is_asked_about_anew(world):
    world.sql("UPDATE people SET first_name = 'New' WHERE email = %s", ANN)
    done = manage("approve", "conflicts", "--take", "hubspot", "--json")
    assert done.json["outcomes"] == {"applied": 3, "drifted": 1}
    assert names(world)[ANN] == ("H", "H", "New", "H")
    assert run()["awaiting"]["conflicts"] == 1


def test_what_makes_no_sense_is_refused_and_decides_nothing(world):
    link = RecordLink.objects.get(app_values__email=ANN)
    rows = Change.objects.filter(link=link, mapping_key__startswith="firstname")
    one, other = map(str, rows.filter(outcome="held").values_list("pk", flat=True))
    for arguments, text in (
        (("conflicts", "--only", one, "--only", other), "two values of one field"),
        (("conflicts", "--only", one, "--take", "app"), "names its value already"),
        (("deletes", "--take", "app"), "conflicts only"),
        (("conflicts", "--take", "app", "--drop"), "neither --list nor --drop"),
        (("conflicts", "--only", "987654"), "does not wait there"),
    ):
        done = manage("approve", *arguments)
        assert done.status == 2
        assert text in done.err
        assert done.err.count("\n") <= 1
    assert len(waiting()) == 8
    assert SyncRun.objects.filter(approved=True).count() == 0


def test_a_drop_waits_for_the_run_that_is_going_on(world):
    sync = ObjectSync.objects.get(name="Contacts")
    with Lease(sync):
        done = manage("approve", "conflicts", "--drop")
    assert (done.status, len(waiting())) == (2, 8)
    assert "a run is going on" in done.err
