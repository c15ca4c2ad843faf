"""An association mapping: what the app has of links, its target, and their types."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django import forms
from django.http import HttpResponse

from associations.admin.flow.base import Page
from associations.admin.flow.fields import choice, named, show_problems, text, yes_no
from associations.admin.flow.select import directions, first_url
from associations.admin.forms import LabelsField, TypeField
from associations.drafts import look
from associations.drafts.publishing import make_missing
from associations.drafts.types import labels_from
from connections import services
from connections.admin.base import number_of
from connections.connectors.registry import capabilities
from connections.records import ObjectType, Side
from syncs.models import ObjectSync

Json = dict[str, Any]
REFERENCE, JOIN, KEY = "reference", "join_table", "match_key"
AS_SYNC = ("", "As the sync")
NAMES = {
    "app_field": "app_field",
    "join_table.from": "join_from",
    "join_table.to": "join_to",
    "join_table.label": "join_label",
    "join_table": "app_field",
    "to": "to",
    "by": "by",
    "type": "type",
    "labels": "labels",
    "direction": "direction",
    "conflict": "conflict",
    "on_unlink": "on_unlink",
}


class LinkForm(forms.Form):
    def __init__(self, *args: Any, page: LinkPage, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.page = page
        if page.reference is None:
            self._not_a_reference()
        self.fields["to"] = choice("Leads to the sync", page.targets())
        type_ = TypeField(
            label="Association types",
            required=False,
            help_text="None chosen: primary where there is one and the field holds one, "
            "else default. Several: a link carries all of them.",
        )
        type_.offer(page.labels, page.kept.get("type", ""), page.directed)
        self.fields["type"] = type_
        if page.knows_labels:
            self.fields["new_label"] = text(
                "Label to make",
                max_length=100,
                help_text="A label that HubSpot has not yet: links carry it, too.",
            )
            self.fields["make_label"] = yes_no(
                "Make it in HubSpot",
                help_text="Confirms that the label is wanted there; it is made when this "
                "is saved.",
            )
        self.fields["direction"] = choice(
            "Which way", [AS_SYNC, *directions(page.app)], required=False
        )
        self.fields["conflict"] = choice(
            "Where both sides changed a link",
            [
                AS_SYNC,
                ("hubspot", "HubSpot wins"),
                ("app", f"{page.app.name} wins"),
                ("review", "A person decides"),
            ],
            required=False,
        )
        self.fields["on_unlink"] = choice(
            "When a primary link is taken off",
            [("keep_pair", "Keep the plain link"), ("remove_pair", "Remove the link")],
        )

    def _not_a_reference(self) -> None:
        page = self.page
        kinds = [(KEY, "A field with the target's key")]
        if page.has_tables:
            kinds.insert(0, (JOIN, "A join table"))
        self.fields["by"] = choice("Links are kept in", kinds)
        self.fields["app_field"] = text("Field or table", required=True)
        if page.has_tables:
            self.fields["join_from"] = text(
                "Column with this record's key", help_text="Of a join table."
            )
            self.fields["join_to"] = text("Column with the target's key")
            self.fields["join_label"] = text("Column with the label, if there is one")
            self.fields["labels"] = LabelsField(
                label="Labels",
                help_text="Of a label column: its value = HubSpot's label, one a line.",
            )

    def mapping(self) -> Json:
        """What was typed, as a set-up file says it."""
        given = self.cleaned_data
        by = given.get("by", REFERENCE)
        found: Json = {}
        if by == JOIN:
            found["join_table"] = {
                key: given[name]
                for key, name in (
                    ("name", "app_field"),
                    ("from", "join_from"),
                    ("to", "join_to"),
                    ("label", "join_label"),
                )
                if given.get(name)
            }
            if given.get("labels"):
                found["labels"] = {v: _label(w) for v, w in given["labels"].items()}
        else:
            found["app_field"] = given.get("app_field") or self.page.app_field
            if by == KEY:
                found["by"] = KEY
        found["to"] = given["to"]
        kept = given.get("type") or []
        kept = kept if isinstance(kept, list) else [kept]
        words = [*kept, *([w] if (w := given.get("new_label", "").strip()) else [])]
        if words and not found.get("labels"):
            found["type"] = words[0] if len(words) == 1 else words
        for name in ("direction", "conflict"):
            if given[name]:
                found[name] = given[name]
        if given["on_unlink"] != "keep_pair":
            found["on_unlink"] = given["on_unlink"]
        return found


def _label(word: str) -> Any:
    category, sign, number = word.rpartition(":")
    if sign and number.isdecimal() and category.isupper():
        return {"category": category, "id": int(number)}
    return word


class LinkPage(Page):
    """A mapping that is added (`?app_field=` a reference, or neither), or edited."""

    step = "configure"
    template = "crosslink/flow/link.html"

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        asked = number_of(self.request.GET.get("at"))
        links = self.draft.tree.get("associations") or []
        self.at = asked if asked is not None and asked < len(links) else None
        self.kept: Json = links[self.at] if self.at is not None else {}
        self.app_field = str(
            self.kept.get("app_field") or self.request.GET.get("app_field", "")
        )
        app = self.obj(Side.APP)
        plain = bool(self.kept.get("by") or self.kept.get("join_table"))
        self.reference = (
            app.reference(self.app_field) if app is not None and not plain else None
        )
        self.knows_labels = services.knows_labels(self.app.hubspot)
        self.labels, self.directed = self._labels()

    @property
    def has_tables(self) -> bool:
        return capabilities(self.app.kind).link_tables

    def target(self) -> ObjectType | None:
        """What the reference field points to."""
        if self.reference is None:
            return None
        return self.look.schemas[Side.APP].object(self.reference.target)

    @cached_property
    def syncs(self) -> list[ObjectSync]:
        """The syncs that links may lead to: of what the field points to."""
        rows = ObjectSync.objects.filter(app=self.app, archived_at=None)
        syncs = list(rows.exclude(pk=self.draft.sync_id or 0))
        target, schema = self.target(), self.look.schemas[Side.APP]
        if target is None:
            return syncs
        return [
            sync
            for sync in syncs
            if (held := schema.object(sync.app_object)) is not None
            and held.id == target.id
        ]

    def targets(self) -> list[tuple[str, str]]:
        names = [
            (s.name, s.name if s.enabled else f"{s.name} · off: its links wait")
            for s in self.syncs
        ]
        target, own = self.target(), self.obj(Side.APP)
        if target is None or (own is not None and own.id == target.id):
            names.append((self.draft.name, f"{self.draft.name} · this sync itself"))
        return names if len(names) == 1 else [("", "Select a sync"), *names]

    def _labels(self) -> tuple[dict[str, Any], dict[str, str]]:
        """The labels towards what the field points to, by what is sent for each; and
        how each is shown, with its direction."""
        near = self.obj(Side.HUBSPOT)
        schema = self.look.schemas.get(Side.HUBSPOT)
        if near is None or schema is None:
            return {}, {}
        fars = {schema.object(sync.hubspot_object) for sync in self.syncs}
        if self.reference is None or self.target() == self.obj(Side.APP):
            fars.add(near)
        known = [far for far in fars if far is not None]
        found = labels_from(
            self.app.hubspot, near, known, ask=self.reference is not None
        )
        labels = {name: word for name, word, _ in found}
        shown = {name: words for name, _, words in found}
        return labels, shown

    def get(self) -> HttpResponse:
        if self.obj(Side.APP) is None:
            return self.go("configure")
        join = self.kept.get("join_table") or {}
        labels = self.kept.get("labels") or {}
        first = {
            "by": JOIN
            if join
            else self.kept.get("by", JOIN if self.has_tables else KEY),
            "app_field": join.get("name") or self.app_field,
            "join_from": join.get("from", ""),
            "join_to": join.get("to", ""),
            "join_label": join.get("label", ""),
            "labels": [[value, word] for value, word in labels.items()],
            "to": self.kept.get("to") or self.targets()[0][0],
            "type": self.kept.get("type", ""),
            "direction": self.kept.get("direction", ""),
            "conflict": self.kept.get("conflict", ""),
            "on_unlink": self.kept.get("on_unlink", "keep_pair"),
        }
        return self._shown(LinkForm(page=self, initial=first))

    def post(self) -> HttpResponse:
        tree, posted = self.tree(), self.request.POST
        tree.setdefault("associations", [])
        if posted.get("go") == "remove" and self.at is not None:
            tree["associations"].pop(self.at)
            self.save(tree)
            self.say("The association mapping is taken off the draft.")
            return self.go("configure", "#links")
        form = LinkForm(posted, page=self)
        if not form.is_valid():
            return self._shown(form)
        at = len(tree["associations"]) if self.at is None else self.at
        tree["associations"][at : at + 1] = [form.mapping()]
        if self._wrong(form, tree, at):
            return self._shown(form)
        self.save(tree)
        self.say(f"Links lead to {form.cleaned_data['to']}.")
        return self.go("configure", "#links")

    def _wrong(self, form: LinkForm, tree: Json, at: int) -> bool:
        """Show what is wrong beside the fields; a confirmed label is made first."""
        place = f"associations[{at}]"
        found = look(self.draft, tree)
        wrong = found.under(place)
        mine = [m for m in found.missing if m.problem in wrong]
        confirmed = form.cleaned_data.get("new_label") and form.cleaned_data.get(
            "make_label"
        )
        if mine and confirmed and len(mine) == len(wrong):
            found.missing[:] = mine
            wrong = make_missing(self.draft, found) or look(self.draft, tree).under(
                place
            )
        return show_problems(form, wrong, {f"{place}.{k}": v for k, v in NAMES.items()})

    def _shown(self, form: LinkForm) -> HttpResponse:
        target = self.target()
        blocked = ""
        if target is not None and not any(name for name, _ in self.targets()):
            blocked = first_url(self.draft, target, self.look.schemas)
        label = named(self.app_field, self.reference.label) if self.reference else ""
        return self.show(
            form=form,
            at=self.at,
            app_label=label,
            target=(target.label or target.name) if target else "",
            set_up_first=blocked,
        )
