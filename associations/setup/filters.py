"""The filters of one object sync: read from a file, checked, stored and written again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from associations.setup.environment import escape
from associations.setup.keys import Keys, shown
from associations.setup.problems import Problems, hint
from associations.setup.spec import FilterSpec
from connections.records import Field, Side
from syncs.engine.filter_values import settled
from syncs.engine.filters import OPERATORS, VALUELESS, fits
from syncs.engine.values import ValueProblem
from syncs.models import ObjectSync, SyncFilter

NOUN = {Side.HUBSPOT: "property", Side.APP: "field"}
# What people write for an operator, and how it is called here.
_MEANT = {
    "=": "is",
    "==": "is",
    "eq": "is",
    "equal": "is",
    "equals": "is",
    "!=": "is_not",
    "ne": "is_not",
    "neq": "is_not",
    "not": "is_not",
    "not_equal": "is_not",
    "not_equals": "is_not",
    "any_of": "in",
    "one_of": "in",
    "is_any_of": "in",
    "none_of": "not_in",
    "is_none_of": "not_in",
    "exists": "known",
    "has_value": "known",
    "is_known": "known",
    "not_blank": "known",
    "blank": "unknown",
    "empty": "unknown",
    "is_unknown": "unknown",
    "has_no_value": "unknown",
    ">": "greater",
    "gt": "greater",
    "greater_than": "greater",
    ">=": "greater_or_equal",
    "gte": "greater_or_equal",
    "at_least": "greater_or_equal",
    "<": "less",
    "lt": "less",
    "less_than": "less",
    "<=": "less_or_equal",
    "lte": "less_or_equal",
    "at_most": "less_or_equal",
    "like": "contains",
}


def read_filters(keys: Keys, problems: Problems) -> tuple[FilterSpec, ...]:
    """The conditions of both sides, with every problem named."""
    inner = keys.map("filters", "filters", [side.value for side in Side])
    if inner is None:
        return ()
    found: list[FilterSpec] = []
    for side in Side:
        read = partial(_condition, side=side, problems=problems)
        found += inner.items(side.value, read)
    return tuple(found)


def _condition(
    value: Any, path: str, side: Side, problems: Problems
) -> FilterSpec | None:
    noun = NOUN[side]
    keys = Keys.of(value, path, problems, "A filter", (noun, "operator", "value"))
    if keys is None:
        return None
    name, operator = keys.required(noun), _operator(keys)
    if not name or not operator:
        return None
    given = keys.tree.get("value")
    if given is None and operator not in VALUELESS:
        keys.bad("value", f"value is missing; {operator} compares with one.")
        return None
    if isinstance(given, dict):
        keys.bad("value", f"value must be a value or a list, not {shown(given)}.")
        return None
    return FilterSpec(path, side, name, operator, given)


def _operator(keys: Keys) -> str:
    word = keys.required("operator")
    if word in OPERATORS or not word:
        return word
    meant = _MEANT.get(word.casefold().replace(" ", "_"))
    remedy = f" Did you mean {meant!r}?" if meant else hint(word, OPERATORS, most=20)
    keys.bad("operator", f"There is no operator {shown(word)}.{remedy}")
    return ""


def check_filter(
    spec: FilterSpec, found: Field, timezone: str, problems: Problems
) -> FilterSpec:
    """Check a condition against its field. Returns it with its value as it is stored."""
    if not fits(spec.operator, found.type):
        fitting = [word for word in OPERATORS if fits(word, found.type)]
        problems.add(
            f"{spec.path}.operator",
            f"{found.name} is a {found.type}, of which {spec.operator} says nothing. "
            f"Use one of {', '.join(fitting)}.",
        )
        return spec
    try:
        value = settled(found, spec.operator, spec.value, ZoneInfo(timezone))
    except ValueProblem as exc:
        problems.add(f"{spec.path}.value", f"{exc.code}: {exc.message}")
        return spec
    return replace(spec, value=value)


# Stored and exported ---------------------------------------------------------------------

_COLUMNS = ("side", "position", "field", "operator", "value")


def store_filters(sync: ObjectSync, specs: Iterable[FilterSpec]) -> bool:
    """Make the stored filters those that are wanted. Returns whether any changed."""
    wanted = [
        (spec.side.value, at, spec.field, spec.operator, spec.value)
        for side in Side
        for at, spec in enumerate(s for s in specs if s.side is side)
    ]
    held = sync.filters.order_by("side", "position", "pk").values_list(*_COLUMNS)
    if list(map(repr, held)) == list(map(repr, sorted(wanted, key=lambda w: w[:2]))):
        return False
    sync.filters.all().delete()
    SyncFilter.objects.bulk_create(
        SyncFilter(sync=sync, **dict(zip(_COLUMNS, row, strict=True))) for row in wanted
    )
    return True


def export_filters(sync: ObjectSync) -> dict[str, Any]:
    """The `filters` of a file, by side; empty where there are none."""
    found: dict[str, Any] = {}
    rows = list(sync.filters.all())
    for side in Side:
        mine = [_exported(row, NOUN[side]) for row in rows if row.side == side]
        if mine:
            found[side.value] = mine
    return found


def _exported(row: SyncFilter, noun: str) -> dict[str, Any]:
    found: dict[str, Any] = {noun: escape(row.field), "operator": row.operator}
    if row.operator not in VALUELESS:
        found["value"] = _escaped(row.value)
    return found


def _escaped(value: Any) -> Any:
    if isinstance(value, list):
        return [_escaped(one) for one in value]
    return escape(value) if isinstance(value, str) else value
