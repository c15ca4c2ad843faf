"""What a run wrote is taken back as a run of its own, but for what changed since."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from associations.models import AssociationLink
from connections import services as connection_services
from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import Change, RecordLink, SyncRun
from syncs.models.choices import Trigger
from syncs.run import undoing
from syncs.run.session import Session, SliceOver
from tests.world import PLAIN, PRIMARY, World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
A, B, C = "a.example", "b.example", "c.example"
ANN, BOB, CAT = "ann@x.example", "bob@x.example", "cat@x.example"
MAILS = (ANN, BOB, CAT)
NONE = {"hubspot": 0, "app": 0}


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def plant(world: World) -> dict[str, str]:
    """Three companies and three people on both sides, each person at A; HubSpot's ids."""
    companies = [{"name": d, "domain": d, "phone": "1"} for d in (A, B, C)]
    people = [{"email": m, "firstname": "F", "lastname": "L"} for m in MAILS]
    found = dict(zip((A, B, C), world.create("companies", companies), strict=True))
    found |= dict(zip(MAILS, world.create("contacts", people), strict=True))
    for mail in MAILS:
        world.make_primary(found[mail], found[A])
    world.set_up()
    assert world.run()["status"] == "succeeded"
    return found


def undo(run_id: int, **how: Any) -> dict[str, Any]:
    run = services.start_undo(run_id=run_id, trigger=Trigger.COMMAND, **how)
    services.execute(run)
    return services.undo_report(SyncRun.objects.get(pk=run.pk))


def quiet(world: World, runs: int = 1) -> bool:
    """Whether further runs write nothing at all."""
    for _ in range(runs):
        report = world.run()
        assert report["status"] == "succeeded", report
        for sync in report["syncs"]:
            links = sync["associations"]
            work = [sync[k] for k in ("created", "updated", "archived")]
            work += [links[k] for k in ("added", "removed", "changed")]
            if work != [NONE] * 6:
                return False
    return True


def named(world: World, mail: str, **columns: str | None) -> None:
    for column, value in columns.items():
        world.sql(f"UPDATE people SET {column} = %s WHERE email = %s", value, mail)


def placed(world: World, mail: str, domain: str | None) -> None:
    world.sql(
        "UPDATE people SET company_id = (SELECT id FROM companies WHERE domain = %s) "
        "WHERE email = %s",
        domain,
        mail,
    )


def company_of(world: World, mail: str) -> str | None:
    found: str | None = world.people_rows()[mail][2]
    return found


# Fields ----------------------------------------------------------------------------------


def test_fields_go_back_on_either_side_and_nothing_follows(world):
    ids = plant(world)
    world.update("contacts", ids[ANN], firstname="Anna", lastname="Long")
    named(world, BOB, first_name="Bobby", last_name=None)
    done = world.run()
    assert done["syncs"][1]["updated"] == {"hubspot": 1, "app": 1}
    report = undo(done["run"])
    assert (report["status"], report["undo_of"]) == ("succeeded", done["run"])
    assert (report["reverted"], report["skipped"]) == (2, [])
    assert [s["sync"] for s in report["syncs"]] == ["Contacts"]
    assert report["syncs"][0]["updated"] == {"hubspot": 1, "app": 1}
    for _ in range(2):
        people, contacts = world.people_rows(), world.contacts_in_hubspot()
        assert people[ANN][:2] == ("F", "L")
        assert people[BOB][:2] == ("Bobby", None)
        assert (contacts[ANN]["firstname"], contacts[ANN]["lastname"]) == (
            "Anna",
            "Long",
        )
        assert (contacts[BOB]["firstname"], contacts[BOB]["lastname"]) == ("F", "L")
        assert quiet(world)
    outcomes = Change.objects.filter(run__parent=done["run"]).values_list("outcome")
    assert set(outcomes) == {("reverted",)}
    # Until a side moves again.
    world.update("contacts", ids[ANN], firstname="Annette")
    world.run()
    assert world.people_rows()[ANN][:2] == ("Annette", "L")
    named(world, BOB, first_name="Rob")
    world.run()
    assert world.contacts_in_hubspot()[BOB]["firstname"] == "Rob"


