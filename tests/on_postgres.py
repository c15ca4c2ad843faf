"""Run the tests that use our own database once more, on a PostgreSQL of their own.

`python -m tests.on_postgres [pytest's arguments]`
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from connections.sandbox.postgres import PostgresServer


def main(arguments: list[str]) -> int:
    """Start a server, run pytest against it, stop it.

    Args: arguments, handed to pytest as they are.
    Returns: pytest's exit status.
    """
    with tempfile.TemporaryDirectory(prefix="crosslink-pg-") as folder:
        # PostgreSQL refuses to run as root; its own user must get to its data in here.
        os.chmod(folder, 0o755)
        with PostgresServer(Path(folder) / "data", fast=True) as server:
            command = [sys.executable, "-m", "pytest", "--database-only"]
            status = subprocess.run(
                [*command, "-m", "not e2e", *arguments],
                env={**os.environ, "DATABASE_URL": server.dsn("crosslink")},
                stdin=subprocess.DEVNULL,
                check=False,
            ).returncode
    # A narrower choice of tests may well hold none that use a database.
    nothing_to_run = arguments and status == pytest.ExitCode.NO_TESTS_COLLECTED
    return 0 if nothing_to_run else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
