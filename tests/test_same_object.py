"""Links between records of one object: parents, partners, and cycles that are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from associations.models import AssociationLink
from associations.setup.applying import apply
from associations.setup.exporting import export
from connections.models import HubSpotAccount
from connections.sandbox.server import SandboxServer
from tests.vendor import all_edges
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
PLAIN, CHILD, PARENT = (("HUBSPOT_DEFINED", i) for i in (450, 14, 13))


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        made = World(sandbox, pg_dsn)
        made.sql("ALTER TABLE companies ADD parent_id int REFERENCES companies")
        yield made


def put(world: World, type_: object, **more: object) -> None:
    """Map companies.parent_id to companies, by the set-up file."""
    HubSpotAccount.objects.update(credential_env={"token": "${HUBSPOT_TOKEN}"})
    tree = yaml.safe_load(export())
    (companies,) = (s for s in tree["apps"][0]["syncs"] if s["name"] == "Companies")
    link = {"app_field": "parent_id", "to": "Companies", "type": type_, **more}
    companies["associations"] = [link]
    apply(yaml.safe_dump(tree), {"HUBSPOT_TOKEN": world.sandbox.token})


def edges(world: World) -> dict[str, frozenset[tuple[str, int]]]:
    """Every link between companies as "ab", by the letters of their domains."""
    names = {r["id"]: d[0] for d, r in world.companies_in_hubspot().items()}
    found = all_edges(world.client, "companies", "companies", map(str, names))
    return {names[a] + names[b]: t for (a, b), t in found.items()}


def parents(world: World) -> dict[str, str | None]:
    rows = world.sql(
        "SELECT left(c.domain, 1), left(p.domain, 1) FROM companies c "
        "LEFT JOIN companies p ON p.id = c.parent_id"
    )
    return dict(rows)


def move(world: World, child: str, parent: str | None) -> None:
    world.sql(
        "UPDATE companies SET parent_id = (SELECT id FROM companies WHERE domain = %s) "
        "WHERE domain = %s",
        None if parent is None else f"{parent}.example",
        f"{child}.example",
    )


def plant(world: World, letters: str) -> None:
    world.set_up()
    for letter in letters:
        world.sql(
            "INSERT INTO companies (name, domain) VALUES (%s, %s)",
            letter.upper(),
            f"{letter}.example",
        )


def run(world: World, **how: Any) -> dict[str, Any]:
    report = world.run(world.companies, **how)
    found: dict[str, Any] = report["syncs"][0]
    return found


def silent(world: World) -> bool:
    counted = run(world)["associations"]
    return all(
        not any(counted[name].values()) for name in ("added", "removed", "changed")
    )


def test_parents_travel_and_a_cycle_of_three_is_refused_with_its_chain(world):
    plant(world, "abcd")
    put(world, {"category": "HUBSPOT_DEFINED", "id": 14})
    for child, parent in ("ba", "cb"):
        move(world, child, parent)
    run(world)
    parent_links = {"ba": {PLAIN, CHILD}, "ab": {PLAIN, PARENT}}
    parent_links |= {"cb": {PLAIN, CHILD}, "bc": {PLAIN, PARENT}}
    assert edges(world) == parent_links
    assert silent(world)

    move(world, "a", "c")  # c → b → a stand
    move(world, "d", "a")
    report = run(world)
    assert {e["code"] for e in report["errors"]} == {"CYCLE"}
    assert "A → C → B → A" in report["errors"][0]["example"]
    assert edges(world).keys() == {*parent_links, "da", "ad"}
    assert parents(world) == {"a": "c", "b": "a", "c": "b", "d": "a"}  # nothing removed
    assert silent(world)

    move(world, "a", None)
    move(world, "d", "d")
    report = run(world)
    assert {e["code"] for e in report["errors"]} == {"CYCLE"}
    assert "D → D" in report["errors"][0]["example"]
    move(world, "d", None)
    assert run(world)["errors"] == []
    assert edges(world)["da"] == {PLAIN}  # only the parent type went
    assert silent(world)


def test_a_plan_that_closes_itself_is_refused_at_its_last_link(world):
    plant(world, "abc")
    put(world, {"category": "HUBSPOT_DEFINED", "id": 14})
    for child, parent in ("ab", "bc", "ca"):
        move(world, child, parent)
    report = run(world)
    assert {e["code"] for e in report["errors"]} == {"CYCLE"}
    assert len([e for e, t in edges(world).items() if CHILD in t]) == 2
    assert AssociationLink.objects.filter(code="CYCLE", state="failing").count() == 1
    assert silent(world)


def test_a_link_that_both_ends_see_alike_is_one_link(world):
    plant(world, "abcd")
    put(world, "default")
    move(world, "a", "b")
    move(world, "c", "b")
    run(world)
    both = {"ab", "ba", "cb", "bc"}
    assert edges(world).keys() == both
    assert parents(world) == {"a": "b", "b": None, "c": "b", "d": None}
    assert silent(world)
    assert AssociationLink.objects.count() == 2

    # Taken off in HubSpot at the end whose field does not hold it.
    ids = {d[0]: str(r["id"]) for d, r in world.companies_in_hubspot().items()}
    api = world.client.crm.associations.v4.basic_api
    api.archive("companies", ids["b"], "companies", ids["a"])
    run(world)
    assert edges(world).keys() == {"cb", "bc"}
    assert parents(world) == {"a": None, "b": None, "c": "b", "d": None}
    assert silent(world)

    # Cleared in the app, and new in HubSpot: each once, and on one side of it.
    move(world, "c", None)
    api.create_default("companies", ids["d"], "companies", ids["a"])
    run(world)
    assert edges(world).keys() == {"ad", "da"}
    assert parents(world) == {"a": "d", "b": None, "c": None, "d": None}
    assert silent(world)
