"""Discovery: which apps there are, and what their forms have.

Source: https://kintone.dev/en/docs/kintone/rest-api/apps/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from connections.catalogue import Code
from connections.connectors.base import (
    RejectedError,
    SchemaError,
    ScopeError,
    TransientError,
)
from connections.connectors.kintone.api import Api, Json, text
from connections.connectors.kintone.forms import Form, join_table_of, object_of
from connections.connectors.parts import listed
from connections.records import ObjectType, Schema

MOST_APPS = 100  # of one list
NAMELESS = (
    "Name the apps in the setting app_ids: an API token belongs to one app and cannot "
    "list which there are."
)


class SchemaReader:
    """Reads the forms of a domain's apps. Args: chosen, ids of the only apps to offer."""

    def __init__(self, api: Api, chosen: Sequence[str]) -> None:
        self._api, self._chosen = api, list(dict.fromkeys(chosen))
        self._names: dict[str, str] | None = None

    def names(self) -> dict[str, str]:
        """The apps to offer, by id: no two have the same name here.

        Raises: ScopeError for tokens without `app_ids`.
        """
        if self._names is None:
            found = self._chosen_names() if self._chosen else self._all_names()
            often = Counter(name.casefold() for name in found.values())
            self._names = {
                number: name if often[name.casefold()] == 1 else f"{name} ({number})"
                for number, name in found.items()
            }
        return self._names

    def some(self, limit: int = 1, offset: int = 0) -> list[Json]:
        """Part of the list of apps. Raises: ScopeError for tokens."""
        query = {"limit": str(limit), "offset": str(offset)}
        try:
            answer = self._api.read("list apps", "apps", query)
        except (ScopeError, RejectedError) as exc:
            raise ScopeError(f"{exc.message} {NAMELESS}") from exc
        return listed(answer.body, "apps", "list apps")

    def _all_names(self) -> dict[str, str]:
        found: dict[str, str] = {}
        while True:
            listed = self.some(MOST_APPS, len(found))
            found |= {text(a.get("appId")): text(a.get("name")) for a in listed}
            if len(listed) < MOST_APPS:
                return found

    def _chosen_names(self) -> dict[str, str]:
        """Their names, or their ids where a token may not read those."""
        found = {}
        for number in self._chosen:
            found[number] = f"App {number}"
            with suppress(ScopeError, RejectedError):
                answer = self._api.read(f"read app {number}", "app", {"id": number})
                found[number] = text(answer.body.get("name")) or found[number]
        return found

    def form(self, number: str, name: str = "") -> Form:
        """An app's form as it is now. Raises: SchemaError if the app is gone."""
        answer = self._api.read(
            f"read the form of {name or f'app {number}'}",
            "app/form/fields",
            {"app": number},
        )
        found = answer.body.get("properties")
        if not isinstance(found, dict) or not found:  # a form has its system fields
            raise TransientError(
                f"Kintone's answer shows no form of {name or f'app {number}'}."
            )
        return Form(number, name or f"App {number}", found)

    def form_of(self, obj: ObjectType) -> Form:
        return self.form(obj.id, obj.name)

    def forms(self) -> list[Form]:
        return [self.form(number, name) for number, name in self.names().items()]

    def discover(self) -> Schema:
        """Read every offered app: a call each."""
        self._names = None
        forms = self.forms()
        offered = {form.app for form in forms}
        joins = [join_table_of(form) for form in forms]
        return Schema(
            tuple(_offered(object_of(form), offered) for form in forms),
            tuple(j for j in joins if j is not None),
        )

    def describe(self, obj: ObjectType) -> ObjectType | None:
        """Read one app's form again; None if the app is gone."""
        try:
            form = self.form_of(obj)
        except SchemaError as exc:
            if exc.code != Code.SCHEMA_CHANGED:
                raise
            return None
        targets = {r.target for r in object_of(form).references}
        offered = {*self._chosen, obj.id} if self._chosen else {*targets, obj.id}
        return _offered(object_of(form), offered)


def _offered(obj: ObjectType, offered: set[str]) -> ObjectType:
    """Lookups of apps that are not offered lead nowhere: they are texts, read only."""
    kept = tuple(r for r in obj.references if r.target in offered)
    return replace(obj, references=kept)
