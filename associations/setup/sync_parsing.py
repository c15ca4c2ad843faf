"""The part of a file that describes one object sync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from associations.setup.filters import read_filters
from associations.setup.joins import read_join, read_labels
from associations.setup.keys import Keys, shown
from associations.setup.problems import Problems, hint
from associations.setup.spec import (
    AssociationChoice,
    AssociationSpec,
    FieldSpec,
    MatchPart,
    SyncSpec,
)
from syncs.engine import limits

MAX_NAME = 120
DEFAULT = "default"  # in the place of a list
SIDES = ("hubspot", "app")
DIRECTIONS = ("two_way", "to_hubspot", "to_app")
CONFLICTS = ("hubspot", "app", "latest", "review")
LINK_CONFLICTS = ("hubspot", "app", "review")  # links have no time of change
DELETES = ("ignore", "ask", "propagate")
CREATES = ("both", "to_hubspot", "to_app", "none")
NORMALIZERS = ("exact", "casefold", "email", "domain", "phone", "digits")
PART_KEYS = ("hubspot", "app", "normalize")
FIELD_KEYS = (
    "hubspot",
    "app",
    "direction",
    "conflict",
    "never_blank",
    "seed",
    "values",
)
SYNC_KEYS = (
    "name",
    "renamed_from",
    "hubspot_object",
    "app_object",
    "direction",
    "conflict",
    "creates",
    "matching",
    "match",
    "marker",
    "fields",
    "on_create",
    "filters",
    "deletes",
    "hard_delete",
    "archive",
    "limits",
    "every",
    "sweep_every",
    "full_every",
    "app_cursor",
    "timezone",
    "enabled",
    "associations",
)
ASSOCIATION_KEYS = (
    "app_field",
    "join_table",
    "to",
    "by",
    "type",
    "labels",
    "direction",
    "conflict",
    "on_unlink",
)


def read_sync(value: Any, path: str, problems: Problems) -> SyncSpec | None:
    """One object sync; None where it is no map at all."""
    keys = Keys.of(value, path, problems, "A sync", SYNC_KEYS)
    if keys is None:
        return None
    match = keys.items("match", lambda v, p: _match_key(v, p, problems))
    return SyncSpec(
        path=path,
        name=keys.required("name", longest=MAX_NAME),
        renamed_from=keys.text("renamed_from"),
        hubspot_object=keys.required("hubspot_object"),
        app_object=keys.required("app_object"),
        direction=keys.choice("direction", DIRECTIONS, "two_way"),
        conflict=keys.choice("conflict", CONFLICTS, "hubspot"),
        creates=keys.choice("creates", CREATES, "both"),
        matching=_matching(keys, bool(match)),
        match=match,
        marker=_marker(keys),
        fields=_fields(keys, problems),
        default_fields=keys.tree.get("fields") == DEFAULT,
        on_create=_on_create(keys),
        filters=read_filters(keys, problems),
        deletes=keys.choice("deletes", DELETES, "ignore"),
        hard_delete=keys.boolean("hard_delete", False),
        archive=_archive(keys),
        limits=_limits(keys),
        every_s=keys.seconds_or_off("every", 600),
        sweep_every_s=keys.seconds("sweep_every", 3600),
        full_every_s=keys.seconds("full_every", 86400),
        app_cursor=keys.text("app_cursor"),
        timezone=_timezone(keys),
        enabled=keys.boolean("enabled", True),
        associations=()
        if keys.tree.get("associations") == DEFAULT
        else keys.items("associations", lambda v, p: _association(v, p, problems)),
        default_associations=keys.tree.get("associations") == DEFAULT,
    )


def _timezone(keys: Keys) -> str:
    name = keys.text("timezone", "UTC", longest=64)
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        close = hint(name, available_timezones(), most=0)
        remedy = (
            close if "Did you mean" in close else " Use a name such as Europe/Berlin."
        )
        keys.bad("timezone", f"There is no time zone {shown(name)}.{remedy}")
        return "UTC"
    return name


def _archive(keys: Keys) -> Mapping[str, Mapping[str, Any]]:
    """By side, the field that archives a record and the value it has then."""
    sides = keys.map("archive", "archive", SIDES)
    found: dict[str, Mapping[str, Any]] = {}
    if sides is None:
        return found
    for side in SIDES:
        inner = sides.map(side, f"archive.{side}", ("field", "value"))
        if inner is None:
            continue
        name, value = inner.required("field"), inner.tree.get("value")
        if value is None:
            inner.bad("value", "value is missing: what the field holds once archived.")
        elif isinstance(value, dict | list):
            inner.bad("value", f"value must be a single value, not {shown(value)}.")
        elif name:
            found[side] = {"field": name, "value": value}
    return found


def _limits(keys: Keys) -> Mapping[str, int | None]:
    """What one run may do; only what the file says, "off" as None."""
    inner = keys.map("limits", "limits", limits.DEFAULTS)
    if inner is None:
        return {}
    return {
        name: inner.count_or_off(name) for name in limits.DEFAULTS if inner.given(name)
    }


# Matching ------------------------------------------------------------------------------


def _matching(keys: Keys, has_keys: bool) -> str:
    said = keys.choice("matching", ("default", "fields", "none"), "")
    if keys.given("match"):
        if said in ("default", "none"):
            keys.bad(
                "matching",
                f"With a match, matching is fields; {said} and a match exclude each other.",
            )
        if not has_keys and keys.tree["match"] == []:
            keys.bad("match", "match must hold at least one key.")
        return "fields"
    if said == "fields":
        keys.bad("match", "matching: fields needs a match that names the fields.")
    return said or "default"


def _match_key(
    value: Any, path: str, problems: Problems
) -> tuple[MatchPart, ...] | None:
    if isinstance(value, dict) and "all" in value:
        keys = Keys.of(value, path, problems, "A composite key", ("all",))
        if keys is None:
            return None
        if not keys.tree["all"]:
            keys.bad("all", "all must list at least one pair of fields.")
        return keys.items("all", lambda v, p: _part(v, p, problems)) or None
    part = _part(value, path, problems)
    return None if part is None else (part,)


def _part(value: Any, path: str, problems: Problems) -> MatchPart | None:
    keys = Keys.of(value, path, problems, "A match key", PART_KEYS)
    if keys is None:
        return None
    return MatchPart(
        path,
        keys.required("hubspot"),
        keys.required("app"),
        keys.choice("normalize", NORMALIZERS, "exact"),
    )


def _marker(keys: Keys) -> Mapping[str, str]:
    inner = keys.map("marker", "A marker", SIDES)
    if inner is None:
        return {}
    return {side: inner.text(side) for side in SIDES if inner.given(side)}


# Fields --------------------------------------------------------------------------------


def _fields(keys: Keys, problems: Problems) -> tuple[FieldSpec, ...]:
    if keys.tree.get("fields") == DEFAULT:
        return ()  # guessed once both objects are known
    return keys.items("fields", lambda v, p: _field(v, p, problems))


def _field(value: Any, path: str, problems: Problems) -> FieldSpec | None:
    keys = Keys.of(value, path, problems, "A field mapping", FIELD_KEYS)
    if keys is None:
        return None
    return FieldSpec(
        path=path,
        hubspot=keys.required("hubspot"),
        app=keys.required("app"),
        direction=keys.choice("direction", DIRECTIONS, ""),
        conflict=keys.choice("conflict", CONFLICTS, ""),
        never_blank=keys.maybe("never_blank"),
        seed=keys.choice("seed", SIDES, ""),
        values=_values(keys),
    )


def _values(keys: Keys) -> Mapping[str, str]:
    if not keys.given("values"):
        return {}
    tree = keys.tree["values"]
    if not isinstance(tree, dict):
        keys.bad("values", f"values must be a map of values, not {shown(tree)}.")
        return {}
    found: dict[str, str] = {}
    for value, other in tree.items():
        if other is None or isinstance(other, dict | list):
            keys.bad(f"values.{value}", f"This must be a value, not {shown(other)}.")
        else:
            found[str(value)] = as_word(other)
    return found


def as_word(value: str | float | bool) -> str:
    """A value as the text of an option."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _on_create(keys: Keys) -> Mapping[str, Mapping[str, Any]]:
    inner = keys.map("on_create", "on_create", SIDES)
    found: dict[str, Mapping[str, Any]] = {}
    for side in SIDES:
        if inner is None or not inner.given(side):
            continue
        tree = inner.tree[side]
        if isinstance(tree, dict):
            found[side] = {k: v for k, v in tree.items() if v is not None}
        else:
            inner.bad(side, f"{side} must be a map of constants, not {shown(tree)}.")
    return {side: constants for side, constants in found.items() if constants}


