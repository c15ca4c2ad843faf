"""The app's side of an association mapping: what a reference field, say, holds of links.

An end tells which far records the app links a record to, what a change is planned from
and shall lead to there, and writes it. Links name records by `RecordLink` keys; an end
calls far records as the app does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from associations.engine.edges import EdgeChange
from associations.run.stored import far_ids, set_ids, stored_ids
from connections.records import (
    AssociationType,
    Outcome,
    Patch,
    Reference,
    ReferenceField,
    Side,
    Want,
)
from syncs.models import Change, ObjectSync, RecordLink
from syncs.models.choices import ChangeKind
from syncs.run.pull import reread
from syncs.run.session import Session
from syncs.run.stage import Inline

BY_ID = ""  # how most apps name a far record: by its own id
IDS_AT_ONCE = 5000

T = TypeVar("T")
Json = dict[str, Any]


class Known(Protocol):
    """The far records of a chunk."""

    def link_of(self, key: int) -> RecordLink | None: ...

    def remote_id(self, key: int) -> str:
        """What a side calls a far record that was never read."""


@dataclass(frozen=True, slots=True)
class Held:
    """What an app's rows say of one far record: types, and labels that mean none."""

    types: frozenset[AssociationType] = frozenset()
    odd: tuple[str, ...] = ()


@dataclass
class Written:
    """What became of some changes, and the records with what the app holds now, unsaved."""

    answered: list[tuple[Change, Outcome]] = field(default_factory=list)
    held: list[RecordLink] = field(default_factory=list)
    columns: tuple[str, ...] = ("app_references", "app_modified_at")  # of `held`


class AppEnd(Protocol):
    """The app's side of one mapping.

    `name` is what the set-up calls it, `many` whether it holds several links, `nullable`
    whether a record may exist without one, `read_only` whether it cannot be written;
    `with_record` whether its links are read with the record, and so do not vanish before
    it; `names_by` how it names far records (`BY_ID`, or a name of its own); `by_pair` whether
    each link is written by itself, once its record exists, rather than a whole list; `single`
    whether there is room for one label a link (known once it was loaded).
    """

    name: str
    many: bool
    nullable: bool
    read_only: bool
    names_by: str
    with_record: bool
    by_pair: bool
    single: bool

    def load(self, session: Session, links: Sequence[RecordLink]) -> None:
        """Read, before planning, what the record links do not hold: a call or none."""

    def ids(self, link: RecordLink) -> list[str] | None:
        """The far records linked, as the app names them; None where that is unknown."""

    def find(
        self, sync: ObjectSync, names: Sequence[str]
    ) -> Iterator[tuple[str, RecordLink]]:
        """Far records by what the app calls them."""

    def name_of(self, far: RecordLink) -> str | None:
        """What the app calls a far record; None while it has none there."""

    # Planning

    def labels(self, link: RecordLink) -> Mapping[str, Held]:
        """What the rows of each far record say, where rows have labels."""

    def before(self, link: RecordLink, far: RecordLink | None) -> Json:
        """What a change to one pair is planned from."""

    def after(
        self,
        link: RecordLink,
        change: EdgeChange,
        wanted: Sequence[int],
        known: Known,
    ) -> Json:
        """What the app shall hold. Args: wanted, the complete list of far records."""

    # Writing

    def carry(self, inline: Inline, change: Change) -> bool:
        """Put a link on the create of its record; False where it is written later."""

    def carried(self, link: RecordLink, changes: Sequence[Change]) -> None:
        """Note what a record holds that was created with some links."""

    @classmethod
    def refresh(
        cls, session: Session, work: Mapping[Any, Sequence[RecordLink]]
    ) -> None:
        """Read again what some records hold, by end, all of this kind."""

    def stale(self, link: RecordLink, limit: datetime) -> bool:
        """Whether what a record holds was read before `limit`."""

    def moved(self, change: Change) -> bool:
        """Whether the app holds, as last read, what the change was not planned from."""

    @classmethod
    def write(cls, session: Session, work: Mapping[Any, Sequence[Change]]) -> Written:
        """Write changes, by end, all of this kind."""

    def in_effect(self, change: Change, link: RecordLink) -> bool:
        """Whether the app holds, as last read, what the change was to lead to."""


