"""What an account has: object types with their properties, and association types.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/properties
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from connections.connectors.base import (
    RejectedError,
    SchemaError,
    ScopeError,
    SetupError,
    TransientError,
)
from connections.connectors.hubspot.api import Api, Json, next_after, text
from connections.connectors.hubspot.values import COMPANIES, CONTACTS, DEALS, TICKETS
from connections.connectors.parts import listed, rows
from connections.records import (
    Field,
    ObjectType,
    Option,
    Schema,
    ValueType,
)

MAX_TEXT = 65_536  # characters of a string property
OWNERS_PAGE = 100
SYSTEM = frozenset(
    {
        "hs_object_id",
        "createdate",
        "hs_createdate",
        "lastmodifieddate",
        "hs_lastmodifieddate",
    }
)
_TYPES = {
    "string": ValueType.TEXT,
    "phone_number": ValueType.TEXT,
    "number": ValueType.NUMBER,
    "bool": ValueType.BOOLEAN,
    "date": ValueType.DATE,
    "datetime": ValueType.DATETIME,
}
_CHOICES = {
    "checkbox": ValueType.OPTIONS,
    "booleancheckbox": ValueType.BOOLEAN,
}


@dataclass(frozen=True, slots=True)
class _Standard:
    """One of HubSpot's own object types.

    `required` is what a create must carry. (A company needs its name or its domain; that
    one of two is needed is no property of either.) `pipeline` and `stage` are the
    properties whose options are the object's pipelines and their stages.
    """

    id: str
    name: str
    label: str
    display: str
    required: tuple[str, ...] = ()
    pipeline: str = ""
    stage: str = ""


_STANDARD = (
    _Standard(CONTACTS, "contacts", "Contacts", "email"),
    _Standard(COMPANIES, "companies", "Companies", "name"),
    _Standard(
        DEALS,
        "deals",
        "Deals",
        "dealname",
        ("dealname", "dealstage", "pipeline"),
        "pipeline",
        "dealstage",
    ),
    _Standard(
        TICKETS,
        "tickets",
        "Tickets",
        "subject",
        ("subject", "hs_pipeline", "hs_pipeline_stage"),
        "hs_pipeline",
        "hs_pipeline_stage",
    ),
    _Standard("0-7", "products", "Products", "name"),
    _Standard("0-8", "line_items", "Line items", "name"),
    _Standard("0-27", "tasks", "Tasks", "hs_task_subject"),
    _Standard("0-123", "orders", "Orders", "hs_order_name"),
    _Standard("0-136", "leads", "Leads", "hs_lead_name"),
    _Standard("0-162", "services", "Services", "hs_name"),
    _Standard("0-410", "courses", "Courses", "hs_course_name"),
    _Standard("0-420", "listings", "Listings", "hs_name"),
    _Standard("0-421", "appointments", "Appointments", "hs_appointment_name"),
    _Standard("0-970", "projects", "Projects", "hs_name"),
)


def singular(object_id: str) -> str:
    """What names of HubSpot's own association types call an object: "line_item"."""
    name = next((s.name for s in _STANDARD if s.id == object_id), "")
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")


