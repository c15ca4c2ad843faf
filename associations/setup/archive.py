"""Check how a sync's records are archived, and that a deletion can travel at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from connections.connectors.registry import capabilities
from connections.records import Field, Side
from syncs.engine.values import ValueProblem, canonical, convert, is_blank, same

if TYPE_CHECKING:
    from associations.setup.checking import SyncCheck

NAMES = {Side.HUBSPOT: "HubSpot", Side.APP: "the app"}


def check_archive(
    check: SyncCheck, constants: Mapping[str, Mapping[str, object]]
) -> dict[str, dict[str, Any]]:
    """The declared archive fields in canonical form; what is wrong is named.

    Args: constants, those for new records, in canonical form.
    """
    found: dict[str, dict[str, Any]] = {}
    for word, declared in check.spec.archive.items():
        made = _declared(check, Side(word), declared, constants.get(word, {}))
        if made is not None:
            found[word] = made
    _must_travel(check)
    return found


def _declared(
    check: SyncCheck,
    side: Side,
    declared: Mapping[str, Any],
    constants: Mapping[str, object],
) -> dict[str, Any] | None:
    name, path = declared["field"], f"{check.spec.path}.archive.{side}"
    field = check.known_field(side, name, f"{path}.field")
    if field is None:
        return None
    for text in _misused(check, side, field):
        check.problems.add(f"{path}.field", text)
    try:
        raw = canonical(declared["value"], field, zone=ZoneInfo(check.spec.timezone))
        value = convert(raw, field, field)
    except ValueProblem as exc:
        check.problems.add(f"{path}.value", f"{exc.code}: {exc.message}")
        return None
    if is_blank(value):
        check.problems.add(f"{path}.value", "A blank cannot tell what is archived.")
    elif name in constants and same(constants[name], value):
        check.problems.add(
            f"{path}.value", "on_create gives new records this value: archived at once."
        )
    return {"field": name, "value": value}


def _misused(check: SyncCheck, side: Side, field: Field) -> list[str]:
    """What else a field is for, so that it cannot tell what is archived."""
    spec, found = check.spec, []
    if field.read_only:
        found.append(f"{field.name} is read-only; an archive is written.")
    if any(getattr(mapping, side) == field.name for mapping in spec.fields):
        found.append(f"{field.name} is mapped: its values travel by themselves.")
    if any(getattr(part, side) == field.name for key in spec.match for part in key):
        found.append(f"{field.name} is part of a match key.")
    if spec.marker.get(side) == field.name:
        found.append(f"{field.name} is the marker.")
    if side is Side.APP and spec.app_cursor == field.name:
        found.append(f"{field.name} tells when a record changed.")
    return found


def _must_travel(check: SyncCheck) -> None:
    """A deletion that travels needs a way to archive on each side that is written."""
    spec = check.spec
    if spec.deletes == "ignore":
        return
    for side in (side for side in Side if check.writes(side)):
        able = capabilities("hubspot" if side is Side.HUBSPOT else check.kind)
        if able.archives or side in spec.archive:
            continue
        if spec.hard_delete and able.deletes:
            if why := check.objects[side].undeletable:
                check.bad("hard_delete", why)
            continue
        remedy = f"declare archive: {{{side}: {{field: \u2026, value: \u2026}}}}"
        if able.deletes:
            remedy += ", or set hard_delete: true (each is asked for)"
        check.bad(
            "deletes",
            f"{spec.deletes} needs a way to archive records in {NAMES[side]}, which has "
            f"none of its own: {remedy}, or use direction: to_{side.other}.",
        )
