"""One seed: random people, random harm, and what must stand in the end.

`Campaign(bench, seed).play()` lets somebody edit both systems between and during runs
that lose calls, statements and their process, and holds what stands after each run
against the oracle.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from associations.models import AssociationLink, LinkState
from syncs.models import RecordLink
from syncs.models.choices import RecordState
from tests.campaign.harm import Harm, Striker, choose
from tests.campaign.machine import Killed
from tests.campaign.oracle import (
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
from tests.campaign.people import People

STEPS = (4, 9)
QUIET_AFTER = 4  # runs


class Campaign(People):
    """One seed: people's edits and what the runs between them suffer. `tally` counts."""

    tally: Counter[str]

    def play(self) -> None:
        """Raises: Violation, with the seed and everything that was done."""
        self.tally = Counter(seeds=1)
        try:
            with self.bench.machine.in_force():
                self._play()
        except Exception as exc:
            steps = "\n".join(self.log)
            raise Violation(f"seed {self.seed}: {exc!r}\n{steps}") from exc

    def _play(self) -> None:
        rules = self.oracle.rules
        self.note(f"{rules} lag={self.lag} {self.switches}")
        self.bench.sandbox.control.set_switches(**self.switches)
        self.label = self.portal.new_label("Adviser")
        self.world.make_syncs(direction=rules.direction, conflict=rules.conflict)
        for _ in range(8):
            self.act(("create",))
        for _ in range(self.rng.randint(*STEPS)):
            for _ in range(self.rng.randint(0, 4)):
                self.act()
            self.bench.machine.clock.advance(self.rng.choice((0.1, 1, 4, 30)))
            if self.rng.random() < 0.7:
                self.run(choose(self.rng))
        self.finish()

    # Runs -------------------------------------------------------------------------------

    def run(self, harm: Harm) -> dict[str, Any]:
        self.note(f"run {harm}")
        machine, control = self.bench.machine, self.bench.sandbox.control
        report: dict[str, Any] = {}
        edit = partial(self.act, at_work=True)
        striker = Striker(machine, harm, edit=edit, rival=self._rival)
        control.set_faults(*harm.faults)
        control._gate.forget()  # a page comes again at once, and not days later
        machine.at_place = striker if harm else None
        try:
            with machine.process():
                report = self.world.run(full=harm.full)
        except Killed:
            self.note("    killed")
        except DatabaseError as exc:
            self.note(f"    {exc!r}")
            if not striker.hit["own database"]:
                raise
        finally:
            machine.at_place, machine.outage = None, 0
            struck = {
                f"fault {str(f['spec']).partition(',')[0]}": int(str(f["fired"]))
                for f in control.faults()
            }
            control.set_faults()
        self._count(striker, struck)
        clean = not harm and not self.oracle.open
        if report:
            codes = [e["code"] for c in report["syncs"] for e in c["errors"]]
            self.note(f"    {report['status']} {codes}")
        self.oracle.ran(self.look(), self.named(), clean=clean)
        return report

    def _rival(self) -> None:
        """Another worker does the same meanwhile."""
        with self.bench.machine.process():
            report = self.world.run()
        self.note(f"    meanwhile another run: {report['status']}")

    def _count(self, striker: Striker, struck: dict[str, int]) -> None:
        if striker.trouble:
            raise striker.trouble[0]
        self.tally["runs"] += 1
        self.tally.update(striker.hit)
        self.tally.update({name: n for name, n in struck.items() if n})
        if striker.hit:
            self.note(f"    {dict(striker.hit)}")

    def finish(self) -> None:
        """Let everything come to rest. Raises: Violation."""
        self.note("faults stop")
        control = self.bench.sandbox.control
        control.set_switches(search_lag_s=0)
        control.settle()
        self.lag = 0
        self.oracle.see_all()
        for model in (RecordLink, AssociationLink):
            model.objects.filter(retry_at__isnull=False).update(retry_at=timezone.now())
        for number in range(QUIET_AFTER):
            report = self.run(Harm(full=number == 1 and self.seed % 2 == 0))
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
            record = self.record_of(row)
            if record not in self.oracle.gone | set(self.twins) | set(
                self.twins.values()
            ):
                raise Violation(f"{record}: {row.error_code} {row.error_text}")

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
        """Whose link a row of ours is. Raises: Violation where it ties two."""
        kind = COMPANIES if row.sync_id == self.world.companies.pk else CONTACTS
        ids = ((H, row.hubspot_id), (A, row.app_id))
        found = {self.called.get((s, kind, i)) for s, i in ids if i is not None}
        if len(found) > 1:
            raise Violation(f"{found} are taken for one")
        return found.pop() if found else None

    def named(self) -> set[Slot | Record]:
        """What our own tables say is not in sync."""
        found: set[Any] = set()
        settled = (RecordState.IN_SYNC, RecordState.NEW, RecordState.UNMATCHED)
        for row in RecordLink.objects.all():
            record = self.record_of(row)
            if row.state not in settled or row.error_code:
                found.add(record)
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
