"""Filters on both sides: what is outside is left alone, and what enters is synced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.utils import timezone

from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import Change, ObjectSync, RecordLink, SyncFilter, SyncRun
from syncs.models.choices import Trigger
from tests.shell import manage
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
Json = dict[str, Any]
FILE = """
version: 1
hubspot:
  - {name: Acme, token: "${HUBSPOT_TOKEN}", base_url: "${HUBSPOT_URL}",
     requests_per_10s: 100000, association_requests_per_10s: 100000,
     search_per_second: 1000}
apps:
  - name: Ops
    kind: postgres
    hubspot: Acme
    credentials: {dsn: "${OPS_DSN}"}
    syncs:
      - name: Companies
        hubspot_object: companies
        app_object: companies
        match: [{hubspot: domain, app: domain, normalize: domain}]
        fields: [{hubspot: name, app: name}, {hubspot: domain, app: domain}]
        app_cursor: updated_at
        timezone: Europe/Berlin
      - name: Contacts
        hubspot_object: contacts
        app_object: people
        match: [{hubspot: email, app: email, normalize: email}]
        fields: [{hubspot: firstname, app: first_name}, {hubspot: email, app: email}]
        app_cursor: updated_at
        associations: [{app_field: company_id, to: Companies}]
"""
CUSTOMERS = {"property": "lifecyclestage", "operator": "in", "value": ["customer"]}
LIVE = {"field": "archived", "operator": "is_not", "value": True}
ANN = "ann@x.example"
NOTHING = {"hubspot": 0, "app": 0}


@pytest.fixture
def world(pg_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        monkeypatch.setenv("HUBSPOT_TOKEN", sandbox.token)
        monkeypatch.setenv("HUBSPOT_URL", sandbox.hubspot_url)
        monkeypatch.setenv("OPS_DSN", pg_dsn)
        found = World(sandbox, pg_dsn)
        found.sql("ALTER TABLE companies ADD archived boolean, ADD renewal date")
        found.sql("ALTER TABLE people ADD wanted boolean")
        yield found


def apply(
    path: Path,
    companies: Json | None = None,
    contacts: Json | None = None,
    **more: Any,
):
    """Apply the set-up file with these filters on its two syncs; `more` of companies."""
    tree = yaml.safe_load(FILE)
    tree["apps"][0]["syncs"][0] |= more
    for sync, filters in zip(
        tree["apps"][0]["syncs"], (companies, contacts), strict=True
    ):
        if filters:
            sync["filters"] = filters
    path.write_text(json.dumps(tree), encoding="utf-8")
    return manage("setup", "apply", str(path), "--json")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "setup.yaml"


def sync(*flags: str, status: int = 0) -> Json:
    done = manage("sync", "--json", *flags)
    assert done.status == status, done
    found: Json = done.json
    return found


def on_schedule(name: str = "") -> Json:
    """A scheduled run, which looks at the links of changed records only."""
    rows = ObjectSync.objects.filter(name=name) if name else ObjectSync.objects.all()
    run = services.start(syncs=list(rows), trigger=Trigger.SCHEDULE, sweep=False)
    services.execute(run)
    return services.report(SyncRun.objects.get(pk=run.pk))


def company(world: World, domain: str, stage: str = "") -> str:
    more = {"lifecyclestage": stage} if stage else {}
    row = {"name": domain.split(".")[0], "domain": domain, **more}
    (made,) = world.create("companies", [row])
    return made


def row(world: World, domain: str, **values: Any) -> None:
    names = ", ".join(["name", "domain", *values])
    world.sql(
        f"INSERT INTO companies ({names}) VALUES (%s, %s{', %s' * len(values)})",
        domain.split(".")[0],
        domain,
        *values.values(),
    )


def change(world: World, domain: str, **values: Any) -> None:
    ((name, value),) = values.items()
    world.sql(f"UPDATE companies SET {name} = %s WHERE domain = %s", value, domain)


def quiet(report: Json) -> bool:
    return all(
        s[kind] == NOTHING and s["associations"][what] == NOTHING
        for s in report["syncs"]
        for kind in ("created", "updated", "archived")
        for what in ("added", "removed", "changed")
    )


# Records -------------------------------------------------------------------------------


def plant_both_sides(world: World) -> str:
    """Of each sort one inside and one outside; returns a pair's id in HubSpot."""
    company(world, "in.example", "customer")
    company(world, "out.example", "lead")
    pair = company(world, "pair.example", "lead")
    row(world, "pair.example")
    row(world, "live.example")
    row(world, "old.example", archived=True)
    return pair


