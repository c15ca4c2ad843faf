"""Keep what records are matched by in step with what was written to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connections.records import Side
from syncs.models import RecordKey, RecordLink
from syncs.run.identity import suspect
from syncs.run.session import Session
from syncs.run.store import keys_of

KeyAt = tuple[int, str, int, str]  # link, side, rank, value


class KeyKeeper:
    """Collects how writes move key values; `save` stores that, in a transaction.

    A read that finds a record as its write left it sees nothing new, so keys that
    were not stored with the write would never be: another record that comes with the
    same key would find nobody, and one with a key given up would find a rival.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._gone: set[KeyAt] = set()
        self._new: set[KeyAt] = set()

    def moved(
        self,
        side: Side,
        link: RecordLink,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        written: Mapping[str, Any],
    ) -> None:
        """Note a record's values on a side, as they were and as they are after a write.

        Keys that we did not write may show that the id is another record's by now.
        """
        # Further addresses, which only a read tells, stay.
        old = keys_of(self._session, side, before, {})
        now = keys_of(self._session, side, after, {})
        if old and not old & now:
            sent = keys_of(self._session, side, {**before, **written}, {})
            suspect(self._session, side, link, sent, now)
        self._gone.update((link.pk, side, rank, value) for rank, value in old - now)
        self._new.update((link.pk, side, rank, value) for rank, value in now - old)

    def save(self) -> None:
        gone, new = self._gone, self._new
        self._gone, self._new = set(), set()
        if not gone and not new:
            return
        rows = RecordKey.objects.filter(link__in={at[0] for at in gone | new})
        stored = {(r.link_id, r.side, r.rank, r.value): r.pk for r in rows}
        RecordKey.objects.filter(
            pk__in=[stored[k] for k in gone & stored.keys()]
        ).delete()
        RecordKey.objects.bulk_create(
            [
                RecordKey(
                    link_id=link_id,
                    sync=self._session.sync,
                    side=side,
                    rank=rank,
                    value=value,
                )
                for link_id, side, rank, value in sorted(new - stored.keys())
            ],
            batch_size=500,
        )
