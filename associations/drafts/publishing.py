"""Let a draft become what the next run works by."""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction
from django.db.models import Max

from associations.drafts.looking import Look, look
from associations.services import read_pair
from associations.setup.labels import make_labels
from associations.setup.problems import Problem
from associations.setup.storing import revise, store_links, store_sync
from connections import services
from connections.connectors.base import ConnectorError
from syncs.models import ObjectSync, SyncDraft


class Refused(Exception):
    """A draft that cannot be stored; nothing was changed."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))


def publish(draft: SyncDraft, *, on: bool) -> ObjectSync:
    """Store what a draft says as its sync's set-up; the draft stays.

    Args: on, whether runs of the schedule take it up; a new sync that is tried out first
        is off.
    Raises: Refused, also where somebody else changed the sync since editing began.
    """
    found = look(draft)
    if found.problems:
        raise Refused(found.problems)
    with transaction.atomic():
        kept = SyncDraft.objects.select_for_update().get(pk=draft.pk)
        stored = kept.sync
        if stored is not None and stored.revision != kept.revision:
            text = (
                "The sync was changed elsewhere since this draft was begun: throw the "
                "draft away, and edit the sync anew."
            )
            raise Refused([Problem("", text)])
        sync = _store(kept, found)
        if sync.enabled != on:
            ObjectSync.objects.filter(pk=sync.pk).update(enabled=on)
            sync.enabled = on
        kept.sync, kept.revision = sync, sync.revision
        kept.save(update_fields=["sync", "revision"])
    draft.sync, draft.revision = sync, sync.revision
    return sync


def _store(draft: SyncDraft, found: Look) -> ObjectSync:
    checked = found.checked
    mine = ObjectSync.objects.filter(app=draft.app_id)
    if draft.sync is None:
        last = mine.aggregate(last=Max("position"))["last"]
        position = 0 if last is None else last + 1
    else:
        # Turned on or off apart: that is no change of what the sync does.
        position = draft.sync.position
        checked = replace(
            checked, spec=replace(checked.spec, enabled=draft.sync.enabled)
        )
    stored = store_sync(draft.app, checked, position)
    rows = {sync.name: sync for sync in mine} | {stored.sync.name: stored.sync}
    changed = store_links(stored.sync, checked, rows)
    if changed or stored.changed:
        revise(stored.sync)
    return stored.sync


def make_missing(draft: SyncDraft, found: Look) -> list[Problem]:
    """Make the labels that a draft names and HubSpot has not.

    Returns: what could not be made, and why.
    """
    account = draft.app.hubspot
    hubspot = services.open_hubspot(account)
    try:
        if failed := make_labels(hubspot, found.missing):
            return failed
        for ends in {(m.from_object, m.to_object) for m in found.missing}:
            read_pair(account, hubspot, ends)
    except ConnectorError as exc:
        text = f"{exc.code}: {exc.message} {exc.remedy}"
        return [Problem(m.problem.path, text) for m in found.missing]
    finally:
        hubspot.close()
    return []
