"""Step 3: limit (H): filters, what a run may do at most, deletes, and when runs are."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse

from associations.admin.flow.base import Page
from associations.admin.flow.fields import (
    Textarea,
    choice,
    field_choices,
    show_problems,
    text,
    yes_no,
)
from associations.drafts.counting import count, shown_count
from associations.drafts.wording import filter_words
from associations.setup.filters import NOUN
from connections.connectors.base import ConnectorError
from connections.records import Side
from syncs.admin.forms import PairsField
from syncs.admin.scope import WORDS, ValueField
from syncs.engine import limits
from syncs.engine.filters import LISTS, VALUELESS

Json = dict[str, Any]
SPARE = 2
LIMITS = {
    "create": "Records created",
    "update": "Records updated",
    "archive": "Records archived",
    "unlink": "Links removed",
    "blank": "Values emptied",
    "percent": "Percent of the pairs changed",
}
TIMES = {
    "every": "Run every",
    "sweep_every": "Look at all links every",
    "full_every": "Read everything every",
}
USUAL_TIMES = {"every": "10m", "sweep_every": "1h", "full_every": "24h"}
# Where a problem's key is shown; the others have fields of their own name.
PLACES = {
    **{f"limits.{name}": f"limit_{name}" for name in LIMITS},
    **{f"archive.{side}": f"archive_{side}" for side in Side},
    **{f"on_create.{side}": f"on_create_{side}" for side in Side},
    "marker": "marker",
    **{n: n for n in (*TIMES, "deletes", "hard_delete", "app_cursor", "timezone")},
}


class LimitForm(forms.Form):
    def __init__(self, *args: Any, page: LimitPage, **kw: Any) -> None:
        super().__init__(*args, **kw)
        app, hubspot_name = page.app.name, "HubSpot"
        for name, label in LIMITS.items():
            usual = limits.DEFAULTS[name]
            self.fields[f"limit_{name}"] = text(
                label,
                help_text=f"Blank: {'no limit' if usual is None else usual}"
                f"{'' if usual is None else '; off: no limit'}.",
            )
        self.fields["deletes"] = choice(
            "When a record is deleted",
            [
                ("ignore", "Leave the other record as it is"),
                ("ask", "Ask before the other record is archived"),
                ("propagate", "Archive the other record, too"),
            ],
            help_text="A record counts as deleted once its system says so for its id, or "
            "its archive field holds the value that archives it.",
        )
        self.fields["hard_delete"] = yes_no(
            "Delete what cannot be archived",
            help_text="For good, each once a person has approved it.",
        )
        for side, name in ((Side.HUBSPOT, hubspot_name), (Side.APP, app)):
            self.fields[f"archive_{side}"] = PairsField(
                label=f"{name}'s records are archived by",
                help_text='Blank: its own way, where it has one; else "field = value".',
            )
        for name, label in TIMES.items():
            more = ' or "off" for by hand only' if name == "every" else ""
            self.fields[name] = text(
                label,
                help_text=f"Such as 10m, 2h or 1d{more}; blank: {USUAL_TIMES[name]}.",
            )
        self.fields["app_cursor"] = choice(
            f"{app}'s time of change",
            [
                ("", "Its own, where it keeps one"),
                ("none", "None: compare all records"),
                *page.times(),
            ],
            required=False,
        )
        zones = [(z, z) for z in sorted(zoneinfo.available_timezones())]
        self.fields["timezone"] = choice(
            "Time zone", zones, help_text="Of dates and times that carry none."
        )
        self.fields["marker"] = choice(
            "External-id property",
            [("", "None"), *page.unique()],
            required=False,
            help_text="A unique HubSpot property that makes creates exact.",
        )
        for side, name in ((Side.HUBSPOT, hubspot_name), (Side.APP, app)):
            self.fields[f"on_create_{side}"] = PairsField(
                label=f"New records of {name} get",
                help_text='One "field = value" a line.',
            )

    def clean(self) -> Json:
        cleaned = super().clean() or {}
        for side in Side:
            if len(cleaned.get(f"archive_{side}") or {}) > 1:
                self.add_error(f"archive_{side}", "One field tells; name only one.")
        return cleaned


class LimitPage(Page):
    step = "limit"
    template = "crosslink/flow/limit.html"

    def times(self) -> list[tuple[str, str]]:
        obj, kept = self.obj(Side.APP), str(self.draft.tree.get("app_cursor") or "")
        found = (
            [(f.name, f.name) for f in obj.fields if f.type == "datetime"]
            if obj
            else []
        )
        known = {name for name, _ in found}
        if kept and kept != "none" and kept not in known:
            found.append((kept, kept))
        return found

    def unique(self) -> list[tuple[str, str]]:
        obj = self.obj(Side.HUBSPOT)
        kept = str((self.draft.tree.get("marker") or {}).get("hubspot", ""))
        names = (
            [f.name for f in obj.fields if f.unique and not f.read_only] if obj else []
        )
        names += [kept] if kept and kept not in names else []
        return [(name, name) for name in names]

    def get(self) -> HttpResponse:
        return self._shown(LimitForm(page=self, initial=self._first()))

    def _first(self) -> Json:
        tree = self.draft.tree
        archive, made = tree.get("archive") or {}, tree.get("on_create") or {}
        return {
            **{f"limit_{n}": v for n, v in (tree.get("limits") or {}).items()},
            "deletes": tree.get("deletes", "ignore"),
            "hard_delete": tree.get("hard_delete", False),
            **{f"archive_{s}": {a["field"]: a["value"]} for s, a in archive.items()},
            **{name: tree.get(name, "") for name in TIMES},
            "app_cursor": tree.get("app_cursor", ""),
            "timezone": tree.get("timezone", "UTC"),
            "marker": (tree.get("marker") or {}).get("hubspot", ""),
            **{f"on_create_{side}": values for side, values in made.items()},
        }

    def post(self) -> HttpResponse:
        form = LimitForm(self.request.POST, page=self)
        if not form.is_valid():
            return self._shown(form)
        tree = self.tree() | self._typed(form.cleaned_data)
        tree = {k: v for k, v in tree.items() if v not in ("", {}, None)}
        keys = ("limits", "archive", "on_create", "marker", *TIMES)
        own = (*keys, "deletes", "hard_delete", "app_cursor", "timezone", "conflict")
        if show_problems(form, self.problems_of(tree, *own), PLACES):
            return self._shown(form)
        wanted = self.request.POST.get("go", "")
        if wanted.startswith("filters-"):
            self.save(tree, "limit")
            return self.go("filters", side=wanted.removeprefix("filters-"))
        if wanted == "count":
            self.save(tree, "limit")
            return self._count()
        self.save(tree, "review")
        if "counts" not in self.draft.findings:
            self.measured()
        return self.go("review")

    def _typed(self, given: Mapping[str, Any]) -> Json:
        """What was typed, as a set-up file says it; "" for what is left to the default."""
        archive = {
            side.value: {"field": name, "value": value}
            for side in Side
            for name, value in (given.get(f"archive_{side}") or {}).items()
        }
        made = {
            side.value: values
            for side in Side
            if (values := given.get(f"on_create_{side}"))
        }
        typed = {n: str(given.get(f"limit_{n}") or "").strip() for n in LIMITS}
        return {
            "limits": {n: _number(word) for n, word in typed.items() if word},
            "deletes": given["deletes"],
            "hard_delete": given["hard_delete"],
            "archive": archive,
            **{name: given[name].strip() for name in TIMES},
            "app_cursor": given["app_cursor"],
            "timezone": given["timezone"],
            "marker": {"hubspot": given["marker"]} if given["marker"] else {},
            "on_create": made,
        }

    def _count(self) -> HttpResponse:
        if self.look.settled is None or self.look.under("filters"):
            messages.error(self.request, "Mend the filters first.")
            return self.go("limit")
        try:
            count(self.draft, self.look)
        except ConnectorError as exc:
            messages.error(self.request, f"{exc.code}: {exc.message} {exc.remedy}")
        return self.go("limit", "#filters")

    def _shown(self, form: LimitForm) -> HttpResponse:
        spec = self.look.settled or self.look.spec
        zone = spec.timezone if spec else "UTC"
        counts = shown_count(self.draft)
        sides = [
            {
                "side": side.value,
                "name": "HubSpot" if side is Side.HUBSPOT else self.app.name,
                "rules": [
                    filter_words(f, self.look, zone)
                    for f in (spec.filters if spec else ())
                    if f.side is side
                ],
                "count": counts[side] if counts else None,
                "problems": self.look.under(f"filters.{side}"),
            }
            for side in Side
        ]
        groups = [
            ("Limits of one run", [form[f"limit_{n}"] for n in LIMITS]),
            (
                "Deleted records",
                [
                    form[n]
                    for n in (
                        "deletes",
                        "hard_delete",
                        "archive_hubspot",
                        "archive_app",
                    )
                ],
            ),
            (
                "Schedule",
                [form[n] for n in (*TIMES, "app_cursor", "timezone")],
            ),
            (
                "New records",
                [form[n] for n in ("marker", "on_create_hubspot", "on_create_app")],
            ),
        ]
        return self.show(form=form, sides=sides, groups=groups, counts=counts)


def _number(word: str) -> Any:
    return int(word) if word.isdecimal() else word


class FilterForm(forms.Form):
    """One condition."""

    def __init__(self, *args: Any, fields: Any, noun: str, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.fields["field"] = choice(noun.capitalize(), fields, required=False)
        self.fields["operator"] = choice(
            "Operator", [("", "Select an operator"), *WORDS.items()], required=False
        )
        self.fields["value"] = ValueField(
            label="Value",
            help_text="Several: one a line. Dates: 2026-01-31, today, -30d",
        )
        self.fields["value"].widget = Textarea(attrs={"rows": 1})

    def clean(self) -> Json:
        cleaned = super().clean() or {}
        name, operator = cleaned.get("field"), cleaned.get("operator", "")
        if name and not operator:
            self.add_error("operator", "Select an operator.")
        lines = cleaned.get("value") or []
        if operator and not name:
            self.add_error("field", "Select what it is about.")
        if operator and not lines and operator not in VALUELESS:
            self.add_error("value", f"{WORDS[operator]}: give a value.")
        if operator in VALUELESS and lines:
            self.add_error("value", f"{WORDS[operator]}: it takes no value.")
        if operator not in LISTS:
            # Several of them are a set of options, or too many: the check tells.
            cleaned["value"] = lines if len(lines) > 1 else next(iter(lines), None)
        return cleaned


class FiltersPage(Page):
    """Filters, Edit (H), of one side; Done (H) leads back."""

    step = "limit"
    template = "crosslink/flow/filters.html"

    def __init__(self, *args: Any, side: str, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.side = Side(side)
        self.noun = NOUN[self.side]

    def formset(self, data: Any = None) -> Any:
        rows = (self.draft.tree.get("filters") or {}).get(self.side.value) or []
        first = [
            {
                "field": r.get(self.noun),
                "operator": r["operator"],
                "value": r.get("value"),
            }
            for r in rows
        ]
        kept = [str(row["field"]) for row in first]
        choices = field_choices(
            self.obj(self.side), kept, empty=f"Select a {self.noun}"
        )
        made = forms.formset_factory(FilterForm, extra=SPARE, max_num=50)
        kwargs = {"fields": choices, "noun": self.noun}
        return made(data, initial=first, form_kwargs=kwargs, prefix="filter")

    def get(self) -> HttpResponse:
        return self._shown(self.formset())

    def post(self) -> HttpResponse:
        formset = self.formset(self.request.POST)
        if not formset.is_valid():
            return self._shown(formset)
        filled = [f for f in formset.forms if f.cleaned_data.get("field")]
        rules = []
        for form in filled:
            given = form.cleaned_data
            rule = {self.noun: given["field"], "operator": given["operator"]}
            if given["operator"] not in VALUELESS:
                rule["value"] = given["value"]
            rules.append(rule)
        tree = self.tree()
        both = dict(tree.get("filters") or {})
        both[self.side.value] = rules
        tree["filters"] = {side: rows for side, rows in both.items() if rows}
        wrong = False
        for at, form in enumerate(filled):
            place = f"filters.{self.side}[{at}]"
            found = self.problems_of(tree, place)
            names = {f"{place}.{n}": n for n in ("operator", "value")}
            names[f"{place}.{self.noun}"] = "field"
            wrong |= show_problems(form, found, names)
        if wrong:
            return self._shown(formset)
        self.save(tree)
        if self.request.POST.get("go") == "more":
            return self.go("filters", side=self.side.value)
        return self.go("limit", "#filters")

    def _shown(self, formset: Any) -> HttpResponse:
        name = "HubSpot" if self.side is Side.HUBSPOT else self.app.name
        return self.show(formset=formset, name=name, noun=self.noun)
