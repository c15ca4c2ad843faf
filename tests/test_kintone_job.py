"""HubSpot and Kintone brought into step: records, lookups, subtables, roles with labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from associations.setup.applying import apply
from associations.setup.exporting import export
from associations.setup.problems import SetupRefused
from connections import services as connection_services
from connections.connectors.kintone.publishing import page
from connections.models import ConnectedApp
from connections.sandbox.kintone.domain import App
from connections.sandbox.kintone.server import KintoneServer
from connections.sandbox.kintone.writes import Writer
from connections.sandbox.seeds.demo_kintone import lookup
from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync, RecordLink
from tests.test_main_job import quiet
from tests.world import PLAIN, PRIMARY, World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
Json = dict[str, Any]
TEXT = {"type": "SINGLE_LINE_TEXT"}
ANN, BOB, CID = "ann@acorn.example", "bob@birch.example", "cid@cedar.example"


class KintoneWorld(World):
    """HubSpot and a Kintone domain with companies, people and their roles."""

    def __init__(self, sandbox: SandboxServer, kintone: KintoneServer) -> None:
        self.sandbox, self.kintone = sandbox, kintone
        from tests.vendor import vendor_client

        self.client = vendor_client(sandbox)
        add = kintone.domain.add_app
        self.firms = add(
            "Firms",
            {
                "name": TEXT,
                "domain": TEXT | {"unique": True},
                "revenue": {"type": "NUMBER"},
                "seen": {"type": "DATETIME"},
                "active": {"type": "CHECK_BOX", "options": ["Yes"]},
            },
        )
        rows = {"firm": lookup(self.firms, "domain"), "since": {"type": "DATE"}}
        self.people = add(
            "People",
            {
                "email": TEXT | {"unique": True},
                "first": TEXT,
                "company": lookup(self.firms, "domain", {"company_name": "name"}),
                "company_name": TEXT,
                "firms": {"type": "SUBTABLE", "fields": rows},
            },
        )
        self.roles = add(
            "Roles",
            {
                "person": lookup(self.people, "email"),
                "firm": lookup(self.firms, "domain"),
                "role": {"type": "DROP_DOWN", "options": ["boss"]},
            },
        )
        self.environ = {
            "HUBSPOT_TOKEN": sandbox.token,
            **{
                f"KINTONE_{app.name.upper()}": kintone.token(app)
                for app in (self.firms, self.people, self.roles)
            },
        }

    # Set-up

    def tree(self, *links: Json, syncs: int = 2, **contacts: Any) -> Json:
        """The set-up file. Args: links, of the contacts; syncs, how many there are."""
        firms = {
            "name": "Companies",
            "hubspot_object": "companies",
            "app_object": "Firms",
            "match": [{"hubspot": "domain", "app": "domain", "normalize": "domain"}],
            "fields": [
                {"hubspot": "name", "app": "name"},
                {"hubspot": "domain", "app": "domain"},
                {"hubspot": "annualrevenue", "app": "revenue"},
            ],
        }
        people = {
            "name": "Contacts",
            "hubspot_object": "contacts",
            "app_object": "People",
            "match": [{"hubspot": "email", "app": "email", "normalize": "email"}],
            "fields": [
                {"hubspot": "email", "app": "email"},
                {"hubspot": "firstname", "app": "first"},
            ],
            "associations": list(links),
        } | contacts
        tokens = ["FIRMS", "PEOPLE", "ROLES"]
        return {
            "version": 1,
            "hubspot": [
                {
                    "name": "Acme",
                    "token": "${HUBSPOT_TOKEN}",
                    "base_url": self.sandbox.hubspot_url,
                    "requests_per_10s": 1_000_000,
                    "association_requests_per_10s": 1_000_000,
                    "search_per_second": 1_000_000,
                }
            ],
            "apps": [
                {
                    "name": "Domain",
                    "kind": "kintone",
                    "hubspot": "Acme",
                    "settings": {
                        "base_url": self.kintone.url,
                        "app_ids": [
                            str(a.id) for a in (self.firms, self.people, self.roles)
                        ],
                    },
                    "credentials": {
                        "api_tokens": [f"${{KINTONE_{t}}}" for t in tokens]
                    },
                    "syncs": [firms, people][2 - syncs :]
                    if syncs == 1
                    else [firms, people],
                }
            ],
        }

    def apply(self, tree: Json) -> list[str]:
        return apply(yaml.safe_dump(tree), self.environ)

    def go(self) -> Json:
        return self.run(*ObjectSync.objects.filter(archived_at=None))

    # Kintone, as a user

    def add(self, app: App, *rows: Json) -> None:
        writer = Writer(self.kintone.domain, lambda _: True, "clerk")
        with self.kintone.domain.change():
            for row in rows:
                writer.create(app, {k: {"value": v} for k, v in row.items()}, "")

    def edit(self, app: App, code: str, key: str, **values: Any) -> None:
        found = app.find(code, key)
        assert found is not None
        entry = {
            "id": found.id,
            "record": {k: {"value": v} for k, v in values.items()},
        }
        with self.kintone.domain.change():
            Writer(self.kintone.domain, lambda _: True, "clerk").update(app, entry, "")

    def firm_rows(self) -> dict[str, tuple[str, str]]:
        records = [r.values for r in self.firms.records.values()]
        found = {r["domain"]: (r["name"], r["revenue"]) for r in records}
        assert len(found) == len(records), "a firm stands there twice"
        return found

    def person_rows(self) -> dict[str, tuple[str, str, str]]:
        records = [r.values for r in self.people.records.values()]
        found = {
            r["email"]: (r["first"], r["company"], r["company_name"]) for r in records
        }
        assert len(found) == len(records), "a person stands there twice"
        return found

    def firms_of(self, email: str) -> list[str]:
        found = self.people.find("email", email)
        assert found is not None
        return [row["value"]["firm"] for row in found.values["firms"]]

    def role_rows(self) -> list[tuple[str, str, str | None]]:
        records = [r.values for r in self.roles.records.values()]
        return sorted((r["person"], r["firm"], r["role"] or None) for r in records)


@pytest.fixture
def world() -> Iterator[KintoneWorld]:
    with (
        SandboxServer(switches={"search_lag_s": 0}) as hubspot,
        KintoneServer() as kintone,
    ):
        yield KintoneWorld(hubspot, kintone)


LOOKUP: Json = {"app_field": "company", "to": "Companies", "type": "primary"}


def plant(world: KintoneWorld) -> None:
    acorn, birch = world.create(
        "companies",
        [
            {"name": "Acorn", "domain": "acorn.example"},
            {"name": "Birch", "domain": "birch.example", "annualrevenue": "5.5"},
        ],
    )
    ann, bob = world.create(
        "contacts",
        [{"email": ANN, "firstname": "Ann"}, {"email": BOB, "firstname": "Bob"}],
    )
    world.make_primary(ann, acorn)
    world.make_primary(bob, birch)
    world.add(
        world.firms,
        {"name": "Acorn", "domain": "acorn.example", "revenue": "1000.50"},
        {"name": "Cedar", "domain": "cedar.example"},
    )
    world.add(
        world.people,
        {"email": ANN, "first": "Ann"},
        {"email": CID, "first": "Cid", "company": "cedar.example"},
    )


def test_records_and_lookups_come_into_step_and_every_kind_of_change_travels(world):
    plant(world)
    world.apply(world.tree(LOOKUP))
    report = world.go()
    assert report["status"] == "succeeded", report
    assert world.firm_rows() == {
        "acorn.example": ("Acorn", "1000.50"),
        "birch.example": ("Birch", "5.5"),
        "cedar.example": ("Cedar", ""),
    }
    assert world.companies_in_hubspot()["acorn.example"]["annualrevenue"] == "1000.5"
    assert world.person_rows() == {
        ANN: ("Ann", "acorn.example", "Acorn"),
        BOB: ("Bob", "birch.example", "Birch"),
        CID: ("Cid", "cedar.example", "Cedar"),
    }
    assert world.primary() == {
        ANN: "acorn.example",
        BOB: "birch.example",
        CID: "cedar.example",
    }
    assert quiet(world.go())
    third = world.go()
    assert quiet(third), third
    for child in third["syncs"]:
        assert child["api_calls"]["app"] <= 3, third

    ids = {m: r["id"] for m, r in world.contacts_in_hubspot().items()}
    company = {d: r["id"] for d, r in world.companies_in_hubspot().items()}
    world.update("companies", company["acorn.example"], name="Acorn & Sons")
    world.make_primary(ids[ANN], company["cedar.example"])  # changed in HubSpot
    world.unlink(ids[BOB], company["birch.example"])  # cleared in HubSpot
    world.edit(world.firms, "domain", "birch.example", name="Birch Ltd")
    world.edit(
        world.people, "email", CID, company="birch.example"
    )  # changed in Kintone
    report = world.go()
    assert report["status"] == "succeeded", report
    assert {m: row[1] for m, row in world.person_rows().items()} == {
        ANN: "cedar.example",
        BOB: "",
        CID: "birch.example",
    }
    assert world.firm_rows()["acorn.example"][0] == "Acorn & Sons"
    assert world.companies_in_hubspot()["birch.example"]["name"] == "Birch Ltd"
    assert world.primary() == {ANN: "cedar.example", CID: "birch.example"}
    world.edit(world.people, "email", CID, company="")  # cleared in Kintone
    world.edit(world.people, "email", BOB, company="acorn.example")  # set in Kintone
    assert world.go()["status"] == "succeeded"
    assert world.primary() == {ANN: "cedar.example", BOB: "acorn.example"}
    assert quiet(world.go())
    assert quiet(world.go())


def test_an_export_of_the_set_up_changes_nothing(world):
    plant(world)
    world.apply(world.tree(LOOKUP))
    exported = export()
    assert "${KINTONE_FIRMS},${KINTONE_PEOPLE},${KINTONE_ROLES}" in exported
    assert world.kintone.token(world.firms) not in exported
    assert "nothing changed" in str(apply(exported, world.environ) or "nothing changed")
    app = ConnectedApp.objects.get()
    login, password = world.kintone.password
    tree = world.tree(LOOKUP)
    tree["apps"][0]["credentials"] = {"username": login, "password": password}
    world.apply(tree)
    app.refresh_from_db()
    assert app.credentials == {"username": login, "password": password}


def test_links_wait_for_the_sync_of_their_target_and_come_in_its_first_run(world):
    plant(world)
    with pytest.raises(SetupRefused, match="Companies"):
        world.apply(world.tree(LOOKUP, syncs=1))
    tree = world.tree(LOOKUP)
    tree["apps"][0]["syncs"][0]["enabled"] = False
    world.apply(tree)
    people = ObjectSync.objects.get(name="Contacts")
    report = world.run(people)
    assert world.links() == {
        (ANN, "acorn.example"): frozenset({PRIMARY, PLAIN}),
        (BOB, "birch.example"): frozenset({PRIMARY, PLAIN}),
    }
    (child,) = report["syncs"]
    assert child["associations"]["added"] == {"hubspot": 0, "app": 0}
    codes = {error["code"] for error in child["errors"]}
    assert codes == {"TARGET_NOT_SYNCED"}, report
    before = world.contacts_in_hubspot()
    tree["apps"][0]["syncs"][0]["enabled"] = True
    world.apply(tree)
    assert world.go()["status"] == "succeeded"
    assert world.primary()[CID] == "cedar.example"
    assert world.person_rows()[BOB][1] == "birch.example"
    assert world.contacts_in_hubspot() == before


def test_rows_of_a_subtable_hold_many_companies_both_ways(world):
    plant(world)
    world.edit(world.people, "email", CID, company="")
    row = {"firm": {"value": "cedar.example"}, "since": {"value": "2020-01-01"}}
    world.edit(world.people, "email", CID, firms=[{"value": row}])
    world.apply(
        world.tree({"app_field": "firms.firm", "to": "Companies", "type": "default"})
    )
    assert world.go()["status"] == "succeeded"
    assert world.firms_of(ANN) == ["acorn.example"]
    assert world.firms_of(CID) == ["cedar.example"]
    ids = {m: r["id"] for m, r in world.contacts_in_hubspot().items()}
    company = {d: r["id"] for d, r in world.companies_in_hubspot().items()}
    world.link(ids[CID], company["acorn.example"])
    more = [
        {"id": "9", "value": {"firm": {"value": f"{name}.example"}}}
        for name in ("birch", "cedar")
    ]
    world.edit(world.people, "email", BOB, firms=more)
    assert world.go()["status"] == "succeeded"
    assert world.firms_of(CID) == ["cedar.example", "acorn.example"]
    assert {d for m, d in world.links() if m == BOB} == {
        "birch.example",
        "cedar.example",
    }
    world.unlink(ids[CID], company["cedar.example"])
    assert world.go()["status"] == "succeeded"
    assert world.firms_of(CID) == ["acorn.example"]
    assert quiet(world.go())


def test_a_join_app_carries_labels_both_ways(world):
    plant(world)
    world.add(
        world.roles,
        {"person": CID, "firm": "cedar.example", "role": "boss"},
        {"person": ANN, "firm": "cedar.example"},
    )
    join = {
        "join_table": {
            "name": "Roles",
            "from": "person",
            "to": "firm",
            "label": "role",
        },
        "to": "Companies",
        "labels": {"boss": "Billing Contact"},
    }
    world.apply(world.tree(join))
    report = world.go()
    assert report["status"] == "succeeded", report
    assert world.role_rows() == [
        (ANN, "acorn.example", None),
        (ANN, "cedar.example", None),
        (BOB, "birch.example", None),
        (CID, "cedar.example", "boss"),
    ]
    labelled = {pair for pair, types in world.links().items() if len(types) > 1}
    assert (CID, "cedar.example") in labelled
    ids = {m: r["id"] for m, r in world.contacts_in_hubspot().items()}
    company = {d: r["id"] for d, r in world.companies_in_hubspot().items()}
    world.edit(world.roles, "Record_number", "1", role=None)
    world.unlink(ids[BOB], company["birch.example"])
    gone = next(r for r in world.roles.records.values() if r.values["person"] == ANN)
    with world.kintone.domain.change():
        world.kintone.domain.remove(world.roles, gone)
    lost = gone.values["firm"]
    assert world.go()["status"] == "succeeded"
    links = world.links()
    assert (ANN, lost) not in links
    assert links[CID, "cedar.example"] == frozenset({PRIMARY, PLAIN})  # and no label
    assert BOB not in {person for person, *_ in world.role_rows()}
    assert quiet(world.go())


def test_a_create_whose_answer_is_lost_is_found_again_and_not_made_twice(world):
    plant(world)
    world.apply(world.tree(LOOKUP))
    for when in ("after", "before"):
        world.kintone.set_faults(f"drop,path=/records.json,method=POST,when={when}")
        world.create("companies", [{"name": when, "domain": f"{when}.example"}])
        world.go()
        world.kintone.set_faults()
        report = world.go()
        assert report["status"] == "succeeded", report
        assert f"{when}.example" in world.firm_rows()
        assert len(world.firm_rows()) == len(world.companies_in_hubspot())
    assert quiet(world.go())


def test_a_sync_that_names_no_fields_gets_those_that_are_called_alike(world):
    plant(world)
    tree = world.tree()
    firms, people = tree["apps"][0]["syncs"]
    for sync in (firms, people):
        sync["fields"] = "default"
        del sync["match"]
    people["associations"] = "default"
    world.apply(tree)
    report = world.go()
    assert report["status"] == "succeeded", report
    assert world.firm_rows()["birch.example"][0] == "Birch"
    assert world.person_rows()[BOB][1] == "birch.example"
    assert world.primary()[CID] == "cedar.example"
    world.go()  # the name that Kintone copied along with the lookup
    assert world.person_rows()[ANN][2] == "Acorn"
    assert quiet(world.go())


@pytest.mark.unit
def test_the_published_page_is_what_the_table_says():
    published = Path(settings.BASE_DIR, "docs", "kintone-types.md").read_text()
    assert published == page(), "run make docs"


def test_a_user_who_writes_between_our_read_and_our_write_is_not_written_over(world):
    plant(world)
    world.apply(world.tree(LOOKUP))
    world.go()
    company = world.companies_in_hubspot()["acorn.example"]["id"]
    world.update("companies", company, name="From HubSpot")

    def edit(phase: str, number: int, request: Any) -> None:
        if phase == "before" and request.method == "PUT":
            world.kintone.set_hook(None)
            world.edit(world.firms, "domain", "acorn.example", revenue="77")

    world.kintone.set_hook(edit)
    report = world.go()
    assert report["status"] == "succeeded", report
    assert world.firm_rows()["acorn.example"] == ("From HubSpot", "77")
    assert world.companies_in_hubspot()["acorn.example"]["annualrevenue"] == "77"
    assert quiet(world.go())


def test_a_key_that_changes_leaves_lookups_behind_and_unlinks_nobody(world):
    plant(world)
    world.apply(world.tree(LOOKUP))
    world.go()
    world.edit(world.firms, "domain", "cedar.example", domain="new.cedar.example")
    report = world.go()
    assert report["status"] == "succeeded", report
    assert (CID, "new.cedar.example") in world.links()
    assert world.person_rows()[CID][1] == "cedar.example"
    assert quiet(world.go())


def test_a_right_a_field_and_an_app_that_go_stop_their_sync_alone(world):
    plant(world)
    world.apply(world.tree(LOOKUP))
    world.go()
    world.kintone.domain.rename_field(world.people, "first", "given")
    world.edit(world.firms, "domain", "acorn.example", name="Acorn 2")
    report = world.go()
    assert world.companies_in_hubspot()["acorn.example"]["name"] == "Acorn 2"
    contacts = report["syncs"][1]
    assert {e["code"] for e in contacts["errors"]} == {"FIELD_MISSING"}
    assert {m: r["firstname"] for m, r in world.contacts_in_hubspot().items()} == {
        ANN: "Ann",
        BOB: "Bob",
        CID: "Cid",
    }
    world.kintone.domain.rename_field(world.people, "given", "first")
    assert world.go()["status"] == "succeeded"
    world.edit(world.people, "email", CID, first="Cidric")
    assert world.go()["status"] == "succeeded"
    assert world.contacts_in_hubspot()[CID]["firstname"] == "Cidric"
    app = ConnectedApp.objects.get()
    app.credentials = {"api_tokens": world.kintone.token(world.firms)}
    app.save()
    report = world.go()
    firms, people = report["syncs"]
    assert firms["status"] == "succeeded", report
    assert people["status"] == "failed"
    assert {e["code"] for e in people["errors"]} == {"SCOPE_MISSING"}
    assert RecordLink.objects.filter(app_gone_at__isnull=False).count() == 0


def test_an_app_that_is_deleted_takes_no_other_sync_along_with_its_token(world):
    plant(world)
    world.apply(world.tree(LOOKUP))
    assert world.go()["status"] == "succeeded"
    linked = world.primary()
    world.kintone.domain.drop_app(world.people)
    world.edit(world.firms, "domain", "acorn.example", name="Acorn 2")
    firms, people = world.go()["syncs"]
    assert firms["status"] == "succeeded", firms
    assert world.companies_in_hubspot()["acorn.example"]["name"] == "Acorn 2"
    assert people["status"] == "failed"
    assert {e["code"] for e in people["errors"]} == {"SCHEMA_CHANGED"}
    assert world.primary() == linked
    assert RecordLink.objects.filter(app_gone_at__isnull=False).count() == 0
    # A log-in that nobody knows is refused as ever.
    app = ConnectedApp.objects.get()
    app.credentials = {"api_tokens": "nobodys,noones"}
    app.save()
    codes = {e["code"] for s in world.go()["syncs"] for e in s["errors"]}
    assert codes == {"CREDENTIALS_REFUSED"}


def test_a_connection_test_tells_of_a_token_that_is_not_known(world):
    world.apply(world.tree(LOOKUP))
    app = ConnectedApp.objects.get()
    app.credentials = {"api_tokens": f"{world.kintone.token(world.firms)},gone"}
    app.settings = {**app.settings, "app_ids": [str(world.firms.id)]}
    app.save()
    with closing(connection_services.open_app(app)) as connector:
        report = connector.test()
    (warning,) = report.warnings
    assert "does not know one of the API tokens" in warning
