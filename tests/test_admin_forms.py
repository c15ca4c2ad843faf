"""Connecting by form: errors stand beside the field, secrets only go in."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django_q.models import OrmQ

from connections.admin.forms import masked
from connections.catalogue import Code, meaning_of
from connections.connectors import registry
from connections.models import ConnectedApp, HubSpotAccount
from tests.office import DSN, TOKEN, open_office

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


def test_another_name_or_rate_asks_no_system_anew(
    admin_client, office, django_capture_on_commit_callbacks
):
    page = page_of(office.account)
    now = {"base_url": office.account.base_url, "token": ""}
    with django_capture_on_commit_callbacks(execute=True):
        admin_client.post(page, account_data(name="Ltd", **now))
    office.account.refresh_from_db()
    assert office.account.name == "Ltd"
    assert not OrmQ.objects.exists()


def test_home_says_what_is_between_a_connection_and_its_first_sync(
    admin_client, office
):
    office.contacts.delete()
    office.companies.delete()

    def told() -> str:
        return str(admin_client.get(reverse("admin:index")).content, "utf-8")

    assert "Both systems are connected" in told()
    overview = reverse("admin:connections_connectedapp_overview", args=[office.app.pk])
    assert "Nothing of Ops syncs yet" in admin_client.get(overview).content.decode()
    office.app.discovered_at = None
    office.app.save()
    assert "The objects of Ops have not been read yet" in told()
    HubSpotAccount.objects.update(
        discovered_at=None, test_code=Code.CREDENTIALS_REFUSED
    )
    assert f"Acme is not connected: {meaning_of(Code.CREDENTIALS_REFUSED)}" in told()


def test_a_typed_token_replaces_the_stored_one_and_is_tried_at_once(
    admin_client, office, django_capture_on_commit_callbacks
):
    page = page_of(office.account)
    with django_capture_on_commit_callbacks(execute=True):
        answer = admin_client.post(page, account_data(token=" other-token "))
    assert answer["Location"].startswith(f"{page}?")
    (row,) = OrmQ.objects.all()
    assert row.task["args"] == ("account", office.account.pk)
    office.account.refresh_from_db()
    assert office.account.credentials == {"token": "other-token"}
    assert office.account.credential_env == {}
    said = LogEntry.objects.get().change_message
    assert "Access token: replaced" in said
    assert "other-token" not in said


def test_who_changed_an_account_is_kept_with_what_was_and_is(admin_client, office):
    admin_client.post(page_of(office.account), account_data(name="New", token=""))
    entry = LogEntry.objects.get()
    assert "Name: Acme → New" in entry.change_message
    history = reverse(
        "admin:connections_hubspotaccount_history", args=[office.account.pk]
    )
    assert "Name: Acme → New" in admin_client.get(history).content.decode()


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
