"""Endpoints about the account itself: details, usage, owners, pipelines.

Source: https://developers.hubspot.com/docs/api-reference/latest/account/account-information
"""

from __future__ import annotations

from typing import Any

from connections.sandbox.clock import iso
from connections.sandbox.hubspot.account import Account, Call, Reply
from connections.sandbox.hubspot.errors import not_found
from connections.sandbox.hubspot.kinds import Kind

Json = dict[str, Any]
SINCE = "2024-01-01T00:00:00.000Z"


def details(call: Call) -> Reply:
    """GET /account-info/{v}/details."""
    return Reply(
        200,
        {
            "portalId": call.account.portal,
            "accountType": "STANDARD",
            "timeZone": "UTC",
            "utcOffset": "+00:00",
            "utcOffsetMilliseconds": 0,
            "companyCurrency": "EUR",
            "additionalCurrencies": [],
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "eu1",
        },
    )


def keep_owner(account: Account, number: int, email: str, first: str, last: str) -> str:
    """Add an owner and return their id."""
    owner_id = str(70_000_000 + number)
    owner = {
        "id": owner_id,
        "email": email,
        "firstName": first,
        "lastName": last,
        "userId": 90_000 + number,
        "userIdIncludingInactive": 90_000 + number,
        "type": "PERSON",
        "archived": False,
        "teams": [],
        "createdAt": SINCE,
        "updatedAt": iso(account.clock.now_ms()),
    }
    account.store.keep("owner", owner_id, owner)
    account.catalogue.forget()
    return owner_id


def archive_owner(account: Account, owner_id: str) -> None:
    """Remove a user: the id stays on records, and no record takes it any more."""
    owner = account.store.documents("owner")[owner_id]
    account.store.keep("owner", owner_id, owner | {"archived": True})
    account.catalogue.forget()


def owners(call: Call) -> Reply:
    """GET …/owners."""
    call.need_one_of({"crm.objects.owners.read"})
    limit = call.number("limit", 100, 500) or 100
    after = call.query.get("after", "")
    archived = call.flag("archived")
    rows = [
        row
        for key, row in sorted(call.account.store.documents("owner").items())
        if row["archived"] == archived
        and key > after
        and row["email"] == call.query.get("email", row["email"])
    ]
    body: Json = {"results": rows[:limit]}
    if len(rows) > limit:
        body["paging"] = {"next": {"after": rows[limit - 1]["id"]}}
    return Reply(200, body)


def owner(call: Call, name: str) -> Reply:
    """GET …/owners/{ownerId}."""
    call.need_one_of({"crm.objects.owners.read"})
    part = "userId" if call.query.get("idProperty") == "userId" else "id"
    for row in call.account.store.documents("owner").values():
        if str(row[part]) == name:
            return Reply(200, row)
    raise not_found(f"No owner {name}")


def _stage(stage: str, order: int) -> Json:
    closed = stage in ("closedwon", "closedlost", "4")
    return {
        "id": stage,
        "label": stage.capitalize(),
        "displayOrder": order,
        "metadata": {"isClosed": str(closed).lower()},
        "archived": False,
        "createdAt": SINCE,
        "updatedAt": SINCE,
    }


def pipelines(call: Call, kind: Kind) -> Reply:
    """GET …/pipelines/{T}."""
    call.need(kind, "read")
    found = call.account.catalogue.pipelines(kind)
    rows = [
        {
            "id": pipeline,
            "label": label,
            "displayOrder": order,
            "stages": [_stage(stage, at) for at, stage in enumerate(stages)],
            "archived": False,
            "createdAt": SINCE,
            "updatedAt": SINCE,
        }
        for order, (pipeline, (label, stages)) in enumerate(found.items())
    ]
    return Reply(200, {"results": rows})


def keep_pipeline(
    account: Account, kind: str, name: str, label: str, stages: tuple[str, ...]
) -> None:
    """Add a pipeline to deals or tickets."""
    body = {"label": label, "stages": list(stages)}
    account.store.keep(f"pipeline {account.catalogue.kind(kind).type_id}", name, body)
    account.catalogue.forget()


def pipeline(call: Call, kind: Kind, name: str) -> Reply:
    """GET …/pipelines/{T}/{id}."""
    found = (pipelines(call, kind).body or {})["results"]
    for row in found:
        if row["id"] == name:
            return Reply(200, row)
    raise not_found(f"No pipeline {name}")


def enablement(call: Call) -> Reply:
    """GET …/object-library/{v}/enablement."""
    kinds = {kind.type_id for kind in call.account.catalogue.kinds().values()}
    return Reply(200, {"enablementByObjectTypeId": dict.fromkeys(sorted(kinds), True)})


def usage(call: Call) -> Reply:
    """GET /account-info/{v}/api-usage/daily/private-apps."""
    used = call.account.budgets.usage(call.token.name)
    return Reply(200, {"results": [used]})
