"""HubSpot's answers to creates in every shape its documents permit.

Whatever the shape: each input gets its own outcome, nothing that may exist is sent again,
and nobody's answer is taken for another's.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connections.catalogue import Code
from connections.connectors.hubspot import HubSpotConnector
from connections.records import Draft
from tests.contract.scripted import Asked, Said, Scripted
from tests.contract.shapes import CONTACTS, REFUSAL, WANT, Json, ids, made, three

pytestmark = pytest.mark.contract
CREATE = "/batch/create"


@pytest.mark.parametrize("status", [200, 201, 207])
@pytest.mark.parametrize(
    "more",
    [{}, {"errors": []}, {"errors": None}, {"numErrors": 0}, {"status": "COMPLETE"}],
)
def test_results_in_another_order_find_their_inputs(
    script: Scripted, connector: HubSpotConnector, status: int, more: Json
):
    def answer(asked: Asked) -> Said:
        rows = [made(item, 10 + n) for n, item in enumerate(asked.body["inputs"])]
        return Said(status, {"results": rows[::-1]} | more)

    script.on("POST", CREATE, answer)
    outcomes = connector.create(CONTACTS, three(), WANT)
    assert ids(outcomes) == ["10", "11", "12"]
    assert all(o.ok for o in outcomes)


def test_a_result_may_hold_only_an_id_and_a_trace(
    script: Scripted, connector: HubSpotConnector
):
    def answer(asked: Asked) -> Said:
        traces = [item["objectWriteTraceId"] for item in asked.body["inputs"]]
        rows = [{"id": t[1:] * 3, "objectWriteTraceId": t} for t in traces]
        return Said(201, {"results": rows})

    script.on("POST", CREATE, answer)
    outcomes = connector.create(CONTACTS, three(), WANT)
    assert ids(outcomes) == ["000", "111", "222"]
    assert all(o.ok for o in outcomes)


def test_results_without_traces_are_told_apart_by_their_unique_values(
    script: Scripted, connector: HubSpotConnector
):
    def answer(asked: Asked) -> Said:
        rows = [
            made(item, 10 + n, objectWriteTraceId=None)
            for n, item in enumerate(asked.body["inputs"])
        ]
        return Said(201, {"results": rows[::-1]})

    script.on("POST", CREATE, answer)
    drafts = [*three(), Draft("m", {"title": "mail", "email": "A@X.example"})]
    outcomes = connector.create(CONTACTS, drafts, WANT)
    assert ids(outcomes) == ["10", "11", "12", "13"]


def test_results_that_cannot_be_told_apart_are_uncertain_and_not_sent_again(
    script: Scripted, connector: HubSpotConnector
):
    def answer(asked: Asked) -> Said:
        rows = [{"id": str(10 + n)} for n, _ in enumerate(asked.body["inputs"])]
        return Said(201, {"results": rows})

    script.on("POST", CREATE, answer)
    drafts = [Draft(f"t{n}", {"title": "same"}) for n in range(2)]
    outcomes = connector.create(CONTACTS, drafts, WANT)
    assert [(o.ok, o.uncertain) for o in outcomes] == [(False, True)] * 2
    assert len(script.asked) == 1


def test_the_only_result_is_the_only_inputs(
    script: Scripted, connector: HubSpotConnector
):
    script.on("POST", CREATE, Said(201, {"results": [{"id": 5}]}))
    (outcome,) = connector.create(CONTACTS, three()[:1], WANT)
    assert ids([outcome]) == ["5"]


@pytest.mark.parametrize("body", [{}, {"results": None}, {"results": []}, []])
def test_a_success_that_tells_of_nobody_is_uncertain(
    script: Scripted, connector: HubSpotConnector, body: object
):
    script.on("POST", CREATE, Said(201, body))
    outcomes = connector.create(CONTACTS, three(), WANT)
    assert [(o.ok, o.uncertain, o.code) for o in outcomes] == [
        (False, True, Code.UNCERTAIN)
    ] * 3
    assert len(script.asked) == 1


def test_an_input_that_an_answer_leaves_out_is_uncertain(
    script: Scripted, connector: HubSpotConnector
):
    def answer(asked: Asked) -> Said:
        return Said(201, {"results": [made(asked.body["inputs"][1], 11)]})

    script.on("POST", CREATE, answer)
    outcomes = connector.create(CONTACTS, three(), WANT)
    assert [(o.ok, o.uncertain) for o in outcomes] == [
        (False, True),
        (True, False),
        (False, True),
    ]


# Errors beside results -----------------------------------------------------------------

NAMINGS: list[Callable[[str], Json]] = [
    lambda trace: {"context": {"objectWriteTraceId": [trace]}},
    lambda trace: {"context": {"objectWriteTraceId": trace}},
    lambda trace: {"context": {"objectWriteTraceId": [trace], "ids": ["99"]}},
    lambda trace: {},  # the one that is not among the results
    lambda trace: {"context": None, "id": None},
    lambda trace: {"context": {}},
]


@pytest.mark.parametrize("status", [200, 201, 207])
@pytest.mark.parametrize("naming", NAMINGS)
def test_an_error_finds_its_input_however_little_it_says(
    script: Scripted,
    connector: HubSpotConnector,
    status: int,
    naming: Callable[[str], Json],
):
    def answer(asked: Asked) -> Said:
        first, bad, last = asked.body["inputs"]
        error = REFUSAL | naming(bad["objectWriteTraceId"])
        body = {"results": [made(last, 12), made(first, 10)], "errors": [error]}
        return Said(status, body)

    script.on("POST", CREATE, answer)
    outcomes = connector.create(CONTACTS, three(), WANT)
    assert ids(outcomes) == ["10", None, "12"]
    refused = outcomes[1]
    assert (refused.uncertain, refused.code, refused.field) == (
        False,
        Code.OPTION_UNKNOWN,
        "colour",
    )
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("error", "code", "field"),
    [
        ({}, Code.VALUE_INVALID, ""),
        ({"message": None, "category": None, "errors": None}, Code.VALUE_INVALID, ""),
        ({"errors": [{}]}, Code.VALUE_INVALID, ""),
        ({"errors": ["odd"]}, Code.VALUE_INVALID, ""),
        ({"category": "CONFLICT"}, Code.DUPLICATE_KEY, ""),
        ({"category": "OBJECT_NOT_FOUND"}, Code.RECORD_GONE, ""),
        ({"subCategory": "crm.PROPERTY_DOESNT_EXIST"}, Code.FIELD_MISSING, ""),
        (
            {"message": 'Property "colour" does not exist'},
            Code.FIELD_MISSING,
            "colour",
        ),
        (
            {
                "message": "Property values were not valid: "
                '[{"isValid":false,"message":"too long","error":"VALUE_TOO_LONG",'
                '"name":"title"}]'
            },
            Code.VALUE_TOO_LONG,
            "title",
        ),
        (
            {"errors": [{"code": "READ_ONLY_VALUE", "context": {"propertyName": "x"}}]},
            Code.FIELD_READ_ONLY,
            "x",
        ),
        ({"message": "[{not json"}, Code.VALUE_INVALID, ""),
    ],
)
def test_a_reason_is_found_wherever_it_stands(
    script: Scripted, connector: HubSpotConnector, error: Json, code: Code, field: str
):
    entry = error | {"context": {"objectWriteTraceId": ["t0"]}}
    script.on("POST", CREATE, Said(207, {"results": [], "errors": [entry]}))
    (outcome,) = connector.create(CONTACTS, three()[:1], WANT)
    assert (outcome.ok, outcome.uncertain) == (False, False)
    assert (outcome.code, outcome.field) == (code, field)
    assert outcome.message


def test_as_many_nameless_errors_as_inputs_are_missing_are_theirs(
    script: Scripted, connector: HubSpotConnector
):
    """They were refused, so they need not be looked for; whose is whose is unknown."""

    def answer(asked: Asked) -> Said:
        taken = {"category": "CONFLICT", "message": "Existing ID: 77 already exists"}
        body = {
            "results": [made(asked.body["inputs"][1], 11)],
            "errors": [REFUSAL, taken],
        }
        return Said(207, body)

    script.on("POST", CREATE, answer)
    outcomes = connector.create(CONTACTS, three(), WANT)
    assert [(o.ok, o.uncertain) for o in outcomes] == [
        (False, False),
        (True, False),
        (False, False),
    ]
    assert [o.existing_id for o in outcomes] == [None] * 3
    assert len(script.asked) == 1


def test_fewer_nameless_errors_than_inputs_are_missing_leave_doubt(
    script: Scripted, connector: HubSpotConnector
):
    script.on("POST", CREATE, Said(207, {"results": [], "errors": [REFUSAL]}))
    outcomes = connector.create(CONTACTS, three(), WANT)
    assert all(o.uncertain for o in outcomes)
    assert len(script.asked) == 1
