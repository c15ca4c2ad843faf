"""Forms of an object sync: what is offered comes from the discovered objects."""

from __future__ import annotations

import json
import zoneinfo
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError

from connections.records import ObjectType, Schema, Side
from connections.schemas import load_schema
from syncs.models import FieldMapping, MatchKey, ObjectSync

if TYPE_CHECKING:
    from django.forms import Select, Textarea, TextInput

    SyncModelForm = forms.ModelForm[ObjectSync]
    KeyModelForm = forms.ModelForm[MatchKey]
    MappingModelForm = forms.ModelForm[FieldMapping]
else:
    from unfold.widgets import UnfoldAdminExpandableTextareaWidget as Textarea
    from unfold.widgets import UnfoldAdminSelectWidget as Select
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput

    SyncModelForm = KeyModelForm = MappingModelForm = forms.ModelForm

HUBSPOT_FIELDS, APP_FIELDS = "hubspot-fields", "app-fields"  # ids of the data lists
BLANK_WORDS = {
    "direction": "As the sync",
    "conflict": "As the sync",
    "never_blank": "By default",
}


def schemas_of(sync: ObjectSync) -> dict[Side, Schema]:
    """Both sides' object types as last discovered, loaded once per sync in hand."""
    loaded: dict[Side, Schema] | None = getattr(sync, "loaded_schemas", None)
    if loaded is None:
        loaded = {
            Side.HUBSPOT: load_schema(sync.app.hubspot),
            Side.APP: load_schema(sync.app),
        }
        sync.loaded_schemas = loaded  # type: ignore[attr-defined]
    return loaded


def objects_of(sync: ObjectSync) -> dict[Side, ObjectType | None]:
    """The two objects that a sync is about; None where one is not there any more."""
    found = schemas_of(sync)
    return {
        Side.HUBSPOT: found[Side.HUBSPOT].object(sync.hubspot_object),
        Side.APP: found[Side.APP].object(sync.app_object),
    }


