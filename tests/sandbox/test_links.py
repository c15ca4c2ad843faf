"""Links between records: read, written and removed, by client and on dated paths."""

from __future__ import annotations

import pytest

from tests.sandbox.calls import NO_LINKS, PLAIN, PRIMARY, Http, inputs, pair, specs


@pytest.fixture
def world(http: Http) -> dict[str, str]:
    """Ann and Bob, companies a, b and c; no links."""
    made = {n: http.make("contacts", email=f"{n}@x.example") for n in ("ann", "bob")}
    return made | {n: http.make("companies", name=n) for n in "abc"}


def edges(reply) -> dict[str, set[int]]:
    return {
        str(row["toObjectId"]): {t["typeId"] for t in row["associationTypes"]}
        for row in reply.results
    }


# Reading


def test_a_record_links_are_read_with_category_id_and_label(api, http, world):
    http.link(world["ann"], world["a"])
    got = api.read_links("contacts", world["ann"], "companies")
    (row,) = got.ok()["results"]
    assert str(row["toObjectId"]) == world["a"]
    found = {
        (t["category"], t["typeId"], t.get("label")) for t in row["associationTypes"]
    }
    assert found == {
        ("HUBSPOT_DEFINED", PRIMARY, "Primary"),
        ("HUBSPOT_DEFINED", PLAIN, None),
    }


def test_a_link_is_seen_from_both_ends_under_ids_of_their_own(api, http, world):
    http.link(world["ann"], world["a"])
    there = api.read_links("contacts", world["ann"], "companies")
    back = api.read_links("companies", world["a"], "contacts")
    assert edges(there) == {world["a"]: {279, 1}}
    assert edges(back) == {world["ann"]: {280, 2}}


def test_a_record_without_links_reads_as_an_empty_list(api, world):
    got = api.read_links("contacts", world["ann"], "companies")
    assert (got.status, got.results) == (200, [])


def test_the_links_of_a_missing_record_are_404(api):
    assert api.read_links("contacts", "99", "companies").status == 404


def test_single_reads_page_by_the_limit(api, http, world):
    for name in "abc":
        http.link(world["ann"], world[name])
    first = api.read_links("contacts", world["ann"], "companies", limit=2)
    after = first.body["paging"]["next"]["after"]
    rest = api.read_links("contacts", world["ann"], "companies", after=after)
    assert "paging" not in rest.body
    found = list(edges(first)) + list(edges(rest))
    assert sorted(found) == sorted(world[name] for name in "abc")


def test_a_single_read_gives_500_links_at_most(http, world):
    assert http.read_links("contacts", world["ann"], "companies", limit=500).ok()
    refused = http.read_links("contacts", world["ann"], "companies", limit=501)
    assert refused.status == 400


def test_a_page_of_a_batch_read_holds_five_hundred_links(api, http, world):
    people = []
    for start in range(0, 501, 100):
        rows = [{"city": str(n)} for n in range(start, min(start + 100, 501))]
        people += http.batch("contacts", "create", inputs(rows)).ok(201)["results"]
    ids = [row["id"] for row in people]
    rows = [pair(one, world["a"], 279) for one in ids]
    http.link_batch("contacts", "companies", "create", rows).ok(201)
    found: list[str] = []
    asked: dict[str, str] | None = {"id": world["a"]}
    sizes = []
    while asked is not None:
        (row,) = api.link_batch("companies", "contacts", "read", [asked]).results
        sizes.append(len(row["to"]))
        found += [str(to["toObjectId"]) for to in row["to"]]
        following = row.get("paging")
        after = following and following["next"]["after"]
        asked = {"id": world["a"], "after": after} if after else None
    assert sizes == [500, 1]
    assert sorted(found) == sorted(ids)


