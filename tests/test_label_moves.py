"""One pair gains a label and loses another in the same run, however HubSpot writes them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from associations.models import AssociationType
from connections.sandbox.hubspot.switches import BY_NAME
from connections.sandbox.server import SandboxServer
from tests.test_type_lists import label, put
from tests.world import PLAIN, PRIMARY, World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
ANN, A = "ann@x.example", "a.example"


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        made = World(sandbox, pg_dsn)
        made.sql("ALTER TABLE people ADD advises int REFERENCES companies")
        made.sql("ALTER TABLE people ADD leads int REFERENCES companies")
        yield made


@pytest.mark.parametrize("value", BY_NAME["label_write"].values)
def test_a_label_that_gives_way_to_another_leaves_the_primary_alone(world, value):
    for text in ("Adviser", "Leader"):
        label(world, text)
    world.set_up()
    to = {"to": "Companies"}
    put(
        world,
        [
            {"app_field": "company_id", "type": "primary", **to},
            {"app_field": "advises", "type": "Adviser", **to},
            {"app_field": "leads", "type": "Leader", **to},
        ],
    )
    world.sandbox.control.set_switches(label_write=value)
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s)", A)
    world.sql(
        "INSERT INTO people (email, company_id, advises) SELECT %s, id, id FROM companies",
        ANN,
    )
    world.run()
    rows = AssociationType.objects.filter(from_object="0-1", to_object="0-2")
    adviser, leader = (
        ("USER_DEFINED", rows.get(label=text).type_id) for text in ("Adviser", "Leader")
    )
    assert world.links() == {(ANN, A): frozenset({PLAIN, PRIMARY, adviser})}
    world.sql("UPDATE people SET leads = advises, advises = NULL")
    report = world.run()
    assert report["status"] == "succeeded", report["syncs"]
    assert world.links() == {(ANN, A): frozenset({PLAIN, PRIMARY, leader})}
    for _ in range(2):
        links = world.run()["syncs"][1]["associations"]
        counted = [links[w] for w in ("added", "removed", "changed")]
        assert counted == [{"hubspot": 0, "app": 0}] * 3
    ((advises, leads, works),) = world.sql(
        "SELECT advises, leads, company_id FROM people"
    )
    assert (advises, leads) == (None, works)
