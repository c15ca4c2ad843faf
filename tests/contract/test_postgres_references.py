"""Foreign keys of every kind: set, changed, cleared; a broken one fails its row alone."""

from __future__ import annotations

import pytest

from connections.catalogue import Code
from connections.records import Draft, ObjectType, Outcome, Patch, Reference, Want
from tests.contract.postgres_system import PostgresSystem

pytestmark = pytest.mark.contract
TABLES = """
CREATE TABLE regions (country text, code text, name text, PRIMARY KEY (country, code));
CREATE TABLE companies (id int PRIMARY KEY, tax_no text UNIQUE, name text);
CREATE TABLE people (
  id serial PRIMARY KEY, name text, boss_id int REFERENCES people,
  company_id int REFERENCES companies, payer text REFERENCES companies (tax_no),
  country text, region text, home_country text,
  FOREIGN KEY (country, region) REFERENCES regions (country, code));
CREATE TABLE jobs (
  id serial PRIMARY KEY, name text, company_id int NOT NULL REFERENCES companies);
INSERT INTO regions VALUES ('NL', 'NH', 'Noord'), ('NL', 'ZH', 'Zuid'), ('DE', 'BY', 'B');
INSERT INTO companies VALUES (1, 'T1', 'One'), (2, 'T2', 'Two'), (3, NULL, 'No number');
"""
NAMES = ("boss_id", "company_id", "payer", "country,region")
WANT = Want(("name",), NAMES)
NH, BY = '["NL","NH"]', '["DE","BY"]'


@pytest.fixture
def people(database: PostgresSystem) -> ObjectType:
    database.run(TABLES)
    return database.table("people")


def to(*ids: str) -> Reference:
    return Reference(ids)


def create(system: PostgresSystem, obj: ObjectType, *drafts: Draft) -> list[Outcome]:
    return system.connector.create(obj, drafts, WANT)


def update(system: PostgresSystem, obj: ObjectType, *patches: Patch) -> list[Outcome]:
    return system.connector.update(obj, patches, WANT)


def held(system: PostgresSystem, obj: ObjectType, record_id: str) -> dict[str, object]:
    """What a row refers to, by SQL and by the connector alike."""
    read = system.connector.fetch(obj, [record_id], WANT).records[record_id]
    assert all(reference.complete for reference in read.references.values())
    return {name: reference.ids for name, reference in read.references.items()}


def row(system: PostgresSystem, record_id: str) -> tuple[object, ...]:
    columns = "boss_id, company_id, payer, country, region"
    (found,) = system.run(f"SELECT {columns} FROM people WHERE id = %s", int(record_id))
    return found


def test_references_are_set_with_a_create(database: PostgresSystem, people: ObjectType):
    (boss,) = create(database, people, Draft("b", {"name": "boss"}))
    assert boss.record is not None
    references = {
        "boss_id": to(boss.record.id),
        "company_id": to("1"),
        "payer": to("2"),
        "country,region": to(NH),
    }
    (outcome,) = create(database, people, Draft("a", {"name": "ann"}, references))
    assert outcome.record is not None
    record_id = outcome.record.id
    assert row(database, record_id) == (int(boss.record.id), 1, "T2", "NL", "NH")
    expected = {name: reference.ids for name, reference in references.items()}
    assert held(database, people, record_id) == expected
    assert {n: r.ids for n, r in outcome.record.references.items()} == expected


def test_references_are_changed_and_cleared(
    database: PostgresSystem, people: ObjectType
):
    references = {"company_id": to("1"), "payer": to("2"), "country,region": to(NH)}
    (made,) = create(database, people, Draft("a", {"name": "ann"}, references))
    assert made.record is not None
    record_id = made.record.id
    changed = {"company_id": to("2"), "payer": to("1"), "country,region": to(BY)}
    (outcome,) = update(database, people, Patch(record_id, references=changed))
    assert outcome.ok
    assert row(database, record_id) == (None, 2, "T1", "DE", "BY")
    cleared = dict.fromkeys(changed, to())
    (outcome,) = update(
        database, people, Patch(record_id, {"name": "still"}, references=cleared)
    )
    assert outcome.ok
    assert row(database, record_id) == (None,) * 5
    assert held(database, people, record_id) == dict.fromkeys(NAMES, ())


def test_what_is_not_named_stays(database: PostgresSystem, people: ObjectType):
    references = {"company_id": to("1"), "payer": to("2")}
    (made,) = create(database, people, Draft("a", {"name": "ann"}, references))
    assert made.record is not None
    update(database, people, Patch(made.record.id, references={"payer": to()}))
    assert row(database, made.record.id)[:3] == (None, 1, None)


