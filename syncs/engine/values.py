"""One canonical form for every value, and conversion between every two types.

`canonical` takes what a system or its driver gave; everything after it compares and
stores canonical values only. `convert` says how the other side would hold a value; a value
that it could not hold is a `ValueProblem` with a code of the catalogue, never a guess and
never a blank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, tzinfo
from decimal import Decimal

from connections.catalogue import Code
from connections.records import Canon, Field, Option, Raw, ValueType
from syncs.engine import parsing
from syncs.engine.parsing import ValueProblem, checked_text, invalid, shown

__all__ = ["ValueProblem", "canonical", "convert", "is_blank", "same", "words"]

_TEXTUAL = (ValueType.TEXT, ValueType.OPTION, ValueType.OPTIONS, ValueType.REFERENCE)


def is_blank(value: object) -> bool:
    """Whether a value is none at all: None, "" or an empty list; never 0 or False."""
    return value is None or value == "" or value == []


def same(one: object, other: object) -> bool:
    """Whether two canonical values are equal; a list is a set, and blank is blank."""
    if is_blank(one) or is_blank(other):
        return is_blank(one) and is_blank(other)
    if isinstance(one, list) and isinstance(other, list):
        return set(one) == set(other)
    return type(one) is type(other) and one == other


def words(value: Canon) -> list[str]:
    """A canonical value as the texts it consists of: one, or one for each option."""
    if is_blank(value) or value is None:
        return []
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return list(value) if isinstance(value, list) else [value]


# From a system ------------------------------------------------------------------------


def canonical(raw: Raw, field: Field, *, zone: tzinfo) -> Canon:
    """The one form that a value of this field's type has.

    Args: raw, as the system or its driver gave it; zone, of times that name none.
    Raises: ValueProblem (VALUE_INVALID) when it is no value of the type, or none that can
    be kept (NaN, infinity, a year past 9999, a NUL character).
    """
    if raw is None or is_blank(raw):
        return None
    if isinstance(raw, str):
        checked_text(raw)
        if field.type not in _TEXTUAL and not raw.strip():
            return None
    if field.type is ValueType.OPTIONS:
        return _set(_split(raw)) or None
    if isinstance(raw, list):
        return _of_list(raw, field, zone)
    match field.type:
        case ValueType.NUMBER:
            return _number(raw, field)
        case ValueType.BOOLEAN:
            return _boolean(raw)
        case ValueType.DATE:
            return parsing.day(raw, epoch=True)
        case ValueType.DATETIME:
            return parsing.moment(raw, zone, epoch=True)
        case _:
            return _unpadded(_text(raw), field) or None


def _of_list(raw: list[str], field: Field, zone: tzinfo) -> Canon:
    if field.type is ValueType.TEXT:
        return ";".join(_split(raw)) or None
    if len(raw) != 1:
        raise invalid(";".join(map(str, raw)), "is several values where one belongs")
    return canonical(raw[0], field, zone=zone)


def _number(raw: str | float | Decimal | date, field: Field) -> str:
    if isinstance(raw, date):
        raise invalid(raw, "is not a number")
    return parsing.number(raw, field.scale)


def _boolean(raw: str | float | Decimal | date) -> bool:
    if isinstance(raw, date):
        raise invalid(raw, "is neither true nor false")
    return raw if isinstance(raw, bool) else parsing.boolean(raw)


def _split(raw: object) -> list[str]:
    """A list of options in any spelling: HubSpot's may begin with ";"."""
    parts = raw if isinstance(raw, list) else _text(raw).split(";")
    texts = [checked_text(_text(part)) for part in parts if part is not None]
    return [text for text in texts if text.strip()]


def _set(values: Iterable[str]) -> list[str]:
    return sorted(set(values))


def _text(raw: object) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int | float | Decimal):
        return parsing.number(raw, None)
    if isinstance(raw, date):
        has_time = hasattr(raw, "hour")
        return (
            parsing.moment(raw, UTC, epoch=False)
            if has_time
            else parsing.day(raw, epoch=False)
        )
    return str(raw)


