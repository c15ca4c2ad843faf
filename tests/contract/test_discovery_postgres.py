"""What a schema has, as the PostgreSQL connector tells it."""

from __future__ import annotations

import pytest

from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.records import Draft, Patch, Reference, ValueType, Want
from tests.contract.harness import drafts
from tests.contract.postgres_system import PostgresSystem

pytestmark = pytest.mark.contract

TYPES = """
CREATE DOMAIN email AS varchar(120) NOT NULL;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "fine"');
CREATE TABLE types (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  a_text text, a_varchar varchar(7), a_char char(4), a_domain email,
  a_int2 smallint, a_int4 integer, a_int8 bigint, a_numeric numeric(8,3),
  a_free_numeric numeric, a_money money, a_float4 real, a_float8 double precision,
  a_bool boolean NOT NULL, a_date date, a_timestamp timestamp, a_timestamptz timestamptz,
  a_mood mood, a_moods mood[], texts text[], ints int[], a_uuid uuid,
  a_json jsonb, an_inet inet, an_interval interval, bytes bytea,
  checked text CHECK (checked IN ('x', 'y''z')),
  made text GENERATED ALWAYS AS ('m') STORED,
  counted int GENERATED ALWAYS AS IDENTITY,
  given int NOT NULL DEFAULT 7, needed text NOT NULL);
COMMENT ON COLUMN types.a_text IS 'Any text';
COMMENT ON TABLE types IS 'All types';
"""
KINDS = {
    ValueType.TEXT: "a_text a_varchar a_char a_domain a_uuid a_json an_inet made",
    ValueType.NUMBER: "a_int2 a_int4 a_int8 a_numeric a_free_numeric a_money a_float4 "
    "a_float8 counted given",
    ValueType.BOOLEAN: "a_bool",
    ValueType.DATE: "a_date",
    ValueType.DATETIME: "a_timestamp a_timestamptz",
    ValueType.OPTION: "a_mood checked",
    ValueType.OPTIONS: "a_moods texts ints",
}


def test_columns_have_types_limits_options_and_what_must_be_filled(
    database: PostgresSystem,
):
    database.run(TYPES)
    table = database.table("types")
    fields = {f.name: f for f in table.fields}
    for kind, names in KINDS.items():
        if kind is ValueType.OPTION:
            continue
        assert {n: fields[n].type for n in names.split()} == dict.fromkeys(
            names.split(), kind
        )
    assert fields["a_mood"].type is ValueType.OPTION
    assert [o.value for o in fields["a_mood"].options] == ["sad", "ok", 'it\'s "fine"']
    assert [o.value for o in fields["a_moods"].options] == [
        o.value for o in fields["a_mood"].options
    ]
    assert [o.value for o in fields["checked"].options] == ["x", "y'z"]
    assert "bytes" not in fields
    assert (fields["a_varchar"].max_length, fields["a_domain"].max_length) == (7, 120)
    assert (fields["a_int4"].minimum, fields["a_int4"].maximum) == (
        "-2147483648",
        "2147483647",
    )
    assert (fields["a_numeric"].scale, fields["a_numeric"].maximum) == (3, "99999.999")
    assert fields["a_timestamp"].zoneless
    assert not fields["a_timestamptz"].zoneless
    assert {n for n, f in fields.items() if f.required} == {
        "a_bool",
        "a_domain",
        "needed",
    }
    read_only = {n for n, f in fields.items() if f.read_only}
    assert read_only == {
        *("id", "made", "counted", "a_json", "an_inet", "an_interval"),
    }
    assert all(fields[n].read_only_reason for n in read_only)
    assert (fields["a_text"].label, table.label) == ("Any text", "All types")


RELATED = """
CREATE TABLE regions (country text, code text, name text, PRIMARY KEY (country, code));
CREATE TABLE companies (id int PRIMARY KEY, tax_no text NOT NULL UNIQUE, name text);
CREATE TABLE people (
  id serial PRIMARY KEY, email text UNIQUE, boss_id int REFERENCES people,
  company_id int NOT NULL REFERENCES companies ON DELETE CASCADE,
  payer text REFERENCES companies (tax_no) ON DELETE SET NULL,
  country text, region text, UNIQUE (country, email),
  FOREIGN KEY (country, region) REFERENCES regions (country, code));
CREATE UNIQUE INDEX ON people (lower(email));
CREATE UNIQUE INDEX only_some ON companies (name) WHERE id > 5;
CREATE TABLE works_for (
  person int REFERENCES people, company int REFERENCES companies, role text,
  PRIMARY KEY (person, company));
CREATE TABLE no_key (a int, b text);
CREATE VIEW a_view AS SELECT * FROM companies;
CREATE MATERIALIZED VIEW a_copy AS SELECT * FROM companies;
"""


