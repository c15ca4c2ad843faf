"""An undo killed anywhere is gone on with: the same end, nothing twice, nothing travels."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import Change
from syncs.models.choices import ChangeOutcome, Trigger
from tests.test_kill import EVERY, Places, in_a_child
from tests.test_undo import MAILS, A, B, C, named, placed, quiet
from tests.world import World

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
SAMPLE = 6  # places tried by the suite
ANN, BOB, CAT = MAILS


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        world.set_up()
        yield world


def plant(world: World) -> dict[str, str]:
    companies = [{"name": d, "domain": d} for d in (A, B, C)]
    people = [{"email": m, "firstname": "F", "lastname": "L"} for m in MAILS]
    ids = dict(zip((A, B, C), world.create("companies", companies), strict=True))
    ids |= dict(zip(MAILS, world.create("contacts", people), strict=True))
    for mail in MAILS:
        world.make_primary(ids[mail], ids[A])
    assert world.run()["status"] == "succeeded"
    return ids


def written(world: World, ids: dict[str, str], turn: int) -> tuple[int, Any]:
    """Have a run write something of every kind. Returns it, and what an undo leads to."""
    there = (B, C)[turn % 2]
    world.update("contacts", ids[ANN], firstname=f"Anna{turn}", lastname=f"Long{turn}")
    world.make_primary(ids[ANN], ids[there])
    named(world, BOB, first_name=f"Bobby{turn}")
    placed(world, BOB, there)
    world.sql(
        "INSERT INTO people (email, first_name, company_id) SELECT %s, 'N', id "
        "FROM companies WHERE domain = %s",
        f"new{turn}@x.example",
        A,
    )
    people, contacts = dict(world.people_rows()), dict(world.contacts_in_hubspot())
    primary = dict(world.primary())
    done = world.run()
    assert done["status"] == "succeeded"
    assert world.people_rows() != people
    return done["run"], (people, contacts, primary)


def state(world: World) -> Any:
    return world.people_rows(), world.contacts_in_hubspot(), world.primary()


def undo(run_id: int) -> None:
    run = services.start_undo(run_id=run_id, trigger=Trigger.COMMAND)
    services.execute(run)


def count_places(run_id: int) -> int:
    read, write = os.pipe()

    def work() -> None:
        places = Places()
        places.watch()
        undo(run_id)
        os.write(write, str(places.seen).encode())

    assert in_a_child(work) == 0
    os.close(write)
    with os.fdopen(read) as found:
        return int(found.read())


def killed_undo(run_id: int, at: int) -> int:
    def work() -> None:
        Places(at).watch()
        undo(run_id)

    return in_a_child(work)


def test_an_undo_killed_anywhere_is_gone_on_with(world):
    ids = plant(world)
    run_id, wanted = written(world, ids, 0)
    places = count_places(run_id)
    assert state(world) == wanted
    step = 1 if os.environ.get(EVERY) else max(places // SAMPLE, 1)
    killed = 0
    for turn, at in enumerate(range(step // 2 + 1, places + 1, step), start=1):
        run_id, wanted = written(world, ids, turn)
        died = killed_undo(run_id, at) == signal.SIGKILL
        killed += died
        if turn % 2:
            world.run()  # it settles what the undo sent, and writes nothing of its own
        left = Change.objects.filter(
            run__parent=run_id, outcome=ChangeOutcome.APPLIED
        ).exists()
        if left:
            undo(run_id)
        assert state(world) == wanted, f"killed at {at} of {places}"
        assert quiet(world, runs=1), f"killed at {at} of {places}"
        assert state(world) == wanted, f"killed at {at} of {places}"
        outcomes = set(
            Change.objects.filter(run__parent=run_id).values_list("outcome", flat=True)
        )
        assert outcomes == {"reverted"}, f"killed at {at} of {places}"
    assert killed >= SAMPLE * 0.7
