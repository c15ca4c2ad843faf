"""Write the rows of a link table: a statement a kind, split until a bad row is alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg import sql

from connections.catalogue import Code
from connections.connectors.base import TransientError, UncertainError
from connections.connectors.postgres.cells import Item
from connections.connectors.postgres.database import Database
from connections.connectors.postgres.errors import RowError
from connections.connectors.postgres.link_rows import (
    FAR,
    NEAR,
    holds,
    join_of,
    names_of,
    read_rows,
    texts_of,
    values_of,
)
from connections.connectors.postgres.link_tables import (
    End,
    Shape,
    made_uuid,
    takes_blank,
)
from connections.connectors.postgres.refusals import refusal
from connections.connectors.postgres.selection import typed, unnested
from connections.records import Outcome, RowsWrite


@dataclass(frozen=True, slots=True)
class _Row:
    """One row to update (old and new), delete (old) or insert (new)."""

    index: int
    write: RowsWrite
    ends: tuple[str, ...]  # the texts of both keys
    old: str | None = None
    new: str | None = None


Send = Callable[[Sequence[_Row]], None]


class RowWriter:
    """Makes the rows of pairs what they are to be."""

    def __init__(self, database: Database, shape: Shape) -> None:
        self._db, self._shape = database, shape
        self._outcomes: dict[int, Outcome] = {}
        self._wrote = False

    def write(self, writes: Sequence[RowsWrite]) -> list[Outcome]:
        """Update first, so that a relabelled row stays itself; then delete, then insert."""
        updates: list[_Row] = []
        deletes: list[_Row] = []
        inserts: list[_Row] = []
        for index, write in enumerate(writes):
            ends = self._ends(index, write)
            if ends is None:
                continue
            old = _sorted(set(write.before) - set(write.after))
            new = _sorted(set(write.after) - set(write.before))
            both = min(len(old), len(new))
            for was, becomes in zip(old, new, strict=False):
                updates.append(_Row(index, write, ends, was, becomes))
            deletes += [_Row(index, write, ends, old=was) for was in old[both:]]
            inserts += [_Row(index, write, ends, new=new_) for new_ in new[both:]]
        for rows, send in (
            (updates, self._update),
            (deletes, self._delete),
            (inserts, self._insert),
        ):
            left = [row for row in rows if row.index not in self._outcomes]
            left.sort(key=lambda row: row.ends)  # fewer deadlocks
            if left:
                self._split(left, send)
        return [self._outcomes.get(i, Outcome(True)) for i in range(len(writes))]

    def _ends(self, index: int, write: RowsWrite) -> tuple[str, ...] | None:
        shape = self._shape
        near, far = (
            texts_of(shape.near, write.from_id),
            texts_of(shape.far, write.to_id),
        )
        if near is None or far is None:
            text = f"{shape.table.name} cannot point to one of the two records."
            self._refuse(index, Code.TARGET_NOT_MATCHED, text)
            return None
        if shared := _differ(shape, near, far):
            text = f"The two records differ in {shared}, which a row shares."
            self._refuse(index, Code.TARGET_NOT_MATCHED, text)
            return None
        if None in write.after and not takes_blank(shape):
            name = shape.label.name if shape.label is not None else ""
            text = f"{name} must be given, and the link has no label."
            self._refuse(index, Code.REQUIRED_MISSING, text, name)
            return None
        return (*near, *far)

    def _refuse(self, index: int, code: Code, text: str, name: str = "") -> None:
        self._outcomes[index] = Outcome(False, code=code, message=text, field=name)

    # Statements -------------------------------------------------------------------------

    def _given(self) -> sql.Composed:
        """The pairs, with old and new label, as a table `a`; and what they lead to."""
        shape = self._shape
        names = [*names_of(shape.near, NEAR), *names_of(shape.far, FAR)]
        return sql.SQL("{} WITH ORDINALITY AS a({}, old, new, ord) {} {}").format(
            unnested(len(names) + 2),
            sql.SQL(", ").join(names),
            join_of(shape.near, NEAR),
            join_of(shape.far, FAR),
        )

    def _lists(self, rows: Sequence[_Row]) -> list[list[str | None]]:
        ends: list[list[str | None]] = [
            list(part) for part in zip(*(row.ends for row in rows), strict=True)
        ]
        blank = self._shape.blank
        new = [blank if row.new is None else row.new for row in rows]
        return [*ends, [row.old for row in rows], [*new]]

    def _of_pair(self) -> sql.Composed:
        shape = self._shape
        on: list[sql.Composable] = [
            holds(shape.near, NEAR, shape),
            holds(shape.far, FAR, shape),
        ]
        if shape.label is not None:
            label = sql.Identifier("t", shape.label.name)
            on.append(sql.SQL("{}::text IS NOT DISTINCT FROM a.old").format(label))
        return sql.SQL(" AND ").join(on)

    def _update(self, rows: Sequence[_Row]) -> None:
        label = self._shape.label
        assert label is not None, "without labels a row has nothing to change"
        statement = sql.SQL(
            "UPDATE {} AS t SET {} = {} FROM {} WHERE {} RETURNING a.ord"
        ).format(
            self._shape.table.identifier,
            sql.Identifier(label.name),
            typed(sql.Identifier("a", "new"), label),
            self._given(),
            self._of_pair(),
        )
        found = self._db.write(statement, self._lists(rows))
        done = {rows[row[0] - 1].index for row in found}
        for row in rows:
            if row.index not in done:
                text = "The row is not what it was when this was planned."
                self._refuse(row.index, Code.CHANGED_SINCE_PLAN, text)

    def _delete(self, rows: Sequence[_Row]) -> None:
        """Every row of the pair with the label: they count once."""
        statement = sql.SQL("DELETE FROM {} AS t USING {} WHERE {}").format(
            self._shape.table.identifier, self._given(), self._of_pair()
        )
        self._db.write(statement, self._lists(rows))

    def _insert(self, rows: Sequence[_Row]) -> None:
        shape = self._shape
        cells: dict[str, sql.Composable] = {}
        for end, alias in ((shape.far, FAR), (shape.near, NEAR)):
            values = values_of(end, alias, shape)
            cells |= dict(zip(end.key.columns, values, strict=True))
        if shape.label is not None:
            cells[shape.label.name] = typed(sql.Identifier("a", "new"), shape.label)
        if made := made_uuid(shape):
            cells[made] = sql.SQL("gen_random_uuid()")
        statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} RETURNING 1").format(
            shape.table.identifier,
            sql.SQL(", ").join(sql.Identifier(name) for name in cells),
            sql.SQL(", ").join(cells.values()),
            self._given(),
        )
        if len(self._db.write(statement, self._lists(rows))) < len(rows):
            self._look_for(rows)

    def _look_for(self, rows: Sequence[_Row]) -> None:
        """Fewer rows came about than were sent: an end is gone, or a trigger drops rows."""
        ids = sorted({row.write.from_id for row in rows})
        found = read_rows(self._db, self._shape, ids)
        blank = self._shape.blank
        for row in rows:
            wanted = blank if row.new is None else row.new
            there = {
                x.label
                for x in found[row.write.from_id].rows
                if x.to_id == row.write.to_id
            }
            if wanted not in there:
                text = (
                    f"{self._shape.table.name} did not take the row: a record is not "
                    "there any more, or a trigger dropped it."
                )
                self._refuse(row.index, Code.TARGET_NOT_MATCHED, text)

    # A batch ----------------------------------------------------------------------------

    def _split(self, rows: Sequence[_Row], send: Send) -> None:
        """Send a batch; halve it as often as a row of it is refused.

        Raises: ConnectorError while nothing of the request has been written.
        """
        try:
            send(rows)
        except RowError as exc:
            if len(rows) > 1:
                half = len(rows) // 2
                self._split(rows[:half], send)
                self._split(rows[half:], send)
            else:
                self._refused(rows[0], exc)
        except UncertainError as exc:
            lost = Outcome(False, code=exc.code, message=exc.message, uncertain=True)
            self._outcomes.update({row.index: lost for row in rows})
        except TransientError as exc:
            if not self._wrote:
                raise
            unsent = Outcome(False, code=exc.code, message=exc.message)
            self._outcomes.update({row.index: unsent for row in rows})
        else:
            self._wrote = True

    def _refused(self, row: _Row, error: RowError) -> None:
        shape = self._shape
        cells: dict[str, str | None] = {}
        if shape.label is not None:
            cells[shape.label.name] = row.new
        item = Item(row.index, ("",) * len(shape.table.key), cells)
        self._outcomes[row.index] = refusal(self._db, shape.table, item, error)


def _cells(end: End, texts: Sequence[str]) -> dict[str, str]:
    """The end's columns of a row, where they spell the record's id."""
    if not end.direct:
        return {}
    pairs = zip(end.key.columns, end.key.target_columns, strict=True)
    return {own: texts[end.target.key.index(theirs)] for own, theirs in pairs}


def _differ(shape: Shape, near: Sequence[str], far: Sequence[str]) -> str:
    """A column of both ends that the two records would have differ; "" if none."""
    one, other = _cells(shape.near, near), _cells(shape.far, far)
    return next((n for n in one.keys() & other.keys() if one[n] != other[n]), "")


def _sorted(labels: set[str | None]) -> list[str | None]:
    return sorted(labels, key=lambda label: (label is not None, label or ""))
