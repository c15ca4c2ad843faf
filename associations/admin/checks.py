"""A sync's form checked as a set-up file is: the same rules, the errors at their fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms

from associations.admin.forms import AssociationMappingForm
from associations.models import By
from associations.services import Types, known_types, read_pair
from associations.setup.checking import SyncCheck
from associations.setup.keyed import first_keys
from associations.setup.labels import MissingLabel, make_labels
from associations.setup.live import link_table_of
from associations.setup.mirrors import ends_of, stored_ends
from associations.setup.problems import Problem, Problems
from associations.setup.spec import (
    AssociationSpec,
    FieldSpec,
    FilterSpec,
    JoinSpec,
    MatchPart,
    SyncSpec,
)
from connections import services
from connections.connectors.base import ConnectorError, SchemaError
from connections.records import AssociationType, LinkTable, Side, TableReport
from syncs.admin.forms import FieldMappingForm, MatchKeyForm, ObjectSyncForm, schemas_of
from syncs.admin.scope import SyncFilterForm
from syncs.models import ObjectSync
from syncs.models.choices import Matching

ROOT = "sync"
_ROW = re.compile(r"^(fields|match|associations|filters)\[(\d+)\]\.?(\w*)")
_ROW_FIELDS = {"to": "to_sync", "property": "field"}
_JOIN_FIELDS = {"from": "join_from", "to": "join_to", "label": "join_label"}
_OWN_FIELDS = {
    "marker": "marker_hubspot",
    "on_create.hubspot": "on_create_hubspot",
    "on_create.app": "on_create_app",
    "archive.hubspot": "archive_hubspot",
    "archive.app": "archive_app",
    "every": "every_s",
}


class CheckedSyncForm(ObjectSyncForm):
    """Knows the forms below it, and what the set-up comes to when all of it is right."""

    settled: SyncSpec | None = None
    types: Mapping[str, tuple[AssociationType, ...]] = {}
    joins: Mapping[str, Mapping[str, Any]] = {}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        rows = Rows(getattr(self.instance, "pending_formsets", ()))
        if self.errors or not rows.valid:
            return cleaned
        problems = Problems()
        spec = _spec(self, rows)
        app = self.instance.app
        schemas = schemas_of(self.instance)
        ends = ends_of(schemas[Side.APP], stored_ends(app.pk, but=[self.instance.name]))
        check = SyncCheck(
            spec,
            schemas,
            problems,
            kind=app.kind,
            labels=services.knows_labels(app.hubspot),
            link_table=self._look,
        )
        self.settled = check.fields()
        if self.settled is not None:
            keys = first_keys(app.pk)
            self.types = check.links(self._targets(), self._known_types, keys, ends)
            if problems.only(m.problem for m in check.missing) and self._may_make(rows):
                problems.found[:] = self._make(check.missing)
                if not problems:
                    self.types = check.links(
                        self._targets(), self._known_types, keys, ends
                    )
            self.joins = check.kept
        if rows.keys_changed and cleaned.get("matching") == Matching.DEFAULT:
            self.add_error(
                "matching",
                "You changed the keys below, which Default settings would choose: pick "
                "Choose your fields.",
            )
        for problem in problems.found:
            self._show(problem, rows)
        return cleaned

    def _may_make(self, rows: Rows) -> bool:
        """Whether every label that was typed was confirmed."""
        typed = [r for r in rows.of("associations") if r.cleaned_data.get("new_label")]
        return bool(typed) and all(r.cleaned_data.get("make_label") for r in typed)

    def _make(self, missing: Sequence[MissingLabel]) -> list[Problem]:
        """Make labels in HubSpot, and read what there is now."""
        account = self.instance.app.hubspot
        hubspot = services.open_hubspot(account)
        try:
            if failed := make_labels(hubspot, missing):
                return failed
            for ends in {(m.from_object, m.to_object) for m in missing}:
                read_pair(account, hubspot, ends)
        except ConnectorError as exc:
            text = f"{exc.code}: {exc.message} {exc.remedy}"
            return [Problem(m.problem.path, text) for m in missing]
        finally:
            hubspot.close()
        return []

    def settled_archive(self) -> dict[str, Any]:
        """In canonical form, as values are compared with it."""
        if self.settled is None:
            return self.archive
        return {side: dict(one) for side, one in self.settled.archive.items()}

    def _targets(self) -> dict[str, tuple[str, str]]:
        syncs = ObjectSync.objects.filter(app=self.instance.app_id, archived_at=None)
        return {
            name: (hubspot, app)
            for name, hubspot, app in syncs.values_list(
                "name", "hubspot_object", "app_object"
            )
        } | {
            self.cleaned_data["name"]: (
                self.instance.hubspot_object,
                self.instance.app_object,
            )
        }

    def _look(self, table: LinkTable) -> TableReport:
        """Ask the app about a join table. Raises: ConnectorError."""
        app = services.open_app(self.instance.app)
        try:
            look = link_table_of(app)
            if look is None:
                raise SchemaError("This kind of app has no join tables.")
            return look(table)
        finally:
            app.close()

    def _known_types(self, from_object: str, to_object: str) -> Types:
        return known_types(self.instance.app.hubspot, from_object, to_object)

    def _show(self, problem: Problem, rows: Rows) -> None:
        place = problem.path.removeprefix(f"{ROOT}.")
        found = _ROW.match(place)
        form: Any = self
        if found is not None:
            form = rows.at(found[1], int(found[2]))
            name = _ROW_FIELDS.get(found[3], found[3])
            if found[3] == "join_table":
                name = _JOIN_FIELDS.get(place[found.end() :].strip("."), "app_field")
        else:
            name = next(
                (own for start, own in _OWN_FIELDS.items() if place.startswith(start)),
                place,
            )
        form.add_error(name if name in form.fields else None, problem.text)


class Rows:
    """The inline forms of a sync that are filled and not struck out, by kind."""

    KINDS = {
        MatchKeyForm: "match",
        FieldMappingForm: "fields",
        AssociationMappingForm: "associations",
        SyncFilterForm: "filters",
    }

    def __init__(self, formsets: Iterable[Any]) -> None:
        self.valid, self.keys_changed = True, False
        self._forms: dict[str, list[Any]] = {k: [] for k in self.KINDS.values()}
        for formset in formsets:
            self.valid &= formset.is_valid()
            for form in formset.forms:
                kind = next(
                    (k for cls, k in self.KINDS.items() if isinstance(form, cls)), None
                )
                if kind is None:
                    continue
                if kind == "match":
                    self.keys_changed |= form.has_changed()
                if form in formset.deleted_forms or not _filled(form):
                    continue
                self._forms[kind].append(form)

    def of(self, kind: str) -> list[Any]:
        return self._forms[kind]

    def at(self, kind: str, index: int) -> forms.BaseForm:
        found: forms.BaseForm = self._forms[kind][index]
        return found


def _filled(form: Any) -> bool:
    return bool(form.instance.pk or form.has_changed())


def _spec(form: CheckedSyncForm, rows: Rows) -> SyncSpec:
    """What was typed, as the set-up file's parser would give it."""
    given, sync = form.cleaned_data, form.instance
    own = {
        name: given.get(name, getattr(sync, name))
        for name in (
            "name",
            "hubspot_object",
            "app_object",
            "direction",
            "conflict",
            "creates",
            "matching",
            "deletes",
            "hard_delete",
            "app_cursor",
            "timezone",
        )
    }
    return SyncSpec(
        path=ROOT,
        **own,
        marker=form.marker,
        on_create=form.on_create,
        archive=form.archive,
        filters=tuple(
            FilterSpec(
                f"{ROOT}.filters[{at}]",
                row.side,
                *(row.cleaned_data[name] for name in ("field", "operator", "value")),
            )
            for at, row in enumerate(rows.of("filters"))
        ),
        match=_match(rows.of("match")),
        fields=tuple(
            FieldSpec(
                f"{ROOT}.fields[{at}]",
                **{
                    name: row.cleaned_data[name]
                    for name in (
                        "hubspot",
                        "app",
                        "direction",
                        "conflict",
                        "never_blank",
                        "values",
                    )
                },
            )
            for at, row in enumerate(rows.of("fields"))
        ),
        associations=tuple(
            AssociationSpec(
                f"{ROOT}.associations[{at}]",
                app_field=row.cleaned_data["app_field"],
                to=row.cleaned_data["to_sync"].name,
                type=row.cleaned_data["type"],
                by=_by(row.cleaned_data["by"]),
                direction=row.cleaned_data["direction"],
                conflict=row.cleaned_data["conflict"],
                on_unlink=row.cleaned_data["on_unlink"],
                join=_join(row.cleaned_data),
                labels=tuple((v, word) for v, word, *_ in row.cleaned_data["labels"]),
            )
            for at, row in enumerate(rows.of("associations"))
        ),
    )


def _join(given: Mapping[str, Any]) -> JoinSpec | None:
    if given["by"] != By.JOIN_TABLE:
        return None
    columns = (given[name] for name in ("join_from", "join_to", "join_label"))
    return JoinSpec(given["app_field"], *columns)


def _by(what: str) -> str:
    """`by` as a set-up file has it."""
    return By.MATCH_KEY.value if what == By.MATCH_KEY else ""


def _match(rows: Iterable[Any]) -> tuple[tuple[MatchPart, ...], ...]:
    ranks: dict[int, list[tuple[int, MatchPart]]] = {}
    for at, row in enumerate(rows):
        given = row.cleaned_data
        part = MatchPart(
            f"{ROOT}.match[{at}]", given["hubspot"], given["app"], given["normalize"]
        )
        ranks.setdefault(given["rank"], []).append((given["part"], part))
    return tuple(
        tuple(part for _, part in sorted(parts, key=lambda p: p[0]))
        for _, parts in sorted(ranks.items())
    )
