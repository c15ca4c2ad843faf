"""The change log that triggers keep: nothing is missed, and a gap is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from connections.connectors.base import FeedLost, SchemaError
from connections.connectors.postgres import PostgresConnector, change_log
from connections.records import Draft, ObjectType, Patch, Want, same_system
from tests.contract.harness import new_context
from tests.contract.postgres_system import PostgresSystem

pytestmark = pytest.mark.contract
NAME = Want(("name",))
TABLES = """
CREATE TABLE people (id int PRIMARY KEY, name text, boss int REFERENCES people
  ON DELETE SET NULL);
CREATE TABLE "O'dd ""ü%"" x" ("At %" timestamptz, "b'" int, name text,
  PRIMARY KEY ("At %", "b'"));
INSERT INTO people VALUES (1, 'Ann', NULL), (2, 'Bob', 1), (3, 'Cid', NULL);
"""
ODD = 'O\'dd "ü%" x'


class Log:
    """A reader of a database's log that keeps its place."""

    def __init__(self, system: PostgresSystem, **changes: Any) -> None:
        self.system = system
        self.context = new_context(origin="ours", **changes)
        self.connector = system.connect(change_log="log", context=self.context)
        self.place = ""

    def install(self, *names: str) -> None:
        self.system.run(self.connector.feed_setup(names))

    def table(self, name: str = "people") -> ObjectType:
        found = self.connector.discover().object(name)
        assert found is not None
        return found

    def begin(self, name: str = "people") -> None:
        self.place = self.connector.feed_place(self.table(name))

    def read(self, name: str = "people", *, own: bool = False) -> list[str]:
        """The ids that changed since the last read."""
        found: list[str] = []
        for part in self.connector.fed(self.table(name), self.place, own=own):
            found += part.ids
            self.place = part.place
        return found


@pytest.fixture
def log(database: PostgresSystem) -> Iterator[Log]:
    database.run(TABLES)
    log = Log(database)
    log.install("people", ODD)
    log.begin()
    yield log
    log.connector.close()


# What is told --------------------------------------------------------------------------


def test_every_change_is_told_once_by_its_id(log: Log, database: PostgresSystem):
    assert log.read() == []
    database.run("UPDATE people SET name = 'x' WHERE id < 3")
    database.run("INSERT INTO people VALUES (7, 'new')")
    database.run("DELETE FROM people WHERE id = 3")
    database.run("UPDATE people SET name = 'y' WHERE id = 1")
    assert log.read() == ["1", "2", "7", "3"]
    assert log.read() == []
    assert log.connector.fetch(log.table(), ["3"], NAME).gone == {"3"}


def test_what_the_database_changes_by_itself_is_told_too(
    log: Log, database: PostgresSystem
):
    database.run("DELETE FROM people WHERE id = 1")
    assert sorted(log.read()) == ["1", "2"]


def test_a_change_of_the_key_tells_the_old_and_the_new_one(
    log: Log, database: PostgresSystem
):
    database.run("UPDATE people SET id = 30 WHERE id = 3")
    assert sorted(log.read()) == ["3", "30"]


@pytest.mark.parametrize("size", [1, 5000])
def test_a_transaction_that_commits_late_is_told_late_and_not_missed(
    log: Log, database: PostgresSystem, monkeypatch: pytest.MonkeyPatch, size: int
):
    monkeypatch.setattr(change_log, "LOG_PAGE", size)
    with psycopg.connect(database.dsn) as slow:
        slow.execute("UPDATE people SET name = 'late' WHERE id = 1")
        database.run("UPDATE people SET name = 'soon' WHERE id = 2")
        told = log.read()
        database.run("UPDATE people SET name = 'soon' WHERE id = 3")
        told += log.read()
    assert sorted([*told, *log.read()]) == ["1", "2", "3"]
    assert log.read() == []


def test_what_is_rolled_back_is_not_told(log: Log, database: PostgresSystem):
    with psycopg.connect(database.dsn) as conn:
        conn.execute("UPDATE people SET name = 'x'")
        conn.rollback()
    assert log.read() == []


