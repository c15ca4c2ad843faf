"""One fake account: its state, its rules, and one call's view of both."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from connections.sandbox.clock import Clock, iso
from connections.sandbox.hubspot.budgets import Budgets
from connections.sandbox.hubspot.catalogue import Catalogue
from connections.sandbox.hubspot.errors import ApiError, invalid
from connections.sandbox.hubspot.kinds import COMPANIES, CONTACTS, DEALS, TICKETS, Kind
from connections.sandbox.hubspot.link_caps import LinkCaps
from connections.sandbox.hubspot.link_types import LinkTypes
from connections.sandbox.hubspot.links import Links
from connections.sandbox.hubspot.records import Record, Records
from connections.sandbox.hubspot.search_index import SearchIndex
from connections.sandbox.hubspot.store import Store
from connections.sandbox.hubspot.switches import Switches

Json = dict[str, Any]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Token:
    """A credential: the account it opens and what it may do there."""

    text: str
    portal: int
    scopes: frozenset[str]
    name: str = ""
    expired: bool = False


class Account:
    """The state of one account and the rules over it."""

    def __init__(
        self,
        portal: int,
        store: Store,
        switches: Switches,
        clock: Clock,
        budgets: Budgets,
    ) -> None:
        self.portal = portal
        self.budgets = budgets
        self.store = store
        self.switches = switches
        self.clock = clock
        self.catalogue = Catalogue(store, portal)
        self.types = LinkTypes(store)
        self.caps = LinkCaps(store, switches)
        self.records = Records(store, self.catalogue, switches, clock)
        self.links = Links(store, self.types, self.caps, switches, self._touch)
        self.search = SearchIndex(store, switches, clock)
        self._random = random.Random(portal)

    def forget(self) -> None:
        """Drop what is kept in memory: the store was rolled back or emptied."""
        self.catalogue.forget()
        self.types.forget()
        self.caps.forget()

    def shuffled(self, items: Iterable[Item]) -> list[Item]:
        """Return a batch's results in another order than they came."""
        before = list(items)
        after = before.copy()
        self._random.shuffle(after)
        return after if after != before else [*after[1:], *after[:1]]

    def roll_ups(self, record: Record, names: Iterable[str]) -> Json:
        """Return the asked properties that links decide, worked out now."""
        found: Json = {}
        wanted = set(names)
        if record.kind.type_id == CONTACTS and "associatedcompanyid" in wanted:
            found["associatedcompanyid"] = self._primary_company(record)
        far = {
            "num_associated_contacts": (COMPANIES, CONTACTS),
            "num_associated_deals": (record.kind.type_id, DEALS),
        }
        for name, (kind, other) in far.items():
            if name in wanted and kind == record.kind.type_id:
                count = self.caps.degree(kind, record.id, other)
                found[name] = str(count) if count else None
        return found

    def _primary_company(self, contact: Record) -> str | None:
        company = self.catalogue.kind(COMPANIES)
        primary = self.types.primary(contact.kind, company)
        for far, key in self.links.of(contact.kind, contact.id, company, 0):
            if primary and key == primary.key:
                return str(far)
        return None

    def _touch(self, kind: str, record_id: int) -> None:
        self.records.touch(self.records.find(self.catalogue.kind(kind), record_id))


@dataclass(slots=True)
class Reply:
    """A call's answer; no body for a 204."""

    status: int
    body: Json | None = None


