"""Who is who: merged, reloaded and alike records keep, find or wait for their pair."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from connections import services as connection_services
from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import FieldMapping, MatchKey, ObjectSync, RecordLink
from syncs.models.choices import Trigger
from syncs.run.lease import Lease
from tests.vendor import all_records
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
A, B = "a.example", "b.example"
ANN, BOB = "ann@x.example", "bob@x.example"
NOTHING = {"hubspot": 0, "app": 0}


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def merge(world: World, kind: str, primary: str, other: str) -> str:
    """Merge two records as a person does in HubSpot; the survivor's id."""
    wanted = import_module(f"hubspot.crm.{kind}").PublicMergeInput(
        primary_object_id=primary, object_id_to_merge=other
    )
    return str(getattr(world.client.crm, kind).basic_api.merge(wanted).id)


def failing(sync: ObjectSync) -> dict[str | None, str]:
    """Codes of failing records by the app's id."""
    rows = RecordLink.objects.filter(sync=sync, state="failing")
    return dict(rows.values_list("app_id", "error_code"))


def silent(world: World) -> bool:
    """Whether a complete run finds nothing failing and nothing more to write."""
    report = world.run(full=True)
    assert report["status"] == "succeeded", report
    records = [c[k] for c in report["syncs"] for k in ("created", "updated")]
    links = report["syncs"][1]["associations"]
    return all(
        w == NOTHING for w in (*records, *(links[k] for k in ("added", "removed")))
    )


# Merges --------------------------------------------------------------------------------


@pytest.mark.parametrize("primary", [0, 1])
@pytest.mark.parametrize(
    ("kind", "key", "table"),
    [("contacts", "email", "people"), ("companies", "domain", "companies")],
)
def test_the_primary_s_pair_survives_a_merge_and_the_other_row_is_untouched(
    world, kind, key, table, primary
):
    keys = (ANN, BOB) if kind == "contacts" else (A, B)
    made = world.create(kind, [{key: word} for word in keys])
    world.set_up()
    world.run()
    sync = ObjectSync.objects.get(hubspot_object=kind)
    rows = dict(
        RecordLink.objects.filter(sync=sync).values_list("hubspot_id", "app_id")
    )
    before = world.sql(f"SELECT id, {key} FROM {table} ORDER BY id")
    survivor = merge(world, kind, made[primary], made[1 - primary])
    for full in (False, True):
        report = world.run(full=full)
        assert report["status"] == "partial"
    assert RecordLink.objects.get(hubspot_id=survivor).app_id == rows[made[primary]]
    assert failing(sync) == {rows[made[1 - primary]]: "RECORD_MERGED"}
    assert world.sql(f"SELECT id, {key} FROM {table} ORDER BY id") == before
    assert len(all_records(world.client, kind, (key,))) == 1


def test_a_merged_record_that_had_no_pair_disappears(world):
    ann, unknown = world.create("contacts", [{"email": ANN}, {"firstname": "No key"}])
    world.set_up()
    world.run()
    survivor = merge(world, "contacts", ann, unknown)
    for full in (False, True):
        report = world.run(full=full)
        assert report["status"] == "succeeded", report
        assert report["syncs"][1]["excluded"] == 0
    assert RecordLink.objects.get(sync=world.contacts).hubspot_id == survivor
    assert list(world.people_rows()) == [ANN]


def deals(world: World) -> ObjectSync:
    """A sync of deals, which keep the primary's id when they are merged."""
    world.sql("CREATE TABLE deals (id serial PRIMARY KEY, name text)")
    world.set_up()
    connection_services.refresh_schema(world.app)
    sync = ObjectSync.objects.create(
        app=world.app,
        name="Deals",
        hubspot_object="deals",
        app_object="deals",
        app_cursor="none",
        matching="fields",
        creates="none",
    )
    MatchKey.objects.create(sync=sync, hubspot="dealname", app="name")
    FieldMapping.objects.create(sync=sync, hubspot="dealname", app="name")
    return sync


@pytest.mark.parametrize(("rows", "status"), [("B", "succeeded"), ("AB", "partial")])
def test_a_survivor_with_an_id_of_its_own_takes_over_or_keeps_a_pair(
    world, rows, status
):
    stage = {"pipeline": "default", "dealstage": "appointmentscheduled"}
    a, b = world.create("deals", [{"dealname": name, **stage} for name in "AB"])
    sync = deals(world)
    for name in rows:
        world.sql("INSERT INTO deals (name) VALUES (%s)", name)
    world.run(sync)
    assert merge(world, "deals", a, b) == a
    for _ in range(2):
        assert world.run(sync, full=True)["status"] == status
    assert RecordLink.objects.get(hubspot_id=a).app_id == "1"
    assert failing(sync) == ({} if rows == "B" else {"2": "RECORD_MERGED"})
    names = [name for (name,) in world.sql("SELECT name FROM deals ORDER BY id")]
    assert names == (["A"] if rows == "B" else ["A", "B"])


# Records that come back under another id ------------------------------------------------


def ann_at_a(world: World) -> tuple[str, str]:
    (company,) = world.create("companies", [{"name": "A", "domain": A}])
    (ann,) = world.create("contacts", [{"email": ANN, "firstname": "Ann"}])
    world.make_primary(ann, company)
    world.set_up()
    world.run()
    assert world.people_rows() == {ANN: ("Ann", None, A)}
    return company, ann


