"""Records, one by one and in batches, by the official client and on dated paths."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.sandbox.calls import inputs, spec, where


def people(api, number: int) -> list[str]:
    """Create contacts p0@x.example and so on; their ids in that order."""
    rows = [{"email": f"p{n}@x.example"} for n in range(number)]
    made = api.batch("contacts", "create", inputs(rows)).ok(201)["results"]
    by_mail = {row["properties"]["email"]: row["id"] for row in made}
    return [by_mail[str(row["email"])] for row in rows]


def test_a_record_is_created_read_changed_and_archived(api):
    made = api.create("contacts", {"email": "ann@x.example"}).ok(201)
    assert made["properties"]["email"] == "ann@x.example"
    assert made["archived"] is False
    read = api.read("contacts", made["id"], properties=["email", "firstname"]).ok()
    assert read["id"] == made["id"]
    assert read["properties"]["firstname"] is None
    api.update("contacts", made["id"], {"firstname": "Ann"}).ok()
    read = api.read("contacts", made["id"], properties=["email", "firstname"]).ok()
    assert read["properties"]["email"] == "ann@x.example"
    assert read["properties"]["firstname"] == "Ann"
    assert api.archive("contacts", made["id"]).status == 204
    assert api.read("contacts", made["id"]).status == 404


def test_every_value_is_text_and_the_record_says_when_it_changed(api):
    made = api.create("companies", {"name": "A", "annualrevenue": "1200.50"}).ok(201)
    names = ["annualrevenue", "hs_lastmodifieddate", "createdate", "hs_object_id"]
    read = api.read("companies", made["id"], properties=names).ok()
    assert read["properties"]["annualrevenue"] == "1200.5"
    assert read["properties"]["hs_object_id"] == made["id"]
    for outside, inside in (
        ("updatedAt", "hs_lastmodifieddate"),
        ("createdAt", "createdate"),
    ):
        moment = datetime.fromisoformat(read["properties"][inside])
        assert datetime.fromisoformat(read[outside]) == moment
        assert read["properties"][inside].endswith("Z")


def test_a_record_is_read_and_changed_by_a_unique_property(api):
    record_id = api.create("contacts", {"email": "ann@x.example"}).ok(201)["id"]
    found = api.read("contacts", "ann@x.example", idProperty="email").ok()
    assert found["id"] == record_id
    changed = {"firstname": "Ann"}
    api.update("contacts", "ANN@x.example", changed, idProperty="email").ok()
    found = api.read("contacts", record_id, properties=["firstname"]).ok()
    assert found["properties"]["firstname"] == "Ann"
    refused = api.read("contacts", "Ann", idProperty="firstname")
    assert refused.status == 400


def test_a_new_record_brings_its_links(api):
    far = api.create("companies", {"name": "A"}).ok(201)["id"]
    link = {"to": {"id": far}, "types": [spec(279)]}
    made = api.create("contacts", {"email": "ann@x.example"}, [link]).ok(201)
    (found,) = api.read_links("contacts", made["id"], "companies").results
    assert str(found["toObjectId"]) == far


def test_a_new_record_with_a_link_to_nothing_is_not_created(api):
    link = {"to": {"id": "99"}, "types": [spec(279)]}
    assert api.create("contacts", {"email": "ann@x.example"}, [link]).status == 400
    assert api.read("contacts", "ann@x.example", idProperty="email").status == 404


def test_a_list_gives_ten_unasked_and_its_cursor_is_the_next_id(api):
    ids = sorted(people(api, 12), key=int)
    first = api.page("contacts")
    assert first.ids == ids[:10]
    after = first.body["paging"]["next"]["after"]
    assert after == ids[10]
    rest = api.page("contacts", after=after)
    assert rest.ids == ids[10:]
    assert "paging" not in rest.body


def test_a_list_page_holds_a_hundred_at_most(http):
    assert http.page("contacts", limit=100).status == 200
    assert http.page("contacts", limit=101).status == 400


def test_a_page_that_is_exactly_full_is_the_last(api):
    ids = people(api, 3)
    page = api.page("contacts", limit=3)
    assert set(page.ids) == set(ids)
    assert "paging" not in page.body


def test_a_list_carries_links_by_type_name_once_per_type(api):
    far = api.create("companies", {"name": "A"}).ok(201)["id"]
    (one,) = people(api, 1)
    api.put_default("contacts", one, "companies", far).ok()
    (row,) = api.page("contacts", associations=["companies"]).results
    links = row["associations"]["companies"]["results"]
    assert sorted((link["id"], link["type"]) for link in links) == [
        (far, "contact_to_company"),
        (far, "contact_to_company_unlabeled"),
    ]


def test_a_list_carries_a_hundred_links_of_a_record_and_says_that_there_are_more(http):
    far = http.make("companies", name="A")
    ids = [*people(http, 100), http.make("contacts")]
    for one in ids[:100]:
        http.put_default("contacts", one, "companies", far).ok()
    query = {"properties": ["name"], "associations": ["contacts"]}
    links = http.read("companies", far, **query).ok()["associations"]["contacts"]
    assert {row["id"] for row in links["results"]} == set(ids[:100])
    assert "paging" not in links
    http.put_default("contacts", ids[100], "companies", far).ok()
    links = http.read("companies", far, **query).ok()["associations"]["contacts"]
    assert len({row["id"] for row in links["results"]}) == 100
    assert links["paging"]["next"]["after"]


def test_object_types_go_by_name_or_by_id(http):
    made = http.make("contacts", email="ann@x.example")
    for word in ("contacts", "contact", "0-1"):
        assert http.read(word, made).ok()["id"] == made
    assert http.read("nonsense", made).status == 400


def test_a_batch_read_gives_what_is_there_and_names_what_is_not(api):
    ids = people(api, 2)
    body = {"properties": ["email"], "inputs": [{"id": i} for i in [*ids, "99", "98"]]}
    got = api.batch("contacts", "read", body)
    assert got.status == 207
    assert set(got.ids) == set(ids)
    assert {row["properties"]["email"] for row in got.results} == {
        "p0@x.example",
        "p1@x.example",
    }
    (error,) = got.body["errors"]
    assert error["category"] == "OBJECT_NOT_FOUND"
    assert error["context"]["ids"] == ["99", "98"]
    assert error["message"].startswith("Could not get some CONTACT objects")


def test_a_batch_read_takes_a_unique_property(api):
    ids = people(api, 2)
    mails = [{"id": "p0@x.example"}, {"id": "P1@X.example"}]
    body = {"properties": [], "idProperty": "email", "inputs": mails}
    assert set(api.batch("contacts", "read", body).ids) == set(ids)


def test_a_batch_changes_records_by_id_and_by_unique_property(api):
    ids = people(api, 2)
    changed = {"jobtitle": "Cook"}
    rows = [
        {"id": ids[0], "properties": changed},
        {"id": "p1@x.example", "idProperty": "email", "properties": changed},
    ]
    assert set(api.batch("contacts", "update", {"inputs": rows}).ids) == set(ids)
    for record_id in ids:
        read = api.read("contacts", record_id, properties=["jobtitle"]).ok()
        assert read["properties"]["jobtitle"] == "Cook"


def test_an_upsert_says_what_is_new(api):
    (old,) = people(api, 1)
    rows = [
        {"id": mail, "idProperty": "email", "properties": {"jobtitle": "Cook"}}
        for mail in ("P0@x.example", "new@x.example")
    ]
    got = api.batch("contacts", "upsert", {"inputs": rows})
    assert got.status == 200
    new = {row["id"]: row["new"] for row in got.results}
    assert new.pop(old) is False
    assert list(new.values()) == [True]
    (made,) = new
    read = api.read("contacts", made, properties=["email", "jobtitle"]).ok()
    assert read["properties"]["email"] == "new@x.example"
    assert read["properties"]["jobtitle"] == "Cook"


def test_an_upsert_by_a_custom_unique_property_may_fail_in_part(api):
    rows = [
        {"id": number, "idProperty": "imo_number", "properties": properties}
        for number, properties in (
            ("9300001", {"vessel_name": "Aurora"}),
            ("9300002", {"tonnage": "12"}),  # lacks what a vessel must have
        )
    ]
    got = api.batch("vessels", "upsert", {"inputs": rows})
    assert got.status == 207
    assert [row["properties"]["imo_number"] for row in got.results] == ["9300001"]
    (error,) = got.body["errors"]
    assert error["context"]["ids"] == ["9300002"]


def test_an_upsert_by_email_is_all_or_nothing(api):
    rows = [
        {"id": "a@x.example", "idProperty": "email", "properties": {"city": "Oslo"}},
        {"id": "b@x.example", "idProperty": "email", "properties": {"nope": "1"}},
    ]
    assert api.batch("contacts", "upsert", {"inputs": rows}).status == 400
    assert api.page("contacts").results == []


def test_a_batch_archives(api):
    ids = people(api, 3)
    gone = {"inputs": [{"id": i} for i in ids[:2]]}
    assert api.batch("contacts", "archive", gone).status == 204
    assert api.page("contacts").ids == ids[2:]
    assert set(api.page("contacts", archived=True).ids) == set(ids[:2])


def test_archiving_what_is_gone_is_no_error(api):
    (one,) = people(api, 1)
    assert [api.archive("contacts", one).status for _ in range(2)] == [204, 204]


def test_search_finds_sorts_and_pages(api, control):
    ids = people(api, 5)
    control.settle()
    body = where(("email", "CONTAINS_TOKEN", "x.example"), limit=2)
    body["sorts"] = [{"propertyName": "hs_object_id", "direction": "DESCENDING"}]
    found: list[str] = []
    after: str | None = "0"
    while after is not None:
        got = api.search("contacts", body | {"after": after})
        assert got.ok()["total"] == 5
        found += got.ids
        after = got.body.get("paging", {}).get("next", {}).get("after")
    assert found == sorted(ids, key=int, reverse=True)


@pytest.mark.parametrize(
    ("kind", "written", "missing"),
    [
        ("companies", {"city": "Oslo"}, "domain"),
        ("deals", {"dealname": "A", "dealstage": "closedwon"}, "pipeline"),
        ("deals", {"dealname": "A", "pipeline": "default"}, "dealstage"),
        ("tickets", {"hs_pipeline": "0", "hs_pipeline_stage": "1"}, "subject"),
        ("vessels", {"tonnage": "1"}, "vessel_name"),
    ],
)
def test_a_record_needs_what_its_type_requires(api, kind, written, missing):
    refused = api.create(kind, written)
    assert refused.status == 400
    assert refused.body["category"] == "VALIDATION_ERROR"
    (error,) = refused.body["errors"]
    assert error["context"]["propertyName"] == [missing]


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("contacts", {}),
        ("companies", {"name": "A"}),
        ("companies", {"domain": "a.example"}),
        (
            "deals",
            {"dealname": "A", "dealstage": "closedwon", "pipeline": "default"},
        ),
        (
            "tickets",
            {"subject": "A", "hs_pipeline": "0", "hs_pipeline_stage": "1"},
        ),
        ("vessels", {"vessel_name": "Aurora"}),
    ],
)
def test_a_record_with_just_what_its_type_requires_is_taken(api, kind, written):
    assert api.create(kind, written).status == 201
