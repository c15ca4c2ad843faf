"""An administrator at work in a real browser, under the content policy."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django_q.models import OrmQ
from playwright.sync_api import Page, expect

from associations.drafts import edit
from connections import tasks
from connections.models import HubSpotAccount
from syncs.models import SyncRun
from tests.office import open_office, past_run, records

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

WIDTHS = (1280, 375)
ADDRESSES = (
    "/admin/",
    "/admin/connections/connectedapp/",
    "/admin/connections/connectedapp/{app}/",
    "/admin/connections/connectedapp/{app}/syncs/",
    "/admin/connections/connectedapp/{app}/runs/",
    "/admin/connections/connectedapp/{app}/change/",
    "/admin/connections/hubspotaccount/{account}/change/",
    "/admin/syncs/objectsync/",
    "/admin/syncs/objectsync/{sync}/change/",
    "/admin/syncs/objectsync/set-up/{app}/",
    *(
        f"/admin/syncs/objectsync/set-up/{{app}}/{{draft}}/{page}/"
        for page in (
            "select",
            "configure",
            "configure/field",
            "configure/link",
            "configure/keys",
            "limit",
            "limit/hubspot",
            "review",
        )
    ),
    "/admin/syncs/syncrun/",
    "/admin/syncs/syncrun/{run}/change/",
    "/admin/syncs/change/",
    "/admin/syncs/recordlink/",
    "/admin/syncs/recordlink/{record}/change/",
    "/admin/associations/associationlink/",
)


@pytest.fixture
def problems(page: Page, live_server) -> Iterator[list[str]]:
    """Whatever the console complains of, and requests that go to another host."""
    found: list[str] = []
    here = (live_server.url, "data:")

    def asked(request) -> None:
        if not request.url.startswith(here):
            found.append(request.url)

    page.on("request", asked)
    page.on("console", lambda m: found.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    yield found
    assert found == []


@pytest.fixture
def ada(page: Page, live_server, django_user_model, problems):
    """A superuser who has logged in."""
    user = django_user_model.objects.create_superuser("ada", password="right horse")
    page.goto(live_server.url)
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("right horse")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{live_server.url}/admin/")
    return user


def test_sync_now_is_queued_at_once_and_its_run_is_followed(page, live_server, ada):
    office = open_office()
    page.goto(f"{live_server.url}/admin/connections/connectedapp/")
    page.get_by_role("link", name="Ops").first.click()
    page.get_by_role("link", name="Sync now").click()
    began = time.monotonic()
    with page.expect_response(lambda r: r.request.method == "POST") as posted:
        page.get_by_role("button", name="Sync now").click()
    assert posted.value.status == 302
    # It waits for no sync; what it takes beyond a moment is this machine's load.
    assert time.monotonic() - began < 10
    run = SyncRun.objects.get(parent=None)
    page.wait_for_url(f"**/admin/syncs/syncrun/{run.pk}/change/")
    expect(page.locator("#progress")).to_contain_text("waits for the task cluster")
    assert OrmQ.objects.count() == 1

    # A cluster takes it up elsewhere; the page follows by itself.
    SyncRun.objects.filter(parent=run, sync=office.companies).update(
        status="running", phase="reading", progress_done=40, progress_total=90
    )
    expect(page.locator("#progress")).to_contain_text("40 of 90", timeout=10_000)
    SyncRun.objects.filter(parent=run).update(status="succeeded")
    SyncRun.objects.filter(pk=run.pk).update(status="succeeded")
    expect(page.locator("#progress")).to_contain_text("Succeeded", timeout=10_000)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_a_connections_outcome_appears_by_itself(page, live_server, ada):
    office = open_office()
    address = f"/admin/connections/hubspotaccount/{office.account.pk}/change/"
    page.goto(live_server.url + address)
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#outcome")).to_contain_text("Under way")
    page.get_by_label("Name").fill("Half typed")
    tasks.note(HubSpotAccount.objects.get(), "CREDENTIALS_REFUSED", "Not valid.")
    outcome = page.locator("#outcome")
    expect(outcome).to_contain_text("CREDENTIALS_REFUSED", timeout=10_000)
    expect(outcome).to_contain_text("Enter a valid token")
    expect(page.get_by_label("Name")).to_have_value("Half typed")


def test_pages_fit_a_phone_and_a_desk_without_an_error(page, live_server, ada):
    office = open_office()
    records(office, 30)
    run = past_run(office, ada)
    ids = {
        "app": office.app.pk,
        "account": office.account.pk,
        "sync": office.contacts.pk,
        "run": run.pk,
        "draft": edit(office.contacts, None).pk,
        "record": office.contacts.record_links.first().pk,
    }
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for address in ADDRESSES:
            answer = page.goto(live_server.url + address.format(**ids))
            assert answer.status == 200, address
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, (address, width)
