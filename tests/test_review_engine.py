"""The conflict rule `review`: when a person is asked, about what, and when never."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.records import Canon, Field, Option, Side, ValueType
from syncs.engine.fields import Baseline, Decision, FieldRule, decide
from tests.test_engine_properties import thorough

pytestmark = pytest.mark.unit
TEXT = Field("name", ValueType.TEXT)
SHORT = Field("name", ValueType.TEXT, max_length=3)
FIXED = Field("name", ValueType.TEXT, read_only=True)
COLOURS = Field("name", ValueType.OPTION, options=(Option("red"), Option("blue")))
BOTH = {Side.HUBSPOT, Side.APP}
BASE = Baseline("a", "a")


def rule(**changes: object) -> FieldRule:
    wanted: dict[str, object] = {
        "hubspot": TEXT,
        "app": TEXT,
        "direction": "two_way",
        "conflict": "review",
        "never_blank": False,
    }
    return FieldRule(**(wanted | changes))  # type: ignore[arg-type]


def written(decision: Decision) -> dict[Side | None, Canon]:
    return {choice.side: choice.value for choice in decision.choices}


@pytest.mark.parametrize(
    ("hubspot", "app", "base", "verdict"),
    [
        ("b", "c", BASE, "review"),  # both moved apart
        ("b", "c", None, "review"),  # a first sync of two values
        ("b", "b", BASE, "keep"),  # moved to the same
        ("b", "a", BASE, "write"),  # one side moved
        ("a", "c", BASE, "write"),
        ("b", None, None, "write"),  # a blank never wins
        (None, "c", None, "write"),
        ("b", None, BASE, "write"),
        (None, "c", BASE, "write"),
        (None, None, BASE, "keep"),
        ("b", "c", Baseline("b", "c"), "keep"),  # differs, and nobody moved
    ],
)
def test_a_person_is_asked_where_two_values_stand_against_each_other(
    hubspot, app, base, verdict
):
    assert decide(hubspot, app, base, rule()).verdict == verdict


def test_the_choices_are_both_values_each_for_the_other_side():
    decision = decide("b", "c", BASE, rule())
    assert written(decision) == {Side.APP: "b", Side.HUBSPOT: "c"}
    assert {c.verdict for c in decision.choices} == {"write"}
    assert decision.rule == "conflict: review"
    assert decide("b", "c", None, rule()).rule == "first sync: review"


@pytest.mark.parametrize(
    ("changes", "sides"),
    [
        ({"app": SHORT}, {Side.HUBSPOT}),
        ({"hubspot": COLOURS}, {Side.APP}),
        ({"app": FIXED}, {Side.HUBSPOT}),
        ({"hubspot": FIXED}, {Side.APP}),
    ],
)
def test_a_value_that_a_side_cannot_hold_is_no_choice(changes, sides):
    decision = decide("long value", "short", BASE, rule(**changes))
    assert decision.verdict == "review"
    assert set(written(decision)) == sides


def test_a_field_that_neither_side_can_take_fails_with_the_reason():
    decision = decide("b", "c", BASE, rule(hubspot=FIXED, app=FIXED))
    assert (decision.verdict, decision.code) == ("failed", "FIELD_READ_ONLY")


@pytest.mark.parametrize("direction", ["to_hubspot", "to_app"])
@pytest.mark.parametrize("base", [None, BASE])
def test_a_one_way_mapping_does_not_ask(direction, base):
    decision = decide("b", "c", base, rule(direction=direction))
    assert decision.verdict == "write"
    assert f"to_{decision.side}" == direction


values = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "A", " a", "long text"]))
fields = st.sampled_from([TEXT, SHORT, FIXED, COLOURS])


@thorough
@given(
    values,
    values,
    st.one_of(st.none(), st.builds(Baseline, values, values)),
    st.sampled_from(["two_way", "to_hubspot", "to_app"]),
    fields,
    fields,
)
def test_review_asks_only_where_a_rule_would_have_to_choose(
    hubspot, app, base, direction, left, right
):
    """Whatever needs no person goes as under any other rule; what does is never blank,
    never against the direction, and offers only what its side can be written."""
    common = {"direction": direction, "hubspot": left, "app": right}
    asked = decide(hubspot, app, base, rule(**common))
    others = [
        decide(hubspot, app, base, rule(**common, conflict=name))
        for name in ("hubspot", "app")
    ]
    if asked.verdict != "review":
        assert asked.verdict == others[0].verdict
        assert (asked.side, asked.value) == (others[0].side, others[0].value)
        return
    assert direction == "two_way"
    assert None not in (hubspot, app)
    assert written(asked) == {
        other.side: other.value for other in others if other.verdict == "write"
    }
