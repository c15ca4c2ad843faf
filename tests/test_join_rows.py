"""Rows of a join table over the runs: creates, old plans, undo, kills, and its set-up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from associations.models import AssociationLink
from associations.models import AssociationType as StoredType
from associations.setup.exporting import export
from associations.setup.problems import SetupRefused
from connections.connectors.postgres.connector import PostgresConnector
from connections.sandbox.server import SandboxServer
from syncs.models import Change
from tests.test_join_tables import JOIN, LABELS, SILENT, Office, links_of
from tests.test_recovery import apply_plan
from tests.test_undo import undo
from tests.vendor import all_edges
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


A, B = "a.example", "b.example"
ANN, BOB = "ann@x.example", "bob@x.example"
PLAIN_JOIN = {
    "join_table": {"name": "works", "from": "person", "to": "company"},
    "to": "Companies",
}


class Plain(Office):
    """Two companies, and people whose rows link them."""

    def begin(self) -> None:
        self.put(PLAIN_JOIN)
        self.world.sql(
            "INSERT INTO companies (name, domain) VALUES ('A', %s), ('B', %s)", A, B
        )

    def rows(self) -> list[tuple[str, str]]:
        return self.world.sql(
            "SELECT p.email, c.domain FROM works w JOIN people p ON p.id = w.person "
            "JOIN companies c ON c.id = w.company ORDER BY 1, 2"
        )

    def pairs(self) -> list[tuple[str, str]]:
        return sorted(self.world.links())

    def ids(self, mail: str, domain: str) -> tuple[str, str]:
        contact = self.world.contacts_in_hubspot()[mail]["id"]
        return str(contact), str(self.world.companies_in_hubspot()[domain]["id"])


@pytest.fixture
def plain(world: World) -> Plain:
    office = Plain(world)
    office.begin()
    return office


def test_new_records_bring_their_rows_and_undo_and_old_plans_see_each_pair(plain):
    world = plain.world
    # A new person brings its links along; a row stands twice and counts once.
    world.sql("INSERT INTO people (email) VALUES (%s)", ANN)
    world.sql("INSERT INTO works VALUES (1, 1), (1, 1), (1, 2), (1, NULL)")
    first = links_of(world.run())
    assert first["added"] == {"hubspot": 2, "app": 0}
    assert plain.pairs() == [(ANN, A), (ANN, B)]
    # A new contact gets its row once the person is there, in the same run.
    (bob,) = world.create("contacts", [{"email": BOB}])
    world.make_primary(bob, plain.ids(ANN, A)[1])
    assert links_of(world.run())["added"] == {"hubspot": 0, "app": 1}
    assert set(plain.rows()) == {(ANN, A), (ANN, B), (BOB, A)}
    # A plan is applied pair by pair: what moved since is drifted, the rest goes.
    world.unlink(*plain.ids(ANN, B))
    world.unlink(bob, plain.ids(ANN, A)[1])
    preview = world.run(world.contacts, dry_run=True)
    world.sql("DELETE FROM works WHERE person = 1 AND company = 2")
    applied = apply_plan(preview)
    assert applied["syncs"][0]["associations"]["removed"] == {"hubspot": 0, "app": 1}
    assert Change.objects.filter(outcome="drifted").count() == 1
    assert set(plain.rows()) == {(ANN, A)}
    # Both rows of a pair go together, and an undo puts the link back.
    world.unlink(*plain.ids(ANN, A))
    done = world.run()
    assert plain.rows() == []
    report = undo(done["run"])
    assert report["status"] == "succeeded"
    assert plain.rows() == [(ANN, A)]
    # It stands apart, on one side, until somebody changes it.
    assert links_of(world.run()) == SILENT
    assert (plain.rows(), plain.pairs()) == ([(ANN, A)], [])


def test_rows_that_went_with_a_record_are_no_unlink(plain):
    world = plain.world
    world.sql("INSERT INTO people (email) VALUES (%s)", ANN)
    world.sql("INSERT INTO works VALUES (1, 1), (1, 2)")
    world.run()
    world.sql("DELETE FROM companies WHERE domain = %s", B)
    assert plain.rows() == [(ANN, A)]
    assert links_of(world.run()) == SILENT
    assert plain.pairs() == [(ANN, A), (ANN, B)]
    # A table that is gone turns its mapping off; made again, it is filled again.
    world.sql("ALTER TABLE works RENAME TO gone")
    report = world.run()
    assert [e["code"] for e in report["syncs"][1]["errors"]] == ["SCHEMA_CHANGED"]
    world.sql("DROP TABLE gone")
    world.sql(JOIN)
    assert links_of(world.run())["added"] == {"hubspot": 0, "app": 1}
    assert (plain.rows(), plain.pairs()) == ([(ANN, A)], [(ANN, A), (ANN, B)])


def test_rows_that_were_sent_without_an_answer_are_not_sent_again(plain, monkeypatch):
    world = plain.world
    world.sql("INSERT INTO people (email) VALUES (%s)", ANN)
    world.sql("INSERT INTO works VALUES (1, 1)")
    world.run()
    contact, company = plain.ids(ANN, B)
    world.make_primary(contact, company)
    write = PostgresConnector.write_link_rows

    def lost(self, *args):
        write(self, *args)
        raise RuntimeError("killed")

    monkeypatch.setattr(PostgresConnector, "write_link_rows", lost)
    world.run()
    assert Change.objects.filter(kind="link", side="app", outcome="sent").count() == 1
    monkeypatch.setattr(PostgresConnector, "write_link_rows", write)
    world.run()
    assert world.sql("SELECT company FROM works ORDER BY 1") == [(1,), (2,)]
    assert links_of(world.run()) == SILENT
    world.sql("DELETE FROM works WHERE company = 2")
    assert links_of(world.run())["removed"] == {"hubspot": 1, "app": 0}
    assert plain.pairs() == [(ANN, A)]


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no table": ({"name": "work"}, "join_table.name", "Did you mean 'works'"),
    "no column": ({"from": "man"}, "join_table.from", "has no column man"),
    "another end": ({"from": "company"}, "join_table.from", "points to companies"),
    "no label column": ({"label": "rolle"}, "join_table.label", "Did you mean 'role'"),
}


def test_what_a_set_up_gets_wrong_is_named_with_what_there_is(plain):
    plain.world.sql("CREATE TABLE strict (LIKE works, must int NOT NULL)")
    join = plain.labelled()["join_table"]
    for changed, path, says in REFUSED.values():
        with pytest.raises(SetupRefused) as caught:
            plain.put(plain.labelled(join_table=join | changed))
        (problem,) = caught.value.problems
        assert problem.path.endswith(path)
        assert says in problem.text
    for labels, says in (
        ({"dm": "Decision taker"}, "Did you mean 'Decision maker'"),
        ({" ": "Adviser"}, "blank value"),
        (None, "labels is missing"),
    ):
        with pytest.raises(SetupRefused, match=says):
            plain.put(plain.labelled(labels=labels))
    with pytest.raises(SetupRefused, match="must be given and has no default"):
        plain.put(plain.labelled(join_table=join | {"name": "strict"}))
    plain.put(
        plain.labelled(join_table=join | {"name": "strict"}, direction="to_hubspot")
    )
    # Foreign keys say where the columns lead; what is exported says it, too.
    plain.put({"join_table": {"name": "works"}, "to": "Companies", "type": "Adviser"})
    mine = yaml.safe_load(export())["apps"][0]["syncs"][1]["associations"]
    assert mine == [PLAIN_JOIN | {"type": "Adviser"}]
    labelled = plain.labelled(labels=dict(reversed(LABELS.items())))
    plain.put(labelled)
    mine = yaml.safe_load(export())["apps"][0]["syncs"][1]["associations"]
    assert (mine, list(mine[0]["labels"])) == ([labelled], [*reversed(LABELS)])


def test_an_undo_gives_labels_back_on_either_side_and_leaves_them_apart(world):
    office = Office(world)
    office.put(office.labelled())
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s), ('B', %s)", A, B)
    world.sql("INSERT INTO people (email) VALUES (%s), (%s)", ANN, BOB)
    world.sql(
        "INSERT INTO works VALUES (1, 1, NULL), (2, 1, NULL), (1, 2, 'dm'), (2, 2, 'dm')"
    )
    world.run()
    start = world.links()
    # One pair is relabelled by the app, the other in HubSpot.
    world.sql("UPDATE works SET role = 'bill' WHERE person = 1 AND company = 2")
    contact = str(world.contacts_in_hubspot()[BOB]["id"])
    company = str(world.companies_in_hubspot()[B]["id"])
    put_label(world, contact, company, "Adviser")
    done = world.run()
    assert links_of(done)["changed"] == {"hubspot": 1, "app": 1}
    assert undo(done["run"])["status"] == "succeeded"
    rows = "SELECT person, role FROM works WHERE company = 2 ORDER BY 1"
    assert world.sql(rows) == [(1, "bill"), (2, "dm")]
    now = world.links()
    assert now[ANN, B] == start[ANN, B]
    assert links_of(world.run()) == SILENT
    assert (world.sql(rows), world.links()) == ([(1, "bill"), (2, "dm")], now)
    # What a side is given since travels, with what stood apart.
    world.sql("INSERT INTO works VALUES (1, 2, 'adv')")
    assert links_of(world.run())["changed"] == {"hubspot": 1, "app": 1}
    assert {r for p, r in world.sql(rows) if p == 1} == {"bill", "adv", "dm"}
    assert links_of(world.run()) == SILENT


def put_label(world: World, contact: str, company: str, text: str) -> None:
    """Give a pair one label instead of those that it has."""
    from hubspot.crm.associations.v4 import AssociationSpec

    api = world.client.crm.associations.v4.basic_api
    found = StoredType.objects.get(from_object="0-1", to_object="0-2", label=text)
    api.archive("contacts", contact, "companies", company)
    spec = AssociationSpec(
        association_category=found.category, association_type_id=found.type_id
    )
    api.create("contacts", contact, "companies", company, [spec])


def test_a_table_of_one_row_a_pair_holds_the_first_label_and_notes_the_others(world):
    office = Office(world)
    world.sql("CREATE UNIQUE INDEX ON works (person, company)")
    office.put(office.labelled())
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', %s), ('B', %s)", A, B)
    world.sql("INSERT INTO people (email) VALUES (%s)", ANN)
    world.sql("INSERT INTO works VALUES (1, 1, NULL), (1, 2, 'adv')")
    world.run()
    contact = str(world.contacts_in_hubspot()[ANN]["id"])
    company = str(world.companies_in_hubspot()[B]["id"])
    more = {"Adviser", "Billing contact"}
    for text in more:
        add_label(world, contact, company, text)
    assert links_of(world.run())["changed"] == {"hubspot": 0, "app": 1}
    assert world.sql("SELECT role FROM works WHERE company = 2") == [("bill",)]
    (noted,) = AssociationLink.objects.filter(state="skipped")
    assert (noted.code, "1 more label" in noted.text) == ("LIMIT_REACHED", True)
    assert links_of(world.run()) == SILENT
    assert [n.pk for n in AssociationLink.objects.filter(state="skipped")] == [noted.pk]
    # The row stands for them all.
    world.sql("DELETE FROM works WHERE company = 2")
    assert links_of(world.run())["removed"] == {"hubspot": 1, "app": 0}
    assert set(world.links()) == {(ANN, A)}
    assert links_of(world.run()) == SILENT


def add_label(world: World, contact: str, company: str, text: str) -> None:
    from hubspot.crm.associations.v4 import AssociationSpec

    held = all_edges(world.client, "contacts", "companies", [contact])
    found = StoredType.objects.get(from_object="0-1", to_object="0-2", label=text)
    types = {*held[contact, company], (found.category, found.type_id)}
    world.client.crm.associations.v4.basic_api.create(
        "contacts",
        contact,
        "companies",
        company,
        [
            AssociationSpec(association_category=c, association_type_id=i)
            for c, i in types
            if c == "USER_DEFINED"
        ],
    )
