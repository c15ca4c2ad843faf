"""Tables of odd kinds: other keys than a primary one, views, servers that only read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from connections.catalogue import Code
from connections.connectors.base import SchemaError, ScopeError
from connections.connectors.postgres import PostgresConnector, reading
from connections.records import Draft, ObjectType, Patch, Reference, Want
from connections.sandbox.postgres import PostgresServer
from tests.contract.harness import drafts
from tests.contract.postgres_system import PostgresSystem

pytestmark = pytest.mark.contract
NAME = Want(("name",))


def discovered(connector: PostgresConnector, name: str) -> ObjectType:
    found = connector.discover().object(name)
    assert found is not None
    return found


# Keys ----------------------------------------------------------------------------------


def test_a_unique_index_without_nulls_takes_the_place_of_a_primary_key(
    database: PostgresSystem,
):
    database.run(
        "CREATE TABLE things (a int NOT NULL, b int NOT NULL, code text NOT NULL, "
        "name text, UNIQUE (a, b)); CREATE UNIQUE INDEX ON things (code); "
        "INSERT INTO things VALUES (1, 1, 'x', 'X'), (1, 2, 'y', 'Y')"
    )
    things = database.table("things")
    assert (things.refused, things.key) == ("", ("code",))
    (page,) = database.connector.pages(things, NAME)
    assert {r.id: r.values["name"] for r in page.records} == {"x": "X", "y": "Y"}
    (done,) = database.connector.update(things, [Patch("y", {"name": "new"})], NAME)
    assert done.ok
    fetched = database.connector.fetch(things, ["y", "z"], NAME)
    assert fetched.records["y"].values["name"] == "new"
    assert fetched.gone == {"z"}


@pytest.mark.parametrize(
    "index",
    [
        "CREATE UNIQUE INDEX ON things (nullable)",
        "CREATE UNIQUE INDEX ON things (code) WHERE code > 'a'",
        "CREATE UNIQUE INDEX ON things (lower(code))",
        "CREATE INDEX ON things (code)",
        "ALTER TABLE things ADD UNIQUE (code) DEFERRABLE",
    ],
)
def test_an_index_that_tells_not_all_rows_apart_is_no_key(
    database: PostgresSystem, index: str
):
    database.run("CREATE TABLE things (code text NOT NULL, nullable int)")
    database.run(index)
    things = database.table("things")
    assert "no primary key" in things.refused
    assert "unique index over columns that are NOT NULL" in things.refused


def test_a_reference_to_a_table_with_another_key_than_a_primary_one(
    database: PostgresSystem,
):
    database.run(
        "CREATE TABLE kinds (code text NOT NULL UNIQUE, no int UNIQUE); "
        "CREATE TABLE things (id int PRIMARY KEY, name text, "
        "kind text REFERENCES kinds (code), kind_no int REFERENCES kinds (no)); "
        "INSERT INTO kinds VALUES ('a', 1), ('b', 2)"
    )
    things, want = database.table("things"), Want((), ("kind", "kind_no"))
    draft = Draft("t", {"id": "1"}, {"kind": Reference(("a",))})
    (made,) = database.connector.create(things, [draft], want)
    assert made.ok
    patch = Patch("1", references={"kind_no": Reference(("b",))})
    (done,) = database.connector.update(things, [patch], want)
    assert done.ok
    assert database.run("SELECT kind, kind_no FROM things") == [("a", 2)]
    held = database.connector.fetch(things, ["1"], want).records["1"].references
    assert {n: r.ids for n, r in held.items()} == {"kind": ("a",), "kind_no": ("b",)}


def test_another_key_under_the_same_ids_stops_every_call(database: PostgresSystem):
    """The rows that have the old ids now are other ones."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, no int NOT NULL, name text); "
        "INSERT INTO things VALUES (1, 2, 'one'), (2, 1, 'two')"
    )
    old = database.table("things")
    database.run(
        "ALTER TABLE things DROP CONSTRAINT things_pkey; "
        "ALTER TABLE things ADD PRIMARY KEY (no)"
    )
    connector = database.connect()
    for call in (
        lambda: connector.fetch(old, ["1"], NAME),
        lambda: list(connector.pages(old, NAME)),
        lambda: connector.update(old, [Patch("1", {"name": "x"})], NAME),
    ):
        with pytest.raises(SchemaError, match=r"key of things was id and is now no"):
            call()
    assert database.run("SELECT name FROM things ORDER BY id") == [("one",), ("two",)]
    connector.close()


