"""The fake Kintone: from a request to an answer.

Source: https://kintone.dev/en/docs/kintone/rest-api/
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from connections.sandbox.clock import Clock
from connections.sandbox.hubspot.switches import Switches
from connections.sandbox.kintone import calls
from connections.sandbox.kintone.access import Caller, Token, admitted
from connections.sandbox.kintone.domain import App, Domain
from connections.sandbox.kintone.errors import ApiError
from connections.sandbox.wire import Answer, Request

Json = dict[str, Any]
logger = logging.getLogger(__name__)
PREFIX = "/k/v1/"
MOST_PARTS = 20
MOST_URL = 8_192  # characters
BAD_INPUT = (KeyError, TypeError, ValueError, AttributeError)
Seeder = Callable[[Domain], object]
TOKEN = "kintone-sandbox-token-%d"


class Kintone:
    """One domain with its apps.

    Args: path, the SQLite file; None keeps all in memory. enforced, whether too many
        calls at once are refused; seed, fills a domain that has no app yet.
    """

    def __init__(
        self,
        path: Path | None,
        switches: Switches,
        clock: Clock,
        *,
        enforced: bool,
        seed: Seeder | None = None,
    ) -> None:
        self.switches, self.clock = switches, clock
        self.domain = Domain(path, clock)
        self.extra_tokens: dict[str, Token] = {}
        self.enforced = enforced
        self.most_at_once = 100
        self.running = self.peak = self.refused = 0
        self.counting = threading.Lock()
        self.day_calls: Counter[int] = Counter()
        self._seed = seed
        if seed is not None and not self.domain.apps:
            seed(self.domain)

    def close(self) -> None:
        """Close the file."""
        self.domain.close()

    # What every fake tells and lets be done

    def refusal(self, status: int, message: str) -> Json:
        """An error as Kintone words it."""
        return ApiError(status, "GAIA_UN03", message).body()

    def state(self) -> Json:
        """The apps, and how many records each has."""
        return {
            "apps": {
                app.name: {"id": app.id, "records": len(app.records)}
                for app in self.domain.apps.values()
            }
        }

    def limits(self) -> Json:
        """How many calls there were at once, and for each app since the start."""
        return {
            "enforced": self.enforced,
            "at_once": self.most_at_once,
            "peak": self.peak,
            "refused": self.refused,
            "calls_by_app": dict(self.day_calls),
        }

    def set_limits(self, **values: Any) -> None:
        """Set `enforced` or `at_once`."""
        for name, value in values.items():
            if name == "enforced":
                self.enforced = bool(value)
            elif name == "at_once":
                self.most_at_once = int(value)
            else:
                raise ValueError(f"no limit {name}")

    def forget_calls(self) -> None:
        """Forget how many calls there were."""
        self.peak = self.refused = 0
        self.day_calls.clear()

    def reset(self) -> None:
        """Empty the domain, and seed it again."""
        self.domain.empty()
        self.extra_tokens.clear()
        if self._seed is not None:
            self._seed(self.domain)

    @property
    def tokens(self) -> dict[str, Token]:
        """Every token by its text: each app has one that may do everything."""
        own = [Token(TOKEN % number, number) for number in self.domain.apps]
        return {token.text: token for token in own} | self.extra_tokens

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        self.peak = max(self.peak, self.running)
        method = request.method
        request.family = f"{method} unknown"
        headers = {
            "X-ConcurrencyLimit-Limit": str(self.most_at_once),
            "X-ConcurrencyLimit-Running": str(self.running),
        }
        try:
            if self.enforced and self.running > self.most_at_once:
                self.refused += 1
                raise ApiError(429, "GAIA_TO04", "Too many requests at the same time.")
            name = self._name(request)
            method, given = _given(request)
            request.family = f"{method} {name}"
            caller = admitted(request.headers, self.tokens, self.switches)
            with self.domain.change():
                body = self._run(method, name, given, caller)
            return Answer.json(200, body, headers)
        except ApiError as error:
            return Answer.json(error.status, error.body(), headers)
        except BAD_INPUT as error:
            logger.warning("%s: %r", request.family, error, exc_info=True)
            bad = ApiError(400, "CB_VA01", "Missing or invalid input.")
            return Answer.json(400, bad.body(), headers)

    @staticmethod
    def _name(request: Request) -> str:
        if len(request.path) + len(request.query) > MOST_URL:
            raise ApiError(414, "CB_IL02", "The URL is too long.")
        if not request.path.startswith(PREFIX):
            raise ApiError(404, "CB_NF01", "The API is not found.")
        return request.path.removeprefix(PREFIX)

    def _run(self, method: str, name: str, given: Json, caller: Caller) -> Json:
        if (method, name) == ("POST", "bulkRequest.json"):
            return self._bulk(given, caller)
        act = calls.CALLS.get((method, name))
        if act is None:
            raise ApiError(404, "CB_NF01", f"The API is not found: {method} {name}")
        if str(given.get("app", "")).isdigit():
            self.day_calls[int(given["app"])] += 1
        right_code = str(self.switches["missing_right_code"])
        return act(calls.Call(self.domain, caller, self.switches, given, right_code))

    def _bulk(self, given: Json, caller: Caller) -> Json:
        """All parts or none; the part that failed is the one that is not empty."""
        parts = given["requests"]
        if not 1 <= len(parts) <= MOST_PARTS:
            raise ApiError(400, "CB_VA01", "Missing or invalid input.")
        results: list[Json] = []
        for part in parts:
            name = str(part["api"]).removeprefix(PREFIX)
            if part["method"] not in ("POST", "PUT", "DELETE"):
                raise ApiError(400, "CB_VA01", "Missing or invalid input.")
            try:
                results.append(self._run(part["method"], name, part["payload"], caller))
            except ApiError as error:
                failed: list[Json] = [*({} for _ in results), error.body()]
                failed += [{} for _ in parts[len(failed) :]]
                raise ApiError(
                    error.status, error.code, error.message, results=failed
                ) from error
        return {"results": results}

    def token_of(self, app: App) -> str:
        return TOKEN % app.id


def _given(request: Request) -> tuple[str, Json]:
    """The method that is meant, and the parameters: of the query, or of a JSON body.

    Raises: ApiError.
    """
    method = request.method
    if method == "POST" and request.headers.get("X-Http-Method-Override"):
        method = request.headers["X-Http-Method-Override"].upper()
    elif method == "GET" and request.headers.get("Content-Type"):
        raise ApiError(400, "CB_IL02", "Illegal request.")
    found: Json = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        listed = re.fullmatch(r"(\w+)\[\d+\]", name)
        if listed:
            found.setdefault(listed[1], []).append(value)
        else:
            found[name] = value
    if request.body:
        try:
            body = json.loads(request.body)
        except ValueError:
            raise ApiError(400, "CB_IJ01", "Invalid JSON string.") from None
        found |= body
    return method, found
