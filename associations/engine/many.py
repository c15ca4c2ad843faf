"""Merge the links of a field that holds many records."""

from __future__ import annotations

from associations.engine.edges import Types
from associations.engine.fields import Field
from connections.records import Side


class ManyField(Field):
    """A field that holds many: a list, or the rows of a join table without labels."""

    def merge(self) -> None:
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
            self.pairs.add(self.rule.key, far, self.rule.types)
            self._change(Side.HUBSPOT, "link", far, "The app has the link.", why, None)
        elif gone:
            wanted[:] = [k for k in wanted if k != far]  # a list may hold it twice
            text = "HubSpot's link was removed."
            self._change(Side.APP, "unlink", far, text, why, far)
        else:
            wanted.append(far)
            self._change(Side.APP, "link", far, "HubSpot has the link.", why, None)
