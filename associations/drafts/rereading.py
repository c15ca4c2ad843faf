"""What of a draft's records the next run has to read again, and why."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from associations.drafts.looking import Look
from associations.drafts.trees import tree_of
from associations.setup.problems import Problems
from associations.setup.spec import SyncSpec
from associations.setup.sync_parsing import read_sync
from connections.records import Side
from syncs.models import SyncDraft

Name = tuple[Side, str]
_HOW = {"app_cursor": "the app's time of change", "timezone": "the time zone"}


@dataclass(frozen=True, slots=True)
class Again:
    """The sides that are read completely, and what the run tries before it reads one so.

    Args: tried, in sentences: fields that stand in place of ones that are gone.
    """

    sides: tuple[Side, ...] = ()
    why: str = ""
    tried: tuple[str, ...] = ()


def read_again(draft: SyncDraft, look: Look) -> Again:
    """Compare a draft with what was read of its sync, as a run will do."""
    sync, new = draft.sync, look.settled
    if new is None:
        return Again()
    if sync is None or sync.full_read_at is None:
        return Again(tuple(Side), "no record of it has been read yet")
    old = read_sync(tree_of(sync), "", Problems())
    if old is None:
        return Again(tuple(Side), "its set-up cannot be read any more")
    for name, what in _HOW.items():
        if getattr(old, name) != getattr(new, name):
            return Again(tuple(Side), f"{what} changed")
    held = list(sync.match_keys.order_by("rank", "part"))
    known = read_names(old) | {(s, str(getattr(k, s))) for k in held for s in Side}
    renamed = _renamed(old, new, look, known)
    if [(k.rank, k.hubspot, k.app, k.normalize) for k in held] != _keys(new, renamed):
        return Again(tuple(Side), "the match keys changed")
    added = read_names(new) - known - renamed.keys()
    words = {Side.HUBSPOT: "HubSpot", Side.APP: draft.app.name}
    said = [f"{name} of {words[side]}" for side, name in sorted(added)]
    sides = tuple(side for side in Side if any(side is s for s, _ in added))
    verb = "has" if len(said) == 1 else "have"
    tried = tuple(
        f"{name} of {words[side]} stands in place of {gone}, which is not there any more. "
        f"If it holds what {gone} held, only records that changed meanwhile are read "
        f"again; if not, every record of {words[side]} is"
        for (side, name), gone in sorted(renamed.items())
        if side not in sides
    )
    why = f"{' and '.join(said)} {verb} never been read" if said else ""
    return Again(sides, why, tried)


def _renamed(
    old: SyncSpec, new: SyncSpec, look: Look, known: Collection[Name]
) -> dict[Name, str]:
    """Fields that are mapped in place of ones that are gone: what those were called."""
    found: dict[Name, str] = {}
    for side in Side:
        gone = {
            str(getattr(f, side.other)): str(getattr(f, side))
            for f in old.fields
            if look.objects[side].field(str(getattr(f, side))) is None
        }
        for mapping in new.fields:
            name = str(getattr(mapping, side))
            was = gone.get(str(getattr(mapping, side.other)))
            if was and (side, name) not in known:
                found[side, name] = was
    return found


def _keys(spec: SyncSpec, renamed: dict[Name, str]) -> list[tuple[int, str, str, str]]:
    """The match keys, by the names that fields had before they were mapped anew."""

    def before(side: Side, name: str) -> str:
        return renamed.get((side, name), name)

    return [
        (rank, before(Side.HUBSPOT, p.hubspot), before(Side.APP, p.app), p.normalize)
        for rank, key in enumerate(spec.match)
        for p in key
    ]


def read_names(spec: SyncSpec) -> set[Name]:
    """The fields and references that a set-up looks at, with their side."""
    found = {(s, str(getattr(f, s))) for f in spec.fields for s in Side}
    found |= {(s, str(getattr(p, s))) for key in spec.match for p in key for s in Side}
    found |= {(f.side, f.field) for f in spec.filters}
    found |= {(Side(side), name) for side, name in spec.marker.items()}
    found |= {(Side(side), str(one["field"])) for side, one in spec.archive.items()}
    return found | {(Side.APP, a.app_field) for a in spec.associations}
