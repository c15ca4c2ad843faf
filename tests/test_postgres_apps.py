"""Tables without a time of change, with keys of several columns, and views: whole runs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command

from associations.setup.applying import apply
from associations.setup.problems import SetupRefused
from connections.models import ConnectedApp
from connections.sandbox.server import SandboxServer
from syncs.models import RecordLink
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
ANN, BOB, CID = (f"{name}@x.example" for name in ("ann", "bob", "cid"))
A, B = "a.example", "b.example"


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def sync_command(*arguments: str) -> dict[str, dict[str, Any]]:
    """What `sync --json` prints, by sync."""
    out = io.StringIO()
    call_command("sync", "--json", "--strict", *arguments, stdout=out)
    return {report["sync"]: report for report in json.loads(out.getvalue())["syncs"]}


def written(reports: dict[str, dict[str, Any]]) -> int:
    counts = [
        r[what] for r in reports.values() for what in ("created", "updated", "archived")
    ]
    counts += [
        r["associations"][what]
        for r in reports.values()
        for what in ("added", "removed", "changed")
    ]
    return sum(n for count in counts for n in count.values())


# Nothing tells when a row changed ------------------------------------------------------


def test_a_table_that_is_compared_is_written_only_where_it_moved(world: World) -> None:
    world.sql("DROP TRIGGER touch ON people; DROP TRIGGER touch ON companies")
    world.create("companies", [{"name": "A", "domain": A}, {"name": "B", "domain": B}])
    world.create("contacts", [{"email": ANN, "firstname": "Ann"}])
    world.sql(
        "INSERT INTO companies (name, domain) VALUES ('B', 'b.example'); "
        "INSERT INTO people (email, first_name, company_id) SELECT 'bob@x.example', "
        "'Bob', id FROM companies"
    )
    world.set_up(app_cursor="none")
    assert written(sync_command()) > 0
    for _ in range(2):
        quiet = sync_command()
        assert written(quiet) == 0
        assert quiet["Contacts"]["read"]["app"] == 2
    world.sql("UPDATE people SET first_name = 'Robert' WHERE email = %s", BOB)
    world.sql("UPDATE people SET company_id = NULL WHERE email = %s", BOB)
    world.sql("DELETE FROM people WHERE email = %s", ANN)
    report = sync_command()["Contacts"]
    assert report["updated"] == {"hubspot": 1, "app": 0}
    assert world.contacts_in_hubspot()[BOB]["firstname"] == "Robert"
    assert world.primary() == {}
    assert set(world.people_rows()) == {BOB}
    assert ANN in world.contacts_in_hubspot()
    for _ in range(2):
        assert written(sync_command()) == 0
    world.sql("INSERT INTO people (email, first_name) VALUES (%s, 'Cid')", CID)
    assert sync_command()["Contacts"]["created"] == {"hubspot": 1, "app": 0}


def test_a_compared_table_costs_one_statement_for_each_thousand_rows(
    world: World,
) -> None:
    world.sql(
        "INSERT INTO people (email) SELECT n || '@x.example' "
        "FROM generate_series(1, 2500) n"
    )
    world.set_up(app_cursor="none", creates="none")
    for _ in range(2):
        report = sync_command("--sync", "Contacts")["Contacts"]
        assert report["read"]["app"] == 2500
        assert report["api_calls"]["app"] <= 5
        assert written({"Contacts": report}) == 0


# Keys of several columns, references to other keys than the primary one ----------------

TABLES = """
CREATE SCHEMA crm;
CREATE TABLE crm.branches (
  country text, "No %" int, tax_no text UNIQUE NOT NULL, name text, domain text,
  PRIMARY KEY (country, "No %"));
CREATE TABLE crm.staff (
  email text NOT NULL UNIQUE, first_name text, country text, branch int, payer text
    REFERENCES crm.branches (tax_no),
  FOREIGN KEY (country, branch) REFERENCES crm.branches);
INSERT INTO crm.branches VALUES
  ('NL', 1, 'T1', 'A', 'a.example'), ('DE', 1, 'T2', 'B', 'b.example');
