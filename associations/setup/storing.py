"""Make the stored set-up of one sync what a checked one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import models

from associations.models import AssociationMapping, By, type_columns
from associations.setup.checking import Checked
from associations.setup.filters import store_filters
from associations.setup.spec import SyncSpec
from connections.models import ConnectedApp
from syncs.models import FieldMapping, MatchKey, ObjectSync

M = TypeVar("M", bound=models.Model)
# What says when and how much to sync, not what: no record need be looked at anew.
QUIET = {"name", "every_s", "sweep_every_s", "full_every_s", "limits"}
# What makes a mapping another one, besides its field or table, its target and types.
JOIN_COLUMNS = ("join_from", "join_to", "join_label")
SYNC_COLUMNS = (
    "name",
    "hubspot_object",
    "app_object",
    "direction",
    "conflict",
    "creates",
    "matching",
    "marker",
    "on_create",
    "deletes",
    "hard_delete",
    "archive",
    "every_s",
    "sweep_every_s",
    "full_every_s",
    "app_cursor",
    "timezone",
    "enabled",
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A sync as it is stored now.

    `changed`: what it does is another thing; `touched`: when or how much it does is.
    """

    sync: ObjectSync
    changed: bool
    touched: bool


def revise(sync: ObjectSync) -> bool:
    """Count a change of the set-up: a run keeps the revision it started with.

    Returns: whether the sync is new; it has its first revision then.
    """
    new = bool(getattr(sync, "is_new", False))
    if not new:
        sync.revision += 1
        sync.save(update_fields=["revision"])
    return new


def store_sync(app: ConnectedApp, checked: Checked, position: int) -> Stored:
    """Store all of a sync but its links, under its name or the one it had."""
    spec = checked.spec
    mine = ObjectSync.objects.filter(app=app)
    row = mine.filter(name=spec.name).first()
    if row is None and spec.renamed_from:
        row = mine.filter(name=spec.renamed_from).first()
    new = row is None
    if row is None:
        row = ObjectSync(app=app)
    row.is_new = new  # type: ignore[attr-defined]
    wanted = _columns(spec)
    moved = {n for n, v in wanted.items() if getattr(row, n) != v}
    changed = new or bool(moved - QUIET)
    if new or moved or row.position != position:
        if row.every_s != spec.every_s:
            row.due_at = None  # counted anew
        objects = (wanted["hubspot_object"], wanted["app_object"])
        if not new and (row.hubspot_object, row.app_object) != objects:
            _forget(row)
        for name, value in wanted.items():
            setattr(row, name, value)
        row.position = position
        row.save()
    changed |= _keys(row, spec)
    changed |= _fields(row, spec)
    changed |= store_filters(row, spec.filters)
    return Stored(row, changed, bool(moved))


def _columns(spec: SyncSpec) -> dict[str, Any]:
    wanted = {name: getattr(spec, name) for name in SYNC_COLUMNS}
    wanted |= {"marker": dict(spec.marker), "limits": dict(spec.limits)}
    wanted["archived_at"] = None
    wanted["on_create"] = {s: dict(v) for s, v in spec.on_create.items()}
    return wanted


def _keys(sync: ObjectSync, spec: SyncSpec) -> bool:
    wanted = [
        (rank, at, part.hubspot, part.app, part.normalize)
        for rank, key in enumerate(spec.match)
        for at, part in enumerate(key)
    ]
    names = ("rank", "part", "hubspot", "app", "normalize")
    if list(sync.match_keys.values_list(*names)) == wanted:
        return False
    sync.match_keys.all().delete()
    MatchKey.objects.bulk_create(
        MatchKey(sync=sync, **dict(zip(names, row, strict=True))) for row in wanted
    )
    return True


def _fields(sync: ObjectSync, spec: SyncSpec) -> bool:
    wanted = {
        (f.hubspot, f.app): {
            "position": position,
            "direction": f.direction,
            "conflict": f.conflict,
            "never_blank": f.never_blank,
            "seed": f.seed,
            "values": dict(f.values),
        }
        for position, f in enumerate(spec.fields)
    }
    held = {(m.hubspot, m.app): m for m in sync.field_mappings.all()}
    return _match_rows(
        held,
        wanted,
        lambda key: FieldMapping(sync=sync, hubspot=key[0], app=key[1]),
    )


def store_links(
    sync: ObjectSync, checked: Checked, rows: Mapping[str, ObjectSync]
) -> bool:
    """Store a sync's association mappings. Args: rows, the app's syncs by name."""
    wanted: dict[tuple[Any, ...], dict[str, Any]] = {}
    for position, link in enumerate(checked.spec.associations):
        types = checked.types[link.path]
        kept = dict.fromkeys(JOIN_COLUMNS, "") | {"by": By.REFERENCE, "labels": []}
        kept |= {"by": link.by} if link.by else checked.joins.get(link.path, {})
        own = tuple(kept[name] for name in ("by", *JOIN_COLUMNS))
        key = (link.app_field, rows[link.to].pk, frozenset(types), own)
        wanted[key] = {
            "position": position,
            **kept,
            **type_columns(types),
            "type": dict(link.type) if isinstance(link.type, Mapping) else link.type,
            "direction": link.direction,
            "conflict": link.conflict,
            "on_unlink": link.on_unlink,
        }
    held = {
        (
            m.app_field,
            m.to_sync_id,
            frozenset(m.types),
            tuple(getattr(m, name) for name in ("by", *JOIN_COLUMNS)),
        ): m
        for m in AssociationMapping.objects.filter(sync=sync)
    }
    # A mapping whose type changes is another mapping: it begins as a first sync.
    return _match_rows(
        held,
        wanted,
        lambda key: AssociationMapping(
            sync=sync, app_field=key[0], to_sync_id=key[1], by=key[3]
        ),
    )


def _forget(sync: ObjectSync) -> None:
    """Drop what was read of other objects; nothing of it is paired."""
    sync.record_links.all().delete()
    sync.hubspot_cursor = sync.app_cursor_at = None
    sync.full_read_at = sync.swept_at = None
    sync.read_state = {}


def _match_rows(
    held: Mapping[Any, M], wanted: Mapping[Any, Mapping[str, Any]], make: Any
) -> bool:
    """Make stored rows those that are wanted, by key. Returns whether any changed."""
    changed = False
    gone: Sequence[Any] = [key for key in held if key not in wanted]
    for key in gone:
        held[key].delete()
        changed = True
    for key, values in wanted.items():
        row = held.get(key)
        if row is not None and all(getattr(row, n) == v for n, v in values.items()):
            continue
        row = row or make(key)
        for name, value in values.items():
            setattr(row, name, value)
        row.save()
        changed = True
    return changed
