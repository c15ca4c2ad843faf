"""Limits of HubSpot's links: known before a write, named, and over once there is room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from associations.models import AssociationLink, AssociationMapping
from associations.services import read_pair
from connections import services as connection_services
from connections.sandbox.hubspot.switches import BY_NAME
from connections.sandbox.server import SandboxServer
from tests.test_type_lists import label
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
A, B, C = (f"{letter}.example" for letter in "abc")
ANN, BOB, CID = (f"{name}@x.example" for name in ("ann", "bob", "cid"))


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        made = World(sandbox, pg_dsn)
        made.sql("ALTER TABLE people ADD advises_id int REFERENCES companies")
        yield made


def plant(world: World) -> dict[str, Any]:
    """Three companies and three people on both sides, Ann at A; the ids in HubSpot."""
    label(world, "Adviser")
    domains = (A, B, C)
    firms = world.create("companies", [{"name": d, "domain": d} for d in domains])
    people = world.create("contacts", [{"email": m} for m in (ANN, BOB, CID)])
    ids = dict(zip((*domains, ANN, BOB, CID), (*firms, *people), strict=True))
    world.make_primary(ids[ANN], ids[A])
    world.set_up()
    learn(world)
    AssociationMapping.objects.create(
        sync=world.contacts,
        app_field="advises_id",
        to_sync=world.companies,
        category="USER_DEFINED",
        type_id=adviser(world, "0-1", "0-2"),
    )
    assert world.run()["status"] == "succeeded"
    return ids


def adviser(world: World, one: str, other: str) -> int:
    with closing(connection_services.open_hubspot(world.account)) as hubspot:
        types = hubspot.association_types(one, other)
    return next(t.type_id for t in types if t.label == "Adviser")


def learn(world: World) -> None:
    """Read types and limits, as each full run does."""
    with closing(connection_services.open_hubspot(world.account)) as hubspot:
        read_pair(world.account, hubspot, ("0-1", "0-2"))


def cap(world: World, one: str, other: str, type_: tuple[str, int], most: int) -> None:
    from hubspot.crm.associations.v4.schema import (
        BatchInputPublicAssociationDefinitionConfigurationCreateRequest as Batch,
    )
    from hubspot.crm.associations.v4.schema import (
        PublicAssociationDefinitionConfigurationCreateRequest as Item,
    )

    item = Item(category=type_[0], type_id=type_[1], max_to_object_ids=most)
    api = world.client.crm.associations.v4.schema.definition_configurations_api
    api.batch_create(one, other, Batch(inputs=[item]))


def advises(world: World, mail: str, domain: str | None) -> None:
    world.sql(
        "UPDATE people SET advises_id = (SELECT id FROM companies WHERE domain = %s) "
        "WHERE email = %s",
        domain,
        mail,
    )


def advisers(world: World) -> dict[str, str]:
    return {
        mail: domain
        for (mail, domain), types in world.links().items()
        if any(category == "USER_DEFINED" for category, _ in types)
    }


def refused(world: World, report: dict[str, Any], *said: str) -> None:
    """One link failed, alone, and its text says all of this."""
    links = report["syncs"][1]["associations"]
    assert links["failing"] == 1, report["syncs"][1]
    (row,) = AssociationLink.objects.filter(state="failing")
    assert row.code == "LIMIT_REACHED"
    for words in said:
        assert words in row.text, row.text


def all_well(world: World) -> None:
    report = world.run()["syncs"][1]
    assert report["errors"] == []
    assert not AssociationLink.objects.exclude(state="in_sync").exists()
    links = report["associations"]
    assert not any(
        links[w][s] for w in ("added", "removed", "changed") for s in links[w]
    )


def test_a_contact_with_as_many_companies_as_it_may_have_is_refused_before_a_call(
    world,
):
    plant(world)
    cap(world, "contacts", "companies", ("HUBSPOT_DEFINED", 279), 1)
    learn(world)
    advises(world, ANN, B)
    advises(world, BOB, C)
    count, reset = world.sandbox.control.count, world.sandbox.control.reset_counts
    reset()
    refused(world, world.run(), "allows 1 links from one of contacts to companies", A)
    assert count("associations/contacts/companies/batch/create") == 1  # Bob's
    assert advisers(world) == {BOB: C}
    reset()
    refused(world, world.run(), A)
    assert count("associations/contacts/companies/batch/create") == 0
    # Room on the near side: Ann works nowhere any more.
    world.unlink(
        *(
            r["id"]
            for r in (world.contacts_in_hubspot()[ANN], world.companies_in_hubspot()[A])
        )
    )
    for _ in range(2):
        world.run()
    assert advisers(world) == {ANN: B, BOB: C}
    all_well(world)


def test_a_company_with_its_only_adviser_takes_another_once_that_one_is_off(world):
    ids = plant(world)
    back = adviser(world, "0-2", "0-1")
    cap(world, "companies", "contacts", ("USER_DEFINED", back), 1)
    learn(world)
    advises(world, ANN, B)
    world.run()
    advises(world, BOB, B)
    advises(world, CID, C)
    count, reset = world.sandbox.control.count, world.sandbox.control.reset_counts
    reset()
    said = "allows 1 Adviser links from one of companies to contacts", ANN, B
    refused(world, world.run(), *said)
    assert count("associations/contacts/companies/batch/create") == 1  # Cid's
    assert advisers(world) == {ANN: B, CID: C}
    # Room on the far side, by somebody else: nothing of Bob changes.
    api = world.client.crm.associations.v4.basic_api
    api.archive("contacts", ids[ANN], "companies", ids[B])
    for _ in range(2):
        world.run()
    assert advisers(world) == {BOB: B, CID: C}
    all_well(world)


def test_the_plans_limit_is_known_before_and_counts_the_companys_links(world):
    plant(world)
    world.sandbox.control.set_switches(technical_cap=1)
    learn(world)
    advises(world, BOB, A)  # full: Ann is linked to it
    count, reset = world.sandbox.control.count, world.sandbox.control.reset_counts
    reset()
    refused(
        world, world.run(), "allows 1 links from one of companies to contacts", ANN, A
    )
    assert count("associations/contacts/companies/batch/create") == 0
    assert advisers(world) == {}
    world.sandbox.control.set_switches(technical_cap=2)
    world.run(full=True)  # reads the limits again
    assert advisers(world) == {BOB: A}
    all_well(world)


@pytest.mark.parametrize("value", BY_NAME["limit_error"].values)
def test_a_limit_that_came_after_we_looked_is_hubspots_to_tell(world, value):
    plant(world)
    world.sandbox.control.set_switches(limit_error=value)
    back = adviser(world, "0-2", "0-1")
    cap(world, "companies", "contacts", ("USER_DEFINED", back), 1)
    for mail in (ANN, BOB):
        advises(world, mail, B)
    advises(world, CID, C)
    refused(world, world.run())
    found = advisers(world)
    assert len(found) == 2
    assert found[CID] == C
    ((stays, _),) = [at for at in found.items() if at[1] == B]
    advises(world, stays, None)
    world.run(full=True)
    assert advisers(world) == {({ANN, BOB} - {stays}).pop(): B, CID: C}
    all_well(world)