def test_what_is_outside_is_neither_created_nor_written_on_either_side(world, file):
    pair = plant_both_sides(world)
    apply(file, {"hubspot": [CUSTOMERS], "app": [LIVE]})
    first = sync()["syncs"][0]
    assert first["created"] == {"hubspot": 1, "app": 1}
    # What the app made in HubSpot is no customer there.
    assert (first["matched"], first["in_sync"], first["excluded"]) == (3, 1, 4)
    assert set(world.company_rows()) == {
        "in.example", "pair.example", "live.example", "old.example",
    }  # fmt: skip
    assert "old.example" not in world.companies_in_hubspot()
    world.update("companies", pair, name="Renamed")
    change(world, "live.example", name="Also renamed")
    again = sync()
    assert quiet(again), again
    assert world.company_rows()["pair.example"][0] == "pair"
    told = RecordLink.objects.get(hubspot_id=pair)
    assert told.error_text == (
        "Outside of the filters on hubspot: lifecyclestage must be one of customer, "
        "and is lead."
    )
    # What stands outside costs nothing to leave alone.
    calls = [s["api_calls"] for s in sync()["syncs"]]
    assert all(c["hubspot"] <= 4 and c["app"] <= 3 for c in calls), calls


def test_a_record_that_enters_is_synced_by_the_ordinary_rules(world, file):
    pair = plant_both_sides(world)
    apply(file, {"hubspot": [CUSTOMERS], "app": [LIVE]})
    sync()
    world.update("companies", pair, name="Theirs", lifecyclestage="customer")
    change(world, "old.example", archived=None)
    report = sync()["syncs"][0]
    assert report["created"] == {"hubspot": 1, "app": 0}
    assert report["updated"] == {"hubspot": 0, "app": 1}
    assert world.company_rows()["pair.example"][0] == "Theirs"
    assert "old.example" in world.companies_in_hubspot()


def test_a_record_that_leaves_keeps_what_it_has_and_waits(world, file):
    made = company(world, "in.example", "customer")
    apply(file, {"hubspot": [CUSTOMERS]})
    sync()
    world.update("companies", made, name="Changed", lifecyclestage="lead")
    report = on_schedule("Companies")
    assert quiet(report)
    assert report["syncs"][0]["excluded"] == 1
    assert world.company_rows()["in.example"][0] == "in"
    change(world, "in.example", name="Ours")
    assert quiet(on_schedule("Companies"))
    # Back inside, both sides moved: the conflict rule decides.
    world.update("companies", made, lifecyclestage="customer")
    on_schedule("Companies")
    assert world.company_rows()["in.example"][0] == "Changed"
    assert RecordLink.objects.get().state == "in_sync"


def test_our_own_write_may_put_a_record_outside(world, file):
    made = company(world, "a.example")
    apply(file, {"app": [{"field": "name", "operator": "not_contains", "value": "X"}]})
    sync()
    world.update("companies", made, name="Axe")
    report = sync()["syncs"][0]
    assert report["updated"] == {"hubspot": 0, "app": 1}
    assert report["excluded"] == 1
    change(world, "a.example", name="Bxe")
    assert quiet(sync())
    assert world.companies_in_hubspot()["a.example"]["name"] == "Axe"


def test_other_filters_let_other_records_in_at_the_next_run(world, file):
    company(world, "lead.example", "lead")
    apply(file, {"hubspot": [CUSTOMERS]})
    assert sync()["syncs"][0]["excluded"] == 1
    wider = {**CUSTOMERS, "value": ["Customer", "Lead"]}
    assert "Companies" in str(apply(file, {"hubspot": [wider]}).json)
    assert on_schedule("Companies")["syncs"][0]["created"] == {"hubspot": 0, "app": 1}
    apply(file)
    assert SyncFilter.objects.count() == 0
    assert sync()["syncs"][0]["excluded"] == 0


def test_two_records_of_one_key_are_no_failure_while_both_are_outside(world, file):
    for _ in range(2):
        company(world, "twin.example", "lead")
    row(world, "twin.example", archived=True)
    apply(file, {"hubspot": [CUSTOMERS], "app": [LIVE]})
    report = sync()
    assert (report["status"], report["syncs"][0]["excluded"]) == ("succeeded", 3)
    change(world, "twin.example", archived=False)
    report = sync()
    assert report["syncs"][0]["failing"] == 1
    assert quiet(report)


