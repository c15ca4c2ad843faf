"""Tables as object types, link fields as references."""

from __future__ import annotations

from collections.abc import Mapping

from connections.connectors.airtable.api import Json, Table
from connections.connectors.airtable.types import LINK, field_of
from connections.records import ObjectType, ReferenceField


def object_type(
    table: Table, tables: Mapping[str, Table], locked: str = ""
) -> ObjectType:
    """A table as discovery tells of it. Args: locked, why nobody may write to it."""
    display = table.by_id.get(table.primary)
    return ObjectType(
        name=table.name,
        id=table.id,
        fields=tuple(field_of(f, locked) for f in table.fields),
        references=tuple(
            _reference(f, tables, locked)
            for f in table.fields
            if f.get("type") == LINK and _target(f) in tables
        ),
        display_field=str(display["name"]) if display else "",
        custom=True,
        writable=not locked,
        read_only_reason=locked,
    )


def _target(field: Json) -> str:
    return str((field.get("options") or {}).get("linkedTableId") or "")


def _reference(field: Json, tables: Mapping[str, Table], locked: str) -> ReferenceField:
    """A link field. That it prefers one record only its form in Airtable keeps to."""
    options = field.get("options") or {}
    target = tables[_target(field)]
    return ReferenceField(
        name=str(field["name"]),
        target=target.name,
        many=not options.get("prefersSingleRecordLink"),
        columns=(str(field["name"]),),
        on_delete="SET NULL",
        read_only=bool(locked),
        label=str(field.get("description") or ""),
        mirror=target.name_of(str(options.get("inverseLinkFieldId") or "")),
    )
