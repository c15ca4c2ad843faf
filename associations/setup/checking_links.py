"""Check one object sync's association mappings, and complete what they leave out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from associations.services import Types
from associations.setup.compatible import fit
from associations.setup.default_links import DefaultLinks
from associations.setup.guessing import Guess
from associations.setup.joins import check_join, columns_of, find_labels
from associations.setup.labels import HOW, MissingLabel
from associations.setup.mirrors import Ends, doubled
from associations.setup.problems import Problem, hint
from associations.setup.spec import AssociationSpec, MatchPart
from associations.setup.types import UnknownLabel, find_types
from connections.connectors.base import ConnectorError
from connections.connectors.registry import capabilities
from connections.records import (
    AssociationType,
    Field,
    ObjectType,
    ReferenceField,
    Side,
)

if TYPE_CHECKING:
    from associations.setup.checking import SyncCheck

Key = tuple[MatchPart, ...]
NO_LABELS = (
    "The account's API version knows only primary and default, no labels; set its "
    "api_version to 2026-03 or v4 to map one."
)


@dataclass
class LinkCheck:
    """Checks the associations of a sync whose fields were found right."""

    check: SyncCheck

    def run(
        self,
        targets: Mapping[str, tuple[str, str]],
        types: Callable[[str, str], Types],
        keys: Mapping[str, Key] | None = None,
        ends: Ends | None = None,
    ) -> dict[str, tuple[AssociationType, ...]]:
        """Check the associations.

        Args: targets, each sync of the app with its HubSpot and app object's name;
            types, reads the association types from one object to another; keys, the
            first match key of each sync, () where it has none; ends, the reference
            fields that other syncs map.
        Returns: the types of each, by the association's path.
        """
        self._default_links(targets, types)
        found: dict[str, tuple[AssociationType, ...]] = {}
        seen: set[str] = set()
        for link in self.check.spec.associations:
            at = f"{link.path}.{'join_table' if link.join else 'app_field'}"
            if link.app_field in seen:
                text = f"{link.app_field} is mapped twice: give one mapping a list of types."
                self.check.problems.add(at, text)
            seen.add(link.app_field)
            self.check.narrows(link.direction, link.path)
            if link.join is not None:
                target = self._target(link, targets, None)
                if target is not None:
                    self._join(link, targets, target, types, found)
                continue
            field_ = self._key_field(link) if link.by else None
            reference = None if link.by else self._reference(link)
            target = self._target(link, targets, reference)
            if (reference is None and field_ is None) or target is None:
                continue
            if field_ is not None and link.to in (keys or {}):
                far = self.check.schemas[Side.APP].object(targets[link.to][1])
                self._names_by(link, field_, (keys or {})[link.to], far)
            if reference is not None:
                app, schema = self.check.objects[Side.APP], self.check.schemas[Side.APP]
                if text := doubled(app, reference, schema, ends or {}):
                    self.check.problems.add(at, text)
            many = reference is not None and reference.many
            self._types(link, target, types, found, many=many)
        return found

    def _key_field(self, link: AssociationSpec) -> Field | None:
        """The plain field that holds the target's key."""
        path = f"{link.path}.app_field"
        if self.check.objects[Side.APP].reference(link.app_field) is not None:
            self.check.problems.add(
                path, f"{link.app_field} is a reference, which needs no by: match_key."
            )
            return None
        found = self.check.known_field(Side.APP, link.app_field, path)
        if found is None:
            return None
        writes = self.check.writes(Side.APP, link.direction)
        if found.read_only and writes:
            self.check.problems.add(
                path, f"{found.name} is read-only; use direction: to_hubspot."
            )
        for mapping in self.check.spec.fields:
            both = writes or self.check.writes(Side.APP, mapping.direction)
            if mapping.app == found.name and both:
                self.check.problems.add(
                    path,
                    f"{found.name} is mapped to the property {mapping.hubspot}, too, and "
                    "would be written by both; map one of them to HubSpot only.",
                )
        return found

    def _names_by(
        self, link: AssociationSpec, field_: Field, key: Key, far: ObjectType | None
    ) -> None:
        """Check the key that a field names records by."""
        if len(key) != 1:
            why = "is made of several fields" if key else "is missing"
            self.check.problems.add(
                f"{link.path}.by",
                f"The first match key of {link.to} {why}: {link.app_field} can hold only "
                "a key of one field.",
            )
            return
        part = key[0]
        if part.normalize != "exact" and self.check.writes(Side.APP, link.direction):
            self.check.problems.add(
                f"{link.path}.direction",
                f"{link.to} compares its key {part.app} as {part.normalize}, so that what "
                "stands in the field need not be the key as it is written: use "
                "direction: to_hubspot, or normalize: exact.",
            )
        held = far.field(part.app) if far is not None else None
        if held is not None and not fit(field_.type, held.type):
            self.check.problems.add(
                f"{link.path}.app_field",
                f"{field_.name} holds a {field_.type} and the key {part.app} of {link.to} "
                f"a {held.type}.",
            )

    def _default_links(
        self,
        targets: Mapping[str, tuple[str, str]],
        types: Callable[[str, str], Types],
    ) -> None:
        if not self.check.spec.default_associations:
            return
        own_syncs = capabilities(self.check.kind).targets_need_sync
        links = DefaultLinks(
            self.check.spec, self.check.schemas, self.check.objects, own_syncs
        )
        made = tuple(
            replace(link, path=f"{link.path}[{at}]")
            for at, link in enumerate(links.mapped(targets, types))
        )
        self.check.spec = replace(self.check.spec, associations=made)
        self.check.guessed += [
            Guess(m.path, "association", targets[m.to][0], m.app_field, f"to {m.to}")
            for m in made
        ]
        notes = (*links.skipped, *map(str, links.offers(targets)))
        self.check.warnings += [f"{self.check.spec.name}: {note}" for note in notes]

    def _types(
        self,
        link: AssociationSpec,
        target: ObjectType,
        types: Callable[[str, str], Types],
        found: dict[str, tuple[AssociationType, ...]],
        *,
        many: bool,
    ) -> None:
        near = self.check.objects[Side.HUBSPOT].id
        try:
            known = types(near, target.id)
            found[link.path] = find_types(link.type, near, target.id, known, many=many)
        except ConnectorError as exc:
            why = f"{exc.code}: {exc.message}"
            if not self.check.labels:
                why += f" {NO_LABELS}"
            makes = isinstance(exc, UnknownLabel) and self.check.labels
            problem = Problem(f"{link.path}.type", f"{why} {HOW}" if makes else why)
            self.check.problems.add(problem.path, problem.text)
            if makes and isinstance(exc, UnknownLabel):
                missing = MissingLabel(problem, near, target.id, exc.label)
                self.check.missing.append(missing)

    def _join(
        self,
        link: AssociationSpec,
        targets: Mapping[str, tuple[str, str]],
        target: ObjectType,
        types: Callable[[str, str], Types],
        found: dict[str, tuple[AssociationType, ...]],
    ) -> None:
        app = self.check.schemas[Side.APP]
        far = app.object(targets[link.to][1])
        if far is None:
            return  # its own sync says so
        join = check_join(
            link,
            app,
            (self.check.objects[Side.APP], far),
            self.check.link_table,
            self.check.problems,
            writes=self.check.writes(Side.APP, link.direction),
        )
        near = self.check.objects[Side.HUBSPOT].id
        if not link.labels:
            self._types(link, target, types, found, many=True)
            meant: dict[str, AssociationType] = {}
        else:
            more = "" if self.check.labels else f" {NO_LABELS}"
            try:
                known = types(near, target.id)
            except ConnectorError as exc:
                self.check.problems.add(
                    f"{link.path}.labels", f"{exc.code}: {exc.message}"
                )
                return
            made = self.check.missing
            meant = find_labels(
                link, near, target.id, known, self.check.problems, made, more
            )
            found[link.path] = tuple(dict.fromkeys(meant.values()))
        if join is not None and len(meant) == len(link.labels):
            self.check.kept[link.path] = columns_of(link, join, meant)

    def _reference(self, link: AssociationSpec) -> ReferenceField | None:
        app = self.check.objects[Side.APP]
        found = app.reference(link.app_field)
        if found is None:
            known = [r.name for r in app.references]
            what = (
                "is not a reference" if app.field(link.app_field) else "does not exist"
            )
            self.check.problems.add(
                f"{link.path}.app_field",
                f"{link.app_field!r} {what} in {app.name}.{hint(link.app_field, known)}",
            )
        elif found.read_only and self.check.writes(Side.APP, link.direction):
            self.check.problems.add(
                f"{link.path}.app_field",
                f"{link.app_field} is read-only; use direction: to_hubspot.",
            )
        return found

    def _target(
        self,
        link: AssociationSpec,
        targets: Mapping[str, tuple[str, str]],
        reference: ReferenceField | None,
    ) -> ObjectType | None:
        path = f"{link.path}.to"
        if link.to not in targets:
            self.check.problems.add(
                path,
                f"This app has no sync called {link.to!r}.{hint(link.to, targets)}",
            )
            return None
        hubspot, app = targets[link.to]
        far = self.check.schemas[Side.APP].object(app)
        if reference is not None and far is not None:
            held = self.check.schemas[Side.APP].object(reference.target)
            if held is None or held.id != far.id:
                self.check.problems.add(
                    path,
                    f"{link.app_field} points to {reference.target}, but {link.to} syncs "
                    f"{far.name}.",
                )
                return None
        return self.check.schemas[Side.HUBSPOT].object(hubspot)
