"""Archiving, restoring, merging, and deleting for privacy."""

from __future__ import annotations

import pytest

from tests.sandbox.calls import PLAIN, PRIMARY, Http

BOTH = ["contacts", "companies"]


def merged(http: Http, one: str, two: str, kind: str = "contacts") -> str:
    record_id: str = http.merge(kind, one, two).ok()["id"]
    return record_id


@pytest.fixture
def world(http: Http) -> dict[str, str]:
    made = {n: http.make("contacts", email=f"{n}@x.example") for n in ("ann", "bob")}
    return made | {n: http.make("companies", name=n) for n in "ab"}


# Archived


def test_an_archived_record_is_read_only_if_asked_for(api, world):
    assert api.archive("contacts", world["ann"]).status == 204
    assert api.read("contacts", world["ann"]).status == 404
    found = api.read("contacts", world["ann"], archived=True).ok()
    assert found["archived"] is True
    assert found["archivedAt"]
    assert api.read("contacts", world["bob"], archived=True).status == 404


def test_the_archived_list_holds_nothing_else(api, world):
    api.archive("contacts", world["ann"])
    assert api.page("contacts", archived=True).ids == [world["ann"]]
    assert api.page("contacts").ids == [world["bob"]]


def test_the_archived_list_pages(api, http):
    ids = [http.make("contacts") for _ in range(3)]
    for one in ids:
        http.archive("contacts", one)
    first = api.page("contacts", archived=True, limit=2)
    after = first.body["paging"]["next"]["after"]
    rest = api.page("contacts", archived=True, limit=2, after=after)
    assert first.ids + rest.ids == sorted(ids, key=int)
    assert "paging" not in rest.body


def test_a_batch_read_finds_archived_records_only_if_asked_for(api, world):
    api.archive("contacts", world["ann"])
    body = {"properties": [], "inputs": [{"id": world["ann"]}, {"id": world["bob"]}]}
    assert api.batch("contacts", "read", body).ids == [world["bob"]]
    assert api.batch("contacts", "read", body, archived=True).ids == [world["ann"]]


def test_an_archived_record_can_not_be_changed_or_linked(api, world):
    api.archive("contacts", world["ann"])
    assert api.update("contacts", world["ann"], {"city": "Oslo"}).status == 404
    put = api.put_default("contacts", world["ann"], "companies", world["a"])
    assert put.status == 404
    rows = {"inputs": [{"id": world["ann"], "properties": {"city": "Oslo"}}]}
    assert api.batch("contacts", "update", rows).status == 207


def test_the_email_of_an_archived_contact_is_free(api, world):
    api.archive("contacts", world["ann"])
    assert api.create("contacts", {"email": "ann@x.example"}).status == 201


@pytest.mark.parametrize("end", ["ann", "a"])
def test_links_are_hidden_while_an_end_is_archived_and_come_back(
    api, http, control, world, end
):
    http.link(world["ann"], world["a"])
    kind = "contacts" if end == "ann" else "companies"
    api.archive(kind, world[end])
    assert http.types(world["ann"]) == {}
    assert http.types(world["a"], "companies", "contacts") == {}
    control.restore(kind, world[end])
    assert http.types(world["ann"]) == {world["a"]: {PLAIN, PRIMARY}}


def test_a_restored_record_is_as_it_was_and_changed_now(http, control, world):
    before = http.read("contacts", world["ann"], properties=["email"]).ok()
    http.archive("contacts", world["ann"])
    control.restore("contacts", world["ann"])
    after = http.read("contacts", world["ann"], properties=["email"]).ok()
    assert after["properties"]["email"] == "ann@x.example"
    assert after["createdAt"] == before["createdAt"]
    assert after["updatedAt"] > before["updatedAt"]
    assert http.create("contacts", {"email": "ann@x.example"}).status == 409


# Merges


@pytest.mark.parametrize("kind", BOTH)
def test_a_merge_makes_a_new_id_and_lists_the_old_ones(api, http, kind):
    one, two = (http.make(kind, **{"city": n, "name": n} if kind == "companies"
                          else {"city": n}) for n in "ab")  # fmt: skip
    made = api.merge(kind, one, two).ok()
    assert made["id"] not in (one, two)
    found = http.shown(kind, made["id"], "city", "hs_merged_object_ids")
    assert found["city"] == "a"
    assert set(found["hs_merged_object_ids"].split(";")) == {one, two}
    assert http.page(kind).ids == [made["id"]]
    assert http.page(kind, archived=True).ids == []


def test_old_ids_resolve_on_single_read_and_change_but_not_in_batches(api, world):
    new = api.merge("contacts", world["ann"], world["bob"]).ok()["id"]
    for old in (world["ann"], world["bob"]):
        assert api.read("contacts", old).ok()["id"] == new
        assert api.update("contacts", old, {"city": "Oslo"}).ok()["id"] == new
        row = {"id": old, "properties": {"city": "Bergen"}}
        got = api.batch("contacts", "update", {"inputs": [row]})
        assert got.status == 207
        assert got.body["errors"][0]["category"] == "OBJECT_NOT_FOUND"
        asked = {"properties": [], "inputs": [{"id": old}]}
        assert api.batch("contacts", "read", asked).ids == []
    city = api.read("contacts", new, properties=["city"]).ok()["properties"]["city"]
    assert city == "Oslo"


