"""One record's links merged three-way: a named row for every rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from associations.engine.edges import Far, MappingRule, PairWrite, Result, State
from associations.engine.links import merge
from associations.engine.types import plain_type, primary_type
from connections.records import AssociationType, AssociationTypeInfo, Side

pytestmark = pytest.mark.unit

A, B, C, D = 1, 2, 3, 4  # far records
LETTERS = {
    "n": AssociationType("HUBSPOT_DEFINED", 279),  # the plain type of a contact
    "p": AssociationType("HUBSPOT_DEFINED", 1),  # its primary company
    "c": AssociationType("HUBSPOT_DEFINED", 2),  # seen from the company: one of many
    "x": AssociationType("USER_DEFINED", 31),  # labels
    "y": AssociationType("USER_DEFINED", 33),
    "u": AssociationType("USER_DEFINED", 35),  # a label that no mapping names
}
PLAIN = LETTERS["n"]
Held = Mapping[int, str]


def types(word: str) -> frozenset[AssociationType]:
    return frozenset(LETTERS[c] for c in word)


def rule(kind: str, letter: str = "", **given: Any) -> MappingRule:
    letter = letter or {"primary": "p", "default": "n", "label": "x"}[kind]
    given = {"key": "f", **given}
    return MappingRule(type=LETTERS[letter], kind=kind, **given)


PRIMARY = rule("primary")
DEFAULT = rule("default")
LABEL = rule("label")
TAKES_PAIR = rule("primary", on_unlink="remove_pair")
MANY = rule("default", many=True)
LABELS = rule("label", many=True)


def to_app(given: MappingRule) -> MappingRule:
    return replace(given, direction="to_app")


def to_hubspot(given: MappingRule) -> MappingRule:
    return replace(given, direction="to_hubspot")


def app_wins(given: MappingRule) -> MappingRule:
    return replace(given, conflict="app")


@dataclass(frozen=True)
class Row:
    """What both sides have, what both had, and what is to come of it: else nothing.

    `base` None is a first sync. `writes` maps a pair to the one write on it, such as
    "associate np"; `fills` is the app's new list; `keeps` the baseline that stands
    whatever is written; `why` the rule that a change names.
    """

    rule: MappingRule
    app: Sequence[int] | None = ()
    hubspot: Held | None = field(default_factory=dict)
    base: Held | None = field(default_factory=dict)
    pending: Sequence[int] = ()
    invisible: Sequence[int] = ()
    writes: Held = field(default_factory=dict)
    fills: Sequence[int] | None = None
    keeps: Held | None = None
    waits: Sequence[tuple[int, str]] = ()
    fails: Sequence[str] = ()
    why: str = ""


def run(
    rules: Sequence[MappingRule],
    apps: Mapping[str, Sequence[int] | None],
    hubspot: Held | None,
    bases: Mapping[str, Held | None],
    *,
    pending: Sequence[int] = (),
    invisible: Sequence[int] = (),
) -> Result:
    def status(key: int) -> Any:
        if key in pending:
            return "pending"
        return "invisible" if key in invisible else "paired"

    states = {
        r.key: State(
            app=None if (held := apps[r.key]) is None else tuple(held),
            base=None
            if (base := bases[r.key]) is None
            else {k: types(w) for k, w in base.items()},
        )
        for r in rules
    }
    return merge(
        rules,
        states,
        None if hubspot is None else {k: types(w) for k, w in hubspot.items()},
        {k: Far(k, status(k)) for k in (A, B, C, D)},
        plain=PLAIN,
    )


def written(result: Result) -> dict[int, str]:
    """The writes to HubSpot, as a row spells them; one a pair."""
    found: dict[int, str] = {}
    for write in result.hubspot:
        assert write.far_key not in found
        letters = sorted(c for c, t in LETTERS.items() if t in write.types)
        found[write.far_key] = " ".join([write.kind, "".join(letters)]).strip()
    return found


MERGE: dict[str, Row] = {
    # Three-way, per edge ----------------------------------------------------------------
    "an edge that both have is in sync": Row(
        PRIMARY, app=[A], hubspot={A: "np"}, base={A: "np"}, keeps={A: "np"}
    ),
    "an edge that both got by themselves is in sync, too": Row(
        PRIMARY, app=[A], hubspot={A: "np"}, keeps={A: "np"}
    ),
    "an edge that both lost is forgotten": Row(PRIMARY, base={A: "np"}, keeps={}),
    "the baseline takes up a type that the edge gained": Row(
        MANY, app=[A], hubspot={A: "nx"}, base={A: "n"}, keeps={A: "nx"}
    ),
    "an edge new in HubSpot is added to an empty field": Row(
        PRIMARY, hubspot={A: "np"}, fills=[A], why="hubspot moved"
    ),
    "an edge new in the app is added to HubSpot": Row(
        PRIMARY, app=[A], writes={A: "associate np"}, why="app moved"
    ),
    "an edge gone from HubSpot empties the field": Row(
        PRIMARY, app=[A], base={A: "np"}, fills=[], why="hubspot moved"
    ),
    "an edge gone from the app is taken off HubSpot": Row(
        PRIMARY,
        hubspot={A: "np"},
        base={A: "np"},
        writes={A: "unlabel p"},
        why="app moved",
    ),
    "a primary moved in HubSpot moves the field": Row(
        PRIMARY, app=[A], hubspot={A: "n", B: "np"}, base={A: "np"}, fills=[B]
    ),
    "a field moved in the app moves the primary": Row(
        PRIMARY,
        app=[B],
        hubspot={A: "np"},
        base={A: "np"},
        writes={B: "associate np"},
    ),
    "both moved apart: HubSpot wins by the rule": Row(
        PRIMARY,
        app=[C],
        hubspot={A: "n", B: "np"},
        base={A: "np"},
        fills=[B],
        why="conflict: hubspot",
    ),
    "both moved apart: the app wins by the rule": Row(
        app_wins(PRIMARY),
        app=[C],
        hubspot={A: "n", B: "np"},
        base={A: "np"},
        writes={C: "associate np"},
        why="conflict: app",
    ),
    "HubSpot lost the edge, the app moved on: the new one travels": Row(
        PRIMARY, app=[B], base={A: "np"}, writes={B: "associate np"}, why="app moved"
    ),
    "the app lost the edge, HubSpot moved on: the new one travels": Row(
        app_wins(PRIMARY), hubspot={B: "np"}, base={A: "np"}, fills=[B]
    ),
    "many: each edge by itself": Row(
        MANY,
        app=[A, B],
        hubspot={A: "n", C: "n", D: "n"},
        base={A: "n", B: "n", C: "n"},
        writes={C: "dissociate"},
        fills=[A, D],
        keeps={A: "n", B: "n", C: "n"},
    ),
    "many: an edge new in the app": Row(
        MANY, app=[A, B], hubspot={A: "n"}, base={A: "n"}, writes={B: "associate n"}
    ),
    "many: a list that names a record twice loses it whole": Row(
        MANY, app=[A, B, A], hubspot={B: "n"}, base={A: "n", B: "n"}, fills=[B]
    ),
    # First sync -------------------------------------------------------------------------
    "first sync: many-valued sets unite": Row(
        MANY,
        app=[A, B],
        hubspot={B: "n", C: "n"},
        base=None,
        writes={A: "associate n"},
        fills=[A, B, C],
        keeps={B: "n"},
        why="first sync",
    ),
    "first sync: labels unite, pairs without the label do not count": Row(
        LABELS,
        app=[A, B],
        hubspot={B: "np", C: "nx"},
        base=None,
        writes={A: "associate nx", B: "associate npx"},
        fills=[A, B, C],
    ),
    "first sync: a single value follows the rule, to the app": Row(
        PRIMARY, app=[A], hubspot={B: "np"}, base=None, fills=[B]
    ),
    "first sync: a single value follows the rule, to HubSpot": Row(
        app_wins(PRIMARY),
        app=[A],
        hubspot={B: "np"},
        base=None,
        writes={A: "associate np"},
    ),
    "first sync: an empty field never wins": Row(
        app_wins(PRIMARY), hubspot={B: "np"}, base=None, fills=[B], why="first sync"
    ),
    "first sync: an empty HubSpot never wins": Row(
        PRIMARY, app=[B], base=None, writes={B: "associate np"}, why="first sync"
    ),
    "first sync: where the app wins, HubSpot's plain link stays beside it": Row(
        app_wins(DEFAULT),
        app=[A],
        hubspot={B: "n"},
        base=None,
        writes={A: "associate n"},
    ),
    # Direction --------------------------------------------------------------------------
    "to the app: HubSpot's edge travels": Row(
        to_app(PRIMARY), hubspot={A: "np"}, fills=[A]
    ),
    "to the app: an edge of the app's own stays where it is": Row(
        to_app(PRIMARY), app=[A]
    ),
    "to the app: drift in the app is left": Row(
        to_app(PRIMARY),
        app=[B],
        hubspot={A: "np"},
        base={A: "np"},
        keeps={A: "np"},
    ),
    "to the app: a cleared field is left, and not filled again": Row(
        to_app(PRIMARY), hubspot={A: "np"}, base={A: "np"}, keeps={A: "np"}
    ),
    "to the app: HubSpot wins over drift, whatever the rule says": Row(
        app_wins(to_app(PRIMARY)),
        app=[C],
        hubspot={A: "n", B: "np"},
        base={A: "np"},
        fills=[B],
        why="one-way",
    ),
    "to the app: a removed link leaves what drifted in": Row(
        to_app(PRIMARY), app=[C], base={A: "np"}, keeps={}
    ),
    "to HubSpot: the field travels": Row(
        to_hubspot(PRIMARY), app=[A], writes={A: "associate np"}
    ),
    "to HubSpot: a link of HubSpot's own stays where it is": Row(
        to_hubspot(PRIMARY), hubspot={A: "np"}
    ),
    "to HubSpot: drift in HubSpot is left": Row(
        to_hubspot(PRIMARY),
        app=[A],
        hubspot={A: "n", B: "np"},
        base={A: "np"},
        keeps={A: "np"},
    ),
    "to HubSpot: the app wins over drift, whatever the rule says": Row(
        to_hubspot(PRIMARY),
        app=[C],
        hubspot={A: "n", B: "np"},
        base={A: "np"},
        writes={C: "associate np"},
        why="one-way",
    ),
    "to HubSpot: clearing the field does not touch what drifted in": Row(
        to_hubspot(PRIMARY), hubspot={A: "n", B: "np"}, base={A: "np"}, keeps={}
    ),
    "many, to the app: neither the app's new edge nor its removal travels": Row(
        to_app(MANY),
        app=[A, B],
        hubspot={A: "n", C: "n"},
        base={A: "n", C: "n"},
        keeps={A: "n", C: "n"},
    ),
    "many, to HubSpot: neither HubSpot's new edge nor its removal travels": Row(
        to_hubspot(MANY),
        app=[A, C],
        hubspot={A: "n", B: "n"},
        base={A: "n", C: "n"},
        keeps={A: "n", C: "n"},
    ),
    "one-way to HubSpot: a conflict rule sends nothing to the app": Row(
        to_hubspot(DEFAULT),
        hubspot={A: "nx"},
        base={A: "n"},
        writes={A: "dissociate"},
    ),
    # Pending ----------------------------------------------------------------------------
    "a HubSpot edge to a record that is not paired waits": Row(
        PRIMARY, hubspot={A: "np"}, pending=[A], waits=[(A, "hubspot")], keeps={}
    ),
    "an app edge to a record that is not paired waits": Row(
        PRIMARY, app=[A], pending=[A], waits=[(A, "app")], keeps={}
    ),
    "a waiting edge does not empty the field it would replace": Row(
        PRIMARY,
        app=[A],
        hubspot={A: "n", B: "np"},
        base={A: "np"},
        pending=[B],
        waits=[(B, "hubspot")],
        keeps={A: "np"},
    ),
    "a waiting edge does not take the primary off": Row(
        PRIMARY,
        app=[B],
        hubspot={A: "np"},
        base={A: "np"},
        pending=[B],
        waits=[(B, "app")],
        keeps={A: "np"},
    ),
    "a waiting edge whose origin disappears is dropped silently": Row(
        PRIMARY, pending=[A], keeps={}
    ),
    "an edge that waited is written once its record is paired": Row(
        PRIMARY, hubspot={A: "np"}, fills=[A]
    ),
    "an edge that may not travel does not wait either": Row(
        to_hubspot(PRIMARY), hubspot={A: "np"}, pending=[A]
    ),
    "many: a waiting member stays in the list that is written": Row(
        MANY,
        app=[A, B],
        hubspot={A: "n", C: "n"},
        base={A: "n"},
        pending=[B],
        fills=[A, B, C],
        waits=[(B, "app")],
    ),
    "many: an edge that both had is not removed while its end is not paired": Row(
        MANY,
        app=[A],
        hubspot={B: "n"},
        base={A: "n", B: "n"},
        pending=[A, B],
        keeps={A: "", B: ""},
    ),
    "one: an edge that both had is not removed while its end is not paired": Row(
        PRIMARY, hubspot={A: "np"}, base={A: "np"}, pending=[A], keeps={A: ""}
    ),
    # Invisible and frozen ---------------------------------------------------------------
    "an edge to an excluded record is neither sent nor counted": Row(
        PRIMARY, hubspot={A: "np"}, invisible=[A], keeps={}
    ),
    "an app edge to an excluded record is neither sent nor counted": Row(
        PRIMARY, app=[A], invisible=[A], keeps={}
    ),
    "many: an excluded member stays in the list that is written": Row(
        MANY,
        app=[D, A],
        hubspot={A: "n", B: "n"},
        base={A: "n"},
        invisible=[D],
        fills=[D, A, B],
    ),
    "frozen: HubSpot hides the links of an archived record": Row(
        PRIMARY, app=[A], base={A: "np"}, invisible=[A], keeps={A: ""}
    ),
    "frozen: a deleted row empties the field by its foreign key": Row(
        PRIMARY, hubspot={A: "np"}, base={A: "np"}, invisible=[A], keeps={A: ""}
    ),
    "frozen: both sides lost it": Row(
        PRIMARY, base={A: "np"}, invisible=[A], keeps={A: ""}
    ),
    "frozen: an excluded record's edge that both have stays whole": Row(
        PRIMARY,
        app=[A],
        hubspot={A: "np"},
        base={A: "np"},
        invisible=[A],
        keeps={A: "np"},
    ),
    "frozen, many: what vanished on either side does not travel": Row(
        MANY,
        app=[A],
        hubspot={B: "n"},
        base={A: "n", B: "n"},
        invisible=[A, B],
        keeps={A: "", B: ""},
    ),
    "frozen: the current one stays while HubSpot has another link": Row(
        DEFAULT,
        app=[A],
        hubspot={B: "n"},
        base={A: "n"},
        invisible=[A],
        keeps={A: ""},
    ),
    "frozen: an emptied field is not filled with HubSpot's other link": Row(
        DEFAULT,
        hubspot={A: "n", B: "n"},
        base={A: "n"},
        invisible=[A],
        keeps={A: ""},
    ),
    "frozen: several other links are no reason to fail": Row(
        LABEL,
        app=[A],
        hubspot={A: "nx", B: "nx", C: "nx"},
        base={A: "nx"},
        invisible=[A],
        keeps={A: "nx"},
    ),
    "frozen: another primary shows that HubSpot moved on": Row(
        PRIMARY, app=[A], hubspot={B: "np"}, base={A: "np"}, invisible=[A], fills=[B]
    ),
    "frozen: a person may still move the field": Row(
        DEFAULT,
        app=[C],
        hubspot={A: "n", B: "n"},
        base={A: "n"},
        invisible=[A],
        writes={C: "associate n"},
    ),
    "thawed: the field that its end's deletion emptied is filled again": Row(
        PRIMARY, hubspot={A: "np"}, base={A: ""}, fills=[A]
    ),
    "thawed: the link that its end's archiving removed is made again": Row(
        PRIMARY, app=[A], base={A: ""}, writes={A: "associate np"}
    ),
    "thawed, many: what either side lost meanwhile is added, not removed": Row(
        MANY,
        app=[A],
        hubspot={B: "n"},
        base={A: "", B: ""},
        writes={A: "associate n"},
        fills=[A, B],
    ),
    "thawed: an edge that came back whole is in sync": Row(
        PRIMARY, app=[A], hubspot={A: "np"}, base={A: ""}, keeps={A: "np"}
    ),
    # Whole lists ------------------------------------------------------------------------
    "a list that is not shown whole is unknown, never empty": Row(
        MANY, app=None, hubspot={A: "n"}, base={A: "n", B: "n"}
    ),
    "a hidden single field is unknown, never empty": Row(
        PRIMARY, app=None, hubspot={A: "np"}, base={A: "np"}
    ),
    "links that could not be read are unknown, never none": Row(
        MANY, app=[A, B], hubspot=None, base={A: "n", B: "n"}
    ),
    # Who owns what: primary, label, default ---------------------------------------------
    "primary: clearing takes only the primary type off": Row(
        PRIMARY, hubspot={A: "npxu"}, base={A: "npxu"}, writes={A: "unlabel p"}
    ),
    "primary: remove_pair takes the pair, too": Row(
        TAKES_PAIR, hubspot={A: "np"}, base={A: "np"}, writes={A: "dissociate"}
    ),
    "primary: remove_pair leaves a pair that something else is on": Row(
        TAKES_PAIR, hubspot={A: "npu"}, base={A: "npu"}, writes={A: "unlabel p"}
    ),
    "primary: a move leaves the former plain link": Row(
        PRIMARY,
        app=[B],
        hubspot={A: "np", B: "n"},
        base={A: "np"},
        writes={B: "associate np"},
    ),
    "primary: with remove_pair a move takes the former pair": Row(
        TAKES_PAIR,
        app=[B],
        hubspot={A: "np"},
        base={A: "np"},
        writes={A: "dissociate", B: "associate np"},
    ),
    "primary: with remove_pair a move leaves a former pair with a label": Row(
        TAKES_PAIR,
        app=[B],
        hubspot={A: "npx"},
        base={A: "np"},
        writes={B: "associate np"},
    ),
    "primary: with remove_pair a move leaves a pair that only HubSpot had": Row(
        app_wins(TAKES_PAIR),
        app=[C],
        hubspot={B: "np"},
        base=None,
        writes={C: "associate np"},
    ),
    "primary: a plain link is none": Row(PRIMARY, hubspot={A: "nx", B: "n"}, keeps={}),
    "primary: setting keeps what is on the pair": Row(
        PRIMARY, app=[A], hubspot={A: "nxu"}, writes={A: "associate npux"}
    ),
    "seen from the company: HubSpot demotes none, the former one is let go": Row(
        rule("primary", "c"),
        app=[B],
        hubspot={A: "nc"},
        base={A: "nc"},
        writes={A: "unlabel c", B: "associate cn"},
    ),
    "label: only that label is taken off": Row(
        LABELS, hubspot={A: "npxyu"}, base={A: "npxyu"}, writes={A: "unlabel x"}
    ),
    "label: setting keeps the others, and the primary": Row(
        LABELS, app=[A], hubspot={A: "npyu"}, writes={A: "associate npuxy"}
    ),
    "label: losing only that label empties the field": Row(
        LABEL, app=[A], hubspot={A: "npy"}, base={A: "nxpy"}, fills=[]
    ),
    "label, one: a move takes the label off, though the pair gained another": Row(
        LABEL,
        app=[B],
        hubspot={A: "nxy"},
        base={A: "nx"},
        writes={A: "unlabel x", B: "associate nx"},
    ),
    "default: clearing removes the pair whole": Row(
        DEFAULT, hubspot={A: "npxu"}, base={A: "npxu"}, writes={A: "dissociate"}
    ),
    "default: a move removes the former pair": Row(
        DEFAULT,
        app=[B],
        hubspot={A: "n"},
        base={A: "n"},
        writes={A: "dissociate", B: "associate n"},
    ),
    "default: a label gained meanwhile is a conflict; HubSpot puts it back": Row(
        DEFAULT,
        hubspot={A: "nu"},
        base={A: "n"},
        fills=[A],
        why="conflict: hubspot",
    ),
    "default: a primary gained meanwhile is a conflict; HubSpot puts it back": Row(
        DEFAULT,
        hubspot={A: "np"},
        base={A: "n"},
        fills=[A],
        why="conflict: hubspot",
    ),
    "default: where the app wins that conflict, the pair goes": Row(
        app_wins(DEFAULT),
        hubspot={A: "nu"},
        base={A: "n"},
        writes={A: "dissociate"},
    ),
    "default, many: a label gained meanwhile puts the edge back": Row(
        MANY,
        app=[B],
        hubspot={A: "nu", B: "n"},
        base={A: "n", B: "n"},
        fills=[B, A],
        why="conflict: hubspot",
    ),
    "default: moved away from a pair that gained a label: both stay": Row(
        DEFAULT,
        app=[B],
        hubspot={A: "nu"},
        base={A: "n"},
        writes={B: "associate n"},
        why="conflict: hubspot",
    ),
    "default: the primary that HubSpot made by itself is no change": Row(
        DEFAULT, app=[A], hubspot={A: "np"}, base={A: "n"}, keeps={A: "np"}
    ),
    # A single field and several edges ---------------------------------------------------
    "several: the current one stays while its edge exists": Row(
        DEFAULT,
        app=[A],
        hubspot={A: "n", B: "np", C: "n"},
        base={A: "n"},
        keeps={A: "n"},
    ),
    "several: without a current one, the primary": Row(
        DEFAULT, hubspot={A: "n", B: "np", C: "n"}, fills=[B]
    ),
    "several: the current one is gone, the primary follows": Row(
        DEFAULT, app=[A], hubspot={B: "n", C: "np"}, base={A: "n"}, fills=[C]
    ),
    "several: neither, so the only one": Row(
        DEFAULT, app=[A], hubspot={B: "n"}, base={A: "n"}, fills=[B]
    ),
    "several: none stands out": Row(
        DEFAULT, hubspot={A: "n", B: "n"}, fails=["TARGET_AMBIGUOUS"], keeps={}
    ),
    "several: none stands out, and the field keeps what it has": Row(
        DEFAULT,
        app=[A],
        hubspot={B: "n", C: "n"},
        base={A: "n"},
        fails=["TARGET_AMBIGUOUS"],
        keeps={A: "n"},
    ),
    "several: more than one primary, as a company sees them, is none": Row(
        DEFAULT, hubspot={A: "nc", B: "nc"}, fails=["TARGET_AMBIGUOUS"]
    ),
    "several: a label held twice is ambiguous, too": Row(
        LABEL, hubspot={A: "nx", B: "nx"}, fails=["TARGET_AMBIGUOUS"]
    ),
    "several: what may not reach the app is nobody's failure": Row(
        to_hubspot(DEFAULT), hubspot={A: "n", B: "n"}
    ),
    "several: the app's own choice ends the ambiguity": Row(
        app_wins(DEFAULT),
        app=[C],
        hubspot={A: "n", B: "n"},
        writes={C: "associate n"},
    ),
    "several: excluded ones are not counted": Row(
        DEFAULT, hubspot={A: "n", B: "n"}, invisible=[B], fills=[A]
    ),
    "only what both had is removed: clearing leaves the others": Row(
        DEFAULT,
        hubspot={A: "n", B: "n", C: "np"},
        base={A: "n"},
        writes={A: "dissociate"},
    ),
    "only what both had is removed: moving leaves the others": Row(
        DEFAULT,
        app=[D],
        hubspot={A: "n", B: "n"},
        base={A: "n"},
        writes={A: "dissociate", D: "associate n"},
    ),
    "what both had is removed, though HubSpot has the new one already": Row(
        DEFAULT,
        app=[B],
        hubspot={A: "n", B: "n"},
        base={A: "n"},
        writes={A: "dissociate"},
        keeps={B: "n"},
        why="app moved",
    ),
    "it stays in a one-way sync to the app": Row(
        to_app(DEFAULT), app=[B], hubspot={A: "n", B: "n"}, base={A: "n"}
    ),
    "it stays where it gained a label and HubSpot wins": Row(
        DEFAULT, app=[B], hubspot={A: "nu", B: "n"}, base={A: "n"}, keeps={B: "n"}
    ),
    "a second baseline that a killed run left is let go": Row(
        LABEL,
        app=[B],
        hubspot={A: "nx", B: "nx"},
        base={A: "nx", B: "nx"},
        writes={A: "unlabel x"},
        keeps={B: "nx"},
    ),
    # Unknown types ----------------------------------------------------------------------
    "an unmapped label alone is no edge of a label's field": Row(
        LABELS, hubspot={A: "nu"}, keeps={}
    ),
    "removing a label leaves the unmapped one": Row(
        LABELS, app=[], hubspot={A: "nxu"}, base={A: "nx"}, writes={A: "unlabel x"}
    ),
    "a write carries the unmapped label along": Row(
        PRIMARY, app=[A], hubspot={A: "nu"}, writes={A: "associate npu"}
    ),
}


@pytest.mark.parametrize("row", [pytest.param(r, id=n) for n, r in MERGE.items()])
def test_one_field(row):
    result = run(
        [row.rule],
        {"f": row.app},
        row.hubspot,
        {"f": row.base},
        pending=row.pending,
        invisible=row.invisible,
    )
    assert written(result) == row_writes(row)
    fills = {} if row.fills is None else {"f": tuple(row.fills)}
    assert result.app == fills
    assert [(p.far_key, str(p.side)) for p in result.pending] == list(row.waits)
    assert [f.code for f in result.failing] == list(row.fails)
    unknown = row.app is None or row.hubspot is None
    assert ("f" in result.base) != unknown
    if row.keeps is not None:
        kept = {k: types(w) for k, w in row.keeps.items()}
        assert result.base == {"f": kept}
    assert all(c.rule for c in result.changes)
    assert not row.why or {c.rule for c in result.changes} == {row.why}
    # Each write is told by a change, and each change has its write.
    told = {c.far_key for c in result.changes if c.side is Side.HUBSPOT}
    assert told == set(written(result))
    assert any(c.side is Side.APP for c in result.changes) == (row.fills is not None)


def row_writes(row: Row) -> dict[int, str]:
    def spelt(word: str) -> str:
        kind, _, letters = word.partition(" ")
        return f"{kind} {''.join(sorted(letters))}".strip()

    return {far: spelt(word) for far, word in row.writes.items()}


# What a change says ---------------------------------------------------------------------

CHANGES = {
    "a moved primary is one relabel, not an unlink and a link": (
        Row(PRIMARY, app=[B], hubspot={A: "np"}, base={A: "np"}),
        [("hubspot", "relabel", B, {A})],
    ),
    "a moved plain link is two": (
        Row(DEFAULT, app=[B], hubspot={A: "n"}, base={A: "n"}),
        [("hubspot", "unlink", A, {A}), ("hubspot", "link", B, set())],
    ),
    "a filled field is a link": (
        Row(PRIMARY, hubspot={A: "np"}),
        [("app", "link", A, set())],
    ),
    "an overwritten field is a relabel": (
        Row(PRIMARY, app=[A], hubspot={B: "np"}, base={A: "np"}),
        [("app", "relabel", B, {A})],
    ),
    "an emptied field names what it held": (
        Row(PRIMARY, app=[A], base={A: "np"}),
        [("app", "unlink", A, {A})],
    ),
    "each member of a list is a change of its own": (
        Row(MANY, app=[A, B], hubspot={C: "n", D: "n"}, base={A: "n", B: "n"}),
        [
            ("app", "unlink", A, {A}),
            ("app", "unlink", B, {B}),
            ("app", "link", C, set()),
            ("app", "link", D, set()),
        ],
    ),
    "what is put back ends no baseline": (
        Row(DEFAULT, hubspot={A: "nu"}, base={A: "n"}),
        [("app", "link", A, set())],
    ),
}


@pytest.mark.parametrize(
    ("row", "expected"), [pytest.param(*r, id=n) for n, r in CHANGES.items()]
)
def test_changes_say_what_happens_and_which_baseline_ends(row, expected):
    result = run([row.rule], {"f": row.app}, row.hubspot, {"f": row.base})
    found = [(str(c.side), c.kind, c.far_key, set(c.ends)) for c in result.changes]
    assert found == expected
    assert all(c.reason.endswith(".") for c in result.changes)


# Several fields on one pair of objects --------------------------------------------------

P = rule("primary", key="p")
N = rule("default", key="n", many=True)
X = rule("label", key="x", many=True)
Y = rule("label", "y", key="y", many=True)


def test_two_labels_set_at_once_are_one_write_with_every_type():
    result = run(
        [X, Y], {"x": [A], "y": [A]}, {A: "npu"}, {"x": {}, "y": {}}, pending=[B]
    )
    assert written(result) == {A: "associate npuxy"}
    assert len(result.changes) == 2


def test_one_label_set_and_one_taken_off_are_one_write():
    result = run([X, Y], {"x": [A], "y": []}, {A: "nuy"}, {"x": {}, "y": {A: "nuy"}})
    assert written(result) == {A: "associate nux"}


def test_two_labels_taken_off_leave_the_plain_link_and_the_unmapped_label():
    result = run(
        [X, Y],
        {"x": [], "y": []},
        {A: "nuxy"},
        {"x": {A: "nuxy"}, "y": {A: "nuxy"}},
    )
    assert written(result) == {A: "unlabel xy"}


def test_a_label_on_the_former_primary_does_not_make_it_primary_again():
    result = run(
        [P, X],
        {"p": [B], "x": [A]},
        {A: "np", B: "n"},
        {"p": {A: "np"}, "x": {}},
    )
    assert written(result) == {A: "associate nx", B: "associate np"}


def test_a_label_added_keeps_the_primary_that_does_not_move():
    result = run([P, X], {"p": [A], "x": [A]}, {A: "np"}, {"p": {A: "np"}, "x": {}})
    assert written(result) == {A: "associate npx"}


def test_a_label_set_in_one_field_outlives_the_plain_link_cleared_in_another():
    result = run([N, X], {"n": [], "x": [A]}, {A: "n"}, {"n": {A: "n"}, "x": {}})
    assert written(result) == {A: "associate nx"}


def test_a_pair_that_goes_whole_is_planned_off_every_field_that_holds_it():
    bases: dict[str, Held | None] = {"n": {A: "npx"}, "p": {A: "npx"}, "x": {A: "npx"}}
    result = run([N, P, X], {"n": [], "p": [A], "x": [B, A]}, {A: "npx"}, bases)
    assert written(result) == {A: "dissociate", B: "associate nx"}
    assert result.app == {"p": (), "x": (B,)}
    took, *followed, new = sorted(result.changes, key=lambda c: (c.far_key, c.follows))
    assert (took.mapping_key, took.side, took.follows) == ("n", Side.HUBSPOT, False)
    assert [c.mapping_key for c in followed] == ["p", "x"]
    assert all((c.side, c.kind) == (Side.APP, "unlink") for c in followed)
    assert all(c.ends == {A} for c in followed)
    assert (new.mapping_key, new.far_key, new.kind) == ("x", B, "link")


def test_a_field_that_moves_off_a_pair_anyway_is_not_emptied_with_it():
    bases: dict[str, Held | None] = {"n": {A: "np"}, "p": {A: "np"}}
    result = run([N, P], {"n": [B], "p": [B]}, {A: "np"}, bases)
    assert written(result) == {A: "dissociate", B: "associate np"}
    assert result.app == {}
    assert not any(c.follows for c in result.changes)


@pytest.mark.parametrize("owner", [N, DEFAULT, replace(N, many=False)])
def test_a_pair_stays_for_a_field_that_cannot_be_told_of_its_end(owner):
    key = owner.key
    rules = [owner, to_hubspot(P)]
    bases: dict[str, Held | None] = {key: {A: "np"}, "p": {A: "np"}}
    result = run(rules, {key: [], "p": [A]}, {A: "np"}, bases)
    assert not result.changes
    assert [(n.mapping_key, n.far_key) for n in result.noted] == [(key, A)]
    assert result.base[key] == {A: types("np")}
    let_go = run(rules, {key: [], "p": []}, {A: "np"}, bases)
    assert written(let_go) == {A: "dissociate"}


def test_a_field_that_moved_on_lets_a_kept_pair_go_with_the_last_that_holds_it():
    rules = [DEFAULT, to_hubspot(P)]
    bases: dict[str, Held | None] = {"f": {A: "np", B: "n"}, "p": {A: "np"}}
    stays = run(rules, {"f": [B], "p": [A]}, {A: "np", B: "n"}, bases)
    assert not stays.changes
    assert stays.base["f"].keys() == {A, B}
    goes = run(rules, {"f": [B], "p": [B]}, {A: "np", B: "n"}, bases)
    assert written(goes) == {A: "dissociate", B: "associate np"}


def test_a_primary_takes_no_pair_along_that_a_plain_field_holds():
    takes = replace(TAKES_PAIR, key="p")
    bases: dict[str, Held | None] = {"n": {A: "np"}, "p": {A: "np"}}
    both = run([N, takes], {"n": [A], "p": []}, {A: "np"}, bases)
    assert written(both) == {A: "unlabel p"}
    alone = run([takes], {"p": []}, {A: "np"}, {"p": {A: "np"}})
    assert written(alone) == {A: "dissociate"}


def test_a_list_that_is_unknown_does_not_hold_up_the_other_fields():
    result = run([X, Y], {"x": None, "y": [A]}, {A: "nx"}, {"x": {A: "nx"}, "y": {}})
    assert written(result) == {A: "associate nxy"}
    assert set(result.base) == {"y"}


def test_each_field_has_a_direction_of_its_own():
    result = run(
        [to_app(X), to_hubspot(Y)],
        {"x": [B], "y": [B]},
        {A: "nxy"},
        {"x": {}, "y": {}},
    )
    assert written(result) == {B: "associate ny"}
    assert result.app == {"x": (B, A)}


def test_a_record_may_be_linked_to_its_own_kind_by_a_directed_label():
    # HubSpot's parent company: a type of HubSpot's own that is neither plain nor primary.
    parent, plain = AssociationType("HUBSPOT_DEFINED", 14), PLAIN
    held = {A: frozenset({parent, plain}), B: frozenset({plain})}
    result = merge(
        [MappingRule("f", parent, "label")],
        {"f": State(app=(B,), base={A: held[A]})},
        held,
        {A: Far(A, "paired"), B: Far(B, "paired")},
        plain=plain,
    )
    assert result.hubspot == [
        PairWrite(A, "unlabel", frozenset({parent})),
        PairWrite(B, "associate", frozenset({parent, plain})),
    ]


def test_custom_objects_are_linked_by_ids_that_only_the_account_knows():
    label, plain = AssociationType("USER_DEFINED", 71), AssociationType("WORK", 70)
    result = merge(
        [MappingRule("f", label, "label", many=True)],
        {"f": State(app=(A,), base={})},
        {B: frozenset({plain, label})},
        {A: Far(A, "paired"), B: Far(B, "paired")},
        plain=plain,
    )
    assert result.hubspot == [PairWrite(A, "associate", frozenset({label, plain}))]
    assert result.app == {"f": (A, B)}


# Types ----------------------------------------------------------------------------------


def listed(category: str, type_id: int, label: str | None) -> AssociationTypeInfo:
    return AssociationTypeInfo(category, type_id, label, "0-1", "0-2")


HD = "HUBSPOT_DEFINED"
LISTS = {
    "the usual id, among labels": (
        ("0-1", "0-2"),
        [
            listed("USER_DEFINED", 9, "x"),
            listed(HD, 1, "Primary"),
            listed(HD, 279, None),
        ],
        (HD, 279),
    ),
    "the usual id, where nothing was read yet": (("0-2", "0-1"), [], (HD, 280)),
    "the primary is not the plain type, even without a text": (
        ("0-1", "0-2"),
        [listed(HD, 1, None), listed(HD, 279, None)],
        (HD, 279),
    ),
    "a custom object's own id": (
        ("2-7", "0-1"),
        [listed("USER_DEFINED", 41, "x"), listed("USER_DEFINED", 40, None)],
        ("USER_DEFINED", 40),
    ),
    "none where the account lists none": (("2-7", "0-1"), [], None),
    "a retired usual id gives way to what the account lists": (
        ("0-1", "0-2"),
        [listed(HD, 1, None), listed(HD, 900, None)],
        (HD, 900),
    ),
}


@pytest.mark.parametrize(
    ("ends", "known", "expected"), [pytest.param(*r, id=n) for n, r in LISTS.items()]
)
def test_the_plain_type_is_known_by_id_and_never_by_text(ends, known, expected):
    here, there = ends
    found = plain_type(here, there, known)
    assert found == (None if expected is None else AssociationType(*expected))
    assert plain_type(here, there, list(reversed(known))) == found


def test_each_direction_has_a_primary_of_its_own_or_none():
    assert primary_type("0-1", "0-2") == AssociationType(HD, 1)
    assert primary_type("0-2", "0-1") == AssociationType(HD, 2)
    assert primary_type("0-1", "0-3") is None
    assert primary_type("2-7", "0-1") is None


@pytest.mark.parametrize("rule", [PRIMARY, DEFAULT], ids=["primary", "default"])
def test_a_field_that_moved_to_a_record_that_is_gone_is_named(rule):
    result = run([rule], {rule.key: [A]}, {}, {rule.key: {}}, invisible=[A])
    assert not result.hubspot
    assert not result.app
    noted = [(n.far_key, n.side, n.code) for n in result.noted]
    assert noted == [(A, Side.APP, "RECORD_GONE")]
