"""Many ids in little memory."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from syncs.models import RecordLink
from syncs.run.idset import IdSet, pages, update_in_pieces
from tests.office import open_office, records


@pytest.mark.unit
@pytest.mark.parametrize("seed", range(5))
def test_it_holds_what_a_set_would(seed: int) -> None:
    chance = random.Random(seed)
    numbers = [
        chance.choice([0, 1, 4095, 4096, chance.randrange(10**7)]) for _ in "x" * 500
    ]
    ours = IdSet([*numbers, None])
    assert list(ours) == sorted(set(numbers))
    assert len(ours) == len(set(numbers))
    for number in (*numbers, 2, 10**8):
        assert (number in ours) == (number in set(numbers))
    assert [i for some in ours.chunks(7) for i in some] == list(ours)
    assert all(len(some) <= 7 for some in ours.chunks(7))


@pytest.mark.unit
def test_an_empty_one_is_false_and_holds_nothing_that_is_no_id() -> None:
    assert not IdSet()
    assert not IdSet([None])
    assert None not in IdSet([1])
    assert list(IdSet().chunks(3)) == []


@pytest.mark.unit
def test_a_million_ids_take_less_than_a_megabyte() -> None:
    tracemalloc.start()
    try:
        ours = IdSet(range(5_000_000, 5_200_000))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(ours) == 200_000
    assert size < 200_000  # bytes: a fifth of a million takes a fifth of a megabyte


@pytest.mark.integration
@pytest.mark.django_db
def test_many_rows_are_read_and_changed_some_at_a_time() -> None:
    office = open_office()
    records(office, 25)
    rows = RecordLink.objects.filter(sync=office.contacts)
    read = [app_id for some in pages(rows, "app_id", size=10) for (app_id,) in some]
    assert read == [str(at) for at in range(25)]
    with CaptureQueriesContext(connection) as caught:
        update_in_pieces(rows.filter(dirty=True), size=10, dirty=False)
    changed = [q["sql"] for q in caught if q["sql"].startswith("UPDATE")]
    assert len(changed) == 3
    assert rows.filter(dirty=False).count() == 25
    assert RecordLink.objects.filter(sync=office.companies, dirty=True).count() == 25
