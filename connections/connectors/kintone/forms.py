"""An app's form as object type: fields with their types, lookups as references. Pure.

Source: https://kintone.dev/en/docs/kintone/overview/field-types/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connections.records import (
    Field,
    JoinTable,
    ObjectType,
    Option,
    ReferenceField,
    ValueType,
)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TypeRow:
    """How a field type of Kintone's is seen; `why_not` says why it is read only."""

    type: ValueType
    why_not: str = ""
    note: str = ""


COMPUTED = "Kintone computes it."
KEPT = "Kintone alone keeps it."
PROCESS = "Process management moves it."
TYPES: dict[str, TypeRow] = {
    "SINGLE_LINE_TEXT": TypeRow(ValueType.TEXT, note="a lookup: a reference besides"),
    "MULTI_LINE_TEXT": TypeRow(ValueType.TEXT),
    "RICH_TEXT": TypeRow(ValueType.TEXT, note="HTML as it stands"),
    "LINK": TypeRow(ValueType.TEXT, note="an address, telephone number or e-mail"),
    "TIME": TypeRow(ValueType.TEXT, note="such as 10:30"),
    "NUMBER": TypeRow(ValueType.NUMBER, note="decimal, every digit kept"),
    "DATE": TypeRow(ValueType.DATE),
    "DATETIME": TypeRow(ValueType.DATETIME, note="whole minutes: seconds are cut off"),
    "RADIO_BUTTON": TypeRow(ValueType.OPTION, note="never empty once it has a value"),
    "DROP_DOWN": TypeRow(ValueType.OPTION),
    "CHECK_BOX": TypeRow(
        ValueType.OPTIONS, note="with one option: true or false, unticked is false"
    ),
    "MULTI_SELECT": TypeRow(ValueType.OPTIONS),
    "USER_SELECT": TypeRow(ValueType.OPTIONS, note="log-in names"),
    "ORGANIZATION_SELECT": TypeRow(ValueType.OPTIONS, note="codes of departments"),
    "GROUP_SELECT": TypeRow(ValueType.OPTIONS, note="codes of groups"),
    "CALC": TypeRow(ValueType.TEXT, COMPUTED, "a number, date or time by its format"),
    "RECORD_NUMBER": TypeRow(ValueType.TEXT, KEPT),
    "CREATOR": TypeRow(ValueType.TEXT, KEPT, "a log-in name"),
    "MODIFIER": TypeRow(ValueType.TEXT, KEPT, "a log-in name"),
    "CREATED_TIME": TypeRow(ValueType.DATETIME, KEPT, "whole minutes"),
    "UPDATED_TIME": TypeRow(ValueType.DATETIME, KEPT, "whole minutes"),
    "STATUS": TypeRow(ValueType.TEXT, PROCESS),
    "STATUS_ASSIGNEE": TypeRow(ValueType.OPTIONS, PROCESS, "log-in names"),
}
# Field types that are not offered, and why.
SKIPPED: dict[str, str] = {
    "FILE": "files are not synced",
    "SUBTABLE": "rows are not values; its lookups are references",
    "REFERENCE_TABLE": "a view: it holds nothing of its own",
    "CATEGORY": "shared by the whole app's menu, not a field of people's",
    "GROUP": "layout",
}
PEOPLE = ("USER_SELECT", "ORGANIZATION_SELECT", "GROUP_SELECT", "STATUS_ASSIGNEE")
PERSON = ("CREATOR", "MODIFIER")
CALC_FORMATS = {
    "NUMBER": ValueType.NUMBER,
    "NUMBER_DIGIT": ValueType.NUMBER,
    "DATE": ValueType.DATE,
    "DATETIME": ValueType.DATETIME,
}
DISPLAYED = ("SINGLE_LINE_TEXT", "LINK", "MULTI_LINE_TEXT")
UNREADABLE = "the app it looks up is gone, or its API token is not among those given"


