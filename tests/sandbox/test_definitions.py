"""Properties, schemas, owners, pipelines: the account's own shape."""

from __future__ import annotations

import pytest

from connections.sandbox.hubspot.metadata import archive_owner, keep_pipeline

USER = "USER_DEFINED"
SHIP = {
    "name": "berths",
    "labels": {"singular": "Berth", "plural": "Berths"},
    "primaryDisplayProperty": "berth_name",
    "requiredProperties": ["berth_name"],
    "searchableProperties": ["berth_name"],
    "properties": [
        {
            "name": "berth_name",
            "label": "Name",
            "type": "string",
            "fieldType": "text",
        }
    ],
    "associatedObjects": ["COMPANY"],
}


def prop(name: str, **more: object) -> dict[str, object]:
    return {
        "name": name,
        "label": name.title(),
        "groupName": "information",
        "type": "string",
        "fieldType": "text",
    } | more


# Properties


def test_a_property_is_made_read_changed_and_archived(api):
    made = api.create_property("contacts", prop("shoe")).ok(201)
    assert made["hasUniqueValue"] is False
    assert api.property("contacts", "shoe").ok()["label"] == "Shoe"
    assert api.update_property("contacts", "shoe", {"label": "Size"}).ok()
    assert api.property("contacts", "shoe").ok()["label"] == "Size"
    names = {row["name"] for row in api.properties("contacts").results}
    assert {"shoe", "email", "lastmodifieddate"} <= names
    assert api.archive_property("contacts", "shoe").status == 204
    assert api.property("contacts", "shoe").status == 404
    assert [
        row["name"] for row in api.properties("contacts", archived=True).results
    ] == ["shoe"]


def test_a_property_that_hubspot_owns_says_that_it_is_read_only(api):
    found = api.property("contacts", "lastmodifieddate").ok()
    assert found["modificationMetadata"]["readOnlyValue"] is True
    assert found["hubspotDefined"] is True
    assert api.archive_property("contacts", "lastmodifieddate").status == 400


def test_a_property_name_that_is_taken_is_a_conflict(api):
    assert api.create_property("contacts", prop("email")).status == 409


@pytest.mark.parametrize("part", ["name", "label", "groupName", "type", "fieldType"])
def test_a_property_lacking_what_it_needs_is_refused(http, part):
    body = prop("shoe")
    del body[part]
    assert http.create_property("contacts", body).status == 400


@pytest.mark.parametrize(
    ("kind", "form"),
    [("number", "text"), ("date", "select"), ("bool", "text"), ("nonsense", "text")],
)
def test_a_type_takes_its_own_field_types_only(http, kind, form):
    body = prop("shoe", type=kind, fieldType=form)
    assert http.create_property("contacts", body).status == 400


def test_options_are_values_with_labels(api):
    options = [{"label": n.title(), "value": n, "hidden": False} for n in ("s", "m")]
    body = prop("size", type="enumeration", fieldType="select", options=options)
    made = api.create_property("contacts", body).ok(201)
    assert [row["value"] for row in made["options"]] == ["s", "m"]
    assert api.create("contacts", {"size": "S"}).status == 400
    assert api.create("contacts", {"size": "s"}).status == 201


def test_an_object_has_ten_unique_properties_at_most(http):
    for number in range(10):
        body = prop(f"key{number}", hasUniqueValue=True)
        http.create_property("contacts", body).ok(201)
    one_more = prop("key10", hasUniqueValue=True)
    assert http.create_property("contacts", one_more).status == 400


def test_uniqueness_is_decided_at_creation_for_good(http):
    http.create_property("contacts", prop("shoe")).ok(201)
    http.update_property("contacts", "shoe", {"hasUniqueValue": True})
    assert http.property("contacts", "shoe").ok()["hasUniqueValue"] is False


def test_properties_are_made_read_and_archived_in_batches(api):
    rows = [prop("one"), prop("email"), prop("two")]
    got = api.property_batch("contacts", "create", {"inputs": rows})
    assert got.status == 207
    assert {row["name"] for row in got.results} == {"one", "two"}
    names = {"inputs": [{"name": "one"}, {"name": "two"}]}
    got = api.property_batch("contacts", "read", names)
    assert {row["name"] for row in got.results} == {"one", "two"}
    assert api.property_batch("contacts", "archive", names).status == 204
    assert api.property("contacts", "one").status == 404


def test_property_groups_are_listed_and_made(api):
    api.create_group("contacts", {"name": "feet", "label": "Feet"}).ok(201)
    assert {"feet", "information"} <= {
        g["name"] for g in api.groups("contacts").results
    }


# Schemas


def test_a_schema_is_made_listed_changed_and_archived(api):
    made = api.create_schema(SHIP).ok(201)
    type_id = made["objectTypeId"]
    assert type_id.startswith("2-")
    found = api.schema("berths").ok()
    assert found["objectTypeId"] == type_id
    assert found["requiredProperties"] == ["berth_name"]
    assert found["fullyQualifiedName"].endswith("_berths")
    assert "berth_name" in {row["name"] for row in found["properties"]}
    links = {
        (a["fromObjectTypeId"], a["toObjectTypeId"]) for a in found["associations"]
    }
    assert {(type_id, "0-2"), ("0-2", type_id)} <= links
    assert type_id in {row["objectTypeId"] for row in api.schemas().results}
    api.update_schema(type_id, {"labels": {"singular": "Quay", "plural": "Quays"}}).ok()
    assert api.schema(type_id).ok()["labels"]["plural"] == "Quays"
    assert api.archive_schema(type_id).status == 204
    assert type_id not in {row["objectTypeId"] for row in api.schemas().results}


