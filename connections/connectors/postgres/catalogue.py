"""Ask the server's catalogue for tables: one statement for all of a schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from psycopg import sql

from connections.connectors.postgres.tables import (
    QUERIED,
    Column,
    ForeignKey,
    Table,
    UniqueKey,
)

NEXT_VALUE = re.compile(r"^nextval\('(?P<sequence>.+)'::regclass\)$")
CHECK_IN = re.compile(r"^CHECK \(+(?P<column>.+?)\)?(?:::text)? = ANY \(+ARRAY\[(.+)\]")
LITERAL = re.compile(r"'((?:[^']|'')*)'")

# The whole catalogue of some tables in one statement. Names come back as plain text; what
# is needed of types, keys and rights comes as JSON, so that a table is one row.
CATALOGUE = sql.SQL("""
SELECT concat_ws('/', 'postgres', {system},
    (SELECT oid FROM pg_database WHERE datname = current_database()), n.oid),
  c.relname, c.relkind::text, obj_description(c.oid, 'pg_class'),
  has_any_column_privilege(c.oid, 'SELECT'),
  has_any_column_privilege(c.oid, 'INSERT') OR has_any_column_privilege(c.oid, 'UPDATE'),
  has_table_privilege(c.oid, 'DELETE'),
  pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on',
  row_security_active(c.oid),
  (SELECT json_agg(json_build_object(
      'name', a.attname, 'type_schema', tn.nspname, 'type_name', t.typname,
      'native', format_type(a.atttypid, a.atttypmod),
      'base', coalesce(e.typname, b.typname), 'array', e.oid IS NOT NULL,
      'enum', coalesce(e.typtype, b.typtype) = 'e',
      'modifier', CASE WHEN a.atttypmod >= 0 THEN a.atttypmod ELSE d.modifier END,
      'not_null', a.attnotnull OR d.not_null, 'identity', a.attidentity::text,
      'generated', a.attgenerated <> '',
      'default', coalesce(CASE WHEN a.attgenerated = ''
                          THEN pg_get_expr(df.adbin, df.adrelid) END, d.dflt, ''),
      'sequence', CASE WHEN a.attidentity <> '' THEN pg_get_serial_sequence(
          quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.attname) END,
      'labels', (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder)
                 FROM pg_enum l WHERE l.enumtypid = coalesce(e.oid, b.oid)),
      'readable', has_column_privilege(c.oid, a.attnum, 'SELECT'),
      'insertable', has_column_privilege(c.oid, a.attnum, 'INSERT'),
      'updatable', has_column_privilege(c.oid, a.attnum, 'UPDATE'),
      'comment', coalesce(col_description(c.oid, a.attnum), '')
    ) ORDER BY a.attnum)
   FROM pg_attribute a
   JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace tn ON tn.oid = t.typnamespace
   LEFT JOIN pg_attrdef df ON df.adrelid = a.attrelid AND df.adnum = a.attnum
   CROSS JOIN LATERAL (
     WITH RECURSIVE domains AS (
       SELECT t.oid, t.typbasetype, t.typtypmod, t.typnotnull, t.typdefault
       UNION ALL
       SELECT u.oid, u.typbasetype, u.typtypmod, u.typnotnull, u.typdefault
       FROM pg_type u JOIN domains ON u.oid = domains.typbasetype)
     SELECT max(oid::int8) FILTER (WHERE typbasetype = 0)::oid AS base,
       max(typtypmod) AS modifier, bool_or(typnotnull) AS not_null,
       max(typdefault) AS dflt FROM domains) d
   JOIN pg_type b ON b.oid = d.base
   LEFT JOIN pg_type e ON e.oid = b.typelem AND b.typcategory = 'A'
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT json_agg(json_build_object(
      'name', k.conname, 'kind', k.contype, 'target', tc.relname,
      'on_delete', k.confdeltype, 'full', k.confmatchtype = 'f', 'here', tc.relnamespace = c.relnamespace,
      'columns', (SELECT json_agg(a.attname ORDER BY u.i)
         FROM unnest(k.conkey) WITH ORDINALITY u(n, i)
         JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n),
      'target_columns', (SELECT json_agg(a.attname ORDER BY u.i)
         FROM unnest(k.confkey) WITH ORDINALITY u(n, i)
         JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n),
      'check', CASE k.contype WHEN 'c' THEN pg_get_constraintdef(k.oid) END
    ) ORDER BY k.oid)
   FROM pg_constraint k LEFT JOIN pg_class tc ON tc.oid = k.confrelid
   WHERE k.conrelid = c.oid AND k.contype IN ('f', 'c') AND k.conparentid = 0),
  (SELECT json_agg(json_build_object(
      'name', ic.relname, 'primary', i.indisprimary,
      'plain', i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL,
      'columns', (SELECT json_agg(a.attname ORDER BY u.i)
         FROM unnest(i.indkey::int2[]) WITH ORDINALITY u(n, i)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.n
         WHERE u.i <= ix.indnkeyatts)
    ) ORDER BY ic.relname)
   FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
   CROSS JOIN LATERAL (SELECT i.indnkeyatts) ix
   WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indisready)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT c.relispartition
  AND (%(tables)s::text[] IS NULL OR c.relname = ANY(%(tables)s) OR c.oid IN (
    SELECT k.confrelid FROM pg_constraint k JOIN pg_class s ON s.oid = k.conrelid
    WHERE k.contype = 'f' AND s.relnamespace = n.oid AND s.relname = ANY(%(tables)s)))
