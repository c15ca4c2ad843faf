"""Statements that write rows: whole batches, split until a bad row stands alone."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from psycopg import sql

from connections.catalogue import Code
from connections.connectors.base import (
    ConnectorError,
    SchemaError,
    TransientError,
    UncertainError,
)
from connections.connectors.postgres.database import Database, Row
from connections.connectors.postgres.errors import RowError, code_of, text_of
from connections.connectors.postgres.fields import is_plain_text, to_text
from connections.connectors.postgres.reading import (
    Reader,
    Selection,
    direct_order,
    need_column,
    text,
    typed,
    unnested,
)
from connections.connectors.postgres.tables import Column, ForeignKey, Table
from connections.records import Canon, Draft, Outcome, Patch, Reference

OVERFLOW = "22003"  # a number too large for its column

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


Send = Callable[[Sequence[Item]], Sequence[Row | None]]


class Writer:
    """Writes rows of one table.

    Args: chosen, what to return of each row; targets, the foreign keys' tables by name.
    """

    def __init__(
        self, database: Database, chosen: Selection, targets: Mapping[str, Table]
    ) -> None:
        self._db = database
        self._chosen = chosen
        self._table = chosen.table
        self._targets = targets

    # Creates ---------------------------------------------------------------------------

    def create(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Insert rows; outcomes in the order of `drafts`."""
        resolved = self._resolve(drafts)
        outcomes: dict[int, Outcome] = {}
        groups: dict[tuple[str, ...], list[Item]] = {}
        for index, draft in enumerate(drafts):
            try:
                item = self._drafted(index, draft, resolved)
            except Refused as exc:
                outcomes[index] = exc.outcome
                continue
            # A column without default may as well be null: fewer statements.
            left_out = tuple(
                n
                for n, c in self._table.columns.items()
                if c.fills_itself and n not in item.cells
            )
            groups.setdefault(left_out, []).append(item)
        for items in groups.values():
            columns = sorted({name for item in items for name in item.cells})
            # Rows of nothing but defaults cannot share a statement.
            for some in [items] if columns else [[item] for item in items]:
                self._split(some, partial(self._insert, columns), outcomes)
        return [outcomes[i] for i in range(len(drafts))]

    def _drafted(self, index: int, draft: Draft, resolved: Resolved) -> Item:
        cells = self._cells(draft.values)
        cells |= self._linked(draft.references, resolved)
        made = self._table.made_key
        if made is not None and draft.id is not None:
            cells[made.name] = draft.id
        elif made is not None and not made.fills_itself:
            cells.setdefault(made.name, str(uuid.uuid4()))
        key = tuple(cells.get(name) or "" for name in self._table.key)
        return Item(index, key, cells, draft.references, new=True)

    def _insert(
        self, columns: Sequence[str], items: Sequence[Item]
    ) -> Sequence[Row | None]:
        """One statement; its rows come back in the order they went in."""
        if not columns:
            return self._placed(items, self._db.write(self._defaults()))
        given = [self._table.columns[name] for name in columns]
        statement = sql.SQL(
            "INSERT INTO {} AS t ({}) SELECT {} FROM {} WITH ORDINALITY AS v({}, ord) "
            "ORDER BY v.ord RETURNING {}"
        ).format(
            self._table.identifier,
            sql.SQL(", ").join(sql.Identifier(name) for name in columns),
            sql.SQL(", ").join(_cast(i, c) for i, c in enumerate(given)),
            unnested(len(columns)),
            _names(len(columns)),
            self._chosen.columns,
        )
        return self._placed(items, self._db.write(statement, _lists(items, columns)))

    def _placed(self, items: Sequence[Item], rows: list[Row]) -> Sequence[Row | None]:
        """The rows by item, where a trigger may have dropped some."""
        if len(rows) == len(items):
            return rows
        if not all(all(item.key) for item in items):
            raise UncertainError(
                f"A trigger of {self._table.name} dropped rows, and nobody knows which."
            )
        width = len(self._table.key)
        by_key = {row[:width]: row for row in rows}
        return [by_key.get(item.key) for item in items]

    def _defaults(self) -> sql.Composed:
        return sql.SQL("INSERT INTO {} AS t DEFAULT VALUES RETURNING {}").format(
            self._table.identifier, self._chosen.columns
        )

    # Updates ---------------------------------------------------------------------------

    def update(self, patches: Sequence[Patch]) -> list[Outcome]:
        """Change rows; outcomes in the order of `patches`."""
        resolved = self._resolve(patches)
        outcomes: dict[int, Outcome] = {}
        # A statement changes a row once, so a record's second patch waits for the next.
        waves: list[dict[tuple[str, ...], list[Item]]] = []
        seen: dict[str, int] = {}
        for index, patch in enumerate(patches):
            try:
                item = self._patched(index, patch, resolved)
            except Refused as exc:
                outcomes[index] = exc.outcome
                continue
            wave = seen.get(patch.id, 0)
            seen[patch.id] = wave + 1
            if wave == len(waves):
                waves.append({})
            waves[wave].setdefault(tuple(sorted(item.cells)), []).append(item)
        for groups in waves:
            for columns, items in groups.items():
                items.sort(key=lambda item: item.key)  # fewer deadlocks
                self._split(items, partial(self._change, columns), outcomes)
        return [outcomes[i] for i in range(len(patches))]

    def _patched(self, index: int, patch: Patch, resolved: Resolved) -> Item:
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

    def _change(
        self, columns: Sequence[str], items: Sequence[Item]
    ) -> Sequence[Row | None]:
        """One statement; its rows come back in any order, each with its place first."""
        keys = self._table.key_columns
        on = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("t", c.name), _cast(i, c))
            for i, c in enumerate(keys)
        )
        lists: list[list[str | None]] = [
            list(part) for part in zip(*(item.key for item in items), strict=True)
        ]
        if not columns:  # nothing but the key was given, and that is as it was
            statement = sql.SQL(
                "SELECT v.ord, {} FROM {} WITH ORDINALITY AS v({}, ord) "
                "JOIN {} AS t ON {}"
            ).format(
                self._chosen.columns,
                unnested(len(keys)),
                _names(len(keys)),
                self._table.identifier,
                on,
            )
            return _by_place(items, self._db.read(statement, lists))
        given = [self._table.columns[name] for name in columns]
        statement = sql.SQL(
            "UPDATE {} AS t SET {} FROM {} WITH ORDINALITY AS v({}, ord) WHERE {} "
            "RETURNING v.ord, {}"
        ).format(
            self._table.identifier,
            sql.SQL(", ").join(
                sql.SQL("{} = {}").format(
                    sql.Identifier(c.name), _cast(len(keys) + i, c)
                )
                for i, c in enumerate(given)
            ),
            unnested(len(keys) + len(given)),
            _names(len(keys) + len(given)),
            on,
            self._chosen.columns,
        )
        parameters = [*lists, *_lists(items, columns)]
        return _by_place(items, self._db.write(statement, parameters))

    # What both share -------------------------------------------------------------------

    def _split(
        self, items: Sequence[Item], send: Send, outcomes: dict[int, Outcome]
    ) -> None:
        """Send a batch; halve it as often as a row of it is refused.

        What was written stays written, so a server that goes away half-way is told of
        row by row. Raises: ConnectorError while nothing of the request has been written.
        """
        try:
            rows = send(items)
        except RowError as exc:
            if len(items) > 1:
                half = len(items) // 2
                self._split(items[:half], send, outcomes)
                self._split(items[half:], send, outcomes)
            else:
                outcomes[items[0].index] = self._refusal(items[0], exc)
            return
        except UncertainError as exc:
            lost = Outcome(False, code=exc.code, message=exc.message, uncertain=True)
            outcomes.update({item.index: lost for item in items})
            return
        except TransientError as exc:
            if not any(o.ok or o.uncertain for o in outcomes.values()):
                raise
            unsent = Outcome(False, code=exc.code, message=exc.message)
            outcomes.update({item.index: unsent for item in items})
            return
        for item, row in zip(items, rows, strict=True):
            outcomes[item.index] = self._written(item, row)

    def _written(self, item: Item, row: Row | None) -> Outcome:
        if row is not None:
            record = self._chosen.record(row)
            # A reference to another unique key could not be read along; it is as sent.
            linked = {**item.references, **record.references}
            return Outcome(True, record=replace(record, references=linked))
        table = self._table
        if item.new:
            return Outcome(
                False,
                code=Code.VALUE_INVALID,
                message=f"A trigger of {table.name} dropped the row.",
            )
        if table.hides_rows:
            return Outcome(
                False,
                code=Code.SCOPE_MISSING,
                message=f"Row-level security of {table.name} hides the row from this "
                "role, or it is gone.",
            )
        return Outcome(
            False,
            code=Code.RECORD_GONE,
            message=f"{table.name} has no row {table.record_id(item.key)} any more.",
        )

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

    def _resolve(self, requests: Iterable[Draft | Patch]) -> Resolved:
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
        others = {
            c for fk in self._table.foreign_keys if fk is not key for c in fk.columns
        }
        return [c for c in free if c not in others] or free

    # What a refusal says ---------------------------------------------------------------

    def _refusal(self, item: Item, error: RowError) -> Outcome:
        diag, table = error.cause.diag, self._table
        code, message = code_of(error.cause), f"{text_of(error.cause)}."
        columns = self._blamed(item, error)
        existing = None
        if error.state == "23505":
            key = next(
                (k for k in table.unique_keys if k.name == diag.constraint_name), None
            )
            made = table.made_key
            if key is not None and key.primary and made is not None:
                message = (
                    f"{table.name} already has the next {made.name} that its sequence "
                    "gives: set the sequence past the largest one."
                )
            elif key is not None and key.plain:
                existing = self._existing(item, key.columns)
                message = (
                    f"{table.name} already has a row with this {', '.join(key.columns)}"
                )
                message += f": {existing}." if existing else "."
        elif error.state == "23503" and not columns:
            code = Code.VALUE_INVALID  # other rows still point at the value to replace
        return Outcome(
            False,
            code=code,
            message=message,
            field=",".join(columns),
            existing_id=existing,
        )

    def _blamed(self, item: Item, error: RowError) -> tuple[str, ...]:
        """The columns that the server, or its quoting of a value, blames."""
        diag, table = error.cause.diag, self._table
        if diag.column_name:
            return (diag.column_name,)
        name = diag.constraint_name
        keys = {key.name: key.columns for key in table.unique_keys}
        keys |= {key.name: key.columns for key in table.foreign_keys}
        if name and name in keys:
            return keys[name]
        if name and table.checks.get(name):
            return (table.checks[name],)
        if error.state.startswith("22"):
            told = diag.message_primary or ""
            for column, cell in item.cells.items():
                if cell and f'"{cell}"' in told:
                    return (column,)
        if error.state == OVERFLOW:  # the server names neither column nor value
            sized = [n for n, cell in item.cells.items() if cell and self._sized(n)]
            return tuple(sized) if len(sized) == 1 else ()
        return ()

    def _sized(self, name: str) -> bool:
        """Whether a column is a number of limited size."""
        return self._table.columns[name].precision is not None

    def _existing(self, item: Item, columns: Sequence[str]) -> str | None:
        """The id of the row that has the same values in a unique key."""
        cells = {**dict(zip(self._table.key, item.key, strict=True)), **item.cells}
        values = [cells.get(name) for name in columns]
        if None in values:
            return None
        statement = sql.SQL("SELECT {} FROM {} AS t WHERE {}").format(
            sql.SQL(", ").join(text(name) for name in self._table.key),
            self._table.identifier,
            sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(
                    sql.Identifier("t", name),
                    typed(sql.Placeholder(), self._table.columns[name]),
                )
                for name in columns
            ),
        )
        try:
            rows = self._db.read(statement, values)
        except (ConnectorError, RowError):
            return None  # the refusal itself is what has to be told
        return self._table.record_id(rows[0]) if rows else None


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


def _by_place(items: Sequence[Item], rows: Sequence[Row]) -> Sequence[Row | None]:
    found = {row[0]: row[1:] for row in rows}
    return [found.get(place + 1) for place in range(len(items))]


def _names(count: int) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(f"c{i}") for i in range(count))


def _cast(place: int, column: Column) -> sql.Composed:
    return typed(sql.Identifier("v", f"c{place}"), column)


def _lists(items: Sequence[Item], columns: Sequence[str]) -> list[list[str | None]]:
    """One list of texts a column."""
    return [[item.cells.get(name) for item in items] for name in columns]
