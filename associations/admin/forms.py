"""Form fields of association types and labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms

from syncs.admin.forms import PairsField

if TYPE_CHECKING:
    from django.forms import SelectMultiple
else:
    from unfold.widgets import UnfoldAdminSelectMultipleWidget as SelectMultiple

TYPES = [("primary", "Primary"), ("default", "Default")]


class TypeField(forms.MultipleChoiceField):
    """ "" where nothing is chosen, else a word, a type by category and id, or a list.

    A label is offered by its text and sent by its id; what is stored is what the set-up
    file would say.
    """

    widget = SelectMultiple
    labels: Mapping[str, Any] = {}  # how the file writes what is sent

    def offer(
        self,
        labels: Mapping[str, Any],
        kept: Any,
        shown: Mapping[str, str] | None = None,
    ) -> None:
        """Offer labels, as they are `shown`, and whatever is stored already."""
        shown = shown or {}
        self.labels = labels
        sent = [(name, word) for name, word in labels.items()]
        known = {*labels, *(name for name, _ in TYPES)}
        rest = [(n, n) for n in self.prepare_value(kept) if n not in known]
        self.choices = [
            *TYPES,
            *((n, shown.get(n) or _text(n, w)) for n, w in sent),
            *rest,
        ]

    def prepare_value(self, value: Any) -> list[str]:
        words = value if isinstance(value, list) else [value] if value else []
        by_word = {str(w): name for name, w in self.labels.items()}
        return [
            f"{w.get('category')}:{w.get('id')}"
            if isinstance(w, dict)
            else by_word.get(str(w), str(w))
            for w in words
        ]

    def clean(self, value: Any) -> Any:
        sent = [name for name in value or () if name]
        found = [self._word(name) for name in super().clean(sent)]
        return found[0] if len(found) == 1 else found or ""

    def _word(self, name: str) -> Any:
        if name in self.labels:
            return self.labels[name]
        category, sign, number = name.rpartition(":")
        if sign and number.isdecimal():
            return {"category": category, "id": int(number)}
        return name

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


def _text(name: str, word: Any) -> str:
    return word if isinstance(word, str) else name


class LabelsField(PairsField):
    """What each value of a label column means: a label's text, or category:id."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(texts=True, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return super().prepare_value(value)
        words = {
            label: f"{word['category']}:{word['id']}"
            if isinstance(word, dict)
            else word
            for label, word, *_ in value
        }
        return super().prepare_value(words)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial or []) != (data or "").strip())
