"""What can be started from the admin: each queues a run and answers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.utils.html import format_html

from connections import audit
from connections.admin.base import Button, page_url
from connections.catalogue import Code, meaning_of
from connections.models import ConnectedApp
from syncs import services
from syncs.models import ObjectSync, SyncRun
from syncs.models.choices import OPEN_STATUSES, Trigger

CHANGE_SYNCS = "syncs.change_objectsync"
WRITES = (
    "Records and links are written to HubSpot and to the app, as the direction of each "
    "sync allows. Preview shows first what would be written."
)
FEW = 5  # records
TEST = (
    f"At most {FEW} records of each sync are really written to HubSpot and to the app, with "
    "their links, as in any run; all others are read and left for the next. Undo this run "
    "takes them back."
)
REREADS = "Every record of both sides is read again. " + WRITES


def start(request: HttpRequest, syncs: Sequence[ObjectSync], **how: Any) -> str | None:
    """Queue one run of those syncs that can run now, and say why others cannot.

    Returns: the run's page; None where nothing was started.
    """
    ready = _ready(request, syncs)
    if not ready:
        return None
    try:
        with transaction.atomic():
            run = services.start(
                syncs=ready, trigger=Trigger.ADMIN, user=_user(request), **how
            )
            services.enqueue(run)
    except services.RunError as exc:
        messages.error(request, f"{exc.code}: {exc.message} {exc.remedy}")
        return None
    word = "Preview" if how.get("dry_run") else "Run"
    messages.success(request, f"{word} {run.pk} is queued.")
    return page_url(run)


def _user(request: HttpRequest) -> Any:
    return request.user


def _ready(request: HttpRequest, syncs: Sequence[ObjectSync]) -> list[ObjectSync]:
    busy = {
        child.sync_id: child
        for child in SyncRun.objects.filter(
            sync__in=[sync.pk for sync in syncs], status__in=OPEN_STATUSES
        )
    }
    ready = []
    for sync in syncs:
        if not sync.enabled or sync.archived_at:
            messages.warning(request, f"{sync} is off: turn it on first.")
        elif sync.pk in busy:
            _say_busy(request, sync, busy[sync.pk])
        else:
            ready.append(sync)
    return ready


def _say_busy(request: HttpRequest, sync: ObjectSync, child: SyncRun) -> None:
    number = child.parent_id or child.pk
    text = format_html(
        '{}: {} (RUN_OPEN) <a href="{}">Look at run {}</a>, or cancel it there.',
        sync,
        meaning_of(Code.RUN_OPEN),
        page_url(child.parent or child),
        number,
    )
    messages.warning(request, text)


Chosen = Callable[[Iterable[Any]], Sequence[ObjectSync]]


def run_buttons(chosen: Chosen) -> tuple[Button, ...]:
    """Sync now, Preview, Test with a few records and Full resync; `chosen` gives the syncs of what was ticked."""

    def run(**how: Any) -> Callable[[HttpRequest, Sequence[Any]], str | None]:
        def do(request: HttpRequest, objects: Sequence[Any]) -> str | None:
            syncs = chosen(objects)
            if not syncs:
                messages.warning(request, "There is no sync that is on: set one up.")
                return None
            return start(request, syncs, **how)

        return do

    return (
        Button(
            "sync-now",
            "Sync now",
            run(),
            CHANGE_SYNCS,
            icon="sync",
            question=WRITES,
            primary=True,
        ),
        Button(
            "preview",
            "Preview",
            run(dry_run=True),
            CHANGE_SYNCS,
            icon="preview",
        ),
        Button(
            "test-few",
            "Test with a few records",
            run(limit=FEW),
            CHANGE_SYNCS,
            icon="science",
            question=TEST,
        ),
        Button(
            "full-resync",
            "Full resync",
            run(full=True),
            CHANGE_SYNCS,
            icon="restart_alt",
            question=REREADS,
        ),
    )


def pause_syncs(request: HttpRequest, syncs: Sequence[ObjectSync]) -> None:
    for sync in syncs:
        services.pause(sync)
    audit.keep_switched(request.user, syncs, "paused", True)
    messages.success(request, f"Paused {_names(syncs)}. Sync now still works.")


def resume_syncs(request: HttpRequest, syncs: Sequence[ObjectSync]) -> None:
    for sync in syncs:
        services.resume(sync)
    audit.keep_switched(request.user, syncs, "paused", False)
    messages.success(request, f"Resumed {_names(syncs)}; the next run is due now.")


def pause_apps(request: HttpRequest, apps: Sequence[ConnectedApp]) -> None:
    ConnectedApp.objects.filter(pk__in=[app.pk for app in apps]).update(paused=True)
    audit.keep_switched(request.user, apps, "paused", True)
    messages.success(request, f"Paused {_names(apps)}. Sync now still works.")


def resume_apps(request: HttpRequest, apps: Sequence[ConnectedApp]) -> None:
    ConnectedApp.objects.filter(pk__in=[app.pk for app in apps]).update(paused=False)
    audit.keep_switched(request.user, apps, "paused", False)
    messages.success(request, f"Resumed {_names(apps)}.")


def _names(objects: Iterable[Any]) -> str:
    return ", ".join(str(obj) for obj in objects)


def pause_buttons(
    pause: Callable[[HttpRequest, Sequence[Any]], None],
    resume: Callable[[HttpRequest, Sequence[Any]], None],
    permission: str,
) -> tuple[Button, Button]:
    """Pause and Resume, each where it makes sense."""
    return (
        Button(
            "pause",
            "Pause",
            pause,
            permission,
            icon="pause",
            when=lambda obj: not obj.paused,
        ),
        Button(
            "resume",
            "Resume",
            resume,
            permission,
            icon="play_arrow",
            when=lambda obj: obj.paused,
        ),
    )
