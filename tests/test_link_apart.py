"""Links that an undo left on one side: they stand apart until somebody changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from associations.engine.edges import Far, MappingRule, Result, State
from associations.engine.links import merge
from connections.records import AssociationType, Side

pytestmark = pytest.mark.unit
A, B, C = 1, 2, 3  # far records
PLAIN = AssociationType("HUBSPOT_DEFINED", 279)
PRIMARY = AssociationType("HUBSPOT_DEFINED", 1)
WORDS = {"n": frozenset({PLAIN}), "np": frozenset({PLAIN, PRIMARY})}
LEADING = MappingRule("f", PRIMARY, "primary")
ONE = MappingRule("f", PLAIN, "default")
MANY = MappingRule("f", PLAIN, "default", many=True)


def run(
    rule: MappingRule,
    app: Sequence[int],
    hubspot: Mapping[int, str],
    apart: Mapping[int, Side],
    base: Mapping[int, str] | None = None,
    gone: Sequence[int] = (),
) -> Result:
    kept = {k: WORDS[word] for k, word in (base or {}).items()}
    return merge(
        [rule],
        {"f": State(tuple(app), kept, apart)},
        {k: WORDS[word] for k, word in hubspot.items()},
        {k: Far(k, "invisible" if k in gone else "paired") for k in (A, B, C)},
        plain=PLAIN,
    )


def changes(result: Result) -> list[tuple[str, str, int | None]]:
    return [(c.side, c.kind, c.far_key) for c in result.changes]


IN_HUBSPOT, IN_APP = {A: Side.HUBSPOT}, {A: Side.APP}
BOTH_WAYS = {A: Side.APP, B: Side.HUBSPOT}


@pytest.mark.parametrize("rule", [LEADING, ONE, MANY])
def test_an_edge_apart_is_not_news_on_the_side_that_has_it(rule):
    for app, hubspot, apart in (
        ([], {A: "np"}, IN_HUBSPOT),
        ([A], {}, IN_APP),
        ([A], {B: "np"}, BOTH_WAYS),
    ):
        result = run(rule, app, hubspot, apart)
        assert (result.changes, result.hubspot, result.app) == ([], [], {})
        assert result.apart == {"f": frozenset(apart)}
        assert result.base == {"f": {}}


@pytest.mark.parametrize("rule", [LEADING, ONE, MANY])
def test_an_edge_on_both_sides_or_on_none_is_apart_no_more(rule):
    both = run(rule, [A], {A: "np"}, IN_HUBSPOT)
    assert (both.changes, both.apart, both.base) == (
        [],
        {"f": frozenset()},
        {"f": {A: WORDS["np"]}},
    )
    none = run(rule, [], {}, IN_APP)
    assert (none.changes, none.apart, none.base) == ([], {"f": frozenset()}, {"f": {}})


@pytest.mark.parametrize("rule", [LEADING, ONE, MANY])
def test_an_edge_that_went_over_to_the_other_side_is_new_there(rule):
    assert changes(run(rule, [A], {}, IN_HUBSPOT)) == [("hubspot", "link", A)]
    assert changes(run(rule, [], {A: "np"}, IN_APP)) == [("app", "link", A)]


def test_another_record_on_one_side_travels_past_what_stands_apart():
    moved = run(LEADING, [A], {B: "n", C: "np"}, BOTH_WAYS)
    assert changes(moved) == [("app", "relabel", C)]
    assert (moved.app, moved.apart) == ({"f": (C,)}, {"f": frozenset({A})})
    moved = run(LEADING, [C], {B: "np"}, BOTH_WAYS)
    assert changes(moved) == [("hubspot", "relabel", C)]
    assert moved.apart == {"f": frozenset({B})}
    assert [(w.far_key, w.kind) for w in moved.hubspot] == [(C, "associate")]


def test_a_list_keeps_what_stands_apart_when_another_member_travels():
    result = run(MANY, [A], {C: "n"}, IN_APP)
    assert (changes(result), result.app) == ([("app", "link", C)], {"f": (A, C)})
    assert result.apart == {"f": frozenset({A})}


def test_an_edge_whose_end_is_gone_stays_apart():
    for app, hubspot in (([], {}), ([A], {}), ([], {A: "n"}), ([A], {A: "n"})):
        result = run(MANY, app, hubspot, IN_HUBSPOT, gone=[A])
        assert (result.changes, result.apart) == ([], {"f": frozenset({A})})


def test_an_edge_that_both_have_besides_goes_on_as_ever():
    result: Any = run(MANY, [B], {A: "n"}, IN_HUBSPOT, base={B: "n"})
    assert (changes(result), result.app) == ([("app", "unlink", B)], {"f": ()})
