"""Rows of a join table as links, as the PostgreSQL connector reads and writes them."""

from __future__ import annotations

import pytest

from connections.catalogue import Code
from connections.records import LinkRow, LinkTable, RowsWrite
from tests.contract.postgres_system import PostgresSystem

pytestmark = pytest.mark.contract

SIMPLE = """
CREATE TABLE people (id serial PRIMARY KEY, name text);
CREATE TABLE firms (id serial PRIMARY KEY, name text);
INSERT INTO people (name) VALUES ('ann'), ('bob'), ('eve');
INSERT INTO firms (name) VALUES ('acme'), ('blox'), ('cute');
CREATE TABLE works (
  person int REFERENCES people ON DELETE CASCADE, firm int REFERENCES firms,
  role varchar(10), since date DEFAULT '2020-01-01', note text,
  CHECK (role <> 'bad'));
"""
TABLE = LinkTable("works", "people", "firms", "person", "firm", "role")
PLAIN = LinkTable("works", "people", "firms", "person", "firm")


def rows(
    database: PostgresSystem, table: LinkTable, *ids: str
) -> dict[str, list[tuple[str, str | None]]]:
    found = database.connector.link_rows(table, ids)
    assert all(found[i].complete for i in ids)
    return {i: sorted((r.to_id, r.label) for r in found[i].rows) for i in ids}


def test_rows_are_read_with_their_labels_and_null_ends_are_no_links(
    database: PostgresSystem,
):
    database.run(
        SIMPLE + "INSERT INTO works VALUES (1, 1, 'ceo'), (1, 1, 'cfo'), (1, 2, 'ceo'),"
        " (2, NULL, 'ceo'), (NULL, 1, 'ceo')"
    )
    assert rows(database, TABLE, "1", "2", "99", "3") == {
        "1": [("1", "ceo"), ("1", "cfo"), ("2", "ceo")],
        "2": [],
        "99": [],
        "3": [],
    }
    assert database.connector.link_rows(PLAIN, ["1"])["1"].rows[0] == LinkRow("1")


def test_a_relabelled_row_stays_itself_and_others_are_left_alone(
    database: PostgresSystem,
):
    database.run(
        SIMPLE + "INSERT INTO works (person, firm, role, note) VALUES "
        "(1, 1, 'ceo', 'kept'), (1, 2, 'ceo', 'other'), (2, 1, 'x', 'a'), "
        "(2, 1, 'x', 'b'), (3, 3, NULL, 'blank')"
    )
    outcomes = database.connector.write_link_rows(
        TABLE,
        [
            RowsWrite("1", "1", ("ceo",), ("cfo",)),
            RowsWrite("2", "1", ("x",), ()),  # both rows of it
            RowsWrite("2", "2", (), ("ceo", None)),
            RowsWrite("3", "3", (None,), ("cfo",)),
        ],
    )
    assert [o.ok for o in outcomes] == [True] * 4
    assert database.run(
        "SELECT person, firm, role, note, since::text FROM works ORDER BY 1, 2, 3"
    ) == [
        (1, 1, "cfo", "kept", "2020-01-01"),
        (1, 2, "ceo", "other", "2020-01-01"),
        (2, 2, "ceo", None, "2020-01-01"),
        (2, 2, None, None, "2020-01-01"),
        (3, 3, "cfo", "blank", "2020-01-01"),
    ]


def test_a_bad_row_fails_alone_and_says_why(database: PostgresSystem):
    database.run(SIMPLE + "INSERT INTO works (person, firm, role) VALUES (1, 1, 'ceo')")
    outcomes = database.connector.write_link_rows(
        TABLE,
        [
            RowsWrite("1", "2", (), ("ok",)),
            RowsWrite("1", "3", (), ("bad",)),
            RowsWrite("2", "99", (), ("ok",)),
            RowsWrite("2", "2", (), ("far too long a role",)),
            RowsWrite("2", "3", (), ("ok",)),
            RowsWrite("1", "1", ("cto",), ("cfo",)),
        ],
    )
    assert [o.code for o in outcomes] == [
        "",
        Code.VALUE_INVALID,
        Code.TARGET_NOT_MATCHED,
        Code.VALUE_TOO_LONG,
        "",
        Code.CHANGED_SINCE_PLAN,
    ]
    assert rows(database, TABLE, "1", "2") == {
        "1": [("1", "ceo"), ("2", "ok")],
        "2": [("3", "ok")],
    }


