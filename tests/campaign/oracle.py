"""What both systems may hold, computed from people's edits alone.

The oracle follows every field and every contact's company of every record. Where a run
was hurt, or an edit came while it ran, several ends are legitimate: it keeps them all,
and what is read back decides among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

H, A = "hubspot", "app"
COMPANIES, CONTACTS = "companies", "contacts"
REVIEW = "review"
LINK = "company"  # the field of a contact that stands for its primary company
ADVISER = "adviser "  # before a company: whether it is one of the contact's advisers
ON = "on"
Value = str | None
Record = tuple[str, str]  # kind, key
Slot = tuple[str, str, str]  # kind, key, field


def adviser(company: str) -> str:
    """The field of a contact that stands for its label to a company."""
    return f"{ADVISER}{company}"


def advised(slot: Slot) -> str:
    """The company whose label a slot is about; "" for others."""
    return slot[2].removeprefix(ADVISER) if slot[2].startswith(ADVISER) else ""


class Violation(AssertionError):
    """Both systems hold what no order of events explains."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of a pair: both values, and what both sides last agreed on."""

    h: Value = None
    a: Value = None
    base: tuple[Value, Value] | None = None

    def on(self, side: str) -> Value:
        return self.h if side == H else self.a

    def edited(self, side: str, value: Value) -> Cell:
        return replace(self, h=value) if side == H else replace(self, a=value)

    def holding(self, value: Value) -> Cell:
        return Cell(value, value, (value, value))


@dataclass(frozen=True, slots=True)
class Rules:
    """How a seed's syncs are set up. `deletes` is INTERFACES' word; `limits` as set."""

    direction: str
    conflict: str
    deletes: str = "ignore"
    limits: tuple[tuple[str, int | None], ...] = ()
    filters: tuple[str, ...] = ()  # sides whose records may be out of scope

    def lets(self, side: str) -> bool:
        return self.direction in ("two_way", f"to_{side}")

    def settle(self, cell: Cell, *, link: bool = False) -> set[Cell]:
        """What an undisturbed run makes of a field whose record is on both sides."""
        last = cell.base or (None, None)
        moved = {
            s
            for s, old in zip((H, A), last, strict=True)
            if cell.base is None or cell.on(s) != old
        }
        if not moved:
            return {cell}
        if cell.h == cell.a:
            return {cell.holding(cell.h)}
        if self.direction != "two_way":
            return self._one_way(cell, moved, link)
        if len(moved) == 1:
            return {cell.holding(cell.on(moved.pop()))}
        for side, other in ((H, cell.a), (A, cell.h)):
            if cell.on(side) is None:
                return {cell.holding(other)}
        if self.conflict == REVIEW:
            return {cell}
        return {cell.holding(cell.on(self.conflict))}

    def _one_way(self, cell: Cell, moved: set[str], link: bool) -> set[Cell]:
        reader = A if self.lets(H) else H
        value = cell.on(reader)
        if reader not in moved or (cell.base is None and value is None):
            return {cell}
        if link and value is None and len(moved) == 2:
            return {cell, replace(cell, base=(None, None)), cell.holding(None)}
        return {cell.holding(value)}

    def disturbed(self, cells: Iterable[Cell], *, link: bool, blind: bool) -> set[Cell]:
        """What a run may leave that was hurt anywhere, or read before the last edit.

        A write without an answer lets the field begin as a first sync. A `blind` run
        may not see yet what HubSpot holds.
        """
        found = set(cells)
        for cell in list(found):
            if self.conflict == REVIEW and cell.h != cell.a:  # a person may decide
                found |= {cell.holding(cell.h), cell.holding(cell.a)}
                found.add(replace(cell, base=(cell.h, cell.a)))
        for cell in list(found):
            ends = self.settle(cell, link=link)
            if blind and cell.base is not None:
                stale = replace(cell, h=cell.base[0])
                for s in self.settle(stale, link=link):
                    ends.add(s if s.h != stale.h else replace(s, h=cell.h))
            for s in ends:
                found |= {s, replace(s, base=None), replace(s, base=cell.base)}
                if link and s.h != cell.h:
                    # A primary may move in two calls: the former goes off first.
                    found.add(replace(cell, h=None))
        return found


