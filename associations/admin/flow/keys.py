"""Record matching: Choose your fields, beside the key lab."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse

from associations.admin.flow.base import Page
from associations.admin.flow.fields import choice, field_choices, show_problems
from associations.drafts.lab import shown_lab, study
from associations.drafts.wording import NORMALIZERS
from connections.connectors.base import ConnectorError
from connections.records import Side

Json = dict[str, Any]
SPARE = 2  # blank rows
MOST = 5
KEYS = [(str(n), f"Key {n}") for n in range(1, MOST + 1)]


class PartForm(forms.Form):
    """One pair of fields; pairs of one key must agree together."""

    def __init__(
        self, *args: Any, hubspot: Any, app: Any, number: int, **kw: Any
    ) -> None:
        super().__init__(*args, **kw)
        self.fields["key"] = choice("Tried as", KEYS, initial=str(min(number, MOST)))
        self.fields["app"] = choice("App's field", app, required=False)
        self.fields["hubspot"] = choice("HubSpot property", hubspot, required=False)
        self.fields["normalize"] = choice(
            "Compared", list(NORMALIZERS.items()), initial="casefold"
        )

    def clean(self) -> Json:
        cleaned = super().clean() or {}
        for one, other in (("app", "hubspot"), ("hubspot", "app")):
            if cleaned.get(one) and not cleaned.get(other):
                self.add_error(other, "A key needs a field on each side.")
        return cleaned


def rows_of(match: list[Json]) -> list[Json]:
    """A file's `match` as rows, each with the number of its key."""
    return [
        {"key": str(at), "normalize": "exact", **part}
        for at, key in enumerate(match, start=1)
        for part in key.get("all", [key])
    ]


class NumberedRows(forms.BaseFormSet[PartForm]):
    """A blank row is a key of its own, tried last, unless it is given another number."""

    def get_form_kwargs(self, index: int | None) -> Json:
        return {**super().get_form_kwargs(index), "number": (index or 0) + 1}


class KeysPage(Page):
    step = "configure"
    template = "crosslink/flow/keys.html"

    def formset(self, data: Any = None) -> Any:
        first = rows_of(self.draft.tree.get("match") or [])
        if not first and self.look.settled is not None:
            first = [
                {
                    "key": str(at),
                    "hubspot": p.hubspot,
                    "app": p.app,
                    "normalize": p.normalize,
                }
                for at, key in enumerate(self.look.settled.match, start=1)
                for p in key
            ]
        pick = "Select a field"
        choices = {
            side: field_choices(
                self.obj(side), [str(row.get(side)) for row in first], empty=pick
            )
            for side in Side
        }
        made = forms.formset_factory(PartForm, NumberedRows, extra=SPARE, max_num=20)
        kwargs = {"hubspot": choices[Side.HUBSPOT], "app": choices[Side.APP]}
        return made(data, initial=first, form_kwargs=kwargs, prefix="key")

    def get(self) -> HttpResponse:
        return self._shown(self.formset())

    def post(self) -> HttpResponse:
        formset = self.formset(self.request.POST)
        if not formset.is_valid():
            return self._shown(formset)
        filled = [f for f in formset.forms if f.cleaned_data.get("hubspot")]
        if not filled:
            formset.forms[0].add_error("app", "Choose at least one pair of fields.")
            return self._shown(formset)
        ranks: dict[str, list[Json]] = {}
        for form in filled:
            given = form.cleaned_data
            part = {name: given[name] for name in ("hubspot", "app", "normalize")}
            ranks.setdefault(given["key"], []).append(part)
        tree = self.tree()
        tree.pop("matching", None)
        tree["match"] = [
            parts[0] if len(parts) == 1 else {"all": parts}
            for _, parts in sorted(ranks.items())
        ]
        wrong = self.problems_of(tree, "match", "matching")
        if show_problems(filled[0], wrong, {}):
            return self._shown(formset)
        self.save(tree)
        if self.request.POST.get("go") == "lab":
            return self._study()
        return self.go("configure", "#matching")

    def _study(self) -> HttpResponse:
        if self.look.settled is None:
            return self.go("keys")
        try:
            study(self.draft, self.look)
        except ConnectorError as exc:
            messages.error(self.request, f"{exc.code}: {exc.message} {exc.remedy}")
        return self.go("keys", "#lab")

    def _shown(self, formset: Any) -> HttpResponse:
        return self.show(formset=formset, lab=shown_lab(self.draft, self.look))
