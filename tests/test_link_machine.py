"""Links under whatever people and networks do, in any order, to every kind of mapping.

Several mappings share each pair: the primary company, plain links, a label, and a join
table whose rows carry labels, each with a direction and a rule of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from associations.engine.edges import MappingRule, PairWrite, Result, Status, Types
from connections.catalogue import Code
from connections.records import AssociationType, Side
from tests.link_model import (
    PLAIN,
    PRIMARY,
    UNMAPPED,
    Fault,
    Office,
    Ways,
    X,
    Y,
)

CONTACTS, FARS = (1, 2), (11, 12, 13)
TYPES = {"plain": PLAIN, "primary": PRIMARY, "x": X, "y": Y, "unmapped": UNMAPPED}
DIRECTIONS = ("two_way", "two_way", "to_hubspot", "to_app")
WINNERS = ("hubspot", "app")


def offered(key: str) -> list[MappingRule]:
    kind, type_ = {
        "primary": ("primary", PRIMARY),
        "default": ("default", PLAIN),
        "label": ("label", Y),
        "rows": ("labels", PLAIN),
    }[key]
    manys = {"primary": (False,), "rows": (True,)}.get(key, (False, True))
    ranked = (X,) if key == "rows" else ()
    return [
        MappingRule(
            key,
            type_,
            kind,
            many,
            direction,
            conflict,
            on_unlink,
            also=frozenset(ranked),
            ranked=ranked,
        )
        for many in manys
        for direction in DIRECTIONS
        for conflict in WINNERS
        for on_unlink in (
            ("keep_pair", "remove_pair") if key == "primary" else ("keep_pair",)
        )
    ]


OFFERED = {key: offered(key) for key in ("primary", "default", "label", "rows")}
WAYS = [
    Ways(*each)
    for each in product(
        ("every_path", "default_writes", "never"),
        ("replace", "add"),
        ("drop", "keep"),
        ("demote", "refuse"),
        ("leaves_plain", "removes_pair"),
    )
]
OUTCOMES: tuple[Fault, ...] = (
    *("ok", "ok", "ok", "refused"),
    *("lost", "unanswered", "killed", "killed after"),
)
STATUS: tuple[Status, ...] = ("paired", "paired", "paired", "pending", "excluded")
# What happens in a step is drawn from a seed: drawn one by one, most stories are too dull
# to move a link.
SEEDS = st.integers(0, 10**9)


@dataclass(frozen=True)
class Edit:
    """One thing that somebody does: on a side, to one link, or to a company itself."""

    side: Side | None
    what: str
    far: int
    contact: int = 1
    field: int = 0


IN_HUBSPOT = ("plain", "unlink", *TYPES, "-primary", "-x", "-y", "-unmapped")
ALL_EDITS = [
    *(
        Edit(Side.HUBSPOT, what, far, contact)
        for what in IN_HUBSPOT
        for far in FARS
        for contact in CONTACTS
    ),
    *(
        Edit(Side.APP, what, far, contact, field)
        for what in ("plain", "x", "unlink")
        for far in FARS
        for contact in CONTACTS
        for field in range(4)
    ),
    *(Edit(None, what, far) for what in ("arrive", "exclude") for far in FARS),
]


class Links(RuleBasedStateMachine):
    """People and runs, in any order."""

    office: Office

    @initialize(seed=SEEDS)
    def begin(self, seed: int) -> None:
        drawn = Random(seed)
        keys = drawn.sample(list(OFFERED), drawn.randint(1, len(OFFERED)))
        rules = [drawn.choice(OFFERED[key]) for key in keys]
        status = {far: drawn.choice(STATUS) for far in FARS}
        self.office = Office(rules, drawn.choice(WAYS), CONTACTS, status)
        # Who made a link, as far as people did: (contact, far record, type).
        self.made: set[tuple[int, int, AssociationType]] = set()

    # People ---------------------------------------------------------------------------

    @rule(seed=SEEDS)
    def people_work(self, seed: int) -> None:
        drawn = Random(seed)
        for edit in drawn.choices(ALL_EDITS, k=drawn.randint(1, 8)):
            if edit.side is None:
                self._turn(edit)
            elif edit.side is Side.HUBSPOT:
                self._in_hubspot(edit)
            else:
                self._in_app(edit)

    def _turn(self, edit: Edit) -> None:
        """A missing record is paired; one leaves its filter, or is back in scope."""
        known = self.office.status[edit.far]
        if edit.what == "arrive":
            self.office.status[edit.far] = "paired"
        elif known == "paired":
            self.office.status[edit.far] = "excluded"

    def _in_hubspot(self, edit: Edit) -> None:
        hubspot, at = self.office.hubspot, (edit.contact, edit.far)
        if edit.what == "unlink":
            hubspot.unlink(*at)
        elif edit.what.startswith("-"):
            hubspot.take_off(*at, TYPES[edit.what[1:]])
        else:
            types = {TYPES[edit.what]} - {PLAIN}
            hubspot.link(*at, types)
            self.made |= {(*at, t) for t in {PLAIN, *types}}

    def _in_app(self, edit: Edit) -> None:
        mapping = self.office.rules[edit.field % len(self.office.rules)]
        mine, far = self.office.contacts[edit.contact], edit.far
        held = mine.fields.get(mapping.key, [])
        others = [k for k in held if k != far]
        if mapping.kind == "labels" and edit.what == "unlink":
            mine.rows.pop(far, None)
        elif mapping.kind == "labels":
            had = mine.rows.get(far, frozenset()) | {TYPES[edit.what]}
            mine.rows[far] = had - {PLAIN} or had
            self.made |= {(edit.contact, far, t) for t in (TYPES[edit.what], PLAIN)}
        elif edit.what == "unlink":
            mine.fields[mapping.key] = others
        else:
            mine.fields[mapping.key] = [*(others if mapping.many else ()), far]
            self.made |= {(edit.contact, far, t) for t in (mapping.type, PLAIN)}

    # Runs -----------------------------------------------------------------------------

    @rule(seed=SEEDS)
    def run_badly(self, seed: int) -> None:
        drawn = Random(seed)
        self._run(drawn.choices(OUTCOMES, k=6), drawn.sample(CONTACTS, len(CONTACTS)))

    @rule(seed=SEEDS)
    def run(self, seed: int) -> None:
        """Without faults one run is enough: the next has nothing to do."""
        order = Random(seed).sample(CONTACTS, len(CONTACTS))
        self._run((), order)
        before = self.office.snapshot()
        for contact in CONTACTS:
            result = self.office.plan(contact)
            assert not result.changes
            assert not result.hubspot
            waiting = {p.far_key for p in result.pending if p.code != Code.CONFLICT}
            assert all(self.office.status[far] == "pending" for far in waiting)
            self._agrees(contact, result)
        self._run((), order)
        assert self.office.snapshot() == before

    def _run(self, faults: Iterable[Fault], order: Sequence[int]) -> None:
        hidden = {k for k, s in self.office.status.items() if s != "paired"}
        before, theirs = self._at(hidden), self._theirs()
        self.allowed: set[tuple[int, int]] = set()
        self.office.run(faults, self._look, order)
        if faults and self.office.hubspot.ways.primary_archive == "removes_pair":
            return  # the next run puts back what a process that died took along
        assert self._at(hidden) == before
        assert theirs - self._theirs() <= self.allowed

    def _look(self, contact: int, result: Result) -> None:
        """What is planned is one write a pair, and lets nobody be primary twice."""
        writes = [w.far_key for w in result.hubspot]
        assert len(set(writes)) == len(writes)
        assert (
            sum(PRIMARY in w.types for w in result.hubspot if w.kind == "associate")
            <= 1
        )
        for write in result.hubspot:
            self._asked_for(contact, write, result)
        for change in result.changes:
            assert self.office.rule(change.mapping_key).lets(change.side)
            base = self.office.contacts[contact].base.get(change.mapping_key, {})
            assert change.ends <= base.keys()
            if change.kind == "unlink" and change.mapping_key == "default":
                self._may_go(contact, change.far_key or 0, base)

    def _asked_for(self, contact: int, write: PairWrite, result: Result) -> None:
        """A type leaves a pair because a mapping of its own lost the link there, or as a
        primary that moves; the plain one only where that mapping owns the pair."""
        held = self.office.hubspot.of(contact).get(write.far_key, frozenset())
        lost = {
            "associate": held - write.types,
            "unlabel": held & write.types,
            "dissociate": held,
        }[write.kind]
        may: set[AssociationType] = set()
        for change in result.changes:
            mapping = self.office.rule(change.mapping_key)
            over = write.far_key in change.ends or change.kind == "relabel"
            mine = change.far_key == write.far_key or over
            if change.side is Side.HUBSPOT and mine and over:
                may |= mapping.types - {PLAIN}
                if mapping.kind == "default":
                    may |= held
                elif mapping.on_unlink == "remove_pair" or mapping.kind == "labels":
                    may |= {PLAIN}
        if any(PRIMARY in w.types for w in result.hubspot if w is not write):
            may.add(PRIMARY)
        assert lost <= may

    def _may_go(self, contact: int, far: int, base: Mapping[int, Types]) -> None:
        """A plain link that the app took off owns its pair, and what was on it then."""
        mapping = self.office.rule("default")
        wins = mapping.conflict == "hubspot" and mapping.lets(Side.APP)
        if not wins or UNMAPPED in base.get(far, ()):
            self.allowed.add((contact, far))

    def _theirs(self) -> set[tuple[int, int]]:
        """Pairs that carry a label which nobody maps."""
        pairs = self.office.hubspot.pairs
        return {ends for ends, types in pairs.items() if UNMAPPED in types}

    def _at(self, hidden: set[int]) -> object:
        """What there is of links to records that we cannot write about: HubSpot alone
        moves a primary, and a field that holds one may come to hold another."""
        pairs = {
            ends: frozenset(types - {PRIMARY})
            for ends, types in self.office.hubspot.pairs.items()
            if ends[1] in hidden
        }
        held = {
            (contact, r.key): [
                k for k in self.office.held(contact, r.key) if k in hidden
            ]
            for contact in CONTACTS
            for r in self.office.rules
            if r.many
        }
        return pairs, held

    def _agrees(self, contact: int, result: Result) -> None:
        """Both sides have the same links of a mapping that goes both ways."""
        there = self.office.hubspot.of(contact)
        failing = {f.mapping_key for f in result.failing}
        for mapping in self.office.rules:
            known = {k for k, s in self.office.status.items() if s == "paired"}
            held = set(self.office.held(contact, mapping.key)) & known
            shown = {k for k, t in there.items() if mapping.counts(t)} & known
            noted = {n.far_key for n in result.noted if n.mapping_key == mapping.key}
            waits = {p.mapping_key for p in result.pending}
            if mapping.direction != "two_way" or mapping.key in failing:
                continue
            if mapping.kind != "labels":
                assert all(self._held_for_good(contact, far) for far in noted)
            if mapping.kind == "labels":
                # A blank row and a link whose labels nobody maps are taken for equal.
                assert held <= there.keys()
                assert shown - noted <= held
            elif mapping.many:
                assert held == shown - noted
            elif mapping.key not in waits:
                assert held <= shown

    def _held_for_good(self, contact: int, far: int) -> bool:
        """Whether a field that is never written holds a record."""
        return any(
            far in self.office.held(contact, r.key)
            for r in self.office.rules
            if not r.lets(Side.APP)
        )

    # Always ---------------------------------------------------------------------------

    @precondition(lambda self: hasattr(self, "office"))
    @invariant()
    def one_primary_and_no_link_that_nobody_made(self) -> None:
        for contact in CONTACTS:
            there = self.office.hubspot.of(contact)
            assert sum(PRIMARY in types for types in there.values()) <= 1
            for far, types in there.items():
                assert PLAIN in types
                for type_ in types - {PRIMARY}:
                    assert (contact, far, type_) in self.made
            for mapping in self.office.rules:
                held = self.office.held(contact, mapping.key)
                assert len(set(held)) == len(held)
                assert all((contact, far, PLAIN) in self.made for far in held)


Links.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLinks = pytest.mark.unit(Links.TestCase)
STORIES = 1600  # a step draws ever new seeds here, where hypothesis likes the same few


def tell(seed: int) -> None:
    drawn, links = Random(seed), Links()
    links.begin(seed)
    for _ in range(drawn.randint(3, 12)):
        step = drawn.choice(
            [links.people_work, links.people_work, links.run, links.run_badly]
        )
        step(drawn.getrandbits(32))
        links.one_primary_and_no_link_that_nobody_made()
    links.office.status = dict.fromkeys(FARS, "paired")
    links.run(seed)


@pytest.mark.unit
@pytest.mark.parametrize("first", range(0, STORIES, STORIES // 4))
def test_every_story_ends_with_both_sides_in_step(first):
    for seed in range(first, first + STORIES // 4):
        try:
            tell(seed)
        except AssertionError as exc:
            raise AssertionError(f"seed {seed}") from exc


@pytest.mark.unit
@pytest.mark.parametrize("died", range(4))
@pytest.mark.parametrize("second_primary", ["demote", "refuse"])
@pytest.mark.parametrize("to", [None, 12])
def test_a_process_that_dies_beside_a_primary_loses_no_other_type(
    to, second_primary, died
):
    mapping = MappingRule("primary", PRIMARY, "primary")
    ways = Ways(second_primary=second_primary, primary_archive="removes_pair")
    office = Office([mapping], ways, (1,), dict.fromkeys(FARS, "paired"))
    office.hubspot.link(1, 11, {PRIMARY, UNMAPPED})
    office.contacts[1].fields["primary"] = [11]
    office.run()
    office.contacts[1].fields["primary"] = [] if to is None else [to]
    faults: list[Fault] = ["ok"] * died
    office.run([*faults, "killed"])
    office.run()
    ends = office.hubspot.of(1)
    assert ends.get(11) == frozenset({PLAIN, UNMAPPED})
    assert ends.get(12) == (None if to is None else frozenset({PLAIN, PRIMARY}))
    before = office.snapshot()
    office.run()
    assert office.snapshot() == before


@pytest.mark.unit
@pytest.mark.parametrize("second", ["list", "label"])
@pytest.mark.parametrize("died", ["killed", "killed after"])
@pytest.mark.parametrize("ways", WAYS)
def test_what_the_run_itself_took_off_does_not_come_back_with_the_former_primary(
    ways, died, second
):
    kind, type_ = {"list": ("default", PLAIN), "label": ("label", Y)}[second]
    rules = [
        MappingRule("primary", PRIMARY, "primary"),
        MappingRule(second, type_, kind, many=True),
    ]
    for faults in ((), ("ok", died), ("ok", "ok", died)):
        office = Office(rules, ways, (1,), dict.fromkeys(FARS, "paired"))
        office.hubspot.link(1, 11, {PRIMARY, type_})
        office.contacts[1].fields = {"primary": [11], second: [11]}
        office.run()
        office.contacts[1].fields = {"primary": [12], second: [12]}
        office.run(faults)
        office.run()
        ends = office.hubspot.of(1)
        assert ends[12] == frozenset({PLAIN, PRIMARY, type_})
        left: set[Types | None] = {None if second == "list" else frozenset({PLAIN})}
        if ways.primary_archive == "removes_pair":
            left.add(None)  # an account may have no plain link without its primary
        assert ends.get(11) in left
        assert office.contacts[1].fields == {"primary": [12], second: [12]}


@pytest.mark.unit
def test_a_pair_kept_for_another_field_goes_with_that_ones_link():
    rules = [
        MappingRule("one", PLAIN, "default"),
        MappingRule("label", Y, "label", many=True, direction="to_hubspot"),
    ]
    ways = Ways(first_link_primary="never")
    office = Office(rules, ways, (1,), dict.fromkeys(FARS, "paired"))
    office.hubspot.link(1, 11, {Y})
    office.contacts[1].fields = {"one": [11], "label": [11]}
    office.run()
    office.contacts[1].fields["one"] = [12]
    result = office.plan(1)
    assert [(c.kind, c.far_key, c.rule) for c in result.changes] == [
        ("link", 12, "app moved")
    ]
    office.run()
    assert office.hubspot.of(1).keys() == {11, 12}
    office.contacts[1].fields["label"] = []
    office.run()
    assert office.hubspot.of(1) == {12: frozenset({PLAIN})}
