"""An administrator at a browser, and what one waits for."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from syncs.models import SyncRun

NAME, WORD = "ada", "right horse"
WAIT_S = 90  # for a task cluster on a busy machine


def until(true: Callable[[], bool], seconds: float = WAIT_S) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.25)


def called(name: str) -> re.Pattern[str]:
    """Exactly so, but for the name of an icon beside it."""
    return re.compile(rf"^\s*([a-z_]+\s+)?{re.escape(name)}(\s+[a-z_]+)?\s*$")


class Person:
    """Somebody at a page of the admin, who notes what is wrong with it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)
        page.on("console", self._said)

    def _asked(self, request: object) -> None:
        address = str(getattr(request, "url", ""))
        if not address.startswith((self.url, "data:")):
            self.complaints.append(address)

    def _said(self, message: object) -> None:
        if getattr(message, "type", "") == "error":
            self.complaints.append(str(getattr(message, "text", "")))

    def log_in(self) -> None:
        self.page.goto(self.url)
        self.page.get_by_label("Username").fill(NAME)
        self.page.get_by_label("Password").fill(WORD)
        self.press("Log in")
        self.page.wait_for_url(f"{self.url}/admin/")

    def log_out(self) -> None:
        """As when a session has ended."""
        self.page.context.clear_cookies()

    def go(self, address: str) -> None:
        answer = self.page.goto(self.url + address)
        assert answer is not None
        assert answer.status == 200, address

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=called(name)).click()

    def follow(self, name: str) -> None:
        self.page.get_by_role("link", name=called(name)).last.click()

    def fill(self, **fields: str) -> None:
        """By a field's label, with blanks as underscores: what to type."""
        for label, text in fields.items():
            self.field(label.replace("_", " ")).fill(text)

    def choose(self, label: str, option: str) -> None:
        """By what a list is called: the value of what to choose in it."""
        self.field(label).select_option(option)

    def field(self, label: str) -> Locator:
        """By its label, which may have a required field's asterisk."""
        whole = re.compile(rf"^\s*{re.escape(label)}\s*\*?\s*$")
        return self.page.get_by_label(whole)

    def sees(self, text: str, *, within: str = "body") -> None:
        """Wait until a text stands there."""
        expect(self.page.locator(within)).to_contain_text(text, timeout=WAIT_S * 1000)

    def sees_run(self, status: str = "succeeded") -> SyncRun:
        """Wait for the end of the last run, on its page."""
        run = SyncRun.objects.filter(parent=None).latest("pk")
        until(lambda: not SyncRun.objects.get(pk=run.pk).open)
        run.refresh_from_db()
        assert run.status == status, (run.error_code, run.error_text)
        return run
