"""PostgreSQL's own ways of reading: times of every kind, keys of every kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.connectors.postgres import reading
from connections.records import Record, Want
from syncs.engine.values import ValueProblem, canonical
from tests.contract.harness import LONG_AGO, new_context, rows
from tests.contract.postgres_system import PostgresSystem

pytestmark = pytest.mark.contract
T = datetime(2026, 1, 31, 12, tzinfo=UTC)
US = timedelta(microseconds=1)


def changed(
    system: PostgresSystem,
    after: datetime,
    until: datetime | None = None,
    want: Want | None = None,
    table: str = "probes",
) -> list[str]:
    obj = system.table(table)
    pages = system.connector.changed(obj, want or system.want, after=after, until=until)
    return sorted(record.id for page in pages for record in page.records)


# Change times --------------------------------------------------------------------------


def test_windows_are_exact_to_the_microsecond(probes: PostgresSystem):
    early, at, late = (probes.plant(rows(1, n), at=T + n * US)[0] for n in range(3))
    assert changed(probes, T, T + US) == [at]
    assert changed(probes, T - US, T) == [early]
    assert changed(probes, T + US) == [late]


def test_times_given_in_any_zone_are_the_same_times(probes: PostgresSystem):
    (record_id,) = probes.plant(rows(1), at=T)
    probes.run(
        "UPDATE probes SET changed_at = '2026-01-31 21:00:00+09' WHERE id = %s",
        int(record_id),
    )
    probes.run("ALTER TABLE probes DISABLE TRIGGER touch")
    probes.run("UPDATE probes SET changed_at = '2026-01-31 21:00:00+09'")
    probes.run("ALTER TABLE probes ENABLE TRIGGER touch")
    assert changed(probes, T - US, T) == [record_id]
    (page,) = probes.connector.pages(probes.obj, probes.want)
    assert page.records[0].modified_at == T


def test_a_time_without_zone_is_utc_whatever_the_servers_zone(
    database: PostgresSystem,
):
    database.run(
        "ALTER ROLE postgres SET timezone = 'Asia/Tokyo'; "
        "CREATE TABLE things (id int PRIMARY KEY, at timestamp); "
        "INSERT INTO things VALUES (1, '2026-01-31 12:00:00')"
    )
    try:
        want = Want(("at",), changed_field="at")
        assert changed(database, T - US, T, want, "things") == ["1"]
        assert changed(database, T, None, want, "things") == []
        (page,) = database.connector.pages(database.table("things"), want)
        assert page.records[0].modified_at == T
        field = database.table("things").field("at")
        assert field is not None
        value = canonical(page.records[0].values["at"], field, zone=UTC)
        assert value == "2026-01-31T12:00:00.000Z"
    finally:
        database.run("ALTER ROLE postgres RESET timezone")


def test_rows_without_a_change_time_are_read_in_full_and_never_as_changed(
    database: PostgresSystem,
):
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, at timestamptz); "
        "INSERT INTO things VALUES (1, NULL), (2, '2026-01-31 12:00Z'), (3, NULL), "
        "(4, 'infinity'), (5, '-infinity'), (6, '0044-03-15 12:00 BC')"
    )
    want = Want(("at",), changed_field="at")
    table = database.table("things")
    (page,) = database.connector.pages(table, want)
    assert [r.modified_at for r in page.records] == [None, T, None, None, None, None]
    assert changed(database, LONG_AGO, None, want, "things") == ["2"]
    seen = database.connector.window(table, want, after=LONG_AGO, until=T)
    micros = (T - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert (seen.count, seen.stamps, seen.unstamped) == (1, micros, 5)
    (unstamped,) = database.connector.unstamped(table, want)
    assert [r.id for r in unstamped.records] == ["1", "3", "4", "5", "6"]
    assert {r.modified_at for r in unstamped.records} == {None}
    field = table.field("at")
    assert field is not None
    for record in page.records[3:]:
        with pytest.raises(ValueProblem):
            canonical(record.values["at"], field, zone=UTC)


def test_a_change_committed_late_is_found_by_an_overlap(probes: PostgresSystem):
    """A transaction shows the time it began at: the window must reach back."""
    probes.plant(rows(1), at=T)
    newest = T
    probes.plant(rows(1, 1), at=T - timedelta(seconds=30))
    overlap = timedelta(seconds=probes.connector.capabilities.overlap_s)
    assert changed(probes, newest) == []
    assert len(changed(probes, newest - overlap)) == 2
    assert overlap > timedelta(seconds=60)


def test_a_window_needs_a_column_that_tells_time(probes: PostgresSystem):
    for column, code in (
        ("", Code.SCHEMA_CHANGED),
        ("title", Code.SCHEMA_CHANGED),
        ("day", Code.SCHEMA_CHANGED),
        ("no_such", Code.FIELD_MISSING),
    ):
        want = Want(("title",), changed_field=column)
        with pytest.raises(SchemaError) as caught:
            changed(probes, T, want=want)
        assert caught.value.code == code


# Values as drivers give them -----------------------------------------------------------


def test_values_that_python_cannot_hold_are_told_and_stop_no_read(
    database: PostgresSystem,
):
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, day date, n numeric, f float8, "
        "tags text[], j jsonb); INSERT INTO things VALUES "
        "(1, 'infinity', 'NaN', 'Infinity', ARRAY['b', NULL, 'a'], '{\"a\": 1}'), "
        "(2, '0044-03-15 BC', 1e100, 0.1, '{}', NULL), "
        "(3, '2026-01-31', 1.50, 'NaN', '{{a,b},{c,d}}', '[]')"
    )
    table = database.table("things")
    fields = {f.name: f for f in table.fields}
    (page,) = database.connector.pages(table, Want(tuple(fields)))
    assert [r.id for r in page.records] == ["1", "2", "3"]

    def held(record: Record, name: str) -> object:
        try:
            return canonical(record.values[name], fields[name], zone=UTC)
        except ValueProblem as problem:
            return problem.code

    invalid = Code.VALUE_INVALID
    assert [held(r, "day") for r in page.records] == [invalid, invalid, "2026-01-31"]
    assert [held(r, "f") for r in page.records] == [invalid, "0.1", invalid]
    assert [held(r, "n") for r in page.records] == [invalid, str(10**100), "1.5"]
    assert [held(r, "tags") for r in page.records] == [
        ["a", "b"],
        None,
        ["a", "b", "c", "d"],
    ]
    assert held(page.records[0], "j") == '{"a": 1}'
    assert page.records[2].values["n"] == Decimal("1.50")


# Keys ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("int", ["-5", "7", "2147483647"]),
        ("bigint", ["-9223372036854775808", "9007199254740993", "1"]),
        ("text", ["", "a b", "Ä", "a/b%", '["x"]']),
        ("varchar(20)", ["B", "a", "b"]),
        ("char(4)", ["ab", "abcd", "c"]),
        (
            "uuid",
            [
                "00000000-0000-0000-0000-000000000001",
                "ffffffff-ffff-4fff-8fff-ffffffffffff",
            ],
        ),
        ("numeric", ["1.5", "1.50001", "-3"]),
        ("date", ["2026-01-31", "1999-12-31"]),
        ("timestamptz", ["2026-01-31 12:00:00+00", "2026-01-31 12:00:00.000001+00"]),
        ("boolean", ["true", "false"]),
    ],
)
def test_a_key_of_any_type_is_paged_fetched_and_looked_up(
    database: PostgresSystem,
    monkeypatch: pytest.MonkeyPatch,
    column: str,
    values: list[str],
):
    monkeypatch.setattr(reading, "PAGE_SIZE", 1)
    database.run(f"CREATE TABLE things (id {column} PRIMARY KEY, name text)")
    for value in values:
        database.run(
            f"INSERT INTO things VALUES (%s::text::{column}, %s)", value, value
        )
    table, want = database.table("things"), Want(("name",))
    pages = list(database.connector.pages(table, want))
    by_id = {
        record.id: record.values["name"] for page in pages for record in page.records
    }
    assert sorted(map(str, by_id.values())) == sorted(values)
    assert len(pages) == len(values)
    ids = list(by_id)
    fetched = database.connector.fetch(table, ids, want)
    assert {i: r.values["name"] for i, r in fetched.records.items()} == by_id
    found = database.connector.lookup(table, "id", ids, want)
    assert found is not None
    assert {i: r.values["name"] for i, r in found.items()} == by_id
    for place, page in enumerate(pages[:-1]):
        rest = [
            r.id
            for p in database.connector.pages(table, want, page.cursor)
            for r in p.records
        ]
        assert rest == ids[place + 1 :]


def test_a_key_of_several_columns_is_one_id(
    database: PostgresSystem, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "PAGE_SIZE", 2)
    database.run(
        "CREATE TABLE things (a text, b int, name text, PRIMARY KEY (b, a)); "
        "INSERT INTO things VALUES ('x', 1, 'x1'), ('y', 1, 'y1'), ('x,\"', 2, 'q'), "
        "('', 10, 'e'), ('é', 9, 'u')"
    )
    table, want = database.table("things"), Want(("name",))
    found = [r for p in database.connector.pages(table, want) for r in p.records]
    assert [r.values["name"] for r in found] == ["x1", "y1", "q", "u", "e"]
    ids = [r.id for r in found]
    assert len(set(ids)) == 5
    fetched = database.connector.fetch(table, [*ids, '["7","no"]'], want)
    assert [fetched.records[i].values["name"] for i in ids] == [
        r.values["name"] for r in found
    ]
    assert fetched.gone == {'["7","no"]'}


def test_an_id_that_cannot_be_one_is_no_row_of_another(database: PostgresSystem):
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, name text); "
        "INSERT INTO things VALUES (1, 'one')"
    )
    table, want = database.table("things"), Want(("name",))
    for odd in ("one", "1.5", "", "99999999999999", "1; DROP TABLE things"):
        with pytest.raises(SchemaError):
            database.connector.fetch(table, ["1", odd], want)
    assert database.run("SELECT count(*) FROM things") == [(1,)]


def test_a_slow_server_is_asked_for_smaller_pages(
    own_probes: PostgresSystem, monkeypatch: pytest.MonkeyPatch
):
    """A page that takes too long is not yet the end of a read."""
    monkeypatch.setattr(reading, "PAGE_SIZE", 500)
    own_probes.plant(rows(520))
    own_probes.run(
        "CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.001); RETURN n; END $$; "
        "ALTER TABLE probes ENABLE ROW LEVEL SECURITY; "
        "CREATE POLICY slow ON probes USING (slow(id) > 0); "
        "CREATE ROLE slow_reader LOGIN; GRANT SELECT ON probes TO slow_reader; "
        "ALTER ROLE slow_reader SET enable_sort = off; "
        "ALTER ROLE slow_reader SET enable_bitmapscan = off"
    )
    where = own_probes.dsn.rpartition("@")[2]
    connector = own_probes.connect(
        f"postgresql://slow_reader@{where}", context=new_context(timeout_s=0.4)
    )
    obj = connector.discover().object("probes")
    assert obj is not None
    pages = list(connector.pages(obj, Want(("title",))))
    assert sum(len(page.records) for page in pages) == 520
    assert max(len(page.records) for page in pages) < 500
    connector.close()
