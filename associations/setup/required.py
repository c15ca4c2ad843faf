"""What a new record must have and a sync's set-up does not fill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from associations.setup.spec import SyncSpec
from connections.records import ObjectType, Side

WHERE = {Side.HUBSPOT: "HubSpot", Side.APP: "the app"}


def unfilled(
    spec: SyncSpec,
    objects: Mapping[Side, ObjectType],
    constants: Mapping[str, Mapping[str, object]],
) -> list[str]:
    """A warning for each side where every create would fail or wait.

    Args: constants, what new records are given by side, as `on_create` says.
    """
    found = []
    for side in Side:
        if spec.creates not in ("both", side) or not _goes(spec.direction, side):
            continue
        names = sorted(_needed(spec, objects[side], side) - {*constants.get(side, ())})
        if names:
            is_one = len(names) == 1
            found.append(
                f"{spec.name}: a new record in {WHERE[side]} must have "
                f"{', '.join(names)}, which nothing fills; map {'it' if is_one else 'them'}"
                f", or give {'it' if is_one else 'each'} a value in on_create.{side}."
            )
    return found


def _needed(spec: SyncSpec, obj: ObjectType, side: Side) -> set[str]:
    filled = {
        str(getattr(m, side))
        for m in spec.fields
        if _goes(m.direction or spec.direction, side)
    }
    if spec.default_associations:  # not chosen yet
        filled |= {r.name for r in obj.references}
    filled |= {name for word, name in spec.marker.items() if word == side}
    if side is Side.APP:
        filled |= {
            a.app_field
            for a in spec.associations
            if _goes(a.direction or spec.direction, side)
        }
    return set(_demanded(obj)) - filled


def _demanded(obj: ObjectType) -> Iterator[str]:
    columns = {name for ref in obj.references for name in ref.columns}
    for field in obj.fields:
        if field.required and not field.read_only and field.name not in columns:
            yield field.name
    for reference in obj.references:
        if not reference.nullable and not reference.read_only:
            yield reference.name


def _goes(direction: str, side: Side) -> bool:
    return direction in ("two_way", f"to_{side}")
