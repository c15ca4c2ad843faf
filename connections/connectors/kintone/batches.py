"""Send records to be written, as many in one request as Kintone takes.

A call takes 100 records, a bulk request 20 calls: 2,000 records, all of them written or
none. So whatever was refused can be sent again without the records at fault, which are found
by the place that the refusal names, by a look at what there is, or by halving.

Source: https://kintone.dev/en/docs/kintone/rest-api/records/bulk-request/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connections.catalogue import Code
from connections.connectors.base import ConnectorError, UncertainError
from connections.connectors.dialect import Answer
from connections.connectors.http import Safety
from connections.connectors.kintone.api import Api, Json
from connections.connectors.kintone.errors import (
    code_of,
    culprit,
    error_of,
    faults,
    message_of,
    support_id,
)
from connections.connectors.kintone.revisions import ANY
from connections.connectors.parts import chunks, rows
from connections.records import Outcome

BATCH = 100  # records of one call
PARTS = 20  # calls of one bulk request
MOST = BATCH * PARTS
MOST_TEXT = 10_000_000  # characters of one request


@dataclass(frozen=True, slots=True)
class Row:
    """One record to write: its place in the caller's list, what is sent for it.

    `claims` are unique values that no other row of one request may have; `revision` is
    the one that the record must have.
    """

    at: int
    body: Any
    id: str = ""
    claims: frozenset[tuple[str, str]] = frozenset()
    revision: str = ANY


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a request was refused with: the culprit's code, and faults by row."""

    code: str
    message: str
    faults: Mapping[
        int, Mapping[str, str]
    ]  # messages by field, by place in the request
    answer: Answer
    suspects: slice  # of the rows, those of the call that failed


# What is known of the rows of a refused request: outcomes by place in it.
Judge = Callable[[Sequence[Row], Refusal], Mapping[int, Outcome]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of write. Args: of_rows, a call's body; told, what its answer says."""

    method: str
    safety: Safety
    doing: str
    of_rows: Callable[[Sequence[Row]], dict[str, Any]]
    told: Callable[[Json, Sequence[Row]], list[Outcome]]


def send(
    api: Api, kind: Kind, found: Sequence[Row], judge: Judge
) -> dict[int, Outcome]:
    """Write the rows.

    Returns: outcomes by `Row.at`. Once something was written, an error that stops the
    rest becomes their outcome.
    Raises: ConnectorError if nothing was sent before it.
    """
    outcomes: dict[int, Outcome] = {}
    stop: ConnectorError | None = None
    for wave in waves(found):
        for some in portions(wave):
            if stop is None:
                try:
                    for at, outcome in _one(api, kind, some, judge):
                        outcomes[at] = outcome
                except ConnectorError as exc:
                    if not outcomes:
                        raise
                    stop = exc
            if stop is not None:
                outcomes |= {r.at: stopped(stop) for r in some if r.at not in outcomes}
    return outcomes


def waves(found: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in their order, no record and no unique value twice in one request."""
    wave: list[Row] = []
    taken: set[tuple[str, str]] = set()
    for row in found:
        mine = row.claims | ({("$id", row.id)} if row.id else set())
        if mine & taken:
            yield wave
            wave, taken = [], set()
        wave.append(row)
        taken |= mine
    if wave:
        yield wave


def portions(wave: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows of one request each: as many as may be, unless they are very long."""
    some: list[Row] = []
    size = 0
    for row in wave:
        length = len(str(row.body))
        if some and (len(some) == MOST or size + length > MOST_TEXT):
            yield some
            some, size = [], 0
        some.append(row)
        size += length
    if some:
        yield some


def _one(
    api: Api, kind: Kind, batch: Sequence[Row], judge: Judge
) -> Iterator[tuple[int, Outcome]]:
    """One request, sent again without what it was refused for."""
    pending = [list(batch)]
    while pending:
        some = pending.pop()
        try:
            answer = _post(api, kind, some)
        except UncertainError as exc:
            for row in some:
                yield row.at, uncertain(exc.message)
            continue
        if answer.ok:
            yield from _read(kind, some, answer)
            continue
        refusal = refusal_of(answer, len(some))
        if answer.status == 404 and not judge_can(refusal):
            raise error_of(answer, kind.doing)
        judged = judge(some, refusal)
        for place, outcome in judged.items():
            yield some[place].at, outcome
        rest = [row for place, row in enumerate(some) if place not in judged]
        if judged:
            pending += [rest] if rest else []
        elif len(some) == 1:
            yield some[0].at, refused(refusal)
        else:
            pending += _parted(some, refusal)


def judge_can(refusal: Refusal) -> bool:
    """Whether a 404 is about a record rather than about the app."""
    return refusal.code == "GAIA_RE01"


def _parted(some: list[Row], refusal: Refusal) -> list[list[Row]]:
    """The call that failed by itself, in halves if it was alone; what is sent last, first."""
    start, stop = refusal.suspects.start, refusal.suspects.stop
    parts = [some[:start], some[start:stop], some[stop:]]
    if sum(map(bool, parts)) == 1:
        middle = len(some) // 2
        parts = [some[:middle], some[middle:]]
    return [part for part in reversed(parts) if part]


def _post(api: Api, kind: Kind, some: Sequence[Row]) -> Answer:
    calls = [kind.of_rows(part) for part in chunks(some, BATCH)]
    if len(calls) == 1:
        return api.write(kind.method, "records", calls[0], safety=kind.safety)
    listed = [
        {"method": kind.method, "api": api.inner("records"), "payload": body}
        for body in calls
    ]
    return api.write("POST", "bulkRequest", {"requests": listed}, safety=kind.safety)


def _read(
    kind: Kind, some: Sequence[Row], answer: Answer
) -> Iterator[tuple[int, Outcome]]:
    parts = list(chunks(some, BATCH))
    bodies = [answer.body] if len(parts) == 1 else rows(answer.body, "results")
    for number, part in enumerate(parts):
        body = bodies[number] if number < len(bodies) else {}
        for row, outcome in zip(part, kind.told(body, part), strict=True):
            yield row.at, outcome


def refusal_of(answer: Answer, count: int) -> Refusal:
    """What a 4xx answer says of a request's rows."""
    body = answer.body
    listed = body.get("results") if isinstance(body, dict) else None
    start, stop = 0, count
    if isinstance(listed, list):
        place = next((n for n, part in enumerate(listed) if code_of(part)), 0)
        body = listed[place] if listed else {}
        start, stop = place * BATCH, min(place * BATCH + BATCH, count)
    found = {start + n: told for n, told in faults(body).items() if start + n < stop}
    return Refusal(
        culprit(answer.body),
        message_of(body, f"status {answer.status}"),
        found,
        answer,
        slice(start, stop),
    )


def refused(
    refusal: Refusal, code: Code = Code.VALUE_INVALID, message: str = "", name: str = ""
) -> Outcome:
    return Outcome(
        False,
        code=code,
        message=message or f"Kintone: {refusal.message}",
        field=name,
        correlation_id=support_id(refusal.answer),
    )


def uncertain(message: str) -> Outcome:
    return Outcome(False, code=Code.UNCERTAIN, message=message, uncertain=True)


def stopped(error: ConnectorError) -> Outcome:
    """A record that was not sent any more."""
    return Outcome(False, code=error.code, message=f"It was not sent: {error.message}")


def placed(outcomes: Mapping[int, Outcome], count: int) -> list[Outcome]:
    return [outcomes[at] for at in range(count)]
