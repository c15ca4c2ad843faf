"""One open run per object sync: a lease with a heartbeat and a fencing token.

The token goes up each time a lease is taken. `Lease.check` compares it before every
remote write, so a worker that stalled past its lease and wakes writes nothing more.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from syncs.models import ObjectSync, SyncRun

BACK_AFTER_S = (0.5, 1, 2, 4, 8)  # how long a database that restarts is waited for


class LeaseLost(Exception):
    """The sync belongs to another run now: stop, and write nothing more."""


class LeaseBusy(Exception):
    """Another run holds the sync."""


def _process_start(pid: int) -> str:
    """When a process of this host started, in clock ticks; "" if it does not live."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    after_name = text.rpartition(")")[2].split()
    state, started = after_name[0], after_name[19]
    return "" if state in "ZX" else started


def holder() -> str:
    """Who holds a lease: host, process and the process's start, so a pid is not reused."""
    pid = os.getpid()
    return f"{socket.gethostname()}|{pid}|{_process_start(pid)}"


def holder_is_dead(held_by: str) -> bool:
    """Whether the holder was a process of this host that no longer lives."""
    host, _, rest = held_by.partition("|")
    pid, _, started = rest.partition("|")
    if host != socket.gethostname() or not pid.isdigit() or not Path("/proc").exists():
        return False
    return not started or _process_start(int(pid)) != started


def once_it_can(do: Callable[[], object]) -> None:
    """Write something down although our own database may be away: it may be back soon.

    Raises: DatabaseError if it is not.
    """
    for wait in (*BACK_AFTER_S, None):
        try:
            do()
            return
        except DatabaseError:
            connection.close()
            if wait is None:
                raise
            time.sleep(wait)


class Lease:
    """The right of one run, or of a person (no run), to work on one object sync.

    A thread renews it.
    """

    def __init__(self, sync: ObjectSync, run: SyncRun | None = None) -> None:
        self._sync_id = sync.pk
        self._run_id = run.pk if run is not None else None
        family = (run.pk, run.parent_id) if run is not None else ()
        self._beating = [pk for pk in family if pk is not None]
        self.token = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost = False

    def __enter__(self) -> Lease:
        self.take()
        interval = max(settings.LEASE_SECONDS / 4, 0.2)
        self._thread = threading.Thread(
            target=self._beat, args=(interval,), name="lease", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        free = {"lease_run_id": None, "lease_until": None, "lease_holder": ""}
        with suppress(DatabaseError):  # it runs out by itself
            once_it_can(lambda: self._mine().update(**free))

    def take(self) -> None:
        """Take the lease if nobody holds it, it ran out, or its process is dead.

        Raises: LeaseBusy.
        """
        now = timezone.now()
        row = ObjectSync.objects.get(pk=self._sync_id)
        # One that ends later than any can was taken before the clock was put back.
        latest = self._until(now) + timedelta(seconds=settings.LEASE_SECONDS)
        free = Q(lease_until=None) | Q(lease_until__lt=now) | Q(lease_until__gt=latest)
        if row.lease_until is not None and holder_is_dead(row.lease_holder):
            free |= Q(lease_token=row.lease_token)
        taken = (
            ObjectSync.objects.filter(pk=self._sync_id, lease_token=row.lease_token)
            .filter(free)
            .update(
                lease_token=F("lease_token") + 1,
                lease_run_id=self._run_id,
                lease_until=self._until(now),
                lease_holder=holder(),
            )
        )
        if not taken:
            raise LeaseBusy
        self.token = row.lease_token + 1

    def check(self) -> None:
        """Make sure that the lease is still ours and has not run out.

        Raises: LeaseLost.
        """
        if (
            self._lost
            or not self._mine().filter(lease_until__gt=timezone.now()).exists()
        ):
            self._lost = True
            raise LeaseLost

    def _mine(self) -> QuerySet[ObjectSync]:
        return ObjectSync.objects.filter(pk=self._sync_id, lease_token=self.token)

    def _until(self, now: datetime) -> datetime:
        return now + timedelta(seconds=settings.LEASE_SECONDS)

    def _beat(self, interval: float) -> None:
        try:
            while not self._stop.wait(interval):
                self._renew()
        finally:
            connection.close()

    def _renew(self) -> None:
        now = timezone.now()
        try:
            # A lease that ran out is not renewed: somebody may be about to take it.
            kept = self._mine().filter(lease_until__gt=now)
            if not kept.update(lease_until=self._until(now)):
                self._lost = True
            SyncRun.objects.filter(pk__in=self._beating).update(heartbeat_at=now)
        except DatabaseError:
            return  # the database is away: check() decides once it is back
