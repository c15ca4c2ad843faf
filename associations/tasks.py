"""What the task cluster does for associations."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from associations import services
from associations.drafts.publishing import Refused
from associations.drafts.rehearsing import rehearse as rehearse_draft
from connections import tasks
from connections.models import HubSpotAccount
from connections.schemas import Owner
from syncs.models import SyncDraft


def refresh_schema(kind: str, pk: int) -> str:
    """Discover a system's objects, and for HubSpot the association types in use."""
    return tasks.noted(kind, pk, _read)


def _read(owner: Owner) -> None:
    tasks.read_objects(owner)
    if isinstance(owner, HubSpotAccount):
        services.refresh_types(owner)


def rehearse(draft_id: int, user_id: int | None) -> str:
    """Plan what an edit of a sync would do; its run is noted on the draft."""
    draft = (
        SyncDraft.objects.select_related("app__hubspot", "sync__app__hubspot")
        .filter(pk=draft_id)
        .first()
    )
    if draft is None:
        return "The draft is gone."
    user = get_user_model()._default_manager.filter(pk=user_id or 0).first()
    try:
        run = rehearse_draft(draft, user)
    except Refused as exc:
        draft.findings.pop("preview", None)
        draft.save(update_fields=["findings"])
        return f"The draft cannot be previewed: {exc}"
    draft.findings["preview"] = {"run": run.pk}
    draft.save(update_fields=["findings"])
    return f"Run {run.pk} is queued."
