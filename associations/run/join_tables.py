"""A join table as the app's side of a mapping: each link is a row, or one a label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from associations.engine.edges import EdgeChange
from associations.models import AssociationMapping
from associations.run.ends import (
    BY_ID,
    Held,
    Json,
    Known,
    Written,
    find_by_app_id,
    parts,
)
from associations.run.troubles import forget_links
from associations.run.types import say
from connections.catalogue import Code
from connections.connectors.base import TableConnector
from connections.records import (
    AssociationType,
    LinkRows,
    LinkTable,
    Outcome,
    RowsWrite,
    TableReport,
)
from syncs.models import Change, ObjectSync, RecordLink
from syncs.run.session import Session
from syncs.run.stage import Inline

READ_AT_ONCE = 1000  # records whose rows one statement reads
Labels = list[str | None]


@dataclass
class LabelMap:
    """Which type the label of a row means; a blank one is the plain type."""

    plain: AssociationType
    types: Mapping[str, AssociationType] = field(default_factory=dict)

    def type_of(self, label: str | None) -> AssociationType | None:
        """None for a label that is not mapped."""
        text = (label or "").strip()
        if label in self.types:
            return self.types[label or ""]
        return self.types.get(text) if text else self.plain

    def label_of(self, type_: AssociationType) -> str | None:
        """The first label that means a type; none for a plain link."""
        return next((label for label, t in self.types.items() if t == type_), None)


class JoinTableEnd:
    """Rows of a table. Args: labels, None where the table has no label column."""

    names_by, with_record = BY_ID, False
    many, nullable, read_only, by_pair = True, True, False, True

    def __init__(
        self,
        row: AssociationMapping,
        table: LinkTable,
        labels: LabelMap | None,
    ) -> None:
        self.row, self.table, self.map = row, table, labels
        self.name, self.single = table.name, False
        self._report: TableReport | None = None
        self._rows: dict[int, LinkRows] = {}  # of the chunk at work, by record link

    # What is known

    def load(self, session: Session, links: Sequence[RecordLink]) -> None:
        self._rows = {}
        self._read(session, links)

    def _serves(self, session: Session) -> bool:
        """Whether the table can be read as links; looked at once, and said if not."""
        if self._report is None:
            app = cast(TableConnector, session.app)
            self._report = app.link_table(self.table)
            self.single = self._report.single
            faults = [f for f in self._report.faults if not f.writing]
            for fault in faults:
                say(session, Code(fault.code), f"{self.name}: {fault.text}")
            gone = any(f.code != Code.SCOPE_MISSING for f in faults)
            if gone and not session.run.dry_run:
                # Should it come back, it comes back empty, and nobody took links off.
                forget_links(self.row)
        return all(fault.writing for fault in self._report.faults)

    def _read(self, session: Session, links: Sequence[RecordLink]) -> None:
        if not self._serves(session):
            return
        there = {
            link.app_id: link.pk
            for link in links
            if link.app_id is not None and link.app_gone_at is None
        }
        app = cast(TableConnector, session.app)
        for some in parts(list(there), READ_AT_ONCE):
            for app_id, rows in app.link_rows(self.table, some).items():
                self._rows[there[app_id]] = rows

    def ids(self, link: RecordLink) -> list[str] | None:
        if link.app_id is None:
            return []
        rows = self._rows.get(link.pk)
        if rows is None or not rows.complete:
            return None
        return list(dict.fromkeys(row.to_id for row in rows.rows))

    def rows_of(self, link: RecordLink, far_id: str | None) -> Labels | None:
        """The labels of a pair's rows, each once; None where they are not known."""
        if link.app_id is None:
            return []
        rows = self._rows.get(link.pk)
        if rows is None:
            return None
        mine = {row.label for row in rows.rows if row.to_id == far_id}
        return sorted(mine, key=_order)

    def find(
        self, sync: ObjectSync, names: Sequence[str]
    ) -> Iterator[tuple[str, RecordLink]]:
        yield from find_by_app_id(sync, names)

    def name_of(self, far: RecordLink) -> str | None:
        return far.app_id

    def labels(self, link: RecordLink) -> Mapping[str, Held]:
        if self.map is None or link.app_id is None:
            return {}
        found: dict[str, Held] = {}
        for far_id in self.ids(link) or ():
            labels = self.rows_of(link, far_id) or []
            types = {self.map.type_of(label) for label in labels}
            odd = tuple(x for x in labels if x and self.map.type_of(x) is None)
            found[far_id] = Held(frozenset(t for t in types if t is not None), odd)
        return found

    # Planning

    def before(self, link: RecordLink, far: RecordLink | None) -> Json:
        far_id = far.app_id if far is not None else None
        return {"table": self.name, "rows": self.rows_of(link, far_id) or []}

    def after(
        self,
        link: RecordLink,
        change: EdgeChange,
        wanted: Sequence[int],
        known: Known,
    ) -> Json:
        far = known.link_of(change.far_key or 0)
        held = self.rows_of(link, far.app_id if far is not None else None) or []
        return {"table": self.name, "rows": self._wanted(held, change)}

    def _wanted(self, held: Labels, change: EdgeChange) -> Labels:
        """The labels of a pair's rows once a change is written."""
        if self.map is None or change.rows is None:
            return [] if change.kind == "unlink" else [None]
        types = change.rows
        kept = [x for x in held if self._stays(x, held, types)]
        there = {self.map.type_of(x) for x in kept}
        missing = [self.map.label_of(t) for t in types if t not in there]
        return sorted({*kept, *missing}, key=_order)

    def _stays(
        self, label: str | None, held: Labels, types: frozenset[AssociationType]
    ) -> bool:
        """A row that nobody understands stays, and a blank one that stood beside labels
        while the pair is linked at all."""
        assert self.map is not None
        means = self.map.type_of(label)
        if means is None or means in types:
            return True
        labels = {self.map.type_of(x) for x in held} - {None, self.map.plain}
        return bool(means == self.map.plain and labels and types) and not self.single

    # Writing

    def carry(self, inline: Inline, change: Change) -> bool:
        return False

    def carried(self, link: RecordLink, changes: Sequence[Change]) -> None:
        """Nothing: rows are written once their record is there."""

    @classmethod
    def refresh(
        cls, session: Session, work: Mapping[JoinTableEnd, Sequence[RecordLink]]
    ) -> None:
        for end, links in work.items():
            end._read(session, links)

    def stale(self, link: RecordLink, limit: datetime) -> bool:
        return True  # a row's change moves no time of its record

    def moved(self, change: Change) -> bool:
        link, far = change.link, change.other_link
        if link is None or "rows" not in change.before:
            return False
        held: Labels = change.before["rows"]
        return self.rows_of(link, far.app_id if far is not None else None) != held

    @classmethod
    def write(
        cls, session: Session, work: Mapping[JoinTableEnd, Sequence[Change]]
    ) -> Written:
        written = Written()
        app = cast(TableConnector, session.app)
        for end, changes in work.items():
            # Changes that are taken back together all write what the pair comes to.
            writes: dict[tuple[str, str], RowsWrite] = {}
            for change in changes:
                write = _rows_write(change)
                writes[write.from_id, write.to_id] = write
            outcomes: dict[tuple[str, str], Outcome] = dict(
                zip(
                    writes,
                    app.write_link_rows(end.table, list(writes.values())),
                    strict=True,
                )
            )
            for change in changes:
                write = _rows_write(change)
                answer = outcomes[write.from_id, write.to_id]
                written.answered.append((change, answer))
        return written

    def in_effect(self, change: Change, link: RecordLink) -> bool:
        far = change.other_link
        held = self.rows_of(link, far.app_id if far is not None else None)
        wanted: Labels = change.after["rows"]
        return held == wanted


def _rows_write(change: Change) -> RowsWrite:
    assert change.link is not None
    assert change.other_link is not None
    return RowsWrite(
        change.link.app_id or "",
        change.other_link.app_id or "",
        tuple(change.before["rows"]),
        tuple(change.after["rows"]),
    )


def _order(label: str | None) -> tuple[bool, str]:
    return label is not None, label or ""
