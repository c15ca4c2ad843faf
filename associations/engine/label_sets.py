"""Merge the links of a join table whose rows carry labels.

A link to one far record carries a set of types: a row for each label, or one blank row
for a plain link. Both sides' sets are merged type by type against what both had, and a
pair has one change a side, however many types of it move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from associations.engine.edges import (
    HIDDEN,
    NO_TYPES,
    EdgeChange,
    Failing,
    Far,
    Kind,
    MappingRule,
    Pairs,
    Pending,
    Result,
    State,
    Types,
)
from associations.engine.shared_pairs import Holders, kept
from connections.catalogue import Code
from connections.records import AssociationType, Side

SIDES = {Side.APP: "the app", Side.HUBSPOT: "HubSpot"}


class LabelSets:
    """One mapping's links of a record."""

    def __init__(
        self,
        rule: MappingRule,
        state: State,
        hubspot: Mapping[int, Types],
        fars: Mapping[int, Far],
        pairs: Pairs,
        result: Result,
        holders: Holders,
    ) -> None:
        self.rule, self.state, self.fars = rule, state, fars
        self.hubspot, self.pairs, self.result = hubspot, pairs, result
        self.holders = holders
        self.first = state.base is None
        self.base: Mapping[int, Types] = state.base or {}

    def merge(self) -> None:
        rule, state = self.rule, self.state
        kept: dict[int, Types] = {}
        apart: set[int] = set()
        self.result.base[rule.key] = kept
        for far in dict.fromkeys((*(state.app or ()), *self.hubspot, *self.base)):
            if far in state.hidden and far not in (state.app or ()):
                continue  # the far record's rows stand for it
            status = self.fars[far].status
            here = self.named(state.labels.get(far, NO_TYPES))
            there = self._in_hubspot(far, here)
            if far in state.apart and (
                status != "paired" or there ^ here == state.differ.get(far, NO_TYPES)
            ):
                apart.add(far)
                continue
            in_base = far in self.base
            if status in HIDDEN or (in_base and status != "paired" and there != here):
                if in_base:
                    kept[far] = self._frozen(far, whole=bool(there and here))
                self._note_excluded(far, there, here)
                continue
            self._odd(far)
            stands = _Pair(self, far, there, here).merge()
            if stands:
                kept[far] = stands
        self.result.apart[rule.key] = frozenset(apart)

    def _in_hubspot(self, far: int, here: Types) -> Types:
        held = self.hubspot.get(far, NO_TYPES)
        plain = frozenset({self.rule.plain})
        # A blank row wants no more than a link that has some other label.
        return self.rule.edge(held) or (plain if held and here == plain else NO_TYPES)

    def named(self, types: Types) -> Types:
        """Beside a label the plain type is no edge of its own."""
        return types - {self.rule.plain} or types

    def _frozen(self, far: int, *, whole: bool) -> Types:
        """A baseline whose edge a side does not show may have vanished with its end."""
        if self.fars[far].status == "excluded" or whole:
            return self.base[far]
        return NO_TYPES

    def _note_excluded(self, far: int, there: Types, here: Types) -> None:
        """Name what waits for an excluded end, as far as it may travel then."""
        if self.fars[far].status != "excluded":
            return
        base = self.named(self.base.get(far, NO_TYPES))
        ways = ((Side.HUBSPOT, there, here), (Side.APP, here, there))
        if any(
            self.rule.lets(side) and (other - mine - base or mine & base - other)
            for side, mine, other in ways
        ):
            side = Side.HUBSPOT if there - here else Side.APP
            self.result.skipped.append(Pending(self.rule.key, far, side))

    def _odd(self, far: int) -> None:
        """A row whose label means no type fails alone and stays as it is."""
        odd = self.state.odd.get(far)
        if odd and self.rule.lets(Side.HUBSPOT):
            text = ", ".join(repr(label) for label in odd)
            self.result.failing.append(
                Failing(
                    self.rule.key,
                    far,
                    Code.OPTION_UNKNOWN,
                    f"The label {text} of a row is mapped to no association type: the "
                    "row stays as it is.",
                )
            )