@pytest.mark.parametrize("deletes", ["ask", "propagate"])
def test_nothing_is_deleted_of_a_record_outside_until_it_is_inside(
    world, file, deletes
):
    made = company(world, "a.example", "customer")
    way = {"app": {"field": "archived", "value": True}}
    apply(file, {"hubspot": [CUSTOMERS]}, deletes=deletes, archive=way)
    sync()
    world.sql("DELETE FROM companies")
    if deletes == "ask":
        assert sync("--full")["syncs"][0]["awaiting"]["deletes"] == 1
    world.update("companies", made, lifecyclestage="lead")
    report = sync("--full")["syncs"][0]
    assert (report["excluded"], report["awaiting"]["deletes"]) == (1, 0)
    assert report["archived"] == NOTHING
    world.update("companies", made, lifecyclestage="customer")
    report = sync()["syncs"][0]
    if deletes == "ask":
        assert report["awaiting"]["deletes"] == 1
    else:
        assert report["archived"] == {"hubspot": 1, "app": 0}
        assert world.companies_in_hubspot() == {}


def test_a_row_that_is_archived_is_deleted_and_not_only_outside(world, file):
    company(world, "a.example")
    way = {"app": {"field": "archived", "value": True}}
    apply(file, {"app": [LIVE]}, deletes="propagate", archive=way)
    sync()
    change(world, "a.example", archived=True)
    report = sync()["syncs"][0]
    assert report["archived"] == {"hubspot": 1, "app": 0}
    assert world.companies_in_hubspot() == {}


# Relative dates ------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts our own clock forward; the two systems keep theirs."""
    real, ahead = timezone.now, timedelta()

    def move(by: timedelta) -> None:
        nonlocal ahead
        ahead = by

    monkeypatch.setattr(timezone, "now", lambda: real() + ahead)
    return move


def test_time_alone_moves_a_record_out_of_and_into_a_relative_filter(
    world, file, clock
):
    soon = timezone.now().date() + timedelta(days=10)
    row(world, "later.example", renewal=soon)
    made = company(world, "fresh.example")
    apply(
        file,
        {
            "app": [{"field": "renewal", "operator": "before", "value": "in 1 week"}],
            "hubspot": [
                {"property": "createdate", "operator": "after", "value": "-6h"}
            ],
        },
    )
    # The row is not due yet; what HubSpot made has no date of renewal.
    assert sync()["syncs"][0]["excluded"] == 2
    change(world, "fresh.example", renewal="2026-01-01")
    assert sync()["syncs"][0]["excluded"] == 1
    clock(timedelta(hours=7))
    world.update("companies", made, name="Too late")
    assert quiet(on_schedule("Companies"))
    assert RecordLink.objects.get(hubspot_id=made).state == "excluded"
    assert world.company_rows()["fresh.example"][0] == "fresh"
    clock(timedelta(days=5))
    report = on_schedule("Companies")["syncs"][0]
    assert report["created"] == {"hubspot": 1, "app": 0}
    assert RecordLink.objects.filter(scope_due_at__lte=timezone.now()).count() == 0


# Links ---------------------------------------------------------------------------------


def ann_at(world: World, *domains: str) -> list[str]:
    """A contact whose primary company is the last of some; all of them leads."""
    made = [company(world, domain, "lead") for domain in domains]
    (ann,) = world.create("contacts", [{"email": ANN}])
    for one in made:
        world.make_primary(ann, one)
    return [ann, *made]


def test_a_link_to_a_company_follows_once_the_company_is_inside(world, file):
    _, firm = ann_at(world, "firm.example")
    apply(file, {"hubspot": [CUSTOMERS]})
    report = sync()["syncs"][1]
    assert report["associations"]["skipped"] == 1
    assert report["associations"]["pending"] == 0
    assert world.people_rows()[ANN][2] is None
    assert quiet(on_schedule())
    world.update("companies", firm, lifecyclestage="customer")
    report = on_schedule()["syncs"][1]
    assert report["associations"]["added"] == {"hubspot": 0, "app": 1}
    assert report["associations"]["skipped"] == 0
    assert world.people_rows()[ANN][2] == "firm.example"


