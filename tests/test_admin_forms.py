"""Setting things up by form: errors stand beside the field, secrets only go in."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django_q.models import OrmQ

from associations.admin.checks import CheckedSyncForm
from associations.models import AssociationLink, AssociationMapping, AssociationType, By
from connections.admin.forms import masked
from connections.catalogue import Code
from connections.connectors import registry
from connections.models import ConnectedApp, HubSpotAccount
from connections.records import TableFault, TableReport
from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync
from tests.office import DSN, TOKEN, open_office, records

pytestmark = [pytest.mark.admin, pytest.mark.django_db]


@pytest.fixture
def office():
    return open_office()


def page_of(obj) -> str:
    opts = obj._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[obj.pk])


def typed(client, url) -> dict[str, Any]:
    """What the page's form would send if nothing were changed."""
    context = client.get(url).context
    data: dict[str, Any] = {}
    forms = [context["adminform"].form]
    for inline in context["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.forms]
    for form in forms:
        for field in form:
            value = field.value()
            if value is False or value is None or value == []:
                continue
            if isinstance(value, list):
                data[field.html_name] = value
            else:
                data[field.html_name] = "on" if value is True else str(value)
    return data


# Credentials ----------------------------------------------------------------------------


def account_data(**changes):
    return {
        "name": "Acme",
        "base_url": "https://api.hubapi.com",
        "api_version": "2026-03",
        "requests_per_10s": "100",
        "search_per_second": "4",
    } | changes


def test_a_new_account_is_sealed_and_tried_at_once(
    admin_client, django_capture_on_commit_callbacks
):
    url = reverse("admin:connections_hubspotaccount_add")
    with django_capture_on_commit_callbacks(execute=True):
        answer = admin_client.post(url, account_data(token=TOKEN))
    account = HubSpotAccount.objects.get()
    assert answer["Location"].startswith(page_of(account))
    assert account.credentials == {"token": TOKEN}
    (row,) = OrmQ.objects.all()
    assert row.task["args"] == ("account", account.pk)
    assert TOKEN not in row.payload


def test_a_new_account_needs_a_token(admin_client):
    url = reverse("admin:connections_hubspotaccount_add")
    answer = admin_client.post(url, account_data(token=""))
    assert answer.context["adminform"].form.errors.keys() == {"token"}
    assert HubSpotAccount.objects.count() == 0


def test_a_blank_token_keeps_the_stored_one_and_where_it_came_from(
    admin_client, office
):
    admin_client.post(page_of(office.account), account_data(name="New", token=""))
    office.account.refresh_from_db()
    assert office.account.name == "New"
    assert office.account.credentials == {"token": TOKEN}
    assert office.account.credential_env == {"token": "${HUBSPOT_TOKEN}"}


def test_a_typed_token_replaces_the_stored_one(admin_client, office):
    admin_client.post(page_of(office.account), account_data(token=" other-token "))
    office.account.refresh_from_db()
    assert office.account.credentials == {"token": "other-token"}
    assert office.account.credential_env == {}


def test_a_form_that_fails_keeps_what_was_typed_but_shows_no_secret(
    admin_client, office
):
    data = account_data(name="Typed name", requests_per_10s="-5", token="secret-typed")
    answer = admin_client.post(page_of(office.account), data)
    text = answer.content.decode()
    assert answer.context["adminform"].form.errors.keys() == {"requests_per_10s"}
    assert 'value="Typed name"' in text
    assert "secret-typed" not in text
    office.account.refresh_from_db()
    assert office.account.credentials == {"token": TOKEN}


def test_an_app_has_the_settings_and_credentials_of_its_kind(
    admin_client, office, django_capture_on_commit_callbacks
):
    data = {
        "name": "Second",
        "kind": "postgres",
        "hubspot": office.account.pk,
        "setting_schema": "sales",
        "setting_tables": "people, firms",
        "secret_dsn": DSN,
    }
    with django_capture_on_commit_callbacks(execute=True):
        admin_client.post(reverse("admin:connections_connectedapp_add"), data)
    app = ConnectedApp.objects.get(name="Second")
    assert app.settings == {"schema": "sales", "tables": ["people", "firms"]}
    assert app.credentials == {"dsn": DSN}
    assert OrmQ.objects.count() == 1
    admin_client.post(page_of(app), {"name": "Third", "setting_schema": "sales"})
    app.refresh_from_db()
    assert (app.name, app.settings) == ("Third", {"schema": "sales"})
    assert app.credentials == {"dsn": DSN}


def test_an_app_of_a_kind_with_two_ways_to_log_in_needs_one_of_them(
    admin_client, office, django_capture_on_commit_callbacks
):
    data = {
        "name": "Domain",
        "kind": "kintone",
        "hubspot": office.account.pk,
        "setting_base_url": "https://acme.example",
        "setting_app_ids": "1, 2",
        "secret_username": "ann",
    }
    url = reverse("admin:connections_connectedapp_add")
    answer = admin_client.post(url, data)
    assert answer.context["adminform"].form.errors.keys() == {"secret_api_tokens"}
    with django_capture_on_commit_callbacks(execute=True):
        admin_client.post(url, data | {"secret_password": "pass-word"})
    app = ConnectedApp.objects.get(name="Domain")
    assert app.settings == {"base_url": "https://acme.example", "app_ids": ["1", "2"]}
    assert app.credentials == {"username": "ann", "password": "pass-word"}
    tokens = {
        "name": "Domain",
        "setting_base_url": "https://acme.example",
        "secret_api_tokens": "one-token, two-token",
    }
    admin_client.post(page_of(app), tokens)
    app.refresh_from_db()
    assert app.credentials == {"api_tokens": "one-token, two-token"}


def test_the_kind_is_chosen_before_the_form_that_has_its_fields(admin_client, office):
    url = reverse("admin:connections_connectedapp_add")
    for asked in ("", "?kind=hubspot", "?kind=abacus"):
        page = admin_client.get(f"{url}{asked}").content.decode()
        for kind, label in registry.app_kinds():
            assert f'href="?kind={kind}"' in page
            assert label in page
        assert "<form method" not in page.partition("cl-choices")[2]
    for kind, label in registry.app_kinds():
        context = admin_client.get(f"{url}?kind={kind}").context
        form = context["adminform"].form
        named = registry.KINDS[kind]
        assert context["title"] == f"Connect {label}"
        assert form["kind"].value() == kind
        assert form["hubspot"].value() == office.account.pk  # the only one
        shown = {n for n in form.fields if n.startswith(("setting_", "secret_"))}
        assert shown == {f"setting_{n}" for n in named.setting_names} | {
            f"secret_{n}" for n in named.credential_names
        }


def test_an_app_waits_for_an_account(admin_client):
    answer = admin_client.get(reverse("admin:connections_connectedapp_add"))
    assert answer["Location"] == reverse("admin:connections_hubspotaccount_add")


@pytest.mark.unit
@pytest.mark.parametrize(
    ("secret", "hint"),
    [
        (TOKEN, "••••wxyz"),
        ("short-token", "••••"),
        (DSN, "postgresql://••••@db.invalid:5432/operations"),
        ("postgresql://u:p@ss@h/d", "postgresql://••••@h/d"),
        ("postgresql://u:p@h:port/d", "••••"),
        (None, "••••"),
    ],
)
def test_a_hint_shows_little_of_a_secret(secret, hint):
    assert masked(secret) == hint


# Syncs ----------------------------------------------------------------------------------


def test_a_new_sync_offers_the_objects_found_and_finds_its_keys(admin_client, office):
    office.companies.record_links.all().delete()
    url = reverse("admin:syncs_objectsync_add") + f"?app={office.app.pk}"
    text = admin_client.get(url).content.decode()
    for offered in ("Companies (companies)", "people", "firms"):
        assert offered in text
    data = {
        "name": "Firms again",
        "hubspot_object": "companies",
        "app_object": "firms",
        "direction": "to_app",
        "conflict": "hubspot",
        "creates": "none",
        "timezone": "Europe/Berlin",
    }
    answer = admin_client.post(url, data)
    sync = ObjectSync.objects.get(name="Firms again")
    assert answer["Location"] == page_of(sync)
    assert (sync.app, sync.revision) == (office.app, 1)
    keys = sync.match_keys.values_list("rank", "hubspot", "app", "normalize")
    assert list(keys) == [
        (0, "domain", "domain", "domain"),
        (1, "name", "name", "casefold"),
    ]


def test_a_name_that_the_app_has_already_is_refused_beside_the_field(
    admin_client, office
):
    data = typed(admin_client, page_of(office.contacts)) | {"name": "Companies"}
    answer = admin_client.post(page_of(office.contacts), data)
    assert answer.context["adminform"].form.errors.keys() == {"name"}


def test_a_form_saved_unchanged_keeps_the_revision(admin_client, office):
    for sync in (office.companies, office.contacts):
        answer = admin_client.post(page_of(sync), typed(admin_client, page_of(sync)))
        assert answer.status_code == 302
        sync.refresh_from_db()
        assert sync.revision == 1


@pytest.mark.parametrize(
    "change",
    [
        {"conflict": "app"},
        {"on_create_hubspot": "industry = RETAIL"},
        {"field_mappings-1-direction": "to_app"},
        {"field_mappings-1-DELETE": "on"},
        {"field_mappings-2-hubspot": "industry", "field_mappings-2-app": "industry"},
        {"match_keys-0-normalize": "domain"},
    ],
)
def test_an_edit_of_the_definition_makes_a_new_revision(admin_client, office, change):
    url = page_of(office.companies)
    answer = admin_client.post(url, typed(admin_client, url) | change)
    assert answer.status_code == 302
    office.companies.refresh_from_db()
    assert office.companies.revision == 2


def test_a_new_schedule_or_name_is_no_new_revision(admin_client, office):
    url = page_of(office.companies)
    data = typed(admin_client, url) | {"name": "Firms", "every_s": "1200"}
    assert admin_client.post(url, data).status_code == 302
    office.companies.refresh_from_db()
    assert (office.companies.name, office.companies.every_s) == ("Firms", 1200)
    assert office.companies.revision == 1


@pytest.mark.parametrize(
    ("change", "where", "text"),
    [
        ({"app_cursor": "updated"}, "app_cursor", "updated_at"),
        ({"app_cursor": "name"}, "app_cursor", "not a time of change"),
        ({"marker_hubspot": "name"}, "marker_hubspot", "unique"),
        ({"on_create_app": "nmae = x"}, "on_create_app", "'name'"),
        ({"on_create_app": "name"}, "on_create_app", "name = value"),
        ({"timezone": "Mars/Base"}, "timezone", "Europe/Berlin"),
        ({"every_s": "5"}, "every_s", "60"),
        (
            {"matching": "default", "match_keys-0-hubspot": "name"},
            "matching",
            "Choose your fields",
        ),
    ],
)
def test_a_mistake_is_named_beside_its_field(admin_client, office, change, where, text):
    url = page_of(office.companies)
    answer = admin_client.post(url, typed(admin_client, url) | change)
    errors = answer.context["adminform"].form.errors
    assert text in " ".join(errors[where])
    assert text.strip("'") in answer.content.decode()
    office.companies.refresh_from_db()
    assert office.companies.revision == 1


@pytest.mark.parametrize(
    ("change", "prefix", "where", "text"),
    [
        (
            {"field_mappings-2-hubspot": "industri", "field_mappings-2-app": "name"},
            "field_mappings-2",
            "hubspot",
            "'industry'",
        ),
        ({"field_mappings-0-app": "nam"}, "field_mappings-0", "app", "'name'"),
        (
            {"field_mappings-2-hubspot": "createdate", "field_mappings-2-app": "name"},
            "field_mappings-2",
            "hubspot",
            "read-only",
        ),
        (
            {
                "field_mappings-2-hubspot": "industry",
                "field_mappings-2-app": "industry",
                "field_mappings-2-values": "SOFTWAR = Software",
            },
            "field_mappings-2",
            "values",
            "no option",
        ),
        ({"match_keys-0-app": "domian"}, "match_keys-0", "app", "'domain'"),
    ],
)
def test_a_mistake_in_a_row_is_named_in_that_row(
    admin_client, office, change, prefix, where, text
):
    url = page_of(office.companies)
    answer = admin_client.post(url, typed(admin_client, url) | change)
    assert answer.status_code == 200
    errors = {
        form.prefix: form.errors
        for inline in answer.context["inline_admin_formsets"]
        for form in inline.formset.forms
        if form.errors
    }
    assert errors.keys() == {prefix}
    assert text in " ".join(errors[prefix][where])
    typed_value = change[next(iter(change))]
    assert f'value="{typed_value}"' in answer.content.decode()


def test_default_settings_store_the_keys_they_choose(admin_client, office):
    url = page_of(office.companies)
    data = typed(admin_client, url) | {"matching": "default"}
    assert admin_client.post(url, data).status_code == 302
    keys = office.companies.match_keys.values_list("hubspot", "normalize")
    assert list(keys) == [("domain", "domain"), ("name", "casefold")]


# Association mappings -------------------------------------------------------------------


def test_an_association_type_is_resolved_when_it_is_saved(admin_client, office):
    records(office, 8)
    assert AssociationLink.objects.filter(mapping=office.mapping).exists()
    url = page_of(office.contacts)
    data = typed(admin_client, url) | {"association_mappings-0-type": "default"}
    assert admin_client.post(url, data).status_code == 302
    office.mapping.refresh_from_db()
    assert (office.mapping.category, office.mapping.type_id) == ("HUBSPOT_DEFINED", 279)
    # It is another mapping now, whose first sync must not take old links for its own.
    assert not AssociationLink.objects.filter(mapping=office.mapping).exists()
    office.contacts.refresh_from_db()
    assert office.contacts.revision == 2


def test_types_that_were_never_read_are_asked_for(admin_client, office):
    AssociationType.objects.all().delete()
    AssociationMapping.objects.all().delete()
    url = page_of(office.contacts)
    row = "association_mappings-0"
    with SandboxServer() as sandbox:
        HubSpotAccount.objects.filter(pk=office.account.pk).update(
            base_url=sandbox.hubspot_url
        )
        office.account.refresh_from_db()
        office.account.credentials = {"token": sandbox.token}
        office.account.save()
        data = typed(admin_client, url) | {
            f"{row}-app_field": "firm_id",
            f"{row}-to_sync": str(office.companies.pk),
            f"{row}-type": "",
        }
        assert admin_client.post(url, data).status_code == 302
    mapping = AssociationMapping.objects.get()
    assert (mapping.category, mapping.type_id) == ("HUBSPOT_DEFINED", 1)


def test_a_type_that_cannot_be_asked_for_is_an_error_beside_it(admin_client, office):
    AssociationType.objects.all().delete()
    url = page_of(office.contacts)
    answer = admin_client.post(url, typed(admin_client, url))
    (errors,) = (
        form.errors
        for inline in answer.context["inline_admin_formsets"]
        for form in inline.formset.forms
        if form.errors
    )
    assert "UNAVAILABLE" in " ".join(errors["type"])


def test_a_field_that_is_no_reference_is_an_error_beside_it(admin_client, office):
    url = page_of(office.contacts)
    data = typed(admin_client, url) | {"association_mappings-0-app_field": "email"}
    answer = admin_client.post(url, data)
    assert "is not a reference" in answer.content.decode()


def test_a_join_table_is_mapped_with_its_labels_and_its_faults_stand_beside_them(
    admin_client, office, monkeypatch
):
    AssociationType.objects.create(
        account=office.account,
        from_object="0-1",
        to_object="0-2",
        category="USER_DEFINED",
        type_id=31,
        label="Decision maker",
    )
    fault = TableFault("from", "works has no column man.", Code.FIELD_MISSING)
    report = TableReport((fault,))
    monkeypatch.setattr(CheckedSyncForm, "_look", lambda self, table: report)
    url, row = page_of(office.contacts), "association_mappings-0"
    data = typed(admin_client, url) | {
        f"{row}-by": "join_table",
        f"{row}-app_field": "works",
        f"{row}-join_from": "man",
        f"{row}-join_to": "firm",
        f"{row}-join_label": "role",
        f"{row}-labels": "dm = Decision maker\nboss = USER_DEFINED:31",
        f"{row}-type": [],
    }
    errors = [
        form.errors
        for inline in admin_client.post(url, data).context["inline_admin_formsets"]
        for form in inline.formset.forms
        if form.errors
    ]
    assert [list(e) for e in errors] == [["join_from"]]
    offered = admin_client.get(url).content.decode()
    assert all(f'value="{by.value}"' in offered for by in By)
    report = TableReport()
    assert admin_client.post(url, data).status_code == 302
    office.mapping.refresh_from_db()
    assert str(office.mapping) == "works (man, firm, role) → Companies"
    assert [t.type_id for t in office.mapping.label_types.values()] == [31, 31]
    office.contacts.refresh_from_db()
    assert office.contacts.revision == 2
    # Its form sent as it is changes nothing; as a reference it forgets the table.
    assert admin_client.post(url, typed(admin_client, url)).status_code == 302
    office.contacts.refresh_from_db()
    assert office.contacts.revision == 2
    data = typed(admin_client, url)
    data |= {f"{row}-by": "reference", f"{row}-app_field": "firm_id"}
    assert admin_client.post(url, data).status_code == 302
    office.mapping.refresh_from_db()
    assert (office.mapping.labels, office.mapping.join_from) == ([], "")


def test_a_label_is_made_in_hubspot_once_that_is_ticked(admin_client, office):
    AssociationType.objects.all().delete()
    url, row = page_of(office.contacts), "association_mappings-0"
    with SandboxServer() as sandbox:
        office.account.base_url = sandbox.hubspot_url
        office.account.credentials = {"token": sandbox.token}
        office.account.save()
        data = typed(admin_client, url) | {f"{row}-new_label": "Adviser"}
        answer = admin_client.post(url, data)
        assert answer.status_code == 200
        assert "tick Make it in HubSpot" in answer.content.decode()
        data[f"{row}-make_label"] = "on"
        assert admin_client.post(url, data).status_code == 302
    mapping = AssociationMapping.objects.get()
    assert mapping.type == ["primary", "Adviser"]
    made = AssociationType.objects.get(from_object="0-1", label="Adviser")
    assert (mapping.category, mapping.type_id) == ("HUBSPOT_DEFINED", 1)
    assert mapping.also == [["USER_DEFINED", made.type_id]]