class _Pair:
    """The link to one far record."""

    def __init__(self, owner: LabelSets, far: int, there: Types, here: Types) -> None:
        self.owner, self.far = owner, far
        self.rule, self.result = owner.rule, owner.result
        self.base = owner.named(owner.base.get(far, NO_TYPES))
        self.there, self.rows = there, here
        self.odd = bool(owner.state.odd.get(far))
        self.here = self._shown(here)

    def merge(self) -> Types:
        """Returns: what stands as the baseline whatever is written."""
        there, here = self._travel(Side.HUBSPOT), self._travel(Side.APP)
        rows = here
        if self.rule.single:
            rows = frozenset(self._first(here, there))
        if not self.rule.lets(Side.APP):
            rows = self.rows
        if self.rule.single and len(here) > 1:
            self._say_left_out(here - rows)
        if rows == self.rows:
            self.here = here  # what the table has no room for is no reason to write
        if there != self.there:
            self._to_hubspot(there)
        if rows != self.rows:
            self._to_app(here, rows)
        return self._common(self.there, self.here) or self._kept()

    def _kept(self) -> Types:
        """What stays of a link that lost its rows while a type that no row stands for
        is on it: once that is gone, the link goes, and comes back as no row."""
        held = self.owner.hubspot.get(self.far, NO_TYPES)
        stays = held and not self.there and not self.rows
        return self.base & {self.rule.plain} if stays else NO_TYPES

    def _shown(self, rows: Types) -> Types:
        """The app's side of the edge: of a table of one row a pair, the row stands for
        what there was no room for, too."""
        if not self.rule.single or not rows:
            return rows
        left_out = self.base - frozenset(self._first(self.base, self.base))
        return self.owner.named(left_out | rows)

    def _first(self, types: Types, preferred: Types) -> Iterable[AssociationType]:
        """The first type in the map's order, of those that HubSpot has if there are any."""
        ranked = [t for t in (*self.rule.ranked, self.rule.plain) if t in types]
        return [t for t in ranked if t in preferred][:1] or ranked[:1]

    def _travel(self, side: Side) -> Types:
        """What a side is to have: what the other has new, without what it lost."""
        mine, other = (
            (self.there, self.here) if side is Side.HUBSPOT else (self.here, self.there)
        )
        if not self.rule.lets(side):
            return mine
        lost = mine & self.base - other
        new = other - mine - self.base
        if self.odd and side is Side.HUBSPOT:
            lost = NO_TYPES  # the row that nobody understands may stand for it
        if self.odd and side is Side.APP:
            new -= {self.rule.plain}
            if self.rule.single:
                return mine
        if new and (why := self.owner.state.refused.get((self.far, side))):
            self.result.failing.append(Failing(self.rule.key, self.far, *why))
            new = NO_TYPES
        if new and self.owner.fars[self.far].status == "pending":
            self.result.pending.append(Pending(self.rule.key, self.far, side.other))
            new = NO_TYPES
        left = self.owner.named(mine - lost | new)
        # Each side took the other's last label off, and neither the link itself.
        return left or (frozenset({self.rule.plain}) if mine and other else NO_TYPES)

    def _common(self, there: Types, here: Types) -> Types:
        """The baseline: what both have, and what of it one side lost and the other keeps."""
        return there & here | self.base & (there ^ here)

    def _say_left_out(self, left_out: Types) -> None:
        count = len(left_out)
        text = (
            f"The table holds one row a pair: {count} more "
            f"{'label' if count == 1 else 'labels'} of HubSpot's link have none."
        )
        self.result.noted.append(
            Pending(self.rule.key, self.far, Side.HUBSPOT, Code.LIMIT_REACHED, text)
        )

    # HubSpot ----------------------------------------------------------------------------

    def _to_hubspot(self, wanted: Types) -> None:
        rule, pairs, far, plain = self.rule, self.owner.pairs, self.far, self.rule.plain
        held = self.owner.hubspot.get(far, NO_TYPES)
        off = self.there - wanted - {plain}
        left = held - off
        if wanted:
            if off:
                pairs.remove(rule.key, far, off)
            if new := wanted - held:
                pairs.add(rule.key, far, new)
            left |= wanted
        elif held - frozenset(rule.ranked) - {plain}:
            # Something that no row stands for is on the pair: it stays.
            if not off:
                self._say_kept()
                return
            pairs.remove(rule.key, far, off)
        elif self.owner.holders.keeps(far, rule):
            self.result.noted.append(kept(rule.key, far))
            if not off:
                return
            pairs.remove(rule.key, far, off)
        else:
            pairs.remove(rule.key, far, off | {plain})
            left = NO_TYPES
        after = rule.edge(left)
        base = self._common(after, self.here)
        if left and not wanted:
            base |= {plain}  # what stays without a row is no link that HubSpot made
        self._change(Side.HUBSPOT, self.there, wanted, base)

    def _say_kept(self) -> None:
        text = (
            "The app has no row any more, and HubSpot's link stays: it carries a type "
            "that no row stands for."
        )
        self.result.noted.append(
            Pending(self.rule.key, self.far, Side.HUBSPOT, Code.CONFLICT, text)
        )

    # The app ----------------------------------------------------------------------------

    def _to_app(self, here: Types, rows: Types) -> None:
        base = self._common(self.there, here)
        self._change(Side.APP, self.rows, rows, base, rows)

    def _change(
        self,
        side: Side,
        before: Types,
        after: Types,
        base: Types,
        rows: Types | None = None,
    ) -> None:
        kind: Kind = "relabel"
        if not before:
            kind = "link"
        elif not after:
            kind = "unlink"
        mover = SIDES[side.other]
        reason = {
            "link": f"{mover} has the link.",
            "unlink": f"{mover} has the link no more.",
            "relabel": f"{mover} has other labels on the link.",
        }[kind]
        self.result.changes.append(
            EdgeChange(
                self.rule.key,
                side,
                kind,
                self.far,
                reason[0].upper() + reason[1:],
                "first sync" if self.owner.first else f"{side.other} moved",
                frozenset({self.far}) if kind == "unlink" else frozenset(),
                self.owner.hubspot.get(self.far, NO_TYPES),
                rows,
                base,
            )
        )
