"""Pictures of every page, in light and dark, on a desk and on a phone.

`python -m tests.screenshots [NAME…]` makes a demo in a folder of its own, brings it to where
every page has something to show, and writes NAME-WIDTH-SCHEME.png to var/screenshots; those of
an installation without data begin with "empty-". It fails where a page does not open, or is
wider than its window. Kept between two calls, the demo starts in seconds.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import django
import psycopg
from playwright.sync_api import sync_playwright

HOME = Path(os.environ.get("CROSSLINK_VAR_DIR", "var")).resolve()
PICTURES, DATA = HOME / "screenshots", HOME / "screenshots-data"
USER, WORD = "admin", "correct horse"
WIDTHS, SCHEMES = (1280, 375), ("light", "dark")
HIGHEST = 4000  # pixels
START_S, RUN_S = 600.0, 300.0  # on a slow machine
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic"]
BROWSERS = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")


def main(wanted: list[str]) -> int:
    """Take all pictures, or those whose names begin so. Returns 1 if a page is wrong."""
    path = next(filter(None, (shutil.which(b) for b in BROWSERS if b)), None)
    if path is None:
        say("Chromium is missing: install it, or name one in CHROMIUM.")
        return 2
    PICTURES.mkdir(parents=True, exist_ok=True)
    DATA.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "CROSSLINK_VAR_DIR": str(DATA),
        "CROSSLINK_ENV_FILE": os.devnull,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "yes",  # the browser's driver has a loop of its own
    }
    os.environ.pop("DATABASE_URL", None)
    django.setup()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS)
        camera = Camera(browser, wanted)
        of_nothing(camera)
        of_the_demo(camera)
        browser.close()
    for line in camera.wrong:
        say(line)
    say(f"{camera.taken} pictures in {PICTURES}")
    return min(len(camera.wrong), 1)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Camera:
    """A browser that has logged in, and what it found wrong."""

    def __init__(self, browser: Any, wanted: Iterable[str]) -> None:
        self._browser, self._wanted = browser, tuple(wanted)
        self._state: Any = None
        self.wrong: list[str] = []
        self.taken = 0

    def wants(self, name: str) -> bool:
        return not self._wanted or name.startswith(self._wanted)

    def log_in(self, url: str, password: str, *, first: str) -> None:
        """Take the log-in's picture, then go in."""
        self._state = None
        self.take(url, {first: "/admin/login/"})
        context = self._browser.new_context(base_url=url)
        page = context.new_page()
        page.goto("/admin/login/")
        page.get_by_label("Username").fill(USER)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/admin/")
        self._state = context.storage_state()
        context.close()

    def take(
        self, url: str, pages: dict[str, str], before: Callable[[], Any] = bool
    ) -> None:
        """Args: before, what is done before each picture."""
        chosen = {name: at for name, at in pages.items() if self.wants(name)}
        for width in WIDTHS:
            for scheme in SCHEMES:
                context = self._browser.new_context(
                    base_url=url,
                    viewport={"width": width, "height": 800},
                    color_scheme=scheme,
                    reduced_motion="reduce",
                    storage_state=self._state,
                )
                page = context.new_page()
                for name, address in chosen.items():
                    before()
                    self._shoot(page, address, f"{name}-{width}-{scheme}", width)
                context.close()

    def _shoot(self, page: Any, address: str, name: str, width: int) -> None:
        answer = page.goto(address, wait_until="load")
        if answer.status != 200:
            self.wrong.append(f"{address} answers {answer.status}")
            return
        page.wait_for_function("!document.querySelector('[x-cloak]')")
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            self.wrong.append(f"{address} is {wide} wide in a window of {width}")
        # As high as the page: what sticks to the window's edge would stand in its middle.
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size(
            {"width": width, "height": min(max(height, 800), HIGHEST)}
        )
        page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")
        page.set_viewport_size({"width": width, "height": 800})
        self.taken += 1


def until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    """What a condition gives once it is true."""
    end = time.monotonic() + seconds
    while not (found := true()):
        if time.monotonic() > end:
            raise SystemExit(f"{what} took longer than {seconds:.0f} s.")
        time.sleep(0.5)
    return found


# An installation without data ------------------------------------------------------------


def of_nothing(camera: Camera) -> None:
    from config.demo.processes import Children
    from tests.e2e.pages import lists

    if not camera.wants("empty-"):
        return
    folder = DATA / "empty"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    port = free_port()
    environ = {"CROSSLINK_VAR_DIR": str(folder), "DJANGO_SUPERUSER_PASSWORD": WORD}
    with Children(folder / "log", environ) as children:
        for done in (
            ("migrate", "--verbosity", "0"),
            (
                "createsuperuser",
                "--no-input",
                "--username",
                USER,
                "--email",
                "a@b.example",
            ),
        ):
            child = children.start(done[0], "manage.py", *done)
            until(partial(ended, child), START_S, f"manage.py {done[0]}")
        web = children.start(
            "web", "-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{port}"
        )
        until(lambda: answers(port) or web.ended, START_S, "The web server")
        url = f"http://127.0.0.1:{port}"
        camera.log_in(url, WORD, first="empty-log-in")
        camera.take(url, {f"empty-{name}": at for name, at in lists().items()})


