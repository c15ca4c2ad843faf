"""Approve or drop what waits for a person, and say what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest

from connections.admin.base import page_url
from connections.records import Side
from syncs import services
from syncs.models import Change, SyncRun
from syncs.models.choices import Awaiting, Trigger

T = TypeVar("T")


def approve_run(
    request: HttpRequest, run_id: int, only: list[int] | None = None
) -> str | None:
    """Queue the run that writes a held plan, or some of it. Returns its page."""
    return _queue(
        request,
        lambda: services.approve_run(
            run_id, only=only or (), trigger=Trigger.ADMIN, user=_user(request)
        ),
    )


def drop_run(request: HttpRequest, run_id: int, only: list[int] | None = None) -> None:
    _drop(request, lambda: services.drop_run(run_id, only=only or ()))


def approve(request: HttpRequest, changes: Iterable[Change]) -> str | None:
    """Queue a run for each plan or queue that some changes wait in."""
    pages = [
        approve_run(request, at, ids)
        if isinstance(at, int)
        else _approve_queue(request, at, ids)
        for at, ids in _by_place(changes).items()
    ]
    return pages[0] if len(pages) == 1 else None


def take(request: HttpRequest, changes: Iterable[Change], *, side: Side) -> str | None:
    """Queue a run that writes one side's value for each conflict that was chosen."""
    ids = services.values_of(changes, side)
    if not ids:
        messages.warning(request, "The other side cannot hold that value: see its row.")
        return None
    return _approve_queue(request, Awaiting.CONFLICTS, ids)


def drop(request: HttpRequest, changes: Iterable[Change]) -> None:
    for at, ids in _by_place(changes).items():
        if isinstance(at, int):
            drop_run(request, at, ids)
        else:
            _drop_queue(request, at, ids)


def _by_place(changes: Iterable[Change]) -> dict[int | Awaiting, list[int]]:
    """Ids by the held run, or the queue, that they wait in."""
    found: dict[int | Awaiting, list[int]] = {}
    for change in changes:
        limits = change.awaiting == Awaiting.LIMITS
        at = change.run_id if limits else Awaiting(change.awaiting)
        found.setdefault(at, []).append(change.pk)
    return found


def _approve_queue(request: HttpRequest, what: Awaiting, ids: list[int]) -> str | None:
    return _queue(
        request,
        lambda: services.approve_queue(
            what, only=ids, trigger=Trigger.ADMIN, user=_user(request)
        ),
    )


def _drop_queue(request: HttpRequest, what: Awaiting, ids: list[int]) -> None:
    _drop(request, lambda: services.drop_queue(what, only=ids))


def _queue(request: HttpRequest, make: Callable[[], SyncRun]) -> str | None:
    def do() -> SyncRun:
        with transaction.atomic():
            run = make()
            services.enqueue(run)
        return run

    run = _told(request, do)
    if run is None:
        return None
    messages.success(request, f"Run {run.pk} is queued: it writes what was approved.")
    return page_url(run)


def _drop(request: HttpRequest, do: Callable[[], int]) -> None:
    dropped = _told(request, do)
    if dropped is not None:
        word = "change" if dropped == 1 else "changes"
        messages.success(request, f"Dropped {dropped} {word}; nothing was written.")


def _told(request: HttpRequest, do: Callable[[], T]) -> T | None:
    """What was done; None, with the reason as a message, where it cannot be."""
    try:
        return do()
    except services.RunError as exc:
        messages.error(request, f"{exc.message} {exc.remedy}".strip())
        return None


def _user(request: HttpRequest) -> Any:
    return request.user
