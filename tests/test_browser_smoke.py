"""The log-in works in a real browser, under the content policy."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect


@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
def test_a_person_logs_in_with_no_request_to_another_host(
    live_server, page: Page, django_user_model
):
    django_user_model.objects.create_superuser("ada", password="right horse")
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.goto(live_server.url)
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("right horse")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{live_server.url}/admin/")
    expect(page.get_by_role("main").or_(page.locator("#main"))).to_be_visible()
    here = (live_server.url, "data:")
    assert [url for url in asked if not url.startswith(here)] == []
    assert problems == []
