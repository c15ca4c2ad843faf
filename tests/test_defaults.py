"""What a set-up starts from: guessed by name, never between types that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from associations.setup.guessing import default_fields
from associations.setup.publishing import page
from associations.setup.required import unfilled
from associations.setup.spec import AssociationSpec, FieldSpec, MatchPart, SyncSpec
from connections.records import (
    Field,
    ObjectType,
    Option,
    ReferenceField,
    Side,
    ValueType,
)

pytestmark = pytest.mark.unit
T = ValueType


def contacts(*more: Field) -> ObjectType:
    fields = (
        Field("email", T.TEXT),
        Field("firstname", T.TEXT),
        Field("phone", T.TEXT),
        Field("hs_object_id", T.NUMBER, read_only=True),
        Field("lifecyclestage", T.OPTION, options=(Option("lead"),)),
    )
    return ObjectType("contacts", "0-1", fields=(*fields, *more))


def guessed(hubspot: ObjectType, *columns: Field, references=(), **spec):
    """{property: (column, direction)} of the default mappings."""
    app = ObjectType("people", "people", fields=columns, references=references)
    sync = SyncSpec("s", "S", hubspot.name, "people", **spec)
    found = default_fields(sync, {Side.HUBSPOT: hubspot, Side.APP: app}, "postgres")
    assert len({f.hubspot for f in found}) == len({f.app for f in found}) == len(found)
    return {f.hubspot: (f.app, f.direction) for f in found}


def test_the_published_page_is_what_the_tables_say():
    published = Path(settings.BASE_DIR, "docs", "defaults.md").read_text()
    assert published == page(), "run make docs"


def test_a_field_is_found_by_its_letters_and_the_likeliest_name_first():
    found = guessed(
        contacts(),
        Field("Mail", T.TEXT),
        Field("E-mail address", T.TEXT),
        Field("First name", T.TEXT),
        Field("unheard_of", T.TEXT),
    )
    assert found == {"email": ("E-mail address", ""), "firstname": ("First name", "")}


@pytest.mark.parametrize(
    ("property_", "column", "direction"),
    [
        (Field("phone", T.TEXT), Field("phone", T.NUMBER), "to_hubspot"),
        (Field("phone", T.TEXT), Field("phone", T.REFERENCE), None),
        (Field("phone", T.NUMBER), Field("phone", T.TEXT), "to_app"),
        (Field("phone", T.NUMBER), Field("phone", T.BOOLEAN), None),
        (Field("phone", T.DATE), Field("phone", T.DATETIME), ""),
        (Field("phone", T.OPTION), Field("phone", T.TEXT), "to_app"),
        (Field("phone", T.OPTION, required=True), Field("phone", T.TEXT), ""),
        (Field("phone", T.OPTION, people=True), Field("phone", T.TEXT), ""),
        (Field("phone", T.OPTIONS), Field("phone", T.OPTION), None),
        (Field("phone", T.TEXT, read_only=True), Field("phone", T.TEXT), "to_app"),
        (Field("phone", T.TEXT), Field("phone", T.TEXT, read_only=True), "to_hubspot"),
        (Field("phone", T.TEXT, read_only=True), Field("phone", T.NUMBER), None),
    ],
)
def test_a_mapping_goes_only_where_every_value_fits(property_, column, direction):
    hubspot = ObjectType("contacts", "0-1", fields=(property_,))
    wanted = {} if direction is None else {"phone": ("phone", direction)}
    assert guessed(hubspot, column) == wanted
    # And never against the sync's own direction.
    for own in ("to_app", "to_hubspot"):
        held = guessed(hubspot, column, direction=own)
        assert held == ({"phone": ("phone", "")} if direction in ("", own) else {})


def test_a_key_of_the_file_says_which_field_a_property_is_kept_in():
    columns = Field("email", T.TEXT), Field("login", T.TEXT), Field("tel", T.TEXT)
    match = ((MatchPart("s", "email", "login"),),)
    assert guessed(contacts(), *columns, match=match) == {
        "email": ("login", ""),
        "phone": ("tel", ""),
    }
    # A field that a key pairs with another property is that one's.
    match = ((MatchPart("s", "firstname", "tel"),),)
    assert guessed(contacts(), *columns, match=match) == {
        "email": ("email", ""),
        "firstname": ("tel", ""),
    }


def test_what_the_set_up_uses_otherwise_is_no_field_to_map():
    columns = [Field(n, T.TEXT) for n in ("email", "phone", "firstname", "company")]
    hubspot = contacts(Field("company", T.TEXT))
    found = guessed(
        hubspot,
        *columns,
        references=(ReferenceField("company", "companies", columns=("company",)),),
        app_cursor="phone",
        marker={"app": "firstname"},
    )
    assert found == {"email": ("email", "")}
    found = guessed(hubspot, *columns, archive={"app": {"field": "phone", "value": 1}})
    assert found.keys() == {"email", "firstname", "company"}


def test_a_custom_object_is_mapped_by_its_display_property_and_equal_names():
    vessels = ObjectType(
        "vessels",
        "2-77",
        fields=(
            Field("hs_tag", T.TEXT),
            Field("tonnage", T.NUMBER),
            Field("vessel_name", T.TEXT),
            Field("hs_object_id", T.NUMBER, read_only=True),
        ),
        display_field="vessel_name",
    )
    columns = [Field(n, T.TEXT) for n in ("name", "hs_tag", "hubspot_id")]
    assert guessed(vessels, *columns, Field("Tonnage", T.NUMBER)) == {
        "vessel_name": ("name", ""),
        "tonnage": ("Tonnage", ""),
        "hs_object_id": ("hubspot_id", "to_app"),
    }


def test_what_a_new_record_must_have_and_nothing_fills_is_told_at_set_up():
    must = [Field(n, T.TEXT, required=True) for n in ("dealname", "dealstage")]
    column = Field("title", T.TEXT, required=True)
    account = ReferenceField("account_id", "accounts", nullable=False)
    objects = {
        Side.HUBSPOT: ObjectType("deals", "0-3", fields=(*must, Field("x", T.TEXT))),
        Side.APP: ObjectType(
            "jobs",
            "jobs",
            fields=(column, Field("id", T.NUMBER, required=True, read_only=True)),
            references=(account,),
        ),
    }

    def told(constants=None, **spec):
        mapping = FieldSpec("f", "dealname", "title", spec.pop("only", ""))
        sync = SyncSpec("s", "Deals", "deals", "jobs", fields=(mapping,), **spec)
        return [
            text.partition(",")[0] for text in unfilled(sync, objects, constants or {})
        ]

    hubspot = "Deals: a new record in HubSpot must have dealstage"
    app = "Deals: a new record in the app must have account_id"
    assert told() == [hubspot, app]
    assert told({"hubspot": {"dealstage": "won"}}) == [app]
    assert told(creates="hubspot") == [hubspot]
    assert told(creates="none") == []
    assert told(direction="to_app") == [app]
    by_reference = AssociationSpec("a", "account_id", "Accounts")
    assert told(associations=(by_reference,)) == [hubspot]
    assert told(only="to_hubspot", creates="app") == [app]
    assert (
        "account_id, title"
        in unfilled(SyncSpec("s", "Deals", "deals", "jobs"), objects, {})[1]
    )
