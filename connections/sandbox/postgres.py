"""A real PostgreSQL server on loopback, for the sandbox, the demo and the tests.

It trusts whoever connects, so it listens on 127.0.0.1 alone and on no socket.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg
from psycopg import sql

from connections.sandbox.postgres_binaries import (
    Account,
    Binaries,
    ServerError,
    account,
    find_binaries,
    lend,
    reachable,
    run_as,
)

__all__ = ["PostgresServer", "ServerError"]

SUPERUSER = "postgres"
START_TRIES = 5  # a free port may be taken by another before the server has it
WAIT_S = 60  # for a start, recovery after a kill included, and for a stop
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "timezone": "UTC",
}
# Nothing reaches the disk in time: for data that nobody needs after a power cut.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresServer:
    """One server with its own data folder; state is kept between starts.

    Root may not run PostgreSQL, so under root it runs as `postgres` or `nobody`; where
    that user cannot enter `data_dir`, the data lives in a folder it can and `data_dir`
    holds a file that names it. A folder that was emptied means: start afresh.
    """

    def __init__(
        self, data_dir: Path, port: int | None = None, *, fast: bool = False
    ) -> None:
        """Prepare; nothing is started yet.

        Args: data_dir, where the data is kept; port, on loopback (None: the last one
        used if it is free, else any); fast, do not wait for the disk.
        """
        self.data_dir = Path(data_dir).absolute()
        self.port = port
        self._wanted_port = port
        self._fast = fast
        self._user: Account | None = None
        self._cluster = self.data_dir
        self._binaries: Binaries | None = None
        self._owned = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, making its data first where there is none.

        A server that a killed process left running is taken over; one that a living
        process runs is used and not stopped.
        Raises: ServerError.
        """
        self._user = account()
        self._cluster = self._settle()
        version = self._cluster / "PG_VERSION"
        major = int(version.read_text()) if version.exists() else None
        found = find_binaries(major)
        self._binaries = lend(found, self._user, self._base())
        if major is None:
            self._make()
        if self._running():
            self._owned = not self._owner_lives()
        else:
            self._launch()
            self._owned = True
        if self._owned:
            owner = {"pid": os.getpid(), "since": psutil.Process().create_time()}
            self._file("owner").write_text(json.dumps(owner))

    def stop(self) -> None:
        """Stop the server, if it was this object that started or took it over."""
        if not self._owned:
            return
        self._owned = False
        self._control("stop", "-m", "fast")
        self._file("owner").unlink(missing_ok=True)

    def destroy(self) -> None:
        """Stop the server and remove its data."""
        self.stop()
        shutil.rmtree(self._cluster, ignore_errors=True)
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def dsn(self, dbname: str = SUPERUSER) -> str:
        """The libpq URL of a database, which is created if it is missing."""
        if dbname != SUPERUSER:
            self._ensure_database(dbname)
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{dbname}"

    def _ensure_database(self, dbname: str) -> None:
        with psycopg.connect(self.dsn(), autocommit=True) as conn:
            known = conn.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [dbname]
            ).fetchone()
            if known is None:
                create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(dbname))
                conn.execute(create)

    # Where the data is ------------------------------------------------------------------

    def _base(self) -> Path:
        """A folder that every user may enter, throw-away like the data or lasting."""
        temporary = Path(tempfile.gettempdir()).absolute()
        lasting = Path("/var/lib")
        if self.data_dir.is_relative_to(temporary) or not os.access(lasting, os.W_OK):
            return temporary
        base = lasting / "crosslink"
        base.mkdir(mode=0o755, exist_ok=True)
        return base

    def _settle(self) -> Path:
        """Choose the folder of the data, and empty it if `data_dir` was emptied."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self._user is None or reachable(self._user, self.data_dir.parent):
            return self.data_dir
        name = hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:12]
        cluster = self._base() / f"crosslink-postgres-{name}"
        marker = self.data_dir / "location"
        if not marker.exists():
            if cluster.exists():
                self._end_leftover(cluster)
                shutil.rmtree(cluster)
            marker.write_text(f"{cluster}\n")
        cluster.mkdir(exist_ok=True)
        return cluster

    def _end_leftover(self, cluster: Path) -> None:
        """End the server of data that was thrown away under it."""
        self._cluster = cluster
        if self._running() and not self._owner_lives():
            self._binaries = lend(find_binaries(), self._user, self._base())
            self._control("stop", "-m", "immediate")

    def _file(self, name: str) -> Path:
        return self._cluster / f"crosslink-{name}"

    def _make(self) -> None:
        if self._user is not None:
            os.chown(self._cluster, self._user.uid, self._user.gid)
        command = [
            *("--pgdata", str(self._cluster), "--username", SUPERUSER),
            *("--auth", "trust", "--encoding", "UTF8", "--locale", "C"),
        ]
        made = self._run("initdb", *command, *(["--no-sync"] if self._fast else []))
        if made.returncode != 0:
            raise ServerError(
                f"PostgreSQL could not make its data in {self._cluster}: "
                f"{made.stderr.strip()}"
            )

    # The process ------------------------------------------------------------------------

    def _run(self, program: str, *arguments: str):  # type: ignore[no-untyped-def]
        if self._binaries is None:
            raise ServerError("The server was not started.")
        command = [str(self._binaries.folder / program), *arguments]
        # The user's own settings (PGPORT, PGDATA, a locale that is not installed) stay out.
        return run_as(self._user, command, env={"LC_ALL": "C", "PATH": os.defpath})

    def _control(self, *arguments: str):  # type: ignore[no-untyped-def]
        common = ("--pgdata", str(self._cluster), "-w", "-t", str(WAIT_S))
        return self._run("pg_ctl", *arguments, *common)

    def _launch(self) -> None:
        log = self._file("log")
        told = ""
        for _ in range(START_TRIES):
            self.port = self._wanted_port or self._free_port()
            settings = {**SETTINGS, **(FAST if self._fast else {})}
            options = " ".join(f"-c {k}={v}" for k, v in settings.items())
            started = self._control(
                "start", "--log", str(log), "-o", f"-p {self.port} {options}"
            )
            if started.returncode == 0:
                self._file("port").write_text(str(self.port))
                return
            told = log.read_text(errors="replace")[-600:] if log.exists() else ""
            told = told or started.stderr
            if self._wanted_port or "could not bind" not in told:
                break
            self._file("port").unlink(missing_ok=True)
        raise ServerError(
            f"PostgreSQL did not start on port {self.port}: {told.strip()}"
        )

    def _free_port(self) -> int:
        last = self._file("port")
        wanted = [int(last.read_text())] if last.exists() else []
        for port in (*wanted, 0):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return int(probe.getsockname()[1])
        raise ServerError("No free port on 127.0.0.1.")

    def _running(self) -> bool:
        """Whether a server runs on our data; what a dead one left is cleared away."""
        pid_file = self._cluster / "postmaster.pid"
        try:
            lines = pid_file.read_text().splitlines()
        except FileNotFoundError:
            return False
        try:
            process = psutil.Process(int(lines[0]))
            ours = str(self._cluster) in process.cmdline()
        except (IndexError, ValueError, psutil.Error):
            ours = False
        if ours and len(lines) > 3:
            self.port = int(lines[3])
            return True
        # PostgreSQL itself would take any process with this number for its own.
        pid_file.unlink(missing_ok=True)
        return False

    def _owner_lives(self) -> bool:
        try:
            owner = json.loads(self._file("owner").read_text())
            process = psutil.Process(int(owner["pid"]))
            return bool(process.create_time() == owner["since"])
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return False
