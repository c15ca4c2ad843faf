"""What association mappings need before any of their links can travel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from associations.models import AssociationMapping
from connections.catalogue import Code
from syncs.models import ObjectSync
from syncs.models.choices import Matching


@dataclass(frozen=True, slots=True)
class Unmet:
    """Why a mapping's links wait, and what to do about it."""

    mapping: AssociationMapping
    code: Code
    text: str
    remedy: str

    def __str__(self) -> str:
        sync = self.mapping.sync
        return f"{sync}: {self.code}: {self.text} {self.remedy}"


def target_off(mapping: AssociationMapping) -> Unmet | None:
    """Whether the sync that a mapping points to is off, or left out of the set-up."""
    target = mapping.to_sync
    if target.set_up and target.enabled:
        return None
    what = "is off" if target.set_up else "is not set up any more"
    return Unmet(
        mapping,
        Code.TARGET_NOT_SYNCED,
        f"{mapping.app_field}: the sync {target.name} that it points to {what}; its links "
        "wait.",
        f"Turn {target.name} on."
        if target.set_up
        else f"Set up {target.name} again, or take the association mapping off.",
    )


def unmet(syncs: Iterable[ObjectSync]) -> list[Unmet]:
    """What the mappings of some syncs wait for, in the syncs' order."""
    rows = (
        AssociationMapping.objects.filter(sync__in=list(syncs))
        .select_related("sync__app", "to_sync__app")
        .order_by("sync__position", "sync", "position", "pk")
    )
    found = []
    for row in rows:
        if not (row.sync.enabled and row.sync.set_up):
            continue
        why = target_off(row) or _target_without_key(row)
        if why is not None:
            found.append(why)
    return found


def _target_without_key(mapping: AssociationMapping) -> Unmet | None:
    """Whether records that both sides have already are never paired by the target."""
    target = mapping.to_sync
    if target.matching != Matching.NONE:
        return None
    return Unmet(
        mapping,
        Code.TARGET_NOT_MATCHED,
        f"{mapping.app_field}: the sync {target.name} that it points to does no matching, "
        "so that only records it creates, or that are paired by hand, can be linked.",
        f"Give {target.name} a match key.",
    )
