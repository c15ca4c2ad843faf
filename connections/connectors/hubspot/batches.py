"""Batch writes: who may share a request, and what became of each input.

HubSpot answers a batch in any order, in part (207) or not at all; inputs are told apart by
their ids and trace ids only. A request refused as a whole is split until the bad input
stands alone.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from connections.catalogue import Code
from connections.connectors.base import ConnectorError, UncertainError
from connections.connectors.dialect import Answer
from connections.connectors.hubspot.api import Json, text
from connections.connectors.hubspot.errors import (
    MAX_TEXT,
    context_names,
    correlation,
    error_of,
    outcome_of,
    unknown_object,
)
from connections.connectors.parts import rows
from connections.records import Outcome

Name = tuple[str, str]  # such as ("trace", "…") or ("id", "123")
# What is wrong with every input that writes the property is found out once.
SHARED_FAULTS = frozenset({Code.FIELD_MISSING, Code.FIELD_READ_ONLY})
UNMENTIONED = "HubSpot's answer does not mention this record."


@dataclass(frozen=True, slots=True)
class Row:
    """One input: its place in the caller's list, what an answer may call it, and what
    no other input of the same request may share."""

    at: int
    body: Json
    names: frozenset[Name]
    exclusive: frozenset[Name] = frozenset()

    @property
    def properties(self) -> Mapping[str, object]:
        found = self.body.get("properties")
        return found if isinstance(found, dict) else {}


Send = Callable[[Sequence[Row]], Answer]
Named = Callable[[Json], Iterable[Name]]
Answered = Callable[[Json], Outcome]


def requests(found: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Share inputs out among as few requests as their exclusive names allow."""
    open_requests: list[tuple[list[Row], set[Name]]] = []
    for row in found:
        for batch, taken in open_requests:
            if len(batch) < size and not taken & row.exclusive:
                batch.append(row)
                taken |= row.exclusive
                break
        else:
            open_requests.append(([row], set(row.exclusive)))
        full = [entry for entry in open_requests if len(entry[0]) >= size]
        for entry in full:
            open_requests.remove(entry)
            yield entry[0]
    for batch, _ in open_requests:
        yield batch


def run(
    found: Sequence[Row],
    *,
    size: int,
    send: Send,
    named: Named,
    answered: Answered,
    doing: str,
) -> dict[int, Outcome]:
    """Write the inputs, `size` a request.

    Args: send, makes one request; named, what a result calls its input; answered, the
        outcome that a result stands for.
    Returns: outcomes by `Row.at`. Once something was written, an error that stops the
        rest becomes their outcome.
    Raises: ConnectorError if nothing was sent before it.
    """
    outcomes: dict[int, Outcome] = {}
    stop: ConnectorError | None = None
    for batch in requests(found, size):
        if stop is None:
            try:
                for at, outcome in _one(batch, send, named, answered, doing):
                    outcomes[at] = outcome
            except UncertainError as exc:
                outcomes |= {
                    row.at: uncertain(exc.message, exc.correlation_id)
                    for row in batch
                    if row.at not in outcomes
                }
            except ConnectorError as exc:
                if not outcomes:
                    raise
                stop = exc
        if stop is not None:
            outcomes |= {
                row.at: stopped(stop) for row in batch if row.at not in outcomes
            }
    return outcomes


def _one(
    batch: Sequence[Row], send: Send, named: Named, answered: Answered, doing: str
) -> Iterator[tuple[int, Outcome]]:
    """One request, split as long as it is refused as a whole."""
    pending = [batch]
    while pending:
        rows_now = pending.pop()
        try:
            answer = send(rows_now)
        except UncertainError as exc:
            for row in rows_now:
                yield row.at, uncertain(exc.message, exc.correlation_id)
            continue
        if answer.ok:
            yield from read(rows_now, answer, named, answered).items()
            continue
        if unknown_object(answer.body):
            raise error_of(answer, doing)
        if answer.status == 404:
            refused = error_of(answer, doing)
            if len(rows_now) == len(batch) and not names_input(answer.body):
                raise refused
        outcome = outcome_of(answer.body, correlation_id=correlation(answer))
        if len(rows_now) == 1 or _all_share(outcome, rows_now):
            for row in rows_now:
                yield row.at, outcome
            continue
        middle = len(rows_now) // 2
        pending += [rows_now[middle:], rows_now[:middle]]


def names_input(body: object) -> bool:
    """Whether a refusal is about an input rather than about the path."""
    return isinstance(body, dict) and bool(
        context_names(body, "ids", "id", "objectWriteTraceId", "fromObjectId")
    )


def _all_share(outcome: Outcome, found: Sequence[Row]) -> bool:
    return outcome.code in SHARED_FAULTS and all(
        outcome.field in row.properties for row in found
    )


def read(
    found: Sequence[Row], answer: Answer, named: Named, answered: Answered
) -> dict[int, Outcome]:
    """What a 2xx answer says of each input; one it does not account for is uncertain."""
    by_name = {n: row.at for row in found for n in row.names | row.exclusive}
    outcomes: dict[int, Outcome] = {}
    found_id = correlation(answer)
    results, errors = rows(answer.body, "results"), rows(answer.body, "errors")
    for result in results:
        ats = {by_name[name] for name in named(result) if name in by_name}
        if not ats and len(found) == len(results) == 1 and not errors:
            ats = {found[0].at}
        for at in ats:
            outcomes[at] = answered(result)
    nameless: list[Outcome] = []
    for error in errors:
        outcome = outcome_of(error, correlation_id=found_id)
        ats = {by_name[name] for name in error_names(error) if name in by_name}
        if not ats:
            nameless.append(outcome)
        for at in ats:
            outcomes.setdefault(at, outcome)
    missing = [row.at for row in found if row.at not in outcomes]
    if len(missing) == len(nameless) > 0:
        return outcomes | dict.fromkeys(missing, _any_of(nameless))
    return outcomes | dict.fromkeys(missing, uncertain(UNMENTIONED, found_id))


def _any_of(refusals: Sequence[Outcome]) -> Outcome:
    """One refusal for inputs that as many errors are about, none of which says whose."""
    if len(refusals) == 1:
        return refusals[0]
    codes = {refusal.code for refusal in refusals}
    told = "; ".join(dict.fromkeys(refusal.message for refusal in refusals))
    return Outcome(
        False,
        code=codes.pop() if len(codes) == 1 else Code.VALUE_INVALID,
        message=f"HubSpot refused {len(refusals)} records, not saying which for what: "
        f"{told}"[:MAX_TEXT],
        correlation_id=refusals[0].correlation_id,
    )


def error_names(error: Json) -> Iterator[Name]:
    """What an error entry calls the inputs it is about."""
    traces = context_names(error, "objectWriteTraceId")
    yield from (("trace", trace) for trace in traces)
    if not traces:
        if error.get("id") is not None:
            yield "id", text(error["id"])
        for found in context_names(error, "ids", "id", "objectId"):
            yield "id", found


def uncertain(message: str, correlation_id: str = "") -> Outcome:
    """The outcome of a write whose effect nobody knows."""
    return Outcome(
        False,
        code=Code.UNCERTAIN,
        message=message,
        uncertain=True,
        correlation_id=correlation_id,
    )


def stopped(error: ConnectorError) -> Outcome:
    """The outcome of a write that was not sent, because one before it met an error."""
    return Outcome(
        False,
        code=error.code,
        message=error.message,
        correlation_id=error.correlation_id,
    )


def placed(outcomes: Mapping[int, Outcome], count: int) -> list[Outcome]:
    """The outcomes in the order of the caller's list."""
    return [outcomes[at] for at in range(count)]
