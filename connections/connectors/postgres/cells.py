"""What is to be written, as the texts of columns; what could not be written is refused."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.connectors.postgres.database import Database
from connections.connectors.postgres.fields import is_plain_text, to_text
from connections.connectors.postgres.reading import Reader
from connections.connectors.postgres.selection import (
    Selection,
    direct_order,
    need_column,
    text,
)
from connections.connectors.postgres.tables import Column, ForeignKey, Table
from connections.records import Canon, Draft, Outcome, Patch, Reference

Cells = dict[str, str | None]  # texts by column
# Texts of a foreign key's columns, by its name and the id of the row it points to.
Resolved = dict[tuple[str, str], list[str | None]]


class Refused(Exception):
    """A row that is not sent: it could not be written."""

    def __init__(self, code: Code, message: str, field_name: str = "") -> None:
        super().__init__(message)
        self.outcome = Outcome(False, code=code, message=message, field=field_name)


@dataclass
class Item:
    """One row to write: its place in the request, its key's texts, its cells."""

    index: int
    key: tuple[str, ...]
    cells: Cells
    references: Mapping[str, Reference] = field(default_factory=dict)
    new: bool = False


class Preparer:
    """Turns drafts and patches of one table into rows to write.

    Args: targets, the foreign keys' tables by name.
    """

    def __init__(
        self, database: Database, table: Table, targets: Mapping[str, Table]
    ) -> None:
        self._db = database
        self._table = table
        self._targets = targets

    def drafted(self, index: int, draft: Draft, resolved: Resolved) -> Item:
        cells = self._cells(draft.values)
        cells |= self._linked(draft.references, resolved)
        made = self._table.made_key
        if made is not None and draft.id is not None:
            cells[made.name] = draft.id
        elif made is not None and not made.fills_itself:
            cells.setdefault(made.name, str(uuid.uuid4()))
        key = tuple(cells.get(name) or "" for name in self._table.key)
        return Item(index, key, cells, draft.references, new=True)

    def patched(self, index: int, patch: Patch, resolved: Resolved) -> Item:
        try:
            key = self._table.key_texts(patch.id)
        except ValueError:
            raise Refused(
                Code.RECORD_GONE, f"{patch.id!r} is no id of {self._table.name}."
            ) from None
        own = dict(zip(self._table.key, key, strict=True))
        cells = self._cells(patch.values, own)
        cells |= self._linked(patch.references, resolved, own)
        for name in own:
            if cells.pop(name, own[name]) != own[name]:
                raise Refused(
                    Code.FIELD_READ_ONLY,
                    f"{name} is part of the primary key, which is never changed.",
                    name,
                )
        return Item(index, key, cells, patch.references)

    def _cells(
        self, values: Mapping[str, Canon], own: Mapping[str, str] | None = None
    ) -> Cells:
        """Values as texts. Raises: Refused; SchemaError for an unknown column."""
        cells: Cells = {}
        for name, value in values.items():
            column = need_column(self._table, name)
            if name not in (own or {}):
                _check(column, value)
            cells[name] = to_text(value)
        return cells

    # References ------------------------------------------------------------------------

    def resolve(self, requests: Iterable[Draft | Patch]) -> Resolved:
        """The texts of foreign key columns by foreign key and target id.

        Asks the server only where a key does not point at its target's primary key.
        """
        wanted: dict[str, set[str]] = {}
        for request in requests:
            for name, reference in request.references.items():
                wanted.setdefault(name, set()).update(reference.ids)
        resolved: Resolved = {}
        for name, ids in wanted.items():
            key = self._key(name)
            target = self._targets[key.target]
            if direct_order(key, self._table, target) is not None:
                where = [target.key.index(c) for c in key.target_columns]
                for record_id in ids:
                    texts = _texts(target, record_id)
                    if texts is not None:
                        resolved[name, record_id] = [texts[i] for i in where]
            elif ids:
                resolved |= self._asked(name, key, target, sorted(ids))
        return resolved

    def _asked(
        self, name: str, key: ForeignKey, target: Table, ids: Sequence[str]
    ) -> Resolved:
        texts = {i: found for i in ids if (found := _texts(target, i)) is not None}
        chosen = Selection(target)
        chosen.add(*(text(c) for c in target.key))
        start = chosen.add(*(text(c) for c in key.target_columns))
        rows = Reader(self._db, chosen).by_key(list(texts.values()))
        asked = list(texts)
        return {(name, asked[place]): list(row[start:]) for place, row in rows}

    def _key(self, name: str) -> ForeignKey:
        key = self._table.reference(name)
        if key is None or key.target not in self._targets:
            raise SchemaError(
                f"The table {self._table.name} has no foreign key on {name} any more.",
                code=Code.FIELD_MISSING,
            )
        return key

    def _linked(
        self,
        references: Mapping[str, Reference],
        resolved: Resolved,
        own: Mapping[str, str] | None = None,
    ) -> Cells:
        """The cells that set or clear references. Args: own, the row's key if it exists."""
        cells: Cells = {}
        for name, reference in references.items():
            key = self._key(name)
            if len(reference.ids) > 1:
                raise Refused(
                    Code.LIMIT_REACHED,
                    f"{name} holds one {key.target}, not {len(reference.ids)}.",
                    name,
                )
            if reference.ids:
                found = resolved.get((name, reference.ids[0]))
                if found is None or None in found:
                    raise Refused(
                        Code.TARGET_NOT_MATCHED,
                        f"{key.target} has no row {reference.ids[0]} that {name} could "
                        "point to.",
                        name,
                    )
                cells |= dict(zip(key.columns, found, strict=True))
            elif own is not None:
                cells |= dict.fromkeys(self._clearing(name, key, own))
        return cells

    def _clearing(
        self, name: str, key: ForeignKey, own: Mapping[str, str]
    ) -> list[str]:
        """The columns whose null ends a link, rather than those of another one too."""
        free = [
            c
            for c in key.columns
            if c not in own and not self._table.columns[c].not_null
        ]
        if not free:
            raise Refused(
                Code.REQUIRED_MISSING,
                f"{name} must point to a row of {key.target}: it cannot be empty.",
                name,
            )
        if key.full and len(free) == len(key.columns):
            return free
        others = {
            c for fk in self._table.foreign_keys if fk is not key for c in fk.columns
        }
        return [c for c in free if c not in others] or free


def _check(column: Column, value: Canon) -> None:
    """Refuse what the server would refuse, without splitting a batch over it."""
    name = column.name
    if column.generated or column.identity == "a" or is_plain_text(column):
        raise Refused(Code.FIELD_READ_ONLY, f"{name} cannot be written.", name)
    parts = value if isinstance(value, list) else [value]
    texts = [part for part in parts if isinstance(part, str)]
    if any("\0" in part for part in texts):
        raise Refused(
            Code.VALUE_INVALID,
            f"{name}: PostgreSQL cannot hold a NUL character.",
            name,
        )
    limit = column.max_length
    if limit is not None and any(len(part.rstrip(" ")) > limit for part in texts):
        raise Refused(
            Code.VALUE_TOO_LONG, f"{name} holds at most {limit} characters.", name
        )
    if column.labels and (odd := [part for part in texts if part not in column.labels]):
        raise Refused(Code.OPTION_UNKNOWN, f"{name} has no option {odd[0]!r}.", name)


def _texts(table: Table, record_id: str) -> tuple[str, ...] | None:
    try:
        return table.key_texts(record_id)
    except ValueError:
        return None
