"""HubSpot's lists and searches in every shape its documents permit.

Ids come as text or as numbers, and what there is nothing to say of is left out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from connections.connectors.base import TransientError
from connections.connectors.hubspot import HubSpotConnector
from tests.contract.harness import LONG_AGO
from tests.contract.scripted import Said, Scripted
from tests.contract.shapes import CONTACTS, WANT, contact, results

pytestmark = pytest.mark.contract
LIST, SEARCH = "/0-1", "/0-1/search"


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
        connector.window(CONTACTS, WANT, after=LONG_AGO, until=datetime.now(UTC))


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
