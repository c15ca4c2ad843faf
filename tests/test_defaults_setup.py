"""`fields: default` and `associations: default`, from the file to records in step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from associations.models import AssociationMapping
from connections.sandbox.server import SandboxServer
from syncs.models import FieldMapping, ObjectSync
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(pg_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        monkeypatch.setenv("HUBSPOT_TOKEN", sandbox.token)
        monkeypatch.setenv("PG_DSN", pg_dsn)
        yield World(sandbox, pg_dsn)


def file(world: World, *syncs: dict[str, Any]) -> dict[str, Any]:
    account = {"name": "Acme", "token": "${HUBSPOT_TOKEN}"}
    account["base_url"] = world.sandbox.hubspot_url
    app = {
        "name": "Ops",
        "kind": "postgres",
        "hubspot": "Acme",
        "credentials": {"dsn": "${PG_DSN}"},
        "syncs": list(syncs),
    }
    return {"version": 1, "hubspot": [account], "apps": [app]}


def apply(tmp_path, tree: Any, *how: str) -> str:
    path = tmp_path / "set-up.yaml"
    path.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
    out = StringIO()
    call_command("setup", "apply", str(path), *how, stdout=out, stderr=out)
    return out.getvalue()


def export() -> str:
    out = StringIO()
    call_command("setup", "export", stdout=out)
    return out.getvalue()


COMPANIES = {
    "name": "Companies",
    "hubspot_object": "companies",
    "app_object": "companies",
    "app_cursor": "updated_at",
    "fields": "default",
}


def test_default_fields_are_shown_first_stored_one_by_one_and_exported_so(
    world, tmp_path
):
    tree = file(world, COMPANIES)
    shown = apply(tmp_path, tree, "--check")
    assert not ObjectSync.objects.exists()
    at = "Guessed: apps[0].syncs[0]"
    for line in (
        f"{at}.fields: field name ↔ name (two_way)",
        f"{at}.fields: field industry ↔ industry (to_app)",
        f"{at}.matching: match key domain ↔ domain (domain)",
    ):
        assert line in shown.splitlines()
    told = json.loads(apply(tmp_path, tree, "--json"))
    rows = [g for g in told["guessed"] if g["what"] == "field"]
    stored = list(FieldMapping.objects.values_list("hubspot", "app"))
    assert [(g["hubspot"], g["app"]) for g in rows] == stored
    assert dict(stored) == {
        "name": "name",
        "domain": "domain",
        "phone": "phone",
        "industry": "industry",
        "annualrevenue": "annual_revenue",
    }
    exported = export()
    assert "default" not in exported
    # A column that comes later is not mapped by itself.
    world.sql("ALTER TABLE companies ADD city text")
    assert "nothing changed" in apply(tmp_path, exported)
    assert "changed" in apply(tmp_path, tree)
    assert FieldMapping.objects.filter(hubspot="city", app="city").exists()


def test_where_no_default_fits_the_fields_have_to_be_listed(world, tmp_path):
    world.sql("CREATE TABLE odd (id serial PRIMARY KEY, this_and_that text)")
    match = [{"hubspot": "name", "app": "this_and_that"}]
    odd = COMPANIES | {"app_object": "odd", "app_cursor": "none", "match": match}
    # The key says what belongs together.
    assert "field name ↔ this_and_that" in apply(tmp_path, file(world, odd), "--check")
    odd = odd | {"direction": "to_app"}
    world.sql("ALTER TABLE odd ALTER this_and_that TYPE boolean USING true")
    with pytest.raises(SystemExit):
        apply(tmp_path, file(world, odd), "--check")


# Associations --------------------------------------------------------------------------

PEOPLE = {
    "name": "Contacts",
    "hubspot_object": "contacts",
    "app_object": "people",
    "app_cursor": "updated_at",
    "fields": [{"hubspot": "email", "app": "email"}],
    "associations": "default",
}
A, ANN, BOB = "a.example", "ann@x.example", "bob@x.example"


def offered(shown: str) -> dict[str, Any]:
    """The sync that a warning says is enough, as an administrator copies it."""
    (line,) = (s for s in shown.splitlines() if "TARGET_NOT_SYNCED" in s)
    found: dict[str, Any] = yaml.safe_load(line.partition("app's syncs: ")[2])
    return found


def test_default_links_go_to_the_sync_of_what_a_reference_points_to(world, tmp_path):
    tree = file(world, COMPANIES, PEOPLE)
    shown = apply(tmp_path, tree, "--check")
    at = "Guessed: apps[0].syncs[1].associations[0]"
    assert f"{at}: association companies ↔ company_id (to Companies)" in shown
    assert "Warning" not in shown
    apply(tmp_path, tree)
    (mapping,) = AssociationMapping.objects.all()
    assert (mapping.app_field, mapping.type, mapping.type_id) == ("company_id", "", 1)
    assert "nothing changed" in apply(tmp_path, export())
    # A second field would be the same links once more.
    world.sql("ALTER TABLE people ADD billing_company_id int REFERENCES companies")
    shown = apply(tmp_path, tree, "--check")
    assert "billing_company_id: several fields point to companies" in shown
    assert "association companies ↔ company_id" in shown
    world.sql("ALTER TABLE people RENAME company_id TO home_company_id")
    shown = apply(tmp_path, tree, "--check")
    assert "association" not in shown.replace("association type", "").replace(
        "associations", ""
    )


def test_a_match_only_sync_is_offered_and_lets_links_travel_without_writing_records(
    world, tmp_path
):
    (firm,) = world.create(
        "companies", [{"name": "Maple in HubSpot", "domain": A, "phone": "1"}]
    )
    (ann, _) = world.create("contacts", [{"email": ANN}, {"email": BOB}])
    world.make_primary(ann, firm)
    world.sql(
        "INSERT INTO companies (name, domain) VALUES ('Maple', %s), ('Only', 'o.example')",
        f"https://www.{A}/home",
    )
    world.sql(
        "INSERT INTO people (email, company_id) SELECT %s, id FROM companies "
        "WHERE name = 'Maple'",
        BOB,
    )
    before = world.sql("SELECT * FROM companies ORDER BY id")
    sync = offered(apply(tmp_path, file(world, PEOPLE), "--check"))
    assert {k: sync[k] for k in ("creates", "fields", "match")} == {
        "creates": "none",
        "fields": [],
        "match": [
            {"hubspot": "domain", "app": "domain", "normalize": "domain"},
            {"hubspot": "name", "app": "name", "normalize": "casefold"},
        ],
    }
    tree = file(world, sync, PEOPLE)
    assert "Warning" not in apply(tmp_path, tree)
    report = world.run(*ObjectSync.objects.order_by("position"))
    only, contacts = report["syncs"]
    for kind in ("created", "updated", "archived"):
        assert only[kind] == {"hubspot": 0, "app": 0}
    assert only["matched"] == 1
    assert contacts["associations"]["added"] == {"hubspot": 1, "app": 1}
    assert world.primary() == {ANN: A, BOB: A}
    assert {m: r[2] for m, r in world.people_rows().items()} == {
        ANN: f"https://www.{A}/home",
        BOB: f"https://www.{A}/home",
    }
    assert world.sql("SELECT * FROM companies ORDER BY id") == before
    held = world.companies_in_hubspot()
    assert {d: (c["name"], c["phone"]) for d, c in held.items()} == {
        A: ("Maple in HubSpot", "1")
    }
    # A record that turns up later is paired, and what waited for it is linked.
    (late,) = world.create("companies", [{"name": "Only one", "domain": "o.example"}])
    world.make_primary(ann, late)
    report = world.run(*ObjectSync.objects.order_by("position"))
    assert world.people_rows()[ANN][2] == "o.example"
    assert report["syncs"][0]["updated"] == {"hubspot": 0, "app": 0}
    quiet = world.run(*ObjectSync.objects.order_by("position"))
    for child in quiet["syncs"]:
        assert child["updated"] == child["created"] == {"hubspot": 0, "app": 0}
        assert child["associations"]["added"] == {"hubspot": 0, "app": 0}
    assert "nothing changed" in apply(tmp_path, export())


@pytest.mark.parametrize("way", ["off", "pruned"])
def test_links_wait_for_the_sync_of_their_target_and_appear_once_it_is_on(
    world, tmp_path, way
):
    (firm,) = world.create("companies", [{"name": "A", "domain": A}])
    (ann,) = world.create("contacts", [{"email": ANN}])
    world.make_primary(ann, firm)
    on = file(world, COMPANIES, PEOPLE)
    if way == "off":
        shown = apply(tmp_path, file(world, COMPANIES | {"enabled": False}, PEOPLE))
    else:
        apply(tmp_path, on)
        named = PEOPLE | {
            "associations": [{"app_field": "company_id", "to": "Companies"}]
        }
        shown = apply(tmp_path, file(world, named), "--prune")
    assert (
        "TARGET_NOT_SYNCED: company_id: the sync Companies that it points to" in shown
    )
    contacts = ObjectSync.objects.get(name="Contacts")
    (child,) = world.run(contacts)["syncs"]
    assert {e["code"] for e in child["errors"]} == {"TARGET_NOT_SYNCED"}
    assert world.people_rows()[ANN] == (None, None, None)
    shown = apply(tmp_path, on)
    assert "Warning" not in shown
    both = ObjectSync.objects.order_by("position")
    # By the schedule, long before its next sweep is due.
    report = world.run(*both, sweep=False)
    assert report["syncs"][1]["associations"]["added"] == {"hubspot": 0, "app": 1}
    assert report["syncs"][1]["updated"] == {"hubspot": 0, "app": 0}
    assert world.people_rows()[ANN][2] == A


def test_a_target_that_is_matched_by_nothing_is_told_before_the_run(world, tmp_path):
    tree = file(world, COMPANIES | {"matching": "none"}, PEOPLE)
    shown = apply(tmp_path, tree, "--check")
    assert "Companies that it points to does no matching" in shown
    assert "Give Companies a match key." in shown
