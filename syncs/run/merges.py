"""Let a pair follow its HubSpot record into the one it was merged into."""

from __future__ import annotations

from collections.abc import Mapping

from connections.records import Record, Side
from syncs.engine.values import is_blank, same
from syncs.models import RecordLink
from syncs.run.session import Session, now
from syncs.run.tombstones import MERGED, keep

_LOST = ("hubspot_gone_at", "hubspot_vanished_at")


def follow_merges(
    session: Session,
    by_id: Mapping[str, Record],
    known: dict[str | None, RecordLink],
) -> None:
    """Give each survivor among some records the link that it goes on with.

    Args: by_id, HubSpot records as read; known, the links under their ids: a survivor's
        is put there. A second pair stays as it is, and planning names it RECORD_MERGED.
    """
    old = {alias: r.id for r in by_id.values() for alias in r.aliases if alias != r.id}
    if not old:
        return
    links = RecordLink.objects.filter(
        sync=session.sync, hubspot_id__in=list(old)
    ).order_by("pk")
    merged: dict[str, list[RecordLink]] = {}
    for link in links:
        merged.setdefault(old[link.hubspot_id or ""], []).append(link)
    for survivor_id, some in merged.items():
        home = known.get(survivor_id)
        _merge(session, by_id[survivor_id], home, some, known)


def _merge(
    session: Session,
    survivor: Record,
    home: RecordLink | None,
    merged: list[RecordLink],
    known: dict[str | None, RecordLink],
) -> None:
    heir = _heir(session, survivor, home, merged)
    fresh = heir is not home
    if fresh:
        if home is not None:
            _give_way(session, home, heir)
        known[survivor.id] = heir
    heir.stage_state.pop("merged_into", None)
    for link in merged:
        if link is heir:
            continue
        if not _alive(link):
            _give_way(session, link, heir)
            fresh = True
        elif link.stage_state.get("merged_into") != survivor.id:
            link.hubspot_gone_at = link.hubspot_gone_at or now()
            link.hubspot_vanished_at = None
            link.stage_state["merged_into"] = survivor.id
            link.dirty = fresh = True
            link.save(update_fields=[*_LOST, "stage_state", "dirty"])
    if fresh:
        # A deletion in the app that comes with this was of one record, not of both.
        keep(heir, MERGED)
        heir.dirty = True
        heir.save(update_fields=["stage_state", "dirty"])


def _heir(
    session: Session,
    survivor: Record,
    home: RecordLink | None,
    merged: list[RecordLink],
) -> RecordLink:
    """The pair of the primary record, which is the one whose values the survivor has.

    Where the survivor kept an id of its own, that record was the primary.
    """
    if home is not None and _alive(home):
        return home
    paired = [link for link in merged if _alive(link)]
    # One that an earlier merge left behind comes last.
    paired = [x for x in paired if "merged_into" not in x.stage_state] or paired
    if not paired:
        return home or merged[0]
    values = session.canonical_values(Side.HUBSPOT, survivor)
    keys = {part.hubspot for key in session.keys for part in key}

    def agreement(link: RecordLink) -> tuple[int, int]:
        agreed = {
            name
            for name, value in values.items()
            if not is_blank(value) and same(value, link.hubspot_values.get(name))
        }
        return len(agreed & keys), len(agreed)

    return max(paired, key=agreement)


def _alive(link: RecordLink) -> bool:
    """Whether a link ties a HubSpot record to an app record that is there."""
    return link.paired and link.app_gone_at is None


def _give_way(session: Session, link: RecordLink, heir: RecordLink) -> None:
    """Drop a link that ties nothing, and let what points to it point to the heir."""
    for stage in session.stages:
        stage.absorbed({link.pk: heir.pk})
    link.delete()
