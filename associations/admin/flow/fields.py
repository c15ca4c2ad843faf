"""Form fields of the flow in the theme's look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django import forms

from associations.setup.problems import Problem
from connections.records import ObjectType

if TYPE_CHECKING:
    from django.forms import CheckboxInput as Switch
    from django.forms import NumberInput, RadioSelect, Select, Textarea, TextInput
else:
    from unfold.widgets import UnfoldAdminExpandableTextareaWidget as Textarea
    from unfold.widgets import UnfoldAdminIntegerFieldWidget as NumberInput
    from unfold.widgets import UnfoldAdminRadioSelectWidget as RadioSelect
    from unfold.widgets import UnfoldAdminSelectWidget as Select
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput
    from unfold.widgets import UnfoldBooleanSwitchWidget as Switch

__all__ = [
    "NumberInput",
    "RadioSelect",
    "Select",
    "Switch",
    "TextInput",
    "Textarea",
    "choice",
    "field_choices",
    "named",
    "radio",
    "show_problems",
    "text",
    "yes_no",
]

Choices = Sequence[tuple[str, Any]]


def named(name: str, label: str) -> str:
    """A thing by its label, and by the name that its system knows it by."""
    return f"{label} ({name})" if label and label != name else name


def choice(label: str, choices: Choices, **more: Any) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=choices, widget=Select(), **more)


def radio(label: str, choices: Choices, **more: Any) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=choices, widget=RadioSelect(), **more)


def text(label: str, **more: Any) -> forms.CharField:
    more.setdefault("required", False)
    return forms.CharField(label=label, widget=TextInput(), **more)


def yes_no(label: str, **more: Any) -> forms.BooleanField:
    return forms.BooleanField(label=label, required=False, widget=Switch(), **more)


def field_choices(
    obj: ObjectType | None, kept: Iterable[str] = (), *, empty: str = ""
) -> list[tuple[str, Any]]:
    """An object's fields by label; of `kept` ones those that are gone are offered too."""
    fields = sorted(
        obj.fields if obj else (), key=lambda f: (f.label or f.name).casefold()
    )
    found = [(f.name, f"{named(f.name, f.label)} · {f.type}") for f in fields]
    known = {name for name, _ in found}
    gone = [name for name in kept if name and name not in known]
    found += [(name, f"{name} · not there any more") for name in gone]
    return [("", empty), *found] if empty else found


def show_problems(
    form: forms.BaseForm, problems: Iterable[Problem], names: Mapping[str, str]
) -> bool:
    """Put problems beside the fields that they are about; others above the form.

    Args: names, the form's field by how a problem's path goes on after its place.
    Returns: whether there was any.
    """
    shown = False
    for problem in problems:
        shown = True
        rest = problem.path.removeprefix("sync.")
        found = [name for start, name in names.items() if rest.startswith(start)]
        field = next((name for name in found if name in form.fields), None)
        form.add_error(field, problem.text)
    return shown
