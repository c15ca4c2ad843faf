"""The SQL by which an administrator makes a database keep a change log, or stop it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from connections.connectors.postgres.database import ORIGIN
from connections.connectors.postgres.tables import INTEGERS, Table

LONGEST_NAME = 63  # bytes; PostgreSQL cuts longer names short
STEADY = (*INTEGERS, "text", "varchar", "bpchar", "uuid", "numeric", "bool")
PLAIN = re.compile(r"[A-Za-z0-9_]{1,40}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def tag_of(table: str) -> str:
    """What entries call a table: its name, where any encoding can write it."""
    return table if PLAIN.fullmatch(table) else f"t_{_digest(table)}"


def _short(name: str) -> str:
    """A name that PostgreSQL does not cut short."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    head = name.encode()[: LONGEST_NAME - 13].decode(errors="ignore")
    return f"{head}_{_digest(name)}"


@dataclass(frozen=True, slots=True)
class LogNames:
    """The log's table, and what its triggers are called."""

    schema: str
    table: str

    @classmethod
    def of(cls, schema: str, name: str) -> LogNames:
        """Args: schema, where `name` is unless it says so itself ("schema.table")."""
        own, dot, table = name.partition(".")
        return cls(own, table) if dot else cls(schema, name)

    @property
    def shown(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table)

    @property
    def row_trigger(self) -> str:
        return _short(self.table)

    @property
    def truncate_trigger(self) -> str:
        return _short(f"{self.table}_truncate")

    @property
    def prune_trigger(self) -> str:
        return _short(f"{self.table}_pruned")

    @property
    def empty_trigger(self) -> str:
        return _short(f"{self.table}_emptied")

    def function(self, what: str) -> sql.Identifier:
        return sql.Identifier(self.schema, _short(f"{self.table}_{what}"))


LOG = """
-- The log. An entry carries the transaction that wrote it, so that a reader can wait for
-- those that commit late.
CREATE TABLE IF NOT EXISTS {log} (
  tbl text NOT NULL,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq bigint GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  op "char" NOT NULL,  -- Insert, Update, Delete, Truncate; Pruned, of the log itself
  pk jsonb,
  origin text,  -- who wrote, where that is said in {origin_name}
  PRIMARY KEY (tbl, xid, seq)
);

-- Entries may be deleted at any time; this notes up to where, so that a reader who had
-- not come so far reads everything.
CREATE OR REPLACE FUNCTION {guard}() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crosslink$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO {log} (tbl, op, pk) VALUES ('', 'P', jsonb_build_array(
      (pg_snapshot_xmax(pg_current_snapshot())::text::numeric - 1)::text));
  ELSE
    INSERT INTO {log} (tbl, op, pk) SELECT '', 'P', jsonb_build_array(g.upto::text)
    FROM (SELECT CASE op WHEN 'P' THEN (pk ->> 0)::xid8 ELSE xid END AS upto
          FROM gone) g ORDER BY g.upto DESC LIMIT 1;
  END IF;
  RETURN NULL;
END $crosslink$;
DROP TRIGGER IF EXISTS {pruned} ON {log};
CREATE TRIGGER {pruned} AFTER DELETE ON {log} REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION {guard}();
DROP TRIGGER IF EXISTS {emptied} ON {log};
CREATE TRIGGER {emptied} AFTER TRUNCATE ON {log}
  FOR EACH STATEMENT EXECUTE FUNCTION {guard}();
ALTER TABLE {log} ENABLE ALWAYS TRIGGER {pruned};
ALTER TABLE {log} ENABLE ALWAYS TRIGGER {emptied};
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON {log} TO {role};
"""
WATCH = """
-- {plain_name}: its key, as text, is all that an entry holds of a row. What a trigger of
-- yours writes in turn is nobody's own.
CREATE OR REPLACE FUNCTION {watch}() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp{styles} AS $crosslink$
DECLARE
  was jsonb;
  now jsonb;
  own text := CASE WHEN pg_trigger_depth() = 1
    THEN nullif(current_setting({origin}, true), '') END;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO {log} (tbl, op) VALUES ({tag}, 'T');
    RETURN NULL;
  END IF;
  IF TG_OP IN ('UPDATE', 'DELETE') THEN
    was := jsonb_build_array({old});
  END IF;
  IF TG_OP IN ('INSERT', 'UPDATE') THEN
    now := jsonb_build_array({new});
    INSERT INTO {log} (tbl, op, pk, origin)
    VALUES ({tag}, left(TG_OP, 1)::"char", now, own);
  END IF;
  IF was IS DISTINCT FROM now AND was IS NOT NULL THEN
    INSERT INTO {log} (tbl, op, pk, origin) VALUES ({tag}, 'D', was, own);
  END IF;
  RETURN NULL;
END $crosslink$;
DROP TRIGGER IF EXISTS {rows} ON {table};
CREATE TRIGGER {rows} AFTER INSERT OR UPDATE OR DELETE ON {table}
  FOR EACH ROW EXECUTE FUNCTION {watch}({tag}, {key});
DROP TRIGGER IF EXISTS {truncate} ON {table};
CREATE TRIGGER {truncate} AFTER TRUNCATE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION {watch}({tag}, {key});
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {rows};
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {truncate};
"""
# The text of a time goes by the session of whoever writes it.
STYLES = "\nSET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres'"
UNWATCH = """
DROP TRIGGER IF EXISTS {rows} ON {table};
DROP TRIGGER IF EXISTS {truncate} ON {table};
DROP FUNCTION IF EXISTS {watch}();
"""


def install(names: LogNames, tables: Sequence[Table], role: str) -> str:
    """What makes a database log the changes of tables; it may be run again.

    Args: role, who reads the log.
    """
    made = sql.SQL(LOG).format(
        log=names.identifier,
        schema=sql.Identifier(names.schema),
        guard=names.function("guard"),
        pruned=sql.Identifier(names.prune_trigger),
        emptied=sql.Identifier(names.empty_trigger),
        role=sql.Identifier(role),
        origin_name=sql.SQL(ORIGIN),
    )
    return _script([made.as_string(), *(_watch(names, t, WATCH) for t in tables)])


def remove(names: LogNames, tables: Sequence[Table]) -> str:
    """What makes a database stop to log the changes of tables; the log itself stays."""
    return _script([_watch(names, t, UNWATCH) for t in tables])


def _script(parts: Sequence[str]) -> str:
    return "\n".join(["BEGIN;", *(part.strip("\n") for part in parts), "COMMIT;\n"])


def _watch(names: LogNames, table: Table, template: str) -> str:
    def texts(row: str) -> sql.Composed:
        return sql.SQL(", ").join(
            sql.SQL(f"{row}.{{}}::text").format(sql.Identifier(name))
            for name in table.key
        )

    tag = tag_of(table.name)
    sure = all(column.base in STEADY for column in table.key_columns)
    return (
        sql.SQL(template)
        .format(
            log=names.identifier,
            table=table.identifier,
            watch=names.function(tag),
            rows=sql.Identifier(names.row_trigger),
            truncate=sql.Identifier(names.truncate_trigger),
            tag=sql.Literal(tag),
            key=sql.Literal(json.dumps(list(table.key))),
            origin=sql.Literal(ORIGIN),
            styles=sql.SQL("" if sure else STYLES),
            old=texts("OLD"),
            new=texts("NEW"),
            # A line break in a name would end the comment.
            plain_name=sql.SQL(" ".join(table.name.split()).replace("{", "(")),
        )
        .as_string()
    )
