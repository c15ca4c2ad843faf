"""A request and an answer, as the fake systems see them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

Json = dict[str, Any]


@dataclass(slots=True)
class Request:
    """One request; `family` is set by who answers it, to count calls by."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    family: str = ""


@dataclass(slots=True)
class Answer:
    """One answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(
        cls, status: int, body: object, headers: Mapping[str, str] | None = None
    ) -> Self:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return cls(status, text.encode(), dict(headers or {}))


class App(Protocol):
    """Whoever answers requests."""

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
