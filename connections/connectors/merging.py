"""Lists of links that a system replaces whole, changed by no more than was meant."""

from __future__ import annotations

from collections.abc import Sequence


def three_way(
    planned: Sequence[str], wanted: Sequence[str], current: Sequence[str]
) -> tuple[str, ...]:
    """What is there now, less what was meant to go, and what was meant to come.

    Args: planned, what the list held when the write was planned (`Patch.expected`).
    """
    gone = set(planned) - set(wanted)
    come = [i for i in wanted if i not in set(planned)]
    return tuple(dict.fromkeys([i for i in current if i not in gone] + come))
