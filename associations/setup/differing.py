"""What an edit changed, in the words of a set-up file: for who asks later who did it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

Tree = Mapping[str, Any]
# Lists whose members are known by something of theirs, not by their place.
NAMES = {
    "fields": ("hubspot", "app"),
    "associations": ("app_field", "join_table", "to"),
}


def differences(old: Tree, new: Tree) -> list[str]:
    """A line for each key or member that differs, with its value before and after."""
    keys = [*old, *(key for key in new if key not in old)]
    return [line for key in keys for line in _of(key, old.get(key), new.get(key))]


def _of(key: str, old: Any, new: Any) -> Iterator[str]:
    if key not in NAMES:
        if old != new:
            yield f"{key}: {_said(old)} → {_said(new)}"
        return
    held, now = _named(key, old), _named(key, new)
    for name in [*held, *(name for name in now if name not in held)]:
        if held.get(name) != now.get(name):
            yield f"{key}: {_said(held.get(name))} → {_said(now.get(name))}"
    if list(held) != list(now) and held == now:
        yield f"{key}: in another order"


def _named(key: str, members: Any) -> dict[str, Tree]:
    """Members by what tells them apart, and by a number where that is not enough."""
    found: dict[str, Tree] = {}
    for member in members or ():
        name = _said({part: member.get(part) for part in NAMES[key]})
        same = sum(other.startswith(name) for other in found)
        found[f"{name} {same}" if same else name] = member
    return found


def _said(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, str):
        return value
    text = yaml.safe_dump(
        value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")
