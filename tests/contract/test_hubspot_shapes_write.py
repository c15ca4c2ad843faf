"""HubSpot's answers to writes in every shape its documents permit.

Whatever the shape: each input gets its own outcome, nothing that may exist is sent again,
and nobody's answer is taken for another's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from connections.catalogue import Code
from connections.connectors.hubspot import HubSpotConnector
from connections.records import (
    Draft,
    Field,
    ObjectType,
    Outcome,
    Patch,
    ValueType,
    Want,
)
from tests.contract.harness import Naps, new_context
from tests.contract.scripted import Asked, Reply, Said, Scripted

pytestmark = pytest.mark.contract
CONTACTS = ObjectType(
    "contacts",
    "0-1",
    fields=(
        Field("email", ValueType.TEXT, unique=True),
        Field("title", ValueType.TEXT),
        Field("code", ValueType.TEXT, unique=True),
    ),
)
WANT = Want(("email", "title", "code"))
CREATE, UPDATE, ARCHIVE = "/batch/create", "/batch/update", "/batch/archive"
Json = dict[str, Any]


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


def three() -> list[Draft]:
    return [Draft(f"t{n}", {"title": f"T{n}", "code": f"k{n}"}) for n in range(3)]


def made(item: Json, record_id: object, **changes: object) -> Json:
    """A result as a fake may answer an input."""
    row = {
        "id": record_id,
        "properties": dict(item["properties"]),
        "objectWriteTraceId": item.get("objectWriteTraceId"),
        "createdAt": "2026-01-31T12:00:00Z",
        "updatedAt": "2026-01-31T12:00:00Z",
        "archived": False,
    } | changes
    return {key: value for key, value in row.items() if value is not None}


def sent(script: Scripted, path: str = CREATE) -> Counter[str]:
    """How often each input was sent, by its title."""
    return Counter(
        item["properties"]["title"]
        for asked in script.calls(path)
        for item in asked.body["inputs"]
    )


def ids(outcomes: Sequence[Outcome]) -> list[str | None]:
    return [o.record.id if o.record else None for o in outcomes]


# Success -------------------------------------------------------------------------------


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

REFUSAL: Json = {
    "status": "error",
    "category": "VALIDATION_ERROR",
    "message": "Property values were not valid",
    "errors": [
        {
            "message": "x was not one of the allowed options: []",
            "code": "INVALID_OPTION",
            "context": {"propertyName": ["colour"]},
        }
    ],
}
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


# Refused as a whole --------------------------------------------------------------------


def refusing(unwanted: str, refusal: Said) -> Reply:
    """Refuses a batch whole that holds a title; makes any other."""
    numbers = iter(range(100, 10_000))

    def answer(asked: Asked) -> Said:
        inputs = asked.body["inputs"]
        if any(item["properties"]["title"] == unwanted for item in inputs):
            return refusal
        return Said(201, {"results": [made(i, next(numbers)) for i in inputs][::-1]})

    return answer


WHOLE = [
    (
        Said(409, {"message": "Contact already exists. Existing ID: 77"}),
        Code.DUPLICATE_KEY,
        "77",
        "",
    ),
    (
        Said(
            409,
            {
                "status": "error",
                "category": "CONFLICT",
                "message": "Contact already exists. Existing ID: 77",
                "correlationId": "c",
            },
        ),
        Code.DUPLICATE_KEY,
        "77",
        "",
    ),
    (
        Said(
            400,
            {
                "category": "VALIDATION_ERROR",
                "message": "Cannot set PropertyValueCoordinates{portalId=1, "
                "objectTypeId=ObjectTypeId{innerId=1}, propertyName=code, value=k1} "
                "on a new object. 55 already has that value.",
            },
        ),
        Code.DUPLICATE_KEY,
        "55",
        "code",
    ),
    (Said(400, REFUSAL), Code.OPTION_UNKNOWN, None, "colour"),
    (
        Said(400, {"message": "Property values were not valid"}),
        Code.VALUE_INVALID,
        None,
        "",
    ),
    (Said(400, "<html>bad request</html>"), Code.VALUE_INVALID, None, ""),
    (Said(413, {}), Code.VALUE_INVALID, None, ""),
]


@pytest.mark.parametrize(("refusal", "code", "existing", "field"), WHOLE)
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_batch_refused_whole_is_split_until_its_culprit_stands_alone(
    script: Scripted,
    connector: HubSpotConnector,
    refusal: Said,
    code: Code,
    existing: str | None,
    field: str,
    place: int,
):
    script.on("POST", CREATE, refusing(f"T{place}", refusal))
    drafts = [Draft(f"t{n}", {"title": f"T{n}", "code": f"k{n}"}) for n in range(7)]
    outcomes = connector.create(CONTACTS, drafts, WANT)
    refused = outcomes.pop(place)
    assert (refused.ok, refused.uncertain) == (False, False)
    assert (refused.code, refused.existing_id, refused.field) == (code, existing, field)
    assert all(o.ok for o in outcomes)
    titles = [o.record.values["title"] for o in outcomes if o.record]
    assert titles == [f"T{n}" for n in range(7) if n != place]
    assert len(set(ids(outcomes))) == 6


def test_a_doubt_while_splitting_is_the_halfs_own(
    script: Scripted, connector: HubSpotConnector
):
    seen: list[int] = []

    def answer(asked: Asked) -> Said:
        seen.append(len(asked.body["inputs"]))
        if len(seen) == 1:
            return Said(400, {"message": "something in it"})
        if len(seen) == 2:
            return Said(503)
        rows = [made(item, 50 + n) for n, item in enumerate(asked.body["inputs"])]
        return Said(201, {"results": rows})

    script.on("POST", CREATE, answer)
    drafts = [Draft(f"t{n}", {"title": f"T{n}"}) for n in range(4)]
    outcomes = connector.create(CONTACTS, drafts, WANT)
    assert [(o.ok, o.uncertain) for o in outcomes] == [
        (False, True),
        (False, True),
        (True, False),
        (True, False),
    ]
    assert seen == [4, 2, 2]
    assert sent(script) == {"T0": 2, "T1": 2, "T2": 2, "T3": 2}


# Updates and archives ------------------------------------------------------------------

UPDATES: list[Callable[[Json], Json]] = [
    lambda item: {"id": item["id"]},
    lambda item: {"id": int(item["id"])},
    lambda item: {"id": item["id"], "properties": None},
    lambda item: {"id": "999" + item["id"], "objectWriteTraceId": "p" + item["id"]},
]


@pytest.mark.parametrize("shape", UPDATES)
@pytest.mark.parametrize("status", [200, 207])
def test_an_updates_result_is_known_by_its_id_or_its_trace(
    script: Scripted,
    connector: HubSpotConnector,
    shape: Callable[[Json], Json],
    status: int,
):
    def answer(asked: Asked) -> Said:
        rows = [shape(item) for item in asked.body["inputs"]]
        return Said(status, {"results": rows[::-1]})

    script.on("POST", UPDATE, answer)
    patches = [Patch(i, {"title": "x"}, trace=f"p{i}") for i in ("1", "2", "3")]
    outcomes = connector.update(CONTACTS, patches, WANT)
    assert [o.ok for o in outcomes] == [True] * 3
    assert [i and i[-1] for i in ids(outcomes)] == ["1", "2", "3"]


@pytest.mark.parametrize(
    "naming",
    [
        {"context": {"ids": ["2"]}},
        {"context": {"ids": [2]}},
        {"context": {"id": "2"}},
        {"id": "2"},
        {"id": 2},
        {"context": {"objectId": ["2"]}},
        {},
    ],
)
def test_an_updates_error_is_known_by_whatever_names_its_record(
    script: Scripted, connector: HubSpotConnector, naming: Json
):
    error = {"category": "OBJECT_NOT_FOUND", "message": "resource not found"} | naming
    body = {"results": [{"id": "3"}, {"id": "1"}], "errors": [error]}
    script.on("POST", UPDATE, Said(207, body))
    patches = [Patch(i, {"title": "x"}) for i in ("1", "2", "3")]
    outcomes = connector.update(CONTACTS, patches, WANT)
    assert [(o.ok, o.uncertain, o.code) for o in outcomes] == [
        (True, False, ""),
        (False, False, Code.RECORD_GONE),
        (True, False, ""),
    ]


@pytest.mark.parametrize("said", [Said(204), Said(200, {}), Said(200, {"results": []})])
def test_an_archive_without_a_word_is_done(
    script: Scripted, connector: HubSpotConnector, said: Said
):
    script.on("POST", ARCHIVE, said)
    assert [o.ok for o in connector.archive(CONTACTS, ["1", "2"])] == [True, True]


def test_an_archive_that_is_refused_in_part_is_told_by_record(
    script: Scripted, connector: HubSpotConnector
):
    error = {"message": "no", "category": "VALIDATION_ERROR", "context": {"ids": ["2"]}}
    body = {"errors": [error], "results": [{"id": "1"}]}
    script.on("POST", ARCHIVE, Said(207, body))
    outcomes = connector.archive(CONTACTS, ["1", "2"])
    assert [(o.ok, o.uncertain) for o in outcomes] == [(True, False), (False, False)]


def test_an_upsert_is_known_by_its_value_where_no_trace_comes_back(
    script: Scripted, connector: HubSpotConnector
):
    def answer(asked: Asked) -> Said:
        rows = [
            {"id": "7" + item["id"][1:], "properties": {"code": item["id"]}}
            for item in asked.body["inputs"]
        ]
        return Said(200, {"results": rows[::-1]})

    script.on("POST", "/batch/upsert", answer)
    outcomes = connector.upsert(CONTACTS, "code", three())
    assert ids(outcomes) == ["70", "71", "72"]
