"""What the merge of links works on: rules, states, results; one write a pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from associations.engine.types import ONE_PRIMARY, PRIMARIES
from connections.records import AssociationType, Side

Types = frozenset[AssociationType]
Status = Literal["paired", "pending", "invisible", "excluded"]
HIDDEN = ("invisible", "excluded")  # edges there stay as they are
Kind = Literal["link", "unlink", "relabel"]
NO_TYPES: Types = frozenset()
Part = tuple[Types, Types]  # what one mapping puts on a pair, and what it takes off


@dataclass(frozen=True, slots=True)
class MappingRule:
    """One association mapping.

    `kind` is "primary", "default" (the plain type, which owns the pair), "label", or
    "labels": each row of a join table says by its label which of `ranked` it is;
    `also` are further types of a list: a link of the app's puts all of them on a pair, a
    pair that carries any of them counts for the field, and an unlink takes all off;
    `many` says whether the app's field holds several; `direction` and `conflict` (hubspot,
    app or review) as in the set-up file; `on_unlink` is "keep_pair" or "remove_pair".
    """

    key: str
    type: AssociationType
    kind: str
    many: bool = False
    direction: str = "two_way"
    conflict: str = "hubspot"
    on_unlink: str = "keep_pair"
    also: Types = NO_TYPES
    ranked: tuple[AssociationType, ...] = ()
    single: bool = False  # the join table holds one row a pair

    @property
    def types(self) -> Types:
        """Every type that the app's link puts on a pair."""
        return self.also | {self.type}

    def counts(self, held: Types) -> bool:
        """Whether a pair that carries these types is a link of the field."""
        if self.kind == "labels":
            return bool(held) and bool(self.edge(held))
        return self.kind == "default" or not self.types.isdisjoint(held)

    def edge(self, held: Types) -> Types:
        """What rows a pair that carries these types stands for: its mapped labels, else
        the plain type unless another label is on it, which writes no row."""
        named = held & frozenset(self.ranked) - {self.plain}
        if named or not held - PRIMARIES - {self.plain}:
            return named or (held and frozenset({self.plain}))
        return NO_TYPES

    @property
    def plain(self) -> AssociationType:
        """The plain type, of a mapping of labels: it is the first of its types."""
        return self.type

    def lets(self, side: Side) -> bool:
        """Whether links may be written to a side."""
        return self.direction in ("two_way", f"to_{side}")


@dataclass(frozen=True, slots=True)
class Far:
    """A record at the other end: paired, pending (not paired yet), invisible (gone, not
    synced) or excluded (outside of its sync's filters).

    What a record loses with an end that is gone is no removal; what a person removes
    while an end is excluded is one, and travels once the end is in scope again."""

    key: int
    status: Status