def _unpadded(text: str, field: Field) -> str:
    """Text without what char(n) fills it up with, which means nothing in SQL either."""
    padded = field.native_type.lower().startswith(("character(", "char(", "bpchar"))
    return text.rstrip(" ") if padded else text


# To the other side --------------------------------------------------------------------


def convert(
    value: Canon,
    source: Field,
    target: Field,
    *,
    options: Mapping[str, str] | None = None,
) -> Canon:
    """A canonical value of one field as another would hold it.

    Args: options, the mapping's value map (source value to target value); with one, a
    value that is not in it goes through only if it is itself an option of the target.
    Raises: ValueProblem with VALUE_INVALID (no such value of the target's type, or out of
    its range), VALUE_TOO_LONG or OPTION_UNKNOWN.
    Returns: None for a blank, and for nothing else.
    """
    if is_blank(value):
        return None
    for word in words(value):
        checked_text(word)
    if options:
        mapped = [_mapped(word, options, target) for word in words(value)]
        if isinstance(value, list):
            value, kind = _set(mapped), ValueType.OPTIONS
        else:
            value, kind = mapped[0], ValueType.TEXT
        source = Field(source.name, kind)
    elif source.people and not target.people:
        value = _addresses(value, source)
        many = isinstance(value, list)
        source = Field(source.name, ValueType.OPTIONS if many else ValueType.TEXT)
    return _CONVERTERS[target.type](value, source, target)


def _mapped(word: str, options: Mapping[str, str], target: Field) -> str:
    if word in options:
        return str(options[word])
    if any(word == option.value for option in target.options):
        return word
    raise ValueProblem(
        Code.OPTION_UNKNOWN,
        f"{shown(word)} is not in the value map and not an option of {target.name}.",
    )


def _one(value: Canon, target: Field) -> str:
    """The only text of a value."""
    texts = words(value)
    if len(texts) != 1:
        raise invalid(
            ";".join(texts), f"is several options, and {target.name} holds only one"
        )
    return texts[0]


def _refuse(value: Canon, source: Field, target: Field) -> ValueProblem:
    return invalid(
        ";".join(words(value)), f"is a {source.type} and cannot become a {target.type}"
    )


def _to_text(value: Canon, source: Field, target: Field) -> str:
    text = _unpadded(";".join(words(value)), target)
    if not text:
        raise invalid(";".join(words(value)), f"is nothing to {target.name}")
    return _fitting(text, target)


def _fitting(text: str, target: Field) -> str:
    if target.max_length is not None and len(text) > target.max_length:
        raise ValueProblem(
            Code.VALUE_TOO_LONG,
            f"{shown(text)} has {len(text)} characters; "
            f"{target.name} holds {target.max_length}.",
        )
    return text


def _to_number(value: Canon, source: Field, target: Field) -> str:
    if source.type in (ValueType.DATE, ValueType.DATETIME):
        raise _refuse(value, source, target)
    numeral = {True: "1", False: "0"}
    text = numeral[value] if isinstance(value, bool) else _one(value, target)
    found = parsing.number(text, target.scale)
    low, high = target.minimum, target.maximum
    if (low is not None and Decimal(found) < Decimal(low)) or (
        high is not None and Decimal(found) > Decimal(high)
    ):
        raise _out_of_range(found, target)
    return found


def _to_boolean(value: Canon, source: Field, target: Field) -> bool:
    if source.type in (ValueType.DATE, ValueType.DATETIME):
        raise _refuse(value, source, target)
    if isinstance(value, bool):
        return value
    word = _one(value, target)
    label = next((o.label for o in source.options if o.value == word), "")
    try:
        return parsing.boolean(word)
    except ValueProblem:
        if not label:
            raise
        return parsing.boolean(label)


def _to_date(value: Canon, source: Field, target: Field) -> str:
    if source.type in (ValueType.NUMBER, ValueType.BOOLEAN):
        raise _refuse(value, source, target)
    return _dated(parsing.day(_one(value, target), epoch=False), target)