@pytest.mark.parametrize("seen_gone", [True, False])
@pytest.mark.parametrize("people", ["reloaded", "kept"])
def test_rows_inserted_again_pair_with_the_survivors_and_keep_their_links(
    world, people, seen_gone
):
    company, ann = ann_at_a(world)
    if people == "reloaded":
        world.sql("DELETE FROM people")
    world.sql("DELETE FROM companies")  # empties people.company_id by its foreign key
    if seen_gone:
        world.run(full=True)
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s)", A)
    if people == "reloaded":
        world.sql(
            "INSERT INTO people (email, first_name, company_id) "
            "SELECT %s, 'Ann', id FROM companies",
            ANN,
        )
    world.run(full=True)
    world.run()
    assert {k: r["id"] for k, r in world.companies_in_hubspot().items()} == {A: company}
    assert {k: r["id"] for k, r in world.contacts_in_hubspot().items()} == {ANN: ann}
    assert world.primary() == {ANN: A}
    assert world.people_rows() == {ANN: ("Ann", None, A)}
    assert silent(world)


@pytest.mark.parametrize("seen_gone", [True, False])
def test_a_record_made_again_in_hubspot_pairs_with_the_row_and_its_link_comes_back(
    world, seen_gone
):
    company, _ = ann_at_a(world)
    world.client.crm.objects.basic_api.archive("companies", company)
    if seen_gone:
        world.run(full=True)
    world.create("companies", [{"name": "A", "domain": A}])
    world.run(full=True)
    world.run()
    assert world.sql("SELECT domain FROM companies") == [(A,)]
    assert world.people_rows() == {ANN: ("Ann", None, A)}
    assert world.primary() == {ANN: A}
    assert silent(world)


def test_a_row_inserted_again_finds_the_record_that_was_created_for_it(world):
    insert = "INSERT INTO companies (name, domain) VALUES ('A', %s)"
    world.sql(insert, A)
    world.set_up()
    world.run()
    world.sql("DELETE FROM companies")
    world.sql(insert, A)
    world.run(full=True)
    assert silent(world)
    assert len(all_records(world.client, "companies", ("name",))) == 1
    assert world.sql("SELECT name FROM companies") == [("A",)]


# Alike ---------------------------------------------------------------------------------


def test_records_of_one_name_and_different_domains_are_no_candidates(world):
    world.set_up()
    MatchKey.objects.create(
        sync=world.companies, rank=1, hubspot="name", app="name", normalize="casefold"
    )
    world.create("companies", [{"name": "Shop", "domain": d} for d in (A, B)])
    world.sql("INSERT INTO companies (name, domain) VALUES ('SHOP', 'c.example')")
    report = world.run()
    assert report["status"] == "succeeded", report
    assert report["syncs"][0]["created"] == {"hubspot": 1, "app": 2}
    assert set(world.companies_in_hubspot()) == {A, B, "c.example"}
    assert set(world.company_rows()) == {A, B, "c.example"}


@pytest.mark.parametrize("there", ["app", "hubspot"])
def test_a_key_that_a_record_gave_up_is_free_for_another(world, there):
    (company,) = world.create("companies", [{"name": "A", "domain": A}])
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s)", A)
    world.set_up()
    world.run()
    if there == "hubspot":
        world.sql("UPDATE companies SET domain = %s", B)
        world.run()
        world.sql("INSERT INTO companies (name, domain) VALUES ('New', %s)", A)
    else:
        world.update("companies", company, domain=B)
        world.run()
        world.create("companies", [{"name": "New", "domain": A}])
    report = world.run()
    assert report["status"] == "succeeded", report
    assert report["syncs"][0]["created"] == NOTHING | {there: 1}
    assert {d: r["name"] for d, r in world.companies_in_hubspot().items()} == {
        A: "New",
        B: "A",
    }
    assert {d: r[0] for d, r in world.company_rows().items()} == {A: "New", B: "A"}


def test_many_records_of_one_key_are_ambiguous_and_name_twenty_candidates(world):
    world.create("companies", [{"name": "A", "domain": A}])
    world.sql(
        "INSERT INTO companies (name, domain) "
        "SELECT 'A' || n, %s FROM generate_series(1, 30) n",
        A,
    )
    world.set_up()
    for _ in range(2):
        report = world.run(full=True)
        assert report["syncs"][0]["failing"] == 31
        assert report["syncs"][0]["created"] == NOTHING
    links = RecordLink.objects.filter(sync=world.companies)
    assert {link.error_code for link in links} == {"MATCH_AMBIGUOUS"}
    assert {len(link.candidates) for link in links} == {20}
    world.sql("DELETE FROM companies WHERE id > 1")
    for _ in range(2):  # what is gone is known after a complete read
        report = world.run(full=True)
    assert report["syncs"][0]["matched"] == 1
    assert failing(world.companies) == {}


# By hand -------------------------------------------------------------------------------


def test_nobody_pairs_or_unpairs_by_hand_during_a_run(world):
    world.set_up(creates="none")
    (company,) = world.create("companies", [{"name": "A", "domain": A}])
    world.sql("INSERT INTO companies (name, domain) VALUES ('B', %s)", B)
    world.run()
    ids: dict[str, Any] = {"hubspot_id": company, "app_id": "1"}
    run = services.start(syncs=[world.companies], trigger=Trigger.COMMAND)
    with Lease(world.companies, run.children.get()):
        for tie in (services.pair, services.unpair):
            with pytest.raises(services.PairError, match="RUN_OPEN"):
                tie(sync=world.companies, **ids)
    assert not RecordLink.objects.filter(sync=world.companies, **ids).exists()
    services.pair(sync=world.companies, **ids)
    services.execute(run)
    assert RecordLink.objects.get(sync=world.companies, **ids).state == "in_sync"
    services.unpair(sync=world.companies, **ids)
    world.run()
    assert RecordLink.objects.filter(sync=world.companies).count() == 2
