"""Decide one mapped field of a pair of records, three-way.

Each side has a baseline of its own: what it last *answered*, after we read or wrote it. A
side moved if it differs from that, so what a side makes of a value (rounding, trimming,
other letter case) never travels back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from connections.catalogue import Code
from connections.records import Canon, Field, Side
from syncs.engine.matching import normalise
from syncs.engine.values import ValueProblem, convert, is_blank, same

Verdict = Literal["keep", "write", "review", "failed"]

_NAMES = {Side.HUBSPOT: "HubSpot", Side.APP: "The app"}
_NAMES_LATER = {Side.HUBSPOT: "HubSpot", Side.APP: "the app"}


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What an administrator chose for one field mapping.

    `direction` is two_way, to_hubspot or to_app; `conflict` hubspot, app, latest or
    review; `seed` the side whose values a first sync begins with ("": as a conflict); the options are value maps towards each side (None: no map); `normalize` is the
    normaliser of the match key that this field is part of, if it is.
    """

    hubspot: Field
    app: Field
    direction: str
    conflict: str
    never_blank: bool
    to_app_options: Mapping[str, str] | None = None
    to_hubspot_options: Mapping[str, str] | None = None
    normalize: str | None = None
    seed: str = ""

    def field(self, side: Side) -> Field:
        return self.hubspot if side is Side.HUBSPOT else self.app

    def lets(self, side: Side) -> bool:
        """Whether the direction lets values travel to a side."""
        return self.direction in ("two_way", f"to_{side}")

    def towards(self, side: Side, value: Canon) -> Canon:
        """The other side's value as this side would hold it.

        Raises: ValueProblem, as `convert`.
        """
        options = (
            self.to_hubspot_options if side is Side.HUBSPOT else self.to_app_options
        )
        return convert(value, self.field(side.other), self.field(side), options=options)

    def equal(self, one: Canon, other: Canon) -> bool:
        """Whether two values are the same to this field; a key ignores spelling."""
        if same(one, other):
            return True
        if self.normalize is None or is_blank(one) or is_blank(other):
            return False
        key = normalise(one, self.normalize)
        return key is not None and key == normalise(other, self.normalize)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What each side last answered."""

    hubspot: Canon
    app: Canon


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about one field.

    `side` is the side to write and `value` what it would hold; `reason` is a clause for
    people, `rule` a short word for it; `code` and `message` say why it failed; `adopt`
    asks to take both present values for the baselines: settled without a write;
    `choices` are the writes that a person decides between.
    """

    verdict: Verdict
    reason: str
    rule: str
    side: Side | None = None
    value: Canon = None
    code: str = ""
    message: str = ""
    adopt: bool = False
    choices: tuple[Decision, ...] = ()


def decide(
    hubspot: Canon,
    app: Canon,
    baseline: Baseline | None,
    rule: FieldRule,
    *,
    hubspot_at: datetime | None = None,
    app_at: datetime | None = None,
) -> Decision:
    """Decide one mapped field of a paired record.

    Args: each side's canonical value; baseline, what each side last answered (None: the
    field's first sync); the times of each side's last change, for the rule `latest`.
    Returns: keep, write one side, review, or failed; never a write against the direction,
    and in a first sync or a conflict never a blank over a value.
    """
    now = {Side.HUBSPOT: hubspot, Side.APP: app}
    moved = _moved(now, baseline, rule)
    if not moved:
        return _keep("Neither side changed", "unchanged")
    if _agree(now, rule):
        return _keep("Both sides hold the same", "equal", adopt=True)
    if rule.direction != "two_way":
        return _one_way(now, moved, baseline is None, rule)
    if len(moved) == 1:
        return _travel(now, moved.pop(), rule)
    first = baseline is None
    seeded = first and bool(rule.seed)
    if (
        rule.conflict == "review"
        and not seeded
        and not any(is_blank(v) for v in now.values())
    ):
        return _ask(now, rule, first)
    at = {Side.HUBSPOT: hubspot_at, Side.APP: app_at}
    winner, why, word = _winner(now, at, rule, first)
    return _write(now, winner, rule, why, word)


def _moved(
    now: Mapping[Side, Canon], baseline: Baseline | None, rule: FieldRule
) -> set[Side]:
    """The sides that differ from what they last answered; both, in a first sync."""
    if baseline is None:
        return set(Side)
    last = {Side.HUBSPOT: baseline.hubspot, Side.APP: baseline.app}
    return {side for side in Side if not rule.equal(now[side], last[side])}


