"""Check one object sync against what both systems have, and complete what it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from associations.services import Types
from associations.setup.archive import check_archive
from associations.setup.checking_links import LinkCheck
from associations.setup.compatible import fit
from associations.setup.defaults import default_match
from associations.setup.filters import NOUN, check_filter
from associations.setup.guessing import Guess, default_fields
from associations.setup.joins import Look
from associations.setup.labels import MissingLabel
from associations.setup.mirrors import Ends
from associations.setup.problems import Problems, hint
from associations.setup.required import unfilled
from associations.setup.spec import (
    FieldSpec,
    FilterSpec,
    MatchPart,
    SyncSpec,
)
from connections.connectors.registry import capabilities
from connections.records import (
    AssociationType,
    Field,
    ObjectType,
    Schema,
    Side,
    ValueType,
)
from syncs.engine.values import ValueProblem, canonical, convert

Key = tuple[MatchPart, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A sync that can be stored: objects found, keys and types settled."""

    spec: SyncSpec
    objects: Mapping[Side, ObjectType]
    # By the association's path, as it names them.
    types: Mapping[str, tuple[AssociationType, ...]] = field(default_factory=dict)
    # Also by path, what a mapping's row holds of a join table.
    joins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass
class SyncCheck:
    """Checks one sync; `targets` are the HubSpot and app objects of the app's syncs."""

    spec: SyncSpec
    schemas: Mapping[Side, Schema]
    problems: Problems
    objects: dict[Side, ObjectType] = field(default_factory=dict)
    missing: list[MissingLabel] = field(default_factory=list)
    kind: str = "postgres"  # of the app
    guessed: list[Guess] = field(default_factory=list)
    labels: bool = True  # HubSpot's links can carry them
    warnings: list[str] = field(default_factory=list)
    link_table: Look | None = None  # asks the app about a join table
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)  # of join tables

    def bad(self, at: str, text: str) -> None:
        self.problems.add(f"{self.spec.path}.{at}" if at else self.spec.path, text)

    def fields(self) -> SyncSpec | None:
        """Check all but the links. Returns the sync with its match keys, or None."""
        for side, name in (
            (Side.HUBSPOT, self.spec.hubspot_object),
            (Side.APP, self.spec.app_object),
        ):
            self._object(side, name)
        if len(self.objects) < 2:
            return None
        self._default_fields()
        for mapping in self.spec.fields:
            self._mapping(mapping)
        self._repeated()
        self._cursor()
        self._marker()
        match = self._default_match()
        for part in (part for key in match for part in key):
            for side, name in ((Side.HUBSPOT, part.hubspot), (Side.APP, part.app)):
                self.known_field(side, name, f"{part.path}.{side}")
        constants = self._constants()
        self.warnings += unfilled(self.spec, self.objects, constants)
        return replace(
            self.spec,
            match=match,
            on_create=constants,
            archive=check_archive(self, constants),
            filters=self._filters(),
        )

    # What is guessed --------------------------------------------------------------------

    def _default_fields(self) -> None:
        if not self.spec.default_fields:
            return
        fields = default_fields(self.spec, self.objects, self.kind)
        self.spec = replace(self.spec, fields=fields)
        self.guessed += [
            Guess(f.path, "field", f.hubspot, f.app, f.direction or self.spec.direction)
            for f in fields
        ]
        if not fields:
            self.bad(
                "fields", "No default mapping fits these objects; list the fields."
            )

    def _default_match(self) -> tuple[tuple[MatchPart, ...], ...]:
        if self.spec.matching != "default":
            return self.spec.match
        match = default_match(
            self.objects[Side.HUBSPOT],
            self.objects[Side.APP],
            self.spec.fields,
            self.spec.path,
        )
        self.guessed += [
            Guess(part.path, "match key", part.hubspot, part.app, part.normalize)
            for key in match
            for part in key
        ]
        if not match:
            self.bad("matching", "No default key fits these objects; give a match.")
        return match

    # Objects and fields -----------------------------------------------------------------

    def _object(self, side: Side, name: str) -> None:
        schema, key = self.schemas[side], f"{side}_object"
        found = schema.object(name)
        if found is None:
            known = [o.name for o in schema.objects]
            self.bad(key, f"There is no object {name!r}.{hint(name, known)}")
        elif found.refused:
            self.bad(key, found.refused)
        elif not found.writable and self.writes(side):
            way = "to_hubspot" if side is Side.APP else "to_app"
            why = f" ({found.read_only_reason})" if found.read_only_reason else ""
            self.bad(key, f"{name} cannot be written{why}; use direction: {way}.")
        elif found.unfed:
            self.bad(key, found.unfed)
        else:
            self.objects[side] = found

    def writes(self, side: Side, direction: str = "") -> bool:
        return (direction or self.spec.direction) in ("two_way", f"to_{side}")

    def known_field(self, side: Side, name: str, path: str) -> Field | None:
        found = self.objects[side].field(name)
        if found is None:
            known = [f.name for f in self.objects[side].fields]
            self.problems.add(
                path,
                f"{self.objects[side].name} has no {NOUN[side]} {name!r}."
                f"{hint(name, known, most=0)}",
            )
        return found

    def narrows(self, direction: str, path: str) -> None:
        own = self.spec.direction
        if direction and own != "two_way" and direction != own:
            self.problems.add(
                f"{path}.direction",
                f"{direction} is wider than the sync's own direction, {own}.",
            )

    # Field mappings ---------------------------------------------------------------------

    def _mapping(self, mapping: FieldSpec) -> None:
        found = {
            side: self.known_field(
                side, str(getattr(mapping, side)), f"{mapping.path}.{side}"
            )
            for side in Side
        }
        hubspot, app = found[Side.HUBSPOT], found[Side.APP]
        self.narrows(mapping.direction, mapping.path)
        if (mapping.conflict or self.spec.conflict) == "latest":
            self._latest(f"{mapping.path}.conflict" if mapping.conflict else "")
        if hubspot is None or app is None:
            return
        direction = mapping.direction or self.spec.direction
        for side, field_ in ((Side.HUBSPOT, hubspot), (Side.APP, app)):
            if field_.read_only and self.writes(side, direction):
                why = f" ({field_.read_only_reason})" if field_.read_only_reason else ""
                self.problems.add(
                    f"{mapping.path}.{side}",
                    f"{field_.name} is read-only{why}; map it one way, with "
                    f"direction: to_{side.other}.",
                )
        if not fit(hubspot.type, app.type):
            self.problems.add(
                mapping.path,
                f"{hubspot.name} holds a {hubspot.type} and {app.name} a {app.type}: "
                "they cannot be kept in step.",
            )
        self._values(mapping, hubspot, app)

    def _values(self, mapping: FieldSpec, hubspot: Field, app: Field) -> None:
        path = f"{mapping.path}.values"
        for field_, words in (
            (hubspot, mapping.values),
            (app, mapping.values.values()),
        ):
            known = {o.value for o in field_.options}
            for word in words:
                if known and word not in known:
                    self.problems.add(
                        path,
                        f"{field_.name} has no option {word!r}.{hint(word, known)}",
                    )
        both = (mapping.direction or self.spec.direction) == "two_way"
        if both and len(set(mapping.values.values())) < len(mapping.values):
            self.problems.add(
                path,
                "Two values map to the same one, so that the way back is not clear; "
                "map it one way.",
            )

    def _repeated(self) -> None:
        seen: set[tuple[Side, str]] = set()
        for mapping in self.spec.fields:
            direction = mapping.direction or self.spec.direction
            for side in Side:
                name = str(getattr(mapping, side))
                if self.writes(side, direction):
                    if (side, name) in seen:
                        self.problems.add(
                            f"{mapping.path}.{side}",
                            f"{name} is written by two mappings.",
                        )
                    seen.add((side, name))

    def _latest(self, path: str) -> None:
        own = self.objects[Side.APP].changed_field
        if self.spec.app_cursor == "none" or not (self.spec.app_cursor or own):
            self.problems.add(
                path or f"{self.spec.path}.conflict",
                "latest needs to know when the app's records changed; name the field "
                "that tells in app_cursor, or use hubspot or app.",
            )

    # The rest ---------------------------------------------------------------------------

    def _cursor(self) -> None:
        if self.spec.conflict == "latest" and not self.spec.fields:
            self._latest("")
        name = self.spec.app_cursor
        if name in ("", "none"):
            return
        found = self.known_field(Side.APP, name, f"{self.spec.path}.app_cursor")
        if found is not None and found.type != ValueType.DATETIME:
            self.bad("app_cursor", f"{name} is a {found.type}, not a time of change.")

    def _marker(self) -> None:
        for word, name in self.spec.marker.items():
            side, path = Side(word), f"{self.spec.path}.marker.{word}"
            found = self.known_field(side, name, path)
            if found is None:
                continue
            merges = capabilities(self.kind).merges_on if side is Side.APP else ()
            if not found.unique and found.native_type not in merges:
                self.problems.add(
                    path,
                    f"{name} may hold the same value twice; a marker must be unique.",
                )
            elif found.read_only:
                self.problems.add(path, f"{name} is read-only; a marker is written.")

    def _constants(self) -> dict[str, dict[str, object]]:
        """`on_create` in canonical form."""
        made: dict[str, dict[str, object]] = {}
        for word, constants in self.spec.on_create.items():
            side = Side(word)
            for name, value in constants.items():
                path = f"{self.spec.path}.on_create.{word}.{name}"
                found = self.known_field(side, name, path)
                if found is None:
                    continue
                if found.read_only:
                    self.problems.add(path, f"{name} is read-only.")
                    continue
                try:
                    raw = canonical(value, found, zone=ZoneInfo(self.spec.timezone))
                    made.setdefault(word, {})[name] = convert(raw, found, found)
                except ValueProblem as exc:
                    self.problems.add(path, f"{exc.code}: {exc.message}")
        return made

    def _filters(self) -> tuple[FilterSpec, ...]:
        """The filters with their values as they are stored."""
        made = []
        for spec in self.spec.filters:
            path = f"{spec.path}.{NOUN[spec.side]}"
            found = self.known_field(spec.side, spec.field, path)
            if found is not None:
                zone = self.spec.timezone
                made.append(check_filter(spec, found, zone, self.problems))
        return tuple(made)

    # Links ------------------------------------------------------------------------------

    def links(
        self,
        targets: Mapping[str, tuple[str, str]],
        types: Callable[[str, str], Types],
        keys: Mapping[str, Key] | None = None,
        ends: Ends | None = None,
    ) -> dict[str, tuple[AssociationType, ...]]:
        """Check the associations: see `LinkCheck.run`."""
        return LinkCheck(self).run(targets, types, keys, ends)
