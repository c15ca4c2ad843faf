"""The tables of a schema as the server's catalogue has them, asked for once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

from connections.connectors.base import SchemaError
from connections.connectors.postgres.catalogue import CATALOGUE, table_of
from connections.connectors.postgres.database import Database
from connections.connectors.postgres.fields import keyless
from connections.connectors.postgres.keys import key_of
from connections.connectors.postgres.server import ELSEWHERE, SYSTEM, control
from connections.connectors.postgres.tables import Table
from connections.records import ObjectType, same_system


class Tables:
    """What is known of a schema's tables; safe to use from several threads.

    Args: keys, those of views, as the settings name them; system, the one that is
        expected ("": any).
    """

    def __init__(
        self, database: Database, schema: str, keys: Sequence[str], system: str
    ) -> None:
        self._db = database
        self._schema = schema
        self._keys = keys
        self._system = system
        self._known: dict[str, Table] = {}
        self._complete: set[str] = set()  # tables whose targets are known too
        self._lock = Lock()

    def read(self) -> dict[str, Table]:
        """All tables, asked for again."""
        with self._lock:
            self._known = self.ask(None)
            self._complete = set(self._known)
            return dict(self._known)

    def ask(self, tables: list[str] | None) -> dict[str, Table]:
        """Tables with their foreign keys' targets, or all (None), as they are now.

        Raises: SchemaError where they are not those of the system that was expected.
        """
        rows = control(
            self._db,
            lambda system: CATALOGUE.format(system=system),
            {"schema": self._schema, "tables": tables},
            asked=SYSTEM,
        )
        if rows and not same_system(rows[0][0], self._system):
            raise SchemaError(ELSEWHERE)
        return {
            row[1]: table_of(self._schema, row, key_of(row[1], self._keys))
            for row in rows
        }

    def of(self, obj: ObjectType) -> tuple[Table, Mapping[str, Table]]:
        """A table as the server has it, and its foreign keys' targets.

        Raises: SchemaError where it is gone or has no primary key.
        """
        table, tables = self.named(obj.id), self._known
        if table is None:
            self.forget(obj.id)
            raise SchemaError(f"The schema {self._schema} has no table {obj.id}.")
        if not table.key:
            raise SchemaError(keyless(table))
        if obj.key and obj.key != table.key:
            raise SchemaError(
                f"The key of {obj.id} was {', '.join(obj.key)} and is now "
                f"{', '.join(table.key)}: its old ids may be those of other rows."
            )
        return table, tables

    def named(self, name: str) -> Table | None:
        """A table as the server has it, with or without a key; None if there is none."""
        with self._lock:
            if name not in self._complete:
                self._known |= self.ask([name])
                if name in self._known:
                    self._complete.add(name)
            return self._known.get(name)

    def forget(self, name: str) -> None:
        """Ask the server's catalogue again next time."""
        with self._lock:
            self._complete.discard(name)
            self._known = {n: t for n, t in self._known.items() if n != name}
