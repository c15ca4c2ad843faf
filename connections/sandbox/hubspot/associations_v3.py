"""The v3 associations API: types by name, no labels, companies by primary only.

Source: https://developers.hubspot.com/docs/api-reference/legacy/crm/associations-v3
"""

from __future__ import annotations

from typing import Any

from connections.sandbox.hubspot.account import Call, Reply
from connections.sandbox.hubspot.association_types import LinkType
from connections.sandbox.hubspot.associations import need
from connections.sandbox.hubspot.errors import ApiError, invalid
from connections.sandbox.hubspot.kinds import COMPANIES, Kind
from connections.sandbox.hubspot.links import Pair
from connections.sandbox.hubspot.objects import inline_links, one

Json = dict[str, Any]
MOST = 100


def types(call: Call, kind: Kind, other: Kind) -> Reply:
    """GET /crm/v3/associations/{from}/{to}/types."""
    need(call, (kind, other), "read")
    found = call.account.types.between(kind, other).values()
    results = [{"id": str(t.type_id), "name": t.name} for t in found]
    return Reply(200, {"results": results})


def _named(call: Call, kinds: tuple[Kind, Kind], name: object) -> LinkType:
    for link_type in call.account.types.between(*kinds).values():
        if name in (link_type.name, str(link_type.type_id)):
            return link_type
    raise invalid(f"{name} is not a valid association type", "INVALID_TYPE")


def _links(call: Call, kind: Kind, record_id: int, other: Kind) -> list[Json]:
    """Return links by type name; to companies only the primary one."""
    types = call.account.types.between(kind, other)
    primary = call.account.types.primary(kind, other)
    only = primary.key if primary and other.type_id == COMPANIES else None
    return [
        {"id": str(far), "type": types[key].name}
        for far, key in call.account.links.of(kind, record_id, other, 0)
        if only in (None, key)
    ]


def read_one(call: Call, kind: Kind, record: str, other: Kind) -> Reply:
    """GET /crm/v3/objects/{T}/{id}/associations/{toT}."""
    need(call, (kind, other), "read")
    found = one(call, kind, record, None)
    return Reply(200, inline_links(call, found, other))


def batch_read(call: Call, kind: Kind, other: Kind) -> Reply:
    """POST …/batch/read."""
    need(call, (kind, other), "read")
    results = []
    for item in call.inputs(1_000, lambda item: "id" in item):
        linked = _links(call, kind, int(item["id"]), other)
        if linked:
            results.append({"from": {"id": str(item["id"])}, "to": linked})
    return call.batch(results, [])


def _write(call: Call, pair: Pair, name: object) -> None:
    link_type = _named(call, (pair.from_kind, pair.to_kind), name)
    for kind, record_id in (
        (pair.from_kind, pair.from_id),
        (pair.to_kind, pair.to_id),
    ):
        call.account.records.find(kind, record_id)
    had = call.account.links.types_of(pair)
    known = call.account.types.between(pair.from_kind, pair.to_kind)
    stay = [known[key] for key in had]  # v3 knows no label and moves none
    call.account.links.write(pair, [*stay, link_type], default=False)


def _pair(kind: Kind, other: Kind, item: Json) -> Pair:
    return Pair(kind, int(item["from"]["id"]), other, int(item["to"]["id"]))


def batch_create(call: Call, kind: Kind, other: Kind) -> Reply:
    """POST …/batch/create: `contact_to_company` moves the primary company."""
    need(call, (kind, other), "write")
    results, errors = [], []
    for item in call.inputs(MOST):
        try:
            with call.account.store.savepoint():
                _write(call, _pair(kind, other, item), item.get("type"))
            results.append(item)
        except ApiError as error:
            errors.append(error.entry())
    return call.batch(results, errors, done=201)


def batch_archive(call: Call, kind: Kind, other: Kind) -> Reply:
    """POST …/batch/archive."""
    need(call, (kind, other), "write")
    for item in call.inputs(MOST):
        link_type = _named(call, (kind, other), item.get("type"))
        call.account.links.remove_types(_pair(kind, other, item), [link_type])
    return Reply(204)


def write_one(
    call: Call, kind: Kind, record: str, other: Kind, other_record: str, name: str
) -> Reply:
    """PUT /crm/v3/objects/{T}/{id}/associations/{toT}/{toId}/{type}."""
    need(call, (kind, other), "write")
    found = one(call, kind, record, None)
    _write(call, Pair(kind, found.id, other, int(other_record)), name)
    body = {"id": str(found.id), "properties": {}, "archived": False}
    return Reply(200, body)


def remove_one(
    call: Call, kind: Kind, record: str, other: Kind, other_record: str, name: str
) -> Reply:
    """DELETE /crm/v3/objects/{T}/{id}/associations/{toT}/{toId}/{type}."""
    need(call, (kind, other), "write")
    link_type = _named(call, (kind, other), name)
    pair = Pair(kind, int(record), other, int(other_record))
    call.account.links.remove_types(pair, [link_type])
    return Reply(204)
