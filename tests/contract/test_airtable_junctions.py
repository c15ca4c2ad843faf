"""Airtable's junction tables as links with labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.records import LinkRow, LinkRows, LinkTable, RowsWrite
from connections.sandbox.airtable.tokens import MAIN_BASE
from tests.contract.airtable_system import AirtableSystem

pytestmark = pytest.mark.contract
TEXT = "singleLineText"
CHOICES = {"choices": [{"name": "boss"}, {"name": "clerk"}]}


class Base:
    """People, firms, and roles that join the two."""

    def __init__(self, system: AirtableSystem, *, one_way: bool) -> None:
        self.system, self.fake = system, system.fake
        people = system.make("people", [{"name": "name", "type": TEXT}])
        firms = system.make("firms", [{"name": "name", "type": TEXT}])
        fields: list[dict[str, Any]] = [
            {"name": "title", "type": TEXT},
            {"name": "role", "type": "singleSelect", "options": CHOICES},
            {"name": "since", "type": "date"},
            self.link("person", people),
            self.link("firm", firms),
        ]
        system.make("roles", fields)
        self.table = LinkTable("roles", people, firms, "person", "firm", "role")
        self.people = self.fake.add(
            "people", [{"name": n} for n in ("ann", "ann", "bob")]
        )
        self.firms = self.fake.add("firms", [{"name": n} for n in ("acorn", "birch")])
        if one_way:
            roles = self.fake.table("roles")["id"]
            near = next(
                f for f in self.fake.table("roles")["fields"] if f["name"] == "person"
            )
            self.drop_mirror(roles, near["id"])

    @staticmethod
    def link(name: str, table: str) -> dict[str, Any]:
        options = {"linkedTableId": table}
        return {"name": name, "type": "multipleRecordLinks", "options": options}

    def drop_mirror(self, table: str, field_id: str) -> None:
        """Have a link field whose other end is shown nowhere."""
        base = self.fake.bases.get(MAIN_BASE)
        field = self.fake.bases.field(self.fake.bases.table(base, table), field_id)
        inverse = field["options"].pop("inverseLinkFieldId")
        for one in base["tables"]:
            one["fields"] = [f for f in one["fields"] if f["id"] != inverse]
        with self.fake.store.transaction():
            self.fake.bases.keep(base)

    def add(self, person: int | list[int], firm: int | None, role: str = "") -> str:
        people = [person] if isinstance(person, int) else person
        cells: dict[str, Any] = {"person": [self.people[p] for p in people]}
        if firm is not None:
            cells["firm"] = [self.firms[firm]]
        if role:
            cells["role"] = role
        (made,) = self.fake.add("roles", [cells | {"since": "2026-01-31"}])
        return made

    def rows(self) -> set[tuple[str, str, str | None]]:
        """Every row by the places of its ends."""
        return {
            (
                str(self.people.index(c["person"][0])),
                str(self.firms.index(c["firm"][0])),
                c.get("role"),
            )
            for c in self.fake.cells("roles").values()
        }

    def read(self, *people: int) -> list[LinkRows]:
        ids = [self.people[p] for p in people]
        found = self.system.connector.link_rows(self.table, ids)
        return [found[i] for i in ids]

    def write(
        self, *writes: tuple[int, int, tuple[Any, ...], tuple[Any, ...]]
    ) -> list[str]:
        asked = [
            RowsWrite(self.people[p], self.firms[f], before, after)
            for p, f, before, after in writes
        ]
        outcomes = self.system.connector.write_link_rows(self.table, asked)
        return [str(o.code) if not o.ok else "" for o in outcomes]


@pytest.fixture(params=["both ends", "one way"])
def base(request: pytest.FixtureRequest, airtable: AirtableSystem) -> Base:
    return Base(airtable, one_way=request.param == "one way")


def test_rows_are_read_by_the_record_and_not_by_what_it_is_called(base: Base):
    base.add(0, 0, "boss")
    base.add(0, 1)
    base.add(1, 0)  # of the other Ann
    base.add(0, None)  # somebody is filling it in
    acorn, birch = base.firms
    first, second, bob = base.read(0, 1, 2)
    assert {(r.to_id, r.label) for r in first.rows} == {(acorn, "boss"), (birch, None)}
    assert second == LinkRows((LinkRow(acorn),))
    assert bob == LinkRows()


def test_a_row_that_names_several_hides_what_it_means(base: Base):
    base.add([0, 1], 0)
    base.add(2, 1)
    one, two, bob = base.read(0, 1, 2)
    assert (one.complete, two.complete) == (False, False)
    assert bob == LinkRows((LinkRow(base.firms[1]),))
    assert base.write((0, 1, (), (None,))) == [Code.CHANGED_SINCE_PLAN]
    assert len(base.fake.cells("roles")) == 2


def test_rows_are_made_relabelled_and_deleted_and_keep_their_other_cells(base: Base):
    kept = base.add(0, 0, "boss")
    base.add(1, 0, "clerk")
    base.add(1, 1)
    assert base.write(
        (0, 0, ("boss",), ("clerk",)),
        (1, 0, ("clerk",), ()),
        (1, 1, (None,), (None, "boss")),
        (2, 0, (), ("boss", "clerk")),
        (2, 1, (), (None,)),
        (0, 1, ("boss",), ()),  # there is no such row
    ) == ["", "", "", "", "", Code.CHANGED_SINCE_PLAN]
    assert base.rows() == {
        ("0", "0", "clerk"),
        ("1", "1", None),
        ("1", "1", "boss"),
        ("2", "0", "boss"),
        ("2", "0", "clerk"),
        ("2", "1", None),
    }
    cells = base.fake.cells("roles")[kept]
    assert (cells["role"], cells["since"]) == ("clerk", "2026-01-31")


def test_a_bad_label_or_a_lost_target_fails_alone(base: Base):
    base.fake.remove("firms", base.firms[1])
    found = base.write(
        (0, 0, (), ("no such",)), (1, 0, (), ("boss",)), (2, 1, (), ("boss",))
    )
    assert found == [Code.OPTION_UNKNOWN, "", Code.TARGET_NOT_MATCHED]
    assert base.rows() == {("1", "0", "boss")}


def test_what_keeps_a_table_from_joining_is_said(airtable: AirtableSystem):
    base = Base(airtable, one_way=False)
    connector, table = airtable.connector, base.table
    assert connector.link_table(table).faults == ()
    for changes, part, code in (
        ({"name": "rolls"}, "name", Code.SCHEMA_CHANGED),
        ({"from_columns": "human"}, "from", Code.FIELD_MISSING),
        ({"to_columns": "since"}, "to", Code.SCHEMA_CHANGED),
        ({"to_columns": "person"}, "to", Code.SCHEMA_CHANGED),
        ({"label": "rank"}, "label", Code.FIELD_MISSING),
        ({"label": "since"}, "label", Code.SCHEMA_CHANGED),
    ):
        (fault,) = connector.link_table(replace(table, **changes)).faults
        assert (fault.part, fault.code) == (part, code), changes
        assert fault.text
    same = replace(table, far=table.near, to_columns="person")
    (fault,) = connector.link_table(same).faults
    assert "same field" in fault.text
    roles = base.fake.table("roles")["id"]
    with base.fake.store.transaction():
        base.fake.bases.rename(MAIN_BASE, roles, "firm", "company")
    connector.discover()
    with pytest.raises(SchemaError, match="no field firm"):
        base.read(0)


def test_a_hundred_records_take_two_calls_and_the_tables(airtable: AirtableSystem):
    base = Base(airtable, one_way=False)
    ids = base.fake.add("people", [{"name": "x"} for _ in range(100)])
    base.fake.add("roles", [{"person": [i], "firm": [base.firms[0]]} for i in ids])
    airtable.host.reset_counts()
    found = airtable.connector.link_rows(base.table, ids)
    assert all(len(rows.rows) == 1 for rows in found.values())
    assert airtable.host.count("listRecords") == 2