def _to_datetime(value: Canon, source: Field, target: Field) -> str:
    if source.type in (ValueType.NUMBER, ValueType.BOOLEAN):
        raise _refuse(value, source, target)
    return _dated(parsing.moment(_one(value, target), UTC, epoch=False), target)


def _dated(text: str, target: Field) -> str:
    """A date or time within the target's range; both sort as text."""
    low, high = target.minimum, target.maximum
    if (low is not None and text < low) or (high is not None and text > high):
        raise _out_of_range(text, target)
    return text


def _out_of_range(text: str, target: Field) -> ValueProblem:
    return invalid(
        text,
        f"is outside of what {target.name} holds "
        f"({target.minimum or 'any'} to {target.maximum or 'any'})",
    )


def _to_option(value: Canon, source: Field, target: Field) -> str:
    return _choice(_one(value, target), source, target)


def _to_options(value: Canon, source: Field, target: Field) -> list[str]:
    texts = words(value)
    if source.type is ValueType.TEXT:
        texts = [part.strip() for text in texts for part in text.split(";")]
    chosen = [_choice(text, source, target) for text in texts if text]
    if not chosen:
        raise invalid(";".join(words(value)), f"is no option of {target.name}")
    return _set(chosen)


def _choice(word: str, source: Field, target: Field) -> str:
    """The target's option that a text means: by value, by label, or by being yes or no."""
    if target.people:
        return _person(word, target)
    if not target.options:
        return _fitting(word, target)
    folded = word.strip().casefold()
    tests: list[Callable[[Option], bool]] = [
        lambda option: option.value == word,
        lambda option: option.label.strip().casefold() == folded,
        lambda option: option.value.strip().casefold() == folded,
    ]
    if source.type is ValueType.BOOLEAN:
        tests.append(lambda option: _truth(option) is (word == "true"))
    for test in tests:
        found = [option.value for option in target.options if test(option)]
        if len(set(found)) == 1:
            return found[0]
    raise ValueProblem(
        Code.OPTION_UNKNOWN, f"{shown(word)} is not an option of {target.name}."
    )


def _addresses(value: Canon, source: Field) -> Canon:
    """Users as other systems know them: by their e-mail addresses."""
    known = {option.value: option.label for option in source.options}
    for word in words(value):
        if not known.get(word):
            raise ValueProblem(
                Code.OPTION_UNKNOWN,
                f"{shown(word)} is a user of {source.name} whose e-mail address is not "
                f"known{'' if known else ': the token may not read the owners'}.",
            )
    found = [known[word] for word in words(value)]
    return _set(found) if isinstance(value, list) else found[0]


def _person(word: str, target: Field) -> str:
    """The id of the user with an e-mail address, or that is an id."""
    folded = word.strip().casefold()
    found = {
        option.value
        for option in target.options
        if not option.archived
        and (option.value == word or option.label.strip().casefold() == folded)
    }
    if len(found) == 1:
        return found.pop()
    if found:
        why = "belongs to several users"
    elif any(o.label.strip().casefold() == folded for o in target.options):
        why = "belongs to a user who was removed"
    else:
        why = "is no user's e-mail address"
    raise ValueProblem(
        Code.OPTION_UNKNOWN, f"{shown(word)} {why}, and {target.name} holds a user."
    )


def _truth(option: Option) -> bool | None:
    for text in (option.value, option.label):
        try:
            return parsing.boolean(text)
        except ValueProblem:
            continue
    return None


_CONVERTERS: dict[ValueType, Callable[[Canon, Field, Field], Canon]] = {
    ValueType.TEXT: _to_text,
    ValueType.NUMBER: _to_number,
    ValueType.BOOLEAN: _to_boolean,
    ValueType.DATE: _to_date,
    ValueType.DATETIME: _to_datetime,
    ValueType.OPTION: _to_option,
    ValueType.OPTIONS: _to_options,
    ValueType.REFERENCE: _to_text,
}
