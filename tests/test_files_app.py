"""A connector by docs/adding-a-connector.md is an app like any other: form and file, a
first sync with its links, then changes from both sides, and quiet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.urls import reverse

from associations.setup.exporting import export
from connections import services as connection_services
from connections.connectors import registry
from connections.connectors.kinds import Kind, Setting
from connections.models import ConnectedApp
from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync
from tests.vendor import vendor_client
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
NOTHING = {"hubspot": 0, "app": 0}
COMPANIES = {"name": {"type": "text"}, "domain": {"type": "text"}}
PEOPLE = {
    "email": {"type": "text"},
    "first": {"type": "text"},
    "company": {"type": "reference", "target": "companies"},
}
SYNCS = """
- name: Companies
  hubspot_object: companies
  app_object: companies
  match: [{hubspot: domain, app: domain, normalize: domain}]
  fields: [{hubspot: name, app: name}, {hubspot: domain, app: domain}]
- name: Contacts
  hubspot_object: contacts
  app_object: people
  match: [{hubspot: email, app: email, normalize: email}]
  fields: [{hubspot: email, app: email}, {hubspot: firstname, app: first}]
  associations: [{app_field: company, to: Companies, type: primary}]
"""


@pytest.fixture(autouse=True)
def _kind(monkeypatch: pytest.MonkeyPatch, settings) -> None:
    """All that makes a connector known: the entry as the steps show it."""
    page = settings.BASE_DIR / "docs" / "adding-a-connector.md"
    shown = page.read_text().partition("```python")[2].partition("```")[0]
    (entry,) = eval(f"{{{shown}}}", {"Kind": Kind, "Setting": Setting}).items()
    monkeypatch.setitem(registry.KINDS, *entry)


class FilesWorld(World):
    """A HubSpot and a folder; what the folder holds is read by itself."""

    def __init__(self, sandbox: SandboxServer, folder: Path) -> None:
        self.sandbox, self.folder = sandbox, folder
        self.client = vendor_client(sandbox)
        for name, fields in (("companies", COMPANIES), ("people", PEOPLE)):
            (folder / name).mkdir()
            self.put(name, "fields", fields)

    def apply(self) -> None:
        account = {
            "name": "Acme",
            "token": self.sandbox.token,
            "base_url": self.sandbox.hubspot_url,
        }
        app = {
            "name": "Disk",
            "kind": "files",
            "hubspot": "Acme",
            "settings": {"folder": str(self.folder)},
            "syncs": yaml.safe_load(SYNCS),
        }
        path = self.folder / "setup.yaml"
        path.write_text(
            yaml.safe_dump({"version": 1, "hubspot": [account], "apps": [app]})
        )
        call_command("setup", "apply", str(path))
        self.companies = ObjectSync.objects.get(name="Companies")
        self.contacts = ObjectSync.objects.get(name="Contacts")

    def put(self, name: str, record_id: str, held: dict[str, Any]) -> None:
        (self.folder / name / f"{record_id}.json").write_text(json.dumps(held))

    def held(self, name: str) -> dict[str, dict[str, Any]]:
        files = (self.folder / name).glob("*.json")
        return {f.stem: json.loads(f.read_text()) for f in files if f.stem != "fields"}

    def employers(self) -> dict[str, str]:
        """The domain of each person's company, by e-mail."""
        domains = {i: c["domain"] for i, c in self.held("companies").items()}
        return {
            p["email"]: domains[p["company"][0]]
            for p in self.held("people").values()
            if p.get("company")
        }


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FilesWorld]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield FilesWorld(sandbox, tmp_path)


def work(report: dict[str, Any]) -> list[Any]:
    parts = [s[k] for s in report["syncs"] for k in ("created", "updated", "archived")]
    for sync in report["syncs"]:
        parts += [sync["associations"][k] for k in ("added", "removed", "changed")]
    return [part for part in parts if part != NOTHING]


def test_records_and_links_come_into_step_with_a_folder_and_stay_so(world):
    (acorn,) = world.create("companies", [{"name": "Acorn", "domain": "acorn.example"}])
    ann, dan = world.create(
        "contacts", [{"email": "ann@acorn.example"}, {"email": "dan@acorn.example"}]
    )
    world.make_primary(ann, acorn)
    world.make_primary(dan, acorn)
    world.put("companies", "c1", {"name": "Birch", "domain": "birch.example"})
    world.put("people", "p1", {"email": "bob@birch.example", "company": ["c1"]})
    world.put("people", "p2", {"email": "ann@acorn.example", "first": "Ann"})
    world.apply()
    report = world.run()
    assert report["status"] == "succeeded", report
    assert (
        world.employers()
        == world.primary()
        == {
            "ann@acorn.example": "acorn.example",
            "bob@birch.example": "birch.example",
            "dan@acorn.example": "acorn.example",
        }
    )
    assert world.contacts_in_hubspot()["ann@acorn.example"]["firstname"] == "Ann"
    assert work(world.run()) == []
    third = world.run()
    assert work(third) == []
    assert all(child["api_calls"]["app"] <= 3 for child in third["syncs"]), third
    # One change on either side, and one link gone on either.
    people = {held["email"]: i for i, held in world.held("people").items()}
    world.put("people", "p1", {"email": "bob@birch.example", "first": "Bob"})
    world.unlink(dan, acorn)
    world.update("contacts", ann, firstname="Anna")
    assert world.run()["status"] == "succeeded"
    assert (
        world.employers() == world.primary() == {"ann@acorn.example": "acorn.example"}
    )
    assert world.held("people")[people["ann@acorn.example"]]["first"] == "Anna"
    assert world.contacts_in_hubspot()["bob@birch.example"]["firstname"] == "Bob"
    assert work(world.run()) == []


def test_the_form_and_the_file_take_a_kind_from_its_entry_alone(admin_client, world):
    world.apply()
    url = reverse("admin:connections_connectedapp_add")
    page = admin_client.get(f"{url}?kind=files").content.decode()
    assert "With a folder for each object." in page
    account = ConnectedApp.objects.get().hubspot
    data = {"name": "Two", "kind": "files", "hubspot": account.pk}
    answer = admin_client.post(url, data)
    assert answer.context["adminform"].form.errors.keys() == {"setting_folder"}
    admin_client.post(url, data | {"setting_folder": str(world.folder)})
    app = ConnectedApp.objects.get(name="Two")
    assert (app.settings, app.credentials) == ({"folder": str(world.folder)}, {})
    assert connection_services.test_connection(app).ok
    assert app.get_kind_display() == "Files"
    with closing(connection_services.open_app(app)) as connector:
        assert connector.discover().object("people") is not None
    exported = yaml.safe_load(export("Disk"))["apps"][0]
    assert (exported["kind"], "credentials" in exported) == ("files", False)
