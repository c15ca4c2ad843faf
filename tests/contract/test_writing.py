"""Writing, as every connector promises it: one bad record never stops another."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connections.catalogue import Code
from connections.connectors.base import Context
from connections.records import Outcome, Patch
from tests.contract.harness import (
    System,
    Values,
    drafts,
    needs,
    new_context,
    read_values,
    rows,
)
from tests.contract.hubspot_system import HubSpotSystem
from tests.contract.postgres_system import PostgresSystem

pytestmark = pytest.mark.contract
SIZES = [0, 1, 100, 101, 250]
BAD = sorted({*HubSpotSystem.bad, *PostgresSystem.bad})


class LeaseLost(Exception):
    """The caller may not write any more."""


def create(system: System, values: Sequence[Values]) -> list[Outcome]:
    return system.connector.create(system.obj, drafts(values), system.want)


def update(system: System, patches: Sequence[Patch]) -> list[Outcome]:
    return system.connector.update(system.obj, patches, system.want)


def written(outcomes: Sequence[Outcome]) -> list[str]:
    """The ids of records that all were written."""
    assert [o for o in outcomes if not o.ok] == []
    return [o.record.id for o in outcomes if o.record is not None]


def bad(system: System, kind: str) -> tuple[Values, Code]:
    if kind not in system.bad:
        kind = "option"
    if kind == "taken":
        system.plant([{"title": "first", "code": "taken"}])
    return system.bad[kind]


# Creates -------------------------------------------------------------------------------


@pytest.mark.parametrize("count", SIZES)
def test_a_create_answers_in_the_order_it_was_asked(system: System, count: int):
    outcomes = create(system, rows(count))
    ids = written(outcomes)
    held = system.titles()
    assert [held[i] for i in ids] == [f"t{n}" for n in range(count)]
    assert len(held) == count
    for outcome in outcomes:
        assert outcome.record is not None
        assert outcome.record.values["title"] == held[outcome.record.id]
        assert outcome.record.modified_at is not None


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("count", [1, 101])
def test_a_bad_record_in_the_middle_fails_alone(system: System, count: int, kind: str):
    values, code = bad(system, kind)
    before = len(system.titles())
    many = list(rows(count))
    middle = count // 2
    many[middle] = {**many[middle], **values}
    outcomes = create(system, many)
    refused = outcomes.pop(middle)
    assert (refused.ok, refused.uncertain, refused.code) == (False, False, code)
    assert refused.message
    assert refused.field == next(iter(values))
    held = system.titles()
    good = [f"t{n}" for n in range(count) if n != middle]
    assert [held[i] for i in written(outcomes)] == good
    assert len(held) == before + count - 1


def test_a_taken_unique_value_names_the_record_that_has_it(system: System):
    needs(system, "unique")
    (holder,) = system.plant([{"title": "first", "code": "taken"}])
    (outcome,) = create(system, [{"title": "second", "code": "taken"}])
    assert (outcome.code, outcome.existing_id) == (Code.DUPLICATE_KEY, holder)
    assert system.titles() == {holder: "first"}


def test_the_same_unique_value_twice_in_one_request_is_written_once(system: System):
    needs(system, "unique")
    many = [*rows(3), {"title": "again", "code": "c1"}, *rows(2, start=3)]
    outcomes = create(system, many)
    twin = outcomes.pop(3)
    ids = written(outcomes)
    assert (twin.code, twin.existing_id) == (Code.DUPLICATE_KEY, ids[1])
    assert [system.titles()[i] for i in ids] == [f"t{n}" for n in range(5)]


@pytest.mark.parametrize("count", [2, 250])
def test_two_bad_records_fail_and_the_rest_is_written(system: System, count: int):
    values, code = system.bad["number"]
    many = [*rows(count), dict(values), *rows(count, start=count), dict(values)]
    outcomes = create(system, many)
    refused = [outcomes.pop(-1), outcomes.pop(count)]
    assert {o.code for o in refused} == {code}
    held = system.titles()
    assert [held[i] for i in written(outcomes)] == [f"t{n}" for n in range(2 * count)]
    assert len(held) == 2 * count


@pytest.mark.parametrize("count", [1, 101])
def test_all_bad_records_each_have_their_refusal(system: System, count: int):
    values, code = system.bad["number"]
    outcomes = create(system, [values] * count)
    assert [(o.ok, o.uncertain, o.code) for o in outcomes] == [
        (False, False, code)
    ] * count
    assert system.titles() == {}


def test_a_record_without_any_value_is_made_once(system: System):
    outcomes = create(system, [{}, {}])
    ids = written(outcomes)
    assert len(set(ids)) == 2
    assert set(system.titles()) == set(ids)


# Updates -------------------------------------------------------------------------------


@pytest.mark.parametrize("count", SIZES)
def test_an_update_answers_in_the_order_it_was_asked(system: System, count: int):
    ids = system.plant(rows(count))[::-1]
    patches = [Patch(i, {"title": f"new{n}"}) for n, i in enumerate(ids)]
    outcomes = update(system, patches)
    assert written(outcomes) == ids
    held = system.titles()
    assert [held[i] for i in ids] == [f"new{n}" for n in range(count)]
    for n, outcome in enumerate(outcomes):
        assert outcome.record is not None
        assert outcome.record.values["title"] == f"new{n}"


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_update_in_the_middle_fails_alone(system: System, kind: str):
    values, code = bad(system, kind)
    ids = system.plant(rows(101))
    patches = [Patch(i, {"title": "new", "code": f"n{i}"}) for i in ids]
    patches[50] = Patch(ids[50], {"title": "new", **values})
    outcomes = update(system, patches)
    refused = outcomes.pop(50)
    assert (refused.ok, refused.uncertain, refused.code) == (False, False, code)
    assert refused.field == next(iter(values))
    assert written(outcomes) == [*ids[:50], *ids[51:]]
    held = system.titles()
    assert {held[i] for i in ids} == {"new", "t50"}
    assert held[ids[50]] == "t50"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_update_of_a_record_that_is_gone_fails_alone(system: System, place: int):
    ids = system.plant(rows(3))
    system.remove(ids[place])
    outcomes = update(system, [Patch(i, {"title": "new"}) for i in ids])
    assert outcomes.pop(place).code == Code.RECORD_GONE
    assert len(written(outcomes)) == 2
    assert set(system.titles().values()) == {"new"}


def test_an_update_of_nobody_but_absent_records_refuses_each(system: System):
    absent = ["987654321", "987654322"]
    outcomes = update(system, [Patch(i, {"title": "new"}) for i in absent])
    assert [(o.ok, o.code) for o in outcomes] == [(False, Code.RECORD_GONE)] * 2


def test_none_clears_a_value_and_leaves_what_is_not_named(system: System):
    ids = system.plant([{"title": "t", "note": "n", "amount": "1", "tags": ["a"]}])
    (outcome,) = update(system, [Patch(ids[0], {"note": None, "tags": None})])
    assert outcome.ok
    values = read_values(system, ids[0])
    assert (values["title"], values["amount"]) == ("t", "1")
    assert (values["note"], values["tags"]) == (None, None)


def test_two_updates_of_one_record_happen_in_their_order(system: System):
    (record_id,) = system.plant(rows(1))
    patches = [Patch(record_id, {"title": title}) for title in ("one", "two", "three")]
    outcomes = update(system, patches)
    assert written(outcomes) == [record_id] * 3
    assert system.titles() == {record_id: "three"}


def test_updates_of_different_fields_share_a_request_or_not_but_all_arrive(
    system: System,
):
    ids = system.plant(rows(4))
    patches = [
        Patch(ids[0], {"title": "a"}),
        Patch(ids[1], {"note": "b", "amount": "2"}),
        Patch(ids[2], {"title": "c", "flag": True}),
        Patch(ids[3], {"note": None, "title": "d"}),
    ]
    assert written(update(system, patches)) == ids
    values = [read_values(system, i) for i in ids]
    assert [v["title"] for v in values] == ["a", "t1", "c", "d"]
    assert (values[1]["note"], values[1]["amount"]) == ("b", "2")
    assert values[2]["flag"] is True


def test_a_unique_value_may_travel_from_one_record_to_another(system: System):
    one, two = system.plant(rows(2))
    first = update(system, [Patch(one, {"code": None})])
    second = update(system, [Patch(two, {"code": "c0"})])
    assert [o.ok for o in (*first, *second)] == [True, True]
    assert read_values(system, two)["code"] == "c0"


# The right to write --------------------------------------------------------------------


def test_each_write_asks_for_the_right_and_no_read_does(system: System):
    asked: list[int] = []
    context: Context = new_context(
        before_write=lambda: asked.append(context.meter.calls)
    )
    ids = system.plant(rows(3))
    system.use(context)
    list(system.connector.pages(system.obj, system.want))
    system.connector.fetch(system.obj, ids, system.want)
    system.connector.lookup(system.obj, "code", ["c0"], system.want)
    assert asked == []
    create(system, rows(2, start=10))
    assert len(asked) == 1
    update(system, [Patch(ids[0], {"title": "x"})])
    assert len(asked) == 2


def test_who_has_lost_the_right_writes_nothing(system: System):
    def refuse() -> None:
        raise LeaseLost

    (record_id,) = system.plant(rows(1))
    system.use(new_context(before_write=refuse))
    with pytest.raises(LeaseLost):
        create(system, rows(2, start=10))
    with pytest.raises(LeaseLost):
        update(system, [Patch(record_id, {"title": "x"})])
    assert system.titles() == {record_id: "t0"}


def test_nothing_to_write_makes_no_call(system: System):
    assert system.obj.field("title") is not None
    calls = system.context.meter.calls
    assert create(system, []) == update(system, []) == []
    assert system.connector.archive(system.obj, []) == []
    assert system.context.meter.calls == calls
