"""Association labels, and how many links a record may have."""

from __future__ import annotations

import pytest

from tests.sandbox.calls import HUBSPOT, pair

USER = "USER_DEFINED"


def test_a_single_label_is_one_answer_and_a_paired_one_two(api):
    single = {"label": "Wage", "name": "wage"}
    (made,) = api.create_label("contacts", "companies", single).ok()["results"]
    assert (made["category"], made["label"]) == (USER, "Wage")
    paired = {"label": "Boss", "name": "boss", "inverseLabel": "Staff"}
    rows = api.create_label("contacts", "companies", paired).ok()["results"]
    assert [row["label"] for row in rows] == ["Boss", "Staff"]
    there = {row.get("label") for row in api.labels("contacts", "companies").results}
    back = {row.get("label") for row in api.labels("companies", "contacts").results}
    assert {"Wage", "Boss"} <= there
    assert "Staff" not in there
    assert {"Wage", "Staff"} <= back


def test_a_label_is_renamed_in_both_directions(api):
    paired = {"label": "Boss", "name": "boss", "inverseLabel": "Staff"}
    made, _ = api.create_label("contacts", "companies", paired).ok()["results"]
    body = {
        "associationTypeId": made["typeId"],
        "label": "Chief",
        "inverseLabel": "Crew",
    }
    assert api.rename_label("contacts", "companies", body).status == 204
    there = {
        row["typeId"]: row.get("label") for row in api.labels("0-1", "0-2").results
    }
    assert there[made["typeId"]] == "Chief"
    assert "Crew" in {row.get("label") for row in api.labels("0-2", "0-1").results}


def test_a_label_is_deleted_only_once_no_link_carries_it(api, http):
    body = {"label": "Wage", "name": "wage"}
    (made,) = api.create_label("contacts", "companies", body).ok()["results"]
    ann = http.make("contacts", email="ann@x.example")
    far = http.make("companies", name="A")
    rows = [pair(ann, far, made["typeId"], category=USER)]
    http.link_batch("contacts", "companies", "create", rows).ok(201)
    ends = "contacts", "companies"
    assert api.delete_label(*ends, made["typeId"]).status == 400
    http.link_batch(*ends, "labels/archive", rows).ok()
    assert api.delete_label(*ends, made["typeId"]).status == 204
    assert "Wage" not in {row.get("label") for row in api.labels(*ends).results}


@pytest.mark.parametrize("name", ["9lives", "hy-phen", ""])
def test_a_label_name_has_no_hyphen_and_starts_with_no_digit(http, name):
    body = {"label": "Wage", "name": name}
    assert http.create_label("contacts", "companies", body).status == 400


def test_hubspot_s_own_types_can_not_be_deleted(api):
    for type_id in (1, 279):
        assert api.delete_label("contacts", "companies", type_id).status == 400


def test_a_label_is_deleted_though_hubspot_has_a_type_of_the_same_number(http):
    """Ids are unique within a category only, so an account's 5 is not HubSpot's 5."""
    ends = ("deals", "companies")
    for number in range(12):
        body = {"label": f"L{number}", "name": f"l{number}"}
        http.create_label(*ends, body).ok()
    listed = http.labels(*ends).ok()["results"]
    own = {row["typeId"] for row in listed if row["category"] == USER}
    hubspots = {row["typeId"] for row in listed if row["category"] == HUBSPOT}
    assert own & hubspots, "no number is shared: this shows nothing"
    for type_id in own & hubspots:
        assert http.delete_label(*ends, type_id).status == 204
    left = http.labels(*ends).ok()["results"]
    kept = {row["typeId"] for row in left if row["category"] == HUBSPOT}
    assert kept == hubspots


def test_the_label_quota_is_told_by_the_limits_endpoint(http):
    path = "/crm/limits/2026-03/associations/labels"
    query = {"fromObjectTypeId": "0-1", "toObjectTypeId": "0-2"}
    before = http.get(path, **query).ok()
    http.create_label("contacts", "companies", {"label": "Wage", "name": "wage"}).ok()
    after = http.get(path, **query).ok()
    assert after["usage"] == before["usage"] + 1
    assert after["limit"] == before["limit"]
    assert "Wage" in after["allLabels"]


# Configured limits


def test_association_limits_are_set_changed_read_and_removed(api):
    ends = ("contacts", "companies")
    row = {"category": HUBSPOT, "typeId": 279}
    got = api.caps_batch(*ends, "create", [row | {"maxToObjectIds": 2}])
    assert got.status == 201
    (found,) = api.caps(*ends).ok()["results"]
    assert (found["typeId"], found["userEnforcedMaxToObjectIds"]) == (279, 2)
    got = api.caps_batch(*ends, "update", [row | {"maxToObjectIds": 3}])
    assert got.status == 200
    (found,) = api.caps().ok()["results"]
    assert found["userEnforcedMaxToObjectIds"] == 3
    got = api.caps_batch(*ends, "purge", [row])
    assert got.status == (200 if api.dated else 204)
    assert api.caps(*ends).ok()["results"] == []


