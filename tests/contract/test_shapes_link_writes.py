"""HubSpot's answers to writes of links in every shape its documents permit."""

from __future__ import annotations

import pytest

from connections.catalogue import Code
from connections.connectors.hubspot import HubSpotConnector
from connections.records import Edge
from tests.contract.linkable import PLAIN, PRIMARY
from tests.contract.scripted import Asked, Said, Scripted
from tests.contract.shapes import Json

pytestmark = pytest.mark.contract
CREATE = "/0-1/0-2/batch/create"
ARCHIVE, UNLABEL = "/0-1/0-2/batch/archive", "/0-1/0-2/batch/labels/archive"


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
