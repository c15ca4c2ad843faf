"""A set-up that changes begins anew where its meaning changed, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from associations.setup.applying import apply
from associations.setup.exporting import export
from associations.setup.problems import SetupRefused
from connections.models import HubSpotAccount
from connections.sandbox.server import SandboxServer
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
Json = dict[str, Any]
A = "a.example"
ANN = "ann@x.example"
INDUSTRY = {"hubspot": "industry", "app": "industry"}


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def change(world: World, edit: Callable[[Json], None], token: str = "Sync") -> None:
    """Export the set-up, edit the file and apply it, as an administrator does."""
    HubSpotAccount.objects.update(credential_env={"token": "${HUBSPOT_TOKEN}"})
    tree = yaml.safe_load(export())
    edit(tree)
    environ = {"HUBSPOT_TOKEN": world.sandbox.tokens[token]}
    assert apply(yaml.safe_dump(tree), environ), "nothing changed"


def syncs(tree: Json) -> list[Json]:
    found: list[Json] = tree["apps"][0]["syncs"]
    return found


def field(tree: Json, hubspot: str, **changes: Any) -> None:
    """Add, change or (app=None) remove a field mapping of the companies."""
    fields = syncs(tree)[0]["fields"]
    held = next((f for f in fields if f["hubspot"] == hubspot), None)
    if held is None:
        fields.append({"hubspot": hubspot, **changes})
    elif changes.get("app", "") is None:
        fields.remove(held)
    else:
        held |= changes


def industry(words: Json) -> Callable[[Json], None]:
    return lambda tree: field(tree, "industry", app="industry", values=words)


def company(world: World, **values: str) -> str:
    (made,) = world.create("companies", [{"name": "A", "domain": A, **values}])
    return made


def ann_at_a(world: World) -> None:
    (ann,) = world.create("contacts", [{"email": ANN}])
    world.make_primary(ann, company(world))
    world.set_up()
    world.run()
    assert world.people_rows()[ANN][2] == A


# Values --------------------------------------------------------------------------------


def test_a_changed_value_map_starts_its_field_as_a_first_sync(world):
    world.set_up()
    company(world, industry="COMPUTER_SOFTWARE")
    change(world, industry({"COMPUTER_SOFTWARE": "Software"}))
    world.run()
    assert world.sql("SELECT industry FROM companies") == [("Software",)]
    change(world, industry({"COMPUTER_SOFTWARE": "Soft"}))
    assert world.run()["syncs"][0]["updated"] == {"hubspot": 0, "app": 1}
    assert world.sql("SELECT industry FROM companies") == [("Soft",)]


def test_a_value_map_that_comes_back_decides_by_nothing_older(world):
    world.set_up()
    company(world, industry="COMPUTER_SOFTWARE")
    for word in ("Software", "Soft"):
        change(world, industry({"COMPUTER_SOFTWARE": word}))
        world.run()
    change(world, lambda tree: field(tree, "industry", app=None))
    world.sql("UPDATE companies SET industry = NULL")
    world.run()
    change(world, industry({"COMPUTER_SOFTWARE": "Software"}))
    world.run()
    assert world.sql("SELECT industry FROM companies") == [("Software",)]


def test_a_mapping_that_comes_back_is_a_first_sync_where_no_blank_wins(world):
    company(world, phone="123")
    world.set_up()
    world.run()
    change(world, lambda tree: field(tree, "phone", app=None))
    world.run()
    world.sql("UPDATE companies SET phone = NULL")
    world.run()
    change(world, lambda tree: field(tree, "phone", app="phone"))
    world.run()
    assert world.companies_in_hubspot()[A]["phone"] == "123"
    assert world.company_rows()[A][1] == "123"


def test_a_failing_record_is_tried_at_once_after_the_set_up_changed(world):
    company(world)
    world.sql(
        "INSERT INTO companies (name, domain, industry) VALUES ('A', %s, 'Software')", A
    )
    world.set_up()
    change(world, industry({}))
    report = world.run()
    assert report["status"] == "partial"
    assert report["syncs"][0]["failing"] == 1
    change(world, industry({"COMPUTER_SOFTWARE": "Software"}))
    report = world.run()
    assert report["status"] == "succeeded", report
    assert report["syncs"][0]["updated"] == {"hubspot": 1, "app": 0}


# Directions ----------------------------------------------------------------------------


@pytest.mark.parametrize("drift", [None, "999"])
@pytest.mark.parametrize("narrow", ["mapping", "sync"])
def test_drift_left_alone_does_not_travel_once_the_direction_is_wider(
    world, narrow, drift
):
    def turn(direction: str) -> Callable[[Json], None]:
        if narrow == "sync":
            return lambda tree: syncs(tree)[0].update(direction=direction)
        return lambda tree: field(tree, "phone", direction=direction)

    company(world, phone="123")
    world.set_up()
    change(world, turn("to_app"))
    world.run()
    world.sql("UPDATE companies SET phone = %s", drift)
    world.run()
    assert world.company_rows()[A][1] == drift
    change(world, turn("two_way"))
    world.run()
    world.sql("UPDATE companies SET name = 'B'")
    world.run()
    assert world.companies_in_hubspot()[A]["phone"] == "123"
    assert world.companies_in_hubspot()[A]["name"] == "B"
    assert world.company_rows()[A][1] == "123"


def test_a_link_cleared_as_drift_is_not_taken_off_once_the_direction_is_wider(world):
    def turn(direction: str) -> Callable[[Json], None]:
        return lambda tree: syncs(tree)[1]["associations"][0].update(
            direction=direction
        )

    ann_at_a(world)
    change(world, turn("to_app"))
    world.run()
    world.sql("UPDATE people SET company_id = NULL")
    world.run()
    change(world, turn("two_way"))
    world.run()
    assert world.primary() == {ANN: A}
    assert world.people_rows()[ANN][2] == A


# Keys and targets ----------------------------------------------------------------------


def test_another_normaliser_makes_other_keys_of_the_same_values(world):
    def compare(how: str) -> Callable[[Json], None]:
        return lambda tree: syncs(tree)[0]["match"][0].update(normalize=how)

    world.set_up(creates="none")
    company(world)
    world.sql(
        "INSERT INTO companies (name, domain) VALUES ('A', 'https://www.a.example/')"
    )
    change(world, compare("exact"))
    assert world.run()["syncs"][0]["matched"] == 0
    change(world, compare("domain"))
    assert world.run()["syncs"][0]["matched"] == 1


def test_what_was_unlinked_while_the_target_sync_was_off_travels_once_it_is_on(world):
    ann_at_a(world)
    change(world, lambda tree: syncs(tree)[0].update(enabled=False))
    world.sql("UPDATE people SET company_id = NULL")
    report = world.run(world.contacts)
    assert {e["code"] for e in report["syncs"][0]["errors"]} == {"TARGET_NOT_SYNCED"}
    assert world.primary() == {ANN: A}
    change(world, lambda tree: syncs(tree)[0].update(enabled=True))
    report = world.run()
    assert report["syncs"][1]["associations"]["removed"] == {"hubspot": 1, "app": 0}
    assert world.primary() == {}


# What a set-up may not change ----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "other"), [("app_object", "firms"), ("hubspot_object", "deals")]
)
def test_the_objects_of_a_sync_with_pairs_do_not_change(world, name, other):
    world.sql(
        "CREATE TABLE firms (LIKE companies INCLUDING ALL);"
        "INSERT INTO firms (name, domain) VALUES ('Other', 'other.example')"
    )
    company(world)
    world.set_up()
    world.run()
    with pytest.raises(SetupRefused, match="another name"):
        change(world, lambda tree: syncs(tree)[0].update({name: other}))
    world.run()
    assert list(world.companies_in_hubspot()) == [A]


def test_a_token_of_another_portal_is_refused_once_there_are_pairs(world):
    def same(tree: Json) -> None:
        """Only what the token stands for is another."""

    company(world)
    world.set_up()
    change(world, same, token="Second app")  # of the same portal
    world.run()
    with pytest.raises(SetupRefused, match="account of its own"):
        change(world, same, token="Other account")
    world.account.refresh_from_db()
    assert world.account.credentials == {"token": world.sandbox.tokens["Second app"]}
