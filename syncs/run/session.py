"""What one child run holds while it works: its set-up, connectors, lease and counts."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from threading import Lock
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from connections import schemas, services
from connections.catalogue import Code
from connections.connectors.base import (
    AssociationConnector,
    Connector,
    Meter,
    SchemaError,
)
from connections.records import (
    Field,
    ObjectType,
    Record,
    Reference,
    Side,
    ValueType,
    Want,
)
from syncs.engine.fields import FieldRule
from syncs.engine.matching import Key, KeyPart
from syncs.engine.values import ValueProblem, canonical
from syncs.models import FieldMapping, LogEntry, ObjectSync, SyncFilter, SyncRun
from syncs.models.choices import Direction, Matching
from syncs.run.lease import Lease
from syncs.run.tally import Tally

if TYPE_CHECKING:
    from syncs.run.scope import Scope
    from syncs.run.stage import Stage

ALONE = "alone"  # in a link's stage_state: its create must not carry links
MISSED = "missed"  # in a sync's read_state: {side: fields that were missing}
AWAY = "away"  # in a sync's read_state: {side: True} whose whole object was missing
READS = "reads"  # in a sync's read_state: what the rows that were read hold
TELL_EACH_S = 0.5  # how far behind the progress that people see may be
TOLD = (
    "phase",
    "phase_at",
    "phase_from",
    "progress_done",
    "progress_total",
    "counters",
    "heartbeat_at",
)
REFUSED = "refused"  # in a link's stage_state: {side: {field: [value, code, text]}}
RESYNCED = "resynced"  # in a link's stage_state: when somebody had it tried anew
PROBLEMS = "!"  # in a link's stored values: {field: [code, message]} of unreadable ones


@dataclass(frozen=True, slots=True)
class MappedField:
    """One field mapping, ready to decide with; `key` names its baseline."""

    key: str
    rule: FieldRule

    def name_on(self, side: Side) -> str:
        return self.field_on(side).name

    def field_on(self, side: Side) -> Field:
        return self.rule.hubspot if side is Side.HUBSPOT else self.rule.app

    def options_towards(self, side: Side) -> dict[str, str] | None:
        options = (
            self.rule.to_hubspot_options
            if side is Side.HUBSPOT
            else self.rule.to_app_options
        )
        return dict(options) if options else None

    def writes(self, side: Side) -> bool:
        """Whether values may travel to a side."""
        return self.rule.direction in (Direction.TWO_WAY, f"to_{side}")


def mapping_key(mapping: FieldMapping, direction: str) -> str:
    """The name of a mapping's baseline: it changes when its meaning does.

    Drift that was left alone while values did not travel must not travel later.
    """
    name = f"{mapping.hubspot}={mapping.app}"
    if direction != Direction.TWO_WAY:
        name += f">{direction}"
    if mapping.values:
        text = json.dumps(mapping.values, sort_keys=True).encode()
        name += "#" + hashlib.sha256(text).hexdigest()[:8]
    return name


def match_keys(sync: ObjectSync) -> tuple[Key, ...]:
    """The sync's match keys in order; () where it does no matching."""
    if sync.matching == Matching.NONE:
        return ()
    ranks: dict[int, list[KeyPart]] = {}
    for part in sync.match_keys.all():
        ranks.setdefault(part.rank, []).append(
            KeyPart(part.hubspot, part.app, part.normalize)
        )
    return tuple(tuple(parts) for _, parts in sorted(ranks.items()))


class SliceOver(Exception):
    """The task has used its time: another goes on from here."""


class Cancelled(Exception):
    """Somebody asked the run to stop."""


class Held(Exception):
    """The run must not go on before a person has looked at it.

    `why` is stored with the run: {"archive": {"count": 60, "most": 50}} by limit.
    """

    def __init__(self, why: dict[str, Any], message: str) -> None:
        super().__init__(message)
        self.why, self.message = why, message


