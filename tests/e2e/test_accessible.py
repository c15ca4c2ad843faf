"""Pages for people who cannot see them, or only one colour from another: axe's rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Browser, Page

from associations.drafts import edit
from syncs.models import RecordLink
from tests.e2e.pages import lists, pages
from tests.office import open_office, past_run, records

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]

SCHEMES = ("light", "dark")
BAD = ("serious", "critical")
# One of each make; the others are made of the same parts.
MAIN = (
    "home",
    "account",
    "apps",
    "app-overview",
    "app-syncs",
    "app-settings",
    "app-sync-now",
    "sync",
    "flow",
    "flow-configure",
    "flow-field",
    "flow-limit",
    "flow-review",
    "runs",
    "run",
    "run-preview",
    "run-running",
    "change-update",
    "approvals",
    "records-failing",
    "record-failing",
    "ambiguous",
    "links",
    "link-pending",
)
EMPTY = ("home", "accounts", "app-new", "runs", "approvals")
# What else than colours is wrong in the dark is wrong in the light as well.
OF_COLOURS = ["color-contrast", "link-in-text-block"]
# As the theme does for a page that is loaded anew, and without waiting for colours.
DRESS = """
dark => {
  const still = new CSSStyleSheet();
  still.replaceSync('* { transition: none !important; animation: none !important }');
  document.adoptedStyleSheets = [still];
  document.documentElement.classList.toggle('dark', dark);
}
"""
FINDINGS = """
async rules => {
  const only = rules ? {runOnly: rules} : {};
  const found = await axe.run(document, {resultTypes: ['violations'], ...only});
  return found.violations.map(v => ({
    rule: v.id, impact: v.impact, help: v.help,
    where: v.nodes.slice(0, 3).map(n => n.target.join(' ') + ': ' + n.html.slice(0, 120)),
  }));
}
"""


def axe() -> str:
    """axe-core's source, as its package carries it."""
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def reader(browser: Browser, live_server: Any, client: Any) -> Iterator[Page]:
    """A superuser's page, logged in, that may run scripts of the test's own."""
    user = get_user_model().objects.create_superuser("ada", password="right horse")
    client.force_login(user)
    session = client.cookies["sessionid"].value
    context = browser.new_context(base_url=live_server.url, reduced_motion="reduce")
    context.add_cookies(
        [{"name": "sessionid", "value": session, "url": live_server.url}]
    )
    yield context.new_page()
    context.close()


def wrong(page: Page, address: str, rules: str) -> list[str]:
    """What axe finds serious in a page, in light and in dark."""
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == 200, address
    page.wait_for_function("!document.querySelector('[x-cloak]')")
    page.evaluate(rules)  # by the browser itself, which the content policy lets through
    found = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.evaluate(DRESS, scheme == "dark")
        found += [
            f"{address} ({scheme}): {v['rule']}: {v['help']}: {'; '.join(v['where'])}"
            for v in page.evaluate(FINDINGS, OF_COLOURS if scheme == "dark" else None)
            if v["impact"] in BAD
        ]
    return found


def test_no_page_has_a_serious_barrier(reader, django_user_model):
    ada = django_user_model.objects.get()
    office = open_office()
    records(office, 12)
    RecordLink.objects.filter(app_id="3").update(state="excluded")
    past_run(office, ada)
    past_run(office, ada, dry_run=True)
    for status in ("running", "held", "failed"):
        past_run(office, ada, status=status)
    edit(office.contacts, ada)
    assert_fine(reader, pages(), MAIN)


def test_an_empty_installation_has_no_serious_barrier_either(reader):
    assert_fine(reader, lists(), EMPTY)
    reader.context.clear_cookies()
    assert_fine(reader, {"log-in": "/admin/login/"}, ["log-in"])


def assert_fine(page: Page, there: dict[str, str], names: Iterable[str]) -> None:
    rules = axe()
    found = [line for name in names for line in wrong(page, there[name], rules)]
    assert found == [], "\n".join(found)
