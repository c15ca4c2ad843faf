"""What an account says of its association types: their limits, and new labels.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associations-schema/guide
"""

from __future__ import annotations

from connections.connectors.base import (
    RejectedError,
    SchemaError,
    ScopeError,
)
from connections.connectors.http import Safety
from connections.connectors.hubspot.api import Api, Json, text
from connections.connectors.hubspot.errors import error_of
from connections.connectors.parts import rows
from connections.records import AssociationLimit, AssociationType, AssociationTypeInfo

BUCKET = "associations"
# An account's plan, or a token without the right, may have none of these endpoints.
ABSENT = (ScopeError, RejectedError, SchemaError)


class Definitions:
    """Limits and labels of one account's pairs of objects."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def limits(self, from_object: str, to_object: str) -> tuple[AssociationLimit, ...]:
        """The limits of links in one direction: the plan's, and those that admins set.

        What the account does not tell is left out.
        """
        found = []
        for row in self._rows(
            f"read the limits of links from {from_object} to {to_object}",
            self._api.paths.associations(
                "definitions", "configurations", from_object, to_object
            ),
        ):
            most, type_id = (
                _number(row, "userEnforcedMaxToObjectIds"),
                row.get("typeId"),
            )
            if most is not None and text(type_id).isdigit():
                category = text(row.get("category")) or "HUBSPOT_DEFINED"
                type_ = AssociationType(category, int(text(type_id)))
                found.append(AssociationLimit(most, type_))
        technical = self._technical(from_object, to_object)
        return (*found, *([AssociationLimit(technical)] if technical else []))

    def _technical(self, from_object: str, to_object: str) -> int | None:
        try:
            answer = self._api.read(
                f"read how many links from {from_object} to {to_object} the plan allows",
                "GET",
                self._api.paths.limits(
                    "associations", "records", from_object, to_object
                ),
                bucket=BUCKET,
            )
        except ABSENT:
            return None
        return _number(answer.body, "limit")

    def _rows(self, doing: str, path: str) -> list[Json]:
        try:
            answer = self._api.read(doing, "GET", path, bucket=BUCKET)
        except ABSENT:
            return []
        return rows(answer.body, "results")

    def label_room(self, from_object: str, to_object: str) -> int | None:
        """How many labels more the pair of objects may have; None where it is not told."""
        try:
            answer = self._api.read(
                f"read how many labels {from_object} and {to_object} may have",
                "GET",
                self._api.paths.limits("associations", "labels"),
                query={"fromObjectTypeId": from_object, "toObjectTypeId": to_object},
                bucket=BUCKET,
            )
        except ABSENT:
            return None
        most, used = _number(answer.body, "limit"), _number(answer.body, "usage")
        return None if most is None or used is None else max(0, most - used)

    def create_label(
        self,
        from_object: str,
        to_object: str,
        *,
        label: str,
        name: str,
        inverse: str = "",
    ) -> tuple[AssociationTypeInfo, ...]:
        """Make a label; sent once. Returns: what the answer tells of it, each way.

        Raises: UncertainError where nobody knows; RejectedError and the rest.
        """
        body = {"label": label, "name": name}
        body |= {"inverseLabel": inverse} if inverse else {}
        path = self._api.paths.associations(from_object, to_object, "labels")
        answer = self._api.write(path, body, safety=Safety.ONCE, bucket=BUCKET)
        if not answer.ok:
            raise error_of(answer, f"make the label {label!r}")
        made = [
            row
            for row in rows(answer.body, "results")
            if text(row.get("typeId")).isdigit()
        ]
        ends = [(from_object, to_object), (to_object, from_object)]
        return tuple(
            AssociationTypeInfo(
                text(row.get("category")) or "USER_DEFINED",
                int(row["typeId"]),
                text(row.get("label")) or None,
                *end,
            )
            for row, end in zip(made, ends, strict=False)
        )


def _number(body: object, name: str) -> int | None:
    value = text(body.get(name)) if isinstance(body, dict) else ""
    return int(float(value)) if value.replace(".", "", 1).isdigit() else None
