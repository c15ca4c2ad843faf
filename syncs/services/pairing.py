"""Tie and untie two records by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from django.db import transaction

from connections.catalogue import Code, remedy_for
from connections.connectors.base import Connector, RejectedError, SchemaError
from connections.records import ObjectType, Record, Side, Want
from syncs.models import Change, ObjectSync, RecordKey, RecordLink, SyncRun
from syncs.models.choices import ChangeKind, ChangeOutcome, RecordState
from syncs.run import identity
from syncs.run.lease import Lease, LeaseBusy
from syncs.run.match import take_in
from syncs.run.session import now, open_session
from syncs.run.stage import make_stages
from syncs.run.store import save_links, store_page


class PairError(Exception):
    """The two records cannot be paired or unpaired as asked; nothing was changed."""


def _find(sync: ObjectSync, side: Side, record_id: str) -> RecordLink | None:
    return RecordLink.objects.filter(sync=sync, **{f"{side}_id": record_id}).first()


def _read(sync: ObjectSync, lease: Lease, ids: Mapping[Side, str]) -> dict[Side, str]:
    """Read the records that no run has read yet.

    Returns: the ids as the systems spell them: a merged record's is that of its survivor.
    Raises: PairError for one that is not there; ConnectorError.
    """
    unread = {side: i for side, i in ids.items() if _find(sync, side, i) is None}
    if not unread:
        return dict(ids)
    session = open_session(SyncRun(pk=0, sync=sync), lease)  # never saved
    found = dict(ids)
    try:
        session.stages = make_stages()
        for stage in session.stages:
            stage.prepare(session)
        for side, record_id in unread.items():
            obj, want = session.object_on(side), session.want(side)
            record = _fetched(session.connector(side), obj, record_id, want)
            if record is None:
                name = "HubSpot" if side is Side.HUBSPOT else sync.app.name
                raise PairError(
                    f"{sync}: there is no {obj.name} {record_id} in {name}. Give the "
                    "record's id, not its name."
                )
            with transaction.atomic():
                store_page(session, side, [record])
            found[side] = record.id
    finally:
        session.close()
    return found


def _fetched(
    connector: Connector, obj: ObjectType, record_id: str, want: Want
) -> Record | None:
    try:
        return connector.fetch(obj, [record_id], want).records.get(record_id)
    except (SchemaError, RejectedError):
        return None  # not what an id looks like there


@contextmanager
def alone(sync: ObjectSync) -> Iterator[Lease]:
    """Keep runs away meanwhile: they write back whole rows that they read before."""
    try:
        with Lease(sync) as lease:
            yield lease
    except LeaseBusy as exc:
        raise PairError(
            f"{Code.RUN_OPEN}: {sync}: a run is going on. {remedy_for(Code.RUN_OPEN)}"
        ) from exc


def pair(*, sync: ObjectSync, hubspot_id: str, app_id: str) -> RecordLink:
    """Tie two unpaired records; the next run is their first sync.

    To tie the two of a pair that is held (ID_REUSED) is to confirm it: it goes on.
    Raises: PairError, also while a run of the sync is going on; ConnectorError where a
    record that no run has read yet cannot be read.
    """
    with alone(sync) as lease:
        ids = _read(sync, lease, {Side.HUBSPOT: hubspot_id, Side.APP: app_id})
        with transaction.atomic():
            return _pair(sync, ids[Side.HUBSPOT], ids[Side.APP])


def _pair(sync: ObjectSync, hubspot_id: str, app_id: str) -> RecordLink:
    link = _find(sync, Side.HUBSPOT, hubspot_id)
    other = _find(sync, Side.APP, app_id)
    if link is None or other is None:
        raise PairError(f"{sync}: one of the two records was not kept; sync first.")
    if link.pk == other.pk and identity.marked(link):
        return _confirm(link)
    if link.pk == other.pk:
        raise PairError(f"{hubspot_id} and {app_id} are paired already.")
    for one in (link, other):
        if one.paired:
            raise PairError(
                f"{one.hubspot_id} is paired with {one.app_id}: unpair them first."
            )
    # Whatever became of a create without an answer, a person has decided.
    Change.objects.filter(
        link__in=[link.pk, other.pk],
        kind=ChangeKind.CREATE,
        outcome=ChangeOutcome.SENT,
    ).update(outcome=ChangeOutcome.SKIPPED, error_text="Paired by hand.", done_at=now())
    take_in(link, other)
    RecordKey.objects.filter(link=other).update(link=link)
    for stage in make_stages():
        stage.absorbed({other.pk: link.pk})
    other.changes.update(link=link)
    other.delete()
    save_links([link])
    return link


def _confirm(link: RecordLink) -> RecordLink:
    """The id is the same record's, whose keys all changed: what moved may travel."""
    identity.free(link)
    link.state, link.dirty = RecordState.NEW, True
    link.error_code = link.error_text = link.error_field = ""
    link.attempts, link.retry_at = 0, None
    save_links([link])
    return link


