"""The plane beside the API: counting, switches, faults, the clock, a reset.

Tests in the same process call `Control`; others use `/_sandbox/NAME` over HTTP:
GET state · counts · calls · writes · switches · faults · limits; POST counts (reset) ·
switches · faults · limits · clock · latency · restore · settle · reset, each with a JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from connections.sandbox.faults import BadFault
from connections.sandbox.httpd import Gate, Hook
from connections.sandbox.hubspot.app import HubSpot
from connections.sandbox.hubspot.errors import ApiError
from connections.sandbox.hubspot.switches import BadSwitch, Value
from connections.sandbox.wire import Answer, Request

Json = dict[str, Any]
Seeder = Callable[[HubSpot], None]


class Control:
    """The fake's levers and gauges."""

    def __init__(self, hubspot: HubSpot, gate: Gate, seed: Seeder) -> None:
        self.hubspot = hubspot
        self._gate = gate
        self._seed = seed

    # Gauges

    def counts(self) -> dict[str, int]:
        """Return calls by family, such as "POST objects/contacts/batch/create"."""
        return self._gate.traffic.counts()

    def count(self, part: str) -> int:
        """Return how many calls were made whose family contains a text."""
        return sum(n for family, n in self.counts().items() if part in family)

    def statuses(self) -> dict[int, int]:
        """Return answers by status; 0 stands for a connection closed without one."""
        return self._gate.traffic.statuses()

    def calls(self) -> list[Json]:
        """Return the last 20,000 calls in order."""
        return self._gate.traffic.calls()

    def writes(self, part: str = "") -> list[Json]:
        """Return writes that had their say, whose path contains a text: method,
        path, body, status, at. They outlive a restart."""
        return [row for row in self.hubspot.writes() if part in row["path"]]

    def limits(self) -> Json:
        """Return limits, the peak of each window, and how many calls were refused."""
        budgets = self.hubspot.main.budgets
        return {
            "enforced": budgets.enforced,
            "general_per_10s": budgets.limits.general_per_10s,
            "association_per_10s": budgets.limits.association_per_10s,
            "search_per_second": budgets.limits.search_per_second,
            "daily": budgets.limits.daily,
            "association_daily": budgets.limits.association_daily,
            "windows": budgets.report(),
        }

    def switches(self) -> Json:
        """Return every switch with its value and what it means."""
        return self.hubspot.switches.describe()

    def faults(self) -> list[dict[str, object]]:
        """Return the faults in force and how often each struck."""
        return self._gate.faults.describe()

    # Levers

    def reset_counts(self) -> None:
        """Forget calls, logged writes and request windows; records stay."""
        self._gate.traffic.reset()
        store = self.hubspot.main.store
        with store.lock:
            store.run("DELETE FROM write_log")
        for account in self.hubspot.accounts.values():
            account.budgets.reset()

    def set_switches(self, **values: Value) -> None:
        """Turn switches.

        Raises: BadSwitch.
        """
        self.hubspot.switches.update(values)

    def set_faults(self, *specs: str) -> None:
        """Replace the faults in force; none lifts them all.

        Raises: BadFault.
        """
        self._gate.faults.set(specs)

    def set_latency(self, milliseconds: float) -> None:
        """Make every call take this much longer."""
        self._gate.latency_ms = milliseconds

    def set_limits(self, *, enforced: bool | None = None, **most: int) -> None:
        """Change limits: `general_per_10s`, `association_per_10s`,
        `search_per_second`, `daily`, `association_daily`; or whether they are
        enforced."""
        for account in self.hubspot.accounts.values():
            if enforced is not None:
                account.budgets.enforced = enforced
            for name, value in most.items():
                if not hasattr(account.budgets.limits, name):
                    raise ValueError(f"no limit {name}")
                setattr(account.budgets.limits, name, value)

    def set_clock(self, offset_s: float) -> None:
        """Put the sandbox's clock ahead of the machine's."""
        self.hubspot.clock.offset_s = offset_s

    def set_hook(self, hook: Hook | None) -> None:
        """Have a function called before and after every call's effect."""
        self._gate.hook = hook

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

    def reset(self) -> None:
        """Empty every account, seed it again, and forget the counts."""
        for account in self.hubspot.accounts.values():
            with account.store.transaction():
                account.store.empty()
            account.forget()
        self._seed(self.hubspot)
        self._gate.forget()
        self.reset_counts()

    # Over HTTP

    def answer(self, request: Request) -> Answer:
        """Answer a request to the control plane."""
        name = request.path.rpartition("/")[2]
        gauge, lever = self._gauges().get(name), self._levers().get(name)
        try:
            if request.method == "GET" and gauge is not None:
                return Answer.json(200, gauge())
            if request.method == "POST" and lever is not None:
                lever(json.loads(request.body) if request.body else {})
                return Answer.json(200, {"status": "done"})
        except ApiError as error:
            return Answer.json(error.status, error.body())
        except (BadFault, BadSwitch, ValueError, TypeError, KeyError) as error:
            return Answer.json(400, {"message": str(error)})
        known = f"GET {' '.join(self._gauges())}; POST {' '.join(self._levers())}"
        return Answer.json(404, {"message": f"no such lever; known: {known}"})

    def _gauges(self) -> dict[str, Callable[[], object]]:
        return {
            "state": self._state,
            "counts": self.counts,
            "calls": self.calls,
            "writes": self.writes,
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
            "restore": lambda body: self.restore(body["type"], body["id"]),
            "settle": lambda _: self.settle(),
            "reset": lambda _: self.reset(),
        }

    def _state(self) -> Json:
        account = self.hubspot.main
        with account.store.lock:
            rows = account.store.all(
                "SELECT kind, count(*) FROM record WHERE archived IS NULL GROUP BY kind"
            )
        kinds = account.catalogue
        return {
            "records": {kinds.kind(kind).plural: count for kind, count in rows},
            "counts": self.counts(),
            "statuses": self.statuses(),
            "limits": self.limits(),
            "faults": self.faults(),
            "switches": self.hubspot.switches.values(),
        }


def _specs(body: Json) -> Iterable[str]:
    specs = body.get("faults", [])
    if not isinstance(specs, list):
        raise BadFault("faults must be a list of texts")
    return [str(spec) for spec in specs]
