"""What one sync does, for somebody who did not set it up."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from associations.engine.types import plain_type
from associations.handover.parts import Section
from associations.models import AssociationMapping, OnUnlink
from associations.run.mappings import discovered
from associations.run.naming import types_text
from connections import schemas
from connections.connectors.base import SchemaError
from connections.records import AssociationType, ObjectType, Side
from syncs.engine.filters import OPERATORS, condition, shown_raw
from syncs.engine.limits import DEFAULTS, most
from syncs.engine.values import ValueProblem
from syncs.models import FieldMapping, ObjectSync, SyncFilter
from syncs.models.choices import Creates, Deletes, Direction, Matching

ARROWS = {
    Direction.TWO_WAY: "↔",
    Direction.TO_HUBSPOT: "←",
    Direction.TO_APP: "→",
}
CONFLICTS = {
    "hubspot": "HubSpot wins",
    "app": "the app wins",
    "latest": "the latest change wins",
    "review": "a person decides",
}
LIMITS = {
    "create": "records created",
    "update": "records changed",
    "archive": "records archived",
    "unlink": "links removed",
    "blank": "values emptied",
    "percent": "share of the pairs changed, in %",
}


def sections(sync: ObjectSync) -> Iterator[Section]:
    """The sync's part of the document, without its exceptions."""
    yield _overview(sync)
    yield _matching(sync)
    yield _fields(sync)
    yield _filters(sync)
    yield _associations(sync)
    yield _limits(sync)


def _overview(sync: ObjectSync) -> Section:
    found = Section(_title(sync), 3)
    rows = [
        (
            "Objects",
            f"HubSpot {sync.hubspot_object}; {sync.app.name} {sync.app_object}",
        ),
        ("State", _state(sync)),
        ("Direction", sync.get_direction_display()),
        ("Conflict rule", f"{CONFLICTS[sync.conflict]}; an empty value never wins"),
        ("Records created", Creates(sync.creates).label),
        ("Deleted records", _deletes(sync)),
        ("Runs", _schedule(sync)),
        (
            "App's change time",
            sync.app_cursor or "the app's own; without one, records are compared",
        ),
        ("Time zone of values without one", sync.timezone),
    ]
    if sync.marker:
        marks = (f"{_side(sync, Side(s))} {name}" for s, name in sync.marker.items())
        rows.append(("External id (marker)", ", ".join(marks)))
    found.table(("", ""), rows)
    return found


def _title(sync: ObjectSync) -> str:
    arrow = ARROWS[Direction(sync.direction)]
    return f"{sync.name}: HubSpot {sync.hubspot_object} {arrow} {sync.app_object}"


def _state(sync: ObjectSync) -> str:
    if not sync.enabled:
        return "off"
    if sync.paused or sync.app.paused:
        return "paused: its schedule starts no run"
    return "on"


def _deletes(sync: ObjectSync) -> str:
    said = Deletes(sync.deletes).label
    for side, how in sync.archive.items():
        there = _side(sync, Side(side))
        said += f"; {there} archives by {how['field']} = {how['value']}"
    if sync.hard_delete:
        said += "; what cannot be archived is deleted for good, each once approved"
    return said


def _schedule(sync: ObjectSync) -> str:
    every = f"every {span(sync.every_s)}" if sync.every_s else "by hand only"
    return (
        f"{every}; all links are swept every {span(sync.sweep_every_s)}, everything is "
        f"read every {span(sync.full_every_s)}"
    )


