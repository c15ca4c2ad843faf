"""Cell values: what a field takes, what it stores, and what it shows.

Source: https://airtable.com/developers/web/api/field-model
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from connections.sandbox.airtable.bases import COMPUTED, LINK, TEXTS, choice
from connections.sandbox.airtable.errors import bad_cell, invalid

Json = dict[str, Any]
NUMBERS = frozenset({"number", "currency", "percent", "duration", "rating"})
PEOPLE = {
    "usrSandboxAdmin01": ("sales@sandbox.example", "Sales Desk"),
    "usrSandboxSecond2": ("service@sandbox.example", "Service Desk"),
    "usrSandboxEditor3": ("editor@sandbox.example", "Editor"),
    "usrSandboxComment": ("comment@sandbox.example", "Commenter"),
}
Linked = Callable[[str, Any], str]  # a linked table and a value, as a record's id


class Taker:
    """Turns what a client writes into what is stored; None clears.

    Args: cap, characters of a text; typecast, whether conversion is tried; linked, what
        record a value of a link cell means.
    Raises: ApiError from every call.
    """

    def __init__(self, *, cap: float, typecast: bool, linked: Linked) -> None:
        self._cap = cap
        self._typecast = typecast
        self._linked = linked

    def take(self, field: Json, value: Any) -> Any:
        kind = field["type"]
        if kind in COMPUTED or kind not in ACCEPTED:
            text = f'Field "{field["name"]}" cannot accept a value because the field is computed'
            raise invalid(text, "INVALID_VALUE_FOR_COLUMN")
        if value is None:
            return None
        if kind in TEXTS:
            return self._text(field, value)
        if kind in NUMBERS:
            return self._number(field, value)
        act: Callable[[Json, Any], Any] = {
            "checkbox": self._checkbox,
            "date": self._date,
            "dateTime": self._moment,
            "singleSelect": self._select,
            "multipleSelects": self._selects,
            "singleCollaborator": self._person,
            "multipleCollaborators": self._people,
            "barcode": self._barcode,
            "multipleAttachments": self._files,
            LINK: self._links,
        }[kind]
        return act(field, value)

    def _text(self, field: Json, value: Any) -> str | None:
        if self._typecast and isinstance(value, int | float):
            value = str(value)
        if not isinstance(value, str) or len(value) > self._cap:
            raise bad_cell(field["name"])
        return value or None

    def _number(self, field: Json, value: Any) -> int | float | None:
        if self._typecast and isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise bad_cell(field["name"])
        if value != value or value in (float("inf"), float("-inf")):
            raise bad_cell(field["name"])
        options = field.get("options", {})
        if field["type"] == "rating":
            if value != int(value) or not 0 <= value <= options["max"]:
                raise bad_cell(field["name"])
            return int(value) or None
        if field["type"] in ("number", "currency"):
            step = Decimal(1).scaleb(-int(options.get("precision", 0)))
            rounded = (
                Decimal(repr(value)).quantize(step, ROUND_HALF_UP)
                if abs(value) < 1e15
                else Decimal(repr(value))
            )
            value = float(rounded)
        return int(value) if value == int(value) else value

    def _checkbox(self, field: Json, value: Any) -> bool | None:
        if self._typecast and isinstance(value, str):
            value = value.lower() in ("true", "checked", "yes", "1")
        if not isinstance(value, bool):
            raise bad_cell(field["name"])
        return value or None

    def _date(self, field: Json, value: Any) -> str:
        if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value):
            try:
                return date.fromisoformat(value[:10]).isoformat()
            except ValueError:
                pass
        raise bad_cell(field["name"])

    def _moment(self, field: Json, value: Any) -> str:
        try:
            at = datetime.fromisoformat(value)
        except (ValueError, TypeError):
            raise bad_cell(field["name"]) from None
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _select(self, field: Json, value: Any) -> str | None:
        if isinstance(value, dict):
            value = value.get("name")
        if value == "":
            return None
        if not isinstance(value, str):
            raise bad_cell(field["name"])
        known = [c["name"] for c in field["options"]["choices"]]
        if value not in known:
            if not self._typecast:
                raise invalid(
                    "Insufficient permissions to create new select option "
                    f'"""{value}"""',
                    "INVALID_MULTIPLE_CHOICE_OPTIONS",
                )
            field["options"]["choices"].append(choice(value))
        return value

    def _selects(self, field: Json, value: Any) -> list[str] | None:
        if self._typecast and isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            raise bad_cell(field["name"])
        found = [self._select(field, v) for v in value]
        return [v for v in dict.fromkeys(found) if v is not None] or None

    def _person(self, field: Json, value: Any) -> Json:
        asked = value if isinstance(value, dict) else {"id": value}
        for user, (email, name) in PEOPLE.items():
            if asked.get("id") == user or asked.get("email") == email:
                return {"id": user, "email": email, "name": name}
        raise bad_cell(field["name"])

    def _people(self, field: Json, value: Any) -> list[Json] | None:
        if not isinstance(value, list):
            raise bad_cell(field["name"])
        return [self._person(field, v) for v in value] or None

    def _barcode(self, field: Json, value: Any) -> Json | None:
        if not isinstance(value, dict) or not isinstance(value.get("text"), str):
            raise bad_cell(field["name"])
        return {k: v for k, v in value.items() if k in ("text", "type")}

    def _files(self, field: Json, value: Any) -> list[Json] | None:
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise bad_cell(field["name"])
        return value or None

    def _links(self, field: Json, value: Any) -> list[str] | None:
        if self._typecast and isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            raise bad_cell(field["name"])
        target = field["options"]["linkedTableId"]
        found = []
        for one in value:
            given = one.get("id") if isinstance(one, dict) else one
            if not isinstance(given, str):
                raise bad_cell(field["name"])
            if not given.startswith("rec") and not self._typecast:
                text = f'Value "{given}" is not a valid record ID.'
                raise invalid(text, "INVALID_RECORD_ID")
            found.append(self._linked(target, given))
        return list(dict.fromkeys(found)) or None


ACCEPTED = (
    TEXTS
    | NUMBERS
    | {
        "checkbox",
        "date",
        "dateTime",
        "singleSelect",
        "multipleSelects",
        "singleCollaborator",
        "multipleCollaborators",
        "barcode",
        "multipleAttachments",
        LINK,
    }
)
