"""Companies in HubSpot and in a table that archives by a column, from a set-up file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from syncs.models import Change, ObjectSync, RecordLink
from tests.shell import manage
from tests.vendor import all_records
from tests.world import World

NOTHING = {"hubspot": 0, "app": 0}
BY_COLUMN = {"app": {"field": "archived", "value": True}}


class Graves:
    """One sync of companies; `run` is the command, `set_up` applies a file."""

    def __init__(self, world: World, path: Path) -> None:
        self.world, self.path = world, path
        world.sql("ALTER TABLE companies ADD archived boolean NOT NULL DEFAULT false")

    def set_up(self, **sync: Any) -> None:
        common = {
            "name": "Companies",
            "hubspot_object": "companies",
            "app_object": "companies",
            "match": [{"hubspot": "domain", "app": "domain", "normalize": "domain"}],
            "fields": [
                {"hubspot": name, "app": name} for name in ("name", "domain", "phone")
            ],
            "app_cursor": "updated_at",
            "archive": BY_COLUMN,
            "every": "off",
        }
        tree = {
            "version": 1,
            "hubspot": [
                {
                    "name": "Acme",
                    "token": self.world.sandbox.token,
                    "base_url": self.world.sandbox.hubspot_url,
                    "requests_per_10s": 100000,
                    "search_per_second": 1000,
                }
            ],
            "apps": [
                {
                    "name": "Ops",
                    "kind": "postgres",
                    "hubspot": "Acme",
                    "credentials": {"dsn": self.world.dsn},
                    "syncs": [
                        {k: v for k, v in (common | sync).items() if v is not None}
                    ],
                }
            ],
        }
        self.path.write_text(yaml.safe_dump(tree), encoding="utf-8")
        applied = manage("setup", "apply", str(self.path))
        assert applied.status == 0, applied

    @property
    def sync(self) -> ObjectSync:
        return ObjectSync.objects.get(name="Companies")

    def pairs(self, count: int, **sync: Any) -> None:
        """So many pairs in step: c0.example and on, with the ids 1 and on in the app."""
        self.world.sql(
            "INSERT INTO companies (name, domain, phone) SELECT 'C' || n, "
            "'c' || n || '.example', '1' FROM generate_series(0, %s) n",
            count - 1,
        )
        self.set_up(**sync)
        assert self.run()["created"] == {"hubspot": count, "app": 0}

    def run(self, *how: str, status: int = 0) -> dict[str, Any]:
        """Run the command; what it prints of the sync."""
        ended = manage("sync", "--json", *how)
        assert ended.status == status, ended
        return dict(ended.json["syncs"][0])

    def quiet(self) -> bool:
        """Whether a complete run writes nothing."""
        report = self.run("--full")
        return all(report[k] == NOTHING for k in ("created", "updated", "archived"))

    def approve(self, *what: str, status: int = 0) -> None:
        ended = manage("approve", *what)
        assert ended.status == status, ended

    # What is there --------------------------------------------------------------------

    def hubspot(self, *, archived: bool = False) -> set[str]:
        rows = all_records(
            self.world.client, "companies", ("domain",), archived=archived
        )
        found = [str(row["domain"]) for row in rows.values()]
        assert len(set(found)) == len(found), "a company stands there twice"
        return set(found)

    def rows(self, *, archived: bool = False) -> set[str]:
        found = self.world.sql(
            "SELECT domain FROM companies WHERE archived = %s", archived
        )
        assert len(set(found)) == len(found), "a company stands there twice"
        return {domain for (domain,) in found}

    def link(self, domain: str = "c0.example") -> RecordLink:
        key = {"keys__rank": 0, "keys__value": domain}
        return RecordLink.objects.filter(**key).distinct().get()

    def hubspot_id(self, domain: str = "c0.example") -> str:
        return str(self.link(domain).hubspot_id)

    def archive_in_hubspot(self, domain: str = "c0.example") -> str:
        record_id = self.hubspot_id(domain)
        self.world.client.crm.objects.basic_api.archive("companies", record_id)
        return record_id

    def restore_in_hubspot(self, record_id: str) -> None:
        self.world.sandbox.control.restore("companies", record_id)

    def waiting(self) -> list[Change]:
        rows = Change.objects.filter(outcome="held", awaiting="deletes")
        return list(rows.order_by("pk"))
