"""Endpoints that tell how much of the account's limits is used.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/limits-tracking
"""

from __future__ import annotations

from typing import Any

from connections.sandbox.clock import iso
from connections.sandbox.hubspot.account import Call, Reply
from connections.sandbox.hubspot.errors import invalid, not_found
from connections.sandbox.hubspot.kinds import DEALS, TICKETS, Kind
from connections.sandbox.hubspot.link_types import LABELS_PER_PAIR

Json = dict[str, Any]
NEAR = 0.8
SAMPLES = 10
PROPERTIES, RECORDS, CUSTOM_TYPES = 1_000, 15_000_000, 10
PIPELINES, CALCULATED = 50, 25


def _used(limit: int, usage: int) -> Json:
    percentage = round(100 * usage / limit, 2)
    return {"limit": limit, "usage": usage, "percentage": percentage}


def labels(call: Call) -> Reply:
    """GET …/limits/{v}/associations/labels."""
    kind = call.account.catalogue.kind(call.query.get("fromObjectTypeId", ""))
    other = call.account.catalogue.kind(call.query.get("toObjectTypeId", ""))
    found = call.account.types.between(kind, other).values()
    texts = [t.label for t in found if t.category == "USER_DEFINED" and t.label]
    body = _used(LABELS_PER_PAIR, len(texts)) | {"allLabels": texts}
    body |= {"fromObjectTypeId": kind.type_id, "toObjectTypeId": other.type_id}
    return Reply(200, body)


def _most(call: Call, kind: Kind, other: Kind) -> int:
    technical = int(call.account.switches.number("technical_cap"))
    for link_type in call.account.types.between(kind, other).values():
        if link_type.plain:
            ends = (kind.type_id, other.type_id)
            most = call.account.caps.most(ends, link_type.key)
            return technical if most is None else min(most, technical)
    raise invalid(f"{kind.plural} can not be linked to {other.plural}")


def records(call: Call, kind: Kind, other: Kind) -> Reply:
    """GET …/limits/{v}/associations/records/{from}/{to}."""
    most = _most(call, kind, other)
    rows = call.account.store.all(
        "SELECT id, links FROM degree WHERE kind = ? AND to_kind = ? AND links >= ?",
        kind.type_id,
        other.type_id,
        round(most * NEAR),
    )
    full = [row for row in rows if row[1] >= most]
    near = [row for row in rows if row[1] < most]
    return Reply(
        200,
        {
            "limit": most,
            "totalRecordsAtLimit": len(full),
            "totalRecordsNearLimit": len(near),
            "atLimitFromRecordSamples": [
                {"objectId": row[0], "label": str(row[0])} for row in full[:SAMPLES]
            ],
            "nearLimitFromRecordSamples": [
                {
                    "objectId": row[0],
                    "label": str(row[0]),
                    "usage": row[1],
                    "percentage": round(100 * row[1] / most, 2),
                }
                for row in near[:SAMPLES]
            ],
        },
    )


def high_usage(call: Call, name: str) -> Reply:
    """POST …/associations/{v}/usage/high-usage-report/{userId}: mails a file."""
    for row in call.account.store.documents("owner").values():
        if str(row["userId"]) == name:
            told = {"userId": row["userId"], "userEmail": row["email"]}
            now = iso(call.account.clock.now_ms())
            return Reply(200, told | {"enqueueTime": now})
    raise not_found(f"No user {name}")


def records_from(call: Call) -> Reply:
    """GET …/limits/{v}/associations/records/from."""
    rows = call.account.store.all("SELECT DISTINCT kind FROM degree")
    return Reply(200, {"results": [{"fromObjectTypeId": row[0]} for row in rows]})


def records_to(call: Call, kind: Kind) -> Reply:
    """GET …/limits/{v}/associations/records/{from}/to."""
    rows = call.account.store.all(
        "SELECT DISTINCT to_kind FROM degree WHERE kind = ?", kind.type_id
    )
    return Reply(200, {"results": [{"toObjectTypeId": row[0]} for row in rows]})


def records_used(call: Call) -> Reply:
    """GET …/limits/{v}/records."""
    usage = call.account.store.one("SELECT count(*) FROM record")[0]
    return Reply(200, _used(RECORDS, usage))


def custom_types(call: Call) -> Reply:
    """GET …/limits/{v}/custom-object-types."""
    return Reply(200, _used(CUSTOM_TYPES, len(call.account.catalogue.schemas())))


def pipelines(call: Call) -> Reply:
    """GET …/limits/{v}/pipelines: one for deals, one for tickets."""
    used = [{"objectTypeId": kind, **_used(PIPELINES, 1)} for kind in (DEALS, TICKETS)]
    return Reply(200, {"byObjectType": used})


def calculated_properties(call: Call) -> Reply:
    """GET …/limits/{v}/calculated-properties."""
    catalogue = call.account.catalogue
    usage = sum(
        body["calculated"] and not _standard(body)
        for kind in set(catalogue.kinds().values())
        for body in catalogue.properties(kind).values()
    )
    return Reply(200, _used(CALCULATED, usage))


def custom_properties(call: Call) -> Reply:
    """GET …/limits/{v}/custom-properties."""
    catalogue = call.account.catalogue
    results = []
    for kind in sorted(set(catalogue.kinds().values()), key=lambda k: k.type_id):
        own = [p for p in catalogue.properties(kind).values() if not _standard(p)]
        if own:
            used = _used(PROPERTIES, len(own))
            results.append({"objectTypeId": kind.type_id, **used})
    return Reply(200, {"byObjectType": results})


def _standard(prop: Json) -> bool:
    return bool(prop["hubspotDefined"])
