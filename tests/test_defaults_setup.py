"""`fields: default` and `associations: default`, from the file to records in step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import yaml
from django.core.management import call_command

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
