"""The match key by which a plain field of an app names records of a sync."""

from __future__ import annotations

from associations.setup.spec import MatchPart
from syncs.models import ObjectSync
from syncs.models.choices import Matching


def first_keys(app_id: int) -> dict[str, tuple[MatchPart, ...]]:
    """The first match key of each sync of an app, by name; () where it has none."""
    found: dict[str, tuple[MatchPart, ...]] = {}
    syncs = ObjectSync.objects.filter(app=app_id, archived_at=None)
    for sync in syncs.prefetch_related("match_keys"):
        parts = list(sync.match_keys.all()) if sync.matching != Matching.NONE else []
        first = min((part.rank for part in parts), default=0)
        found[sync.name] = tuple(
            MatchPart("", part.hubspot, part.app, part.normalize)
            for part in parts
            if part.rank == first
        )
    return found
