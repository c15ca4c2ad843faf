"""Whether a value may stand in a file: what another system would say by itself."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from connections.catalogue import Code
from connections.records import Canon, Field, ValueType


class Refused(Exception):
    """A value that is not written: why, in a code and words, and of which field."""

    def __init__(self, code: Code, message: str, name: str) -> None:
        super().__init__(message)
        self.code, self.message, self.name = code, message, name


def check(field: Field | None, name: str, value: Canon) -> None:
    """Raises: Refused."""
    if field is None:
        raise Refused(Code.FIELD_MISSING, f"There is no field {name}.", name)
    if field.read_only:
        raise Refused(Code.FIELD_READ_ONLY, f"{name} cannot be written.", name)
    if value is None:
        return
    if field.max_length is not None and len(str(value)) > field.max_length:
        text = f"{name} takes {field.max_length} characters."
        raise Refused(Code.VALUE_TOO_LONG, text, name)
    known = {option.value for option in field.options}
    for one in value if isinstance(value, list) else [value]:
        if field.options and one not in known:
            raise Refused(Code.OPTION_UNKNOWN, f"{name} has no option {one}.", name)
    if not _is_of(field.type, value):
        text = f"{str(value)[:50]!r} is no {field.type}."
        raise Refused(Code.VALUE_INVALID, text, name)


def _is_of(kind: ValueType, value: Canon) -> bool:
    text = str(value)
    try:
        match kind:
            case ValueType.BOOLEAN:
                return isinstance(value, bool)
            case ValueType.NUMBER:
                return Decimal(text).is_finite() and len(text) < 100
            case ValueType.DATE:
                return date.fromisoformat(text).isoformat() == text
            case ValueType.DATETIME:
                return text.endswith("Z") and bool(datetime.fromisoformat(text))
            case ValueType.OPTIONS:
                return isinstance(value, list)
            case _:
                return isinstance(value, str)
    except (ValueError, InvalidOperation):
        return False
