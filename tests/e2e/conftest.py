"""A task cluster beside the browser, and who sits at it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import Page

from tests.e2e.person import NAME, WORD, Person


def _address() -> str:
    """Of the tests' database, for another process."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    server, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    return f"{server}/{name}"


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """A task cluster of its own processes, on the tests' database."""
    log = tmp_path / "cluster.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"],
            cwd=settings.BASE_DIR,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "DATABASE_URL": _address(),
            },
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def ada(page: Page, live_server: Any, django_user_model: Any) -> Person:
    """A superuser who has logged in."""
    django_user_model.objects.create_superuser(NAME, password=WORD)
    person = Person(page, live_server.url)
    person.log_in()
    return person
