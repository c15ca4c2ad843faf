"""The whole matrix of link mappings; see `tests.matrix`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest

from connections.connectors import registry
from connections.sandbox.hubspot.switches import Value
from connections.sandbox.server import SandboxServer
from tests.matrix.spec import (
    DIRECTIONS,
    EVENTS,
    KINDS,
    TYPES,
    Cell,
    Standing,
    refusal,
    start,
    synced,
    waits,
)
from tests.matrix.switches import VALUES, each_value, every_pair
from tests.matrix.systems import LABELS, Systems

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
NOTHING = {"hubspot": 0, "app": 0}


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have PostgreSQL's arrays of ids be references to several rows."""
    known = replace(
        registry.KINDS["postgres"], path="tests.matrix.lists.ListsConnector"
    )
    monkeypatch.setitem(registry.KINDS, "postgres", known)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield sandbox


def play(systems: Systems) -> Counter[str]:
    """Let everything happen, and look after each run. Returns: cells by what they were."""
    figures = Counter({"cells of the matrix asserted": len(systems.cells)})
    figures["cells of the matrix refused"] = refuse(systems)
    systems.set_up()
    report = systems.run()
    assert report["status"] == "succeeded", report
    look(systems, "the first sync", {c: start(c) for c in systems.cells})
    systems.edit()
    systems.run()
    look(systems, "a run", {c: synced(c, arrived=False) for c in systems.cells})
    owes(systems, arrived=False)
    systems.arrive()
    systems.run()
    last = {c: synced(c, arrived=True) for c in systems.cells}
    look(systems, "what was missing is there", last)
    owes(systems, arrived=True)
    rest(systems)
    look(systems, "a quiet run", last)
    figures["cells of the matrix asserted"] += lose_label(systems)
    return figures


def refuse(systems: Systems) -> int:
    """Combinations that make no sense are refused, each with its reason."""
    expected = {
        (kind, direction): refusal(kind, systems.types)
        for kind in KINDS
        for direction in DIRECTIONS
        if refusal(kind, systems.types)
    }
    found = systems.refused()
    assert found.keys() == expected.keys()
    for key, text in expected.items():
        assert text in found[key]
    return len(expected) * (len(EVENTS) + 1)


def lose_label(systems: Systems) -> int:
    """Delete a mapped label: nothing is lost, nothing written, and it is said.

    It is said once the loss of its links would have travelled; where it cannot, or
    another label holds them, by a full run. Returns: cells asserted.
    """
    if TYPES[systems.types][0] not in LABELS:
        return 0
    several = len(TYPES[systems.types]) > 1
    systems.delete_labels()
    links, held = systems.links(), systems.held()
    report = rest(systems, full=several)
    assert (systems.links(), systems.held()) == (links, held)
    for place, sync in zip(systems.places, report["syncs"][1:], strict=True):
        said = "TYPE_UNKNOWN" in {e["code"] for e in sync["errors"]}
        assert said == (several or place.direction != "to_hubspot"), sync
    return len({(c.kind, c.direction) for c in systems.cells})


def look(systems: Systems, after: str, expected: Mapping[Cell, Standing]) -> None:
    """Compare both systems' complete sets of links."""
    links, held = systems.links(), systems.held()
    wrong = []
    for cell, standing in expected.items():
        there, here = _judged(cell, links[cell]), held[cell]
        wanted = _judged(cell, standing.pairs), standing.shown
        if (there, here) != wanted:
            wrong.append(f"{cell}\n    is {there} {here}\n    not {wanted}")
        primaries = [far for far, types in links[cell].items() if "primary" in types]
        if len(primaries) > 1:
            wrong.append(f"{cell}\n    has several primaries: {primaries}")
    assert not wrong, f"after {after}, {len(wrong)} wrong:\n" + "\n".join(wrong)


def owes(systems: Systems, *, arrived: bool) -> None:
    """What is not in step is known, with its reason, and nothing else is."""
    found = systems.open()
    wrong = [
        f"{cell}: {found[cell]}, not {expected}"
        for cell in systems.cells
        if found[cell] != (expected := waits(cell, arrived=arrived))
    ]
    assert not wrong, "\n".join(wrong)


def _judged(
    cell: Cell, pairs: Mapping[str, frozenset[str]]
) -> dict[str, tuple[str, ...]]:
    """A record's first company is made primary by HubSpot itself, in ways that differ:
    only a mapping of the primary answers for it."""
    ignored = set() if cell.types == "primary" else {"primary"}
    return {far: tuple(sorted(t - ignored)) for far, t in sorted(pairs.items())}


def rest(systems: Systems, **how: Any) -> dict[str, Any]:
    """Run once more: nothing is written."""
    versions, writes = systems.versions(), systems.writes()
    report = systems.run(**how)
    for sync in report["syncs"]:
        links: dict[str, Any] = sync["associations"]
        moved = {what: links[what] for what in ("added", "removed", "changed")}
        assert moved == dict.fromkeys(moved, NOTHING), sync
        assert (sync["created"], sync["updated"]) == (NOTHING, NOTHING), sync
    assert systems.versions() == versions
    assert systems.writes() == writes
    return report


@pytest.mark.parametrize("types", TYPES)
def test_every_cell_ends_as_an_administrator_expects(
    sandbox, pg_dsn, lists, types, record_property
):
    systems = Systems(sandbox, pg_dsn, types)
    try:
        figures = play(systems)
    finally:
        systems.close()
    record_property("figures", dict(figures))


# Switches --------------------------------------------------------------------------------


def settings() -> list[tuple[str, dict[str, Value]]]:
    """(types, switches) to play: a sample, or with CROSSLINK_MATRIX all of them."""
    if os.environ.get("CROSSLINK_MATRIX"):
        all_ = (*each_value(), *every_pair())
        return [(types, setting) for types in TYPES for setting in all_]
    return list(zip(cycle(TYPES), every_pair(), strict=False))


@pytest.mark.parametrize(("types", "setting"), settings())
def test_every_cell_ends_the_same_under_each_unknown_of_hubspot(
    sandbox, pg_dsn, lists, types, setting, record_property
):
    whole = bool(os.environ.get("CROSSLINK_MATRIX"))
    only = () if whole else (("single",), ("two_way",))
    sandbox.control.set_switches(**setting)
    systems = Systems(sandbox, pg_dsn, types, *only)
    try:
        systems.set_up()
        systems.run()
        look(systems, "the first sync", {c: start(c) for c in systems.cells})
        systems.edit()
        systems.arrive()
        systems.run()
        last = {c: synced(c, arrived=True) for c in systems.cells}
        look(systems, "a run", last)
        if whole:
            rest(systems)
            look(systems, "a quiet run", last)
    finally:
        systems.close()
    record_property(
        "figures", {"cells of the matrix under other switches": len(systems.cells)}
    )


def test_the_sample_has_every_two_values_that_can_meet():
    sample = every_pair()
    assert len(sample) <= 16
    for name, values in VALUES.items():
        assert {s[name] for s in sample} == set(values)
