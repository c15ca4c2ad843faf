"""A person presses Sync now, and what changed on either side arrives."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from connections.sandbox.server import SandboxServer
from syncs.models import SyncRun
from tests.e2e.person import until
from tests.world import World

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LATENCY_MS = 2000


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def test_four_changes_arrive_after_sync_now(world, cluster, live_server, page, ada):
    names = ("acorn", "birch")
    companies = world.create(
        "companies", [{"name": n, "domain": f"{n}.example"} for n in names]
    )
    contacts = world.create("contacts", [{"email": f"{n}@x.example"} for n in names])
    for contact, company in zip(contacts, companies, strict=True):
        world.make_primary(contact, company)
    world.set_up()
    assert world.run()["status"] == "succeeded"
    # One company and one contact's company on each side.
    world.sql("UPDATE companies SET name = 'Acorn Ltd' WHERE domain = 'acorn.example'")
    world.sql(
        "UPDATE people SET company_id = (SELECT id FROM companies WHERE domain = "
        "'birch.example') WHERE email = 'acorn@x.example'"
    )
    world.update("companies", companies[1], name="Birch & Co")
    world.make_primary(contacts[1], companies[0])
    world.sandbox.control.set_latency(LATENCY_MS)

    page.goto(f"{live_server.url}/admin/connections/connectedapp/{world.app.pk}/")
    page.get_by_role("link", name="Sync now").or_(
        page.get_by_role("button", name="Sync now")
    ).first.click()
    page.wait_for_url("**/do/**")
    started = time.monotonic()
    with page.expect_response(lambda r: r.request.method == "POST") as answered:
        page.locator("main, #main, body").first.get_by_role(
            "button", name="Sync now"
        ).click()
    assert answered.value.status in (200, 302)
    assert time.monotonic() - started < 1
    run = SyncRun.objects.filter(parent=None).latest("pk")
    assert run.trigger == "admin"
    assert run.started_by is not None
    until(lambda: SyncRun.objects.get(pk=run.pk).status == "succeeded", 90)
    world.sandbox.control.set_latency(0)

    assert world.companies_in_hubspot()["acorn.example"]["name"] == "Acorn Ltd"
    assert world.company_rows()["birch.example"][0] == "Birch & Co"
    assert world.primary() == {
        "acorn@x.example": "birch.example",
        "birch@x.example": "acorn.example",
    }
    assert world.people_rows()["birch@x.example"][2] == "acorn.example"
    page.goto(f"{live_server.url}/admin/syncs/syncrun/{run.pk}/")
    page.get_by_text("Succeeded").first.wait_for()