class PairsField(forms.CharField):
    """A small mapping, one "name = value" a line."""

    def __init__(self, *, texts: bool = False, **kwargs: Any) -> None:
        """Args: texts, whether every value is text; else true, 5 and null are read."""
        self.texts = texts
        kwargs.setdefault("widget", Textarea(attrs={"rows": 2}))
        super().__init__(required=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return "\n".join(f"{k} = {self._written(v)}" for k, v in value.items())

    def _written(self, value: Any) -> str:
        if not isinstance(value, str):
            return json.dumps(value, ensure_ascii=False)
        plain = self.texts or self._read(value) == value
        return value if plain else json.dumps(value, ensure_ascii=False)

    def _read(self, text: str) -> Any:
        if self.texts:
            return text
        try:
            return json.loads(text)
        except ValueError:
            return text

    def to_python(self, value: Any) -> Any:
        pairs: dict[str, Any] = {}
        for line in str(value or "").splitlines():
            if not line.strip():
                continue
            name, sign, text = (part.strip() for part in line.partition("="))
            if not name or not sign:
                raise ValidationError(f'Write "name = value", not {line.strip()!r}.')
            if name in pairs:
                raise ValidationError(f"{name} is given twice.")
            pairs[name] = self._read(text)
        return pairs

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool((initial or {}) != self.to_python(data))
        except ValidationError:
            return True


def _choices(objects: Iterable[ObjectType]) -> list[tuple[str, str]]:
    return [
        (o.name, f"{o.label} ({o.name})" if o.label and o.label != o.name else o.name)
        for o in objects
        if not o.refused
    ]


def zone_names() -> list[str]:
    return sorted(zoneinfo.available_timezones())


class ObjectSyncForm(SyncModelForm):
    """One object sync. While it is new its objects are chosen; they stay afterwards."""

    marker_hubspot = forms.CharField(
        label="External-id property",
        required=False,
        widget=TextInput(attrs={"list": HUBSPOT_FIELDS}),
        help_text="A unique HubSpot property that makes creates exact; may be blank.",
    )
    on_create_hubspot = PairsField(
        label="New HubSpot records get", help_text='One "property = value" a line.'
    )
    on_create_app = PairsField(
        label="New app records get", help_text='One "field = value" a line.'
    )
    archive_hubspot = PairsField(
        label="HubSpot records are archived by",
        help_text='Blank: by HubSpot itself; else one "property = value".',
    )
    archive_app = PairsField(
        label="App records are archived by",
        help_text='One "field = value", such as: archived = true',
    )

    class Meta:
        model = ObjectSync
        fields = [
            "name",
            "hubspot_object",
            "app_object",
            "direction",
            "conflict",
            "creates",
            "matching",
            "deletes",
            "hard_delete",
            "every_s",
            "sweep_every_s",
            "full_every_s",
            "app_cursor",
            "timezone",
            "enabled",
            "position",
        ]
        labels = {
            "conflict": "Resolve data conflicts",
            "creates": "Create new records",
            "matching": "Record matching",
            "deletes": "When a record is deleted",
            "hard_delete": "Delete what cannot be archived",
            "every_s": "Run every",
            "app_cursor": "App's time of change",
            "timezone": "Time zone",
        }
        help_texts = {
            "position": "Syncs of one app are listed in this order.",
            "timezone": "Of dates and times that carry none.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sync = self.instance
        for side in Side:
            if (name := f"{side}_object") in self.fields:
                self.fields[name] = self._object_field(side)
        self.fields["marker_hubspot"].initial = sync.marker.get("hubspot", "")
        for side in Side:
            constants = sync.on_create.get(side, {})
            self.fields[f"on_create_{side}"].initial = constants
            declared = sync.archive.get(side)
            self.fields[f"archive_{side}"].initial = (
                {declared["field"]: declared["value"]} if declared else {}
            )
        if "app_cursor" in self.fields:
            self.fields["app_cursor"].widget.attrs["list"] = APP_FIELDS
        if "timezone" in self.fields:
            self.fields["timezone"].widget.attrs["list"] = "time-zones"

    def _object_field(self, side: Side) -> forms.ChoiceField:
        objects = schemas_of(self.instance)[side].objects
        label = "HubSpot object" if side is Side.HUBSPOT else "App object"
        return forms.ChoiceField(
            label=label,
            choices=[("", "Select an object"), *_choices(objects)],
            widget=Select(),
        )

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        others = ObjectSync.objects.filter(app=self.instance.app_id, name=name)
        if others.exclude(pk=self.instance.pk).exists():
            raise ValidationError("This app has a sync of this name already.")
        return name

    def clean_timezone(self) -> str:
        zone = str(self.cleaned_data["timezone"])
        if zone not in zoneinfo.available_timezones():
            raise ValidationError('Name a zone such as "Europe/Berlin" or "UTC".')
        return zone

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name in ("every_s", "sweep_every_s", "full_every_s"):
            value = cleaned.get(name)
            if value is not None and value < 60:
                self.add_error(name, "At least 60 seconds.")
        for side in Side:
            if len(cleaned.get(f"archive_{side}") or {}) > 1:
                self.add_error(f"archive_{side}", "One field tells; name only one.")
        return cleaned

    @property
    def archive(self) -> dict[str, Any]:
        given = {
            side.value: next(
                iter((self.cleaned_data.get(f"archive_{side}") or {}).items()), None
            )
            for side in Side
        }
        return {
            side: {"field": pair[0], "value": pair[1]}
            for side, pair in given.items()
            if pair is not None
        }

    @property
    def marker(self) -> dict[str, str]:
        name = str(self.cleaned_data.get("marker_hubspot", "")).strip()
        return {"hubspot": name} if name else {}

    @property
    def on_create(self) -> dict[str, Any]:
        given = {
            side.value: self.cleaned_data.get(f"on_create_{side}") or {}
            for side in Side
        }
        return {side: values for side, values in given.items() if values}

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        self.instance.marker = self.marker
        self.instance.on_create = self.on_create
        self.instance.archive = self.settled_archive()

    def settled_archive(self) -> dict[str, Any]:
        """What is stored of the archive fields."""
        return self.archive


def _offer(fields: Mapping[str, forms.Field]) -> None:
    fields["hubspot"].widget.attrs |= {"list": HUBSPOT_FIELDS, "autocomplete": "off"}
    fields["app"].widget.attrs |= {"list": APP_FIELDS, "autocomplete": "off"}


class MatchKeyForm(KeyModelForm):
    """One part of a match key."""

    class Meta:
        model = MatchKey
        fields = ["rank", "part", "hubspot", "app", "normalize"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "hubspot" in self.fields:
            _offer(self.fields)


class FieldMappingForm(MappingModelForm):
    """One field mapping, with its option values side by side."""

    values = PairsField(
        texts=True, label="Option values", help_text="HubSpot value = app value"
    )

    class Meta:
        model = FieldMapping
        fields = [
            "hubspot",
            "app",
            "direction",
            "conflict",
            "never_blank",
            "values",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "hubspot" in self.fields:
            _offer(self.fields)
            as_the_sync(self.fields)


def as_the_sync(fields: Mapping[str, Any]) -> None:
    """Say in the blank choice of a select what leaving it means."""
    for name, word in BLANK_WORDS.items():
        field = fields.get(name)
        if isinstance(field, forms.NullBooleanField):
            rest = [("true", "Yes"), ("false", "No")]
            field.widget.choices = [("unknown", word), *rest]
        elif field is not None:
            rest = [c for c in field.choices if c[0] not in ("", None)]
            field.choices = [("", word), *rest]
