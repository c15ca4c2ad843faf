"""A sweep proves that both sides have the same links, or says that they have not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from associations.models import AssociationMapping
from associations.run.proving import MASK, OWED_KEPT, Sum, Sums, edge_hash
from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync
from syncs.run import plan as planning
from tests.world import World

COMPANIES, PEOPLE = 3, 25


def test_sums_tell_sets_apart_whatever_the_order():
    edges = [(near, far) for near in range(1, 60) for far in range(60, 90)]
    hashes = {edge_hash(*edge) for edge in edges}
    assert len(hashes) == len(edges)
    assert all(0 <= h <= MASK for h in hashes)
    assert edge_hash(1, 2) != edge_hash(2, 1)
    one, other, swapped = Sum(), Sum(), Sum()
    for near, far in edges:
        one.add(near, [far])
    for near, far in reversed(edges):
        other.add(near, [far])
    swapped.add(1, [3])
    swapped.add(2, [4])
    crossed = Sum()
    crossed.add(1, [4])
    crossed.add(2, [3])
    assert one == other
    assert crossed.links == swapped.links
    assert crossed.hash != swapped.hash


def test_what_is_still_to_be_counted_goes_to_the_next_slice_unless_it_is_much():
    sums = Sums(unknown=2)
    sums.hubspot.add(1, [2])
    sums.owed.update(range(10))
    sums.paid.update([3])
    again = Sums.of(sums.json())
    assert again.hubspot == sums.hubspot
    assert (again.unknown, again.lost) == (2, False)
    assert again.open() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    sums.owed.update(range(OWED_KEPT + 2))
    assert Sums.of(sums.json()).lost


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def proof(world: World) -> AssociationMapping:
    return AssociationMapping.objects.get(pk=world.mapping.pk)


def schedule(world: World) -> None:
    """A run that sweeps only what is due: nothing."""
    ObjectSync.objects.update(sweep_every_s=10**6)
    assert world.run(sweep=False)["status"] == "succeeded"


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_a_mapping_is_proven_by_a_whole_sweep_alone(world, monkeypatch):
    monkeypatch.setattr(planning, "CHUNK", 7)
    world.sql(
        "INSERT INTO companies (name, domain) SELECT 'C' || n, 'c' || n || '.example' "
        "FROM generate_series(1, %s) n",
        COMPANIES,
    )
    world.sql(
        "INSERT INTO people (email, first_name, company_id) SELECT "
        "'p' || n || '@x.example', 'P', n %% %s + 1 FROM generate_series(1, %s) n",
        COMPANIES,
        PEOPLE,
    )
    world.set_up()
    assert world.run()["status"] == "succeeded"
    first = proof(world)
    assert first.proven_at is not None  # what it created was read back
    assert first.sweep["hubspot"] == first.sweep["app"]
    assert first.sweep["hubspot"][0] == PEOPLE
    schedule(world)
    assert proof(world).sweep == first.sweep
    # A pair that HubSpot refuses: it is written in the app alone.
    world.sql("UPDATE people SET company_id = 3 WHERE id = 3")
    world.sandbox.control.set_faults("status=400,path=batch/create")
    world.run()
    failed = proof(world)
    assert failed.proven_at == first.proven_at
    assert failed.sweep["at"] > first.sweep["at"]
    assert failed.sweep["open"] == 1
    world.sandbox.control.set_faults()
    world.sql("DELETE FROM people WHERE id = 5")
    contacts = {m: r["id"] for m, r in world.contacts_in_hubspot().items()}
    companies = world.companies_in_hubspot()
    world.unlink(contacts["p1@x.example"], companies["c2.example"]["id"])
    assert world.run(full=True)["status"] == "succeeded"
    again = proof(world)
    assert again.proven_at is not None
    assert again.proven_at > first.proven_at
    # One link was taken off, and one has an end that is gone.
    assert again.sweep["hubspot"] == again.sweep["app"]
    assert again.sweep["hubspot"][0] == PEOPLE - 2
    # One-way, the side that is only written drifts and is left so.
    world.associate(direction="to_app")
    world.sql("UPDATE people SET company_id = NULL WHERE id = 7")
    world.run()
    world.sql("UPDATE people SET company_id = NULL WHERE id = 8")
    world.run()
    apart = proof(world)
    assert (apart.sweep["hubspot"][0], apart.sweep["app"][0]) == (
        PEOPLE - 2,
        PEOPLE - 3,
    )
    assert apart.sweep["open"] == 0