def test_a_batch_read_pages_each_input_by_itself(api, http, control, world):
    control.set_switches(association_page=2)
    for name in "abc":
        http.link(world["ann"], world[name])
    http.link(world["bob"], world["a"])
    asked = [{"id": world["ann"]}, {"id": world["bob"]}]
    rows = {
        row["from"]["id"]: row
        for row in api.link_batch("contacts", "companies", "read", asked).results
    }
    assert "paging" not in rows[world["bob"]]
    first = rows[world["ann"]]
    after = first["paging"]["next"]["after"]
    asked = [{"id": world["ann"], "after": after}]
    (rest,) = api.link_batch("contacts", "companies", "read", asked).ok()["results"]
    assert "paging" not in rest
    found = [str(to["toObjectId"]) for row in (first, rest) for to in row["to"]]
    assert sorted(found) == sorted(world[name] for name in "abc")


def test_no_links_is_an_error_of_a_207_also_for_ids_that_do_not_exist(api, http, world):
    http.link(world["ann"], world["a"])
    asked = [{"id": i} for i in (world["ann"], world["bob"], "99")]
    got = api.link_batch("contacts", "companies", "read", asked)
    assert got.status == 207
    assert [row["from"]["id"] for row in got.results] == [world["ann"]]
    errors = got.body["errors"]
    assert got.body["numErrors"] == len(errors) == 2
    for error, record_id in zip(errors, (world["bob"], "99"), strict=True):
        assert error["category"] == "OBJECT_NOT_FOUND"
        assert error["subCategory"] == NO_LINKS
        assert error["context"] == {
            "fromObjectId": [record_id],
            "fromObjectType": ["0-1"],
            "toObjectType": ["0-2"],
        }


# Writing


def test_a_default_put_answers_with_both_directions(api, world):
    got = api.put_default("contacts", world["ann"], "companies", world["a"])
    found = {
        (
            row["from"]["id"],
            row["to"]["id"],
            row["associationSpec"]["associationTypeId"],
        )
        for row in got.ok()["results"]
    }
    there, back = (world["ann"], world["a"], 279), (world["a"], world["ann"], 280)
    assert found == {there, back}


def test_a_labelled_put_answers_with_ends_and_labels(api, world):
    types = specs(279, 1)
    got = api.put_types("contacts", world["ann"], "companies", world["a"], types)
    body = got.ok(201)
    assert body["fromObjectTypeId"] == "0-1"
    assert body["toObjectTypeId"] == "0-2"
    assert str(body["fromObjectId"]) == world["ann"]
    assert str(body["toObjectId"]) == world["a"]
    assert body["labels"] == ["Primary"]


def test_a_put_without_a_body_says_that_one_was_expected(http, world):
    refused = http.put_types("contacts", world["ann"], "companies", world["a"], None)
    assert refused.status == 400
    assert "a request body was expected" in refused.body["message"]


def test_links_are_written_in_a_batch(api, http, world):
    rows = [pair(world["ann"], world["a"], 279), pair(world["bob"], world["b"], 279, 1)]
    got = api.link_batch("contacts", "companies", "create", rows)
    assert got.status == 201
    assert len(got.results) == 2
    assert set(http.types(world["ann"])) == {world["a"]}
    assert http.types(world["bob"]) == {world["b"]: {279, 1}}


def test_a_batch_of_links_fails_in_part_and_names_the_pair(api, http, world):
    rows = [pair(world["ann"], world["a"], 279), pair("99", world["b"], 279)]
    got = api.link_batch("contacts", "companies", "create", rows)
    assert got.status == 207
    assert len(got.results) == 1
    (error,) = got.body["errors"]
    assert error["context"]["fromObjectId"] == ["99"]
    assert error["context"]["toObjectId"] == [world["b"]]
    assert set(http.types(world["ann"])) == {world["a"]}


def test_default_links_are_written_in_a_batch(api, http, world):
    rows = [pair(world[name], world["a"]) for name in ("ann", "bob")]
    got = api.link_batch("contacts", "companies", "associate/default", rows)
    assert got.status == 200
    assert set(http.types(world["a"], "companies", "contacts")) == {
        world["ann"],
        world["bob"],
    }


