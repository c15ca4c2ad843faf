"""What the task cluster does for associations."""

from __future__ import annotations

import time

from django.contrib.auth import get_user_model

from associations import services
from associations.drafts import copying
from associations.drafts.publishing import Refused
from associations.drafts.rehearsing import queue_preview, queue_throwing_away
from associations.drafts.rehearsing import rehearse as rehearse_draft
from connections import tasks
from connections.models import HubSpotAccount
from connections.schemas import Owner
from syncs.models import ObjectSync, SyncDraft, SyncRun
from syncs.models.records import JsonDict
from syncs.tasks import SLICE_S


def refresh_schema(kind: str, pk: int) -> str:
    """Discover a system's objects, and for HubSpot the association types in use."""
    return tasks.noted(kind, pk, _read)


def _read(owner: Owner) -> None:
    tasks.read_objects(owner)
    if isinstance(owner, HubSpotAccount):
        services.refresh_types(owner)


def rehearse(draft_id: int, user_id: int | None, place: JsonDict | None = None) -> str:
    """Plan what an edit of a sync would do; its run is noted on the draft.

    A sync of many records is copied in slices. Args: place, where the last one ended.
    """
    draft = (
        SyncDraft.objects.select_related("app__hubspot", "sync__app__hubspot")
        .filter(pk=draft_id)
        .first()
    )
    if draft is None:
        return "The draft is gone."
    user = get_user_model()._default_manager.filter(pk=user_id or 0).first()
    deadline = time.monotonic() + SLICE_S
    try:
        found = rehearse_draft(draft, user, place, deadline=deadline)
    except Refused as exc:
        _note(draft, {"refused": str(exc)})
        return f"The draft cannot be previewed: {exc}"
    except Exception:
        _note(draft, {"refused": "It broke off. Preview again."})
        raise
    if found is None:
        return "Another preview took over, or the draft is gone."
    if not isinstance(found, SyncRun):
        queue_preview(draft_id, user_id, found)
        return "goes on in the next slice"
    _note(draft, {"run": found.pk})
    return f"Run {found.pk} is queued."


def _note(draft: SyncDraft, preview: JsonDict) -> None:
    found = SyncDraft.objects.filter(pk=draft.pk)
    found.update(findings=draft.findings | {"preview": preview})


def throw_away(sync_id: int) -> str:
    """Delete the copy of a sync that a draft was previewed on."""
    copy = ObjectSync.objects.filter(pk=sync_id).first()
    if copy is None:
        return "nothing to do"
    if not copying.throw_away(copy, deadline=time.monotonic() + SLICE_S):
        queue_throwing_away(sync_id)
        return "goes on in the next slice"
    return "thrown away"
