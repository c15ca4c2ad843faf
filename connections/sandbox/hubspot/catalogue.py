"""What an account knows about its object types and their properties."""

from __future__ import annotations

from typing import Any

from connections.sandbox.hubspot.errors import invalid
from connections.sandbox.hubspot.fields import (
    DEFAULTS,
    PIPELINES,
    REQUIRED,
    STAGED,
    standard_properties,
)
from connections.sandbox.hubspot.kinds import CONTACTS, STANDARD, Kind, names
from connections.sandbox.hubspot.store import Store

Json = dict[str, Any]
INDEXED = {"email", "domain", "name"}  # what searches ask for by value, mostly


class Catalogue:
    """Object types and properties, read from the store once and kept."""

    def __init__(self, store: Store, portal: int) -> None:
        self._store = store
        self.portal = portal
        self.forget()
        for name in INDEXED:
            self.index(name)

    def forget(self) -> None:
        """Read everything again at the next question."""
        self._kinds: dict[str, Kind] | None = None
        self._properties: dict[str, dict[str, Json]] = {}
        self._owners: set[str] | None = None

    def index(self, name: str) -> None:
        """Make search by a property's value quick."""
        value = f"""json_extract(properties, '$."{name}"')"""
        self._store.run(
            f'CREATE INDEX IF NOT EXISTS "search_by_{name}" ON search_row '
            f"(kind, fold({value})) WHERE {value} IS NOT NULL"
        )

    # Object types

    def schemas(self) -> dict[str, Json]:
        """Return the custom object schemas by type id."""
        return self._store.documents("schema")

    def kinds(self) -> dict[str, Kind]:
        """Return every object type under each of its spellings."""
        if self._kinds is None:
            self._kinds = {word: kind for kind in STANDARD for word in names(kind)}
            for type_id, schema in self.schemas().items():
                kind = Kind(type_id, schema["name"], schema["name"])
                words = names(kind) | {schema["fullyQualifiedName"].lower()}
                words.add(f"p_{schema['name'].lower()}")
                self._kinds |= dict.fromkeys(words, kind)
        return self._kinds

    def kind(self, word: str) -> Kind:
        """Return the object type that a path names.

        Raises: ApiError 400 if there is none.
        """
        kind = self.kinds().get(word.lower())
        if kind is None:
            raise invalid(f"Unable to infer object type from: {word}")
        return kind

    # Properties

    def properties(self, kind: Kind) -> dict[str, Json]:
        """Return the live properties of an object type by name."""
        found = self._properties.get(kind.type_id)
        if found is None:
            found = standard_properties(kind)
            found |= self._store.documents(f"property {kind.type_id}")
            found = {n: p for n, p in found.items() if not p["archived"]}
            self._add_stages(kind, found)
            self._properties[kind.type_id] = found
        return found

    def pipelines(self, kind: Kind) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Return each pipeline's label and stages."""
        found: dict[str, tuple[str, tuple[str, ...]]] = {}
        found |= PIPELINES.get(kind.type_id, {})
        for name, body in self._store.documents(f"pipeline {kind.type_id}").items():
            found[name] = (body["label"], tuple(body["stages"]))
        return found

    def _add_stages(self, kind: Kind, properties: dict[str, Json]) -> None:
        """Let the pipeline and stage property take those that the account added."""
        if kind.type_id not in STAGED:
            return
        added = self._store.documents(f"pipeline {kind.type_id}")
        of_pipeline, of_stage = STAGED[kind.type_id]
        for name, body in added.items():
            for prop, values in ((of_pipeline, [name]), (of_stage, body["stages"])):
                options = properties[prop]["options"]
                options += [
                    {
                        "label": value.capitalize(),
                        "value": value,
                        "displayOrder": len(options) + at,
                        "hidden": False,
                    }
                    for at, value in enumerate(values)
                ]

    def archived_properties(self, kind: Kind) -> dict[str, Json]:
        """Return the archived properties of an object type by name."""
        found = self._store.documents(f"property {kind.type_id}")
        return {name: body for name, body in found.items() if body["archived"]}

    def keep_property(self, kind: Kind, body: Json) -> None:
        """Store a property's definition."""
        self._store.keep(f"property {kind.type_id}", body["name"], body)
        if body["hasUniqueValue"]:
            self.index(body["name"])
        self.forget()

    def unique_names(self, kind: Kind) -> list[str]:
        """Return the properties whose values no two records share."""
        found = [
            name
            for name, body in self.properties(kind).items()
            if body["hasUniqueValue"] and name != "hs_object_id"
        ]
        return ["email", *found] if kind.type_id == CONTACTS else found

    def owners(self) -> set[str]:
        """Return the ids that an owner property takes."""
        if self._owners is None:
            rows = self._store.documents("owner")
            self._owners = {i for i, row in rows.items() if not row["archived"]}
        return self._owners

    def defaults(self, kind: Kind) -> tuple[str, ...]:
        """Return the properties that a read gives unasked, system ones included."""
        own = DEFAULTS.get(kind.type_id, ())
        return (*own, kind.created, kind.modified, "hs_object_id")

    def required(self, kind: Kind) -> tuple[tuple[str, ...], ...]:
        """Return groups of properties; a create needs one of each group."""
        if kind.custom:
            schema = self.schemas()[kind.type_id]
            return tuple((name,) for name in schema["requiredProperties"])
        return REQUIRED.get(kind.type_id, ())
