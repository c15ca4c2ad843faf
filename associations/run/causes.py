"""What a planned link was decided from, in words: the app's value and HubSpot's types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from associations.engine.types import PRIMARIES
from associations.run.mappings import Mapped, Pair, discovered
from connections.records import AssociationType
from syncs.models import RecordLink
from syncs.run.session import Session

NO_LINK = "no link"
NAMED = 3  # of a field's records


class Causes:
    """Says it for the links under one pair of objects; labels are looked up once."""

    def __init__(self, session: Session, pair: Pair) -> None:
        self.session, self.pair = session, pair

    def text(
        self,
        link: RecordLink,
        mapped: Mapped,
        far: RecordLink | None,
        types: Sequence[Sequence[Any]],
    ) -> str:
        """Both sides as they were. Args: types, HubSpot's on the pair, as stored."""
        app = f"{self.session.sync.app.name}'s {mapped.end.name}: "
        app += self._held(link, mapped, far)
        if far is None or far.hubspot_id is None:
            return f"{app}; not in HubSpot yet"
        return f"{app}; HubSpot's {far.hubspot_id}: {self.shown(types)}"

    def _held(self, link: RecordLink, mapped: Mapped, far: RecordLink | None) -> str:
        ids = mapped.end.ids(link)
        if ids is None:
            return "not shown whole"
        name = mapped.end.name_of(far) if far is not None else None
        if mapped.end.many and name is not None:
            return name if name in ids else f"without {name}"
        more = " …" if len(ids) > NAMED else ""
        return f"{', '.join(ids[:NAMED])}{more}" or "blank"

    def shown(self, types: Iterable[Sequence[Any]]) -> str:
        """Types by their labels; the plain one only where it stands alone."""
        listed = [AssociationType(str(c), int(i)) for c, i in types]
        labels = [t for t in listed if t != self.pair.plain] or listed
        return ", ".join(self._label(t) for t in labels) or NO_LINK

    def _label(self, type_: AssociationType) -> str:
        if type_ in PRIMARIES:
            return "Primary"
        if type_ == self.pair.plain:
            return "default"
        known = self._labels.get(type_)
        return known or f"{type_.category} {type_.type_id}"

    @cached_property
    def _labels(self) -> dict[AssociationType, str | None]:
        pair = self.pair
        account = self.session.sync.app.hubspot_id
        found = discovered(account, pair.from_object, pair.to_object)
        return {AssociationType(i.category, i.type_id): i.label for i in found}
