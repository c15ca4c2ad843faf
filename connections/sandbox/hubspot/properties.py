"""Endpoints of property definitions and groups.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/properties
"""

from __future__ import annotations

import re
from typing import Any

from connections.sandbox.clock import iso
from connections.sandbox.hubspot.account import Account, Call, Reply, scope_of
from connections.sandbox.hubspot.errors import ApiError, conflict, invalid, not_found
from connections.sandbox.hubspot.kinds import Kind

Json = dict[str, Any]
NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
FORMS = {
    "string": {"text", "textarea", "html", "phonenumber", "file"},
    "number": {"number"},
    "bool": {"booleancheckbox"},
    "enumeration": {"select", "radio", "checkbox", "booleancheckbox"},
    "date": {"date"},
    "datetime": {"date"},
    "phone_number": {"phonenumber"},
}
UNIQUE_MOST = 10
EDITABLE = ("label", "description", "groupName", "type", "fieldType", "options")


def _need(call: Call, kind: Kind, right: str) -> None:
    area = "custom" if kind.custom else kind.plural
    scopes = {scope_of(kind, right), f"crm.schemas.{area}.{right}"}
    call.need_one_of(scopes)


def read_all(call: Call, kind: Kind) -> Reply:
    """GET …/{T}: no paging."""
    _need(call, kind, "read")
    catalogue = call.account.catalogue
    if call.flag("archived"):
        found = catalogue.archived_properties(kind)
    else:
        found = catalogue.properties(kind)
    return Reply(200, {"results": list(found.values())})


def read(call: Call, kind: Kind, name: str) -> Reply:
    """GET …/{T}/{name}."""
    _need(call, kind, "read")
    return Reply(200, _find(call, kind, name))


def _find(call: Call, kind: Kind, name: str) -> Json:
    catalogue = call.account.catalogue
    archived = call.flag("archived") and call.method == "GET"
    found = (
        catalogue.archived_properties(kind) if archived else catalogue.properties(kind)
    )
    if name not in found:
        raise not_found(f"Property {name} does not exist", propertyName=[name])
    return found[name]


def create(call: Call, kind: Kind) -> Reply:
    """POST …/{T}."""
    _need(call, kind, "write")
    return Reply(201, _create_grouped(call, kind, call.json))


def _create_grouped(call: Call, kind: Kind, body: Json) -> Json:
    """Add a property that must say its group, as those of a new schema need not."""
    if not body.get("groupName"):
        raise invalid("Some required fields were not set: [groupName]")
    return create_one(call.account, kind, body)


def create_one(account: Account, kind: Kind, body: Json) -> Json:
    """Add a property.

    Raises: ApiError 400 for a bad definition, 409 for a name that is taken.
    """
    for part in ("name", "label", "type", "fieldType"):
        if not body.get(part):
            raise invalid(f"Some required fields were not set: [{part}]")
    name = str(body["name"])
    if not NAME.fullmatch(name):
        raise invalid(f"{name} is not a valid property name", "INVALID_NAME")
    _check_form(body)
    known = account.catalogue.properties(kind)
    if name in known:
        raise conflict(f"A property named '{name}' already exists.")
    unique = bool(body.get("hasUniqueValue"))
    held = sum(p["hasUniqueValue"] and not p["hubspotDefined"] for p in known.values())
    if unique and held >= UNIQUE_MOST:
        raise invalid(f"At most {UNIQUE_MOST} unique properties per object")
    now = iso(account.clock.now_ms())
    made = _blank(name) | {part: body[part] for part in body if part in KNOWN_PARTS}
    made |= {"options": _options(body), "createdAt": now, "updatedAt": now}
    made["calculated"] = body["fieldType"] == "calculation_equation"
    account.catalogue.keep_property(kind, made)
    return made


KNOWN_PARTS = (
    *EDITABLE,
    *("name", "hasUniqueValue", "hidden", "displayOrder", "formField"),
    *("externalOptions", "referencedObjectType", "calculationFormula"),
    *("numberDisplayHint", "textDisplayHint", "showCurrencySymbol"),
)


