"""Four systems brought into step, and the admin to look at it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandParser
from django.db import connections

from associations.models import AssociationMapping
from associations.setup.applying import apply
from associations.setup.problems import SetupRefused
from config.demo import report
from config.demo.processes import Child, Children
from config.secrets import kept_secret
from connections.commands import FAILED, Refused
from connections.commands import Command as Base
from connections.management.commands.sandbox import reset
from connections.models import ConnectedApp
from connections.sandbox.seeds import business
from syncs import selectors, services
from syncs.models import ObjectSync, SyncRun
from syncs.models.choices import Trigger
from syncs.progress import Progress

USER = "admin"
START_S = 90.0  # for the sandbox to make its data, on a slow machine


class Command(Base):
    help = (
        "Start the sandbox, the admin and the task cluster, bring HubSpot, PostgreSQL, "
        "Airtable and Kintone into step, show what happened, and stay up until Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="exit after the table of what happened"
        )
        parser.add_argument(
            "--reset",
            action="store_true",
            help="forget an earlier demo and start afresh",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _interrupt)
        settings.ALLOW_PRIVATE_HOSTS = True
        with _alone(settings.VAR_DIR / "demo.lock"):
            call_command("migrate", verbosity=0)
            folder = settings.VAR_DIR / "sandbox"
            if options["reset"]:
                reset(folder)
            if not (folder / "hubspot.sqlite3").exists():
                _forget()
            environ = {"CROSSLINK_ALLOW_PRIVATE_HOSTS": "on"}
            with Children(settings.VAR_DIR / "log", environ) as children:
                self._run(children, folder, once=options["once"])

    def _run(self, children: Children, folder: Path, *, once: bool) -> None:
        write = self.stdout.write
        write(
            "Starting the sandbox: stand-ins for HubSpot, Airtable and Kintone, and a real "
            "PostgreSQL …"
        )
        addresses = _start_sandbox(children, folder)
        self._set_up(addresses)
        password = kept_secret(
            settings.VAR_DIR / "demo_password", lambda: secrets.token_urlsafe(12)
        )
        _keep_user(password)
        port = _free_port(8000)
        children.start("cluster", "manage.py", "qcluster")
        children.start(
            "web",
            *("-m", "gunicorn", "config.wsgi", "--threads", "8"),
            *("--bind", f"127.0.0.1:{port}"),
        )
        write("Syncing companies, contacts, deals and vessels with their links …")
        found = self._sync()
        write("")
        for line in (*report.lines(found), "", *report.planted()):
            write(line)
        self._say_where(port, password, addresses)
        surprises = report.surprises(found)
        for line in surprises:
            self.stderr.write(f"Not as planted: {line}", self.style.ERROR)
        if once:
            if surprises:
                raise SystemExit(FAILED)
            return
        write("Ctrl-C stops everything; make demo goes on from here another time.")
        _wait(children)

    def _set_up(self, addresses: dict[str, str]) -> None:
        file = settings.BASE_DIR / "examples" / "demo.yaml"
        environ = {
            "HUBSPOT_TOKEN": addresses["token"],
            "HUBSPOT_BASE_URL": addresses["hubspot"],
            "OPERATIONS_DSN": addresses["postgres"],
            "AIRTABLE_URL": addresses["airtable"],
            "AIRTABLE_BASE": addresses["airtable_base"],
            "AIRTABLE_TOKEN": addresses["airtable_token"],
            "KINTONE_URL": addresses["kintone"],
            "KINTONE_USER": addresses["kintone_user"],
            "KINTONE_PASSWORD": addresses["kintone_password"],
        }
        try:
            text = file.read_text(encoding="utf-8")
            changed = apply(text, environ, by="the demo")
        except SetupRefused as exc:
            raise Refused(f"examples/demo.yaml: {exc}") from exc
        done = "; ".join(changed) or "nothing changed"
        self.stdout.write(f"Applied examples/demo.yaml: {done}.")

    def _sync(self) -> dict[str, Any]:
        """One run of every sync; PostgreSQL's come first among those of an object."""
        syncs = [s for app in business.APPS for s in selectors.chosen_syncs(app, ())]
        syncs.sort(key=lambda sync: sync.position)
        run = services.start(syncs=syncs, trigger=Trigger.COMMAND, wait=True)
        progress = Progress(self.stderr)
        services.execute(run, progress=progress)
        progress.close()
        return services.report(SyncRun.objects.get(pk=run.pk))

    def _say_where(self, port: int, password: str, addresses: dict[str, str]) -> None:
        write = self.stdout.write
        write("")
        write(f"The admin   http://127.0.0.1:{port}/admin/   {USER} / {password}")
        write(f"HubSpot     {addresses['hubspot']}   token {addresses['token']}")
        write(f"PostgreSQL  {addresses['postgres']}")
        base, token = addresses["airtable_base"], addresses["airtable_token"]
        write(f"Airtable    {addresses['airtable']}   base {base}, token {token}")
        user, word = addresses["kintone_user"], addresses["kintone_password"]
        write(f"Kintone     {addresses['kintone']}   user {user} / {word}")
        write("")
        write("Change something on either side, press Sync now, and see it travel:")
        write(
            f"  psql '{addresses['postgres']}' -c \"UPDATE companies SET name = "
            "'New name' WHERE id = 1\""
        )
        write(
            f"  curl -X PATCH {addresses['hubspot']}/crm/objects/2026-03/contacts/ID "
            f"-H 'Authorization: Bearer {addresses['token']}' "
            '-H \'Content-Type: application/json\' -d \'{"properties": {"jobtitle": '
            '"Captain"}}\''
        )


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One demo at a time.

    Raises: Refused.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise Refused("A demo is running here already: stop it first.") from exc
        yield


def _forget() -> None:
    """The sandbox is new: what was known of an earlier one is worth nothing."""
    for app in ConnectedApp.objects.filter(name__in=business.APPS):
        AssociationMapping.objects.filter(sync__app=app).delete()
        SyncRun.objects.filter(app=app).delete()
        ObjectSync.objects.filter(app=app).delete()
        app.delete()


def _start_sandbox(children: Children, folder: Path) -> dict[str, str]:
    addresses = folder / "addresses.json"
    addresses.unlink(missing_ok=True)
    port = str(_free_port(8100))
    child = children.start("sandbox", "manage.py", "sandbox", "--port-base", port)
    until = time.monotonic() + START_S
    while not addresses.exists():
        if child.ended or time.monotonic() > until:
            raise Refused(f"The sandbox did not start: {child.last_words()}")
        time.sleep(0.1)
    found: dict[str, str] = json.loads(addresses.read_text(encoding="utf-8"))
    return found


def _free_port(wanted: int) -> int:
    """The wanted port if it is free, else any."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Refused("No port is free on this machine.")


def _keep_user(password: str) -> None:
    model = get_user_model()
    user, _ = model.objects.get_or_create(
        username=USER, defaults={"is_staff": True, "is_superuser": True}
    )
    if not user.check_password(password):
        user.set_password(password)
        user.save()


def _wait(children: Children) -> None:
    connections.close_all()
    while True:
        time.sleep(0.5)
        gone: Child | None = next((c for c in children.all if c.ended), None)
        if gone is not None:
            raise Refused(
                f"{gone.name} ended: {gone.last_words()} (see {os.fspath(gone.log)})"
            )
