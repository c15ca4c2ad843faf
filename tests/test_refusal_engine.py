"""Links that cannot be: cycles among directed ones, and limits."""

from __future__ import annotations

import pytest

from associations.engine.refusals import Caps, Chains, Counter, Over
from connections.records import AssociationType

pytestmark = pytest.mark.unit
N, X = AssociationType("HUBSPOT_DEFINED", 450), AssociationType("USER_DEFINED", 5)


CYCLES = {
    "nothing stands": ({}, [], ["AB"], [""]),
    "a record that points at itself": ({}, [], ["AA"], ["AA"]),
    "two that point at each other": ({"A": "B"}, [], ["BA"], ["BAB"]),
    "a chain that stands, closed": ({"A": "B", "B": "C"}, [], ["CA"], ["CABC"]),
    "a plan that closes itself": ({}, [], ["AB", "BC", "CA"], ["", "", "CABC"]),
    "only the closing one is refused": (
        {"B": "C"},
        [],
        ["CA", "AB", "AD"],
        ["", "ABCA", ""],
    ),
    "half of it stands, half is planned": ({"B": "C"}, [], ["AB", "CA"], ["", "CABC"]),
    "what is about to go closes nothing": ({"A": "B"}, ["AB"], ["BA"], [""]),
    "a refused link closes nothing": (
        {"A": "B"},
        [],
        ["BA", "BC", "CD"],
        ["BAB", "", ""],
    ),
    "two ways to the same record are no cycle": (
        {"A": "BC", "B": "D", "C": "D"},
        [],
        ["EA", "DF"],
        ["", ""],
    ),
    "a cycle that stands already does not hang": (
        {"A": "B", "B": "A"},
        [],
        ["CA", "BC"],
        ["", "BCAB"],
    ),
}


@pytest.mark.parametrize(
    ("standing", "gone", "planned", "chains"),
    [pytest.param(*row, id=name) for name, row in CYCLES.items()],
)
def test_a_link_that_closes_a_cycle_is_shown_with_its_chain(
    standing, gone, planned, chains
):
    graph: Chains[str] = Chains(lambda nodes: {n: standing.get(n, "") for n in nodes})
    for near, far in gone:
        graph.drop(near, far)
    assert ["".join(graph.add(near, far)) for near, far in planned] == chains


def test_a_long_chain_is_read_level_by_level():
    calls: list[int] = []

    def follow(nodes):
        calls.append(len(nodes))
        return {n: [n + 1] for n in nodes if n < 50}

    graph: Chains[int] = Chains(follow)
    assert graph.add(50, 0) == (50, *range(51))
    assert graph.add(-1, 0) == ()
    assert len(calls) <= 52


def test_limits_count_pairs_and_types_apart():
    held = {"a": frozenset({N}), "b": frozenset({N, X})}
    count = Counter(Caps({X: 1}, pairs=3), held)
    assert count.over("b", frozenset({N, X})) is None  # it stands
    assert count.over("a", frozenset({N, X})) == Over(1, X, ("b",))
    assert count.over("c", frozenset({N})) is None
    count.set("c", frozenset({N}))
    assert count.over("d", frozenset({N})) == Over(3, None, ("a", "b", "c"))
    count.set("b", frozenset())  # room for another, of either kind
    assert count.over("d", frozenset({N, X})) is None
    assert not Caps()
