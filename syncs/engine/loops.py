"""See that a value goes round: what we wrote is changed back and written again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from connections.records import Canon
from syncs.engine.values import same

RETURNS = 3  # to a value that was written before, with another one between
Writer = tuple[int, str]  # an object sync's id, and the side that it wrote to


@dataclass(frozen=True, slots=True)
class Wrote:
    """One write of a field, as one side sees its value."""

    at: datetime
    writer: Writer
    value: Canon


def fighters(history: Iterable[Wrote], planned: Wrote) -> frozenset[Writer]:
    """Who makes a value go round, if the planned write were to go on with it.

    Two writers alternate between two values, and the planned write is the third return to
    what was written before. One writer alone is somebody who changes their mind.
    Args: history, what was written lately, in any order.
    Returns: the writers; empty where the write may go on.
    """
    turns: list[Wrote] = []
    for wrote in (*sorted(history, key=lambda w: w.at), planned):
        if not turns or not same(turns[-1].value, wrote.value):
            turns.append(wrote)  # who brought the value in; others only passed it on
    last = turns[-(RETURNS + 2) :]
    if len(last) < RETURNS + 2 or last[-1] is not planned:
        return frozenset()
    returned = all(
        same(last[at].value, last[at - 2].value) for at in range(2, len(last))
    )
    alternate = all(
        last[at].writer != last[at - 1].writer for at in range(1, len(last))
    )
    return frozenset(w.writer for w in last) if returned and alternate else frozenset()