INSERT INTO crm.staff VALUES
  ('ann@x.example', 'Ann', 'NL', 1, 'T1'), ('bob@x.example', 'Bob', 'NL', NULL, NULL);
"""
FILE = """
version: 1
hubspot:
  - {name: Acme, token: "${TOKEN}", base_url: "${URL}", requests_per_10s: 1000000,
     association_requests_per_10s: 1000000, search_per_second: 1000000}
apps:
  - name: Ops
    kind: postgres
    hubspot: Acme
    settings: {schema: crm}
    credentials: {dsn: "${DSN}"}
    syncs:
      - {name: Branches, hubspot_object: companies, app_object: branches, creates: none,
         match: [{hubspot: domain, app: domain, normalize: domain}],
         fields: [{hubspot: name, app: name}]}
      - name: Staff
        hubspot_object: contacts
        app_object: staff
        match: [{hubspot: email, app: email, normalize: email}]
        fields: [{hubspot: email, app: email}, {hubspot: firstname, app: first_name}]
        associations: [{app_field: "REFERENCE", to: Branches, type: primary}]
"""


def set_up(world: World, reference: str) -> None:
    world.sql(TABLES)
    world.create("companies", [{"name": "A", "domain": A}, {"name": "B", "domain": B}])
    environ = {
        "TOKEN": world.sandbox.token,
        "URL": world.sandbox.hubspot_url,
        "DSN": world.dsn,
    }
    assert apply(FILE.replace("REFERENCE", reference), environ)


@pytest.mark.parametrize(
    ("reference", "columns", "to_a", "to_b"),
    [
        ("country,branch", "country, branch", ("NL", 1), ("DE", 1)),
        ("payer", "payer", ("T1",), ("T2",)),
    ],
)
def test_a_reference_of_any_kind_follows_both_ways(
    world: World,
    reference: str,
    columns: str,
    to_a: tuple[object, ...],
    to_b: tuple[object, ...],
) -> None:
    set_up(world, reference)

    def held(mail: str) -> tuple[object, ...]:
        (row,) = world.sql(f"SELECT {columns} FROM crm.staff WHERE email = %s", mail)
        return row

    sync_command()
    assert world.primary() == {ANN: A}
    for _ in range(2):
        assert written(sync_command()) == 0
    people, firms = world.contacts_in_hubspot(), world.companies_in_hubspot()
    world.make_primary(str(people[ANN]["id"]), str(firms[B]["id"]))
    world.make_primary(str(people[BOB]["id"]), str(firms[A]["id"]))
    sync_command()
    assert (held(ANN), held(BOB)) == (to_b, to_a)
    world.unlink(str(people[BOB]["id"]), str(firms[A]["id"]))
    sync_command()
    assert held(BOB) == (None,) * len(to_a)
    one = columns.split(", ")[-1]
    world.sql(f"UPDATE crm.staff SET {one} = NULL WHERE email = %s", ANN)
    sync_command()
    assert world.primary() == {}
    assert written(sync_command()) == 0


# Views ---------------------------------------------------------------------------------


def test_a_view_is_read_into_hubspot_and_what_it_filters_out_stays(
    world: World,
) -> None:
    set_up(world, "payer")
    world.sql(
        "CREATE VIEW crm.active AS SELECT email, first_name FROM crm.staff "
        "WHERE first_name <> ''"
    )
    syncs = FILE[: FILE.index("      - {name: Branches")].replace(
        "{schema: crm}", "{schema: crm, keys: [active.email]}"
    )
    view = """      - name: Active
        hubspot_object: contacts
        app_object: active
        direction: to_hubspot
        match: [{hubspot: email, app: email, normalize: email}]
        fields: [{hubspot: email, app: email}, {hubspot: firstname, app: first_name}]
