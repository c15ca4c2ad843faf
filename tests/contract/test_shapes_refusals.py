"""Batches that HubSpot refuses whole, and its answers to updates and archives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connections.catalogue import Code
from connections.connectors.hubspot import HubSpotConnector
from connections.records import Draft, Patch
from tests.contract.scripted import Asked, Reply, Said, Scripted
from tests.contract.shapes import CONTACTS, REFUSAL, WANT, Json, ids, made, sent, three

pytestmark = pytest.mark.contract
CREATE, UPDATE, ARCHIVE = "/batch/create", "/batch/update", "/batch/archive"


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
