"""Values that an answer lacks because they are unset, in systems that answer so.

HubSpot says null of a property that is unset and leaves out one that it has not; a gateway
or an emulator in between may leave out both. What is left out is blank only where nothing
else explains it: the schema, read after the answer, still has the field; the record, read
again by its id, lacks it once more; and a record that is known to hold a value of the field,
read beside it, shows one. An answer to another question makes nothing blank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from django.db.models import TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from connections.records import Record, Side
from syncs.engine.values import is_blank
from syncs.models import RecordLink
from syncs.run.session import Session

WITNESSES = 3  # of a field


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
    with session.storing:
        session.refresh(side)
    obj = session.object_on(side)
    witnesses = _witnesses(session, side, lacking)
    ids = {*lacking, *(i for some in witnesses.values() for i in some)}
    again = session.connector(side).fetch(obj, sorted(ids), session.want(side)).records
    emptied = {
        name
        for name in session.names(side)
        if obj.field(name) is not None
        and _proven(again, name, witnesses.get(name, ()), lacking, filters)
    }
    return [
        _told(record, again.get(record.id), lacking.get(record.id, set()), emptied)
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


def _witnesses(
    session: Session, side: Side, lacking: Mapping[str, set[str]]
) -> dict[str, list[str]]:
    """Records that are known to hold a value of a field and do not lack it now, by field."""
    found: dict[str, list[str]] = {}
    for name in set().union(*lacking.values()):
        without = [i for i, names in lacking.items() if name in names]
        held = Cast(KeyTextTransform(name, f"{side}_values"), TextField())
        rows = (
            RecordLink.objects.filter(
                sync=session.sync,
                **{f"{side}_id__isnull": False, f"{side}_gone_at": None},
            )
            .exclude(**{f"{side}_id__in": without})
            .annotate(held=held)
            .filter(held__gt="")
            .exclude(held="null")  # as SQLite writes a blank
            .values_list(f"{side}_id", flat=True)
        )
        if some := list(rows.order_by()[:WITNESSES]):
            found[name] = some
    return found


def _proven(
    again: Mapping[str, Record],
    name: str,
    witnesses: Sequence[str],
    lacking: Mapping[str, set[str]],
    filters: set[str],
) -> bool:
    """Whether answers of now show a field where it has a value.

    Where nobody else is known to hold one, a single record may have lost it.
    """
    if witnesses:
        seen = (again[i].values.get(name) for i in witnesses if i in again)
        return any(not is_blank(value) for value in seen)
    return name in filters or sum(name in names for names in lacking.values()) == 1


def _told(
    record: Record, again: Record | None, lacking: set[str], emptied: set[str]
) -> Record:
    if again is None or again.id != record.id:
        return record
    if not again.sparse:
        return again
    blank = (lacking & emptied) - again.values.keys()
    return replace(again, values={**again.values, **dict.fromkeys(blank)})
