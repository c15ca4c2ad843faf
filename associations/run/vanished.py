"""Whether the far records, and the labels, of links that vanished are still there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from associations.engine.edges import Result
from associations.run.ends import parts
from associations.run.mappings import Pair
from associations.run.types import missing, say
from associations.services import read_pair
from connections import schemas
from connections.catalogue import Code
from connections.records import ObjectType, Record, Side, Want
from syncs.engine.values import ValueProblem, canonical
from syncs.models import ObjectSync, RecordLink
from syncs.run.session import Session, now
from syncs.run.store import update_rows
from syncs.run.tombstones import is_archived


def find_gone(
    session: Session, pair: Pair, side: Side, links: Sequence[RecordLink]
) -> list[int]:
    """Those of some far records that are gone, archived or merged on a side.

    Their own sync concludes that, after counting how many vanished.
    """
    if not links:
        return []
    owner = pair.to_sync
    obj = far_object(owner, side)
    declared = owner.archive.get(side)
    if declared and obj.field(declared["field"]) is None:
        declared = None
    want = Want((declared["field"],) if declared else ())
    ids = {link.id_on(side) or "": link for link in links}
    size = session.connector(side).capabilities.fetch_batch
    gone: list[RecordLink] = []
    merged: dict[str, str] = {}
    for some in parts(list(ids), size):
        fetched = session.connector(side).fetch(obj, some, want)
        merged |= {i: r.id for i, r in fetched.records.items() if r.id != i}
        gone += [ids[i] for i in some if i in fetched.gone or i in merged]
        gone += [
            ids[i]
            for i, record in fetched.records.items()
            if declared and record.id == i and _archived(owner, side, obj, record)
        ]
    for link in gone:
        link.refresh_from_db()
        setattr(link, f"{side}_vanished_at", now())
        record_id = link.id_on(side) or ""
        into = merged.get(record_id)
        session.log(
            f"{owner.name}: record {record_id} "
            + (f"was merged into {into}" if into else f"no longer exists in {side}")
            + "; its links are left as they are.",
            code=Code.RECORD_MERGED if into else Code.RECORD_GONE,
        )
    # Only this column: another run may be at work on the far sync's records.
    if session.run.pk:  # who only looks keeps nothing
        update_rows(gone, [f"{side}_vanished_at"])
    return [link.pk for link in gone]


def _archived(owner: ObjectSync, side: Side, obj: ObjectType, record: Record) -> bool:
    name = owner.archive[side]["field"]
    field = obj.field(name)
    if field is None or name not in record.values:
        return False
    try:
        value = canonical(record.values[name], field, zone=ZoneInfo(owner.timezone))
    except ValueProblem:
        return False
    return bool(is_archived(owner, side, {name: value}))


def far_object(sync: ObjectSync, side: Side) -> ObjectType:
    if side is Side.HUBSPOT:
        return schemas.load_object(sync.app.hubspot, sync.hubspot_object)
    return schemas.load_object(sync.app, sync.app_object)


def find_merged(
    session: Session, pair: Pair, links: Sequence[RecordLink]
) -> dict[str, int]:
    """What some far records were merged into in HubSpot, that their own sync has not
    read yet.

    Returns: our keys of them, by the survivors' ids; of two pairs that were merged, which
    one goes on is for their own sync to say.
    """
    obj = far_object(pair.to_sync, Side.HUBSPOT)
    ids = {link.hubspot_id or "": link.pk for link in links}
    size = session.hubspot.capabilities.fetch_batch
    found: dict[str, int] = {}
    into: dict[str, str] = {}  # what every record that was merged goes on as
    for some in parts(list(ids), size):
        for was, record in session.hubspot.fetch(obj, some, Want(())).records.items():
            if record.id != was:
                found[record.id] = ids[was]
                into |= dict.fromkeys((was, *record.aliases), record.id)
    of_app = RecordLink.objects.filter(sync=pair.to_sync, app_id__isnull=False)
    pairs = of_app.filter(hubspot_id__in=[*into, *found])
    known = pairs.order_by().values_list("hubspot_id", flat=True)
    held = Counter(into.get(i or "", i) for i in known)
    return {i: key for i, key in found.items() if held[i] == 1}


def find_lost_labels(session: Session, pair: Pair, results: Iterable[Result]) -> bool:
    """Look, before labels that HubSpot's pairs lost travel, whether they still exist.

    A label is taken off every record before it can be deleted, and nobody unlinked.

    Returns: whether a mapping was found to miss its type: its links stay as they are.
    """
    labels = {m.key for m in pair.mappings if m.rule.kind in ("label", "labels")}
    vanished = any(
        change.mapping_key in labels
        and change.side is Side.APP
        and (change.ends or (change.rows is not None and change.kind == "relabel"))
        for result in results
        for change in result.changes
    )
    if not vanished or pair.looked.again:
        return False
    pair.looked.again = True
    ends = (pair.from_object, pair.to_object)
    read_pair(session.sync.app.hubspot, session.hubspot, ends)
    for mapped in pair.mappings:
        if text := missing(session, mapped.row):
            say(session, Code.TYPE_UNKNOWN, text)
            pair.looked.lost.add(mapped.key)
    return bool(pair.looked.lost)