@dataclass
class Session:
    """One child run at work; `deadline` (monotonic seconds) ends its slice."""

    run: SyncRun
    sync: ObjectSync
    lease: Lease
    tally: Tally
    meters: dict[Side, Meter]
    hubspot: AssociationConnector
    app: Connector
    objects: dict[Side, ObjectType]
    fields: tuple[MappedField, ...]
    keys: tuple[Key, ...]
    zone: tzinfo
    missing: dict[Side, set[str]] = field(default_factory=dict)
    lost_references: set[str] = field(default_factory=set)  # of the app, missing too
    # Missed until now: those that may be others, {new: old} names of those mapped anew,
    # and of those that are as they were; see `resuming`.
    returned: dict[Side, set[str]] = field(default_factory=dict)
    renamed: dict[Side, dict[str, str]] = field(default_factory=dict)
    resumed: dict[Side, dict[str, str]] = field(default_factory=dict)
    extra_fields: dict[Side, set[str]] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    filters: tuple[SyncFilter, ...] = ()
    scope: Scope | None = None  # the filters, read; made anew with the schema
    scopes: dict[int, Scope] = field(default_factory=dict)  # of target syncs
    progress: Callable[[SyncRun], None] | None = None
    stages: Sequence[Stage] = ()
    deadline: float | None = None
    again: bool = False  # something moved while writing: plan once more
    settled: set[str] = field(default_factory=set)  # outcomes no earlier run has left
    far_objects: dict[str, str] = field(default_factory=dict)  # their ids by name
    # How much there is to write, by kind and side; see `sending.note_planned`.
    planned: dict[tuple[str, str], int] = field(default_factory=dict)
    # Both reading threads write whole rows of the same record links: one at a time.
    storing: Lock = field(default_factory=Lock)
    # Fields that refused a value in this run.
    refused: dict[Side, set[str]] = field(default_factory=dict)
    _people_read: bool = False
    _told: float = 0.0  # when progress was last written down, in monotonic seconds
    _checked: set[Side] = field(default_factory=set)
    _shown: dict[Side, set[str]] = field(
        default_factory=lambda: {s: set() for s in Side}
    )

    def connector(self, side: Side) -> Connector:
        return self.hubspot if side is Side.HUBSPOT else self.app

    def object_on(self, side: Side) -> ObjectType:
        return self.objects[side]

    def log(self, text: str, *, level: str = "info", code: str = "") -> None:
        """Write an event that people see on the run's page, where there is a run."""
        if not self.run.pk:
            return
        LogEntry.objects.create(run=self.run, text=text, level=level, code=code)

    def advance(
        self, phase: str, done: int | None = None, total: int | None = None
    ) -> None:
        """Say how far the run is, and stop here if somebody asked it to."""
        run = self.run
        if phase != run.phase or total is not None:  # it begins
            run.phase_at = timezone.now()
            run.phase_from = run.progress_done if done is None else done
        run.phase = phase
        run.progress_done = run.progress_done if done is None else done
        run.progress_total = run.progress_total if total is None else total
        self.tell()
        if self.progress is not None:
            self.progress(run)
        if self.over_time:
            raise SliceOver

    def tell(self) -> None:
        """Write down what people see of a run at work, but not at every step."""
        self.count_calls()
        self.run.counters = self.tally.counters
        if time.monotonic() - self._told < TELL_EACH_S:
            return
        self._told = time.monotonic()
        self.run.heartbeat_at = timezone.now()
        self.run.save(update_fields=TOLD)

    def breathe(self) -> None:
        """Stop between two pages of a long read, once they are committed.

        Raises: Cancelled, SliceOver.
        """
        if self.cancelled:
            raise Cancelled
        if self.over_time:
            raise SliceOver

    @property
    def over_time(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline

    def count_calls(self) -> None:
        self.tally.counters["api_calls"] = {
            str(side): meter.calls for side, meter in self.meters.items()
        }

    @property
    def renewed(self) -> bool:
        """Whether the set-up changed since both sides were last read."""
        return bool(self.sync.read_state.get("revision") != self.sync.revision)

    @property
    def reads(self) -> dict[str, Any]:
        """What a record's row holds once it is read: fields, keys, and how they are read."""
        keys = [[[p.hubspot, p.app, p.normalize] for p in key] for key in self.keys]
        return {
            **{str(side): sorted(self.names(side)) for side in Side},
            "references": sorted(self.references),
            "pairs": [{str(s): m.name_on(s) for s in Side} for m in self.fields],
            "how": [
                self.change_field,
                str(self.zone),
                *(self.object_on(side).id for side in Side),
                keys,
            ],
        }

    def reads_more(self, side: Side) -> bool:
        """Whether a side's rows lack something that the set-up asks for now, and that
        was not there, under another name perhaps."""
        held, now_ = self.sync.read_state.get(READS), self.reads
        if not held or held["how"] != [*now_["how"][:-1], self._keys_before()]:
            return True
        lists = (side, "references") if side is Side.APP else (side,)
        lacking = {n for name in lists for n in set(now_[name]) - set(held[name])}
        back = self.returned.get(side, set()) | self.renamed.get(side, {}).keys()
        return bool(lacking - back)

    def _keys_before(self) -> list[Any]:
        """The match keys, by the names that fields had before they were mapped anew."""
        old = {side: self.renamed.get(side, {}) for side in Side}
        return [
            [
                [
                    old[Side.HUBSPOT].get(p.hubspot, p.hubspot),
                    old[Side.APP].get(p.app, p.app),
                    p.normalize,
                ]
                for p in key
            ]
            for key in self.keys
        ]

    @property
    def cancelled(self) -> bool:
        return SyncRun.objects.filter(pk=self.run.pk, cancel_requested=True).exists()

    # What to read of each record ------------------------------------------------------

    def names(self, side: Side) -> set[str]:
        """The fields that this sync looks at on a side."""
        wanted = {mapped.name_on(side) for mapped in self.fields}
        for key in self.keys:
            wanted |= {str(getattr(part, side)) for part in key}
        if side in self.sync.marker:
            wanted.add(self.sync.marker[side])
        if side in self.sync.archive:
            wanted.add(self.sync.archive[side]["field"])
        wanted |= {row.field for row in self.filters if row.side == side}
        wanted |= self.extra_fields.get(side, set())
        return wanted - self.missing.get(side, set())

    def want(self, side: Side) -> Want:
        is_app = side is Side.APP
        return Want(
            fields=tuple(sorted(self.names(side))),
            references=self.references if is_app else (),
            changed_field=self.change_field if is_app else "",
        )

    @property
    def change_field(self) -> str:
        """The app's field of change time, the system's own unless another is named; ""
        where hashes are compared."""
        cursor = self.sync.app_cursor
        if cursor == "none":
            return ""
        return cursor or self.object_on(Side.APP).changed_field

    def field_of(self, side: Side, name: str) -> Field:
        return self.object_on(side).field(name) or Field(name, ValueType.TEXT)

    def canonical_values(self, side: Side, record: Record) -> dict[str, object]:
        """A record's wanted values in canonical form, with what could not be read.

        A field that the answer does not hold at all is not blank: whether it still exists
        is looked up once a run, and one that does not is left alone and named. Of one that
        does, the answer tells nothing, as one to another question would: it is left out.
        """
        values: dict[str, object] = {}
        problems: dict[str, list[str]] = {}
        for name in self.names(side):
            if name not in record.values:
                if self._gone(side, name):
                    problems[name] = [
                        Code.FIELD_MISSING,
                        f"{name} does not exist any more.",
                    ]
                continue
            try:
                values[name] = canonical(
                    record.values.get(name), self.field_of(side, name), zone=self.zone
                )
            except ValueProblem as exc:
                problems[name] = [exc.code, f"{name}: {exc.message}"]
        if problems:
            values[PROBLEMS] = problems
        return values

    def seen(self, side: Side, records: Iterable[Record]) -> None:
        """Note which fields answers hold: those exist, whatever a record leaves out.

        A reference of which no record shows anything may be gone: that is looked up once
        a run, for it is no blank, and whoever set it up should know.
        """
        shown = list(records)
        for record in shown:
            self._shown[side] |= record.values.keys()
        hidden = Reference((), complete=False)
        if side is Side.APP and shown and side not in self._checked:
            for name in self.references:
                if all(r.references.get(name, hidden) == hidden for r in shown):
                    self.look_once(side)
                    break

    def _gone(self, side: Side, name: str) -> bool:
        if name in self._shown[side]:
            return False
        self.look_once(side)
        return self.object_on(side).field(name) is None

    def refresh(self, side: Side, names: Collection[str] = ()) -> None:
        """Look at a side's object type again; fields that have gone are left out from
        here on.

        Args: names, the fields that matter, where others need not cost a call.
        """
        owner = self.sync.app.hubspot if side is Side.HUBSPOT else self.sync.app
        now = self.connector(side).describe(self.object_on(side), names)
        if now is None:
            self.note_away(side)
            raise SchemaError(
                f"{owner.name} no longer has {self.object_on(side).name}."
            )
        schemas.save_object(owner, now)
        self.objects[side] = now
        self.scope = None
        known = self.missing.pop(side, set())
        gone = {name for name in self.names(side) if now.field(name) is None}
        gone |= known  # back in the middle of a run, it waits for the next
        self.missing[side] = gone
        if side is Side.APP:
            lost = {n for n in self.references if now.reference(n) is None}
            self.references = tuple(n for n in self.references if n not in lost)
            self.lost_references |= lost
            gone = gone | lost
        for name in sorted(gone - known):
            text = (
                f"{owner.name}: {now.name} has no field {name} any more; "
                "it is left alone and the rest goes on."
            )
            self.log(text, level="error", code=Code.FIELD_MISSING)
            self.tally.error(Code.FIELD_MISSING, text)
        self.note_missed()

    def look_once(self, side: Side, names: Collection[str] = ()) -> None:
        """Look at a side's object type, unless that was done in this run.

        Args: names, as in `refresh`.
        """
        if side not in self._checked:
            self.refresh(side, names)
            if not names:
                self._checked.add(side)

    def renew_rules(self, changed: Container[tuple[Side, str]]) -> None:
        """Go by what fields are now, where what was read of them still means the same."""
        for side in Side:
            self.fields = tuple(
                self._as_known_now(side, mapped)
                if (side, mapped.name_on(side)) in changed
                else mapped
                for mapped in self.fields
            )

    def read_people(self) -> None:
        """Read once a run who the users are that mapped fields name: they come and go
        between two looks at the schema."""
        if self._people_read:
            return
        self._people_read = True
        for side in Side:
            people = {
                (side, mapped.name_on(side))
                for mapped in self.fields
                if mapped.field_on(side).people
            }
            if people:
                self.look_once(side)
                self.renew_rules(people)

    def as_known_now(self, mapped: MappedField) -> MappedField:
        """A mapping by what its fields are now, if they are of the same types still."""
        for side in Side:
            mapped = self._as_known_now(side, mapped)
        return mapped

    def _as_known_now(self, side: Side, mapped: MappedField) -> MappedField:
        field_ = self.object_on(side).field(mapped.name_on(side))
        if field_ is None or field_.type is not mapped.field_on(side).type:
            return mapped
        rule = (
            replace(mapped.rule, hubspot=field_)
            if side is Side.HUBSPOT
            else replace(mapped.rule, app=field_)
        )
        return replace(mapped, rule=rule)

    def lacks(self, mapped: MappedField) -> bool:
        """Whether a mapping's field is missing on either side."""
        return any(mapped.name_on(s) in self.missing.get(s, ()) for s in Side)

    def look_for_missing(self) -> None:
        """Ask a side again whose last known schema lacks a field of the set-up."""
        for side in Side:
            lacks = self.object_on(side).field
            if any(lacks(name) is None for name in self.names(side)):
                self.look_once(side)

    @property
    def missed(self) -> dict[str, list[str]]:
        """The fields and references that are missing now, as a sync keeps them."""
        found = {str(side): set(names) for side, names in self.missing.items()}
        found.setdefault(str(Side.APP), set()).update(self.lost_references)
        return {side: sorted(names) for side, names in found.items() if names}

    def note_missed(self) -> None:
        """Remember at once what is missing: what is read from now on lacks it, and a run
        that is killed leaves that behind."""
        noted = self.sync.read_state.get(MISSED, {})
        both = {
            side: sorted({*names, *noted.get(side, ())})
            for side, names in self.missed.items()
        }
        if self.run.pk and noted | both != noted:
            self.keep(lambda state: state.update({MISSED: noted | both}))

    def note_away(self, side: Side) -> None:
        """Remember that a side's object is not there: once one is, it may be another."""
        if self.run.pk:
            self.keep(
                lambda state: state.setdefault(AWAY, {}).update({str(side): True})
            )

    def keep(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change what is kept of the sync's reading, by whoever else writes it, too."""
        with transaction.atomic():
            sync = ObjectSync.objects.select_for_update().get(pk=self.sync.pk)
            change(sync.read_state)
            sync.save(update_fields=["read_state"])
        change(self.sync.read_state)

    def close(self) -> None:
        self.hubspot.close()
        self.app.close()


def _rule(
    mapping: FieldMapping,
    sync: ObjectSync,
    objects: dict[Side, ObjectType],
    keys: Sequence[Key],
) -> FieldRule:
    part = next(
        (
            part
            for key in keys
            for part in key
            if part.hubspot == mapping.hubspot and part.app == mapping.app
        ),
        None,
    )
    guarded = part is not None if mapping.never_blank is None else mapping.never_blank
    options = mapping.values or None
    hubspot = objects[Side.HUBSPOT].field(mapping.hubspot)
    app = objects[Side.APP].field(mapping.app)
    return FieldRule(
        hubspot=hubspot or Field(mapping.hubspot, ValueType.TEXT),
        app=app or Field(mapping.app, ValueType.TEXT),
        direction=mapping.direction or sync.direction,
        conflict=mapping.conflict or sync.conflict,
        never_blank=guarded,
        to_app_options=options,
        to_hubspot_options={v: k for k, v in options.items()} if options else None,
        normalize=part.normalize if part else None,
        seed=mapping.seed,
    )


def open_session(
    run: SyncRun, lease: Lease, progress: Callable[[SyncRun], None] | None = None
) -> Session:
    """Gather what a child run needs.

    Raises: SchemaError when an object type was never discovered.
    """
    assert run.sync_id is not None, "a child run has a sync"
    sync = ObjectSync.objects.select_related("app__hubspot").get(pk=run.sync_id)
    spent = run.counters.get("api_calls", {})
    meters = {side: Meter(spent.get(side, 0)) for side in Side}
    objects = {
        Side.HUBSPOT: schemas.load_object(sync.app.hubspot, sync.hubspot_object),
        Side.APP: schemas.load_object(sync.app, sync.app_object),
    }
    keys = match_keys(sync)
    fields = tuple(
        MappedField(
            mapping_key(m, m.direction or sync.direction), _rule(m, sync, objects, keys)
        )
        for m in sync.field_mappings.all()
    )
    return Session(
        run=run,
        sync=sync,
        lease=lease,
        tally=Tally(run.counters, run.errors),
        meters=meters,
        hubspot=services.open_hubspot(
            sync.app.hubspot, meter=meters[Side.HUBSPOT], before_write=lease.check
        ),
        app=services.open_app(
            sync.app,
            meter=meters[Side.APP],
            before_write=lease.check,
            origin=origin_of(sync),
            system=sync.app.system_id,
        ),
        objects=objects,
        fields=fields,
        keys=keys,
        filters=tuple(sync.filters.all()),
        zone=ZoneInfo(sync.timezone) if sync.timezone else UTC,
        progress=progress,
    )


def origin_of(sync: ObjectSync) -> str:
    """What marks a sync's writes in an app's change log, unlike any other's."""
    return salted_hmac("crosslink.origin", str(sync.pk)).hexdigest()[:16]


def now() -> datetime:
    return timezone.now()


def is_due(since: datetime | None, every: timedelta) -> bool:
    """Whether something last done at a time is to be done again.

    A time still to come was written before the clock was put back, and says nothing.
    """
    moment = now()
    return since is None or since > moment or moment - since > every