def test_a_place_taken_before_a_change_commits_lies_before_it(
    log: Log, database: PostgresSystem
):
    with psycopg.connect(database.dsn) as slow:
        slow.execute("UPDATE people SET name = 'late' WHERE id = 1")
        log.begin()
    assert log.read() == ["1"]


def test_many_entries_are_read_in_parts_each_with_its_place(
    log: Log, database: PostgresSystem, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(change_log, "LOG_PAGE", 4)
    database.run("INSERT INTO people SELECT n, 'p' FROM generate_series(10, 29) n")
    database.run("UPDATE people SET name = 'q' WHERE id >= 10")
    obj = log.table()
    parts = list(log.connector.fed(obj, log.place, own=False))
    assert [i for p in parts for i in p.ids] == [str(n) for n in range(10, 30)] * 2
    assert max(len(p.ids) for p in parts) == 4
    for number, part in enumerate(parts):
        rest = list(log.connector.fed(obj, part.place, own=False))
        assert [p.ids for p in rest if p.ids] == [
            p.ids for p in parts[number + 1 :] if p.ids
        ]


def test_odd_names_and_keys_of_several_columns_are_ids_as_they_are_read(
    log: Log, database: PostgresSystem
):
    log.begin(ODD)
    with psycopg.connect(database.dsn, autocommit=True) as elsewhere:
        elsewhere.execute("SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'")
        elsewhere.execute(
            'INSERT INTO "O\'dd ""ü%%"" x" VALUES (%s::text::timestamptz, 5, %s)',
            ["2026-01-31 12:00:00.5+01", "x"],
        )
    (told,) = log.read(ODD)
    (page,) = log.connector.pages(log.table(ODD), NAME)
    assert [r.id for r in page.records] == [told]
    assert log.connector.fetch(log.table(ODD), [told], NAME).records[told].id == told


def test_an_unchanged_table_costs_two_statements(log: Log):
    obj = log.table()
    before = log.context.meter.calls
    list(log.connector.fed(obj, log.place, own=False))
    assert log.context.meter.calls - before <= 2


# Our own writes ------------------------------------------------------------------------


def test_what_we_wrote_is_no_news_and_what_it_set_off_is(
    log: Log, database: PostgresSystem
):
    database.run(
        "CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE public.people SET name = 'boss of ' || NEW.name WHERE id = NEW.boss; "
        "RETURN NULL; END $$; CREATE TRIGGER follow AFTER UPDATE ON people "
        "FOR EACH ROW WHEN (NEW.boss IS NOT NULL) EXECUTE FUNCTION follow()"
    )
    obj = log.table()
    (done,) = log.connector.update(obj, [Patch("3", {"name": "ours"})], NAME)
    draft = Draft("t", {"id": "8", "name": "ours"})
    (made,) = log.connector.create(obj, [draft], NAME)
    assert done.ok
    assert made.ok
    assert log.read() == []
    (done,) = log.connector.update(obj, [Patch("2", {"name": "ours"})], NAME)
    assert done.ok
    assert log.read() == ["1"]


def test_another_reader_is_told_of_our_writes(log: Log, database: PostgresSystem):
    other = Log(database)
    other.context.origin = "theirs"
    other.connector = database.connect(change_log="log", context=other.context)
    other.begin()
    before = log.place
    log.connector.update(log.table(), [Patch("3", {"name": "ours"})], NAME)
    assert other.read() == ["3"]
    log.place = before
    assert log.read(own=True) == ["3"]
    other.connector.close()


# Gaps ----------------------------------------------------------------------------------


def lost(log: Log, says: str) -> None:
    with pytest.raises(FeedLost, match=says):
        log.read()


def test_a_log_pruned_behind_us_is_read_on(log: Log, database: PostgresSystem):
    database.run("UPDATE people SET name = 'x'")
    log.read()
    database.run("DELETE FROM log")
    assert log.read() == []
    database.run("UPDATE people SET name = 'y' WHERE id = 1")
    assert log.read() == ["1"]
    database.run("DELETE FROM log WHERE op <> 'P'")
    database.run("DELETE FROM log")
    assert log.read() == []


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("DELETE FROM log", "pruned or emptied"),
        ("DELETE FROM log; DELETE FROM log", "pruned or emptied"),
        ("TRUNCATE log", "pruned or emptied"),
        ("TRUNCATE log; INSERT INTO people VALUES (9)", "pruned or emptied"),
        ("TRUNCATE people", "emptied by TRUNCATE"),
        ("ALTER TABLE people DISABLE TRIGGER log", "not in the change log"),
        ("ALTER TABLE people ENABLE REPLICA TRIGGER log", "not in the change log"),
        ("DROP TRIGGER log_truncate ON people", "not in the change log"),
        (
            "ALTER TABLE people DISABLE TRIGGER log; "
            "ALTER TABLE people ENABLE ALWAYS TRIGGER log",
            "not the one that was read last",
        ),
        (
            "ALTER TABLE log DISABLE TRIGGER log_pruned; DELETE FROM log; "
            "ALTER TABLE log ENABLE ALWAYS TRIGGER log_pruned",
            "not the one that was read last",
        ),
        ("ALTER TABLE log DISABLE TRIGGER ALL", "when the change log .* is pruned"),
        ("DROP TABLE log", "There is no change log"),
        (
            "ALTER TABLE people RENAME TO away; CREATE TABLE people "
            "(id int PRIMARY KEY, name text)",
            "not in the change log",
        ),
        ("ALTER TABLE people RENAME id TO nr", "another name or key"),
    ],
)
def test_what_may_make_a_gap_is_noticed(
    log: Log, database: PostgresSystem, how: str, says: str
):
    database.run("UPDATE people SET name = 'unread'")
    database.run(how)
    lost(log, says)


