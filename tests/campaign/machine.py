"""The machine a quick campaign runs on: its clock, network, threads and death are ours.

A run here calls the sandbox without a socket, keeps its sessions with PostgreSQL, reads
one side after the other, and takes its time from a clock that moves when something
happens. So a seed costs little and does the same each time. What a process could be
killed at is a *place*: before and after each call, statement and commit.

A death is an exception that nothing catches, and from then on that process does nothing
any more: whatever a `finally` or an `except` would still write or send raises it again,
and what was not committed is rolled back. That leaves what a SIGKILL leaves; some seeds
use a real one to say so (`Real`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any, Literal
from urllib.parse import urlencode

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from requests.structures import CaseInsensitiveDict

from connections import services
from connections.connectors import http
from connections.connectors.failures import Failure
from connections.connectors.postgres import database
from connections.sandbox.httpd import Dropped
from connections.sandbox.server import SandboxServer
from connections.sandbox.wire import Request
from syncs.run import ahead, lease, pull

Kind = Literal["call", "statement", "commit"]
Phase = Literal["before", "after"]
CALL_S = 0.002  # what a call to HubSpot takes, on its clock and ours
LOOK_S = 0.00005  # between two looks at our clock
NO_WRITE = ("SELECT", "SAVEPOINT", "BEGIN", "RELEASE", "ROLLBACK", "PRAGMA", "SET")


WRITE = "write"  # what a place is about, if it changes a system


class Killed(BaseException):
    """The process is dead."""


class Clock:
    """Two clocks: HubSpot's, and ours, which may be set wrong."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Show the real time, and go on from there alone."""
        self.hubspot = self.ours = float(int(time.time()))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.hubspot += seconds
        self.ours += seconds

    def step(self, seconds: float) -> None:
        """Set our clock forward or back."""
        self.ours += seconds

    def now(self) -> datetime:
        self.ours += LOOK_S
        return datetime.fromtimestamp(self.ours, UTC)


