"""How many links a record may have: the plan's cap and those that admins set."""

from __future__ import annotations

from typing import Any

from connections.sandbox.hubspot.errors import ApiError
from connections.sandbox.hubspot.link_types import Key
from connections.sandbox.hubspot.store import Store
from connections.sandbox.hubspot.switches import Switches

Json = dict[str, Any]
Ids = tuple[str, int, str, int]
FAMILY = "association cap"


class LimitReached(ApiError):
    """A record has as many links as it may."""


class LinkCaps:
    """The caps of one account."""

    def __init__(self, store: Store, switches: Switches) -> None:
        self._store = store
        self._switches = switches
        self.forget()

    def forget(self) -> None:
        """Read the configured caps again at the next question."""
        self._set: dict[str, Json] | None = None

    def configured(self) -> dict[str, Json]:
        """Return the caps that admins set, by `_key`."""
        if self._set is None:
            self._set = self._store.documents(FAMILY)
        return self._set

    def configure(self, ends: tuple[str, str], key: Key, most: int) -> None:
        """Set a cap; links that stand stay."""
        body = {"ends": list(ends), "key": list(key), "max": most}
        self._store.keep(FAMILY, _key(ends, key), body)
        self.forget()

    def purge(self, ends: tuple[str, str], key: Key) -> None:
        """Remove a cap."""
        self._store.drop(FAMILY, _key(ends, key))
        self.forget()

    def most(self, ends: tuple[str, str], key: Key) -> int | None:
        """Return the cap that admins set, if any."""
        found = self.configured().get(_key(ends, key))
        return None if found is None else int(found["max"])

    def check(self, ids: Ids, key: Key, *, plain: bool) -> None:
        """Refuse one more link of a type if the record has as many as it may.

        Raises: LimitReached.
        """
        most = self.most((ids[0], ids[2]), key)
        if plain:
            technical = int(self._switches.number("technical_cap"))
            most = technical if most is None else min(most, technical)
        if most is None:
            return
        links = self.degree(*ids[:3]) if plain else self._labelled(ids, key)
        if links >= most:
            raise LimitReached(
                400,
                "VALIDATION_ERROR",
                f"{ids[0]} {ids[1]} has reached the limit of {most} associations "
                f"to {ids[2]}",
                sub_category="crm.associations.ASSOCIATION_LIMIT_EXCEEDED",
                context={"fromObjectId": [str(ids[1])], "toObjectId": [str(ids[3])]},
            )

    def degree(self, kind: str, record_id: int, to_kind: str) -> int:
        """Return how many records of a type a record is linked to."""
        row = self._store.one(
            "SELECT links FROM degree WHERE kind = ? AND to_kind = ? AND id = ?",
            kind,
            to_kind,
            record_id,
        )
        return int(row[0]) if row else 0

    def _labelled(self, ids: Ids, key: Key) -> int:
        row = self._store.one(
            "SELECT count(*) FROM link WHERE from_kind = ? AND from_id = ? "
            "AND to_kind = ? AND category = ? AND type_id = ?",
            *ids[:3],
            *key,
        )
        return int(row[0])


def _key(ends: tuple[str, str], key: Key) -> str:
    return "/".join([*ends, key[0], str(key[1])])
