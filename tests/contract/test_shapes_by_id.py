"""What became of ids and unique values that an answer leaves out.

HubSpot asks clients to take every field of an error as optional (HubSpot docs, error
handling).
"""

from __future__ import annotations

from typing import Any

import pytest

from connections.connectors.hubspot import HubSpotConnector
from tests.contract.scripted import Said, Scripted
from tests.contract.shapes import CONTACTS, NOT_FOUND, WANT, contact, results

pytestmark = pytest.mark.contract
BATCH_READ = "/0-1/batch/read"


def named(*ids: str) -> dict[str, Any]:
    message = "Could not get some CONTACT objects, they may be deleted or not exist."
    return NOT_FOUND | {"message": message, "context": {"ids": list(ids)}}


ERRORS: list[list[dict[str, Any]]] = [
    [named("2")],
    [named("2") | {"id": "2"}],
    [{k: v for k, v in named("2").items() if k != "context"}],
    [{"message": named("2")["message"]}],
    [{"category": "OBJECT_NOT_FOUND"}],
    [{"category": "OBJECT_NOT_FOUND", "context": {"id": "2"}}],
    [{"category": "OBJECT_NOT_FOUND", "context": {"ids": ["2"]}, "errors": None}],
    [],
]


@pytest.mark.parametrize(
    "body",
    [
        NOT_FOUND,
        {"category": "OBJECT_NOT_FOUND"},
        {"status": "error", "message": "resource not found"},
        {"message": "Contact 2 was not found", "correlationId": "c"},
    ],
)
def test_a_record_that_is_not_found_may_be_told_in_few_words(
    script: Scripted, connector: HubSpotConnector, body: dict[str, Any]
):
    script.on("POST", BATCH_READ, Said(207, {"errors": [named("2")]}), results())
    script.on("GET", "/0-1/2", Said(404, body))
    assert connector.fetch(CONTACTS, ["2"], WANT).gone == {"2"}


@pytest.mark.parametrize("status", [200, 207])
@pytest.mark.parametrize("errors", ERRORS)
def test_an_id_that_is_left_out_is_gone_once_reading_it_alone_says_so(
    script: Scripted,
    connector: HubSpotConnector,
    status: int,
    errors: list[dict[str, Any]],
):
    script.on("POST", BATCH_READ, Said(status, _partly(contact(1), errors)), results())
    script.on("GET", "/0-1/2", Said(404, NOT_FOUND))
    fetched = connector.fetch(CONTACTS, ["1", "2"], WANT)
    assert (set(fetched.records), fetched.gone) == ({"1"}, frozenset({"2"}))


def _partly(row: dict[str, Any], errors: list[dict[str, Any]]) -> dict[str, Any]:
    return {"results": [row]} | ({"errors": errors} if errors else {})


@pytest.mark.parametrize(
    "alone",
    [
        Said(404, "<html>no such page</html>"),
        Said(404, {}),
        Said(400, {"message": "odd"}),
    ],
)
def test_an_id_is_not_gone_for_an_answer_that_is_about_something_else(
    script: Scripted, connector: HubSpotConnector, alone: Said
):
    script.on(
        "POST", BATCH_READ, Said(207, _partly(contact(1), [named("2")])), results()
    )
    script.on("GET", "/0-1/2", alone)
    fetched = connector.fetch(CONTACTS, ["1", "2"], WANT)
    assert (set(fetched.records), fetched.gone) == ({"1"}, frozenset())


def test_an_id_among_the_archived_is_gone(
    script: Scripted, connector: HubSpotConnector
):
    script.on(
        "POST",
        BATCH_READ,
        Said(207, {"results": [], "errors": [named("2")], "numErrors": 1}),
        results(contact("2") | {"archived": True}),
    )
    assert connector.fetch(CONTACTS, ["2"], WANT).gone == {"2"}
    assert [a.query["archived"] for a in script.asked] == [["false"], ["true"]]


def test_an_id_that_answers_with_another_is_its_merged_record(
    script: Scripted, connector: HubSpotConnector
):
    script.on("POST", BATCH_READ, Said(207, {"errors": [named("2")]}), results())
    script.on("GET", "/0-1/2", Said(200, contact(9, title="m")))
    fetched = connector.fetch(CONTACTS, ["2"], WANT)
    assert fetched.records["2"].id == "9"
    assert fetched.gone == frozenset()


def test_records_may_come_in_any_order_and_ids_as_numbers(
    script: Scripted, connector: HubSpotConnector
):
    script.on("POST", BATCH_READ, results(contact(3, title="c"), contact(1, title="a")))
    fetched = connector.fetch(CONTACTS, ["1", "3"], WANT)
    assert {i: r.values["title"] for i, r in fetched.records.items()} == {
        "1": "a",
        "3": "c",
    }


def test_an_answer_that_lost_most_of_a_batch_does_not_cost_a_call_for_each(
    script: Scripted, connector: HubSpotConnector
):
    script.on("POST", BATCH_READ, results())
    script.on("GET", "", Said(404, NOT_FOUND))
    ids = [str(n) for n in range(1, 101)]
    fetched = connector.fetch(CONTACTS, ids, WANT)
    assert fetched.gone < set(ids)
    assert len(script.asked) <= 30


# By a unique value ---------------------------------------------------------------------


@pytest.mark.parametrize("errors", [[named("c2")], [{"message": "not found"}], []])
def test_a_unique_value_without_an_answer_is_asked_for_alone(
    script: Scripted, connector: HubSpotConnector, errors: list[dict[str, Any]]
):
    script.on("POST", BATCH_READ, Said(200, _partly(contact(1, code="c1"), errors)))
    script.on("GET", "/0-1/c2", Said(404, NOT_FOUND))
    found = connector.lookup(CONTACTS, "code", ["c1", "c2"], WANT)
    assert found is not None
    assert {value: r.id for value, r in found.items()} == {"c1": "1"}


def test_a_unique_value_that_a_batch_lost_is_found_alone(
    script: Scripted, connector: HubSpotConnector
):
    script.on("POST", BATCH_READ, results())
    script.on("GET", "/0-1/a@x.example", Said(200, contact(7, email="a@x.example")))
    script.on("GET", "/0-1/a%40x.example", Said(200, contact(7, email="a@x.example")))
    found = connector.lookup(CONTACTS, "email", ["A@x.example"], WANT)
    assert found is not None
    assert found["A@x.example"].id == "7"
