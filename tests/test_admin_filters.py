"""Filters set up in the flow, with the same rules and stored form as in a file."""

from __future__ import annotations

from typing import Any

import pytest

from syncs.models import ObjectSync, SyncDraft, SyncFilter, SyncRun
from tests.flow import Flow, edited, formset_data
from tests.office import open_office

pytestmark = [pytest.mark.admin, pytest.mark.django_db]


@pytest.fixture
def office():
    return open_office()


def row(at: int, field: str, operator: str, value: str = "") -> dict[str, str]:
    return {
        f"filter-{at}-field": field,
        f"filter-{at}-operator": operator,
        f"filter-{at}-value": value,
    }


def send(flow: Flow, side: str, *rows: dict[str, str]) -> Any:
    page = flow.see("filters", side=side)
    data = formset_data(page.context["formset"])
    for one in rows:
        data |= one
    answer = flow.client.post(flow.url("filters", side=side), data)
    flow.draft = SyncDraft.objects.get(pk=flow.draft.pk)
    return answer


def save(flow: Flow, sync: ObjectSync) -> int:
    """Save the draft. Returns: the sync's revision."""
    flow.client.post(flow.url("review"), {"go": "save"})
    SyncRun.objects.all().delete()
    sync.refresh_from_db()
    return sync.revision


def stored(office) -> list[Any]:
    rows = SyncFilter.objects.filter(sync=office.companies)
    return list(rows.values_list("side", "field", "operator", "value"))


def test_filters_of_both_sides_are_stored_as_a_file_stores_them(admin_client, office):
    flow = edited(admin_client, office.companies)
    answer = send(flow, "hubspot", row(0, "industry", "in", "Retail\r\nRETAIL\r\n"))
    assert answer["Location"].startswith(flow.url("limit"))
    send(flow, "app", row(0, "updated_at", "after", "30 days ago"))
    assert "industry must be one of RETAIL" in flow.see("limit").content.decode()
    assert save(flow, office.companies) == 2
    assert stored(office) == [
        ("app", "updated_at", "after", "-30d"),
        ("hubspot", "industry", "in", ["RETAIL"]),
    ]
    # Saved again as it stands, it is the same set-up.
    flow = edited(admin_client, office.companies)
    for side in ("hubspot", "app"):
        send(flow, side)
    assert save(flow, office.companies) == 2
    assert len(stored(office)) == 2
    # Changed, and struck out.
    flow = edited(admin_client, office.companies)
    send(flow, "app", row(0, "name", "known"))
    send(flow, "hubspot", row(0, "", ""))
    assert save(flow, office.companies) == 3
    assert stored(office) == [("app", "name", "known", None)]


def test_a_mistake_is_named_in_its_row(admin_client, office):
    flow = edited(admin_client, office.companies)
    for side, given, where, text in (
        ("hubspot", row(0, "industri", "known"), "field", "valid choice"),
        ("hubspot", row(0, "industry", "is", "SHOPS"), "value", "not an option"),
        ("hubspot", row(0, "industry", "contains", "RE"), "operator", "says nothing"),
        ("app", row(0, "name", "is"), "value", "give a value"),
        ("app", row(0, "name", "is", "a\nb"), "value", "not one value"),
        ("app", row(0, "name", "known", "x"), "value", "no value"),
        ("app", row(0, "updated_at", "before", "soon"), "value", "is no date"),
        ("app", row(0, "updated_at", "between", "today"), "value", "two values"),
        ("app", row(0, "name", "equals", "x"), "operator", "valid choice"),
        ("app", row(0, "", "is", "x"), "field", "what it is about"),
    ):
        answer = send(flow, side, given)
        assert answer.status_code == 200, given
        errors = answer.context["formset"].forms[0].errors
        assert text in " ".join(errors.get(where, ())), (given, errors)
    assert "filters" not in flow.draft.tree
