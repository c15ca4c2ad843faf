"""What goes wrong is named with its code where a person looks, and the rest goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from connections import services as connection_services
from connections.connectors.hubspot import reading
from connections.connectors.hubspot.values import to_record
from connections.sandbox.server import SandboxServer
from syncs.models import FieldMapping, LogEntry, RecordLink, SyncFilter, SyncRun
from tests.sandbox.calls import Http
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        world.set_up()
        yield world


def codes(report) -> set[str]:
    return {e["code"] for child in report["syncs"] for e in child["errors"]}


def failing() -> dict[str, str]:
    rows = RecordLink.objects.filter(state="failing")
    return {
        str((r.hubspot_values or r.app_values).get("email")
            or (r.hubspot_values or r.app_values).get("domain")): r.error_code
        for r in rows
    }  # fmt: skip


def test_a_wrong_token_fails_the_run_with_its_code(world):
    world.account.credentials = {"token": "pat-eu1-wrong-wrong-wrong"}
    world.account.save()
    report = world.run()
    assert report["status"] == "failed"
    assert codes(report) == {"CREDENTIALS_REFUSED"}
    assert LogEntry.objects.filter(code="CREDENTIALS_REFUSED").exists()
    assert not LogEntry.objects.filter(text__contains="wrong-wrong").exists()


def test_a_missing_scope_names_the_scope(world):
    world.account.credentials = {"token": world.sandbox.tokens["Contacts only"]}
    world.account.save()
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', 'a.example')")
    report = world.run()
    assert report["status"] == "failed"
    assert codes(report) == {"SCOPE_MISSING"}
    texts = " ".join(LogEntry.objects.values_list("text", flat=True))
    assert "crm.objects." in texts


def test_an_unreachable_host_fails_the_run_and_keeps_what_was_read(world):
    world.account.base_url = "http://127.0.0.1:9"
    world.account.save()
    report = world.run()
    assert report["status"] == "failed"
    assert codes(report) == {"UNAVAILABLE"}


def test_a_dropped_table_stops_its_sync_and_a_dropped_column_only_its_field(world):
    world.sql(
        "INSERT INTO companies (name, domain, phone) VALUES ('A', 'a.example', '1')"
    )
    world.run()
    world.sql("ALTER TABLE companies DROP COLUMN phone")
    world.sql("UPDATE companies SET name = 'B'")
    world.sql("DROP TABLE people")
    report = world.run()
    by_name = {c["sync"]: c for c in report["syncs"]}
    assert by_name["Contacts"]["status"] == "failed"
    assert [e["code"] for e in by_name["Contacts"]["errors"]] == ["SCHEMA_CHANGED"]
    assert [e["code"] for e in by_name["Companies"]["errors"]] == ["FIELD_MISSING"]
    company = world.companies_in_hubspot()["a.example"]
    assert (company["name"], company["phone"]) == ("B", "1")


def test_a_column_that_was_dropped_and_comes_back_empty_empties_nothing(world):
    (company,) = world.create(
        "companies", [{"name": "A", "domain": "a.example", "phone": "1"}]
    )
    (contact,) = world.create("contacts", [{"email": "ann@a.example"}])
    world.make_primary(contact, company)
    world.run()
    world.sql("ALTER TABLE companies DROP COLUMN phone")
    world.sql("ALTER TABLE people DROP COLUMN company_id")
    world.update("companies", company, name="B")
    assert "FIELD_MISSING" in codes(world.run())
    world.run()
    world.sql("ALTER TABLE companies ADD COLUMN phone text")
    world.sql("ALTER TABLE people ADD COLUMN company_id int REFERENCES companies")
    world.sql("UPDATE companies SET updated_at = clock_timestamp()")
    world.sql("UPDATE people SET updated_at = clock_timestamp()")
    for _ in range(2):
        report = world.run()
        assert report["status"] == "succeeded"
        assert world.companies_in_hubspot()["a.example"]["phone"] == "1"
        assert world.company_rows()["a.example"][:2] == ("B", "1")
        assert world.primary() == {"ann@a.example": "a.example"}
        assert world.people_rows()["ann@a.example"][2] == "a.example"


def test_a_property_that_is_gone_from_hubspot_is_left_alone_and_named(world):
    FieldMapping.objects.create(
        sync=world.companies, hubspot="no_such_property", app="industry", position=9
    )
    world.sql(
        "INSERT INTO companies (name, domain, industry) VALUES ('A', 'a.example', 'X')"
    )
    report = world.run()
    assert "FIELD_MISSING" in codes(report)
    assert world.companies_in_hubspot()["a.example"]["name"] == "A"


def test_bad_values_fail_alone(world):
    FieldMapping.objects.create(
        sync=world.companies, hubspot="industry", app="industry", position=9
    )
    world.sql("ALTER TABLE companies ALTER COLUMN name TYPE varchar(20)")
    world.sql(
        "INSERT INTO companies (name, domain, industry) VALUES "
        "('Good', 'good.example', NULL), ('Bad', 'option.example', 'NO_SUCH')"
    )
    world.create(
        "companies",
        [
            {"name": "x" * 21, "domain": "long.example"},
            {"name": "Emoji \U0001f680", "domain": "emoji.example"},
            {"name": "R", "domain": "rich.example", "annualrevenue": "1" + "0" * 14},
        ],
    )
    from connections.services import refresh_schema

    refresh_schema(world.app)
    # What was mended since is no preview's any more.
    world.sql(
        "UPDATE companies SET industry = 'NOR_SUCH' WHERE domain = 'good.example'"
    )
    assert world.run(dry_run=True)["syncs"][0]["failing"] == 4
    world.sql("UPDATE companies SET industry = NULL WHERE domain = 'good.example'")
    world.sql("UPDATE companies SET updated_at = clock_timestamp()")
    preview, report = world.run(dry_run=True), world.run()
    assert preview["status"] == report["status"] == "partial"
    assert preview["syncs"][0]["errors"] == report["syncs"][0]["errors"]
    assert failing() == {
        "option.example": "OPTION_UNKNOWN",
        "long.example": "VALUE_TOO_LONG",
        "rich.example": "VALUE_INVALID",
    }
    assert world.companies_in_hubspot()["good.example"]["name"] == "Good"
    assert world.company_rows()["emoji.example"][0] == "Emoji \U0001f680"
    # A field that fails does not keep the others of its record from travelling.
    world.sql("UPDATE companies SET phone = '7' WHERE domain = 'option.example'")
    world.run()
    assert world.companies_in_hubspot()["option.example"]["phone"] == "7"


def test_a_value_with_a_nul_is_refused_for_its_record_alone(world):
    world.create(
        "companies",
        [
            {"name": "a\x00b", "domain": "nul.example"},
            {"name": "C", "domain": "c.example"},
        ],
    )
    report = world.run()
    assert report["status"] == "partial"
    assert failing() == {"nul.example": "VALUE_INVALID"}
    assert "c.example" in world.company_rows()


def test_a_record_without_a_key_is_excluded_and_a_shared_key_pairs_nothing(world):
    world.create("companies", [{"name": "No domain"}])
    world.create("companies", [{"name": n, "domain": "twin.example"} for n in "ab"])
    world.sql("INSERT INTO companies (name, domain) VALUES ('T', 'twin.example')")
    report = world.run(world.companies)
    (child,) = report["syncs"]
    assert (child["status"], child["excluded"], child["failing"]) == ("partial", 1, 3)
    assert codes(report) == {"MATCH_AMBIGUOUS"}
    assert set(
        RecordLink.objects.filter(state="excluded").values_list("error_code")
    ) == {("KEY_MISSING",)}
    assert len(world.company_rows()) == 1


def test_a_busy_sync_is_told_and_not_touched(world):
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', 'a.example')")
    started, go_on = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        started.set()
        go_on.wait(20)

    def first() -> None:
        try:
            world.run(world.companies)
        finally:
            connection.close()

    world.sandbox.control.set_hook(hold)
    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert started.wait(20)
        report = world.run(world.companies)
    finally:
        world.sandbox.control.set_hook(None)
        go_on.set()
        thread.join()
    assert report["status"] == "failed"
    assert codes(report) == {"RUN_OPEN"}
    assert sorted(
        SyncRun.objects.filter(sync=world.companies).values_list("status", flat=True)
    ) == ["failed", "succeeded"]
    assert list(world.companies_in_hubspot()) == ["a.example"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", ["status=503", "drop"])
def test_a_create_that_failed_before_or_after_its_effect_makes_one_record(
    world, fault, when
):
    world.sql(
        "INSERT INTO companies (name, domain) SELECT 'C' || n, 'c' || n || '.example' "
        "FROM generate_series(1, 120) n"
    )
    path = "path=batch/create,nth=1"
    world.sandbox.control.set_faults(f"{fault},{path},when={when}")
    world.run(world.companies)
    world.sandbox.control.set_faults()
    world.run(world.companies)
    report = world.run(world.companies)
    assert report["status"] == "succeeded", report
    assert len(world.companies_in_hubspot()) == 120
    assert len(world.company_rows()) == 120


def test_an_answer_to_another_question_makes_nothing_blank(world):
    world.sql(
        "INSERT INTO companies (name, domain, phone) VALUES ('A', 'a.example', '1')"
    )
    for _ in range(3):
        world.run()
    # The count of a window comes again where what changed was asked: ids and times.
    world.sandbox.control.set_faults("repeat,path=/0-2/search,nth=1")
    world.run(world.companies)
    assert world.sandbox.control.faults()[0]["fired"] == 1
    world.sandbox.control.set_faults()
    report = world.run()
    assert report["status"] == "succeeded"
    assert world.company_rows() == {"a.example": ("A", "1", None)}
    assert world.companies_in_hubspot()["a.example"]["phone"] == "1"


def test_a_value_that_was_emptied_travels_where_answers_leave_out_what_is_unset(world):
    make = {"type": "string", "fieldType": "text", "groupName": "companyinformation"}
    portal = Http(world.sandbox.hubspot_url, world.sandbox.token)
    portal.create_property("companies", {"name": "spare", "label": "Spare", **make})
    connection_services.refresh_schema(world.account)
    FieldMapping.objects.create(
        sync=world.companies, hubspot="spare", app="industry", position=9
    )
    world.sandbox.control.set_switches(unset_values="left_out")
    both = {"phone": "1", "spare": "S"}
    (one, two) = world.create(
        "companies",
        [{"name": n, "domain": f"{n.lower()}.example", **both} for n in "AB"],
    )
    for _ in range(2):
        world.run()
    world.update("companies", one, phone="", name="A2")
    world.run()
    rows = "SELECT name, phone, industry FROM companies ORDER BY domain"
    assert world.sql(rows) == [("A2", None, "S"), ("B", "1", "S")]
    portal.archive_property("companies", "spare")
    world.update("companies", two, phone="", name="B2")
    assert "FIELD_MISSING" in codes(world.run())
    assert world.sql(rows) == [("A2", None, "S"), ("B2", None, "S")]


def test_a_filter_knows_what_is_unset_where_answers_leave_it_out(world):
    SyncFilter.objects.create(
        sync=world.companies, side="hubspot", field="city", operator="unknown"
    )
    world.sandbox.control.set_switches(unset_values="left_out")
    rows = [{"name": n, "domain": f"{n.lower()}.example"} for n in "AB"]
    one, _ = world.create("companies", [rows[0], rows[1] | {"city": "Ulm"}])
    for _ in range(2):
        assert world.run()["status"] == "succeeded"
    assert set(world.company_rows()) == {"a.example"}
    world.update("companies", one, city="Ulm", name="A2")
    world.run()
    world.update("companies", one, city="", name="A3")
    world.run()
    assert world.company_rows()["a.example"][0] == "A3"


def test_an_answer_without_properties_takes_none_away(world):
    FieldMapping.objects.create(  # the types' properties are looked at in each run
        sync=world.companies, hubspot="no_such_property", app="industry", position=9
    )
    world.sql(
        "INSERT INTO companies (name, domain, phone) VALUES ('A', 'a.example', '1')"
    )
    world.sandbox.control.set_faults("hollow,path=/properties/")
    report = world.run(world.companies)
    assert (report["status"], codes(report)) == ("failed", {"UNAVAILABLE"})
    assert world.companies_in_hubspot() == {}
    world.sandbox.control.set_faults()
    world.run(world.companies)
    company = world.companies_in_hubspot()["a.example"]
    assert (company["name"], company["phone"]) == ("A", "1")


def test_nothing_is_created_without_the_key_it_is_matched_by(world):
    FieldMapping.objects.create(
        sync=world.companies, hubspot="city", app="industry", position=9
    )
    world.run(world.companies)
    world.create("companies", [{"name": "A", "domain": "a.example", "city": "Rome"}])
    world.sql("ALTER TABLE companies RENAME domain TO host")
    assert "FIELD_MISSING" in codes(world.run(world.companies))
    assert world.sql("SELECT count(*) FROM companies") == [(0,)]
    assert failing() == {"a.example": "FIELD_MISSING"}
    world.sql("ALTER TABLE companies RENAME host TO domain")
    # A field that is no key stops none: it begins as a first sync when it is back.
    world.sql("ALTER TABLE companies RENAME industry TO branch")
    world.run(world.companies)
    assert world.company_rows() == {"a.example": ("A", None, None)}
    world.sql("ALTER TABLE companies RENAME branch TO industry")
    assert world.run(world.companies)["status"] == "succeeded"
    assert world.sql("SELECT industry FROM companies") == [("Rome",)]


@pytest.mark.parametrize("kept", [(), ("name", "hs_lastmodifieddate")])
def test_answers_without_what_was_asked_for_empty_nothing(world, monkeypatch, kept):
    """A gateway that drops records' properties, or the list of those that are asked for."""
    rows = [{"name": n, "domain": f"{n}.example", "phone": "1"} for n in "AB"]
    world.create("companies", rows)
    world.run()
    told = to_record

    def hollow(obj: Any, body: Any, names: Any = None) -> Any:
        properties = {n: v for n, v in body["properties"].items() if n in kept}
        return told(obj, body | {"properties": properties}, names)

    monkeypatch.setattr(reading, "to_record", hollow)
    world.run(full=True)
    assert set(world.company_rows().values()) == {("A", "1", None), ("B", "1", None)}
