"""The sandbox in a thread, for tests, commands and the demo."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from connections.sandbox.clock import Clock
from connections.sandbox.control import Control
from connections.sandbox.faults import Faults
from connections.sandbox.httpd import Gate, Server
from connections.sandbox.hubspot.app import HubSpot
from connections.sandbox.hubspot.switches import Switches, Value
from connections.sandbox.hubspot.tokens import TOKENS
from connections.sandbox.seeds import plant
from connections.sandbox.wire import Answer

RateLimits = Literal["real", "off"]


class SandboxServer:
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
        )
        crash = {"status": "error", "message": "internal error", "category": "ERROR"}
        gate = Gate(
            self.hubspot,
            Faults(faults),
            latency_ms=latency_ms,
            unexpected=Answer.json(500, crash),
        )
        self.control = Control(self.hubspot, gate, partial(plant, seed))
        self._gate = gate
        self._server = Server(port, gate, self.control.answer)
        self._thread: threading.Thread | None = None
        plant(seed, self.hubspot)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def hubspot_url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """A token that may do everything in the main account."""
        return TOKENS[0].text

    @property
    def tokens(self) -> dict[str, str]:
        """Every token by what it is for."""
        return {token.name: token.text for token in TOKENS}

    def start(self) -> Self:
        """Serve in a thread."""
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="sandbox",
            daemon=True,
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving, close connections and files."""
        self._gate.stopping.set()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()
        self._server.hang_up()
        self.hubspot.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
