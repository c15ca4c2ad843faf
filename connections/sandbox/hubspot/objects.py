"""Single-record endpoints of the objects API.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connections.sandbox.hubspot.account import Call, Reply
from connections.sandbox.hubspot.errors import ApiError, invalid, not_found
from connections.sandbox.hubspot.kinds import Kind
from connections.sandbox.hubspot.links import Pair
from connections.sandbox.hubspot.records import COLUMNS, Record, shown

Json = dict[str, Any]
MAX_PAGE = 100
MAX_HISTORY = 50  # records, where an answer carries the history of properties
INLINE_LINKS = 100  # links per type that a list or read carries


def names_asked(call: Call, kind: Kind, asked: list[str]) -> list[str]:
    """Return the properties to show: the asked ones that exist, or the defaults."""
    catalogue = call.account.catalogue
    if not asked:
        return list(catalogue.defaults(kind))
    known = catalogue.properties(kind)
    names = [name for name in asked if name in known]
    return [*names, "hs_object_id", kind.created, kind.modified]


def render(
    call: Call, record: Record, asked: list[str], history: Sequence[str] = ()
) -> Json:
    """Return a record with the asked properties, and the history of some."""
    names = names_asked(call, record.kind, asked)
    account = call.account
    unset = account.switches["unset_values"]
    body = shown(record, names, account.roll_ups(record, names), unset=unset)
    if history:
        known = call.account.catalogue.properties(record.kind)
        body["propertiesWithHistory"] = {
            name: call.account.records.history(record, name)
            for name in history
            if name in known
        }
    return body


def written(call: Call, record: Record, properties: Json) -> Json:
    """Return a record as a write answers it: what was written, and the defaults."""
    defaults = call.account.catalogue.defaults(record.kind)
    names = dict.fromkeys([*properties, *defaults])
    return shown(record, list(names), unset=call.account.switches["unset_values"])


def read_list(call: Call, kind: Kind) -> Reply:
    """GET …/{T}."""
    call.need(kind, "read")
    history = call.listed("propertiesWithHistory")
    limit = call.number("limit", 10, MAX_HISTORY if history else MAX_PAGE) or 10
    after = call.number("after", 0, 2**62)
    archived = call.flag("archived")
    rows = call.account.store.all(
        f"SELECT {COLUMNS} FROM record WHERE kind = ? AND id >= ? "
        f"AND archived IS {'NOT ' if archived else ''}NULL ORDER BY id LIMIT ?",
        kind.type_id,
        after,
        limit + 1,
    )
    records = [Record.of(kind, row) for row in rows]
    body: Json = {"results": [_full(call, record) for record in records[:limit]]}
    if len(records) > limit:
        following = str(records[limit].id)
        link = f"https://api.hubapi.com/crm/objects?after={following}"
        body["paging"] = {"next": {"after": following, "link": link}}
    return Reply(200, body)


def read(call: Call, kind: Kind, record: str) -> Reply:
    """GET …/{T}/{id}: merged-away ids answer with the record they became."""
    call.need(kind, "read")
    found = one(call, kind, record, call.query.get("idProperty"))
    return Reply(200, _full(call, found))


def one(call: Call, kind: Kind, word: str, id_property: str | None) -> Record:
    """Return the record that a path names, by id or unique property.

    Raises: ApiError 404.
    """
    records = call.account.records
    record_id = records.id_of(kind, word, id_property)
    if record_id is None:
        raise not_found()
    record_id = records.survivor(kind, record_id)
    if call.flag("archived"):
        return records.find(kind, record_id, archived=True)
    try:
        return records.find(kind, record_id)
    except ApiError:
        if call.method != "GET" or call.account.switches["archived_read"] == "hidden":
            raise
        return records.find(kind, record_id, archived=True)


def _full(call: Call, record: Record) -> Json:
    history = call.listed("propertiesWithHistory")
    body = render(call, record, call.listed("properties"), history)
    linked = {}
    for word in call.listed("associations"):
        other = call.account.catalogue.kind(word)
        found = inline_links(call, record, other)
        if found["results"]:
            linked[other.plural] = found
    if linked:
        body["associations"] = linked
    return body


def inline_links(call: Call, record: Record, other: Kind) -> Json:
    """Return a record's links by type *name*; an id comes once per type."""
    types = call.account.types.between(record.kind, other)
    results: list[Json] = []
    seen: set[int] = set()
    for far, key in call.account.links.of(record.kind, record.id, other, 0):
        if far not in seen and len(seen) == INLINE_LINKS:
            last = str(max(seen))
            link = "https://api.hubapi.com/crm/objects"
            paging = {"next": {"after": last, "link": f"{link}?after={last}"}}
            return {"results": results, "paging": paging}
        seen.add(far)
        results.append({"id": str(far), "type": types[key].name})
    return {"results": results}


