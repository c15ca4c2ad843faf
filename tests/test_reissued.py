"""Ids that were given to other records: their pairs are held, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import RecordLink
from syncs.run.writes import RecordWriter
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
NOTHING = {"hubspot": 0, "app": 0}
NAMES = ("ann", "bob", "cid", "dan")


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def mail(name: str) -> str:
    return f"{name}@x.example"


def load(world: World, *names: str) -> None:
    """Empty the table and fill it: the first is row 1."""
    world.sql("TRUNCATE people RESTART IDENTITY")
    for name in names:
        world.sql(
            "INSERT INTO people (email, first_name, last_name) VALUES (%s, %s, 'L')",
            mail(name),
            name.title(),
        )


def people(world: World, *names: str, **set_up: Any) -> None:
    load(world, *names)
    world.set_up(**set_up)
    report = world.run()
    assert report["status"] == "succeeded", report


def held() -> set[str]:
    """The HubSpot side's names of the pairs that are held."""
    rows = RecordLink.objects.filter(state="failing", error_code="ID_REUSED")
    return {row.hubspot_values["email"].partition("@")[0] for row in rows}


def hubspot(world: World) -> dict[str, str | None]:
    return {m: row["firstname"] for m, row in world.contacts_in_hubspot().items()}


def nobody_was_renamed(world: World, *names: str) -> None:
    assert hubspot(world) == {mail(n): n.title() for n in names}


def wrote_nothing(report: dict[str, Any]) -> None:
    for child in report["syncs"]:
        assert child["created"] == child["updated"] == child["archived"] == NOTHING


@pytest.mark.parametrize("cursor", ["updated_at", "none"])
def test_a_table_loaded_again_in_another_order_is_held_whole(world, cursor):
    people(world, *NAMES, app_cursor=cursor)
    load(world, "bob", "ann", "dan", "cid")
    rows = world.people_rows()
    for _ in range(2):
        report = world.run()
        assert report["status"] == "partial", report
        wrote_nothing(report)
        assert held() == set(NAMES)
        assert report["syncs"][1]["errors"][0]["code"] == "ID_REUSED"
    nobody_was_renamed(world, *NAMES)
    assert world.people_rows() == rows
    link = RecordLink.objects.get(hubspot_values__email=mail("ann"))
    assert link.error_text.startswith(
        "Record 1 of Ops was ann@x.example and is bob@x.example, while ann@x.example is "
        "record 2 there"
    )


def test_the_loaded_rows_pair_anew_by_their_keys(world):
    people(world, *NAMES)
    load(world, "bob", "ann", "dan", "cid")
    world.run()
    ids = list(
        RecordLink.objects.filter(sync=world.contacts).values_list("pk", flat=True)
    )
    assert services.pair_anew(sync=world.contacts, link_ids=ids) == 4
    report = world.run()
    assert report["status"] == "succeeded", report
    wrote_nothing(report)
    assert report["syncs"][1]["matched"] == 4
    world.sql("UPDATE people SET first_name = 'Robert' WHERE id = 1")
    world.run()
    assert hubspot(world)[mail("bob")] == "Robert"


def test_a_row_whose_key_is_a_held_one_s_is_held_though_its_own_lives_nowhere(world):
    people(world, "ann", "bob", "cid")
    load(world, "dan", "ann")  # row 1 was Ann; row 2 was Bob, who is nowhere; 3 is gone
    report = world.run(full=True)
    assert held() == {"ann", "bob"}
    assert report["syncs"][1]["updated"] == NOTHING
    nobody_was_renamed(world, "ann", "bob", "cid")


def test_a_row_put_in_front_shifts_the_others_and_the_last_is_not_made_twice(world):
    people(world, "ann", "bob")
    load(world, "dan", "ann", "bob")
    for _ in range(2):
        report = world.run()
        wrote_nothing(report)
    assert held() == {"ann", "bob"}
    nobody_was_renamed(world, "ann", "bob")
    row = RecordLink.objects.get(app_id="3")
    assert (row.hubspot_id, row.error_code) == (None, "MATCH_AMBIGUOUS")