def test_foreign_keys_are_references_with_their_columns(database: PostgresSystem):
    database.run(RELATED)
    people = database.table("people")
    by_name = {r.name: r for r in people.references}
    assert {n: r.target for n, r in by_name.items()} == {
        "boss_id": "people",
        "company_id": "companies",
        "payer": "companies",
        "country,region": "regions",
    }
    composite = by_name["country,region"]
    assert composite.columns == ("country", "region")
    assert composite.target_columns == ("country", "code")
    assert by_name["payer"].target_columns == ("tax_no",)
    assert {n: r.nullable for n, r in by_name.items()} == {
        "boss_id": True,
        "company_id": False,
        "payer": True,
        "country,region": True,
    }
    assert by_name["company_id"].on_delete == "cascade"
    assert by_name["payer"].on_delete == "set null"
    assert not any(r.read_only or r.many for r in by_name.values())
    column = people.field("company_id")
    assert column is not None
    assert "association" in column.read_only_reason


def test_only_a_plain_unique_constraint_makes_a_column_unique(
    database: PostgresSystem,
):
    database.run(RELATED)
    schema = database.connector.discover()
    unique = {
        (o.name, f.name)
        for o in schema.objects
        for f in o.fields
        if f.unique and not o.refused
    }
    assert unique == {
        ("companies", "id"),
        ("companies", "tax_no"),
        ("people", "id"),
        ("people", "email"),
    }


def test_a_join_table_is_told_with_its_ends_and_its_other_columns(
    database: PostgresSystem,
):
    database.run(RELATED)
    (join,) = database.connector.discover().join_tables
    assert join.name == "works_for"
    assert [r.target for r in join.references] == ["people", "companies"]
    assert [f.name for f in join.columns] == ["role"]


def test_a_table_whose_rows_cannot_be_told_apart_is_refused_with_the_reason(
    database: PostgresSystem,
):
    database.run(RELATED)
    refused = {o.name: o.refused for o in database.connector.discover().objects}
    assert "no primary key" in refused["no_key"]
    assert "is a view" in refused["a_view"]
    assert "materialised view" in refused["a_copy"]
    assert refused["people"] == refused["works_for"] == ""
    no_key = database.table("no_key")
    for call in (
        lambda: list(database.connector.pages(no_key, Want(("b",)))),
        lambda: database.connector.fetch(no_key, ["1"], Want(("b",))),
        lambda: database.connector.create(no_key, drafts([{"b": "x"}]), Want()),
    ):
        with pytest.raises(SchemaError, match="no primary key"):
            call()


def test_only_the_tables_that_were_chosen_are_offered(database: PostgresSystem):
    database.run(RELATED)
    connector = database.connect(tables=["people", "companies"])
    schema = connector.discover()
    assert {o.name for o in schema.objects} == {"people", "companies"}
    people = schema.object("people")
    assert people is not None
    assert {r.target for r in people.references} == {"people", "companies"}
    assert schema.join_tables == ()
    connector.close()


ODD = ('Odd "Table"; DROP TABLE x', "sel%ct", "ünï", "Group By", "a'b", " lead")


