"""A PostgreSQL join table kept in step with HubSpot's links, with and without labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from associations.models import AssociationType as StoredType
from associations.setup.applying import apply
from associations.setup.exporting import export
from connections.models import HubSpotAccount
from connections.sandbox.server import SandboxServer
from tests.test_type_lists import label
from tests.world import PLAIN, World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
JOIN = """
CREATE TABLE works (
  person int REFERENCES people ON DELETE CASCADE,
  company int REFERENCES companies ON DELETE CASCADE,
  role text, note text DEFAULT 'kept', UNIQUE (person, company, role));
"""
LABELS = {"dm": "Decision maker", "bill": "Billing contact", "adv": "Adviser"}
Pairs = dict[tuple[str, str], set[str]]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


class Office:
    """A world whose contacts and companies are linked by a join table."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.sql(JOIN)
        for text in ("Decision maker", "Billing contact"):
            label(world, text)
        label(world, "Adviser", "Advised by")
        world.set_up()

    def put(self, mapping: dict[str, Any], **changes: Any) -> None:
        HubSpotAccount.objects.update(credential_env={"token": "${HUBSPOT_TOKEN}"})
        tree = yaml.safe_load(export())
        sync = tree["apps"][0]["syncs"][1]
        sync["associations"] = [mapping]
        sync |= changes
        apply(
            yaml.safe_dump(tree, sort_keys=False),
            {"HUBSPOT_TOKEN": self.world.sandbox.token},
        )

    def labelled(self, **more: Any) -> dict[str, Any]:
        join = {"name": "works", "from": "person", "to": "company", "label": "role"}
        return {"join_table": join, "to": "Companies", "labels": LABELS, **more}


LETTERS = {"d": "Decision maker", "b": "Billing contact", "a": "Adviser"}
ROLES = {"d": "dm", "b": "bill", "a": "adv", "n": None}
# By kind and case: the start on both sides, what HubSpot's set and the rows become (None:
# as they were), and after a run what both sides have (two_way), the rows (to_app), and
# HubSpot's set (to_hubspot). n is a plain link, d and b labels, a a label of a pair.
MATRIX: dict[str, tuple[str, str | None, str | None, str, str, str]] = {
    "plain, add": ("n", "d", None, "d", "d", "d"),
    "one, add": ("d", None, "db", "db", "db", "db"),
    "two, add": ("db", "dba", None, "dba", "dba", "dba"),
    "paired, add": ("a", None, "ad", "ad", "ad", "ad"),
    "plain, remove": ("n", None, "", "", "", ""),
    "one, remove": ("d", "n", None, "n", "n", "n"),
    "two, remove": ("db", None, "b", "b", "b", "b"),
    "paired, remove": ("a", "", None, "", "", ""),
    "plain, relabel": ("n", None, "d", "d", "d", "d"),
    "one, relabel": ("d", "b", None, "b", "b", "b"),
    "two, relabel": ("db", None, "da", "da", "da", "da"),
    "paired, relabel": ("a", "d", None, "d", "d", "d"),
    "plain, both": ("n", "d", "b", "db", "db", "db"),
    "one, both": ("d", "b", "a", "ba", "ba", "ba"),
    "two, both": ("db", "d", "ba", "a", "a", "a"),
    "paired, both": ("a", "b", "", "b", "b", "b"),
    "none, add": ("", "db", None, "db", "db", "db"),
    "none, both": ("", "d", "b", "db", "db", "db"),
}


