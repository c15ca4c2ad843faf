"""Airtable's two error shapes.

Source: https://airtable.com/developers/web/api/errors
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """An answer that is not 2xx: `{"error": {"type", "message"}}`, or `{"error": TYPE}`
    where there is no message."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str = "",
        *,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message or kind)
        self.status = status
        self.kind = kind
        self.message = message
        self.headers = headers or {}

    def body(self) -> Json:
        return body_of(self.kind, self.message)


def body_of(kind: str, message: str = "") -> Json:
    """An error's whole body."""
    return {"error": {"type": kind, "message": message} if message else kind}


def unknown_model() -> ApiError:
    """A base, table or webhook that is not there, or that the token may not see."""
    return ApiError(
        403,
        "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
        "Invalid permissions, or the requested model was not found. Check that both "
        "your user and your token have the required permissions, and that the model "
        "names and/or ids are correct.",
    )


def forbidden(message: str) -> ApiError:
    return ApiError(403, "INVALID_PERMISSIONS", message)


def not_found() -> ApiError:
    return ApiError(404, "NOT_FOUND")


def invalid(message: str, kind: str = "INVALID_REQUEST_UNKNOWN") -> ApiError:
    return ApiError(422, kind, message)


def bad_cell(name: str) -> ApiError:
    text = f'Field "{name}" cannot accept the provided value'
    return ApiError(422, "INVALID_VALUE_FOR_COLUMN", text)
