"""HubSpot's API as the modules beside this one call it: paths, bodies, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connections.connectors.base import TransientError
from connections.connectors.dialect import Answer
from connections.connectors.http import Door, Safety
from connections.connectors.hubspot.errors import correlation, error_of
from connections.connectors.hubspot.paths import Paths

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Api:
    """The door to one account, and where everything stands in it."""

    door: Door
    paths: Paths

    def read(
        self,
        doing: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        bucket: str = "general",
    ) -> Answer:
        """Make a call that changes nothing; its answer's body is a JSON object.

        Args: doing, what this is for, such as "read contacts".
        Raises: ConnectorError, RejectedError among them.
        """
        answer = self.door.send(method, path, query=query, body=body, bucket=bucket)
        if not answer.ok:
            raise error_of(answer, doing)
        if not isinstance(answer.body, dict):
            raise TransientError(
                f"HubSpot's answer to {doing} has not the form it should have.",
                correlation_id=correlation(answer),
            )
        return answer

    def write(
        self, path: str, body: object, *, safety: Safety, bucket: str = "general"
    ) -> Answer:
        """Make a call that changes something: a 2xx answer, or a refusal's 4xx.

        Raises: ConnectorError other than RejectedError.
        """
        return self.door.send("POST", path, body=body, bucket=bucket, safety=safety)


def next_after(body: Any) -> str | None:
    """Where a list goes on; None at its end."""
    paging = body.get("paging") if isinstance(body, dict) else None
    following = (paging or {}).get("next") or {}
    after = following.get("after")
    return None if after in (None, "") else str(after)


def text(value: object) -> str:
    """An id, which answers hold as text or as a number; "" where there is none."""
    return "" if value is None else str(value)
