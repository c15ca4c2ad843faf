"""One object type read again, and when its fields last changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.harness import System, rows
from tests.contract.hubspot_system import HubSpotSystem
from tests.contract.postgres_system import PostgresSystem

pytestmark = pytest.mark.contract
T = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_an_object_read_again_is_as_discovery_shows_it(own_system: System):
    obj = own_system.obj
    assert own_system.connector.describe(obj) == obj
    own_system.lose_field("note")
    again = own_system.connector.describe(obj)
    assert again is not None
    lost = {f.name for f in obj.fields} - {f.name for f in again.fields}
    assert lost == {"note"}


def test_an_object_that_is_gone_is_none(
    hubspot: HubSpotSystem, own_probes: PostgresSystem
):
    vessels, table = hubspot.discover("vessels"), own_probes.obj
    assert hubspot.connector.describe(vessels) == vessels
    path = f"/crm-object-schemas/2026-03/schemas/{vessels.id}"
    hubspot.api("DELETE", path).raise_for_status()
    assert hubspot.connector.describe(vessels) is None
    own_probes.run("CREATE TABLE other (id int PRIMARY KEY)")
    own_probes.run("DROP TABLE probes")
    assert own_probes.connector.describe(table) is None


def test_a_chosen_table_that_is_gone_is_none_and_the_others_stay(
    own_probes: PostgresSystem,
):
    own_probes.run("CREATE TABLE other (id int PRIMARY KEY)")
    connector = own_probes.connect(tables=["probes", "other"])
    schema = connector.discover()
    table, other = schema.object("probes"), schema.object("other")
    assert table is not None
    assert other is not None
    own_probes.run("DROP TABLE probes")
    assert connector.describe(table) is None
    assert connector.describe(other) == other
    connector.close()


def test_times_of_fields_are_told_where_that_is_promised(system: System):
    ids = system.plant(rows(60), at=T)
    before = datetime.now(UTC) - timedelta(seconds=30)
    system.edit(ids[0], "edited")
    system.remove(ids[59])
    found = system.connector.changed_at(
        system.obj, [*ids, "987654321"], ["title", "note"]
    )
    if not system.connector.capabilities.tells_field_times:
        assert found == {}
        return
    assert set(found) == set(ids[:59])
    assert found[ids[0]]["title"] > before
    assert {times["title"] for i, times in found.items() if i != ids[0]} == {T}
    assert all("note" not in times for times in found.values())
