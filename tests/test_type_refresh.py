"""Association types that HubSpot renames, takes away and shows again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import timezone

from associations.engine.types import inverses
from associations.models import AssociationLink, AssociationMapping, AssociationType
from associations.services import refresh_types
from connections.records import AssociationType as Type
from connections.records import AssociationTypeInfo
from connections.sandbox.server import SandboxServer
from tests.test_type_lists import label, put
from tests.world import World

HD, UD = "HUBSPOT_DEFINED", "USER_DEFINED"
STANDS = frozenset({(HD, 1), (HD, 279)})  # HubSpot made the first company primary


def info(ends: tuple[str, str], category: str, type_id: int, text: str | None = None):
    return AssociationTypeInfo(category, type_id, text, *ends)


THERE, BACK, SAME = ("0-1", "0-2"), ("0-2", "0-1"), ("0-2", "0-2")
OWN = [info(THERE, HD, 279), info(THERE, HD, 1, "Primary")]
OWN_BACK = [info(BACK, HD, 280), info(BACK, HD, 2, "Primary")]
PAIRS = {
    "HubSpot's own, by their ids": (OWN, OWN_BACK, {279: 280, 1: 2}),
    "a primary that the other end does not know": (
        [info(("0-136", "0-2"), HD, 610), info(("0-136", "0-2"), HD, 580, "Primary")],
        [info(("0-2", "0-136"), HD, 611)],
        {610: 611},
    ),
    "a label that reads the same from both ends": (
        [info(THERE, UD, 5, "Twin"), info(THERE, UD, 7, "Adviser")],
        [info(BACK, UD, 6, "Twin"), info(BACK, UD, 8, "Advised by")],
        {5: 6, 7: 8},
    ),
    "two pairs of which nothing tells who belongs to whom": (
        [info(THERE, UD, 5, "Boss"), info(THERE, UD, 7, "Adviser")],
        [info(BACK, UD, 6, "Report"), info(BACK, UD, 8, "Advised by")],
        {},
    ),
    "a custom object's plain link": (
        [info(("2-7", "0-1"), UD, 40), info(("2-7", "0-1"), UD, 42, "x")],
        [info(("0-1", "2-7"), UD, 41)],
        {40: 41},
    ),
    "parent and child, one list for both ends": (
        [
            info(SAME, HD, 450),
            info(SAME, HD, 13, "Child"),
            info(SAME, HD, 14, "Parent"),
        ],
        [
            info(SAME, HD, 450),
            info(SAME, HD, 13, "Child"),
            info(SAME, HD, 14, "Parent"),
        ],
        {450: 450, 13: 14, 14: 13},
    ),
    "a label of one object may be one or half of two": (
        [info(SAME, HD, 450), info(SAME, UD, 5, "Partner")],
        [info(SAME, HD, 450), info(SAME, UD, 5, "Partner")],
        {450: 450},
    ),
}


@pytest.mark.unit
@pytest.mark.parametrize(
    ("there", "back", "expected"), [pytest.param(*r, id=n) for n, r in PAIRS.items()]
)
def test_the_other_ends_id_is_known_where_it_is_certain(there, back, expected):
    same = there[0].from_object == there[0].to_object
    found = inverses(there, back, same=same)
    assert {t.type_id: i.type_id for t, i in found.items()} == expected


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def linked(world: World) -> Type:
    """Ann linked to A by a label of its own; the label's type."""
    label(world, "Decision maker", "Decided by")
    world.set_up()
    put(
        world,
        [{"app_field": "company_id", "to": "Companies", "type": "decision maker"}],
    )
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', 'a.example')")
    world.sql("INSERT INTO people (email, company_id) VALUES ('ann@x.example', 1)")
    assert world.run()["status"] == "succeeded"
    (type_,) = AssociationMapping.objects.get().types
    assert [(type_.category, type_.type_id) in t for t in world.links().values()] == [
        True
    ]
    return type_


def definitions(world: World):
    return world.client.crm.associations.v4.schema.definitions_api


def take_off(world: World, type_: Type) -> None:
    """Take a label off the one link there is."""
    from hubspot.crm.associations.v4 import (
        AssociationSpec,
        BatchInputPublicAssociationMultiPost,
        PublicAssociationMultiPost,
    )

    (contact,), (company,) = (
        world.contacts_in_hubspot().values(),
        (world.companies_in_hubspot().values()),
    )
    spec = AssociationSpec(
        association_category=type_.category, association_type_id=type_.type_id
    )
    post = PublicAssociationMultiPost(
        types=[spec], _from={"id": contact["id"]}, to={"id": company["id"]}
    )
    world.client.crm.associations.v4.batch_api.archive_labels(
        "contacts", "companies", BatchInputPublicAssociationMultiPost(inputs=[post])
    )


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_a_label_is_followed_when_renamed_and_missed_when_deleted(world):
    from hubspot.crm.associations.v4.schema import (
        PublicAssociationDefinitionUpdateRequest,
    )

    type_ = linked(world)
    stored = AssociationType.objects.get(type_id=type_.type_id, from_object="0-1")
    back = AssociationType.objects.get(from_object="0-2", label="Decided by")
    assert (stored.inverse_id, back.inverse_id) == (back.type_id, stored.type_id)

    renamed = PublicAssociationDefinitionUpdateRequest(
        association_type_id=type_.type_id, label="Decider", inverse_label="Decided by"
    )
    definitions(world).update("contacts", "companies", renamed)
    report = world.run(full=True)
    assert report["status"] == "succeeded"
    assert report["syncs"][1]["associations"]["removed"] == {"hubspot": 0, "app": 0}
    mapping = AssociationMapping.objects.get()
    assert (mapping.type, mapping.types) == ("Decider", (type_,))

    # HubSpot lets it be deleted once it is off every record: that is no unlink.
    take_off(world, type_)
    definitions(world).remove("contacts", "companies", type_.type_id)
    report = world.run()
    assert {e["code"] for e in report["syncs"][1]["errors"]} == {"TYPE_UNKNOWN"}
    assert "'Decider'" in report["syncs"][1]["errors"][0]["example"]
    assert world.people_rows()["ann@x.example"][2] == "a.example"
    assert set(world.links().values()) == {STANDS}
    # Nothing travels meanwhile, and its links are not forgotten.
    world.sql("UPDATE people SET company_id = NULL")
    world.run(full=True)
    assert set(world.links().values()) == {STANDS}
    assert AssociationLink.objects.filter(state="in_sync").count() == 1


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_a_type_that_is_listed_again_works_on(world):
    type_ = linked(world)
    AssociationType.objects.filter(type_id=type_.type_id).update(gone_at=timezone.now())
    world.sql("UPDATE people SET company_id = NULL")
    assert world.run()["status"] == "succeeded"
    assert set(world.links().values()) == {STANDS}
    assert not AssociationType.objects.exclude(gone_at=None).exists()
    assert refresh_types(world.account) == 1
