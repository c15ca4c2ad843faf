"""Who changed what of a set-up: the history that each page's *Who changed it* shows."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db.models import Model

# Nobody can log in as it: a history's rows belong to a user.
COMMAND_LINE = "command-line"


def keep(
    user: Any, objects: Iterable[Model], text: str, *, added: bool = False
) -> None:
    """Keep who did something to each of some objects, and what was and is."""
    found = list(objects)
    if found:
        LogEntry.objects.log_actions(
            user.pk, found, ADDITION if added else CHANGE, change_message=text
        )


def keep_switched(user: Any, objects: Iterable[Any], name: str, to: bool) -> None:
    """Keep that a switch was thrown, for those objects that stood otherwise."""
    moved = [obj for obj in objects if getattr(obj, name) != to]
    keep(user, moved, f"{name}: {not to} → {to}".lower())


def command_line() -> Any:
    """The user that stands for whoever works with `manage.py`."""
    user, _ = get_user_model()._default_manager.get_or_create(
        username=COMMAND_LINE,
        defaults={"is_active": False, "password": make_password(None)},
    )
    return user


def account_name() -> str:
    """Who works at the machine itself, as that tells it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have a number alone
        return "an unknown account"
