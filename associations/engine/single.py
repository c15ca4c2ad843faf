"""Merge the links of a field that holds one record."""

from __future__ import annotations

from associations.engine.edges import NO_TYPES, Failing, Kind, Types
from associations.engine.fields import Field
from associations.engine.types import ONE_PRIMARY, PRIMARIES
from connections.catalogue import Code
from connections.records import Side

REVIEW = "conflict: review"
AMBIGUOUS = -(2**63)  # no far record's key: several edges, and none stands out


class SingleField(Field):
    """A field that holds one."""

    def merge(self) -> None:
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
                if left == app or self._frozen(left) or left not in self.held:
                    continue
                if not self._let_go(left, "app moved") and self._kept(left):
                    kept[left] = self.base[left]

    def _base_of(self, app: int | None) -> int | None:
        """The one edge of the baseline; a killed run may have left a stale second, and
        another field may keep one that this has left."""
        if app in self.base:
            return app
        held = [k for k in self.base if k in self.held]
        free = (k for k in held if not self._kept(k))
        return next(free, next(iter([*held, *self.base]), None))

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
            # Where another field keeps the pair, it goes with that one's link.
            if self._let_go(ended, why) or self._kept(ended):
                ended = None
            else:
                why = f"conflict: {self.rule.conflict}"
        self.pairs.add(self.rule.key, far, self.rule.types)
        text = (
            "The app's field holds another record."
            if moves
            else "The app has the link."
        )
        self._change(
            Side.HUBSPOT, "relabel" if moves else "link", far, text, why, ended
        )


def _is_primary(types: Types) -> bool:
    return any(t in PRIMARIES for t in types)
