"""A way out: a door to a scripted server, with its pauses and its budget at hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from connections.connectors.base import ConnectorError, Context, LimitError
from connections.connectors.dialect import Dialect
from connections.connectors.http import Door, Safety
from connections.connectors.hubspot.dialect import HubSpotDialect
from tests.contract.harness import Naps, new_context
from tests.contract.scripted import Reply, Said, Scripted

OK = Said(200, {"fine": True})
TOKEN = "Zq7-very-private-token-91"


@dataclass
class Spent:
    """A budget that remembers; `refusal` is raised instead of waiting."""

    acquired: list[str] = field(default_factory=list)
    penalties: list[tuple[str, float, bool]] = field(default_factory=list)
    refusal: LimitError | None = None

    def acquire(self, bucket: str) -> None:
        if self.refusal:
            raise self.refusal
        self.acquired.append(bucket)

    def penalise(self, bucket: str, seconds: float, *, daily: bool = False) -> None:
        self.penalties.append((bucket, seconds, daily))

    def count(self, bucket: str) -> None:
        return None


@dataclass
class Way:
    """A door to a scripted server, its pauses and its budget."""

    script: Scripted
    naps: Naps = field(default_factory=Naps)
    budget: Spent = field(default_factory=Spent)
    asked_to_write: int = 0
    dialect: Dialect = field(default_factory=HubSpotDialect)
    timeout_s: float = 5.0
    base: str = ""

    def may_write(self) -> None:
        self.asked_to_write += 1

    def door(self, context: Context | None = None) -> Door:
        context = context or new_context(
            budget=self.budget, before_write=self.may_write, timeout_s=self.timeout_s
        )
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return Door(
            self.base or self.script.url,
            headers,
            context,
            dialect=self.dialect,
            sleep=self.naps,
        )

    def send(self, safety: Safety = Safety.READ, **changes: Any) -> Any:
        method = "GET" if safety is Safety.READ else "POST"
        body = None if safety is Safety.READ else {"inputs": [1]}
        door = self.door()
        try:
            return door.send(method, "/x", body=body, safety=safety, **changes)
        finally:
            door.close()

    def fails(self, safety: Safety = Safety.READ, **changes: Any) -> ConnectorError:
        with pytest.raises(ConnectorError) as caught:
            self.send(safety, **changes)
        return caught.value

    @property
    def calls(self) -> int:
        return len(self.script.asked)

    def says(self, *replies: Reply) -> None:
        self.script.on("*", "/x", *replies)
