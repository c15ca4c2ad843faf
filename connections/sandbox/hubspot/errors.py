"""HubSpot's error envelope.

Source: https://developers.hubspot.com/docs/api-reference/error-handling
"""

from __future__ import annotations

import uuid
from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """An answer that is not 2xx.

    Args: status; category, such as "VALIDATION_ERROR"; message; context, a map of
        text to list of text; errors, the details; sub_category; links; headers.
    """

    def __init__(
        self,
        status: int,
        category: str,
        message: str,
        *,
        context: dict[str, list[str]] | None = None,
        errors: list[Json] | None = None,
        sub_category: str | None = None,
        links: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.category = category
        self.message = message
        self.context = context
        self.errors = errors
        self.sub_category = sub_category
        self.links = links
        self.headers = headers or {}

    def body(self) -> Json:
        """Return the JSON body of the whole answer."""
        body: Json = {
            "status": "error",
            "message": self.message,
            "correlationId": str(uuid.uuid4()),
        }
        return body | self._details()

    def entry(self, **context: list[str]) -> Json:
        """Return this as one entry of a batch answer's `errors`."""
        details = self._details()
        details["context"] = (self.context or {}) | context
        return {"status": "error", "message": self.message, "errors": []} | details

    def _details(self) -> Json:
        details: Json = {"category": self.category}
        if self.sub_category:
            details["subCategory"] = self.sub_category
        if self.context:
            details["context"] = self.context
        if self.errors:
            details["errors"] = self.errors
        if self.links:
            details["links"] = self.links
        return details


def invalid(message: str, code: str | None = None, **context: list[str]) -> ApiError:
    """Return a 400 VALIDATION_ERROR."""
    errors = [{"message": message, "code": code, "context": context}] if code else None
    return ApiError(
        400, "VALIDATION_ERROR", message, context=context or None, errors=errors
    )


def not_found(message: str = "resource not found", **context: list[str]) -> ApiError:
    """Return a 404 OBJECT_NOT_FOUND."""
    return ApiError(404, "OBJECT_NOT_FOUND", message, context=context or None)


def conflict(message: str, **context: list[str]) -> ApiError:
    """Return a 409 CONFLICT."""
    return ApiError(409, "CONFLICT", message, context=context or None)
