"""What a sync costs in calls, by the sandbox's own count."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connections.sandbox.server import SandboxServer
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
COMPANIES, PEOPLE = 120, 1050


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def test_creates_updates_and_link_reads_take_as_few_calls_as_batches_allow(world):
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
    world.set_up(limits={"unlink": None, "percent": None})
    count, reset = world.sandbox.control.count, world.sandbox.control.reset_counts
    reset()
    assert world.run()["status"] == "succeeded"
    assert count("objects/companies/batch/create") == 2
    assert count("objects/contacts/batch/create") == 11
    assert count("associations/contacts/companies/batch/read") == 2
    assert count("associations/contacts/companies/batch/create") == 0  # sent inline
    assert count("batch/update") == 0
    world.run()
    world.sql("UPDATE people SET first_name = 'Q' WHERE id <= 250")
    reset()
    assert world.run()["syncs"][1]["updated"] == {"hubspot": 250, "app": 0}
    assert count("objects/contacts/batch/update") == 3
    assert count("batch/create") == 0
    # The sweep reads every contact's links, and nothing but those.
    assert count("associations/contacts/companies/batch/read") == 2
    assert count("associations") == 2
    removes_and_adds(world)


def removes_and_adds(world: World) -> None:
    """Links of all people are taken off, then put back."""
    count, reset = world.sandbox.control.count, world.sandbox.control.reset_counts
    world.associate(on_unlink="remove_pair")
    world.run()
    world.sql("UPDATE people SET company_id = NULL")
    reset()
    removed = world.run()["syncs"][1]["associations"]["removed"]
    assert removed == {"hubspot": PEOPLE, "app": 0}
    # From the companies' end, 100 companies a call where the contacts' would take eleven.
    assert count("associations/companies/contacts/batch/archive") == 2
    assert count("archive") == 2
    assert count("associations/contacts/companies/batch/read") == 4  # and back
    world.sql("UPDATE people SET company_id = id %% %s + 1", COMPANIES)
    reset()
    added = world.run()["syncs"][1]["associations"]["added"]
    assert added == {"hubspot": PEOPLE, "app": 0}
    assert count("associations/contacts/companies/batch/create") == 1
    assert count("associations/contacts/companies/batch/read") == 4
    assert count("associations") == 5
