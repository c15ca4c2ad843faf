"""A run that goes over a limit writes nothing until a person has decided."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import Change, ObjectSync, SyncRun
from syncs.models.choices import ChangeOutcome, Trigger
from syncs.run import child
from syncs.run.child import close_abandoned
from syncs.run.holding import hold
from syncs.run.session import Held, Session
from tests.shell import manage
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
MAILS = [f"p{n}@x.example" for n in range(8)]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        rows = [{"email": m, "firstname": "A", "lastname": "Z"} for m in MAILS]
        world.contacts_by_mail = dict(  # type: ignore[attr-defined]
            zip(MAILS, world.create("contacts", rows), strict=True)
        )
        world.set_up()
        assert world.run()["status"] == "succeeded"
        yield world


def limit(world: World, **limits: int | None) -> None:
    ObjectSync.objects.filter(pk=world.contacts.pk).update(limits=limits)


def rename(world: World, *numbers: int, name: str = "B") -> None:
    for n in numbers:
        world.sql("UPDATE people SET first_name = %s WHERE email = %s", name, MAILS[n])


def names(world: World) -> list[str | None]:
    """First names in HubSpot, in the order of MAILS."""
    held = world.contacts_in_hubspot()
    return [held[mail]["firstname"] for mail in MAILS]


def held_run(world: World) -> int:
    """Run the contacts and return the run, which is held."""
    found = world.run(world.contacts)
    assert found["status"] == "held", found
    run: int = found["run"]
    return run


def test_a_plan_over_a_limit_is_held_whole_and_approved_whole(world):
    limit(world, update=3)
    rename(world, 0, 1, 2, 3)
    before = world.sandbox.control.writes()
    found = world.run(world.contacts)
    (part,) = found["syncs"]
    assert (found["status"], part["status"], part["held"]) == ("held", "held", 4)
    assert (part["matched"], part["in_sync"]) == (8, 4)
    assert part["updated"] == {"hubspot": 0, "app": 0}
    assert part["errors"] == [
        {
            "code": "HELD_BY_LIMITS",
            "count": 1,
            "example": "The plan would update 4 records (limit 3). It waits whole for "
            "approval.",
        }
    ]
    assert world.sandbox.control.writes() == before
    approved = manage("approve", str(found["run"]), "--json")
    assert approved.status == 0, approved
    (part,) = approved.json["syncs"]
    assert (part["status"], part["held"]) == ("succeeded", 0)
    assert part["updated"] == {"hubspot": 4, "app": 0}
    assert approved.json["outcomes"] == {"applied": 4}
    assert names(world) == ["B"] * 4 + ["A"] * 4
    quiet = world.run(world.contacts)["syncs"][0]
    assert (quiet["status"], quiet["updated"]) == (
        "succeeded",
        {"hubspot": 0, "app": 0},
    )


def test_some_of_a_plan_are_approved_and_the_others_dropped(world):
    limit(world, update=1)
    rename(world, 0, 1, 2)
    run = held_run(world)
    listed = manage("approve", str(run), "--list", "--json").json
    assert [c["record"] for c in listed["changes"]] == MAILS[:3]
    assert listed["changes"][0]["before"] == {"firstname": "A"}
    assert listed["changes"][0]["after"] == {"firstname": "B"}
    assert listed["runs"][0]["held"] == {"update": {"count": 3, "most": 1}}
    chosen = listed["changes"][1]["id"]
    assert manage("approve", str(run), "--only", str(chosen)).status == 0
    assert names(world)[:3] == ["A", "B", "A"]
    left = manage("approve", "--list", "--json").json["changes"]
    assert [c["record"] for c in left] == [MAILS[0], MAILS[2]]
    dropped = manage("approve", str(run), "--drop")
    assert dropped.out == "Dropped 2 changes; nothing was written.\n"
    assert manage("approve", "--list").out == "Nothing waits for a decision.\n"
    # What still differs is due, and over the limit again.
    assert world.run(world.contacts)["syncs"][0]["held"] == 2


def test_a_new_run_takes_the_place_of_a_held_plan(world):
    limit(world, update=1)
    rename(world, 0, 1)
    old = held_run(world)
    rename(world, 1, name="A")
    rename(world, 2, 3)
    new = held_run(world)
    refused = manage("approve", str(old))
    assert refused.status == 2
    assert "a newer run took its place" in refused.err
    listed = manage("approve", str(new), "--list", "--json").json["changes"]
    assert [c["record"] for c in listed] == [MAILS[0], MAILS[2], MAILS[3]]
    assert Change.objects.filter(outcome=ChangeOutcome.HELD).count() == 3
    limit(world, update=None)
    assert world.run(world.contacts)["status"] == "succeeded"
    assert names(world)[:4] == ["B", "A", "B", "B"]
    assert manage("approve", str(new)).status == 2


def test_what_moved_since_it_was_held_is_left_out(world):
    limit(world, update=1)
    rename(world, 0, 1, 2)
    run = held_run(world)
    rename(world, 0, name="C")
    ids = world.contacts_by_mail
    world.update("contacts", ids[MAILS[1]], firstname="D")
    approved = manage("approve", str(run), "--json")
    assert approved.json["outcomes"] == {"applied": 1, "drifted": 2}
    assert names(world)[:3] == ["A", "D", "B"]


def test_a_percentage_of_the_pairs_is_asked_from_the_second_run_on(world):
    more = [f"q{n}@x.example" for n in range(12)]
    world.create("contacts", [{"email": m, "firstname": "A"} for m in more])
    assert world.run(world.contacts)["status"] == "succeeded"
    rename(world, 0, 1, 2, 3, 4)
    assert world.run(world.contacts)["status"] == "succeeded"
    rename(world, 0, 1, 2, 3, 4, 5, name="C")
    found = world.run(world.contacts)
    assert found["status"] == "held"
    assert "30 % of the pairs (limit 25 %)" in found["syncs"][0]["errors"][0]["example"]


def test_emptied_values_and_removed_links_have_limits_of_their_own(world):
    limit(world, blank=2)
    world.sql(
        "UPDATE people SET first_name = NULL, last_name = NULL WHERE email = %s",
        MAILS[0],
    )
    assert world.run(world.contacts)["status"] == "succeeded"
    world.sql("UPDATE people SET last_name = NULL WHERE email = ANY(%s)", MAILS[1:4])
    run = held_run(world)
    listed = manage("approve", str(run), "--list", "--json").json
    assert listed["runs"][0]["held"] == {"blank": {"count": 3, "most": 2}}
    assert manage("approve", str(run)).status == 0
    # Links.
    companies = world.create("companies", [{"name": "A", "domain": "a.example"}])
    for mail in MAILS[:3]:
        world.make_primary(world.contacts_by_mail[mail], companies[0])
    assert world.run()["status"] == "succeeded"
    limit(world, unlink=2)
    world.sql("UPDATE people SET company_id = NULL")
    run = held_run(world)
    assert len(world.primary()) == 3
    assert manage("approve", str(run)).status == 0
    assert world.primary() == {}


def test_a_held_plan_of_links_alone_is_planned_again_by_a_run_without_a_sweep(world):
    companies = world.create("companies", [{"name": "A", "domain": "a.example"}])
    for mail in MAILS[:3]:
        world.make_primary(world.contacts_by_mail[mail], companies[0])
    world.run()
    limit(world, unlink=2)
    world.sql("UPDATE people SET company_id = NULL")
    held_run(world)
    found = world.run(world.contacts, sweep=False)
    assert (found["status"], found["syncs"][0]["held"]) == ("held", 3)


def test_a_preview_says_that_it_would_be_held_and_applies_when_asked(world):
    limit(world, update=1)
    rename(world, 0, 1)
    preview = world.run(world.contacts, dry_run=True)
    assert preview["status"] == "succeeded"
    child = SyncRun.objects.get(parent=preview["run"])
    assert "would be held: it would update 2 records" in child.entries.get().text
    applied = manage("sync", "--apply-plan", str(preview["run"]), "--json")
    assert applied.json["status"] == "succeeded"
    assert names(world)[:2] == ["B", "B"]


def test_an_approval_whose_worker_died_loses_nothing_and_writes_nothing_twice(world):
    limit(world, update=1)
    rename(world, 0, 1)
    run = held_run(world)
    approved = services.approve_run(run, trigger=Trigger.ADMIN)
    SyncRun.objects.filter(pk=approved.pk).update(
        created_at=timezone.now() - timedelta(hours=1)
    )
    assert close_abandoned()
    assert world.run(world.contacts)["syncs"][0]["held"] == 2
    assert names(world)[:2] == ["A", "A"]
    limit(world, update=2)
    assert world.run(world.contacts)["syncs"][0]["updated"]["hubspot"] == 2
    assert names(world)[:2] == ["B", "B"]


def test_a_plan_of_another_set_up_is_not_approved(world):
    limit(world, update=1)
    rename(world, 0, 1)
    run = held_run(world)
    ObjectSync.objects.filter(pk=world.contacts.pk).update(revision=2)
    refused = manage("approve", str(run))
    assert refused.status == 2
    assert "set-up changed" in refused.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "a held run's number, deletes or conflicts"),
        (("delets",), "'delets' is neither"),
        (("7",), "There is no run 7."),
        (("deletes",), "No deletes wait"),
        (("deletes", "--app", "Opps"), "Did you mean 'Ops'?"),
        (("conflicts", "--only", "x"), "is not the id of a change"),
        (("deletes", "--list", "--drop"), "--list only shows"),
    ],
)
def test_what_cannot_be_approved_is_said_in_one_line(world, arguments, text):
    SyncRun.objects.filter(pk=7).delete()
    ended = manage("approve", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert text in ended.err
    assert ended.err.count("\n") == 1


def test_a_change_that_does_not_wait_there_is_refused_and_nothing_is_done(world):
    limit(world, update=1)
    rename(world, 0, 1)
    run = held_run(world)
    refused = manage("approve", str(run), "--only", "999999")
    assert refused.status == 2
    assert "Change 999999 does not wait there" in refused.err
    assert Change.objects.filter(outcome=ChangeOutcome.HELD).count() == 2


def test_a_plan_that_is_held_as_its_slice_ends_waits_like_any_other(world, monkeypatch):
    limit(world, update=1)
    rename(world, 0, 1)

    def late(session: Session, held: Held) -> None:
        hold(session, held)
        session.deadline = time.monotonic() - 1

    monkeypatch.setattr(child, "hold", late)
    run = services.start(syncs=[world.contacts], trigger=Trigger.SCHEDULE)
    services.execute(run, deadline=time.monotonic() + 60)
    assert run.status == "held"
    assert manage("approve", str(run.pk)).status == 0
    assert names(world)[:3] == ["B", "B", "A"]


def test_a_newer_plan_takes_the_place_of_one_whose_run_died_while_it_was_held(world):
    limit(world, update=1)
    rename(world, 0, 1)
    old = held_run(world)
    SyncRun.objects.filter(parent=old).update(status="failed")  # killed before its end
    new = held_run(world)
    waiting = manage("approve", "--list", "--json").json["changes"]
    assert [change["run"] for change in waiting] == [new, new]