def test_what_changed_since_is_left_field_by_field_and_said(world):
    ids = plant(world)
    world.update("contacts", ids[ANN], firstname="Anna", lastname="Long")
    world.update("contacts", ids[BOB], firstname="Bobby")
    done = world.run()
    named(world, ANN, last_name="Mine")
    named(world, BOB, first_name="Mine")
    preview = undo(done["run"], dry_run=True)
    assert (preview["reverted"], preview["syncs"][0]["updated"]["app"]) == (1, 1)
    assert world.people_rows()[ANN][:2] == ("Anna", "Mine")
    report = undo(done["run"])
    (left,) = report["skipped"]
    assert (left["reason"], left["code"], left["count"]) == (
        "changed since",
        "CHANGED_SINCE_PLAN",
        2,
    )
    assert "changed since: it holds Mine" in left["example"]
    assert preview["skipped"] == [left]
    assert report["reverted"] == 1
    assert world.people_rows()[ANN][:2] == ("F", "Mine")
    assert world.people_rows()[BOB][0] == "Mine"
    kept = Change.objects.get(run__parent=done["run"], record=ANN)
    assert (kept.outcome, kept.error_text) == (
        "reverted",
        "Taken back but for last_name.",
    )
    # What people changed since travels as ever; what was taken back does not.
    world.run()
    contacts = world.contacts_in_hubspot()
    assert (contacts[ANN]["firstname"], contacts[ANN]["lastname"]) == ("Anna", "Mine")
    assert contacts[BOB]["firstname"] == "Mine"
    assert quiet(world)


def test_an_edit_on_the_other_side_since_still_travels(world):
    ids = plant(world)
    world.update("contacts", ids[ANN], firstname="Anna")
    done = world.run()
    world.update("contacts", ids[ANN], firstname="Annette")
    assert undo(done["run"])["reverted"] == 1
    assert world.people_rows()[ANN][0] == "F"
    world.run()
    assert world.people_rows()[ANN][0] == "Annette"
    assert quiet(world)


def test_an_undo_can_be_undone(world):
    ids = plant(world)
    world.update("contacts", ids[ANN], firstname="Anna")
    world.make_primary(ids[ANN], ids[B])
    done = world.run()
    first = undo(done["run"])
    assert first["reverted"] == 2
    assert world.people_rows()[ANN] == ("F", "L", A)
    second = undo(first["run"])
    assert (second["reverted"], second["skipped"]) == (2, [])
    assert world.people_rows()[ANN] == ("Anna", "L", B)
    assert quiet(world)
    assert not AssociationLink.objects.filter(state="apart").exists()


# Links -----------------------------------------------------------------------------------


def apart() -> list[tuple[str, str]]:
    rows = AssociationLink.objects.filter(state="apart").select_related("other")
    return sorted(
        (str(r.other and r.other.hubspot_values["domain"]), r.side) for r in rows
    )


def test_a_link_written_to_the_app_goes_back_and_stays_apart(world):
    ids = plant(world)
    world.make_primary(ids[ANN], ids[B])
    world.unlink(ids[BOB], ids[A])
    done = world.run()
    assert (company_of(world, ANN), company_of(world, BOB)) == (B, None)
    report = undo(done["run"])
    assert (report["reverted"], report["skipped"]) == (2, [])
    links = report["syncs"][0]["associations"]
    assert (links["changed"]["app"], links["added"]["app"]) == (1, 1)
    assert (company_of(world, ANN), company_of(world, BOB)) == (A, A)
    assert apart() == [(A, "app"), (A, "app"), (B, "hubspot")]
    assert quiet(world)
    assert (company_of(world, ANN), company_of(world, BOB)) == (A, A)
    assert world.primary() == {ANN: B, CAT: A}
    assert world.run()["syncs"][1]["associations"]["skipped"] == 3
    # A person's next word counts, on either side.
    world.make_primary(ids[ANN], ids[C])
    placed(world, BOB, C)
    world.run()
    assert (company_of(world, ANN), company_of(world, BOB)) == (C, C)
    assert world.primary() == {ANN: C, BOB: C, CAT: A}
    assert quiet(world)
    assert apart() == []