class Machine:
    """Where the campaign's processes live, one inside the other at most.

    `at_place`, if set, is told of every place that the living process passes, and may
    raise, kill or do something of its own there.
    """

    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self.clock = Clock()
        self.rng = random.Random()
        self.at_place: Callable[[Kind, Phase, str], None] | None = None
        self.dead = False
        self.outage = 0  # statements to our own database that fail from here on
        self._lives = [1]  # process ids: the last is at work
        self._born = 1
        self._sessions: list[psycopg.Connection[Any]] = []

    def start(self, seed: int) -> None:
        """Begin a seed."""
        self.clock.start()
        self.rng = random.Random(seed)
        random.seed(seed)  # jitter
        self.at_place, self.dead, self.outage = None, False, 0

    # Processes --------------------------------------------------------------------------

    @contextmanager
    def process(self) -> Iterator[None]:
        """A process of its own: what is begun in here is by another than outside."""
        self._born += 1
        self._lives.append(self._born)
        try:
            yield
        except Killed:
            self.dead = False
            connection.close()
            raise
        finally:
            self._lives.pop()

    def kill(self) -> None:
        """Let the process that is at work die. Raises: Killed."""
        self.dead = True
        raise Killed

    def place(self, kind: Kind, phase: Phase, what: str = "") -> None:
        """The process at work passes a place. Raises: Killed, or what is done there."""
        if self.dead:
            raise Killed
        if self.at_place is not None:
            self.at_place(kind, phase, what)

    def _started(self, pid: int) -> str:
        return "1" if pid in self._lives else ""

    # HubSpot ----------------------------------------------------------------------------

    def exchange(
        self, door: http.Door, call: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        """What `Door._exchange` does, without a socket."""
        if self.dead:
            raise Killed
        self.clock.advance(CALL_S)
        headers = {name.title(): value for name, value in door._headers.items()}
        query = urlencode(call.query or {})
        request = Request(call.method, call.path, query, headers, call.body or b"")
        gate = self.sandbox.control.gate
        try:
            answer = gate.handle(request)
        except Dropped:
            late = gate.traffic.calls()[-1]["fault"].startswith("timeout")
            failure = Failure.NO_ANSWER if late else Failure.BROKEN
            raise door._network_trouble(failure) from None
        self.place("call", "after", _what(call))
        at = datetime.fromtimestamp(self.clock.hubspot, UTC).replace(microsecond=0)
        told = CaseInsensitiveDict(
            {**answer.headers, "Date": format_datetime(at, usegmt=True)}
        )
        return answer.status, told, answer.body

    # PostgreSQL -------------------------------------------------------------------------

    def _connected(self, connect: Any) -> Any:
        def connected(db: database.Database) -> Any:
            while self._sessions:
                session = self._sessions.pop()
                if not session.closed:
                    return session
            return connect(db)

        return connected

    def _closed(self, db: database.Database) -> None:
        self._sessions += db._idle
        db._idle = []

    def hang_up(self) -> None:
        """Close every kept session."""
        while self._sessions:
            self._sessions.pop().close()

    # Everything in force ----------------------------------------------------------------

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Let the product run on this machine."""
        clock = self.clock
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(timezone, "now", clock.now)
            patch.setattr(time, "sleep", clock.advance)
            patch.setattr(
                self.sandbox.hubspot.clock, "now", lambda: clock.hubspot, raising=False
            )
            no_sleep = {
                **(http.Door.__init__.__kwdefaults__ or {}),
                "sleep": clock.advance,
            }
            patch.setattr(http.Door.__init__, "__kwdefaults__", no_sleep)
            # The shared budget's clock is the database's, and nothing is short here.
            free = SimpleNamespace(
                acquire=lambda _: None, penalise=lambda *_, **__: None
            )
            patch.setattr(services, "account_budget", lambda _: free)
            patch.setattr(http.Door, "_exchange", lambda d, c: self.exchange(d, c))
            patch.setattr(http.Door, "_once", self._once(http.Door._once))
            patch.setattr(database.Database, "_run", self._run(database.Database._run))
            connect = database.Database._connect
            patch.setattr(database.Database, "_connect", self._connected(connect))
            patch.setattr(database.Database, "close", lambda db: self._closed(db))
            patch.setattr(pull, "ThreadPoolExecutor", self._one_by_one)
            patch.setattr(pull, "connection", SimpleNamespace(close=lambda: None))
            patch.setattr(ahead, "ThreadPoolExecutor", AtOnce)
            patch.setattr(ahead, "connection", SimpleNamespace(close=lambda: None))
            here = SimpleNamespace(getpid=lambda: self._lives[-1])
            patch.setattr(lease, "os", here)
            patch.setattr(lease, "_process_start", self._started)
            self._watch_ours(patch)
            try:
                yield
            finally:
                self.hang_up()

    def _once(self, once: Any) -> Any:
        def around(door: Any, call: Any, attempt: int) -> Any:
            self.place("call", "before", _what(call))
            return once(door, call, attempt)

        return around

    def _run(self, run: Any) -> Any:
        def around(db: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
            what = WRITE if kwargs.get("changes") else ""
            self.place("statement", "before", what)
            found = run(db, statement, *args, **kwargs)
            self.place("statement", "after", what)
            return found

        return around

    def _one_by_one(self, **_: Any) -> OneByOne:
        return OneByOne(self.rng)

    def _watch_ours(self, patch: pytest.MonkeyPatch) -> None:
        """Our own database: every statement and commit of the process at work."""
        commit = BaseDatabaseWrapper._commit  # type: ignore[attr-defined]

        def committed(wrapper: Any) -> None:
            try:
                self.place("commit", "before")
            except BaseException:
                wrapper._rollback()
                raise
            commit(wrapper)
            self.place("commit", "after")

        patch.setattr(BaseDatabaseWrapper, "_commit", committed)
        for name in ("execute", "executemany"):
            patch.setattr(
                CursorWrapper, name, self._executed(getattr(CursorWrapper, name))
            )

    def _executed(self, execute: Any) -> Any:
        def executed(cursor: Any, sql: str, params: Any = None) -> Any:
            """A statement outside a transaction is a commit of its own."""
            if self.dead:
                raise Killed
            if self.outage:
                self.outage -= 1
                raise OperationalError("the database is away")
            alone = not cursor.db.in_atomic_block
            alone = alone and not sql.lstrip().upper().startswith(NO_WRITE)
            if alone:
                self.place("commit", "before")
            found = execute(cursor, sql, params)
            if alone:
                self.place("commit", "after")
            return found

        return executed


def _what(call: Any) -> str:
    return "" if call.safety is http.Safety.READ else WRITE


class AtOnce:
    """A pool whose work is done as it is handed in: the next page of a read is there
    before the one at hand is stored, and a kill in it loses both."""

    def __init__(self, **_: Any) -> None:
        return

    def __enter__(self) -> AtOnce:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def submit(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(work(*args))
        except Exception as exc:
            done.set_exception(exc)
        return done


class OneByOne:
    """A pool of threads whose work is done in turn, in an order of the seed's."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._due: list[Later] = []

    def __enter__(self) -> OneByOne:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def submit(self, work: Callable[..., Any], *args: Any) -> Later:
        later = Later(self, lambda: work(*args))
        self._due.append(later)
        return later

    def catch_up(self) -> None:
        due, self._due = self._due, []
        self._rng.shuffle(due)
        for later in due:
            later.go()


class Later:
    """What `submit` gives: a piece of work and how it ended."""

    def __init__(self, pool: OneByOne, work: Callable[[], Any]) -> None:
        self._pool, self._work = pool, work
        self._error: Exception | None = None

    def go(self) -> None:
        try:
            self._work()
        except Exception as exc:
            self._error = exc

    def exception(self) -> Exception | None:
        self._pool.catch_up()
        return self._error