def test_a_person_given_a_new_address_is_not_held(world):
    people(world, "ann", "bob")
    world.sql("UPDATE people SET email = 'anna@x.example' WHERE id = 1")
    report = world.run()
    assert report["status"] == "succeeded", report
    assert set(hubspot(world)) == {mail("anna"), mail("bob")}


def swap(world: World) -> None:
    world.sql(
        "UPDATE people SET email = CASE id WHEN 1 THEN 'bob@x.example' "
        "ELSE 'ann@x.example' END"
    )


def test_two_addresses_swapped_wait_until_the_keys_agree_again(world):
    people(world, "ann", "bob")
    swap(world)
    world.sql("UPDATE people SET last_name = 'New'")
    wrote_nothing(world.run())
    assert held() == {"ann", "bob"}
    world.update(
        "contacts", world.contacts_in_hubspot()[mail("ann")]["id"], lastname="X"
    )
    wrote_nothing(world.run(full=True))
    world.sql(
        "UPDATE people SET email = CASE id WHEN 1 THEN 'ann@x.example' "
        "ELSE 'bob@x.example' END"
    )
    report = world.run()
    assert report["status"] == "succeeded", report
    assert held() == set()
    assert {r["lastname"] for r in world.contacts_in_hubspot().values()} == {"X", "New"}


def test_a_confirmed_pair_goes_on_and_an_untied_one_is_nobody_s(world):
    people(world, "ann", "bob", "cid")
    world.sql("UPDATE people SET email = 'eve@x.example' WHERE id = 3")
    world.sql("UPDATE people SET email = 'cid@x.example' WHERE id = 1")
    world.run()
    assert held() == {"ann", "cid"}
    link = RecordLink.objects.get(hubspot_values__email=mail("cid"))
    ids = {"hubspot_id": link.hubspot_id or "", "app_id": "3"}
    services.pair(sync=world.contacts, **ids)
    world.run()
    assert hubspot(world)[mail("eve")] == "Cid"
    assert RecordLink.objects.get(pk=link.pk).state == "in_sync"
    with pytest.raises(services.PairError, match="paired already"):
        services.pair(sync=world.contacts, **ids)
    other = RecordLink.objects.get(hubspot_values__email=mail("ann"))
    services.unpair(sync=world.contacts, hubspot_id=other.hubspot_id or "", app_id="1")
    report = world.run()
    assert report["status"] == "succeeded", report
    wrote_nothing(report)
    assert set(hubspot(world)) == {mail(n) for n in ("ann", "bob", "eve")}


def test_a_table_loaded_again_between_reading_and_writing_changes_nobody(
    world, monkeypatch
):
    people(world, "ann", "bob")
    for row in world.contacts_in_hubspot().values():
        world.update("contacts", str(row["id"]), lastname="New")
    write = RecordWriter._update

    def late(self: RecordWriter, side: Any, batch: Any) -> None:
        if side == "app":
            load(world, "bob", "ann")
        write(self, side, batch)

    monkeypatch.setattr(RecordWriter, "_update", late)
    world.run()
    monkeypatch.undo()
    world.run()
    assert held() == {"ann", "bob"}
    nobody_was_renamed(world, "ann", "bob")


def test_links_of_a_held_pair_are_left_alone(world):
    one, other = world.create(
        "companies", [{"name": d, "domain": f"{d}.example"} for d in "ab"]
    )
    people(world, "ann", "bob")
    for name, company in (("ann", one), ("bob", other)):
        world.make_primary(world.contacts_in_hubspot()[mail(name)]["id"], company)
    world.run()
    primary = world.primary()
    load(world, "bob", "ann")  # and their company_id is empty
    links = world.run()["syncs"][1]["associations"]
    assert links["added"] == links["removed"] == links["changed"] == NOTHING
    assert world.primary() == primary
    assert {row[2] for row in world.people_rows().values()} == {None}
