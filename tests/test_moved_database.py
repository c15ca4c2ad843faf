"""An address that leads to another database than the one whose rows are paired."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from django.core.management import call_command

from connections import services
from connections.models import ConnectedApp
from connections.records import same_system
from connections.sandbox.server import SandboxServer
from tests.plugins_postgres import Databases
from tests.world import SCHEMA, World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
ANN = "ann@x.example"


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        world.create("contacts", [{"email": ANN, "firstname": "A"}])
        world.set_up()
        services.test_connection(world.app)
        world.run()
        yield world


@pytest.fixture
def other(postgres: Databases) -> Iterator[str]:
    """Another database with the same table and a row of the same id."""
    dsn = postgres.dsn("other")
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(SCHEMA)
        conn.execute("INSERT INTO people (email, first_name) VALUES ('z@z', 'Zed')")
    yield dsn
    postgres.drop(dsn)


@pytest.fixture
def apply(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Apply the set-up file of what is configured, with another address."""

    def applied(dsn: str, *arguments: str) -> dict[str, Any]:
        call_command("setup", "export")
        tree = yaml.safe_load(capsys.readouterr().out)
        tree["hubspot"] = [h | {"token": world.sandbox.token} for h in tree["hubspot"]]
        tree["apps"][0]["credentials"] = {"dsn": dsn}
        path = tmp_path / "setup.yaml"
        path.write_text(yaml.safe_dump(tree))
        with contextlib.suppress(SystemExit):
            call_command("setup", "apply", str(path), "--json", *arguments)
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed

    return applied


def test_another_database_is_refused_at_set_up_and_by_each_run(
    world: World, other: str, apply: Any
) -> None:
    (problem,) = apply(other)["problems"]
    assert problem["path"] == "apps[0].credentials.dsn"
    assert "paired so far" in problem["text"]
    ConnectedApp.objects.update(credentials={"dsn": other})
    app = ConnectedApp.objects.get()
    tested = services.test_connection(app)
    assert (tested.ok, tested.code) == (False, "SCHEMA_CHANGED")
    report = world.run(world.contacts)
    assert report["status"] == "failed"
    assert "another database" in report["syncs"][0]["errors"][0]["example"]
    with psycopg.connect(other) as conn:
        row = conn.execute("SELECT email, first_name FROM people").fetchall()
    assert row == [("z@z", "Zed")]
    assert set(world.contacts_in_hubspot()) == {ANN}


def test_the_same_database_by_another_address_or_role_is_the_same(
    world: World, apply: Any
) -> None:
    world.sql("DROP ROLE IF EXISTS second; CREATE ROLE second LOGIN SUPERUSER")
    dsn = world.dsn.replace("postgres@127.0.0.1", "second@localhost")
    assert apply(dsn)["changed"] == ["App 'Ops' changed"]
    assert world.run(world.contacts)["status"] == "succeeded"


def test_a_database_that_was_moved_goes_on_once_that_is_said(
    world: World, other: str, apply: Any
) -> None:
    with psycopg.connect(other) as conn:
        conn.execute("UPDATE people SET email = %s, first_name = 'Anna'", [ANN])
    assert "App 'Ops' moved" in apply(other, "--moved", "Ops")["changed"]
    assert world.run(world.contacts)["status"] == "succeeded"
    assert world.contacts_in_hubspot()[ANN]["firstname"] == "Anna"
    (problem,) = apply(world.dsn)["problems"]
    assert "--moved" in problem["text"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("", "hubspot/1", True),
        ("hubspot/1", "", True),
        ("hubspot/1", "hubspot/2", False),
        ("postgres/?/5/2200", "postgres/77/5/2200", True),
        ("postgres/?/5/2200", "postgres/77/6/2200", False),
        ("postgres/77/5/2200", "hubspot/77", False),
    ],
)
def test_what_is_not_known_of_a_system_does_not_tell_it_apart(
    one: str, other: str, same: bool
) -> None:
    assert same_system(one, other) is same
