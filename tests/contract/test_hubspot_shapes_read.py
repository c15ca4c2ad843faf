"""HubSpot's answers in every shape its documents permit: what is read from each.

HubSpot asks clients to take every field of an error as optional (HubSpot docs, error
handling), writes ids as text or as numbers, and leaves out what it has nothing to say of.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from connections.catalogue import Code
from connections.connectors.base import ScopeError, TransientError
from connections.connectors.hubspot import HubSpotConnector
from connections.records import Field, ObjectType, ValueType, Want
from tests.contract.harness import LONG_AGO, Naps, new_context
from tests.contract.scripted import Asked, Said, Scripted

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
WANT = Want(("email", "title"))
NOT_FOUND: dict[str, Any] = {
    "status": "error",
    "category": "OBJECT_NOT_FOUND",
    "message": "resource not found",
    "correlationId": "c-1",
}
LIST, BATCH_READ, SEARCH = "/0-1", "/0-1/batch/read", "/0-1/search"


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


def contact(record_id: object, **properties: object) -> dict[str, Any]:
    return {"id": record_id, "properties": properties}


def results(*rows: dict[str, Any], **more: object) -> Said:
    return Said(200, {"results": list(rows), **more})


# Lists ---------------------------------------------------------------------------------

ENDS: list[dict[str, object]] = [
    {},
    {"paging": None},
    {"paging": {}},
    {"paging": {"next": None}},
    {"paging": {"next": {}}},
    {"paging": {"next": {"after": None}}},
    {"paging": {"next": {"after": ""}}},
]


@pytest.mark.parametrize("end", ENDS)
def test_a_list_ends_in_any_way_it_may(
    script: Scripted, connector: HubSpotConnector, end: dict[str, object]
):
    script.on("GET", LIST, results(contact("1", title="a"), **end))
    (page,) = connector.pages(CONTACTS, WANT)
    assert [r.id for r in page.records] == ["1"]
    assert page.cursor is None
    assert len(script.asked) == 1


@pytest.mark.parametrize("after", ["2", 2, "opaque=="])
def test_a_list_goes_on_with_the_cursor_as_it_was_given(
    script: Scripted, connector: HubSpotConnector, after: object
):
    script.on(
        "GET",
        LIST,
        results(contact(1), paging={"next": {"after": after, "link": "x"}}),
        results(contact(2)),
    )
    pages = list(connector.pages(CONTACTS, WANT))
    assert [r.id for page in pages for r in page.records] == ["1", "2"]
    assert script.asked[1].query["after"] == [str(after)]


def test_a_list_that_does_not_move_on_is_given_up(
    script: Scripted, connector: HubSpotConnector
):
    script.on("GET", LIST, results(contact(1), paging={"next": {"after": "1"}}))
    with pytest.raises(TransientError, match="does not move on"):
        list(connector.pages(CONTACTS, WANT))
    assert len(script.asked) == 2


@pytest.mark.parametrize(
    "body",
    [{}, {"results": None}, {"status": "error", "message": "try later"}, [], "x", 1],
)
def test_a_success_without_a_list_is_no_empty_list(
    script: Scripted, connector: HubSpotConnector, body: object
):
    """An empty list would say that every record is gone."""
    script.on("GET", LIST, Said(200, body if body != "x" else '"x"'))
    with pytest.raises(TransientError):
        list(connector.pages(CONTACTS, WANT))
    script.on("POST", SEARCH, Said(200, body if body != "x" else '"x"'))
    with pytest.raises(TransientError):
        list(connector.changed(CONTACTS, WANT, after=LONG_AGO))
    with pytest.raises(TransientError):
        connector.count_changed(CONTACTS, WANT, after=LONG_AGO, until=datetime.now(UTC))


@pytest.mark.parametrize("record_id", ["9007199254740993", 9007199254740993])
def test_an_id_is_kept_to_its_last_digit(
    script: Scripted, connector: HubSpotConnector, record_id: object
):
    script.on("GET", LIST, results(contact(record_id)))
    (page,) = connector.pages(CONTACTS, WANT)
    assert page.records[0].id == "9007199254740993"


def test_an_unset_property_may_be_null_or_left_out(
    script: Scripted, connector: HubSpotConnector
):
    """Left out is not blank: whoever reads must see whether there still is such one."""
    script.on(
        "GET",
        LIST,
        results(
            contact(1, email=None, title="a"),
            contact(2, title="b"),
            {"id": 3, "properties": None},
            {"id": 4},
        ),
    )
    (page,) = connector.pages(CONTACTS, WANT)
    assert [dict(r.values) for r in page.records] == [
        {"email": None, "title": "a"},
        {"title": "b"},
        {},
        {},
    ]


@pytest.mark.parametrize(
    "body",
    [
        contact(1, lastmodifieddate="2026-01-31T12:00:00.250Z"),
        contact(1, lastmodifieddate="1769860800250"),
        contact(1, lastmodifieddate=1769860800250),
        {"id": "1", "properties": {}, "updatedAt": "2026-01-31T12:00:00.250Z"},
        contact(1, lastmodifieddate="2026-01-31T13:00:00.250+01:00"),
    ],
)
def test_a_change_time_is_read_from_where_it_stands(
    script: Scripted, connector: HubSpotConnector, body: dict[str, Any]
):
    script.on("GET", LIST, results(body))
    (page,) = connector.pages(CONTACTS, WANT)
    at = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
    assert page.records[0].modified_at == at


def test_times_may_be_missing_or_odd(script: Scripted, connector: HubSpotConnector):
    odd = contact(2, lastmodifieddate="soon") | {"createdAt": "n/a", "updatedAt": ""}
    script.on("GET", LIST, results(contact(1), odd))
    (page,) = connector.pages(CONTACTS, WANT)
    assert [(r.modified_at, r.created_at) for r in page.records] == [(None, None)] * 2


@pytest.mark.parametrize("text", ["12;13", "12,13", " 12 ; 13 ;", "13;12"])
def test_merged_ids_and_further_emails_are_lists_in_text(
    script: Scripted, connector: HubSpotConnector, text: str
):
    row = contact(1, hs_merged_object_ids=text, hs_additional_emails="b@x.example;")
    script.on("GET", LIST, results(row))
    (page,) = connector.pages(CONTACTS, WANT)
    assert set(page.records[0].aliases) == {"12", "13"}
    assert page.records[0].keys == {"email": ("b@x.example",)}


# Search --------------------------------------------------------------------------------


def test_a_full_page_of_search_is_followed_even_without_paging(
    script: Scripted, connector: HubSpotConnector
):
    script.on(
        "POST",
        SEARCH,
        results(*(contact(n) for n in range(1, 201)), total=201),
        results(contact(201), total=1, paging={}),
    )
    pages = list(connector.changed(CONTACTS, WANT, after=LONG_AGO))
    assert sum(len(page.records) for page in pages) == 201
    filters = script.asked[1].body["filterGroups"][0]["filters"]
    assert {"propertyName": "hs_object_id", "operator": "GT", "value": "200"} in filters
    assert "after" not in script.asked[1].body


def test_a_search_that_ignores_its_filter_is_given_up(
    script: Scripted, connector: HubSpotConnector
):
    more = {"next": {"after": "1"}}
    script.on("POST", SEARCH, results(contact(1), contact(2), total=9, paging=more))
    with pytest.raises(TransientError, match="does not move on"):
        list(connector.changed(CONTACTS, WANT, after=LONG_AGO))


# By id ---------------------------------------------------------------------------------


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


# Who we are, what there is -------------------------------------------------------------


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
