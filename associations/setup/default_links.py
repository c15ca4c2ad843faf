"""`associations: default`: the app's reference fields whose target is synced, and the
syncs that the others wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from associations.services import Types
from associations.setup.default_fields import LINKS, OBJECTS
from associations.setup.defaults import default_match, plain
from associations.setup.environment import escape
from associations.setup.spec import AssociationSpec, SyncSpec
from associations.setup.types import find_types
from connections.connectors.base import ConnectorError
from connections.records import ObjectType, ReferenceField, Schema, Side

Targets = Mapping[str, tuple[str, str]]  # a sync's HubSpot and app object, by name
MATCH_ONLY: Mapping[str, Any] = {"creates": "none", "fields": []}


@dataclass(frozen=True, slots=True)
class Offer:
    """A sync that links wait for: `sync` is the shortest that resolves them, as a set-up
    file writes it, or None where the object needs a sync of its own."""

    reference: str
    target: ObjectType
    hubspot: ObjectType | None
    sync: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        waits = (
            f"TARGET_NOT_SYNCED: {self.reference} points to {self.target.name}, which "
            "this app does not sync, and its links are left out."
        )
        if self.sync is None:
            return f"{waits} Set up a sync of {self.target.name} first."
        short = yaml.safe_dump(
            _escaped(self.sync), default_flow_style=True, sort_keys=False, width=1000
        ).strip()
        return (
            f"{waits} A sync that finds its records by their key and writes nothing to "
            f"them is enough; confirm its key and add it to the app's syncs: {short}"
        )


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Mapping):
        return {k: _escaped(v) for k, v in value.items()}
    return [_escaped(v) for v in value] if isinstance(value, list) else value


@dataclass
class DefaultLinks:
    """Works out one sync's default associations.

    Args: schemas and objects, of each side; own_syncs, whether the app's objects need
        syncs of their own before anything links to them.
    """

    spec: SyncSpec
    schemas: Mapping[Side, Schema]
    objects: Mapping[Side, ObjectType]
    own_syncs: bool = False
    skipped: list[str] = field(default_factory=list)

    def mapped(
        self, targets: Targets, types: Callable[[str, str], Types]
    ) -> Iterator[AssociationSpec]:
        """A mapping for each reference field whose target one sync of the app covers."""
        for reference in self._told_apart():
            names = self._syncs_of(reference, targets)
            if len(names) > 1:
                self.skipped.append(
                    f"{reference.name} points to {reference.target}, which several syncs "
                    f"cover ({', '.join(names)}): map it to the one that is meant."
                )
            elif names and self._offered(reference, targets[names[0]][0], types):
                direction = "to_hubspot" if reference.read_only else ""
                narrower = direction != self.spec.direction
                yield AssociationSpec(
                    path=f"{self.spec.path}.associations",
                    app_field=reference.name,
                    to=names[0],
                    direction=direction if narrower else "",
                )

    def offers(self, targets: Targets) -> Iterator[Offer]:
        """What the reference fields wait for whose target no sync of the app covers."""
        for reference in self._references():
            far = self.schemas[Side.APP].object(reference.target)
            if far is None or far.refused or self._syncs_of(reference, targets):
                continue
            hubspot = far_object(
                self.objects[Side.HUBSPOT], far, self.schemas[Side.HUBSPOT]
            )
            sync = None
            custom = self.objects[Side.HUBSPOT].custom
            if hubspot and not (self.own_syncs or custom or hubspot.custom):
                sync = match_only(hubspot, far, targets)
            yield Offer(reference.name, far, hubspot, sync)

    def _told_apart(self) -> Iterator[ReferenceField]:
        """One field for each object pointed to: two would both be its links."""
        by_target: dict[str, list[ReferenceField]] = {}
        for reference in self._references():
            by_target.setdefault(reference.target, []).append(reference)
        for target, references in by_target.items():
            far = self.schemas[Side.APP].object(target)
            own = far.name if far is not None else target  # the id may be a number
            usual = [r for r in references if _is_usual(r, own)]
            if len(references) > 1:
                names = ", ".join(r.name for r in references if usual != [r])
                self.skipped.append(
                    f"{names}: several fields point to {target}; give each that is to "
                    "be kept an association type of its own."
                )
            alone = references if len(references) == 1 else usual
            if len(alone) == 1:
                yield alone[0]

    def _references(self) -> Iterator[ReferenceField]:
        """Those that point to another object and can be kept in the sync's direction."""
        app = self.objects[Side.APP]
        for reference in app.references:
            writes_hubspot = self.spec.direction in ("two_way", "to_hubspot")
            if reference.read_only and not writes_hubspot:
                continue
            far = self.schemas[Side.APP].object(reference.target)
            if far is not None and far.id != app.id:
                yield reference

    def _syncs_of(self, reference: ReferenceField, targets: Targets) -> list[str]:
        schema = self.schemas[Side.APP]
        far = schema.object(reference.target)
        return [
            name
            for name, (_, app) in targets.items()
            if name != self.spec.name
            and (held := schema.object(app)) is not None
            and far is not None
            and held.id == far.id
        ]

    def _offered(
        self,
        reference: ReferenceField,
        hubspot: str,
        types: Callable[[str, str], Types],
    ) -> bool:
        """Whether HubSpot has links between the two objects."""
        near = self.objects[Side.HUBSPOT]
        far = self.schemas[Side.HUBSPOT].object(hubspot)
        if far is None:
            return False
        try:
            known = types(near.id, far.id)
            find_types("", near.id, far.id, known, many=reference.many)
        except ConnectorError as exc:
            self.skipped.append(f"{reference.name} is left out: {exc.message}")
            return False
        return True


def _is_usual(reference: ReferenceField, target: str) -> bool:
    """Whether a field is called what it points to: company_id, not billing_company_id."""
    word = plain(reference.name).removesuffix("id")
    own = plain(target.rpartition(".")[2])
    return word in (own, own.removesuffix("s")) or any(
        word in words and own in words for words in OBJECTS.values()
    )


def far_object(near: ObjectType, app: ObjectType, schema: Schema) -> ObjectType | None:
    """The HubSpot object that an app's object is, by its name; None if it tells nothing.

    Of the standard ones those that records of `near` are usually linked to come first.
    """
    usual = [object_id for object_id, _ in LINKS.get(near.id, ())]
    for object_id in (*usual, *(i for i in OBJECTS if i not in usual)):
        if plain(app.name.rpartition(".")[2]) in OBJECTS[object_id]:
            return schema.object(object_id)
    word = plain(app.name)
    return next((o for o in schema.objects if o.custom and plain(o.name) == word), None)


def match_only(
    hubspot: ObjectType, app: ObjectType, targets: Targets
) -> Mapping[str, Any] | None:
    """The short sync that finds records by their default key and writes none of their
    fields; None where no default key fits."""
    keys = default_match(hubspot, app, (), "")
    if not keys:
        return None
    name = hubspot.name.capitalize()
    if name in targets:
        name = f"{name} ({app.name})"
    return {
        "name": name,
        "hubspot_object": hubspot.name,
        "app_object": app.name,
        **MATCH_ONLY,
        "match": [
            {
                "hubspot": part.hubspot,
                "app": part.app,
                "normalize": part.normalize,
            }
            for key in keys
            for part in key
        ],
    }
