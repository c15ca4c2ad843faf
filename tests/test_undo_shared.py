"""Links taken back where several mappings share a pair of records, and one write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connections.sandbox.server import SandboxServer
from syncs.models import Change
from tests.test_type_lists import label, put
from tests.test_undo import quiet, undo
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
TABLE = """
ALTER TABLE people ADD partner_id int REFERENCES companies;
CREATE TABLE works (person int REFERENCES people, company int REFERENCES companies,
  role text, UNIQUE (person, company, role));
"""
MAPPINGS: list[dict[str, Any]] = [
    {"app_field": "company_id", "to": "Companies", "type": "primary"},
    {"app_field": "partner_id", "to": "Companies", "type": "Partner"},
    {
        "join_table": {
            "name": "works",
            "from": "person",
            "to": "company",
            "label": "role",
        },
        "to": "Companies",
        "labels": {"dm": "Decision maker", "bill": "Billing contact"},
    },
]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def app_side(world: World) -> list[object]:
    return [
        world.sql("SELECT id, company_id, partner_id FROM people ORDER BY id"),
        world.sql("SELECT * FROM works ORDER BY 1, 2, 3"),
    ]


def test_what_several_mappings_wrote_on_one_pair_goes_back_and_stays_apart(world):
    world.sql(TABLE)
    for text in ("Partner", "Decision maker", "Billing contact"):
        label(world, text)
    world.set_up()
    put(world, MAPPINGS)
    world.sql(
        "INSERT INTO companies (name, domain) "
        "SELECT d, d || '.example' FROM unnest(ARRAY['a', 'b', 'c']) d"
    )
    world.sql(
        "INSERT INTO people (email, company_id, partner_id) "
        "VALUES ('ann@x.example', 1, 2), ('bob@x.example', 1, 1)"
    )
    world.sql("INSERT INTO works VALUES (1, 1, 'dm'), (1, 2, 'bill'), (2, 1, 'bill')")
    assert world.run()["status"] == "succeeded"
    assert quiet(world)
    before = world.links()
    # Both fields change places, the rows change labels; the other person loses all.
    world.sql("UPDATE people SET company_id = 2, partner_id = 1 WHERE id = 1")
    world.sql("UPDATE works SET role = 'dm' WHERE person = 1 AND company = 2")
    world.sql("UPDATE works SET role = 'bill' WHERE person = 1 AND company = 1")
    world.sql("UPDATE people SET company_id = NULL, partner_id = 3 WHERE id = 2")
    world.sql("DELETE FROM works WHERE person = 2")
    mine = app_side(world)
    done = world.run()
    after = world.links()
    assert after != before
    assert app_side(world) == mine
    report = undo(done["run"])
    assert (report["status"], report["skipped"]) == ("succeeded", [])
    outcomes = Change.objects.filter(run__parent=done["run"]).values_list("outcome")
    assert set(outcomes) == {("reverted",)}
    assert (world.links(), app_side(world)) == (before, mine)
    # What was taken back travels nowhere, and the undo can be undone.
    assert quiet(world, runs=2)
    assert (world.links(), app_side(world)) == (before, mine)
    again = undo(report["run"])
    assert (again["status"], again["skipped"]) == ("succeeded", [])
    assert (world.links(), app_side(world)) == (after, mine)
    assert quiet(world)
