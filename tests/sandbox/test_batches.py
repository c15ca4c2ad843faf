"""How a batch fails, in what order it answers, and how much it may hold."""

from __future__ import annotations

import pytest

from tests.sandbox.calls import Http, Json, Reply, inputs, pair

WRITES = ("create", "update", "upsert", "archive", "read")


def rows_of(act: str, number: int) -> Json:
    """Return a batch of a size for any of the record endpoints."""
    row: Json = {"properties": {"city": "Oslo"}}
    if act == "create":
        return {"inputs": [row] * number}
    if act == "upsert":
        row["idProperty"] = "email"
        many = [row | {"id": f"p{n}@x.example"} for n in range(number)]
    else:
        many = [row | {"id": str(n + 1)} for n in range(number)]
    return {"inputs": many, "properties": []}


# Partial failure


def test_with_trace_ids_a_bad_row_fails_alone_and_is_named(api):
    rows = [{"email": "a@x.example"}, {"email": "nonsense"}, {"email": "b@x.example"}]
    got = api.batch("contacts", "create", inputs(rows))
    assert got.status == 207
    assert {row["objectWriteTraceId"] for row in got.results} == {"t0", "t2"}
    (error,) = got.body["errors"]
    assert got.body["numErrors"] == 1
    assert error["status"] == "error"
    assert error["category"] == "VALIDATION_ERROR"
    assert error["context"]["objectWriteTraceId"] == ["t1"]
    assert len(api.page("contacts").results) == 2


@pytest.mark.parametrize("traces", [(), ("same", "same"), ("only one",)])
def test_without_a_trace_id_of_its_own_for_each_row_the_batch_fails_whole(api, traces):
    body = inputs([{"email": "a@x.example"}, {"email": "nonsense"}])
    for row in body["inputs"]:
        del row["objectWriteTraceId"]
    for row, trace in zip(body["inputs"], traces, strict=False):
        row["objectWriteTraceId"] = trace
    got = api.batch("contacts", "create", body)
    assert got.status == 400
    assert got.body["category"] == "VALIDATION_ERROR"
    assert api.page("contacts").results == []


def test_a_conflict_names_one_offender_though_there_are_more(api, http):
    held = [http.make("contacts", email=f"{n}@x.example") for n in "ab"]
    body = inputs([{"email": f"{n}@x.example"} for n in "abc"])
    for row in body["inputs"]:
        del row["objectWriteTraceId"]
    got = api.batch("contacts", "create", body)
    assert got.status == 409
    assert got.body["category"] == "CONFLICT"
    assert got.body["message"] == f"Contact already exists. Existing ID: {held[0]}"
    assert held[1] not in str(got.body)
    assert set(api.page("contacts").ids) == set(held)


def test_with_trace_ids_each_conflict_is_an_error_of_its_own(api, http):
    held = [http.make("contacts", email=f"{n}@x.example") for n in "ab"]
    got = api.batch(
        "contacts", "create", inputs([{"email": f"{n}@x.example"} for n in "abc"])
    )
    assert got.status == 207
    named = {
        error["context"]["objectWriteTraceId"][0]: error["message"]
        for error in got.body["errors"]
    }
    assert named == {
        f"t{n}": f"Contact already exists. Existing ID: {held[n]}" for n in (0, 1)
    }


def test_an_update_fails_in_part_and_names_the_id(api, http):
    good, bad = (http.make("contacts", email=f"{n}@x.example") for n in "ab")
    rows = [
        {"id": good, "properties": {"city": "Oslo"}},
        {"id": bad, "properties": {"nope": "1"}},
        {"id": "99", "properties": {"city": "Oslo"}},
    ]
    got = api.batch("contacts", "update", {"inputs": rows})
    assert got.status == 207
    assert got.ids == [good]
    named = {error["context"]["ids"][0]: error for error in got.body["errors"]}
    assert named[bad]["category"] == "VALIDATION_ERROR"
    assert named["99"]["category"] == "OBJECT_NOT_FOUND"
    assert http.shown("contacts", good, "city") == {"city": "Oslo"}


