"""PostgreSQL as a connected system: tables are object types, rows are records."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from connections.connectors.base import (
    ConnectorError,
    Context,
    FeedLost,
    SchemaError,
    ScopeError,
)
from connections.connectors.plain import PlainConnector
from connections.connectors.postgres import times
from connections.connectors.postgres.change_log import ChangeLog
from connections.connectors.postgres.database import Database
from connections.connectors.postgres.deleting import Deleter
from connections.connectors.postgres.fields import schema_of
from connections.connectors.postgres.keys import check_keys
from connections.connectors.postgres.known import Tables
from connections.connectors.postgres.link_rows import read_rows
from connections.connectors.postgres.link_tables import examine, shape_of
from connections.connectors.postgres.link_writing import RowWriter
from connections.connectors.postgres.numbers import reserve
from connections.connectors.postgres.reading import FETCH_BATCH, Reader
from connections.connectors.postgres.selection import (
    Selection,
    need_column,
    select,
)
from connections.connectors.postgres.server import report
from connections.connectors.postgres.tables import Table
from connections.connectors.postgres.writing import Writer
from connections.records import (
    Capabilities,
    Draft,
    Fed,
    Fetched,
    LinkRows,
    LinkTable,
    ObjectType,
    Outcome,
    Page,
    Patch,
    Record,
    Report,
    RowsWrite,
    Schema,
    TableReport,
    Want,
    Window,
)

WRITE_BATCH = 500  # rows in one statement
OVERLAP_S = 300.0  # a transaction that wrote earlier may commit later than one we saw


class PostgresConnector(PlainConnector):
    """Tables of one schema; safe to use from several threads.

    Args: settings, "schema" (default public) and "tables" (the only ones to offer);
        credentials, "dsn", a libpq URL; context, what the caller lends. The context's
        meter counts statements that carry data or ask for it.
    """

    kind = "postgres"
    no_archive = "PostgreSQL could only delete them for good"
    capabilities: Capabilities = Capabilities(
        write_batch=WRITE_BATCH,
        fetch_batch=FETCH_BATCH,
        changes=True,
        overlap_s=OVERLAP_S,
        deletes=True,
        link_tables=True,
        undo_create="A row that was inserted cannot be archived: delete it by hand.",
    )

    def __init__(
        self,
        settings: Mapping[str, Any],
        credentials: Mapping[str, Any],
        context: Context,
    ) -> None:
        self._schema = str(settings.get("schema") or "public")
        self._keys = [str(name) for name in settings.get("keys") or ()]
        chosen = settings.get("tables")
        self._chosen = [str(name) for name in chosen] if chosen else None
        self._db = Database(credentials.get("dsn"), context)
        self._origin = context.origin
        self._log: ChangeLog | None = None
        if name := str(settings.get("change_log") or ""):
            self._log = ChangeLog(self._db, self._schema, name)
            self._db.marks = bool(context.origin)
            self.capabilities = replace(self.capabilities, feeds=True)
        self._tables = Tables(self._db, self._schema, self._keys, context.system)

    def close(self) -> None:
        self._db.close()

    # Who and what ----------------------------------------------------------------------

    def test(self) -> Report:
        """One statement that proves log-in, database and schema.

        Raises: AuthError, ScopeError, SchemaError, TransientError.
        """
        return report(self._db, self._schema, self._chosen)

    def discover(self) -> Schema:
        """Read tables, columns and keys: one statement."""
        tables = self._tables.read()
        if not tables:
            self.test()
        missing = sorted(set(self._chosen or ()) - set(tables))
        if missing:
            raise SchemaError(
                f"The schema {self._schema} has no table {', '.join(missing)}."
            )
        check_keys(self._keys, tables)
        return self._offer(tables)

    def describe(
        self, obj: ObjectType, names: Collection[str] = ()
    ) -> ObjectType | None:
        """Read it with all the others; one that is gone stops no other."""
        return self._offer(self._tables.read()).object(obj.id)

    def _offer(self, tables: dict[str, Table]) -> Schema:
        offered = set(tables if self._chosen is None else self._chosen)
        if self._log is None:
            return schema_of(tables, offered & set(tables))
        if self._log.names.schema == self._schema:
            offered.discard(self._log.names.table)
        return self._log.marked(schema_of(tables, offered & set(tables)), tables)

    # Reading ---------------------------------------------------------------------------

    def pages(
        self, obj: ObjectType, want: Want, cursor: str | None = None
    ) -> Iterator[Page]:
        """Read every row by its primary key; `cursor` is a JSON list of a key's texts."""
        yield from self._reader(obj, want).pages(cursor)

    def _reader(self, obj: ObjectType, want: Want) -> Reader:
        return Reader(self._db, self._selection(obj, want))

    def _selection(self, obj: ObjectType, want: Want) -> Selection:
        table, tables = self._tables.of(obj)
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
        column = times.column_of(chosen.table, obj, want)
        where, params = times.between(column, after, until)
        for page in Reader(self._db, chosen).pages(None, where, params):
            yield replace(page, cursor=None)

    def window(
        self, obj: ObjectType, want: Want, *, after: datetime, until: datetime
    ) -> Window:
        """Count rows and add up their times: what a late commit changes shows in that."""
        table, _ = self._tables.of(obj)
        column = times.column_of(table, obj, want)
        return times.window(self._db, table, column, after, until)

    def unstamped(self, obj: ObjectType, want: Want) -> Iterator[Page]:
        where = times.unstamped(want.changed_field)
        plain = replace(want, changed_field="")
        for page in self._reader(obj, plain).pages(None, where):
            yield replace(page, cursor=None)

    # The change log --------------------------------------------------------------------

    def feed_place(self, obj: ObjectType) -> str:
        """Where the change log stands now. Raises: FeedLost."""
        table, _ = self._tables.of(obj)
        return self._need_log().place(table)

    def fed(self, obj: ObjectType, place: str, *, own: bool) -> Iterator[Fed]:
        """Read from the change log whose rows changed since `place`. Raises: FeedLost."""
        table, _ = self._tables.of(obj)
        yield from self._need_log().read(table, place, "" if own else self._origin)

    def feed_setup(self, names: Sequence[str], *, remove: bool = False) -> str:
        """The SQL that makes the database log tables, or stop.

        Raises: SchemaError for a table there is not, or without a key.
        """
        log, tables = self._need_log(), self._tables.ask(list(names))
        return log.setup(tables, names, remove=remove)

    def _need_log(self) -> ChangeLog:
        if self._log is None:
            raise FeedLost("The app's setting change_log names no table.")
        return self._log

    # By id and by value ----------------------------------------------------------------

    def fetch(self, obj: ObjectType, ids: Sequence[str], want: Want) -> Fetched:
        """Read rows by id; absent ones are gone, unless row-level security applies."""
        return self._reader(obj, want).fetch(ids)

    def lookup(
        self, obj: ObjectType, field_name: str, values: Sequence[str], want: Want
    ) -> Mapping[str, Record] | None:
        """Find rows by a column with a unique index of its own; None for any other."""
        table, _ = self._tables.of(obj)
        column = need_column(table, field_name, obj)
        unique = any(k.plain and k.columns == (field_name,) for k in table.unique_keys)
        if not unique or not table.shows_all:
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
        table, _ = self._tables.of(obj)
        return reserve(self._db, table, count)

    def create(
        self, obj: ObjectType, drafts: Sequence[Draft], want: Want
    ) -> list[Outcome]:
        """Insert rows, a batch a statement; a refused row is told of by itself."""
        written = {name for draft in drafts for name in draft.values}
        try:
            return self._writer(obj, want, written).create(drafts)
        except SchemaError:
            self._tables.forget(obj.id)
            raise

    def update(
        self, obj: ObjectType, patches: Sequence[Patch], want: Want
    ) -> list[Outcome]:
        """Change rows, a statement for each set of columns; a null reference clears."""
        written = {name for patch in patches for name in patch.values}
        try:
            return self._writer(obj, want, written).update(patches)
        except SchemaError:
            self._tables.forget(obj.id)
            raise

    def _writer(self, obj: ObjectType, want: Want, written: set[str]) -> Writer:
        table, tables = self._tables.of(obj)
        if not table.writable:
            raise ScopeError(table.unwritable)
        for name in written:
            need_column(table, name, obj)
        answer = replace(want, fields=tuple(dict.fromkeys((*want.fields, *written))))
        return Writer(
            self._db, select(table, tables, obj, answer, joined=False), tables
        )

    def delete(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        """Delete rows for good; one that others would be deleted with is refused."""
        table, _ = self._tables.of(obj)
        return Deleter(self._db, table).delete(ids)

    # Link tables -----------------------------------------------------------------------

    def link_table(self, table: LinkTable) -> TableReport:
        """Look at a table anew: two statements."""
        self._tables.forget(table.name)
        chosen = None if self._chosen is None else set(self._chosen)
        return examine(self._db, self._tables, table, chosen)

    def link_rows(self, table: LinkTable, ids: Sequence[str]) -> Mapping[str, LinkRows]:
        """Read the rows of near records by their ids."""
        return read_rows(self._db, shape_of(self._tables, table), ids)

    def write_link_rows(
        self, table: LinkTable, writes: Sequence[RowsWrite]
    ) -> list[Outcome]:
        """Update, delete and insert rows, a statement for each."""
        try:
            return RowWriter(self._db, shape_of(self._tables, table)).write(writes)
        except SchemaError:
            self._tables.forget(table.name)
            raise


__all__ = ["ConnectorError", "PostgresConnector"]
