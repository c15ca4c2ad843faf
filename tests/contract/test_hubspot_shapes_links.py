"""HubSpot's answers about links in every shape its documents permit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connections.catalogue import Code
from connections.connectors.hubspot import HubSpotConnector
from connections.records import AssociationType, Edge, Linked
from tests.contract.harness import Naps, new_context
from tests.contract.scripted import Asked, Said, Scripted

pytestmark = pytest.mark.contract
PLAIN = AssociationType("HUBSPOT_DEFINED", 279)
PRIMARY = AssociationType("HUBSPOT_DEFINED", 1)
READ, CREATE = "/0-1/0-2/batch/read", "/0-1/0-2/batch/create"
ARCHIVE, UNLABEL = "/0-1/0-2/batch/archive", "/0-1/0-2/batch/labels/archive"
Json = dict[str, Any]
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


@pytest.fixture
def script() -> Iterator[Scripted]:
    with Scripted() as server:
        yield server


@pytest.fixture
def connector(script: Scripted) -> Iterator[HubSpotConnector]:
    found = HubSpotConnector(
        {"base_url": script.url}, {"token": "t" * 20}, new_context()
    )
    found._door._sleep = Naps()
    yield found
    found.close()


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


# Writing -------------------------------------------------------------------------------


def edges(*pairs: tuple[str, str]) -> list[Edge]:
    return [Edge(near, far, frozenset({PLAIN})) for near, far in pairs]


DONE = [
    Said(204),
    Said(200, {}),
    Said(200, {"results": []}),
    Said(201, {"status": "COMPLETE", "results": [{"fromObjectId": 1}]}),
    Said(207, {"results": [], "errors": [], "numErrors": 0}),
    Said(200, {"results": None, "errors": None}),
]


@pytest.mark.parametrize("verb", ["associate", "dissociate", "unlabel"])
@pytest.mark.parametrize("said", DONE)
def test_a_success_without_errors_is_every_pairs(
    script: Scripted, connector: HubSpotConnector, said: Said, verb: str
):
    script.on("POST", "", said)
    write = getattr(connector, verb)
    outcomes = write("0-1", "0-2", edges(("1", "8"), ("2", "8")))
    assert [(o.ok, o.uncertain) for o in outcomes] == [(True, False)] * 2
    assert len(script.asked) == 1


LIMIT: Json = {
    "status": "error",
    "category": "VALIDATION_ERROR",
    "subCategory": "crm.associations.ASSOCIATION_LIMIT_EXCEEDED",
    "message": "0-1 2 has reached the limit of 1 associations to 0-2",
}


@pytest.mark.parametrize("status", [200, 201, 207])
@pytest.mark.parametrize(
    "context",
    [
        {"fromObjectId": ["2"], "toObjectId": ["8"]},
        {"fromObjectId": [2], "toObjectId": [8]},
        {"fromObjectId": "2", "toObjectId": "8"},
        {"fromObjectId": ["2"]},
        {"fromId": ["2"], "toId": ["8"]},
    ],
)
def test_an_error_that_names_its_pair_is_that_pairs_alone(
    script: Scripted, connector: HubSpotConnector, status: int, context: Json
):
    body = {"results": [], "errors": [LIMIT | {"context": context}]}
    script.on("POST", CREATE, Said(status, body))
    outcomes = connector.associate(
        "0-1", "0-2", edges(("1", "8"), ("2", "8"), ("3", "8"))
    )
    assert [o.ok for o in outcomes] == [True, False, True]
    assert (outcomes[1].code, outcomes[1].uncertain) == (Code.LIMIT_REACHED, False)
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "context", [None, {}, {"objectId": ["77"]}, {"fromObjectId": ["2"]}]
)
def test_an_error_that_could_be_several_pairs_is_found_by_sending_them_apart(
    script: Scripted, connector: HubSpotConnector, context: object
):
    """Setting a pair's types again changes nothing more."""

    def answer(asked: Asked) -> Said:
        bad = [
            i
            for i in asked.body["inputs"]
            if (i["from"]["id"], i["to"]["id"]) == ("2", "9")
        ]
        errors = [LIMIT | {"context": context}] if bad else []
        return Said(207 if bad else 201, {"results": [], "errors": errors})

    script.on("POST", CREATE, answer)
    pairs = [("1", "8"), ("2", "8"), ("2", "9"), ("3", "9")]
    outcomes = connector.associate("0-1", "0-2", edges(*pairs))
    assert [o.ok for o in outcomes] == [True, True, False, True]
    assert outcomes[2].code == Code.LIMIT_REACHED


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (LIMIT, Code.LIMIT_REACHED),
        ({"message": "Association limit exceeded"}, Code.LIMIT_REACHED),
        ({"category": "LIMIT_EXCEEDED", "message": "too many"}, Code.LIMIT_REACHED),
        ({"message": "odd"}, Code.VALUE_INVALID),
        ("<html>", Code.VALUE_INVALID),
    ],
)
def test_a_batch_of_links_refused_whole_is_split(
    script: Scripted, connector: HubSpotConnector, body: object, code: Code
):
    def answer(asked: Asked) -> Said:
        near = [item["from"]["id"] for item in asked.body["inputs"]]
        return Said(400, body) if "2" in near else Said(201, {"results": []})

    script.on("POST", CREATE, answer)
    outcomes = connector.associate(
        "0-1", "0-2", edges(("1", "8"), ("2", "8"), ("3", "8"), ("4", "8"))
    )
    assert [o.ok for o in outcomes] == [True, False, True, True]
    assert outcomes[1].code == code


@pytest.mark.parametrize(
    "body",
    [
        {"category": "VALIDATION_ERROR", "message": "association type 77 isn't valid"},
        {"errors": [{"code": "INVALID_ASSOCIATION_TYPE"}]},
        {"message": "invalid association type"},
    ],
)
def test_an_unknown_type_is_asked_about_once(
    script: Scripted, connector: HubSpotConnector, body: Json
):
    script.on("POST", CREATE, Said(400, body))
    outcomes = connector.associate("0-1", "0-2", edges(("1", "8"), ("2", "8")))
    assert {o.code for o in outcomes} == {Code.TYPE_UNKNOWN}
    assert len(script.asked) == 1


def test_what_is_sent_is_what_the_documents_ask_for(
    script: Scripted, connector: HubSpotConnector
):
    script.on("POST", "", Said(200, {"results": []}))
    both = Edge("1", "8", frozenset({PRIMARY, PLAIN}))
    connector.associate("0-1", "0-2", [both])
    connector.unlabel("0-1", "0-2", [Edge("1", "8", frozenset({PRIMARY}))])
    connector.dissociate("0-1", "0-2", [both, *edges(("1", "9"), ("2", "8"))])
    primary = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}
    plain = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}
    pair = {"from": {"id": "1"}, "to": {"id": "8"}}
    assert [(a.path, a.body["inputs"]) for a in script.asked] == [
        (f"/crm/associations/2026-03{CREATE}", [pair | {"types": [primary, plain]}]),
        (f"/crm/associations/2026-03{UNLABEL}", [pair | {"types": [primary]}]),
        (
            f"/crm/associations/2026-03{ARCHIVE}",
            [
                {"from": {"id": "1"}, "to": [{"id": "8"}, {"id": "9"}]},
                {"from": {"id": "2"}, "to": [{"id": "8"}]},
            ],
        ),
    ]
