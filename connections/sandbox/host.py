"""A fake system on a loopback port of its own.

Tests in the same process call `Host`; others use `/_sandbox/NAME` over HTTP: GET
state · counts · calls · switches · faults · limits; POST counts (reset) · switches ·
faults · limits · clock · latency · reset, each with a JSON object.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Protocol, Self

from connections.sandbox.clock import Clock
from connections.sandbox.faults import BadFault, Faults
from connections.sandbox.httpd import Gate, Hook, Server
from connections.sandbox.hubspot.switches import BadSwitch, Switches, Value
from connections.sandbox.wire import Answer, App, Request

Json = dict[str, Any]


class Fake(App, Protocol):
    """A fake system: it answers requests, and keeps its state under a path or in memory."""

    switches: Switches
    clock: Clock

    def refusal(self, status: int, message: str) -> object:
        """The body of an error as this system words it."""

    def state(self) -> Json:
        """What it holds, in numbers."""

    def limits(self) -> Json:
        """Its limits, and what was spent and refused."""

    def set_limits(self, **values: Any) -> None:
        """Change limits. Raises: ValueError for one there is not."""

    def forget_calls(self) -> None:
        """Forget what was spent."""

    def reset(self) -> None:
        """Empty it, and plant its first content again."""

    def close(self) -> None:
        """Close its store."""


class Host:
    """Serves a fake.

    Args: port, 0 for a free one; latency_ms, added to every call; faults, their texts;
        gate, one that does more than count.
    Raises: BadFault; OSError if the port is taken.
    """

    def __init__(
        self,
        fake: Fake,
        *,
        port: int = 0,
        latency_ms: float = 0,
        faults: Iterable[str] = (),
        gate: type[Gate] = Gate,
    ) -> None:
        self.fake = fake
        self.gate = gate(
            fake,
            Faults(faults),
            latency_ms=latency_ms,
            refusal=fake.refusal,
        )
        self._server = Server(port, self.gate, self._control)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

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
        self.gate.stopping.set()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()
        self._server.hang_up()
        self.fake.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # Gauges

    def counts(self) -> dict[str, int]:
        """Return calls by family, such as "POST records"."""
        return self.gate.traffic.counts()

    def count(self, part: str = "") -> int:
        """Return how many calls were made whose family contains a text."""
        return sum(n for family, n in self.counts().items() if part in family)

    def statuses(self) -> dict[int, int]:
        """Return answers by status; 0 stands for a connection closed without one."""
        return self.gate.traffic.statuses()

    def calls(self) -> list[Json]:
        """Return the last calls in order."""
        return self.gate.traffic.calls()

    def switches(self) -> Json:
        """Return every switch with its value and what it means."""
        return self.fake.switches.describe()

    def faults(self) -> list[dict[str, object]]:
        """Return the faults in force and how often each struck."""
        return self.gate.faults.describe()

    def limits(self) -> Json:
        """Return limits, what was spent, and how many calls were refused."""
        return self.fake.limits()

    # Levers

    def set_limits(self, **values: Any) -> None:
        """Change limits. Raises: ValueError for one there is not."""
        self.fake.set_limits(**values)

    def reset_counts(self) -> None:
        """Forget calls and what was spent; records stay."""
        self.gate.traffic.reset()
        self.fake.forget_calls()

    def set_switches(self, **values: Value) -> None:
        """Turn switches. Raises: BadSwitch."""
        self.fake.switches.update(values)

    def set_faults(self, *specs: str) -> None:
        """Replace the faults in force; none lifts them all. Raises: BadFault."""
        self.gate.faults.set(specs)

    def set_hook(self, hook: Hook | None) -> None:
        """Have a function called before and after every call's effect."""
        self.gate.hook = hook

    def set_latency(self, milliseconds: float) -> None:
        """Make every call take this much longer."""
        self.gate.latency_ms = milliseconds

    def set_clock(self, offset_s: float) -> None:
        """Put the fake's clock ahead of the machine's."""
        self.fake.clock.offset_s = offset_s

    def reset(self) -> None:
        """Empty the fake, seed it again, and forget the counts."""
        self.fake.reset()
        self.gate.forget()
        self.reset_counts()

    # Over HTTP

    def _control(self, request: Request) -> Answer:
        name = request.path.rpartition("/")[2]
        gauge, lever = self._gauges().get(name), self._levers().get(name)
        try:
            if request.method == "GET" and gauge is not None:
                return Answer.json(200, gauge())
            if request.method == "POST" and lever is not None:
                lever(json.loads(request.body) if request.body else {})
                return Answer.json(200, {"status": "done"})
        except (BadFault, BadSwitch, ValueError, TypeError, KeyError) as error:
            return Answer.json(400, {"message": str(error)})
        known = f"GET {' '.join(self._gauges())}; POST {' '.join(self._levers())}"
        return Answer.json(404, {"message": f"no such lever; known: {known}"})

    def _gauges(self) -> dict[str, Callable[[], object]]:
        return {
            "state": self._state,
            "counts": self.counts,
            "calls": self.calls,
            "switches": self.switches,
            "faults": self.faults,
            "limits": self.limits,
        }

    def _levers(self) -> dict[str, Callable[[Json], None]]:
        return {
            "counts": lambda _: self.reset_counts(),
            "switches": lambda body: self.set_switches(**body),
            "faults": lambda body: self.set_faults(*_specs(body)),
            "limits": lambda body: self.set_limits(**body),
            "clock": lambda body: self.set_clock(float(body["offset_s"])),
            "latency": lambda body: self.set_latency(float(body["ms"])),
            "reset": lambda _: self.reset(),
        }

    def _state(self) -> Json:
        return self.fake.state() | {
            "counts": self.counts(),
            "statuses": self.statuses(),
            "limits": self.limits(),
            "faults": self.faults(),
            "switches": self.fake.switches.values(),
        }


def _specs(body: Json) -> Iterable[str]:
    specs = body.get("faults", [])
    if not isinstance(specs, list):
        raise BadFault("faults must be a list of texts")
    return [str(spec) for spec in specs]
