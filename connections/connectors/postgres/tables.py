"""What the server's catalogue says of a table: the allow-list of every identifier."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg import sql

QUERIED = {
    "v": "is a view",
    "m": "is a materialised view",
    "f": "is a foreign table",
}
UUID_DEFAULT = re.compile(r"^(?:\w+\.)?(?:gen_random_uuid|uuid_generate_v4)\(\)$")

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
    full: bool = False  # MATCH FULL: all columns are null together, or none is


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A unique index; `plain` if it holds every row by its columns' own values."""

    name: str
    columns: tuple[str, ...]
    primary: bool
    plain: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table, view or foreign table.

    `hides_rows`: row-level security applies to us. `given_key` names the columns that
    the app's settings call a view's key, for nothing in the catalogue does. `unwritable`
    says why nothing can be written; "" if something can.
    """

    schema: str
    name: str
    kind: str
    comment: str
    columns: Mapping[str, Column]
    foreign_keys: tuple[ForeignKey, ...]
    unique_keys: tuple[UniqueKey, ...]
    checks: Mapping[str, str]
    readable: bool
    hides_rows: bool
    unwritable: str = ""
    may_delete: bool = True
    given_key: tuple[str, ...] = ()

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that tell rows apart; () where none surely do.

        Those of the primary key, else of a unique index without nulls: the one of the
        fewest columns, by name where there are several.
        """
        if self.kind in QUERIED:
            return self.given_key
        sure = [
            k
            for k in self.unique_keys
            if k.primary
            or (k.plain and all(self.columns[c].not_null for c in k.columns))
        ]
        best = min(
            sure, key=lambda k: (not k.primary, len(k.columns), k.name), default=None
        )
        return best.columns if best else ()

    @property
    def writable(self) -> bool:
        return not self.unwritable

    @property
    def shows_all(self) -> bool:
        """Whether a row that is not shown is not there: a view may only filter it out."""
        return not self.hides_rows and self.kind not in ("v", "m")

    @property
    def key_columns(self) -> tuple[Column, ...]:
        return tuple(self.columns[name] for name in self.key)

    @property
    def made_key(self) -> Column | None:
        """The key's column if the database, or we, make its values."""
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
