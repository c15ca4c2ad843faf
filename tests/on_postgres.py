"""Run tests that use our own database once more, on a PostgreSQL of their own.

`python -m tests.on_postgres [--essential] [pytest's arguments]`: all of them, or those in
which the database itself decides something, one case of each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from connections.sandbox.postgres import PostgresServer

# What of PostgreSQL a test shows. The others tell of rules that no database knows of, and
# each of their statements is made by one of these too; `make test-postgres` runs them all.
ESSENTIAL = {
    "tests/test_admin_at_size.py": "plans of statements, trigram search",
    "tests/test_admin_pages.py": "every page's statements",
    "tests/test_admin_approvals.py": "DISTINCT, subqueries, EXISTS",
    "tests/test_budgets.py": "the database's clock, one row for several processes",
    "tests/test_busy_database.py": "several writers at once",
    "tests/test_by_key.py::test_a_plan_is_applied_and_taken_back_with_the_text_that_stood_there": "text beside text of another table",
    "tests/test_campaign.py": "transactions cut off anywhere, locks, upserts",
    "tests/test_commands.py::test_rotated_keys_open_what_the_old_ones_sealed": "FOR UPDATE over a table",
    "tests/test_config.py": "DATABASE_URL, the probes' statement",
    "tests/test_crowds.py": "sets of ids by the thousand",
    "tests/test_drift.py": "joins over links",
    "tests/test_explain.py::test_each_gate_that_is_shut_says_why_and_what_to_do": "reading what stands",
    "tests/test_gone.py::test_asked_it_waits_over_runs_and_is_done_once_approved": "twins by key",
    "tests/test_handover.py": "DISTINCT over several tables",
    "tests/test_identity.py": "matching in the database",
    "tests/test_idset.py": "updates in pieces",
    "tests/test_join_rows.py::test_an_undo_gives_labels_back_on_either_side_and_leaves_them_apart": "a key of JSON that a row has",
    "tests/test_kill.py": "a process killed anywhere",
    "tests/test_main_job.py": "a change of each kind, both ways",
    "tests/test_migrations.py": "indexes CONCURRENTLY, lock_timeout",
    "tests/test_proof.py": "sums over links",
    "tests/test_pruning.py": "deletes in pieces, EXISTS",
    "tests/test_recovery.py::test_a_database_error_ends_the_run_and_its_parent_as_failed": "a transaction that failed",
    "tests/test_recovery.py::test_a_worker_whose_lease_was_taken_meanwhile_keeps_nothing": "fencing",
    "tests/test_rehearsing.py": "rows inserted out of rows, and their statistics",
    "tests/test_resume.py": "sessions that the server ends",
    "tests/test_review.py::test_a_conflict_waits_and_the_rest_of_the_record_goes_on": "FOR UPDATE, keys of JSON",
    "tests/test_rubbish.py::test_no_query_of_an_address_fails_a_page": "text that it does not take",
    "tests/test_tasks.py": "the queue's rows",
    "tests/test_two_runs.py": "leases between processes",
    "tests/test_windows.py": "sums of times to the microsecond, values out of JSON",
}


def main(arguments: list[str]) -> int:
    """Start a server, run pytest against it, stop it.

    Args: arguments, handed to pytest as they are but for `--essential`, which gives way
        to files that are named.
    Returns: pytest's exit status.
    """
    if "--essential" in arguments:
        arguments = [a for a in arguments if a != "--essential"]
        named = any(Path(a.partition("::")[0]).exists() for a in arguments)
        arguments += ["--one-case", *(() if named else ESSENTIAL)]
    with tempfile.TemporaryDirectory(prefix="crosslink-pg-") as folder:
        # PostgreSQL refuses to run as root; its own user must get to its data in here.
        os.chmod(folder, 0o755)
        with PostgresServer(Path(folder) / "data", fast=True) as server:
            command = [sys.executable, "-m", "pytest", "--database-only"]
            status = subprocess.run(
                [*command, *arguments],
                env={**os.environ, "DATABASE_URL": server.dsn("crosslink")},
                stdin=subprocess.DEVNULL,
                check=False,
            ).returncode
    # A narrower choice of tests may well hold none that use a database.
    nothing_to_run = arguments and status == pytest.ExitCode.NO_TESTS_COLLECTED
    return 0 if nothing_to_run else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