# Associations --------------------------------------------------------------------------


def _association(value: Any, path: str, problems: Problems) -> AssociationSpec | None:
    keys = Keys.of(value, path, problems, "An association", ASSOCIATION_KEYS)
    if keys is None:
        return None
    by = keys.choice("by", ("match_key",), "")
    if by and keys.given("join_table"):
        keys.bad("by", "A join table holds ids: leave by out.")
        by = ""
    join = read_join(keys, problems)
    if keys.given("join_table"):
        app_field = join.name if join is not None else ""
    else:
        app_field = keys.required("app_field")
    if keys.tree.get("conflict") == "latest":
        keys.bad("conflict", "conflict cannot be latest: links have no time of change.")
        conflict = ""
    else:
        conflict = keys.choice("conflict", LINK_CONFLICTS, "")
    return AssociationSpec(
        path=path,
        app_field=app_field,
        to=keys.required("to", longest=MAX_NAME),
        by=by,
        type=_type(keys, problems),
        # A key that people type is read, unless the file says more.
        direction=keys.choice("direction", DIRECTIONS, "to_hubspot" if by else ""),
        conflict=conflict,
        on_unlink=keys.choice("on_unlink", ("keep_pair", "remove_pair"), "keep_pair"),
        join=join,
        labels=read_labels(keys, join, problems, _one_type),
    )


