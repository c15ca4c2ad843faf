"""Values that an answer lacks because they are unset, in systems that answer so.

HubSpot says null of a property that is unset and leaves out one that it has not; a gateway
or an emulator in between may leave out both. What is left out is blank only where nothing
else explains it: the schema, read after the answer, still has the field, and the record,
read again by its id, lacks it once more. An answer to another question makes nothing blank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from connections.records import Record, Side
from syncs.engine.values import is_blank
from syncs.models import RecordLink
from syncs.run.session import Session


def with_blanks(
    session: Session, side: Side, records: Sequence[Record], *, by_id: bool = False
) -> list[Record]:
    """The same records, with a blank for each value that was emptied in such a system.

    Only records of which a value is known that their answer lacks are looked at again;
    and those that were read by id because a filter looks at what was never shown.
    """
    filters = {f.field for f in session.filters if by_id and f.side == side}
    lacking = _lacking(session, side, records, filters)
    if not lacking:
        return list(records)
    session.refresh(side)
    obj = session.object_on(side)
    again = session.connector(side).fetch(obj, sorted(lacking), session.want(side))
    session.tally.add("read", side, len(again.records))
    there = {name for name in session.names(side) if obj.field(name) is not None}
    return [
        _told(
            record, again.records.get(record.id), lacking.get(record.id, set()), there
        )
        for record in records
    ]


def _lacking(
    session: Session, side: Side, records: Sequence[Record], filters: set[str]
) -> dict[str, set[str]]:
    """What is known of records whose answers leave it out, or that a filter has to know,
    by their ids."""
    names = session.names(side)
    left_out = {r.id: names - r.values.keys() for r in records if r.sparse}
    left_out = {record_id: lack for record_id, lack in left_out.items() if lack}
    if not left_out:
        return {}
    found: dict[str, set[str]] = {}
    ids = {f"{side}_id__in": list(left_out)}
    for link in RecordLink.objects.filter(sync=session.sync, **ids):
        record_id, known = link.id_on(side) or "", link.values_on(side)
        never = filters - known.keys()
        lost = {
            n for n in left_out[record_id] if n in never or not is_blank(known.get(n))
        }
        if lost:
            found[record_id] = lost
    return found


def _told(
    record: Record, again: Record | None, lacking: set[str], there: set[str]
) -> Record:
    if again is None or again.id != record.id:
        return record
    if not again.sparse:
        return again
    emptied = (lacking & there) - again.values.keys()
    return replace(again, values={**again.values, **dict.fromkeys(emptied)})
