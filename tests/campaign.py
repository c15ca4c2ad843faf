"""A seeded fault campaign: random users, random faults, and what must stand in the end.

`Campaign(world, seed).play()` lets somebody edit both systems between and during runs
that lose calls, statements and their process, and holds what stands after each run
against the oracle.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from associations.models import AssociationLink, LinkState
from connections.connectors import http
from connections.connectors.postgres import database
from syncs.models import RecordLink
from syncs.models.choices import RecordState
from tests.campaign_oracle import (
    COMPANIES,
    CONTACTS,
    LINK,
    A,
    H,
    Record,
    Seen,
    Slot,
    Violation,
)
from tests.campaign_people import People, new_label
from tests.test_kill import Places, in_a_child

STEPS = 12
QUIET_AFTER = 4  # runs
PATHS = (
    *("/batch/create", "/batch/create", "/batch/update", "/batch/read"),
    *("associations", "associations", "/search", "/crm/"),
)


@dataclass(frozen=True, slots=True)
class Hurt:
    """What a run suffers: faults of HubSpot, lost statements, a kill, edits meanwhile."""

    faults: tuple[str, ...] = ()
    statement: tuple[int, bool] | None = None  # which, and whether it took effect
    kill_at: int = 0
    edits_at: tuple[int, ...] = ()  # HubSpot's calls
    full: bool = False  # no harm: everything is read

    def __bool__(self) -> bool:
        return bool(self.faults or self.statement or self.kill_at or self.edits_at)


class Campaign(People):
    """One seed: people's edits and what the runs between them suffer."""

    def play(self) -> None:
        """Raises: Violation, with the seed and everything that was done."""
        try:
            self._play()
        except Violation as exc:
            steps = "\n".join(self.log)
            raise Violation(f"seed {self.seed}: {exc}\n{steps}") from exc

    def _play(self) -> None:
        rules = self.oracle.rules
        self.note(f"{rules} lag={self.lag} {self.switches}")
        self.world.sandbox.control.set_switches(**self.switches)
        self.label = ("USER_DEFINED", new_label(self.world.client))
        self.world.set_up(direction=rules.direction, conflict=rules.conflict)
        for _ in range(8):
            self.act(("create",))
        for _ in range(STEPS):
            for _ in range(self.rng.randint(0, 4)):
                self.act()
            if self.rng.random() < 0.7:
                self.run(self.hurt())
        self.finish()

    # Runs -------------------------------------------------------------------------------

    def hurt(self) -> Hurt:
        rng = self.rng
        found = Hurt(full=rng.random() < 0.25)
        if rng.random() < 0.35:
            return found
        if rng.random() < 0.5:
            faults = tuple(self.fault() for _ in range(rng.randint(1, 3)))
            found = replace(found, faults=faults)
        if rng.random() < 0.25:
            found = replace(found, statement=(rng.randint(1, 25), rng.random() < 0.5))
        if rng.random() < 0.4:
            found = replace(found, kill_at=rng.randint(1, 160))
        if rng.random() < 0.4:
            places = tuple(rng.randint(1, 12) for _ in range(rng.randint(1, 3)))
            found = replace(found, edits_at=places)
        return found

    def fault(self) -> str:
        rng = self.rng
        kind = rng.choice(("drop", "status=503", "status=500", "status=429"))
        path = rng.choice(PATHS)
        nth = rng.choice((1, 1, 1, 2, 3)) if path != "/crm/" else rng.randint(1, 14)
        when = "before" if "429" in kind else rng.choice(("before", "after"))
        times = rng.choice((1, 1, 2, 30))
        return f"{kind},path={path},nth={nth},times={times},when={when}"

    def run(self, hurt: Hurt) -> dict[str, Any]:
        self.note(f"run {hurt}" if hurt else f"run full={hurt.full}")
        control, report = self.world.sandbox.control, {}
        left = sorted(hurt.edits_at)
        busy, calls = [False], [0]
        trouble: list[Exception] = []

        def meanwhile(*_: Any) -> None:
            if busy[0]:
                return
            calls[0] += 1
            if left and calls[0] >= left[0]:
                busy[0] = True
                left.pop(0)
                gate = control._gate
                faults, gate.faults = gate.faults, type(gate.faults)()
                try:
                    self.act(at_work=True)
                except Exception as exc:
                    trouble.append(exc)
                finally:
                    gate.faults, busy[0] = faults, False

        control.set_faults(*hurt.faults)
        control.set_hook(meanwhile if left else None)
        try:
            with lost_statement(hurt.statement):
                if hurt.kill_at:
                    self.note(f"    signal {in_a_child(partial(self._die, hurt))}")
                else:
                    report = self.world.run(full=hurt.full)
        finally:
            control.set_hook(None)
            control.set_faults()
        if trouble:
            raise trouble[0]
        clean = not hurt and not self.oracle.open
        if report:
            codes = [e["code"] for c in report["syncs"] for e in c["errors"]]
            self.note(f"    {report['status']} {codes}")
        self.oracle.ran(self.look(), self.named(), clean=clean)
        return report

    def _die(self, hurt: Hurt) -> None:
        Places(hurt.kill_at).watch()
        self.world.run(full=hurt.full)

    def finish(self) -> None:
        """Let everything come to rest. Raises: Violation."""
        self.note("faults stop")
        control = self.world.sandbox.control
        control.set_switches(search_lag_s=0)
        control.settle()
        self.lag = 0
        self.oracle.see_all()
        for model in (RecordLink, AssociationLink):
            model.objects.filter(retry_at__isnull=False).update(retry_at=timezone.now())
        for number in range(QUIET_AFTER):
            report = self.run(Hurt(full=number == 1 and self.seed % 2 == 0))
            if quiet(report):
                break
        else:
            raise Violation(f"run {QUIET_AFTER} still writes: {report}")
        self.oracle.ended(self.named())
        self._named_rightly()
        self._extras(self.look())

    def _named_rightly(self) -> None:
        """What did nothing wrong is not left failing."""
        rows = RecordLink.objects.filter(
            state__in=(RecordState.FAILING, RecordState.UNCERTAIN)
        )
        for row in rows:
            if self.record_of(row) not in self.oracle.gone:
                raise Violation(
                    f"{self.record_of(row)}: {row.error_code} {row.error_text}"
                )

    def _extras(self, seen: Seen) -> None:
        gone = self.oracle.gone
        for (mail, domain), labels in self.extra.items():
            if {(CONTACTS, mail), (COMPANIES, domain)} & gone:
                continue
            if (mail, domain) not in seen.links:
                was = domain in self.oracle.told.get((CONTACTS, mail, LINK), set())
                if not (was and self.switches.get("primary_archive") == "removes_pair"):
                    raise Violation(f"the link {mail} – {domain} is lost")
            elif not labels <= seen.links[mail, domain]:
                raise Violation(f"the label of {mail} – {domain} is lost")

    def record_of(self, row: RecordLink) -> Record | None:
        kind = COMPANIES if row.sync_id == self.world.companies.pk else CONTACTS
        known = {(H, kind, row.hubspot_id), (A, kind, row.app_id)}
        for (side, record), i in self.ids.items():
            if (side, record[0], i) in known:
                return record
        return None

    def named(self) -> set[Slot | Record]:
        """What our own tables say is not in sync."""
        found: set[Any] = set()
        settled = (RecordState.IN_SYNC, RecordState.NEW, RecordState.UNMATCHED)
        for row in RecordLink.objects.exclude(state__in=settled, error_code=""):
            found.add(self.record_of(row))
        for link in AssociationLink.objects.exclude(state=LinkState.IN_SYNC):
            found.add((*(self.record_of(link.link) or ("", "")), LINK))
        return found - {None}


def quiet(report: dict[str, Any]) -> bool:
    """Whether a run wrote nothing."""
    nothing = {H: 0, A: 0}
    return all(
        work == nothing
        for child in report["syncs"]
        for work in (
            *(child[k] for k in ("created", "updated", "archived")),
            *(child["associations"][k] for k in ("added", "removed", "changed")),
        )
    )


@contextmanager
def lost_statement(which: tuple[int, bool] | None) -> Iterator[None]:
    """Let the session break at one statement to the app, before or after its effect."""
    run, seen = database.Database._run, [0]

    def breaking(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen[0] += 1
        lost = which is not None and seen[0] == which[0]
        found = run(self, *args, **kwargs) if not lost or (which and which[1]) else []
        if lost:
            raise psycopg.OperationalError("the connection is lost")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            http.Door.__init__,
            "__kwdefaults__",
            {"dialect": None, "sleep": lambda _: None},
        )
        patch.setattr(http.Door, "_penalise", lambda *_: None)
        patch.setattr(database, "_pause", lambda _: None)
        if which is not None:
            patch.setattr(database.Database, "_run", breaking)
        yield
