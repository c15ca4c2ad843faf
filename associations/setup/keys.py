"""Read typed values by key, and name what is wrong with its path in the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeVar

from associations.setup.environment import FromEnvironment
from associations.setup.problems import Problems, hint, key_path

T = TypeVar("T")

_DURATION = re.compile(r"(\d{1,7})\s*(s|m|h|d)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_SECONDS = 366 * 86400
_WORDS = {
    "true": True,
    "on": True,
    "yes": True,
    "false": False,
    "off": False,
    "no": False,
}


def shown(value: object) -> str:
    """A value as messages show it; one from the environment only by its variable."""
    if isinstance(value, FromEnvironment):
        return value.template
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    text = str(value)
    return repr(text if len(text) <= 60 else text[:59] + "…")


def unavailable(problems: Problems, path: str, what: str) -> None:
    problems.add(path, f"{what} is not available yet.")


@dataclass
class Keys:
    """One map of the file; each reader says what it found wrong and gives the default."""

    tree: Mapping[str, Any]
    path: str
    problems: Problems

    @classmethod
    def of(
        cls, value: Any, path: str, problems: Problems, what: str, known: Iterable[str]
    ) -> Keys | None:
        """A map with known keys only; None (and a problem) where it is no map."""
        if not isinstance(value, dict):
            problems.add(path, f"{what} must be a map of keys, not {shown(value)}.")
            return None
        names = list(known)
        for key in value:
            if key not in names:
                problems.add(
                    key_path(path, key),
                    f"Unknown key {key!r}.{hint(key, names, most=20)}",
                )
        return cls(value, path, problems)

    def at(self, key: str) -> str:
        return key_path(self.path, key)

    def bad(self, key: str, text: str) -> None:
        self.problems.add(self.at(key), text)

    def has(self, key: str) -> bool:
        return key in self.tree

    def given(self, key: str) -> bool:
        """Whether a key stands with a value; one that stands empty is left out."""
        return self.tree.get(key) is not None

    def later(self, *keys: str) -> None:
        """Refuse what is promised but not there yet."""
        for key in keys:
            if self.given(key):
                unavailable(self.problems, self.at(key), key)

    def text(self, key: str, default: str = "", *, longest: int = 200) -> str:
        if not self.given(key):
            return default
        value = self.tree[key]
        if isinstance(value, bool | dict | list):
            self.bad(key, f"{key} must be a text, not {shown(value)}.")
            return default
        text = str(value).strip()
        if not text or "\x00" in text:
            self.bad(key, f"{key} must not be empty.")
        elif len(text) > longest:
            self.bad(key, f"{key} is longer than {longest} characters.")
        return text

    def required(self, key: str, *, longest: int = 200) -> str:
        if not self.given(key):
            self.bad(key, f"{key} is missing.")
            return ""
        return self.text(key, longest=longest)

    def choice(
        self,
        key: str,
        known: Iterable[str],
        default: str,
        later: Mapping[str, str] | None = None,
    ) -> str:
        """One of the known words; one of `later` is refused with its own name."""
        if not self.given(key):
            return default
        value = self.tree[key]
        word = str(value) if isinstance(value, str | int | float) else ""
        if isinstance(value, bool):
            word = ""
        if later and word in later:
            unavailable(self.problems, self.at(key), later[word])
            return default
        if word not in (names := list(known)):
            everything = [*names, *(later or ())]
            self.bad(key, f"{key} cannot be {shown(value)}.{hint(word, everything)}")
            return default
        return word

    def boolean(self, key: str, default: bool) -> bool:
        found = self.maybe(key)
        return default if found is None else found

    def maybe(self, key: str) -> bool | None:
        if not self.given(key):
            return None
        value = self.tree[key]
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in _WORDS:
            return _WORDS[value.lower()]
        self.bad(key, f"{key} must be true or false, not {shown(value)}.")
        return None

    def rate(self, key: str, default: T) -> float | T:
        """A positive number."""
        if not self.given(key):
            return default
        value = self.tree[key]
        try:
            if isinstance(value, bool):
                raise ValueError
            number = float(value)
        except (TypeError, ValueError):
            number = 0.0
        if not isfinite(number) or number <= 0:
            self.bad(key, f"{key} must be a positive number, not {shown(value)}.")
            return default
        return number

    def seconds(self, key: str, default: int) -> int:
        found = self.seconds_or_off(key, default, off=False)
        return default if found is None else found

    def seconds_or_off(self, key: str, default: int, *, off: bool = True) -> int | None:
        """A duration such as "10m" in seconds; None for "off"."""
        if not self.has(key) or self.tree[key] is None:
            return default
        value = self.tree[key]
        if off and (value is False or (isinstance(value, str) and value == "off")):
            return None
        match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
        seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
        if not 0 < seconds <= MAX_SECONDS:
            also = ' (or "off")' if off else ""
            self.bad(
                key,
                f"{key} must be a duration such as 30s, 10m, 1h or 24h{also}, "
                f"not {shown(value)}.",
            )
            return default
        return seconds

    def count_or_off(self, key: str) -> int | None:
        """A whole number from 0; None for "off"."""
        value = self.tree[key]
        if value is False or (isinstance(value, str) and value.strip() == "off"):
            return None
        text = str(value).strip()
        fits = isinstance(value, int | str) and not isinstance(value, bool)
        if fits and text.isascii() and text.isdigit() and len(text) < 10:
            return int(text)
        self.bad(key, f'{key} must be a whole number or "off", not {shown(value)}.')
        return None

    def items(self, key: str, read: Callable[[Any, str], T | None]) -> tuple[T, ...]:
        """Each item of a list, as `read(value, path)` makes of it."""
        if not self.given(key):
            return ()
        value = self.tree[key]
        if not isinstance(value, list):
            self.bad(key, f"{key} must be a list, not {shown(value)}.")
            return ()
        made = (read(item, f"{self.at(key)}[{i}]") for i, item in enumerate(value))
        return tuple(item for item in made if item is not None)

    def texts(self, key: str) -> list[str]:
        def one(value: Any, path: str) -> str | None:
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                return str(value)
            self.problems.add(path, f"This must be a text, not {shown(value)}.")
            return None

        return list(self.items(key, one))

    def map(self, key: str, what: str, known: Iterable[str]) -> Keys | None:
        """A map under a key; None where it is left out or wrong."""
        if not self.given(key):
            return None
        return Keys.of(self.tree[key], self.at(key), self.problems, what, known)