def test_after_a_gap_a_new_place_is_read_on(log: Log, database: PostgresSystem):
    database.run("UPDATE people SET name = 'unread'")
    database.run("TRUNCATE log")
    lost(log, "pruned or emptied")
    log.begin()
    assert log.read() == []
    database.run("UPDATE people SET name = 'x' WHERE id = 2")
    assert log.read() == ["2"]


def test_a_server_that_was_set_back_is_noticed(log: Log):
    """Its transactions' numbers would come again."""
    log.place = log.place.replace('"xid": "', '"xid": "9')
    lost(log, "not the one that was read last")


def test_a_place_that_cannot_be_read_is_no_place(log: Log):
    for odd in ("", "{}", "[]", '{"xid": "x", "seq": 1, "anchor": ""}'):
        log.place = odd
        lost(log, "is not known")


def test_the_set_up_may_be_run_again_and_is_taken_for_a_gap(
    log: Log, database: PostgresSystem
):
    log.install("people")
    lost(log, "not the one that was read last")
    log.begin()
    database.run("UPDATE people SET name = 'x' WHERE id = 1")
    assert log.read() == ["1"]


# Set-up --------------------------------------------------------------------------------


def test_discovery_says_which_tables_are_not_in_the_log(
    log: Log, database: PostgresSystem
):
    database.run("CREATE TABLE more (id int PRIMARY KEY); CREATE TABLE none (id int)")
    schema = log.connector.discover()
    unfed = {o.name: o.unfed for o in schema.objects}
    assert unfed.pop("more").startswith("more is not in the change log public.log")
    assert unfed == {"people": "", ODD: "", "none": ""}
    plain = database.connect()
    assert {o.unfed for o in plain.discover().objects} == {""}
    plain.close()


def test_without_a_log_every_table_says_how_to_make_one(database: PostgresSystem):
    database.run(TABLES)
    log = Log(database)
    assert "change_log prints the SQL" in log.table().unfed
    with pytest.raises(FeedLost, match=r"There is no change log public\.log"):
        log.begin()
    log.connector.close()


