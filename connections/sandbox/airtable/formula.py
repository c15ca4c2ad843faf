"""The formulas that clients filter by: a small part of Airtable's language.

Source: https://support.airtable.com/docs/formula-field-reference
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from connections.sandbox.airtable.errors import ApiError

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<text>'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")"
    r"|(?P<field>\{(?:\\.|[^}\\])*\})|(?P<name>[A-Z_][A-Z_0-9]*)"
    r"|(?P<sign><=|>=|!=|<>|[=<>(),&+\-*/]))",
    re.IGNORECASE,
)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
Getter = Callable[[str], Any]
Part = Callable[["Row"], Any]


class Row:
    """What a formula may ask of a record."""

    def __init__(
        self, record_id: str, created_ms: int, modified_ms: int, cell: Getter
    ) -> None:
        self.id = record_id
        self.created = datetime.fromtimestamp(created_ms / 1000, UTC)
        self.modified = datetime.fromtimestamp(modified_ms / 1000, UTC)
        self.cell = cell


def bad_formula(why: str) -> ApiError:
    text = f"The formula for filtering records is invalid: {why}"
    return ApiError(422, "INVALID_FILTER_BY_FORMULA", text)


def compiled(text: str, known: Callable[[str], str]) -> Part:
    """A function that evaluates a formula for a row.

    Args: known, turns a field's name or id into its id.
    Raises: ApiError.
    """
    return _Parser(text, known).whole()


def truthy(value: Any) -> bool:
    return bool(value) and value != ""


class _Parser:
    def __init__(self, text: str, known: Callable[[str], str]) -> None:
        self._tokens = list(_tokens(text))
        self._known = known
        self._at = 0

    def whole(self) -> Part:
        part = self._comparison()
        if self._at != len(self._tokens):
            raise bad_formula("Invalid formula. Please check your formula text.")
        return part

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def _take(self) -> tuple[str, str]:
        found = self._peek()
        self._at += 1
        return found

    def _comparison(self) -> Part:
        left = self._sum()
        while self._peek()[1] in ("=", "!=", "<>", "<", ">", "<=", ">="):
            left = _compared(self._take()[1], left, self._sum())
        return left

    def _sum(self) -> Part:
        left = self._value()
        while self._peek()[1] in ("&", "+", "-", "*", "/"):
            left = _joined(self._take()[1], left, self._value())
        return left

    def _value(self) -> Part:
        kind, text = self._take()
        if kind == "number":
            number = float(text)
            return lambda row: number
        if kind == "text":
            word = _unescaped(text[1:-1])
            return lambda row: word
        if kind == "field":
            field_id = self._known(_unescaped(text[1:-1]))
            return lambda row: row.cell(field_id)
        if text == "(":
            inner = self._comparison()
            self._close()
            return inner
        if kind == "name" and self._peek()[1] == "(":
            self._take()
            return self._call(text.upper())
        if kind == "name":
            field_id = self._known(text)
            return lambda row: row.cell(field_id)
        raise bad_formula("Invalid formula. Please check your formula text.")

    def _call(self, name: str) -> Part:
        parts: list[Part] = []
        while self._peek()[1] != ")":
            parts.append(self._comparison())
            if self._peek()[1] == ",":
                self._take()
            elif self._peek()[1] != ")":
                raise bad_formula("Invalid formula. Please check your formula text.")
        self._close()
        if name in OF_ROW:
            return OF_ROW[name]
        if name not in FUNCTIONS:
            raise bad_formula(f"Unknown function names: {name}")
        if name in ("AND", "OR"):
            every = all if name == "AND" else any
            return lambda row: every(truthy(part(row)) for part in parts)
        act = FUNCTIONS[name]
        return lambda row: act(*[part(row) for part in parts])

    def _close(self) -> None:
        if self._take()[1] != ")":
            raise bad_formula("Invalid formula. Please check your formula text.")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            raise bad_formula("Invalid formula. Please check your formula text.")
        at = found.end()
        assert found.lastgroup is not None
        yield found.lastgroup, found[found.lastgroup]


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[1]), text, flags=re.DOTALL)


def _plain(value: Any) -> Any:
    """A value as it is compared: a list by its texts, blank as ""."""
    if value is None or value is False:
        return ""
    if isinstance(value, list):
        return ", ".join(str(_plain(v)) for v in value)
    if isinstance(value, dict):
        return str(value.get("name") or value.get("text") or value.get("email") or "")
    return value


def _compared(sign: str, left: Part, right: Part) -> Part:
    def compare(row: Row) -> bool:
        one, other = _plain(left(row)), _plain(right(row))
        if sign in ("=", "!=", "<>"):
            same = (
                bool(one == other) if type(one) is type(other) else _alike(one, other)
            )
            return same if sign == "=" else not same
        one, other = one or 0, other or 0
        try:
            return bool(
                {
                    "<": one < other,
                    ">": one > other,
                    "<=": one <= other,
                    ">=": one >= other,
                }[sign]
            )
        except TypeError:
            return False

    return compare


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    return False


def _joined(sign: str, left: Part, right: Part) -> Part:
    if sign == "&":
        return lambda row: f"{_plain(left(row))}{_plain(right(row))}"
    acts: dict[str, Callable[[float, float], float]] = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b if b else float("nan"),
    }
    act = acts[sign]
    return lambda row: act(float(left(row) or 0), float(right(row) or 0))


def _time(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _times(act: Callable[[datetime, datetime], bool]) -> Callable[[Any, Any], bool]:
    def compare(one: Any, other: Any) -> bool:
        first, second = _time(one), _time(other)
        return first is not None and second is not None and act(first, second)

    return compare


OF_ROW: dict[str, Part] = {
    "RECORD_ID": lambda row: row.id,
    "CREATED_TIME": lambda row: row.created,
    "LAST_MODIFIED_TIME": lambda row: row.modified,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "AND": lambda *values: all(map(truthy, values)),  # read as far as needed
    "OR": lambda *values: any(map(truthy, values)),
    "NOT": lambda value: not truthy(value),
    "IF": lambda test, yes, no=None: yes if truthy(test) else no,
    "BLANK": lambda: None,
    "TRUE": lambda: True,
    "FALSE": lambda: False,
    "LOWER": lambda text: str(_plain(text)).lower(),
    "UPPER": lambda text: str(_plain(text)).upper(),
    "TRIM": lambda text: str(_plain(text)).strip(),
    "LEN": lambda text: len(str(_plain(text))),
    "CONCATENATE": lambda *texts: "".join(str(_plain(t)) for t in texts),
    "EXACT": lambda one, other: str(_plain(one)) == str(_plain(other)),
    "DATETIME_PARSE": lambda text, *_: _time(text),
    "IS_AFTER": _times(lambda a, b: a > b),
    "IS_BEFORE": _times(lambda a, b: a < b),
    "IS_SAME": _times(lambda a, b: a == b),
}