@dataclass(frozen=True, slots=True)
class Edit:
    """What somebody did to one field of one record."""

    slot: Slot
    side: str
    value: Value


@dataclass
class Seen:
    """Both systems as they are read back: values, and the links that HubSpot has."""

    values: dict[str, dict[Record, dict[str, Value]]]
    links: dict[tuple[str, str], frozenset[tuple[str, int]]]


@dataclass
class Oracle:
    """Every end that the edits and the runs up to now can have led to."""

    rules: Rules
    cells: dict[Slot, set[Cell]] = field(default_factory=dict)
    lives: dict[Record, set[str]] = field(default_factory=dict)
    gone: set[Record] = field(default_factory=set)  # at any time, on either side
    merged: set[Record] = field(default_factory=set)  # into another, in HubSpot
    taken: dict[Record, set[str]] = field(
        default_factory=dict
    )  # sides people removed on
    doomed: set[tuple[str, Record]] = field(default_factory=set)  # to be archived, too
    outs: set[tuple[str, Record]] = field(default_factory=set)  # by people's word
    shy: set[Record] = field(default_factory=set)  # out at any time
    excluded: set[Record] = field(
        default_factory=set
    )  # as the last run said, since then
    turned: set[Record] = field(
        default_factory=set
    )  # in or out while a run was at work
    made: set[tuple[str, Record]] = field(default_factory=set)  # by runs
    anew: set[tuple[str, Record]] = field(default_factory=set)  # by the last, once gone
    undoing: bool = False  # some run was taken back
    told: dict[Slot, set[Value]] = field(default_factory=dict)  # what people wrote
    cleared: set[str] = field(default_factory=set)  # contacts somebody unlinked
    parted: set[Slot] = field(default_factory=set)  # labels somebody took off
    open: list[Edit] = field(default_factory=list)  # while a run was at work
    blind: bool = False  # HubSpot's search lags behind

    def edit(self, edit: Edit, *, at_work: bool) -> None:
        self.spare(edit.slot[:2])
        self.told.setdefault(edit.slot, {None}).add(edit.value)
        self.cells.setdefault(edit.slot, {Cell()})
        if at_work:
            self.open.append(edit)
        else:
            cells = self.cells[edit.slot]
            self.cells[edit.slot] = {c.edited(edit.side, edit.value) for c in cells}

    def ran(
        self,
        seen: Seen,
        named: set[Slot | Record],
        *,
        clean: bool,
        undo: bool = False,
    ) -> None:
        """Follow a run. Raises: Violation where nothing explains what is seen.

        `undo`: it took another one back, so that any former value may stand.
        """
        self.undoing |= undo
        if undo:
            self.doomed.clear()
            self.excluded.clear()
        clean = clean and not self.open and not self.blind
        self._existence(seen, named, clean=clean)
        for slot in self.cells:
            before = self.cells[slot]
            ends = self._ends(slot, named, clean=clean)
            if undo:
                ends = ends | self._taken_back(slot, ends, seen)
            fits = {c for c in ends if self._fits(c, slot, seen)}
            if not fits:
                held = {
                    s: seen.values[s].get(slot[:2], {}).get(slot[2]) for s in (H, A)
                }
                raise Violation(f"{slot}: {held}; before {before}, legitimate {ends}")
            self.cells[slot] = fits
        self.open.clear()
        self.turned.clear()

    def _taken_back(self, slot: Slot, cells: set[Cell], seen: Seen) -> set[Cell]:
        """What may stand after an undo: what people once wrote, in sync as it stands."""
        found: set[Cell] = set()
        for cell in cells:
            h, a = (
                seen.values[s].get(slot[:2], {}).get(slot[2], cell.on(s))
                for s in (H, A)
            )
            if {h, a} <= self.told[slot]:
                last = cell.base or (None, None)
                found |= {Cell(h, a, (h, a)), Cell(h, a, None)}
                found |= {Cell(h, a, (h, last[1])), Cell(h, a, (last[0], a))}
        return found

    def _ends(self, slot: Slot, named: set[Slot | Record], *, clean: bool) -> set[Cell]:
        cells, link = self.cells[slot], slot[2] == LINK
        record = slot[:2]
        if clean and record not in self.gone and len(self.lives[record]) < 2:
            return cells | self._led_away(slot, cells)
        whole = record not in self.gone and not self._frozen(slot)
        if whole and self._untouched(record, clean=clean):
            ends = cells | {c.holding(c.h) for c in cells if c.h == c.a}
            for edit in (e for e in self.open if e.slot == slot):
                ends = {c.edited(edit.side, edit.value) for c in ends}
            return ends
        if link:  # HubSpot makes a first company primary, whatever its label
            cells = cells | self._first(slot, cells)
        if clean and whole:
            ends = {s for c in cells for s in self.rules.settle(c, link=link)}
            return ends | cells if {slot, record} & named else ends
        ends = self._disturbed(cells, slot)
        if link:
            ends |= self._led_away(slot, ends)
        if advised(slot):
            for end in (record, *self._ends_of(slot)):
                for side in (H, A):  # a row's labels go with either of its ends
                    if side not in self.lives[end] or (side, end) in self.anew:
                        ends |= {c.edited(side, None) for c in ends}
        for edit in (e for e in self.open if e.slot == slot):
            lost = {c for c in ends if c not in cells}  # written over what was edited
            ends = {c.edited(edit.side, edit.value) for c in ends} | lost
            ends = self._disturbed(ends, slot)
            if link:
                ends |= self._led_away(slot, ends)
        if link:
            first = self._first(slot, ends)
            ends |= first | self._disturbed(first, slot)
        return ends

    def _led_away(self, slot: Slot, cells: Iterable[Cell]) -> set[Cell]:
        """What we archived takes its links along, and what was made again under another
        id has none of those of the archived one."""
        away = self._away(slot)
        if company := advised(slot):
            return {replace(c, h=None) for c in cells if company in away}
        return {replace(c, h=None) for c in cells if c.h in away}

    def _away(self, slot: Slot) -> set[Value]:
        """The companies of a link that took it along in HubSpot."""
        return {
            r[1]
            for r in self._ends_of(slot)
            if H not in self.lives[r] or (H, r) in self.anew
        }

    def _disturbed(self, cells: set[Cell], slot: Slot) -> set[Cell]:
        link = slot[2] == LINK
        if self._frozen(slot):  # an end that is back is another's
            cells = cells | {replace(c, base=None) for c in cells}
        found = self.rules.disturbed(cells, link=link, blind=self.blind)
        if link and self._frozen(slot):
            found |= {e for c in cells for e in self._invisible(c)}
        if advised(slot) and self._frozen(slot):
            found |= {c.holding(ON) for c in cells if self._comes_back(c)}
        cleared = slot in self.parted or (link and slot[1] in self.cleared)
        if self._missing(slot) and not cleared:
            # What vanished with its end is no unlink.
            blanked = {c for c in found - cells if c.h is None and c.a is None}
            if any(o.h == o.a or self._unlinked(o) for o in cells):
                blanked = set()
            found -= blanked
        return found

    def _unlinked(self, cell: Cell) -> bool:
        """Whether a link that stood on both sides went from one, with its end there:
        somebody moved it on, to a company that vanished."""
        last = cell.base or (None, None)
        here = len(self.lives.get((COMPANIES, str(last[0])), ())) == 2
        return here and last[0] == last[1] and None in (cell.h, cell.a)

    def _invisible(self, cell: Cell) -> Iterator[Cell]:
        """What a link may become while one of its ends is, or was, missing."""
        for side, other in ((H, A), (A, H)):
            value = cell.on(side)
            if value is None or not self.rules.lets(other):
                continue
            record = (COMPANIES, value)
            theirs = cell.on(other)
            absent = other not in self.lives[record] or record in self.shy
            if absent and theirs and self.rules.lets(side):
                yield cell.holding(theirs)  # what cannot be there does not count
            if theirs is None and record in self.gone:
                yield cell.holding(value)  # its end is back, so it counts as new
            # It may be back, and its own sync not have read that yet.
            away = self.shy | self.gone
            unseen = len(self.lives[record]) < 2 or record in away
            if unseen and cell.base and cell.base[0] != value:
                # It left its former end, and where it is now cannot be seen there, or
                # is out of scope.
                yield Cell(value, None) if side == H else Cell(None, value)

    def _first(self, slot: Slot, cells: set[Cell]) -> set[Cell]:
        """A contact's primary company, should a label that travels bring one."""
        if not self.rules.lets(H):
            return set()
        waiting = {edit.slot for edit in self.open}
        labels = [
            company
            for other, found in self.cells.items()
            if other[:2] == slot[:2]
            and (company := advised(other))
            and (other in waiting or any(c.h != c.a for c in found))
        ]
        none = {None, *self._away(slot)}
        found = {replace(c, h=v) for c in cells if c.h in none for v in labels}
        self.told.setdefault(slot, {None}).update(c.h for c in found)
        return found

    def _comes_back(self, cell: Cell) -> bool:
        """Whether a label that one side has counts as new, its end being back."""
        missing = [side for side in (H, A) if cell.on(side) is None]
        return len(missing) == 1 and self.rules.lets(missing[0])

    def _ends_of(self, slot: Slot) -> list[Record]:
        """The companies that a link may be about."""
        if company := advised(slot):
            return [(COMPANIES, company)]
        if slot[2] != LINK:
            return []
        ends = {v for c in self.cells[slot] for v in (c.h, c.a, *(c.base or ()))}
        ends |= {e.value for e in self.open if e.slot == slot}
        return [(COMPANIES, v) for v in ends if v is not None]

    def _frozen(self, slot: Slot) -> bool:
        """Whether an end of a link is or was missing somewhere."""
        odd = self.gone | self.shy
        return any(r in odd for r in self._ends_of(slot)) or self._missing(slot)

    def _missing(self, slot: Slot) -> bool:
        return any(len(self.lives[r]) < 2 for r in self._ends_of(slot))

    def turn(self, side: str, record: Record, *, out: bool, at_work: bool) -> None:
        """A record leaves or enters the scope of the filters on a side."""
        if out:
            self.outs.add((side, record))
            self.shy.add(record)
        else:
            self.outs.discard((side, record))
        self.excluded.discard(record)
        self.spare(record)
        if at_work:
            self.turned.add(record)

    def out(self, record: Record) -> bool:
        lives = self.lives[record]
        return any((s, record) in self.outs for s in self.rules.filters if s in lives)

    def _untouched(self, record: Record, *, clean: bool) -> bool:
        """Whether a run surely knows that a record is out of scope."""
        sure = record in self.excluded or (clean and record not in self.turned)
        return sure and self.out(record) and record not in self.gone

    def spare(self, record: Record) -> None:
        """A record is not certain to be archived any more."""
        self.doomed -= {(H, record), (A, record)}

    def settled(self, record: Record) -> bool:
        """Whether both sides of a record surely agree on everything but its link."""
        return all(
            len(cells) == 1 and {(c.h, c.a) for c in cells} == {c.base for c in cells}
            for slot, cells in self.cells.items()
            if slot[:2] == record and slot[2] != LINK and not advised(slot)
        )

    def removed(
        self, record: Record, side: str, *, doomed: bool = False, at_work: bool = False
    ) -> None:
        """A record went; what was not paired yet is made again from the other side.

        `doomed`: nothing stands in the way of archiving its counterpart.
        """
        other = A if side == H else H
        if doomed and self.rules.deletes == "propagate" and self.rules.lets(other):
            self.doomed.add((other, record))
        self.taken.setdefault(record, set()).add(side)
        self.gone.add(record)
        self.lives[record].discard(side)
        for slot, cells in self.cells.items():
            if slot[:2] == record:
                afresh = {replace(c.edited(side, None), base=None) for c in cells}
                self.cells[slot] = cells | afresh
            elif at_work and slot[2] == LINK and side not in self.lives[slot[:2]]:
                # The run may have made the contact with its link, which went with this.
                both = (record[1], record[1])
                led = (c for c in cells if c.on(other) == record[1])
                self.cells[slot] = cells | {replace(c, base=both) for c in led}

    def reloaded(self, record: Record) -> None:
        """A row came back under another id: a first sync of what it pairs with."""
        self.gone.add(record)
        for slot, cells in self.cells.items():
            if slot[:2] == record:
                self.cells[slot] = cells | {replace(c, base=None) for c in cells}

    def _fits(self, cell: Cell, slot: Slot, seen: Seen) -> bool:
        return all(
            cell.on(side) == seen.values[side][slot[:2]][slot[2]]
            for side in (H, A)
            if slot[:2] in seen.values[side]
        )

    def _existence(self, seen: Seen, named: set[Slot | Record], *, clean: bool) -> None:
        self.anew.clear()
        for record, sides in self.lives.items():
            for side, other in ((H, A), (A, H)):
                stands = record in seen.values[side]
                if side in sides and not stands:
                    if not self._may_archive(record, side):
                        raise Violation(f"{record} is lost in {side}")
                    sides.discard(side)
                    self.gone.add(record)
                if stands and side not in sides and not self.rules.lets(side):
                    raise Violation(
                        f"{record} was made in {side} against the direction"
                    )
                fresh = stands and side not in sides
                known = record in self.excluded - self.turned and self.out(record)
                if fresh and known and record not in self.gone:
                    raise Violation(f"{record} was made in {side}, but is out")
                due = clean and other in sides and self.rules.lets(side)
                due = due and not fresh and not self.out(record)
                if due and not stands and record not in self.gone | named:
                    raise Violation(f"{record} was not made in {side}")
                if fresh:
                    self.made.add((side, record))
                if fresh and record in self.gone:
                    self.anew.add((side, record))
                if stands:
                    sides.add(side)
        for side in (H, A):
            if strange := set(seen.values[side]) - set(self.lives):
                raise Violation(f"nobody made {strange} in {side}")

    def _may_archive(self, record: Record, side: str) -> bool:
        """Whether a person's deletion on the other side may travel."""
        other = A if side == H else H
        if self.undoing and (side, record) in self.made:
            return True  # its create was taken back
        may = self.rules.deletes != "ignore" and self.rules.lets(side)
        return may and record not in self.merged and other in self.taken.get(record, ())

    def see_all(self) -> None:
        """HubSpot's search shows everything from here on."""
        self.blind = False
        for edit in self.open:
            cells = self.cells[edit.slot]
            self.cells[edit.slot] = {c.edited(edit.side, edit.value) for c in cells}
        self.open.clear()

    def ended(self, named: set[Slot | Record], forgiven: set[Record]) -> None:
        """Both sides agree on what travels both ways, unless it is named.

        `forgiven`: two of a key, of which nobody can say which is in scope.
        """
        for side, record in self.doomed:
            if side in self.lives[record]:
                raise Violation(f"{record} was deleted and still is in {side}")
        for record, sides in self.lives.items():
            misjudged = self.out(record) != (record in self.excluded)
            if misjudged and record not in self.gone | forgiven:
                raise Violation(f"{record}: out is {self.out(record)}")
            if len(sides) == 1 and record not in named:
                (other,) = {H, A} - sides
                if self.rules.lets(other):
                    raise Violation(f"{record} is not in {other}, and nothing says why")
        for slot, cells in self.cells.items():
            record = slot[:2]
            if self.rules.direction != "two_way" or {slot, record} & named:
                continue
            if len(self.lives[record]) < 2 or self._one_sided(slot) or self.out(record):
                continue
            if all(c.h != c.a and not self._left(c) for c in cells):
                raise Violation(
                    f"{slot}: both sides differ, and nothing says why: {cells}"
                )

    def _one_sided(self, slot: Slot) -> bool:
        """Whether a link is about a company that one side does not have, or that is
        out of scope."""
        if company := advised(slot):
            end = (COMPANIES, company)
            return len(self.lives[end]) < 2 or self.out(end)
        ends = {v for c in self.cells[slot] for v in (c.h, c.a)} - {None}
        return slot[2] == LINK and any(
            len(self.lives[(COMPANIES, str(v))]) < 2 for v in ends
        )

    def _left(self, cell: Cell) -> bool:
        """Whether a person may have left both values as they are."""
        may = self.undoing or self.rules.conflict == REVIEW
        return may and cell.base == (cell.h, cell.a)
