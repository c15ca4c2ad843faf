"""The search endpoint: filters as SQL over what search sees.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from datetime import datetime
from typing import Any

from connections.sandbox.hubspot.account import Call, Reply, whole
from connections.sandbox.hubspot.errors import ApiError, invalid
from connections.sandbox.hubspot.kinds import Kind
from connections.sandbox.hubspot.records import shown
from connections.sandbox.hubspot.values import Refusal, moment_of

Json = dict[str, Any]
Sql = tuple[str, list[Any]]
MAX_BODY = 3_000  # characters
MAX_PAGE = 200
WALL = 10_000  # results of one query that can be reached
MAX_GROUPS, MAX_FILTERS, MAX_FILTERS_IN_ALL = 5, 6, 18
COMPARISONS = {"EQ": "=", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
MODIFIED = {"lastmodifieddate", "hs_lastmodifieddate"}
FREE_TEXT = (
    *("email", "firstname", "lastname", "phone", "company"),
    *("name", "domain", "dealname", "subject", "content"),
)


def search(call: Call, kind: Kind) -> Reply:
    """POST …/{T}/search."""
    call.need(kind, "read")
    if call.size > MAX_BODY:
        raise invalid(f"The request body is over {MAX_BODY} characters")
    index = call.account.search
    index.settle()
    limit = whole(call.json.get("limit") or 10, "limit", MAX_PAGE)
    after = whole(call.json.get("after") or 0, "after", WALL)
    if after + limit > WALL:
        raise invalid(f"Paging past {WALL} results of one query is not possible")
    beyond, groups = _beyond(call)
    where, values = _where(call, kind, groups)
    ids = index.ids(
        f"SELECT id FROM search_row WHERE {where} ORDER BY {_order(call, kind)}",
        *values,
    )
    start = bisect_right(ids, beyond) if beyond is not None else 0
    page = list(ids[start + after : start + after + limit])
    names = _names(call, kind)
    account, unset = call.account, call.account.switches["unset_values"]
    body: Json = {
        "total": len(ids) - start,
        "results": [
            shown(record, names, account.roll_ups(record, names), unset=unset)
            for record in index.rows(kind, page)
        ],
    }
    if start + after + limit < len(ids):
        body["paging"] = {"next": {"after": str(after + limit)}}
    return Reply(200, body)


def _beyond(call: Call) -> tuple[int | None, list[Json]]:
    """Split a page that goes on after an id, in the order of ids, into id and query.

    The query is the same for every page, so its ids are found once: paging through a
    million records would otherwise find all that are left for each page.
    """
    groups: list[Json] = call.json.get("filterGroups") or []
    sorts = call.json.get("sorts") or []
    by_id = {"propertyName": "hs_object_id", "direction": "ASCENDING"}
    if len(groups) != 1 or sorts != [by_id]:
        return None, groups
    rules = groups[0].get("filters") or []
    mine = [
        rule
        for rule in rules
        if rule.get("propertyName") == "hs_object_id" and rule.get("operator") == "GT"
    ]
    if len(mine) != 1 or len(rules) > MAX_FILTERS:
        return None, groups
    rest = [rule for rule in rules if rule is not mine[0]]
    return _integer(_values(mine[0], "GT", "id")[0]), [{"filters": rest}]


def _names(call: Call, kind: Kind) -> list[str]:
    asked = call.json.get("properties") or []
    if not asked:
        return list(call.account.catalogue.defaults(kind))
    known = call.account.catalogue.properties(kind)
    names = [name for name in asked if name in known]
    return [*names, "hs_object_id", kind.created, kind.modified]


def _where(call: Call, kind: Kind, groups: list[Json]) -> Sql:
    sizes = [len(group.get("filters") or []) for group in groups]
    if len(groups) > MAX_GROUPS:
        raise invalid(f"At most {MAX_GROUPS} filterGroups are allowed")
    if sizes and (max(sizes) > MAX_FILTERS or sum(sizes) > MAX_FILTERS_IN_ALL):
        raise invalid(
            f"At most {MAX_FILTERS} filters in a group and {MAX_FILTERS_IN_ALL} in "
            "all are allowed"
        )
    sql, values = ["kind = ?"], [kind.type_id]
    alternatives = []
    for group in groups:
        parts = [_filter(call, kind, rule) for rule in group.get("filters") or []]
        alternatives.append(" AND ".join(part for part, _ in parts) or "1")
        values += [value for _, more in parts for value in more]
    if alternatives:
        sql.append("(" + " OR ".join(f"({text})" for text in alternatives) + ")")
    if call.json.get("query"):
        text = " || ' ' || ".join(f"ifnull({_path(name)}, '')" for name in FREE_TEXT)
        sql.append(f"instr(fold({text}), ?) > 0")
        values.append(str(call.json["query"]).casefold())
    return " AND ".join(sql), values


def _order(call: Call, kind: Kind) -> str:
    sorts = call.json.get("sorts") or []
    if len(sorts) > 1:
        raise invalid("Only one sort is allowed")
    if not sorts:
        return "created, id"
    rule = sorts[0]
    if isinstance(rule, str):
        down, name = rule.startswith("-"), rule.removeprefix("-")
    else:
        down = rule.get("direction", "ASCENDING") == "DESCENDING"
        name = str(rule.get("propertyName"))
    column, _ = _column(call, kind, name)
    return f"{column} {'DESC' if down else 'ASC'}, id"


def _path(name: str) -> str:
    return f"""json_extract(properties, '$."{name}"')"""


def _column(
    call: Call, kind: Kind, name: str
) -> tuple[str, Callable[[object], object]]:
    """Return a property as SQL, and what makes a filter's value comparable to it.

    Raises: ApiError 400 for a property that is not there.
    """
    if name == "hs_object_id":
        return "id", _integer
    if name == kind.created:
        return "created", _milliseconds
    if name == kind.modified:
        return "updated", _milliseconds
    if name in MODIFIED:  # the other object's: no row has it, and no error says so
        return "NULL", str
    prop = call.account.catalogue.properties(kind).get(name)
    if prop is None:
        raise invalid(
            f"There was a problem with the request. Property {name} does not exist",
            "PROPERTY_DOESNT_EXIST",
            propertyName=[name],
        )
    if prop["type"] == "number":
        return f"CAST({_path(name)} AS NUMERIC)", _decimal
    if prop["type"] in ("date", "datetime"):
        size = 10 if prop["type"] == "date" else 24
        return _path(name), lambda value: _moment(value)[:size]
    if prop["type"] in ("enumeration", "bool"):
        return _path(name), str
    return f"fold({_path(name)})", lambda value: str(value).casefold()


def _filter(call: Call, kind: Kind, rule: Json) -> Sql:
    name, operator = str(rule.get("propertyName")), str(rule.get("operator"))
    if name.startswith("associations."):
        return _linked(call, kind, name.removeprefix("associations."), rule)
    column, form = _column(call, kind, name)
    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        word = "NOT NULL" if operator == "HAS_PROPERTY" else "NULL"
        return f"{_blank(column, name)} IS {word}", []
    values = _values(rule, operator, column)
    if operator in ("IN", "NOT_IN"):
        # On text these compare with lower-case values only.
        made = values if column.startswith("fold") else [form(v) for v in values]
        marks = ",".join("?" * len(made))
        found = f"({_there(column, name)} AND {column} IN ({marks}))"
        return (found if operator == "IN" else f"NOT {found}"), list(made)
    if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
        sign = "" if operator == "CONTAINS_TOKEN" else "NOT "
        return f"{sign}has_token({_blank(column, name)}, ?)", [str(values[0])]
    if operator == "BETWEEN":
        return f"{column} BETWEEN ? AND ?", [form(value) for value in values]
    if operator == "NEQ":
        return f"{column} IS NOT ?", [form(values[0])]
    if operator not in COMPARISONS:
        raise invalid(f"{operator} is not an operator")
    sign = COMPARISONS[operator]
    return f"({_there(column, name)} AND {column} {sign} ?)", [form(values[0])]


def _there(column: str, name: str) -> str:
    """Return a clause that lets the index over a property's value be used."""
    return f"{_blank(column, name)} IS NOT NULL"


