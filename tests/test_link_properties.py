"""What must hold of links whatever people link, and whatever HubSpot makes of it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import permutations, product
from random import Random
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from associations.engine.edges import (
    EdgeChange,
    Far,
    MappingRule,
    PairWrite,
    Result,
    State,
    Status,
    Types,
)
from associations.engine.links import merge
from connections.records import AssociationType, Side

pytestmark = pytest.mark.unit
thorough = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)

FARS = (1, 2, 3)
PLAIN = AssociationType("HUBSPOT_DEFINED", 279)
PRIMARY = AssociationType("HUBSPOT_DEFINED", 1)
X = AssociationType("USER_DEFINED", 31)
Y = AssociationType("USER_DEFINED", 33)
UNMAPPED = AssociationType("USER_DEFINED", 35)

# A small simulation -------------------------------------------------------------------


@dataclass
class HubSpot:
    """One record's links, with what HubSpot does by itself.

    `first_primary`: the first link becomes primary; `replaces`: a write of types takes
    the others off (the documented way), else it adds.
    """

    first_primary: bool = True
    replaces: bool = True
    edges: dict[int, set[AssociationType]] = field(default_factory=dict)
    hidden: dict[int, set[AssociationType]] = field(default_factory=dict)

    def associate(self, far: int, types: Iterable[AssociationType]) -> None:
        first = not self.edges and self.first_primary
        held = set() if self.replaces else self.edges.get(far, set())
        want = {*types, *held, PLAIN} | ({PRIMARY} if first else set())
        if PRIMARY in want:
            for others in (*self.edges.values(), *self.hidden.values()):
                others.discard(PRIMARY)
        self.edges[far] = want

    def unlabel(self, far: int, types: Iterable[AssociationType]) -> None:
        self.edges.get(far, set()).difference_update(types)

    def dissociate(self, far: int) -> None:
        self.edges.pop(far, None)

    def write(self, write: PairWrite) -> None:
        if write.kind == "associate":
            self.associate(write.far_key, write.types)
        elif write.kind == "unlabel":
            self.unlabel(write.far_key, write.types)
        else:
            self.dissociate(write.far_key)

    # What people do.

    def label(self, far: int, type_: AssociationType) -> None:
        self.associate(far, {*self.edges.get(far, set()), type_})

    def seen(self) -> dict[int, Types]:
        return {far: frozenset(types) for far, types in self.edges.items()}


@dataclass
class Record:
    """A paired record, its fields in the app, and what both sides had."""

    rules: tuple[MappingRule, ...]
    hubspot: HubSpot
    status: dict[int, Status]
    app: dict[str, list[int]] = field(default_factory=dict)
    base: dict[str, dict[int, Types]] = field(default_factory=dict)
    shape: str = "given"  # what the app makes of a list: kept, sorted, each one twice

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(r.key for r in self.rules)

    def rule(self, key: str) -> MappingRule:
        return next(r for r in self.rules if r.key == key)

    def fill(self, key: str, fars: Sequence[int]) -> None:
        each = list(dict.fromkeys(fars))
        many = self.rule(key).many
        if self.shape == "sorted":
            each.sort()
        self.app[key] = each * 2 if many and self.shape == "doubled" else each

    def states(self, *, unknown: Iterable[str] = ()) -> dict[str, State]:
        return {
            r.key: State(
                None if r.key in unknown else tuple(self.app.get(r.key, ())),
                self.base.get(r.key),
            )
            for r in self.rules
        }

    def plan(self, *, unknown: Iterable[str] = ()) -> Result:
        fars = {far: Far(far, self.status[far]) for far in FARS}
        states = self.states(unknown=unknown)
        return merge(self.rules, states, self.hubspot.seen(), fars, plain=PLAIN)

    def run(self) -> Result:
        """Plan, write, keep what both sides have now: one pass."""
        result = self.plan()
        self._keep(result)
        # Unlinks are sent first, then moves, then new links.
        kinds = {c.far_key: c.kind for c in hubspot_changes(result)}
        order = ("unlink", "relabel", "link")
        for write in sorted(
            result.hubspot, key=lambda w: order.index(kinds[w.far_key])
        ):
            self.hubspot.write(write)
        for key, fars in result.app.items():
            self.fill(key, fars)
        writes = {w.far_key: w.types for w in result.hubspot}
        for change in result.changes:
            base = self.base[change.mapping_key]
            for far in change.ends:
                base.pop(far, None)
            if change.kind != "unlink" and change.far_key is not None:
                sent = change.side is Side.HUBSPOT
                types = writes[change.far_key] if sent else change.types
                base.setdefault(change.far_key, types)
        return result

    def _keep(self, result: Result) -> None:
        """What stands whatever is written; what is being changed waits for its outcome."""
        for key, wanted in result.base.items():
            mine = [c for c in result.changes if c.mapping_key == key]
            changing = {f for c in mine for f in (*c.ends, c.far_key)}
            held = self.base.get(key, {})
            self.base[key] = {f: t for f, t in wanted.items() if f not in changing}
            self.base[key] |= {f: t for f, t in held.items() if f in changing}

    def settle(self, most: int = 3) -> Result:
        """A run as it is: a pass, and two more that read back what was written."""
        for _ in range(most):
            result = self.run()
            if not result.changes:
                break
        return result

    def held(self, key: str) -> set[int]:
        """The edges of HubSpot that a field stands for."""
        rule = self.rule(key)
        return {
            far
            for far, types in self.hubspot.edges.items()
            if rule.kind == "default" or rule.type in types
        }

    def snapshot(self) -> tuple[object, ...]:
        fields = {key: tuple(fars) for key, fars in self.app.items()}
        return self.hubspot.seen(), fields, {k: dict(b) for k, b in self.base.items()}


def hubspot_changes(result: Result) -> list[EdgeChange]:
    return [c for c in result.changes if c.side is Side.HUBSPOT]


def app_changes(result: Result) -> list[EdgeChange]:
    return [c for c in result.changes if c.side is Side.APP]


# What people do -----------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """One thing that somebody does on one side to one far record."""

    side: Side
    what: str
    far: int
    key: str = ""


def do(record: Record, edit: Edit) -> None:
    """Do it, where it can be done: a hidden record can be linked by nobody."""
    hubspot, far = record.hubspot, edit.far
    if edit.side is Side.HUBSPOT:
        if far in hubspot.hidden:
            return
        if edit.what == "unlink":
            hubspot.dissociate(far)
        elif edit.what == "plain":
            hubspot.associate(far, hubspot.edges.get(far, set()))
        elif edit.what.startswith("-"):
            hubspot.unlabel(far, {LABELS[edit.what[1:]]})
        else:
            hubspot.label(far, LABELS[edit.what])
        return
    held = record.app.get(edit.key, [])
    others = [f for f in held if f != far]
    if edit.what == "clear":
        record.fill(edit.key, others)
    elif record.rule(edit.key).many:
        record.fill(edit.key, [*others, far])
    else:
        record.fill(edit.key, [far])


LABELS = {"primary": PRIMARY, "x": X, "y": Y, "unmapped": UNMAPPED}
HUBSPOT_EDITS = ("plain", "unlink", *LABELS, "-primary", "-x")

# Strategies are made once and draw from lists: making one for every draw is slow.


@cache
def edits(
    keys: tuple[str, ...], most: int, *sides: Side
) -> st.SearchStrategy[list[Edit]]:
    there = [Edit(Side.HUBSPOT, what, far) for what in HUBSPOT_EDITS for far in FARS]
    here = [
        Edit(Side.APP, what, far, key)
        for key in keys
        for what in ("set", "clear")
        for far in FARS
    ]
    offered = {Side.HUBSPOT: st.sampled_from(there), Side.APP: st.sampled_from(here)}
    each = st.one_of(*(offered[side] for side in sides or tuple(Side)))
    return st.lists(each, min_size=1, max_size=most)


def all_rules(kind: str, type_: AssociationType) -> list[MappingRule]:
    primary = kind == "primary"  # a record has one: a list of them is no mapping
    return [
        MappingRule("f", type_, kind, many, direction, conflict, on_unlink)
        for many in ((False,) if primary else (False, True))
        for direction in ("two_way", "two_way", "to_hubspot", "to_app")
        for conflict in ("hubspot", "app")
        for on_unlink in (("keep_pair", "remove_pair") if primary else ("keep_pair",))
    ]


OFFERED = {
    "primary": all_rules("primary", PRIMARY),
    "default": all_rules("default", PLAIN),
    "x": all_rules("label", X),
    "y": all_rules("label", Y),
}
Rules = tuple[MappingRule, ...]
NAMED = {
    name: st.sampled_from([replace(rule, key=name) for rule in rules])
    for name, rules in OFFERED.items()
}
single = [r for name in ("primary", "default", "x") for r in OFFERED[name]]
ONE = st.sampled_from([(r,) for r in single])
TWO_WAY = st.sampled_from([(r,) for r in single if r.direction == "two_way"])


# Up to four fields on one pair of objects, each with a type of its own.
ANY = st.lists(st.sampled_from(list(OFFERED)), min_size=1, unique=True).flatmap(
    lambda names: st.tuples(*(NAMED[name] for name in names))
)
FAR_STATUS = ("paired", "paired", *get_args(Status))  # most of them are paired
MIXED = st.sampled_from(
    [
        dict(zip(FARS, each, strict=True))
        for each in product(FAR_STATUS, repeat=len(FARS))
    ]
)
PAIRED: dict[int, Status] = dict.fromkeys(FARS, "paired")
ALL_PAIRED = st.just(PAIRED)
LINKS = st.sampled_from(
    list(
        product(
            (
                (),
                (PLAIN,),
                (PLAIN, PRIMARY),
                (PLAIN, UNMAPPED),
                (PLAIN, X),
                (PLAIN, Y, UNMAPPED),
            ),
            repeat=len(FARS),
        )
    )
)
MEMBERS = st.sampled_from([m for n in range(3) for m in permutations(FARS, n)])
# Whether HubSpot makes the first link primary, whether a write of types takes the others
# off, and what the app makes of a list.
WAYS = st.sampled_from(
    list(product((False, True), (False, True), ("given", "sorted", "doubled")))
)


@st.composite
def records(
    draw: st.DrawFn,
    rules: st.SearchStrategy[Rules],
    statuses: st.SearchStrategy[Mapping[int, Status]] = MIXED,
    *,
    adds: bool = True,
) -> Record:
    """A record at its first sync, with links that people made on either side."""
    chosen = draw(rules)
    first, replacing, shape = draw(WAYS)
    hubspot = HubSpot(first, replacing or not adds)
    record = Record(chosen, hubspot, dict(draw(statuses)), shape=shape)
    for far, types in zip(FARS, draw(LINKS), strict=True):
        if types:
            hubspot.associate(far, types)
    for rule in chosen:
        held = draw(MEMBERS)
        record.fill(rule.key, held if rule.many else held[:1])
    return record


def runs(record: Record, data: st.DataObject) -> Iterator[None]:
    """Yield before every run: the first sync, and one after each lot of edits."""
    yield
    for _ in range(data.draw(RUNS)):
        for edit in data.draw(edits(record.keys, 3)):
            do(record, edit)
        yield


RUNS = st.integers(1, 3)
SEEDS = st.integers(0, 9999)


# Converging, and then nothing ---------------------------------------------------------


@thorough
@given(record=records(ANY, adds=False), data=st.data())
def test_a_run_settles_and_the_next_one_writes_nothing(record, data):
    for _ in runs(record, data):
        record.settle(5)
        before = record.snapshot()
        again = record.run()
        assert not again.changes
        assert not again.hubspot
        assert not again.app
        assert record.snapshot() == before


@thorough
@given(record=records(ONE), data=st.data())
def test_one_field_settles_in_three_passes(record, data):
    for _ in runs(record, data):
        record.settle(3)
        assert not record.plan().changes


@thorough
@given(record=records(TWO_WAY, ALL_PAIRED), data=st.data())
def test_both_sides_end_with_the_same(record, data):
    for _ in runs(record, data):
        result = record.settle()
        held, app = record.held("f"), record.app.get("f", [])
        if record.rule("f").many:
            assert set(app) == held
        elif result.failing:
            assert len(held) > 1
        else:
            assert set(app) <= held
            assert bool(app) == bool(held)


@thorough
@given(rules=TWO_WAY, first=st.booleans(), data=st.data())
def test_runs_in_between_do_not_change_where_the_apps_edits_lead(rules, first, data):
    def end(between: Sequence[bool]) -> Record:
        record = Record(rules, HubSpot(first), dict(PAIRED))
        record.settle()
        for edit, run in zip(made, between, strict=True):
            do(record, edit)
            if run:
                record.settle()
        record.settle()
        return record

    made = data.draw(edits(("f",), 5, Side.APP))
    runs = data.draw(st.lists(st.booleans(), min_size=len(made), max_size=len(made)))
    one, other = end(runs), end([False] * len(made))
    assert set(one.app.get("f", ())) == set(other.app.get("f", ()))
    assert one.held("f") == other.held("f")
    (rule,) = rules
    if rule.kind == "default" or rule.on_unlink == "remove_pair":
        assert set(one.hubspot.edges) == one.held("f")


# No echo ------------------------------------------------------------------------------


@thorough
@given(record=records(ONE), data=st.data())
def test_what_one_side_did_is_never_sent_back_to_it(record, data):
    record.settle()
    for edit in data.draw(edits(record.keys, 5)):
        do(record, edit)
        before = edit.far in record.app.get("f", ()), edit.far in record.held("f")
        for _ in range(4):  # nor what the other side made of it
            plan = record.run()
            back = [c for c in plan.changes if c.side is edit.side]
            if edit.side is Side.APP and any(
                c.rule == "conflict: hubspot" for c in back
            ):
                before = True, before[1]  # HubSpot gave the pair a label meanwhile
                continue
            assert edit.far not in {f for c in back for f in (*c.ends, c.far_key)}
        if edit.side is Side.APP:
            assert (edit.far in record.app["f"]) == before[0]
        else:
            assert (edit.far in record.held("f")) == before[1]


# Order --------------------------------------------------------------------------------


@thorough
@given(record=records(ANY), data=st.data())
def test_no_order_of_links_fields_or_records_changes_a_decision(record, data):
    for _ in runs(record, data):
        record.settle()
    for edit in data.draw(edits(record.keys, 3)):
        do(record, edit)
    shuffled = Random(data.draw(SEEDS))

    def mixed(given: dict[Any, Any]) -> dict[Any, Any]:
        return dict(shuffled.sample(list(given.items()), len(given)))

    before = record.snapshot()
    fars = {far: Far(far, record.status[far]) for far in FARS}
    one = record.plan()
    other = merge(
        shuffled.sample(record.rules, len(record.rules)),
        mixed(
            {
                key: State(
                    state.app, None if state.base is None else mixed(dict(state.base))
                )
                for key, state in record.states().items()
            }
        ),
        mixed(record.hubspot.seen()),
        mixed(fars),
        plain=PLAIN,
    )
    assert record.snapshot() == before  # and a decision changes nothing by itself
    assert set(one.changes) == set(other.changes)
    assert set(one.hubspot) == set(other.hubspot)
    assert one.base == other.base
    assert set(one.pending) == set(other.pending)
    assert set(one.failing) == set(other.failing)
    assert {k: sorted(v) for k, v in one.app.items()} == {
        k: sorted(v) for k, v in other.app.items()
    }


# Direction ----------------------------------------------------------------------------


@thorough
@given(record=records(ANY), data=st.data())
def test_a_one_way_field_never_writes_to_the_side_it_reads(record, data):
    for _ in runs(record, data):
        plan = record.run()
        writes = {"to_app": {Side.APP}, "to_hubspot": {Side.HUBSPOT}}
        for change in plan.changes:
            direction = record.rule(change.mapping_key).direction
            assert change.side in writes.get(direction, set(Side))
        assert all(record.rule(key).direction != "to_hubspot" for key in plan.app)
        told = {c.far_key for c in hubspot_changes(plan)}
        assert {w.far_key for w in plan.hubspot} == told


# Types --------------------------------------------------------------------------------


@thorough
@given(record=records(ANY), data=st.data())
def test_there_is_one_primary_at_most_and_none_without_the_plain_link(record, data):
    for _ in runs(record, data):
        plan = record.run()
        written = [w for w in plan.hubspot if w.kind == "associate"]
        assert len({w.far_key for w in plan.hubspot}) == len(plan.hubspot)
        assert all(PLAIN in w.types for w in written)
        assert sum(PRIMARY in w.types for w in written) <= 1
        # A label written in passing makes no record primary that was not.
        moved = [c for c in hubspot_changes(plan) if c.mapping_key == "primary"]
        if any(PRIMARY in w.types for w in written) and moved:
            (led,) = (w.far_key for w in written if PRIMARY in w.types)
            assert PRIMARY in record.hubspot.edges[led]


@thorough
@given(record=records(ANY), data=st.data())
def test_types_that_no_field_names_stay_on_their_pair(record, data):
    """Only a plain link that a person takes away in the app takes the pair with it."""
    mapped = {r.type for r in record.rules}
    owned = any(r.kind == "default" for r in record.rules)
    for _ in runs(record, data):
        before, base = record.hubspot.seen(), copy.deepcopy(record.base)
        record.run()
        after = record.hubspot.seen()
        for far, types in before.items():
            lost = types - after.get(far, frozenset()) - mapped
            if PRIMARY in lost:  # HubSpot has made another one primary
                lost -= {PRIMARY} if far in after else set()
            if not lost:
                continue
            if owned:
                rule = record.rule("default")
                asked = rule.direction == "two_way" and rule.conflict == "hubspot"
                assert far in base["default"]
                assert not asked or lost <= base["default"][far]
            else:
                # The pair was asked to go with its primary, and nothing else was on it.
                assert lost == {PLAIN}
                assert record.rule("primary").on_unlink == "remove_pair"
                assert far in base["primary"]
                assert types == {PLAIN, PRIMARY}


# Removing -----------------------------------------------------------------------------


@thorough
@given(record=records(ANY), data=st.data())
def test_only_an_edge_that_both_sides_had_is_removed(record, data):
    for _ in runs(record, data):
        base = copy.deepcopy(record.base)
        plan = record.run()
        for change in plan.changes:
            assert change.ends <= base.get(change.mapping_key, {}).keys()
            if change.kind == "unlink":
                assert {change.far_key} == change.ends
                assert record.status[change.far_key or 0] == "paired"
        for write in plan.hubspot:
            if write.kind != "associate":
                mine = [c for c in plan.changes if c.far_key == write.far_key]
                assert any(c.kind == "unlink" for c in mine)


@thorough
@given(record=records(TWO_WAY, ALL_PAIRED), data=st.data())
def test_an_edge_that_one_side_lost_goes_from_the_other(record, data):
    record.settle()
    for (edit,) in data.draw(st.lists(edits(record.keys, 1), max_size=4)):
        had = set(record.base["f"])
        do(record, edit)
        kept = had & set(record.app["f"]) & record.held("f")
        ambiguous = record.settle().failing
        after = set(record.app["f"]) | record.held("f")
        assert ambiguous or not (had - kept) & after


@thorough
@given(record=records(ANY))
def test_a_first_sync_removes_nothing(record):
    links = record.hubspot.seen()
    fields = copy.deepcopy(record.app)
    plan = record.run()
    assert all(c.kind != "unlink" for c in plan.changes)
    assert all(w.kind == "associate" for w in plan.hubspot)
    assert record.hubspot.edges.keys() >= links.keys()
    for key, fars in fields.items():
        assert not fars or record.app[key]
        if record.rule(key).many:
            assert set(record.app[key]) >= set(fars)


@thorough
@given(record=records(ANY), data=st.data())
def test_what_waits_or_cannot_be_seen_is_never_removed(record, data):
    for _ in runs(record, data):
        links, fields = record.hubspot.seen(), copy.deepcopy(record.app)
        plan = record.run()
        unsure = {far for far in FARS if record.status[far] != "paired"}
        assert not unsure & {w.far_key for w in plan.hubspot}
        assert {f: t - {PRIMARY} for f, t in links.items() if f in unsure} == {
            f: t - {PRIMARY} for f, t in record.hubspot.seen().items() if f in unsure
        }
        for key, fars in fields.items():
            if record.rule(key).many:
                assert set(record.app[key]) & unsure == set(fars) & unsure
        for waiting in plan.pending:
            assert record.status[waiting.far_key] == "pending"
            assert record.rule(waiting.mapping_key).lets(waiting.side.other)


@thorough
@given(record=records(ANY, ALL_PAIRED), far=st.sampled_from(FARS), data=st.data())
def test_what_vanished_with_its_end_does_not_travel_nor_when_that_is_back(
    record, far, data
):
    """An archived record hides its links, a deleted row empties the fields it was in."""
    record.settle(6)
    assume(not record.plan().changes)
    links, fields = record.hubspot.seen(), copy.deepcopy(record.app)
    record.status[far] = "invisible"
    archived = data.draw(st.booleans())
    if archived:
        record.hubspot.dissociate(far)
    else:
        for key, fars in record.app.items():
            record.app[key] = [f for f in fars if f != far]
    for _ in range(2):
        plan = record.run()
        assert all(c.kind != "unlink" for c in plan.changes)
        assert far not in {c.far_key for c in plan.changes}
    if not archived:
        assert record.hubspot.seen().get(far) == links.get(far)
    record.status[far] = "paired"
    plan = record.run()
    assert all(c.kind != "unlink" for c in plan.changes)
    record.settle(5)
    for rule in record.rules:
        both = far in fields.get(rule.key, ()) and _is_edge(rule, links.get(far))
        if both and rule.many and rule.direction == "two_way":
            assert far in record.app[rule.key]
            assert far in record.held(rule.key)


@thorough
@given(record=records(ANY), data=st.data())
def test_what_is_not_shown_whole_is_left_alone_and_judged_later(record, data):
    for _ in runs(record, data):
        record.settle()
    for edit in data.draw(edits(record.keys, 3)):
        do(record, edit)
    hidden = set(data.draw(st.lists(st.sampled_from([r.key for r in record.rules]))))
    plan = record.plan(unknown=hidden)
    assert not hidden & {c.mapping_key for c in plan.changes}
    assert not hidden & {*plan.app, *plan.base}
    others = {r.key for r in record.rules} - hidden
    assert {k: v for k, v in record.plan().base.items() if k in others} == plan.base
    fars = {far: Far(far, record.status[far]) for far in FARS}
    assert merge(record.rules, record.states(), None, fars, plain=PLAIN) == Result()


def _is_edge(rule: MappingRule, types: Types | None) -> bool:
    return types is not None and (rule.kind == "default" or rule.type in types)
