"""What search sees: every record as it was some time ago.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from typing import Any

from connections.sandbox.clock import Clock
from connections.sandbox.hubspot.kinds import Kind
from connections.sandbox.hubspot.records import Record
from connections.sandbox.hubspot.store import Store
from connections.sandbox.hubspot.switches import Switches

KEPT_QUERIES = 8


class SearchIndex:
    """A stale copy of the records, brought forward at each search."""

    def __init__(self, store: Store, switches: Switches, clock: Clock) -> None:
        self._store = store
        self._switches = switches
        self._clock = clock
        # Paging through a large result asks the same again: keep its ids, sorted,
        # as long as nothing moved.
        self._found: OrderedDict[tuple[Any, ...], array[int]] = OrderedDict()
        self._changes = -1

    def settle(self) -> None:
        """Let search see what was written longer ago than its lag."""
        due = self._clock.now_ms() - round(self._switches.number("search_lag_s") * 1000)
        last = self._store.one(
            "SELECT max(seq) FROM search_pending WHERE written <= ?", due
        )[0]
        if last is not None:
            self._store.run(
                "REPLACE INTO search_row SELECT kind, id, properties, created, updated "
                "FROM search_pending WHERE seq <= ? AND written <= ? ORDER BY seq",
                last,
                due,
            )
            self._store.run(
                "DELETE FROM search_pending WHERE seq <= ? AND written <= ?", last, due
            )
        changes = self._store.changes()
        if changes != self._changes:
            self._found.clear()
            self._changes = changes

    def ids(self, sql: str, *values: Any) -> array[int]:
        """Return the ids that a query over `search_row` finds, in its order."""
        key = (sql, *values)
        found = self._found.get(key)
        if found is None:
            found = array("q", (row[0] for row in self._store.run(sql, *values)))
            self._found[key] = found
            if len(self._found) > KEPT_QUERIES:
                self._found.popitem(last=False)
        return found

    def rows(self, kind: Kind, ids: list[int]) -> list[Record]:
        """Return records as search sees them, in the order of the ids."""
        marks = ",".join("?" * len(ids))
        found = {
            row[0]: Record.of(kind, (*row, None))
            for row in self._store.all(
                "SELECT id, properties, created, updated FROM search_row "
                f"WHERE kind = ? AND id IN ({marks})",
                kind.type_id,
                *ids,
            )
        }
        return [found[record_id] for record_id in ids if record_id in found]
