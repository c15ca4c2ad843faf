"""Step 2: configure (H). Its sections are one form, so that no way out loses a choice."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpResponse, HttpResponseRedirect

from associations.admin.flow.fields import choice, named, radio, show_problems
from associations.admin.flow.rows import EDIT_FIELD, FieldRows, conflicts
from associations.admin.flow.select import directions, first_url
from associations.drafts.lab import shown_lab
from associations.drafts.wording import arrow, key_words, types_words
from associations.setup.defaults import default_match
from associations.setup.spec import AssociationSpec
from connections.admin.base import number_of
from connections.models import ConnectedApp
from connections.records import ObjectType, ReferenceField, Side
from syncs.models import ObjectSync
from syncs.models.choices import Creates

Json = dict[str, Any]
SUB_PAGES = ("field", "link", "keys")
# Buttons that lead to one mapping or reference, which stands after a colon.
EDIT_LINK, MAP_LINKS, FIRST = "link", "map", "first"


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


class ConfigurePage(FieldRows):
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
        self.switch(tree)
        own = ("direction", "creates", "conflict", "matching")
        wrong = self.problems_of(tree, *own)
        if show_problems(form, wrong, {name: name for name in own}):
            self.draft.off = kept_off
            return self._shown(form)
        wanted = self.request.POST.get("go", "")
        out = self._way_out(wanted, tree)
        if wanted in SUB_PAGES or out or choose_keys:
            self.save(tree, "configure")
            if out:
                return HttpResponseRedirect(out)
            return self.go(wanted if wanted in SUB_PAGES else "keys")
        self.save(tree, "limit")
        return self.go("limit")

    def _way_out(self, wanted: str, tree: Json) -> str:
        """Where the button of one mapping or reference leads, or nowhere.

        Args: tree, what is about to be saved: a mapping's place may have changed.
        """
        what, _, which = wanted.partition(":")
        place = number_of(which)
        if what == EDIT_FIELD and place is not None:
            return self.edit_url(place, tree)
        if what == EDIT_LINK and place is not None:
            return f"{self.url('link')}?at={which}"
        if what == MAP_LINKS and which:
            return f"{self.url('link')}?{urlencode({'app_field': which})}"
        app = self.obj(Side.APP)
        reference = app.reference(which) if what == FIRST and app else None
        if reference is None:
            return ""
        target = self.look.schemas[Side.APP].object(reference.target)
        return first_url(self.draft, target, self.look.schemas) if target else ""

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

    # What is shown ----------------------------------------------------------------------

    def _links(self) -> list[Json]:
        """The association mappings, each with what it is and what is wrong with it."""
        spec = self.look.settled or self.look.spec
        links = spec.associations if spec else ()
        return [self._link(at, link) for at, link in enumerate(links)]

    def _link(self, at: int, link: AssociationSpec) -> Json:
        own = str(self.draft.tree.get("direction", "two_way"))
        return {
            "place": self.label(Side.APP, link.app_field),
            "name": link.app_field,
            "kind": "join table" if link.join else "key field" if link.by else "",
            "to": link.to,
            "types": types_words(link, self.look),
            "arrow": arrow(link.direction or own),
            "edit": f"{EDIT_LINK}:{at}",
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
            "map": f"{MAP_LINKS}:{reference.name}",
            "first": f"{FIRST}:{reference.name}"
            if target is not None and not covering and not itself
            else "",
        }

    def _shown(self, form: ConfigureForm) -> HttpResponse:
        links = self._links()
        settled = self.look.settled
        return self.show(
            form=form,
            rows=self.shown_rows(bound=form.is_bound),
            links=links,
            references=self._references(links),
            keys=[key_words(key) for key in settled.match] if settled else [],
            key_problems=self.look.under("match", "matching"),
            field_problems=[p for p in self.look.problems if p.path == "sync.fields"],
            lab=shown_lab(self.draft, self.look),
        )