class Matrix(Office):
    """A person for each row of the matrix, and one company that all are linked to; each
    has another, primary company, so that HubSpot makes nothing primary by itself."""

    def begin(self) -> None:
        world = self.world
        world.sql(
            "INSERT INTO companies (name, domain) VALUES ('Home', 'home.example'), "
            "('Far', 'far.example')"
        )
        for at, name in enumerate(MATRIX):
            mail = f"{name.replace(', ', '.')}@x.example"
            world.sql("INSERT INTO people (email) VALUES (%s)", mail)
            world.sql("INSERT INTO works VALUES (%s, 1, NULL)", at + 1)
        world.run()
        found = world.contacts_in_hubspot()
        self.contacts = {
            name: str(found[f"{name.replace(', ', '.')}@x.example"]["id"])
            for name in MATRIX
        }
        self.far = str(world.companies_in_hubspot()["far.example"]["id"])
        rows = StoredType.objects.filter(from_object="0-1", to_object="0-2")
        self.types = {
            letter: ("USER_DEFINED", rows.get(label=text).type_id)
            for letter, text in LETTERS.items()
        } | {"n": PLAIN}

    def set_rows(self, name: str, letters: str) -> None:
        """As a program would: rows that stay are left alone."""
        person = list(MATRIX).index(name) + 1
        roles = [ROLES[c] for c in letters]
        here = "person = %s AND company = 2"
        held = [
            r for (r,) in self.world.sql(f"SELECT role FROM works WHERE {here}", person)
        ]
        for role in held:
            if role not in roles:
                self.world.sql(
                    f"DELETE FROM works WHERE {here} AND role IS NOT DISTINCT FROM %s",
                    person,
                    role,
                )
        for role in roles:
            if role not in held:
                self.world.sql(
                    "INSERT INTO works VALUES (%s, 2, %s, 'own')", person, role
                )

    def set_pair(self, name: str, letters: str) -> None:
        from hubspot.crm.associations.v4 import AssociationSpec

        api = self.world.client.crm.associations.v4.basic_api
        ends = ("contacts", self.contacts[name], "companies", self.far)
        api.archive(*ends)
        if letters:
            specs = [
                AssociationSpec(association_category=c, association_type_id=i)
                for c, i in (self.types[letter] for letter in letters)
            ]
            api.create(*ends, specs)

    def rows(self) -> dict[str, str]:
        found = dict.fromkeys(MATRIX, "")
        letters = {role: c for c, role in ROLES.items()}
        rows = self.world.sql("SELECT person, role FROM works WHERE company = 2")
        for person, role in rows:
            found[list(MATRIX)[person - 1]] += letters[role]
        return {name: "".join(sorted(word)) for name, word in found.items()}

    def pairs(self) -> dict[str, str]:
        found = dict.fromkeys(MATRIX, "")
        letters = {t: c for c, t in self.types.items()}
        mails = {f"{n.replace(', ', '.')}@x.example": n for n in MATRIX}
        for (mail, domain), held in self.world.links().items():
            if domain == "far.example":
                word = "".join(sorted(letters[t] for t in held if t != PLAIN))
                found[mails[mail]] = word or "n"
        return found


def links_of(report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = report["syncs"][1]["associations"]
    return {k: found[k] for k in ("added", "removed", "changed", "failing")}


SILENT = {
    **{k: {"hubspot": 0, "app": 0} for k in ("added", "removed", "changed")},
    "failing": 0,
}


@pytest.mark.parametrize("direction", ["two_way", "to_app", "to_hubspot"])
def test_labels_travel_pair_by_pair_and_the_next_run_is_silent(world, direction):
    office = Matrix(world)
    office.put(office.labelled())
    office.begin()
    office.put(office.labelled(direction=direction))
    for name, (start, *_) in MATRIX.items():
        office.set_rows(name, start)
        if start:
            office.set_pair(name, start)
    assert links_of(world.run()) == SILENT
    for name, (_, hubspot, rows, *_) in MATRIX.items():
        if hubspot is not None:
            office.set_pair(name, hubspot)
        if rows is not None:
            office.set_rows(name, rows)
    before = office.pairs(), office.rows()
    preview = world.run(dry_run=True)
    assert (office.pairs(), office.rows()) == before
    report = world.run()
    assert report["status"] == "succeeded"
    assert links_of(report) == links_of(preview)
    ends = {n: "".join(sorted(row[3])) for n, row in MATRIX.items()}
    there, here = office.pairs(), office.rows()
    if direction == "two_way":
        assert (there, here) == (ends, ends)
    elif direction == "to_app":
        assert there == before[0]
        assert here == {n: "".join(sorted(row[4])) for n, row in MATRIX.items()}
    else:
        assert here == before[1]
        assert there == {n: "".join(sorted(row[5])) for n, row in MATRIX.items()}
    # A relabelled row is the same row, and every other column is as it was.
    assert {n for (n,) in world.sql("SELECT note FROM works WHERE company = 1")} == {
        "kept"
    }
    assert links_of(world.run()) == SILENT
    assert (office.pairs(), office.rows()) == (there, here)


def test_rows_that_went_with_their_record_are_no_unlink(world):
    """Deletions are found by complete reads, and a sweep comes before the next of them."""
    world.sql("INSERT INTO companies (name, domain) VALUES ('A', 'a.example')")
    world.sql("INSERT INTO people (email) VALUES ('ann@x.example'), ('bob@x.example')")
    office = Office(world)
    office.put({"join_table": {"name": "works", "from": "person", "to": "company"},
                "to": "Companies"})  # fmt: skip
    world.sql("INSERT INTO works VALUES (1, 1), (2, 1)")
    world.run()
    assert len(world.links()) == 2
    world.sql("DELETE FROM people WHERE id = 1")  # and, by its cascade, their row
    world.sql("DELETE FROM works WHERE person = 2")
    assert links_of(world.run())["removed"] == {"hubspot": 1, "app": 0}
    assert set(world.links()) == {("ann@x.example", "a.example")}
    assert links_of(world.run()) == SILENT
