"""What two syncs can both write: warned of, since each may overwrite the other's value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from associations.engine.types import PRIMARIES, plain_type
from associations.models import AssociationMapping
from associations.run.mappings import discovered
from connections import schemas
from connections.connectors.base import SchemaError
from connections.records import AssociationType, Side
from syncs.models import FieldMapping, ObjectSync
from syncs.models.choices import Direction

NAMED = 5  # fields in a sentence
Place = tuple[int, str]  # an account's or an app's id, and its object


def overlaps(app_ids: Iterable[int]) -> list[str]:
    """A sentence for each object of which several syncs, one of them of these apps, can
    write the same fields or the same links."""
    wanted = set(app_ids)
    return [
        text
        for syncs, text in chain(
            _fields(Side.HUBSPOT), _fields(Side.APP), _associations()
        )
        if wanted & {sync.app_id for sync in syncs}
    ]


Found = tuple[tuple[ObjectSync, ...], str]


def _on(rows: Iterable[ObjectSync]) -> list[ObjectSync]:
    return [
        sync
        for sync in rows
        if sync.enabled and not sync.archived_at and not sync.app.archived_at
    ]


def _place(sync: ObjectSync, side: Side) -> Place:
    """Where a sync's records of a side are; an object may be given by name or by id."""
    owner = sync.app.hubspot if side is Side.HUBSPOT else sync.app
    name = sync.hubspot_object if side is Side.HUBSPOT else sync.app_object
    try:
        return owner.pk, schemas.load_object(owner, name).id
    except SchemaError:
        return owner.pk, name


def _lets(direction: str, side: Side) -> bool:
    return direction in (Direction.TWO_WAY, f"to_{side}")


def _fields(side: Side) -> Iterator[Found]:
    rows = FieldMapping.objects.select_related("sync__app__hubspot").order_by("pk")
    writers: dict[tuple[Place, str], dict[int, ObjectSync]] = {}
    places: dict[int, Place] = {}
    for row in rows:
        sync = row.sync
        if not _on([sync]) or not _lets(row.direction or sync.direction, side):
            continue
        if sync.pk not in places:
            places[sync.pk] = _place(sync, side)
        at = (places[sync.pk], getattr(row, side.value))
        writers.setdefault(at, {})[sync.pk] = sync
    shared: dict[tuple[Place, tuple[int, ...]], list[str]] = {}
    for (place, name), syncs in writers.items():
        if len(syncs) > 1:
            shared.setdefault((place, tuple(sorted(syncs))), []).append(name)
    for (place, ids), names in shared.items():
        found = tuple(writers[place, names[0]][i] for i in ids)
        yield found, _field_text(side, found, names)


def _field_text(side: Side, syncs: tuple[ObjectSync, ...], names: list[str]) -> str:
    first, many = syncs[0], len(names) > 1
    if side is Side.HUBSPOT:
        whats = "properties" if many else "property"
        where, other = f"HubSpot's {first.hubspot_object}", "to_app"
    else:
        whats = "fields" if many else "field"
        where, other = f"{first.app_object} of {first.app.name}", "to_hubspot"
    shown = ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")
    return (
        f"{_named(syncs)} can all write the {whats} {shown} of {where}, and may overwrite "
        f"each other's values. Let all but one of them only read: direction {other}."
    )


def _named(syncs: tuple[ObjectSync, ...]) -> str:
    return " and ".join(str(sync) for sync in syncs)


# Links ---------------------------------------------------------------------------------


def _associations() -> Iterator[Found]:
    rows = AssociationMapping.objects.select_related(
        "sync__app__hubspot", "to_sync__app__hubspot"
    ).order_by("pk")
    writers: dict[tuple[int, frozenset[str], str], dict[int, ObjectSync]] = {}
    for row in rows:
        sync = row.sync
        if not _on([sync]) or not _lets(row.direction or sync.direction, Side.HUBSPOT):
            continue
        account, here = _place(sync, Side.HUBSPOT)
        _, there = _place(row.to_sync, Side.HUBSPOT)
        for type_ in row.types:
            kind = _kind(type_, account, here, there)
            at = (account, frozenset((here, there)), kind)
            writers.setdefault(at, {})[sync.pk] = sync
    for (_, _, kind), found in writers.items():
        if len(found) > 1:
            syncs = tuple(found[i] for i in sorted(found))
            yield (
                syncs,
                f"{_named(syncs)} can all write the association type {kind} between the "
                "same objects of HubSpot, and may undo each other's links. Let all but "
                "one of them only read: direction to_app.",
            )


def _kind(type_: AssociationType, account: int, here: str, there: str) -> str:
    """The type, as both ends call it: an inverse has another id."""
    if type_ in PRIMARIES:
        return "primary"
    if type_ == plain_type(here, there, discovered(account, here, there)):
        return "default"
    return f"{type_.category} {type_.type_id}"
