"""Add a mapping (H): the app's field first, which narrows what HubSpot's side offers."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpResponse, HttpResponseRedirect

from associations.admin.flow.base import Page
from associations.admin.flow.fields import (
    Select,
    TextInput,
    choice,
    field_choices,
    named,
    show_problems,
)
from associations.admin.flow.rows import conflicts, pair_of, seeds
from associations.admin.flow.select import directions
from associations.drafts.trees import field_tree
from associations.setup.compatible import fit
from associations.setup.guessing import usual_way
from associations.setup.spec import FieldSpec
from connections.admin.base import number_of
from connections.records import Field, ObjectType, Side
from syncs.admin.forms import PairsField

Json = dict[str, Any]
MOST_OPTIONS = 200  # side by side; more are typed, one a line
AS_SYNC = ("", "As the sync")


class FieldForm(forms.Form):
    """One field mapping, once its app field is chosen."""

    def __init__(
        self,
        *args: Any,
        page: FieldPage,
        app_field: Field | None,
        hubspot_field: Field | None,
        **kw: Any,
    ) -> None:
        super().__init__(*args, **kw)
        self.page, self.app_field, self.hubspot_field = page, app_field, hubspot_field
        pick = [("", "Select a property")]
        self.fields["hubspot"] = choice(
            "HubSpot property", [*pick, *page.compatible(app_field)]
        )
        self._direction()
        self.fields["conflict"] = choice(
            "Where both sides changed it",
            [AS_SYNC, *conflicts(page.app)],
            required=False,
        )
        self.fields["never_blank"] = choice(
            "Empty values",
            [
                ("", "By default: never for match keys"),
                ("true", "Never travel"),
                ("false", "Travel"),
            ],
            required=False,
        )
        if page.is_new_to_a_live_sync:
            self.fields["seed"] = choice(
                "Whose values it begins with",
                seeds(page.app),
                required=False,
                help_text="The sync has pairs already: where both sides hold a value, "
                "this side's is kept. An empty value never wins.",
            )
        self._values()

    def _direction(self) -> None:
        """All arrows, or the one that read-only fields leave, saying why."""
        own = directions(self.page.app)
        help_text = ""
        for side, field in (
            (Side.HUBSPOT, self.hubspot_field),
            (Side.APP, self.app_field),
        ):
            if field is not None and field.read_only:
                forced = f"to_{side.other}"
                own = [one for one in own if one[0] == forced]
                why = f": {field.read_only_reason}" if field.read_only_reason else ""
                help_text = f"{named(field.name, field.label)} is read-only{why}."
        free = [AS_SYNC, *own] if len(own) > 1 else own
        self.fields["direction"] = choice(
            "Which way", free, required=False, help_text=help_text
        )

    def _values(self) -> None:
        """Option values side by side, one row for each of HubSpot's."""
        hubspot, app = self.hubspot_field, self.app_field
        self.option_rows: list[tuple[str, str]] = []
        if hubspot is None or app is None or hubspot.people:
            return
        if not hubspot.options or len(hubspot.options) > MOST_OPTIONS:
            if hubspot.options or app.options:
                self.fields["values"] = PairsField(
                    texts=True,
                    label="Option values",
                    help_text='One "HubSpot value = app value" a line.',
                )
            return
        theirs = [(o.value, named(o.value, o.label)) for o in app.options]
        for at, option in enumerate(hubspot.options):
            label = named(option.value, option.label)
            self.option_rows.append((f"value-{at}", option.value))
            if theirs:
                choices = [("", "The same value"), *theirs]
                self.fields[f"value-{at}"] = forms.ChoiceField(
                    label=label, choices=choices, required=False, widget=Select()
                )
            else:
                self.fields[f"value-{at}"] = forms.CharField(
                    label=label, required=False, widget=TextInput()
                )

    @property
    def options(self) -> list[Any]:
        return [self[name] for name, _ in self.option_rows]

    @property
    def plain(self) -> list[Any]:
        own = {name for name, _ in self.option_rows}
        return [bound for bound in self if bound.name not in own]

    def mapping(self) -> Json:
        """What was typed, as a set-up file says it."""
        given = self.cleaned_data
        values = dict(given.get("values") or {})
        values |= {
            value: given[name] for name, value in self.option_rows if given.get(name)
        }
        blank = given.get("never_blank")
        return field_tree(
            FieldSpec(
                "",
                hubspot=given["hubspot"],
                app=self.page.app_name,
                direction=given["direction"],
                conflict=given["conflict"],
                never_blank=None if not blank else blank == "true",
                seed=str(given.get("seed", self.page.kept.get("seed", ""))),
                values=values,
            )
        )


