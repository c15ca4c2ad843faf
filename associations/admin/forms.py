"""The form of one association mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from associations.models import AssociationMapping
from syncs.admin.forms import as_the_sync
from syncs.models import ObjectSync

if TYPE_CHECKING:
    from django.forms import Select

    MappingForm = forms.ModelForm[AssociationMapping]
else:
    from unfold.widgets import UnfoldAdminSelectWidget as Select

    MappingForm = forms.ModelForm

REFERENCES = "reference-fields"  # the id of the data list
TYPES = [("", "Primary where there is one, else default"), ("primary", "Primary")]
TYPES += [("default", "Default")]


class TypeField(forms.ChoiceField):
    """ "", "primary", "default", or a type by category and id."""

    widget = Select

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return f"{value.get('category')}:{value.get('id')}"
        return value or ""

    def to_python(self, value: Any) -> Any:
        category, sign, number = str(value or "").rpartition(":")
        if sign and number.isdecimal():
            return {"category": category, "id": int(number)}
        return super().to_python(value)

    def valid_value(self, value: Any) -> bool:
        return super().valid_value(self.prepare_value(value))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or "") != self.to_python(data))


class AssociationMappingForm(MappingForm):
    """A reference field of the app, its target sync and its association type."""

    type = TypeField(label="Association type", choices=TYPES, required=False)

    class Meta:
        model = AssociationMapping
        fields = [
            "app_field",
            "to_sync",
            "type",
            "direction",
            "conflict",
            "on_unlink",
        ]

    def __init__(self, *args: Any, targets: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "app_field" not in self.fields:
            return
        self.fields["app_field"].widget.attrs["list"] = REFERENCES
        kept = self.instance.type
        if isinstance(kept, dict):
            field = self.fields["type"]
            assert isinstance(field, TypeField)
            name = field.prepare_value(kept)
            field.choices = [*TYPES, (name, name)]
        as_the_sync(self.fields)
        if targets is not None:
            choice = self.fields["to_sync"]
            assert isinstance(choice, forms.ModelChoiceField)
            for what in ("add", "change", "delete", "view"):
                setattr(choice.widget, f"can_{what}_related", False)
            choice.queryset = ObjectSync.objects.filter(pk__in=[t.pk for t in targets])
            choice.choices = [("", "Select a sync"), *((t.pk, t.name) for t in targets)]
