"""Delete rows for good, and nothing with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from connections.catalogue import Code
from connections.connectors.base import TransientError, UncertainError
from connections.connectors.postgres.cells import Item
from connections.connectors.postgres.database import Database
from connections.connectors.postgres.errors import RowError
from connections.connectors.postgres.reading import Reader
from connections.connectors.postgres.refusals import refusal
from connections.connectors.postgres.selection import Selection, text, typed, unnested
from connections.connectors.postgres.tables import Table
from connections.records import Outcome

# Tables whose rows would be deleted along, with the columns that point here.
DEPENDENTS = sql.SQL("""
SELECT rn.nspname, r.relname,
  ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(n, i)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.i),
  ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(n, i)
    JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.i)
FROM pg_constraint k
JOIN pg_class r ON r.oid = k.conrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE k.contype = 'f' AND k.confdeltype = 'c' AND k.conparentid = 0
  AND tn.nspname = %s AND t.relname = %s
ORDER BY 1, 2
""")


@dataclass(frozen=True, slots=True)
class Dependent:
    """A foreign key with ON DELETE CASCADE that points at the table."""

    schema: str
    name: str
    columns: tuple[str, ...]
    target_columns: tuple[str, ...]

    @property
    def points_here(self) -> sql.Composed:
        """Whether a row of it points at the row `t`."""
        on = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("d", own), sql.Identifier("t", to))
            for own, to in zip(self.columns, self.target_columns, strict=True)
        )
        return sql.SQL("EXISTS (SELECT 1 FROM {} AS d WHERE {})").format(
            sql.Identifier(self.schema, self.name), on
        )


class Deleter:
    """Deletes rows of one table."""

    def __init__(self, database: Database, table: Table) -> None:
        self._db, self._table = database, table
        self._dependents = [
            Dependent(schema, name, tuple(columns), tuple(targets))
            for schema, name, columns, targets in database.read(
                DEPENDENTS, [table.schema, table.name]
            )
        ]

    def delete(self, ids: Sequence[str]) -> list[Outcome]:
        """Delete rows by id; outcomes in the order of `ids`.

        A row that rows of another table hang on with ON DELETE CASCADE is refused:
        those would go unseen.
        """
        outcomes: dict[int, Outcome] = {}
        items: list[Item] = []
        for index, record_id in enumerate(ids):
            try:
                items.append(Item(index, self._table.key_texts(record_id), {}))
            except ValueError:
                outcomes[index] = self._absent(record_id)
        items.sort(key=lambda item: item.key)  # fewer deadlocks
        if items:
            self._some(items, outcomes)
        return [outcomes[index] for index in range(len(ids))]

    def _some(self, items: list[Item], outcomes: dict[int, Outcome]) -> None:
        try:
            done = self._send(items)
        except RowError as exc:
            if len(items) == 1:
                outcomes[items[0].index] = refusal(self._db, self._table, items[0], exc)
                return
            half = len(items) // 2
            self._some(items[:half], outcomes)
            self._some(items[half:], outcomes)
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
        left = [item for place, item in enumerate(items, 1) if place not in done]
        outcomes.update(
            {item.index: Outcome(True) for item in items if item not in left}
        )
        self._explain(left, outcomes)

    def _send(self, items: Sequence[Item]) -> set[int]:
        """One statement; the places, from 1, of what it deleted."""
        keys = self._table.key_columns
        conditions = [
            sql.SQL("{} = {}").format(
                sql.Identifier("t", c.name), typed(sql.Identifier("v", f"c{i}"), c)
            )
            for i, c in enumerate(keys)
        ]
        conditions += [
            sql.SQL("NOT {}").format(d.points_here) for d in self._dependents
        ]
        statement = sql.SQL(
            "DELETE FROM {} AS t USING {} WITH ORDINALITY AS v({}, ord) WHERE {} "
            "RETURNING v.ord"
        ).format(
            self._table.identifier,
            unnested(len(keys)),
            sql.SQL(", ").join(sql.Identifier(f"c{i}") for i in range(len(keys))),
            sql.SQL(" AND ").join(conditions),
        )
        lists = [list(part) for part in zip(*(i.key for i in items), strict=True)]
        return {row[0] for row in self._db.write(statement, lists)}

    def _explain(self, left: list[Item], outcomes: dict[int, Outcome]) -> None:
        """Why rows were not deleted: they are gone, or others hang on them."""
        if not left:
            return
        chosen = Selection(self._table)
        chosen.add(*(text(name) for name in self._table.key))
        found: list[tuple[int, Any]] = list(
            Reader(self._db, chosen).by_key([item.key for item in left])
        )
        there = {place for place, _ in found}
        for place, item in enumerate(left):
            record_id = self._table.record_id(item.key)
            if place not in there:
                outcomes[item.index] = self._absent(record_id)
                continue
            names = ", ".join(dict.fromkeys(d.name for d in self._dependents))
            why = f"rows of {names} would be deleted with it (ON DELETE CASCADE)"
            if not names:
                why = "a trigger or a policy kept it"
            outcomes[item.index] = Outcome(
                False,
                code=Code.DIRECTION_FORBIDS,
                message=f"Row {record_id} of {self._table.name} was not deleted: {why}.",
            )

    def _absent(self, record_id: str) -> Outcome:
        return Outcome(
            False,
            code=Code.RECORD_GONE,
            message=f"{self._table.name} has no row {record_id} any more.",
        )
