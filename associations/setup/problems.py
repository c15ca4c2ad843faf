"""What is wrong with a set-up file, each problem with its place in the file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from connections.redaction import redact


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to correct; `path` is such as "apps[0].syncs[1].fields[2].hubspot"."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


class Problems:
    """Collects problems, so that a person hears of all of them at once."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, path: str, text: str) -> None:
        problem = Problem(path, redact(text))
        if problem not in self.found:
            self.found.append(problem)

    def under(self, path: str) -> bool:
        """Whether anything at or below a path is wrong."""
        return any(
            p.path == path or p.path.startswith((f"{path}.", f"{path}["))
            for p in self.found
        )

    def only(self, some: Iterable[Problem]) -> bool:
        """Whether there is something wrong, and nothing but this."""
        known = {redact(str(problem)) for problem in some}
        return bool(self.found) and all(str(p) in known for p in self.found)

    def __bool__(self) -> bool:
        return bool(self.found)


class SetupRefused(Exception):
    """A set-up file with problems; nothing was changed."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that a mistyped one most likely means; "" if none is close."""
    by_folded = {name.casefold(): name for name in known}
    close = get_close_matches(word.casefold(), list(by_folded), n=1, cutoff=0.6)
    return by_folded[close[0]] if close else ""


def hint(word: str, known: Iterable[str], *, most: int = 12) -> str:
    """A sentence that names the nearest known word, else the known ones if few."""
    names = sorted(set(known))
    if close := nearest(word, names):
        return f" Did you mean {close!r}?"
    if not names:
        return ""
    listed = ", ".join(names[:most]) + (" …" if len(names) > most else "")
    return f" Known: {listed}."


def key_path(parent: str, key: str) -> str:
    return f"{parent}.{key}" if parent else key
