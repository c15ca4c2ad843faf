"""An app's page offers what its links wait for, and sets it up at a press."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.urls import reverse

from associations.models import AssociationMapping
from connections.records import ReferenceField, Schema
from connections.schemas import save_schema
from syncs.models import MatchKey, ObjectSync
from tests.office import FIRMS, PEOPLE, open_office

pytestmark = [pytest.mark.admin, pytest.mark.django_db]


@pytest.fixture
def office():
    return open_office()


def page(client, office) -> str:
    url = reverse("admin:connections_connectedapp_syncs", args=[office.app.pk])
    return str(client.get(url).content.decode())


def press(office, sync=None, field="firm_id") -> str:
    args = [office.app.pk, (sync or office.contacts).pk, field]
    return reverse("admin:connections_connectedapp_link", args=args)


def test_nothing_is_offered_where_every_link_is_kept(admin_client, office):
    assert "waiting for a sync" not in page(admin_client, office)


def test_a_mapping_whose_target_is_off_is_named_with_its_page(admin_client, office):
    ObjectSync.objects.filter(pk=office.companies.pk).update(enabled=False)
    shown = page(admin_client, office)
    assert "TARGET_NOT_SYNCED" in shown
    assert "firm_id: the sync Companies that it points to is off" in shown
    assert "Open Companies" in shown


def test_a_link_to_a_synced_object_is_kept_at_a_press(admin_client, office):
    AssociationMapping.objects.all().delete()
    assert press(office) in page(admin_client, office)
    assert "mapped to Companies" in admin_client.get(press(office)).content.decode()
    assert not AssociationMapping.objects.exists(), "asking changes nothing"
    admin_client.post(press(office))
    mapping = AssociationMapping.objects.get()
    assert (mapping.to_sync, mapping.type_id) == (office.companies, 1)
    office.contacts.refresh_from_db()
    assert office.contacts.revision == 2
    admin_client.post(press(office))  # a second press, from a page that is old by now
    assert AssociationMapping.objects.count() == 1
    assert ObjectSync.objects.count() == 2


def test_what_is_not_synced_is_set_up_or_found_by_its_key_only(admin_client, office):
    AssociationMapping.objects.all().delete()
    office.companies.delete()
    shown = page(admin_client, office)
    assert "app_object=firms&amp;hubspot_object=companies" in shown
    asked = admin_client.get(press(office)).content.decode()
    assert "domain = domain (domain), else name = name (casefold)" in asked
    admin_client.post(press(office))
    made = AssociationMapping.objects.get().to_sync
    assert (made.creates, made.app_object) == ("none", "firms")
    assert not made.field_mappings.exists()
    keys = MatchKey.objects.filter(sync=made).values_list("rank", "hubspot", "app")
    assert list(keys) == [(0, "domain", "domain"), (1, "name", "name")]
    url = reverse("admin:syncs_objectsync_set_up", args=[office.app.pk])
    query = {"app_object": "firms", "hubspot_object": "companies"}
    form = admin_client.get(url, query).context["form"]
    assert form["app_object"].value() == "firms"
    assert form["hubspot_object"].value() == "companies"


def test_what_no_key_fits_has_to_be_set_up_first(admin_client, office):
    AssociationMapping.objects.all().delete()
    office.companies.delete()
    save_schema(office.app, Schema((replace(FIRMS, fields=()), PEOPLE)))
    shown = page(admin_client, office)
    assert "Set up firms first" in shown
    assert press(office) not in shown
    admin_client.post(press(office))
    assert not AssociationMapping.objects.exists()


def test_where_a_person_has_to_choose_nothing_is_offered(admin_client, office):
    twice = (*PEOPLE.references, ReferenceField("other_id", "firms"))
    save_schema(office.app, Schema((FIRMS, replace(PEOPLE, references=twice))))
    other = ObjectSync.objects.create(
        app=office.app,
        name="Firms again",
        hubspot_object="companies",
        app_object="firms",
    )
    AssociationMapping.objects.all().delete()
    assert "/links/" not in page(admin_client, office)
    other.delete()
    for field in ("firm_id", "other_id"):
        assert press(office, field=field) in page(admin_client, office)
    # Two fields of one target would both be its primary link.
    admin_client.post(press(office))
    assert "/links/" not in page(admin_client, office)


def test_a_viewer_is_offered_nothing_and_may_press_nothing(
    client, django_user_model, office
):
    from django.contrib.auth.models import Permission

    AssociationMapping.objects.all().delete()
    viewer = django_user_model.objects.create_user("vera", password="x", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(viewer)
    assert press(office) not in page(client, office)
    assert client.post(press(office)).status_code == 403
    assert not AssociationMapping.objects.exists()
