"""When a value goes round, and when somebody only changes their mind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncs.engine.loops import Wrote, fighters
from tests.test_engine_properties import thorough

pytestmark = pytest.mark.unit
START = datetime(2026, 1, 1, tzinfo=UTC)
OWN, APP, OTHER = (1, "hubspot"), (1, "app"), (2, "hubspot")
WRITERS = {"o": OWN, "a": APP, "x": OTHER}


def turns(*words: str) -> list[Wrote]:
    """Writes a minute apart: "oA" is the writer o with the value A."""
    return [
        Wrote(START + timedelta(minutes=at), WRITERS[word[0]], word[1:] or None)
        for at, word in enumerate(words)
    ]


def found(*words: str) -> frozenset[tuple[int, str]]:
    *history, planned = turns(*words)
    return fighters(history, planned)


@pytest.mark.parametrize(
    ("words", "writers"),
    [
        ("oA aB oA aB oA", {OWN, APP}),  # its own two sides
        ("oA xB oA xB oA", {OWN, OTHER}),  # another sync
        ("oC oA xB oA xB oA", {OWN, OTHER}),  # whatever came before
        ("oA xB aB oA xB aB oA xB aB oA", {OWN, OTHER}),  # passed on to the other side
        ("o xB o xB o", {OWN, OTHER}),  # emptied and filled
        ("oA xB oA xB", ()),  # not three times yet
        ("oA xB oA", ()),
        ("oA", ()),
        ("oA oB oA oB oA", ()),  # somebody changes their mind on one side
        ("oA oA oA oA oA", ()),  # nothing changes
        ("oA xB oC xA oB", ()),  # each time another value
        ("oA xB oA xC oA", ()),
        ("oA xB oA xB oB", ()),  # the planned write brings nothing back
        ("oA xB oA xB oA xC oA", ()),  # it ended
    ],
)
def test_a_value_goes_round_between_two_writers_and_two_values(words, writers):
    assert found(*words.split()) == frozenset(writers)


def test_the_order_of_the_history_does_not_matter():
    *history, planned = turns("oA", "xB", "oA", "xB", "oA")
    assert fighters(reversed(history), planned) == {OWN, OTHER}


@thorough
@given(st.lists(st.tuples(st.sampled_from("oax"), st.sampled_from("AB")), max_size=12))
def test_what_stops_was_written_twice_before_and_taken_back_twice_by_another(steps):
    words = [f"{who}{value}" for who, value in steps] or ["oA"]
    *history, planned = turns(*words)
    stopped = fighters(history, planned)
    if not stopped:
        return
    assert len(stopped) > 1
    assert planned.writer in stopped
    assert sum(w.value == planned.value for w in history) >= 2
    others = [w for w in history if w.value != planned.value]
    assert len(others) >= 2
    assert any(w.writer != planned.writer for w in others)