def _agree(now: Mapping[Side, Canon], rule: FieldRule) -> bool:
    """Whether a side holds already what the other's value would become there."""
    for side in Side:
        if not rule.lets(side):
            continue
        if is_blank(now[side]) != is_blank(now[side.other]):
            return False
        try:
            if rule.equal(rule.towards(side, now[side.other]), now[side]):
                return True
        except ValueProblem:
            continue
    return False


def _one_way(
    now: Mapping[Side, Canon], moved: set[Side], first: bool, rule: FieldRule
) -> Decision:
    """The side that is read decides alone; what happens to the other is only shown."""
    reader = Side.APP if rule.lets(Side.HUBSPOT) else Side.HUBSPOT
    if first:
        if is_blank(now[reader]):
            return _keep(
                f"{_NAMES[reader]} holds no value, and a blank never wins a first sync",
                "first sync",
            )
        return _write(
            now,
            reader,
            rule,
            f"First sync: {_NAMES_LATER[reader]} is read",
            "first sync",
        )
    if reader in moved:
        return _travel(now, reader, rule)
    return _keep(
        f"{_NAMES[reader.other]} changed it, and its values do not travel", "direction"
    )


def _travel(now: Mapping[Side, Canon], mover: Side, rule: FieldRule) -> Decision:
    """One side moved and its value may travel."""
    if not is_blank(now[mover]):
        return _write(now, mover, rule, f"{_NAMES[mover]} changed it", f"{mover} moved")
    if rule.never_blank:
        # Adopted: the blank must not travel later either, should the guard be lifted.
        return _keep(
            f"{_NAMES[mover]} emptied it, and this field is never blanked",
            "never blank",
            adopt=True,
        )
    return _write(now, mover, rule, f"{_NAMES[mover]} emptied it", f"{mover} moved")


def _winner(
    now: Mapping[Side, Canon],
    at: Mapping[Side, datetime | None],
    rule: FieldRule,
    first: bool,
) -> tuple[Side, str, str]:
    """Who wins where both sides moved apart; why, as a clause and as a word."""
    what = "First sync" if first else "Both sides changed it"
    word = "first sync" if first else "conflict"
    for side in Side:
        if is_blank(now[side]):
            return (
                side.other,
                f"{what}: only {_NAMES_LATER[side.other]} holds a value",
                f"{word}: not blank",
            )
    if first and rule.seed:
        winner = Side(rule.seed)
        return winner, f"{what}: begins with {_NAMES_LATER[winner]}'s", f"{word}: seed"
    if rule.conflict == "latest":
        ours, theirs = at[Side.HUBSPOT], at[Side.APP]
        later = ours is not None and theirs is not None and theirs > ours
        winner = Side.APP if later else Side.HUBSPOT
        why = f"{what}: {_NAMES_LATER[winner]} has the latest change"
    else:
        winner = Side(rule.conflict)
        why = f"{what}: {_NAMES_LATER[winner]} wins"
    return winner, why, f"{word}: {rule.conflict}"


def _ask(now: Mapping[Side, Canon], rule: FieldRule, first: bool) -> Decision:
    """A person decides, between the values that the other side can hold."""
    what = "First sync" if first else "Both sides changed it"
    word = "first sync: review" if first else "conflict: review"
    reason = f"{what}: a person decides"
    options = [_write(now, winner, rule, reason, word) for winner in Side]
    choices = tuple(option for option in options if option.verdict == "write")
    if not choices:
        return options[0]
    return Decision("review", reason, word, choices=choices)


def _write(
    now: Mapping[Side, Canon], winner: Side, rule: FieldRule, reason: str, word: str
) -> Decision:
    """Write the winner's value to the other side, if that can hold it."""
    side = winner.other
    target = rule.field(side)
    try:
        value = rule.towards(side, now[winner])
    except ValueProblem as exc:
        return _failed(exc.code, exc.message, reason, word)
    if target.read_only:
        why = target.read_only_reason or "it is read-only"
        return _failed(
            Code.FIELD_READ_ONLY,
            f"{target.name} cannot be written in {_NAMES_LATER[side]}: {why}.",
            reason,
            word,
        )
    if is_blank(value) and target.required:
        return _failed(
            Code.REQUIRED_MISSING,
            f"{target.name} must have a value in {_NAMES_LATER[side]}.",
            reason,
            word,
        )
    return Decision("write", reason, word, side, value)


def _keep(reason: str, word: str, *, adopt: bool = False) -> Decision:
    return Decision("keep", reason, word, adopt=adopt)


def _failed(code: Code, message: str, reason: str, word: str) -> Decision:
    return Decision("failed", reason, word, code=code, message=message)
