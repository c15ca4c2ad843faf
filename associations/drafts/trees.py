"""What a draft holds: one sync, as a set-up file says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User

from associations.setup.environment import expand
from associations.setup.exporting import export_sync
from associations.setup.guessing import default_fields
from associations.setup.problems import Problems
from associations.setup.spec import FieldSpec, SyncSpec
from connections.models import ConnectedApp
from connections.records import ObjectType, Side
from syncs.models import ObjectSync, SyncDraft

Tree = dict[str, Any]


def tree_of(sync: ObjectSync) -> Tree:
    """A stored sync as a draft holds it: as exported, with its `$` as they are."""
    found: Tree = expand(export_sync(sync), {}, Problems())
    return found


def field_tree(spec: FieldSpec) -> Tree:
    """A field mapping as a set-up file says it."""
    found: Tree = {"hubspot": spec.hubspot, "app": spec.app}
    found |= {
        name: getattr(spec, name)
        for name in ("direction", "conflict", "seed")
        if getattr(spec, name)
    }
    if spec.never_blank is not None:
        found["never_blank"] = spec.never_blank
    if spec.values:
        found["values"] = dict(spec.values)
    return found


def begin(
    app: ConnectedApp,
    user: User | None,
    *,
    objects: Mapping[Side, ObjectType],
    name: str,
    direction: str,
    back: SyncDraft | None = None,
) -> SyncDraft:
    """A draft of a new sync, with the mappings that are usual for its objects."""
    tree: Tree = {
        "name": name,
        "hubspot_object": objects[Side.HUBSPOT].name,
        "app_object": objects[Side.APP].name,
        "direction": direction,
        "fields": [],
        "associations": [],
    }
    tree["fields"] = usual_fields(app, tree, objects)
    draft: SyncDraft = SyncDraft.objects.create(
        app=app, tree=tree, author=user, back=back, step="configure"
    )
    return draft


def usual_fields(
    app: ConnectedApp, tree: Tree, objects: Mapping[Side, ObjectType]
) -> list[Tree]:
    """The default mappings of two objects, in the published order."""
    spec = SyncSpec(
        path="",
        name="",
        hubspot_object="",
        app_object="",
        direction=tree.get("direction", "two_way"),
        app_cursor=tree.get("app_cursor", ""),
    )
    return [field_tree(found) for found in default_fields(spec, objects, app.kind)]


def edit(sync: ObjectSync, user: User | None) -> SyncDraft:
    """The draft in which a sync is being edited; one that was begun goes on."""
    draft, _ = SyncDraft.objects.get_or_create(
        sync=sync,
        defaults={
            "app": sync.app,
            "new": False,
            "tree": tree_of(sync),
            "revision": sync.revision,
            "author": user,
            "step": "configure",
        },
    )
    return draft
