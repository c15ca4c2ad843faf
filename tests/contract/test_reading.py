"""Reading, as every connector promises it: all, what changed, by id, by unique value."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from connections.records import Page, Want
from tests.contract.harness import LONG_AGO, System, needs, rows
from tests.contract.hubspot_system import HubSpotSystem

pytestmark = pytest.mark.contract
T = datetime(2026, 1, 31, 12, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def titles(pages: Iterable[Page]) -> list[object]:
    return [record.values["title"] for page in pages for record in page.records]


def window(system: System, after: datetime, until: datetime | None) -> list[object]:
    found = system.connector.changed(system.obj, system.want, after=after, until=until)
    return sorted(titles(found), key=str)


def test_an_empty_object_gives_nothing_and_no_error(system: System):
    obj, want, connector = system.obj, system.want, system.connector
    (page,) = connector.pages(obj, want)
    assert (page.records, page.cursor) == ((), None)
    assert window(system, LONG_AGO, None) == []
    assert connector.window(obj, want, after=LONG_AGO, until=T).count == 0
    assert titles(connector.unstamped(obj, want)) == []
    assert titles(connector.created_since(obj, want, LONG_AGO)) == []
    fetched = connector.fetch(obj, [], want)
    assert (dict(fetched.records), fetched.gone) == ({}, frozenset())
    if "unique" not in system.lacks:
        assert connector.lookup(obj, "code", [], want) == {}


@pytest.mark.parametrize(
    ("pages", "more"), [(0, 1), (1, -1), (1, 0), (1, 1), (2, 0), (2, 1)]
)
def test_every_record_is_read_once_whatever_the_page_boundary(
    system: System, pages: int, more: int
):
    count = pages * system.page + more
    planted = system.plant(rows(count))
    found = list(system.connector.pages(system.obj, system.want))
    ids = [record.id for page in found for record in page.records]
    assert sorted(ids) == sorted(planted)
    assert set(titles(found)) == {f"t{n}" for n in range(count)}
    assert all(page.cursor is not None for page in found[:-1])
    assert found[-1].cursor is None
    assert all(len(page.records) <= system.page for page in found)


def test_a_read_goes_on_after_any_page(system: System):
    system.plant(rows(2 * system.page + 3))
    pages = list(system.connector.pages(system.obj, system.want))
    assert len(pages) == 3
    for place, page in enumerate(pages[:-1]):
        rest = list(system.connector.pages(system.obj, system.want, page.cursor))
        assert titles(rest) == titles(pages[place + 1 :])


def test_records_that_come_go_and_change_between_pages_shift_no_other(system: System):
    ids = system.plant(rows(2 * system.page + 2))
    order = sorted(ids, key=lambda i: (len(i), i))  # as each system lists them
    seen, first_unseen, second_unseen = (
        order[system.page - 1],
        order[system.page],
        order[system.page + 1],
    )
    reading = system.connector.pages(system.obj, system.want)
    pages = [next(reading)]
    system.remove(seen)
    system.remove(first_unseen)
    system.edit(second_unseen, "edited")
    (added,) = system.plant(rows(1, start=5000))
    pages += reading
    found = [record for page in pages for record in page.records]
    got = [record.id for record in found]
    assert len(got) == len(set(got))
    assert set(ids) - {first_unseen} <= set(got) <= {*ids, added}
    assert first_unseen not in got
    by_id = {record.id: record.values["title"] for record in found}
    assert by_id[second_unseen] == "edited"


def test_a_record_holds_exactly_the_fields_that_were_asked_for(system: System):
    (record_id,) = system.plant([{"title": "x", "code": "k"}])
    want = Want(("title", "note"), changed_field=system.want.changed_field)
    (page,) = system.connector.pages(system.obj, want)
    (record,) = page.records
    assert dict(record.values) == {"title": "x", "note": None}
    assert record.id == record_id
    fetched = system.connector.fetch(system.obj, [record_id], want)
    assert dict(fetched.records[record_id].values) == {"title": "x", "note": None}


def test_times_are_aware_utc_and_the_pages_clock_is_the_systems_own(system: System):
    system.plant(rows(1), at=T)
    (page,) = system.connector.pages(system.obj, system.want)
    assert page.records[0].modified_at == T
    assert page.records[0].modified_at.utcoffset() == timedelta(0)
    assert page.read_at is not None
    late = datetime.now(UTC) - page.read_at - system.behind
    assert abs(late) < timedelta(seconds=60)
    assert page.read_at.utcoffset() == timedelta(0)


# What changed --------------------------------------------------------------------------


def test_a_window_begins_after_its_first_moment_and_holds_its_last(system: System):
    step = system.grain
    for name, at in (
        ("at start", T),
        ("just in", T + step),
        ("at end", T + 3 * step),
        ("past", T + 4 * step),
    ):
        system.plant([{"title": name}], at=at)
    assert window(system, T, T + 3 * step) == ["at end", "just in"]
    assert window(system, T + 3 * step, None) == ["past"]
    assert window(system, T - step, T) == ["at start"]
    assert window(system, T + 4 * step, None) == []


def test_more_records_of_one_moment_than_a_page_holds_all_come_once(system: System):
    step = system.grain
    count = 2 * system.changed_page + 1
    system.plant(rows(count), at=T)
    system.plant(rows(2, start=count), at=T + step)
    assert len(window(system, T - step, T)) == count
    found = window(system, T - step, None)
    assert found == sorted(f"t{n}" for n in range(count + 2))


@pytest.mark.parametrize("count", [0, 1, 350])
def test_the_count_of_a_window_is_that_of_its_records(system: System, count: int):
    step = system.grain
    system.plant(rows(count), at=T)
    system.plant(rows(3, start=count), at=T + 9 * step)
    seen = system.connector.window(
        system.obj, system.want, after=T - step, until=T + step
    )
    assert seen.count == count == len(window(system, T - step, T + step))
    if system.connector.capabilities.tells_total:
        ahead = datetime.now(UTC) + timedelta(days=1)
        whole = system.connector.window(
            system.obj, system.want, after=datetime(1990, 1, 1, tzinfo=UTC), until=ahead
        )
        assert whole.count == count + 3


def test_an_edit_brings_a_record_into_the_window(system: System):
    ids = system.plant(rows(3), at=T)
    before = datetime.now(UTC) - timedelta(seconds=30) - system.grain
    assert window(system, before, None) == []
    system.edit(ids[1], "edited")
    assert window(system, before, None) == ["edited"]


def test_records_made_since_a_moment_are_found_without_search(system: System):
    system.plant(rows(2), at=T)
    (new,) = system.plant([{"title": "new"}])
    before = datetime.now(UTC) - timedelta(seconds=30)
    found = system.connector.created_since(system.obj, system.want, before)
    ids = {record.id for page in found for record in page.records}
    assert new in ids
    # PostgreSQL does not know when a row was made, and gives every one.
    if isinstance(system, HubSpotSystem):
        assert ids == {new}
        assert system.count("search") == 0


# By id and by value --------------------------------------------------------------------


def test_ids_that_are_there_are_found_and_those_that_are_not_are_gone(system: System):
    ids = system.plant(rows(3))
    system.remove(ids[1])
    absent = "987654321"
    fetched = system.connector.fetch(system.obj, [*ids, absent], system.want)
    assert {i: r.values["title"] for i, r in fetched.records.items()} == {
        ids[0]: "t0",
        ids[2]: "t2",
    }
    assert fetched.gone == {ids[1], absent}


def test_an_id_that_is_asked_for_twice_is_answered(system: System):
    one, two = system.plant(rows(2))
    system.remove(two)
    fetched = system.connector.fetch(system.obj, [one, two, one, two, one], system.want)
    assert set(fetched.records) == {one}
    assert fetched.gone == {two}


def test_more_ids_than_one_call_takes_are_all_answered(system: System):
    batch = system.connector.capabilities.fetch_batch
    ids = system.plant(rows(2 * batch + 1))
    fetched = system.connector.fetch(system.obj, ids, system.want)
    assert [fetched.records[i].values["title"] for i in ids] == [
        f"t{n}" for n in range(2 * batch + 1)
    ]
    assert fetched.gone == frozenset()
    calls = system.context.meter.calls
    system.connector.fetch(system.obj, ids, system.want)
    assert system.context.meter.calls - calls == 3


def test_a_unique_value_leads_to_its_record_and_an_unknown_one_to_none(system: System):
    needs(system, "unique")
    system.plant(rows(3))
    values = ["c1", "c0", "nowhere", "c1"]
    found = system.connector.lookup(system.obj, "code", values, system.want)
    assert found is not None
    assert {value: r.values["title"] for value, r in found.items()} == {
        "c0": "t0",
        "c1": "t1",
    }


def test_more_unique_values_than_one_call_takes_are_all_looked_up(system: System):
    needs(system, "unique")
    count = system.connector.capabilities.fetch_batch + 1
    system.plant(rows(count))
    values = [f"c{n}" for n in range(count)]
    found = system.connector.lookup(system.obj, "code", values, system.want)
    assert found is not None
    assert set(found) == set(values)


def test_odd_values_are_looked_up_as_they_are(system: System):
    needs(system, "unique")
    odd = ["a;b", 'O\'Neil "x"', "100%", "{1,2}", "\\", "ä 🚀", " "]
    system.plant([{"title": value, "code": value} for value in odd])
    found = system.connector.lookup(system.obj, "code", [*odd, "x" * 90], system.want)
    assert found is not None
    assert {value: r.values["title"] for value, r in found.items()} == {
        value: value for value in odd
    }


def test_a_field_that_is_not_unique_cannot_be_looked_up(system: System):
    assert system.connector.lookup(system.obj, "title", ["t"], system.want) is None