OTHER = """
CREATE TABLE people (tenant int, id int, code text UNIQUE, PRIMARY KEY (tenant, id));
CREATE TABLE firms (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tax text NOT NULL UNIQUE);
INSERT INTO people VALUES (1, 1, 'a'), (1, 2, 'b'), (2, 1, 'c');
INSERT INTO firms VALUES ('00000000-0000-0000-0000-000000000001', 'T1'),
  ('00000000-0000-0000-0000-000000000002', 'T2');
CREATE TABLE works (
  id uuid PRIMARY KEY, tenant int, person int, tax text REFERENCES firms (tax),
  FOREIGN KEY (tenant, person) REFERENCES people, UNIQUE (tenant, person, tax));
CREATE TABLE loose (code text, firm uuid);
"""
FIRM = "00000000-0000-0000-0000-00000000000"


def test_composite_keys_other_unique_keys_and_missing_constraints_serve(
    database: PostgresSystem,
):
    database.run(OTHER)
    composite = LinkTable("works", "people", "firms", "tenant,person", "tax")
    send = database.connector.write_link_rows
    writes = [
        RowsWrite('["1","2"]', f"{FIRM}1", (), (None,)),
        RowsWrite('["2","1"]', f"{FIRM}2", (), (None,)),
        RowsWrite('["2","1"]', f"{FIRM}9", (), (None,)),
    ]
    assert [o.code for o in send(composite, writes)] == ["", "", "TARGET_NOT_MATCHED"]
    assert rows(database, composite, '["1","2"]', '["2","1"]') == {
        '["1","2"]': [(f"{FIRM}1", None)],
        '["2","1"]': [(f"{FIRM}2", None)],
    }
    assert database.connector.link_table(composite).single
    ended = [RowsWrite('["1","2"]', f"{FIRM}1", (None,), ())]
    assert [o.ok for o in send(composite, ended)] == [True]
    assert database.run("SELECT tenant, person, tax FROM works") == [(2, 1, "T2")]
    # Without a foreign key, the columns hold what the target's own key holds.
    (fault,) = database.connector.link_table(
        LinkTable("loose", "people", "firms", "code", "firm")
    ).faults
    assert (fault.part, fault.code) == ("from", Code.FIELD_MISSING)
    loose = LinkTable("loose", "firms", "firms", "firm", "code")
    (fault,) = database.connector.link_table(loose).faults
    assert fault.part == "to"
    assert "holds text" in fault.text


@pytest.mark.parametrize(
    ("table", "part", "code"),
    [
        (
            LinkTable("work", "people", "firms", "person", "firm"),
            "name",
            "SCHEMA_CHANGED",
        ),
        (LinkTable("works", "people", "firms", "man", "firm"), "from", "FIELD_MISSING"),
        (LinkTable("works", "people", "firms", "person", "f"), "to", "FIELD_MISSING"),
        (
            LinkTable("works", "people", "firms", "firm", "person"),
            "from",
            "SCHEMA_CHANGED",
        ),
        (
            LinkTable("works", "people", "firms", "person", "firm", "r"),
            "label",
            "FIELD_MISSING",
        ),
        (
            LinkTable("strict", "people", "firms", "person", "firm"),
            "name",
            "REQUIRED_MISSING",
        ),
        (
            LinkTable("seen", "people", "firms", "person", "firm"),
            "name",
            "SCOPE_MISSING",
        ),
    ],
)
def test_what_keeps_a_table_from_serving_is_said(
    database: PostgresSystem, table: LinkTable, part: str, code: str
):
    database.run(
        SIMPLE + "CREATE TABLE strict (LIKE works, must text NOT NULL); "
        "CREATE VIEW seen AS SELECT * FROM works"
    )
    fault, *_ = database.connector.link_table(table).faults
    assert (fault.part, fault.code) == (part, code)
    assert not database.connector.link_table(TABLE).faults
