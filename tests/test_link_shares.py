"""A chunk's links are planned in shares, however many each record has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from associations.models import AssociationLink
from associations.run import fars, planning, sharing
from associations.run.sharing import shares
from associations.setup.applying import apply
from associations.setup.exporting import export
from connections.models import HubSpotAccount
from connections.sandbox.server import SandboxServer
from syncs.models import RecordLink
from tests.test_join_tables import JOIN
from tests.world import World

FIRMS, STAFF = 12, 30  # companies, and people of each

CASES = {
    "nothing": ([], []),
    "all at once": ([1, 2, 3], [[1, 2, 3]]),
    "as many as go in": ([4, 6, 1, 9, 5], [[4, 6], [1, 9], [5]]),
    "one that is too large, alone": ([3, 40, 3], [[3], [40], [3]]),
    "records without links": ([0, 10, 0, 1], [[0, 10, 0], [1]]),
}


@pytest.mark.unit
@pytest.mark.parametrize(("sizes", "expected"), CASES.values(), ids=CASES.keys())
def test_records_are_shared_out_by_the_links_that_they_have(sizes, expected):
    rows = [RecordLink(pk=size) for size in sizes]
    found = shares(rows, lambda link: link.pk, 10)
    assert [[link.pk for link in share] for share in found] == expected


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        made = World(sandbox, pg_dsn)
        made.sql(JOIN)
        yield made


def plant(world: World) -> None:
    """People of companies in the app, linked by a join table that the companies read."""
    world.set_up(limits={"unlink": None, "percent": None})
    HubSpotAccount.objects.update(credential_env={"token": "${HUBSPOT_TOKEN}"})
    tree = yaml.safe_load(export())
    companies, contacts = tree["apps"][0]["syncs"]
    join = {"name": "works", "from": "company", "to": "person"}
    companies["associations"] = [{"join_table": join, "to": "Contacts"}]
    contacts["associations"] = []
    apply(yaml.safe_dump(tree), {"HUBSPOT_TOKEN": world.sandbox.token})
    world.sql(
        "INSERT INTO companies (name, domain) SELECT 'C' || n, 'c' || n || '.example' "
        "FROM generate_series(1, %s) n",
        FIRMS,
    )
    world.sql(
        "INSERT INTO people (email) SELECT 'p' || n || '@x.example' "
        "FROM generate_series(1, %s) n",
        FIRMS * STAFF,
    )
    world.sql(
        "INSERT INTO works (company, person) SELECT id %% %s + 1, id FROM people", FIRMS
    )


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_a_sweep_from_the_side_with_many_links_holds_few_far_records(
    world, monkeypatch
):
    plant(world)
    most: list[int] = []

    def counted(*args: Any) -> Any:
        found = find(*args)
        most.append(len(found.links))
        return found

    find = fars.find_fars
    monkeypatch.setattr(planning, "find_fars", counted)
    monkeypatch.setattr(sharing, "LINKS_AT_ONCE", 4 * STAFF)
    assert world.run()["status"] == "succeeded"
    assert AssociationLink.objects.filter(state="in_sync").count() == FIRMS * STAFF
    assert len(world.links()) == FIRMS * STAFF
    most.clear()
    report = world.run()
    assert report["status"] == "succeeded"
    assert max(most) == 2 * STAFF  # both sides' links count
    assert sum(most) == FIRMS * STAFF
    (companies,) = (s for s in report["syncs"] if s["sync"] == "Companies")
    links = companies["associations"]
    assert not any(
        links[w][s] for w in ("added", "removed", "changed") for s in links[w]
    )
    most.clear()
    monkeypatch.setattr(sharing, "LINKS_AT_ONCE", FIRMS * STAFF * 2)
    world.run()
    assert max(most) == FIRMS * STAFF  # what it would hold at once
