"""Kintone's query language, as far as its documentation tells it.

`condition order by CODE asc, … limit 500 offset 0`. Which operators a field takes goes by
its type; a column of a subtable is true if any row is.

Source: https://kintone.dev/en/docs/kintone/overview/query-string/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connections.sandbox.kintone.errors import ApiError

Json = dict[str, Any]
Test = Callable[[Json], bool]
MAX_LIMIT, MAX_OFFSET = 500, 10_000

EQUAL, ORDERED = {"=", "!="}, {"=", "!=", ">", "<", ">=", "<="}
MEMBER, WORDS, EMPTY = {"in", "not in"}, {"like", "not like"}, {"is empty"}
_TEXT = EQUAL | MEMBER | WORDS | EMPTY
_CHOICE = MEMBER | EMPTY
OPERATORS: dict[str, set[str]] = {
    "__ID__": ORDERED | MEMBER,
    "RECORD_NUMBER": ORDERED | MEMBER,
    "SINGLE_LINE_TEXT": _TEXT,
    "LINK": _TEXT,
    "MULTI_LINE_TEXT": WORDS | EMPTY,
    "RICH_TEXT": WORDS | EMPTY,
    "NUMBER": ORDERED | MEMBER | EMPTY,
    "CALC": ORDERED | MEMBER,
    "DATE": ORDERED | EMPTY,
    "TIME": ORDERED,
    "DATETIME": ORDERED | EMPTY,
    "CREATED_TIME": ORDERED,
    "UPDATED_TIME": ORDERED,
    "CREATOR": MEMBER,
    "MODIFIER": MEMBER,
    **dict.fromkeys(
        ("RADIO_BUTTON", "DROP_DOWN", "CHECK_BOX", "MULTI_SELECT"), _CHOICE
    ),
    **dict.fromkeys(("USER_SELECT", "ORGANIZATION_SELECT", "GROUP_SELECT"), _CHOICE),
}
NUMERIC = {"__ID__", "RECORD_NUMBER", "NUMBER", "CALC"}
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<mark>[(),]|!=|>=|<=|=|>|<)"""
    r"""|(?P<word>[^\s"(),=<>!]+))"""
)


@dataclass
class Query:
    """A query that was understood."""

    test: Test = lambda record: True
    order: list[tuple[str, bool]] = field(default_factory=list)  # code, descending
    limit: int = 100
    offset: int = 0


def bad(text: str, code: str = "GAIA_IQ03") -> ApiError:
    return ApiError(400, code, f"Invalid query: {text}")


