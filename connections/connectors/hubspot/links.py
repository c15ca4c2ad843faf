"""Read and write associations, in batches.

Source: https://developers.hubspot.com/docs/api-reference/2026-03/crm/associations
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from connections.catalogue import Code
from connections.connectors.base import ConnectorError, TransientError, UncertainError
from connections.connectors.dialect import Answer
from connections.connectors.http import Safety
from connections.connectors.hubspot.api import Api, Json, next_after, rows, text
from connections.connectors.hubspot.batches import stopped, uncertain
from connections.connectors.hubspot.errors import (
    NO_LINKS,
    context_names,
    correlation,
    error_of,
    outcome_of,
)
from connections.records import AssociationType, Edge, Linked, Outcome

READ_BATCH = 1_000  # ids
WRITE_BATCH = 2_000  # pairs
# What removing takes is not documented: no more than this was seen to work.
REMOVE_BATCH = 1_000  # pairs
REMOVE_FROM = 100  # distinct `from` records
BUCKET = "associations"

Types = frozenset[AssociationType]
PairKey = tuple[str, str]
Holds = Callable[[Edge, Types | None], bool]


class Links:
    """The associations of one account."""

    def __init__(self, api: Api) -> None:
        self._api = api

    # Reading ---------------------------------------------------------------------------

    def read(
        self, from_object: str, to_object: str, ids: Sequence[str]
    ) -> dict[str, tuple[Linked, ...]]:
        """Read records' links: 1,000 records a call, each with pages of its own.

        Returns: links by record id, () where HubSpot says there are none; an id whose
            links could not be read to the end is absent.
        Raises: ConnectorError.
        """
        path = self._api.paths.associations(from_object, to_object, "batch", "read")
        pending = [(record_id, "") for record_id in dict.fromkeys(ids)]
        partly: dict[str, dict[str, set[AssociationType]]] = {}
        done: dict[str, tuple[Linked, ...]] = {}
        while pending:
            now, pending = pending[:READ_BATCH], pending[READ_BATCH:]
            inputs = [
                {"id": record_id} | ({"after": after} if after else {})
                for record_id, after in now
            ]
            answer = self._api.read(
                f"read associations from {from_object} to {to_object}",
                "POST",
                path,
                body={"inputs": inputs},
                bucket=BUCKET,
            )
            asked = dict(now)
            for record_id in _without_links(answer):
                if record_id in asked:
                    done[record_id] = _linked(partly.pop(record_id, {}))
            for row in rows(answer.body):
                record_id = _end(row.get("from"))
                if record_id not in asked:
                    continue
                held = partly.setdefault(record_id, {})
                for target in rows(row, "to"):
                    held.setdefault(text(target.get("toObjectId")), set()).update(
                        _types(target)
                    )
                after = next_after(row)
                if after is None:
                    done[record_id] = _linked(partly.pop(record_id))
                elif after != asked[record_id]:
                    pending.append((record_id, after))
        return done

    # Writing ---------------------------------------------------------------------------

    def associate(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Set each pair's complete set of types, 2,000 pairs a call."""
        path = self._api.paths.associations(from_object, to_object, "batch", "create")
        send = _Sender(self, from_object, to_object, path, _input, _has_all)
        return send.run(edges, WRITE_BATCH, len(edges))

    def dissociate(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Remove pairs whole; one that is not there is done."""
        path = self._api.paths.associations(from_object, to_object, "batch", "archive")
        send = _Sender(self, from_object, to_object, path, None, _is_gone)
        return send.run(edges, REMOVE_BATCH, REMOVE_FROM)

    def unlabel(
        self, from_object: str, to_object: str, edges: Sequence[Edge]
    ) -> list[Outcome]:
        """Take the edges' types off their pairs."""
        path = self._api.paths.associations(
            from_object, to_object, "batch", "labels", "archive"
        )
        send = _Sender(self, from_object, to_object, path, _input, _has_none)
        return send.run(edges, REMOVE_BATCH, REMOVE_FROM)

    def write(self, path: str, inputs: object) -> Answer:
        """One write of links, which a second time changes nothing more."""
        return self._api.write(
            path, {"inputs": inputs}, safety=Safety.REPEATABLE, bucket=BUCKET
        )


class _Sender:
    """One sort of link write, in as many requests as it takes.

    `holds` says whether a pair, as read back, is as the write should have left it.
    """

    def __init__(
        self,
        links: Links,
        from_object: str,
        to_object: str,
        path: str,
        form: Callable[[Edge], Json] | None,
        holds: Holds,
    ) -> None:
        self._links = links
        self._ends = (from_object, to_object)
        self._path = path
        self._form = form
        self._holds = holds

    def run(self, edges: Sequence[Edge], pairs: int, froms: int) -> list[Outcome]:
        """Write edges; outcomes in their order.

        Raises: ConnectorError if nothing was sent.
        """
        outcomes: dict[int, Outcome] = {}
        stop: ConnectorError | None = None
        for batch in _batches(edges, pairs, froms):
            if stop is None:
                try:
                    for at, outcome in self._one(batch):
                        outcomes[at] = outcome
                except ConnectorError as exc:
                    if not outcomes:
                        raise
                    stop = exc
            if stop is not None:
                left = [at for at in batch if at not in outcomes]
                outcomes |= dict.fromkeys(left, stopped(stop))
        return [outcomes[at] for at in range(len(edges))]

    def _one(self, batch: dict[int, Edge]) -> Iterator[tuple[int, Outcome]]:
        """One request, split as long as it is refused as a whole."""
        pending = [batch]
        while pending:
            edges = pending.pop()
            try:
                answer = self._links.write(self._path, self._inputs(edges.values()))
            except UncertainError as exc:
                doubt = uncertain(exc.message, exc.correlation_id)
                yield from dict.fromkeys(edges, doubt).items()
                continue
            if answer.ok:
                yield from self._read(edges, answer).items()
                continue
            if answer.status == 404 and not rows(answer.body, "errors"):
                refusal = outcome_of(answer.body, correlation_id=correlation(answer))
                if refusal.code != Code.RECORD_GONE:
                    raise error_of(answer, "write associations")
            outcome = outcome_of(answer.body, correlation_id=correlation(answer))
            if len(edges) == 1 or _all_share(outcome, edges.values()):
                yield from dict.fromkeys(edges, outcome).items()
                continue
            ats = list(edges)
            half = len(ats) // 2
            pending += [{at: edges[at] for at in ats[half:]}]
            pending += [{at: edges[at] for at in ats[:half]}]

    def _inputs(self, edges: Iterable[Edge]) -> list[Json]:
        if self._form is not None:
            return [self._form(edge) for edge in edges]
        grouped: dict[str, list[str]] = {}
        for edge in edges:
            grouped.setdefault(edge.from_id, []).append(edge.to_id)
        return [
            {"from": {"id": from_id}, "to": [{"id": to_id} for to_id in to_ids]}
            for from_id, to_ids in grouped.items()
        ]

    def _read(self, edges: dict[int, Edge], answer: Answer) -> dict[int, Outcome]:
        """What a 2xx answer says: what an error names failed, the rest is done.

        Where an error does not say which pair it is about, the pairs it may be about are
        read back.
        """
        errors = rows(answer.body, "errors")
        if not errors:
            return dict.fromkeys(edges, Outcome(True))
        outcomes: dict[int, Outcome] = {}
        doubt: dict[int, Outcome] = {}
        done = {_result_pair(row) for row in rows(answer.body)}
        for error in errors:
            outcome = outcome_of(error, correlation_id=correlation(answer))
            meant = _meant(error, edges)
            if len(meant) == 1 or _names_pairs(error):
                outcomes |= dict.fromkeys(meant, outcome)
            else:
                may_be = [at for at in meant if _pair(edges[at]) not in done]
                doubt |= dict.fromkeys(may_be, outcome)
        doubt = {at: o for at, o in doubt.items() if at not in outcomes}
        if doubt:
            outcomes |= self._read_back({at: edges[at] for at in doubt}, doubt)
        return dict.fromkeys(edges, Outcome(True)) | outcomes

    def _read_back(
        self, edges: dict[int, Edge], refusals: Mapping[int, Outcome]
    ) -> dict[int, Outcome]:
        try:
            found = self._links.read(*self._ends, [e.from_id for e in edges.values()])
        except TransientError as exc:
            return dict.fromkeys(edges, uncertain(exc.message))
        outcomes: dict[int, Outcome] = {}
        for at, edge in edges.items():
            held = found.get(edge.from_id)
            if held is None:
                outcomes[at] = refusals[at]
                continue
            types = next((h.types for h in held if h.to_id == edge.to_id), None)
            right = self._holds(edge, types)
            outcomes[at] = Outcome(True) if right else refusals[at]
        return outcomes


def _batches(
    edges: Sequence[Edge], pairs: int, froms: int
) -> Iterator[dict[int, Edge]]:
    """Edges by their places, so that no request has a pair twice."""
    waiting = list(enumerate(edges))
    while waiting:
        batch: dict[int, Edge] = {}
        seen: set[PairKey] = set()
        near: set[str] = set()
        left: list[tuple[int, Edge]] = []
        for at, edge in waiting:
            new = edge.from_id not in near
            full = len(batch) >= pairs or (new and len(near) >= froms)
            if full or _pair(edge) in seen:
                left.append((at, edge))
                continue
            batch[at] = edge
            seen.add(_pair(edge))
            near.add(edge.from_id)
        yield batch
        waiting = left


def _pair(edge: Edge) -> PairKey:
    return edge.from_id, edge.to_id


def _input(edge: Edge) -> Json:
    return {
        "from": {"id": edge.from_id},
        "to": {"id": edge.to_id},
        "types": [
            {"associationCategory": t.category, "associationTypeId": t.type_id}
            for t in sorted(edge.types, key=lambda t: (t.category, t.type_id))
        ],
    }


def _has_all(edge: Edge, types: Types | None) -> bool:
    return types is not None and edge.types <= types


def _has_none(edge: Edge, types: Types | None) -> bool:
    return types is None or not edge.types & types


def _is_gone(edge: Edge, types: Types | None) -> bool:
    return types is None


def _all_share(outcome: Outcome, edges: Iterable[Edge]) -> bool:
    """Whether a refusal is about types that every one of these edges carries."""
    kinds = {edge.types for edge in edges}
    return outcome.code == Code.TYPE_UNKNOWN and len(kinds) == 1


def _end(value: object) -> str:
    return text(value.get("id")) if isinstance(value, dict) else text(value)


def _result_pair(row: Json) -> PairKey:
    """The pair that a result is about, in either of the forms that HubSpot uses."""
    near = row.get("fromObjectId", row.get("from"))
    return _end(near), _end(row.get("toObjectId", row.get("to")))


def _meant(error: Json, edges: Mapping[int, Edge]) -> list[int]:
    """The edges that an error may be about; all, if it does not say."""
    near = set(context_names(error, "fromObjectId", "from"))
    far = set(context_names(error, "toObjectId", "to"))
    return [
        at
        for at, edge in edges.items()
        if (not near or edge.from_id in near) and (not far or edge.to_id in far)
    ]


def _names_pairs(error: Json) -> bool:
    """Whether an error names both ends of what it is about."""
    return bool(context_names(error, "fromObjectId", "from")) and bool(
        context_names(error, "toObjectId", "to")
    )


def _without_links(answer: Answer) -> list[str]:
    """The records that an answer says have no link: an error entry, and no failure."""
    return [
        record_id
        for error in rows(answer.body, "errors")
        if NO_LINKS in text(error.get("subCategory"))
        for record_id in context_names(error, "fromObjectId")
    ]


def _types(target: Json) -> Iterator[AssociationType]:
    for row in rows(target, "associationTypes"):
        type_id = text(row.get("typeId", row.get("associationTypeId")))
        category = text(row.get("category", row.get("associationCategory")))
        if type_id.isdigit():
            yield AssociationType(category, int(type_id))


def _linked(held: Mapping[str, Iterable[AssociationType]]) -> tuple[Linked, ...]:
    return tuple(Linked(to_id, frozenset(types)) for to_id, types in held.items())
