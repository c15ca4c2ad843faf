"""The fake HubSpot on a port of its own, for tests, commands and the demo.

Beside what every fake has, its control plane knows GET writes and POST restore · settle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, Self

from connections.sandbox.clock import Clock
from connections.sandbox.host import Host, Json
from connections.sandbox.hubspot.app import HubSpot
from connections.sandbox.hubspot.errors import ApiError
from connections.sandbox.hubspot.switches import Switches, Value
from connections.sandbox.hubspot.tokens import TOKENS
from connections.sandbox.seeds import plant
from connections.sandbox.wire import Answer, Request

RateLimits = Literal["real", "off"]


class SandboxServer(Host):
    """A fake HubSpot on a loopback port.

    Args: path, the file of its state (None: memory, gone with the server); port, 0
        for a free one; seed, its first content; rate_limits, whether they refuse;
        latency_ms, added to every call; switches, by name; faults, their texts.
    Raises: BadSwitch, BadFault; OSError if the port is taken.
    """

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        port: int = 0,
        seed: str = "empty",
        rate_limits: RateLimits = "off",
        latency_ms: float = 0,
        switches: Mapping[str, Value] | None = None,
        faults: Iterable[str] = (),
    ) -> None:
        self.hubspot = HubSpot(
            None if path is None else Path(path),
            Switches(switches),
            Clock(),
            enforced=rate_limits == "real",
            seed=partial(plant, seed),
        )
        super().__init__(self.hubspot, port=port, latency_ms=latency_ms, faults=faults)
        self.hubspot.plant()

    @property
    def control(self) -> Self:
        """The levers and gauges."""
        return self

    @property
    def hubspot_url(self) -> str:
        """The base URL, without a slash at its end."""
        return self.url

    @property
    def token(self) -> str:
        """A token that may do everything in the main account."""
        return TOKENS[0].text

    @property
    def tokens(self) -> dict[str, str]:
        """Every token by what it is for."""
        return {token.name: token.text for token in TOKENS}

    def writes(self, part: str = "") -> list[Json]:
        """Return writes that had their say, whose path contains a text: method,
        path, body, status, at. They outlive a restart."""
        return [row for row in self.hubspot.writes() if part in row["path"]]

    def restore(self, kind: str, record_id: int | str) -> None:
        """Bring an archived record back, as a person would."""
        account = self.hubspot.main
        with account.store.transaction():
            account.records.restore(account.catalogue.kind(kind), int(record_id))

    def settle(self) -> None:
        """Let search see everything that was written up to now."""
        account = self.hubspot.main
        with account.store.transaction():
            account.store.run("UPDATE search_pending SET written = 0")
            account.search.settle()

    # Over HTTP

    def _control(self, request: Request) -> Answer:
        try:
            return super()._control(request)
        except ApiError as error:
            return Answer.json(error.status, error.body())

    def _gauges(self) -> dict[str, Callable[[], object]]:
        return {**super()._gauges(), "writes": self.writes}

    def _levers(self) -> dict[str, Callable[[Json], None]]:
        return {
            **super()._levers(),
            "restore": lambda body: self.restore(body["type"], body["id"]),
            "settle": lambda _: self.settle(),
        }
