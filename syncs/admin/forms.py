"""A small mapping as a form field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError

if TYPE_CHECKING:
    from django.forms import Textarea
else:
    from unfold.widgets import UnfoldAdminExpandableTextareaWidget as Textarea


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
