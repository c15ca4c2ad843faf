"""Undo a run: looked at first from its page, or at once for several on the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest

from connections.admin.base import Button, page_url
from syncs import services
from syncs.models import SyncRun
from syncs.models.choices import Trigger

CHANGE_SYNCS = "syncs.change_objectsync"
QUESTION = (
    "What the run wrote to HubSpot and to the app is taken back: fields get their former "
    "values, links are removed or put back, created records are archived where that can "
    "be undone. Whatever changed since is left as it is, and named. Neither side's value "
    "travels afterwards until somebody changes it."
)


def preview(request: HttpRequest, runs: Sequence[SyncRun]) -> str | None:
    """Queue a preview of what an undo would write."""
    return _start(request, runs, dry_run=True)


def undo(request: HttpRequest, runs: Sequence[SyncRun]) -> str | None:
    """Queue the undo of runs, the newest first: each stands on what came before it."""
    return _start(request, sorted(runs, key=lambda run: -run.pk), dry_run=False)


def _start(
    request: HttpRequest, runs: Sequence[SyncRun], *, dry_run: bool
) -> str | None:
    user: Any = request.user
    where: list[str] = []
    for run in runs:
        try:
            with transaction.atomic():
                made = services.start_undo(
                    run_id=run.pk,
                    trigger=Trigger.ADMIN,
                    dry_run=dry_run,
                    wait=True,
                    user=user,
                )
                services.enqueue(made)
        except services.RunError as exc:
            messages.error(request, f"{exc.message} {exc.remedy}".strip())
            continue
        where.append(page_url(made))
        word = "A preview of the undo" if dry_run else "The undo"
        messages.success(request, f"{word} of run {run.pk} is queued as run {made.pk}.")
    return where[0] if len(where) == 1 else None


def apply_preview(
    request: HttpRequest, plan: SyncRun, children: Sequence[SyncRun]
) -> str:
    """Queue the run that does exactly what the preview of an undo planned."""
    user: Any = request.user
    with transaction.atomic():
        run = services.start(
            syncs=[child.sync for child in children if child.sync],
            trigger=Trigger.ADMIN,
            plan=plan,
            wait=True,
            user=user,
        )
        services.enqueue(run)
    messages.success(request, f"Run {run.pk} is queued.")
    return page_url(run)


BUTTONS = (
    Button(
        "preview-undo",
        "Undo this run",
        preview,
        CHANGE_SYNCS,
        icon="undo",
        when=services.undoable,
        on_list=False,
    ),
    Button(
        "undo",
        "Undo run",
        undo,
        CHANGE_SYNCS,
        icon="undo",
        question=QUESTION,
        when=services.undoable,
        on_page=False,
    ),
)


def shown(run: SyncRun, parts: Sequence[SyncRun]) -> dict[str, Any]:
    """What a run's page says of its undo, or of what it undoes."""
    undone_by = SyncRun.objects.filter(undo_of=run, dry_run=False).order_by("pk")
    return {
        "undone_by": list(undone_by[:5]),
        "left": services.left_alone(parts) if run.undo_of_id else [],
    }
