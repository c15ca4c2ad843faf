"""Filters set up by form, with the same rules and the same stored form as in a file."""

from __future__ import annotations

from typing import Any

import pytest

from syncs.models import SyncFilter
from tests.office import open_office
from tests.test_admin_forms import page_of, typed

pytestmark = [pytest.mark.admin, pytest.mark.django_db]
HUBSPOT, APP = "filters-0", "filters-2-0"  # the first row of either list


@pytest.fixture
def office():
    return open_office()


def row(prefix: str, field: str, operator: str, value: str = "") -> dict[str, str]:
    return {
        f"{prefix}-field": field,
        f"{prefix}-operator": operator,
        f"{prefix}-value": value,
    }


def send(client, office, *rows: dict[str, str]):
    url = page_of(office.companies)
    data = typed(client, url)
    for one in rows:
        data |= one
    return client.post(url, data)


def stored(office) -> list[Any]:
    rows = SyncFilter.objects.filter(sync=office.companies)
    return list(rows.values_list("side", "field", "operator", "value"))


def test_filters_of_both_sides_are_stored_as_a_file_stores_them(admin_client, office):
    answer = send(
        admin_client,
        office,
        row(HUBSPOT, "industry", "in", "Retail\r\nRETAIL\r\n"),
        row(APP, "updated_at", "after", "30 days ago"),
    )
    assert answer.status_code == 302
    assert stored(office) == [
        ("app", "updated_at", "after", "-30d"),
        ("hubspot", "industry", "in", ["RETAIL"]),
    ]
    office.companies.refresh_from_db()
    assert office.companies.revision == 2
    # Saved again as it stands, it is the same set-up.
    assert send(admin_client, office).status_code == 302
    office.companies.refresh_from_db()
    assert office.companies.revision == 2
    assert len(stored(office)) == 2


def test_a_filter_is_changed_and_struck_out(admin_client, office):
    send(admin_client, office, row(APP, "name", "contains", "x"))
    assert send(admin_client, office, row(APP, "name", "known")).status_code == 302
    assert stored(office) == [("app", "name", "known", None)]
    assert send(admin_client, office, {f"{APP}-DELETE": "on"}).status_code == 302
    assert stored(office) == []
    office.companies.refresh_from_db()
    assert office.companies.revision == 4


@pytest.mark.parametrize(
    ("given", "where", "text"),
    [
        (row(HUBSPOT, "industri", "known"), "field", "'industry'"),
        (row(HUBSPOT, "industry", "is", "SHOPS"), "value", "not an option"),
        (row(HUBSPOT, "industry", "contains", "RE"), "operator", "says nothing"),
        (row(APP, "name", "is"), "value", "give a value"),
        (row(APP, "name", "is", "a\nb"), "value", "not one value"),
        (row(APP, "name", "known", "x"), "value", "no value"),
        (row(APP, "updated_at", "before", "soon"), "value", "is no date"),
        (row(APP, "updated_at", "between", "today"), "value", "two values"),
        (row(APP, "name", "equals", "x"), "operator", "valid choice"),
    ],
)
def test_a_mistake_is_named_in_its_row(admin_client, office, given, where, text):
    answer = send(admin_client, office, given)
    assert answer.status_code == 200
    errors = {
        form.prefix: form.errors
        for inline in answer.context["inline_admin_formsets"]
        for form in inline.formset.forms
        if form.errors
    }
    (prefix,) = errors
    assert next(iter(given)).startswith(f"{prefix}-")
    assert text in " ".join(errors[prefix][where]), errors
    assert stored(office) == []
