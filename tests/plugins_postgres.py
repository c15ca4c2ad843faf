"""Fixtures that need a real PostgreSQL as the connected app (not as our own database)."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from connections.sandbox.postgres import PostgresServer


class Databases:
    """A running server that hands out databases nobody else has."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self._numbers = itertools.count(1)

    def dsn(self, dbname: str = "app") -> str:
        """The URL of a new, empty database; its name starts with `dbname`."""
        return self.server.dsn(f"{dbname}_{next(self._numbers)}")

    def drop(self, dsn: str) -> None:
        """Remove a database, whoever is still connected to it."""
        name = sql.Identifier(dsn.rsplit("/", 1)[1])
        with psycopg.connect(self.server.dsn(), autocommit=True) as conn:
            conn.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name)
            )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """The session's own PostgreSQL server."""
    with tempfile.TemporaryDirectory(prefix="crosslink-pg-") as folder:
        os.chmod(folder, 0o755)  # the user that the server runs as must get in
        server = PostgresServer(Path(folder) / "data", fast=True)
        server.start()
        try:
            yield Databases(server)
        finally:
            server.destroy()


@pytest.fixture
def pg_dsn(postgres: Databases) -> Iterator[str]:
    """A fresh database for one test."""
    dsn = postgres.dsn("test")
    yield dsn
    postgres.drop(dsn)
