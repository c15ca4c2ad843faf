"""A HubSpot and an Airtable base with companies and people, set up by a file.

What the base holds is read back from the fake's own store, never through our connector.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import yaml
from django.core.management import call_command

from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.tokens import MAIN_BASE
from connections.sandbox.host import Host
from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync
from tests.vendor import vendor_client
from tests.world import World

COMPANIES: list[dict[str, Any]] = [
    {"name": "Name", "type": "singleLineText"},
    {"name": "Website", "type": "url"},
    {"name": "Phone", "type": "phoneNumber"},
    {"name": "Revenue", "type": "currency", "options": {"precision": 2}},
]
PEOPLE: list[dict[str, Any]] = [
    {"name": "Full name", "type": "singleLineText"},
    {"name": "Email", "type": "email"},
    {"name": "First name", "type": "singleLineText"},
    {"name": "Last name", "type": "singleLineText"},
]


class AirtableWorld(World):
    """Two systems and their set-up; `run` syncs them in this process.

    Args: many, whether the field Company holds several companies by its own wish.
    """

    def __init__(
        self, sandbox: SandboxServer, host: Host, folder: Path, *, many: bool = False
    ) -> None:
        self.sandbox, self.host, self.folder = sandbox, host, folder
        self.client = vendor_client(sandbox)
        assert isinstance(host.fake, Airtable)
        self.fake = host.fake
        bases = self.fake.bases
        with self.fake.store.transaction():
            table = bases.make_table(MAIN_BASE, "Companies", COMPANIES)
            people = bases.make_table(MAIN_BASE, "People", PEOPLE)
            link = {"linkedTableId": table["id"], "prefersSingleRecordLink": not many}
            field = {"name": "Company", "type": "multipleRecordLinks", "options": link}
            bases.make_field(MAIN_BASE, people["id"], field, by_person=True)

    # Set-up -----------------------------------------------------------------------------

    def tree(self) -> dict[str, Any]:
        """The set-up file."""
        return {
            "version": 1,
            "hubspot": [
                {
                    "name": "Acme",
                    "token": self.sandbox.token,
                    "base_url": self.sandbox.hubspot_url,
                    "requests_per_10s": 1e6,
                    "association_requests_per_10s": 1e6,
                    "search_per_second": 1e6,
                }
            ],
            "apps": [
                {
                    "name": "Base",
                    "kind": "airtable",
                    "hubspot": "Acme",
                    "settings": {
                        "base_id": MAIN_BASE,
                        "base_url": self.host.url,
                        "requests_per_second": 1e6,
                    },
                    "credentials": {"token": self.fake.tokens["everything"]},
                    "syncs": [self.companies_sync(), self.contacts_sync()],
                }
            ],
        }

    def companies_sync(self) -> dict[str, Any]:
        return {
            "name": "Companies",
            "hubspot_object": "companies",
            "app_object": "Companies",
            "match": [{"hubspot": "domain", "app": "Website", "normalize": "domain"}],
            "fields": [
                {"hubspot": "name", "app": "Name"},
                {"hubspot": "domain", "app": "Website"},
                {"hubspot": "phone", "app": "Phone"},
                {"hubspot": "annualrevenue", "app": "Revenue"},
            ],
        }

    def contacts_sync(self) -> dict[str, Any]:
        return {
            "name": "Contacts",
            "hubspot_object": "contacts",
            "app_object": "People",
            "match": [{"hubspot": "email", "app": "Email", "normalize": "email"}],
            "fields": [
                {"hubspot": "email", "app": "Email"},
                {"hubspot": "firstname", "app": "First name"},
                {"hubspot": "lastname", "app": "Last name"},
            ],
            "associations": [
                {"app_field": "Company", "to": "Companies", "type": "primary"}
            ],
        }

    def apply(self, tree: dict[str, Any], *, out: io.StringIO | None = None) -> str:
        """Apply a set-up file; what the command said. Raises: SystemExit."""
        path = self.folder / "setup.yaml"
        path.write_text(yaml.safe_dump(tree), encoding="utf-8")
        out = out or io.StringIO()
        call_command("setup", "apply", str(path), stdout=out, stderr=out)
        for sync in ObjectSync.objects.all():
            setattr(self, sync.name.lower(), sync)
        self.host.reset_counts()
        return out.getvalue()

    # The base ---------------------------------------------------------------------------

    def add(self, table: str, *rows: dict[str, Any]) -> list[str]:
        return self.fake.add(table, rows)

    def edit(self, table: str, record_id: str, **cells: Any) -> None:
        named = {name.replace("_", " "): value for name, value in cells.items()}
        self.fake.edit(table, record_id, named)

    def companies_there(self) -> dict[str, dict[str, Any]]:
        """Every company's cells by website."""
        cells = self.fake.cells("Companies")
        found = {c.get("Website", ""): {"id": i, **c} for i, c in cells.items()}
        assert len(found) == len(cells), "a company stands there twice"
        return found

    def people_there(self) -> dict[str, dict[str, Any]]:
        """Every person's cells by e-mail."""
        cells = self.fake.cells("People")
        found = {c.get("Email", ""): {"id": i, **c} for i, c in cells.items()}
        assert len(found) == len(cells), "a person stands there twice"
        return found

    def employers(self) -> dict[str, set[str]]:
        """The names of each person's companies, by e-mail."""
        names = {i: c.get("Name", "") for i, c in self.fake.cells("Companies").items()}
        return {
            mail: {names[i] for i in person["Company"]}
            for mail, person in self.people_there().items()
            if person.get("Company")
        }