def _type(keys: Keys, problems: Problems) -> AssociationChoice:
    value, path = keys.tree.get("type"), keys.at("type")
    if value is None:
        return ""
    if not isinstance(value, list):
        return _one_type(value, path, problems)
    if not value:
        problems.add(path, "type must name at least one association type.")
    read = [_one_type(v, f"{path}[{at}]", problems) for at, v in enumerate(value)]
    found = [t for t in read if t]
    return found[0] if len(found) == 1 else found or ""


def _one_type(value: Any, path: str, problems: Problems) -> AssociationChoice:
    """One type; "" with a problem where it is none."""
    if isinstance(value, dict):
        return _type_by_id(value, path, problems)
    if isinstance(value, str) and value.strip():
        return value.strip()
    problems.add(
        path,
        f"A type is primary, default, a label's text or {{category, id}}, not "
        f"{shown(value)}.",
    )
    return ""


def _type_by_id(
    value: dict[str, Any], path: str, problems: Problems
) -> AssociationChoice:
    inner = Keys.of(value, path, problems, "A type", ("category", "id"))
    if inner is None:
        return ""
    categories = ("HUBSPOT_DEFINED", "USER_DEFINED", "INTEGRATOR_DEFINED")
    inner.required("category")
    category = inner.choice("category", categories, "")
    number = inner.required("id")
    if number and not (number.isascii() and number.isdigit() and len(number) < 16):
        inner.bad("id", f"id must be a whole number, not {shown(number)}.")
        return ""
    return {"category": category, "id": int(number)} if category and number else ""
