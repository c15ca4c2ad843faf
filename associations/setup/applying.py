"""Make the database match a checked set-up file, and say what changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.db import models, transaction
from django.utils import timezone

from associations.prerequisites import unmet
from associations.services import follow_labels, save_inverses, save_limits, save_types
from associations.setup import environment, live, parsing, reading
from associations.setup.guessing import Guess
from associations.setup.overlaps import overlaps
from associations.setup.problems import Problems, SetupRefused
from associations.setup.recording import Recorder
from associations.setup.spec import AppSpec, FileSpec
from associations.setup.storing import revise, store_links, store_sync
from connections.models import ConnectedApp, HubSpotAccount
from connections.records import same_system
from connections.schemas import save_schema
from syncs.models import ObjectSync


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
    by: str = "setup apply",
) -> list[str]:
    """Validate a set-up file, live, and make the database match it.

    Args: text, the file's YAML; environ, where `${NAME}` is taken from; check, stop
        after validating; prune, archive what the file leaves out; moved, apps whose
        records are the same under another address; create_labels, make those that
        HubSpot has not, once nothing else is wrong; warnings, takes what connection
        tests warn of, and what several syncs can write; guessed, takes what defaults
        chose; by, what the history of each changed row calls this.
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
        how: dict[str, Any] = {
            "prune": prune,
            "moved": moved,
            "warnings": said,
            "by": by,
        }
        rest = [] if check else apply(text, environ, **how)
        if warnings is not None:
            warnings += [w for w in said if w not in warnings]
        return [*dict.fromkeys(made), *rest]
    with transaction.atomic():
        changed = _Writer(spec, plan, by).write(prune=prune)
        if warnings is not None:
            apps = [plan.owners[app.path].pk for app in spec.apps]
            warnings += overlaps(apps)
            warnings += map(str, unmet(ObjectSync.objects.filter(app__in=apps)))
        if check:
            transaction.set_rollback(True)
    return changed


class _Writer:
    def __init__(self, spec: FileSpec, plan: live.Plan, by: str) -> None:
        self.spec, self.plan = spec, plan
        self.history = Recorder(by)
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
            if stored is not None:
                self.history.saw(stored)
            owner.save()
            self.history.keep(owner)
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
        self.history.saw(*ObjectSync.objects.filter(app=row))
        for position, spec in enumerate(app.syncs):
            stored = store_sync(row, self.plan.syncs[spec.path], position)
            rows[spec.name] = stored.sync
            if stored.changed:
                dirty.add(spec.name)
            elif stored.touched:
                self._note("Sync", f"{app.name}: {spec.name}", new=False)
        for other in ObjectSync.objects.filter(app=row):
            rows.setdefault(other.name, other)
        for spec in app.syncs:
            checked = self.plan.syncs[spec.path]
            if store_links(rows[spec.name], checked, rows):
                dirty.add(spec.name)
        self._types(row.hubspot)
        for name in (spec.name for spec in app.syncs if spec.name in dirty):
            new = revise(rows[name])
            self._note("Sync", f"{row.name}: {name}", new=new)
        for spec in app.syncs:
            self.history.keep(rows[spec.name])

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
            self.history.saw(row)
            type(row).objects.filter(pk=row.pk).update(archived_at=now)
            self.history.keep(row)
