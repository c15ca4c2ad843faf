"""Why a record, or a link between two, is or is not in sync: gate by gate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import reverse

from associations.models import AssociationLink, AssociationMapping
from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync, RecordLink, SyncFilter
from syncs.run.gates import GATES
from tests.shell import manage
from tests.test_identity import merge
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def ask(sync: str, **ids: str) -> dict[str, Any]:
    """What `explain --json` prints; its gates must be the promised ones, in order."""
    options = [f"--{name.replace('_', '-')}={i}" for name, i in ids.items()]
    ended = manage("explain", "--app=Ops", f"--sync={sync}", *options, "--json")
    assert (ended.status, ended.err) == (0, ""), ended
    found: dict[str, Any] = ended.json
    gates = found["gates"]
    assert [g["gate"] for g in gates] == list(GATES[: len(gates)])
    assert all(g["ok"] for g in gates[:-1])
    assert all(g["text"] for g in gates)
    if gates[-1]["ok"]:
        assert len(gates) == len(GATES)
    else:
        assert gates[-1]["code"]
        assert gates[-1]["remedy"]
    return found


def shut(sync: str, **ids: str) -> tuple[str, str, str]:
    """Gate, code and text of the gate that is shut."""
    found = ask(sync, **ids)
    last = found["gates"][-1]
    assert found["in_sync"] is False
    return (
        ("", "", found["next_run"])
        if last["ok"]
        else (
            last["gate"],
            last["code"],
            last["text"],
        )
    )


def row_id(world: World, table: str, column: str, value: str) -> str:
    rows = world.sql(f"SELECT id FROM {table} WHERE {column} = %s", value)
    return str(rows[0][0])


def test_a_pair_and_its_link_are_in_sync_until_a_side_moves(world):
    acme, globex = world.create(
        "companies",
        [
            {"name": "Acme", "domain": "acme.example"},
            {"name": "Globex", "domain": "globex.example"},
        ],
    )
    (ann,) = world.create("contacts", [{"email": "Ann@acme.example"}])
    world.make_primary(ann, acme)
    world.set_up()
    world.run()
    rows = list(RecordLink.objects.order_by("pk").values())
    links = list(AssociationLink.objects.values())
    record = ask("Contacts", hubspot_id=ann)
    assert (record["in_sync"], record["next_run"]) == (True, "")
    assert "email (email) = ann@acme.example" in record["gates"][4]["text"]
    link = ask("Contacts", hubspot_id=ann, to_hubspot_id=acme)
    assert link["in_sync"] is True
    assert link["linked"] == {"hubspot": True, "app": True}
    assert "company_id → Companies (Primary)" in link["gates"][5]["text"]
    person = row_id(world, "people", "email", "ann@acme.example")
    company = row_id(world, "companies", "domain", "acme.example")
    by_row = ask("Contacts", app_id=person, to_app_id=company)
    assert by_row["gates"] == link["gates"]
    turned = ask("Companies", hubspot_id=acme, to_app_id=person)
    assert turned["gates"][5:] == link["gates"][5:]
    neither = ask("Contacts", hubspot_id=ann, to_hubspot_id=globex)
    assert neither["in_sync"] is True
    assert "neither side links" in neither["gates"][-1]["text"]
    said = manage("explain", "--app=Ops", "--sync=Contacts", f"--hubspot-id={ann}")
    assert said.out.splitlines()[0].endswith(": in sync")
    assert said.out.count("\u2713") == len(GATES)
    # What no run has seen yet.
    world.update("contacts", ann, lastname="Late")
    moved = shut("Contacts", hubspot_id=ann)
    assert moved[0] == "", "no gate is shut"
    assert "in Ops: last_name from blank to 'Late'" in moved[2]
    world.link(ann, globex)
    plain = shut("Contacts", hubspot_id=ann, to_hubspot_id=globex)
    assert plain[:2] == ("type", "TYPE_NOT_MAPPED")
    assert "as default; this mapping follows Primary" in plain[2]
    more = AssociationMapping.objects.get()
    more.pk, more.type_id, more.position = None, 279, 1
    more.app_field, more.by, more.direction = "first_name", "match_key", "to_hubspot"
    more.save()  # another mapping of the same pair follows that type
    other = shut("Contacts", hubspot_id=ann, to_hubspot_id=globex)
    assert other[:2] == ("direction", "DIRECTION_FORBIDS")
    assert ask("Contacts", hubspot_id=ann, to_hubspot_id=acme)["in_sync"] is True
    more.delete()
    world.unlink(ann, acme)
    lost = ask("Contacts", hubspot_id=ann, to_hubspot_id=acme)
    assert lost["in_sync"] is False
    assert lost["linked"] == {"hubspot": False, "app": True}
    assert lost["next_run"].startswith("The next run removes the link to Acme in Ops")
    # To ask is to write nothing.
    assert list(RecordLink.objects.order_by("pk").values()) == rows
    assert list(AssociationLink.objects.values()) == links


def test_the_admin_explains_a_record_and_its_link(world, admin_client):
    (acme,) = world.create("companies", [{"name": "Acme", "domain": "acme.example"}])
    (ann,) = world.create("contacts", [{"email": "ann@x.example"}])
    world.make_primary(ann, acme)
    world.set_up()
    world.run()
    link = AssociationLink.objects.get()
    page = admin_client.get(
        reverse("admin:syncs_recordlink_change", args=[link.link_id])
    )
    why = reverse("admin:syncs_recordlink_why", args=[link.link_id])
    assert f'href="{why}"' in page.content.decode()
    record = admin_client.get(why).content.decode()
    assert record.count("\u2713 Passed") == len(GATES)
    page = admin_client.get(
        reverse("admin:associations_associationlink_change", args=[link.pk])
    )
    url = page.context["why_url"]
    assert url == f"{why}?to_hubspot_id={acme}&by={world.mapping.pk}"
    world.unlink(ann, acme)
    shown = admin_client.get(url)
    assert shown.status_code == 200
    assert "The next run removes the link to Acme" in shown.content.decode()
    for query in ("?to_app_id=abc", "?to_app_id=1&by=9"):
        assert admin_client.get(why + query).status_code == 200


def test_what_is_asked_in_the_wrong_way_is_refused(world):
    world.set_up()
    wrong = (
        ("--app=Nope", "--sync=Contacts", "--hubspot-id=1"),
        ("--app=Ops", "--sync=Contact", "--hubspot-id=1"),
        ("--app=Ops", "--sync=Contacts"),
        ("--app=Ops", "--sync=Contacts", "--hubspot-id=1", "--app-id=1"),
        ("--app=Ops", "--sync=Contacts", "--hubspot-id="),
        ("--app=Ops", "--sync=Contacts", "--hubspot-id=ann@acme.example"),
        ("--app=Ops", "--sync=Contacts", "--app-id=ann@acme.example"),
        ("--app=Ops", "--sync=Contacts", "--to-app-id=1"),
    )
    for arguments in wrong:
        ended = manage("explain", *arguments)
        assert (ended.status, ended.out) == (2, ""), arguments
        assert len(ended.err.splitlines()) == 1, ended.err


def test_each_gate_that_is_shut_says_why_and_what_to_do(world):
    names = ("acme", "globex", "out", "twin")
    acme, _, out, twin = world.create(
        "companies",
        [{"name": n.title(), "domain": f"{n}.example"} for n in names],
    )
    mails = ("ann", "bob", "cy", "dee", "eve", "dup")
    ann, bob, cy, dee, eve, dup = world.create(
        "contacts", [{"email": f"{m}@x.example", "lastname": m} for m in mails]
    )
    (nokey,) = world.create("contacts", [{"lastname": "Nobody"}])
    for contact, company in ((ann, acme), (bob, twin), (eve, out)):
        world.make_primary(contact, company)
    for _ in range(2):
        world.sql("INSERT INTO companies (name, domain) VALUES ('T', 'twin.example')")
        world.sql("INSERT INTO people (email) VALUES ('dup@x.example')")
    world.set_up()
    filters = (
        (world.contacts, "lastname", "is_not", "cy"),
        (world.companies, "name", "is_not", "Out"),
    )
    for sync, field, operator, value in filters:
        SyncFilter.objects.create(
            sync=sync, side="hubspot", field=field, operator=operator, value=value
        )
    world.run()
    client = world.client.crm
    client.contacts.basic_api.archive(dee)
    gone = merge(world, "contacts", ann, eve)
    (late,) = world.create("contacts", [{"email": "late@x.example"}])
    dups = [
        row[0] for row in world.sql("SELECT id FROM people WHERE email LIKE 'dup%'")
    ]
    told: tuple[tuple[dict[str, str], str, str, str], ...] = (
        ({"hubspot_id": late}, "read", "NOT_READ", "exists"),
        ({"hubspot_id": "99999999"}, "read", "RECORD_GONE", "no contacts 99999999"),
        ({"app_id": "99999999"}, "read", "RECORD_GONE", "no people 99999999"),
        ({"hubspot_id": dee}, "read", "RECORD_GONE", "the next run concludes"),
        ({"hubspot_id": eve}, "read", "RECORD_MERGED", f"into {gone}"),
        ({"hubspot_id": cy}, "in_scope", "EXCLUDED", "lastname must not be cy, and is"),
        ({"hubspot_id": nokey}, "matched", "KEY_MISSING", "email (email): blank"),
        ({"hubspot_id": dup}, "matched", "MATCH_AMBIGUOUS", f"app:{dups[0]}"),
        (
            {"hubspot_id": bob, "to_hubspot_id": out},
            "in_scope",
            "EXCLUDED",
            "name must not be Out",
        ),
        (
            {"hubspot_id": bob, "to_hubspot_id": twin},
            "matched",
            "TARGET_NOT_MATCHED",
            "MATCH_AMBIGUOUS: Twin",
        ),
        ({"hubspot_id": bob, "to_hubspot_id": twin}, "matched", "", "has waited for"),
        ({"hubspot_id": bob, "to_app_id": "88888"}, "read", "RECORD_GONE", "88888"),
        ({"hubspot_id": nokey, "to_hubspot_id": acme}, "matched", "", "KEY_MISSING"),
    )
    for ids, gate, code, text in told:
        found = shut("Contacts", **ids)
        assert found[0] == gate, (ids, found)
        assert code in found[1], (ids, found)
        assert text in found[2], (ids, found)


def test_the_set_up_and_refusals_shut_the_later_gates(world):
    (acme,) = world.create("companies", [{"name": "Acme", "domain": "acme.example"}])
    mails = ("ann", "bob", "cy")
    ann, bob, cy = world.create(
        "contacts", [{"email": f"{m}@x.example", "lastname": m} for m in mails]
    )
    world.make_primary(ann, acme)
    world.set_up()
    world.run()
    pair = {"hubspot_id": ann, "to_hubspot_id": acme}
    other = {"hubspot_id": bob, "to_hubspot_id": acme}

    def with_(sync: ObjectSync, **columns: Any) -> None:
        ObjectSync.objects.filter(pk=sync.pk).update(**columns)

    # Off, here and there.
    with_(world.companies, enabled=False)
    assert shut("Contacts", **pair)[:2] == ("enabled", "TARGET_NOT_SYNCED")
    assert ask("Contacts", hubspot_id=ann)["in_sync"] is True
    with_(world.companies, enabled=True, paused=True)
    assert "paused" in shut("Companies", hubspot_id=acme)[2]
    with_(world.companies, paused=False)
    # Direction: a record that is not created, a link that does not travel.
    with_(world.contacts, direction="to_app")
    world.sql("INSERT INTO people (email) VALUES ('new@x.example')")
    world.sql(
        "UPDATE people SET company_id = (SELECT max(id) FROM companies) "
        "WHERE email = 'bob@x.example'"
    )
    world.run()
    new = row_id(world, "people", "email", "new@x.example")
    found = shut("Contacts", app_id=new)
    assert found[:2] == ("direction", "DIRECTION_FORBIDS")
    assert "direction to_app" in found[2]
    found = shut("Contacts", **other)
    assert found[:2] == ("direction", "DIRECTION_FORBIDS")
    with_(world.contacts, direction="two_way")
    # A type that HubSpot does not list, or no mapping at all.
    AssociationMapping.objects.update(type_id=9999)
    assert shut("Contacts", **pair)[:2] == ("type", "TYPE_UNKNOWN")
    AssociationMapping.objects.update(type_id=1)
    # Limits hold a field and a link.
    world.update("contacts", cy, lastname="Changed")
    with_(world.contacts, limits={"update": 0, "percent": None})
    world.run()
    found = shut("Contacts", hubspot_id=cy)
    assert found[:2] == ("limits", "HELD_BY_LIMITS")
    assert "update 1 of at most 0" in found[2]
    assert shut("Contacts", **other)[:2] == ("limits", "HELD_BY_LIMITS")
    with_(world.contacts, limits={"percent": None})
    world.run()
    assert ask("Contacts", **other)["in_sync"] is True
    # A person decides.
    with_(world.contacts, conflict="review")
    world.update("contacts", cy, lastname="H")
    world.sql("UPDATE people SET last_name = 'A' WHERE email = 'cy@x.example'")
    assert shut("Contacts", hubspot_id=cy)[:2] == ("direction", "CONFLICT")
    # What a side refused.
    world.sql("ALTER TABLE people ADD CHECK (first_name <> 'Bad')")
    world.update("contacts", bob, firstname="Bad")
    world.run()
    found = shut("Contacts", hubspot_id=bob)
    assert found[:2] == ("last_error", "VALUE_INVALID")
    # Neither a mapping from the one nor to it.
    AssociationMapping.objects.all().delete()
    assert shut("Contacts", **pair)[:2] == ("mapped", "TARGET_NOT_SYNCED")


def test_a_system_that_cannot_be_asked_is_named(world):
    (acme,) = world.create("companies", [{"name": "Acme", "domain": "acme.example"}])
    (ann,) = world.create("contacts", [{"email": "ann@x.example"}])
    world.make_primary(ann, acme)
    world.set_up()
    world.run()
    world.account.credentials = {"token": "pat-eu1-not-the-token"}
    world.account.save()
    for ids in ({}, {"to_hubspot_id": acme}):
        found = ask("Contacts", hubspot_id=ann, **ids)
        assert "HubSpot cannot be asked now (CREDENTIALS" in found["gates"][2]["text"]
        assert found["in_sync"] is True, "by what is known"
    found_ = shut("Contacts", hubspot_id="424242")
    assert found_[:2] == ("read", "CREDENTIALS_REFUSED")
    world.app.credentials = {"dsn": "postgresql://nobody@127.0.0.1:1/none"}
    world.app.save()
    found_ = shut("Contacts", app_id="424242")
    assert found_[:2] == ("read", "UNAVAILABLE")
