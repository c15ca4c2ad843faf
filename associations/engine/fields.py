"""One field's links of a record: what is common to fields of one and of many."""

from __future__ import annotations

from collections.abc import Mapping

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
from connections.records import Side

GONE = "The linked record is gone, or cannot be matched: the link stays as it is."


class Field:
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
        holders: Holders,
    ) -> None:
        self.rule, self.app, self.hubspot = rule, app, hubspot
        self.fars, self.pairs, self.result = fars, pairs, result
        self.holders = holders
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

    def merge(self) -> None:
        """Decide, and put what is to be done into the result."""
        raise NotImplementedError

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
        elif self.fars[far].status == "invisible":
            self.result.noted.append(
                Pending(self.rule.key, far, target.other, Code.RECORD_GONE, GONE)
            )
        return False

    def _ask(self, far: int, side: Side, text: str) -> None:
        text = f"{text} Set one side like the other; until then both stay as they are."
        self.result.pending.append(
            Pending(self.rule.key, far, side, Code.CONFLICT, text)
        )

    def _asks(self) -> bool:
        return self.rule.conflict == "review" and self.rule.direction == "two_way"

    def _gained(self, far: int) -> Types:
        """The types a pair got since both sides agreed on it."""
        return self.pairs.others(far, self.rule.types) - self.base.get(far, NO_TYPES)

    def _hubspot_wins(self) -> bool:
        return self.rule.conflict == "hubspot" and self.rule.lets(Side.APP)

    def _takes_pair(self, far: int) -> bool:
        """Whether unlinking a primary or a label removes the pair, too."""
        if self.rule.kind == "default" or self.rule.on_unlink != "remove_pair":
            return False
        if self.holders.owner(far, self.rule):
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
        if owned and self._kept_for_another(far):
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
            if self._kept_for_another(far):
                return
            self.pairs.remove(rule.key, far, rule.types)
        elif self._takes_pair(far):
            self.pairs.remove(rule.key, far, rule.types | {self.pairs.plain})
        else:
            self.pairs.remove(
                rule.key, far, rule.types & self.hubspot.get(far, NO_TYPES)
            )
        self._change(Side.HUBSPOT, "unlink", far, text, why, far)

    def _kept(self, far: int) -> bool:
        """Whether a pair stays for a field that cannot be told of its end."""
        return self.rule.kind == "default" and self.holders.keeps(far, self.rule)

    def _kept_for_another(self, far: int) -> bool:
        keeps = self.holders.keeps(far, self.rule)
        if keeps:
            self.result.noted.append(kept(self.rule.key, far))
        return keeps

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
