"""Endpoints that read and write links, dated and v4.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/associations
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connections.sandbox.hubspot.account import Call, Reply, scope_of
from connections.sandbox.hubspot.association_types import LinkType
from connections.sandbox.hubspot.errors import ApiError, invalid, not_found
from connections.sandbox.hubspot.kinds import Kind
from connections.sandbox.hubspot.link_caps import LimitReached
from connections.sandbox.hubspot.links import Pair

Json = dict[str, Any]
MAX_READ = 1_000  # ids of one batch read
MAX_WRITE = 2_000  # pairs of one batch create
PAGE = 500  # links of one record per page


def need(call: Call, kinds: tuple[Kind, Kind], right: str) -> None:
    """Refuse a token without the scopes that a link call takes."""
    if call.account.switches["association_scopes"] == "both_ends":
        for kind in kinds:
            call.need(kind, right)
    else:
        call.need_one_of({scope_of(kind, right) for kind in kinds})


def id_form(call: Call, record_id: int) -> str | int:
    """Return an id as this account's answers write it."""
    if call.account.switches["id_form"] == "numbers":
        return record_id
    return str(record_id)


def _number(word: object) -> int | None:
    text = str(word)
    return int(text) if text.isascii() and text.isdigit() else None


# Reading


def _page(
    call: Call, kinds: tuple[Kind, Kind], record_id: int, after: int, limit: int
) -> tuple[list[Json], str | None]:
    """Return one page of a record's links, and the cursor of the next."""
    kind, other = kinds
    types = call.account.types.between(kind, other)
    found: dict[int, list[Json]] = {}
    for far, key in call.account.links.of(kind, record_id, other, after):
        if far not in found and len(found) == limit:
            last = str(next(reversed(found)))
            return _targets(call, found), last
        link_type = types[key]
        found.setdefault(far, []).append(
            {
                "category": link_type.category,
                "typeId": link_type.type_id,
                "label": link_type.label,
            }
        )
    return _targets(call, found), None


def _targets(call: Call, found: dict[int, list[Json]]) -> list[Json]:
    return [
        {
            "toObjectId": id_form(call, far),
            "associationTypes": call.account.shuffled(types),
        }
        for far, types in found.items()
    ]


def paging(after: str) -> Json:
    link = f"https://api.hubapi.com/crm/associations?after={after}"
    return {"next": {"after": after, "link": link}}


def read_one(call: Call, kind: Kind, record: str, other: Kind) -> Reply:
    """GET …/{T}/{id}/associations/{toT}."""
    need(call, (kind, other), "read")
    absent = not call.account.switches["single_read_2026_09"]
    if call.version == "2026-09" and absent:
        raise not_found()
    record_id = _live(call, kind, record)
    limit = call.number("limit", PAGE, PAGE) or PAGE
    after = call.number("after", 0, 2**62)
    results, following = _page(call, (kind, other), record_id, after, limit)
    body: Json = {"results": results}
    if following:
        body["paging"] = paging(following)
    return Reply(200, body)


def batch_read(call: Call, kind: Kind, other: Kind) -> Reply:
    """POST …/batch/read: a record without links is an error entry of a 207."""
    need(call, (kind, other), "read")
    limit = int(call.account.switches.number("association_page"))
    results, errors = [], []
    inputs = call.inputs(MAX_READ, lambda item: "id" in item)
    hidden = _archived(call, kind, inputs)
    for item in inputs:
        record_id = _number(item["id"])
        after = _number(item.get("after") or 0) or 0
        found: tuple[list[Json], str | None] = ([], None)
        if record_id is not None and record_id not in hidden:
            found = _page(call, (kind, other), record_id, after, limit)
        if not found[0]:
            errors.append(no_links(kind, other, str(item["id"])))
            continue
        row = {"from": {"id": str(record_id)}, "to": found[0]}
        results.append(row | ({"paging": paging(found[1])} if found[1] else {}))
    return call.batch(results, errors)


