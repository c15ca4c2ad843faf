"""Faults on demand: what a network and an overloaded service do to a client.

A fault is written as `kind,key=value,…`:

======================= ====================================================
status=503              answer this status instead of (or after) the effect
401                     the same as status=401
drop                    close the connection without an answer
timeout or timeout=30   hold the answer back this long (default 60 s), then drop
truncate or truncate=3  a list answer loses all but the first N results and its
                        paging, with status 200 (default 0: an empty page)
omit or omit=2          a list answer lacks every second (or so many-th) result, and
                        nothing says so, with status 200
repeat                  the list answer before this one on the same path, once more
shuffle                 a list answer's results in the opposite order
cut                     the connection closes in the middle of the answer
garbage                 an answer that is not JSON, with status 200
hollow                  a JSON object that holds nothing, with status 200
======================= ====================================================

`path=TEXT` (part of the path), `method=POST`, `nth=3` (only the third matching call),
`times=2` (at most so many calls; with `nth` that many from there on, by default one),
`when=before|after` (before or after the effect; default before), `retry_after=5` (with a
status: that header).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

KINDS = (
    *("status", "drop", "timeout", "truncate", "omit", "repeat", "shuffle", "cut"),
    *("garbage", "hollow"),
)
NUMERIC = {"status", "timeout", "truncate", "omit", "nth", "times", "retry_after"}
OPTIONS = ("path", "method", "nth", "times", "when", "retry_after")
DEFAULTS: dict[str, float] = {"timeout": 60.0, "truncate": 0, "omit": 2}
OF_ANSWERS = {"truncate", "omit", "repeat", "shuffle", "cut", "garbage", "hollow"}


class BadFault(ValueError):
    """The text of a fault cannot be understood."""


@dataclass(slots=True)
class Fault:
    """One fault and how often it was met."""

    kind: str
    amount: float = 0
    path: str = ""
    method: str = ""
    nth: int = 0
    times: int = 0
    when: str = "before"
    retry_after: int = 0
    spec: str = ""
    seen: int = 0
    fired: int = 0

    @classmethod
    def parse(cls, spec: str) -> Self:
        """Read a fault from its text.

        Args: spec, such as "status=503,path=/batch/create,nth=3,when=after".
        Raises: BadFault naming the part that is wrong.
        """
        head, *rest = [part.strip() for part in spec.split(",")]
        if head.isdigit():
            head = f"status={head}"
        kind, _, amount = head.partition("=")
        if kind not in KINDS or (kind == "status" and not amount):
            raise BadFault(f"{head!r} is no fault; known: {', '.join(KINDS)}, 401")
        fault = cls(kind, _number(kind, amount) if amount else DEFAULTS.get(kind, 0))
        fault.spec = spec
        for part in rest:
            fault._option(part)
        if fault.kind == "omit" and fault.amount < 1:
            raise BadFault(f"omit={fault.amount:g}: at least 1")
        if fault.kind in OF_ANSWERS:
            fault.when = "after"
        return fault

    def _option(self, part: str) -> None:
        key, _, text = part.partition("=")
        if key not in OPTIONS or not text:
            raise BadFault(f"{part!r}: use {', '.join(OPTIONS)}")
        if key == "when" and text not in ("before", "after"):
            raise BadFault(f"when={text}: before or after")
        setattr(self, key, int(_number(key, text)) if key in NUMERIC else text)

    def meets(self, method: str, path: str) -> bool:
        """Count a call and say whether the fault strikes it."""
        if self.path not in path or (self.method and self.method.upper() != method):
            return False
        self.seen += 1
        if self.seen < self.nth:
            return False
        times = self.times or (1 if self.nth else 0)
        if times and self.fired >= times:
            return False
        self.fired += 1
        return True


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadFault(f"{key}={text}: a number is needed") from None


class Faults:
    """The faults in force, asked once a call."""

    def __init__(self, specs: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._faults = [Fault.parse(spec) for spec in specs]

    def set(self, specs: Iterable[str]) -> None:
        """Replace all faults; counters start again."""
        faults = [Fault.parse(spec) for spec in specs]
        with self._lock:
            self._faults = faults

    def strike(self, method: str, path: str) -> Fault | None:
        """Return the first fault that strikes this call, if any."""
        with self._lock:
            struck = [f for f in self._faults if f.meets(method, path)]
        return struck[0] if struck else None

    def describe(self) -> list[dict[str, object]]:
        """Return each fault's text with how often it was met and struck."""
        with self._lock:
            return [
                {"spec": f.spec, "seen": f.seen, "fired": f.fired} for f in self._faults
            ]
