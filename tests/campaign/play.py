"""One seed: random people, random harm, and what must stand in the end.

`Campaign(bench, seed).play()` lets somebody edit both systems between and during runs
that lose calls, statements and their process, and holds what stands after each run
against the oracle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from associations.models import AssociationLink, LinkState
from syncs import services
from syncs.models import Change, RecordLink, SyncFilter, SyncRun
from syncs.models.choices import Awaiting, ChangeOutcome, RecordState, Trigger
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
    adviser,
)
from tests.campaign.people import FILTERS, SCOPE, People

STEPS = (4, 9)
QUIET_AFTER = 6  # runs
BY_COLUMN = {"app": {"field": "archived", "value": True}}
Begin = Callable[[], SyncRun]


class Campaign(People):
    """One seed: people's edits and what the runs between them suffer. `tally` counts."""

    tally: Counter[str]
    undoing = False  # the next one takes another back

    def play(self) -> None:
        """Raises: Violation, with the seed and everything that was done."""
        self.tally = Counter(seeds=1)
        try:
            with self.ground():
                self._play()
        except Exception as exc:
            steps = "\n".join(self.log)
            raise Violation(f"seed {self.seed}: {exc!r}\n{steps}") from exc

    def ground(self) -> AbstractContextManager[None]:
        """What the product runs on."""
        return self.bench.machine.in_force()

    def _play(self) -> None:
        rules = self.oracle.rules
        self.note(f"{rules} lag={self.lag} {self.switches}")
        self.bench.sandbox.control.set_switches(**self.switches)
        self.label = self.portal.new_label("Adviser")
        self.world.make_syncs(
            direction=rules.direction,
            conflict=rules.conflict,
            deletes=rules.deletes,
            archive=BY_COLUMN if self.archives else {},
            limits=dict(rules.limits),
        )
        if self.advises:
            self.world.advise(self.label)
        self._filter()
        for _ in range(8):
            self.act(("create",))
        for _ in range(4 * self.advises):
            self.act(("advise",))
        for _ in range(self.rng.randint(*STEPS)):
            for _ in range(self.rng.randint(0, 4)):
                self.act()
            self.bench.machine.clock.advance(self.rng.choice((0.1, 1, 4, 30)))
            if self.rng.random() < 0.7:
                self.run(choose(self.rng), self.decide())
        self.finish()

    def _filter(self) -> None:
        """Give both syncs the filters of the seed."""
        for side in self.oracle.rules.filters:
            operator, value = self.rng.choice(FILTERS)
            self.note(f"{side} filter: {SCOPE} {operator} {value}")
            for sync in self.world.both:
                SyncFilter.objects.create(
                    sync=sync, side=side, field=SCOPE, operator=operator, value=value
                )

    # Runs -------------------------------------------------------------------------------

    def run(self, harm: Harm, begin: Begin | None = None) -> dict[str, Any]:
        """Let a run suffer: the syncs', or one that somebody approved."""
        self.note(f"run {harm}")
        control = self.bench.sandbox.control
        control.set_faults(*harm.faults)
        control.gate.forget()  # a page comes again at once, and not days later
        try:
            report = self.suffer(harm, begin)
        finally:
            struck = {
                f"fault {str(f['spec']).partition(',')[0]}": int(str(f["fired"]))
                for f in control.faults()
            }
            control.set_faults()
        self.tally["runs"] += 1
        self.tally.update({name: n for name, n in struck.items() if n})
        whole = begin is None and not harm.only
        clean = whole and not harm and not self.oracle.open
        self._within_limits()
        if report:
            codes = [e["code"] for c in report["syncs"] for e in c["errors"]]
            self.note(f"    {report['status']} {codes}")
            self.tally[f"runs {report['status']}"] += 1
            clean = clean and report["status"] in ("succeeded", "partial")
        undo, self.undoing = self.undoing, False
        self.oracle.ran(self.look(), self.named(), clean=clean, undo=undo)
        self.oracle.excluded = self._excluded()
        return report

    def _within_limits(self) -> None:
        """No run wrote more than its limits without somebody's word.

        A report tells too what was found to have come of a run before: of one that was
        approved, and killed, say. So each run is held to what it sent itself.
        """
        sent = Change.objects.filter(
            outcome__in=(ChangeOutcome.APPLIED, ChangeOutcome.SENT)
        )
        rows = sent.filter(run__approved=False, run__undo_of=None)
        done: Counter[tuple[int, str]] = Counter()
        for run, kind, blanks in rows.values_list("run", "kind", "blanks"):
            done.update({(run, kind): 1, (run, "blank"): blanks})
        limits = dict(self.oracle.rules.limits)
        for (run, name), count in done.items():
            if (most := limits.get(name)) is not None and count > most:
                raise Violation(f"run {run}: {name} {count} over {most}")

    def suffer(self, harm: Harm, begin: Begin | None) -> dict[str, Any]:
        """Do a run under a harm. Returns: its report, {} where it did not live to it."""
        machine = self.bench.machine
        edit = partial(self.act, at_work=True)
        striker = Striker(machine, harm, edit=edit, rival=self._rival)
        machine.at_place = striker if harm else None
        report: dict[str, Any] = {}
        try:
            with machine.process():
                report = self.do(harm, begin)
        except Killed:
            self.note("    killed")
        except DatabaseError as exc:
            self.note(f"    {exc!r}")
            if not striker.hit["own database"]:
                raise
        finally:
            machine.at_place, machine.outage = None, 0
        if striker.trouble:
            raise striker.trouble[0]
        self.tally.update(striker.hit)
        if striker.hit:
            self.note(f"    {dict(striker.hit)}")
        return report

    def do(self, harm: Harm, begin: Begin | None) -> dict[str, Any]:
        if begin is not None:
            run = begin()
            services.execute(run)
            return services.report(SyncRun.objects.get(pk=run.pk))
        chosen = [getattr(self.world, harm.only)] if harm.only else []
        return self.world.run(*chosen, full=harm.full)

    def decide(self) -> Begin | None:
        """Decide about something that waits for a person; the run that this begins."""
        # The counterpart of a create that is taken back may pair with a twin of it.
        undo = self.undoes and not self.twins and self.rng.random() < 0.2
        if undo and not self.survivors:  # it may take a survivor's row away
            return self._undo()
        if self.rng.random() < 0.4:
            return None
        queue = self.rng.choice((None, Awaiting.DELETES, Awaiting.CONFLICTS))
        if queue is None:
            return self._about_a_plan()
        rows = list(services.waiting(queue))
        if not rows:
            return None
        row = self.rng.choice(rows)
        drop = self.rng.random() < 0.3
        self.note(f"{'drop' if drop else 'approve'} {row.kind} in {row.side}: {queue}")
        self.tally["dropped" if drop else "approved"] += 1
        if drop:
            services.drop_queue(queue, only=[row.pk])
            return None
        return partial(
            services.approve_queue, queue, only=[row.pk], trigger=Trigger.COMMAND
        )

    def _undo(self) -> Begin | None:
        """Take back what some run wrote."""
        runs = SyncRun.objects.filter(parent=None, undo_of=None).order_by("-pk")[:3]
        able = [run for run in runs if services.undoable(run)]
        if not able:
            return None
        run = self.rng.choice(able)
        self.note("undo a run")
        self.tally["undone"] += 1
        self.undoing = True
        return partial(services.start_undo, run_id=run.pk, trigger=Trigger.COMMAND)

    def _about_a_plan(self) -> Begin | None:
        held = services.all_held()
        if not held:
            return None
        run = self.rng.choice(held)
        rows = list(services.waiting(Awaiting.LIMITS).filter(run=run))
        how = self.rng.choice(("approve", "approve", "approve some", "drop"))
        self.note(f"{how} of a held plan")
        self.tally["dropped" if how == "drop" else "approved"] += 1
        if how == "drop":
            services.drop_run(run.pk)
            return None
        only = [self.rng.choice(rows).pk] if rows and how == "approve some" else []
        return partial(services.approve_run, run.pk, only=only, trigger=Trigger.COMMAND)

    def _rival(self) -> None:
        """Another worker does the same meanwhile."""
        with self.bench.machine.process():
            report = self.world.run()
        self.note(f"    meanwhile another run: {report['status']}")

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
            # Only a complete read sees what was deleted in the app.
            report = self.run(Harm(full=number == self.seed % 2))
            held = services.all_held()
            for run in held:
                self.note("approve a held plan")
                approve = partial(services.approve_run, trigger=Trigger.COMMAND)
                self.run(Harm(), partial(approve, run.pk))
            if number and not held and quiet(report):
                break
        else:
            raise Violation(f"run {QUIET_AFTER} still writes: {report}")
        self.oracle.ended(self.named(), {*self.twins, *self.twins.values()})
        self._named_rightly()
        self._sent_once()
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

    def _sent_once(self) -> None:
        """No create was taken twice by HubSpot."""
        traces = Counter(
            row["objectWriteTraceId"]
            for call in self.bench.sandbox.control.writes("/batch/create")
            if "associations" not in call["path"] and call["status"] < 300
            for row in call["body"]["inputs"]
        )
        if twice := [trace for trace, count in traces.items() if count > 1]:
            raise Violation(f"creates {twice} were sent twice")

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

    def _excluded(self) -> set[Record]:
        """What our own tables say is out of scope."""
        rows = RecordLink.objects.filter(state=RecordState.EXCLUDED)
        return {record for row in rows if (record := self.record_of(row)) is not None}

    def named(self) -> set[Slot | Record]:
        """What our own tables say is not in sync."""
        found: set[Any] = set()
        settled = (RecordState.IN_SYNC, RecordState.NEW, RecordState.UNMATCHED)
        for row in RecordLink.objects.all():
            record = self.record_of(row)
            if row.state not in settled or row.error_code:
                found.add(record)
        for change in services.waiting():
            if change.link is not None:
                found.add(self.record_of(change.link))
        links = AssociationLink.objects.exclude(state=LinkState.IN_SYNC)
        for link in links.select_related("link"):
            near = self.record_of(link.link) or ("", "")
            primary = link.mapping_id == self.world.mapping.pk
            found.add((*near, LINK if primary else adviser(self._far(link))))
        return found - {None}

    def _far(self, link: AssociationLink) -> str:
        """The company at the other end of a link."""
        if link.other is not None:
            found = self.record_of(link.other)
        else:
            found = self.called.get((link.side, COMPANIES, link.other_remote_id))
        return found[1] if found else ""


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
