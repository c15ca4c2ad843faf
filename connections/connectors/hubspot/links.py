"""Read and write the links between records.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/associations
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from connections.catalogue import Code
from connections.connectors.base import ConnectorError, UncertainError
from connections.connectors.dialect import Answer
from connections.connectors.http import Safety
from connections.connectors.hubspot.api import Api, Json, next_after, text
from connections.connectors.hubspot.batches import placed, stopped, uncertain
from connections.connectors.hubspot.errors import (
    NO_LINKS,
    context_names,
    correlation,
    error_of,
    outcome_of,
    unknown_object,
)
from connections.connectors.parts import chunks, listed, rows
from connections.records import (
    AssociationType,
    AssociationTypeInfo,
    Edge,
    Linked,
    Outcome,
)

READ_BATCH = 1000  # records of one batch read
WRITE_BATCH = 2000  # pairs of one batch create
REMOVE_FROM = 100  # distinct `from` records of one batch archive
REMOVE_BATCH = 2000  # pairs of one batch archive; HubSpot documents no figure
UNLABEL_BATCH = 1000  # pairs of one labels/archive, of 100 `from`; none for it either
BUCKET = "associations"

Placed = Sequence[tuple[int, Edge]]
Asked = Mapping[str, str | None]  # where to go on in each record's list
Inputs = Callable[[Placed], list[Json]]


@dataclass
class Reading:
    """What one batch of records has shown so far."""

    held: dict[str, dict[str, set[AssociationType]]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)  # ids whose list was read to its end


class Links:
    """The links of one account."""

    def __init__(self, api: Api) -> None:
        self._api = api

    # Types ------------------------------------------------------------------------------

    def types(
        self, from_object: str, to_object: str
    ) -> tuple[AssociationTypeInfo, ...]:
        """The types that a link from one object type to another can carry."""
        found = [
            AssociationTypeInfo(
                category=text(row.get("category")) or "HUBSPOT_DEFINED",
                type_id=int(row["typeId"]),
                label=text(row.get("label")) or None,
                from_object=from_object,
                to_object=to_object,
            )
            for row in self._listed(from_object, to_object, "labels")
            if text(row.get("typeId")).isdigit()
        ]
        return tuple(sorted(found, key=lambda t: (t.category, t.type_id)))

    def _listed(self, from_object: str, to_object: str, name: str) -> list[Json]:
        doing = f"read the association types from {from_object} to {to_object}"
        answer = self._api.read(
            doing,
            "GET",
            self._api.paths.associations(from_object, to_object, name),
            bucket=BUCKET,
        )
        return listed(answer.body, "results", doing)

    # Read -------------------------------------------------------------------------------

    def shows_all(self, from_object: str, to_object: str) -> bool:
        """Whether a read shows every link, so that one it lacks does not exist."""
        return True

    def associations(
        self, from_object: str, to_object: str, ids: Sequence[str]
    ) -> dict[str, tuple[Linked, ...]]:
        """Read links, 1,000 records a call, each record's list to its end.

        Returns: () for a record that HubSpot says has none; an id that could not be read,
            or not to its end, is absent.
        Raises: ConnectorError.
        """
        found: dict[str, tuple[Linked, ...]] = {}
        for some in chunks(list(dict.fromkeys(ids)), READ_BATCH):
            reading = Reading()
            asked: dict[str, str | None] = dict.fromkeys(some)
            asked = self._page(from_object, to_object, asked, reading)
            while asked:
                asked = self._further(from_object, to_object, asked, reading)
            for record_id in reading.whole:
                linked = reading.held.get(record_id, {})
                found[record_id] = tuple(
                    Linked(far, frozenset(types)) for far, types in linked.items()
                )
        return found

    def _page(
        self,
        from_object: str,
        to_object: str,
        asked: Asked,
        reading: Reading,
    ) -> dict[str, str | None]:
        """Read one page of each record's list. Returns where the lists go on."""
        inputs = [{"id": i} | ({"after": a} if a else {}) for i, a in asked.items()]
        answer = self._api.read(
            f"read the links from {from_object} to {to_object}",
            "POST",
            self._api.paths.associations(from_object, to_object, "batch", "read"),
            body={"inputs": inputs},
            bucket=BUCKET,
        )
        more: dict[str, str | None] = {}
        for row in rows(answer.body, "results"):
            record_id = text((row.get("from") or {}).get("id"))
            if record_id not in asked or not isinstance(row.get("to"), list):
                continue
            held = reading.held.setdefault(record_id, {})
            self._take((from_object, to_object), held, rows(row, "to"))
            after = next_after(row)
            if after is None:
                reading.whole.add(record_id)
            elif after != asked[record_id]:
                more[record_id] = after
        nameless = 0
        for error in rows(answer.body, "errors"):
            if NO_LINKS in text(error.get("subCategory")):
                ids = context_names(error, "fromObjectId")
                reading.whole.update(i for i in ids if i in asked and i not in more)
                nameless += not ids
        left = [i for i in asked if i not in reading.whole and i not in more]
        if nameless == len(left):  # as many as nothing else was said of
            reading.whole.update(left)
        return more

    def _further(
        self,
        from_object: str,
        to_object: str,
        asked: Asked,
        reading: Reading,
    ) -> dict[str, str | None]:
        """Read another page of lists that go on."""
        return self._page(from_object, to_object, asked, reading)

    def _take(
        self,
        ends: tuple[str, str],
        held: dict[str, set[AssociationType]],
        found: Sequence[Json],
    ) -> None:
        """Add what one page shows of a record's links. Args: ends, both object types."""
        for row in found:
            far = text(row.get("toObjectId"))
            if far:
                held.setdefault(far, set()).update(_types(row))

    # Write ------------------------------------------------------------------------------

    def associate(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Set each pair's complete set of types, 2,000 pairs a call."""
        return self._write(
            self._api.paths.associations(from_object, to_object, "batch", "create"),
            chunks(list(enumerate(edges)), WRITE_BATCH),
            _with_types,
            "link records",
            len(edges),
        )

    def dissociate(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Remove each pair with every type it carries, from the end with fewer records:
        a call takes so many of them, with as many others as each is linked to."""
        if len({e.to_id for e in edges}) < len({e.from_id for e in edges}):
            from_object, to_object = to_object, from_object
            edges = [Edge(e.to_id, e.from_id, e.types) for e in edges]
        return self._write(
            self._api.paths.associations(from_object, to_object, "batch", "archive"),
            _by_from(edges, REMOVE_BATCH),
            _grouped,
            "unlink records",
            len(edges),
        )

    def unlabel(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Take types off their pairs; the plain link stays."""
        path = self._api.paths.associations(
            from_object, to_object, "batch", "labels", "archive"
        )
        return self._write(
            path,
            _by_from(edges, UNLABEL_BATCH),
            _with_types,
            "take labels off links",
            len(edges),
        )

    def _write(
        self,
        path: str,
        batches: Iterator[Placed],
        inputs: Inputs,
        doing: str,
        count: int,
    ) -> list[Outcome]:
        """Write batches of pairs; once something was written, an error is an outcome."""
        outcomes: dict[int, Outcome] = {}
        stop: ConnectorError | None = None
        for batch in batches:
            if stop is None:
                try:
                    self._one(path, batch, inputs, doing, outcomes)
                    continue
                except ConnectorError as exc:
                    if not outcomes:
                        raise
                    stop = exc
            unsent = [at for at, _ in batch if at not in outcomes]
            outcomes |= dict.fromkeys(unsent, stopped(stop))
        return placed(outcomes, count)

    def _one(
        self,
        path: str,
        batch: Placed,
        inputs: Inputs,
        doing: str,
        outcomes: dict[int, Outcome],
    ) -> None:
        """One request, split while its answer does not tell whom it refuses.

        What has become of a part stands in `outcomes` even if the next one fails.
        """
        pending = [batch]
        while pending:
            some = pending.pop()
            try:
                answer = self._api.write(
                    path,
                    {"inputs": inputs(some)},
                    safety=Safety.REPEATABLE,
                    bucket=BUCKET,
                )
            except UncertainError as exc:
                lost = uncertain(exc.message, exc.correlation_id)
                outcomes |= {at: lost for at, _ in some}
                continue
            if answer.ok:
                again = _read(some, answer, outcomes)
            else:
                again = self._refused(some, answer, outcomes, doing)
            if again:
                middle = (len(again) + 1) // 2
                pending += [half for half in (again[middle:], again[:middle]) if half]

    def _refused(
        self,
        some: Placed,
        answer: Answer,
        outcomes: dict[int, Outcome],
        doing: str,
    ) -> Placed:
        """A request refused as a whole. Returns what to send again in halves."""
        body = answer.body if isinstance(answer.body, dict) else {}
        lost = answer.status == 404 and not body.get("category")
        if lost or unknown_object(body):
            raise error_of(answer, doing)
        outcome = outcome_of(body, correlation_id=correlation(answer))
        alike = len({edge.types for _, edge in some}) == 1
        if len(some) == 1 or (outcome.code == Code.TYPE_UNKNOWN and alike):
            outcomes |= {at: outcome for at, _ in some}
            return ()
        return some


def _types(row: Json) -> Iterator[AssociationType]:
    for entry in rows(row, "associationTypes"):
        if text(entry.get("typeId")).isdigit():
            category = text(entry.get("category")) or "HUBSPOT_DEFINED"
            yield AssociationType(category, int(entry["typeId"]))


def _with_types(some: Placed) -> list[Json]:
    return [
        {
            "from": {"id": edge.from_id},
            "to": {"id": edge.to_id},
            "types": [
                {"associationCategory": t.category, "associationTypeId": t.type_id}
                for t in sorted(edge.types, key=lambda t: (t.category, t.type_id))
            ],
        }
        for _, edge in some
    ]


def _grouped(some: Placed) -> list[Json]:
    grouped: dict[str, list[Json]] = {}
    for _, edge in some:
        grouped.setdefault(edge.from_id, []).append({"id": edge.to_id})
    return [{"from": {"id": i}, "to": to} for i, to in grouped.items()]


def _by_from(edges: Sequence[Edge], most: int) -> Iterator[Placed]:
    """Pairs in requests of at most 100 distinct `from` records and so many pairs.

    The pairs of one record stand together; only where they are very many are they parted.
    """
    grouped: dict[str, list[tuple[int, Edge]]] = {}
    for at, edge in enumerate(edges):
        grouped.setdefault(edge.from_id, []).append((at, edge))
    batch: list[tuple[int, Edge]] = []
    froms = 0
    for mine in grouped.values():
        if batch and (froms == REMOVE_FROM or len(batch) + len(mine) > most):
            yield batch
            batch, froms = [], 0
        for some in chunks(mine, most):
            if len(batch) + len(some) > most:
                yield batch
                batch, froms = [], 0
            batch, froms = [*batch, *some], froms + 1
    if batch:
        yield batch


def _read(some: Placed, answer: Answer, outcomes: dict[int, Outcome]) -> Placed:
    """What a 2xx answer says of each pair: it is done unless an error names it.

    Returns: the pairs to send again, where an error does not say which it is about.
    """
    found, open_ = correlation(answer), dict(some)
    lost = False
    for error in rows(answer.body, "errors"):
        near = set(context_names(error, "fromObjectId", "fromId", "from"))
        far = set(context_names(error, "toObjectId", "toId", "to"))
        named = [
            at
            for at, edge in open_.items()
            if edge.from_id in near and (not far or edge.to_id in far)
        ]
        if not named and len(some) == 1:
            named = list(open_)
        lost = lost or not named or (not far and len(named) > 1)
        if len(named) == 1 or far:
            outcome = outcome_of(error, correlation_id=found)
            for at in named:
                outcomes[at] = outcome
                del open_[at]
    if lost:
        return list(open_.items())
    outcomes |= {at: Outcome(True, correlation_id=found) for at in open_}
    return ()
