"""Links under the conflict rule `review`: what stands against each other stays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.test_link_engine import (
    DEFAULT,
    LABEL,
    MANY,
    PRIMARY,
    A,
    B,
    C,
    run,
    to_app,
    to_hubspot,
)

pytestmark = pytest.mark.unit


def asks(rule):
    return replace(rule, conflict="review")


def merged(rule, app, hubspot, base):
    return run([rule], {"f": app}, hubspot, {"f": base})


@pytest.mark.parametrize("rule", [PRIMARY, LABEL, DEFAULT])
@pytest.mark.parametrize("base", [None, {}, {A: "np"}])
def test_two_records_for_one_field_wait_and_nothing_is_written(rule, base):
    held = {"primary": "np", "label": "nx", "default": "n"}[rule.kind]
    result = merged(asks(rule), [B], {C: held}, base)
    assert (result.changes, result.hubspot, result.app) == ([], [], {})
    ((key, far, side, code, text),) = [
        (p.mapping_key, p.far_key, str(p.side), p.code, p.message)
        for p in result.pending
    ]
    assert (key, far, side, code) == ("f", C, "hubspot", "CONFLICT")
    assert "Set one side like the other" in text
    assert result.failing == []


def test_of_several_links_in_hubspot_the_field_s_own_is_named():
    result = merged(asks(DEFAULT), [A], {B: "n", C: "n"}, None)
    assert [(p.far_key, str(p.side)) for p in result.pending] == [(A, "app")]
    assert (result.changes, result.failing) == ([], [])


@pytest.mark.parametrize("narrowed", [to_app, to_hubspot])
def test_a_one_way_mapping_does_not_ask(narrowed):
    rule = narrowed(asks(PRIMARY))
    result = merged(rule, [B], {C: "np"}, None)
    assert result.pending == []
    assert {f"to_{c.side}" for c in result.changes} == {rule.direction}


def test_what_only_one_side_changed_travels():
    to = merged(asks(PRIMARY), [A], {A: "n", B: "np"}, {A: "np"})
    assert (to.app, to.pending) == ({"f": (B,)}, [])
    first = merged(asks(PRIMARY), [], {B: "np"}, None)
    assert (first.app, first.pending) == ({"f": (B,)}, [])
    many = merged(asks(MANY), [A, B], {A: "n", C: "n"}, None)
    assert many.app == {"f": (A, B, C)}
    assert [w.far_key for w in many.hubspot] == [B]
    assert many.pending == []


@pytest.mark.parametrize("rule", [DEFAULT, MANY])
def test_a_removal_against_a_new_label_waits_with_its_baseline(rule):
    result = merged(asks(rule), [], {A: "nx"}, {A: "n"})
    assert (result.changes, result.hubspot, result.app) == ([], [], {})
    assert [(p.far_key, p.code) for p in result.pending] == [(A, "CONFLICT")]
    assert set(result.base["f"]) == {A}


def test_a_link_that_gained_a_label_stays_when_the_field_moves_on():
    result = merged(asks(DEFAULT), [B], {A: "nx"}, {A: "n"})
    assert [(c.kind, c.far_key) for c in result.changes] == [("link", B)]
    assert [(w.kind, w.far_key) for w in result.hubspot] == [("associate", B)]
