"""Look at a draft as `setup apply` looks at a file: the same rules, the same words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from associations.drafts.trees import tree_of
from associations.models import AssociationMapping
from associations.models import AssociationType as StoredType
from associations.services import Types, known_types
from associations.setup.checking import Checked, SyncCheck
from associations.setup.keyed import first_keys
from associations.setup.labels import MissingLabel
from associations.setup.live import link_table_of
from associations.setup.mirrors import ends_of, stored_ends
from associations.setup.problems import Problem, Problems
from associations.setup.spec import MatchPart, SyncSpec
from associations.setup.sync_parsing import read_sync
from connections import services
from connections.connectors.base import SchemaError
from connections.models import ConnectedApp
from connections.records import (
    AssociationType,
    LinkTable,
    ObjectType,
    Schema,
    Side,
    TableReport,
)
from connections.schemas import load_object, load_schema
from syncs.models import ObjectSync, SyncDraft

ROOT = "sync"


@dataclass
class Look:
    """What a draft comes to: `spec` as typed, `settled` with what defaults chose."""

    spec: SyncSpec | None = None
    settled: SyncSpec | None = None
    schemas: Mapping[Side, Schema] = field(default_factory=dict)
    objects: Mapping[Side, ObjectType] = field(default_factory=dict)
    types: Mapping[str, tuple[AssociationType, ...]] = field(default_factory=dict)
    joins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    missing: list[MissingLabel] = field(default_factory=list)
    labels: dict[AssociationType, str] = field(default_factory=dict)  # of known types

    @property
    def spec_name(self) -> str:
        return self.spec.name if self.spec is not None else ""

    @property
    def checked(self) -> Checked:
        assert self.settled is not None, "nothing is stored that was not found right"
        return Checked(self.settled, self.objects, self.types, self.joins)

    def under(self, *places: str) -> list[Problem]:
        """The problems at or below some keys: `fields[2]`, `direction`."""
        starts = [f"{ROOT}.{place}" for place in places]
        return [
            p
            for p in self.problems
            if any(p.path == s or p.path.startswith((f"{s}.", f"{s}[")) for s in starts)
        ]


def look(draft: SyncDraft, tree: Mapping[str, Any] | None = None) -> Look:
    """Check a draft, or what it would be with another tree, against what is known of
    both systems; join tables are looked at in the app."""
    problems = Problems()
    spec = read_sync(dict(draft.tree if tree is None else tree), ROOT, problems)
    app = draft.app
    known = {Side.HUBSPOT: load_schema(app.hubspot), Side.APP: load_schema(app)}
    found = Look(spec=spec, schemas=known, problems=problems.found)
    if spec is None:
        return found
    _named_once(draft, spec, problems)
    own = draft.sync.name if draft.sync else spec.name
    check = SyncCheck(
        spec,
        known,
        problems,
        kind=app.kind,
        labels=services.knows_labels(app.hubspot),
        link_table=lambda table: _look_at_table(app, table),
    )
    settled = check.fields()
    found.objects, found.settled = check.objects, settled
    if settled is None:
        return found
    check.spec = settled
    found.types = check.links(
        _targets(draft, spec),
        lambda one, other: _types(found, app, one, other),
        _keys(draft, settled),
        ends_of(known[Side.APP], stored_ends(app.pk, but=[own])),
    )
    found.settled = replace(check.spec, renamed_from=own if own != spec.name else "")
    found.joins, found.missing = check.kept, check.missing
    return found


def stored_look(sync: ObjectSync) -> Look:
    """A stored sync as it was found right, without asking anybody anew."""
    spec = read_sync(tree_of(sync), ROOT, Problems())
    if spec is None:
        return Look()
    ranks: dict[int, list[MatchPart]] = {}
    for key in sync.match_keys.all():
        part = MatchPart("", key.hubspot, key.app, key.normalize)
        ranks.setdefault(key.rank, []).append(part)
    settled = replace(spec, match=tuple(tuple(p) for _, p in sorted(ranks.items())))
    rows = list(AssociationMapping.objects.filter(sync=sync))
    used = {t for row in rows for t in row.types}
    known = StoredType.objects.filter(
        account=sync.app.hubspot_id, type_id__in={t.type_id for t in used}
    )
    return Look(
        spec=spec,
        settled=settled,
        objects=_objects(sync),
        types={
            link.path: row.types
            for link, row in zip(spec.associations, rows, strict=False)
        },
        labels={
            AssociationType(t.category, t.type_id): t.label or "Default" for t in known
        },
    )


def _objects(sync: ObjectSync) -> dict[Side, ObjectType]:
    """The two objects, as far as they are there still."""
    found: dict[Side, ObjectType] = {}
    for side, owner, name in (
        (Side.HUBSPOT, sync.app.hubspot, sync.hubspot_object),
        (Side.APP, sync.app, sync.app_object),
    ):
        try:
            found[side] = load_object(owner, name)
        except SchemaError:
            continue
    return found


def _named_once(draft: SyncDraft, spec: SyncSpec, problems: Problems) -> None:
    others = ObjectSync.objects.filter(app=draft.app_id, name=spec.name)
    if spec.name and others.exclude(pk=draft.sync_id or 0).exists():
        text = "This app has a sync of this name already."
        problems.add(f"{ROOT}.name", text)


def _targets(draft: SyncDraft, spec: SyncSpec) -> dict[str, tuple[str, str]]:
    """The syncs that links may lead to: the app's others, and this one itself."""
    others = ObjectSync.objects.filter(app=draft.app_id, archived_at=None)
    found = {
        name: (hubspot, app)
        for name, hubspot, app in others.exclude(pk=draft.sync_id or 0).values_list(
            "name", "hubspot_object", "app_object"
        )
    }
    return found | {spec.name: (spec.hubspot_object, spec.app_object)}


def _keys(draft: SyncDraft, spec: SyncSpec) -> dict[str, Any]:
    found = dict(first_keys(draft.app_id))
    return found | {spec.name: spec.match[0] if spec.match else ()}


def _types(look: Look, app: ConnectedApp, from_object: str, to_object: str) -> Types:
    infos = known_types(app.hubspot, from_object, to_object)
    look.labels |= {
        AssociationType(i.category, i.type_id): i.label or "Default" for i in infos
    }
    return infos


def _look_at_table(app: ConnectedApp, table: LinkTable) -> TableReport:
    """Ask the app about a join table. Raises: ConnectorError."""
    connector = services.open_app(app)
    try:
        ask = link_table_of(connector)
        if ask is None:
            raise SchemaError("This kind of app has no join tables.")
        return ask(table)
    finally:
        connector.close()
