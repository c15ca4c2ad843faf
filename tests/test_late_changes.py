"""What becomes visible late is neither missed nor taken for news."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from connections.sandbox.server import SandboxServer
from syncs.run import drift
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
ANN, BOB = "ann@x.example", "bob@x.example"


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def name(world: World, mail: str, text: str) -> None:
    world.sql("UPDATE people SET first_name = %s WHERE email = %s", text, mail)


def names(world: World) -> dict[str, tuple[object, object]]:
    """First names in HubSpot and in the app, by e-mail."""
    app, hubspot = world.people_rows(), world.contacts_in_hubspot()
    return {mail: (hubspot[mail]["firstname"], app[mail][0]) for mail in app}


def both(world: World) -> None:
    world.create("contacts", [{"email": m, "firstname": "A"} for m in (ANN, BOB)])
    world.set_up()
    world.run()
    world.run()  # what the first wrote is read


def test_a_search_behind_our_own_write_undoes_nothing(world: World) -> None:
    both(world)
    world.sandbox.control.set_switches(search_lag_s=3600)
    name(world, ANN, "B")
    world.run()
    name(world, ANN, "C")
    world.run()  # search still shows Ann as she was at first
    assert names(world)[ANN] == ("C", "C")
    world.sandbox.control.settle()
    world.run()
    assert names(world)[ANN] == ("C", "C")


def test_a_transaction_that_commits_late_is_not_missed(world: World) -> None:
    both(world)
    with psycopg.connect(world.dsn) as slow:
        slow.execute("UPDATE people SET first_name = 'late' WHERE email = %s", [ANN])
        name(world, BOB, "B")  # later by its stamp, and committed before
        world.run()
    world.run()
    assert names(world) == {ANN: ("late", "late"), BOB: ("B", "B")}


def test_an_archived_record_does_not_hide_one_that_search_shows_late(
    world: World,
) -> None:
    both(world)
    ids = {mail: row["id"] for mail, row in world.contacts_in_hubspot().items()}
    world.sandbox.control.set_switches(search_lag_s=3600)
    world.create("contacts", [{"email": "cid@x.example", "firstname": "C"}])
    world.client.crm.objects.basic_api.archive("contacts", ids[BOB])
    world.run()
    world.sandbox.control.settle()
    world.run()
    assert world.people_rows()["cid@x.example"][0] == "C"


def test_rows_without_a_time_of_change_are_read_each_time(world: World) -> None:
    world.sql("ALTER TABLE people ALTER updated_at DROP NOT NULL")
    world.sql("ALTER TABLE people DISABLE TRIGGER touch")
    both(world)
    world.sql(
        "UPDATE people SET updated_at = NULL, first_name = 'N' WHERE email = %s", ANN
    )
    world.run()
    assert names(world)[ANN] == ("N", "N")
    name(world, ANN, "M")
    world.run()
    assert names(world)[ANN] == ("M", "M")


def test_an_edit_between_our_read_and_our_write_travels_too(world: World) -> None:
    """The answer to our write shows it, so that no later read finds it new."""
    both(world)
    ids = {mail: row["id"] for mail, row in world.contacts_in_hubspot().items()}
    edited: list[str] = []

    def meanwhile(phase: str, number: int, request: object) -> None:
        path = str(getattr(request, "path", ""))
        if phase == "before" and "0-1/batch/update" in path and not edited:
            edited.append(path)
            world.update("contacts", str(ids[ANN]), lastname="Newman")

    world.sandbox.control.set_hook(meanwhile)
    name(world, ANN, "B")
    world.run()
    world.sandbox.control.set_hook(None)
    world.run()
    assert edited
    assert names(world)[ANN] == ("B", "B")
    assert world.people_rows()[ANN][1] == "Newman"


def test_what_a_look_before_the_write_shows_travels_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that took long reads again before it writes what search does not show yet.

    The campaign's seed 1339.
    """
    monkeypatch.setattr(drift, "FRESH", timedelta(0))
    both(world)
    ids = {mail: row["id"] for mail, row in world.contacts_in_hubspot().items()}
    world.sandbox.control.set_switches(search_lag_s=3600)
    world.update("contacts", str(ids[ANN]), lastname="Newman")
    name(world, ANN, "B")
    world.run()
    assert names(world)[ANN] == ("B", "B")
    assert world.people_rows()[ANN][1] == "Newman"


def test_many_rows_without_a_time_of_change_are_paged_to_the_end(world: World) -> None:
    world.sql("ALTER TABLE people ALTER updated_at DROP NOT NULL")
    world.set_up(creates="none")
    world.run()
    world.sql(
        "INSERT INTO people (email, updated_at) "
        "SELECT 'n' || n || '@x.example', NULL FROM generate_series(1, 2100) n"
    )
    read = world.run(world.contacts)["syncs"][0]["read"]
    assert read["app"] == 2100


def test_a_row_deleted_inside_the_window_is_not_looked_for_at_every_run(
    world: World,
) -> None:
    both(world)
    world.sql("DELETE FROM people WHERE email = %s", BOB)
    world.run()
    quiet = world.run()["syncs"][1]
    assert quiet["read"]["app"] == 0
    assert quiet["api_calls"]["app"] <= 3
    assert BOB in world.contacts_in_hubspot()