def _archived(call: Call, kind: Kind, inputs: list[Json]) -> set[int]:
    """Return which of a batch's records are archived, if that hides their links."""
    if not call.account.switches["archive_hides_links"]:
        return set()
    ids = [number for item in inputs if (number := _number(item["id"])) is not None]
    rows = call.account.store.all(
        "SELECT id FROM record WHERE kind = ? AND archived IS NOT NULL "
        f"AND id IN ({','.join('?' * len(ids))})",
        kind.type_id,
        *ids,
    )
    return {row[0] for row in rows}


def no_links(kind: Kind, other: Kind, word: str) -> Json:
    """The same for a record without links and for one that does not exist."""
    return ApiError(
        404,
        "OBJECT_NOT_FOUND",
        f"No {other.type_id} is associated with {kind.type_id} {word}.",
        sub_category="crm.associations.NO_ASSOCIATIONS_FOUND",
        context={
            "fromObjectId": [word],
            "fromObjectType": [kind.type_id],
            "toObjectType": [other.type_id],
        },
    ).entry()


# Writing


def _live(call: Call, kind: Kind, word: object) -> int:
    """Return the id of a live record.

    Raises: ApiError 404.
    """
    record_id = _number(word)
    row = call.account.store.one(
        "SELECT 1 FROM record WHERE kind = ? AND id = ? AND archived IS NULL",
        kind.type_id,
        -1 if record_id is None else record_id,
    )
    if record_id is None or row is None:
        raise not_found(
            f"{kind.singular.upper()} {word} does not exist", objectId=[str(word)]
        )
    return record_id


def _pair(call: Call, kinds: tuple[Kind, Kind], item: Json) -> Pair:
    ends = [_live(call, kinds[0], _end(item["from"]))]
    ends.append(_live(call, kinds[1], _end(item["to"])))
    return Pair(kinds[0], ends[0], kinds[1], ends[1])


def _end(end: object) -> object:
    return end.get("id") if isinstance(end, dict) else end


def write_default(
    call: Call, kind: Kind, record: str, other: Kind, other_record: str
) -> Reply:
    """PUT …/{T}/{id}/associations/default/{toT}/{toId}."""
    need(call, (kind, other), "write")
    item = {"from": record, "to": other_record}
    pair = _pair(call, (kind, other), item)
    call.account.links.write(pair, [], default=True)
    return call.batch(_default_results(call, pair), [])


def _default_results(call: Call, pair: Pair) -> list[Json]:
    results = []
    for side in (pair, pair.back):
        plain = call.account.types.between(side.from_kind, side.to_kind).values()
        for link_type in (t for t in plain if t.plain):
            spec = {
                "associationCategory": link_type.category,
                "associationTypeId": link_type.type_id,
            }
            results.append(
                {
                    "from": {"id": str(side.from_id)},
                    "to": {"id": str(side.to_id)},
                    "associationSpec": spec,
                }
            )
    return results


def write_labels(
    call: Call, kind: Kind, record: str, other: Kind, other_record: str
) -> Reply:
    """PUT …/{T}/{id}/associations/{toT}/{toId} with a list of types."""
    need(call, (kind, other), "write")
    if not isinstance(call.body, list):
        raise invalid("a request body was expected: a list of association types")
    types = call.account.types.asked(kind, other, call.body)
    pair = _pair(call, (kind, other), {"from": record, "to": other_record})
    return Reply(201, _written(call, pair, types))


def _written(call: Call, pair: Pair, types: list[LinkType]) -> Json:
    """Write types to a pair, and return how the answer shows it."""
    came = call.account.links.write(pair, types, default=False)
    if call.account.switches["moved_primary_reported"]:
        known = call.account.types.between(pair.from_kind, pair.to_kind)
        types = [*types, *(known[key] for key in came)]
    return {
        "fromObjectTypeId": pair.from_kind.type_id,
        "fromObjectId": id_form(call, pair.from_id),
        "toObjectTypeId": pair.to_kind.type_id,
        "toObjectId": id_form(call, pair.to_id),
        "labels": [t.label for t in types if t.label is not None],
    }


