"""Set-up tells where two syncs can write the same."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from associations.models import AssociationMapping
from associations.setup.overlaps import overlaps
from connections.models import ConnectedApp, HubSpotAccount
from connections.records import Schema
from connections.schemas import save_schema
from syncs.models import FieldMapping, ObjectSync
from tests.office import CONTACT, PEOPLE, open_office

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture
def office():
    return open_office()


def crew(office, **more) -> ObjectSync:
    """Another app's sync of the same contacts."""
    app = ConnectedApp.objects.create(
        name="Crew", kind="postgres", hubspot=office.account
    )
    save_schema(app, Schema((PEOPLE,)))
    # The object by its id, as a set-up file may have it.
    wanted = {"hubspot_object": "0-1", "app_object": "people", "app": app} | more
    sync = ObjectSync.objects.create(name="People", **wanted)
    for hubspot, column in (("firstname", "first_name"), ("lastname", "last_name")):
        FieldMapping.objects.create(sync=sync, hubspot=hubspot, app=column)
    return sync


def test_syncs_of_different_objects_are_no_matter(office):
    assert overlaps([office.app.pk]) == []


def test_a_property_that_two_apps_can_write_is_named_with_both(office):
    sync = crew(office)
    (text,) = overlaps([office.app.pk])
    assert text == (
        "Ops › Contacts and Crew › People can all write the property firstname of "
        "HubSpot's contacts, and may overwrite each other's values. Let all but one of "
        "them only read: direction to_app."
    )
    assert overlaps([sync.app_id]) == [text]
    assert overlaps([]) == []


@pytest.mark.parametrize("how", ["sync", "field", "off", "archived", "account"])
def test_what_only_one_of_them_can_write_is_not_warned_of(office, how):
    sync = crew(office)
    if how == "sync":
        sync.direction = "to_app"
    elif how == "field":
        FieldMapping.objects.filter(sync=sync).update(direction="to_app")
    elif how == "off":
        sync.enabled = False
    elif how == "archived":
        sync.archived_at = datetime.now(UTC)
    else:
        other = HubSpotAccount.objects.create(name="Other", base_url="http://x.invalid")
        save_schema(other, Schema((CONTACT,)))
        ConnectedApp.objects.filter(pk=sync.app_id).update(hubspot=other)
    sync.save()
    assert overlaps([office.app.pk]) == []


def test_a_field_of_the_app_that_two_objects_of_hubspot_write_is_named(office):
    sync = crew(office, app=office.app, hubspot_object="0-2")
    assert overlaps([office.app.pk]) == [
        "Ops › Contacts and Ops › People can all write the field first_name of people of "
        "Ops, and may overwrite each other's values. Let all but one of them only read: "
        "direction to_hubspot."
    ]
    FieldMapping.objects.filter(sync=sync).delete()
    assert overlaps([office.app.pk]) == []


def test_an_association_type_that_two_syncs_write_from_either_end_is_named(office):
    other = ObjectSync.objects.create(
        name="Firms", app=office.app, hubspot_object="companies", app_object="firms"
    )
    AssociationMapping.objects.create(
        sync=other,
        app_field="person_id",
        to_sync=office.contacts,
        category="HUBSPOT_DEFINED",
        type_id=2,  # the inverse of a contact's primary company
    )
    (text,) = overlaps([office.app.pk])
    assert text.startswith(
        "Ops › Contacts and Ops › Firms can all write the association type primary"
    )
    AssociationMapping.objects.filter(sync=other).update(type_id=280)  # the plain one
    assert overlaps([office.app.pk]) == []