@dataclass
class Call:
    """One call on an account.

    `version` is "2026-03", "2026-09", "v4" or "v3"; `size` the body's characters.
    """

    account: Account
    token: Token
    method: str
    version: str
    query: Mapping[str, str]
    body: Any = None
    size: int = 0
    started: str = field(default="")

    def __post_init__(self) -> None:
        self.started = iso(self.account.clock.now_ms())

    @property
    def dated(self) -> bool:
        return self.version.startswith("20")

    def need(self, kind: Kind, right: str) -> None:
        """Refuse a token without the scope for an object type.

        Raises: ApiError 403 MISSING_SCOPES.
        """
        self.need_one_of({scope_of(kind, right)})

    def need_one_of(self, scopes: set[str]) -> None:
        """Refuse a token that has none of some scopes.

        Raises: ApiError 403 MISSING_SCOPES.
        """
        if scopes & self.token.scopes:
            return
        message = (
            "This app hasn't been granted all required scopes to make this call. "
            "Read more about required scopes here: "
            "https://developers.hubspot.com/scopes."
        )
        needed = sorted(scopes)
        raise ApiError(
            403,
            "MISSING_SCOPES",
            message,
            errors=[
                {
                    "message": "One or more of the following scopes are required.",
                    "context": {"requiredGranularScopes": needed},
                }
            ],
            links={"scopes": "https://developers.hubspot.com/scopes"},
        )

    def run(self, act: Callable[..., Reply], values: Mapping[str, str]) -> Reply:
        """Answer the call: object types in the path become what they name."""
        named: dict[str, object] = dict(values)
        for name in ("kind", "other"):
            if name in values:
                named[name] = self.account.catalogue.kind(values[name])
        return act(self, **named)

    @cached_property
    def json(self) -> Json:
        """The body as an object.

        Raises: ApiError 400.
        """
        if not isinstance(self.body, dict):
            raise invalid("a request body was expected: a JSON object")
        return self.body

    def number(self, name: str, default: int, most: int) -> int:
        """Return a whole number of the query.

        Raises: ApiError 400 if it is none, or over `most`.
        """
        return whole(self.query.get(name, default), name, most)

    def listed(self, name: str) -> list[str]:
        """Return a comma-separated part of the query."""
        return [part for part in self.query.get(name, "").split(",") if part]

    def flag(self, name: str) -> bool:
        """Return a true-or-false part of the query."""
        return self.query.get(name, "false").lower() == "true"

    def inputs(self, most: int, check: Callable[[Json], bool] = bool) -> list[Json]:
        """Return the inputs of a batch.

        Raises: ApiError 400 if they are too many or misshapen.
        """
        found = self.json.get("inputs")
        if not isinstance(found, list):
            raise invalid("Invalid input JSON: inputs must be a list")
        if len(found) > most:
            raise invalid(
                f"The maximum number of inputs supported in a batch request is {most}; "
                f"{len(found)} were sent"
            )
        if not all(isinstance(item, dict) and check(item) for item in found):
            raise invalid("Invalid input JSON: an input lacks what it must have")
        return found

    def batch(
        self,
        results: Iterable[Json],
        errors: list[Json],
        *,
        done: int = 200,
        shuffle: bool = True,
    ) -> Reply:
        """Return a batch answer: 207 if some inputs failed."""
        account = self.account
        body: Json = {
            "status": "COMPLETE",
            "results": account.shuffled(results) if shuffle else list(results),
            "startedAt": self.started,
            "completedAt": iso(account.clock.now_ms()),
        }
        if not errors:
            return Reply(done, body)
        body |= {"numErrors": len(errors), "errors": errors}
        partial = 207
        if self.version == "2026-09":
            partial = int(account.switches.number("partial_status_2026_09"))
        return Reply(partial, body)


def scope_of(kind: Kind, right: str) -> str:
    """Return the scope that reading or writing an object type takes."""
    if kind.type_id == TICKETS:
        return "tickets"
    name = "custom" if kind.custom else kind.plural
    return f"crm.objects.{name}.{right}"


def whole(value: object, name: str, most: int) -> int:
    """Return a whole number from 0 to `most`.

    Raises: ApiError 400.
    """
    try:
        number = int(str(value))
    except ValueError:
        raise invalid(f"{name}: {value} is not a number", "INVALID_INTEGER") from None
    if not 0 <= number <= most:
        raise invalid(f"{name}: {number} is not between 0 and {most}")
    return number