def test_a_preview_shows_the_link_to_a_company_that_enters(world, file):
    _, firm = ann_at(world, "firm.example")
    apply(file, {"hubspot": [CUSTOMERS]})
    sync()
    world.update("companies", firm, lifecyclestage="customer")
    preview = sync("--dry-run")
    assert preview["syncs"][0]["created"] == {"hubspot": 0, "app": 1}
    assert preview["syncs"][1]["associations"]["added"] == {"hubspot": 0, "app": 1}
    assert RecordLink.objects.get(sync__name="Companies").state == "new"
    sync("--apply-plan", str(preview["run"]))
    assert world.people_rows()[ANN][2] == "firm.example"


@pytest.mark.parametrize("end", ["near", "far"])
def test_an_unlink_waits_while_an_end_is_outside_and_then_travels(world, file, end):
    ann, firm = ann_at(world, "firm.example")
    wanted = {"field": "wanted", "operator": "is_not", "value": False}
    apply(file, {"app": [LIVE]}, {"app": [wanted]})
    sync()
    table, column, out = {
        "near": ("people", "wanted", False),
        "far": ("companies", "archived", True),
    }[end]
    world.sql(f"UPDATE {table} SET {column} = %s", out)
    sync()
    world.unlink(ann, firm)
    report = sync()
    assert quiet(report), report
    links = report["syncs"][1]["associations"]
    assert (links["in_sync"], links["skipped"], links["pending"]) == (0, 1, 0)
    assert world.people_rows()[ANN][2] == "firm.example"
    world.sql(f"UPDATE {table} SET {column} = NULL")
    report = on_schedule()
    assert report["syncs"][1]["associations"]["removed"] == {"hubspot": 0, "app": 1}
    assert world.people_rows()[ANN][2] is None


def test_nothing_of_a_contact_outside_is_pending_or_linked(world, file):
    ann, _ = ann_at(world, "firm.example")
    wanted = {"field": "wanted", "operator": "is_not", "value": False}
    apply(file, None, {"app": [wanted]})
    sync()
    world.sql("UPDATE people SET wanted = false")
    sync()
    world.make_primary(ann, company(world, "new.example"))
    report = sync()["syncs"][1]
    assert report["associations"]["added"] == NOTHING
    assert (report["excluded"], report["associations"]["pending"]) == (1, 0)
    assert not Change.objects.filter(run=report["run"]).exists()
    assert world.people_rows()[ANN][2] == "firm.example"
    world.sql("UPDATE people SET wanted = true")
    sync()
    assert world.people_rows()[ANN][2] == "new.example"


def test_what_waited_is_forgotten_when_its_record_leaves(world, file):
    ann_at(world, "firm.example")
    wanted = {"field": "wanted", "operator": "is_not", "value": False}
    apply(file, {"hubspot": [CUSTOMERS]}, {"app": [wanted]})
    assert sync()["syncs"][1]["associations"]["skipped"] == 1
    world.sql("UPDATE people SET wanted = false")
    assert sync()["syncs"][1]["associations"]["skipped"] == 0
    world.sql("UPDATE people SET wanted = true")
    assert sync()["syncs"][1]["associations"]["skipped"] == 1


# What cannot be told -------------------------------------------------------------------


def test_a_record_whose_filter_field_is_gone_is_left_alone_and_named(world, file):
    made = company(world, "a.example")
    apply(file, {"app": [LIVE]})
    sync()
    world.sql("ALTER TABLE companies DROP archived")
    world.update("companies", made, name="Changed")
    row(world, "new.example")
    report = sync()
    assert quiet(report), report
    assert report["status"] == "partial"
    assert {e["code"] for e in report["syncs"][0]["errors"]} == {"FIELD_MISSING"}
    assert RecordLink.objects.filter(state="failing").count() == 2
    world.sql("ALTER TABLE companies ADD archived boolean")
    report = sync("--full")
    assert report["status"] == "succeeded", report
    assert world.company_rows()["a.example"][0] == "Changed"
    assert "new.example" in world.companies_in_hubspot()


# Plans ---------------------------------------------------------------------------------


