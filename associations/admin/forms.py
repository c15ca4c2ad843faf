"""The form of one association mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms

from associations.models import AssociationMapping, By
from syncs.admin.forms import PairsField, as_the_sync
from syncs.models import ObjectSync
from syncs.models.choices import Direction

if TYPE_CHECKING:
    from django.forms import SelectMultiple, TextInput

    MappingForm = forms.ModelForm[AssociationMapping]
else:
    from unfold.widgets import UnfoldAdminSelectMultipleWidget as SelectMultiple
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput

    MappingForm = forms.ModelForm

REFERENCES = "reference-fields"  # the id of the data list
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


class AssociationMappingForm(MappingForm):
    """What the app has of links, its target sync and its association types."""

    type = TypeField(
        label="Association types",
        choices=TYPES,
        required=False,
        help_text="None: primary where there is one and the field holds one record, else "
        "default. Several: a link carries all of them.",
    )

    labels = LabelsField(
        label="Labels",
        help_text="Of a join table with a label column: its value = HubSpot's label, one "
        "a line.",
    )

    new_label = forms.CharField(
        label="Label to make",
        required=False,
        max_length=100,
        widget=TextInput,
        help_text="A label that HubSpot has not yet: links carry it, too.",
    )
    make_label = forms.BooleanField(
        label="Make it in HubSpot",
        required=False,
        help_text="Confirms that the label is wanted there; it is made when this is saved.",
    )

    class Meta:
        model = AssociationMapping
        fields = [
            "by",
            "app_field",
            "join_from",
            "join_to",
            "join_label",
            "labels",
            "to_sync",
            "type",
            "direction",
            "conflict",
            "on_unlink",
        ]

    def clean_labels(self) -> list[list[Any]]:
        """As they are stored, but for the types, which are found with the rest."""
        given = self.cleaned_data["labels"]
        return [[value, self._label(text), "", 0] for value, text in given.items()]

    def _label(self, text: str) -> Any:
        category, sign, number = text.rpartition(":")
        if sign and number.isdecimal() and category.isupper():
            return {"category": category, "id": int(number)}
        return text

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("by") != By.JOIN_TABLE:
            cleaned |= dict.fromkeys(("join_from", "join_to", "join_label"), "")
            cleaned["labels"] = []
        if cleaned.get("by") == By.MATCH_KEY and not cleaned.get("direction"):
            # A key that people type is read, unless more is chosen.
            cleaned["direction"] = Direction.TO_HUBSPOT
        if label := (cleaned.get("new_label") or "").strip():
            kept = cleaned.get("type") or []
            kept = kept if isinstance(kept, list) else [kept]
            cleaned["type"] = [*kept, label] if kept else label
        return cleaned

    def __init__(
        self, *args: Any, targets: Any = None, labels: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        if "app_field" not in self.fields:
            return
        self.fields["app_field"].widget.attrs["list"] = REFERENCES
        field = self.fields["type"]
        assert isinstance(field, TypeField)
        field.offer(labels or {}, self.instance.type)
        as_the_sync(self.fields)
        if targets is not None:
            choice = self.fields["to_sync"]
            assert isinstance(choice, forms.ModelChoiceField)
            for what in ("add", "change", "delete", "view"):
                setattr(choice.widget, f"can_{what}_related", False)
            choice.queryset = ObjectSync.objects.filter(pk__in=[t.pk for t in targets])
            choice.choices = [("", "Select a sync"), *((t.pk, t.name) for t in targets)]
