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

END_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
# Nothing outside the schema: no rights of a role, no setting, publication or the like.
IS_BARE = """
WITH here AS (SELECT oid FROM pg_database WHERE datname = current_database())
SELECT NOT EXISTS (SELECT 1 FROM pg_shdepend, here WHERE dbid = here.oid)
  AND NOT EXISTS (SELECT 1 FROM pg_db_role_setting, here WHERE setdatabase = here.oid)
  AND NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE database = current_database())
  AND NOT EXISTS (SELECT 1 FROM pg_publication)
  AND NOT EXISTS (SELECT 1 FROM pg_event_trigger)
  AND NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname <> 'plpgsql')
  AND NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname !~ '^pg_'
                  AND nspname NOT IN ('information_schema', 'public'))
"""
# The rights of template1's own.
EMPTY = """
DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC
"""


class Databases:
    """A running server that hands out databases nobody else has."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self._numbers = itertools.count(1)
        self._ours: str | None = None  # the empty one that each test gets in turn

    def dsn(self, dbname: str = "app") -> str:
        """The URL of a new, empty database; its name starts with `dbname`."""
        return self.server.dsn(f"{dbname}_{next(self._numbers)}")

    def lend(self) -> str:
        """The URL of an empty database until `take_back`; made anew only if need be."""
        if self._ours is None:
            self._ours = self.dsn("test")
        return self._ours

    def take_back(self) -> None:
        """Empty the database that was lent, or drop it where emptying does not do."""
        dsn, self._ours = self._ours, None
        if dsn is None:
            return
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(END_OTHERS)
            (bare,) = conn.execute(IS_BARE).fetchone() or (False,)
            if bare:
                conn.execute(EMPTY)
                self._ours = dsn
        if not bare:
            self.drop(dsn)

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
    """An empty database for one test."""
    yield postgres.lend()
    postgres.take_back()