def span(seconds: int) -> str:
    """Seconds in the largest unit that fits."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % size == 0:
            count = seconds // size
            return unit if count == 1 else f"{count} {unit}s"
    return f"{seconds} seconds"


def _side(sync: ObjectSync, side: Side) -> str:
    return "HubSpot" if side is Side.HUBSPOT else sync.app.name


# Matching, fields ------------------------------------------------------------------------


def _matching(sync: ObjectSync) -> Section:
    found = Section("Record matching", 4)
    ranks: dict[int, list[tuple[str, str, str]]] = {}
    for key in sync.match_keys.all():
        part = (key.hubspot, key.app, key.normalize)
        ranks.setdefault(key.rank, []).append(part)
    if sync.matching == Matching.NONE or not ranks:
        found.text(
            "Records are not matched: each new one is created on the other side."
        )
        return found
    found.text("Keys are tried in this order; a composite key needs all of its parts.")
    found.table(
        ("Key", "HubSpot property", f"{sync.app.name} field", "Compared"),
        [
            (str(at), *part)
            for at, parts in enumerate((p for _, p in sorted(ranks.items())), start=1)
            for part in parts
        ],
    )
    return found


def _fields(sync: ObjectSync) -> Section:
    found = Section("Fields", 4)
    rows = [_field(sync, mapping) for mapping in sync.field_mappings.all()]
    if not rows:
        found.text("No field is synced: records are only matched, for their links.")
    head = ("HubSpot property", "Way", f"{sync.app.name} field", "Conflict", "Blanks")
    found.table((*head, "Values (HubSpot = app)"), rows)
    constants = [
        (_side(sync, Side(side)), name, shown_raw(value))
        for side, names in sync.on_create.items()
        for name, value in names.items()
    ]
    if constants:
        found.text("New records get, where nothing else fills the field:")
    found.table(("In", "Field", "Value"), constants)
    return found


def _field(sync: ObjectSync, mapping: FieldMapping) -> tuple[str, ...]:
    direction = mapping.direction or sync.direction
    keys = {(key.hubspot, key.app) for key in sync.match_keys.all()}
    guarded = mapping.never_blank
    if guarded is None:
        guarded = (mapping.hubspot, mapping.app) in keys
    return (
        mapping.hubspot,
        ARROWS[Direction(direction)],
        mapping.app,
        _conflict(direction, mapping.conflict or sync.conflict),
        "never travel" if guarded else "travel",
        ", ".join(f"{k} = {v}" for k, v in mapping.values.items()),
    )


def _conflict(direction: str, rule: str) -> str:
    """Who wins; where only one side is written there is nothing to win."""
    return CONFLICTS[rule] if direction == Direction.TWO_WAY else "none: one way"


# Filters ---------------------------------------------------------------------------------


def _filters(sync: ObjectSync) -> Section:
    found = Section("Filters", 4)
    rows = list(sync.filters.all())
    if not rows:
        found.text("None: every record is in scope.")
        return found
    found.text(
        "A record must meet all of these; else it is excluded: read and paired, never "
        "written, created or deleted, its links left as they are."
    )
    owners: dict[Side, schemas.Owner] = {
        Side.HUBSPOT: sync.app.hubspot,
        Side.APP: sync.app,
    }
    names = {Side.HUBSPOT: sync.hubspot_object, Side.APP: sync.app_object}
    objects: dict[Side, ObjectType | None] = {}
    for side in Side:
        try:
            objects[side] = schemas.load_object(owners[side], names[side])
        except SchemaError:
            objects[side] = None
    found.table(
        ("Side", "Condition"),
        [
            (_side(sync, Side(row.side)), _sentence(sync, row, objects[Side(row.side)]))
            for row in rows
        ],
    )
    return found


def _sentence(sync: ObjectSync, row: SyncFilter, obj: ObjectType | None) -> str:
    field = obj.field(row.field) if obj else None
    if field is not None:
        try:
            zone = ZoneInfo(sync.timezone or "UTC")
            return f"{condition(field, row.operator, row.value, zone)}."
        except ValueProblem:
            pass  # as it stands in the set-up
    verb = OPERATORS.get(row.operator, row.operator)
    value = "" if row.value is None else f" {shown_raw(row.value)}"
    return f"{row.field} must {verb}{value}."


# Associations ----------------------------------------------------------------------------


def _associations(sync: ObjectSync) -> Section:
    found = Section("Associations", 4)
    mappings = list(
        AssociationMapping.objects.filter(sync=sync).select_related("to_sync")
    )
    if not mappings:
        found.text("No links of these records are synced.")
        return found
    found.table(
        (
            f"In {sync.app.name}",
            "To",
            "Way",
            "Association type",
            "Type id",
            "Conflict",
            "On unlink",
        ),
        [_mapping(sync, row) for row in mappings],
    )
    for target in {
        row.to_sync.hubspot_object: row.to_sync for row in mappings
    }.values():
        _types(found, sync, target, mappings)
    return found


def _mapping(sync: ObjectSync, row: AssociationMapping) -> tuple[str, ...]:
    conflict = row.conflict or (
        sync.conflict if sync.conflict != "latest" else "hubspot"
    )
    direction = row.direction or sync.direction
    target = row.to_sync
    off = "" if target.enabled and not target.archived_at else " (off: not synced)"
    return (
        row.place,
        f"{target.name} ({target.hubspot_object}){off}",
        _way(sync, direction),
        "; ".join(
            (
                types_text(sync, row.types) or "not known: choose another",
                *(
                    f"{value or 'blank'} = {types_text(sync, [type_])}"
                    for value, type_ in row.label_types.items()
                ),
            )
        ),
        ", ".join(f"{t.category} {t.type_id}" for t in _all_types(row)),
        _conflict(direction, conflict),
        _on_unlink(sync, row),
    )


def _on_unlink(sync: ObjectSync, row: AssociationMapping) -> str:
    """What becomes of HubSpot's link: a plain one owns its pair."""
    ends = _ends(sync, row.to_sync)
    if ends is not None:
        plain = plain_type(*ends, discovered(sync.app.hubspot_id, *ends))
        if plain in _all_types(row):
            return str(OnUnlink.REMOVE_PAIR.label)
    return row.get_on_unlink_display()


