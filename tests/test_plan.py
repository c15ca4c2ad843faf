"""A preview's plan is applied exactly, but for what moved since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from connections.connectors import registry
from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import Change, SyncRun
from syncs.models.choices import ChangeOutcome, Trigger
from tests.test_type_lists import label, put
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def test_what_moved_since_the_plan_is_drifted_and_the_rest_goes(world):
    domains = [f"c{n}.example" for n in range(8)]
    companies = world.create("companies", [{"name": d, "domain": d} for d in domains])
    mails = [f"p{n}@x.example" for n in range(8)]
    contacts = world.create("contacts", [{"email": m, "firstname": "A"} for m in mails])
    for contact, company in zip(contacts, companies, strict=True):
        world.make_primary(contact, company)
    world.set_up()
    assert world.run()["status"] == "succeeded"
    # Work for a plan: six names, four links.
    for n in range(6):
        world.update("contacts", contacts[n], firstname="B")
    for n in range(4, 8):
        world.sql(
            "UPDATE people SET company_id = (SELECT id FROM companies WHERE domain = %s) "
            "WHERE email = %s",
            domains[(n + 1) % 8],
            mails[n],
        )
    preview = world.run(dry_run=True)
    assert preview["syncs"][1]["updated"] == {"hubspot": 0, "app": 6}
    assert preview["syncs"][1]["associations"]["changed"] == {"hubspot": 4, "app": 0}
    plan, children = services.plan_run(preview["run"])
    # Three records and two links are edited in between.
    world.sql("UPDATE people SET first_name = 'X' WHERE email = %s", mails[0])
    world.sql("UPDATE people SET first_name = 'Y' WHERE email = %s", mails[1])
    world.update("contacts", contacts[2], firstname="Z")
    world.make_primary(contacts[6], companies[0])
    world.sql("UPDATE people SET company_id = NULL WHERE email = %s", mails[7])
    syncs = [child.sync for child in children if child.sync is not None]
    run = services.start(syncs=syncs, trigger=Trigger.COMMAND, plan=plan)
    services.execute(run)
    changes = Change.objects.filter(run__in=SyncRun.objects.filter(parent=run))
    drifted = changes.filter(outcome=ChangeOutcome.DRIFTED)
    assert sorted(drifted.values_list("kind", "record")) == sorted(
        [("update", mails[n]) for n in (0, 1, 2)]
        + [("relabel", mails[n]) for n in (6, 7)]
    )
    assert set(drifted.values_list("error_code", flat=True)) == {"CHANGED_SINCE_PLAN"}
    applied = changes.filter(outcome=ChangeOutcome.APPLIED)
    assert sorted(applied.values_list("kind", "record")) == sorted(
        [("update", mails[n]) for n in (3, 4, 5)]
        + [("relabel", mails[n]) for n in (4, 5)]
    )
    names = {m: row[0] for m, row in world.people_rows().items()}
    assert [names[m] for m in mails] == ["X", "Y", "A", "B", "B", "B", "A", "A"]
    primary = world.primary()
    assert primary[mails[4]] == domains[5]
    assert primary[mails[5]] == domains[6]
    assert primary[mails[6]] == domains[0]
    assert primary[mails[7]] == domains[7]


def test_what_else_moved_since_the_plan_travels_with_the_next_run(world):
    (ann,) = world.create("contacts", [{"email": "a@x.example", "firstname": "A"}])
    world.set_up()
    world.run()
    world.update("contacts", ann, firstname="B")
    preview = world.run(dry_run=True)
    world.sql("UPDATE people SET last_name = 'Late'")
    plan, children = services.plan_run(preview["run"])
    syncs = [child.sync for child in children if child.sync is not None]
    services.execute(services.start(syncs=syncs, trigger=Trigger.COMMAND, plan=plan))
    assert world.people_rows()["a@x.example"][0] == "B"
    world.run()
    assert world.contacts_in_hubspot()["a@x.example"]["lastname"] == "Late"


def test_a_plan_is_refused_after_the_set_up_changed(world):
    world.set_up()
    preview = world.run(dry_run=True)
    world.companies.revision += 1
    world.companies.save(update_fields=["revision"])
    with pytest.raises(services.RunError, match="set-up changed"):
        services.plan_run(preview["run"])


@pytest.fixture
def advised(world: World) -> World:
    """People with a company and one that they advise: two fields, two types."""
    world.sql("ALTER TABLE people ADD advises_id int REFERENCES companies")
    label(world, "Adviser", "Advised by")
    world.set_up(limits={"unlink": 0, "percent": None})
    put(
        world,
        [
            {"app_field": "company_id", "to": "Companies", "type": "primary"},
            {"app_field": "advises_id", "to": "Companies", "type": "Adviser"},
        ],
    )
    for n in range(4):
        world.sql(
            "INSERT INTO companies (name, domain) VALUES (%s, %s)",
            f"C{n}",
            f"c{n}.example",
        )
    world.sql(
        "INSERT INTO people (email, company_id, advises_id) "
        "VALUES ('ann@x.example', 1, NULL), ('bob@x.example', 1, 2)"
    )
    world.contacts.refresh_from_db()
    assert world.run()["status"] == "succeeded"
    return world


def by_field(run: SyncRun, record: str) -> dict[str, str]:
    """What became of a record's links, by the app's field."""
    rows = Change.objects.filter(run__parent=run, record=record)
    return {row.before["field"]: row.outcome for row in rows}


def test_a_link_that_moved_is_drifted_and_the_others_of_its_record_go(advised):
    world = advised
    world.sql(
        "UPDATE people SET company_id = 2, advises_id = 3 WHERE email = 'ann@x.example'"
    )
    world.sql("UPDATE people SET company_id = 3 WHERE email = 'bob@x.example'")
    preview = world.run(dry_run=True)
    ids = {d: r["id"] for d, r in world.companies_in_hubspot().items()}
    told = {(e["record"], e["other_record"]): e for e in preview["syncs"][1]["edges"]}
    assert len(told) == 3
    moves = told["ann@x.example", "C1"]
    assert (moves["kind"], moves["side"]) == ("relabel", "hubspot")
    assert moves["rule"] == "app moved"
    causes = f"(Ops's company_id: 2; HubSpot's {ids['c1.example']}: no link)"
    assert moves["reason"] == f"The app's field holds another record. {causes}"
    adds = told["ann@x.example", "C2"]
    assert "Ops's advises_id: 3; " in adds["reason"]
    shown = Change.objects.get(run__parent=preview["run"], reason=adds["reason"])
    assert (shown.before["shown"], shown.after["shown"]) == ("no link", "Adviser")
    plan, children = services.plan_run(preview["run"])
    # HubSpot moves Ann's primary company, and links Bob to a further one.
    contacts = {m: str(r["id"]) for m, r in world.contacts_in_hubspot().items()}
    world.make_primary(contacts["ann@x.example"], str(ids["c3.example"]))
    world.link(contacts["bob@x.example"], str(ids["c3.example"]))
    syncs = [child.sync for child in children if child.sync is not None]
    run = services.start(syncs=syncs, trigger=Trigger.COMMAND, plan=plan)
    services.execute(run)
    ann = {"company_id": "drifted", "advises_id": "applied"}
    assert by_field(run, "ann@x.example") == ann
    assert by_field(run, "bob@x.example") == {"company_id": "applied"}
    assert world.primary()["ann@x.example"] == "c3.example"
    assert world.primary()["bob@x.example"] == "c2.example"


def test_the_rest_of_one_records_links_can_be_approved_in_a_second_step(advised):
    world = advised
    world.sql("UPDATE people SET company_id = NULL, advises_id = NULL")
    assert world.run()["syncs"][1]["status"] == "held"
    held = services.waiting().filter(record="bob@x.example", kind="unlink")
    assert len(held) == 2
    for change in list(held):
        run = services.approve_run(
            change.run_id, only=[change.pk], trigger=Trigger.COMMAND
        )
        services.execute(run)
        change.refresh_from_db()
        assert change.outcome == ChangeOutcome.APPLIED, change.error_text
    assert "bob@x.example" not in world.primary()
    (ann,) = services.waiting().filter(kind="unlink")
    assert ann.record == "ann@x.example"


def test_one_of_two_changes_of_a_pair_is_written_without_the_other(advised):
    world = advised
    mail = "bob@x.example"
    world.sql("UPDATE people SET advises_id = company_id WHERE email = %s", mail)
    world.run()
    held = {c.pk: c for c in services.waiting()}
    services.execute(
        services.approve_run(next(iter(held.values())).run_id, trigger=Trigger.COMMAND)
    )
    both = world.links()[mail, "c0.example"]
    plain, primary = (("HUBSPOT_DEFINED", i) for i in (279, 1))
    assert both > {plain, primary}
    for first, left in (("advises_id", {plain, primary}), ("company_id", {plain})):
        world.sql("UPDATE people SET company_id = NULL, advises_id = NULL")
        world.run()
        (change,) = (
            c
            for c in services.waiting().filter(record=mail)
            if c.before["field"] == first
        )
        run = services.approve_run(
            change.run_id, only=[change.pk], trigger=Trigger.COMMAND
        )
        services.execute(run)
        change.refresh_from_db()
        assert change.outcome == ChangeOutcome.APPLIED, change.error_text
        assert world.links()[mail, "c0.example"] == left


def in_app(world: World, mail: str) -> tuple[int | None, int | None]:
    rows = world.sql("SELECT company_id, advises_id FROM people WHERE email = %s", mail)
    found: tuple[int | None, int | None] = rows[0]
    return found


def apply_plan(run_id: int) -> SyncRun:
    plan, children = services.plan_run(run_id)
    syncs = [child.sync for child in children if child.sync is not None]
    run = services.start(syncs=syncs, trigger=Trigger.COMMAND, plan=plan)
    services.execute(run)
    return run


def test_a_plan_names_every_field_that_an_unlink_empties_and_writes_no_other(advised):
    world = advised
    put(
        world,
        [
            {"app_field": "company_id", "to": "Companies", "type": "primary"},
            {"app_field": "advises_id", "to": "Companies", "type": "default"},
        ],
    )
    world.run()
    cid = "cid@x.example"
    world.sql("INSERT INTO people (email, advises_id) VALUES (%s, 1)", cid)
    apply_plan(world.run(dry_run=True)["run"])
    # HubSpot made a first company the primary one, which the plan did not tell of.
    assert world.primary()[cid] == "c0.example"
    assert in_app(world, cid) == (None, 1)
    world.run()
    assert in_app(world, cid) == (1, 1)
    world.sql("UPDATE people SET advises_id = NULL WHERE email = %s", cid)
    told = world.run(dry_run=True)
    edges = sorted((e["side"], e["kind"]) for e in told["syncs"][1]["edges"])
    assert edges == [("app", "unlink"), ("hubspot", "unlink")]
    run = apply_plan(told["run"])
    rows = Change.objects.filter(run__parent=run)
    assert set(rows.values_list("outcome", flat=True)) == {"applied"}
    assert in_app(world, cid) == (None, None)
    assert cid not in world.primary()
    assert not world.run(dry_run=True)["syncs"][1]["edges"]


def test_a_field_keeps_its_record_where_the_pair_could_not_be_taken_off(advised):
    world = advised
    put(
        world,
        [
            {"app_field": "company_id", "to": "Companies", "type": "primary"},
            {"app_field": "advises_id", "to": "Companies", "type": "default"},
        ],
    )
    world.sql("UPDATE people SET advises_id = company_id")
    world.run()
    world.sql("UPDATE people SET advises_id = NULL WHERE email = 'ann@x.example'")
    world.contacts.limits = {}
    world.contacts.save(update_fields=["limits"])
    world.sandbox.control.set_faults("status=400,path=batch/archive")
    world.run()
    assert in_app(world, "ann@x.example") == (1, None)
    (stayed,) = Change.objects.filter(side="app", kind="unlink")
    assert stayed.outcome == ChangeOutcome.SKIPPED
    assert "in HubSpot" in stayed.error_text
    # While the unlink rests, what was to follow it rests with it.
    assert not world.run(dry_run=True)["syncs"][1]["edges"]
    assert world.primary()["ann@x.example"] == "c0.example"
    world.sandbox.control.set_faults()
    world.run(full=True)  # tries again what was refused
    assert in_app(world, "ann@x.example") == (None, None)


def test_of_a_list_only_the_members_that_a_person_approved_are_written(
    world, monkeypatch
):
    lists = "tests.matrix.lists.ListsConnector"
    kind = replace(registry.KINDS["postgres"], path=lists)
    monkeypatch.setitem(registry.KINDS, "postgres", kind)
    world.sql("ALTER TABLE people ADD company_ids int[] NOT NULL DEFAULT '{}'")
    world.set_up(limits={"unlink": 0, "percent": None})
    put(world, [{"app_field": "company_ids", "to": "Companies", "type": "default"}])
    for n in range(4):
        world.sql(
            "INSERT INTO companies (name, domain) VALUES (%s, %s)", n, f"c{n}.example"
        )
    mail = "ann@x.example"
    world.sql("INSERT INTO people (email, company_ids) VALUES (%s, '{1,2}')", mail)
    assert world.run()["status"] == "succeeded"
    contact = str(world.contacts_in_hubspot()[mail]["id"])
    ids = {d: str(r["id"]) for d, r in world.companies_in_hubspot().items()}
    world.unlink(contact, ids["c1.example"])
    world.link(contact, ids["c2.example"])
    world.link(contact, ids["c3.example"])
    assert world.run()["syncs"][1]["status"] == "held"
    held = {(c.kind, c.other_record): c for c in services.waiting()}
    steps = [
        ("link", "2", [1, 2, 3]),
        ("unlink", "1", [1, 3]),
        ("link", "3", [1, 3, 4]),
    ]
    assert len(held) == len(steps)
    for kind_, name, left in steps:
        change = held[kind_, name]
        services.execute(
            services.approve_run(
                change.run_id, only=[change.pk], trigger=Trigger.COMMAND
            )
        )
        change.refresh_from_db()
        assert change.outcome == ChangeOutcome.APPLIED, change.error_text
        assert world.sql("SELECT company_ids FROM people") == [(left,)]
    assert world.run()["syncs"][1]["associations"]["added"]["app"] == 0
