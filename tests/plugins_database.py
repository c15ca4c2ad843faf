"""What tests on our own database cost: a quick end to one that commits."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TransactionTestCase

Rows = list[tuple[Any, ...]]
_flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]


class Emptied:
    """How Django's flush leaves a database, and what brings it back there.

    The flush empties every table and then makes permissions and content types anew. All
    that takes longer than most tests; few tables hold anything after one.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._alias = connection.alias
        tables = connection.introspection.django_table_names(
            only_existing=True, include_views=False
        )
        filled = _filled(connection, tables)
        self._empty = [table for table in tables if table not in filled]
        self._kept = {table: _rows(connection, table) for table in filled}

    def again(self) -> bool:
        """Empty what was empty. Returns: whether the rest is as it was."""
        connection = connections[self._alias]
        some = _filled(connection, self._empty)
        with (
            connection.constraint_checks_disabled(),
            transaction.atomic(using=self._alias),
            connection.cursor() as cursor,
        ):
            if connection.vendor == "postgresql":  # which has no such switch
                cursor.execute("SET LOCAL session_replication_role = replica")
            for table in some:
                cursor.execute(f'DELETE FROM "{table}"')
        return all(_rows(connection, t) == rows for t, rows in self._kept.items())


def _filled(connection: BaseDatabaseWrapper, tables: list[str]) -> list[str]:
    looks = ", ".join(f'EXISTS (SELECT 1 FROM "{table}")' for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {looks}")
        found = cursor.fetchone()
    return [table for table, any_ in zip(tables, found, strict=True) if any_]


def _rows(connection: BaseDatabaseWrapper, table: str) -> Rows:
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT * FROM "{table}" ORDER BY 1')
        return list(cursor.fetchall())


_emptied: dict[str, Emptied] = {}


def _end(test: Any) -> None:
    """Take the place of the flush after a test that commits."""
    for alias in test._databases_names(include_mirrors=False):
        if alias not in _emptied or not _emptied[alias].again():
            _flush(test)
            _emptied[alias] = Emptied(connections[alias])


TransactionTestCase._fixture_teardown = _end  # type: ignore[attr-defined]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Spare the collector what is there for good: modules by the thousand, looked through
    every few tests, took a tenth of the suite's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _no_short_budget() -> None:
    """Let an account that says nothing of limits have ample ones: waiting for the usual
    hundred calls in ten seconds took a test that applies some files half a minute."""
    from connections.models import HubSpotAccount  # once Django is ready

    for name in (
        "requests_per_10s",
        "association_requests_per_10s",
        "search_per_second",
    ):
        field: Any = HubSpotAccount._meta.get_field(name)
        field.default = 1_000_000.0
        vars(field).pop("_get_default", None)  # which Django keeps
