"""Endpoints of association types, their labels, and configured limits.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associations-schema/guide
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from connections.sandbox.hubspot.account import Call, Reply
from connections.sandbox.hubspot.association_types import HUBSPOT_DEFINED, LinkType
from connections.sandbox.hubspot.associations import need
from connections.sandbox.hubspot.errors import ApiError, conflict, invalid, not_found
from connections.sandbox.hubspot.kinds import Kind
from connections.sandbox.hubspot.link_caps import FAMILY
from connections.sandbox.hubspot.link_types import LABELS_PER_PAIR

Json = dict[str, Any]
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MOST_LINKS = 10_000  # the highest limit that an admin can set


def _shown(link_type: LinkType) -> Json:
    return {
        "category": link_type.category,
        "typeId": link_type.type_id,
        "label": link_type.label,
    }


def read_labels(call: Call, kind: Kind, other: Kind) -> Reply:
    """GET …/{from}/{to}/labels: one direction."""
    need(call, (kind, other), "read")
    found = call.account.types.between(kind, other).values()
    return Reply(200, {"results": call.account.shuffled(map(_shown, found))})


def _own(call: Call, kind: Kind, other: Kind) -> list[LinkType]:
    found = call.account.types.between(kind, other).values()
    return [t for t in found if t.category != HUBSPOT_DEFINED and not t.plain]


def create_label(call: Call, kind: Kind, other: Kind) -> Reply:
    """POST …/labels: one id for a single label, one per direction for a paired one."""
    need(call, (kind, other), "write")
    name, label = str(call.json.get("name")), call.json.get("label")
    inverse = call.json.get("inverseLabel")
    if not label or not NAME.fullmatch(name):
        raise invalid(f"{name!r} can not be the name of a label", "INVALID_NAME")
    own = _own(call, kind, other)
    if any(name == t.name or label == t.label for t in own):
        raise conflict(f"A label {name} exists already")
    if len(own) >= LABELS_PER_PAIR:
        raise invalid(f"At most {LABELS_PER_PAIR} labels per pair", "LABEL_LIMIT")
    made = call.account.types.define((kind, other), name, (label, inverse))
    # A single label reads the same from both ends, and is told of once.
    return Reply(200, {"results": [_shown(t) for t in (made if inverse else made[:1])]})


def _label(call: Call, kind: Kind, other: Kind, type_id: object) -> LinkType:
    for link_type in _own(call, kind, other):
        if str(link_type.type_id) == str(type_id):
            return link_type
    raise not_found(f"No label {type_id} of this account")


def rename_label(call: Call, kind: Kind, other: Kind) -> Reply:
    """PUT …/labels."""
    need(call, (kind, other), "write")
    found = _label(call, kind, other, call.json.get("associationTypeId"))
    types = call.account.types
    back = types.inverse(found)
    types.keep(replace(found, label=str(call.json["label"])))
    inverse = call.json.get("inverseLabel")
    if back is not None and back != found:
        types.keep(replace(back, label=str(inverse or call.json["label"])))
    return Reply(204)


def delete_label(call: Call, kind: Kind, other: Kind, label: str) -> Reply:
    """DELETE …/labels/{id}: first it must be off every record."""
    need(call, (kind, other), "write")
    try:
        found = _label(call, kind, other, label)
    except ApiError:  # an account's own ids may be HubSpot's too: theirs come first
        standard = call.account.types.between(kind, other)
        if any(key == (HUBSPOT_DEFINED, int(label)) for key in standard):
            text = "HubSpot-defined types can not be deleted"
            raise invalid(text, "NOT_DELETABLE") from None
        raise
    used = call.account.store.one(
        "SELECT 1 FROM link WHERE category = ? AND type_id = ? LIMIT 1", *found.key
    )
    if used:
        raise invalid(f"Label {label} is in use on records", "LABEL_IN_USE")
    call.account.types.drop(found)
    return Reply(204)


# Configured limits


def _cap(call: Call, kind: Kind, other: Kind, item: Json) -> LinkType:
    key = (str(item.get("category")), int(item.get("typeId") or 0))
    found = call.account.types.between(kind, other).get(key)
    if found is None:
        raise invalid(f"No association type {key[0]} {key[1]} in this direction")
    return found


def _highest(call: Call, kind: Kind, other: Kind, link_type: LinkType) -> int:
    """A limit is under the plan's, and a label's not over that of its objects."""
    highest = min(MOST_LINKS, int(call.account.switches.number("technical_cap")))
    if link_type.plain:
        return highest
    plain = call.account.types.plain(kind, other)
    most = call.account.caps.most((kind.type_id, other.type_id), plain.key)
    return highest if most is None else min(highest, most)


def _cap_shown(call: Call, body: Json) -> Json:
    ends, key = body["ends"], (body["key"][0], body["key"][1])
    kinds = [call.account.catalogue.kind(end) for end in ends]
    link_type = call.account.types.between(kinds[0], kinds[1])[key]
    return {
        "fromObjectTypeId": ends[0],
        "toObjectTypeId": ends[1],
        "category": key[0],
        "typeId": key[1],
        "userEnforcedMaxToObjectIds": body["max"],
        "label": link_type.label,
    }


def read_all_caps(call: Call) -> Reply:
    """GET …/definitions/configurations/all."""
    found = call.account.store.documents(FAMILY).values()
    return Reply(200, {"results": [_cap_shown(call, body) for body in found]})


def read_caps(call: Call, kind: Kind, other: Kind) -> Reply:
    """GET …/definitions/configurations/{from}/{to}."""
    need(call, (kind, other), "read")
    ends = [kind.type_id, other.type_id]
    found = call.account.store.documents(FAMILY).values()
    shown = [_cap_shown(call, body) for body in found if body["ends"] == ends]
    return Reply(200, {"results": shown})


def write_caps(call: Call, kind: Kind, other: Kind) -> Reply:
    """POST …/configurations/{from}/{to}/batch/create and …/batch/update."""
    need(call, (kind, other), "write")
    results, errors = [], []
    ends = (kind.type_id, other.type_id)
    for item in call.inputs(100):
        try:
            link_type = _cap(call, kind, other, item)
            most = int(item.get("maxToObjectIds") or 0)
            highest = _highest(call, kind, other, link_type)
            if not 1 <= most <= highest:
                raise invalid(f"maxToObjectIds: 1 to {highest}")
            call.account.caps.configure(ends, link_type.key, most)
            body = {"ends": list(ends), "key": list(link_type.key), "max": most}
            results.append(_cap_shown(call, body))
        except ApiError as error:
            errors.append(error.entry())
    return call.batch(results, errors, done=201)


def update_caps(call: Call, kind: Kind, other: Kind) -> Reply:
    """POST …/configurations/{from}/{to}/batch/update."""
    reply = write_caps(call, kind, other)
    return Reply(200 if reply.status == 201 else reply.status, reply.body)


def purge_caps(call: Call, kind: Kind, other: Kind) -> Reply:
    """POST …/configurations/{from}/{to}/batch/purge."""
    need(call, (kind, other), "write")
    results = []
    for item in call.inputs(100):
        link_type = _cap(call, kind, other, item)
        call.account.caps.purge((kind.type_id, other.type_id), link_type.key)
        results.append(_shown(link_type))
    return call.batch(results, []) if call.dated else Reply(204)
