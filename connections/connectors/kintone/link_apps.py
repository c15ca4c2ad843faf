"""Join apps: apps whose records link two others by lookups, perhaps with a label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.connectors.kintone.api import PAGE_SIZE, Api, Json, any_of, text
from connections.connectors.kintone.forms import TYPES, Form, object_of
from connections.connectors.kintone.keys import KeyIndex
from connections.connectors.kintone.schema import SchemaReader
from connections.connectors.kintone.values import key_text
from connections.connectors.parts import chunks
from connections.records import (
    LinkRow,
    LinkRows,
    LinkTable,
    ReferenceField,
    TableFault,
    TableReport,
)

LABELS = ("SINGLE_LINE_TEXT", "DROP_DOWN", "RADIO_BUTTON")
KEYS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Shape:
    """A join app: its two lookups and the field of its label ("" where it has none)."""

    form: Form
    near: ReferenceField
    far: ReferenceField
    label: str

    @property
    def codes(self) -> list[str]:
        named = [self.near.name, self.far.name, self.label]
        return ["$id", "$revision", *filter(None, named)]

    def label_of(self, row: Json) -> str | None:
        cell = row.get(self.label) or {}
        return text(cell.get("value")) or None


@dataclass(frozen=True, slots=True)
class Line:
    """One record of a join app."""

    id: str
    revision: str
    far: (
        str | None
    )  # None where its key leads nowhere that is known; "" where it is blank
    label: str | None


class _Unfit(Exception):
    def __init__(self, part: str, text: str, code: Code = Code.FIELD_MISSING) -> None:
        super().__init__(text)
        self.fault = TableFault(part, text, code)


def examine(schema: SchemaReader, table: LinkTable) -> TableReport:
    """Look whether an app can serve as a join table."""
    try:
        shape = _shape(schema, table)
    except _Unfit as exc:
        return TableReport((exc.fault,))
    return TableReport(tuple(_unwritable(shape)))


def shape_of(schema: SchemaReader, table: LinkTable) -> Shape:
    """Raises: SchemaError where the app cannot be read as links."""
    try:
        return _shape(schema, table)
    except _Unfit as exc:
        raise SchemaError(exc.fault.text, code=Code(exc.fault.code)) from None


def _shape(schema: SchemaReader, table: LinkTable) -> Shape:
    names = schema.names()
    number = next((n for n, name in names.items() if table.name in (n, name)), None)
    if number is None:
        text_ = f"There is no app {table.name} among those offered."
        raise _Unfit("name", text_, Code.SCHEMA_CHANGED)
    form = schema.form(number, names[number])
    near = _end(form, "from", table.from_columns, table.near)
    far = _end(form, "to", table.to_columns, table.far)
    if near.name == far.name:
        raise _Unfit("to", "from and to cannot be the same lookup.")
    if table.label:
        kind = form.properties.get(table.label, {}).get("type")
        if kind is None:
            raise _Unfit("label", f"{form.name} has no field {table.label}.")
        if kind not in LABELS:
            raise _Unfit(
                "label",
                f"{table.label} is a {kind}: a label is a text, a drop-down or a radio "
                "button.",
                Code.SCHEMA_CHANGED,
            )
    return Shape(form, near, far, table.label)


def _end(form: Form, part: str, name: str, target: str) -> ReferenceField:
    found = object_of(form).reference(name)
    if name not in form.properties:
        raise _Unfit(part, f"{form.name} has no field {name}.")
    if found is None or found.many:
        raise _Unfit(part, f"{name} is no lookup.", Code.SCHEMA_CHANGED)
    if found.target != target:
        text_ = f"{name} looks up app {found.target}, not app {target}."
        raise _Unfit(part, text_, Code.SCHEMA_CHANGED)
    return found


def _unwritable(shape: Shape) -> Iterator[TableFault]:
    """What keeps a new row from being made."""
    given = {shape.near.name, shape.far.name, shape.label}
    label = object_of(shape.form).field(shape.label)
    if label is not None and label.read_only:
        yield TableFault(
            "label", label.read_only_reason, Code.FIELD_READ_ONLY, writing=True
        )
    if label is not None and label.required:
        text_ = f"{shape.label} must have a value, and a plain link has no label."
        yield TableFault("label", text_, Code.REQUIRED_MISSING, writing=True)
    for code, field in shape.form.properties.items():
        if code in given or field.get("type") not in TYPES:
            continue
        if field.get("required") and not field.get("defaultValue"):
            text_ = f"{code} must have a value and has no default: no row can be made."
            yield TableFault("name", text_, Code.REQUIRED_MISSING, writing=True)


# Rows ----------------------------------------------------------------------------------


def lines(api: Api, shape: Shape, ids: Sequence[str]) -> dict[str, list[Line] | None]:
    """The join app's records of near records; None for a record that is not shown."""
    (key_field,) = shape.near.target_columns
    index = KeyIndex(api)
    keys = index.keys_of(shape.near.target, key_field, ids)
    found: dict[str, list[Line] | None] = {i: [] if i in keys else None for i in ids}
    kind = _kind(shape, shape.near.name)
    owners = {key_text({"type": kind, "value": k}): i for i, k in keys.items() if k}
    listed: list[tuple[str, Json]] = []
    for some in chunks(list(owners), KEYS_AT_ONCE):
        for row in _rows(api, shape, some):
            near = owners.get(key_text(row.get(shape.near.name)))
            if near is not None:
                listed.append((near, row))
    far = index.resolve([shape.far], [row for _, row in listed])
    for (near, row), references in zip(listed, far, strict=True):
        reference = references[shape.far.name]
        target = next(iter(reference.ids), "" if reference.complete else None)
        mine = found[near]
        assert mine is not None, "it is shown, with a key"
        mine.append(
            Line(
                text(row["$id"]["value"]),
                text(row["$revision"]["value"]),
                target,
                shape.label_of(row) if shape.label else None,
            )
        )
    return found


def _rows(api: Api, shape: Shape, keys: Sequence[str]) -> Iterator[Json]:
    last = "0"
    while True:
        query = f"{any_of(shape.near.name, keys)} and $id > {last}"
        found, total, _ = api.records(
            shape.form.app,
            f"{query} order by $id asc limit {PAGE_SIZE}",
            shape.codes,
            f"read {shape.form.name}",
            count=True,
        )
        yield from found
        done = len(found) < PAGE_SIZE if total is None else total <= len(found)
        if done or not found:
            return
        last = text(found[-1]["$id"]["value"])


def _kind(shape: Shape, code: str) -> str:
    return text(shape.form.properties[code].get("type"))


def read_rows(api: Api, shape: Shape, ids: Sequence[str]) -> Mapping[str, LinkRows]:
    """The links of near records; a row whose far key leads nowhere hides one."""
    found: dict[str, LinkRows] = {}
    for near, listed in lines(api, shape, ids).items():
        if listed is None:
            found[near] = LinkRows((), complete=False)
            continue
        rows = tuple(LinkRow(line.far, line.label) for line in listed if line.far)
        found[near] = LinkRows(rows, all(line.far is not None for line in listed))
    return found
