"""Links between records: one row per direction and type.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/associations
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from connections.sandbox.hubspot.association_types import IDS, PRIMARIES, LinkType
from connections.sandbox.hubspot.errors import invalid
from connections.sandbox.hubspot.kinds import COMPANIES, CONTACTS, DEALS, TICKETS, Kind
from connections.sandbox.hubspot.link_caps import LinkCaps
from connections.sandbox.hubspot.link_types import Key, LinkTypes
from connections.sandbox.hubspot.store import Store
from connections.sandbox.hubspot.switches import Switches

# The end that has at most one primary, and the other end.
LED = {(IDS[here], IDS[there]) for here, there, *_ in PRIMARIES}
# Those whose first link becomes primary by itself.
FIRST_LED = {(CONTACTS, COMPANIES), (DEALS, COMPANIES), (TICKETS, COMPANIES)}
ROLLED_UP = {(CONTACTS, COMPANIES), (COMPANIES, CONTACTS), (COMPANIES, DEALS)}
Touch = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two records, seen from one of them."""

    from_kind: Kind
    from_id: int
    to_kind: Kind
    to_id: int

    @property
    def ids(self) -> tuple[str, int, str, int]:
        return self.from_kind.type_id, self.from_id, self.to_kind.type_id, self.to_id

    @property
    def kinds(self) -> tuple[str, str]:
        return self.from_kind.type_id, self.to_kind.type_id

    @property
    def back(self) -> Pair:
        return Pair(self.to_kind, self.to_id, self.from_kind, self.from_id)