def _blank(column: str, name: str) -> str:
    return column if column in ("id", "created", "updated", "NULL") else _path(name)


def _values(rule: Json, operator: str, column: str) -> list[Any]:
    if operator in ("IN", "NOT_IN"):
        values = rule.get("values")
        if not isinstance(values, list) or not values:
            raise invalid(f"{operator} needs values")
        return values
    if operator == "BETWEEN":
        values = [rule.get("value"), rule.get("highValue")]
    else:
        values = [rule.get("value")]
    if None in values:
        raise invalid(f"{operator} needs a value")
    return values


def _linked(call: Call, kind: Kind, word: str, rule: Json) -> Sql:
    """Return the pseudo-filter on a linked record; custom objects have none."""
    other = call.account.catalogue.kind(word)
    if other.custom or kind.custom or rule.get("operator") not in ("EQ", "IN"):
        raise invalid(f"associations.{word} can not be used in this filter")
    values = rule.get("values") or [rule.get("value")]
    marks = ",".join("?" * len(values))
    sql = (
        "EXISTS (SELECT 1 FROM link WHERE from_kind = search_row.kind "
        f"AND from_id = search_row.id AND to_kind = ? AND to_id IN ({marks}))"
    )
    return sql, [other.type_id, *map(_integer, values)]


def _integer(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise _unfit(value) from None


def _decimal(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise _unfit(value) from None


def _moment(value: object) -> str:
    try:
        return moment_of(str(value))
    except Refusal as refusal:
        raise invalid(refusal.message, refusal.code) from None


def _milliseconds(value: object) -> int:
    text = str(value)
    if text.lstrip("-").isdigit():
        return int(text)
    moment = datetime.fromisoformat(_moment(text))
    return round(moment.timestamp() * 1000)


def _unfit(value: object) -> ApiError:
    return invalid(f"{value} does not fit the property of this filter")