def test_a_limit_refuses_the_pair_that_breaks_it_and_moves_no_other(api, http):
    row = {"category": HUBSPOT, "typeId": 279, "maxToObjectIds": 1}
    api.caps_batch("contacts", "companies", "create", [row]).ok(201)
    ann, bob = (http.make("contacts", email=f"{n}@x.example") for n in "ab")
    a, b = (http.make("companies", name=n) for n in "ab")
    rows = [pair(ann, a, 279), pair(ann, b, 279), pair(bob, b, 279)]
    got = api.link_batch("contacts", "companies", "create", rows)
    assert got.status == 207
    (error,) = got.body["errors"]
    assert error["context"]["fromObjectId"] == [ann]
    assert set(http.types(ann)) == {a}
    assert set(http.types(bob)) == {b}


def test_a_limit_is_not_retroactive(api, http):
    ann = http.make("contacts", email="ann@x.example")
    far = [http.make("companies", name=n) for n in "abc"]
    for two in far[:2]:
        http.link(ann, two)
    row = {"category": HUBSPOT, "typeId": 279, "maxToObjectIds": 1}
    api.caps_batch("contacts", "companies", "create", [row]).ok(201)
    assert set(http.types(ann)) == set(far[:2])
    http.link(ann, far[0])  # what stands may be written again
    assert http.put_default("contacts", ann, "companies", far[2]).status == 400


@pytest.mark.parametrize("most", [0, 10_001])
def test_a_limit_is_one_to_ten_thousand(http, most):
    row = {"category": HUBSPOT, "typeId": 279, "maxToObjectIds": most}
    assert http.caps_batch("contacts", "companies", "create", [row]).status == 207
    assert http.caps("contacts", "companies").results == []


def test_a_label_s_limit_is_not_over_that_of_its_objects(http):
    def cap(type_id: int, most: int) -> int:
        row = {"category": HUBSPOT, "typeId": type_id, "maxToObjectIds": most}
        status: int = http.caps_batch("contacts", "companies", "create", [row]).status
        return status

    assert cap(931, 5) == 201  # no limit on the objects yet
    assert cap(279, 4) == 201
    assert [cap(931, most) for most in (4, 5)] == [201, 207]


def test_a_label_s_limit_counts_its_own_links_only(http):
    row = {"category": HUBSPOT, "typeId": 931, "maxToObjectIds": 1}
    http.caps_batch("contacts", "companies", "create", [row]).ok(201)
    ann = http.make("contacts", email="ann@x.example")
    a, b, c = (http.make("companies", name=n) for n in "abc")
    http.link(ann, a, 279)
    http.link(ann, b, 279, 931)
    refused = pair(ann, c, 279, 931)
    got = http.link_batch("contacts", "companies", "create", [refused])
    assert got.status == 207
    assert set(http.types(ann)) == {a, b}


def test_records_at_and_near_a_limit_are_reported(http):
    row = {"category": HUBSPOT, "typeId": 279, "maxToObjectIds": 5}
    http.caps_batch("contacts", "companies", "create", [row]).ok(201)
    far = [http.make("companies", name=str(n)) for n in range(5)]
    people = [http.make("contacts", email=f"{n}@x.example") for n in range(3)]
    for person, links in zip(people, (5, 4, 3), strict=True):
        for two in far[:links]:
            http.link(person, two)
    got = http.get("/crm/limits/2026-03/associations/records/0-1/0-2").ok()
    assert got["limit"] == 5
    assert (got["totalRecordsAtLimit"], got["totalRecordsNearLimit"]) == (1, 1)
    assert [str(r["objectId"]) for r in got["atLimitFromRecordSamples"]] == people[:1]
    (near,) = got["nearLimitFromRecordSamples"]
    assert (str(near["objectId"]), near["usage"]) == (people[1], 4)


def test_a_report_of_high_usage_goes_to_a_user(api):
    (one, _) = api.owners().results
    told = api.high_usage(one["userId"]).ok()
    assert str(told["userId"]) == str(one["userId"])
    assert told["userEmail"] == one["email"]
    assert api.high_usage(1).status == 404


@pytest.mark.parametrize(
    "name",
    ["records", "custom-object-types", "calculated-properties"],
)
def test_a_quota_tells_limit_and_usage(http, name):
    got = http.get(f"/crm/limits/2026-03/{name}").ok()
    assert 0 <= got["usage"] <= got["limit"]
    assert got["percentage"] == pytest.approx(100 * got["usage"] / got["limit"], 0.01)


@pytest.mark.parametrize("name", ["custom-properties", "pipelines"])
def test_a_quota_by_object_tells_limit_and_usage(http, name):
    rows = http.get(f"/crm/limits/2026-03/{name}").ok()["byObjectType"]
    assert rows
    assert all(0 < row["usage"] <= row["limit"] for row in rows)
