"""HubSpot's answers as a test scripts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from connections.records import Draft, Field, ObjectType, Outcome, ValueType, Want
from tests.contract.scripted import Said, Scripted

Json = dict[str, Any]
CONTACTS = ObjectType(
    "contacts",
    "0-1",
    fields=(
        Field("email", ValueType.TEXT, unique=True),
        Field("title", ValueType.TEXT),
        Field("code", ValueType.TEXT, unique=True),
    ),
)
WANT = Want(("email", "title", "code"))
NOT_FOUND: Json = {
    "status": "error",
    "category": "OBJECT_NOT_FOUND",
    "message": "resource not found",
    "correlationId": "c-1",
}

REFUSAL: Json = {
    "status": "error",
    "category": "VALIDATION_ERROR",
    "message": "Property values were not valid",
    "errors": [
        {
            "message": "x was not one of the allowed options: []",
            "code": "INVALID_OPTION",
            "context": {"propertyName": ["colour"]},
        }
    ],
}


def contact(record_id: object, **properties: object) -> Json:
    return {"id": record_id, "properties": properties}


def results(*rows: dict[str, Any], **more: object) -> Said:
    return Said(200, {"results": list(rows), **more})


def three() -> list[Draft]:
    return [Draft(f"t{n}", {"title": f"T{n}", "code": f"k{n}"}) for n in range(3)]


def made(item: Json, record_id: object, **changes: object) -> Json:
    """A result as a fake may answer an input."""
    row = {
        "id": record_id,
        "properties": dict(item["properties"]),
        "objectWriteTraceId": item.get("objectWriteTraceId"),
        "createdAt": "2026-01-31T12:00:00Z",
        "updatedAt": "2026-01-31T12:00:00Z",
        "archived": False,
    } | changes
    return {key: value for key, value in row.items() if value is not None}


def sent(script: Scripted, path: str = "/batch/create") -> Counter[str]:
    """How often each input was sent, by its title."""
    return Counter(
        item["properties"]["title"]
        for asked in script.calls(path)
        for item in asked.body["inputs"]
    )


def ids(outcomes: Sequence[Outcome]) -> list[str | None]:
    return [o.record.id if o.record else None for o in outcomes]
