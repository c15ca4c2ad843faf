"""What is said once about a kind of system: who reads it are the form, the set-up file,
the call budget and whoever opens a connector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Shape(StrEnum):
    """What a setting holds."""

    TEXT = "text"
    LIST = "list"  # of texts; with commas in a form
    NUMBER = "number"  # above 0
    ADDRESS = "address"  # of an HTTP API


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting, what a form calls it and how it is explained there.

    `default` is what a blank means, where that can be said in a text: it is not stored.
    """

    name: str
    label: str
    help: str = ""
    shape: Shape = Shape.TEXT
    required: bool = False
    default: str = ""


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret; `many` if a set-up file may give a list, which is kept with commas."""

    name: str
    label: str
    help: str = ""
    many: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: where its connector is, the settings and credentials that it takes.

    `about` says in a line what of it is synced.
    `per_second` is what it may be asked, of everything that has the same `limited`
    settings (None: as much as it answers); the setting `requests_per_second` lowers it.
    `per_day` is what each of its objects may be asked in a day, where it counts that and
    only says so; the setting `requests_per_day` is what was bought. `monthly`: it counts
    the calls of a month and refuses more; the setting `requests_per_month` is what the
    plan has.
    `either` names the ways to log in, of which one is enough (none: all credentials).
    """

    path: str
    label: str
    about: str = ""
    settings: tuple[Setting, ...] = ()
    credentials: tuple[Credential, ...] = ()
    per_second: float | None = None
    limited: tuple[str, ...] = ()
    per_day: int | None = None
    monthly: bool = False
    either: tuple[tuple[str, ...], ...] = ()

    @property
    def setting_names(self) -> tuple[str, ...]:
        return tuple(setting.name for setting in self.settings)

    @property
    def credential_names(self) -> tuple[str, ...]:
        return tuple(credential.name for credential in self.credentials)

    def merged(
        self, stored: Mapping[str, Any], given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Stored credentials with those given; another way to log in replaces the first."""
        way = next((way for way in self.either if set(way) & given.keys()), None)
        kept = {k: v for k, v in stored.items() if way is None or k in way}
        return {**kept, **given}

    def optional(self, name: str) -> bool:
        """Whether a credential may be left out for another."""
        return any(name in way for way in self.either)