def test_a_link_written_to_hubspot_goes_back_and_stays_apart(world):
    ids = plant(world)
    placed(world, ANN, B)
    placed(world, BOB, None)
    done = world.run()
    assert world.primary() == {ANN: B, CAT: A}
    report = undo(done["run"])
    assert (report["reverted"], report["skipped"]) == (2, [])
    assert world.primary() == {ANN: A, BOB: A, CAT: A}
    assert world.links()[ANN, A] == frozenset({PLAIN, PRIMARY})
    assert (ANN, B) not in world.links()
    assert (company_of(world, ANN), company_of(world, BOB)) == (B, None)
    assert apart() == [(A, "hubspot"), (A, "hubspot"), (B, "app")]
    assert quiet(world)
    assert world.primary() == {ANN: A, BOB: A, CAT: A}
    assert (company_of(world, ANN), company_of(world, BOB)) == (B, None)
    # On both sides again by hand: in sync, and no longer apart.
    world.make_primary(ids[ANN], ids[B])
    placed(world, BOB, A)
    assert quiet(world)
    assert apart() == []
    assert world.run()["syncs"][1]["associations"]["in_sync"] == 3


def test_a_link_that_changed_since_is_left_and_said(world):
    ids = plant(world)
    placed(world, ANN, B)
    world.make_primary(ids[BOB], ids[B])
    world.make_primary(ids[CAT], ids[B])
    done = world.run()
    world.make_primary(ids[ANN], ids[C])
    placed(world, BOB, C)
    report = undo(done["run"])
    assert report["reverted"] == 1
    (left,) = report["skipped"]
    assert (left["reason"], left["count"]) == ("changed since", 2)
    assert world.primary() == {ANN: C, BOB: B, CAT: B}
    assert (company_of(world, BOB), company_of(world, CAT)) == (C, A)
    world.run()
    assert company_of(world, ANN) == C
    assert world.primary() == {ANN: C, BOB: C, CAT: B}
    assert quiet(world)


# Records ---------------------------------------------------------------------------------

NEW, TWO, THREE = "new@x.example", "two@x.example", "three@x.example"


def born_in_app(world: World, *mails: str) -> None:
    for mail in mails:
        world.sql(
            "INSERT INTO people (email, first_name, company_id) SELECT %s, 'N', id "
            "FROM companies WHERE domain = %s",
            mail,
            A,
        )


def test_a_created_record_is_archived_again_and_neither_comes_back_nor_travels(world):
    ids = plant(world)
    born_in_app(world, NEW, TWO, THREE)
    preview = world.run(dry_run=True)
    assert preview["syncs"][1]["not_undoable"] == 0
    done = world.run()
    assert done["syncs"][1]["created"]["hubspot"] == 3
    assert world.primary()[NEW] == A
    contacts = world.contacts_in_hubspot()
    world.update("contacts", str(contacts[TWO]["id"]), lastname="Mine")
    world.make_primary(str(contacts[THREE]["id"]), ids[B])
    report = undo(done["run"])
    assert report["syncs"][0]["archived"] == {"hubspot": 1, "app": 0}
    # The link that came with the record goes with it.
    assert report["reverted"] == 2
    assert sorted((s["reason"], s["count"]) for s in report["skipped"]) == [
        ("cannot be undone", 2),  # the links of those that stay
        ("changed since", 2),
    ]
    assert sorted(world.contacts_in_hubspot()) == sorted([*MAILS, TWO, THREE])
    assert NEW in world.people_rows()
    world.run()
    assert quiet(world)
    assert world.run(full=True)["status"] == "succeeded"
    assert sorted(world.contacts_in_hubspot()) == sorted([*MAILS, TWO, THREE])
    assert sorted(world.people_rows()) == sorted([*MAILS, NEW, TWO, THREE])
    link = RecordLink.objects.get(app_values__email=NEW)
    assert (link.state, link.error_code) == ("gone", "RECORD_GONE")
    assert "archived" in link.error_text