class SchemaReader:
    """Reads definitions; nothing of it is kept between two calls."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def discover(self) -> Schema:
        """Read every object type whose properties the token may read.

        Raises: ScopeError if it may read none.
        """
        found: list[ObjectType] = []
        refusal: ScopeError | None = None
        owners: dict[str, tuple[Option, ...]] = {}
        for standard, custom in [*((s, False) for s in _STANDARD), *self._custom()]:
            try:
                found.append(self._object(standard, custom, owners))
            except ScopeError as exc:
                refusal = refusal or exc
            except (RejectedError, SchemaError):
                continue  # a type that this account has not switched on
        if not found:
            raise refusal or SetupError("HubSpot shows no object type to this token.")
        return Schema(tuple(found))

    def describe(
        self, obj: ObjectType, names: Collection[str] = ()
    ) -> ObjectType | None:
        """Read an object type's properties again; None where HubSpot has it no more."""
        kind = next((s for s in _STANDARD if s.id == obj.id), None)
        required = tuple(f.name for f in obj.fields if f.required)
        kind = kind or _Standard(
            obj.id, obj.name, obj.label, obj.display_field, required
        )
        try:
            return self._object(kind, obj.custom, {}, known=_beside(obj, names))
        except (RejectedError, SchemaError):
            return None

    def _custom(self) -> list[tuple[_Standard, bool]]:
        try:
            answer = self._api.read(
                "read custom objects",
                "GET",
                self._api.paths.schemas,
                query={"archived": "false"},
            )
        except (ScopeError, RejectedError, SchemaError):
            return []
        found = []
        for row in listed(answer.body, "results", "read custom objects"):
            object_id, name = text(row.get("objectTypeId")), text(row.get("name"))
            if object_id and name and not row.get("archived"):
                labels = row.get("labels") or {}
                required = tuple(map(str, row.get("requiredProperties") or ()))
                label = text(labels.get("plural")) or name
                display = text(row.get("primaryDisplayProperty"))
                found.append(
                    (_Standard(object_id, name, label, display, required), True)
                )
        return found

    def _object(
        self,
        kind: _Standard,
        custom: bool,
        owners: dict[str, tuple[Option, ...]],
        known: Mapping[str, Field] = MappingProxyType({}),
    ) -> ObjectType:
        """Args: owners, once they were read; known, the fields of which nobody asks."""
        doing = f"read the properties of {kind.name}"
        answer = self._api.read(
            doing,
            "GET",
            self._api.paths.properties(kind.id),
            query={"archived": "false"},
        )
        found = [r for r in listed(answer.body, "results", doing) if r.get("name")]
        if not found:  # every type has its system properties
            raise TransientError(f"HubSpot's answer shows no property of {kind.name}.")
        shown = [
            row for row in found if not row.get("archived") and not row.get("hidden")
        ]
        of_owners = {row["name"] for row in shown if _names_owner(row)}
        further = {n: known[n].options for n in of_owners & known.keys()}
        if kind.pipeline and {kind.pipeline, kind.stage} <= known.keys():
            further |= {n: known[n].options for n in (kind.pipeline, kind.stage)}
        elif kind.pipeline:
            further |= self._pipelines(kind)
        if of_owners - known.keys():
            if "owner" not in owners:
                owners["owner"] = self._owners()
            further |= dict.fromkeys(of_owners - known.keys(), owners["owner"])
        fields = tuple(to_field(kind.id, kind.required, row, further) for row in shown)
        names = {field.name for field in fields}
        return ObjectType(
            name=kind.name,
            id=kind.id,
            label=kind.label,
            fields=fields,
            display_field=kind.display if kind.display in names else "",
            custom=custom,
        )

    def _pipelines(self, kind: _Standard) -> dict[str, tuple[Option, ...]]:
        """The options of the pipeline and the stage property, where they can be read."""
        try:
            doing = f"read the pipelines of {kind.name}"
            answer = self._api.read(
                doing,
                "GET",
                self._api.paths.pipelines(kind.id),
            )
        except (ScopeError, RejectedError, SchemaError):
            return {}
        found = listed(answer.body, "results", doing)
        pipelines = [p for p in found if not p.get("archived")]
        stages = [
            Option(text(stage.get("id")), _stage_label(pipeline, stage, len(pipelines)))
            for pipeline in pipelines
            for stage in rows(pipeline, "stages")
            if not stage.get("archived") and stage.get("id") is not None
        ]
        offered = [
            Option(text(p["id"]), text(p.get("label")))
            for p in pipelines
            if p.get("id") is not None
        ]
        return {kind.pipeline: tuple(offered), kind.stage: tuple(stages)}

    def _owners(self) -> tuple[Option, ...]:
        """Owners by id, with their e-mail addresses; none where the token may not read
        them. Those who were removed are still what old records name."""
        try:
            return (*self._owner_pages(False), *self._owner_pages(True))
        except (ScopeError, RejectedError, SchemaError):
            return ()

    def _owner_pages(self, archived: bool) -> tuple[Option, ...]:
        found: list[Option] = []
        after: str | None = None
        while True:
            query = {"limit": str(OWNERS_PAGE), "archived": str(archived).lower()}
            query |= {"after": after} if after else {}
            answer = self._api.read(
                "read owners", "GET", self._api.paths.owners, query=query
            )
            found += [
                Option(text(row["id"]), text(row.get("email")), archived)
                for row in listed(answer.body, "results", "read owners")
                if row.get("id") is not None
            ]
            before, after = after, next_after(answer.body)
            if after in (None, before):
                return tuple(found)


def _names_owner(row: Json) -> bool:
    return (
        bool(row.get("externalOptions")) and row.get("referencedObjectType") == "OWNER"
    )


def _beside(obj: ObjectType, names: Collection[str]) -> Mapping[str, Field]:
    """The fields of an object but for those asked about; none where all are."""
    return {f.name: f for f in obj.fields if f.name not in names} if names else {}


def _stage_label(pipeline: Json, stage: Json, pipelines: int) -> str:
    """A stage's label, with its pipeline's where there are several."""
    label = text(stage.get("label"))
    return f"{text(pipeline.get('label'))}: {label}" if pipelines > 1 else label


def to_field(
    object_id: str,
    required: tuple[str, ...],
    row: Json,
    further: dict[str, tuple[Option, ...]],
) -> Field:
    """A property's definition as a field.

    Args: required, the properties a create must carry; further, options that stand
        elsewhere (pipelines, stages, owners) by property name.
    """
    name = str(row["name"])
    native, form = text(row.get("type")), text(row.get("fieldType"))
    reason = _read_only(name, native, row)
    kind = _type(native, form)
    return Field(
        name=name,
        type=kind,
        label=text(row.get("label")) or name,
        native_type=f"{native}/{form}",
        read_only=bool(reason),
        read_only_reason=reason,
        required=name in required,
        unique=bool(row.get("hasUniqueValue"))
        or (object_id == CONTACTS and name == "email"),
        options=further.get(name) or _options(kind, row),
        max_length=MAX_TEXT if kind is ValueType.TEXT else None,
        people=_names_owner(row),
    )


def _type(native: str, form: str) -> ValueType:
    if native == "enumeration":
        return _CHOICES.get(form, ValueType.OPTION)
    return _TYPES.get(native, ValueType.TEXT)


def _options(kind: ValueType, row: Json) -> tuple[Option, ...]:
    if kind not in (ValueType.OPTION, ValueType.OPTIONS):
        return ()
    return tuple(
        Option(text(option["value"]), text(option.get("label")))
        for option in sorted(rows(row, "options"), key=_order)
        if option.get("value") is not None
    )


def _order(option: Json) -> int:
    order: Any = option.get("displayOrder")
    return order if isinstance(order, int) and order >= 0 else 1_000_000


def _read_only(name: str, native: str, row: Json) -> str:
    """Why a property cannot be written; "" if it can."""
    metadata = row.get("modificationMetadata") or {}
    if name in SYSTEM:
        return "HubSpot sets it."
    if row.get("calculated"):
        return "HubSpot calculates it."
    if metadata.get("readOnlyValue"):
        return "HubSpot does not let it be set."
    if native in ("object_coordinates", "json"):
        return "It is internal to HubSpot."
    return ""
