"""CRM syncs with their association mappings, checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from associations.admin.checks import ROOT, CheckedSyncForm, Rows
from associations.admin.flow import flow_urls
from associations.admin.flow.base import NEEDS, address
from associations.admin.forms import AssociationMappingForm
from associations.drafts import edit
from associations.drift import COLUMNS as COLUMNS_OF_DRIFT
from associations.drift import drift
from associations.engine.types import PRIMARIES
from associations.models import AssociationLink, AssociationMapping, type_columns
from associations.models import AssociationType as StoredType
from associations.setup.spec import FilterSpec
from associations.setup.types import choice_of
from connections.admin.base import Button, StackedInline
from connections.admin.csv_files import csv_answer
from connections.connectors.base import ConnectorError, SchemaError
from connections.records import AssociationType, AssociationTypeInfo, Side
from connections.redaction import redact
from connections.schemas import load_object
from syncs.admin.syncs import ObjectSyncAdmin
from syncs.models import MatchKey, ObjectSync, SyncFilter
from syncs.models.choices import Matching

COLUMNS = (
    "by",
    "app_field",
    "join_from",
    "join_to",
    "join_label",
    "labels",
    "to_sync",
    "category",
    "type_id",
    "also",
    "direction",
    "conflict",
    "on_unlink",
)


MAKES_ANOTHER = {"by", "app_field", "to_sync", "join_from", "join_to", "join_label"}


class AssociationMappingInline(StackedInline[AssociationMapping, ObjectSync]):
    model = AssociationMapping
    form = AssociationMappingForm
    fk_name = "sync"
    extra = 1
    verbose_name_plural = "Association mappings"
    readonly_fields: ClassVar[Any] = ("proof",)
    fieldsets: ClassVar[Any] = (
        (
            None,
            {
                "fields": (
                    ("by", "app_field"),
                    ("to_sync", "direction"),
                    "type",
                    "new_label",
                    "make_label",
                    ("conflict", "on_unlink"),
                    ("join_from", "join_to"),
                    "join_label",
                    "labels",
                    "proof",
                )
            },
        ),
    )

    @admin.display(description="both sides equal")
    def proof(self, obj: AssociationMapping) -> SafeString | str:
        """When a sweep last proved it, and what the last sweep counted."""
        return shown_proof(obj) if obj.pk else "—"

    def get_formset(
        self, request: HttpRequest, obj: ObjectSync | None = None, **kwargs: Any
    ) -> Any:
        made = super().get_formset(request, obj, **kwargs)
        if obj is None:
            return made
        # The admin makes a page's formsets several times.
        offered: dict[int, Any] = request.__dict__.setdefault("offered_links", {})
        if obj.pk not in offered:
            syncs = ObjectSync.objects.filter(app=obj.app_id, archived_at=None)
            offered[obj.pk] = list(syncs), labels_from(obj)
        targets, labels = offered[obj.pk]

        class Aimed(made):  # type: ignore[misc, valid-type]
            def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
                found: dict[str, Any] = super().get_form_kwargs(index)
                return {**found, "targets": targets, "labels": labels}

        return Aimed


def drift_rows(sync: ObjectSync) -> Iterator[Sequence[str]]:
    """The drift report's rows; what goes wrong on the way is its last one."""
    yield COLUMNS_OF_DRIFT
    try:
        for found in drift(sync):
            yield found.row()
    except ConnectorError as exc:
        text = f"The report ends here. {exc.message} {exc.remedy}".strip()
        blank = [""] * (len(COLUMNS_OF_DRIFT) - 3)
        yield [*blank, "incomplete", str(exc.code), redact(text)]


def shown_proof(mapping: AssociationMapping) -> SafeString | str:
    found = mapping.sweep
    if not found:
        return "No sweep went through yet."
    at = localize(localtime(datetime.fromisoformat(found["at"])))
    (there, one), (here, other) = found["hubspot"], found["app"]
    proven = mapping.proven_at
    if proven is not None and proven.isoformat() == found["at"]:
        return format_html("Proven equal {}: {} links, hash {}", at, there, one)
    last = localize(localtime(proven)) if proven is not None else "never"
    why = []
    if not found["whole"]:
        why.append("HubSpot shows a part only, or the sweep was interrupted")
    if found["unknown"]:
        why.append(f"{found['unknown']} lists could not be read")
    if found["open"]:
        why.append(f"links of {found['open']} records are still being written")
    if (there, one) != (here, other):
        why.append("see the drift report")
    return format_html(
        "Last proven equal: {}. Sweep of {}: HubSpot {} links, hash {}; app {} links, "
        "hash {}: {}.",
        last,
        at,
        there,
        one,
        here,
        other,
        "; ".join(why) or "they are equal",
    )


