"""A list that is no choice among options: what a person takes off it, HubSpot loses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connections import services as connection_services
from connections.sandbox.server import SandboxServer
from syncs.models import FieldMapping
from tests.test_mending import run
from tests.vendor import make_choice
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def tags(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        world.set_up()
        make_choice(
            world.client, "companies", "tags", "red", "green", "blue", several=True
        )
        world.sql("ALTER TABLE companies ADD COLUMN tags text[]")
        for owner in (world.account, world.app):
            connection_services.refresh_schema(owner)
        FieldMapping.objects.create(
            sync=world.companies, position=9, hubspot="tags", app="tags"
        )
        yield world


def tags_in_hubspot(world: World) -> list[str | None]:
    page = world.client.crm.companies.get_all(properties=["tags"])
    return [c.properties["tags"] for c in page]


@pytest.mark.parametrize(("left", "then"), [("{red}", "red"), (None, None)])
def test_what_a_person_takes_off_a_list_without_options_goes(tags, left, then):
    tags.sql(
        "INSERT INTO companies (name, domain, tags) "
        "VALUES ('A', 'a.example', '{red,green}')"
    )
    assert run(tags)["status"] == "succeeded"
    assert tags_in_hubspot(tags) == ["green;red"]
    tags.sql("UPDATE companies SET tags = %s", left)
    report = run(tags)
    assert (report["status"], report["updated"]["hubspot"]) == ("succeeded", 1)
    assert [value or None for value in tags_in_hubspot(tags)] == [then]
