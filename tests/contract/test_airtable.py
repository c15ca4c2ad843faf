"""What is Airtable's own: whole lists of links, its log, its penalty, its silences."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connections.catalogue import Code
from connections.connectors.base import (
    FeedLost,
    LimitError,
    SchemaError,
    ScopeError,
)
from connections.connectors.merging import three_way
from connections.records import Canon, Draft, Field, ObjectType, Patch, Reference, Want
from connections.sandbox.airtable.tokens import MAIN_BASE
from syncs.engine.values import canonical
from tests.contract.airtable_system import WATCH, AirtableSystem
from tests.contract.harness import drafts, new_context, rows

pytestmark = pytest.mark.contract
LINKS = Want(("name",), ("firms", "boss"))


@pytest.fixture
def people(airtable: AirtableSystem) -> ObjectType:
    """People with a list of firms and at most one boss."""
    firms = airtable.make("firms", [{"name": "name", "type": "singleLineText"}])
    fields: list[dict[str, Any]] = [
        {"name": "name", "type": "singleLineText"},
        {
            "name": "firms",
            "type": "multipleRecordLinks",
            "options": {"linkedTableId": firms},
        },
    ]
    table = airtable.make("people", fields)
    boss = {"linkedTableId": table, "prefersSingleRecordLink": True}
    with airtable.fake.store.transaction():
        airtable.fake.bases.make_field(
            MAIN_BASE,
            table,
            {"name": "boss", "type": "multipleRecordLinks", "options": boss},
            by_person=True,
        )
    return airtable.table("people")


def to(*ids: str) -> Reference:
    return Reference(ids)


def add_firms(airtable: AirtableSystem, count: int) -> list[str]:
    return airtable.fake.add("firms", [{"name": f"f{n}"} for n in range(count)])


def held(airtable: AirtableSystem, record_id: str, name: str = "firms") -> list[str]:
    return list(airtable.fake.cells("people")[record_id].get(name, []))


# Links ---------------------------------------------------------------------------------


def test_link_fields_are_references_with_their_other_end(
    airtable: AirtableSystem, people: ObjectType
):
    firms, boss = people.reference("firms"), people.reference("boss")
    assert firms is not None
    assert boss is not None
    assert (firms.target, firms.many, firms.mirror) == ("firms", True, "people")
    assert (boss.target, boss.many, boss.mirror) == ("people", False, "")
    back = airtable.table("firms").reference("people")
    assert back is not None
    assert (back.target, back.mirror) == ("people", "firms")


def test_references_are_set_with_a_create_changed_and_cleared(
    airtable: AirtableSystem, people: ObjectType
):
    one, two, three = add_firms(airtable, 3)
    draft = Draft("t", {"name": "ann"}, {"firms": to(one, two)})
    (made,) = airtable.connector.create(people, [draft], LINKS)
    assert made.record is not None
    ann = made.record.id
    assert made.record.references["firms"].ids == (one, two)
    for wanted in ([three], [two, three], []):
        patch = Patch(ann, references={"firms": to(*wanted)})
        (outcome,) = airtable.connector.update(people, [patch], LINKS)
        assert outcome.ok, outcome.message
        assert outcome.record is not None
        assert list(outcome.record.references["firms"].ids) == wanted
        assert held(airtable, ann) == wanted
    fetched = airtable.connector.fetch(people, [ann], LINKS).records[ann]
    assert fetched.references == {"firms": to(), "boss": to()}


def test_a_link_made_between_our_read_and_our_write_survives(
    airtable: AirtableSystem, people: ObjectType
):
    one, two, three, four = add_firms(airtable, 4)
    (ann,) = airtable.fake.add("people", [{"name": "ann", "firms": [one, two]}])
    planned = to(one, two)
    airtable.fake.edit("people", ann, {"firms": [two, three, one]})
    patch = Patch(ann, references={"firms": to(two, four)}, expected={"firms": planned})
    (outcome,) = airtable.connector.update(people, [patch], LINKS)
    assert outcome.record is not None
    assert set(outcome.record.references["firms"].ids) == {two, three, four}
    assert set(held(airtable, ann)) == {two, three, four}


def test_a_single_link_that_moved_meanwhile_is_not_overwritten(
    airtable: AirtableSystem, people: ObjectType
):
    bea, cid, ann = airtable.fake.add("people", [{"name": n} for n in "bca"])
    airtable.fake.edit("people", ann, {"boss": [cid]})
    patch = Patch(ann, references={"boss": to(bea)}, expected={"boss": to()})
    (outcome,) = airtable.connector.update(people, [patch], LINKS)
    assert (outcome.code, outcome.field) == (Code.CHANGED_SINCE_PLAN, "boss")
    assert held(airtable, ann, "boss") == [cid]


def test_a_hundred_lists_are_read_again_in_one_call(
    airtable: AirtableSystem, people: ObjectType
):
    (firm,) = add_firms(airtable, 1)
    ids = airtable.fake.add("people", [{"name": f"p{n}"} for n in range(100)])
    patches = [
        Patch(i, references={"firms": to(firm)}, expected={"firms": to()}) for i in ids
    ]
    airtable.host.reset_counts()
    assert all(o.ok for o in airtable.connector.update(people, patches, LINKS))
    assert airtable.host.counts() == {"PATCH records": 10, "POST listRecords": 1}
    assert len(airtable.fake.cells("firms")[firm]["people"]) == 100


@pytest.mark.parametrize("kind", ["ROW_DOES_NOT_EXIST", "NOT_FOUND"])
@pytest.mark.parametrize("named", [True, False])
def test_a_target_that_is_gone_is_told_from_a_record_that_is(
    airtable: AirtableSystem, people: ObjectType, kind: str, named: bool
):
    airtable.host.set_switches(gone_record=kind, names_bad_record=named)
    (firm,) = add_firms(airtable, 1)
    ann, bob = airtable.fake.add("people", [{"name": "ann"}, {"name": "bob"}])
    airtable.fake.remove("people", bob)
    patches = [
        Patch(ann, references={"firms": to("recNoSuchRecord00")}),
        Patch(ann, references={"firms": to(firm)}),
        Patch(bob, references={"firms": to(firm)}),
    ]
    outcomes = airtable.connector.update(people, patches, LINKS)
    assert [o.code for o in outcomes] == [Code.TARGET_NOT_MATCHED, "", Code.RECORD_GONE]
    assert held(airtable, ann) == [firm]


@pytest.mark.parametrize(
    ("planned", "wanted", "current", "expected"),
    [
        ("ab", "b", "ab", "b"),
        ("ab", "abc", "ba", "bac"),
        ("a", "", "ax", "x"),
        ("", "a", "a", "a"),
        ("ab", "ab", "a", "a"),
        ("a", "b", "", "b"),
        ("abc", "ac", "xcba", "xca"),
    ],
)
def test_only_the_difference_of_a_list_is_made(planned, wanted, current, expected):
    assert "".join(three_way(planned, wanted, current)) == expected


# Writing -------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", ["nothing", "before"])
def test_a_refused_batch_makes_nothing_twice(airtable: AirtableSystem, stored: str):
    """An option that a person removes under the run is refused by Airtable itself."""
    obj = airtable.obj
    assert obj.field("colour") is not None
    airtable.host.set_switches(failed_batch=stored)
    table = airtable.fake.table("probes")["id"]
    with airtable.fake.store.transaction():
        airtable.fake.bases.drop_choice(MAIN_BASE, table, "colour", "red")
    many = [dict(row) for row in rows(10)]
    many[7]["colour"] = "red"
    outcomes = airtable.connector.create(obj, drafts(many), airtable.want)
    refused = outcomes.pop(7)
    assert (refused.code, refused.field) == (Code.OPTION_UNKNOWN, "colour")
    assert all(o.ok for o in outcomes)
    held = sorted(airtable.titles().values())
    assert held == sorted(f"t{n}" for n in range(10) if n != 7)
    ids = {o.record.id for o in outcomes if o.record is not None}
    assert ids == set(airtable.titles())


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_create_without_an_answer_is_uncertain_and_found_by_when_it_was_made(
    airtable: AirtableSystem, when: str
):
    airtable.plant(rows(3), at=datetime(2026, 1, 1, tzinfo=UTC))
    assert airtable.obj.fields
    since = datetime.now(UTC) - timedelta(seconds=60)
    airtable.host.set_faults(f"drop,method=POST,path=/tbl,when={when},times=1")
    made = [{"title": "new", "code": "k"}]
    (outcome,) = airtable.connector.create(airtable.obj, drafts(made), airtable.want)
    assert (outcome.ok, outcome.uncertain) == (False, True)
    pages = airtable.connector.created_since(airtable.obj, airtable.want, since)
    found = [r.values["title"] for page in pages for r in page.records]
    assert found == (["new"] if when == "after" else [])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_create_with_a_marker_is_sent_again_and_makes_one_record(
    airtable: AirtableSystem, when: str
):
    (there,) = airtable.plant([{"title": "there", "code": "k3"}])
    assert airtable.obj.fields
    made = [Draft(f"t{n}", row, marker="code") for n, row in enumerate(rows(12))]
    made += [Draft("again", {"title": "new", "code": "k3"}, marker="code")]
    made += [Draft("plain", {"title": "no marker"}, marker="code")]
    made += [Draft("bad", {"title": "x", "code": "k9", "day": "x"}, marker="code")]
    airtable.host.set_faults(f"drop,method=PATCH,path=/tbl,when={when},times=1")
    outcomes = airtable.connector.create(airtable.obj, made, airtable.want)
    assert outcomes.pop().code == Code.VALUE_INVALID
    assert [o.message for o in outcomes if not o.ok] == []
    assert outcomes[12].record is not None
    assert outcomes[12].record.id == there
    titles = sorted(airtable.titles().values())
    assert titles == sorted([*(f"t{n}" for n in range(12)), "new", "no marker"])


def test_what_deletes_does_so_in_tens_and_says_what_was_gone(airtable: AirtableSystem):
    ids = airtable.plant(rows(25))
    airtable.remove(ids[12])
    outcomes = airtable.connector.delete(airtable.obj, ids)
    assert outcomes.pop(12).code == Code.RECORD_GONE
    assert all(o.ok for o in outcomes)
    assert airtable.titles() == {}


# Limits --------------------------------------------------------------------------------


def test_the_penalty_is_waited_out_and_a_month_that_is_spent_is_not(
    airtable: AirtableSystem,
):
    obj = airtable.obj
    airtable.fake.set_limits(enforced=True, per_base=0)
    penalties: list[tuple[str, float, bool]] = []

    class Budget:
        def acquire(self, bucket: str) -> None:
            return None

        def penalise(self, bucket: str, seconds: float, *, daily: bool = False) -> None:
            penalties.append((bucket, seconds, daily))

        def count(self, bucket: str) -> None:
            return None

    airtable.use(new_context(budget=Budget()))
    with pytest.raises(LimitError) as error:
        next(airtable.connector.pages(obj, airtable.want))
    assert error.value.code == Code.QUOTA_SPENT
    assert "month's calls" in error.value.message
    assert [(s, d) for _, s, d in penalties] == [
        (30.0, False),
        (30.0, False),
        (3600.0, True),
    ]
    assert [round(nap) for nap in airtable.naps.taken] == [30, 30]


def test_a_month_that_is_named_as_spent_ends_at_once(airtable: AirtableSystem):
    obj = airtable.obj
    airtable.host.set_switches(quota_error="PUBLIC_API_BILLING_LIMIT_EXCEEDED")
    airtable.fake.set_limits(enforced=True, per_base=1000, monthly=1)
    airtable.connector.discover()
    with pytest.raises(LimitError) as error:
        next(airtable.connector.pages(obj, airtable.want))
    assert error.value.code == Code.QUOTA_SPENT
    assert airtable.naps.taken == []


# Reading -------------------------------------------------------------------------------


def test_a_listing_whose_place_was_forgotten_begins_again(airtable: AirtableSystem):
    ids = airtable.plant(rows(150))
    pages = airtable.connector.pages(airtable.obj, airtable.want)
    first = next(pages)
    airtable.host.set_clock(3600)
    seen = [r.id for page in pages for r in page.records]
    assert set(seen) == set(ids)
    resumed = airtable.connector.pages(airtable.obj, airtable.want, first.cursor)
    assert {r.id for page in resumed for r in page.records} >= set(ids)


@pytest.mark.parametrize("shown", ["shown", "missing"])
def test_an_id_of_another_table_is_never_read_as_a_record_of_this_one(
    airtable: AirtableSystem, people: ObjectType, shown: str
):
    airtable.host.set_switches(other_tables_record=shown)
    (firm,) = add_firms(airtable, 1)
    fetched = airtable.connector.fetch(people, [firm], LINKS)
    assert fetched.records == {}
    assert fetched.gone == (frozenset() if shown == "shown" else {firm})


def test_a_table_that_is_gone_is_told_from_a_right_that_is(airtable: AirtableSystem):
    obj, want = airtable.obj, airtable.want
    blind = airtable.connect("no records")
    with pytest.raises(ScopeError):
        next(blind.pages(obj, want))
    blind.close()
    with airtable.fake.store.transaction():
        airtable.fake.bases.drop_table(MAIN_BASE, obj.id)
    for read in (
        lambda: next(airtable.connector.pages(obj, want)),
        lambda: airtable.connector.fetch(obj, ["recNoSuchRecord00"], want),
    ):
        with pytest.raises(SchemaError) as error:
            read()
        assert "no table probes" in error.value.message
    assert airtable.connector.describe(obj) is None


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"isValid": False}, "not valid"),
        ({"isValid": True, "referencedFieldIds": ["fldX"]}, "some of the fields"),
        ({"isValid": True, "result": {"type": "date"}}, "the day and not the time"),
    ],
)
def test_a_time_that_would_miss_changes_is_refused(
    airtable: AirtableSystem, options: dict[str, Any], why: str
):
    field = {"name": "moved", "type": WATCH, "options": options}
    with airtable.fake.store.transaction():
        table = airtable.fake.table("probes")["id"]
        airtable.fake.bases.make_field(MAIN_BASE, table, field, by_person=True)
    want, obj = replace(airtable.want, changed_field="moved"), airtable.table("probes")
    with pytest.raises(SchemaError, match=why):
        next(airtable.connector.changed(obj, want, after=datetime.now(UTC)))


def test_computed_cells_are_read_only_and_an_error_is_no_blank(
    airtable: AirtableSystem, people: ObjectType
):
    table = airtable.fake.table("people")
    number, link = {"type": "number", "options": {"precision": 0}}, table["fields"][1]
    made = [
        ("broken", "formula", {"formula": "1/0", "isValid": False, "result": number}),
        ("size", "count", {"recordLinkFieldId": link["id"], "isValid": True}),
        ("serial", "autoNumber", {}),
        ("odd", "manualSort", {}),
    ]
    with airtable.fake.store.transaction():
        for name, kind, options in made:
            field = {"name": name, "type": kind, "options": options}
            airtable.fake.bases.make_field(
                MAIN_BASE, table["id"], field, by_person=True
            )
    found = {f.name: f for f in airtable.table("people").fields}
    assert all(found[name].read_only_reason for name, _, _ in made)
    assert found["broken"].type == "number"
    firms = add_firms(airtable, 2)
    (ann,) = airtable.fake.add("people", [{"name": "ann", "firms": firms}])
    want = Want(("broken", "size", "serial", "odd"))
    values = airtable.connector.fetch(people, [ann], want).records[ann].values
    assert "broken" not in values
    assert canonical(values["size"], found["size"], zone=UTC) == "2"
    assert (values["serial"], values["odd"]) == (1, None)


def test_people_are_known_by_their_addresses(airtable: AirtableSystem):
    fields: list[dict[str, Any]] = [
        {"name": "name", "type": "singleLineText"},
        {"name": "owner", "type": "singleCollaborator"},
        {"name": "team", "type": "multipleCollaborators"},
        {"name": "code", "type": "barcode"},
        {"name": "stars", "type": "rating", "options": {"max": 5}},
    ]
    airtable.make("tasks", fields)
    obj = airtable.table("tasks")
    assert isinstance(obj.field("owner"), Field)
    values: dict[str, Canon] = {
        "owner": "sales@sandbox.example",
        "team": ["sales@sandbox.example", "service@sandbox.example"],
        "code": "400638",
        "stars": "3",
    }
    want = Want(tuple(values))
    (made,) = airtable.connector.create(obj, drafts([values]), want)
    assert made.record is not None, made.message
    assert dict(made.record.values) == {**values, "stars": 3}
    bad = drafts([{"owner": "nobody@sandbox.example"}, {"stars": "9"}])
    outcomes = airtable.connector.create(obj, bad, want)
    assert [(o.code, o.field) for o in outcomes] == [
        (Code.VALUE_INVALID, "owner"),
        (Code.VALUE_INVALID, "stars"),
    ]


# The log -------------------------------------------------------------------------------


def told(airtable: AirtableSystem, obj: ObjectType, place: str) -> tuple[set[str], str]:
    parts = list(airtable.connector.fed(obj, place, own=True))
    return {i for part in parts for i in part.ids}, parts[-1].place


def test_the_log_tells_of_each_change_once_deletions_and_other_ends_too(
    airtable: AirtableSystem, people: ObjectType
):
    place = airtable.connector.feed_place(people)
    assert airtable.connector.feed_place(airtable.table("firms")) == place
    one, two = add_firms(airtable, 2)
    ann, bob = airtable.fake.add("people", [{"name": "ann"}, {"name": "bob"}])
    ids, place = told(airtable, people, place)
    assert ids == {ann, bob}
    airtable.fake.edit("firms", one, {"people": [ann]})
    airtable.fake.remove("people", bob)
    ids, place = told(airtable, people, place)
    assert ids == {ann, bob}
    assert airtable.connector.fetch(people, [ann, bob], LINKS).gone == {bob}
    airtable.fake.edit("firms", two, {"name": "other"})
    ids, place = told(airtable, people, place)
    assert ids == set()
    for n in range(60):
        airtable.fake.edit("people", ann, {"name": f"a{n}"})
    airtable.host.reset_counts()
    ids, place = told(airtable, people, place)
    assert ids == {ann}
    assert airtable.host.counts() == {"GET bases/webhooks/payloads": 2}
    assert told(airtable, people, place)[0] == set()


def test_a_log_that_may_have_a_gap_is_lost_and_begins_anew(
    airtable: AirtableSystem, people: ObjectType
):
    place = airtable.connector.feed_place(people)
    aged = json.dumps({**json.loads(place), "at": 0})
    hook = json.loads(place)["hook"]
    for bad in (aged, "nonsense", json.dumps({"hook": "achNone", "cursor": 1})):
        with pytest.raises(FeedLost):
            told(airtable, people, bad)
    with airtable.fake.store.transaction():
        airtable.fake.webhooks.expire(hook)
    with pytest.raises(FeedLost):
        told(airtable, people, place)
    assert json.loads(airtable.connector.feed_place(people))["hook"] != hook


@pytest.mark.parametrize("token", ["no webhooks", "editor"])
def test_who_may_not_keep_a_log_is_told_what_to_do(
    airtable: AirtableSystem, people: ObjectType, token: str
):
    connector = airtable.connect(token)
    calls: list[Callable[[], object]] = [
        lambda: connector.feed_place(people),
        lambda: list(
            connector.fed(people, '{"hook": "achX", "cursor": 1, "at": 9e9}', own=True)
        ),
    ]
    for call in calls:
        with pytest.raises(FeedLost, match="webhook:manage"):
            call()
    connector.close()
    off = airtable.connect(change_log="off")
    assert not off.capabilities.feeds
    with pytest.raises(FeedLost, match="change_log is off"):
        off.feed_place(people)
    off.close()


def test_a_base_that_has_its_ten_webhooks_keeps_no_log_of_ours(
    airtable: AirtableSystem, people: ObjectType
):
    other = {"specification": {"options": {"filters": {"dataTypes": ["tableFields"]}}}}
    with airtable.fake.store.transaction():
        for _ in range(10):
            now = airtable.fake.clock.now_ms()
            airtable.fake.webhooks.create(MAIN_BASE, other, now)
    with pytest.raises(FeedLost, match="10 webhooks"):
        airtable.connector.feed_place(people)
