"""The association types of one account: the standard ones and its own."""

from __future__ import annotations

from typing import Any

from connections.sandbox.hubspot.association_types import (
    STANDARD_TYPES,
    USER_DEFINED,
    LinkType,
)
from connections.sandbox.hubspot.errors import invalid
from connections.sandbox.hubspot.kinds import Kind
from connections.sandbox.hubspot.store import Store

Json = dict[str, Any]
Key = tuple[str, int]
LABELS_PER_PAIR = 50


class LinkTypes:
    """Association types by direction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.forget()

    def forget(self) -> None:
        """Read the account's own types again at the next question."""
        self._by_pair: dict[tuple[str, str], dict[Key, LinkType]] | None = None
        self._far: dict[tuple[str, Key], str] = {}

    def between(self, from_kind: Kind, to_kind: Kind) -> dict[Key, LinkType]:
        """Return the types of one direction by (category, id)."""
        if self._by_pair is None:
            self._by_pair, self._far = {}, {}
            own = self._store.documents("link type").values()
            for link_type in (*STANDARD_TYPES, *(LinkType(**body) for body in own)):
                ends = (link_type.from_kind, link_type.to_kind)
                self._by_pair.setdefault(ends, {})[link_type.key] = link_type
                self._far[(ends[0], link_type.key)] = ends[1]
        return self._by_pair.get((from_kind.type_id, to_kind.type_id), {})

    def far_kind(self, from_kind: Kind, key: Key) -> str | None:
        """Return the object type that an association type leads to."""
        self.between(from_kind, from_kind)
        return self._far.get((from_kind.type_id, key))

    def plain(self, from_kind: Kind, to_kind: Kind) -> LinkType:
        """Return the unlabelled type of a direction.

        Raises: ApiError 400 if the two object types cannot be linked.
        """
        for link_type in self.between(from_kind, to_kind).values():
            if link_type.plain:
                return link_type
        raise invalid(
            f"No association type between {from_kind.type_id} and {to_kind.type_id}",
            "INVALID_OBJECT_PAIR",
        )

    def primary(self, from_kind: Kind, to_kind: Kind) -> LinkType | None:
        """Return the primary type of a direction, if it has one."""
        found = (t for t in self.between(from_kind, to_kind).values() if t.primary)
        return next(found, None)

    def inverse(self, link_type: LinkType) -> LinkType | None:
        """Return a type as the other end sees it."""
        if link_type.inverse is None or self._by_pair is None:
            return None
        back = self._by_pair.get((link_type.to_kind, link_type.from_kind), {})
        return back.get((link_type.category, link_type.inverse))

    def asked(self, from_kind: Kind, to_kind: Kind, specs: object) -> list[LinkType]:
        """Return the types that a write names.

        Raises: ApiError 400 for an empty list or a type of another direction.
        """
        if not isinstance(specs, list) or not specs:
            raise invalid("one or more association types are required")
        known = self.between(from_kind, to_kind)
        found = []
        for spec in specs:
            key = (spec.get("associationCategory"), spec.get("associationTypeId"))
            if not isinstance(key[1], int) or key not in known:
                raise invalid(
                    f"{key[0]} association type {key[1]} isn't valid between "
                    f"{from_kind.plural} and {to_kind.plural}",
                    "INVALID_ASSOCIATION_TYPE",
                    type=[str(key[1])],
                    fromObjectType=[from_kind.type_id],
                    toObjectType=[to_kind.type_id],
                )
            found.append(known[key])
        return found

    # The account's own types

    def define(
        self,
        ends: tuple[Kind, Kind],
        name: str,
        labels: tuple[str | None, str | None],
    ) -> list[LinkType]:
        """Add a type: one if it reads the same from both ends, else one per end.

        Args: ends, from and to; name, its word in the v3 API; labels, the text seen
            from each end, None for a plain type.
        """
        one, other = ends
        same_kind = one == other
        label, back_label = labels
        paired = not same_kind or (back_label is not None and back_label != label)
        first = self._store.count_up("link type")
        second = self._store.count_up("link type") if paired else first
        ids = (one.type_id, other.type_id)
        types = [LinkType(*ids, USER_DEFINED, first, label, name, second)]
        if paired:
            back = back_label if back_label is not None else label
            word = f"{name}_inverse"
            types.append(LinkType(*ids[::-1], USER_DEFINED, second, back, word, first))
        for link_type in types:
            self.keep(link_type)
        return types

    def keep(self, link_type: LinkType) -> None:
        """Store one of the account's own types."""
        body = {name: getattr(link_type, name) for name in LinkType.__slots__}
        self._store.keep("link type", str(link_type.type_id), body)
        self.forget()

    def drop(self, link_type: LinkType) -> None:
        """Forget one of the account's own types, both ends of it."""
        for type_id in {link_type.type_id, link_type.inverse}:
            self._store.drop("link type", str(type_id))
        self.forget()