def test_what_left_the_scope_since_a_plan_was_made_has_drifted(world, file):
    made = company(world, "a.example", "customer")
    new = company(world, "b.example", "customer")
    row(world, "a.example", archived=False)
    change(world, "a.example", name="Other")
    apply(file, {"hubspot": [CUSTOMERS]})
    preview = sync("--dry-run")
    assert preview["syncs"][0]["created"] == {"hubspot": 0, "app": 1}
    for one in (made, new):
        world.update("companies", one, lifecyclestage="lead")
    applied = sync("--apply-plan", str(preview["run"]))
    assert quiet(applied), applied
    assert set(world.company_rows()) == {"a.example"}
    changes = SyncRun.objects.get(pk=applied["syncs"][0]["run"]).changes
    assert set(changes.values_list("outcome", flat=True)) == {"drifted"}
    assert sync()["syncs"][0]["excluded"] == 2


def test_a_limit_counts_what_is_written_and_not_what_is_left_out(world, file):
    for at in range(3):
        company(world, f"out{at}.example", "lead")
    for at in range(2):
        company(world, f"in{at}.example", "customer")
    apply(file, {"hubspot": [CUSTOMERS]})
    assert sync("--limit", "1")["syncs"][0]["created"] == {"hubspot": 0, "app": 1}
    assert sync()["syncs"][0]["created"] == {"hubspot": 0, "app": 1}


# Set-up --------------------------------------------------------------------------------


def test_an_export_holds_the_filters_and_changes_nothing_when_applied(world, file):
    filters = {
        "hubspot": [
            {**CUSTOMERS, "value": ["Customer", "opportunity"]},
            {"property": "createdate", "operator": "between", "value": ["-1y", "now"]},
            {"property": "numberofemployees", "operator": "greater", "value": "10"},
            {"property": "is_public", "operator": "is", "value": "yes"},
            {"property": "phone", "operator": "known"},
        ],
        "app": [{"field": "renewal", "operator": "before", "value": "2026-02-01"}],
    }
    apply(file, filters)
    printed = yaml.safe_load(manage("setup", "export").out)
    held = printed["apps"][0]["syncs"][0]["filters"]
    assert held["hubspot"][0]["value"] == ["customer", "opportunity"]
    assert held["hubspot"][2]["value"] == 10
    assert held["app"] == filters["app"]
    file.write_text(yaml.safe_dump(printed), encoding="utf-8")
    assert manage("setup", "apply", str(file), "--json").json["changed"] == []
    revision = ObjectSync.objects.get(name="Companies").revision
    apply(file, filters)
    assert ObjectSync.objects.get(name="Companies").revision == revision


def test_filters_that_mean_nothing_are_named_each_with_its_place(world, file):
    wrong = {
        "hubspot": [
            {**CUSTOMERS, "op": 1},
            {**CUSTOMERS, "value": ["buyer"]},
            {**CUSTOMERS, "value": "lead"},
            {**CUSTOMERS, "operator": "known"},
            {"property": "createdate", "operator": "after", "value": "soon"},
            "lifecyclestage",
        ],
        "app": [
            CUSTOMERS,
            {**LIVE, "field": "archivd"},
            {**LIVE, "operator": "equals"},
            {**LIVE, "operator": "beforre"},
            {**LIVE, "operator": "contains"},
            {**LIVE, "value": "maybe"},
            {"field": "archived", "operator": "is"},
        ],
        "both": [],
    }
    refused = apply(file, wrong)
    assert refused.status == 2
    places = {
        ".hubspot[0].op": "Unknown key",
        ".hubspot[5]": "must be a map",
        ".app[0].property": "Unknown key",
        ".app[0].field": "missing",
        ".app[2].operator": "'is'",
        ".app[3].operator": "'before'",
        ".app[6].value": "missing",
        ".both": "Unknown key",
    }
    told = refused.err.splitlines()
    for place, words in places.items():
        at = f"syncs[0].filters{place}: "
        assert any(at in line and words in line for line in told), (at, told)
    # What the systems say is asked once the form is right.
    wrong["hubspot"] = wrong["hubspot"][1:5]
    wrong["app"] = [wrong["app"][1], *wrong["app"][4:6]]
    del wrong["both"]
    told = apply(file, wrong).err.splitlines()
    places = {
        ".hubspot[0].value": "OPTION_UNKNOWN",
        ".hubspot[1].value": "takes a list",
        ".hubspot[2].value": "no value",
        ".hubspot[3].value": "no date",
        ".app[0].field": "'archived'",
        ".app[1].operator": "is a boolean",
        ".app[2].value": "VALUE_INVALID",
    }
    for place, words in places.items():
        at = f"syncs[0].filters{place}: "
        assert any(at in line and words in line for line in told), (at, told)
    assert not ObjectSync.objects.exists()
