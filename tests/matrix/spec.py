"""What is expected of each cell, in terms of its own.

Types are words here: "plain" is on every pair; "primary" a record has once; "one", "two"
and "adviser" are labels, "other" is one that nobody maps. Companies are words, too:

a, b, c    on both sides
m, n       only in the app, only in HubSpot, until the other side has them
e, f       outside of the companies' filter: e always, f from the edits on until the end
x1 … x4    only in HubSpot, and without a key: never to be seen in the app
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Pairs = Mapping[str, frozenset[str]]  # the types that a record has with each company

KINDS = ("single", "foreign_key", "multi", "join_table", "match_key")
MANY = ("multi", "join_table")
TYPES = {
    "primary": ("primary",),
    "default": ("plain",),
    "label": ("one",),
    "two_labels": ("one", "two"),
    "paired_label": ("adviser",),
}
# Of a join table that has a column for labels; under the other choices it has none.
LABELLED = ("two_labels", "paired_label")
DIRECTIONS = ("two_way", "to_hubspot", "to_app")
# Who wins where both moved: either is played.
CONFLICT = {"foreign_key": "app"}
MOST_LINKS = 4  # of one record


@dataclass(frozen=True)
class Event:
    """What happens to one record: where it starts on both sides, and who moves it.

    `app` and `hubspot` are (company left, company come to), "" for none; `extra` are
    companies that HubSpot alone has the record at; `other`: its pairs carry a label that
    nobody maps.
    """

    start: str = ""
    app: tuple[str, str] = ("", "")
    hubspot: tuple[str, str] = ("", "")
    extra: tuple[str, ...] = ()
    other: bool = False


EVENTS = {
    "nothing": Event("a"),
    "add, app": Event(app=("", "a")),
    "add, hubspot": Event(hubspot=("", "a")),
    "remove, app": Event("a", app=("a", "")),
    "remove, hubspot": Event("a", hubspot=("a", "")),
    "change, app": Event("a", app=("a", "b")),
    "change, hubspot": Event("a", hubspot=("a", "b")),
    "both sides change": Event("a", app=("a", "b"), hubspot=("a", "c")),
    "both sides change alike": Event("a", app=("a", "b"), hubspot=("a", "b")),
    "target missing then arriving, app": Event(app=("", "m")),
    "target missing then arriving, hubspot": Event(hubspot=("", "n")),
    "target excluded, app": Event(app=("", "e")),
    "target excluded, hubspot": Event(hubspot=("", "e")),
    "target excluded meanwhile, app": Event("f", app=("f", "")),
    "target excluded meanwhile, hubspot": Event("f", hubspot=("f", "")),
    "unknown extra edge, remove, app": Event("a", ("a", ""), extra=("x1",), other=True),
    "unknown extra edge, change, app": Event(
        "a", ("a", "b"), extra=("x1",), other=True
    ),
    "unknown extra edge, hubspot": Event(
        "a", hubspot=("a", "b"), extra=("x1",), other=True
    ),
    "limit reached, app": Event(app=("", "a"), extra=("x1", "x2", "x3", "x4")),
}


@dataclass(frozen=True)
class Cell:
    kind: str
    types: str
    direction: str
    event: str

    @property
    def what(self) -> Event:
        return EVENTS[self.event]

    @property
    def many(self) -> bool:
        return self.kind in MANY

    @property
    def conflict(self) -> str:
        return CONFLICT.get(self.kind, "hubspot")

    @property
    def labelled(self) -> bool:
        """Whether rows tell their labels, so that the app holds whole links."""
        return self.kind == "join_table" and self.types in LABELLED

    def lets(self, side: str) -> bool:
        return self.direction in ("two_way", f"to_{side}")

    def __str__(self) -> str:
        return f"{self.kind}, {self.types}, {self.direction}: {self.event}"


def refusal(kind: str, types: str) -> str:
    """What set-up says of a combination that makes no sense; "" of one that does."""
    return (
        "A record has one primary link" if kind in MANY and types == "primary" else ""
    )


def cells(
    types: str,
    kinds: Sequence[str] = KINDS,
    directions: Sequence[str] = DIRECTIONS,
) -> Iterator[Cell]:
    """The cells of a world."""
    for kind in kinds:
        if refusal(kind, types):
            continue
        for direction in directions:
            for event in EVENTS:
                yield Cell(kind, types, direction, event)


@dataclass
class Standing:
    """What both systems have of a cell's record."""

    cell: Cell
    pairs: dict[str, frozenset[str]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)

    @property
    def own(self) -> frozenset[str]:
        return frozenset(TYPES[self.cell.types])

    @property
    def shown(self) -> list[str]:
        """What the app is to hold; a row with a label for each of the labels."""
        if not self.cell.labelled:
            return sorted(self.held)
        labels = TYPES[self.cell.types]
        return sorted(f"{far} {label}" for far in self.held for label in labels)

    # What either side makes of a link, a person or Crosslink.

    def link(self, company: str) -> None:
        if "primary" in self.own:
            for far, types in self.pairs.items():
                self.pairs[far] = types - {"primary"}
        self.pairs[company] = (
            self.pairs.get(company, frozenset()) | self.own | {"plain"}
        )

    def unlink(self, company: str, *, for_app: bool = False) -> None:
        """A plain link owns its pair; a primary and a label leave the plain link.

        So do rows with labels: a person takes the whole link off, and when the last row
        goes (`for_app`) the link goes with it, unless another type is on it.
        """
        if company in self.pairs:
            left = self.pairs.pop(company) - self.own
            stays = "plain" not in self.own
            if self.cell.labelled:
                stays = for_app and left != {"plain"}
            if stays:
                self.pairs[company] = left

    def fill(self, company: str) -> None:
        self.held = {*self.held, company} if self.cell.many else {company}

    def empty(self, company: str) -> None:
        self.held.discard(company)