@dataclass(frozen=True, slots=True)
class Form:
    """An app's form as Kintone answers it."""

    app: str
    name: str
    properties: Mapping[str, Json]
    code: str = ""

    def code_of(self, kind: str) -> str:
        """The code of the app's only field of a type; "" where the form has none."""
        return next((c for c, f in self.properties.items() if f["type"] == kind), "")

    def column(self, code: str) -> Json | None:
        """A field, or a column of a subtable as `Table.column`."""
        table, dot, inner = code.partition(".")
        found = self.properties.get(table)
        return (found or {}).get("fields", {}).get(inner) if dot else found


def one_option(definition: Json) -> str:
    """The only option of a check box that is a yes or no; "" for any other field."""
    options = definition.get("options") or {}
    single = definition.get("type") == "CHECK_BOX" and len(options) == 1
    return next(iter(options)) if single else ""


def object_of(form: Form) -> ObjectType:
    """The object type that an app is."""
    copied = dict(_copied(form))
    fields = tuple(
        _field(code, definition, copied.get(code, ""))
        for code, definition in form.properties.items()
        if definition.get("type") in TYPES
    )
    texts = [f.name for f in fields if f.native_type in DISPLAYED]
    return ObjectType(
        name=form.name,
        id=form.app,
        label=form.name,
        fields=fields,
        references=tuple(_references(form)),
        display_field=next(iter(texts), ""),
        changed_field=form.code_of("UPDATED_TIME"),
    )


def join_table_of(form: Form) -> JoinTable | None:
    """An app with two lookups may link records of the two apps that they lead to."""
    obj = object_of(form)
    single = [r for r in obj.references if not r.many]
    if len(single) != 2:
        return None
    ends = {single[0].name, single[1].name}
    others = [f for f in obj.fields if f.name not in ends and not f.read_only]
    return JoinTable(form.name, (single[0], single[1]), tuple(others))


def _copied(form: Form) -> Iterator[tuple[str, str]]:
    """The fields that a lookup fills, with the lookup's code."""
    for code, definition in form.properties.items():
        for mapping in (definition.get("lookup") or {}).get("fieldMappings") or ():
            yield str(mapping.get("field")), code


def _field(code: str, definition: Json, lookup: str) -> Field:
    kind = str(definition["type"])
    row = TYPES[kind]
    reason = row.why_not
    if lookup:
        reason = f"The lookup {lookup} copies it from the record it leads to."
    elif "lookup" in definition:
        target = definition["lookup"]
        reason = "It is a lookup: map it as an association."
        if not target:
            reason = f"It is a lookup, and {UNREADABLE}."
    options = sorted(
        (definition.get("options") or {}).values(),
        key=lambda option: int(option.get("index") or 0),
    )
    value_type = row.type
    if kind == "CALC":
        value_type = CALC_FORMATS.get(str(definition.get("format")), ValueType.TEXT)
    if one_option(definition):
        value_type, options = ValueType.BOOLEAN, []
    most = str(definition.get("maxLength") or "")
    return Field(
        name=code,
        type=value_type,
        label=str(definition.get("label") or ""),
        native_type=kind,
        read_only=bool(reason),
        read_only_reason=reason,
        required=bool(definition.get("required")),
        unique=bool(definition.get("unique")),
        options=tuple(Option(str(o["label"]), str(o["label"])) for o in options),
        max_length=int(most) if most.isdigit() else None,
        minimum=str(definition.get("minValue") or "") or None,
        maximum=str(definition.get("maxValue") or "") or None,
    )


def _references(form: Form) -> Iterator[ReferenceField]:
    for code, definition in form.properties.items():
        if definition.get("lookup"):
            yield _reference((code,), definition)
        for inner, column in (definition.get("fields") or {}).items():
            if column.get("lookup"):
                yield _reference((code, inner), column)


def _reference(columns: tuple[str, ...], definition: Json) -> ReferenceField:
    lookup = definition["lookup"]
    return ReferenceField(
        name=".".join(columns),
        target=str(lookup["relatedApp"]["app"]),
        many=len(columns) > 1,
        nullable=len(columns) > 1 or not definition.get("required"),
        columns=columns,
        target_columns=(str(lookup["relatedKeyField"]),),
        label=str(definition.get("label") or ""),
    )
