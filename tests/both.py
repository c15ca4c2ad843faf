"""The whole suite on SQLite, and beside it on PostgreSQL what needs a second database.

`python -m tests.both [pytest's arguments]`. Both take turns on the same cores: the one
works while the other waits. What PostgreSQL's part said follows when both are done.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

POSTGRES = ["-m", "tests.on_postgres", "--essential"]


def main(arguments: list[str]) -> int:
    """Run both parts. Returns: 0, or the exit status of one that failed."""
    with tempfile.TemporaryFile("w+") as said:
        beside = subprocess.Popen(
            [sys.executable, *POSTGRES, *arguments, "-n", "0"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            first = subprocess.run(
                [sys.executable, "-m", "pytest", *arguments],
                stdin=subprocess.DEVNULL,
                check=False,
            ).returncode
        finally:  # Ctrl-C reaches both by itself
            second = beside.wait()
        said.seek(0)
        print("\n=== on PostgreSQL ===", said.read(), sep="\n")  # noqa: T201
    return first or second


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
