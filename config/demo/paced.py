"""Measure a first sync with real limits and latency against what these force.

HubSpot holds companies and contacts with their primary company, the app nothing: every
record is created there with its link. The bound counts the calls that nobody could do
without, one after the other: the second page is known from the first, and a contact is
made after its company.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

import yaml

from config.demo.benchmark import prepare, sync
from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.tokens import MAIN_BASE, TOKENS
from connections.sandbox.host import Host
from connections.sandbox.hubspot.links import Pair
from connections.sandbox.kintone.server import KintoneServer
from connections.sandbox.seeds import demo_airtable, demo_kintone
from connections.sandbox.server import SandboxServer

COMPANIES, CONTACTS = 200, 1_800
RECORDS = COMPANIES + CONTACTS
LATENCY_S = 0.15  # of every call, on both sides
MOST = 1.15  # times what cannot be avoided
KINDS = ("airtable", "kintone")
FIELDS = {
    "airtable": ("Name", "Website", "Email", "First name", "Last name", "Company"),
    "kintone": ("name", "domain", "email", "first_name", "last_name", "company"),
}


@dataclass(frozen=True, slots=True)
class Paced:
    """One kind's first sync: `forced_s` is what calls, limits and latency take alone."""

    kind: str
    forced_s: float
    wall_s: float
    cpu_s: float
    calls: Mapping[str, int]

    @property
    def ratio(self) -> float:
        return self.wall_s / self.forced_s

    def text(self) -> str:
        return (
            f"{self.kind}: {RECORDS} records with links, {self.calls['hubspot']} calls to "
            f"HubSpot and {self.calls['app']} to the app: {self.wall_s:.1f} s, forced "
            f"{self.forced_s:.1f} s, {self.ratio:.2f} times; our processor {self.cpu_s:.1f} s"
        )

    def json(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": round(self.ratio, 3)}


def forced_s(kind: str) -> float:
    """The seconds that limits, pages one after the other and latency force."""
    total = 0.0
    for count, linked in ((COMPANIES, False), (CONTACTS, True)):
        read = ceil(count / 100)  # HubSpot's pages; the app's empty one comes meanwhile
        links = ceil(count / 1000) if linked else 0
        total += (read + links) * LATENCY_S
        if kind == "airtable":
            total += ceil(count / 10) * max(LATENCY_S, 1 / 5)  # five a second
        else:
            # The form, the keys of the companies, all records in one bulk request,
            # and what Kintone made of them, 500 a page.
            total += (1 + links + ceil(count / 2000) + ceil(count / 500)) * LATENCY_S
    return total


def measure(kind: str) -> Paced:
    """Sync once. Raises: RuntimeError when that does not succeed."""
    with ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="crosslink-paced-")
        folder = Path(stack.enter_context(made))
        hubspot = SandboxServer(switches={"search_lag_s": 0}, rate_limits="real")
        stack.enter_context(hubspot)
        _fill(hubspot)
        app, settings, credentials = _app(kind, stack)
        environ = prepare(folder, _file(kind, hubspot, settings, credentials), {})
        hubspot.set_latency(LATENCY_S * 1000)
        app.set_latency(LATENCY_S * 1000)
        report, spent = sync(environ, "first")
    made_there = sum(child["created"]["app"] for child in report["syncs"])
    linked = sum(child["associations"]["added"]["app"] for child in report["syncs"])
    if (made_there, linked) != (RECORDS, CONTACTS):
        raise RuntimeError(
            f"{made_there} records and {linked} links were made: {report}"
        )
    calls = {
        side: sum(child["api_calls"][side] for child in report["syncs"])
        for side in ("hubspot", "app")
    }
    return Paced(kind, forced_s(kind), spent["wall_s"], spent["cpu_s"], calls)


def _fill(server: SandboxServer) -> None:
    account = server.hubspot.main
    contact, company = map(account.catalogue.kind, ("contacts", "companies"))
    primary = account.types.primary(contact, company)
    assert primary is not None, "contacts have a primary company"
    with account.store.transaction():
        ids = [
            account.records.create(
                company, {"name": f"Company {n}", "domain": f"c{n}.example"}
            ).id
            for n in range(COMPANIES)
        ]
        for n in range(CONTACTS):
            values = {
                "email": f"p{n}@c{n % COMPANIES}.example",
                "firstname": f"First {n}",
                "lastname": f"Last {n}",
            }
            made = account.records.create(contact, values)
            pair = Pair(contact, made.id, company, ids[n % COMPANIES])
            account.links.write(pair, [primary], default=False)


def _app(kind: str, stack: ExitStack) -> tuple[Host, dict[str, str], dict[str, str]]:
    """An app with the demo's tables and no record, its settings and credentials."""
    if kind == "airtable":
        airtable = Host(Airtable(seed=demo_airtable.make_tables, enforced=True))
        settings = {"base_id": MAIN_BASE, "base_url": airtable.url}
        return stack.enter_context(airtable), settings, {"token": TOKENS[0].text}
    kintone = KintoneServer(seed=demo_kintone.make_people, rate_limits="real")
    user, password = kintone.password
    credentials = {"username": user, "password": password}
    return stack.enter_context(kintone), {"base_url": kintone.url}, credentials


def _file(
    kind: str,
    hubspot: SandboxServer,
    settings: Mapping[str, str],
    credentials: Mapping[str, str],
) -> str:
    name, domain, email, first, last, company = FIELDS[kind]
    companies = {
        "name": "Companies",
        "hubspot_object": "companies",
        "app_object": "Companies",
        "match": [{"hubspot": "domain", "app": domain, "normalize": "domain"}],
        "fields": [
            {"hubspot": "name", "app": name},
            {"hubspot": "domain", "app": domain},
        ],
    }
    contacts = {
        "name": "Contacts",
        "hubspot_object": "contacts",
        "app_object": "People",
        "match": [{"hubspot": "email", "app": email, "normalize": "email"}],
        "fields": [
            {"hubspot": "email", "app": email},
            {"hubspot": "firstname", "app": first},
            {"hubspot": "lastname", "app": last},
        ],
        "associations": [{"app_field": company, "to": "Companies", "type": "primary"}],
    }
    account = {
        "name": "Paced",
        "token": hubspot.token,
        "base_url": hubspot.hubspot_url,
        "requests_per_10s": 190,
    }
    app = {
        "name": "Paced app",
        "kind": kind,
        "hubspot": "Paced",
        "settings": dict(settings),
        "credentials": dict(credentials),
        "syncs": [companies, contacts],
    }
    tree = {"version": 1, "hubspot": [account], "apps": [app]}
    return str(yaml.safe_dump(tree, sort_keys=False))
