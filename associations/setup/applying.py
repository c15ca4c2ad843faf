"""Make the database match a checked set-up file, and say what changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from django.db import models, transaction
from django.utils import timezone

from associations.models import AssociationMapping, By, type_columns
from associations.prerequisites import unmet
from associations.services import follow_labels, save_inverses, save_limits, save_types
from associations.setup import environment, live, parsing, reading
from associations.setup.checking import Checked
from associations.setup.filters import store_filters
from associations.setup.guessing import Guess
from associations.setup.overlaps import overlaps
from associations.setup.problems import Problems, SetupRefused
from associations.setup.spec import AppSpec, FileSpec, SyncSpec
from connections.models import ConnectedApp, HubSpotAccount
from connections.records import same_system
from connections.schemas import save_schema
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


def apply(
    text: str,
    environ: Mapping[str, str],
    *,
    check: bool = False,
    prune: bool = False,
    moved: Collection[str] = (),
    create_labels: bool = False,
    warnings: list[str] | None = None,
    guessed: list[Guess] | None = None,
) -> list[str]:
    """Validate a set-up file, live, and make the database match it.

    Args: text, the file's YAML; environ, where `${NAME}` is taken from; check, stop
        after validating; prune, archive what the file leaves out; moved, apps whose
        records are the same under another address; create_labels, make those that
        HubSpot has not, once nothing else is wrong; warnings, takes what connection
        tests warn of, and what several syncs can write; guessed, takes what defaults
        chose.
    Returns: a sentence for everything that changed (or would).
    Raises: SetupRefused with every problem; nothing was changed then.
    """
    problems = Problems()
    tree = environment.expand(reading.read(text), environ, problems)
    spec = parsing.parse(tree, problems)
    checking = live.LiveCheck(spec, problems, moved)
    made: list[str] = []
    try:
        plan = checking.run()
        if create_labels and problems.only(m.problem for _, m in checking.missing):
            made = [f"{missing} added" for _, missing in checking.missing]
            if not check and (failed := checking.make_labels()):
                raise SetupRefused(failed)
            problems = Problems()
    finally:
        checking.close()
        if guessed is not None:
            guessed += checking.plan.guessed
        if warnings is not None:
            warnings += checking.plan.warnings
    if problems:
        raise SetupRefused(problems.found)
    if made:
        # Checked anew as a whole: the labels are there now.
        said: list[str] = []
        how: dict[str, Any] = {"prune": prune, "moved": moved, "warnings": said}
        rest = [] if check else apply(text, environ, **how)
        if warnings is not None:
            warnings += [w for w in said if w not in warnings]
        return [*dict.fromkeys(made), *rest]
    with transaction.atomic():
        changed = _Writer(spec, plan).write(prune=prune)
        if warnings is not None:
            apps = [plan.owners[app.path].pk for app in spec.apps]
            warnings += overlaps(apps)
            warnings += map(str, unmet(ObjectSync.objects.filter(app__in=apps)))
        if check:
            transaction.set_rollback(True)
    return changed


class _Writer:
    def __init__(self, spec: FileSpec, plan: live.Plan) -> None:
        self.spec, self.plan = spec, plan
        self.changed: list[str] = []

    def write(self, *, prune: bool) -> list[str]:
        for path, owner in self.plan.owners.items():
            if isinstance(owner, HubSpotAccount):
                self._owner(path, owner, "HubSpot account")
        for app in self.spec.apps:
            self._app(app)
        if prune:
            self._prune()
        return self.changed

    def _owner(
        self, path: str, owner: HubSpotAccount | ConnectedApp, what: str
    ) -> None:
        """Save an account or an app if anything of it is new."""
        model = type(owner)
        stored = model.objects.filter(pk=owner.pk).first() if owner.pk else None
        # Who the credentials belong to is found out, not set up.
        found_out = ("identity", "system_id")
        names = [
            f.attname for f in model._meta.concrete_fields if f.name not in found_out
        ]
        same = stored is not None and all(
            getattr(stored, n) == getattr(owner, n) for n in names
        )
        if not same:
            self._note(what, owner.name, new=stored is None)
            owner.tested_at, owner.test_code = timezone.now(), ""
            owner.test_text = owner.identity
            owner.save()
        save_schema(owner, self.plan.schemas[path])
        model.objects.filter(pk=owner.pk).update(
            discovered_at=timezone.now(),
            identity=owner.identity,
            system_id=owner.system_id,
        )
        if stored is not None and not same_system(stored.system_id, owner.system_id):
            self.changed.append(f"{what} {owner.name!r} moved")
            # What happened on the way is found by a complete read.
            through = "app" if isinstance(owner, ConnectedApp) else "app__hubspot"
            ObjectSync.objects.filter(**{through: owner.pk}).update(full_read_at=None)

    def _note(self, what: str, name: str, *, new: bool) -> None:
        self.changed.append(f"{what} {name!r} {'added' if new else 'changed'}")

    def _app(self, app: AppSpec) -> None:
        row = self.plan.owners[app.path]
        assert isinstance(row, ConnectedApp)
        row.hubspot_id = row.hubspot.pk
        self._owner(app.path, row, "App")
        rows: dict[str, ObjectSync] = {}
        dirty: set[str] = set()
        for position, spec in enumerate(app.syncs):
            rows[spec.name], changed = self._sync(row, spec, position)
            if changed:
                dirty.add(spec.name)
        for stored in ObjectSync.objects.filter(app=row):
            rows.setdefault(stored.name, stored)
        for spec in app.syncs:
            checked = self.plan.syncs[spec.path]
            if self._links(rows[spec.name], checked, rows):
                dirty.add(spec.name)
        self._types(row.hubspot)
        for name in (spec.name for spec in app.syncs if spec.name in dirty):
            self._revise(rows[name])

    def _types(self, hubspot: HubSpotAccount) -> None:
        """Keep what the account said of the types that its mappings may have."""
        mine = {
            (one, other): (types, self.plan.limits[path, one, other])
            for (path, one, other), types in self.plan.types.items()
            if self.plan.owners[path].pk == hubspot.pk
            and isinstance(self.plan.owners[path], HubSpotAccount)
        }
        for ends, (types, limits) in mine.items():
            save_types(hubspot, *ends, types)
            save_limits(hubspot, ends, limits)
        for ends, (types, _) in mine.items():
            save_inverses(hubspot, ends, types, mine[ends[::-1]][0])
        follow_labels(hubspot)

    def _revise(self, sync: ObjectSync) -> None:
        """A run keeps the revision it started with; a new sync has its first."""
        new = getattr(sync, "is_new", False)
        self._note("Sync", f"{sync.app.name}: {sync.name}", new=new)
        if not new:
            sync.revision += 1
            sync.save(update_fields=["revision"])

    # One sync ---------------------------------------------------------------------------

    def _sync(
        self, app: ConnectedApp, spec: SyncSpec, position: int
    ) -> tuple[ObjectSync, bool]:
        checked = self.plan.syncs[spec.path]
        mine = ObjectSync.objects.filter(app=app)
        row = mine.filter(name=spec.name).first()
        if row is None and spec.renamed_from:
            row = mine.filter(name=spec.renamed_from).first()
        new = row is None
        if row is None:
            row = ObjectSync(app=app)
        row.is_new = new  # type: ignore[attr-defined]
        wanted = {name: getattr(checked.spec, name) for name in SYNC_COLUMNS}
        wanted |= {"marker": dict(spec.marker), "limits": dict(spec.limits)}
        wanted["archived_at"] = None
        wanted["on_create"] = {s: dict(v) for s, v in checked.spec.on_create.items()}
        moved = {n for n, v in wanted.items() if getattr(row, n) != v}
        changed = new or bool(moved - QUIET)
        if moved and not changed:
            self._note("Sync", f"{app.name}: {spec.name}", new=False)
        if new or moved or row.position != position:
            if row.every_s != checked.spec.every_s:
                row.due_at = None  # counted anew
            objects = (wanted["hubspot_object"], wanted["app_object"])
            if not new and (row.hubspot_object, row.app_object) != objects:
                _forget(row)
            for name, value in wanted.items():
                setattr(row, name, value)
            row.position = position
            row.save()
        changed |= self._keys(row, checked.spec)
        changed |= self._fields(row, checked.spec)
        changed |= store_filters(row, checked.spec.filters)
        return row, changed

    def _keys(self, sync: ObjectSync, spec: SyncSpec) -> bool:
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

    def _fields(self, sync: ObjectSync, spec: SyncSpec) -> bool:
        wanted = {
            (f.hubspot, f.app): {
                "position": position,
                "direction": f.direction,
                "conflict": f.conflict,
                "never_blank": f.never_blank,
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

    def _links(
        self, sync: ObjectSync, checked: Checked, rows: Mapping[str, ObjectSync]
    ) -> bool:
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
                "type": dict(link.type)
                if isinstance(link.type, Mapping)
                else link.type,
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

    # What the file leaves out -----------------------------------------------------------

    def _prune(self) -> None:
        now = timezone.now()
        named: set[int] = set()
        for app in self.spec.apps:
            row = self.plan.owners[app.path]
            names = [s.name for s in app.syncs]
            named.add(row.pk)
            gone = ObjectSync.objects.filter(app=row.pk, archived_at=None)
            self._archive("Sync", gone.exclude(name__in=names), now)
        apps = ConnectedApp.objects.filter(archived_at=None).exclude(pk__in=named)
        self._archive("App", apps, now)
        kept = [a.name for a in self.spec.accounts] + [
            a.hubspot for a in self.spec.apps
        ]
        accounts = HubSpotAccount.objects.filter(archived_at=None)
        self._archive("HubSpot account", accounts.exclude(name__in=kept), now)

    def _archive(self, what: str, rows: models.QuerySet[Any], now: Any) -> None:
        for row in list(rows):
            self.changed.append(f"{what} {row.name!r} archived")
            type(row).objects.filter(pk=row.pk).update(archived_at=now)


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
