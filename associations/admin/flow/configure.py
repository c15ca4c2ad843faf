"""Step 2: configure (H). Its sections are one form, so that no way out loses a choice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.http import HttpResponse

from associations.admin.flow.base import Page
from associations.admin.flow.fields import choice, named, radio, show_problems
from associations.admin.flow.select import directions, first_url
from associations.drafts.lab import shown_lab
from associations.drafts.trees import usual_fields
from associations.drafts.wording import arrow, key_words, types_words
from associations.setup.defaults import default_match
from associations.setup.spec import AssociationSpec, FieldSpec
from connections.models import ConnectedApp
from connections.records import ObjectType, ReferenceField, Side
from syncs.models import ObjectSync
from syncs.models.choices import Creates

Json = dict[str, Any]
SUB_PAGES = ("field", "link", "keys")


def conflicts(app: ConnectedApp) -> list[tuple[str, str]]:
    return [
        ("hubspot", "HubSpot wins"),
        ("app", f"{app.name} wins"),
        ("latest", "The latest change wins"),
        ("review", "A person decides"),
    ]


class ConfigureForm(forms.Form):
    def __init__(self, *args: Any, app: ConnectedApp, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.fields["direction"] = radio("Which way", directions(app))
        self.fields["creates"] = choice(
            "Create new records",
            [
                ("both", Creates.BOTH.label),
                ("to_hubspot", Creates.TO_HUBSPOT.label),
                ("to_app", f"Only in {app.name}"),
                ("none", Creates.NONE.label),
            ],
        )
        self.fields["conflict"] = choice(
            "Where both sides changed a field",
            conflicts(app),
            help_text="The winner's value is kept; an empty value there changes nothing, "
            "and no rule overrules the direction.",
        )
        self.fields["matching"] = radio(
            "How records of both sides find each other",
            [
                ("default", "Default settings"),
                ("fields", "Choose your fields"),
                ("none", "Do no matching"),
            ],
        )


class ConfigurePage(Page):
    step = "configure"
    template = "crosslink/flow/configure.html"

    def get(self) -> HttpResponse:
        tree = self.draft.tree
        first = {
            "direction": tree.get("direction", "two_way"),
            "creates": tree.get("creates", "both"),
            "conflict": tree.get("conflict", "hubspot"),
            "matching": "fields"
            if tree.get("match")
            else tree.get("matching", "default"),
        }
        return self._shown(ConfigureForm(app=self.app, initial=first))

    def post(self) -> HttpResponse:
        form = ConfigureForm(self.request.POST, app=self.app)
        if not form.is_valid():
            return self._shown(form)
        tree = self.tree() | {
            name: form.cleaned_data[name]
            for name in ("direction", "creates", "conflict")
        }
        choose_keys = self._match(tree, form.cleaned_data["matching"])
        kept_off = self.draft.off
        self._switch(tree)
        own = ("direction", "creates", "conflict", "matching")
        wrong = self.problems_of(tree, *own)
        if show_problems(form, wrong, {name: name for name in own}):
            self.draft.off = kept_off
            return self._shown(form)
        wanted = self.request.POST.get("go", "")
        if wanted in SUB_PAGES or choose_keys:
            self.save(tree, "configure")
            return self.go(wanted if wanted in SUB_PAGES else "keys")
        self.save(tree, "limit")
        return self.go("limit")

    def _match(self, tree: Json, matching: str) -> bool:
        """Note how records match. Returns: whether keys have to be chosen now."""
        if matching != "fields":
            tree.pop("match", None)
            tree["matching"] = matching
            return False
        tree.pop("matching", None)
        if tree.get("match"):
            return False
        spec, objects = self.look.spec, self.look.objects
        usual = (
            default_match(objects[Side.HUBSPOT], objects[Side.APP], spec.fields, "")
            if spec is not None and len(objects) == len(Side)
            else ()
        )
        parts = [part for key in usual for part in key]
        tree["match"] = [
            {"hubspot": p.hubspot, "app": p.app, "normalize": p.normalize}
            for p in parts
        ]
        if not parts:
            tree.pop("match")
            tree["matching"] = "default"
        return True

    def _switch(self, tree: Json) -> None:
        """Take mappings on and off as their switches say."""
        on = set(self.request.POST.getlist("on"))
        rows = list(self._rows())
        tree["fields"] = [row["tree"] for row in rows if row["key"] in on]
        self.draft.off = [
            row["tree"] for row in rows if row["key"] not in on and not row["usual"]
        ]

    # What is shown ----------------------------------------------------------------------

    def _rows(self) -> Iterator[Json]:
        """The mappings with a switch each: those in use, those off, the usual ones."""
        fields = self.draft.tree.get("fields") or []
        taken = {(f.get("hubspot"), f.get("app")) for f in (*fields, *self.draft.off)}
        used = [{name for pair in taken if (name := pair[at])} for at in (0, 1)]
        for at, tree in enumerate(fields):
            yield {
                "key": f"on-{at}",
                "at": at,
                "tree": tree,
                "on": True,
                "usual": False,
            }
        for at, tree in enumerate(self.draft.off):
            yield {"key": f"off-{at}", "tree": tree, "on": False, "usual": False}
        if len(self.look.objects) < len(Side):
            return
        for tree in usual_fields(self.app, self.draft.tree, self.look.objects):
            if tree["hubspot"] not in used[0] and tree["app"] not in used[1]:
                key = f"usual-{tree['hubspot']}={tree['app']}"
                yield {"key": key, "tree": tree, "on": False, "usual": True}

    def _shown_rows(self, form: ConfigureForm) -> list[Json]:
        posted = set(self.request.POST.getlist("on")) if form.is_bound else None
        return [self._shown_row(row, posted) for row in self._rows()]

    def _shown_row(self, row: Json, posted: set[str] | None) -> Json:
        tree, at = row["tree"], row.get("at")
        spec = FieldSpec("", **tree)
        own = str(self.draft.tree.get("direction", "two_way"))
        return {
            **row,
            "on": row["on"] if posted is None else row["key"] in posted,
            "hubspot": self._label(Side.HUBSPOT, spec.hubspot),
            "app": self._label(Side.APP, spec.app),
            "arrow": arrow(spec.direction or own),
            "conflict": dict(conflicts(self.app)).get(spec.conflict, ""),
            "values": len(spec.values),
            "seed": spec.seed,
            "edit": f"{self.url('field')}?at={at}" if at is not None else "",
            "problems": self.look.under(f"fields[{at}]") if at is not None else [],
        }

    def _label(self, side: Side, name: str) -> str:
        obj = self.obj(side)
        found = obj.field(name) if obj else None
        return named(name, found.label) if found else name

    def _links(self) -> list[Json]:
        """The association mappings, each with what it is and what is wrong with it."""
        spec = self.look.settled or self.look.spec
        links = spec.associations if spec else ()
        return [self._link(at, link) for at, link in enumerate(links)]

    def _link(self, at: int, link: AssociationSpec) -> Json:
        own = str(self.draft.tree.get("direction", "two_way"))
        return {
            "place": self._label(Side.APP, link.app_field),
            "name": link.app_field,
            "kind": "join table" if link.join else "key field" if link.by else "",
            "to": link.to,
            "types": types_words(link, self.look),
            "arrow": arrow(link.direction or own),
            "edit": f"{self.url('link')}?at={at}",
            "problems": self.look.under(f"associations[{at}]"),
        }

    def _references(self, links: list[Json]) -> list[Json]:
        """The app's reference fields, and how it stands with what each points to."""
        app = self.obj(Side.APP)
        if app is None:
            return []
        syncs = list(ObjectSync.objects.filter(app=self.app, archived_at=None))
        return [
            self._reference(app, reference, links, syncs)
            for reference in app.references
        ]

    def _reference(
        self,
        app: ObjectType,
        reference: ReferenceField,
        links: list[Json],
        syncs: list[ObjectSync],
    ) -> Json:
        schema = self.look.schemas[Side.APP]
        target = schema.object(reference.target)
        itself = target is not None and target.id == app.id
        covering = [
            sync
            for sync in syncs
            if target is not None
            and (held := schema.object(sync.app_object)) is not None
            and held.id == target.id
        ]
        on = [sync for sync in covering if sync.enabled]
        return {
            "name": named(reference.name, reference.label),
            "target": (target.label or target.name) if target else reference.target,
            "many": reference.many,
            "sync": next(iter([*on, *covering]), None),
            "on": bool(on) or itself,
            "itself": itself,
            "mapped": next((x for x in links if x["name"] == reference.name), None),
            "map": f"{self.url('link')}?app_field={reference.name}",
            "first": first_url(self.draft, target, self.look.schemas)
            if target is not None and not covering and not itself
            else "",
        }

    def _shown(self, form: ConfigureForm) -> HttpResponse:
        links = self._links()
        settled = self.look.settled
        return self.show(
            form=form,
            rows=self._shown_rows(form),
            links=links,
            references=self._references(links),
            keys=[key_words(key) for key in settled.match] if settled else [],
            key_problems=self.look.under("match", "matching"),
            field_problems=[p for p in self.look.problems if p.path == "sync.fields"],
            lab=shown_lab(self.draft, self.look),
        )
