"""Which types of value can ever be one another's."""

from __future__ import annotations

from connections.records import ValueType

LOOSE = (ValueType.TEXT, ValueType.OPTION)  # their values decide, one by one


def fit(one: ValueType, other: ValueType) -> bool:
    """Whether any value of one type can ever be one of the other."""
    if one == other or {one, other} <= {ValueType.DATE, ValueType.DATETIME}:
        return True
    return one in LOOSE or other in LOOSE
