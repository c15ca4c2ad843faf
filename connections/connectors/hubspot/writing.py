"""Create, update, upsert and archive records, 100 a call.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from connections.catalogue import Code
from connections.connectors.dialect import Answer
from connections.connectors.http import Safety
from connections.connectors.hubspot.api import Api, Json, text
from connections.connectors.hubspot.batches import Name, Row, placed, run, uncertain
from connections.connectors.hubspot.values import (
    fold,
    properties_of,
    to_record,
    to_wire,
    unique_names,
    unique_values,
)
from connections.records import Draft, InlineEdge, ObjectType, Outcome, Patch, Record

BATCH = 100  # inputs of one request


class Writer:
    """Writes the records of one account."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def create(self, obj: ObjectType, drafts: Sequence[Draft]) -> list[Outcome]:
        """Create records with their links; a request is sent once and never again.

        Raises: ConnectorError if nothing was sent.
        """
        names = unique_names(obj)
        found = [
            Row(
                at,
                {
                    "properties": properties_of(draft.values, clear=False),
                    "associations": [_inline(edge) for edge in draft.edges],
                    "objectWriteTraceId": draft.trace,
                },
                frozenset({("trace", draft.trace)}),
                frozenset(
                    {("trace", draft.trace), *unique_values(obj, draft.values, names)}
                ),
            )
            for at, draft in enumerate(drafts)
        ]
        outcomes = run(
            found,
            size=BATCH,
            send=lambda some: self._send(obj, "create", some, Safety.ONCE),
            named=lambda result: _trace_or_values(obj, names, result),
            answered=lambda result: _made(obj, result),
            doing=f"create {obj.name}",
        )
        return placed(outcomes, len(drafts))

    def update(self, obj: ObjectType, patches: Sequence[Patch]) -> list[Outcome]:
        """Write values; None clears.

        Raises: ConnectorError if nothing was sent.
        """
        names = unique_names(obj)
        found = []
        for at, patch in enumerate(patches):
            body: dict[str, Any] = {
                "id": patch.id,
                "properties": properties_of(patch.values, clear=True),
            }
            own: set[Name] = {("id", patch.id)}
            if patch.trace:
                body["objectWriteTraceId"] = patch.trace
                own.add(("trace", patch.trace))
            shared = unique_values(obj, patch.values, names)
            found.append(Row(at, body, frozenset(own), frozenset(own | shared)))
        outcomes = run(
            found,
            size=BATCH,
            send=lambda some: self._send(obj, "update", some, Safety.REPEATABLE),
            named=_trace_or_id,
            answered=lambda result: _made(obj, result),
            doing=f"update {obj.name}",
        )
        return placed(outcomes, len(patches))

    def upsert(
        self, obj: ObjectType, name: str, drafts: Sequence[Draft]
    ) -> list[Outcome]:
        """Create records, or update those that hold the same value of a unique property.

        Safe to repeat. Links are not carried: HubSpot takes none here.
        Raises: ConnectorError if nothing was sent.
        """
        outcomes: dict[int, Outcome] = {}
        found = []
        names = [n for n in unique_names(obj) if n != name]
        for at, draft in enumerate(drafts):
            value = fold(obj, name, to_wire(draft.values.get(name)))
            if not value:
                outcomes[at] = Outcome(
                    False,
                    code=Code.REQUIRED_MISSING,
                    message=f"{name} is blank.",
                    field=name,
                )
                continue
            values = {k: v for k, v in draft.values.items() if k != name}
            body = {
                "id": value,
                "idProperty": name,
                "properties": properties_of(values, clear=False),
                "objectWriteTraceId": draft.trace,
            }
            own = frozenset({("trace", draft.trace), ("id", value)})
            shared = unique_values(obj, values, names)
            found.append(Row(at, body, own, own | shared))
        outcomes |= run(
            found,
            size=BATCH,
            send=lambda some: self._send(obj, "upsert", some, Safety.REPEATABLE),
            named=lambda result: _trace_or_value(obj, name, result),
            answered=lambda result: _made(obj, result),
            doing=f"write {obj.name}",
        )
        return placed(outcomes, len(drafts))

    def archive(self, obj: ObjectType, ids: Sequence[str]) -> list[Outcome]:
        """Put records into HubSpot's recycling bin; one that is there already is done.

        Raises: ConnectorError if nothing was sent.
        """
        found = [
            Row(at, {"id": record_id}, frozenset({("id", record_id)}))
            for at, record_id in enumerate(dict.fromkeys(ids))
        ]
        places = {text(row.body["id"]): row.at for row in found}
        outcomes = run(
            found,
            size=BATCH,
            send=lambda some: _all_done(
                self._send(obj, "archive", some, Safety.REPEATABLE), some
            ),
            named=_trace_or_id,
            answered=lambda result: Outcome(True),
            doing=f"archive {obj.name}",
        )
        return [outcomes[places[record_id]] for record_id in ids]

    def _send(
        self, obj: ObjectType, verb: str, some: Sequence[Row], safety: Safety
    ) -> Answer:
        path = self._api.paths.objects(obj.id, "batch", verb)
        body = {"inputs": [row.body for row in some]}
        return self._api.write(path, body, safety=safety)


def _inline(edge: InlineEdge) -> Json:
    return {
        "to": {"id": edge.to_id},
        "types": [
            {"associationCategory": t.category, "associationTypeId": t.type_id}
            for t in sorted(edge.types, key=lambda t: (t.category, t.type_id))
        ],
    }


def _trace_of(result: Json) -> Iterator[Name]:
    if result.get("objectWriteTraceId"):
        yield "trace", text(result["objectWriteTraceId"])


def _trace_or_values(
    obj: ObjectType, names: Sequence[str], result: Json
) -> Iterable[Name]:
    """By the trace id, or else by what no other input of the request holds."""
    found = list(_trace_of(result))
    return found or unique_values(obj, result.get("properties") or {}, names)


def _trace_or_id(result: Json) -> Iterable[Name]:
    """By trace id where there is one: a merged record answers under another id."""
    return [*_trace_of(result), ("id", text(result.get("id")))]


def _trace_or_value(obj: ObjectType, name: str, result: Json) -> Iterable[Name]:
    value = (result.get("properties") or {}).get(name)
    found = list(_trace_of(result))
    return found or [("id", fold(obj, name, text(value)))]


def _made(obj: ObjectType, result: Json) -> Outcome:
    """A record as a write answered it; which values it holds is HubSpot's choice."""
    if not text(result.get("id")):
        return uncertain("HubSpot's answer names no id.")
    record: Record = to_record(obj, result)
    return Outcome(True, record=record)


def _all_done(answer: Answer, some: Sequence[Row]) -> Answer:
    """A 204 as the batch answer it stands for: every input done."""
    body = answer.body if isinstance(answer.body, dict) else {}
    if not answer.ok or body.get("errors") or body.get("results"):
        return answer
    done = [{"id": text(row.body["id"])} for row in some]
    return Answer(answer.status, {"results": done}, answer.headers)
