"""Search: what it finds late or never, and where it stops."""

from __future__ import annotations

import json

import pytest

from tests.sandbox.calls import Http, inputs, where

LAG_S = 1.5


@pytest.fixture
def people(http: Http, control) -> dict[str, str]:
    """Three contacts that search sees: ids by e-mail."""
    rows = [
        {"email": "ann@x.example", "firstname": "Ann", "hs_lead_status": "NEW"},
        {"email": "bob@y.example", "firstname": "Bob", "annualrevenue": "5"},
        {"email": "cid@y.example", "firstname": "Cid Ann", "annualrevenue": "40"},
    ]
    made = http.batch("contacts", "create", inputs(rows)).ok(201)["results"]
    control.settle()
    return {row["properties"]["email"]: row["id"] for row in made}


def found(http: Http, *filters: tuple[object, ...], kind: str = "contacts") -> set[str]:
    rows = http.search(kind, where(*filters, properties=["email"])).ok()["results"]
    return {row["properties"]["email"][:3] for row in rows}


# What is late, or never there


def test_search_sees_a_new_record_only_after_a_while(api, control):
    made = api.create("contacts", {"email": "ann@x.example"}).ok(201)
    body = where(("email", "EQ", "ann@x.example"))
    assert api.search("contacts", body).ok()["total"] == 0
    assert api.read("contacts", made["id"]).status == 200
    control.set_clock(LAG_S + 0.1)
    assert api.search("contacts", body).ids == [made["id"]]


def test_search_sees_a_change_late_too(http, control, people):
    http.update("contacts", people["ann@x.example"], {"firstname": "Anna"}).ok()
    assert found(http, ("firstname", "EQ", "Ann")) == {"ann"}
    assert found(http, ("firstname", "EQ", "Anna")) == set()
    control.set_clock(LAG_S + 0.1)
    assert found(http, ("firstname", "EQ", "Anna")) == {"ann"}


def test_archived_records_are_never_found(api, people, control):
    api.archive("contacts", people["ann@x.example"])
    for _ in range(2):
        body = where(("firstname", "HAS_PROPERTY"))
        assert api.search("contacts", body).ok()["total"] == 2
        control.set_clock(60)


def test_a_record_archived_before_search_saw_it_never_appears(http, control):
    made = http.make("contacts", email="ann@x.example")
    http.archive("contacts", made)
    control.set_clock(60)
    assert http.search("contacts", {}).ok()["total"] == 0


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("contacts", "lastmodifieddate", "hs_lastmodifieddate"),
        ("companies", "hs_lastmodifieddate", "lastmodifieddate"),
        ("vessels", "hs_lastmodifieddate", "lastmodifieddate"),
    ],
)
def test_the_wrong_modified_property_gives_no_rows_and_no_error(
    http, control, kind, right, wrong
):
    needed = {"companies": {"name": "A"}, "vessels": {"vessel_name": "Aurora"}}
    http.make(kind, **needed.get(kind, {}))
    control.settle()
    ever = "2000-01-01T00:00:00Z"
    assert http.search(kind, where((right, "GTE", ever))).ok()["total"] == 1
    got = http.search(kind, where((wrong, "GTE", ever)))
    assert (got.status, got.body["total"], got.results) == (200, 0, [])


# Where it stops


def test_search_gives_ten_unasked_and_two_hundred_at_most(http, control):
    for start in (0, 100, 200):
        rows = [{"email": f"p{n}@x.example"} for n in range(start, start + 100)]
        http.batch("contacts", "create", inputs(rows)).ok(201)
    control.settle()
    assert len(http.search("contacts", {}).results) == 10
    assert len(http.search("contacts", {"limit": 200}).results) == 200
    assert http.search("contacts", {"limit": 201}).status == 400


@pytest.mark.parametrize(
    ("after", "limit", "status"),
    [(9_800, 200, 200), (9_999, 1, 200), (9_801, 200, 400), (10_000, 1, 400)],
)
def test_results_past_ten_thousand_are_out_of_reach(api, after, limit, status):
    got = api.search("contacts", {"after": str(after), "limit": limit})
    assert got.status == status


