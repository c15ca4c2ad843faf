"""Links as our own rows hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from associations.engine.edges import Part
from connections.records import AssociationType
from syncs.models import Change, RecordLink

# In `Change.after` of what is to be written only once another unlink took its pair off.
FOLLOWS = "follows"
# There, of a write that several mappings share: what each adds and takes off.
PARTS = "parts"


def types_json(types: Iterable[AssociationType]) -> list[list[Any]]:
    """Association types as a change stores them."""
    return sorted([t.category, t.type_id] for t in types)


def types_of(stored: Iterable[Sequence[Any]]) -> frozenset[AssociationType]:
    """What `types_json` stored."""
    return frozenset(AssociationType(str(c), int(i)) for c, i in stored)


def parts_json(parts: Mapping[str, Part]) -> dict[str, list[list[list[Any]]]]:
    """What each mapping wants of a pair as a change stores it."""
    return {
        key: [types_json(added), types_json(removed)]
        for key, (added, removed) in parts.items()
    }


def stored_ids(link: RecordLink, field: str) -> list[str]:
    """The reference ids of a field as last read from the app."""
    return list((link.app_references.get(field) or {}).get("ids", ()))


def far_ids(change: Change) -> list[str]:
    """The complete list to write: far records of the plan, and members unknown to us."""
    keys = [k for k in change.after.get("far", []) if isinstance(k, int)]
    found = RecordLink.objects.in_bulk(keys)
    ids = [found[k].app_id for k in keys if k in found]
    return [i for i in ids if i is not None] + list(change.after.get("unknown", []))


def set_ids(
    link: RecordLink, field: str, ids: Sequence[str], *, complete: bool = True
) -> None:
    """Take what a reference field holds now, unsaved."""
    link.app_references = {
        **link.app_references,
        field: {"ids": list(ids), "complete": complete},
    }
