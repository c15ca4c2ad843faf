"""Tie and untie two records by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from connections.catalogue import Code, remedy_for
from syncs.models import ObjectSync, RecordKey, RecordLink
from syncs.models.choices import RecordState
from syncs.run.lease import Lease, LeaseBusy
from syncs.run.match import take_in
from syncs.run.stage import make_stages
from syncs.run.store import save_links


class PairError(Exception):
    """The two records cannot be paired or unpaired as asked; nothing was changed."""


def _find(sync: ObjectSync, **where: str) -> RecordLink:
    link = RecordLink.objects.filter(sync=sync, **where).first()
    if link is None:
        ((column, value),) = where.items()
        side = "HubSpot" if column == "hubspot_id" else sync.app.name
        raise PairError(
            f"{sync}: no record {value} was read from {side}. Run the sync first, "
            "and give the record's id, not its name."
        )
    return link


@contextmanager
def _alone(sync: ObjectSync) -> Iterator[None]:
    """Keep runs away meanwhile: they write back whole rows that they read before."""
    try:
        with Lease(sync), transaction.atomic():
            yield
    except LeaseBusy as exc:
        raise PairError(
            f"{Code.RUN_OPEN}: {sync}: a run is going on. {remedy_for(Code.RUN_OPEN)}"
        ) from exc


def pair(*, sync: ObjectSync, hubspot_id: str, app_id: str) -> RecordLink:
    """Tie two records that were read and are unpaired; the next run is their first sync.

    Raises: PairError, also while a run of the sync is going on.
    """
    with _alone(sync):
        return _pair(sync, hubspot_id, app_id)


def _pair(sync: ObjectSync, hubspot_id: str, app_id: str) -> RecordLink:
    link = _find(sync, hubspot_id=hubspot_id)
    other = _find(sync, app_id=app_id)
    if link.pk == other.pk:
        raise PairError(f"{hubspot_id} and {app_id} are paired already.")
    for one in (link, other):
        if one.paired:
            raise PairError(
                f"{one.hubspot_id} is paired with {one.app_id}: unpair them first."
            )
    take_in(link, other)
    RecordKey.objects.filter(link=other).update(link=link)
    for stage in make_stages():
        stage.absorbed({other.pk: link.pk})
    other.changes.update(link=link)
    other.delete()
    save_links([link])
    return link


def unpair(*, sync: ObjectSync, hubspot_id: str, app_id: str) -> None:
    """Untie two records; neither is changed, and their keys do not pair them again.

    Raises: PairError, also while a run of the sync is going on.
    """
    with _alone(sync):
        _unpair(sync, hubspot_id, app_id)


def _unpair(sync: ObjectSync, hubspot_id: str, app_id: str) -> None:
    link = RecordLink.objects.filter(
        sync=sync, hubspot_id=hubspot_id, app_id=app_id
    ).first()
    if link is None:
        raise PairError(f"{sync}: {hubspot_id} and {app_id} are not paired.")
    other = RecordLink(
        sync=sync,
        app_id=link.app_id,
        app_values=link.app_values,
        app_references=link.app_references,
        app_modified_at=link.app_modified_at,
        app_read_at=link.app_read_at,
        app_seen=link.app_seen,
        app_gone_at=link.app_gone_at,
        keep_apart=True,
        state=RecordState.UNMATCHED,
    )
    link.app_id, link.paired_at, link.keep_apart = None, None, True
    link.app_values, link.app_references, link.baseline = {}, {}, {}
    link.app_modified_at = link.app_read_at = link.app_gone_at = None
    link.app_seen, link.dirty, link.state = 0, True, RecordState.UNMATCHED
    save_links([link])
    other.save()
    RecordKey.objects.filter(link=link, side="app").update(link=other)
    for stage in make_stages():
        stage.released(link.pk)
