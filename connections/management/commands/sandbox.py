"""Serve fake systems, HubSpot first, and a real PostgreSQL on this machine."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from connections.commands import Command as Base
from connections.commands import Refused
from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.tokens import MAIN_BASE, TOKENS
from connections.sandbox.faults import BadFault
from connections.sandbox.host import Host
from connections.sandbox.hubspot.switches import BadSwitch, Value
from connections.sandbox.kintone.server import KintoneServer
from connections.sandbox.postgres import PostgresServer, ServerError
from connections.sandbox.seeds import demo_airtable, demo_kintone, demo_postgres
from connections.sandbox.seeds.registry import SEEDS
from connections.sandbox.server import SandboxServer

DATABASE = "operations"
AIRTABLE_PORT, KINTONE_PORT = 1, 4  # after HubSpot's


class Command(Base):
    help = (
        "Serve the sandbox until Ctrl-C: stand-ins for the APIs of HubSpot, Airtable "
        "and Kintone on loopback, and a real PostgreSQL. Its state is kept under var/sandbox."
    )

    told = ""  # where it is to be found

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "--port-base",
            type=int,
            default=8100,
            metavar="N",
            help="HubSpot's port; Airtable's is the next, Kintone's four after it",
        )
        add("--seed", default="demo", metavar="NAME", help=f"{', '.join(SEEDS)}")
        add(
            "--latency-ms",
            type=float,
            default=0,
            metavar="N",
            help="added to every call",
        )
        add("--rate-limits", choices=("real", "off"), default="real")
        add(
            "--fault",
            action="append",
            default=[],
            metavar="SPEC",
            help="such as status=503,path=/batch/create,nth=3,when=after",
        )
        add(
            "--switch",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="what HubSpot does not document, such as first_link_primary=never",
        )
        add("--reset", action="store_true", help="forget what was there and seed anew")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["seed"] not in SEEDS:
            raise Refused(
                f"There is no seed {options['seed']!r}; known: {', '.join(SEEDS)}."
            )
        if not 0 <= options["port_base"] < 65536 - KINTONE_PORT:
            raise Refused("--port-base must be a port number.")
        folder = settings.VAR_DIR / "sandbox"
        if options["reset"]:
            reset(folder)
        folder.mkdir(parents=True, exist_ok=True)
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        try:
            with (
                self._hubspot(folder, options) as server,
                self._airtable(folder, options) as airtable,
                self._kintone(folder, options) as kintone,
                _postgres(folder) as postgres,
            ):
                dsn = postgres.dsn(DATABASE)
                if options["seed"] == "demo":
                    demo_postgres.plant(dsn)
                self._tell(folder, server, airtable, kintone, dsn)
                stopped.wait()
        except ServerError as exc:
            raise Refused(str(exc)) from exc
        finally:
            self._leave(folder / "addresses.json")

    def _leave(self, addresses: Path) -> None:
        """Say no more where it is; another sandbox's addresses stay."""
        if addresses.exists() and addresses.read_text(encoding="utf-8") == self.told:
            addresses.unlink(missing_ok=True)

    def _hubspot(self, folder: Path, options: dict[str, Any]) -> SandboxServer:
        try:
            return SandboxServer(
                folder / "hubspot.sqlite3",
                port=options["port_base"],
                seed=options["seed"],
                rate_limits=options["rate_limits"],
                latency_ms=options["latency_ms"],
                switches=dict(map(_switch, options["switch"])),
                faults=options["fault"],
            )
        except (BadFault, BadSwitch) as exc:
            raise Refused(str(exc)) from exc
        except OSError as exc:
            raise Refused(
                f"Port {options['port_base']} is taken ({exc.strerror}); choose another "
                "with --port-base."
            ) from exc

    def _airtable(self, folder: Path, options: dict[str, Any]) -> Host:
        """On the port that belongs to it, or on any that is free: it is told below."""
        fake = Airtable(
            folder / "airtable.sqlite3",
            seed=demo_airtable.plant if options["seed"] == "demo" else None,
            enforced=options["rate_limits"] == "real",
        )
        base = options["port_base"]
        for port in (base + AIRTABLE_PORT if base else 0, 0):
            try:
                return Host(
                    fake,
                    port=port,
                    latency_ms=options["latency_ms"],
                    faults=options["fault"],
                )
            except OSError:
                if not port:
                    raise
        raise AssertionError("unreachable")

    def _kintone(self, folder: Path, options: dict[str, Any]) -> KintoneServer:
        """On the port that belongs to it, or on any that is free: it is told below."""
        base = options["port_base"]
        for port in (base + KINTONE_PORT if base else 0, 0):
            try:
                return KintoneServer(
                    folder / "kintone.sqlite3",
                    port=port,
                    seed=demo_kintone.plant if options["seed"] == "demo" else None,
                    rate_limits=options["rate_limits"],
                    latency_ms=options["latency_ms"],
                    faults=options["fault"],
                )
            except OSError:
                if not port:
                    raise
        raise AssertionError("unreachable")

    def _tell(
        self,
        folder: Path,
        server: SandboxServer,
        airtable: Host,
        kintone: KintoneServer,
        dsn: str,
    ) -> None:
        login, password = kintone.password
        found = {
            "hubspot": server.hubspot_url,
            "token": server.token,
            "postgres": dsn,
            "airtable": airtable.url,
            "airtable_base": MAIN_BASE,
            "airtable_token": TOKENS[0].text,
            "kintone": kintone.url,
            "kintone_user": login,
            "kintone_password": password,
        }
        made = folder / "addresses.json.new"
        self.told = json.dumps(found)
        made.write_text(self.told, encoding="utf-8")
        made.rename(folder / "addresses.json")
        self.stdout.write(f"HubSpot     {server.hubspot_url}")
        self.stdout.write(
            f"token       {server.token}   (opens nothing but this sandbox)"
        )
        self.stdout.write(f"controls    {server.hubspot_url}/_sandbox/state")
        self.stdout.write(f"PostgreSQL  {dsn}")
        self.stdout.write(f"Airtable    {airtable.url}   base {MAIN_BASE}")
        self.stdout.write(f"token       {TOKENS[0].text}")
        self.stdout.write(f"Kintone     {kintone.url}   user {login} / {password}")
        self.stdout.write("Ctrl-C stops all; what they hold is kept.")
        self.stdout.flush()


def _postgres(folder: Path) -> PostgresServer:
    return PostgresServer(folder / "postgres")


def _switch(text: str) -> tuple[str, Value]:
    name, found, value = text.partition("=")
    if not found:
        raise Refused(f"--switch takes NAME=VALUE, not {text!r}.")
    words: dict[str, Value] = {"true": True, "false": False}
    if value in words:
        return name, words[value]
    try:
        number = float(value)
    except ValueError:
        return name, value
    return name, int(number) if number == int(number) else number


def reset(folder: Path) -> None:
    """Forget the sandbox's state; a server that is left running is stopped."""
    if (folder / "postgres").exists():
        server = PostgresServer(folder / "postgres")
        server.start()
        server.destroy()
    shutil.rmtree(folder, ignore_errors=True)
