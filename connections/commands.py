"""What every command shares: errors in one line on stderr, and honest exit codes."""

from __future__ import annotations

import os
import sys
from types import MethodType
from typing import Any, NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, ProgrammingError

from connections.connectors.base import ConnectorError
from connections.redaction import redact

FAILED, USAGE = 1, 2  # exit codes
INTERRUPTED = 130
PIPE_CLOSED = 141  # as shells report SIGPIPE


class Refused(CommandError):
    """Bad usage or bad configuration: nothing was changed (exit 2)."""

    def __init__(self, text: str) -> None:
        super().__init__(text, returncode=USAGE)


class OneLineParser(CommandParser):
    """Says what is wrong with the arguments in one line."""

    def error(self, message: str) -> NoReturn:
        command = self.prog.partition("manage.py ")[2] or self.prog.split()[-1]
        raise Refused(f"{message} (see manage.py {command} --help)")


class Command(BaseCommand):
    """A command whose errors are one line that names the thing and the remedy."""

    requires_system_checks: list[str] = []

    def create_parser(
        self, prog_name: str, subcommand: str, **kwargs: Any
    ) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.error = MethodType(OneLineParser.error, parser)  # type: ignore[method-assign]
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        """Run as from the shell; always ends the process where something is wrong."""
        try:
            super().run_from_argv(argv)
        except Refused as exc:
            self._end(str(exc), exc.returncode)
        except KeyboardInterrupt:
            self._end("Interrupted.", INTERRUPTED)
        except BrokenPipeError:
            # Whoever reads (head, a pager) has seen enough; nothing is left to flush.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(PIPE_CLOSED) from None

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except CommandError as exc:
            self._end(str(exc), exc.returncode)
        except ConnectorError as exc:
            self._end(f"{exc.code}: {exc.message} {exc.remedy}", FAILED)
        except ImproperlyConfigured as exc:
            self._end(str(exc), USAGE)
        except (OperationalError, ProgrammingError) as exc:
            self._end(_database(exc), USAGE)

    def _end(self, text: str, status: int) -> NoReturn:
        line = " ".join(redact(text).split())
        self.stderr.write(line, self.style.ERROR)
        raise SystemExit(status)


def _database(exc: Exception) -> str:
    text = str(exc)
    if "no such table" in text or "does not exist" in text:
        return "The database is not set up: run manage.py migrate."
    return f"The database cannot be used: {text}"
