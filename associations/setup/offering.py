"""Links that an app could keep and does not yet: offered, and set up at a press."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from associations.models import AssociationMapping, type_columns
from associations.services import known_types
from associations.setup.default_links import DefaultLinks
from associations.setup.spec import SyncSpec
from associations.setup.types import find_types
from connections import schemas
from connections.connectors.base import SchemaError
from connections.connectors.registry import capabilities
from connections.models import ConnectedApp
from connections.records import ObjectType, ReferenceField, Schema, Side
from syncs.models import MatchKey, ObjectSync


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A reference field that no mapping keeps.

    `to_sync` covers what it points to; else `short` is the match-only sync that would,
    None where `target` needs a sync of its own, as the HubSpot object `hubspot` ("" where
    its name tells nothing).
    """

    sync: ObjectSync
    reference: ReferenceField
    target: ObjectType
    to_sync: ObjectSync | None = None
    hubspot: str = ""
    short: Mapping[str, Any] | None = None

    @property
    def key(self) -> str:
        """The keys of the match-only sync, as people read them."""
        parts = (self.short or {}).get("match", ())
        return ", else ".join(
            f"{p['hubspot']} = {p['app']} ({p['normalize']})" for p in parts
        )


def open_links(app: ConnectedApp) -> list[OpenLink]:
    """The reference fields of an app's synced objects that nothing keeps, by sync."""
    syncs = list(
        ObjectSync.objects.filter(app=app, archived_at=None, enabled=True)
        .select_related("app__hubspot")
        .order_by("position", "pk")
    )
    if not syncs:
        return []
    schema = schemas.load_schema(app)
    rows = AssociationMapping.objects.filter(sync__app=app)
    mapped = set(rows.values_list("sync", "app_field"))
    aimed = set(rows.values_list("sync", "to_sync"))
    wanted = [
        (sync, obj, reference)
        for sync in syncs
        if (obj := schema.object(sync.app_object)) is not None
        for reference in obj.references
        if (sync.pk, reference.name) not in mapped
    ]
    # An account has fifty object types of some hundred properties each.
    account = schemas.load_schema(app.hubspot) if wanted else Schema(())
    found = (
        _open(sync, obj, reference, syncs, {Side.HUBSPOT: account, Side.APP: schema})
        for sync, obj, reference in wanted
    )
    # A second field of one target needs an association type of its own.
    return [
        link
        for link in found
        if link is not None
        and (link.to_sync is None or (link.sync.pk, link.to_sync.pk) not in aimed)
    ]


def _open(
    sync: ObjectSync,
    obj: ObjectType,
    reference: ReferenceField,
    syncs: list[ObjectSync],
    known: Mapping[Side, Schema],
) -> OpenLink | None:
    schema = known[Side.APP]
    far, near = (
        schema.object(reference.target),
        known[Side.HUBSPOT].object(sync.hubspot_object),
    )
    if far is None or near is None or far.id == obj.id or far.refused:
        return None
    if reference.read_only and not sync.allows(Side.HUBSPOT):
        return None
    covering = [s for s in syncs if _covers(s, far, schema)]
    if len(covering) > 1:
        return None  # only a person can tell which is meant
    if covering:
        return OpenLink(sync, reference, far, covering[0])
    spec = SyncSpec("", sync.name, sync.hubspot_object, sync.app_object)
    objects = {Side.HUBSPOT: near, Side.APP: obj}
    own_syncs = capabilities(sync.app.kind).targets_need_sync
    links = DefaultLinks(spec, known, objects, own_syncs)
    names = {s.name: (s.hubspot_object, s.app_object) for s in syncs}
    offer = next(o for o in links.offers(names) if o.reference == reference.name)
    hubspot = offer.hubspot.name if offer.hubspot else ""
    return OpenLink(sync, reference, far, None, hubspot, offer.sync)


def _covers(sync: ObjectSync, far: ObjectType, schema: Schema) -> bool:
    held = schema.object(sync.app_object)
    return held is not None and held.id == far.id


def accept(link: OpenLink) -> AssociationMapping:
    """Set up what was offered: the target's match-only sync where it has none, and the
    default association mapping.

    Raises: ConnectorError where HubSpot has no such links, or does not answer.
    """
    sync, account = link.sync, link.sync.app.hubspot
    target_object = link.to_sync.hubspot_object if link.to_sync else link.hubspot
    near = schemas.load_object(account, sync.hubspot_object)
    far = schemas.load_object(account, target_object)
    known = known_types(account, near.id, far.id)
    types = find_types("", near.id, far.id, known, many=link.reference.many)
    with transaction.atomic():
        mapping, made = AssociationMapping.objects.get_or_create(
            sync=sync,
            app_field=link.reference.name,
            to_sync=link.to_sync or _make(link),
            defaults={
                "type": "",
                **type_columns(types),
                "direction": "to_hubspot" if link.reference.read_only else "",
            },
        )
        if made:
            sync.revision += 1
            sync.save(update_fields=["revision"])
    return mapping


def _make(link: OpenLink) -> ObjectSync:
    """The match-only sync of what a reference points to."""
    if link.short is None:
        raise SchemaError(f"Set up a sync of {link.target.name} first.")
    app = link.sync.app
    held = ObjectSync.objects.filter(app=app)
    places = held.values_list("position", flat=True)
    name = link.short["name"]
    if held.filter(name=name).exists():  # one that is archived or off
        name = f"{name} ({link.target.name}, by key)"
    sync = ObjectSync.objects.create(
        app=app,
        name=name,
        hubspot_object=link.hubspot,
        app_object=link.target.name,
        creates="none",
        matching="fields",
        position=max(places, default=0) + 1,
    )
    MatchKey.objects.bulk_create(
        MatchKey(sync=sync, rank=rank, **part)
        for rank, part in enumerate(link.short["match"])
    )
    return sync
