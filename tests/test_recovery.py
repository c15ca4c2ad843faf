"""What a run that was cut short left open is settled by the next one, and by nothing else.

`tests/test_kill.py` kills a run at every place; here stands what needs more than a kill:
somebody's edit meanwhile, a second worker, an old plan, a table without change triggers.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone

from associations.run import writing
from associations.run.insisting import Insister
from connections.connectors import http
from connections.connectors.hubspot.connector import HubSpotConnector
from connections.connectors.postgres.connector import PostgresConnector
from connections.sandbox.server import SandboxServer
from syncs import services, tasks
from syncs.models import Change, MatchKey, ObjectSync, RecordLink, SyncRun
from syncs.models.choices import Trigger
from syncs.run import steps
from syncs.run.store import update_rows
from tests.vendor import all_records
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
Json = dict[str, Any]
A = "a.example"
ANN = "ann@x.example"
UNANSWERED = "drop,path={type}/batch/create,times=1,when=after"
UNSENT = "drop,path={type}/batch/create,times=1"
TYPES = {"contacts": "0-1", "companies": "0-2"}


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def lose_a_create(world: World, kind: str, fault: str = UNANSWERED) -> None:
    """Run, and let the answer to a create in HubSpot be lost (or the create itself)."""
    world.sandbox.control.set_faults(fault.format(type=TYPES[kind]))
    world.run()
    world.sandbox.control.set_faults()
    assert Change.objects.filter(kind="create", outcome="sent").count() == 1


def apply_plan(preview: Json) -> Json:
    plan, children = services.plan_run(preview["run"])
    syncs = [c.sync for c in children if c.sync is not None]
    run = services.start(syncs=syncs, trigger=Trigger.COMMAND, plan=plan)
    services.execute(run)
    return services.report(SyncRun.objects.get(pk=run.pk))


def companies_called(world: World, name: str) -> int:
    rows = all_records(world.client, "companies", ("name",)).values()
    return [row["name"] for row in rows].count(name)


# Creates -------------------------------------------------------------------------------


def test_a_plan_applied_after_a_lost_create_does_not_create_again(world):
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s)", A)
    world.set_up()
    preview = world.run(world.companies, dry_run=True)
    lose_a_create(world, "companies")
    report = apply_plan(preview)
    assert report["syncs"][0]["created"] == {"hubspot": 1, "app": 0}  # the lost one
    assert companies_called(world, "A") == 1
    assert RecordLink.objects.get(sync=world.companies).paired


@pytest.mark.parametrize("still", [True, False], ids=["still", "set right since"])
def test_a_lost_create_is_found_although_our_clock_was_ahead(world, monkeypatch, still):
    right, ahead = timezone.now, timedelta(hours=1)
    world.set_up()
    world.run(world.companies)  # so that the next ones read changes
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s)", A)
    world.sandbox.control.set_switches(search_lag_s=30)  # among those it is not yet
    monkeypatch.setattr(timezone, "now", lambda: right() + ahead)
    lose_a_create(world, "companies")
    if not still:
        monkeypatch.undo()
    world.run()
    assert companies_called(world, "A") == 1
    assert RecordLink.objects.get(sync=world.companies).paired


def test_a_lost_create_does_not_take_the_record_of_another_pair(world):
    world.set_up()
    # The e-mail, which is HubSpot's unique property, is not what pairs here.
    MatchKey.objects.filter(sync=world.contacts).update(
        hubspot="lastname", app="last_name", normalize="exact"
    )
    insert = "INSERT INTO people (email, first_name, last_name) VALUES (%s, %s, %s)"
    world.sql(insert, ANN, "One", "L1")
    world.run()
    pair = RecordLink.objects.get(sync=world.contacts)
    world.sql(insert, ANN, "Two", "L2")
    lose_a_create(world, "contacts", UNSENT)
    assert world.run()["status"] == "partial"
    again, failing = RecordLink.objects.filter(sync=world.contacts).order_by("pk")
    assert (again.hubspot_id, again.app_id) == (pair.hubspot_id, pair.app_id)
    assert (failing.hubspot_id, failing.error_code) == (None, "DUPLICATE_KEY")
    assert world.contacts_in_hubspot()[ANN]["firstname"] == "One"
    assert world.sql("SELECT first_name FROM people ORDER BY id") == [
        ("One",),
        ("Two",),
    ]


def test_an_edit_between_a_lost_create_and_its_recovery_travels(world):
    world.sql("INSERT INTO people (email, first_name) VALUES (%s, 'Old')", ANN)
    world.set_up()
    lose_a_create(world, "contacts")
    made = world.contacts_in_hubspot()[ANN]["id"] or ""
    world.update("contacts", made, firstname="New", lastname="Ash")
    report = world.run()
    assert report["status"] == "succeeded", report
    assert world.people_rows() == {ANN: ("New", "Ash", None)}
    assert world.contacts_in_hubspot()[ANN]["firstname"] == "New"


def test_a_record_that_another_made_instead_of_a_lost_create_is_merged(world):
    world.sql(
        "INSERT INTO people (email, first_name, last_name) VALUES (%s, 'Ann', 'Ash')",
        ANN,
    )
    world.set_up()
    lose_a_create(world, "contacts", UNSENT)
    (made,) = world.create("contacts", [{"email": ANN, "firstname": "Anna"}])
    world.run()
    assert world.people_rows() == {ANN: ("Anna", "Ash", None)}
    assert world.contacts_in_hubspot() == {
        ANN: {"id": made, "email": ANN, "firstname": "Anna", "lastname": "Ash"}
    }


def test_pruning_keeps_what_tells_of_an_unanswered_create(world, settings):
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s)", A)
    world.set_up()
    lose_a_create(world, "companies")
    settings.LOG_RETENTION_DAYS = 0
    tasks.prune()
    assert Change.objects.filter(outcome="sent").count() == 1
    report = world.run()
    assert report["status"] == "succeeded", report
    assert companies_called(world, "A") == 1
    assert RecordLink.objects.get(sync=world.companies).paired
    tasks.prune()
    assert not Change.objects.filter(outcome="sent").exists()


def test_a_refused_create_with_a_link_waits_for_its_back_off(world):
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s)", A)
    world.sql("INSERT INTO people (email, company_id) VALUES (%s, 1)", ANN)
    world.set_up()
    world.sandbox.control.set_faults("status=400,path=0-1/batch/create")
    assert world.run()["syncs"][1]["failing"] == 1

    def tried() -> int:
        calls = [call["path"] for call in world.sandbox.control.calls()]
        return sum(path.endswith("0-1/batch/create") for path in calls)

    before = tried()
    assert before > 0
    for _ in range(2):
        assert world.run()["syncs"][1]["failing"] == 1
    assert tried() == before
    world.sandbox.control.set_faults()
    RecordLink.objects.filter(state="failing").update(retry_at=timezone.now())
    assert world.run()["status"] == "succeeded"
    assert world.primary() == {ANN: A}


# Updates -------------------------------------------------------------------------------


def one_write_for_each_side(world: World) -> str:
    (made,) = world.create("companies", [{"name": "A", "domain": A, "phone": "1"}])
    world.set_up()
    world.run()
    world.update("companies", made, phone="2")
    world.sql("UPDATE companies SET name = 'B'")
    return made


def test_an_update_that_timed_out_travels_though_the_other_side_s_went(
    world, monkeypatch
):
    monkeypatch.setattr(http, "FIRST_PAUSE_S", 0.01)  # between its tries
    one_write_for_each_side(world)
    world.sandbox.control.set_faults("drop,path=0-2/batch/update")
    report = world.run(world.companies)
    assert [e["code"] for e in report["syncs"][0]["errors"]] == ["TIMED_OUT"]
    assert world.company_rows()[A][1] == "2"
    world.sandbox.control.set_faults()
    world.run(world.companies)
    assert world.companies_in_hubspot()[A]["name"] == "B"


def test_an_update_that_drifted_is_decided_again_though_the_other_side_s_went(world):
    made = one_write_for_each_side(world)
    preview = world.run(world.companies, dry_run=True)
    world.update("companies", made, name="C")
    apply_plan(preview)
    assert world.company_rows()[A][1] == "2"
    world.run(world.companies)
    assert world.companies_in_hubspot()[A]["name"] == "C"
    assert world.company_rows()[A][0] == "C"


# Links ---------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


def test_a_kill_while_a_written_link_is_kept_does_not_unlink_it(world, monkeypatch):
    world.sql("DROP TRIGGER touch ON people")  # the app's own code keeps the column
    (company,) = world.create("companies", [{"name": "A", "domain": A}])
    (ann,) = world.create("contacts", [{"email": ANN}])
    world.set_up()
    world.run()
    world.make_primary(ann, company)

    def die(rows: Any, names: Any) -> None:
        if "app_modified_at" in names:
            raise Killed
        update_rows(rows, names)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "update_rows", die)
        with pytest.raises(Killed):
            world.run()
    assert world.people_rows()[ANN][2] == A
    for _ in range(2):
        world.run()
        assert world.primary() == {ANN: A}
        assert world.people_rows()[ANN][2] == A


def clear_a_primary_that_takes_its_pair(world: World) -> None:
    (company,) = world.create("companies", [{"name": "A", "domain": A}])
    (ann,) = world.create("contacts", [{"email": ANN}])
    world.make_primary(ann, company)
    world.set_up()
    world.run()
    world.sandbox.control.set_switches(primary_archive="removes_pair")
    world.sql("UPDATE people SET company_id = NULL")


def test_what_went_with_a_primary_is_put_back_after_a_kill(world, monkeypatch):
    clear_a_primary_that_takes_its_pair(world)

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Insister, "put_back", die)
        with pytest.raises(Killed):
            world.run()
    assert not world.links()
    world.run()
    assert world.links() == {(ANN, A): frozenset({("HUBSPOT_DEFINED", 279)})}
    assert world.people_rows()[ANN][2] is None


def test_what_went_with_a_primary_is_put_back_after_no_answer(world):
    clear_a_primary_that_takes_its_pair(world)
    world.sandbox.control.set_faults("drop,path=labels/archive,when=after")
    report = world.run()
    assert [e["code"] for e in report["syncs"][1]["errors"]] == ["TIMED_OUT"]
    world.sandbox.control.set_faults()
    assert not world.links()
    world.run(dry_run=True)  # a look at it leaves it to the next run
    world.run()
    assert world.links() == {(ANN, A): frozenset({("HUBSPOT_DEFINED", 279)})}
    assert world.people_rows()[ANN][2] is None
    unlink = Change.objects.get(after__op="unlabel")
    assert (unlink.outcome, unlink.error_code) == ("failed", "TIMED_OUT")
    assert world.run()["syncs"][1]["associations"]["failing"] == 0


# Workers -------------------------------------------------------------------------------


def test_a_database_error_ends_the_run_and_its_parent_as_failed(world, monkeypatch):
    world.set_up()

    def lost(*_: Any, **__: Any) -> None:
        raise DatabaseError("the database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(steps, "plan", lost)
        report = world.run()
    assert report["status"] == "failed"
    assert [c["status"] for c in report["syncs"]] == ["failed", "failed"]
    assert {e["code"] for c in report["syncs"] for e in c["errors"]} == {"INTERNAL"}
    assert world.run()["status"] == "succeeded"


class Stall:
    """A worker sleeps past its lease in a connector's call, and another one takes over."""

    def __init__(self, world: World, call: Any, meanwhile: Any = None) -> None:
        self.world, self.call, self.meanwhile = world, call, meanwhile
        self.successor: Json = {}

    def __call__(self, *args: Any, **how: Any) -> Any:
        answer = self.call(*args, **how)
        if self.successor:
            return answer
        # What a generator reads later was read before.
        answer = list(answer) if isinstance(answer, Iterator) else answer
        past = timezone.now() - timedelta(minutes=2)
        ObjectSync.objects.update(lease_until=past)
        SyncRun.objects.filter(status="running").update(heartbeat_at=past)
        if self.meanwhile is not None:
            self.meanwhile()
        self.successor = {"status": "running"}
        self.successor = self.world.run(self.world.companies)
        return answer

    def strike(self, monkeypatch: Any, where: type, name: str) -> None:
        """Run, with the stall in a method; the successor succeeds, the worker fails."""
        with monkeypatch.context() as patch:
            patch.setattr(where, name, lambda *args, **how: self(*args, **how))
            report = self.world.run(self.world.companies)
        assert self.successor["status"] == "succeeded", self.successor
        assert report["status"] == "failed"
        assert [e["code"] for e in report["syncs"][0]["errors"]] == ["RUN_OPEN"]


