"""Decide what one record needs: its fields, its create, or nothing and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from connections.catalogue import Code
from connections.records import Canon, Side
from syncs.engine.fields import Baseline, Decision, decide
from syncs.engine.values import ValueProblem, convert, is_blank, same, words
from syncs.models import RecordKey, RecordLink
from syncs.models.choices import ChangeKind, RecordState
from syncs.run import identity, reissued, review
from syncs.run.gone import GonePlanner
from syncs.run.loops import LoopGuard
from syncs.run.lost_options import options_lost
from syncs.run.naming import show as show
from syncs.run.plan import rested
from syncs.run.scope import leave_out, scope_of
from syncs.run.session import PROBLEMS, REFUSED, MappedField, Session, now
from syncs.run.stage import Chunk, Note

FieldTimes = dict[tuple[Side, str], Mapping[str, datetime]]  # by side and record id

NAMES = {Side.HUBSPOT: "HubSpot", Side.APP: "the app"}


class RecordPlanner:
    """Plans the records of one chunk."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self.session: Session = chunk.session
        if chunk.due:
            self.session.read_people()
        self.fields = [m for m in self.session.fields if not self.session.lacks(m)]
        self.gone = GonePlanner(chunk)
        self.loops = LoopGuard(chunk)
        self._times: FieldTimes = {}
        keys = RecordKey.objects.filter(link__in=list(chunk.due))
        self._keyed = set(keys.values_list("link_id", flat=True) if chunk.due else ())

    def plan(self) -> None:
        due = [link for link in self.chunk.links if link.pk in self.chunk.due]
        due = self._without_reissued(due)
        self._times = self._field_times(due)
        for link in due:
            self._plan(link)

    def _without_reissued(self, due: list[RecordLink]) -> list[RecordLink]:
        """Leave alone what is held because its id may have been given away."""
        suspects = [link for link in due if identity.marked(link)]
        right = reissued.agree(suspects) if suspects else set()
        for link in suspects:
            text = identity.held_text(link)
            if link.pk in right:
                identity.free(link)
            elif text:
                self._note(link, RecordState.FAILING, Code.ID_REUSED, text)
                if not link.lost:
                    self.gone.whole(link)  # a deletion that waits is none
            else:  # not decided about: the next run reads both sides first
                self.chunk.due.discard(link.pk)
        return [link for link in due if not identity.marked(link)]

    def _field_times(self, due: list[RecordLink]) -> FieldTimes:
        """When fields changed that the rule `latest` decides about, where a side tells.

        A record's own time moves with every other field of it, and with our writes.
        """
        asked: dict[str, dict[str, set[str]]] = {side: {} for side in Side}
        fields = [m for m in self.fields if m.rule.conflict == "latest"]
        telling = [
            side
            for side in Side
            if self.session.connector(side).capabilities.tells_field_times
        ]
        for link in due if fields and telling else ():
            if not link.paired or link.hubspot_gone_at or link.app_gone_at:
                continue
            if not scope_of(self.session).inside(link):
                continue
            for mapped in fields:
                if self._unreadable(link, mapped):
                    continue
                if self._decide(link, mapped).rule.endswith("latest"):
                    for side in telling:
                        ids = asked[side].setdefault(mapped.name_on(side), set())
                        ids.add(link.id_on(side) or "")
        found: FieldTimes = {}
        for side in telling:
            ids = {i for some in asked[side].values() for i in some}
            if ids:
                answer = self.session.connector(side).changed_at(
                    self.session.object_on(side), sorted(ids), sorted(asked[side])
                )
                found |= {(side, i): times for i, times in answer.items()}
        return found

    def _plan(self, link: RecordLink) -> None:
        if link.state == RecordState.UNCERTAIN:
            return
        gone = [link.gone_on(side) is not None for side in Side]
        if link.lost and not any(gone):  # a run without --limit concludes that
            self.chunk.due.discard(link.pk)
            return
        if any(gone):
            if not all(gone) and leave_out(self.chunk, link):
                self.gone.outside(link)
            else:
                self.gone.plan(link)
            return
        self.gone.whole(link)
        if leave_out(self.chunk, link):
            return
        if link.paired:
            self._fields(link)
        elif link.error_code == Code.MATCH_AMBIGUOUS:
            self._note(link, RecordState.FAILING, link.error_code, link.error_text)
        else:
            self._single(link)

    def _note(
        self,
        link: RecordLink,
        state: RecordState,
        code: str = "",
        text: str = "",
        field: str = "",
    ) -> None:
        self.chunk.note(link, Note(state, code, text, field))

    # Both sides ------------------------------------------------------------------------

    def _fields(self, link: RecordLink) -> None:
        writes: dict[Side, list[tuple[MappedField, Decision]]] = {s: [] for s in Side}
        failed: list[tuple[str, str, str]] = []
        asked: list[str] = []
        for mapped in self.fields:
            problem = self._unreadable(link, mapped)
            if problem:
                failed.append(problem)
                continue
            decision = self._decide(link, mapped)
            refused = self._refused(link, mapped, decision)
            refused = refused or self.loops.check(link, mapped, decision)
            if refused:
                failed.append(refused)
            elif decision.verdict == "write" and decision.side is not None:
                writes[decision.side].append((mapped, decision))
            elif decision.verdict == "failed":
                failed.append(
                    (decision.code, decision.message, mapped.rule.hubspot.name)
                )
            elif decision.verdict == "review":
                asked.append(mapped.rule.hubspot.name)
                review.ask(self.chunk, link, mapped, decision, show(link))
            elif decision.adopt:
                self._adopt(link, mapped)
        for side, decisions in writes.items():
            if decisions:
                self._update(link, side, decisions)
        if failed:
            code, text, name = failed[0]
            self._note(link, RecordState.FAILING, code, text, name)
        elif asked:
            text = review.text_of(asked)
            self._note(link, RecordState.IN_SYNC, Code.CONFLICT, text, asked[0])
        else:
            self._note(link, RecordState.IN_SYNC)

    def _refused(
        self, link: RecordLink, mapped: MappedField, decision: Decision
    ) -> tuple[str, str, str] | None:
        """Why a side would not take this value, if it said so before."""
        side = decision.side
        if decision.verdict != "write" or side is None:
            return None
        return self._known_refusal(link, side, mapped.name_on(side), decision.value)

    def _known_refusal(
        self, link: RecordLink, side: Side, name: str, value: object
    ) -> tuple[str, str, str] | None:
        """A refused value waits for its back-off, and the rest of the record goes."""
        if link.retry_at is not None and rested(link.retry_at, now()):
            return None
        held = link.stage_state.get(REFUSED, {}).get(side, {}).get(name)
        if held is None or not same(held[0], value):
            return None
        return held[1], held[2], name

    def _decide(self, link: RecordLink, mapped: MappedField) -> Decision:
        value = link.app_values.get(mapped.name_on(Side.APP))
        decision = self._decided(link, mapped, value)
        if decision.side is not Side.HUBSPOT:
            return decision
        lost = options_lost(self.session, link, mapped)
        if not lost:
            return decision
        before, left = link.baseline[mapped.key], words(value)
        if {*left, *lost} != set(words(before[1])):
            # A person took others off: those alone go.
            return self._decided(link, mapped, sorted({*left, *lost}))
        # What went with its option nobody took out of the record: HubSpot's value
        # stands, and stays what the app does not hold.
        link.baseline[mapped.key] = [before[0], value]
        self.chunk.touched.add(link.pk)
        return self._decided(link, self.session.as_known_now(mapped), value)

    def _decided(self, link: RecordLink, mapped: MappedField, app: Canon) -> Decision:
        stored = link.baseline.get(mapped.key)
        return decide(
            link.hubspot_values.get(mapped.name_on(Side.HUBSPOT)),
            app,
            Baseline(*stored) if stored is not None else None,
            mapped.rule,
            hubspot_at=self._changed_at(link, mapped, Side.HUBSPOT),
            app_at=self._changed_at(link, mapped, Side.APP),
        )

    def _changed_at(
        self, link: RecordLink, mapped: MappedField, side: Side
    ) -> datetime | None:
        times = self._times.get((side, link.id_on(side) or ""), {})
        modified: datetime | None = getattr(link, f"{side}_modified_at")
        return times.get(mapped.name_on(side), modified)

    def _adopt(self, link: RecordLink, mapped: MappedField) -> None:
        now = [
            link.values_on(side).get(mapped.name_on(side))
            for side in (Side.HUBSPOT, Side.APP)
        ]
        if link.baseline.get(mapped.key) != now:
            link.baseline[mapped.key] = now
            self.chunk.touched.add(link.pk)

    def _unreadable(
        self, link: RecordLink, mapped: MappedField
    ) -> tuple[str, str, str] | None:
        for side in Side:
            problems = link.values_on(side).get(PROBLEMS) or {}
            name = mapped.name_on(side)
            if name in problems:
                code, text = problems[name]
                return code, text, name
        return None

    def _update(
        self,
        link: RecordLink,
        side: Side,
        decisions: Iterable[tuple[MappedField, Decision]],
    ) -> None:
        before: dict[str, Canon] = {}
        after: dict[str, Canon] = {}
        origin: dict[str, Canon] = {}
        reasons: list[str] = []
        rules: list[str] = []
        for mapped, decision in decisions:
            name = mapped.name_on(side)
            before[name] = link.values_on(side).get(name)
            after[name] = decision.value
            other = mapped.name_on(side.other)
            origin[other] = link.values_on(side.other).get(other)
            reasons.append(f"{name}: {decision.reason}")
            if decision.rule not in rules:
                rules.append(decision.rule)
        self.chunk.plan(
            link,
            side=side,
            kind=ChangeKind.UPDATE,
            record=show(link),
            reason="; ".join(reasons),
            rule=",".join(rules)[:60],
            before=before,
            after=after,
            origin=origin,
            blanks=sum(
                is_blank(value) and not is_blank(before[name])
                for name, value in after.items()
            ),
        )

    # One side only ---------------------------------------------------------------------

    def _single(self, link: RecordLink) -> None:
        here = Side.HUBSPOT if link.hubspot_id is not None else Side.APP
        there = here.other
        if self.session.keys and link.pk not in self._keyed:
            names = ", ".join(
                str(getattr(part, here)) for key in self.session.keys for part in key
            )
            self._note(
                link,
                RecordState.EXCLUDED,
                Code.KEY_MISSING,
                f"The record has no value to match by ({names}).",
            )
        elif link.keep_apart or not self.session.sync.creates_on(there):
            self._note(
                link,
                RecordState.UNMATCHED,
                "",
                "Unpaired by hand."
                if link.keep_apart
                else f"Nothing matches it, and this sync does not create in "
                f"{NAMES[there]}.",
            )
        else:
            self._create(link, here, there)

    def _create(self, link: RecordLink, here: Side, there: Side) -> None:
        values, origin, failed = self._draft(link, here, there)
        for name, constant in self.session.sync.on_create.get(there, {}).items():
            if is_blank(values.get(name)):
                values[name] = constant
        marker = self.session.sync.marker.get(there)
        if marker:
            values[marker] = link.id_on(here)
        missing = self._required(there, values)
        if missing:
            failed.append(
                (Code.REQUIRED_MISSING, f"{missing} must have a value.", missing)
            )
        parts = [part for key in self.session.keys for part in key]
        vital = {getattr(part, there) for part in parts}
        # Without its key it would be found by nobody, and made again some day.
        for side in Side:
            for name in sorted({str(getattr(part, side)) for part in parts}):
                if name in self.session.missing.get(side, ()):
                    text = (
                        f"{name}, which it is matched by, is missing in {NAMES[side]}."
                    )
                    failed.insert(0, (Code.FIELD_MISSING, text, name))
                    vital.add(name)
        if failed:
            code, text, name = failed[0]
            self._note(link, RecordState.FAILING, code, text, name)
            if missing or any(f[2] in vital for f in failed):
                return
        else:
            self._note(link, RecordState.IN_SYNC)
        self.chunk.creating[link.pk] = self.chunk.plan(
            link,
            side=there,
            kind=ChangeKind.CREATE,
            record=show(link),
            reason=f"It exists only in {NAMES[here]}.",
            rule="creates",
            after=values,
            origin=origin,
        )

    def _draft(
        self, link: RecordLink, here: Side, there: Side
    ) -> tuple[dict[str, Any], dict[str, Any], list[tuple[str, str, str]]]:
        values: dict[str, Any] = {}
        origin: dict[str, Any] = {}
        failed: list[tuple[str, str, str]] = []
        for mapped in self.fields:
            if not mapped.writes(there):
                continue
            problem = self._unreadable(link, mapped)
            if problem:
                failed.append((problem[0], problem[1], mapped.name_on(there)))
                continue
            value = link.values_on(here).get(mapped.name_on(here))
            origin[mapped.name_on(here)] = value
            if is_blank(value):
                continue
            name = mapped.name_on(there)
            try:
                wanted = convert(
                    value,
                    mapped.field_on(here),
                    mapped.field_on(there),
                    options=mapped.options_towards(there),
                )
            except ValueProblem as exc:
                failed.append((exc.code, exc.message, name))
                continue
            refusal = self._known_refusal(link, there, name, wanted)
            if refusal:
                failed.append(refusal)
            else:
                values[name] = wanted
        return values, origin, failed

    def _required(self, side: Side, values: dict[str, Any]) -> str:
        """The first field that the side demands and that has no value here."""
        obj = self.session.object_on(side)
        columns = {name for ref in obj.references for name in ref.columns}
        return next(
            (
                f.name
                for f in obj.fields
                if f.required
                and not f.read_only
                and f.name not in columns
                and is_blank(values.get(f.name))
            ),
            "",
        )