def test_a_second_merge_keeps_the_ids_of_the_first(http, world):
    first = merged(http, world["ann"], world["bob"])
    cid = http.make("contacts", email="cid@x.example")
    last = merged(http, first, cid)
    found = http.shown("contacts", last, "hs_merged_object_ids")
    olds = {world["ann"], world["bob"], first, cid}
    assert set(found["hs_merged_object_ids"].split(";")) == olds
    for old in olds:
        assert http.read("contacts", old).ok()["id"] == last


def test_a_merge_keeps_the_links_of_both_and_one_primary(http, world):
    http.link(world["ann"], world["a"])
    http.link(world["bob"], world["b"])
    assert http.types(world["bob"]) == {world["b"]: {PLAIN, PRIMARY}}
    new = merged(http, world["ann"], world["bob"])
    assert http.types(new) == {world["a"]: {PLAIN, PRIMARY}, world["b"]: {PLAIN}}
    assert set(http.types(world["b"], "companies", "contacts")) == {new}


def test_a_merge_keeps_the_second_s_primary_where_the_first_has_none(http, world):
    http.link(world["bob"], world["b"])
    new = merged(http, world["ann"], world["bob"])
    assert http.types(new) == {world["b"]: {PLAIN, PRIMARY}}


def test_merged_companies_keep_their_contacts(http, world):
    http.link(world["ann"], world["a"])
    http.link(world["bob"], world["b"])
    new = merged(http, world["a"], world["b"], "companies")
    for one in ("ann", "bob"):
        assert http.types(world[one]) == {new: {PLAIN, PRIMARY}}
    count = "num_associated_contacts"
    assert http.shown("companies", new, count) == {count: "2"}


def test_the_second_s_email_stays_as_an_additional_one(http, world):
    new = merged(http, world["ann"], world["bob"])
    found = http.shown("contacts", new, "email", "hs_additional_emails")
    assert found == {
        "email": "ann@x.example",
        "hs_additional_emails": "bob@x.example",
    }
    assert http.create("contacts", {"email": "bob@x.example"}).status == 409


def test_a_merge_fills_what_the_first_lacks(http, world):
    http.update("contacts", world["bob"], {"city": "Oslo", "firstname": "Bob"}).ok()
    http.update("contacts", world["ann"], {"firstname": "Ann"}).ok()
    new = merged(http, world["ann"], world["bob"])
    assert http.shown("contacts", new, "city", "firstname") == {
        "city": "Oslo",
        "firstname": "Ann",
    }


def test_merged_deals_keep_the_first_id(http):
    deal = {"dealname": "D", "dealstage": "closedwon", "pipeline": "default"}
    one, two = (http.make("deals", **deal) for _ in range(2))
    assert merged(http, one, two, "deals") == one
    assert http.read("deals", two).ok()["id"] == one


def test_search_finds_the_merged_record_alone(http, control, world):
    control.settle()
    new = merged(http, world["ann"], world["bob"])
    assert http.search("contacts", {}).ok()["total"] == 0
    control.settle()
    assert http.search("contacts", {}).ids == [new]


@pytest.mark.parametrize(
    ("pair", "status"), [(("ann", "ann"), 400), (("ann", "x"), 400)]
)
def test_a_merge_needs_two_records(http, world, pair, status):
    ends = [world.get(word, word) for word in pair]
    assert http.merge("contacts", *ends).status == status


# Privacy


def test_a_privacy_deletion_leaves_no_trace_and_bars_the_address(api, http, world):
    http.link(world["ann"], world["a"])
    assert api.purge({"objectId": world["ann"]}).status == 204
    assert http.read("contacts", world["ann"]).status == 404
    assert http.read("contacts", world["ann"], archived=True).status == 404
    assert http.page("contacts", archived=True).results == []
    assert http.types(world["a"], "companies", "contacts") == {}
    count = "num_associated_contacts"
    assert http.shown("companies", world["a"], count) == {count: None}
    assert http.create("contacts", {"email": "Ann@x.example"}).status == 400


def test_an_archived_contact_can_be_deleted_for_privacy(http, world):
    http.archive("contacts", world["ann"])
    assert http.purge({"objectId": world["ann"]}).status == 204
    assert http.page("contacts", archived=True).results == []


@pytest.mark.parametrize("mail", ["ann@x.example", "stranger@x.example"])
def test_a_privacy_deletion_by_email_bars_also_an_unknown_address(
    api, http, world, mail
):
    assert api.purge({"objectId": mail, "idProperty": "email"}).status == 204
    assert http.create("contacts", {"email": mail}).status == 400
    left = {"ann@x.example", "bob@x.example"} - {mail}
    rows = http.page("contacts", properties=["email"]).results
    assert {row["properties"]["email"] for row in rows} == left


def test_only_contacts_are_deleted_for_privacy(http, world):
    path = "/crm/objects/2026-03/companies/gdpr-delete"
    assert http.post(path, {"objectId": world["a"]}).status == 400