def test_what_the_app_cannot_archive_stays_and_is_said_before_the_write(world):
    plant(world)
    world.create("contacts", [{"email": NEW, "firstname": "N"}])
    preview = world.run(dry_run=True)
    assert preview["syncs"][1]["not_undoable"] == 1
    planned = Change.objects.get(run__parent=preview["run"])
    assert (planned.undoable, planned.outcome) == (False, "planned")
    assert "cannot be archived" in planned.undo_text
    done = world.run()
    report = undo(done["run"])
    (left,) = report["skipped"]
    assert (left["reason"], left["count"]) == ("cannot be undone", 1)
    assert "delete it by hand" in left["example"]
    assert NEW in world.people_rows()
    assert quiet(world)


def archives(world: World, **changes: Any) -> None:
    """Let the app archive people by a column of theirs."""
    world.sql("ALTER TABLE people ADD archived boolean NOT NULL DEFAULT false")
    services_of = world.contacts
    connection_services.refresh_schema(world.app)
    services_of.archive = {"app": {"field": "archived", "value": True}}
    for name, value in changes.items():
        setattr(services_of, name, value)
    services_of.revision += 1
    services_of.save()
    assert world.run()["status"] == "succeeded"


def archived(world: World) -> list[str]:
    return sorted(m for (m,) in world.sql("SELECT email FROM people WHERE archived"))


def test_a_created_row_is_archived_by_the_declared_column(world):
    plant(world)
    archives(world, deletes="propagate")
    world.create("contacts", [{"email": NEW, "firstname": "N"}])
    done = world.run()
    assert done["syncs"][1]["not_undoable"] == 0
    report = undo(done["run"])
    assert (report["reverted"], report["skipped"]) == (1, [])
    assert archived(world) == [NEW]
    world.run()
    assert quiet(world)
    assert archived(world) == [NEW]
    assert NEW in world.contacts_in_hubspot()
    # And out of the archive again.
    again = undo(report["run"])
    assert (again["reverted"], again["skipped"]) == (1, [])
    assert archived(world) == []
    world.run()
    assert quiet(world)
    assert RecordLink.objects.get(app_values__email=NEW).state == "in_sync"


def test_a_propagated_archive_is_taken_back_where_it_can_be(world):
    ids = plant(world)
    archives(world, deletes="propagate", full_every_s=0)
    world.client.crm.objects.basic_api.archive("contacts", ids[ANN])
    done = world.run(full=True)
    assert done["syncs"][1]["archived"] == {"hubspot": 0, "app": 1}
    assert archived(world) == [ANN]
    report = undo(done["run"])
    assert (report["reverted"], report["skipped"]) == (1, [])
    assert archived(world) == []
    for _ in range(2):
        assert world.run(full=True)["syncs"][1]["archived"] == NONE
    assert archived(world) == []
    assert ANN not in world.contacts_in_hubspot()


def test_an_archive_in_hubspot_cannot_be_taken_back_and_is_said_so(world):
    plant(world)
    archives(world, deletes="propagate")
    world.sql("UPDATE people SET archived = true WHERE email = %s", ANN)
    done = world.run()
    assert done["syncs"][1]["archived"] == {"hubspot": 1, "app": 0}
    assert done["syncs"][1]["not_undoable"] == 1
    report = undo(done["run"])
    assert report["reverted"] == 0
    (left,) = report["skipped"]
    assert left["reason"] == "cannot be undone"
    assert "recycling bin" in left["example"]


# Along the way ---------------------------------------------------------------------------


def test_a_value_that_is_refused_fails_alone_with_its_code(world):
    ids = plant(world)
    world.update("contacts", ids[ANN], lastname="")
    world.run()
    world.update("contacts", ids[ANN], firstname="Anna", lastname="Long")
    done = world.run()
    world.sql("ALTER TABLE people ALTER last_name SET NOT NULL")
    report = undo(done["run"])
    assert (report["status"], report["reverted"]) == ("partial", 1)
    assert [e["code"] for e in report["syncs"][0]["errors"]] == ["REQUIRED_MISSING"]
    assert world.people_rows()[ANN][:2] == ("F", "Long")
    original = Change.objects.get(run__parent=done["run"])
    assert original.error_text == "Taken back but for last_name."
    assert (
        RecordLink.objects.get(sync=world.contacts, hubspot_id=ids[ANN]).state
        == "in_sync"
    )
    assert quiet(world)


