"""The fake Kintone on a port of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from connections.sandbox.clock import Clock
from connections.sandbox.host import Host
from connections.sandbox.httpd import Gate
from connections.sandbox.hubspot.switches import Switches, Value
from connections.sandbox.kintone.access import USERS, Token
from connections.sandbox.kintone.app import Kintone, Seeder
from connections.sandbox.kintone.domain import App, Domain
from connections.sandbox.kintone.switches import TABLE
from connections.sandbox.wire import Answer, Request

RateLimits = Literal["real", "off"]


class CountingGate(Gate):
    """A gate that knows how many calls are inside at once."""

    app: Kintone

    def handle(self, request: Request) -> Answer:
        with self.app.counting:
            self.app.running += 1
        try:
            return super().handle(request)
        finally:
            with self.app.counting:
                self.app.running -= 1


class KintoneServer(Host):
    """A fake Kintone domain on a loopback port.

    Args: path, the file of its state (None: memory, gone with the server); port, 0 for
        a free one; seed, fills a domain that has no app yet; rate_limits, whether too
        many calls at once are refused; latency_ms, added to every call; switches, by
        name; faults, their texts.
    Raises: BadSwitch, BadFault; OSError if the port is taken.
    """

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        port: int = 0,
        seed: Seeder | None = None,
        rate_limits: RateLimits = "off",
        latency_ms: float = 0,
        switches: Mapping[str, Value] | None = None,
        faults: Iterable[str] = (),
    ) -> None:
        self.kintone = Kintone(
            None if path is None else Path(path),
            Switches(switches, TABLE),
            Clock(),
            enforced=rate_limits == "real",
            seed=seed,
        )
        super().__init__(
            self.kintone,
            port=port,
            latency_ms=latency_ms,
            faults=faults,
            gate=CountingGate,
        )

    @property
    def domain(self) -> Domain:
        return self.kintone.domain

    @property
    def password(self) -> tuple[str, str]:
        """A user that may do everything."""
        return next(iter(USERS.items()))

    def token(self, app: App, *rights: str) -> str:
        """A token of an app: the one that may do everything, or one with these rights."""
        if not rights:
            return self.kintone.token_of(app)
        text = f"kintone-sandbox-token-{app.id}-{'-'.join(rights)}"
        self.kintone.extra_tokens[text] = Token(text, app.id, frozenset(rights))
        return text