def start(cell: Cell) -> Standing:
    """Before the first sync. HubSpot has made the first company primary by itself."""
    what, now = cell.what, Standing(cell)
    if what.start:
        now.link(what.start)
        now.fill(what.start)
        now.pairs[what.start] |= {"primary"}
        if what.other:
            now.pairs[what.start] |= {"other"}
    for far in what.extra:
        now.pairs[far] = frozenset({"plain"}) | (now.own - {"primary"})
    return now


def edited(cell: Cell) -> Standing:
    """After people's edits, before a run."""
    now, what = start(cell), cell.what
    leaves, comes = what.hubspot
    if leaves:
        now.unlink(leaves)
    if comes:
        now.link(comes)
    leaves, comes = what.app
    if leaves:
        now.empty(leaves)
    if comes:
        now.fill(comes)
    return now


def synced(cell: Cell, *, arrived: bool) -> Standing:
    """After a run. Args: arrived, the missing companies are there, and f is in scope."""
    now, what = edited(cell), cell.what
    sides = [side for side in ("app", "hubspot") if getattr(what, side) != ("", "")]
    if len(sides) == 2 and not cell.many:
        if what.app == what.hubspot:
            return now
        sides = [cell.conflict if cell.direction == "two_way" else _read_side(cell)]
        if sides == ["app"]:  # what HubSpot moved to stays, as a link of its own
            _travel(now, "app", (what.hubspot[0], what.app[1]))
            return now
    for side in sides:
        leaves, comes = getattr(what, side)
        _travel(now, side, (_seen(leaves, arrived), _seen(comes, arrived)))
    return now


def waits(cell: Cell, *, arrived: bool) -> set[tuple[str, str]]:
    """(state, code) of what is not in step after a run: what waits, rests or fails."""
    side = "hubspot" if cell.event.endswith("hubspot") else "app"
    left = synced(cell, arrived=arrived).pairs.get(cell.what.app[0], frozenset())
    if cell.labelled and cell.lets("hubspot") and left == {"plain", "primary"}:
        return {("skipped", "CONFLICT")}  # the primary, which no row stands for
    if not cell.lets("app" if side == "hubspot" else "hubspot"):
        return set()
    if cell.event.startswith("limit"):
        return {("failing", "LIMIT_REACHED")}
    if cell.event.startswith("target missing") and not arrived:
        return {("pending", "TARGET_NOT_MATCHED")}
    if cell.event.startswith("target excluded,"):
        return {("skipped", "")}
    if cell.event.startswith("target excluded meanwhile") and not arrived:
        return {("skipped", "")}
    return set()


def _read_side(cell: Cell) -> str:
    return "hubspot" if cell.direction == "to_app" else "app"


def _seen(company: str, arrived: bool) -> str:
    """A company that a link can lead to now."""
    hidden = {"e"} if arrived else {"e", "f", "m", "n"}
    return "" if company in hidden else company


def _travel(now: Standing, side: str, move: tuple[str, str]) -> None:
    """What one side did goes to the other, if it may."""
    leaves, comes = move
    if side == "app" and now.cell.lets("hubspot"):
        full = len(now.pairs.keys() - {leaves}) >= MOST_LINKS
        if leaves:
            now.unlink(leaves, for_app=True)
        if comes and not full:
            now.link(comes)
    if side == "hubspot" and now.cell.lets("app"):
        if leaves:
            now.empty(leaves)
        if comes:
            now.fill(comes)
