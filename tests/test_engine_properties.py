"""What must hold of the pure engine whatever people type and whatever systems make of it."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from connections.records import Canon, Field, Option, Side, ValueType
from syncs.engine.fields import Baseline, Decision, FieldRule, decide
from syncs.engine.matching import KeyPart, key_values, normalise
from syncs.engine.values import (
    ValueProblem,
    canonical,
    convert,
    is_blank,
    same,
    words,
)

pytestmark = pytest.mark.unit
thorough = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

# A small simulation -------------------------------------------------------------------

Rewrite = Callable[[Canon], Canon]


@dataclass
class Pair:
    """A paired record with one mapped field; each side may rewrite what it is given."""

    rule: FieldRule
    values: dict[Side, Canon]
    rewrites: dict[Side, Rewrite]
    baseline: Baseline | None = None

    def edit(self, side: Side, value: Canon) -> None:
        self.values[side] = self.rewrites[side](value)

    def plan(self) -> Decision:
        return decide(
            self.values[Side.HUBSPOT], self.values[Side.APP], self.baseline, self.rule
        )

    def run(self) -> Decision:
        """Decide, write, take the answer into the baselines."""
        decision = self.plan()
        if decision.verdict == "write":
            assert decision.side is not None
            self.values[decision.side] = self.rewrites[decision.side](decision.value)
        if decision.verdict == "write" or decision.adopt:
            self.baseline = Baseline(self.values[Side.HUBSPOT], self.values[Side.APP])
        return decision


def _textual(change: Callable[[str], str]) -> Rewrite:
    return lambda v: (change(v) or None) if isinstance(v, str) else v


def _cents(value: Canon) -> Canon:
    field = Field("n", ValueType.NUMBER, scale=2)
    return canonical(value, field, zone=UTC) if isinstance(value, str) else value


def plain(value: Canon) -> Canon:
    return value


TEXT = Field("text", ValueType.TEXT)
NUMBER = Field("number", ValueType.NUMBER)
CENTS = Field("cents", ValueType.NUMBER, scale=2)
DATE = Field("date", ValueType.DATE)
DATETIME = Field("datetime", ValueType.DATETIME)
BOOLEAN = Field("flag", ValueType.BOOLEAN)
OPTIONS = Field(
    "tags", ValueType.OPTIONS, options=tuple(Option(c, c.upper()) for c in "abc")
)
FIELDS = (TEXT, NUMBER, CENTS, DATE, DATETIME, BOOLEAN, OPTIONS)

typed = st.one_of(
    st.none(),
    st.sampled_from(["a", "A", " a ", "b", "12.345", "12.35", "2026-01-31", "yes"]),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6
    ),
).map(lambda v: v or None)
numbers = st.one_of(
    st.none(),
    st.decimals(-999, 999, places=3).map(lambda d: canonical(d, NUMBER, zone=UTC)),
)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda d: canonical(d, DATETIME, zone=UTC)
)
VALUES: dict[ValueType, st.SearchStrategy[Canon]] = {
    ValueType.TEXT: typed,
    ValueType.NUMBER: numbers,
    ValueType.DATE: st.one_of(st.none(), moments.map(lambda m: str(m)[:10])),
    ValueType.DATETIME: st.one_of(st.none(), moments),
    ValueType.BOOLEAN: st.one_of(st.none(), st.booleans()),
    ValueType.OPTIONS: st.sets(st.sampled_from("abc")).map(lambda s: sorted(s) or None),
}
REWRITES: list[Rewrite] = [
    plain,
    _textual(str.strip),
    _textual(str.lower),
    _textual(lambda t: t[:3]),
    _textual(lambda t: f"{t}!"),  # never settles on its own
    lambda v: None,  # keeps nothing at all
]
directions = st.sampled_from(["two_way", "to_hubspot", "to_app"])
conflicts = st.sampled_from(["hubspot", "app", "latest"])
sides = st.sampled_from(list(Side))


@st.composite
def rules(draw: st.DrawFn, /, **fixed: object) -> FieldRule:
    given = {
        "hubspot": draw(st.sampled_from(FIELDS)),
        "app": draw(st.sampled_from(FIELDS)),
        "direction": draw(directions),
        "conflict": draw(conflicts),
        "never_blank": draw(st.booleans()),
        "normalize": draw(st.sampled_from([None, "casefold", "email", "phone"])),
    }
    return FieldRule(**{**given, **fixed})  # type: ignore[arg-type]


def _held(rule: FieldRule, side: Side) -> st.SearchStrategy[Canon]:
    field = rule.field(side)
    return VALUES[field.type].map(
        lambda v: canonical(v, field, zone=UTC)  # at the column's own scale
    )


@st.composite
def pairs(draw: st.DrawFn, /, **fixed: object) -> Pair:
    """A pair of any rule, at its first sync, whose sides may rewrite text."""
    rule = draw(rules(**fixed))
    rewrites = {
        side: draw(st.sampled_from(REWRITES))
        if rule.field(side).type is ValueType.TEXT
        else plain
        for side in Side
    }
    values = {side: draw(_held(rule, side)) for side in Side}
    return Pair(rule, values, rewrites)


def _edits(pair: Pair) -> st.SearchStrategy[list[tuple[Side, Canon]]]:
    edit = sides.flatmap(lambda s: _held(pair.rule, s).map(lambda v: (s, v)))
    return st.lists(edit, max_size=5)


# Fields -------------------------------------------------------------------------------


@thorough
@given(pair=pairs(), data=st.data())
def test_a_run_straight_after_a_run_decides_the_same_nothing(pair, data):
    pair.run()
    for side, value in data.draw(_edits(pair)):
        pair.edit(side, value)
        pair.run()
        before = dict(pair.values)
        again = pair.run()
        assert again.verdict != "write"
        assert pair.values == before


@thorough
@given(pair=pairs(), data=st.data())
def test_a_value_never_travels_against_the_direction(pair, data):
    for side, value in data.draw(_edits(pair)):
        pair.edit(side, value)
        decision = pair.run()
        assert decision.side is None or pair.rule.lets(decision.side)


@thorough
@given(pair=pairs(), hubspot_at=st.booleans())
def test_a_blank_never_wins_a_first_sync(pair, hubspot_at):
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    decision = decide(
        pair.values[Side.HUBSPOT],
        pair.values[Side.APP],
        None,
        pair.rule,
        hubspot_at=late if hubspot_at else early,
        app_at=early if hubspot_at else late,
    )
    assert decision.verdict != "write" or not is_blank(decision.value)


@thorough
@given(
    one=typed,
    other=typed,
    edits=st.lists(st.tuples(sides, typed), max_size=4),
    conflict=conflicts,
    guarded=st.booleans(),
)
def test_two_faithful_sides_converge_in_one_run(one, other, edits, conflict, guarded):
    rule = FieldRule(TEXT, TEXT, "two_way", conflict, guarded)
    pair = Pair(
        rule,
        {Side.HUBSPOT: one, Side.APP: other},
        {Side.HUBSPOT: plain, Side.APP: plain},
    )
    pair.run()
    assert same(pair.values[Side.HUBSPOT], pair.values[Side.APP])
    for side, value in edits:
        pair.edit(side, value)
    pair.run()
    hubspot, app = pair.values[Side.HUBSPOT], pair.values[Side.APP]
    assert same(hubspot, app) or (guarded and is_blank(hubspot) != is_blank(app))


@thorough
@given(
    fields=st.sampled_from(
        [
            (TEXT, TEXT),
            (NUMBER, NUMBER),
            (NUMBER, CENTS),
            (CENTS, NUMBER),
            (DATETIME, DATE),
            (DATE, DATETIME),
        ]
    ),
    here=st.sampled_from(REWRITES),
    there=st.sampled_from(REWRITES),
    side=sides,
    data=st.data(),
)
def test_what_the_other_side_makes_of_a_value_never_comes_back(
    fields, here, there, side, data
):
    if fields == (NUMBER, NUMBER):
        here, there = plain, _cents  # rounds, and never said that it would
    elif fields != (TEXT, TEXT):
        here = there = plain  # the columns themselves round and cut
    rule = FieldRule(fields[0], fields[1], "two_way", "app", never_blank=False)
    pair = Pair(
        rule, {Side.HUBSPOT: None, Side.APP: None}, {side: here, side.other: there}
    )
    pair.run()
    for value in data.draw(st.lists(_held(rule, side), min_size=1, max_size=5)):
        pair.edit(side, value)
        mine = pair.values[side]
        for _ in range(3):
            pair.run()
            assert pair.values[side] == mine


@thorough
@given(
    pair=pairs(), hubspot_at=st.integers(0, 9), app_at=st.integers(0, 9), data=st.data()
)
def test_neither_side_is_treated_differently_from_the_other(
    pair, hubspot_at, app_at, data
):
    assume(hubspot_at != app_at)  # equal times fall to HubSpot by rule
    start = datetime(2026, 1, 1, tzinfo=UTC)
    at = {
        Side.HUBSPOT: start + timedelta(hubspot_at),
        Side.APP: start + timedelta(app_at),
    }
    base = data.draw(
        st.one_of(
            st.none(),
            st.builds(
                Baseline, _held(pair.rule, Side.HUBSPOT), _held(pair.rule, Side.APP)
            ),
        )
    )
    turned = {
        "hubspot": "app",
        "app": "hubspot",
        "to_app": "to_hubspot",
        "to_hubspot": "to_app",
    }
    mirrored = replace(
        pair.rule,
        hubspot=pair.rule.app,
        app=pair.rule.hubspot,
        direction=turned.get(pair.rule.direction, pair.rule.direction),
        conflict=turned.get(pair.rule.conflict, pair.rule.conflict),
    )
    h, a = pair.values[Side.HUBSPOT], pair.values[Side.APP]
    one = decide(
        h, a, base, pair.rule, hubspot_at=at[Side.HUBSPOT], app_at=at[Side.APP]
    )
    other = decide(
        a,
        h,
        Baseline(base.app, base.hubspot) if base else None,
        mirrored,
        hubspot_at=at[Side.APP],
        app_at=at[Side.HUBSPOT],
    )
    assert (one.verdict, one.value, one.adopt, one.code) == (
        other.verdict,
        other.value,
        other.adopt,
        other.code,
    )
    assert one.side == (other.side and other.side.other)


@thorough
@given(side=sides, edits=st.lists(st.tuples(typed, st.booleans()), max_size=6))
def test_runs_in_between_do_not_change_where_one_sides_edits_lead(side, edits):
    def end(between: bool) -> dict[Side, Canon]:
        rule = FieldRule(TEXT, TEXT, "two_way", "hubspot", never_blank=False)
        pair = Pair(
            rule,
            {Side.HUBSPOT: "x", Side.APP: "x"},
            {Side.HUBSPOT: plain, Side.APP: plain},
        )
        pair.run()
        for value, run in edits:
            pair.edit(side, value)
            if run and between:
                pair.run()
        pair.run()
        return pair.values

    assert end(between=True) == end(between=False)


@thorough
@given(
    drifts=st.lists(typed, max_size=4),
    then=typed,
    direction=st.sampled_from(["to_app", "to_hubspot"]),
)
def test_drift_on_the_written_side_causes_nothing_and_is_overwritten(
    drifts, then, direction
):
    assume(not is_blank(then) and then != "start")
    written = Side(direction.removeprefix("to_"))
    rule = FieldRule(TEXT, TEXT, direction, str(written), never_blank=False)
    pair = Pair(
        rule,
        {Side.HUBSPOT: "start", Side.APP: "start"},
        {Side.HUBSPOT: plain, Side.APP: plain},
    )
    pair.run()
    for value in drifts:
        pair.edit(written, value)
        assert pair.run().verdict == "keep"
        assert pair.values[written.other] == "start"
    pair.edit(written.other, then)
    pair.run()
    assert pair.values == {Side.HUBSPOT: then, Side.APP: then}


@thorough
@given(pair=pairs(never_blank=True), data=st.data())
def test_a_guarded_field_is_never_emptied(pair, data):
    for side, value in data.draw(_edits(pair)):
        pair.edit(side, value)
        decision = pair.run()
        assert decision.verdict != "write" or not is_blank(decision.value)


# Values -------------------------------------------------------------------------------


@thorough
@given(data=st.data(), source=st.sampled_from(FIELDS), target=st.sampled_from(FIELDS))
def test_a_conversion_gives_a_canonical_value_or_says_why_not(data, source, target):
    value = canonical(data.draw(VALUES[source.type]), source, zone=UTC)
    refused: ValueProblem | None = None
    try:
        found = convert(value, source, target)
    except ValueProblem as problem:
        refused = problem
    if refused is not None:
        assert refused.code in ("VALUE_INVALID", "OPTION_UNKNOWN")
        assert refused.message.isprintable()
        return
    assert is_blank(found) == is_blank(value)
    wire = ";".join(words(found))
    assert same(canonical(wire, target, zone=UTC), found)


@thorough
@given(
    value=st.decimals(
        allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30
    )
)
def test_every_spelling_of_a_number_is_one_number(value):
    spellings = {str(value), f"{value:f}", f"{value:E}", f" {value} "}
    forms = {canonical(s, NUMBER, zone=UTC) for s in spellings}
    forms.add(canonical(value, NUMBER, zone=UTC))
    assert len(forms) == 1
    form = forms.pop()
    assert isinstance(form, str)
    assert Decimal(form) == value
    assert not set(form) - set("-.0123456789")


@thorough
@given(chosen=st.lists(st.sampled_from("abc"), min_size=1))
def test_options_are_a_set_however_they_are_written(chosen):
    expected = sorted(set(chosen))
    assert canonical(";".join(chosen), OPTIONS, zone=UTC) == expected
    assert canonical(";" + ";".join(reversed(chosen)), OPTIONS, zone=UTC) == expected
    assert canonical(list(chosen), OPTIONS, zone=UTC) == expected


@thorough
@given(
    raw=st.one_of(
        st.text(max_size=30), st.text(string.digits + "-:. TZ+eE", max_size=30)
    ),
    field=st.sampled_from(FIELDS),
)
def test_any_text_is_read_or_refused_and_reading_twice_changes_nothing(raw, field):
    refused: ValueProblem | None = None
    try:
        value = canonical(raw, field, zone=UTC)
    except ValueProblem as problem:
        refused = problem
    if refused is not None:
        assert refused.code == "VALUE_INVALID"
        assert refused.message.isprintable()
        return
    assert canonical(value, field, zone=UTC) == value


# Matching -----------------------------------------------------------------------------

HOWS = ["exact", "casefold", "email", "domain", "phone", "digits"]
keyish = st.one_of(
    st.text(max_size=30),
    st.text(string.ascii_letters + "@.:/-+ 0123456789www", max_size=30),
    st.from_regex(r"\A(https?://)?(www\.)?[a-z]{1,5}\.(de|com)(:80)?(/x)?\Z"),
    st.from_regex(r"\A(\+|00)[1-9][0-9 ()-]{5,15}\Z"),
)


@thorough
@given(value=keyish, how=st.sampled_from(HOWS))
def test_a_normalised_key_is_its_own_normal_form(value, how):
    once = normalise(value, how)
    if once is not None:
        assert normalise(once, how) == once


@thorough
@given(one=st.tuples(keyish, keyish), other=st.tuples(keyish, keyish))
def test_a_composite_key_is_equal_only_if_every_part_is(one, other):
    key = (KeyPart("x", "p", "exact"), KeyPart("y", "q", "casefold"))
    ours = key_values(dict(zip("xy", one, strict=True)), {}, key, Side.HUBSPOT)
    theirs = key_values(dict(zip("pq", other, strict=True)), {}, key, Side.APP)
    equal = normalise(one[0], "exact") == normalise(other[0], "exact") and normalise(
        one[1], "casefold"
    ) == normalise(other[1], "casefold")
    whole = all(
        normalise(v, h) for v, h in zip(one, ("exact", "casefold"), strict=True)
    )
    assert bool(ours) == whole
    assert bool(ours & theirs) == (equal and whole)
