"""Lists over tables of many rows: few queries, no count, and only the rows they show."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from syncs.admin import changes, filters
from syncs.models import Change, RecordLink
from tests.many import BIG, fill, work
from tests.office import open_office, past_run

pytestmark = [pytest.mark.admin, pytest.mark.django_db]

ROWS = 12_000
MOST_QUERIES = 20
MOST_ROWS = 2_500  # that one statement may look at
WINDOW = 1_000
LISTS = {
    "syncs_recordlink": [
        "",
        "p=3",
        "state__exact=failing",
        "state__exact=in_sync",
        "state__exact=waiting",
        "code=any",
        "code=MATCH_AMBIGUOUS",
        "code=UNCERTAIN",
        "state__exact=failing&code=MATCH_AMBIGUOUS&sync={companies}",
        "sync={contacts}",
        "sync={companies}",
        "q=h77",
        "q=a77",
        "q=person7",
        "q=Person77",
        "q=nobody",
    ],
    "syncs_change": [
        "",
        "p=3",
        "outcome__exact=failed",
        "outcome__exact=held",
        "outcome__exact=applied",
        "kind__exact=archive",
        "side=app",
        "side=hubspot",
        "code=VALUE_INVALID",
        "code=any",
        "sync={companies}",
        "sync={contacts}",
        "q=a77",
        "q=person77",
        "q=Broken",
        "q=Nobody+at+all",
    ],
    "associations_associationlink": [
        "",
        "p=3",
        "state__exact=pending",
        "state__exact=failing",
        "code=any",
        "code=TYPE_UNKNOWN",
        "sync={contacts}",
        "sync={companies}",
        "q=a77",
    ],
    "syncs_syncrun": ["", "status__exact=failed", "sync={contacts}", "q=7"],
    "syncs_approval": [""],
    "syncs_objectsync": [""],
    "connections_connectedapp": [""],
}


@pytest.fixture
def office() -> SimpleNamespace:
    made = open_office()
    made.run = past_run(made, None)
    fill(made, made.run, ROWS)
    return made


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setattr(filters, "LATEST", WINDOW)
    monkeypatch.setattr(changes, "TOGETHER", WINDOW)


def addresses(office: SimpleNamespace) -> list[str]:
    ids = {"companies": office.companies.pk, "contacts": office.contacts.pk}
    run = reverse("admin:syncs_syncrun_change", args=[office.run.pk])
    child = office.run.children.get(sync=office.contacts)
    part = reverse("admin:syncs_syncrun_change", args=[child.pk])
    link = RecordLink.objects.filter(hubspot_id="h77").get()
    return [
        reverse("admin:index"),
        *(
            reverse(f"admin:{name}_changelist") + f"?{query}".format(**ids)
            for name, queries in LISTS.items()
            for query in queries
        ),
        *(f"{page}?{query}" for page in (run, part) for query in ("", "page=3")),
        f"{part}?outcome=failed",
        reverse("admin:syncs_recordlink_change", args=[link.pk]),
        reverse("admin:syncs_objectsync_change", args=[office.contacts.pk]),
    ]


def test_every_list_looks_at_little_and_counts_nothing(admin_client, office):
    assert RecordLink.objects.count() > ROWS
    assert Change.objects.count() > 2 * ROWS
    wrong = []
    for url in addresses(office):
        with CaptureQueriesContext(connection) as caught:
            answer = admin_client.get(url)
        with work() as seen:
            admin_client.get(url)
        assert answer.status_code == 200, url
        queries = [q["sql"] for q in caught]
        if len(queries) > MOST_QUERIES:
            wrong.append(f"{url}: {len(queries)} queries")
        wrong += [
            f"{url}: counts: {sql}"
            for sql in queries
            if "COUNT(" in sql and any(name in sql for name in BIG)
        ]
        wrong += [
            f"{url}: looks at {rows} rows: {sql}"
            for rows, sql in seen
            if rows > MOST_ROWS
        ]
    assert wrong == [], "\n".join(w[:90] + " ... " + w[-150:] for w in wrong)


def test_what_scans_a_table_is_found_out(office):
    with work() as seen:
        list(RecordLink.objects.filter(error_text="nobody").values_list("pk"))
    ((rows, _),) = seen
    assert rows > MOST_ROWS


def test_searches_find_what_they_should(admin_client, office):
    records = reverse("admin:syncs_recordlink_changelist")
    for term in ("h77", "a77", "person77@", "PERSON77@"):
        found = admin_client.get(records, {"q": term}).context["cl"].result_list
        assert [link.hubspot_id for link in found] == ["h77"], term
    log = reverse("admin:syncs_change_changelist")
    found = admin_client.get(log, {"q": "a77"}).context["cl"].result_list
    assert {change.record for change in found} == {"Person 77"}
    assert len(found) == 2
    last = f"Person {ROWS}"
    found = admin_client.get(log, {"q": last}).context["cl"].result_list
    assert {change.record for change in found} == {last}


def test_the_parts_of_a_large_run_are_listed_one_by_one(admin_client, office):
    run = office.run
    child = run.children.get(sync=office.contacts)
    counters = child.counters
    child.counters = {"updated": {"hubspot": 0, "app": 2 * ROWS}}
    child.save(update_fields=["counters"])
    try:
        page = reverse("admin:syncs_syncrun_change", args=[run.pk])
        shown = admin_client.get(page).context["changes"]
        first = run.children.get(sync=office.companies)
        assert {change.run_id for change in shown.rows} == {first.pk}
        shown = admin_client.get(page, {"of": child.pk}).context["changes"]
        assert {change.run_id for change in shown.rows} == {child.pk}
    finally:
        child.counters = counters
        child.save(update_fields=["counters"])
