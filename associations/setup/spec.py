"""A set-up file's content once its form is right: plain values, nothing looked up yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connections.records import Side

BASE_URL = "https://api.hubapi.com"
# "", "primary", "default", a label's text, {category, id}, or a list of these.
AssociationChoice = str | Mapping[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class Secret:
    """A credential and, where it came from variables, how the file writes it."""

    value: str
    template: str = ""

    def __repr__(self) -> str:
        return f"Secret({self.template or '***'})"


@dataclass(frozen=True, slots=True)
class AccountSpec:
    path: str
    name: str
    renamed_from: str = ""
    token: Secret | None = None
    api_version: str = "2026-03"
    base_url: str = BASE_URL
    requests_per_10s: float = 100
    association_requests_per_10s: float | None = None
    search_per_second: float = 4


@dataclass(frozen=True, slots=True)
class MatchPart:
    path: str
    hubspot: str
    app: str
    normalize: str = "exact"


@dataclass(frozen=True, slots=True)
class FieldSpec:
    path: str
    hubspot: str
    app: str
    direction: str = ""
    conflict: str = ""
    never_blank: bool | None = None
    seed: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """One condition on the records of a side; `value` as the file writes it, or stored."""

    path: str
    side: Side
    field: str
    operator: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class JoinSpec:
    """A join table; columns "" are those whose foreign keys lead to the two objects."""

    name: str
    from_columns: str = ""
    to_columns: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class AssociationSpec:
    """What the app has of links; `type` "" leaves the choice to what HubSpot offers.

    `app_field` is the reference field, or the name of the `join` table, of which `labels`
    says in order what each value of its label column means.
    """

    path: str
    app_field: str
    to: str
    by: str = ""  # "match_key": the field holds the target's first key
    type: AssociationChoice = ""
    direction: str = ""
    conflict: str = ""
    on_unlink: str = "keep_pair"
    join: JoinSpec | None = None
    labels: tuple[tuple[str, AssociationChoice], ...] = ()


@dataclass(frozen=True, slots=True)
class SyncSpec:
    """One object sync; durations in seconds, `every_s` None for by hand only."""

    path: str
    name: str
    hubspot_object: str
    app_object: str
    renamed_from: str = ""
    direction: str = "two_way"
    conflict: str = "hubspot"
    creates: str = "both"
    matching: str = "default"
    match: tuple[tuple[MatchPart, ...], ...] = ()
    marker: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[FieldSpec, ...] = ()
    default_fields: bool = False  # `fields: default`, until they are guessed
    on_create: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    deletes: str = "ignore"
    hard_delete: bool = False
    archive: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    limits: Mapping[str, int | None] = field(default_factory=dict)
    filters: tuple[FilterSpec, ...] = ()
    every_s: int | None = 600
    sweep_every_s: int = 3600
    full_every_s: int = 86400
    app_cursor: str = ""
    timezone: str = "UTC"
    enabled: bool = True
    associations: tuple[AssociationSpec, ...] = ()
    default_associations: bool = False  # `associations: default`, until they are chosen


@dataclass(frozen=True, slots=True)
class AppSpec:
    path: str
    name: str
    kind: str
    hubspot: str
    renamed_from: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    credentials: Mapping[str, Secret] = field(default_factory=dict)
    syncs: tuple[SyncSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class FileSpec:
    accounts: tuple[AccountSpec, ...] = ()
    apps: tuple[AppSpec, ...] = ()