class ReferenceEnd:
    """A reference field, whose whole list is written at once."""

    names_by, with_record = BY_ID, True
    by_pair, single = False, False

    def __init__(self, field: ReferenceField) -> None:
        self.field = field
        self.slot = field.name  # where a record link keeps what it holds
        self.name, self.many = field.name, field.many
        self.nullable, self.read_only = field.nullable, field.read_only

    def load(self, session: Session, links: Sequence[RecordLink]) -> None:
        """Nothing: the field is read with its record."""

    def ids(self, link: RecordLink) -> list[str] | None:
        if link.app_id is None:
            return []
        stored = link.app_references.get(self.slot)
        if stored is None or not stored.get("complete", True):
            return None
        return list(stored["ids"])

    def find(
        self, sync: ObjectSync, names: Sequence[str]
    ) -> Iterator[tuple[str, RecordLink]]:
        yield from find_by_app_id(sync, names)

    def name_of(self, far: RecordLink) -> str | None:
        return far.app_id

    def before(self, link: RecordLink, far: RecordLink | None) -> Json:
        return {"ids": stored_ids(link, self.slot), "field": self.slot}

    def labels(self, link: RecordLink) -> Mapping[str, Held]:
        return {}

    def after(
        self,
        link: RecordLink,
        change: EdgeChange,
        wanted: Sequence[int],
        known: Known,
    ) -> Json:
        return {
            "field": self.slot,
            "far": [k for k in wanted if k > 0],
            "unknown": [known.remote_id(k) for k in wanted if k < 0],
        }

    def carry(self, inline: Inline, change: Change) -> bool:
        assert change.other_link is not None
        there = change.other_link.app_id
        assert there is not None, "a far record that is there"
        held = inline.references.get(self.name, Reference())
        inline.references[self.name] = Reference((*held.ids, there))
        return True

    def carried(self, link: RecordLink, changes: Sequence[Change]) -> None:
        # Not the whole list that was planned: part of it may not have gone along.
        fars = [c.other_link for c in changes if c.other_link is not None]
        if fars:
            set_ids(link, self.slot, [far.app_id or "" for far in fars])

    @classmethod
    def refresh(
        cls, session: Session, work: Mapping[Any, Sequence[RecordLink]]
    ) -> None:
        near = {link.pk: link for links in work.values() for link in links}
        for some in parts(list(near.values()), session.app.capabilities.fetch_batch):
            reread(session, Side.APP, list(some))

    def stale(self, link: RecordLink, limit: datetime) -> bool:
        return (link.app_read_at or limit) <= limit

    def moved(self, change: Change) -> bool:
        link = change.link
        if link is None or "ids" not in change.before:
            return False
        if not (link.app_references.get(self.slot) or {}).get("complete", True):
            return True  # a list that is not shown whole cannot be written whole
        held: list[str] = change.before["ids"]
        now = stored_ids(link, self.slot)
        if self._adds_up(change):
            return (_far_id(change) in now) != (_far_id(change) in held)
        return now != held

    def _adds_up(self, change: Change) -> bool:
        """Whether a change is to one member of a list, whatever becomes of the others:
        some of a record's changes may go alone. What is taken back is a whole list."""
        return self.many and not change.undoes and change.other_link is not None

    def _wanted(self, held: Sequence[str], changes: Sequence[Change]) -> list[str]:
        """The complete list to write. Args: held, what the field holds now."""
        wanted = list(held)
        for change in changes:
            far_id = _far_id(change)
            if not self._adds_up(change):
                wanted = far_ids(change)
            elif change.kind == ChangeKind.UNLINK:
                wanted = [i for i in wanted if i != far_id]
            elif far_id not in wanted:
                wanted.append(far_id)
        return wanted

    @classmethod
    def write(cls, session: Session, work: Mapping[Any, Sequence[Change]]) -> Written:
        lists: dict[tuple[int, ReferenceEnd], list[Change]] = {}
        for end, changes in work.items():
            for change in changes:
                lists.setdefault((change.link_id or 0, end), []).append(change)
        wanted: dict[int, dict[str, Reference]] = {}
        expected: dict[int, dict[str, Reference]] = {}
        app_ids: dict[int, str] = {}
        for (link_id, end), changes in lists.items():
            link = changes[0].link
            assert link is not None
            app_ids[link_id] = link.app_id or ""
            held = stored_ids(link, end.slot)
            whole = Reference(tuple(end._wanted(held, changes)))
            wanted.setdefault(link_id, {})[end.name] = whole
            if "ids" in changes[0].before:
                expected.setdefault(link_id, {})[end.name] = Reference(tuple(held))
        sent = [
            Patch(app_ids[i], references=whole, expected=expected.get(i, {}))
            for i, whole in wanted.items()
        ]
        outcomes = session.app.update(
            session.object_on(Side.APP), sent, Want((), session.references)
        )
        answers = dict(zip(wanted, outcomes, strict=True))
        done = [i for i, outcome in answers.items() if i and outcome.ok]
        links = RecordLink.objects.in_bulk(done)
        for (link_id, end), _ in lists.items():
            if link_id not in links:
                continue
            link, record = links[link_id], answers[link_id].record
            # Perhaps more than was written: somebody linked others meanwhile.
            now = record.references.get(end.name) if record is not None else None
            now = now or wanted[link_id][end.name]
            set_ids(link, end.slot, now.ids, complete=now.complete)
            if record is not None and record.modified_at:
                link.app_modified_at = record.modified_at
        answered = [
            (c, answers[i]) for (i, _), changes in lists.items() for c in changes
        ]
        return Written(answered, list(links.values()))

    def in_effect(self, change: Change, link: RecordLink) -> bool:
        now = stored_ids(link, self.slot)
        if self._adds_up(change):
            return (_far_id(change) in now) != (change.kind == ChangeKind.UNLINK)
        return set(now) == set(far_ids(change))


def _far_id(change: Change) -> str:
    """What the app calls the record at the other end of a change."""
    return (change.other_link.app_id or "") if change.other_link is not None else ""


def find_by_app_id(
    sync: ObjectSync, ids: Sequence[str]
) -> Iterator[tuple[str, RecordLink]]:
    for some in parts(ids):
        rows = RecordLink.objects.filter(sync=sync, app_id__in=some)
        for link in rows.defer("baseline"):
            yield link.app_id or "", link


def parts(items: Sequence[T], size: int = IDS_AT_ONCE) -> Iterator[Sequence[T]]:
    """A long list in pieces."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def by_kind(
    work: Mapping[AppEnd, T],
) -> Iterator[tuple[type[AppEnd], dict[AppEnd, T]]]:
    """Work of several ends, those of one kind together."""
    kinds: dict[type[AppEnd], dict[AppEnd, T]] = {}
    for end, what in work.items():
        kinds.setdefault(type(end), {})[end] = what
    yield from kinds.items()


def by_end(
    ends: Mapping[str, AppEnd], changes: Iterable[Change]
) -> dict[AppEnd, list[Change]]:
    """Changes by the end that they concern; those of none that is at work are left out."""
    found: dict[AppEnd, list[Change]] = {}
    for change in changes:
        if end := ends.get(change.mapping_key):
            found.setdefault(end, []).append(change)
    return found