def _ends(sync: ObjectSync, target: ObjectSync) -> tuple[str, str] | None:
    """Both objects' type ids in HubSpot; None where it lists one no more."""
    try:
        near, far = (
            schemas.load_object(sync.app.hubspot, one.hubspot_object).id
            for one in (sync, target)
        )
    except SchemaError:
        return None
    return near, far


def _all_types(row: AssociationMapping) -> list[AssociationType]:
    """A mapping's types, with those that the label column's values mean."""
    return list(dict.fromkeys([*row.types, *row.label_types.values()]))


def _way(sync: ObjectSync, direction: str) -> str:
    if direction == Direction.TWO_WAY:
        return "both ways"
    side = Side.HUBSPOT if direction == Direction.TO_HUBSPOT else Side.APP
    return f"only to {_side(sync, side)}"


def _types(
    found: Section,
    sync: ObjectSync,
    target: ObjectSync,
    mappings: list[AssociationMapping],
) -> None:
    """Every type that HubSpot has between the two objects, mapped or not."""
    ends = _ends(sync, target)
    if ends is None:
        return
    used = {t for row in mappings if row.to_sync == target for t in _all_types(row)}
    rows = []
    for info in sorted(discovered(sync.app.hubspot_id, *ends), key=lambda i: i.type_id):
        mapped = AssociationType(info.category, info.type_id) in used
        label = info.label or "no label (every link carries it)"
        id_ = f"{info.category} {info.type_id}"
        rows.append((label, id_, "yes" if mapped else ""))
    if rows:
        found.text(
            f"Association types from {sync.hubspot_object} to {target.hubspot_object} in "
            f"{sync.app.hubspot.name}:"
        )
    found.table(("Label", "Type id", "Mapped"), rows)


# Limits ----------------------------------------------------------------------------------


def _limits(sync: ObjectSync) -> Section:
    found = Section("Limits of one run", 4)
    found.text("A plan over one of these is held until a person approves or drops it.")
    rows = []
    for name in DEFAULTS:
        limit = most(sync.limits, name)
        own = "set here" if name in sync.limits else "default"
        shown = "no limit" if limit is None else str(limit)
        rows.append((LIMITS[name], shown, own))
    found.table(("What", "At most", ""), rows)
    return found
