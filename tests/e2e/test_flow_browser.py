"""A person sets up two syncs with a link between them in a real browser, and it arrives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import ObjectSync, SyncDraft, SyncRun
from tests.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        made = World(sandbox, pg_dsn)
        made.connect()
        yield made


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def do_queued() -> None:
    """What the task cluster does."""
    for run in SyncRun.objects.filter(parent=None, status="queued").order_by("pk"):
        services.execute(run)


def test_from_an_app_without_syncs_to_a_link_in_step(
    page: Page, live_server, django_user_model, world
):
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith((live_server.url, "data:"))
            else complaints.append(asked.url)
        ),
    )
    (acorn,) = world.create("companies", [{"name": "Acorn", "domain": "acorn.example"}])
    (ann,) = world.create("contacts", [{"email": "ann@x.example"}])
    world.make_primary(ann, acorn)

    django_user_model.objects.create_superuser("ada", password="right horse")
    page.goto(live_server.url)
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("right horse")
    press(page, "Log in")
    page.goto(f"{live_server.url}/admin/connections/connectedapp/{world.app.pk}/")
    page.get_by_role("link", name="CRM syncs").last.click()
    page.get_by_role("link", name="Set up your sync").click()
    page.get_by_label("Object of Ops").select_option("people")
    page.get_by_label("HubSpot object").select_option("contacts")
    press(page, "Continue")

    # What the reference points to comes first, and leads back.
    press(page, "Set up companies first")
    press(page, "Continue")
    page.get_by_role("button", name="Keys and key lab").click()
    page.get_by_role("button", name="Save and look at live data").click()
    expect(page.locator("#lab")).to_contain_text("0 pairs expected")
    press(page, "Done")
    press(page, "Save and continue")
    page.get_by_label("Ops's time of change").select_option("updated_at")
    press(page, "Save and continue")
    page.get_by_role("button", name="Save and sync").click()
    page.wait_for_url("**/configure/**")
    do_queued()

    # The draft that was left half way goes on.
    page.goto(live_server.url + "/admin/")
    draft = SyncDraft.objects.get()
    page.goto(f"{live_server.url}/admin/connections/connectedapp/{world.app.pk}/syncs/")
    page.get_by_role("link", name=draft.name, exact=True).click()
    press(page, "Map its links")
    press(page, "Save the mapping")
    press(page, "Save and continue")
    press(page, "Save and continue")
    page.get_by_role("button", name="Preview").click()
    do_queued()
    expect(page.locator("#preview")).to_contain_text("Succeeded", timeout=15_000)
    assert world.people_rows() == {}
    page.get_by_role("button", name="Save and sync").click()
    page.wait_for_url("**/syncrun/**")
    do_queued()
    assert world.people_rows()["ann@x.example"][2] == "acorn.example"
    assert ObjectSync.objects.filter(enabled=True).count() == 2
    assert complaints == []
