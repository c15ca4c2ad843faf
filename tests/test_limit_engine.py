"""Which limits a plan goes over: whole numbers, no database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncs.engine.limits import DEFAULTS, Work, breaches, most, too_many_gone

pytestmark = pytest.mark.unit
OFF = dict.fromkeys(DEFAULTS)
COUNTS = st.integers(0, 10_000)


def over(work: Work, pairs: int | None = 1000, **limits: int | None) -> dict[str, int]:
    return {b.name: b.count for b in breaches(work, limits, pairs)}


@pytest.mark.parametrize(
    ("work", "found"),
    [
        (Work(create=1_000_000), {}),
        (Work(archive=50), {}),
        (Work(archive=51), {"archive": 51}),
        (Work(unlink=200), {}),
        (Work(unlink=201), {"unlink": 201}),
        (Work(update=1, blank=100), {}),
        (Work(update=1, blank=101), {"blank": 101}),
        (Work(update=250), {}),
        (Work(update=251), {"percent": 26}),
        (Work(update=150, archive=50, unlink=51), {"percent": 26}),
        (Work(update=251, archive=51), {"archive": 51, "percent": 31}),
    ],
)
def test_the_defaults_hold_what_goes_over_them_and_nothing_else(work, found):
    assert over(work) == found


def test_a_percentage_is_asked_from_twenty_pairs_and_not_of_a_first_run():
    everything = Work(update=19)
    assert over(everything, pairs=19) == {}
    assert over(everything, pairs=20) == {"percent": 95}
    assert over(everything, pairs=None) == {}


def test_a_limit_of_zero_holds_the_first_and_null_lifts_it():
    assert over(Work(create=1), create=0) == {"create": 1}
    assert over(Work(archive=10**6, unlink=10**6), pairs=None, archive=None) == {
        "unlink": 10**6
    }


def test_what_is_over_is_said_with_the_number_and_the_limit():
    (breach,) = breaches(Work(archive=60), {}, None)
    assert breach.text == "archive 60 records (limit 50)"
    (breach,) = breaches(Work(update=101), {}, 400)
    assert breach.text == "change 26 % of the pairs (limit 25 %)"


@given(
    work=st.builds(Work, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS),
    pairs=st.none() | COUNTS,
    limits=st.dictionaries(st.sampled_from(sorted(DEFAULTS)), st.none() | COUNTS),
)
def test_a_named_breach_is_over_its_limit_and_more_work_never_lifts_one(
    work, pairs, limits
):
    found = {b.name: b for b in breaches(work, limits, pairs)}
    for name, breach in found.items():
        assert breach.most == most(limits, name)
        assert breach.count > breach.most
    more = Work(work.create, work.update + 1, work.archive + 1, work.unlink, work.blank)
    assert found.keys() <= {b.name for b in breaches(more, limits, pairs)}
    assert breaches(work, OFF, pairs) == []


@pytest.mark.parametrize(
    ("gone", "pairs", "found"),
    [
        (50, 10_000, ""),
        (51, 10_000, "archive"),
        (5, 20, ""),
        (6, 20, "percent"),
        (19, 19, ""),
    ],
)
def test_many_records_gone_at_once_are_too_many(gone, pairs, found):
    breach = too_many_gone(gone, {}, pairs)
    assert (breach.name if breach else "") == found
    assert too_many_gone(gone, OFF, pairs) is None
