"""What one run may do before a person must approve its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Per run; None is no limit.
DEFAULTS: Mapping[str, int | None] = {
    "create": None,
    "update": None,
    "archive": 50,
    "unlink": 200,
    "blank": 100,
    "percent": 25,
}
FEWEST_PAIRS = 20  # from which on a percentage says something

_WHAT = {
    "create": "create {} records",
    "update": "update {} records",
    "archive": "archive {} records",
    "unlink": "remove {} links",
    "blank": "empty {} values",
    "percent": "change {} % of the pairs",
}


@dataclass(frozen=True, slots=True)
class Work:
    """What a plan would do, on both sides together.

    `blank` counts values that updates would empty; such an update counts as one, too.
    """

    create: int = 0
    update: int = 0
    archive: int = 0
    unlink: int = 0
    blank: int = 0


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that a plan goes over: how much it would do and the most it may."""

    name: str
    count: int
    most: int

    @property
    def text(self) -> str:
        unit = " %" if self.name == "percent" else ""
        return f"{_WHAT[self.name].format(self.count)} (limit {self.most}{unit})"


def most(limits: Mapping[str, int | None], name: str) -> int | None:
    """A sync's limit by its name, the default where it set none; None lifts it."""
    return limits[name] if name in limits else DEFAULTS[name]


def breaches(
    work: Work, limits: Mapping[str, int | None], pairs: int | None
) -> list[Breach]:
    """The limits that a plan goes over, in the order of DEFAULTS.

    Args: limits, those the sync set; pairs, how many stood when the run began (None:
        a first run, of which no percentage is asked).
    """
    found: list[Breach] = []
    for name in DEFAULTS:
        allowed = most(limits, name)
        if allowed is None:
            continue
        if name == "percent":
            share = _percent(work.update + work.archive + work.unlink, pairs)
            if share is not None and share > allowed:
                found.append(Breach(name, _rounded_up(share), allowed))
        elif getattr(work, name) > allowed:
            found.append(Breach(name, getattr(work, name), allowed))
    return found


def too_many_gone(
    gone: int, limits: Mapping[str, int | None], pairs: int
) -> Breach | None:
    """Whether so many of a side's records vanished at once that a person must say so."""
    allowed = most(limits, "archive")
    if allowed is not None and gone > allowed:
        return Breach("archive", gone, allowed)
    allowed = most(limits, "percent")
    share = _percent(gone, pairs)
    if allowed is not None and share is not None and share > allowed:
        return Breach("percent", _rounded_up(share), allowed)
    return None


def _percent(count: int, pairs: int | None) -> float | None:
    if pairs is None or pairs < FEWEST_PAIRS:
        return None
    return 100 * count / pairs


def _rounded_up(share: float) -> int:
    """A share just over the limit must not read as the limit itself."""
    return int(share) if share == int(share) else int(share) + 1
