"""Syncs that point at each other: all links stand after one run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from associations.models import AssociationLink, AssociationMapping
from connections import services as connection_services
from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import Change, SyncRun
from syncs.models.choices import Trigger
from syncs.run import closing as closing_runs
from syncs.services import runs
from tests.test_type_lists import label
from tests.vendor import all_edges
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
FIRMS = 4
NAMES = [f"{n}.example" for n in range(FIRMS)]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        made = World(sandbox, pg_dsn)
        made.sql("ALTER TABLE companies ADD main_contact_id int REFERENCES people")
        yield made


def plant(world: World) -> None:
    """people.company_id is the primary company; companies.main_contact_id, by a label
    of an account's own, a person of it."""
    world.set_up()
    label(world, "Speaker")
    with closing(connection_services.open_hubspot(world.account)) as hubspot:
        types = hubspot.association_types("0-2", "0-1")
    (speaker,) = (t.type_id for t in types if t.label == "Speaker")
    AssociationMapping.objects.create(
        sync=world.companies,
        app_field="main_contact_id",
        to_sync=world.contacts,
        category="USER_DEFINED",
        type_id=speaker,
    )


def fill_app(world: World) -> None:
    world.sql(
        "INSERT INTO companies (name, domain) SELECT d, d FROM unnest(%s::text[]) d",
        NAMES,
    )
    world.sql(
        "INSERT INTO people (email, company_id) SELECT 'p@' || domain, id FROM companies"
    )
    world.sql(
        "UPDATE companies c SET main_contact_id = p.id FROM people p "
        "WHERE p.company_id = c.id"
    )


def fill_hubspot(world: World) -> None:
    from hubspot.crm.associations.v4 import AssociationSpec

    api = world.client.crm.associations.v4.basic_api
    with closing(connection_services.open_hubspot(world.account)) as hubspot:
        known = hubspot.association_types("0-1", "0-2")
    specs = [
        AssociationSpec(association_category=t.category, association_type_id=t.type_id)
        for t in known
        if t.label in ("Primary", "Speaker")
    ]
    firms = world.create("companies", [{"name": d, "domain": d} for d in NAMES])
    people = world.create("contacts", [{"email": f"p@{d}"} for d in NAMES])
    for person, firm in zip(people, firms, strict=True):
        api.create("contacts", person, "companies", firm, specs)


def speakers_in_app(world: World) -> set[tuple[str, str]]:
    return set(
        world.sql(
            "SELECT c.domain, p.email FROM companies c "
            "JOIN people p ON p.id = c.main_contact_id"
        )
    )


def speakers_in_hubspot(world: World) -> set[tuple[str, str]]:
    mails = {r["id"]: m for m, r in world.contacts_in_hubspot().items()}
    domains = {r["id"]: d for d, r in world.companies_in_hubspot().items()}
    found = all_edges(world.client, "companies", "contacts", map(str, domains))
    return {
        (domains[a], mails[b])
        for (a, b), types in found.items()
        if any(category == "USER_DEFINED" for category, _ in types)
    }


def everything(world: World) -> None:
    wanted = {(d, f"p@{d}") for d in NAMES}
    assert speakers_in_app(world) == speakers_in_hubspot(world) == wanted
    assert world.primary() == {f"p@{d}": d for d in NAMES}
    assert {m: r[2] for m, r in world.people_rows().items()} == world.primary()
    assert not AssociationLink.objects.exclude(state="in_sync").exists()


def quiet(report: dict[str, Any]) -> bool:
    nothing = {"hubspot": 0, "app": 0}
    return all(
        sync["associations"][w] == nothing
        for sync in report["syncs"]
        for w in ("added", "removed", "changed")
    ) and all(s["created"] == s["updated"] == nothing for s in report["syncs"])


def test_one_run_fills_hubspot_with_links_that_point_both_ways(world):
    plant(world)
    fill_app(world)
    report = world.run()
    assert report["status"] == "succeeded", report["syncs"]
    everything(world)
    assert all(s["created"]["hubspot"] == FIRMS for s in report["syncs"])
    assert quiet(world.run())
    assert quiet(world.run())


def test_a_preview_of_it_lists_every_link_and_its_plan_writes_them(world):
    plant(world)
    fill_app(world)
    report = world.run(dry_run=True)
    edges = {
        (s["sync"], e["record"], e["other_record"])
        for s in report["syncs"]
        for e in s["edges"]
    }
    assert len(edges) == 2 * FIRMS, report
    assert len(edges) == sum(
        s["associations"]["added"]["hubspot"] for s in report["syncs"]
    )
    assert all(s["created"]["hubspot"] == FIRMS for s in report["syncs"])
    assert world.companies_in_hubspot() == {}
    plan, children = services.plan_run(report["run"])
    run = services.start(
        syncs=[c.sync for c in children if c.sync], plan=plan, trigger=Trigger.COMMAND
    )
    services.execute(run)
    done = services.report(SyncRun.objects.get(pk=run.pk))
    assert done["status"] == "succeeded", done
    assert (
        not Change.objects.filter(run__parent=run).exclude(outcome="applied").exists()
    )
    everything(world)
    assert quiet(world.run())


def test_one_run_fills_the_app_and_counts_the_second_look_in_the_same_report(world):
    plant(world)
    fill_hubspot(world)
    report = world.run(dry_run=True)
    assert [s["associations"]["added"]["app"] for s in report["syncs"]] == [FIRMS] * 2
    assert world.people_rows() == {}
    report = world.run()
    assert report["status"] == "succeeded", report["syncs"]
    everything(world)
    assert [s["associations"]["added"]["app"] for s in report["syncs"]] == [FIRMS] * 2
    assert len(report["syncs"]) == 2
    assert quiet(world.run())
    assert quiet(world.run())


def test_what_a_run_died_before_is_settled_by_the_next(world, monkeypatch):
    plant(world)
    fill_hubspot(world)
    begun = closing_runs.reopen

    def dies(run: SyncRun) -> bool:
        assert begun(run), "there is something to look at again"
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "reopen", dies)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert AssociationLink.objects.filter(state="pending").count() == FIRMS
    monkeypatch.setattr(runs, "reopen", begun)
    report = world.run()
    assert report["status"] == "succeeded", report["syncs"]
    everything(world)
    assert quiet(world.run())