def test_a_failed_row_leaves_nothing_behind(http):
    """Neither the record nor the e-mail address of a row whose link failed."""
    body = inputs([{"email": "a@x.example"}, {"email": "b@x.example"}])
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]
    body["inputs"][0]["associations"] = [{"to": {"id": "99"}, "types": types}]
    assert http.batch("contacts", "create", body).status == 207
    assert http.read("contacts", "a@x.example", idProperty="email").status == 404
    assert http.create("contacts", {"email": "a@x.example"}).status == 201


# Repeats


@pytest.mark.parametrize("again", ["a@x.example", "A@X.example "])
def test_the_same_id_twice_in_an_upsert_rejects_the_whole_batch(api, again):
    rows = [
        {"id": mail, "idProperty": "email", "properties": {"city": "Oslo"}}
        for mail in ("b@x.example", "a@x.example", again)
    ]
    assert api.batch("contacts", "upsert", {"inputs": rows}).status == 400
    assert api.page("contacts").results == []


def test_the_same_id_twice_in_an_update_rejects_the_whole_batch(api, http):
    one = http.make("contacts", email="a@x.example")
    rows = [{"id": one, "properties": {"city": city}} for city in ("Oslo", "Bergen")]
    assert api.batch("contacts", "update", {"inputs": rows}).status == 400
    assert http.shown("contacts", one, "city") == {"city": None}


# Order


@pytest.mark.parametrize("act", ["create", "read", "update", "upsert"])
def test_results_come_in_another_order_than_they_were_sent(http, act):
    mails = [f"p{n}@x.example" for n in range(8)]
    made = inputs([{"email": mail} for mail in mails])
    rows = http.batch("contacts", "create", made).results
    ids = {row["properties"]["email"]: row["id"] for row in rows}
    sent = [ids[mail] for mail in mails]
    if act == "create":
        assert [row["id"] for row in rows] != sent
        return
    city = {"properties": {"city": "Oslo"}}
    many = [{"id": record_id} | city for record_id in sent]
    if act == "upsert":
        many = [{"id": mail, "idProperty": "email"} | city for mail in mails]
    got = http.batch("contacts", act, {"inputs": many, "properties": []})
    assert got.ids != sent
    assert sorted(got.ids) == sorted(sent)


def test_links_come_in_another_order_than_they_were_asked_for(http):
    far = http.make("companies", name="A")
    people = [http.make("contacts", email=f"p{n}@x.example") for n in range(8)]
    for one in people:
        http.link(one, far)
    asked = [{"id": one} for one in people]
    rows = http.link_batch("contacts", "companies", "read", asked).results
    found = [row["from"]["id"] for row in rows]
    assert found != people
    assert sorted(found) == sorted(people)


# Sizes


@pytest.mark.parametrize("act", WRITES)
def test_a_record_batch_holds_a_hundred(http, act):
    assert http.batch("contacts", act, rows_of(act, 100)).status < 300
    refused = http.batch("contacts", act, rows_of(act, 101))
    assert refused.status == 400
    assert "100" in refused.body["message"]


@pytest.mark.parametrize(
    ("act", "most"),
    [
        ("read", 1_000),
        ("create", 2_000),
        ("associate/default", 1_000),
        ("labels/archive", 1_000),
    ],
)
def test_a_link_batch_holds_so_many_inputs(http: Http, act, most):
    def send(number: int) -> Reply:
        rows = [pair(str(n), "1", 279) | {"id": str(n)} for n in range(1, number + 1)]
        if act == "associate/default":
            rows = [{k: row[k] for k in ("from", "to")} for row in rows]
        return http.link_batch("contacts", "companies", act, rows)

    assert send(most).status == 207  # none of them exists
    assert send(most + 1).status == 400


def test_a_link_archive_takes_a_hundred_different_from_records(http: Http):
    def send(number: int) -> Reply:
        rows = [
            {"from": {"id": str(n)}, "to": [{"id": "1"}, {"id": "2"}]}
            for n in range(1, number + 1)
        ]
        return http.link_batch("contacts", "companies", "archive", rows)

    assert send(100).status == 200
    assert send(101).status == 400


def test_a_batch_answer_tells_its_state_and_times(http):
    got = http.batch("contacts", "create", inputs([{"email": "a@x.example"}])).ok(201)
    assert got["status"] == "COMPLETE"
    assert got["startedAt"] <= got["completedAt"]
