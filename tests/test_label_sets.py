"""The merge of a join table with labels, pair by pair, without any system."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import pytest

from associations.engine.edges import Far, MappingRule, Result, State, Status, Types
from associations.engine.links import merge
from connections.records import AssociationType, Side

pytestmark = pytest.mark.unit

# n plain · p primary · x y z labels that are mapped, in this order · u one that is not
IDS = {"n": 279, "p": 1, "x": 31, "y": 33, "z": 35, "u": 99}
NAMES = {i: name for name, i in IDS.items()}
FAR = 7


def types(word: str) -> Types:
    return frozenset(
        AssociationType("HUBSPOT_DEFINED" if c in "np" else "USER_DEFINED", IDS[c])
        for c in word
    )


def word(held: Types) -> str:
    return "".join(sorted(NAMES[t.type_id] for t in held))


(PLAIN,) = types("n")


@dataclass
class Pair:
    """One pair: HubSpot's types, the app's rows, what both had (None: first sync)."""

    hubspot: str = ""
    rows: str = ""
    base: str | None = None
    direction: str = "two_way"
    single: bool = False
    odd: tuple[str, ...] = ()
    status: Status = "paired"
    ranked: str = "xyz"
    apart: str | None = None  # by what an undo left the sides different
    result: Result = field(default_factory=Result)

    def merge(self) -> Pair:
        ranked = tuple(t for c in self.ranked for t in types(c))
        rule = MappingRule(
            "m",
            PLAIN,
            "labels",
            many=True,
            direction=self.direction,
            also=frozenset(ranked),
            ranked=ranked,
            single=self.single,
        )
        base = {FAR: types(self.base)} if self.base else {}
        state = State(
            app=(FAR,) if self.rows or self.odd else (),
            base=None if self.base is None else base,
            labels={FAR: types(self.rows)} if self.rows else {},
            odd={FAR: self.odd} if self.odd else {},
            apart={} if self.apart is None else {FAR: Side.APP},
            differ={} if self.apart is None else {FAR: types(self.apart)},
        )
        held = {FAR: types(self.hubspot)} if self.hubspot else {}
        fars = {FAR: Far(FAR, self.status)}
        self.result = merge([rule], {"m": state}, held, fars, plain=PLAIN)
        return self

    def told(self) -> dict[str, str]:
        """The changes, by side: what kind, and the write."""
        found = {}
        for change in self.result.changes:
            if change.side is Side.APP:
                assert change.rows is not None
                found["app"] = f"{change.kind} {word(change.rows)}".strip()
            else:
                (write,) = self.result.hubspot
                found["hubspot"] = f"{change.kind}: {write.kind} {word(write.types)}"
        return {k: v.strip() for k, v in found.items()}

    def after(self) -> Pair:
        """The pair once every change is written and read back."""
        hubspot, rows = types(self.hubspot), types(self.rows)
        stood = self.result.base["m"].get(FAR)
        base = "" if stood is None else word(stood)
        for change in self.result.changes:
            assert change.base is not None
            base = word(change.base)
            if change.rows is not None:
                blank = (
                    rows & types("n") if len(rows) > 1 and change.rows else types("")
                )
                rows = change.rows | blank
        for write in self.result.hubspot:
            hubspot = {
                "associate": write.types,
                "dissociate": types(""),
                "unlabel": hubspot - write.types,
            }[write.kind]
        return replace(self, hubspot=word(hubspot), rows=word(rows), base=base)


# what there is, the changes, and what both sides have then: HubSpot's types, rows
CASES: dict[str, tuple[Pair, dict[str, str], tuple[str, str]]] = {
    "a blank row is a plain link": (
        Pair(rows="n"), {"hubspot": "link: associate n"}, ("n", "n")),
    "a label of a row": (
        Pair(rows="x", base=""), {"hubspot": "link: associate nx"}, ("nx", "x")),
    "two labels are one write": (
        Pair(rows="xy", base=""), {"hubspot": "link: associate nxy"}, ("nxy", "xy")),
    "HubSpot's labels are rows": (
        Pair(hubspot="nxy", base=""), {"app": "link xy"}, ("nxy", "xy")),
    "HubSpot's plain link is a blank row": (
        Pair(hubspot="n", base=""), {"app": "link n"}, ("n", "n")),
    "the primary type is no label": (
        Pair(hubspot="np", base=""), {"app": "link n"}, ("np", "n")),
    "unless it is mapped": (
        Pair(hubspot="np", base="", ranked="px"), {"app": "link p"}, ("np", "p")),
    "an unmapped label writes no row": (
        Pair(hubspot="nu", base=""), {}, ("nu", "")),
    "nor beside a mapped one": (
        Pair(hubspot="nux", base=""), {"app": "link x"}, ("nux", "x")),
    "a blank row wants no more than a link with an unmapped label": (
        Pair(hubspot="nu", rows="n", base=""), {}, ("nu", "n")),
    "first sync: both sides' labels unite": (
        Pair(hubspot="nx", rows="y"),
        {"hubspot": "relabel: associate nxy", "app": "relabel xy"}, ("nxy", "xy")),
    "first sync: a label makes the blank row one": (
        Pair(hubspot="nx", rows="n"), {"app": "relabel x"}, ("nx", "x")),
    "first sync: a label goes to the plain link": (
        Pair(hubspot="np", rows="x"), {"hubspot": "relabel: associate npx"}, ("npx", "x")),
    "HubSpot relabels": (
        Pair(hubspot="ny", rows="x", base="x"), {"app": "relabel y"}, ("ny", "y")),
    "the app relabels": (
        Pair(hubspot="nx", rows="y", base="x"),
        {"hubspot": "relabel: associate ny"}, ("ny", "y")),
    "the app relabels, and other types stay": (
        Pair(hubspot="npux", rows="y", base="x"),
        {"hubspot": "relabel: associate npuy"}, ("npuy", "y")),
    "both relabel": (
        Pair(hubspot="ny", rows="z", base="x"),
        {"hubspot": "relabel: associate nyz", "app": "relabel yz"}, ("nyz", "yz")),
    "one adds, the other removes": (
        Pair(hubspot="nxz", rows="y", base="xy"),
        {"hubspot": "relabel: unlabel x", "app": "relabel z"}, ("nz", "z")),
    "HubSpot takes the label off": (
        Pair(hubspot="n", rows="x", base="x"), {"app": "relabel n"}, ("n", "n")),
    "the app takes the label off": (
        Pair(hubspot="nx", rows="n", base="x"), {"hubspot": "relabel: unlabel x"}, ("n", "n")),
    "one of two goes in HubSpot": (
        Pair(hubspot="nx", rows="xy", base="xy"), {"app": "relabel x"}, ("nx", "x")),
    "one of two goes in the app": (
        Pair(hubspot="nxy", rows="y", base="xy"),
        {"hubspot": "relabel: unlabel x"}, ("ny", "y")),
    "HubSpot removes the pair": (
        Pair(hubspot="", rows="xy", base="xy"), {"app": "unlink"}, ("", "")),
    "the last row goes": (
        Pair(hubspot="nxy", rows="", base="xy"), {"hubspot": "unlink: dissociate"}, ("", "")),
    "the last blank row goes": (
        Pair(hubspot="n", rows="", base="n"), {"hubspot": "unlink: dissociate"}, ("", "")),
    "the last row goes, and an unmapped label keeps the pair": (
        Pair(hubspot="nux", rows="", base="x"), {"hubspot": "unlink: unlabel x"}, ("nu", "")),
    "the last row goes, and the primary keeps the pair": (
        Pair(hubspot="npx", rows="", base="x"), {"hubspot": "unlink: unlabel x"}, ("np", "")),
    "the last blank row goes, and the primary keeps the pair": (
        Pair(hubspot="np", rows="", base="n"), {}, ("np", "")),
    "nor does it become a row while that label is on it": (
        Pair(hubspot="nu", rows="", base="n"), {}, ("nu", "")),
    "and the pair goes with that label": (
        Pair(hubspot="n", rows="", base="n"), {"hubspot": "unlink: dissociate"}, ("", "")),
    "both removed it": (Pair(base="x"), {}, ("", "")),
    "a blank row beside a label is no edge": (
        Pair(hubspot="nx", rows="nx", base="x"), {}, ("nx", "nx")),
    "to_app: rows of the app's own stay": (
        Pair(rows="x", base="", direction="to_app"), {}, ("", "x")),
    "to_app: a row that went is not put back": (
        Pair(hubspot="nx", rows="", base="x", direction="to_app"), {}, ("nx", "")),
    "to_app: HubSpot relabels": (
        Pair(hubspot="ny", rows="x", base="x", direction="to_app"),
        {"app": "relabel y"}, ("ny", "y")),
    "to_hubspot: HubSpot's labels write no row": (
        Pair(hubspot="nxy", rows="x", base="x", direction="to_hubspot"), {}, ("nxy", "x")),
    "to_hubspot: the app relabels": (
        Pair(hubspot="nx", rows="y", base="x", direction="to_hubspot"),
        {"hubspot": "relabel: associate ny"}, ("ny", "y")),
    "one row a pair: the first in the map's order": (
        Pair(hubspot="nyz", base="", single=True), {"app": "link y"}, ("nyz", "y")),
    "one row a pair: a new label that is earlier takes it": (
        Pair(hubspot="nxy", rows="y", base="y", single=True),
        {"app": "relabel x"}, ("nxy", "x")),
    "one row a pair: a later one has none": (
        Pair(hubspot="nxy", rows="x", base="x", single=True), {}, ("nxy", "x")),
    "one row a pair: its label goes in HubSpot": (
        Pair(hubspot="ny", rows="x", base="xy", single=True),
        {"app": "relabel y"}, ("ny", "y")),
    "one row a pair: the app relabels what it shows": (
        Pair(hubspot="nxy", rows="z", base="xy", single=True),
        {"hubspot": "relabel: associate nyz", "app": "relabel y"}, ("nyz", "y")),
    "one row a pair: the row goes": (
        Pair(hubspot="nxy", rows="", base="xy", single=True),
        {"hubspot": "unlink: dissociate"}, ("", "")),
    "a row of an unknown label stays and takes nothing off": (
        Pair(hubspot="nx", rows="", base="x", odd=("?",)), {}, ("nx", "")),
    "and keeps nothing from being added": (
        Pair(hubspot="nx", rows="", base="", odd=("?",)), {"app": "link x"}, ("nx", "x")),
    "beside it a plain link has its row": (
        Pair(hubspot="n", base="", odd=("?",)), {}, ("n", "")),
    "a far record that is not paired yet waits": (
        Pair(hubspot="nx", base="", status="pending"), {}, ("nx", "")),
    "rows that vanished with their far record are no unlink": (
        Pair(hubspot="nx", base="x", status="invisible"), {}, ("nx", "")),
    "nor a pair of one that is out of scope": (
        Pair(rows="x", base="x", status="excluded"), {}, ("", "x")),
    "what an undo left apart stays": (
        Pair(hubspot="nx", rows="y", base="", apart="xy"), {}, ("nx", "y")),
    "until a side changes": (
        Pair(hubspot="nx", rows="yz", base="", apart="xy"),
        {"hubspot": "relabel: associate nxyz", "app": "relabel xyz"}, ("nxyz", "xyz")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("pair", "told", "ends"),
    [pytest.param(*row, id=name) for name, row in CASES.items()],
)
def test_both_sides_get_what_the_other_did_and_the_next_run_is_silent(pair, told, ends):
    assert pair.merge().told() == told
    after = pair.after()
    assert (after.hubspot, after.rows) == tuple("".join(sorted(e)) for e in ends)
    # Written on one side only, the other is written by the next run and nothing else is.
    assert after.merge().told() == {}
    kept = after.after()
    assert kept.merge().told() == {}


def test_what_cannot_be_written_is_named():
    odd = Pair(hubspot="nx", base="x", odd=("?",)).merge().result
    assert [(f.far_key, f.code) for f in odd.failing] == [(FAR, "OPTION_UNKNOWN")]
    full = Pair(hubspot="nxy", rows="x", base="xy", single=True).merge().result
    assert [n.code for n in full.noted] == ["LIMIT_REACHED"]
    kept = Pair(hubspot="np", base="n").merge().result
    assert [n.code for n in kept.noted] == ["CONFLICT"]
    waits = Pair(rows="x", base="", status="pending").merge().result
    assert [(p.side, p.code) for p in waits.pending] == [(Side.APP, "")]


def _subsets(letters: str) -> list[str]:
    return [
        "".join(some)
        for count in range(len(letters) + 1)
        for some in itertools.combinations(letters, count)
    ]


HELD = ["", *("n" + some for some in _subsets("pxyu"))]
ROWS = _subsets("nxy")
BASES = ["n", *_subsets("xy")]  # beside a label the plain type is no edge


@pytest.mark.parametrize("direction", ["two_way", "to_app", "to_hubspot"])
@pytest.mark.parametrize("single", [False, True])
def test_every_state_comes_to_rest_and_nothing_unknown_is_removed(direction, single):
    """Every state of a pair with two mapped labels, one that is not, and the primary."""
    for hubspot, rows, base in itertools.product(HELD, ROWS, [None, *BASES]):
        if single and len(rows) > 1:
            continue
        start = Pair(hubspot, rows, base, direction, single, ranked="xy").merge()
        after = start.after()
        told = start.told()
        assert direction != "to_app" or "hubspot" not in told, start
        assert direction != "to_hubspot" or "app" not in told, start
        # The pair goes only where nothing unmapped is on it.
        unmapped = set(hubspot) & {"u", "p"}
        assert unmapped <= set(after.hubspot), start
        rest = after.merge()
        if single and direction == "to_hubspot":
            # A row that went on both sides at once may take a second run to count.
            rest = rest.after().merge()
        assert rest.told() == {}, start
        if direction == "two_way" and not single:
            lost = {c for c in base or "" if c not in hubspot or c not in rows}
            new = {c for c in "xy" if c in hubspot + rows} - lost
            assert new <= set(after.hubspot) & set(after.rows), start
            assert not lost & {"x", "y"} & {*after.hubspot, *after.rows}, start


@pytest.mark.parametrize(
    ("pair", "skipped"),
    [
        (Pair("x", "", ""), {Side.HUBSPOT}),
        (Pair("", "x", ""), {Side.APP}),
        (Pair("x", "", "x"), {Side.HUBSPOT}),
        (Pair("x", "", "", "to_hubspot"), set()),
        (Pair("x", "", "x", "to_hubspot"), {Side.HUBSPOT}),
        (Pair("", "x", "x", "to_hubspot"), set()),
        (Pair("", "x", "", "to_app"), set()),
        (Pair("", "x", "x", "to_app"), {Side.APP}),
        (Pair("x", "", "x", "to_app"), set()),
        (Pair("x", "x", "x"), set()),
    ],
)
def test_what_waits_for_an_excluded_end_is_what_its_direction_lets_travel(
    pair, skipped
):
    result = replace(pair, status="excluded").merge().result
    assert {each.side for each in result.skipped} == skipped
    assert not result.changes
