"""HubSpot's answers to reads of links in every shape its documents permit."""

from __future__ import annotations

from typing import Any

import pytest

from connections.connectors.hubspot import HubSpotConnector
from connections.records import AssociationType, Linked
from tests.contract.linkable import PLAIN, PRIMARY
from tests.contract.scripted import Said, Scripted
from tests.contract.shapes import Json

pytestmark = pytest.mark.contract
READ = "/0-1/0-2/batch/read"
NO_LINKS: Json = {
    "status": "error",
    "category": "OBJECT_NOT_FOUND",
    "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
    "message": "No company is associated with contact 2.",
    "context": {
        "fromObjectId": ["2"],
        "fromObjectType": ["contact"],
        "toObjectType": ["company"],
    },
}


def row(near: object, *far: object, **more: object) -> Json:
    kinds = [{"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None}]
    to = [{"toObjectId": i, "associationTypes": kinds} for i in far]
    return {"from": {"id": near}, "to": to} | more


def linked(*far: str) -> tuple[Linked, ...]:
    return tuple(Linked(i, frozenset({PLAIN})) for i in far)


# Reading -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 207])
@pytest.mark.parametrize("end", [{}, {"paging": None}, {"paging": {}}])
@pytest.mark.parametrize("form", [str, int])
def test_ids_may_be_text_or_numbers_and_lists_end_in_any_way(
    script: Scripted, connector: HubSpotConnector, form: Any, end: Json, status: int
):
    big = 9007199254740993
    said = Said(
        status,
        {"results": [row(form(3), form(big)), row(form(1), form(8), form(9), **end)]},
    )
    script.on("POST", READ, said)
    assert connector.associations("0-1", "0-2", ["1", "3"]) == {
        "1": linked("8", "9"),
        "3": linked(str(big)),
    }
    assert len(script.asked) == 1


@pytest.mark.parametrize("status", [200, 207])
@pytest.mark.parametrize("numbered", [True, False])
def test_no_links_is_said_by_an_error(
    script: Scripted, connector: HubSpotConnector, status: int, numbered: bool
):
    body: Json = {"results": [row("1", "8")], "errors": [NO_LINKS]}
    script.on("POST", READ, Said(status, body | ({"numErrors": 1} if numbered else {})))
    found = connector.associations("0-1", "0-2", ["1", "2"])
    assert found == {"1": linked("8"), "2": ()}


def test_no_links_may_be_an_empty_list(script: Scripted, connector: HubSpotConnector):
    script.on("POST", READ, Said(200, {"results": [row("1", "8"), row("2")]}))
    found = connector.associations("0-1", "0-2", ["1", "2"])
    assert found == {"1": linked("8"), "2": ()}


@pytest.mark.parametrize("lost", [{}, {"to": None}, {"to": "x"}])
def test_no_list_at_all_is_not_an_empty_one(
    script: Scripted, connector: HubSpotConnector, lost: Json
):
    odd = {"from": {"id": "2"}} | lost
    script.on("POST", READ, Said(200, {"results": [row("1", "8"), odd]}))
    assert connector.associations("0-1", "0-2", ["1", "2"]) == {"1": linked("8")}


@pytest.mark.parametrize("lost", ["context", "category", "message", "status"])
def test_no_links_is_understood_though_a_part_is_missing(
    script: Scripted, connector: HubSpotConnector, lost: str
):
    error = {key: value for key, value in NO_LINKS.items() if key != lost}
    script.on("POST", READ, Said(207, {"results": [row("1", "8")], "errors": [error]}))
    found = connector.associations("0-1", "0-2", ["1", "2"])
    assert found == {"1": linked("8"), "2": ()}


@pytest.mark.parametrize(
    "errors",
    [
        None,
        [],
        [{"category": "OBJECT_NOT_FOUND", "context": {"fromObjectId": ["2"]}}],
        [{"category": "INTERNAL_ERROR", "context": {"fromObjectId": ["2"]}}],
        [{"message": "something went wrong"}],
        [{k: v for k, v in NO_LINKS.items() if k != "context"}] * 2,
    ],
)
def test_a_record_that_nothing_is_said_of_is_unknown(
    script: Scripted, connector: HubSpotConnector, errors: Any
):
    script.on("POST", READ, Said(207, {"results": [row("1", "8")], "errors": errors}))
    assert connector.associations("0-1", "0-2", ["1", "2"]) == {"1": linked("8")}


@pytest.mark.parametrize("body", [{}, {"results": None}, {"status": "error"}])
def test_a_success_without_results_says_nothing_of_anyone(
    script: Scripted, connector: HubSpotConnector, body: Json
):
    script.on("POST", READ, Said(200, body))
    assert connector.associations("0-1", "0-2", ["1", "2"]) == {}


@pytest.mark.parametrize("after", ["9", 9, "opaque=="])
def test_each_records_list_is_followed_by_its_own_cursor(
    script: Scripted, connector: HubSpotConnector, after: object
):
    paging = {"next": {"after": after, "link": "https://elsewhere.example"}}
    script.on(
        "POST",
        READ,
        Said(207, {"results": [row("1", 8, 9, paging=paging), row("2", 8)]}),
        Said(200, {"results": [row("1", 9, 10)]}),
    )
    found = connector.associations("0-1", "0-2", ["1", "2"])
    assert found == {"1": linked("8", "9", "10"), "2": linked("8")}
    assert script.asked[1].body == {"inputs": [{"id": "1", "after": str(after)}]}


def test_a_list_that_breaks_off_is_unknown_as_a_whole(
    script: Scripted, connector: HubSpotConnector
):
    """Half a list would make the other half look removed."""
    paging = {"next": {"after": "9"}}
    script.on(
        "POST",
        READ,
        Said(200, {"results": [row("1", 8, 9, paging=paging)]}),
        Said(200, {"results": []}),
    )
    assert connector.associations("0-1", "0-2", ["1"]) == {}


def test_a_list_that_does_not_move_on_is_unknown(
    script: Scripted, connector: HubSpotConnector
):
    paging = {"next": {"after": "9"}}
    script.on("POST", READ, Said(200, {"results": [row("1", 8, 9, paging=paging)]}))
    assert connector.associations("0-1", "0-2", ["1"]) == {}
    assert len(script.asked) == 2


def test_a_list_whose_last_page_is_empty_is_whole(
    script: Scripted, connector: HubSpotConnector
):
    paging = {"next": {"after": "9"}}
    script.on(
        "POST",
        READ,
        Said(200, {"results": [row("2", 8, 9, paging=paging)]}),
        Said(207, {"results": [], "errors": [NO_LINKS]}),
    )
    assert connector.associations("0-1", "0-2", ["2"]) == {"2": linked("8", "9")}


def test_a_record_nobody_asked_for_is_not_taken_up(
    script: Scripted, connector: HubSpotConnector
):
    script.on("POST", READ, Said(200, {"results": [row("1", 8), row("77", 8), {}]}))
    assert connector.associations("0-1", "0-2", ["1"]) == {"1": linked("8")}


def test_types_are_known_by_category_and_number_alone(
    script: Scripted, connector: HubSpotConnector
):
    kinds = [
        {"typeId": "279"},
        {"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary Company"},
        {"category": "USER_DEFINED", "typeId": 1},
        {"category": "USER_DEFINED"},
    ]
    to = [
        {"toObjectId": "8", "associationTypes": kinds},
        {"toObjectId": "8", "associationTypes": [kinds[1]]},
        {"toObjectId": "9"},
    ]
    script.on("POST", READ, Said(200, {"results": [{"from": {"id": "1"}, "to": to}]}))
    eight, nine = connector.associations("0-1", "0-2", ["1"])["1"]
    assert eight.types == {PLAIN, PRIMARY, AssociationType("USER_DEFINED", 1)}
    assert (nine.to_id, nine.types) == ("9", frozenset())