def test_the_wall_stands_though_more_are_counted(http, control):
    """With 10,001 matches the total says so; the last cannot be paged to."""
    for start in range(0, 10_001, 100):
        rows = [{"city": "Oslo"}] * min(100, 10_001 - start)
        http.batch("contacts", "create", inputs(rows)).ok(201)
    control.settle()
    by_id = {"propertyName": "hs_object_id", "direction": "ASCENDING"}
    body = where(("city", "EQ", "oslo"), sorts=[by_id], limit=200)
    last = http.search("contacts", body | {"after": "9800"}).ok()
    assert last["total"] == 10_001
    after = last["paging"]["next"]["after"]
    assert http.search("contacts", body | {"after": after}).status == 400
    beyond = where(
        ("city", "EQ", "oslo"),
        ("hs_object_id", "GT", last["results"][-1]["id"]),
        sorts=[by_id],
    )
    assert http.search("contacts", beyond).ok()["total"] == 1


def test_pages_that_go_on_after_an_id_show_what_is_left(http, people, control):
    ids = sorted(people.values(), key=int)
    last, shown = "0", []
    for left in (3, 2, 1, 0):
        body = where(("hs_object_id", "GT", last), ("email", "HAS_PROPERTY"))
        body |= {
            "limit": 1,
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        }
        answer = http.search("contacts", body).ok()
        assert answer["total"] == left
        assert ("paging" in answer) == (left > 1)
        shown += [row["id"] for row in answer["results"]]
        last = shown[-1]
    assert shown == ids


def test_a_body_over_three_thousand_characters_is_refused(http):
    room = 3_000 - len(json.dumps(where(("email", "EQ", ""))))
    assert http.search("contacts", where(("email", "EQ", "a" * room))).status == 200
    longer = where(("email", "EQ", "a" * (room + 1)))
    assert http.search("contacts", longer).status == 400


def group(number: int) -> dict[str, object]:
    rule = {"propertyName": "email", "operator": "HAS_PROPERTY"}
    return {"filters": [rule] * number}


@pytest.mark.parametrize(
    ("sizes", "status"),
    [
        ([1] * 5, 200),
        ([1] * 6, 400),
        ([6], 200),
        ([7], 400),
        ([6, 6, 6], 200),
        ([6, 6, 6, 1], 400),
    ],
)
def test_groups_and_filters_are_capped(http, sizes, status):
    body = {"filterGroups": [group(size) for size in sizes]}
    assert http.search("contacts", body).status == status


def test_only_one_sort_is_taken(http):
    rule = {"propertyName": "email", "direction": "ASCENDING"}
    assert http.search("contacts", {"sorts": [rule]}).status == 200
    assert http.search("contacts", {"sorts": [rule, rule]}).status == 400


# Operators


def test_in_on_text_compares_with_lower_case_values_only(api, people):
    for values, total in ((["Ann"], 0), (["ann"], 1), (["ann", "bob"], 2)):
        body = where(("firstname", "IN", *values))
        assert api.search("contacts", body).ok()["total"] == total


