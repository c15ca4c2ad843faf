"""Kintone's refusals.

Source: https://kintone.dev/en/docs/kintone/overview/kintone-rest-api-overview/
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """An answer that is not 200.

    Args: status; code, such as "CB_VA01"; message; errors, messages by path
        ("record.title.value"); results, the answers of a bulk request's parts.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        errors: Mapping[str, Sequence[str]] | None = None,
        results: list[Json] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.errors = dict(errors or {})
        self.results = results

    def body(self) -> Json:
        """The answer's JSON."""
        if self.results is not None:
            return {"results": self.results}
        found: Json = {
            "code": self.code,
            "id": uuid.uuid4().hex[:20],
            "message": self.message,
        }
        if self.errors:
            found["errors"] = {
                path: {"messages": list(texts)} for path, texts in self.errors.items()
            }
        return found


def invalid(path: str, *texts: str) -> ApiError:
    """What was sent at a path cannot be taken."""
    return ApiError(400, "CB_VA01", "Missing or invalid input.", {path: texts})


def no_right() -> ApiError:
    return ApiError(403, "CB_NO02", "No privilege to proceed.")


def no_app(number: object) -> ApiError:
    return ApiError(
        404,
        "GAIA_AP01",
        f"The app (ID: {number}) not found. The app may have been deleted.",
    )


def no_record(number: object) -> ApiError:
    return ApiError(
        404, "GAIA_RE01", f"The specified record (ID: {number}) is not found."
    )


def outdated() -> ApiError:
    return ApiError(
        409,
        "GAIA_CO02",
        "The revision is not the latest. Someone may update a record.",
    )


def no_lookup(code: str, value: object) -> ApiError:
    """Which record was meant is not said, nor which other ones are wrong too."""
    return ApiError(
        400,
        "GAIA_LO04",
        f'A value "{value}" in the field "{code}" for "Lookup" does not exist in the '
        "datasource app for lookup, or you do not have permission to view the app or "
        "the field.",
    )
