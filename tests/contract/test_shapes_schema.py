"""Accounts, properties, objects and association types that tell little of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from connections.catalogue import Code
from connections.connectors.base import ScopeError
from connections.connectors.hubspot import HubSpotConnector
from connections.records import ValueType
from tests.contract.scripted import Asked, Said, Scripted
from tests.contract.shapes import CONTACTS, WANT, results

pytestmark = pytest.mark.contract
LIST = "/0-1"


@pytest.mark.parametrize("said", [Said(403, {}), Said(404, {}), Said(404, "<html>")])
def test_where_the_account_is_not_told_a_list_of_one_proves_the_token(
    script: Scripted, connector: HubSpotConnector, said: Said
):
    script.on("GET", "/account-info/2026-03/details", said)
    script.on("GET", LIST, results())
    report = connector.test()
    assert report.account
    assert report.warnings
    assert script.asked[-1].query["limit"] == ["1"]


def test_where_nothing_may_be_read_the_token_is_not_proved(
    script: Scripted, connector: HubSpotConnector
):
    script.on("GET", "", Said(403, {"category": "MISSING_SCOPES"}))
    with pytest.raises(ScopeError):
        connector.test()
    with pytest.raises(ScopeError):
        connector.discover()


@pytest.mark.parametrize("body", [{}, {"portalId": None}, {"portalId": 12}])
def test_an_account_may_tell_little(
    script: Scripted, connector: HubSpotConnector, body: dict[str, Any]
):
    script.on("GET", "/account-info/2026-03/details", Said(200, body))
    assert (
        connector.test().account
        == f"HubSpot portal {body.get('portalId') or 'unknown'}"
    )


def _no_such_object(asked: Asked) -> Said:
    return Said(400, {"message": f"Unable to infer object type from: {asked.path}"})


def test_properties_may_tell_no_more_than_their_name(
    script: Scripted, connector: HubSpotConnector
):
    script.on("GET", "", _no_such_object)
    script.on("GET", "/crm-object-schemas/2026-03/schemas", Said(403, {}))
    script.on(
        "GET",
        "/crm/properties/2026-03/0-1",
        results(
            {"name": "bare"},
            {"name": "listed", "type": "enumeration", "options": None},
            {
                "name": "choice",
                "type": "enumeration",
                "fieldType": "select",
                "options": [{"value": "b"}, {"value": "a", "label": None}, {}],
                "modificationMetadata": None,
            },
            {"name": "shown", "hidden": True},
            {"name": "old", "archived": True},
            {"label": "without a name"},
        ),
    )
    (found,) = connector.discover().objects
    fields = {f.name: f for f in found.fields}
    assert set(fields) == {"bare", "listed", "choice"}
    assert (fields["bare"].type, fields["bare"].label) == (ValueType.TEXT, "bare")
    assert [o.value for o in fields["choice"].options] == ["b", "a"]
    assert not any(f.read_only or f.required or f.unique for f in found.fields)


def test_a_custom_object_may_tell_no_more_than_its_id_and_name(
    script: Scripted, connector: HubSpotConnector
):
    script.on("GET", "", _no_such_object)
    script.on(
        "GET",
        "/crm-object-schemas/2026-03/schemas",
        results({"objectTypeId": "2-77", "name": "boats"}, {"name": "no id"}, {}),
    )
    script.on("GET", "/crm/properties/2026-03/2-77", results({"name": "hull"}))
    (boats,) = connector.discover().objects
    assert (boats.id, boats.name, boats.label, boats.custom) == (
        "2-77",
        "boats",
        "boats",
        True,
    )


def test_association_types_may_tell_little(
    script: Scripted, connector: HubSpotConnector
):
    script.on(
        "GET",
        "/0-1/0-2/labels",
        results(
            {"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None},
            {"category": "HUBSPOT_DEFINED", "typeId": "1", "label": "Primary"},
            {"typeId": 42, "category": "USER_DEFINED"},
            {"category": "USER_DEFINED", "label": "no id"},
            paging=None,
        ),
    )
    found = connector.association_types("0-1", "0-2")
    assert [(t.category, t.type_id, t.label) for t in found] == [
        ("HUBSPOT_DEFINED", 1, "Primary"),
        ("HUBSPOT_DEFINED", 279, None),
        ("USER_DEFINED", 42, None),
    ]
    assert {(t.from_object, t.to_object) for t in found} == {("0-1", "0-2")}


def test_a_refused_read_says_what_hubspot_said(
    script: Scripted, connector: HubSpotConnector
):
    script.on("GET", LIST, Said(400, {"message": "limit is odd", "correlationId": "q"}))
    with pytest.raises(Exception, match="limit is odd") as caught:
        list(connector.pages(CONTACTS, WANT))
    assert caught.value.code == Code.VALUE_INVALID  # type: ignore[attr-defined]
    assert caught.value.correlation_id == "q"  # type: ignore[attr-defined]
