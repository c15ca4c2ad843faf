"""Setting an Airtable app up: by file, what is refused and why, and back to a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import call_command

from associations.models import AssociationMapping
from connections import services
from connections.connectors.airtable.publishing import page
from connections.models import ConnectedApp
from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.tokens import MAIN_BASE
from connections.sandbox.host import Host
from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync
from tests.airtable_world import AirtableWorld

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(tmp_path) -> Iterator[AirtableWorld]:
    with (
        SandboxServer(switches={"search_lag_s": 0}) as sandbox,
        Host(Airtable()) as host,
    ):
        yield AirtableWorld(sandbox, host, tmp_path)


def refused(world: AirtableWorld, tree: dict[str, Any]) -> str:
    """What the command says of a file that it does not take."""
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        world.apply(tree, out=out)
    assert ended.value.code == 2
    return out.getvalue()


def test_what_keeps_a_set_up_from_working_is_named_where_it_stands(world):
    whole = world.tree()
    company = whole["apps"][0]["syncs"][0]
    company["associations"] = [{"app_field": "People", "to": "Contacts"}]
    text = refused(world, whole)
    assert "two ends of the same links" in text
    assert "People.Company and Companies.People" in text
    for token, code in (
        ("patBadBadBadBad.0", "CREDENTIALS_REFUSED"),
        (world.fake.tokens["no base"], "SCOPE_MISSING"),
        (world.fake.tokens["no schema"], "SCOPE_MISSING"),
    ):
        tree = world.tree()
        tree["apps"][0]["credentials"]["token"] = token
        text = refused(world, tree)
        assert "apps[0].credentials.token" in text
        assert code in text
        assert token not in text
    tree = world.tree()
    del tree["apps"][0]["settings"]["base_id"]
    assert "base_id" in refused(world, tree)
    tree = world.tree()
    tree["apps"][0]["settings"]["requests_per_second"] = -1
    assert "requests_per_second must be a positive number" in refused(world, tree)
    tree = world.tree()
    tree["apps"][0]["syncs"] = [world.contacts_sync()]
    assert "no sync called 'Companies'" in refused(world, tree)
    tree = world.tree()
    tree["apps"][0]["syncs"][0]["fields"] = [{"hubspot": "name", "app": "People"}]
    assert "map it as an association" in refused(world, tree)
    tree = world.tree()
    tree["apps"][0]["syncs"][1]["marker"] = {"app": "Email"}
    assert "a marker must be unique" in refused(
        world, tree
    )  # no upsert on such a field
    tree["apps"][0]["syncs"][1]["marker"] = {"app": "Full name"}
    assert not ConnectedApp.objects.exists()
    world.apply(tree)


def test_the_other_end_stays_refused_when_it_comes_in_a_later_file(world):
    world.apply(world.tree())
    later = world.tree()
    later["apps"][0]["syncs"] = [world.companies_sync()]
    later["apps"][0]["syncs"][0]["associations"] = [
        {"app_field": "People", "to": "Contacts"}
    ]
    assert "the sync Contacts maps Company" in refused(world, later)
    assert AssociationMapping.objects.count() == 1


def test_an_export_applied_again_changes_nothing(world, monkeypatch):
    monkeypatch.setenv("AIRTABLE_TOKEN", world.fake.tokens["everything"])
    tree = world.tree()
    tree["apps"][0]["credentials"]["token"] = "${AIRTABLE_TOKEN}"
    world.apply(tree)
    out = io.StringIO()
    call_command("setup", "export", stdout=out)
    exported = yaml.safe_load(out.getvalue())
    (app,) = exported["apps"]
    assert app["settings"] == {
        "base_id": MAIN_BASE,
        "base_url": world.host.url,
        "requests_per_second": 1_000_000,
    }
    assert app["credentials"] == {"token": "${AIRTABLE_TOKEN}"}
    before = {s.name: s.revision for s in ObjectSync.objects.all()}
    exported["hubspot"][0]["token"] = world.sandbox.token
    world.apply(exported)
    assert {s.name: s.revision for s in ObjectSync.objects.all()} == before


def test_a_connection_test_says_what_is_wrong_and_takes_one_call(world):
    world.apply(world.tree())
    app = ConnectedApp.objects.get()
    tested = services.test_connection(app)
    assert (tested.code, app.identity, app.system_id) == ("", "Operations", MAIN_BASE)
    assert world.host.counts() == {"GET meta/bases": 1}
    app.credentials = {"token": world.fake.tokens["commenter"]}
    assert "may only comment" in services.test_connection(app).text
    app.credentials = {"token": "pat-none"}
    assert services.test_connection(app).code == "CREDENTIALS_REFUSED"
    app.settings = {}
    assert services.test_connection(app).code == "SCHEMA_CHANGED"


def test_links_wait_for_the_sync_of_their_target_and_come_with_its_first_run(world):
    ids = world.add("Companies", {"Name": "Acorn", "Website": "acorn.example"})
    world.add("People", {"Email": "ann@acorn.example", "Company": ids})
    tree = world.tree()
    tree["apps"][0]["syncs"][0]["enabled"] = False
    world.apply(tree)
    report = world.run(world.contacts)
    codes = [e["code"] for s in report["syncs"] for e in s["errors"]]
    assert codes == ["TARGET_NOT_SYNCED"]
    assert world.links() == {}
    assert set(world.contacts_in_hubspot()) == {"ann@acorn.example"}
    world.apply(world.tree())
    assert world.run()["status"] == "succeeded"
    assert world.primary() == {"ann@acorn.example": "acorn.example"}
    assert world.employers() == {"ann@acorn.example": {"Acorn"}}


def test_the_published_types_are_those_of_the_connector():
    published = Path(settings.BASE_DIR, "docs", "airtable-types.md").read_text()
    assert published == page(), "run make docs"
