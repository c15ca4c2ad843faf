"""What an account has, as the HubSpot connector tells it."""

from __future__ import annotations

import pytest

from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.records import (
    AssociationTypeInfo,
    Field,
    Option,
    Patch,
    ValueType,
    Want,
)
from tests.contract.harness import COLOURS, TAGS, drafts
from tests.contract.hubspot_system import HubSpotSystem

pytestmark = pytest.mark.contract


def field(system: HubSpotSystem, name: str, of: str = "contacts") -> Field:
    found = system.discover(of).field(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("title", ValueType.TEXT),
        ("amount", ValueType.NUMBER),
        ("flag", ValueType.BOOLEAN),
        ("day", ValueType.DATE),
        ("moment", ValueType.DATETIME),
        ("colour", ValueType.OPTION),
        ("tags", ValueType.OPTIONS),
        ("note", ValueType.TEXT),
        ("phone", ValueType.TEXT),
        ("lifecyclestage", ValueType.OPTION),
        ("hubspot_owner_id", ValueType.OPTION),
    ],
)
def test_each_property_has_its_type(hubspot: HubSpotSystem, name: str, kind: ValueType):
    found = hubspot.obj.field(name)
    assert found is not None
    assert found.type is kind


def test_options_keep_value_label_and_order(hubspot: HubSpotSystem):
    assert hubspot.obj.field("colour") == field(hubspot, "colour")
    expected = {"colour": COLOURS, "tags": TAGS}
    for name, values in expected.items():
        options = field(hubspot, name).options
        assert [option.value for option in options] == list(values)
        assert [option.label for option in options] == [v.title() for v in values]


def test_owners_pipelines_and_stages_are_options(hubspot: HubSpotSystem):
    assert (
        Option("70000001", "sales@sandbox.example")
        in field(hubspot, "hubspot_owner_id").options
    )
    deals = hubspot.discover("deals")
    stage = deals.field("dealstage")
    pipeline = deals.field("pipeline")
    assert stage is not None
    assert pipeline is not None
    assert Option("default", "Sales") in pipeline.options
    assert "closedwon" in [option.value for option in stage.options]
    assert stage.type is pipeline.type is ValueType.OPTION


def test_required_unique_and_read_only_are_told(hubspot: HubSpotSystem):
    deals = hubspot.discover("deals")
    required = {f.name for f in deals.fields if f.required}
    assert required == {"dealname", "dealstage", "pipeline"}
    contacts = hubspot.obj
    unique = {f.name for f in contacts.fields if f.unique}
    assert unique >= {"email", "code"}
    assert "title" not in unique
    for name in ("createdate", "lastmodifieddate", "hs_object_id"):
        found = contacts.field(name)
        assert found is not None
        assert found.read_only
        assert found.read_only_reason
    associated = contacts.field("associatedcompanyid")
    assert associated is not None
    assert associated.read_only
    email = contacts.field("email")
    assert email is not None
    assert not email.read_only


def test_a_custom_object_is_discovered_and_can_be_read_and_written(
    hubspot: HubSpotSystem,
):
    vessels = hubspot.discover("vessels")
    assert vessels.custom
    assert vessels.id.startswith("2-")
    assert (vessels.label, vessels.display_field) == ("Vessels", "vessel_name")
    by_name = {f.name: f for f in vessels.fields}
    assert by_name["vessel_name"].required
    assert by_name["imo_number"].unique
    assert by_name["tonnage"].type is ValueType.NUMBER
    want = Want(("vessel_name", "tonnage"))
    values = {"vessel_name": "Anna", "tonnage": "1200", "imo_number": "IMO 1"}
    outcomes = hubspot.connector.create(
        vessels, drafts([values, {"tonnage": "1"}]), want
    )
    assert [o.ok for o in outcomes] == [True, False]
    assert (outcomes[1].code, outcomes[1].field) == (
        Code.REQUIRED_MISSING,
        "vessel_name",
    )
    (page,) = hubspot.connector.pages(vessels, want)
    (record,) = page.records
    assert dict(record.values) == {"vessel_name": "Anna", "tonnage": "1200"}
    assert record.modified_at is not None
    found = hubspot.connector.lookup(vessels, "imo_number", ["IMO 1"], want)
    assert found is not None
    assert found["IMO 1"].id == record.id


def test_object_types_answer_to_their_name_and_their_id(hubspot: HubSpotSystem):
    schema = hubspot.connector.discover()
    for name, type_id in (("contacts", "0-1"), ("companies", "0-2"), ("deals", "0-3")):
        assert schema.object(name) == schema.object(type_id)
        assert schema.object(name.upper()) == schema.object(name)
    assert schema.object("no_such_object") is None