@pytest.mark.parametrize(("name", "side"), [("changed", "app"), ("update", "hubspot")])
def test_a_worker_whose_lease_was_taken_meanwhile_keeps_nothing(
    world, monkeypatch, name, side
):
    (made,) = world.create("companies", [{"name": "A", "domain": A, "phone": "1"}])
    world.set_up()
    world.run()
    world.run()  # what the first wrote is read

    def edit(phone: str) -> None:
        if side == "hubspot":
            world.update("companies", made, phone=phone)
        else:
            world.sql("UPDATE companies SET phone = %s", phone)

    edit("2")
    stall = Stall(world, getattr(PostgresConnector, name), lambda: edit("3"))
    stall.strike(monkeypatch, PostgresConnector, name)
    link = RecordLink.objects.get(sync=world.companies)
    assert (link.hubspot_values["phone"], link.app_values["phone"]) == ("3", "3")
    assert link.baseline["phone=phone"] == ["3", "3"]
    assert world.company_rows()[A][1] == "3"
    assert world.companies_in_hubspot()[A]["phone"] == "3"


def test_a_worker_that_stalled_over_a_lost_create_does_not_part_what_was_made(
    world, monkeypatch
):
    """It found nothing, and another made the record meanwhile. Seed 4733."""
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s)", A)
    world.set_up()
    lose_a_create(world, "companies", UNSENT)
    stall = Stall(world, HubSpotConnector.created_since)
    stall.strike(monkeypatch, HubSpotConnector, "created_since")
    assert RecordLink.objects.get(sync=world.companies).paired
    world.run()
    assert companies_called(world, "A") == 1