def pair_anew(*, sync: ObjectSync, link_ids: Sequence[int]) -> int:
    """Untie held pairs (ID_REUSED) so that the next run pairs their records by key.

    Returns: how many. Raises: PairError while a run of the sync is going on.
    """
    done = 0
    with alone(sync):
        for link in RecordLink.objects.filter(sync=sync, pk__in=link_ids):
            if link.paired and identity.marked(link):
                with transaction.atomic():
                    _split(link, apart=False)
                done += 1
    return done


def keep_apart(*, sync: ObjectSync, link_ids: Sequence[int], apart: bool = True) -> int:
    """Leave unpaired records alone: their keys pair them with nothing, and nothing is
    created for them. Or, with `apart` False, let their keys pair them again.

    Returns: how many. Raises: PairError while a run of the sync is going on.
    """
    with alone(sync), transaction.atomic():
        rows = RecordLink.objects.filter(
            sync=sync, pk__in=link_ids, keep_apart=not apart
        )
        links = [link for link in rows if not link.paired]
        for link in links:
            link.keep_apart, link.dirty = apart, True
            link.state = RecordState.UNMATCHED if apart else RecordState.NEW
            link.error_code = link.error_text = link.error_field = ""
            link.candidates = []
            link.attempts, link.retry_at = 0, None
        save_links(links)
        return len(links)


def unpair(*, sync: ObjectSync, hubspot_id: str, app_id: str) -> None:
    """Untie two records; neither is changed, and their keys do not pair them again.

    Raises: PairError, also while a run of the sync is going on.
    """
    with alone(sync), transaction.atomic():
        _unpair(sync, hubspot_id, app_id)


def _unpair(sync: ObjectSync, hubspot_id: str, app_id: str) -> None:
    link = RecordLink.objects.filter(
        sync=sync, hubspot_id=hubspot_id, app_id=app_id
    ).first()
    if link is None:
        raise PairError(f"{sync}: {hubspot_id} and {app_id} are not paired.")
    _split(link, apart=True)


def _split(link: RecordLink, *, apart: bool) -> None:
    """Give the app side of a pair a row of its own; `apart`: for good."""
    state = RecordState.UNMATCHED if apart else RecordState.NEW
    other = RecordLink(
        sync=link.sync,
        app_id=link.app_id,
        app_values=link.app_values,
        app_references=link.app_references,
        app_modified_at=link.app_modified_at,
        app_read_at=link.app_read_at,
        app_seen=link.app_seen,
        app_gone_at=link.app_gone_at,
        app_vanished_at=link.app_vanished_at,
        keep_apart=apart,
        state=state,
    )
    link.app_id, link.paired_at, link.keep_apart = None, None, apart
    link.app_values, link.app_references, link.baseline = {}, {}, {}
    link.app_modified_at = link.app_read_at = link.app_gone_at = None
    link.app_vanished_at = None
    link.app_seen, link.dirty, link.state = 0, True, state
    link.error_code = link.error_text = link.error_field = ""
    link.attempts, link.retry_at = 0, None
    identity.free(link)
    save_links([link])
    other.save()
    RecordKey.objects.filter(link=link, side="app").update(link=other)
    for stage in make_stages():
        stage.released(link.pk)
