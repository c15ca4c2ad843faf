"""Preview an edit of a sync that is at work, while the sync goes on as it is.

The sync is copied with all that is known of its records, the copy gets the draft's set-up,
and a dry run plans by it. The copy is archived from the start: no list, schedule or other
mapping sees it, its plan cannot be applied, and it goes with the draft.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models, transaction
from django.utils import timezone

from associations.drafts.looking import look
from associations.drafts.publishing import Refused
from associations.models import AssociationLink, AssociationMapping
from associations.setup.storing import revise, store_links, store_sync
from syncs import services
from syncs.models import ObjectSync, RecordKey, RecordLink, SyncDraft, SyncRun
from syncs.models.choices import Trigger

AT_ONCE = 1_000
SUFFIX = " (draft {})"
LEASE: dict[str, Any] = {
    "lease_token": 0,
    "lease_run_id": None,
    "lease_until": None,
    "lease_holder": "",
}


def copy_of(draft: SyncDraft) -> ObjectSync | None:
    """The copy that a draft was previewed on last."""
    if draft.sync is None or draft.new:
        return None
    return ObjectSync.objects.filter(app=draft.app_id, name=_name(draft)).first()


def _name(draft: SyncDraft) -> str:
    assert draft.sync is not None
    suffix = SUFFIX.format(draft.pk)
    return draft.sync.name[: 120 - len(suffix)] + suffix


def forget(draft: SyncDraft) -> None:
    """Throw the copy away, with its runs."""
    if (copy := copy_of(draft)) is not None:
        copy.delete()


def discard(draft: SyncDraft) -> None:
    """Throw a draft away; a sync that was only tried out stays, and is off."""
    forget(draft)
    draft.delete()


def rehearse(draft: SyncDraft, user: AbstractBaseUser | None) -> SyncRun:
    """Copy the draft's sync, give the copy the draft's set-up, and queue its preview.

    Raises: Refused.
    """
    found = look(draft)
    if found.problems or draft.sync is None:
        raise Refused(found.problems)
    forget(draft)
    with transaction.atomic():
        copy = _copied(draft)
        checked = found.checked
        renamed = replace(checked.spec, name=copy.name, renamed_from="")
        # A link of the sync to itself leads to the copy.
        own = {
            a.path: copy.name for a in renamed.associations if a.to == found.spec_name
        }
        links = tuple(
            replace(a, to=own.get(a.path, a.to)) for a in renamed.associations
        )
        checked = replace(checked, spec=replace(renamed, associations=links))
        stored = store_sync(draft.app, checked, copy.position)
        rows = {s.name: s for s in ObjectSync.objects.filter(app=draft.app_id)}
        rows[copy.name] = stored.sync
        if store_links(stored.sync, checked, rows) or stored.changed:
            revise(stored.sync)
        ObjectSync.objects.filter(pk=copy.pk).update(
            archived_at=timezone.now(), enabled=False
        )
        copy.refresh_from_db()
        run = services.start(
            syncs=[copy], trigger=Trigger.ADMIN, dry_run=True, user=user
        )
        services.enqueue(run)
    return run


def _copied(draft: SyncDraft) -> ObjectSync:
    """The sync with all that is known of its records, under another name."""
    assert draft.sync_id is not None
    sync = ObjectSync.objects.get(pk=draft.sync_id)
    copy = ObjectSync.objects.get(pk=draft.sync_id)
    copy.pk, copy.name = None, _name(draft)
    copy.archived_at, copy.due_at = timezone.now(), None
    for name, value in LEASE.items():
        setattr(copy, name, value)
    copy.save(force_insert=True)
    for rows in (sync.match_keys, sync.field_mappings, sync.filters):
        _insert_again(rows.all(), sync=copy)
    mappings: dict[int, int] = {}
    for mapping in AssociationMapping.objects.filter(sync=sync):
        was, mapping.pk = mapping.pk, None
        mapping.sync = copy
        if mapping.to_sync_id == sync.pk:
            mapping.to_sync = copy
        mapping.save(force_insert=True)
        mappings[was] = mapping.pk
    _copy_records(sync, copy, mappings)
    return copy


def _insert_again(rows: models.QuerySet[Any], **changes: Any) -> None:
    made = list(rows)
    for row in made:
        row.pk = None
        for name, value in changes.items():
            setattr(row, name, value)
    rows.model.objects.bulk_create(made, batch_size=AT_ONCE)


def _copy_records(sync: ObjectSync, copy: ObjectSync, mappings: dict[int, int]) -> None:
    """Copy the record links with their keys and association links, a chunk at a time."""
    known: dict[int, int] = {}  # the copy's record link by the sync's
    last = 0
    mine = RecordLink.objects.filter(sync=sync).order_by("pk")
    while rows := list(mine.filter(pk__gt=last)[:AT_ONCE]):
        ids = [row.pk for row in rows]
        last = ids[-1]
        for row in rows:
            row.pk, row.sync = None, copy
        made = RecordLink.objects.bulk_create(rows)
        chunk = dict(zip(ids, (row.pk for row in made), strict=True))
        known |= chunk
        keys = list(RecordKey.objects.filter(link__in=ids))
        for key in keys:
            key.pk, key.sync = None, copy
            key.link_id = chunk[key.link_id]
        RecordKey.objects.bulk_create(keys, batch_size=AT_ONCE)
    for one, other in mappings.items():
        _copy_links(one, other, known)


def _copy_links(mapping: int, copy: int, known: dict[int, int]) -> None:
    last = 0
    mine = AssociationLink.objects.filter(mapping=mapping).order_by("pk")
    while rows := list(mine.filter(pk__gt=last)[:AT_ONCE]):
        last = rows[-1].pk
        for row in rows:
            row.pk, row.mapping_id = None, copy
            row.link_id = known.get(row.link_id, row.link_id)
            row.other_id = known.get(row.other_id or 0, row.other_id)
        AssociationLink.objects.bulk_create(rows)