def _blank(name: str) -> Json:
    return {
        "name": name,
        "label": name,
        "type": "string",
        "fieldType": "text",
        "description": "",
        "groupName": "information",
        "options": [],
        "displayOrder": -1,
        "calculated": False,
        "externalOptions": False,
        "hasUniqueValue": False,
        "hidden": False,
        "hubspotDefined": False,
        "formField": True,
        "archived": False,
        "modificationMetadata": {
            "archivable": True,
            "readOnlyDefinition": False,
            "readOnlyOptions": False,
            "readOnlyValue": False,
        },
    }


def _check_form(body: Json) -> None:
    kind, form = body["type"], body["fieldType"]
    if kind not in FORMS or form not in FORMS[kind] | {"calculation_equation"}:
        raise invalid(f"fieldType {form} can not be used with type {kind}")
    options = body.get("options") or []
    values = [option.get("value") for option in options]
    if len(set(values)) != len(values):
        raise invalid("Property option values must be unique", "DUPLICATE_OPTION")


def _options(body: Json) -> list[Json]:
    return [
        {
            "label": option.get("label", option["value"]),
            "value": option["value"],
            "description": option.get("description", ""),
            "displayOrder": option.get("displayOrder", order),
            "hidden": option.get("hidden", False),
        }
        for order, option in enumerate(body.get("options") or [])
    ]


def update(call: Call, kind: Kind, name: str) -> Reply:
    """PATCH …/{T}/{name}."""
    _need(call, kind, "write")
    found = _find(call, kind, name)
    changed = found | {part: call.json[part] for part in EDITABLE if part in call.json}
    if "options" in call.json:
        changed["options"] = _options(call.json)
    _check_form(changed)
    changed["updatedAt"] = iso(call.account.clock.now_ms())
    call.account.catalogue.keep_property(kind, changed)
    return Reply(200, changed)


def archive(call: Call, kind: Kind, name: str) -> Reply:
    """DELETE …/{T}/{name}."""
    _need(call, kind, "write")
    found = _find(call, kind, name)
    if not found["modificationMetadata"]["archivable"]:
        raise invalid(f"{name} is HubSpot's own and stays", "NOT_ARCHIVABLE")
    call.account.catalogue.keep_property(kind, found | {"archived": True})
    return Reply(204)


def batch_read(call: Call, kind: Kind) -> Reply:
    """POST …/{T}/batch/read."""
    _need(call, kind, "read")
    results, errors = [], []
    for item in call.inputs(100):
        try:
            results.append(_find(call, kind, str(item.get("name"))))
        except ApiError as error:
            errors.append(error.entry())
    return call.batch(results, errors)


def batch_create(call: Call, kind: Kind) -> Reply:
    """POST …/{T}/batch/create."""
    _need(call, kind, "write")
    results, errors = [], []
    for item in call.inputs(100):
        try:
            with call.account.store.savepoint():
                results.append(_create_grouped(call, kind, item))
        except ApiError as error:
            errors.append(error.entry(name=[str(item.get("name"))]))
    return call.batch(results, errors, done=201)


def batch_archive(call: Call, kind: Kind) -> Reply:
    """POST …/{T}/batch/archive."""
    _need(call, kind, "write")
    for item in call.inputs(100):
        archive(call, kind, str(item.get("name")))
    return Reply(204)


GROUP: Json = {
    "name": "information",
    "label": "Information",
    "displayOrder": -1,
    "archived": False,
}


def read_groups(call: Call, kind: Kind) -> Reply:
    """GET …/{T}/groups."""
    _need(call, kind, "read")
    own = call.account.store.documents(f"property group {kind.type_id}")
    return Reply(200, {"results": [GROUP, *own.values()]})


def create_group(call: Call, kind: Kind) -> Reply:
    """POST …/{T}/groups."""
    _need(call, kind, "write")
    made = GROUP | {part: call.json[part] for part in ("name", "label")}
    call.account.store.keep(f"property group {kind.type_id}", made["name"], made)
    return Reply(201, made)
