"""Which records a filter lets in, and from when on time alone changes that."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connections.records import Field, Option, ValueType
from syncs.engine.dates import read_when
from syncs.engine.filter_values import settled
from syncs.engine.filters import OPERATORS, condition, fits, judge
from syncs.engine.values import ValueProblem

pytestmark = pytest.mark.unit
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 15, 23, 30, tzinfo=UTC)  # 16 March, 00:30 in Berlin
STAGES = (
    Option("lead", "Lead"),
    Option("customer", "Customer"),
    Option("lost", "Lost"),
)
FIELDS = {
    "t": Field("text", ValueType.TEXT),
    "n": Field("number", ValueType.NUMBER, scale=0),
    "b": Field("flag", ValueType.BOOLEAN),
    "d": Field("day", ValueType.DATE),
    "m": Field("moment", ValueType.DATETIME),
    "o": Field("stage", ValueType.OPTION, options=STAGES),
    "s": Field("stages", ValueType.OPTIONS, options=STAGES),
}


def holds(kind: str, operator: str, value: Any, held: Any, now: datetime = NOW) -> bool:
    field = FIELDS[kind]
    stored = settled(field, operator, value, BERLIN)
    return condition(field, operator, stored, BERLIN).holds(held, now)


@pytest.mark.parametrize(
    ("kind", "operator", "value", "inside", "outside"),
    [
        ("t", "is", "Ann", ["Ann", "ann"], ["Anna", None]),
        ("t", "is_not", "Ann", ["Anna", None], ["ANN"]),
        ("t", "in", ["a", 5], ["A", "5"], ["b", None]),
        ("t", "not_in", ["a", "b"], ["c", None], ["a", "B"]),
        ("t", "contains", "nn", ["ANNA"], ["Ada", None]),
        ("t", "not_contains", "nn", ["Ada", None], ["Ann"]),
        ("t", "known", None, ["x"], [None, ""]),
        ("t", "unknown", None, [None, ""], ["0"]),
        ("n", "is", 5, ["5"], ["6", None]),
        ("n", "is", "5.0", ["5"], ["50"]),
        ("n", "in", [1, 2.5], ["1", "2.5"], ["2", None]),
        ("n", "greater", 9, ["10", "9.5"], ["9", "-10", None]),
        ("n", "greater", 0.5, ["1"], ["0", "0.5"]),  # not rounded to the field's scale
        ("n", "greater_or_equal", 9, ["9"], ["8.9", None]),
        ("n", "less", 9, ["8", "-9"], ["9", "10", None]),
        ("n", "less_or_equal", 9, ["9"], ["9.1", None]),
        ("n", "between", [2, 10], ["2", "9", "10"], ["1", "11", None]),
        ("b", "is", True, [True], [False, None]),
        ("b", "is_not", "yes", [False, None], [True]),
        ("b", "is", False, [False], [True, None]),
        ("o", "is", "Customer", ["customer"], ["lead", None]),
        ("o", "in", ["customer", "Lost"], ["customer", "lost"], ["lead", None]),
        ("o", "not_in", ["lead"], ["lost", None], ["lead"]),
        ("s", "is", ["lead", "lost"], [["lead", "lost"]], [["lead"], None]),
        ("s", "is", "lead", [["lead"]], [["lead", "lost"], None]),
        ("s", "is_not", "lead", [["lead", "lost"], None], [["lead"]]),
        ("s", "in", ["lead", "lost"], [["lead"], ["customer", "lost"]], [["customer"]]),
        ("s", "not_in", ["lead"], [["lost"], None], [["lead", "lost"]]),
        ("s", "contains", "Lead", [["customer", "lead"]], [["lost"], None]),
        ("s", "not_contains", "lead", [["lost"], None], [["customer", "lead"]]),
        ("d", "is", "2026-03-01", ["2026-03-01"], ["2026-03-02", None]),
        ("d", "is", "today", ["2026-03-16"], ["2026-03-15", None]),
        ("d", "in", ["yesterday", "tomorrow"], ["2026-03-15", "2026-03-17"], [None]),
        ("d", "is_not", "today", ["2026-03-15", None], ["2026-03-16"]),
        ("d", "before", "today", ["2026-03-15"], ["2026-03-16", None]),
        ("d", "after", "-1m", ["2026-02-17"], ["2026-02-16", None]),
        ("d", "greater", "-7d", ["2026-03-10"], ["2026-03-09", None]),
        ("d", "less_or_equal", "+2w", ["2026-03-30"], ["2026-03-31"]),
        ("d", "before", "now", ["2026-03-15"], ["2026-03-16"]),
        ("d", "between", ["-1y", "1 year ago"], ["2025-03-16"], ["2025-03-17"]),
        (
            "m",
            "is",
            "today",
            ["2026-03-15T23:00:00.000Z"],
            ["2026-03-15T22:59:59.999Z"],
        ),
        ("m", "before", "today", ["2026-03-15T22:59:59Z"], ["2026-03-15T23:00:00Z"]),
        ("m", "after", "today", ["2026-03-16T23:00:00Z"], ["2026-03-16T22:59:59Z"]),
        ("m", "after", "-6h", ["2026-03-15T17:30:01Z"], ["2026-03-15T17:30:00Z", None]),
        ("m", "less", "now", ["2026-03-15T23:29:00Z"], ["2026-03-15T23:30:00Z"]),
        ("m", "greater_or_equal", "2026-03-01", ["2026-02-28T23:00:00Z"], [None]),
        (
            "m",
            "is",
            "2026-03-01T12:00",
            ["2026-03-01T11:00:00Z"],
            ["2026-03-01T12:00Z"],
        ),
        ("m", "between", ["2026-03-01", "today"], ["2026-03-16T01:00:00Z"], [None]),
    ],
)
def test_an_operator_lets_in_and_keeps_out(kind, operator, value, inside, outside):
    for held in inside:
        assert holds(kind, operator, value, held), held
    for held in outside:
        assert not holds(kind, operator, value, held), held


@pytest.mark.parametrize(
    ("kind", "operator", "value", "stored"),
    [
        ("o", "in", ["Customer", "customer", "LOST"], ["customer", "lost"]),
        ("b", "is", "no", False),
        ("n", "is", "5.50", 5.5),
        ("n", "is", "12345678901234567890", "12345678901234567890"),
        ("d", "is", "30 days ago", "-30d"),
        ("d", "is", "In 2 Weeks", "+2w"),
        ("d", "is", "+0d", "+0d"),
        ("m", "is", "2026-07-01 12:00", "2026-07-01T10:00:00.000Z"),
        ("m", "is", "2026-07-01", "2026-07-01"),
        ("t", "is", 5, "5"),
        ("t", "known", None, None),
        ("s", "is", ["Lost", "lead"], ["lead", "lost"]),
        ("s", "in", ["Lost", "lead"], ["lost", "lead"]),
    ],
)
def test_a_value_has_one_stored_form(kind, operator, value, stored):
    found = settled(FIELDS[kind], operator, value, BERLIN)
    assert found == stored
    assert type(found) is type(stored)
    assert settled(FIELDS[kind], operator, found, BERLIN) == stored


@pytest.mark.parametrize(
    ("kind", "operator", "value", "why"),
    [
        ("t", "is", None, "known or unknown"),
        ("t", "is", " ", "known or unknown"),
        ("t", "is", ["a"], "not one value"),
        ("t", "in", "a", "takes a list"),
        ("t", "in", [], "1 to 1000"),
        ("t", "in", [["a"]], "not one value"),
        ("t", "in", [None], "known or unknown"),
        ("t", "known", "x", "takes no value"),
        ("t", "is", {"a": 1}, "not one value"),
        ("n", "is", "many", "not a number"),
        ("n", "is", True, "not a number"),
        ("n", "is", float("nan"), "not a number that"),
        ("n", "between", [1], "two values"),
        ("n", "between", [2, 1], "greater end first"),
        ("d", "between", ["today", "-1d"], "greater end first"),
        ("b", "is", "maybe", "neither true nor false"),
        ("o", "in", ["prospect"], "not an option"),
        ("s", "contains", "prospect", "not an option"),
        ("d", "before", "soon", "is no date"),
        ("d", "before", "20260101", "is no date"),
        ("d", "before", "2026-02-30", "calendar"),
        ("d", "before", "-30", "is no date"),
        ("d", "before", "-30x", "is no date"),
        ("d", "before", "-999999y", "too far"),
        ("m", "before", "2026-01-01T99:00", "not a time that"),
    ],
)
def test_a_value_that_means_nothing_is_refused(kind, operator, value, why):
    with pytest.raises(ValueProblem) as caught:
        settled(FIELDS[kind], operator, value, BERLIN)
    assert why in caught.value.message


def test_each_operator_fits_the_types_that_it_says_something_about():
    fitting = {
        o: "".join(k for k, f in FIELDS.items() if fits(o, f.type)) for o in OPERATORS
    }
    everything = "tnbdmos"
    assert fitting == {
        **dict.fromkeys(
            ("is", "is_not", "in", "not_in", "known", "unknown"), everything
        ),
        **dict.fromkeys(("contains", "not_contains"), "ts"),
        **dict.fromkeys(
            ("greater", "greater_or_equal", "less", "less_or_equal"), "ndm"
        ),
        "between": "ndm",
        "before": "dm",
        "after": "dm",
    }


# A side's conditions together ------------------------------------------------------------


def made(*rows: tuple[str, str, Any]) -> list[Any]:
    return [
        condition(FIELDS[k], o, settled(FIELDS[k], o, v, BERLIN), BERLIN)
        for k, o, v in rows
    ]


def test_all_conditions_must_hold_and_the_first_that_fails_is_named():
    both = made(("o", "in", ["customer", "lost"]), ("n", "greater", 5))
    assert judge(both, {"stage": "lost", "number": "6"}, {}, NOW).inside is True
    found = judge(both, {"stage": "lead", "number": "1"}, {}, NOW)
    assert (found.inside, found.text) == (
        False,
        "stage must be one of customer, lost, and is lead.",
    )
    found = judge(both, {"stage": "lost", "number": None}, {}, NOW)
    assert found.text == "number must be greater than 5, and is blank."


def test_a_field_that_could_not_be_read_leaves_a_record_neither_in_nor_out():
    both = made(("o", "is", "lead"), ("n", "greater", 5))
    lost = {"number": ("FIELD_MISSING", "number does not exist any more.")}
    found = judge(both, {"stage": "lead"}, lost, NOW)
    assert (found.inside, found.code) == (None, "FIELD_MISSING")
    assert judge(both, {"stage": "lost"}, lost, NOW).inside is False


@pytest.mark.parametrize(
    ("kind", "operator", "value", "held", "turns"),
    [
        ("d", "after", "-7d", "2026-03-10", "2026-03-16T23:00:00+00:00"),
        ("d", "before", "-7d", "2026-03-10", "2026-03-17T23:00:00+00:00"),
        ("d", "is", "today", "2026-03-16", "2026-03-16T23:00:00+00:00"),
        ("d", "is", "today", "2026-03-20", "2026-03-19T23:00:00+00:00"),
        ("d", "is", "today", "2026-03-15", None),
        ("d", "before", "today", "2026-04-01", "2026-04-01T22:00:00+00:00"),  # summer
        ("d", "after", "+1m", "2026-03-01", None),
        ("d", "less_or_equal", "-1m", "2026-02-28", "2026-03-27T23:00:00+00:00"),
        ("d", "before", "now", "2026-03-17", "2026-03-17T23:00:00+00:00"),
        ("m", "after", "-6h", "2026-03-15T23:00:00.000Z", "2026-03-16T05:00:00+00:00"),
        (
            "m",
            "before",
            "now",
            "2026-03-16T00:00:00.000Z",
            "2026-03-16T00:00:00.000001+00:00",
        ),
        (
            "m",
            "after",
            "today",
            "2026-03-17T10:00:00.000Z",
            "2026-03-16T23:00:00+00:00",
        ),
        ("d", "before", "2026-06-01", "2026-03-01", None),
        ("d", "is", "today", None, None),
        ("d", "before", "-200y", "0001-01-01", None),
        ("d", "before", "today", "9999-12-31", None),
    ],
)
def test_the_time_at_which_a_condition_turns_is_known(
    kind, operator, value, held, turns
):
    (one,) = made((kind, operator, value))
    found = one.turns_at(held, NOW)
    assert (found.isoformat() if found else None) == turns


moments = st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1)).map(  # noqa: DTZ001
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
)
relative = st.one_of(
    st.sampled_from(["today", "yesterday", "tomorrow", "now"]),
    st.builds(
        lambda n, unit: f"{n:+d}{unit}",
        st.integers(-40, 40),
        st.sampled_from("hdwmy"),
    ),
)
single = ("is", "is_not", "before", "after", "less_or_equal", "greater_or_equal")


@settings(max_examples=300, deadline=None)
@given(
    held=moments,
    now=moments,
    operator=st.sampled_from(single),
    value=relative,
    dated=st.booleans(),
    within=st.floats(0, 1),
)
def test_nothing_turns_before_the_time_that_is_told(
    held, now, operator, value, dated, within
):
    kind = "d" if dated else "m"
    text = held.date().isoformat() if dated else held.isoformat()
    (one,) = made((kind, operator, value))
    stood, turns = one.holds(text, now), one.turns_at(text, now)
    until = turns or now + timedelta(days=60 * 366)
    assert until > now
    between = now + (until - now) * within
    if between < until:
        assert one.holds(text, between) == stood
    just_before = until - timedelta(microseconds=1)
    assert just_before < now or one.holds(text, just_before) == stood
    if turns is not None:
        assert one.holds(text, turns) != stood


@given(
    value=st.one_of(
        st.text(max_size=20), st.integers(), st.floats(), st.none(), relative
    ),
    kind=st.sampled_from(sorted(FIELDS)),
    operator=st.sampled_from(sorted(OPERATORS)),
    listed=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_what_is_accepted_is_stored_in_one_form_and_can_be_judged(
    value, kind, operator, listed
):
    field = FIELDS[kind]
    if not fits(operator, field.type):
        return
    try:
        stored = settled(field, operator, [value, value] if listed else value, BERLIN)
    except ValueProblem:
        return
    assert settled(field, operator, stored, BERLIN) == stored
    one = condition(field, operator, stored, BERLIN)
    assert one.holds(None, NOW) == (
        operator in ("is_not", "not_in", "not_contains", "unknown")
    )
    assert str(one)


def test_months_end_on_their_last_day():
    when = read_when("-1m", BERLIN)
    at = datetime(2026, 3, 31, 12, tzinfo=UTC)
    assert when.at(at, BERLIN) == date(2026, 2, 28)
    assert read_when("+1y", UTC).at(datetime(2024, 2, 29, tzinfo=UTC), UTC) == date(
        2025, 2, 28
    )
