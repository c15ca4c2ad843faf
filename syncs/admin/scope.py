"""The filters of a sync, one list for each side, in HubSpot's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest

from connections.admin.base import TabularInline
from connections.records import Side
from syncs.admin.forms import APP_FIELDS, HUBSPOT_FIELDS
from syncs.engine.filters import LISTS, VALUELESS
from syncs.models import ObjectSync, SyncFilter

if TYPE_CHECKING:
    from django.forms import Select, Textarea

    FilterModelForm = forms.ModelForm[SyncFilter]
else:
    from unfold.widgets import UnfoldAdminExpandableTextareaWidget as Textarea
    from unfold.widgets import UnfoldAdminSelectWidget as Select

    FilterModelForm = forms.ModelForm

WORDS = {
    "is": "is equal to",
    "is_not": "is not equal to",
    "in": "is any of",
    "not_in": "is none of",
    "known": "is known",
    "unknown": "is unknown",
    "contains": "contains",
    "not_contains": "doesn't contain",
    "greater": "is greater than",
    "greater_or_equal": "is greater than or equal to",
    "less": "is less than",
    "less_or_equal": "is less than or equal to",
    "between": "is between",
    "before": "is before",
    "after": "is after",
}


class ValueField(forms.CharField):
    """One value, or one a line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            required=False, widget=Textarea(attrs={"rows": 1}), strip=True, **kwargs
        )

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, list):
            return "\n".join(map(self._written, value))
        return self._written(value)

    @staticmethod
    def _written(value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        return "" if value is None else str(value)

    def to_python(self, value: Any) -> Any:
        lines = [line.strip() for line in str(value or "").splitlines()]
        return [line for line in lines if line]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(self.prepare_value(initial)) != self.to_python(data))


class SyncFilterForm(FilterModelForm):
    """One condition on the records of a side."""

    side: ClassVar[Side]
    fields_list: ClassVar[str]
    operator = forms.ChoiceField(
        choices=[("", "Select an operator"), *WORDS.items()], widget=Select()
    )
    value = ValueField(
        help_text="Several: one a line. Dates: 2026-01-31, today, -30d, in 2 weeks"
    )

    class Meta:
        model = SyncFilter
        fields = ["field", "operator", "value"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "field" in self.fields:
            attrs = {"list": self.fields_list, "autocomplete": "off"}
            self.fields["field"].widget.attrs |= attrs

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        lines, operator = cleaned.get("value") or [], cleaned.get("operator", "")
        if operator not in LISTS:
            # Several of them are a set of options, or too many: the check tells.
            cleaned["value"] = lines if len(lines) > 1 else next(iter(lines), None)
        if not lines and operator and operator not in VALUELESS:
            self.add_error("value", f"{WORDS[operator]}: give a value.")
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        self.instance.side = self.side


class HubSpotFilterForm(SyncFilterForm):
    side = Side.HUBSPOT
    fields_list = HUBSPOT_FIELDS

    class Meta(SyncFilterForm.Meta):
        labels: ClassVar[dict[str, str]] = {"field": "HubSpot property"}


class AppFilterForm(SyncFilterForm):
    side = Side.APP
    fields_list = APP_FIELDS

    class Meta(SyncFilterForm.Meta):
        labels: ClassVar[dict[str, str]] = {"field": "App field"}


class _FilterInline(TabularInline[SyncFilter, ObjectSync]):
    model = SyncFilter
    extra = 1
    verbose_name = "filter"
    side: ClassVar[Side]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SyncFilter]:
        return super().get_queryset(request).filter(side=self.side)


class HubSpotFilterInline(_FilterInline):
    form = HubSpotFilterForm
    side = Side.HUBSPOT
    verbose_name_plural = "Filters: HubSpot records that sync must meet all of these"


class AppFilterInline(_FilterInline):
    form = AppFilterForm
    side = Side.APP
    verbose_name_plural = "Filters: app records that sync must meet all of these"


FILTER_INLINES = (HubSpotFilterInline, AppFilterInline)
FILTER_COLUMNS = ("side", "position", "field", "operator", "value")