class Links:
    """The links of one account.

    Args: touch, called with (kind id, record id) where a link moves a modified date.
    """

    def __init__(
        self,
        store: Store,
        types: LinkTypes,
        caps: LinkCaps,
        switches: Switches,
        touch: Touch,
    ) -> None:
        self._store = store
        self._types = types
        self._caps = caps
        self._switches = switches
        self._touch = touch

    # Reading

    def types_of(self, pair: Pair) -> set[Key]:
        """Return the (category, id) of a pair's types."""
        rows = self._store.all(
            "SELECT category, type_id FROM link WHERE from_kind = ? AND from_id = ? "
            "AND to_kind = ? AND to_id = ?",
            *pair.ids,
        )
        return set(rows)

    def of(
        self, kind: Kind, record_id: int, to_kind: Kind, after: int
    ) -> Iterator[tuple[int, Key]]:
        """Yield (far id, (category, type id)) of a record's links past an id, in order.

        Links of archived records stay out, at either end, unless a switch shows them.
        """
        sql = (
            "SELECT l.to_id, l.category, l.type_id FROM link l JOIN record r "
            "ON r.kind = l.to_kind AND r.id = l.to_id WHERE l.from_kind = ? "
            "AND l.from_id = ? AND l.to_kind = ? AND l.to_id > ?"
        )
        if self._switches["archive_hides_links"]:
            sql += " AND r.archived IS NULL"
        ends = (kind.type_id, record_id, to_kind.type_id, after)
        for far, category, type_id in self._store.run(f"{sql} ORDER BY l.to_id", *ends):
            yield far, (category, type_id)

    # Writing

    def write(
        self, pair: Pair, asked: Iterable[LinkType], *, default: bool
    ) -> set[Key]:
        """Link two live records.

        Args: asked, the types to write; default, whether this is a default write,
            which adds the plain type and leaves the others.
        Returns: the primary type if it came by itself.
        Raises: ApiError 400 for a refused primary, a limit, a record linked to itself.
        """
        if pair.ids[:2] == pair.ids[2:]:
            raise invalid("A record can not be associated with itself")
        plain = self._types.plain(pair.from_kind, pair.to_kind)
        had = self.types_of(pair)
        want = {link_type.key for link_type in asked} | {plain.key}
        want |= had if default else self._kept(pair, had, want)
        came = set() if had else self._first_primary(pair, default=default) - want
        want |= came
        primary = self._types.primary(pair.from_kind, pair.to_kind)
        if primary and primary.key in want - had:
            self._make_room(pair, primary)
        for ids, key in self._both_ends(pair, want - had):
            self._caps.check(ids, key, plain=self._is_plain(pair, ids, key))
        self._remove(pair, had - want)
        self._add(pair, want - had)
        if want != had:
            self._moved(pair)
        return came

    def _kept(self, pair: Pair, had: set[Key], want: set[Key]) -> set[Key]:
        """Return the types of a linked pair that a write of others leaves standing."""
        primary = self._types.primary(pair.from_kind, pair.to_kind)
        first = {primary.key} & had if primary else set()
        labels = had - first if self._switches["label_write"] == "add" else set()
        keeps = self._switches["labels_without_primary"] == "keep"
        return labels | (first if keeps or labels else set())

    def _first_primary(self, pair: Pair, *, default: bool) -> set[Key]:
        """Return the primary type if this is the record's first company."""
        when = self._switches["first_link_primary"]
        if when == "never" or (when == "default_writes" and not default):
            return set()
        led = self._led(pair)
        primary = self._types.primary(pair.from_kind, pair.to_kind)
        if primary is None or led.kinds not in FIRST_LED:
            return set()
        if next(self.of(led.from_kind, led.from_id, led.to_kind, 0), None) is not None:
            return set()
        # A link to an archived company is no first one, and may be primary all the same:
        # what comes by itself is no reason to refuse what was asked for.
        own = self._types.primary(led.from_kind, led.to_kind)
        hidden = own is not None and self._with_type(led, own)
        if hidden and self._switches["second_primary"] == "refuse":
            return set()
        return {primary.key}

    def _led(self, pair: Pair) -> Pair:
        """Return the pair as seen from the record that has one primary at most."""
        return pair if pair.kinds in LED else pair.back

    def _make_room(self, pair: Pair, primary: LinkType) -> None:
        """Demote the record's former primary, or refuse the new one."""
        led = self._led(pair)
        if led != pair:
            primary = self._types.primary(led.from_kind, led.to_kind) or primary
        rows = self._with_type(led, primary)
        if rows and self._switches["second_primary"] == "refuse":
            raise invalid(
                f"{led.from_id} already has a primary {led.to_kind.singular}",
                "PRIMARY_EXISTS",
            )
        for former in rows:
            old = Pair(led.from_kind, led.from_id, led.to_kind, former)
            self._remove(old, {primary.key})

    def graft(self, pair: Pair, keys: Iterable[Key]) -> None:
        """Give a merged record a link of one that it is made of.

        A primary is dropped where the record, or the far one, has another already.
        """
        known = self._types.between(pair.from_kind, pair.to_kind)
        kept = {key for key in keys if key in known}
        for key in [key for key in kept if known[key].primary]:
            led = self._led(pair)
            primary = self._types.primary(led.from_kind, led.to_kind)
            if primary and self._with_type(led, primary):
                kept.discard(key)
        self._add(pair, kept - self.types_of(pair))

    # Removing

    def remove_pair(self, pair: Pair) -> bool:
        """Remove every type of a pair; say whether there was one."""
        had = self.types_of(pair)
        self._remove(pair, had)
        if had:
            self._moved(pair)
        return bool(had)

    def remove_types(self, pair: Pair, gone: Iterable[LinkType]) -> None:
        """Remove some types of a pair; the plain one takes all with it.

        Raises: ApiError 400 if a primary is named and the account refuses that.
        """
        had = self.types_of(pair)
        drop: set[Key] = set()
        for link_type in gone:
            rule = self._switches["primary_archive"] if link_type.primary else ""
            if rule == "refused":
                raise invalid("The primary label can not be removed", "PRIMARY_LABEL")
            if link_type.plain or rule == "removes_pair":
                drop |= had
            drop |= {link_type.key} & had
        self._remove(pair, drop)
        if drop:
            self._moved(pair)

    def remove_record(self, kind: Kind, record_id: int) -> None:
        """Remove all links of a record for good."""
        for to_kind, to_id in self._store.all(
            "SELECT DISTINCT to_kind, to_id FROM link WHERE from_kind = ? "
            "AND from_id = ?",
            kind.type_id,
            record_id,
        ):
            self._erase((kind.type_id, record_id, to_kind, to_id))
            self._count((kind.type_id, record_id, to_kind, to_id), -1)

    # Rows

    def _with_type(self, pair: Pair, link_type: LinkType) -> list[int]:
        """Return the other records that a record is linked to by a type."""
        rows = self._store.all(
            "SELECT to_id FROM link WHERE from_kind = ? AND from_id = ? "
            "AND to_kind = ? AND category = ? AND type_id = ? AND to_id <> ?",
            *pair.ids[:3],
            *link_type.key,
            pair.to_id,
        )
        return [row[0] for row in rows]

    def _add(self, pair: Pair, keys: set[Key]) -> None:
        if keys and not self.types_of(pair):
            self._count(pair.ids, 1)
        for ids, key in self._both_ends(pair, keys):
            self._store.run(
                "INSERT OR IGNORE INTO link VALUES (?, ?, ?, ?, ?, ?)", *ids, *key
            )

    def _remove(self, pair: Pair, keys: set[Key]) -> None:
        for ids, key in self._both_ends(pair, keys):
            self._store.run(
                "DELETE FROM link WHERE from_kind = ? AND from_id = ? "
                "AND to_kind = ? AND to_id = ? AND category = ? AND type_id = ?",
                *ids,
                *key,
            )
        if keys and not self.types_of(pair):
            self._erase(pair.ids)
            self._count(pair.ids, -1)

    def _both_ends(
        self, pair: Pair, keys: set[Key]
    ) -> Iterator[tuple[tuple[str, int, str, int], Key]]:
        known = self._types.between(pair.from_kind, pair.to_kind)
        for key in keys:
            yield pair.ids, key
            inverse = self._types.inverse(known[key])
            if inverse is not None:
                yield pair.back.ids, inverse.key

    def _is_plain(self, pair: Pair, ids: tuple[str, int, str, int], key: Key) -> bool:
        side = pair if ids == pair.ids else pair.back
        return self._types.between(side.from_kind, side.to_kind)[key].plain

    def _erase(self, ids: tuple[str, int, str, int]) -> None:
        for ends in (ids, (*ids[2:], *ids[:2])):
            self._store.run(
                "DELETE FROM link WHERE from_kind = ? AND from_id = ? "
                "AND to_kind = ? AND to_id = ?",
                *ends,
            )

    def _count(self, ids: tuple[str, int, str, int], by: int) -> None:
        for kind, record_id, to_kind in (ids[:3], (*ids[2:], ids[0])):
            self._store.run(
                "INSERT INTO degree VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
                "SET links = links + excluded.links",
                kind,
                record_id,
                to_kind,
                by,
            )

    def _moved(self, pair: Pair) -> None:
        """Move modified dates, where the account's switch says that links do."""
        rule = self._switches["link_moves_date"]
        for side in (pair, pair.back):
            rolled = rule == "with_roll_up" and side.kinds in ROLLED_UP
            if rule == "always" or rolled:
                self._touch(side.from_kind.type_id, side.from_id)
