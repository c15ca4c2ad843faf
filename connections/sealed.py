"""Encrypt what must not be read from the database: credentials.

Values are sealed with the first of `settings.ENCRYPTION_KEYS` and opened with
any of them, so keys can be rotated (`manage.py rotate_keys`). A value that no key opens
is an error, never an empty string or its own cipher text.
"""

from __future__ import annotations

import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])


def seal(plain: dict[str, Any]) -> str:
    """Encrypt a small JSON object; "" for an empty one."""
    if not plain:
        return ""
    return _keys().encrypt(json.dumps(plain, sort_keys=True).encode()).decode()


def unseal(sealed: str) -> dict[str, Any]:
    """Open what `seal` gave.

    Raises: ImproperlyConfigured when no configured key opens it.
    """
    if not sealed:
        return {}
    try:
        opened = json.loads(_keys().decrypt(sealed.encode()))
    except InvalidToken as exc:
        raise ImproperlyConfigured(
            "A stored credential cannot be opened with CROSSLINK_ENCRYPTION_KEYS: "
            "add the key it was sealed with, or enter the credential again."
        ) from exc
    if not isinstance(opened, dict):
        raise ImproperlyConfigured("A stored credential has an unexpected form.")
    return opened


def reseal(sealed: str) -> str:
    """Encrypt again with the newest key."""
    return _keys().rotate(sealed.encode()).decode() if sealed else ""


class SealedField(models.TextField[dict[str, Any], dict[str, Any]]):
    """A JSON object that is encrypted in the database and a dict in Python."""

    def from_db_value(self, value: str, *_: object) -> dict[str, Any]:
        return unseal(value)

    def get_prep_value(self, value: dict[str, Any] | None) -> str:
        return seal(value or {})

    def to_python(self, value: Any) -> dict[str, Any]:
        return value if isinstance(value, dict) else {}

    def value_to_string(self, obj: models.Model) -> str:
        return ""  # dumps and fixtures never carry credentials