def test_identifiers_that_need_quoting_are_read_and_written(database: PostgresSystem):
    quoted = ['"' + name.replace('"', '""') + '"' for name in ODD]
    columns = ", ".join(f"{name} text" for name in quoted[1:])
    database.run(
        (
            f'CREATE SCHEMA "My Schema"; CREATE TABLE "My Schema".{quoted[0]} '
            f'("Id" serial PRIMARY KEY, {columns}, "at" timestamptz DEFAULT now(), '
            f'"Parent" int REFERENCES "My Schema".{quoted[0]})'
        ).replace("%", "%")
    )
    connector = database.connect(schema="My Schema")
    table = connector.discover().object(ODD[0])
    assert table is not None
    want = Want(ODD[1:], ("Parent",), changed_field="at")
    reserved = connector.reserve(table, 2)
    assert reserved is not None
    values = {name: f"value of {name}" for name in ODD[1:]}
    parent, child = connector.create(
        table,
        [
            Draft("a", values, id=reserved[0]),
            Draft("b", {}, {"Parent": Reference((reserved[0],))}, id=reserved[1]),
        ],
        want,
    )
    assert parent.ok
    assert child.ok
    (done,) = connector.update(table, [Patch(reserved[1], {"sel%ct": "new"})], want)
    assert done.ok
    (page,) = connector.pages(table, want)
    first, second = page.records
    assert dict(first.values) == values
    assert second.values["sel%ct"] == "new"
    assert second.references["Parent"].ids == (first.id,)
    assert connector.fetch(table, [first.id], want).records[first.id] == first
    connector.close()


def test_a_partitioned_table_is_one_table(database: PostgresSystem):
    database.run(
        "CREATE TABLE logs (id int, at date, PRIMARY KEY (id, at)) "
        "PARTITION BY RANGE (at); "
        "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01') "
        "TO ('2027-01-01'); INSERT INTO logs VALUES (1, '2026-05-05')"
    )
    assert [o.name for o in database.connector.discover().objects] == ["logs"]
    (page,) = database.connector.pages(database.table("logs"), Want(("at",)))
    assert [r.id for r in page.records] == ['["1","2026-05-05"]']


# Changed under a run -------------------------------------------------------------------


def test_a_column_that_is_dropped_meanwhile_is_missing(own_probes: PostgresSystem):
    obj, want, connector = own_probes.obj, own_probes.want, own_probes.connector
    (record_id,) = own_probes.plant([{"title": "t", "note": "n"}])
    own_probes.lose_field("note")
    for call in (
        lambda: list(connector.pages(obj, want)),
        lambda: connector.fetch(obj, [record_id], want),
        lambda: connector.lookup(obj, "code", ["c"], want),
        lambda: connector.create(obj, drafts([{"title": "a", "note": "b"}]), want),
        lambda: connector.update(obj, [Patch(record_id, {"note": "b"})], want),
    ):
        with pytest.raises(SchemaError) as caught:
            call()
        assert caught.value.code == Code.FIELD_MISSING
        assert "note" in caught.value.message
    assert own_probes.titles() == {record_id: "t"}


def test_a_table_that_is_dropped_meanwhile_is_a_change_of_schema(
    own_probes: PostgresSystem,
):
    obj, want, connector = own_probes.obj, own_probes.want, own_probes.connector
    own_probes.run("DROP TABLE probes")
    for call in (
        lambda: list(connector.pages(obj, want)),
        lambda: connector.fetch(obj, ["1"], want),
        lambda: connector.create(obj, drafts([{"title": "a"}]), want),
        lambda: connector.update(obj, [Patch("1", {"title": "a"})], want),
        lambda: connector.reserve(obj, 1),
    ):
        with pytest.raises(SchemaError) as caught:
            call()
        assert caught.value.code == Code.SCHEMA_CHANGED


def test_a_table_that_comes_back_is_used_again(own_probes: PostgresSystem):
    obj, want = own_probes.obj, own_probes.want
    own_probes.run("ALTER TABLE probes RENAME TO aside")
    with pytest.raises(SchemaError):
        own_probes.connector.create(obj, drafts([{"title": "a"}]), want)
    own_probes.run("ALTER TABLE aside RENAME TO probes")
    (outcome,) = own_probes.connector.create(obj, drafts([{"title": "a"}]), want)
    assert outcome.ok


def test_a_key_of_another_type_is_a_change_of_schema(own_probes: PostgresSystem):
    obj, want = own_probes.obj, own_probes.want
    own_probes.run("ALTER TABLE probes ALTER COLUMN id DROP IDENTITY")
    own_probes.run(
        "ALTER TABLE probes ALTER COLUMN id TYPE uuid USING gen_random_uuid()"
    )
    with pytest.raises(SchemaError):
        own_probes.connector.fetch(obj, ["1"], want)
