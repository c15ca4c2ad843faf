"""Apply and export the set-up file."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from associations.handover import FORMATS, document
from associations.setup.applying import apply
from associations.setup.exporting import export
from associations.setup.guessing import Guess
from associations.setup.problems import SetupRefused, hint
from connections.commands import USAGE, OneLineParser, Refused
from connections.commands import Command as Base
from connections.models import ConnectedApp


class Command(Base):
    help = (
        "Apply a set-up file, or print what is configured: as a file, or as a document."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(
            dest="action", metavar="{apply,export,document}", parser_class=OneLineParser
        )
        applying = actions.add_parser(
            "apply", help="validate a file and make the database match it"
        )
        applying.add_argument("file", metavar="FILE", help="YAML; - for standard input")
        applying.add_argument(
            "--check", action="store_true", help="only validate; change nothing"
        )
        applying.add_argument(
            "--prune", action="store_true", help="archive what the file leaves out"
        )
        applying.add_argument(
            "--moved",
            metavar="NAME",
            action="append",
            default=[],
            help="this app's database was moved: its records are the same ones",
        )
        applying.add_argument(
            "--create-labels",
            action="store_true",
            help="make association labels that HubSpot has not; confirms that they are "
            "wanted there",
        )
        applying.add_argument(
            "--json", action="store_true", help="print one JSON object"
        )
        exporting = actions.add_parser("export", help="print the set-up file")
        exporting.add_argument("--app", metavar="NAME", help="only this app")
        document = actions.add_parser(
            "document",
            help="print the hand-over document: what syncs, by which rules, and what is "
            "known not to be in step",
        )
        document.add_argument("--app", metavar="NAME", help="only this app")
        document.add_argument("--format", choices=FORMATS, default="md")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["action"]:
            case "apply":
                self._apply(**options)
            case "export":
                self._export(options["app"])
            case "document":
                self._document(options["app"], options["format"])
            case _:
                raise Refused(
                    "Say what to do: setup apply FILE, setup export or setup document."
                )

    def _apply(self, **options: Any) -> None:
        text = _read(options["file"])
        warnings: list[str] = []
        guessed: list[Guess] = []
        try:
            changed = apply(
                text,
                os.environ,
                check=options["check"],
                prune=options["prune"],
                moved=options["moved"],
                create_labels=options["create_labels"],
                warnings=warnings,
                guessed=guessed,
            )
        except SetupRefused as exc:
            self._refuse(exc, as_json=options["json"])
        if options["json"]:
            shown = {"checked": options["check"], "changed": changed, "problems": []}
            shown |= {"warnings": warnings, "guessed": [asdict(g) for g in guessed]}
            self.stdout.write(json.dumps(shown))
            return
        for warning in warnings:
            self.stdout.write(f"Warning: {warning}")
        for guess in guessed if options["check"] else ():
            self.stdout.write(f"Guessed: {guess}")
        if options["check"]:
            self.stdout.write("The file is right; nothing was changed.")
        for line in changed:
            self.stdout.write(f"would: {line}" if options["check"] else line)
        if not changed and not options["check"]:
            self.stdout.write("Everything is as the file says; nothing changed.")

    def _refuse(self, refused: SetupRefused, *, as_json: bool) -> None:
        """Every problem with its path, one a line."""
        if as_json:
            problems = [{"path": p.path, "text": p.text} for p in refused.problems]
            self.stdout.write(
                json.dumps({"checked": True, "changed": [], "problems": problems})
            )
        for problem in refused.problems:
            self.stderr.write(" ".join(str(problem).split()), self.style.ERROR)
        raise SystemExit(USAGE)

    def _export(self, name: str | None) -> None:
        try:
            self.stdout.write(export(*([name] if name is not None else [])), ending="")
        except LookupError:
            raise _no_app(name) from None

    def _document(self, name: str | None, form: str) -> None:
        try:
            text = document([name] if name is not None else [], form=form)
        except LookupError:
            raise _no_app(name) from None
        self.stdout.write(text, ending="")


def _no_app(name: str | None) -> Refused:
    apps = ConnectedApp.objects.filter(archived_at=None)
    known = apps.values_list("name", flat=True)
    return Refused(f"There is no connected app {name!r}.{hint(name or '', known)}")


def _read(name: str) -> str:
    try:
        if name == "-":
            return sys.stdin.read()
        return Path(name).read_text(encoding="utf-8")
    except OSError as exc:
        raise Refused(f"{name} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise Refused(f"{name} is not UTF-8 text.") from exc