@dataclass(frozen=True, slots=True)
class State:
    """One mapping's field: `app`, the far records it holds in order (None: unknown);
    `base`, the edges both sides had with the types they carried (None: first sync);
    `apart`, edges that an undo left on one side, which no one has changed since; `hidden`,
    edges that the far record's own field stands for (one link that both ends see);
    `refused`, edges that must not be written to a side, each with its code and why.

    An edge of the baseline without any type is one that a side lost while its end was
    gone: once that is back, the edge counts as new wherever it still is.

    Of a mapping of labels: `labels`, the types that the rows of each far record say;
    `odd`, the labels of its rows that mean no type; `differ`, by what types the sides of
    an edge that stands apart differ.
    """

    app: tuple[int, ...] | None
    base: Mapping[int, Types] | None
    apart: Mapping[int, Side] = field(default_factory=dict)
    labels: Mapping[int, Types] = field(default_factory=dict)
    odd: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    differ: Mapping[int, Types] = field(default_factory=dict)
    hidden: frozenset[int] = frozenset()
    refused: Mapping[tuple[int, Side], tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EdgeChange:
    """One change of one edge on one side.

    `ends` are edges of the baseline that are over once this is written; `types` what
    HubSpot has on the edge. Of a mapping of labels: `rows`, the types whose rows the app
    is to have, and `base`, what both sides have in common once this is written. One that
    `follows` is to be written only once another mapping's unlink took the pair off
    HubSpot.
    """

    mapping_key: str
    side: Side
    kind: Kind
    far_key: int | None
    reason: str
    rule: str
    ends: frozenset[int] = frozenset()
    types: Types = NO_TYPES
    rows: Types | None = None
    base: Types | None = None
    follows: bool = False


@dataclass(frozen=True, slots=True)
class PairWrite:
    """The one write to a pair in HubSpot: associate with the complete set of types,
    dissociate, or unlabel (take only these types off).

    `off` are types that an associate leaves out: an account that adds what is written to
    what stands must be told to take them off. `parts` are what each mapping puts on the
    pair and takes off it, by its key: some of them may have to go without the others."""

    far_key: int
    kind: Literal["associate", "dissociate", "unlabel"]
    types: Types
    off: Types = NO_TYPES
    parts: Mapping[str, Part] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Pending:
    """An edge that `side` has and that waits until its far record is paired, or
    (`Result.skipped`) in scope again.

    With a `code`, it waits for what `message` says.
    """

    mapping_key: str
    far_key: int
    side: Side
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Failing:
    """An edge, or a whole field (`far_key` None), that cannot be decided."""

    mapping_key: str
    far_key: int | None
    code: str
    message: str


@dataclass
class Result:
    """What is to be done. `app` holds the complete list to write by mapping; `base` the
    edges that stand as the baseline whatever is written (a mapping that is not in it
    could not be judged: its baseline stays as it is); `apart` those that still stand
    apart; `skipped` the edges to excluded records that would change something; `noted`
    edges that stay as they are, because of what `message` says."""

    changes: list[EdgeChange] = field(default_factory=list)
    hubspot: list[PairWrite] = field(default_factory=list)
    app: dict[str, tuple[int, ...]] = field(default_factory=dict)
    base: dict[str, dict[int, Types]] = field(default_factory=dict)
    apart: dict[str, frozenset[int]] = field(default_factory=dict)
    pending: list[Pending] = field(default_factory=list)
    skipped: list[Pending] = field(default_factory=list)
    noted: list[Pending] = field(default_factory=list)
    failing: list[Failing] = field(default_factory=list)


class Pairs:
    """Collects what the mappings want of each pair, so that one write does it all."""

    def __init__(self, held: Mapping[int, Types], plain: AssociationType) -> None:
        self._held = held
        self.plain = plain
        self._added: dict[int, set[AssociationType]] = {}
        self._removed: dict[int, set[AssociationType]] = {}
        self._led: dict[AssociationType, int] = {}  # where a primary goes
        self._parts: dict[int, dict[str, Part]] = {}

    def add(self, key: str, far: int, types: Types) -> None:
        """Put types on a pair for a mapping."""
        self._part(key, far, (types, NO_TYPES))
        self._added.setdefault(far, set()).update(types)
        for type_ in types & ONE_PRIMARY:
            self._led[type_] = far

    def remove(self, key: str, far: int, types: Types) -> None:
        """Take types off a pair for a mapping."""
        self._part(key, far, (NO_TYPES, types))
        self._removed.setdefault(far, set()).update(types)

    def _part(self, key: str, far: int, part: Part) -> None:
        mine = self._parts.setdefault(far, {})
        added, removed = mine.get(key, (NO_TYPES, NO_TYPES))
        mine[key] = added | part[0], removed | part[1]

    def others(self, far: int, types: Types) -> Types:
        """What a pair carries besides the plain type and these."""
        return self._held.get(far, NO_TYPES) - {self.plain} - types

    def writes(self) -> Iterator[PairWrite]:
        for far in sorted({*self._added, *self._removed}):
            parts = self._parts[far]
            added = self._added.get(far, set())
            removed = self._removed.get(far, set()) - added
            if added:
                moved = {t for t, to in self._led.items() if to != far}
                held = self._held.get(far, NO_TYPES)
                types = frozenset((held - removed - moved) | added | {self.plain})
                off = (
                    held - types - moved
                )  # HubSpot takes a primary that moves off itself
                yield PairWrite(far, "associate", types, off, parts)
            elif self.plain in removed:
                yield PairWrite(far, "dissociate", NO_TYPES, parts=parts)
            else:
                yield PairWrite(far, "unlabel", frozenset(removed), parts=parts)