def test_a_log_may_stand_in_a_schema_of_its_own_under_a_role_that_only_reads(
    database: PostgresSystem,
):
    database.run(TABLES)
    database.run(
        "CREATE SCHEMA audit; DROP ROLE IF EXISTS follower; CREATE ROLE follower LOGIN; "
        "GRANT SELECT, UPDATE ON people TO follower"
    )
    where = database.dsn.rpartition("@")[2]
    connector = PostgresConnector(
        {"change_log": "audit.people log"},
        {"dsn": f"postgresql://follower@{where}"},
        new_context(origin="ours"),
    )
    database.run(connector.feed_setup(["people"]))
    people = connector.discover().object("people")
    assert people is not None
    assert people.unfed == ""
    place = connector.feed_place(people)
    database.run("UPDATE people SET name = 'x' WHERE id = 1")
    connector.update(people, [Patch("2", {"name": "ours"})], NAME)
    assert [p.ids for p in connector.fed(people, place, own=False)] == [("1",)]
    database.run('REVOKE SELECT ON audit."people log" FROM follower')
    assert "grant it SELECT" in connector.discover().objects[-1].unfed
    connector.close()


def test_a_role_that_may_not_ask_which_server_it_is_reads_the_log_all_the_same(
    database: PostgresSystem,
):
    database.run(TABLES)
    database.run(
        "REVOKE EXECUTE ON FUNCTION pg_control_system(), pg_control_checkpoint() "
        "FROM PUBLIC; DROP ROLE IF EXISTS curious; CREATE ROLE curious LOGIN; "
        "GRANT SELECT ON people TO curious"
    )
    try:
        where = database.dsn.rpartition("@")[2]
        connector = PostgresConnector(
            {"change_log": "log"},
            {"dsn": f"postgresql://curious@{where}"},
            new_context(origin="ours"),
        )
        database.run(connector.feed_setup(["people"]))
        told, known = connector.test().system, database.connector.test().system
        assert told != known
        assert same_system(told, known)
        people = connector.discover().object("people")
        assert people is not None
        place = connector.feed_place(people)
        database.run("UPDATE people SET name = 'x' WHERE id = 1")
        assert [p.ids for p in connector.fed(people, place, own=False)] == [("1",)]
        connector.close()
    finally:
        database.run(
            "GRANT EXECUTE ON FUNCTION pg_control_system(), pg_control_checkpoint() "
            "TO PUBLIC"
        )


def test_a_log_that_is_taken_off_lets_rows_change(log: Log, database: PostgresSystem):
    database.run(log.connector.feed_setup(["people", ODD], remove=True))
    database.run("DROP TABLE log")
    database.run("UPDATE people SET name = 'x'")
    assert "There is no change log" in log.table().unfed


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nobody", "no table nobody"),
        ("keyless", "no primary key"),
        ("seen", "is a view"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    log: Log, database: PostgresSystem, name: str, says: str
):
    database.run(
        "CREATE TABLE keyless (id int); CREATE VIEW seen AS SELECT * FROM people"
    )
    with pytest.raises(SchemaError, match=says):
        log.connector.feed_setup(["people", name])


def test_writers_need_no_right_to_the_log(log: Log, database: PostgresSystem):
    database.run(
        "DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN; "
        "GRANT SELECT, UPDATE ON people TO clerk"
    )
    where = database.dsn.rpartition("@")[2]
    with psycopg.connect(f"postgresql://clerk@{where}", autocommit=True) as clerk:
        clerk.execute("UPDATE people SET name = 'x' WHERE id = 1")
    assert log.read() == ["1"]


def test_a_partition_tells_of_its_table(log: Log, database: PostgresSystem):
    database.run(
        "CREATE TABLE parted (id int PRIMARY KEY, name text) PARTITION BY RANGE (id); "
        "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10)"
    )
    log.install("parted")
    log.begin("parted")
    database.run("CREATE TABLE parted_2 PARTITION OF parted DEFAULT")
    database.run("INSERT INTO parted VALUES (5, 'a'), (50, 'b')")
    assert log.read("parted") == ["5", "50"]


def test_names_too_long_for_postgresql_do_not_meet(log: Log, database: PostgresSystem):
    one, two = ("x" * 60 + end for end in ("_a", "_b"))
    for name in (one, two):
        database.run(f"CREATE TABLE {name} (id int PRIMARY KEY)")
    log.install(one, two)
    for name in (one, two):
        log.begin(name)
        database.run(f"INSERT INTO {name} VALUES (1)")
        assert log.read(name) == ["1"]
