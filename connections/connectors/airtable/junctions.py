"""Junction tables: tables whose records link two others, perhaps with a label.

A record's rows are found by the field that shows them from its end: a formula sees of a
link only what the other record is called, and names may be the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from connections.catalogue import Code
from connections.connectors.airtable.api import Api, Json, Table
from connections.connectors.airtable.reading import Reader
from connections.connectors.airtable.schema import object_type
from connections.connectors.airtable.types import LINK
from connections.connectors.airtable.writing import Writer
from connections.connectors.base import SchemaError
from connections.connectors.link_rows import Work
from connections.records import (
    Draft,
    LinkRow,
    LinkRows,
    LinkTable,
    ObjectType,
    Outcome,
    Patch,
    Record,
    Reference,
    RowsWrite,
    TableFault,
    TableReport,
    Want,
)

LABELS = ("singleLineText", "singleSelect")
MOVED = "Somebody changed the rows of this pair in Airtable meanwhile."


@dataclass(frozen=True, slots=True)
class Shape:
    """A junction table: its object type, two link fields and the field of its label;
    `near` is the object at one end, `mirror` its field that shows the rows ("": none)."""

    obj: ObjectType
    near_field: str
    far_field: str
    label: str
    near: ObjectType
    mirror: str

    @property
    def want(self) -> Want:
        labels = (self.label,) if self.label else ()
        return Want(labels, (self.near_field, self.far_field))


@dataclass(frozen=True, slots=True)
class Line:
    """One row that links a pair."""

    id: str
    far: str
    label: str | None


class _Unfit(Exception):
    def __init__(self, part: str, text: str, code: Code = Code.FIELD_MISSING) -> None:
        super().__init__(text)
        self.fault = TableFault(part, text, code)


class Junctions:
    """Reads and writes rows of junction tables of one base."""

    def __init__(self, api: Api, reader: Reader) -> None:
        self._api, self._reader = api, reader

    def examine(self, table: LinkTable) -> TableReport:
        """Look whether a table can serve."""
        try:
            self._shape(table, self._api.tables(again=True))
        except _Unfit as exc:
            return TableReport((exc.fault,))
        return TableReport()

    def shape(self, table: LinkTable) -> Shape:
        """As the base is known, or else as it is now.

        Raises: SchemaError where the table cannot be read as links.
        """
        with suppress(_Unfit):
            return self._shape(table, self._api.tables())
        try:
            return self._shape(table, self._api.tables(again=True))
        except _Unfit as exc:
            raise SchemaError(exc.fault.text, code=Code(exc.fault.code)) from None

    def _shape(self, table: LinkTable, tables: Mapping[str, Table]) -> Shape:
        found = next((t for t in tables.values() if table.name in (t.id, t.name)), None)
        if found is None:
            text = f"The base has no table {table.name}."
            raise _Unfit("name", text, Code.SCHEMA_CHANGED)
        owner = tables.get(table.near)
        if owner is None:
            text = "The base has no table of the records that it links."
            raise _Unfit("from", text, Code.SCHEMA_CHANGED)
        near = _end(found, "from", table.from_columns, table.near, tables)
        far = _end(found, "to", table.to_columns, table.far, tables)
        if near["id"] == far["id"]:
            raise _Unfit("to", "from and to cannot be the same field.")
        if table.label:
            _check_label(found, table.label)
        inverse = str((near.get("options") or {}).get("inverseLinkFieldId") or "")
        return Shape(
            object_type(found, tables),
            str(near["name"]),
            str(far["name"]),
            table.label,
            object_type(owner, tables),
            owner.name_of(inverse),
        )

    # Rows ------------------------------------------------------------------------------

    def read(self, shape: Shape, ids: Sequence[str]) -> Mapping[str, LinkRows]:
        """The links of near records; a row that names several hides what it means."""
        found: dict[str, LinkRows] = {}
        for near, lines in self._lines(shape, ids).items():
            if lines is None:
                found[near] = LinkRows((), complete=False)
            else:
                found[near] = LinkRows(tuple(LinkRow(x.far, x.label) for x in lines))
        return found

    def _lines(self, shape: Shape, ids: Sequence[str]) -> dict[str, list[Line] | None]:
        """The rows of near records; None where not all of them can be told.

        A row without a far record is one that somebody is still filling in.
        """
        found: dict[str, list[Line] | None] = {i: [] for i in ids}
        for row in self._rows(shape, found):
            near = row.references[shape.near_field].ids
            far = row.references[shape.far_field].ids
            for owner in near:
                mine = found.get(owner)
                if owner not in found or not far:
                    continue
                if len(near) > 1 or len(far) > 1:
                    found[owner] = None
                elif mine is not None:
                    mine.append(Line(row.id, far[0], _label(shape, row)))
        return found

    def _rows(
        self, shape: Shape, found: dict[str, list[Line] | None]
    ) -> Iterator[Record]:
        """The table's records that name near records: by their ids, 100 a call; all of
        the table where the near records do not show theirs."""
        if not shape.mirror:
            for page in self._reader.pages(shape.obj, shape.want):
                yield from page.records
            return
        shown = Want(references=(shape.mirror,))
        near = self._reader.fetch(shape.near, list(found), shown)
        for missing in found.keys() - near.records.keys():
            found[missing] = None
        ids = [i for r in near.records.values() for i in r.references[shape.mirror].ids]
        yield from self._reader.fetch(shape.obj, ids, shape.want).records.values()

    # Writing ---------------------------------------------------------------------------

    def write(self, shape: Shape, writes: Sequence[RowsWrite]) -> list[Outcome]:
        """Make pairs' rows what they are to be; read right before they are written."""
        if not writes:
            return []
        there = self._lines(shape, list(dict.fromkeys(w.from_id for w in writes)))
        work: Work[Line] = Work()
        outcomes: dict[int, Outcome] = {}
        for at, write in enumerate(writes):
            lines = there[write.from_id]
            held = [x for x in lines or () if x.far == write.to_id]
            if lines is None or not work.plan(at, held, write):
                code = Code.CHANGED_SINCE_PLAN
                outcomes[at] = Outcome(False, code=code, message=MOVED)
        for at, outcome in self._send(shape, work, writes):
            if not outcome.ok or at not in outcomes:
                outcomes[at] = outcome
        return [outcomes.get(at, Outcome(True)) for at in range(len(writes))]

    def _send(
        self, shape: Shape, work: Work[Line], writes: Sequence[RowsWrite]
    ) -> Iterator[tuple[int, Outcome]]:
        patches = [
            Patch(line.id, {shape.label: label}) for _, line, label in work.changed
        ]
        changed = self._writer(shape).update(patches)
        yield from zip((at for at, *_ in work.changed), changed, strict=True)
        gone = self._writer(shape).delete([line.id for _, line in work.deleted])
        for (at, _), outcome in zip(work.deleted, gone, strict=True):
            done = outcome.code == Code.RECORD_GONE  # that is what it was to be
            yield at, Outcome(True) if done else outcome
        drafts = [
            Draft(
                "",
                {shape.label: label} if label is not None else {},
                {
                    shape.near_field: Reference((writes[at].from_id,)),
                    shape.far_field: Reference((writes[at].to_id,)),
                },
            )
            for at, label in work.made
        ]
        made = self._writer(shape).create(drafts)
        yield from zip((at for at, _ in work.made), made, strict=True)

    def _writer(self, shape: Shape) -> Writer:
        return Writer(self._api, self._reader, shape.obj, Want())


def _end(
    table: Table, part: str, name: str, target: str, tables: Mapping[str, Table]
) -> Json:
    field = table.by_name.get(name)
    if field is None:
        raise _Unfit(part, f"{table.name} has no field {name}.")
    if field.get("type") != LINK:
        raise _Unfit(part, f"{name} is no link field.", Code.SCHEMA_CHANGED)
    linked = str((field.get("options") or {}).get("linkedTableId") or "")
    if linked != target:
        named = tables[linked].name if linked in tables else "another base's table"
        wanted = tables[target].name if target in tables else target
        text = f"{name} links to {named}, not to {wanted}."
        raise _Unfit(part, text, Code.SCHEMA_CHANGED)
    return field


def _check_label(table: Table, name: str) -> None:
    field = table.by_name.get(name)
    if field is None:
        raise _Unfit("label", f"{table.name} has no field {name}.")
    if field.get("type") not in LABELS:
        raise _Unfit(
            "label",
            f"{name} is a {field.get('type')}: a label is a single line of text or a "
            "single select.",
            Code.SCHEMA_CHANGED,
        )


def _label(shape: Shape, row: Record) -> str | None:
    value = row.values.get(shape.label) if shape.label else None
    return str(value) if value not in (None, "") else None