def properties_of(body: Json) -> Json:
    """Return the values that a write carries.

    Raises: ApiError 400.
    """
    found = body.get("properties")
    if not isinstance(found, dict):
        raise invalid("Invalid input JSON: properties must be an object")
    return found


def create(call: Call, kind: Kind) -> Reply:
    """POST …/{T}."""
    call.need(kind, "write")
    return Reply(201, create_one(call, kind, call.json))


def create_one(call: Call, kind: Kind, body: Json) -> Json:
    """Create a record with its links; the caller takes it back if it fails."""
    properties = properties_of(body)
    record = call.account.records.create(kind, properties)
    for wanted in body.get("associations") or []:
        _link_new(call, record, wanted)
    return written(call, record, properties)


def _link_new(call: Call, record: Record, wanted: Json) -> None:
    account = call.account
    far_id = account.records.id_of(record.kind, (wanted.get("to") or {}).get("id"), "")
    other = _far_kind(call, record.kind, wanted)
    types = account.types.asked(record.kind, other, wanted.get("types"))
    if far_id is None:
        raise invalid("Invalid input JSON: an association needs to.id")
    try:
        account.records.find(other, far_id)
    except ApiError:
        raise invalid(
            f"One or more associations are not valid: {other.singular} {far_id} "
            "does not exist",
            "INVALID_ASSOCIATION",
            toObjectId=[str(far_id)],
        ) from None
    pair = Pair(record.kind, record.id, other, far_id)
    account.links.write(pair, types, default=False)


def _far_kind(call: Call, kind: Kind, wanted: Json) -> Kind:
    """Return the object type at the far end: the association type decides it."""
    specs = wanted.get("types") or [{}]
    key = (specs[0].get("associationCategory"), specs[0].get("associationTypeId"))
    other = call.account.types.far_kind(kind, key)
    if other is not None:
        return call.account.catalogue.kind(other)
    raise invalid(
        f"One or more association types are not valid: {key[0]} {key[1]}",
        "INVALID_ASSOCIATION_TYPE",
        type=[str(key[1])],
    )


def update(call: Call, kind: Kind, record: str) -> Reply:
    """PATCH …/{T}/{id}: a merged-away id changes the record it became."""
    call.need(kind, "write")
    found = one(call, kind, record, call.query.get("idProperty"))
    properties = properties_of(call.json)
    changed = call.account.records.update(found, properties)
    return Reply(200, written(call, changed, properties))


def archive(call: Call, kind: Kind, record: str) -> Reply:
    """DELETE …/{T}/{id}: the same answer if it is gone already."""
    call.need(kind, "write")
    archive_one(call, kind, record)
    return Reply(204)


def archive_one(call: Call, kind: Kind, word: object) -> None:
    """Archive a record; its links are hidden, or removed where a switch says so."""
    account = call.account
    record_id = account.records.id_of(kind, word, None)
    if record_id is None:
        raise not_found()
    account.records.archive(kind, record_id)
    if not account.switches["restore_brings_links"]:
        account.links.remove_record(kind, record_id)
