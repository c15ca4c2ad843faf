"""Preview an edit of a sync that is at work, while the sync goes on as it is.

The sync is copied with all that is known of its records, the copy gets the draft's set-up,
and a dry run plans by it. The copy is archived from the start: no list, schedule or other
mapping sees it, its plan cannot be applied, and it goes with the draft.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models, transaction
from django.utils import timezone
from django_q.tasks import async_task

from associations.drafts.copying import START, Moved, copy_records
from associations.drafts.looking import Look, look
from associations.drafts.publishing import Refused
from associations.models import AssociationMapping
from associations.setup.problems import Problem
from associations.setup.storing import revise, store_links, store_sync
from syncs import services
from syncs.models import ObjectSync, SyncDraft, SyncRun
from syncs.models.choices import Trigger
from syncs.models.records import JsonDict

REHEARSE = "associations.tasks.rehearse"
THROW_AWAY = "associations.tasks.throw_away"
MOVED = "A run paired records meanwhile. Preview again once it is over."
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
    """Have the copy thrown away, with its runs, by a task: it may be large."""
    if (copy := copy_of(draft)) is not None:
        queue_throwing_away(copy.pk)


def queue_throwing_away(copy_id: int) -> None:
    async_task(THROW_AWAY, copy_id, task_name="away with a previewed copy")


def queue_preview(
    draft_id: int, user_id: int | None, place: JsonDict | None = None
) -> None:
    async_task(REHEARSE, draft_id, user_id, place, task_name="preview of a draft")


def discard(draft: SyncDraft) -> None:
    """Throw a draft away; a sync that was only tried out stays, and is off."""
    with transaction.atomic():
        forget(draft)
        draft.delete()


def rehearse(
    draft: SyncDraft,
    user: AbstractBaseUser | None,
    place: JsonDict | None = None,
    *,
    deadline: float = math.inf,
) -> SyncRun | JsonDict | None:
    """Copy the draft's sync, give the copy the draft's set-up, and queue its preview.

    Args: place, where to go on; deadline, by the monotonic clock.
    Returns: the preview's run; where to go on, if the deadline came first; or nothing,
        if another preview took over or the draft is gone.
    Raises: Refused.
    """
    found = look(draft)
    if found.problems or draft.sync is None:
        raise Refused(found.problems)
    if place is None:
        with transaction.atomic():
            _set_aside(draft)
            if not _stands(draft):
                return None
            copy, place = _begin(draft)
    else:
        former = copy_of(draft)
        if former is None or former.pk != place["copy"]:
            return None
        copy = former
    mappings = {int(own): its for own, its in place["mappings"].items()}
    try:
        left = copy_records(
            draft.sync, copy, mappings, place["records"], deadline=deadline
        )
    except Moved:
        raise Refused([Problem("", MOVED)]) from None
    if left is not None:
        return place | {"records": left}
    with transaction.atomic():
        if not _stands(draft):
            queue_throwing_away(copy.pk)
            return None
        return _preview(draft, found, copy, user)


def _stands(draft: SyncDraft) -> bool:
    """Whether nobody saved a draft meanwhile or threw it away; nobody can from now on."""
    return SyncDraft.objects.select_for_update().filter(pk=draft.pk).exists()


def _set_aside(draft: SyncDraft) -> None:
    """Have a former copy thrown away, and be known as the draft's no longer."""
    if (copy := copy_of(draft)) is not None:
        ObjectSync.objects.filter(pk=copy.pk).update(name=f"{copy.pk} (draft)")
        queue_throwing_away(copy.pk)


def _preview(
    draft: SyncDraft, found: Look, copy: ObjectSync, user: AbstractBaseUser | None
) -> SyncRun:
    """Give the copy the draft's set-up, and queue its preview."""
    checked = found.checked
    renamed = replace(checked.spec, name=copy.name, renamed_from="")
    # A link of the sync to itself leads to the copy.
    own = {a.path: copy.name for a in renamed.associations if a.to == found.spec_name}
    links = tuple(replace(a, to=own.get(a.path, a.to)) for a in renamed.associations)
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
    run = services.start(syncs=[copy], trigger=Trigger.ADMIN, dry_run=True, user=user)
    services.enqueue(run)
    return run


def _begin(draft: SyncDraft) -> tuple[ObjectSync, JsonDict]:
    """Store the sync under another name. Returns: it, and where its records begin.

    It has the sync's cursors, so it is made before what is known of records is copied:
    what changes meanwhile is read again.
    """
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
    mappings: dict[str, int] = {}
    for mapping in AssociationMapping.objects.filter(sync=sync):
        was, mapping.pk = mapping.pk, None
        mapping.sync = copy
        if mapping.to_sync_id == sync.pk:
            mapping.to_sync = copy
        mapping.save(force_insert=True)
        mappings[str(was)] = mapping.pk  # a task's argument, kept as JSON
    return copy, {"copy": copy.pk, "mappings": mappings, "records": dict(START)}


def _insert_again(rows: models.QuerySet[Any], **changes: Any) -> None:
    made = list(rows)
    for row in made:
        row.pk = None
        for name, value in changes.items():
            setattr(row, name, value)
    rows.model.objects.bulk_create(made)
