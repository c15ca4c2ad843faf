"""PostgreSQL as a connected system: tables are object types, rows are records."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from threading import Lock
from typing import Any

from psycopg import sql

from connections.catalogue import Code
from connections.connectors.base import (
    ConnectorError,
    Context,
    SchemaError,
    ScopeError,
)
from connections.connectors.postgres.database import Database
from connections.connectors.postgres.errors import RowError
from connections.connectors.postgres.fields import schema_of
from connections.connectors.postgres.reading import (
    FETCH_BATCH,
    PAGE_SIZE,
    Reader,
    Selection,
    changed_column,
    need_column,
    select,
)
from connections.connectors.postgres.tables import (
    CATALOGUE,
    UUID_DEFAULT,
    Column,
    Table,
    table_of,
)
from connections.connectors.postgres.writing import Writer
from connections.records import (
    Capabilities,
    Draft,
    Fetched,
    ObjectType,
    Outcome,
    Page,
    Patch,
    Record,
    Report,
    Schema,
    Want,
    Window,
)

WRITE_BATCH = 500  # rows in one statement
OVERLAP_S = 300.0  # a transaction that wrote earlier may commit later than one we saw
OLDEST = 130_000  # server_version_num; xid8 and what else is asked for came with 13
RESERVE_ROUNDS = 5  # how often a sequence may give numbers that rows already have

TEST = sql.SQL("""
SELECT current_user, current_database(), current_setting('server_version'),
  current_setting('server_version_num')::int, pg_is_in_recovery(),
  current_setting('default_transaction_read_only') = 'on',
  coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
  (SELECT has_schema_privilege(n.oid, 'USAGE') FROM pg_namespace n
   WHERE n.nspname = %(schema)s),
  ARRAY(SELECT c.relname::text FROM pg_class c
   JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND (%(tables)s::text[] IS NULL OR c.relname = ANY(%(tables)s))
   AND row_security_active(c.oid) ORDER BY 1)
""")
TAKE_NUMBERS = sql.SQL("""
SELECT s.v::text FROM (
  SELECT nextval(%s::text::regclass) AS v FROM generate_series(1, %s)) s