def test_a_type_of_the_other_direction_is_refused(http, world):
    rows = [pair(world["ann"], world["a"], 280)]
    got = http.link_batch("contacts", "companies", "create", rows)
    (error,) = got.ok(207)["errors"]
    assert error["errors"][0]["code"] == "INVALID_ASSOCIATION_TYPE"
    assert http.types(world["ann"]) == {}


def test_the_next_version_answers_a_written_batch_with_200(http, server, world):
    later = Http(server.hubspot_url, server.token, "2026-09")
    rows = [pair(world["ann"], world["a"], 279)]
    assert later.link_batch("contacts", "companies", "create", rows).status == 200
    assert http.types(world["ann"]) == {world["a"]: {279, 1}}


def test_writing_a_type_again_changes_nothing(api, http, world):
    for _ in range(2):
        rows = [pair(world["ann"], world["a"], 279, 1)]
        assert api.link_batch("contacts", "companies", "create", rows).status == 201
    assert http.types(world["ann"]) == {world["a"]: {279, 1}}


def test_a_record_can_not_be_linked_to_itself(http, world):
    ann = world["ann"]
    assert http.put_types("contacts", ann, "contacts", ann, specs(449)).status == 400


# Removing


def test_removing_a_pair_removes_all_its_types_from_both_ends(api, http, world):
    http.link(world["ann"], world["a"])
    got = api.remove_pair("contacts", world["ann"], "companies", world["a"])
    assert got.status == 204
    assert http.types(world["ann"]) == {}
    assert http.types(world["a"], "companies", "contacts") == {}


def test_a_batch_archive_takes_a_list_of_far_records(api, http, world):
    for name in "abc":
        http.link(world["ann"], world[name])
    far = [{"id": world["a"]}, {"id": world["b"]}]
    rows = [{"from": {"id": world["ann"]}, "to": far}]
    got = api.link_batch("contacts", "companies", "archive", rows)
    assert got.status == (200 if api.dated else 204)
    assert set(http.types(world["ann"])) == {world["c"]}


def test_a_batch_archive_with_a_single_far_record_is_refused(http, world):
    http.link(world["ann"], world["a"])
    rows = [{"from": {"id": world["ann"]}, "to": {"id": world["a"]}}]
    assert http.link_batch("contacts", "companies", "archive", rows).status == 400
    assert set(http.types(world["ann"])) == {world["a"]}


def test_archiving_the_primary_label_leaves_the_plain_link(api, http, world):
    http.link(world["ann"], world["a"])
    rows = [pair(world["ann"], world["a"], PRIMARY)]
    got = api.link_batch("contacts", "companies", "labels/archive", rows)
    assert got.status == (200 if api.dated else 204)
    assert http.types(world["ann"]) == {world["a"]: {PLAIN}}


def test_archiving_the_plain_label_removes_every_type(api, http, world):
    http.link(world["ann"], world["a"])
    rows = [pair(world["ann"], world["a"], PLAIN)]
    api.link_batch("contacts", "companies", "labels/archive", rows)
    assert http.types(world["ann"]) == {}


def test_the_older_names_point_at_the_primary_and_read_companies_by_it(http, world):
    """v3 has type names and no labels; a read to companies gives the primary alone."""
    old = "/crm/v3/associations/{}/batch/{}"
    ends = {"from": {"id": world["ann"]}, "type": "contact_to_company"}
    for name in "ab":
        body = {"inputs": [ends | {"to": {"id": world[name]}}]}
        http.post(old.format("contacts/companies", "create"), body).ok(201)
    body = {"inputs": [{"id": world["ann"]}]}
    (row,) = http.post(old.format("contacts/companies", "read"), body).results
    assert row["to"] == [{"id": world["b"], "type": "contact_to_company"}]
    assert http.types(world["ann"]) == {world["a"]: {279}, world["b"]: {279, 1}}
    names = http.get("/crm/v3/associations/contacts/companies/types").results
    assert {"id": "1", "name": "contact_to_company"} in names
    assert {"id": "279", "name": "contact_to_company_unlabeled"} in names
