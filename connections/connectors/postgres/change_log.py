"""A log that triggers keep of changed rows: who reads it misses nothing, late or deleted.

A row of the log carries the transaction that wrote it. What is read are transactions
older than any that may still commit, so that a place in the log is passed once and for
all. Whatever could make a gap is in the place, too: the log, its triggers and their
functions with the versions of their catalogue rows, the cluster and its timeline.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, LiteralString

from psycopg import sql

from connections.connectors.base import FeedLost, SchemaError
from connections.connectors.postgres import log_setup
from connections.connectors.postgres.database import Database, Row
from connections.connectors.postgres.fields import keyless
from connections.connectors.postgres.log_setup import LogNames, tag_of
from connections.connectors.postgres.server import control
from connections.connectors.postgres.tables import QUERIED, Table
from connections.records import Fed, Schema

NOTHING: Row = ("", 0, None, "", None, None, None)
LOG_PAGE = 5000  # entries in one statement
EVERY_ROW = 29  # of pg_trigger.tgtype: for each row, on insert, delete and update
NOT_AFTER = 66  # before or instead of
TRUNCATES = 32

# One row a table: what watches it, and the version of each part of that.
WATCHED = """
  SELECT c.relname AS name, c.oid AS table_oid,
    jsonb_object_agg(t.tgname, jsonb_build_array(
      t.tgtype, t.tgenabled IN ('O', 'A') AND t.tgqual IS NULL AND t.tgattr::text = '',
      encode(t.tgargs, 'escape'))) FILTER (WHERE t.oid IS NOT NULL) AS triggers,
    string_agg(concat_ws(':', t.oid, t.xmin, p.oid, p.xmin), ',' ORDER BY t.oid)
      AS versions
  FROM pg_class c LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
    AND t.tgname = ANY(%(triggers)s)
  LEFT JOIN pg_proc p ON p.oid = t.tgfoid
  WHERE c.relnamespace = to_regnamespace(%(schema)s) AND {chosen}
  GROUP BY c.oid, c.relname
"""
LOG = """
  SELECT c.oid AS log_oid, has_table_privilege(c.oid, 'SELECT') AS readable,
    (SELECT string_agg(concat_ws(':', t.oid, t.xmin, t.tgenabled, p.oid, p.xmin), ','
       ORDER BY t.oid) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
     WHERE t.tgrelid = c.oid AND t.tgname = ANY(%(guards)s)
     AND t.tgenabled IN ('O', 'A')) AS guards
  FROM pg_class c WHERE c.oid = to_regclass(%(log)s)
"""
COVERAGE = sql.SQL(
    "WITH watched AS ({watched}), log AS ({log}) "
    "SELECT w.*, l.* FROM watched w LEFT JOIN log l ON true"
)
HEAD = sql.SQL("""
WITH watched AS ({watched}), log AS ({log}), head AS MATERIALIZED (
  SELECT w.*, l.*, {control} AS cluster,
    pg_snapshot_xmin(pg_current_snapshot()) AS oldest,
    pg_snapshot_xmax(pg_current_snapshot()) AS newest
  FROM watched w LEFT JOIN log l ON true)
SELECT * FROM head
""")
ENTRIES = sql.SQL("""
WITH head AS MATERIALIZED (
  SELECT pg_snapshot_xmin(pg_current_snapshot()) AS oldest,
    (SELECT (pk ->> 0)::xid8 FROM {log} WHERE tbl = '' AND op = 'P'
     ORDER BY 1 DESC LIMIT 1) AS pruned)
SELECT h.oldest::text, h.pruned::text, r.xid::text, r.seq, r.op, r.pk
FROM head h LEFT JOIN LATERAL (
  SELECT xid, seq, op::text, pk FROM {log}
  WHERE tbl = %(tag)s AND (xid, seq) > (%(xid)s::text::xid8, %(seq)s)
    AND xid < h.oldest AND (origin IS NULL OR origin <> %(origin)s)
  ORDER BY xid, seq LIMIT {size}) r ON true