@pytest.mark.parametrize(
    ("rule", "who"),
    [
        (("firstname", "EQ", "ANN"), {"ann"}),
        (("firstname", "NEQ", "ann"), {"bob", "cid"}),
        (("firstname", "CONTAINS_TOKEN", "ann"), {"ann", "cid"}),
        (("firstname", "NOT_CONTAINS_TOKEN", "ann"), {"bob"}),
        (("firstname", "CONTAINS_TOKEN", "an*"), {"ann", "cid"}),
        (("hs_lead_status", "EQ", "NEW"), {"ann"}),
        (("hs_lead_status", "EQ", "new"), set()),
        (("hs_lead_status", "IN", "NEW", "OPEN"), {"ann"}),
        (("hs_lead_status", "NOT_IN", "NEW"), {"bob", "cid"}),
        (("hs_lead_status", "HAS_PROPERTY"), {"ann"}),
        (("hs_lead_status", "NOT_HAS_PROPERTY"), {"bob", "cid"}),
        (("firstname", "GT", "b"), {"bob", "cid"}),
        (("firstname", "LTE", "bob"), {"ann", "bob"}),
    ],
)
def test_an_operator_finds_what_it_should(http, people, rule, who):
    assert found(http, rule) == who


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        (("annualrevenue", "GT", "5"), {"B"}),
        (("annualrevenue", "GTE", "5"), {"A", "B"}),
        (("annualrevenue", "LT", "40"), {"A"}),
        (("annualrevenue", "BETWEEN", "5", "9"), {"A"}),
        (("annualrevenue", "EQ", "5.0"), {"A"}),
    ],
)
def test_numbers_compare_as_numbers(http, control, rule, names):
    http.make("companies", name="A", annualrevenue=5)
    http.make("companies", name="B", annualrevenue=40)
    control.settle()
    rows = http.search("companies", where(rule)).results
    assert {row["properties"]["name"] for row in rows} == names


def test_filters_of_a_group_are_and_groups_are_or(http, people):
    one = where(("firstname", "EQ", "ann"), ("email", "EQ", "bob@y.example"))
    assert http.search("contacts", one).ok()["total"] == 0
    groups = [{"filters": [rule]} for rule in one["filterGroups"][0]["filters"]]
    assert http.search("contacts", {"filterGroups": groups}).ok()["total"] == 2


def test_free_text_looks_into_the_usual_properties(http, people):
    rows = http.search("contacts", {"query": "ANN"}).results
    assert {row["properties"]["email"] for row in rows} == {
        "ann@x.example",
        "cid@y.example",
    }


@pytest.mark.parametrize(
    "rule",
    [
        ("nope", "EQ", "1"),
        ("email", "NEARLY", "1"),
        ("email", "EQ"),
        ("email", "IN"),
        ("lastmodifieddate", "GTE", "yesterday"),
    ],
)
def test_a_filter_that_makes_no_sense_is_a_400(http, rule):
    assert http.search("contacts", where(rule)).status == 400


def test_a_link_can_be_filtered_by_but_not_to_custom_objects(http, control, people):
    far = http.make("companies", name="A")
    http.link(people["ann@x.example"], far)
    assert found(http, ("associations.company", "EQ", far)) == {"ann"}
    vessel = http.make("vessels", vessel_name="Aurora")
    body = where(("associations.vessels", "EQ", vessel))
    assert http.search("contacts", body).status == 400


# What it gives


@pytest.mark.parametrize(
    ("kind", "written", "names"),
    [
        (
            "contacts",
            {},
            {"createdate", "email", "firstname", "lastname", "lastmodifieddate"},
        ),
        (
            "companies",
            {"name": "A"},
            {"name", "domain", "createdate", "hs_lastmodifieddate"},
        ),
        (
            "deals",
            {"dealname": "D", "dealstage": "closedwon", "pipeline": "default"},
            {
                *("dealname", "amount", "closedate", "pipeline", "dealstage"),
                *("createdate", "hs_lastmodifieddate"),
            },
        ),
        (
            "tickets",
            {"subject": "T", "hs_pipeline": "0", "hs_pipeline_stage": "1"},
            {
                *("subject", "content", "hs_pipeline", "hs_pipeline_stage"),
                *("hs_ticket_category", "hs_ticket_priority"),
                *("createdate", "hs_lastmodifieddate"),
            },
        ),
    ],
)
def test_search_gives_default_properties_and_no_links(
    http, control, kind, written, names
):
    http.make(kind, **written)
    control.settle()
    (row,) = http.search(kind, {"associations": ["companies"]}).results
    assert set(row["properties"]) == names | {"hs_object_id"}
    assert "associations" not in row


def test_search_carries_no_rate_limit_headers(http):
    got = http.search("contacts", {})
    assert [n for n in got.headers if n.lower().startswith("x-hubspot-ratelimit")] == []