def test_an_archived_property_is_not_discovered_and_its_values_are_not_blank(
    hubspot: HubSpotSystem,
):
    (record_id,) = hubspot.plant([{"title": "t", "note": "n"}])
    hubspot.lose_field("note")
    assert hubspot.discover("contacts").field("note") is None
    fetched = hubspot.connector.fetch(hubspot.obj, [record_id], hubspot.want)
    assert "note" not in fetched.records[record_id].values
    assert fetched.records[record_id].values["title"] == "t"
    (page,) = hubspot.connector.pages(hubspot.obj, hubspot.want)
    assert "note" not in page.records[0].values


def test_a_write_to_an_archived_property_says_so_for_each_record_in_one_call(
    hubspot: HubSpotSystem,
):
    hubspot.lose_field("note")
    outcomes = hubspot.connector.create(
        hubspot.obj,
        drafts([{"title": f"t{n}", "note": "n"} for n in range(50)]),
        hubspot.want,
    )
    assert {(o.code, o.field) for o in outcomes} == {(Code.FIELD_MISSING, "note")}
    assert hubspot.count("objects/contacts/batch/create") == 1
    assert hubspot.titles() == {}


def test_an_object_type_that_is_gone_is_a_change_of_schema(hubspot: HubSpotSystem):
    vessels = hubspot.discover("vessels")
    hubspot.api(
        "DELETE", f"/crm-object-schemas/2026-03/schemas/{vessels.id}"
    ).raise_for_status()
    want = Want(("vessel_name",))
    connector = hubspot.connector
    for call in (
        lambda: list(connector.pages(vessels, want)),
        lambda: connector.fetch(vessels, ["1"], want),
        lambda: connector.lookup(vessels, "imo_number", ["1"], want),
    ):
        with pytest.raises(SchemaError) as caught:
            call()
        assert caught.value.code == Code.SCHEMA_CHANGED
    assert connector.discover().object("vessels") is None


def test_a_write_to_an_object_type_that_is_gone_does_not_pass_for_done(
    hubspot: HubSpotSystem,
):
    vessels = hubspot.discover("vessels")
    path = f"/crm-object-schemas/2026-03/schemas/{vessels.id}"
    hubspot.api("DELETE", path).raise_for_status()
    many = drafts([{"vessel_name": f"v{n}"} for n in range(50)])
    hubspot.sandbox.control.reset_counts()
    for call in (
        lambda: hubspot.connector.create(vessels, many, Want()),
        lambda: hubspot.connector.update(vessels, [Patch("1", {"x": "y"})], Want()),
        lambda: hubspot.connector.archive(vessels, ["1", "2"]),
    ):
        with pytest.raises(SchemaError) as caught:
            call()
        assert caught.value.code == Code.SCHEMA_CHANGED
    assert hubspot.count("") == 3


# Association types ---------------------------------------------------------------------


def test_association_types_come_from_the_account_and_by_direction(
    hubspot: HubSpotSystem,
):
    there = hubspot.connector.association_types("0-1", "0-2")
    back = hubspot.connector.association_types("0-2", "0-1")
    assert {(t.category, t.type_id) for t in there} >= {
        ("HUBSPOT_DEFINED", 1),
        ("HUBSPOT_DEFINED", 279),
    }
    assert {(t.category, t.type_id) for t in back} >= {
        ("HUBSPOT_DEFINED", 2),
        ("HUBSPOT_DEFINED", 280),
    }
    plain = next(t for t in there if t.type_id == 279)
    assert plain == AssociationTypeInfo("HUBSPOT_DEFINED", 279, None, "0-1", "0-2")


def test_a_label_of_the_account_is_found_with_both_its_ids(hubspot: HubSpotSystem):
    made = hubspot.api(
        "POST",
        "/crm/associations/2026-03/contacts/companies/labels",
        {"label": "Advises", "name": "advises", "inverseLabel": "Advised by"},
    ).json()["results"]
    ids = {row["label"]: row["typeId"] for row in made}
    there = hubspot.connector.association_types("0-1", "0-2")
    back = hubspot.connector.association_types("0-2", "0-1")
    own = {t.label: t.type_id for t in (*there, *back) if t.category == "USER_DEFINED"}
    assert own == ids


def test_two_object_types_that_cannot_be_linked_have_no_types(hubspot: HubSpotSystem):
    assert hubspot.connector.association_types("0-8", "0-162") == ()