class FieldPage(Page):
    """A mapping that is added (`?app=`), or edited (`?at=` its place)."""

    step = "configure"
    template = "crosslink/flow/field_page.html"

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        asked = number_of(self.request.GET.get("at"))
        fields = self.draft.tree.get("fields") or []
        self.at = asked if asked is not None and asked < len(fields) else None
        self.kept: Json = fields[self.at] if self.at is not None else {}
        self.app_name = str(self.kept.get("app") or self.request.GET.get("app", ""))

    @property
    def is_new_to_a_live_sync(self) -> bool:
        """Whether pairs exist already for which this field would be a first sync."""
        held = self.held_fields
        if held is None:
            return False
        return self.at is None or pair_of(self.kept) not in held

    def compatible(self, field: Field | None) -> list[tuple[str, str]]:
        """HubSpot's properties that a field can sync with, saying which way."""
        hubspot = self.obj(Side.HUBSPOT)
        if hubspot is None or field is None:
            return []
        taken = {f.get("hubspot") for f in self.draft.tree.get("fields") or []}
        found = []
        for one in sorted(hubspot.fields, key=lambda f: (f.label or f.name).casefold()):
            mine = one.name == self.kept.get("hubspot")
            if not mine and (
                not fit(one.type, field.type) or (one.read_only and field.read_only)
            ):
                continue
            notes = [str(one.type)]
            if one.read_only:
                notes.append("read-only")
            if one.name in taken and not mine:
                notes.append("mapped already")
            found.append(
                (one.name, f"{named(one.name, one.label)} · {', '.join(notes)}")
            )
        return found

    def get(self) -> HttpResponse:
        app = self.obj(Side.APP)
        if app is None:
            return self.go("configure")
        if not self.app_name:
            return self.show(choose=self._chooser(app))
        if app.reference(self.app_name) is not None:
            query = urlencode({"app_field": self.app_name})
            return HttpResponseRedirect(f"{self.url('link')}?{query}")
        blank = self.kept.get("never_blank")
        first = {
            **self.kept,
            "hubspot": self.kept.get("hubspot") or self._likely(app),
            "never_blank": "" if blank is None else str(blank).lower(),
        }
        hubspot = self._property(str(first["hubspot"] or ""))
        if self.at is None:
            first["direction"] = self._usual(app, hubspot)
        form = self._form(app, hubspot, initial=first)
        words = self.kept.get("values") or self._same_options(hubspot, form.app_field)
        form.initial.update({n: words.get(v, "") for n, v in form.option_rows})
        form.initial["values"] = words
        return self._shown(form)

    def post(self) -> HttpResponse:
        app = self.obj(Side.APP)
        if app is None:
            return self.go("configure")
        tree, posted = self.tree(), self.request.POST
        if posted.get("go") == "remove" and self.at is not None:
            gone = tree["fields"].pop(self.at)
            self.draft.off = [*self.draft.off, gone]
            self.save(tree)
            self.say(f"{gone['app']} is switched off.")
            return self.go("configure", "#fields")
        hubspot = self._property(posted.get("hubspot", ""))
        form = self._form(app, hubspot, posted)
        if posted.get("go") == "options":
            # Shown again with both sides' options; nothing is saved yet.
            form = self._form(app, hubspot, initial=posted.dict())
            same = self._same_options(hubspot, form.app_field)
            form.initial.update({n: same.get(v, "") for n, v in form.option_rows})
            return self._shown(form)
        if not form.is_valid():
            return self._shown(form)
        at = len(tree["fields"]) if self.at is None else self.at
        tree["fields"][at : at + 1] = [form.mapping()]
        # What is wrong with it, or with another mapping because of it.
        own = self.problems_of(tree, f"fields[{at}]")
        rest = [p for p in self.problems_of(tree, "fields") if p not in own]
        wrong = [*own, *(p for p in rest if p not in self.look.problems)]
        places = {
            f"fields[{at}].{name}": name
            for name in ("hubspot", "direction", "conflict", "values")
        }
        if show_problems(form, wrong, places):
            return self._shown(form)
        pair = (form.cleaned_data["hubspot"], self.app_name)
        self.draft.off = [f for f in self.draft.off if pair_of(f) != pair]
        self.save(tree)
        self.say(f"{self.app_name} syncs with {form.cleaned_data['hubspot']}.")
        return self.go("configure", "#fields")

    def _form(
        self, app: ObjectType, hubspot: Field | None, *args: Any, **kw: Any
    ) -> FieldForm:
        own = app.field(self.app_name)
        return FieldForm(*args, page=self, app_field=own, hubspot_field=hubspot, **kw)

    def _property(self, name: str) -> Field | None:
        hubspot = self.obj(Side.HUBSPOT)
        return hubspot.field(name) if hubspot else None

    def _likely(self, app: ObjectType) -> str:
        """The property of the same name, where values can travel."""
        field, hubspot = app.field(self.app_name), self.obj(Side.HUBSPOT)
        if field is None or hubspot is None:
            return ""
        word = "".join(c for c in field.name.casefold() if c.isalnum())
        named_so = [f for f in hubspot.fields if f.name.casefold() == word]
        return next((f.name for f in named_so if usual_way(f, field)), "")

    def _usual(self, app: ObjectType, hubspot: Field | None) -> str:
        """The direction in which all values fit, where that is less than the sync's."""
        field = app.field(self.app_name)
        way = usual_way(hubspot, field) if hubspot and field else ""
        own = str(self.draft.tree.get("direction", "two_way"))
        return way if own == "two_way" and way != own else ""

    def _same_options(self, one: Field | None, other: Field | None) -> dict[str, str]:
        """Options that have one name on both sides, but for letter case."""
        if one is None or other is None:
            return {}
        theirs = {o.value.casefold(): o.value for o in other.options}
        theirs |= {(o.label or o.value).casefold(): o.value for o in other.options}
        pairs = {
            o.value: theirs.get(o.value.casefold())
            or theirs.get((o.label or o.value).casefold(), "")
            for o in one.options
        }
        return {mine: its for mine, its in pairs.items() if its and its != mine}

    def _chooser(self, app: ObjectType) -> forms.Form:
        form = forms.Form()
        pointing = {c for r in app.references for c in (r.name, *r.columns)}
        plain = [c for c in field_choices(app) if c[0] not in pointing]
        references = [
            (r.name, f"{named(r.name, r.label)} → {r.target}") for r in app.references
        ]
        groups: list[tuple[str, Any]] = [("", "Select a field"), ("Fields", plain)]
        if references:
            groups.append(("Reference fields", references))
        form.fields["app"] = choice(f"{self.app.name}'s field", groups)
        return form

    def _shown(self, form: FieldForm) -> HttpResponse:
        field = form.app_field
        label = named(field.name, field.label) if field else self.app_name
        kind = str(field.type) if field else "not there any more"
        return self.show(form=form, app_label=f"{label} · {kind}", at=self.at)