ORDER BY c.relname
""")


def table_of(schema: str, row: tuple[Any, ...], key: tuple[str, ...] = ()) -> Table:
    """One row of `CATALOGUE` as a table; `key` is what the settings call a view's."""
    _, name, kind, comment, readable, grants, may_delete, *rest = row
    replica, reads, hides, columns, constraints, keys = rest
    foreign, checks, allowed = [], {}, {}
    for item in constraints or ():
        if item["kind"] == "c":
            checks[item["name"]] = ""
            if len(item["columns"] or ()) == 1:
                checks[item["name"]] = item["columns"][0]
                allowed[item["columns"][0]] = _allowed(item["check"])
        elif item["here"]:
            foreign.append(
                ForeignKey(
                    item["name"],
                    tuple(item["columns"]),
                    item["target"],
                    tuple(item["target_columns"]),
                    ON_DELETE.get(item["on_delete"], ""),
                    item["full"],
                )
            )
    return Table(
        schema=schema,
        name=name,
        kind=kind,
        comment=comment or "",
        columns={c["name"]: _column(c, allowed) for c in columns or ()},
        foreign_keys=tuple(foreign),
        unique_keys=tuple(
            UniqueKey(k["name"], tuple(k["columns"] or ()), k["primary"], k["plain"])
            for k in keys or ()
        ),
        checks=checks,
        readable=readable,
        hides_rows=hides,
        unwritable=_unwritable(name, kind, grants, replica, reads),
        may_delete=may_delete,
        given_key=key,
    )


def _unwritable(name: str, kind: str, grants: bool, replica: bool, reads: bool) -> str:
    """Why nothing can be written to a table; "" if something can."""
    if kind in QUERIED:
        return f"{name} {QUERIED[kind]}, which is only read."
    if replica:
        return REPLICA
    if reads:
        return READER
    return (
        "" if grants else f"The role may not write {name}: grant it INSERT or UPDATE."
    )


REPLICA = "The server is a read replica: give the dsn of the primary to write."
READER = (
    "The role or the database only reads (default_transaction_read_only is on): give a "
    "role that may write."
)
ON_DELETE = {
    "a": "no action",
    "r": "restrict",
    "c": "cascade",
    "n": "set null",
    "d": "set default",
}


def _column(data: dict[str, Any], allowed: Mapping[str, tuple[str, ...]]) -> Column:
    found = NEXT_VALUE.match(data["default"])
    sequence = data["sequence"] or ""
    if found:
        sequence = found["sequence"].replace("''", "'")
    labels = tuple(data["labels"] or ()) or allowed.get(data["name"], ())
    return Column(**{**data, "sequence": sequence, "labels": labels})


def _allowed(definition: str) -> tuple[str, ...]:
    """The texts that a CHECK (column IN (…)) allows; () if it says anything else.

    PostgreSQL shows it as CHECK (((c)::text = ANY ((ARRAY['a'::…, 'b'::…])::text[]))).
    """
    found = CHECK_IN.match(definition)
    if found is None or " OR " in definition or " AND " in definition:
        return ()
    return tuple(text.replace("''", "'") for text in LITERAL.findall(found[2]))