ORDER BY r.xid, r.seq
""")


@dataclass(frozen=True, slots=True)
class Head:
    """What watches a table, and up to where the log can be read."""

    unfed: str
    anchor: str
    oldest: int
    newest: int


class ChangeLog:
    """The log of one schema, as the app's setting `change_log` names it."""

    def __init__(self, database: Database, schema: str, name: str) -> None:
        self._db = database
        self._schema = schema
        self.names = LogNames.of(schema, name)

    def marked(self, schema: Schema, tables: Mapping[str, Table]) -> Schema:
        """A schema whose tables say why they are not in the log."""
        unfed = self._unfed(tables)
        objects = (
            o if o.refused else replace(o, unfed=unfed.get(o.id, ""))
            for o in schema.objects
        )
        return replace(schema, objects=tuple(objects))

    def setup(
        self, tables: Mapping[str, Table], names: Sequence[str], *, remove: bool
    ) -> str:
        """The SQL that makes the database log tables, or stop.

        Raises: SchemaError for a table there is not, or without a key.
        """
        chosen = []
        for name in dict.fromkeys(names):
            table = tables.get(name)
            if table is None:
                raise SchemaError(f"The schema {self._schema} has no table {name}.")
            if not table.key or table.kind in QUERIED:
                why = self._missing(table, NOTHING) if table.key else keyless(table)
                raise SchemaError(f"{name} cannot be in a change log: {why}")
            chosen.append(table)
        if remove:
            return log_setup.remove(self.names, chosen)
        ((role,),) = self._db.read(sql.SQL("SELECT current_user::text"))
        return log_setup.install(self.names, chosen, role)

    def _unfed(self, tables: Mapping[str, Table]) -> dict[str, str]:
        statement = _filled(COVERAGE, "true")
        rows = self._db.read(statement, self._parameters())
        return {
            row[0]: self._missing(tables[row[0]], row)
            for row in rows
            if row[0] in tables
        }

    def place(self, table: Table) -> str:
        """Where the log stands now. Raises: FeedLost where the table is not in it."""
        head = self._head(table)
        if head.unfed:
            raise FeedLost(head.unfed)
        return _place(head.oldest, 0, head.anchor)

    def read(self, table: Table, place: str, origin: str) -> Iterator[Fed]:
        """Read whose rows changed since a place, but for what `origin` wrote.

        Raises: FeedLost.
        """
        head = self._head(table)
        try:
            known = json.loads(place)
            xid, seq, anchor = int(known["xid"]), int(known["seq"]), known["anchor"]
        except (ValueError, KeyError, TypeError):
            raise FeedLost(f"The place in {self.names.shown} is not known.") from None
        if head.unfed:
            raise FeedLost(head.unfed)
        if anchor != head.anchor or xid > head.newest:
            raise FeedLost(
                f"The change log {self.names.shown}, what feeds it or the server is not "
                "the one that was read last."
            )
        while True:
            rows, oldest = self._entries(table, xid, seq, origin)
            full = len(rows) == LOG_PAGE
            xid, seq = (
                (int(rows[-1][0]), rows[-1][1]) if full else (max(oldest, xid), 0)
            )
            yield Fed(self._ids(table, rows), _place(xid, seq, anchor))
            if not full:
                return

    def _entries(
        self, table: Table, xid: int, seq: int, origin: str
    ) -> tuple[list[Row], int]:
        """Entries after a place, and the oldest transaction that may still commit."""
        statement = ENTRIES.format(
            log=self.names.identifier, size=sql.Literal(LOG_PAGE)
        )
        given = {
            "tag": tag_of(table.name),
            "xid": str(xid),
            "seq": seq,
            "origin": origin,
        }
        rows = self._db.read(statement, given)
        oldest, pruned = rows[0][:2]
        if pruned is not None and int(pruned) >= xid:
            raise FeedLost(
                f"The change log {self.names.shown} was pruned or emptied past what was "
                "read."
            )
        return [row[2:] for row in rows if row[2] is not None], int(oldest)

    def _ids(self, table: Table, rows: list[Row]) -> tuple[str, ...]:
        ids: dict[str, None] = {}
        for _, _, op, key in rows:
            if op == "T":
                raise FeedLost(f"{table.name} was emptied by TRUNCATE.")
            if not isinstance(key, list) or len(key) != len(table.key):
                raise FeedLost(f"The key of {table.name} is not what it was.")
            ids[table.record_id(key)] = None
        return tuple(ids)

    # What watches a table ----------------------------------------------------------------

    def _parameters(self, table: str = "") -> dict[str, Any]:
        names = self.names
        return {
            "schema": sql.Identifier(self._schema).as_string(),
            "triggers": [names.row_trigger, names.truncate_trigger],
            "guards": [names.prune_trigger, names.empty_trigger],
            "log": names.identifier.as_string(),
            "table": table,
        }

    def _head(self, table: Table) -> Head:

        def build(cluster: sql.SQL) -> sql.Composed:
            return _filled(HEAD, "c.relname = %(table)s", control=cluster)

        rows = control(self._db, build, self._parameters(table.name))
        if not rows:
            raise FeedLost(f"There is no table {table.name}.")
        *watched, cluster, oldest, newest = rows[0]
        _, table_oid, _, versions, log_oid, _, guards = watched
        parts = (cluster, log_oid, guards, table_oid, versions)
        return Head(
            self._missing(table, watched),
            "|".join(map(str, parts)),
            int(oldest),
            int(newest),
        )

    def _missing(self, table: Table, row: list[Any] | Row) -> str:
        """Why a table is not in the log; "" if it is."""
        _, _, triggers, _, log_oid, readable, guards = row
        name, remedy = self.names.shown, "manage.py change_log prints the SQL to run."
        if table.kind in QUERIED:
            return f"{table.name} {QUERIED[table.kind]}: no trigger can watch it."
        if log_oid is None:
            return f"There is no change log {name}; {remedy}"
        if not readable:
            return f"The role may not read the change log {name}: grant it SELECT."
        if guards is None or len(guards.split(",")) != 2:
            return f"Nothing notes when the change log {name} is pruned; {remedy}"
        watch = triggers or {}
        kind, on, given = watch.get(self.names.row_trigger, (0, False, ""))
        empties, also, _ = watch.get(self.names.truncate_trigger, (0, False, ""))
        whole = kind & EVERY_ROW == EVERY_ROW and empties & TRUNCATES
        if not (whole and on and also) or (kind | empties) & NOT_AFTER:
            return (
                f"{table.name} is not in the change log {name}, or its triggers are off; "
                f"{remedy}"
            )
        if given.split("\\000")[:2] != [
            tag_of(table.name),
            json.dumps(list(table.key)),
        ]:
            return (
                f"The change log {name} notes another name or key of {table.name}; "
                f"{remedy}"
            )
        return ""


def _filled(statement: sql.SQL, chosen: LiteralString, **more: sql.SQL) -> sql.Composed:
    watched = sql.SQL(WATCHED).format(chosen=sql.SQL(chosen))
    return statement.format(watched=watched, log=sql.SQL(LOG), **more)


def _place(xid: int, seq: int, anchor: str) -> str:
    return json.dumps({"xid": str(xid), "seq": seq, "anchor": anchor})
