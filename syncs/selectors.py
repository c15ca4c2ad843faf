"""Reads across tables that commands and the admin share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from connections.models import ConnectedApp
from syncs.models import ObjectSync


class NotFound(Exception):
    """There is nothing by that name, or it cannot be run."""

    remedy = ""


def _no(what: str, name: str, known: Iterable[str]) -> NotFound:
    names = sorted(set(known))
    close = get_close_matches(name, names, n=1)
    if close:
        return NotFound(f"There is no {what} {name!r}. Did you mean {close[0]!r}?")
    listed = f" Known: {', '.join(names[:12])}." if names else " None is set up yet."
    return NotFound(f"There is no {what} {name!r}.{listed}")


def find_app(name: str) -> ConnectedApp:
    """A connected app by its name.

    Raises: NotFound naming the nearest.
    """
    apps = ConnectedApp.objects.filter(archived_at=None)
    found = apps.filter(name=name).first()
    if found is None:
        raise _no("connected app", name, apps.values_list("name", flat=True))
    return found


def find_sync(app: ConnectedApp, name: str) -> ObjectSync:
    """A sync of an app by its name.

    Raises: NotFound naming the nearest.
    """
    syncs = app.syncs.filter(archived_at=None)
    found = syncs.filter(name=name).first()
    if found is None:
        raise _no(f"sync in {app.name}", name, syncs.values_list("name", flat=True))
    return found


def chosen_syncs(app: str | None, names: Sequence[str]) -> list[ObjectSync]:
    """The syncs to run: those named, else all that are on.

    Raises: NotFound for a name there is not, a sync that is off, or nothing to run.
    """
    rows = ObjectSync.objects.filter(archived_at=None, app__archived_at=None)
    rows = rows.select_related("app__hubspot")
    if app is not None:
        rows = rows.filter(app=find_app(app))
    if not names:
        found = list(rows.filter(enabled=True))
        if not found:
            raise NotFound("There is no sync that is on; set one up with setup apply.")
        return found
    for name in names:
        mine = list(rows.filter(name=name))
        if not mine:
            raise _no("sync", name, rows.values_list("name", flat=True))
        if not any(sync.enabled for sync in mine):
            raise NotFound(f"The sync {name!r} is off; set enabled: true first.")
    return list(rows.filter(name__in=names, enabled=True))
