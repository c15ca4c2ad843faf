"""Batch endpoints of the objects API: whole failures and partial ones.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from connections.sandbox.hubspot.account import Call, Reply
from connections.sandbox.hubspot.errors import ApiError, invalid
from connections.sandbox.hubspot.kinds import CONTACTS, Kind
from connections.sandbox.hubspot.objects import (
    MAX_HISTORY,
    archive_one,
    create_one,
    properties_of,
    render,
    written,
)
from connections.sandbox.hubspot.records import Record, unique_values

Json = dict[str, Any]
MOST = 100  # inputs


def _named(body: Json) -> bool:
    return body.get("id") not in (None, "")


def _missing(kind: Kind, ids: list[str]) -> ApiError:
    return ApiError(
        404,
        "OBJECT_NOT_FOUND",
        f"Could not get some {kind.singular.upper()} objects, they may be deleted or "
        "not exist. Check that ids are valid.",
        context={"ids": ids},
    )


def read(call: Call, kind: Kind) -> Reply:
    """POST …/batch/read: ids that are not there come back as one error."""
    call.need(kind, "read")
    records = call.account.records
    asked = call.json.get("properties") or []
    archived = call.flag("archived")
    results, missing = [], []
    history = call.json.get("propertiesWithHistory") or []
    most = MAX_HISTORY if history else MOST
    words = [item["id"] for item in call.inputs(most, _named)]
    for word in dict.fromkeys(map(str, words)):
        record_id = records.id_of(kind, word, call.json.get("idProperty"))
        try:
            if record_id is None:
                raise _missing(kind, [word])
            found = records.find(kind, record_id, archived=archived)
            results.append(render(call, found, asked, history))
        except ApiError:
            missing.append(word)
    errors = [_missing(kind, missing).entry()] if missing else []
    return call.batch(results, errors)


def create(call: Call, kind: Kind) -> Reply:
    """POST …/batch/create: partial only if each input has a trace id of its own."""
    call.need(kind, "write")
    inputs = call.inputs(MOST)
    _refuse_repeats(_unique_written(call, kind, inputs))
    traces = [item.get("objectWriteTraceId") for item in inputs]
    partial = all(traces) and len(set(traces)) == len(traces)
    results, errors = [], []
    for item in inputs:
        try:
            with call.account.store.savepoint():
                results.append(_traced(create_one(call, kind, item), item))
        except ApiError as error:
            if not partial:
                raise
            errors.append(error.entry(objectWriteTraceId=_trace(item)))
    return call.batch(results, errors, done=201)


def update(call: Call, kind: Kind) -> Reply:
    """POST …/batch/update: merged-away ids are unknown here."""
    call.need(kind, "write")
    inputs = call.inputs(MOST, _named)
    _refuse_repeats(("id", str(item["id"])) for item in inputs)
    _refuse_repeats(_unique_written(call, kind, inputs))
    results, errors = [], []
    for item in inputs:
        try:
            with call.account.store.savepoint():
                found = _held(call, kind, item)
                if found is None:
                    raise _missing(kind, [str(item["id"])])
                results.append(_changed(call, found, item))
        except ApiError as error:
            errors.append(_entry(error, item))
    return call.batch(results, errors)


def upsert(call: Call, kind: Kind) -> Reply:
    """POST …/batch/upsert: by a unique property; with e-mail it is all or nothing."""
    call.need(kind, "write")
    inputs = call.inputs(MOST, _named)
    by_email = any(item.get("idProperty") == "email" for item in inputs)
    _refuse_repeats(
        (str(item.get("idProperty")), str(item["id"]).strip().lower())
        for item in inputs
    )
    results, errors = [], []
    for item in inputs:
        try:
            with call.account.store.savepoint():
                results.append(_upserted(call, kind, item))
        except ApiError as error:
            if by_email:
                raise
            errors.append(_entry(error, item))
    return call.batch(results, errors)


def archive(call: Call, kind: Kind) -> Reply:
    """POST …/batch/archive."""
    call.need(kind, "write")
    for item in call.inputs(MOST, _named):
        archive_one(call, kind, item["id"])
    return Reply(204)


def _held(call: Call, kind: Kind, item: Json) -> Record | None:
    records = call.account.records
    record_id = records.id_of(kind, item["id"], item.get("idProperty"))
    if record_id is None:
        return None
    try:
        return records.find(kind, record_id)
    except ApiError:
        return None


def _changed(call: Call, record: Record, item: Json) -> Json:
    properties = properties_of(item)
    changed = call.account.records.update(record, properties)
    return _traced(written(call, changed, properties), item)


def _upserted(call: Call, kind: Kind, item: Json) -> Json:
    id_property = item.get("idProperty")
    if not id_property:
        raise invalid("idProperty is required to upsert")
    found = _held(call, kind, item)
    if found is not None:
        return _changed(call, found, item) | {"new": False}
    properties = {id_property: item["id"]} | properties_of(item)
    made = create_one(call, kind, {"properties": properties})
    return _traced(made, item) | {"new": True}


def _trace(item: Json) -> list[str]:
    return [str(item["objectWriteTraceId"])] if item.get("objectWriteTraceId") else []


def _traced(body: Json, item: Json) -> Json:
    for trace in _trace(item):
        body["objectWriteTraceId"] = trace
    return body


def _entry(error: ApiError, item: Json) -> Json:
    context = {"ids": [str(item["id"])]}
    if trace := _trace(item):
        context["objectWriteTraceId"] = trace
    return error.entry(**context) | {"id": str(item["id"])}


def _unique_written(
    call: Call, kind: Kind, inputs: list[Json]
) -> Iterable[tuple[str, str]]:
    """Yield the unique values that a batch writes, e-mails without their case."""
    names = call.account.catalogue.unique_names(kind)
    for item in inputs:
        properties = item.get("properties")
        values = properties if isinstance(properties, dict) else {}
        texts = {name: str(values[name]) for name in names if values.get(name)}
        if kind.type_id == CONTACTS and "email" in texts:
            texts["email"] = texts["email"].strip().lower()
        yield from unique_values(texts, names)


def _refuse_repeats(pairs: Iterable[tuple[str, str]]) -> None:
    """Refuse a whole batch that names the same thing twice."""
    for (name, value), times in Counter(pairs).items():
        if times > 1:
            raise invalid(
                f"Duplicate {name} values found in batch input: [{value}]. "
                f"{name} must be unique",
                "DUPLICATE_IN_BATCH",
                ids=[value],
            )
