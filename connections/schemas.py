"""Keep what discovery found, and read it back as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.db.models import Q

from connections.connectors.base import SchemaError
from connections.models import ConnectedApp, HubSpotAccount, RemoteObject
from connections.records import (
    Field,
    ObjectType,
    Option,
    ReferenceField,
    Schema,
    ValueType,
)

Owner = HubSpotAccount | ConnectedApp


def _owned(owner: Owner) -> dict[str, Any]:
    return {"account" if isinstance(owner, HubSpotAccount) else "app": owner}


def to_json(obj: ObjectType) -> dict[str, Any]:
    """An object type as JSON-able values; `from_json` reads it back."""
    return asdict(obj)


def from_json(data: dict[str, Any]) -> ObjectType:
    """The object type that `to_json` wrote."""
    fields = tuple(
        Field(
            **{
                **f,
                "type": ValueType(f["type"]),
                "options": tuple(Option(**o) for o in f["options"]),
            }
        )
        for f in data["fields"]
    )
    references = tuple(
        ReferenceField(
            **{
                **r,
                "columns": tuple(r["columns"]),
                "target_columns": tuple(r["target_columns"]),
            }
        )
        for r in data["references"]
    )
    key = tuple(data.get("key", ()))
    return ObjectType(
        **{**data, "fields": fields, "references": references, "key": key}
    )


def save_object(owner: Owner, obj: ObjectType) -> RemoteObject:
    """Replace what was known of one object type."""
    row, _ = RemoteObject.objects.update_or_create(
        **_owned(owner),
        object_id=obj.id,
        defaults={
            "name": obj.name,
            "label": obj.label,
            "definition": to_json(obj),
        },
    )
    return row


@transaction.atomic
def save_schema(owner: Owner, schema: Schema) -> None:
    """Replace what was known of a system's object types with what it has now."""
    kept = [save_object(owner, obj).pk for obj in schema.objects]
    RemoteObject.objects.filter(**_owned(owner)).exclude(pk__in=kept).delete()


def load_schema(owner: Owner) -> Schema:
    """What was last discovered in a system."""
    rows = RemoteObject.objects.filter(**_owned(owner)).order_by("name")
    return Schema(tuple(from_json(row.definition) for row in rows))


def load_object(owner: Owner, name: str) -> ObjectType:
    """One object type by its name or id.

    Raises: SchemaError when the last discovery did not find it.
    """
    # An account may have fifty types of some hundred properties each: one is read.
    named = Q(name__iexact=name) | Q(object_id=name)
    rows = RemoteObject.objects.filter(named, **_owned(owner)).order_by("name")
    found = Schema(tuple(from_json(row.definition) for row in rows)).object(name)
    if found is None:
        raise SchemaError(f"{owner.name} has no object {name!r} (any more).")
    return found


def names(objects: Iterable[ObjectType]) -> list[str]:
    return sorted(o.name for o in objects)
