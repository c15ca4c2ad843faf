"""Values, records and properties between HubSpot's JSON and ours. Pure.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/properties
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from connections.records import Canon, ObjectType, Record, Want

Json = Mapping[str, Any]
CONTACTS, COMPANIES, DEALS, TICKETS = "0-1", "0-2", "0-3", "0-5"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ID = "hs_object_id"
MERGED = "hs_merged_object_ids"
# Further values of a match key: property by property, where the object has them.
FURTHER_KEYS = {
    CONTACTS: {"email": "hs_additional_emails"},
    COMPANIES: {"domain": "hs_additional_domains"},
}


def modified_name(object_id: str) -> str:
    """The property that tells change time; the wrong one finds nothing, silently."""
    return "lastmodifieddate" if object_id == CONTACTS else "hs_lastmodifieddate"


def asked(obj: ObjectType, want: Want, *more: str) -> list[str]:
    """The properties to read for what is wanted, and what every record needs beside."""
    names = [*want.fields, *more, modified_name(obj.id)]
    further = FURTHER_KEYS.get(obj.id, {})
    names += [further[name] for name in names if name in further]
    return list(dict.fromkeys((*names, MERGED)))


def to_record(
    obj: ObjectType, body: Json, names: Iterable[str] | None = None
) -> Record:
    """One record as answered.

    Args: names, the values to keep (None: all that were answered).
    """
    properties: Json = body.get("properties") or {}
    kept = properties.keys() if names is None else names
    keys = {
        name: tuple(filter(None, map(str.strip, _list(properties.get(further)))))
        for name, further in FURTHER_KEYS.get(obj.id, {}).items()
        if properties.get(further)
    }
    modified = properties.get(modified_name(obj.id)) or body.get("updatedAt")
    return Record(
        id=str(body["id"]),
        # A property that is asked for and unset is null; one there is not, is absent.
        values={name: properties[name] for name in kept if name in properties},
        keys=keys,
        modified_at=moment(modified),
        created_at=moment(body.get("createdAt")),
        aliases=tuple(_list(properties.get(MERGED))),
        # Null as others are, where nothing was merged into it. When it was changed is never
        # unset: what lacks that is no answer.
        sparse=modified_name(obj.id) in properties
        and bool(properties.get(MERGED, True))
        and None not in properties.values(),
    )


def _list(text: object) -> list[str]:
    parts = str(text or "").replace(",", ";").split(";")
    return [part.strip() for part in parts if part.strip()]


def moment(text: object) -> datetime | None:
    """A time as HubSpot writes it, ISO or epoch milliseconds; None if it is neither."""
    if text in (None, ""):
        return None
    word = str(text)
    try:
        if word.lstrip("-").isdigit():
            return EPOCH + timedelta(milliseconds=int(word))
        at = datetime.fromisoformat(word)
    except (ValueError, OverflowError):
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def epoch_ms(at: datetime) -> str:
    """A time as search filters take it, exact."""
    return str((at - EPOCH) // timedelta(milliseconds=1))


def to_wire(value: Canon) -> str:
    """A canonical value as HubSpot takes it: always text, "" clears."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ";".join(value)
    return value


def properties_of(values: Mapping[str, Canon], *, clear: bool) -> dict[str, str]:
    """Values as a write's `properties`; blanks are left out unless they are to clear."""
    return {
        name: to_wire(value)
        for name, value in values.items()
        if clear or value not in (None, "", [])
    }


def unique_names(obj: ObjectType) -> list[str]:
    """The properties whose values HubSpot lets no two records share."""
    names = [f.name for f in obj.fields if f.unique and f.name != ID]
    if obj.id == CONTACTS and "email" not in names:
        names.append("email")
    return names


def fold(obj: ObjectType, name: str, value: str) -> str:
    """A unique value as HubSpot compares it."""
    if obj.id == CONTACTS and name == "email":
        return value.strip().lower()
    return value


def unique_values(
    obj: ObjectType, values: Mapping[str, Canon], names: Sequence[str]
) -> set[tuple[str, str]]:
    """What of these values no other input of one batch may hold."""
    held = ((name, to_wire(values.get(name))) for name in names)
    return {(name, fold(obj, name, text)) for name, text in held if text}