def test_a_match_full_key_is_cleared_whole(database: PostgresSystem):
    database.run(
        "CREATE TABLE regions (country text, code text, PRIMARY KEY (country, code)); "
        "CREATE TABLE countries (code text PRIMARY KEY); "
        "CREATE TABLE things (id int PRIMARY KEY, country text REFERENCES countries, "
        "region text, FOREIGN KEY (country, region) REFERENCES regions MATCH FULL); "
        "INSERT INTO regions VALUES ('NL', 'NH'); INSERT INTO countries VALUES ('NL'); "
        "INSERT INTO things VALUES (1, 'NL', 'NH')"
    )
    things, want = database.table("things"), Want((), ("country,region",))
    patch = Patch("1", references={"country,region": Reference()})
    (done,) = database.connector.update(things, [patch], want)
    assert done.ok
    assert database.run("SELECT * FROM things") == [(1, None, None)]


# Views ---------------------------------------------------------------------------------

VIEWS = """
CREATE TABLE people (id int PRIMARY KEY, team int, name text, active boolean);
INSERT INTO people SELECT n, n % 3, 'p' || n, n < 6 FROM generate_series(1, 9) n;
CREATE VIEW "active.people" AS SELECT id, name FROM people WHERE active;
CREATE MATERIALIZED VIEW teams AS SELECT id, team, name FROM people;
"""


def test_a_view_with_a_given_key_is_read_and_nothing_else(
    database: PostgresSystem, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "PAGE_SIZE", 2)
    database.run(VIEWS)
    connector = database.connect(keys=["active.people.id", "teams.team", "teams.id"])
    view, teams = (discovered(connector, n) for n in ("active.people", "teams"))
    assert (view.refused, view.writable, view.key) == ("", False, ("id",))
    assert "is a view, which is only read" in view.read_only_reason
    assert all(f.read_only_reason == view.read_only_reason for f in view.fields)
    pages = connector.pages(view, NAME)
    assert [r.id for p in pages for r in p.records] == ["1", "2", "3", "4", "5"]
    pages = connector.pages(teams, NAME)
    assert [r.id for p in pages for r in p.records][:2] == ['["0","3"]', '["0","6"]']
    with pytest.raises(ScopeError, match="only read"):
        connector.update(view, [Patch("1", {"name": "x"})], NAME)
    with pytest.raises(ScopeError, match="only read"):
        connector.create(view, drafts([{"name": "x"}]), NAME)
    # A row may leave a view for another reason than that it is deleted.
    assert connector.fetch(view, ["1", "9", "77"], NAME).gone == frozenset()
    assert connector.lookup(view, "id", ["1"], NAME) is None
    connector.close()


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT 1 AS id, n FROM generate_series(1, 5) n", "several rows whose key"),
        ("SELECT nullif(n, 4) AS id FROM generate_series(1, 9) n", "key .id. is empty"),
    ],
)
def test_a_given_key_that_is_none_is_noticed(
    database: PostgresSystem, query: str, says: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "PAGE_SIZE", 2)
    database.run(f"CREATE VIEW odd AS {query}")
    connector = database.connect(keys=["odd.id"])
    with pytest.raises(SchemaError, match=says):
        list(connector.pages(discovered(connector, "odd"), Want()))
    connector.close()


def test_keys_of_what_is_no_view_or_no_column_are_refused(database: PostgresSystem):
    database.run(VIEWS)
    for keys, says in (
        (["teams.nothing"], "no such view and column"),
        (["nobody.id"], "no such view and column"),
        (["people.id"], "for views and foreign tables"),
    ):
        connector = database.connect(keys=keys)
        with pytest.raises(SchemaError, match=says):
            connector.discover()
        connector.close()


