"""What the server's catalogue says of a table: the allow-list of every identifier."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

UUID_DEFAULT = re.compile(r"^(?:\w+\.)?(?:gen_random_uuid|uuid_generate_v4)\(\)$")
NEXT_VALUE = re.compile(r"^nextval\('(?P<sequence>.+)'::regclass\)$")
CHECK_IN = re.compile(r"^CHECK \(+(?P<column>.+?)\)?(?:::text)? = ANY \(+ARRAY\[(.+)\]")
LITERAL = re.compile(r"'((?:[^']|'')*)'")

INTEGERS = {
    "int2": ("-32768", "32767"),
    "int4": ("-2147483648", "2147483647"),
    "int8": ("-9223372036854775808", "9223372036854775807"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `base` is its type's name with domains and arrays looked through.

    `base` of an array is that of its elements; `labels` are an enum's, or those that a
    CHECK (… IN …) allows. `sequence` is what a default or an identity counts with.
    """

    name: str
    type_schema: str
    type_name: str
    native: str
    base: str
    array: bool = False
    enum: bool = False
    modifier: int = -1
    not_null: bool = False
    identity: str = ""
    generated: bool = False
    default: str = ""
    sequence: str = ""
    labels: tuple[str, ...] = ()
    readable: bool = True
    insertable: bool = True
    updatable: bool = True
    comment: str = ""

    @property
    def max_length(self) -> int | None:
        """Characters that varchar(n) and char(n) hold."""
        sized = self.base in ("varchar", "bpchar") and self.modifier > 4
        return self.modifier - 4 if sized and not self.array else None

    @property
    def precision(self) -> tuple[int, int] | None:
        """Digits in all and after the point, of numeric(p, s)."""
        if self.base != "numeric" or self.modifier < 4 or self.array:
            return None
        bits = self.modifier - 4
        return bits >> 16 & 0xFFFF, ((bits & 0x7FF) ^ 0x400) - 0x400

    @property
    def fills_itself(self) -> bool:
        """Whether a row may leave the column out."""
        return bool(self.default or self.identity or self.generated)

    @property
    def type(self) -> sql.Identifier:
        """The type without its length, so that a cast never cuts a value short."""
        return sql.Identifier(self.type_schema, self.type_name)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns that point at a table's unique key; `target` is in the same schema."""

    name: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    on_delete: str


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A unique index; `plain` if it holds every row by its columns' own values."""

    name: str
    columns: tuple[str, ...]
    primary: bool
    plain: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table, view or foreign table. `hides_rows`: row-level security applies to us."""

    schema: str
    name: str
    kind: str
    comment: str
    columns: Mapping[str, Column]
    foreign_keys: tuple[ForeignKey, ...]
    unique_keys: tuple[UniqueKey, ...]
    checks: Mapping[str, str]
    readable: bool
    writable: bool
    hides_rows: bool

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    @property
    def key(self) -> tuple[str, ...]:
        """The primary key's columns; () where there is none."""
        return next((k.columns for k in self.unique_keys if k.primary), ())

    @property
    def key_columns(self) -> tuple[Column, ...]:
        return tuple(self.columns[name] for name in self.key)

    @property
    def made_key(self) -> Column | None:
        """The primary key's column if the database, or we, make its values."""
        if len(self.key) != 1:
            return None
        column = self.columns[self.key[0]]
        linked = any(column.name in fk.columns for fk in self.foreign_keys)
        is_uuid = column.base == "uuid" and not column.array and not linked
        return column if column.fills_itself or is_uuid else None

    def record_id(self, texts: Iterable[str]) -> str:
        """The id of a row from its key's texts: the text, or a JSON list of several."""
        parts = list(texts)
        if len(parts) == 1:
            return parts[0]
        return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))

    def key_texts(self, record_id: str) -> tuple[str, ...]:
        """What `record_id` was made of.

        Raises: ValueError where it is no id of this table.
        """
        if len(self.key) == 1:
            return (record_id,)
        parts = json.loads(record_id)
        if not isinstance(parts, list) or len(parts) != len(self.key):
            raise ValueError(record_id)
        return tuple(str(part) for part in parts)

    def reference(self, name: str) -> ForeignKey | None:
        """The foreign key that discovery named so."""
        return next((fk for n, fk in named(self.foreign_keys) if n == name), None)


def named(keys: Iterable[ForeignKey]) -> list[tuple[str, ForeignKey]]:
    """Foreign keys by their columns' names; a second one on the same columns by its own."""
    found: dict[str, ForeignKey] = {}
    for key in keys:
        name = ",".join(key.columns)
        found[key.name if name in found else name] = key
    return list(found.items())


# The whole catalogue of some tables in one statement. Names come back as plain text; what
# is needed of types, keys and rights comes as JSON, so that a table is one row.
CATALOGUE = sql.SQL("""
SELECT c.relname, c.relkind::text, obj_description(c.oid, 'pg_class'),
  has_any_column_privilege(c.oid, 'SELECT'),
  c.relkind IN ('r', 'p') AND (has_any_column_privilege(c.oid, 'INSERT')
    OR has_any_column_privilege(c.oid, 'UPDATE')),
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
      'on_delete', k.confdeltype, 'here', tc.relnamespace = c.relnamespace,
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


def table_of(schema: str, row: tuple[Any, ...]) -> Table:
    """One row of `CATALOGUE` as a table."""
    name, kind, comment, readable, writable, hides, columns, constraints, keys = row
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
        writable=writable,
        hides_rows=hides,
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
