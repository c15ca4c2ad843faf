"""Two reference fields that show the same links, from either end: only one is mapped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from associations.models import AssociationMapping, By
from connections.records import ObjectType, ReferenceField, Schema

Ends = Mapping[tuple[str, str], str]  # (object's id, field's name): who maps it


def ends_of(schema: Schema, mapped: Iterable[tuple[str, str, str]]) -> Ends:
    """Which fields are mapped. Args: mapped, (sync, app object, field) of each."""
    found = {}
    for sync, name, field in mapped:
        obj = schema.object(name)
        if obj is not None and field:
            found[obj.id, field] = sync
    return found


def stored_ends(
    app_id: int | None, but: Iterable[str] = ()
) -> list[tuple[str, str, str]]:
    """The reference fields that an app's syncs map by now. Args: but, syncs left out."""
    rows = AssociationMapping.objects.filter(
        sync__app=app_id, sync__archived_at=None, by=By.REFERENCE
    ).exclude(sync__name__in=list(but))
    return list(rows.values_list("sync__name", "sync__app_object", "app_field"))


def doubled(
    app: ObjectType, reference: ReferenceField, schema: Schema, ends: Ends
) -> str:
    """Why a field cannot be mapped because its other end is; "" if it can."""
    far = schema.object(reference.target)
    if not reference.mirror or far is None:
        return ""
    other = ends.get((far.id, reference.mirror))
    if other is None:
        return ""
    return (
        f"{app.name}.{reference.name} and {far.name}.{reference.mirror} are the two ends "
        f"of the same links, and the sync {other} maps {reference.mirror}: writing either "
        "end writes both, so map only one of them."
    )
