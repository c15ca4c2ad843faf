"""What was approved after things had moved on: the set-up, the records, or a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from connections.models import ConnectedApp
from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import Change, FieldMapping, ObjectSync, RecordLink, SyncRun
from tests.graves import Graves
from tests.shell import manage
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
ANN = "ann@x.example"


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


@pytest.fixture
def graves(world: World, tmp_path: Path) -> Graves:
    return Graves(world, tmp_path / "setup.yaml")


def approved(*what: str, status: int = 0) -> dict[str, int]:
    """Approve, and what came of the changes."""
    ended = manage("approve", *what, "--json")
    assert ended.status == status, ended
    outcomes: dict[str, int] = ended.json["outcomes"]
    return outcomes


def held_create(world: World) -> int:
    """A run that waits to create Ann in the app."""
    world.set_up(limits={"create": 0})
    world.create("contacts", [{"email": ANN, "firstname": "Ann"}])
    found = world.run(world.contacts)
    assert (found["status"], found["syncs"][0]["held"]) == ("held", 1)
    run: int = found["run"]
    return run


@pytest.mark.parametrize(
    "changed", [{"deletes": "ignore"}, {"deletes": "ask", "direction": "to_app"}]
)
def test_a_deletion_does_not_travel_where_the_set_up_lets_none_any_more(
    graves: Graves, changed: dict[str, Any]
) -> None:
    graves.pairs(2, deletes="ask")
    graves.world.sql("DELETE FROM companies WHERE id = 2")
    assert graves.run("--full")["awaiting"]["deletes"] == 1
    graves.set_up(**changed)
    assert approved("deletes") == {"drifted": 1}
    assert len(graves.hubspot()) == 2
    assert graves.run()["awaiting"]["deletes"] == 0


def test_a_chosen_value_does_not_travel_against_a_direction_that_changed(world):
    world.create("contacts", [{"email": ANN, "firstname": "Ann"}])
    world.sql("INSERT INTO people (email, first_name) VALUES (%s, 'Anna')", ANN)
    world.set_up(conflict="review")
    assert world.run()["syncs"][1]["awaiting"]["conflicts"] == 1
    FieldMapping.objects.filter(sync=world.contacts, hubspot="firstname").update(
        direction="to_app"
    )
    ObjectSync.objects.filter(pk=world.contacts.pk).update(revision=2)
    (choice,) = Change.objects.filter(outcome="held", side="hubspot")
    assert approved("conflicts", "--only", str(choice.pk)) == {"drifted": 1}
    assert world.contacts_in_hubspot()[ANN]["firstname"] == "Ann"


def test_nothing_is_created_for_a_record_that_was_kept_apart_since(world):
    run = held_create(world)
    link = RecordLink.objects.get(sync=world.contacts)
    services.keep_apart(sync=world.contacts, link_ids=[link.pk])
    assert approved(str(run)) == {"drifted": 1}
    assert world.people_rows() == {}


def test_nothing_is_created_for_a_record_that_is_ambiguous_by_now(world):
    run = held_create(world)
    world.sql(
        "INSERT INTO people (email, first_name) VALUES (%s, '1'), (%s, '2')", ANN, ANN
    )
    assert approved(str(run)) == {"drifted": 1}
    assert world.sql("SELECT first_name FROM people ORDER BY 1") == [("1",), ("2",)]
    assert (
        world.run(world.contacts)["syncs"][0]["errors"][0]["code"] == "MATCH_AMBIGUOUS"
    )


def test_what_was_approved_when_many_records_vanish_is_created_once(graves):
    graves.pairs(24)
    graves.set_up(limits={"create": 1})
    names = [f"new{n}.example" for n in range(2)]
    graves.world.create("companies", [{"name": n, "domain": n} for n in names])
    graves.run(status=1)
    graves.world.sql("DELETE FROM companies WHERE id <= 20")

    def last() -> str:
        return str(SyncRun.objects.filter(parent=None).latest("pk").pk)

    assert approved(last(), status=1) == {"skipped": 2}  # so many are gone
    assert approved(last(), status=1) == {"held": 2}  # gone they are; the plan is new
    assert approved(last()) == {"applied": 2}
    rows = graves.world.sql("SELECT domain FROM companies WHERE domain LIKE 'new%'")
    assert sorted(rows) == [(name,) for name in names]


def test_what_was_approved_and_lost_its_answer_is_settled_under_any_limit(world):
    world.set_up(limits={"create": 0})
    world.sql("INSERT INTO people (email, first_name) VALUES (%s, 'Ann')", ANN)
    held = world.run(world.contacts)
    control = world.sandbox.control
    control.set_faults("drop,path=/batch/create,when=after")
    assert approved(str(held["run"])) == {"sent": 1}
    control.set_faults()
    found = world.run(world.contacts)
    assert (found["status"], found["syncs"][0]["held"]) == ("succeeded", 0)
    assert found["syncs"][0]["created"]["hubspot"] == 1  # as this run found out
    assert Change.objects.get(kind="create").run.approved
    assert list(world.contacts_in_hubspot()) == [ANN]


def test_to_drop_a_change_leaves_what_waits_in_the_other_parts_of_the_run(world):
    world.set_up()
    run = SyncRun.objects.create(trigger="command", status="held")
    companies, contacts = (
        SyncRun.objects.create(
            parent=run, sync=sync, trigger="command", status="held", held=why
        )
        for sync, why in (
            (world.companies, {"update": {"count": 2, "most": 1}}),
            (world.contacts, {"vanished": {"app": 7, "of": 20}}),
        )
    )
    change = Change.objects.create(
        run=companies,
        sync=world.companies,
        side="app",
        kind="update",
        outcome="held",
        awaiting="limits",
    )
    assert (
        manage("approve", str(run.pk), "--only", str(change.pk), "--drop").status == 0
    )
    assert services.held_children(run.pk) == [contacts]


@pytest.mark.parametrize("dropped", [False, True])
def test_only_the_links_that_were_approved_are_written(
    world: World, dropped: bool
) -> None:
    world.set_up(limits={"unlink": 0})
    world.associate(279)
    world.create("contacts", [{"email": ANN}])
    world.sql(
        "INSERT INTO companies (name, domain) VALUES ('A', 'a.io'), ('B', 'b.io')"
    )
    world.run()
    world.sql("UPDATE people SET company_id = 1")
    world.run()
    world.sql("UPDATE people SET company_id = 2")
    found = world.run(world.contacts)
    assert (found["status"], found["syncs"][0]["held"]) == ("held", 2)
    held = Change.objects.filter(outcome="held")
    ids = {kind: str(pk) for kind, pk in held.values_list("kind", "pk")}
    run = str(found["run"])
    if dropped:
        assert manage("approve", run, "--drop", "--only", ids["unlink"]).status == 0
    assert approved(run, "--only", ids["link"]) == {"applied": 1}
    assert set(world.links()) == {(ANN, "a.io"), (ANN, "b.io")}
    found = world.run(world.contacts)  # what was not approved is asked again
    assert (found["status"], found["syncs"][0]["held"]) == ("held", 1)
    assert approved(str(found["run"])) == {"applied": 1}
    assert set(world.links()) == {(ANN, "b.io")}


@pytest.mark.parametrize(
    ("sync", "text"),
    [
        ({"enabled": False}, "is off"),
        ({"archived_at": timezone.now()}, "No deletes wait"),
    ],
)
def test_nothing_is_approved_of_a_sync_that_is_off_or_not_set_up_any_more(
    graves: Graves, sync: dict[str, Any], text: str
) -> None:
    graves.pairs(2, deletes="ask")
    graves.world.sql("DELETE FROM companies WHERE id = 2")
    graves.run("--full")
    ObjectSync.objects.update(**sync)
    refused = manage("approve", "deletes")
    assert (refused.status, refused.out) == (2, "")
    assert text in refused.err
    assert len(graves.hubspot()) == 2


def test_nothing_is_undone_or_applied_of_an_app_that_is_not_set_up_any_more(graves):
    graves.pairs(1)
    done = SyncRun.objects.get(parent=None)
    graves.world.sql("UPDATE companies SET phone = '2'")
    graves.run("--dry-run")
    preview = SyncRun.objects.get(parent=None, dry_run=True)
    ConnectedApp.objects.update(archived_at=timezone.now())
    for command in (("undo", str(done.pk)), ("sync", "--apply-plan", str(preview.pk))):
        refused = manage(*command)
        assert (refused.status, refused.out) == (2, ""), refused