"""
    environ = {
        "TOKEN": world.sandbox.token,
        "URL": world.sandbox.hubspot_url,
        "DSN": world.dsn,
    }
    assert apply(syncs + view, environ)
    only = ("--sync", "Active")
    assert sync_command(*only)["Active"]["created"] == {"hubspot": 2, "app": 0}
    world.sql("UPDATE crm.staff SET first_name = '' WHERE email = %s", BOB)
    world.sql("UPDATE crm.staff SET first_name = 'Anna' WHERE email = %s", ANN)
    report = sync_command(*only)["Active"]
    assert (report["updated"]["hubspot"], report["matched"]) == (1, 2)
    assert written(sync_command(*only)) == 0


def test_a_key_that_is_longer_than_we_can_keep_stops_the_sync_with_a_sentence(
    world: World,
) -> None:
    world.sql(
        "DROP TABLE people; CREATE TABLE people (url text PRIMARY KEY, email text, "
        "first_name text, last_name text, company_id int REFERENCES companies); "
        "INSERT INTO people VALUES (repeat('x', 301), 'a@b.example')"
    )
    world.set_up(app_cursor="none")
    report = world.run(world.contacts)["syncs"][0]
    assert report["status"] == "failed"
    assert "300 characters" in report["errors"][0]["example"]


# What set-up says ----------------------------------------------------------------------


def test_set_up_refuses_to_write_where_nothing_can_be_written_and_warns_of_policies(
    world: World,
) -> None:
    world.sql(TABLES)
    world.sql(
        "DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN; "
        "GRANT USAGE ON SCHEMA crm TO reader; "
        "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA crm TO reader; "
        "ALTER TABLE crm.staff ENABLE ROW LEVEL SECURITY; "
        "CREATE POLICY seen ON crm.staff USING (true)"
    )
    where = world.dsn.rpartition("@")[2]
    option = "options=-c%20default_transaction_read_only%3Don"
    environ = {
        "TOKEN": world.sandbox.token,
        "URL": world.sandbox.hubspot_url,
        "DSN": f"postgresql://reader@{where}?{option}",
    }
    text = FILE.replace("REFERENCE", "payer")
    with pytest.raises(SetupRefused) as caught:
        apply(text, environ)
    told = {p.path: p.text for p in caught.value.problems}
    assert set(told) == {f"apps[0].syncs[{n}].app_object" for n in (0, 1)}
    assert all("direction: to_hubspot" in text for text in told.values())
    assert all("default_transaction_read_only" in text for text in told.values())
    may_write = environ | {"DSN": f"postgresql://reader@{where}"}
    for_good = "app_object: staff\n        deletes: ask\n        hard_delete: true\n"
    with pytest.raises(SetupRefused) as caught:
        apply(text.replace("app_object: staff\n", for_good), may_write)
    (problem,) = caught.value.problems
    assert problem.path == "apps[0].syncs[1].hard_delete"
    assert "grant it DELETE" in problem.text
    one_way = text.replace("creates: none,", "creates: none, direction: to_hubspot,")
    one_way = one_way.replace(
        "app_object: staff\n", "app_object: staff\n        direction: to_hubspot\n"
    )
    warnings: list[str] = []
    assert apply(one_way, environ, warnings=warnings)
    assert any("may only read" in warning for warning in warnings)
    assert any("Row-level security" in warning for warning in warnings)
    assert sync_command()["Staff"]["created"] == {"hubspot": 2, "app": 0}


def test_rows_that_a_policy_begins_to_hide_are_not_gone(world: World) -> None:
    set_up(world, "payer")
    sync_command()
    world.sql(
        "DROP ROLE IF EXISTS half; CREATE ROLE half LOGIN; "
        "GRANT USAGE ON SCHEMA crm TO half; GRANT SELECT, UPDATE, INSERT ON "
        "crm.staff, crm.branches TO half; "
        "ALTER TABLE crm.staff ENABLE ROW LEVEL SECURITY; "
        "CREATE POLICY few ON crm.staff USING (email < 'b')"
    )
    where = world.dsn.rpartition("@")[2]
    ConnectedApp.objects.update(credentials={"dsn": f"postgresql://half@{where}"})
    report = sync_command("--full")["Staff"]
    assert report["read"]["app"] == 1
    assert written({"Staff": report}) == 0
    assert not RecordLink.objects.exclude(
        app_gone_at=None, app_vanished_at=None
    ).exists()
