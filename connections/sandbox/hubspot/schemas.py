"""Endpoints of custom object schemas.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/objects/schemas
"""

from __future__ import annotations

import re
from typing import Any

from connections.sandbox.clock import iso
from connections.sandbox.hubspot.account import Account, Call, Reply
from connections.sandbox.hubspot.association_types import LinkType
from connections.sandbox.hubspot.errors import conflict, invalid, not_found
from connections.sandbox.hubspot.kinds import Kind
from connections.sandbox.hubspot.properties import create_one as create_property

Json = dict[str, Any]
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
READ = {"crm.schemas.custom.read", "crm.objects.custom.read"}
WRITE = {"crm.schemas.custom.write"}
FIRST_TYPE = 31_400_000


def read_all(call: Call) -> Reply:
    """GET …/schemas."""
    call.need_one_of(READ)
    found = [] if call.flag("archived") else call.account.catalogue.schemas()
    return Reply(200, {"results": [_shown(call.account, t) for t in found]})


def read(call: Call, kind: Kind) -> Reply:
    """GET …/schemas/{T}."""
    call.need_one_of(READ)
    return Reply(200, _shown(call.account, kind.type_id))


def batch_read(call: Call) -> Reply:
    """POST …/schemas/batch/read."""
    call.need_one_of(READ)
    kinds = [call.account.catalogue.kind(str(item)) for item in call.json["inputs"]]
    return call.batch([_shown(call.account, kind.type_id) for kind in kinds], [])


def _shown(account: Account, type_id: str) -> Json:
    schema = account.catalogue.schemas().get(type_id)
    if schema is None:
        raise not_found(f"No custom object {type_id}")
    kind = account.catalogue.kind(type_id)
    links: list[LinkType] = []
    for word in set(account.catalogue.kinds().values()):
        for ends in ((kind, word), (word, kind)):
            links += account.types.between(*ends).values()
    return schema | {
        "properties": list(account.catalogue.properties(kind).values()),
        "associations": [
            _link(link_type) for link_type in dict.fromkeys(links) if link_type.plain
        ],
    }


def _link(link_type: LinkType) -> Json:
    return {
        "id": str(link_type.type_id),
        "name": link_type.name,
        "fromObjectTypeId": link_type.from_kind,
        "toObjectTypeId": link_type.to_kind,
    }


def create(call: Call) -> Reply:
    """POST …/schemas."""
    call.need_one_of(WRITE)
    return Reply(201, create_one(call.account, call.json))


def create_one(account: Account, body: Json) -> Json:
    """Add a custom object with its properties and plain association types.

    Raises: ApiError 400 for a bad definition, 409 for a name that is taken.
    """
    name = str(body.get("name"))
    properties = body.get("properties") or []
    if not NAME.fullmatch(name):
        raise invalid(f"{name} is not a valid object name", "INVALID_NAME")
    if name.lower() in account.catalogue.kinds():
        raise conflict(f"Object type {name} already exists")
    names = {prop.get("name") for prop in properties}
    required = body.get("requiredProperties") or []
    primary = body.get("primaryDisplayProperty")
    if not names.issuperset([*required, *([primary] if primary else [])]):
        raise invalid("requiredProperties and primaryDisplayProperty must be defined")
    type_id = f"2-{FIRST_TYPE + account.store.count_up('schema') * 17}"
    now = iso(account.clock.now_ms())
    schema = {
        "id": type_id.removeprefix("2-"),
        "objectTypeId": type_id,
        "name": name,
        "fullyQualifiedName": f"p{account.portal}_{name}",
        "labels": body.get("labels") or {"singular": name, "plural": name},
        "primaryDisplayProperty": primary,
        "secondaryDisplayProperties": body.get("secondaryDisplayProperties") or [],
        "requiredProperties": required,
        "searchableProperties": body.get("searchableProperties") or [],
        "archived": False,
        "createdAt": now,
        "updatedAt": now,
    }
    account.store.keep("schema", type_id, schema)
    account.catalogue.forget()
    kind = account.catalogue.kind(type_id)
    for prop in properties:
        create_property(account, kind, {"fieldType": "text", "type": "string"} | prop)
    for word in body.get("associatedObjects") or []:
        link(account, kind, account.catalogue.kind(str(word)), None)
    return _shown(account, type_id)


def link(account: Account, kind: Kind, other: Kind, name: str | None) -> LinkType:
    """Let two object types be linked: a plain type for each direction."""
    for link_type in account.types.between(kind, other).values():
        if link_type.plain:
            return link_type
    word = name or f"{kind.singular}_to_{other.singular}"
    return account.types.define((kind, other), word, (None, None))[0]


def associate(call: Call, kind: Kind) -> Reply:
    """POST …/schemas/{T}/associations."""
    call.need_one_of(WRITE)
    catalogue = call.account.catalogue
    one = catalogue.kind(str(call.json.get("fromObjectTypeId", kind.type_id)))
    other = catalogue.kind(str(call.json.get("toObjectTypeId")))
    made = link(call.account, one, other, call.json.get("name"))
    now = iso(call.account.clock.now_ms())
    return Reply(201, _link(made) | {"createdAt": now, "updatedAt": now})


def update(call: Call, kind: Kind) -> Reply:
    """PATCH …/schemas/{T}."""
    call.need_one_of(WRITE)
    parts = ("labels", "primaryDisplayProperty", "requiredProperties")
    schema = call.account.store.document("schema", kind.type_id)
    if schema is None:
        raise not_found(f"No custom object {kind.type_id}")
    schema |= {part: call.json[part] for part in parts if part in call.json}
    schema["updatedAt"] = iso(call.account.clock.now_ms())
    call.account.store.keep("schema", kind.type_id, schema)
    call.account.catalogue.forget()
    return Reply(200, schema)


def archive(call: Call, kind: Kind) -> Reply:
    """DELETE …/schemas/{T}: only once no record is left."""
    call.need_one_of(WRITE)
    left = call.account.store.one(
        "SELECT 1 FROM record WHERE kind = ? AND archived IS NULL LIMIT 1", kind.type_id
    )
    if left:
        raise invalid("There are still records of this object type")
    call.account.store.drop("schema", kind.type_id)
    call.account.catalogue.forget()
    return Reply(204)
