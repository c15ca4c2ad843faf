"""Why a record, or a link between two, is or is not in sync: gates, gone through in order.

Each gate is passed with a sentence or shut with a code of the catalogue; what lies behind
one that is shut is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from connections.catalogue import remedy_for
from connections.records import Side
from syncs.models import Change, ObjectSync, RecordLink
from syncs.models.choices import ChangeKind
from syncs.run.session import Session

GATES = (
    "synced",
    "enabled",
    "read",
    "in_scope",
    "matched",
    "mapped",
    "direction",
    "type",
    "limits",
    "last_error",
)


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate, passed or shut; `code` and `remedy` are "" where it is passed."""

    name: str
    ok: bool
    text: str
    code: str = ""
    remedy: str = ""

    @property
    def title(self) -> str:
        """Its name as people read it: "In scope"."""
        return self.name.replace("_", " ").capitalize()


class Shut(Exception):
    """A gate is shut; `remedy` is the catalogue's unless it is said here."""

    def __init__(self, code: str, text: str, remedy: str = "") -> None:
        super().__init__(text)
        self.code, self.text = str(code), text
        self.remedy = remedy or remedy_for(code)


@dataclass
class Walk:
    """The gates gone through so far, and what the next run would do, in sentences.

    `linked` says which side has the link asked about (None: that was not looked at).
    """

    gates: list[Gate] = field(default_factory=list)
    next_run: list[str] = field(default_factory=list)
    linked: dict[Side, bool] | None = None

    def through(self, name: str, look: Callable[[], str]) -> None:
        """Go through one gate: `look` says why it is passed.

        Raises: Shut, once the gate is noted, where `look` does.
        """
        try:
            text = look()
        except Shut as shut:
            self.gates.append(Gate(name, False, shut.text, shut.code, shut.remedy))
            raise
        self.gates.append(Gate(name, True, text))

    @property
    def shut(self) -> Gate | None:
        return next((gate for gate in self.gates if not gate.ok), None)


@dataclass(frozen=True, slots=True)
class Relation:
    """What ties records of one sync to records of another; `name` says it to people."""

    key: str
    name: str
    sync: ObjectSync
    to_sync: ObjectSync


@dataclass(frozen=True, slots=True)
class Question:
    """Why two records are linked or not, by one relation.

    `near` and `far` are both records as just read, in memory; `unreached` are the sides
    that could not be asked.
    """

    session: Session
    relation: Relation
    near: RecordLink
    far: RecordLink
    unreached: frozenset[Side] = frozenset()


LONGEST = 60  # characters of a value in a sentence
DONE = {
    ChangeKind.CREATE: "creates {what} in {there}",
    ChangeKind.UPDATE: "changes {what} in {there}:",
    ChangeKind.ARCHIVE: "archives {what} in {there}",
    ChangeKind.LINK: "adds the link to {what} in {there}",
    ChangeKind.UNLINK: "removes the link to {what} in {there}",
    ChangeKind.RELABEL: "moves the link to {what} in {there}",
}


def sentence(change: Change, app_name: str) -> str:
    """What the next run would do, by a change that it would plan."""
    there = "HubSpot" if change.side == Side.HUBSPOT else app_name
    what = change.other_record or change.record
    did = DONE[ChangeKind(change.kind)].format(what=what, there=there)
    if change.kind == ChangeKind.UPDATE:
        moves = (
            f"{name} from {_shown(change.before.get(name))} to {_shown(value)}"
            for name, value in change.after.items()
        )
        did = f"{did} {', '.join(moves)}"
    rule = f" (rule: {change.rule})" if change.rule else ""
    return f"The next run {did}: {change.reason.rstrip('.')}{rule}."


def _shown(value: object) -> str:
    text = "blank" if value in (None, "", []) else repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