# Servers and roles that only read ------------------------------------------------------


def test_a_role_that_only_reads_is_told_before_and_at_the_write(
    database: PostgresSystem,
):
    database.run("CREATE TABLE things (id serial PRIMARY KEY, name text)")
    writable = database.table("things")
    option = "?options=-c%20default_transaction_read_only%3Don"
    connector = database.connect(f"{database.dsn}{option}")
    things = discovered(connector, "things")
    assert not things.writable
    assert "default_transaction_read_only" in things.read_only_reason
    assert list(connector.pages(things, NAME)) != []
    with pytest.raises(ScopeError, match="only reads"):
        connector.create(replace(writable), drafts([{"name": "x"}]), NAME)
    connector.close()


@pytest.fixture
def replica() -> Iterator[str]:
    """The address of a standby server that has the table `things`."""
    with tempfile.TemporaryDirectory(prefix="crosslink-standby-") as folder:
        os.chmod(folder, 0o755)  # the user that the server runs as must get in
        server = PostgresServer(Path(folder) / "data", fast=True)
        server.start()
        try:
            with psycopg.connect(server.dsn(), autocommit=True) as conn:
                conn.execute("CREATE TABLE things (id serial PRIMARY KEY, name text)")
                conn.execute("INSERT INTO things (name) VALUES ('a')")
                row = conn.execute("SHOW data_directory").fetchone()
            assert row is not None
            server.stop()
            (Path(row[0]) / "standby.signal").touch()
            server.start()
            yield server.dsn()
        finally:
            server.destroy()


def test_a_read_replica_is_read_and_refuses_to_be_written(
    database: PostgresSystem, replica: str
):
    database.run("CREATE TABLE things (id serial PRIMARY KEY, name text)")
    writable = database.table("things")
    connector = database.connect(replica)
    assert any("read replica" in warning for warning in connector.test().warnings)
    things = discovered(connector, "things")
    assert (things.writable, things.refused) == (False, "")
    assert "dsn of the primary" in things.read_only_reason
    (page,) = connector.pages(things, NAME)
    assert [r.values["name"] for r in page.records] == ["a"]
    for call in (
        lambda: connector.create(writable, drafts([{"name": "x"}]), NAME),
        lambda: connector.update(writable, [Patch("1", {"name": "x"})], NAME),
    ):
        with pytest.raises(ScopeError, match="dsn of the primary"):
            call()
    connector.close()


def test_policies_that_come_during_a_run_hide_rows_and_delete_none(
    database: PostgresSystem,
):
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, name text); "
        "INSERT INTO things VALUES (1, 'a'), (2, 'b'); "
        "DROP ROLE IF EXISTS sees_few; CREATE ROLE sees_few LOGIN; "
        "GRANT SELECT ON things TO sees_few"
    )
    where = database.dsn.rpartition("@")[2]
    connector = database.connect(f"postgresql://sees_few@{where}")
    things = discovered(connector, "things")
    database.run("DELETE FROM things WHERE id = 2")
    assert connector.fetch(things, ["1", "2"], NAME).gone == {"2"}
    database.run(
        "CREATE POLICY few ON things USING (id > 5); "
        "ALTER TABLE things ENABLE ROW LEVEL SECURITY"
    )
    fetched = connector.fetch(things, ["1", "2"], NAME)
    assert (fetched.records, fetched.gone) == ({}, frozenset())
    connector.close()
    # Who owns the table sees all of it, unless it forces its policies on its owner.
    database.run("ALTER TABLE things OWNER TO sees_few")
    owner = database.connect(f"postgresql://sees_few@{where}")
    assert owner.fetch(things, ["1", "2"], NAME).gone == {"2"}
    database.run("ALTER TABLE things FORCE ROW LEVEL SECURITY")
    assert owner.fetch(things, ["1", "2"], NAME).gone == frozenset()
    owner.close()


# Types ---------------------------------------------------------------------------------

TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'it''s "fine"');
CREATE DOMAIN moods AS mood[]; CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN code AS varchar(5);
CREATE TABLE things (
  id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  nr int GENERATED BY DEFAULT AS IDENTITY,
  some_moods mood[], own_moods moods, numbers int[], ids uuid[], names varchar(9)[],
  positive positive, code code, price money, amount numeric(8,2), whole numeric(6,-2),
  j jsonb, span interval, net inet, at_time time, r int4range, d date, t timestamptz);
"""
ONE = "11111111-1111-4111-8111-111111111111"


def test_values_of_every_type_go_in_and_come_out_alike(database: PostgresSystem):
    database.run(TYPES)
    things = database.table("things")
    values: dict[str, object] = {
        "some_moods": ['it\'s "fine"', "sad"],
        "own_moods": ["sad"],
        "numbers": ["-4", "12"],
        "ids": [ONE],
        "names": ["a,b", 'q"', "{}"],
        "positive": "7",
        "code": "abc",
        "price": "1234.5",
        "amount": "12.34",
        "whole": "1200",
        "nr": "77",
    }
    want = Want(tuple(values))
    (made,) = database.connector.create(things, [Draft("t", values)], want)  # type: ignore[arg-type]
    assert made.record is not None, made.message
    (row,) = database.run(
        "SELECT numbers, own_moods::text, price::numeric, whole, nr FROM things"
    )
    assert row[:2] == ([-4, 12], "{sad}")
    assert tuple(map(str, row[2:])) == ("1234.50", "1200", "77")
    fetched = database.connector.fetch(things, [made.record.id], want)
    read = fetched.records[made.record.id].values
    assert read == made.record.values
    assert {n: sorted(map(str, v)) for n, v in read.items() if isinstance(v, list)} == {
        n: v for n, v in values.items() if isinstance(v, list)
    }


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("some_moods", ["sad", "glad"], Code.OPTION_UNKNOWN),
        ("own_moods", ["glad"], Code.OPTION_UNKNOWN),
        ("numbers", ["12", "x"], Code.VALUE_INVALID),
        ("ids", ["no uuid"], Code.VALUE_INVALID),
        ("positive", "-1", Code.VALUE_INVALID),
        ("code", "abcdef", Code.VALUE_TOO_LONG),
        ("amount", "1000000", Code.VALUE_INVALID),
        ("names", ["a\0b"], Code.VALUE_INVALID),
        ("price", "a lot", Code.VALUE_INVALID),
        *(
            (name, "x", Code.FIELD_READ_ONLY)
            for name in ("j", "span", "net", "at_time", "r")
        ),
    ],
)
def test_a_value_that_its_type_cannot_hold_fails_alone(
    database: PostgresSystem, name: str, value: list[str] | str, code: Code
):
    database.run(TYPES)
    things = database.table("things")
    many = [Draft(f"t{n}", {"code": "c"}) for n in range(4)]
    many[2] = Draft("bad", {name: value, "code": "c"} | {name: value})
    outcomes = database.connector.create(things, many, Want(("code",)))
    assert outcomes.pop(2).code == code
    assert [o.ok for o in outcomes] == [True] * 3


def test_odd_times_come_as_text_and_other_types_as_one_way_text(
    database: PostgresSystem,
):
    database.run(TYPES)
    database.run(
        "INSERT INTO things (j, span, net, at_time, r, d, t) VALUES ('{\"a\": [1]}', "
        "'1 year 2 days 03:04', '10.0.0.1/8', '12:30', '[1,5)', '0044-03-15 BC', "
        "'infinity')"
    )
    things = database.table("things")
    names = ("j", "span", "net", "at_time", "r", "d", "t")
    (page,) = database.connector.pages(things, Want(names))
    assert page.records[0].values == {
        "j": '{"a": [1]}',
        "span": "1 year 2 days 03:04:00",
        "net": "10.0.0.1/8",
        "at_time": "12:30:00",
        "r": "[1,5)",
        "d": "0044-03-15 BC",
        "t": "infinity",
    }
    reasons = {n: f.read_only_reason for n in names[:5] if (f := things.field(n))}
    assert all("read only" in reason for reason in reasons.values())