WHERE NOT EXISTS (SELECT 1 FROM {} AS t WHERE t.{} = s.v) ORDER BY s.v
""")


# What Python's times can hold, with a day to spare for time zones.
EARLIEST, LATEST = sql.SQL("'0001-01-02'"), sql.SQL("'9999-12-30'")


def _unstamped(name: sql.Identifier) -> sql.Composed:
    """Rows without a time, or with one that says nothing."""
    return sql.SQL("({0} IS NULL OR {0} < {1} OR {0} >= {2})").format(
        name, EARLIEST, LATEST
    )


class PostgresConnector:
    """Tables of one schema; safe to use from several threads.

    Args: settings, "schema" (default public) and "tables" (the only ones to offer);
        credentials, "dsn", a libpq URL; context, what the caller lends. The context's
        meter counts statements that carry data or ask for it.
    """

    kind = "postgres"
    capabilities = Capabilities(
        page_size=PAGE_SIZE,
        write_batch=WRITE_BATCH,
        fetch_batch=FETCH_BATCH,
        changes=True,
        overlap_s=OVERLAP_S,
        reserves_ids=True,
        undo_create="A row that was inserted cannot be archived: delete it by hand.",
    )

    def __init__(
        self,
        settings: Mapping[str, Any],
        credentials: Mapping[str, Any],
        context: Context,
    ) -> None:
        self._schema = str(settings.get("schema") or "public")
        chosen = settings.get("tables")
        self._chosen = [str(name) for name in chosen] if chosen else None
        self._db = Database(credentials.get("dsn"), context)
        self._tables: dict[str, Table] = {}
        self._complete: set[str] = set()  # tables whose targets are known too
        self._lock = Lock()

    def close(self) -> None:
        self._db.close()

    # Who and what ----------------------------------------------------------------------

    def test(self) -> Report:
        """One statement that proves log-in, database and schema.

        Raises: AuthError, ScopeError, SchemaError, TransientError.
        """
        names = {"schema": self._schema, "tables": self._chosen}
        ((user, database, version, number, replica, reads, tls, usage, hidden),) = (
            self._db.read(TEST, names)
        )
        self._check_schema(usage, user)
        warnings = []
        if number < OLDEST:
            warnings.append(f"PostgreSQL {version} is older than 13: expect errors.")
        if replica:
            warnings.append("This is a read replica: nothing can be written to it.")
        elif reads:
            warnings.append("The role may only read: nothing can be written.")
        if not tls and not self._db.is_local:
            warnings.append(
                "The connection is not encrypted: add sslmode=verify-full to the dsn."
            )
        if hidden:
            warnings.append(
                "Row-level security applies to this role, so rows may be hidden and none "
                f"is ever taken for deleted: {', '.join(hidden)}."
            )
        return Report(
            account=f"{user} at {self._db.where}/{database}",
            details={
                "server": f"PostgreSQL {version}",
                "user": user,
                "database": database,
                "schema": self._schema,
                "encrypted": "yes" if tls else "no",
            },
            warnings=tuple(warnings),
        )

    def _check_schema(self, usage: bool | None, user: str) -> None:
        if usage is None:
            raise SchemaError(f"The database has no schema {self._schema}.")
        if not usage:
            raise ScopeError(
                f"The role {user} may not use the schema {self._schema}: "
                f"GRANT USAGE ON SCHEMA {self._schema} TO {user}."
            )

    def discover(self) -> Schema:
        """Read tables, columns and keys: one statement."""
        tables = self._read_tables()
        if not tables:
            self.test()
        missing = sorted(set(self._chosen or ()) - set(tables))
        if missing:
            raise SchemaError(
                f"The schema {self._schema} has no table {', '.join(missing)}."
            )
        return self._offer(tables)

    def describe(self, obj: ObjectType) -> ObjectType | None:
        """Read it with all the others; one that is gone stops no other."""
        return self._offer(self._read_tables()).object(obj.id)

    def _read_tables(self) -> dict[str, Table]:
        with self._lock:
            self._tables = self._catalogue(None)
            self._complete = set(self._tables)
            return dict(self._tables)

    def _offer(self, tables: dict[str, Table]) -> Schema:
        offered = set(tables if self._chosen is None else self._chosen)
        return schema_of(tables, offered & set(tables))

    def _catalogue(self, tables: list[str] | None) -> dict[str, Table]:
        rows = self._db.read(CATALOGUE, {"schema": self._schema, "tables": tables})
        return {row[0]: table_of(self._schema, row) for row in rows}

    def _table(self, obj: ObjectType) -> tuple[Table, Mapping[str, Table]]:
        """A table as the server has it, and its foreign keys' targets.

        Raises: SchemaError where it is gone or has no primary key.
        """
        with self._lock:
            if obj.id not in self._complete:
                self._tables |= self._catalogue([obj.id])
                self._complete.add(obj.id)
            table, tables = self._tables.get(obj.id), self._tables
        if table is None:
            self._forget(obj)
            raise SchemaError(f"The schema {self._schema} has no table {obj.id}.")
        if not table.key:
            raise SchemaError(
                f"{obj.id} has no primary key, by which its rows could be told apart."
            )
        return table, tables

    def _forget(self, obj: ObjectType) -> None:
        """Ask the server's catalogue again next time."""
        with self._lock:
            self._complete.discard(obj.id)
            self._tables = {n: t for n, t in self._tables.items() if n != obj.id}

    # Reading ---------------------------------------------------------------------------

    def pages(
        self, obj: ObjectType, want: Want, cursor: str | None = None
    ) -> Iterator[Page]:
        """Read every row by its primary key; `cursor` is a JSON list of a key's texts."""
        yield from self._reader(obj, want).pages(cursor)

    def _reader(self, obj: ObjectType, want: Want) -> Reader:
        return Reader(self._db, self._selection(obj, want))

    def _selection(self, obj: ObjectType, want: Want) -> Selection:
        table, tables = self._table(obj)
        return select(table, tables, obj, want)

    def changed(
        self,
        obj: ObjectType,
        want: Want,
        *,
        after: datetime,
        until: datetime | None = None,
    ) -> Iterator[Page]:
        """Read rows by `want.changed_field`; one without a value there never shows.

        A transaction that commits late shows an older time than it could be read at:
        the caller counts an overlap again.
        """
        chosen = self._selection(obj, want)
        where, params = self._window(obj, want, after, until)
        for page in Reader(self._db, chosen).pages(None, where, params):
            yield replace(page, cursor=None)

    def window(
        self, obj: ObjectType, want: Want, *, after: datetime, until: datetime
    ) -> Window:
        """Count rows and add up their times: what a late commit changes shows in that."""
        table, _ = self._table(obj)
        where, params = self._window(obj, want, after, until)
        name = sql.Identifier("t", want.changed_field)
        statement = sql.SQL(
            "SELECT count(*) FILTER (WHERE {where}), "
            "sum((extract(epoch FROM {name}) * 1000000)::bigint) FILTER (WHERE {where}), "
            "count(*) FILTER (WHERE {never}) FROM {table} AS t "
            "WHERE ({where}) OR ({never})"
        ).format(where=where, name=name, never=_unstamped(name), table=table.identifier)
        count, stamps, unstamped = self._db.read(
            statement, [*params, *params, *params]
        )[0]
        return Window(count, stamps=int(stamps or 0), unstamped=unstamped)

    def unstamped(self, obj: ObjectType, want: Want) -> Iterator[Page]:
        where = _unstamped(sql.Identifier("t", want.changed_field))
        plain = replace(want, changed_field="")
        for page in self._reader(obj, plain).pages(None, where):
            yield replace(page, cursor=None)

    def _window(
        self, obj: ObjectType, want: Want, after: datetime, until: datetime | None
    ) -> tuple[sql.Composed, list[datetime]]:
        table, _ = self._table(obj)
        if not want.changed_field:
            raise SchemaError(f"No column of change time is set for {table.name}.")
        column = changed_column(table, obj, want)
        bound = sql.SQL("%s::timestamptz")
        if column.base == "timestamp":
            bound = sql.SQL("(%s::timestamptz AT TIME ZONE 'UTC')")
        name = sql.Identifier("t", column.name)
        # What changed at infinity would be read each time, for ever.
        parts = [
            sql.SQL("{} > {}").format(name, bound),
            sql.SQL("{} < {}").format(name, LATEST),
        ]
        if until is not None:
            parts.append(sql.SQL("{} <= {}").format(name, bound))
        times = [after] if until is None else [after, until]
        return sql.SQL(" AND ").join(parts), times

    def fetch(self, obj: ObjectType, ids: Sequence[str], want: Want) -> Fetched:
        """Read rows by id; absent ones are gone, unless row-level security applies."""
        return self._reader(obj, want).fetch(ids)

    def changed_at(
        self, obj: ObjectType, ids: Sequence[str], names: Sequence[str]
    ) -> Mapping[str, Mapping[str, datetime]]:
        """Nothing: a row has one time of change at most."""
        return {}

    def lookup(
        self, obj: ObjectType, field_name: str, values: Sequence[str], want: Want
    ) -> Mapping[str, Record] | None:
        """Find rows by a column with a unique index of its own; None for any other."""
        table, _ = self._table(obj)
        column = need_column(table, field_name, obj)
        unique = any(k.plain and k.columns == (field_name,) for k in table.unique_keys)
        if not unique or table.hides_rows:
            return None
        return self._reader(obj, want).lookup(column, values)

    def created_since(
        self, obj: ObjectType, want: Want, since: datetime
    ) -> Iterator[Page]:
        """Read every row: when one was inserted is nothing that PostgreSQL keeps."""
        return self.pages(obj, want)

    # Writing ---------------------------------------------------------------------------

    def reserve(self, obj: ObjectType, count: int) -> list[str] | None:
        """Numbers of the key's sequence, or new UUIDs; None where the key is neither.

        Also None where the role may not ask the sequence: the rows then take their ids
        as they are inserted.
        """
        table, _ = self._table(obj)
        made = table.made_key
        if made is None or made.identity == "a" or count < 1:
            return None
        if made.base == "uuid":
            random = not made.default or UUID_DEFAULT.match(made.default)
            return [str(uuid.uuid4()) for _ in range(count)] if random else None
        return self._numbers(table, made, count) if made.sequence else None

    def _numbers(self, table: Table, made: Column, count: int) -> list[str] | None:
        """Numbers that no row has: rows may have been inserted past the sequence."""
        statement = TAKE_NUMBERS.format(table.identifier, sql.Identifier(made.name))
        free: list[str] = []
        for _ in range(RESERVE_ROUNDS):
            try:
                rows = self._db.read(statement, [made.sequence, count - len(free)])
            except (ScopeError, RowError):
                return None
            free += [row[0] for row in rows]
            if len(free) == count:
                return free
        return None

    def create(
        self, obj: ObjectType, drafts: Sequence[Draft], want: Want
    ) -> list[Outcome]:
        """Insert rows, a batch a statement; a refused row is told of by itself."""
        written = {name for draft in drafts for name in draft.values}
        try:
            return self._writer(obj, want, written).create(drafts)
        except SchemaError:
            self._forget(obj)
            raise

    def update(
        self, obj: ObjectType, patches: Sequence[Patch], want: Want
    ) -> list[Outcome]:
        """Change rows, a statement for each set of columns; a null reference clears."""
        written = {name for patch in patches for name in patch.values}
        try:
            return self._writer(obj, want, written).update(patches)
        except SchemaError:
            self._forget(obj)
            raise

    def _writer(self, obj: ObjectType, want: Want, written: set[str]) -> Writer:
        table, tables = self._table(obj)
        if not table.writable:
            raise ScopeError(f"The role may not write {table.name}.")
        for name in written:
            need_column(table, name, obj)
        answer = replace(want, fields=tuple(dict.fromkeys((*want.fields, *written))))
        return Writer(
            self._db, select(table, tables, obj, answer, joined=False), tables
        )

    def archive(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        """Refuse: a table has no archive that would be reversible."""
        refused = Outcome(
            False,
            code=Code.DIRECTION_FORBIDS,
            message=f"Rows of {obj.name} are not archived: PostgreSQL could only delete "
            "them for good.",
        )
        return [refused for _ in ids]


__all__ = ["ConnectorError", "PostgresConnector"]