def labels_from(sync: ObjectSync) -> dict[str, Any]:
    """How a set-up file writes the labels of links from a sync's HubSpot object, by
    category and id; one that several objects share is offered once."""
    try:
        near = load_object(sync.app.hubspot, sync.hubspot_object).id
    except SchemaError:
        return {}
    rows = StoredType.objects.filter(
        account=sync.app.hubspot_id, from_object=near, gone_at=None
    )
    by_far: dict[str, list[AssociationTypeInfo]] = {}
    for row in rows.order_by("to_object", "category", "type_id"):
        by_far.setdefault(row.to_object, []).append(row.info)
    found: dict[str, Any] = {}
    for infos in by_far.values():
        for info in infos:
            type_ = AssociationType(info.category, info.type_id)
            if info.label is None or type_ in PRIMARIES:
                continue
            word = choice_of(type_, infos)
            if word not in found.values():
                found[f"{info.category}:{info.type_id}"] = word
    return found


def _edit(request: HttpRequest, syncs: Sequence[ObjectSync]) -> str:
    """Go on with a sync's draft, or begin one."""
    user: Any = request.user
    draft = edit(syncs[0], user)
    return address(draft, draft.step)


class MappedSyncAdmin(ObjectSyncAdmin):
    form = CheckedSyncForm
    buttons = (
        *ObjectSyncAdmin.buttons,
        Button("edit", "Edit", _edit, NEEDS[0], icon="edit", on_list=False),
    )
    inlines: ClassVar[Any] = (*ObjectSyncAdmin.inlines, AssociationMappingInline)

    def _create_formsets(
        self, request: HttpRequest, obj: ObjectSync | None, change: bool
    ) -> Any:
        formsets, inlines = super()._create_formsets(  # type: ignore[misc]
            request, obj, change
        )
        if request.method == "POST" and obj is not None:
            # The sync's form, which is checked next, looks at them as one set-up.
            obj.pending_formsets = formsets  # type: ignore[attr-defined]
        return formsets, inlines

    def get_urls(self) -> list[URLPattern]:
        return [
            *flow_urls(self.admin_site.admin_view),
            path(
                "<int:sync_id>/drift.csv",
                self.admin_site.admin_view(self.drift_view),
                name="syncs_objectsync_drift",
            ),
            *super().get_urls(),
        ]

    def drift_view(self, request: HttpRequest, sync_id: int) -> HttpResponseBase:
        """Every link that stands on one side only, as it is found."""
        sync = get_object_or_404(ObjectSync, pk=sync_id, archived_at=None)
        if not self.has_view_permission(request, sync):
            raise PermissionDenied
        name = f"drift {sync.app.name} {sync.name}"
        return csv_answer(name, drift_rows(sync))

    def definition(self, sync: ObjectSync) -> Any:
        rows = AssociationMapping.objects.filter(sync=sync)
        return super().definition(sync), list(rows.values_list(*COLUMNS))

    def settle(self, form: Any) -> None:
        """Store the keys that Default settings chose, and the types that were found."""
        sync, settled = form.instance, form.settled
        if settled is None:
            return
        if sync.matching == Matching.DEFAULT:
            _keep_keys(sync, settled.match)
        rows = Rows(getattr(sync, "pending_formsets", ()))
        _keep_filters(rows.of("filters"), settled.filters)
        for at, row in enumerate(rows.of("associations")):
            path = f"{ROOT}.associations[{at}]"
            found, mapping = form.types.get(path), row.instance
            if found is None or mapping.pk is None:
                continue
            kept = dict(form.joins.get(path, {}))
            moved = MAKES_ANOTHER & set(row.changed_data)
            AssociationMapping.objects.filter(pk=mapping.pk).update(
                **type_columns(found), **kept
            )
            # Another mapping: it begins as a first sync.
            if set(mapping.types) != set(found) or moved:
                AssociationLink.objects.filter(mapping=mapping).delete()
                AssociationMapping.objects.filter(pk=mapping.pk).update(
                    proven_at=None, sweep={}
                )


def _keep_filters(rows: Sequence[Any], settled: Sequence[FilterSpec]) -> None:
    """Store values in the form in which they are exported, in the order of the page."""
    places = dict.fromkeys(Side, 0)
    for row, spec in zip(rows, settled, strict=True):
        stored = SyncFilter.objects.filter(pk=row.instance.pk)
        stored.update(value=spec.value, position=places[spec.side])
        places[spec.side] += 1


def _keep_keys(sync: ObjectSync, match: Any) -> None:
    wanted = [
        (rank, at, part.hubspot, part.app, part.normalize)
        for rank, key in enumerate(match)
        for at, part in enumerate(key)
    ]
    names = ("rank", "part", "hubspot", "app", "normalize")
    if list(sync.match_keys.values_list(*names)) == wanted:
        return
    sync.match_keys.all().delete()
    MatchKey.objects.bulk_create(
        MatchKey(sync=sync, **dict(zip(names, row, strict=True))) for row in wanted
    )


admin.site.register(ObjectSync, MappedSyncAdmin)