# The demo --------------------------------------------------------------------------------


def of_the_demo(camera: Camera) -> None:
    from config.demo.processes import Children
    from tests.e2e.pages import pages

    with Children(DATA / "log", {}) as children:
        say("Starting the demo …")
        demo = children.start("demo", "manage.py", "demo")
        log = demo.log
        log.write_text("")
        told = re.compile(r"The admin\s+(\S+)/admin/\s+\S+ / (\S+)\n(?s:.*)Ctrl-C")
        until(lambda: told.search(log.read_text()) or demo.ended, START_S, "The demo")
        found = told.search(log.read_text())
        if found is None:
            raise SystemExit(f"The demo did not start: {demo.last_words()}")
        url, password = found.groups()
        prepare()
        camera.log_in(url, password, first="log-in")
        with open_runs() as (shown, beat):
            camera.take(url, shown, beat)
        camera.take(url, pages())


def prepare() -> None:
    """What the demo's first run alone has not: a preview, an undo, a held run, a draft."""
    from associations.drafts import edit
    from syncs import services
    from syncs.models import ObjectSync, SyncDraft, SyncRun

    contacts = ObjectSync.objects.get(app__name="Operations", name="Contacts")
    companies = ObjectSync.objects.get(app__name="Operations", name="Companies")
    rename()
    if not SyncRun.objects.filter(dry_run=True).exists():
        finish([companies, contacts], dry_run=True)
    if not services.all_held():
        companies.limits = {"update": 1}
        companies.save(update_fields=["limits"])
        finish([companies])
    if not SyncDraft.objects.exists():
        edit(contacts, None)


def rename() -> None:
    """Give three companies of the app another name, or their own back."""
    at = json.loads((DATA / "sandbox" / "addresses.json").read_text())["postgres"]
    with psycopg.connect(at) as session:
        session.execute(
            "UPDATE companies SET name = CASE WHEN name LIKE '%% Group' "
            "THEN left(name, -6) ELSE name || ' Group' END WHERE id <= 3"
        )


def finish(syncs: list[Any], **how: Any) -> Any:
    """A run by the demo's own task cluster, once it is over."""
    from django.db import transaction

    from syncs import services
    from syncs.models import SyncRun
    from syncs.models.choices import Trigger

    with transaction.atomic():
        run = services.start(syncs=syncs, trigger=Trigger.ADMIN, wait=True, **how)
        services.enqueue(run)

    def over() -> bool:
        return not SyncRun.objects.get(pk=run.pk).open

    until(over, RUN_S, f"Run {run.pk}")
    return run


@contextmanager
def open_runs() -> Iterator[tuple[dict[str, str], Callable[[], None]]]:
    """Runs as they look while they wait and while they are at work, which a picture is too
    slow for: rows that are taken away again. A run at work has a heart that beats."""
    from django.utils import timezone

    from syncs.models import ObjectSync, SyncRun
    from tests.e2e.pages import to

    now = timezone.now()
    ago = now - timedelta(seconds=95)
    syncs = list(ObjectSync.objects.filter(app__name="Operations", archived_at=None))
    common = {"app": syncs[0].app, "trigger": "admin", "heartbeat_at": now}
    at_work = {"status": "running", "started_at": ago}
    run = SyncRun.objects.create(**common, **at_work)
    work = {
        "read": {"hubspot": 41200, "app": 40873},
        "created": {"hubspot": 312, "app": 40},
        "updated": {"hubspot": 96, "app": 1204},
        "associations": {"added": {"hubspot": 290, "app": 77}},
        "api_calls": {"hubspot": 611, "app": 94},
    }
    for at, sync in enumerate(syncs):
        row = SyncRun(parent=run, sync=sync, status="queued", **common)
        if at == 0:
            row.status, row.started_at, row.counters = "running", ago, work
            row.phase, row.phase_at = "writing", now - timedelta(seconds=40)
            row.progress_done, row.progress_total = 1652, 5210
        row.save()
    waiting = SyncRun.objects.create(**common, status="queued", queued_at=ago)
    SyncRun.objects.create(parent=waiting, sync=syncs[-1], status="queued", **common)

    def beat() -> None:
        SyncRun.objects.filter(pk__gte=run.pk).update(heartbeat_at=timezone.now())

    try:
        yield (
            {
                "run-running": to("syncs_syncrun_change", run.pk),
                "run-queued": to("syncs_syncrun_change", waiting.pk),
            },
            beat,
        )
    finally:
        SyncRun.objects.filter(pk__in=[run.pk, waiting.pk]).delete()


def ended(child: Any) -> bool:
    return bool(child.ended)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
