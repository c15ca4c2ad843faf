"""The v3 associations API: types by name, no labels, companies by primary only.

Source: https://developers.hubspot.com/docs/api-reference/legacy/crm/associations-v3
"""

from __future__ import annotations

from typing import Any

from connections.sandbox.hubspot.account import Call, Reply
from connections.sandbox.hubspot.association_types import LinkType
from connections.sandbox.hubspot.associations import PAGE, need, no_links, paging
from connections.sandbox.hubspot.errors import ApiError, invalid
from connections.sandbox.hubspot.kinds import COMPANIES, Kind
from connections.sandbox.hubspot.links import Pair
from connections.sandbox.hubspot.objects import one

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


def _page(
    call: Call, kinds: tuple[Kind, Kind], record_id: int, after: int, limit: int
) -> Json:
    """Return a page of links by type name, an id once per type; to companies only the
    primary one."""
    kind, other = kinds
    types = call.account.types.between(kind, other)
    primary = call.account.types.primary(kind, other)
    only = primary.key if primary and other.type_id == COMPANIES else None
    found: list[Json] = []
    seen: set[int] = set()
    for far, key in call.account.links.of(kind, record_id, other, after):
        if only not in (None, key):
            continue
        if far not in seen and len(seen) == limit:
            return {"to": found, "paging": paging(str(max(seen)))}
        seen.add(far)
        found.append({"id": str(far), "type": types[key].name})
    return {"to": found}


def read_one(call: Call, kind: Kind, record: str, other: Kind) -> Reply:
    """GET /crm/v3/objects/{T}/{id}/associations/{toT}."""
    need(call, (kind, other), "read")
    found = one(call, kind, record, None)
    limit = call.number("limit", PAGE, PAGE) or PAGE
    after = call.number("after", 0, 2**62)
    page = _page(call, (kind, other), found.id, after, limit)
    return Reply(200, {"results": page.pop("to")} | page)


def batch_read(call: Call, kind: Kind, other: Kind) -> Reply:
    """POST …/batch/read: a record without links is an error entry of a 207."""
    need(call, (kind, other), "read")
    limit = int(call.account.switches.number("association_page"))
    results, errors = [], []
    for item in call.inputs(1_000, lambda item: "id" in item):
        word = str(item["id"])
        page = _page(call, (kind, other), int(word), 0, limit)
        if page["to"]:
            results.append({"from": {"id": word}} | page)
        else:
            errors.append(no_links(kind, other, word))
    return call.batch(results, errors)


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
