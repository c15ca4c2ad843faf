"""Which revision of a record was last seen: what is written over must be that one.

Kintone counts each write to a record; an update that names the number it was planned from is
refused if anybody wrote since.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any

MOST = 50_000  # records that are remembered
ANY = "-1"  # no lock


class Revisions:
    """The revisions seen last, of the latest records; safe to use from several threads."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = Lock()

    def saw(self, app: str, row: Mapping[str, Any]) -> None:
        """Note a record as it was answered."""
        revision = (row.get("$revision") or {}).get("value")
        if revision is not None:
            self.put(app, str(row["$id"]["value"]), str(revision))

    def put(self, app: str, record_id: str, revision: str) -> None:
        with self._lock:
            self._held[app, record_id] = revision
            self._held.move_to_end((app, record_id))
            if len(self._held) > MOST:
                self._held.popitem(last=False)

    def get(self, app: str, record_id: str) -> str:
        """The revision to write over; `ANY` for a record that was not read."""
        with self._lock:
            return self._held.get((app, record_id), ANY)