class Parser:
    """Reads one query.

    Args: types, the type of each field by code; columns, the subtable that a code is
        a column of; fold, whether texts are compared without case.
    Raises: ApiError.
    """

    def __init__(
        self,
        text: str,
        types: Mapping[str, str],
        columns: Mapping[str, str],
        *,
        fold: bool = False,
    ) -> None:
        self._tokens = self._split(text)
        self._at = 0
        self._types, self._columns, self._fold = types, columns, fold

    @staticmethod
    def _split(text: str) -> list[tuple[str, str]]:
        found, at = [], 0
        text = text.strip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise bad(f"unexpected {text[at : at + 20]!r}")
            kind = match.lastgroup or ""
            token = match[kind]
            if kind == "text":
                token = re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL)
            found.append((kind, token))
            at = match.end()
        return found

    def query(self) -> Query:
        """Read the whole text."""
        found = Query()
        if self._peek() and self._peek().lower() not in ("order", "limit", "offset"):
            found.test = self._either()
        if self._word("order"):
            self._need("by")
            found.order = self._order()
        if self._word("limit"):
            found.limit = self._count("GAIA_QU01", MAX_LIMIT, least=1)
        if self._word("offset"):
            found.offset = self._count("GAIA_QU02", MAX_OFFSET)
        if self._at < len(self._tokens):
            raise bad(f"unexpected {self._peek()!r}")
        return found

    # Tokens

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, *kinds: str) -> str:
        if self._at >= len(self._tokens):
            raise bad("it ends too early")
        kind, token = self._tokens[self._at]
        if kinds and kind not in kinds:
            raise bad(f"unexpected {token!r}")
        self._at += 1
        return token

    def _word(self, word: str) -> bool:
        if self._peek().lower() == word and self._tokens[self._at][0] != "text":
            self._at += 1
            return True
        return False

    def _need(self, word: str) -> None:
        if not self._word(word):
            raise bad(f"{word} is missing")

    def _count(self, code: str, most: int, least: int = 0) -> int:
        text = self._take("word")
        if not text.isdigit() or not least <= int(text) <= most:
            raise bad(f"{text} must be from {least} to {most}", code)
        return int(text)

    def _order(self) -> list[tuple[str, bool]]:
        found = []
        while True:
            code = self._take("word")
            self._type(code)
            falling = self._word("desc") or not self._word("asc")
            found.append((code, falling))
            if not self._word(","):
                return found

    # Conditions

    def _either(self) -> Test:
        tests = [self._both()]
        while self._word("or"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda r: any(t(r) for t in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._word("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda r: all(t(r) for t in tests)

    def _one(self) -> Test:
        if self._word("("):
            inner = self._either()
            self._need(")")
            return inner
        code = self._take("word")
        kind = self._type(code)
        name = self._operator()
        allowed = OPERATORS.get(kind, set())
        if code in self._columns:
            allowed = allowed - ORDERED
        if name.replace("is not", "is") not in allowed:
            raise bad(f"the operator {name} cannot be used on {code}", "GAIA_IQ07")
        wanted = [] if name.startswith("is") else self._values(name, kind)
        return self._test(code, kind, name, wanted)

    def _type(self, code: str) -> str:
        if code not in self._types:
            raise bad(f"the field {code} is not found", "GAIA_IQ11")
        return self._types[code]

    def _operator(self) -> str:
        name = self._take("mark", "word").lower()
        if name == "not":
            return f"not {self._take('word').lower()}"
        if name == "is":
            middle = "not " if self._word("not") else ""
            self._need("empty")
            return f"is {middle}empty"
        return name

    def _values(self, name: str, kind: str) -> list[str]:
        if name not in MEMBER:
            return [self._value(kind)]
        self._need("(")
        found = [self._value(kind)]
        while self._word(","):
            found.append(self._value(kind))
        self._need(")")
        return found

    def _value(self, kind: str) -> str:
        found = self._take("text", "word")
        if self._tokens[self._at - 1][0] == "word" and self._word("("):
            self._need(")")
            now = datetime.now(UTC)
            known = {"NOW": f"{now:%Y-%m-%dT%H:%M:00Z}", "TODAY": f"{now:%Y-%m-%d}"}
            if found not in known:
                raise bad(f"the function {found} is not known here")
            return known[found]
        if kind in NUMERIC:
            try:
                Decimal(found)
            except InvalidOperation:
                raise bad(f"{found!r} is not a number", "GAIA_IQ07") from None
        return found

    def _test(self, code: str, kind: str, name: str, wanted: list[str]) -> Test:
        held = self._reader(code, kind)
        if name.startswith("is"):
            full = "not" in name
            return lambda record: bool(held(record)) is full
        negated = name in ("!=", "not in", "not like")
        keys = [self._key(kind, w) for w in wanted]
        members, first = set(keys), keys[0]
        if name in ("like", "not like"):
            return lambda r: any(str(first) in str(k) for k in held(r)) is not negated
        if name in (*MEMBER, *EQUAL):
            return lambda r: bool(members.intersection(held(r))) is not negated
        compare: Callable[[Any], bool] = {
            ">": lambda k: k > first,
            "<": lambda k: k < first,
            ">=": lambda k: k >= first,
            "<=": lambda k: k <= first,
        }[name]
        return lambda record: any(compare(k) for k in held(record))

    def _reader(self, code: str, kind: str) -> Callable[[Json], list[Any]]:
        """What a record holds under a code, as comparable values; [] if it is empty."""
        table = self._columns.get(code)

        def read(record: Json) -> list[Any]:
            rows = [record]
            if table is not None:
                rows = [row["value"] for row in record[table]["value"]]
            values = [row[code]["value"] for row in rows if code in row]
            flat = [v for x in values for v in (x if isinstance(x, list) else [x])]
            plain = [v["code"] if isinstance(v, dict) else v for v in flat]
            return [self._key(kind, v) for v in plain if v not in (None, "")]

        return read

    def _key(self, kind: str, value: str) -> Any:
        if kind in NUMERIC:
            return Decimal(value)
        return value.casefold() if self._fold else value


def sort_key(record: Json, code: str) -> tuple[int, Any]:
    """Where a record stands in an order; the empty ones come first."""
    found = record[code]
    value, kind = found["value"], found["type"]
    if value in (None, "", []):
        return 0, 0
    if kind in (*NUMERIC, "__REVISION__"):
        return 1, Decimal(value)
    return 1, str(value)