def test_a_half_empty_composite_key_is_no_link(
    database: PostgresSystem, people: ObjectType
):
    database.run("INSERT INTO people (name, country) VALUES ('x', 'NL')")
    assert held(database, people, "1")["country,region"] == ()


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("company_id", "404"),
        ("payer", "404"),
        ("payer", "3"),
        ("country,region", '["NL","XX"]'),
        ("country,region", "not json"),
        ("boss_id", "404"),
    ],
)
def test_a_reference_to_nobody_fails_its_row_alone(
    database: PostgresSystem,
    people: ObjectType,
    name: str,
    target: str,
):
    place = 2
    bad = {name: to(target)}
    drafts = [
        Draft(
            f"d{n}", {"name": f"n{n}"}, bad if n == place else {"company_id": to("1")}
        )
        for n in range(5)
    ]
    outcomes = create(database, people, *drafts)
    refused = outcomes.pop(place)
    assert (refused.ok, refused.uncertain, refused.code) == (
        False,
        False,
        Code.TARGET_NOT_MATCHED,
    )
    assert refused.field == name
    assert [o.ok for o in outcomes] == [True] * 4
    ids = [o.record.id for o in outcomes if o.record]
    patches = [Patch(i, {"name": "new"}) for i in ids]
    patches[1] = Patch(ids[1], {"name": "new"}, references=bad)
    again = update(database, people, *patches)
    assert again.pop(1).code == Code.TARGET_NOT_MATCHED
    assert [o.ok for o in again] == [True] * 3
    names = database.run("SELECT name, count(*) FROM people GROUP BY 1 ORDER BY 2")
    assert sorted(count for _, count in names) == [1, 3]


def test_a_reference_that_must_stand_cannot_be_cleared(
    database: PostgresSystem, people: ObjectType
):
    jobs = database.table("jobs")
    want = Want(("name",), ("company_id",))
    first, second = database.connector.create(
        jobs,
        [
            Draft("a", {"name": "a"}, {"company_id": to("1")}),
            Draft("b", {"name": "b"}),
        ],
        want,
    )
    assert first.record is not None
    assert (second.code, second.field) == (Code.REQUIRED_MISSING, "company_id")
    (outcome,) = database.connector.update(
        jobs, [Patch(first.record.id, references={"company_id": to()})], want
    )
    assert outcome.code == Code.REQUIRED_MISSING
    assert database.run("SELECT name, company_id FROM jobs") == [("a", 1)]


def test_one_reference_takes_one_record(database: PostgresSystem, people: ObjectType):
    (outcome,) = create(
        database, people, Draft("a", {"name": "a"}, {"company_id": to("1", "2")})
    )
    assert (outcome.code, outcome.field) == (Code.LIMIT_REACHED, "company_id")


def test_a_row_may_point_to_one_made_in_the_same_request(
    database: PostgresSystem, people: ObjectType
):
    """Ids that are reserved let a parent and its child travel together."""
    reserved = database.connector.reserve(people, 2)
    assert reserved is not None
    parent, child = reserved
    outcomes = create(
        database,
        people,
        Draft("p", {"name": "p"}, id=parent),
        Draft("c", {"name": "c"}, {"boss_id": to(parent)}, id=child),
    )
    assert [o.ok for o in outcomes] == [True, True]
    assert held(database, people, child)["boss_id"] == (parent,)


def test_a_reference_that_the_role_cannot_follow_is_unknown_not_empty(
    database: PostgresSystem, people: ObjectType
):
    database.run("INSERT INTO people (name, payer) VALUES ('x', 'T1')")
    database.run(
        "CREATE ROLE half_blind LOGIN; GRANT SELECT ON people, companies TO half_blind; "
        "ALTER TABLE companies ENABLE ROW LEVEL SECURITY"
    )
    where = database.dsn.rpartition("@")[2]
    connector = database.connect(f"postgresql://half_blind@{where}")
    obj = connector.discover().object("people")
    assert obj is not None
    (page,) = connector.pages(obj, Want((), ("payer",)))
    assert page.records[0].references["payer"] == Reference((), complete=False)
    connector.close()


SHARED = """
CREATE TABLE accounts (tenant int, id int, PRIMARY KEY (tenant, id));
CREATE TABLE orders (
  tenant int, id int, buyer int, seller int, PRIMARY KEY (tenant, id),
  FOREIGN KEY (tenant, buyer) REFERENCES accounts,
  FOREIGN KEY (tenant, seller) REFERENCES accounts);
INSERT INTO accounts VALUES (1, 7), (1, 8), (2, 7);
INSERT INTO orders VALUES (1, 1, 7, 8);
"""


def test_keys_that_share_a_column_are_cleared_without_each_other(
    database: PostgresSystem,
):
    """The tenant is part of the row's own key: it stays, and another one is refused."""
    database.run(SHARED)
    orders = database.table("orders")
    want = Want((), ("tenant,buyer", "tenant,seller"))
    (cleared,) = database.connector.update(
        orders, [Patch('["1","1"]', references={"tenant,buyer": to()})], want
    )
    assert cleared.ok
    assert database.run("SELECT * FROM orders") == [(1, 1, None, 8)]
    (set_again,) = database.connector.update(
        orders, [Patch('["1","1"]', references={"tenant,buyer": to('["1","8"]')})], want
    )
    assert set_again.ok
    assert database.run("SELECT * FROM orders") == [(1, 1, 8, 8)]
    (other,) = database.connector.update(
        orders, [Patch('["1","1"]', references={"tenant,buyer": to('["2","7"]')})], want
    )
    assert (other.ok, other.code) == (False, Code.FIELD_READ_ONLY)
    assert database.run("SELECT * FROM orders") == [(1, 1, 8, 8)]
