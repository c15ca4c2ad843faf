"""Merge the links of one record three-way, edge by edge.

`merge` looks at one record's links under one pair of HubSpot objects: what HubSpot has,
what each of the app's fields has, and what both had when they last agreed (the baseline).
An edge new on one side is added to the other, an edge that both had and one side lost is
removed from the other. What it cannot know (an end that is not paired yet, gone or
excluded, a list that was not shown whole) it never takes for a removal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from associations.engine.label_sets import LabelSets
from associations.engine.types import ONE_PRIMARY, PRIMARIES
from connections.catalogue import Code
from connections.records import AssociationType, Side

REVIEW = "conflict: review"
AMBIGUOUS = -(2**63)  # no far record's key: several edges, and none stands out


def merge(
    rules: Sequence[MappingRule],
    states: Mapping[str, State],
    hubspot: Mapping[int, Types] | None,
    fars: Mapping[int, Far],
    *,
    plain: AssociationType,
) -> Result:
    """Decide about one record's links.

    Args: rules, the mappings that share the pair of objects; states, by mapping key;
        hubspot, the types of every link that HubSpot has, by far record (None: could not
        be read); fars, every far record named anywhere; plain, the pair's unlabelled
        type.
    Returns: changes, at most one write a pair, and what stands.
    """
    result = Result()
    if hubspot is None:
        return result
    visible = {k: t for k, t in hubspot.items() if fars[k].status not in HIDDEN}
    pairs = Pairs(visible, plain)
    for rule in rules:
        state = states[rule.key]
        if state.app is not None and rule.kind == "labels":
            LabelSets(rule, state, hubspot, fars, pairs, result).merge()
        elif state.app is not None:
            field_ = _Field(rule, state, state.app, hubspot, fars, pairs, result)
            result.apart[rule.key] = field_.apart
            if rule.many:
                field_.merge_many()
            else:
                field_.merge_one()
            field_.note_skipped()
    result.hubspot = list(pairs.writes())
    return result


class _Field:
    """One mapping's field of the record."""

    def __init__(
        self,
        rule: MappingRule,
        state: State,
        app: tuple[int, ...],
        hubspot: Mapping[int, Types],
        fars: Mapping[int, Far],
        pairs: Pairs,
        result: Result,
    ) -> None:
        self.rule, self.app, self.hubspot = rule, app, hubspot
        self.fars, self.pairs, self.result = fars, pairs, result
        self.first = state.base is None
        self.shown = {
            k: t for k, t in hubspot.items() if rule.counts(t) and k not in state.hidden
        }
        self.apart = frozenset(k for k, s in state.apart.items() if self._apart(k, s))
        self.base: Mapping[int, Types] = {
            k: t
            for k, t in (state.base or {}).items()
            if (t or self._frozen(k))
            and k not in self.apart
            and (k not in state.hidden or k in app)
        }
        self.refused = state.refused
        self.held = {
            k: t
            for k, t in self.shown.items()
            if not self._invisible(k) and k not in self.apart
        }

    # A field that holds one -------------------------------------------------------------

    def merge_one(self) -> None:
        """Three-way on the one far record that the field holds."""
        app = next((k for k in self.app[:1] if k not in self.apart), None)
        base = self._base_of(app)
        frozen = base is not None and self._frozen(base)
        hubspot = self._choose(app, base)
        if hubspot == app:
            self._agree(app, base)
            return
        ambiguous = hubspot == AMBIGUOUS
        moved = set()
        if hubspot != base and not (frozen and hubspot is None):
            moved.add(Side.HUBSPOT)
        if app != base and not (frozen and app is None):
            moved.add(Side.APP)
        self._keep_base(app, hubspot, base, frozen=frozen)
        winner, why = self._winner(moved, hubspot, app)
        if why == REVIEW and app is not None and hubspot is not None:
            self._ask_one(hubspot, app)
        elif winner is Side.APP:
            self._one_to_hubspot(app, None if ambiguous else hubspot, base, why)
        elif winner is Side.HUBSPOT and ambiguous:
            self._ambiguous()
        elif winner is Side.HUBSPOT:
            self._one_to_app(hubspot, app, base, why)

    def _agree(self, app: int | None, base: int | None) -> None:
        """Both sides have the same; an edge that the field moved away from may be left."""
        kept: dict[int, Types] = {}
        if app is not None and app in self.held:
            kept[app] = self.held[app]
        elif base is not None and self._frozen(base):
            kept[base] = self._frozen_types(base)
        self.result.base[self.rule.key] = kept
        if self.rule.lets(Side.HUBSPOT):
            for left in self.base:
                if left != app and not self._frozen(left) and left in self.held:
                    self._let_go(left, "app moved")

    def _base_of(self, app: int | None) -> int | None:
        """The one edge of the baseline; a killed run may have left a stale second."""
        if app in self.base:
            return app
        return next(
            (k for k in self.base if k in self.held), next(iter(self.base), None)
        )

    def _choose(self, app: int | None, base: int | None) -> int | None:
        """Which of HubSpot's edges the field stands for; AMBIGUOUS where none stands out.

        The current one while its edge exists, else the primary, else the only one. The
        edge of a record that is gone or excluded may well exist; only another primary
        shows that it is not the primary any more.
        """
        for current in (app, base):
            if current is not None and current in self.held:
                return current
        if base is not None and self._frozen(base) and self.rule.kind != "primary":
            return base
        primary = [k for k, t in self.held.items() if _is_primary(t)]
        if len(primary) == 1:
            return primary[0]
        if len(self.held) > 1:
            return AMBIGUOUS
        return next(iter(self.held), None)

    def _keep_base(
        self, app: int | None, hubspot: int | None, base: int | None, *, frozen: bool
    ) -> None:
        """An edge that both sides lost is no baseline any more, unless its end is gone."""
        kept: dict[int, Types] = {}
        if base is not None and (frozen or base in (app, hubspot)):
            kept[base] = self._frozen_types(base) if frozen else self.base[base]
        self.result.base[self.rule.key] = kept

    def _winner(
        self, moved: set[Side], hubspot: int | None, app: int | None
    ) -> tuple[Side | None, str]:
        """Whose value travels, and by what rule."""
        if not moved:
            return None, ""
        if len(moved) == 1:
            (side,) = moved
            return side, "first sync" if self.first else f"{side} moved"
        if hubspot is None:
            return Side.APP, "first sync" if self.first else "app moved"
        if app is None:
            return Side.HUBSPOT, "first sync" if self.first else "hubspot moved"
        if self.rule.direction == "to_app":
            return Side.HUBSPOT, "one-way"
        if self.rule.direction == "to_hubspot":
            return Side.APP, "one-way"
        if self._asks():
            return None, REVIEW
        return Side(self.rule.conflict), f"conflict: {self.rule.conflict}"

    def _ask_one(self, hubspot: int, app: int) -> None:
        """Two records, and a person decides: neither side is written meanwhile."""
        if hubspot == AMBIGUOUS:
            others = f"HubSpot has {len(self.held)} links, none of them primary,"
            self._ask(app, Side.APP, f"{others} and the app's field holds another.")
        else:
            text = "HubSpot links it to another record than the app's field holds."
            self._ask(hubspot, Side.HUBSPOT, text)

    def _ask(self, far: int, side: Side, text: str) -> None:
        text = f"{text} Set one side like the other; until then both stay as they are."
        self.result.pending.append(
            Pending(self.rule.key, far, side, Code.CONFLICT, text)
        )

    def _asks(self) -> bool:
        return self.rule.conflict == "review" and self.rule.direction == "two_way"

    def _ambiguous(self) -> None:
        if self.rule.lets(Side.APP):
            self.result.failing.append(
                Failing(
                    self.rule.key,
                    None,
                    Code.TARGET_AMBIGUOUS,
                    f"HubSpot has {len(self.held)} links, none of them is primary, and "
                    "the field holds one.",
                )
            )

    def _one_to_app(
        self, far: int | None, app: int | None, base: int | None, why: str
    ) -> None:
        if not self._may_travel(far, Side.APP):
            return
        ended = base if base is not None and base != far else None
        kind: Kind
        if far is None:
            kind, text = "unlink", "HubSpot's link was removed."
        elif not self.app:
            kind, text = "link", "HubSpot has the link and the app's field is empty."
        else:
            kind, text = "relabel", "HubSpot's link is to another record."
        self.result.app[self.rule.key] = () if far is None else (far,)
        self._change(Side.APP, kind, far if far is not None else app, text, why, ended)

    def _one_to_hubspot(
        self, far: int | None, hubspot: int | None, base: int | None, why: str
    ) -> None:
        if not self._may_travel(far, Side.HUBSPOT):
            return
        if far is None:
            if base is not None:
                self._unlink(base, "The app's field was cleared.", why)
            return
        led = hubspot is not None or any(k in self.shown for k in self.apart)
        moves = led and not self.rule.types.isdisjoint(ONE_PRIMARY)
        ended = base if base is not None and base != far else None
        # HubSpot demotes a former primary by itself; its plain link stays.
        stays = (
            moves
            and ended is not None
            and not self._takes_pair(ended)
            and self.rule.types.isdisjoint(
                self.hubspot.get(ended, NO_TYPES) - ONE_PRIMARY
            )
        )
        if ended in self.held and not self._frozen(ended) and not stays:
            if self._let_go(ended, why):
                ended = None
            else:
                why = f"conflict: {self.rule.conflict}"
        self.pairs.add(far, self.rule.types)
        text = (
            "The app's field holds another record."
            if moves
            else "The app has the link."
        )
        self._change(
            Side.HUBSPOT, "relabel" if moves else "link", far, text, why, ended
        )

    # A field that holds many ------------------------------------------------------------

    def merge_many(self) -> None:
        """Three-way on each edge; what is invisible stays where it is."""
        kept: dict[int, Types] = {}
        wanted = list(self.app)
        for far in dict.fromkeys((*self.app, *self.held, *self.base)):
            in_app, in_hubspot = far in self.app, far in self.held
            if (
                self._invisible(far)
                or far in self.apart
                or self._paused(far, in_app, in_hubspot)
            ):
                if far in self.base:
                    kept[far] = self._frozen_types(far)
            elif in_app and in_hubspot:
                kept[far] = self.held[far]
            elif in_app or in_hubspot:
                if far in self.base:
                    kept[far] = self.base[far]
                self._edge(far, wanted, in_app=in_app)
        self.result.base[self.rule.key] = kept
        if wanted != list(self.app):
            self.result.app[self.rule.key] = tuple(wanted)

    def _edge(self, far: int, wanted: list[int], *, in_app: bool) -> None:
        """One edge that only one side has: new there, or removed on the other."""
        side = Side.APP if in_app else Side.HUBSPOT
        gone = far in self.base
        target = side if gone else side.other
        if not self._may_travel(None if gone else far, target):
            return
        why = "first sync" if self.first else f"{side.other if gone else side} moved"
        if target is Side.HUBSPOT and gone:
            self._unlink(far, "The app's field no longer holds it.", why, wanted)
        elif target is Side.HUBSPOT:
            self.pairs.add(far, self.rule.types)
            self._change(Side.HUBSPOT, "link", far, "The app has the link.", why, None)
        elif gone:
            wanted[:] = [k for k in wanted if k != far]  # a list may hold it twice
            text = "HubSpot's link was removed."
            self._change(Side.APP, "unlink", far, text, why, far)
        else:
            wanted.append(far)
            self._change(Side.APP, "link", far, "HubSpot has the link.", why, None)

    # Common -----------------------------------------------------------------------------

    def _apart(self, far: int, side: Side) -> bool:
        """Whether an edge that an undo left on one side is still there and only there;
        one whose end is gone or not paired cannot be judged and stays as it is."""
        on = {Side.APP: far in self.app, Side.HUBSPOT: far in self.shown}
        return self._frozen(far) or (on[side] and not on[side.other])

    def _invisible(self, far: int) -> bool:
        return self.fars[far].status in HIDDEN

    def _frozen(self, far: int) -> bool:
        """Whether a vanished edge may have vanished with its end."""
        return self.fars[far].status != "paired"

    def _paused(self, far: int, in_app: bool, in_hubspot: bool) -> bool:
        """Whether an edge that both had and one side lost waits for its end."""
        return far in self.base and in_app != in_hubspot and self._frozen(far)

    def _frozen_types(self, far: int) -> Types:
        """The baseline of a frozen edge; empty once a side does not show it, unless its
        end is there and only excluded."""
        if self.fars[far].status == "excluded":
            return self.base[far]
        whole = far in self.app and far in self.shown
        return self.base[far] if whole else NO_TYPES

    def note_skipped(self) -> None:
        """Name what waits for an excluded end, so that it is looked at again then."""
        for far in dict.fromkeys((*self.app, *self.shown)):
            if self.fars[far].status != "excluded":
                continue
            in_app, in_hubspot = far in self.app, far in self.shown
            if far in self.base and in_app and in_hubspot:
                continue
            side = Side.HUBSPOT if in_hubspot else Side.APP
            # One that both had and one side lost would go from the side that has it.
            lost = bool(self.base.get(far))
            if (in_app and in_hubspot) or self.rule.lets(side if lost else side.other):
                self.result.skipped.append(Pending(self.rule.key, far, side))

    def _may_travel(self, far: int | None, target: Side) -> bool:
        """Whether an edge can be written now; one that only waits is noted."""
        if not self.rule.lets(target):
            return False
        if far is not None and (why := self.refused.get((far, target))):
            self.result.failing.append(Failing(self.rule.key, far, *why))
            return False
        if far is None or self.fars[far].status == "paired":
            return True
        if self.fars[far].status == "pending":
            self.result.pending.append(Pending(self.rule.key, far, target.other))
        return False

    def _gained(self, far: int) -> Types:
        """The types a pair got since both sides agreed on it."""
        return self.pairs.others(far, self.rule.types) - self.base.get(far, NO_TYPES)

    def _hubspot_wins(self) -> bool:
        return self.rule.conflict == "hubspot" and self.rule.lets(Side.APP)

    def _takes_pair(self, far: int) -> bool:
        """Whether unlinking a primary or a label removes the pair, too."""
        if self.rule.kind == "default" or self.rule.on_unlink != "remove_pair":
            return False
        return not self.pairs.others(far, self.rule.types)

    def _let_go(self, far: int, why: str) -> bool:
        """Unlink what the field moved away from.

        A pair that gained a label stays as a link of its own, unless the app wins.
        """
        owned = self.rule.kind == "default"
        stays = self._hubspot_wins() or self._asks()
        if owned and stays and self._gained(far):
            return False
        self._unlink(far, "The app's field holds another record.", why)
        return True

    def _unlink(
        self, far: int, text: str, why: str, wanted: list[int] | None = None
    ) -> None:
        """Take an edge off HubSpot; a plain one owns the pair.

        Where the pair gained a label or the primary meanwhile, HubSpot moved too.
        """
        rule = self.rule
        if rule.kind == "default":
            if self._gained(far) and self._asks():
                text = "The app removed the link while HubSpot gave it a label."
                self._ask(far, Side.HUBSPOT, text)
                return
            if self._gained(far) and self._hubspot_wins():
                self._put_back(far, wanted)
                return
            self.pairs.remove(far, rule.types)
        elif self._takes_pair(far):
            self.pairs.remove(far, rule.types | {self.pairs.plain})
        else:
            self.pairs.remove(far, rule.types & self.hubspot.get(far, NO_TYPES))
        self._change(Side.HUBSPOT, "unlink", far, text, why, far)

    def _put_back(self, far: int, wanted: list[int] | None) -> None:
        if wanted is None:
            self.result.app[self.rule.key] = (far,)
        else:
            wanted.append(far)
        self._change(
            Side.APP,
            "link",
            far,
            "The app removed the link while HubSpot gave it a label.",
            "conflict: hubspot",
            None,
        )

    def _change(
        self,
        side: Side,
        kind: Kind,
        far: int | None,
        reason: str,
        rule: str,
        ended: int | None,
    ) -> None:
        self.result.changes.append(
            EdgeChange(
                self.rule.key,
                side,
                kind,
                far,
                reason,
                rule,
                frozenset() if ended is None else frozenset({ended}),
                NO_TYPES if far is None else self.hubspot.get(far, NO_TYPES),
            )
        )


def _is_primary(types: Types) -> bool:
    return any(t in PRIMARIES for t in types)
