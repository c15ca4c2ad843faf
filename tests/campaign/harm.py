"""What a run suffers, by seed: faults, lost statements, deaths, rivals, stalls, edits."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import psycopg
from django.db import OperationalError, connection
from psycopg import errors

from connections.connectors.postgres.errors import connect_error
from tests.campaign.machine import WRITE, Kind, Machine, Phase

PATHS = (
    *("/batch/create", "/batch/create", "/batch/update", "/batch/read", "/search"),
    *("associations", "associations", "objects/", "/0-1", "/0-2", "/crm/"),
)
LISTS = ("/search", "/search", "/batch/read", "objects/,method=GET", "/batch/read")
SPOKEN = (
    *("drop", "timeout=0", "cut", "garbage", "hollow"),
    *("status=503", "status=500", "status=502", "status=429", "status=423"),
)
UNDONE = ("status=429", "status=423")  # say that nothing was done
# With 200, and not what stands there.
LISTED = ("truncate", "truncate=1", "truncate=2", "omit", "omit=1", "repeat", "shuffle")
LOSING = ("truncate", "truncate=1", "omit")  # may lose outcomes of writes, too
STEPS_S = (-3600.0, -30.0, 10.0, 61.0, 3600.0, 90_000.0)
# Of records only: another page of a contact's links, or how they stood before our write,
# is a full answer to what was asked, and nothing could tell it from people's work.
RECORDS_READ = "/0-1/batch/read"
# How a statement to the app ends, and whether it may have taken effect.
LOST, REFUSED = "lost", "refused"
STATEMENTS: dict[str, Callable[[], Exception]] = {
    LOST: lambda: psycopg.OperationalError("the connection is lost"),
    "shut down": lambda: errors.AdminShutdown("terminating connection"),
    "deadlock": lambda: errors.DeadlockDetected("deadlock detected"),
    "serialization": lambda: errors.SerializationFailure("could not serialize"),
    "lock": lambda: errors.LockNotAvailable("lock timeout"),
    "cancelled": lambda: errors.QueryCanceled("statement timeout"),
    REFUSED: lambda: connect_error(
        psycopg.OperationalError("connection refused"), "the server", ""
    ),
}
AFTER = (LOST, "shut down")


@dataclass(frozen=True, slots=True)
class Harm:
    """What one run suffers; `full` and `only` are no harm, but say what is done."""

    faults: tuple[str, ...] = ()  # of HubSpot, as the sandbox words them
    statement: tuple[int, int, str, bool] | None = None  # nth, times, how, with effect
    ours: tuple[int, bool, int] | None = (
        None  # nth commit, with effect, statements after
    )
    kill_at: int = 0  # place
    # Calls and statements, counted before and after; below 0: only those that write.
    edits_at: tuple[int, ...] = ()
    rival_at: int = 0  # at which another worker starts
    stall: tuple[int, float] | None = None  # at which this one stalls, and how long
    step: tuple[int, float] | None = None  # at which our clock is set, and how far
    full: bool = False
    only: str = ""  # the one sync that runs

    def __bool__(self) -> bool:
        harmless = ("full", "only")
        return any(
            getattr(self, f.name) for f in fields(self) if f.name not in harmless
        )

    def __str__(self) -> str:
        some = {f.name: getattr(self, f.name) for f in fields(self)}
        return ", ".join(f"{n}={v}" for n, v in some.items() if v) or "unharmed"


def choose(rng: random.Random) -> Harm:
    """What the next run suffers."""
    given: dict[str, Any] = {"full": rng.random() < 0.25}
    if rng.random() < 0.2:
        given["only"] = rng.choice(("companies", "contacts"))
    if rng.random() < 0.25:
        return Harm(**given)
    if rng.random() < 0.5:
        given["faults"] = tuple(_fault(rng) for _ in range(rng.randint(1, 3)))
    if rng.random() < 0.2:
        how = rng.choice((LOST, LOST, *STATEMENTS))
        after = how in AFTER and rng.random() < 0.5
        given["statement"] = (rng.randint(1, 25), rng.choice((1, 1, 2, 9)), how, after)
    if rng.random() < 0.12:
        late, more = rng.random() < 0.5, rng.choice((0, 0, 1, 3, 1000))
        given["ours"] = (rng.randint(1, 60), late, more)
    if rng.random() < 0.35:
        given["kill_at"] = rng.choice((rng.randint(1, 160), -rng.randint(1, 12)))
    if rng.random() < 0.4:
        given["edits_at"] = tuple(_moment(rng) for _ in range(rng.randint(1, 3)))
    if rng.random() < 0.1:
        given["rival_at"] = _moment(rng)
    if rng.random() < 0.1:
        given["stall"] = (_moment(rng), rng.choice((20.0, 61.0, 600.0)))
    if rng.random() < 0.08:
        given["step"] = (_moment(rng), rng.choice(STEPS_S))
    return Harm(**given)


def _moment(rng: random.Random) -> int:
    return rng.choice((rng.randint(1, 50), -rng.randint(1, 8)))


def _fault(rng: random.Random) -> str:
    kind = rng.choice((*SPOKEN, *SPOKEN, *LISTED))
    path = rng.choice((*LISTS, "/batch/") if kind in LOSING else LISTS)
    path = path if kind in LISTED else rng.choice(PATHS)
    if kind == "repeat" and path == "/batch/read":
        path = RECORDS_READ
    nth = rng.choice((1, 1, 1, 2, 3)) if path != "/crm/" else rng.randint(1, 14)
    when = "before" if kind in UNDONE else rng.choice(("before", "after"))
    times = rng.choice((1, 1, 2, 30))
    return f"{kind},path={path},nth={nth},times={times},when={when}"


class Striker:
    """Lets a harm happen as a run passes its places. `hit` counts what struck.

    `edit` is somebody's edit, `rival` another worker's whole run; both may be called
    where the run at work holds no transaction.
    """

    def __init__(
        self,
        machine: Machine,
        harm: Harm,
        *,
        edit: Callable[[], None],
        rival: Callable[[], None],
    ) -> None:
        self.machine, self.harm = machine, harm
        self._edit, self._rival = edit, rival
        self.trouble: list[Exception] = []
        self.hit: Counter[str] = Counter()
        self._places = self._outside = self._writes = 0
        self._seen: Counter[Kind] = Counter()

    def __call__(self, kind: Kind, phase: Phase, what: str) -> None:
        self._places += 1
        if phase == "before":
            self._seen[kind] += 1
        self._writes += what == WRITE
        if kind != "commit":
            self._meanwhile(what)
        if kind == "statement" and self.harm.statement:
            self._statement(phase, *self.harm.statement)
        if kind == "commit" and self.harm.ours:
            self._commit(phase, *self.harm.ours)
        dies = {self._places, -self._writes if what == WRITE else 0} - {0}
        if self.harm.kill_at in dies:
            self.hit["kill"] += 1
            self.machine.kill()

    def _statement(
        self, phase: Phase, nth: int, times: int, how: str, late: bool
    ) -> None:
        if late == (phase == "after") and nth <= self._seen["statement"] < nth + times:
            self.hit[f"statement {how}"] += 1
            raise STATEMENTS[how]()

    def _commit(self, phase: Phase, nth: int, late: bool, more: int) -> None:
        if late == (phase == "after") and self._seen["commit"] == nth:
            self.hit["own database"] += 1
            self.machine.outage = more
            raise OperationalError("the database went away")

    def _meanwhile(self, what: str) -> None:
        """What others do while the run is between two things."""
        if connection.in_atomic_block:
            return
        self._outside += 1
        harm, now = self.harm, {self._outside}
        if what == WRITE:
            now.add(-self._writes)
        for _ in now & set(harm.edits_at):
            self._undisturbed(self._edit, "edit")
        if harm.step and harm.step[0] in now:
            self.hit["clock step"] += 1
            self.machine.clock.step(harm.step[1])
        if harm.rival_at in now:
            self._undisturbed(self._rival, "rival")
        if harm.stall and harm.stall[0] in now:
            self.machine.clock.advance(harm.stall[1])
            self._undisturbed(self._rival, "stall")

    def _undisturbed(self, act: Callable[[], None], name: str) -> None:
        self.hit[name] += 1
        machine = self.machine
        gate = machine.sandbox.control.gate
        faults, gate.faults = gate.faults, type(gate.faults)()
        outage, machine.outage = machine.outage, 0
        machine.at_place = None
        try:
            act()
        except Exception as exc:
            self.trouble.append(exc)
        finally:
            machine.at_place, gate.faults = self, faults
            machine.outage = outage
