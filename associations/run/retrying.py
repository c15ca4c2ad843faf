"""Refused links rest until their back-off; sooner where their far record moved."""

from __future__ import annotations

from django.db.models import QuerySet

from associations.models import AssociationLink, LinkState
from syncs.models import SyncRun
from syncs.models.choices import Status
from syncs.run.session import Session, now


def targets_moved(session: Session) -> QuerySet[AssociationLink]:
    """Links that rest although their far record was read anew, or written, since the
    sync last ran: what was wrong may be mended."""
    rows = AssociationLink.objects.filter(
        mapping__sync=session.sync, state=LinkState.FAILING, retry_at__gt=now()
    )
    if not rows.exists():
        return rows.none()
    before = SyncRun.objects.filter(
        sync=session.sync,
        status__in=(Status.SUCCEEDED, Status.PARTIAL),
        dry_run=False,
        started_at__isnull=False,
    ).exclude(pk=session.run.pk)
    last = before.order_by("-pk").values_list("started_at", flat=True).first()
    return rows.none() if last is None else rows.filter(other__updated_at__gt=last)
