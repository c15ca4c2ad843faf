"""Airtable's field types: how each looks to the engine, and how its cells go in and out.

`TYPES` is the published matrix (docs/airtable.md is made from it). A type that is not in
it is shown as text and never written.

Source: https://airtable.com/developers/web/api/field-model
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connections.catalogue import Code
from connections.records import Canon, Field, Option, Raw, ValueType

Json = Mapping[str, Any]
LINK = "multipleRecordLinks"
LONGEST_TEXT = 100_000  # characters of a text cell, as far as is known


class Unreadable(Exception):
    """A cell that holds an error instead of a value: nothing is concluded from it."""


class BadValue(Exception):
    """A canonical value that the cell cannot hold."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


def _same(value: Any) -> Any:
    return value


def _person(value: Any) -> str | None:
    """A collaborator, as other systems know people: by e-mail address."""
    found = value.get("email") or value.get("id") if isinstance(value, dict) else value
    return None if found is None else str(found)


def _people(value: Any) -> list[str]:
    return [p for v in value if (p := _person(v)) is not None]


def _barcode(value: Any) -> str | None:
    return value.get("text") if isinstance(value, dict) else str(value)


def _opaque(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _several(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [_opaque(v) for v in listed if v is not None]


def _number_in(value: Canon) -> int | float:
    text = str(value)
    try:
        exact = Decimal(text)
        number = int(text) if text.lstrip("-").isdecimal() else float(text)
        kept = Decimal(repr(float(number)))
    except (ValueError, InvalidOperation, OverflowError):
        raise BadValue(Code.VALUE_INVALID, f"{text[:60]} is not a number.") from None
    if not exact.is_finite() or not kept.is_finite():
        raise BadValue(Code.VALUE_INVALID, f"{text[:60]} is not a number.")
    if kept != exact:
        raise BadValue(
            Code.VALUE_INVALID,
            f"{text[:60]} has more digits than a number in Airtable keeps.",
        )
    return number


def _boolean_in(value: Canon) -> bool:
    if not isinstance(value, bool):
        raise BadValue(Code.VALUE_INVALID, f"{value!r:.60} is neither true nor false.")
    return value


def _date_in(value: Canon) -> str:
    return _dated(value, date.fromisoformat)


def _moment_in(value: Canon) -> str:
    return _dated(value, datetime.fromisoformat)


def _dated(value: Canon, parse: Callable[[str], object]) -> str:
    text = str(value)
    try:
        parse(text)
    except ValueError:
        raise BadValue(Code.VALUE_INVALID, f"{text[:60]} is no such date.") from None
    return text


def _texts_in(value: Canon) -> list[str]:
    return list(value) if isinstance(value, list) else [str(value)]


def _person_in(value: Canon) -> Json:
    text = str(value)
    return {"email": text} if "@" in text else {"id": text}


@dataclass(frozen=True, slots=True)
class Kind:
    """One field type. `read` makes a raw value of a cell, `write` a cell of a canonical
    value (None: it is never written); `note` says what else an administrator should know."""

    type: ValueType
    read: Callable[[Any], Any] = _same
    write: Callable[[Canon], Any] | None = None
    note: str = ""
    why: str = ""  # it is never written


COMPUTED = "Airtable computes it."
TEXT = Kind(ValueType.TEXT, write=str)
TYPES: dict[str, Kind] = {
    "singleLineText": TEXT,
    "multilineText": TEXT,
    "richText": Kind(ValueType.TEXT, write=str, note="Markdown as it stands"),
    "email": TEXT,
    "url": TEXT,
    "phoneNumber": TEXT,
    "number": Kind(
        ValueType.NUMBER, write=_number_in, note="rounded to the field's digits"
    ),
    "currency": Kind(
        ValueType.NUMBER, write=_number_in, note="rounded to the field's digits"
    ),
    "percent": Kind(
        ValueType.NUMBER, write=_number_in, note="a fraction: 0.125 is 12.5 %"
    ),
    "duration": Kind(ValueType.NUMBER, write=_number_in, note="seconds"),
    "rating": Kind(
        ValueType.NUMBER, write=_number_in, note="whole, from 1 to the field's most"
    ),
    "checkbox": Kind(
        ValueType.BOOLEAN,
        read=bool,
        write=_boolean_in,
        note="never blank: one that is not ticked is false",
    ),
    "date": Kind(ValueType.DATE, write=_date_in),
    "dateTime": Kind(ValueType.DATETIME, write=_moment_in, note="to the millisecond"),
    "singleSelect": Kind(
        ValueType.OPTION, write=str, note="by name; options are never added"
    ),
    "multipleSelects": Kind(
        ValueType.OPTIONS,
        read=_several,
        write=_texts_in,
        note="by name, in any order; options are never added",
    ),
    "singleCollaborator": Kind(
        ValueType.TEXT, read=_person, write=_person_in, note="the e-mail address"
    ),
    "multipleCollaborators": Kind(
        ValueType.OPTIONS,
        read=_people,
        write=lambda value: [_person_in(v) for v in _texts_in(value)],
        note="the e-mail addresses",
    ),
    "barcode": Kind(
        ValueType.TEXT,
        read=_barcode,
        write=lambda value: {"text": str(value)},
        note="its text; its symbology is lost when it is written",
    ),
    "createdTime": Kind(ValueType.DATETIME, why=COMPUTED),
    "lastModifiedTime": Kind(
        ValueType.DATETIME,
        why=COMPUTED,
        note="as app_cursor, if it watches every editable field and shows the time",
    ),
    "createdBy": Kind(ValueType.TEXT, read=_person, why=COMPUTED),
    "lastModifiedBy": Kind(ValueType.TEXT, read=_person, why=COMPUTED),
    "autoNumber": Kind(ValueType.NUMBER, why=COMPUTED),
    "count": Kind(ValueType.NUMBER, why=COMPUTED),
    "formula": Kind(
        ValueType.TEXT, read=_opaque, why=COMPUTED, note="of its result's type"
    ),
    "rollup": Kind(
        ValueType.TEXT, read=_opaque, why=COMPUTED, note="of its result's type"
    ),
    "multipleLookupValues": Kind(ValueType.OPTIONS, read=_several, why=COMPUTED),
    "externalSyncSource": Kind(ValueType.TEXT, read=_opaque, why=COMPUTED),
    "aiText": Kind(
        ValueType.TEXT,
        read=lambda v: v.get("value") if isinstance(v, dict) else _opaque(v),
        why=COMPUTED,
    ),
    "multipleAttachments": Kind(
        ValueType.TEXT,
        read=_opaque,
        why="Files are not synced: their addresses end after two hours.",
    ),
    "button": Kind(ValueType.TEXT, read=_opaque, why="A button holds no value."),
    "manualSort": Kind(ValueType.TEXT, read=_opaque, why=COMPUTED),
    LINK: Kind(
        ValueType.OPTIONS,
        read=_several,
        why="It points to other records: map it as an association.",
    ),
}
TEXTS = frozenset(n for n, k in TYPES.items() if k is TEXT or n == "richText")
UNKNOWN = Kind(
    ValueType.TEXT, read=_opaque, why="Fields of this type are read only here."
)


def kind_of(field: Json) -> Kind:
    """What a field's type is to us; a formula's or rollup's is its result's."""
    kind = TYPES.get(str(field.get("type")), UNKNOWN)
    result = (field.get("options") or {}).get("result")
    if field.get("type") not in ("formula", "rollup") or not isinstance(result, dict):
        return kind
    of = TYPES.get(str(result.get("type")), UNKNOWN)
    return Kind(of.type, of.read, None, of.note, kind.why)


def field_of(field: Json, locked: str = "") -> Field:
    """A field as the engine knows it. Args: locked, why its table takes no writes."""
    kind, options = kind_of(field), field.get("options") or {}
    native = str(field.get("type"))
    reason = locked or ("" if kind.write else kind.why)
    rating = native == "rating"
    scale = options.get("precision") if native in ("number", "currency") else None
    return Field(
        name=str(field["name"]),
        type=kind.type,
        label=str(field.get("description") or ""),
        native_type=native,
        read_only=bool(reason),
        read_only_reason=reason,
        options=tuple(
            Option(str(c["name"]), str(c["name"]))
            for c in options.get("choices") or ()
            if kind.type in (ValueType.OPTION, ValueType.OPTIONS)
        ),
        max_length=LONGEST_TEXT if native in TEXTS else None,
        scale=0 if rating else scale,
        minimum="1" if rating else None,
        maximum=str(options["max"]) if rating and "max" in options else None,
    )


def to_raw(field: Json, cell: Any) -> Raw:
    """A cell's raw value; an absent cell is blank, of a checkbox false.

    Raises: Unreadable for a cell that shows an error.
    """
    kind = kind_of(field)
    if cell is None:
        return False if field.get("type") == "checkbox" else None
    if isinstance(cell, dict) and ("error" in cell or "specialValue" in cell):
        raise Unreadable
    found: Raw = kind.read(cell)
    return found


def to_cell(field: Json, value: Canon) -> Any:
    """The cell that holds a canonical value; None clears.

    Raises: BadValue.
    """
    kind = kind_of(field)
    if kind.write is None:
        raise BadValue(
            Code.FIELD_READ_ONLY, f"{field['name']} is read only. {kind.why}"
        )
    if value is None or value in ("", []):
        return None
    cell = kind.write(value)
    if kind.type is ValueType.TEXT and len(str(value)) > LONGEST_TEXT:
        raise BadValue(
            Code.VALUE_TOO_LONG,
            f"{field['name']} has {len(str(value))} characters; Airtable keeps "
            f"{LONGEST_TEXT}.",
        )
    choices = (field.get("options") or {}).get("choices")
    if choices is not None:
        known = {str(c.get("name")) for c in choices}
        for word in _texts_in(value):
            if word not in known:
                raise BadValue(
                    Code.OPTION_UNKNOWN,
                    f"{word[:60]!r} is not an option of {field['name']}.",
                )
    return cell