def test_a_schema_with_records_stays(api):
    api.create("vessels", {"vessel_name": "Aurora"}).ok(201)
    assert api.archive_schema("vessels").status == 400


def test_schemas_are_read_in_a_batch(http):
    path = "/crm-object-schemas/2026-03/schemas/batch/read"
    got = http.post(path, {"inputs": ["vessels"]})
    assert [row["name"] for row in got.results] == ["vessels"]


@pytest.mark.parametrize(
    "name", ["9lives", "two words", "hy-phen", "_under", "vessels"]
)
def test_a_schema_name_starts_with_a_letter_and_is_new(http, name):
    assert http.create_schema(SHIP | {"name": name}).status in (400, 409)


def test_custom_objects_go_by_name_type_id_or_qualified_name(http):
    schema = http.schema("vessels").ok()
    made = http.make("vessels", vessel_name="Aurora")
    for word in ("vessels", schema["objectTypeId"], schema["fullyQualifiedName"]):
        assert http.read(word, made).ok()["id"] == made


def test_two_types_are_linked_once_a_schema_says_so(api, http):
    vessel = http.make("vessels", vessel_name="Aurora")
    deal = {"dealname": "D", "dealstage": "closedwon", "pipeline": "default"}
    far = http.make("deals", **deal)
    assert api.put_default("vessels", vessel, "deals", far).status == 400
    type_id = http.schema("vessels").ok()["objectTypeId"]
    body = {"fromObjectTypeId": type_id, "toObjectTypeId": "0-3", "name": "cargo"}
    made = api.link_schema("vessels", body).ok(201)
    api.put_default("vessels", vessel, "deals", far).ok()
    assert http.types(vessel, "vessels", "deals") == {far: {int(made["id"])}}
    (plain,) = http.labels("vessels", "deals").results
    assert (plain["category"], plain["label"]) == (USER, None)


# The account


def test_owners_are_listed_paged_and_found_by_email_or_user(api):
    rows = api.owners().results
    assert len(rows) == 2
    first = api.owners(limit=1)
    after = first.body["paging"]["next"]["after"]
    second = api.owners(limit=1, after=after)
    assert first.ids + second.ids == [row["id"] for row in rows]
    assert api.owners(email=rows[1]["email"]).ids == [rows[1]["id"]]
    assert api.owner(rows[0]["id"]).ok()["email"] == rows[0]["email"]
    by_user = api.owner(rows[0]["userId"], idProperty="userId").ok()
    assert by_user["id"] == rows[0]["id"]
    assert rows[0]["type"] == "PERSON"
    assert api.owner("1").status == 404


def test_an_owner_property_takes_owner_ids_and_no_user_ids(api):
    (one, _) = api.owners().results
    found = api.property("contacts", "hubspot_owner_id").ok()
    assert (found["externalOptions"], found["referencedObjectType"]) == (True, "OWNER")
    assert api.create("contacts", {"hubspot_owner_id": one["id"]}).status == 201
    wrong = str(one["userId"])
    assert api.create("contacts", {"hubspot_owner_id": wrong}).status == 400


def test_pipelines_have_the_stages_that_their_properties_take(api):
    (sales,) = api.pipelines("deals").results
    assert api.pipeline("deals", sales["id"]).ok()["label"] == sales["label"]
    for stage in sales["stages"]:
        row = {"dealname": "D", "pipeline": sales["id"], "dealstage": stage["id"]}
        assert api.create("deals", row).status == 201
    row = {"dealname": "D", "pipeline": sales["id"], "dealstage": "nonsense"}
    assert api.create("deals", row).status == 400


def test_the_account_tells_its_details_and_its_use_today(http):
    details = http.get("/account-info/2026-03/details").ok()
    assert {
        *("portalId", "accountType", "timeZone", "utcOffset", "companyCurrency"),
        *("utcOffsetMilliseconds", "additionalCurrencies", "uiDomain"),
        "dataHostingLocation",
    } <= set(details)
    path = "/account-info/2026-03/api-usage/daily/private-apps"
    (before,) = http.get(path).ok()["results"]
    http.page("contacts").ok()
    (after,) = http.get(path).ok()["results"]
    assert after["currentUsage"] == before["currentUsage"] + 2
    assert {"name", "usageLimit", "collectedAt", "resetsAt", "fetchStatus"} <= set(
        after
    )


def test_an_owner_who_was_removed_is_listed_apart_and_taken_by_no_record(api, server):
    (one, two) = api.owners().ids
    account = server.hubspot.main
    with account.store.transaction():
        archive_owner(account, one)
    assert api.owners().ids == [two]
    assert api.owners(archived=True).ids == [one]
    assert api.create("contacts", {"hubspot_owner_id": one}).status == 400


def test_a_stage_of_another_pipeline_is_refused(api, server):
    account = server.hubspot.main
    with account.store.transaction():
        keep_pipeline(account, "deals", "renewals", "Renewals", ("asked", "renewed"))
    assert [p["id"] for p in api.pipelines("deals").results] == ["default", "renewals"]
    row = {"dealname": "D", "pipeline": "renewals", "dealstage": "asked"}
    made = api.create("deals", row)
    assert made.status == 201
    wrong = api.create("deals", row | {"dealstage": "closedwon"})
    assert wrong.status == 400
    assert "INVALID_OPTION" in str(wrong.body)
    assert (
        api.update("deals", made.body["id"], {"dealstage": "closedwon"}).status == 400
    )
    both = {"pipeline": "default", "dealstage": "closedwon"}
    assert api.update("deals", made.body["id"], both).status == 200
