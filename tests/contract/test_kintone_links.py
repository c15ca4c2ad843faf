"""Kintone's lookups, subtables and join apps as links."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.connectors.kintone import KintoneConnector
from connections.records import (
    Draft,
    LinkRow,
    LinkTable,
    ObjectType,
    Outcome,
    Patch,
    Reference,
    RowsWrite,
    Want,
)
from connections.sandbox.kintone.domain import App
from connections.sandbox.kintone.server import KintoneServer
from connections.sandbox.kintone.writes import Writer
from connections.sandbox.seeds.demo_kintone import lookup
from tests.contract.harness import Naps, new_context

pytestmark = pytest.mark.contract
Json = dict[str, Any]
TEXT = {"type": "SINGLE_LINE_TEXT"}
COMPANY, LINES, COUNTED = "company", "lines.firm", "tier"


class Domain:
    """Companies, people that look them up, and roles that join the two."""

    def __init__(self, server: KintoneServer) -> None:
        self.server, add = server, server.domain.add_app
        self.companies = add(
            "Companies",
            {
                "name": TEXT,
                "code": TEXT | {"unique": True},
                "city": TEXT,
                "rank": {"type": "NUMBER", "unique": True},
            },
        )
        lines = {"firm": lookup(self.companies, "code"), "since": {"type": "DATE"}}
        tier = lookup(self.companies, "rank") | {"type": "NUMBER"}
        self.people = add(
            "People",
            {
                "name": TEXT,
                "mail": TEXT | {"unique": True},
                COMPANY: lookup(self.companies, "code", {"town": "city"}),
                "town": TEXT,
                COUNTED: tier,
                "lines": {"type": "SUBTABLE", "fields": lines},
            },
        )
        self.roles = add(
            "Roles",
            {
                "person": lookup(self.people, "mail"),
                "firm": lookup(self.companies, "code"),
                "role": {"type": "DROP_DOWN", "options": ["boss", "clerk"]},
                "note": TEXT,
            },
        )
        self.connector = self.connect(self.companies, self.people, self.roles)
        found = self.connector.discover()
        self.schema = found
        self.obj = self.object(self.people)

    def connect(self, *apps: App) -> KintoneConnector:
        found = KintoneConnector(
            {
                "base_url": self.server.url,
                "app_ids": [str(app.id) for app in apps],
            },
            {"api_tokens": [self.server.token(app) for app in apps]},
            new_context(),
        )
        found._door._sleep = Naps()
        return found

    def object(self, app: App) -> ObjectType:
        found = self.schema.object(app.name)
        assert found is not None
        return found

    def add(self, app: App, *rows: Json) -> list[str]:
        with self.server.domain.change():
            writer = Writer(self.server.domain, lambda _: True, "clerk")
            return [
                str(
                    writer.create(app, {k: {"value": v} for k, v in row.items()}, "").id
                )
                for row in rows
            ]

    def edit(self, app: App, record_id: str, **values: Any) -> None:
        entry = {
            "id": record_id,
            "record": {k: {"value": v} for k, v in values.items()},
        }
        with self.server.domain.change():
            Writer(self.server.domain, lambda _: True, "clerk").update(app, entry, "")

    def held(self, app: App, record_id: str, name: str) -> Any:
        return app.records[int(record_id)].values[name]

    def read(self, *names: str) -> dict[str, dict[str, Reference]]:
        pages = self.connector.pages(self.obj, Want(("name",), names))
        return {r.id: dict(r.references) for page in pages for r in page.records}

    def link(self, record_id: str, name: str, *targets: str) -> Outcome:
        patch = Patch(record_id, references={name: Reference(targets)})
        (found,) = self.connector.update(self.obj, [patch], Want())
        return found


@pytest.fixture(scope="module")
def _server() -> Iterator[KintoneServer]:
    with KintoneServer() as server:
        yield server


@pytest.fixture
def domain(_server: KintoneServer) -> Iterator[Domain]:
    found = Domain(_server)
    _server.reset_counts()
    yield found
    found.connector.close()
    _server.set_hook(None)
    _server.reset()


def test_discovery_shows_lookups_as_references_and_their_copies_as_read_only(
    domain: Domain,
):
    one, other, many = domain.obj.references
    assert (one.name, one.target, one.many) == (
        COMPANY,
        str(domain.companies.id),
        False,
    )
    assert (one.columns, one.target_columns) == ((COMPANY,), ("code",))
    assert (other.name, other.target_columns) == (COUNTED, ("rank",))
    assert (many.name, many.many) == (LINES, True)
    town, company = domain.obj.field("town"), domain.obj.field(COMPANY)
    assert town is not None
    assert company is not None
    assert COMPANY in town.read_only_reason
    assert "association" in company.read_only_reason
    join = domain.schema.join_tables[-1]
    assert (join.name, [r.name for r in join.references]) == (
        "Roles",
        ["person", "firm"],
    )
    alone = domain.connect(domain.people).discover().object("People")
    assert alone is not None
    assert alone.references == ()
    hidden = alone.field(COMPANY)
    assert hidden is not None
    assert "token" in hidden.read_only_reason


def test_a_key_is_read_as_the_id_of_its_record_and_what_leads_nowhere_is_unknown(
    domain: Domain,
):
    one, two = domain.add(
        domain.companies, {"code": "C1", "rank": "1.0"}, {"code": "C2"}
    )
    lines = [{"value": {"firm": {"value": code}}} for code in ("C2", "C1", "")]
    near, far, none = domain.add(
        domain.people,
        {"company": "C1", "tier": "1.0", "lines": lines},
        {"company": "C2", "lines": lines[:1]},
        {},
    )
    names = (COMPANY, COUNTED, LINES)
    assert domain.read(*names) == {
        near: {
            COMPANY: Reference((one,)),
            COUNTED: Reference((one,)),
            LINES: Reference((two, one)),
        },
        far: {
            COMPANY: Reference((two,)),
            COUNTED: Reference(),
            LINES: Reference((two,)),
        },
        none: {name: Reference() for name in names},
    }
    assert domain.server.count("records") == 3  # a page, and one call a key field
    domain.edit(domain.companies, two, code="C9")  # no lookup follows
    domain.edit(domain.companies, one, rank="1")  # the same number
    found = domain.read(*names)
    assert found[far][COMPANY] == Reference((), complete=False)
    assert found[near][LINES] == Reference((one,), complete=False)
    assert found[near][COUNTED] == Reference((one,))


def test_a_lookup_is_set_changed_and_cleared_by_key_and_its_copies_follow(
    domain: Domain,
):
    one, two, keyless = domain.add(
        domain.companies, {"code": "C1", "city": "Bern"}, {"code": "C2"}, {"name": "n"}
    )
    draft = Draft("t", {"name": "Ann"}, {COMPANY: Reference((one,))})
    (made,) = domain.connector.create(domain.obj, [draft], Want(("name",)))
    assert made.ok
    assert made.record is not None
    ann = made.record.id
    assert domain.held(domain.people, ann, COMPANY) == "C1"
    assert domain.held(domain.people, ann, "town") == "Bern"
    assert domain.link(ann, COMPANY, two).ok
    assert domain.held(domain.people, ann, COMPANY) == "C2"
    assert domain.link(ann, COMPANY).ok
    assert domain.held(domain.people, ann, COMPANY) == ""
    refused = domain.link(ann, COMPANY, keyless)
    assert (refused.code, refused.field) == (Code.TARGET_NOT_MATCHED, COMPANY)
    assert domain.link(ann, COMPANY, "999").code == Code.TARGET_NOT_MATCHED
    assert domain.link(ann, COMPANY, one, two).code == Code.LIMIT_REACHED


def test_a_target_that_goes_between_our_look_and_our_write_refuses_its_record_alone(
    domain: Domain,
):
    one, two = domain.add(domain.companies, {"code": "C1"}, {"code": "C2"})
    people = domain.add(domain.people, *({"name": f"p{n}"} for n in range(5)))

    def drop(phase: str, number: int, request: Any) -> None:
        if phase == "before" and request.method == "PUT" and "2" in codes:
            codes.clear()
            domain.edit(domain.companies, two, code="gone")

    codes = {"2"}
    domain.server.set_hook(drop)
    patches = [
        Patch(p, references={COMPANY: Reference((two if n == 2 else one,))})
        for n, p in enumerate(people)
    ]
    outcomes = domain.connector.update(domain.obj, patches, Want())
    assert [o.code for o in outcomes] == ["", "", Code.TARGET_NOT_MATCHED, "", ""]
    held = [domain.held(domain.people, p, COMPANY) for p in people]
    assert held == ["C1", "C1", "", "C1", "C1"]


def test_rows_of_a_subtable_are_merged_and_unknown_ones_stay(domain: Domain):
    one, two, three, lost = domain.add(
        domain.companies, *({"code": f"C{n}"} for n in range(4))
    )
    cells = [
        {"firm": {"value": "C0"}, "since": {"value": "2020-01-01"}},
        {"firm": {"value": "C1"}},
        {"firm": {"value": "C3"}},
        {"firm": {"value": ""}, "since": {"value": "2021-01-01"}},
    ]
    (ann,) = domain.add(domain.people, {"lines": [{"value": c} for c in cells]})
    domain.edit(domain.companies, lost, code="X")
    first, *_ = domain.held(domain.people, ann, "lines")
    assert domain.link(ann, LINES, one, three).ok
    rows = domain.held(domain.people, ann, "lines")
    assert [r["value"]["firm"] for r in rows] == ["C0", "C3", "", "C2"]
    assert rows[0] == first  # the row stays itself, with its other columns
    assert domain.link(ann, LINES).ok
    rows = domain.held(domain.people, ann, "lines")
    assert [r["value"]["firm"] for r in rows] == ["C3", ""]
    draft = Draft("t", {"name": "Bob"}, {LINES: Reference((one, two))})
    (made,) = domain.connector.create(domain.obj, [draft], Want(("name",)))
    assert made.record is not None
    rows = domain.held(domain.people, made.record.id, "lines")
    assert [r["value"]["firm"] for r in rows] == ["C0", "C1"]


def test_a_row_that_a_user_adds_between_our_read_and_our_write_survives(domain: Domain):
    one, two = domain.add(domain.companies, {"code": "C1"}, {"code": "C2"})
    (ann,) = domain.add(domain.people, {"name": "Ann"})

    def add_row(phase: str, number: int, request: Any) -> None:
        if phase == "before" and request.method == "PUT":
            domain.server.set_hook(None)
            rows = [{"value": {"firm": {"value": "C2"}}}]
            domain.edit(domain.people, ann, lines=rows)

    domain.read(LINES)
    domain.server.set_hook(add_row)
    refused = domain.link(ann, LINES, one)
    assert refused.code == Code.CHANGED_SINCE_PLAN
    rows = domain.held(domain.people, ann, "lines")
    assert [r["value"]["firm"] for r in rows] == ["C2"]
    assert domain.read(LINES)[ann][LINES] == Reference((two,))
    assert domain.link(ann, LINES, one, two).ok


def test_a_key_that_we_change_takes_its_lookups_along(domain: Domain):
    one, two = domain.add(domain.companies, {"code": "C1"}, {"code": "C2"})
    lines = [{"value": {"firm": {"value": code}}} for code in ("C2", "C1")]
    (ann,) = domain.add(
        domain.people, {"mail": "a@x.example", "company": "C1", "lines": lines}
    )
    (role,) = domain.add(
        domain.roles, {"person": "a@x.example", "firm": "C1", "role": "boss"}
    )
    firms = domain.object(domain.companies)
    patch = Patch(one, {"code": "C9", "name": "new"})
    (outcome,) = domain.connector.update(firms, [patch], Want(("name",)))
    assert outcome.ok
    assert domain.held(domain.people, ann, COMPANY) == "C9"
    rows = domain.held(domain.people, ann, "lines")
    assert [r["value"]["firm"] for r in rows] == ["C2", "C9"]
    assert domain.held(domain.roles, role, "firm") == "C9"
    mail = Patch(ann, {"mail": "ann@x.example"})
    (outcome,) = domain.connector.update(domain.obj, [mail], Want(("name",)))
    assert outcome.ok
    assert domain.held(domain.roles, role, "person") == "ann@x.example"
    found = domain.connector.link_rows(roles(domain), [ann])
    assert found[ann].rows == (LinkRow(one, "boss"),)
    domain.server.reset_counts()
    (outcome,) = domain.connector.update(
        firms, [Patch(two, {"name": "x"})], Want(("name",))
    )
    assert outcome.ok
    assert domain.server.counts() == {
        "GET app/form/fields.json": 1,
        "PUT records.json": 1,
        "GET records.json": 1,
    }


def test_a_lookup_that_is_gone_from_the_form_is_not_written(domain: Domain):
    (one,) = domain.add(domain.companies, {"code": "C1"})
    (ann,) = domain.add(domain.people, {"name": "Ann"})
    domain.server.domain.rename_field(domain.people, COMPANY, "firm_now")
    assert domain.read(COMPANY)[ann][COMPANY] == Reference((), complete=False)
    with pytest.raises(SchemaError) as caught:
        domain.link(ann, COMPANY, one)
    assert caught.value.code == Code.FIELD_MISSING


# Join apps -----------------------------------------------------------------------------


def roles(domain: Domain, label: str = "role") -> LinkTable:
    near, far = str(domain.people.id), str(domain.companies.id)
    return LinkTable("Roles", near, far, "person", "firm", label)


def test_a_join_app_can_serve_and_what_is_wrong_is_said(domain: Domain):
    report = domain.connector.link_table(roles(domain))
    assert (report.faults, report.single) == ((), False)
    for table, part, code in (
        (LinkTable("None", "1", "2", "a", "b"), "name", Code.SCHEMA_CHANGED),
        (LinkTable("Roles", "2", "1", "x", "firm"), "from", Code.FIELD_MISSING),
        (LinkTable("Roles", "2", "1", "person", "note"), "to", Code.SCHEMA_CHANGED),
        (LinkTable("Roles", "2", "1", "firm", "person"), "from", Code.SCHEMA_CHANGED),
        (roles(domain, "no_such"), "label", Code.FIELD_MISSING),
    ):
        (fault,) = domain.connector.link_table(table).faults
        assert (fault.part, fault.code) == (part, code), table
    must = TEXT | {"required": True}
    domain.server.domain.change_form(domain.roles, "note", must)
    (fault,) = domain.connector.link_table(roles(domain)).faults
    assert (fault.code, fault.writing) == (Code.REQUIRED_MISSING, True)


def test_rows_of_a_join_app_are_read_changed_made_and_deleted_with_their_label(
    domain: Domain,
):
    one, two = domain.add(domain.companies, {"code": "C1"}, {"code": "C2"})
    ann, bob, eve = domain.add(
        domain.people, {"mail": "ann@x.example"}, {"mail": "bob@x.example"}, {}
    )
    kept, moved = domain.add(
        domain.roles,
        {"person": "ann@x.example", "firm": "C1", "role": "boss", "note": "kept"},
        {"person": "ann@x.example", "firm": "C2"},
    )
    table, connector = roles(domain), domain.connector
    found = connector.link_rows(table, [ann, bob, eve, "999"])
    assert found[ann].rows == (LinkRow(one, "boss"), LinkRow(two, None))
    assert found[ann].complete
    assert (found[bob].rows, found[bob].complete) == ((), True)
    assert (found[eve].rows, found[eve].complete) == ((), True)
    assert not found["999"].complete
    outcomes = connector.write_link_rows(
        table,
        [
            RowsWrite(ann, one, ("boss",), ("clerk",)),
            RowsWrite(ann, two, (None,), ()),
            RowsWrite(bob, one, (), (None, "boss")),
            RowsWrite(bob, two, ("boss",), ()),  # not what stands there
            RowsWrite(eve, two, (), (None,)),  # she has no key
        ],
    )
    assert [o.code for o in outcomes] == [
        *("", "", ""),
        Code.CHANGED_SINCE_PLAN,
        Code.TARGET_NOT_MATCHED,
    ]
    assert domain.held(domain.roles, kept, "role") == "clerk"
    assert domain.held(domain.roles, kept, "note") == "kept"
    assert int(moved) not in domain.roles.records
    found = connector.link_rows(table, [ann, bob])
    assert found[ann].rows == (LinkRow(one, "clerk"),)
    assert set(found[bob].rows) == {LinkRow(one, None), LinkRow(one, "boss")}
    domain.edit(domain.companies, one, code="C9")
    assert not connector.link_rows(table, [ann])[ann].complete