def _each(
    call: Call,
    kinds: tuple[Kind, Kind],
    inputs: list[Json],
    act: Callable[[Pair, Json], list[Json]],
) -> tuple[list[Json], list[Json]]:
    """Do one thing per input: those that fail are taken back and reported."""
    results: list[Json] = []
    errors: list[Json] = []
    for item in inputs:
        try:
            with call.account.store.savepoint():
                results += act(_pair(call, kinds, item), item)
        except ApiError as error:
            whole = call.account.switches["limit_error"] == "status_400"
            if whole and isinstance(error, LimitReached):
                raise
            ends = {"from": _end(item["from"]), "to": _end(item["to"])}
            context = {f"{name}ObjectId": [str(end)] for name, end in ends.items()}
            errors.append(error.entry(**context))
    return results, errors


def _two_ends(item: Json) -> bool:
    return _end(item.get("from")) is not None and _end(item.get("to")) is not None


def batch_default(call: Call, kind: Kind, other: Kind) -> Reply:
    """POST …/batch/associate/default."""
    kinds = (kind, other)
    need(call, kinds, "write")
    most = int(call.account.switches.number("pair_batch_cap"))

    def act(pair: Pair, _item: Json) -> list[Json]:
        call.account.links.write(pair, [], default=True)
        return _default_results(call, pair)

    return call.batch(*_each(call, kinds, call.inputs(most, _two_ends), act))


def batch_create(call: Call, kind: Kind, other: Kind) -> Reply:
    """POST …/batch/create."""
    kinds = (kind, other)
    need(call, kinds, "write")

    def act(pair: Pair, item: Json) -> list[Json]:
        types = call.account.types.asked(kind, other, item.get("types"))
        return [_written(call, pair, types)]

    done = 200 if call.version == "2026-09" else 201
    inputs = call.inputs(MAX_WRITE, _two_ends)
    return call.batch(*_each(call, kinds, inputs, act), done=done)


# Removing


def remove(
    call: Call, kind: Kind, record: str, other: Kind, other_record: str
) -> Reply:
    """DELETE …/{T}/{id}/associations/{toT}/{toId}: all types of the pair."""
    need(call, (kind, other), "write")
    ends = _number(record), _number(other_record)
    if ends[0] is None or ends[1] is None:
        raise not_found()
    call.account.links.remove_pair(Pair(kind, ends[0], other, ends[1]))
    return Reply(204)


def batch_archive(call: Call, kind: Kind, other: Kind) -> Reply:
    """POST …/batch/archive: each input names one record and a list of others."""
    need(call, (kind, other), "write")
    inputs = call.inputs(MAX_WRITE, lambda item: isinstance(item.get("to"), list))
    most = int(call.account.switches.number("archive_from_cap"))
    if len({str(_end(item.get("from"))) for item in inputs}) > most:
        raise invalid(f"At most {most} distinct from records are allowed")
    results = []
    for item in inputs:
        for end in item["to"]:
            one, two = _number(_end(item.get("from"))), _number(_end(end))
            if one is None or two is None:
                raise invalid("Invalid input JSON: an id is not a number")
            pair = Pair(kind, one, other, two)
            if call.account.links.remove_pair(pair):
                results += _default_results(call, pair)[:1]
    return call.batch(results, []) if call.dated else Reply(204)


def labels_archive(call: Call, kind: Kind, other: Kind) -> Reply:
    """POST …/batch/labels/archive: the plain type takes every label with it."""
    kinds = (kind, other)
    need(call, kinds, "write")
    most = int(call.account.switches.number("pair_batch_cap"))

    def act(pair: Pair, item: Json) -> list[Json]:
        types = call.account.types.asked(kind, other, item.get("types"))
        call.account.links.remove_types(pair, types)
        return _default_results(call, pair)[:1]

    results, errors = _each(call, kinds, call.inputs(most, _two_ends), act)
    if not call.dated and not errors:
        return Reply(204)
    return call.batch(results, errors)
