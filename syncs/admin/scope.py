"""Filters as people choose them, in HubSpot's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

if TYPE_CHECKING:
    from django.forms import Textarea
else:
    from unfold.widgets import UnfoldAdminExpandableTextareaWidget as Textarea

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