def test_what_is_undone_is_planned_in_bounded_batches(world, monkeypatch):
    ids = plant(world)
    for mail in MAILS:
        world.update("contacts", ids[mail], firstname="X")
        world.make_primary(ids[mail], ids[B])
    done = world.run()
    monkeypatch.setattr(undoing, "BATCH", 2)
    report = undo(done["run"])
    assert (report["reverted"], report["skipped"]) == (6, [])
    assert set(world.people_rows().values()) == {("F", "L", A)}
    assert quiet(world)


def test_an_undo_goes_on_from_slice_to_slice(world, monkeypatch):
    ids = plant(world)
    for mail in MAILS:
        world.update("contacts", ids[mail], firstname="X")
        world.make_primary(ids[mail], ids[B])
    done = world.run()
    monkeypatch.setattr(undoing, "BATCH", 1)
    # A task's time is over while it plans, and again while it writes.
    advance = Session.advance
    seen: list[str] = []

    def stop_now_and_then(self: Session, phase: str, *args: Any) -> None:
        advance(self, phase, *args)
        seen.append(phase)
        if seen.count(phase) == 2 and phase in ("planning", "writing links"):
            raise SliceOver

    monkeypatch.setattr(Session, "advance", stop_now_and_then)
    run = services.start_undo(run_id=done["run"], trigger=Trigger.COMMAND)
    slices = 1
    while True:
        try:
            services.execute(run)
        except SliceOver:
            slices += 1
            continue
        break
    assert slices >= 2
    report = services.undo_report(SyncRun.objects.get(pk=run.pk))
    assert (report["status"], report["reverted"]) == ("succeeded", 6)
    assert set(world.people_rows().values()) == {("F", "L", A)}
    assert quiet(world)


def test_a_preview_is_applied_exactly_or_not_where_something_moved(world):
    ids = plant(world)
    for mail in (ANN, BOB):
        world.update("contacts", ids[mail], firstname="X")
        world.make_primary(ids[mail], ids[B])
    done = world.run()
    preview = undo(done["run"], dry_run=True)
    assert (preview["reverted"], preview["dry_run"]) == (4, True)
    links = preview["syncs"][0]["associations"]
    assert links["changed"] == {"hubspot": 0, "app": 2}
    assert world.people_rows()[ANN] == ("X", "L", B)
    named(world, BOB, first_name="Mine")
    placed(world, BOB, C)
    plan, children = services.plan_run(preview["run"])
    run = services.start(
        syncs=[c.sync for c in children if c.sync], trigger=Trigger.COMMAND, plan=plan
    )
    services.execute(run)
    report = services.undo_report(SyncRun.objects.get(pk=run.pk))
    assert (report["undo_of"], report["reverted"]) == (done["run"], 2)
    assert [(s["reason"], s["count"]) for s in report["skipped"]] == [
        ("changed since", 2)
    ]
    assert world.people_rows()[ANN] == ("F", "L", A)
    assert world.people_rows()[BOB] == ("Mine", "L", C)
    world.run()
    assert world.contacts_in_hubspot()[BOB]["firstname"] == "Mine"
    assert world.primary() == {ANN: B, BOB: C, CAT: A}
    assert quiet(world)


# Refused ---------------------------------------------------------------------------------


def test_what_cannot_be_undone_is_refused_with_a_sentence(world):
    ids = plant(world)
    nothing = world.run()
    world.update("contacts", ids[ANN], firstname="Anna")
    preview = world.run(dry_run=True)
    done = world.run()
    going_on = services.start(syncs=[world.contacts], trigger=Trigger.COMMAND)
    undo(done["run"])
    for run_id, text in (
        (nothing["run"], "wrote nothing"),
        (preview["run"], "is a preview"),
        (done["run"], "was undone already"),
        (going_on.pk, "still going on"),
        (10**6, "There is no run"),
    ):
        with pytest.raises(services.RunError, match=text):
            services.start_undo(run_id=run_id, trigger=Trigger.COMMAND)
