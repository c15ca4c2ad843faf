"""The fake HubSpot: from a request to an answer."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from connections.sandbox.clock import Clock
from connections.sandbox.hubspot import associations_v3
from connections.sandbox.hubspot.account import Account, Call, Token
from connections.sandbox.hubspot.budgets import Budgets
from connections.sandbox.hubspot.errors import ApiError, not_found
from connections.sandbox.hubspot.routes import Found, find, v3_single
from connections.sandbox.hubspot.store import Store, dump
from connections.sandbox.hubspot.switches import Switches
from connections.sandbox.hubspot.tokens import MAIN, TOKENS, admitted, turned_away
from connections.sandbox.wire import Answer, Request

Json = dict[str, Any]
logger = logging.getLogger(__name__)
LOGGED_WRITES = 20_000
BAD_INPUT = (KeyError, TypeError, ValueError, AttributeError)


Seeder = Callable[["HubSpot"], None]


class HubSpot:
    """Every account of the fake.

    Args: path, the SQLite file of the main account (others stand beside it); None
        keeps all in memory. enforced, whether rate limits refuse anything; seed, fills
        accounts that hold nothing yet.
    """

    def __init__(
        self,
        path: Path | None,
        switches: Switches,
        clock: Clock,
        *,
        enforced: bool,
        seed: Seeder,
    ) -> None:
        self.switches = switches
        self.clock = clock
        self._seed = seed
        self.accounts: dict[int, Account] = {}
        for portal in sorted({token.portal for token in TOKENS}):
            file = path
            if path is not None and portal != MAIN:
                file = path.with_name(f"{path.stem}-{portal}{path.suffix}")
            budgets = Budgets(clock, enforced=enforced)
            self.accounts[portal] = Account(
                portal, Store(file), switches, clock, budgets
            )

    @property
    def main(self) -> Account:
        return self.accounts[MAIN]

    # What every fake tells and lets be done

    def plant(self) -> None:
        """Give accounts that hold nothing yet their first content."""
        self._seed(self)

    def close(self) -> None:
        """Close every account's store."""
        for account in self.accounts.values():
            account.store.close()

    def refusal(self, status: int, message: str) -> Json:
        """An error as HubSpot words it."""
        return {
            "status": "error",
            "message": message,
            "category": "INVALID_AUTHENTICATION" if status == 401 else "FAULT",
            "correlationId": "00000000-0000-0000-0000-000000000000",
        }

    def state(self) -> Json:
        """How many records there are of each object type."""
        account = self.main
        with account.store.lock:
            rows = account.store.all(
                "SELECT kind, count(*) FROM record WHERE archived IS NULL GROUP BY kind"
            )
        kinds = account.catalogue
        return {"records": {kinds.kind(kind).plural: count for kind, count in rows}}

    def limits(self) -> Json:
        """Limits, the peak of each window, and how many calls were refused."""
        budgets = self.main.budgets
        return {
            "enforced": budgets.enforced,
            **asdict(budgets.limits),
            "windows": budgets.report(),
        }

    def set_limits(self, *, enforced: bool | None = None, **most: int) -> None:
        """Change limits, by their names in `limits`, or whether they are enforced.

        Raises: ValueError.
        """
        for account in self.accounts.values():
            if enforced is not None:
                account.budgets.enforced = enforced
            for name, value in most.items():
                if not hasattr(account.budgets.limits, name):
                    raise ValueError(f"no limit {name}")
                setattr(account.budgets.limits, name, value)

    def forget_calls(self) -> None:
        """Forget logged writes and request windows; records stay."""
        store = self.main.store
        with store.lock:
            store.run("DELETE FROM write_log")
        for account in self.accounts.values():
            account.budgets.reset()

    def reset(self) -> None:
        """Empty every account, and seed it again."""
        for account in self.accounts.values():
            with account.store.transaction():
                account.store.empty()
            account.forget()
        self.plant()

    # Calls

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        found = find(request.method, unquote(request.path))
        request.family = self._family(request, found)
        turned = turned_away(request.headers)
        if turned is not None:
            return turned
        headers: dict[str, str] = {}
        try:
            token = admitted(request.headers, self.clock)
            account = self.accounts[token.portal]
            refusal, headers = self._limits(account, token, found)
            if refusal is not None:
                return refusal
            if found is None:
                raise not_found(f"No such call: {request.method} {request.path}")
            answer = self._run(request, found, token)
        except ApiError as error:
            answer = Answer.json(error.status, error.body(), error.headers)
        except BAD_INPUT as error:
            logger.warning("%s: %r", request.family, error, exc_info=True)
            bad = ApiError(400, "VALIDATION_ERROR", f"Invalid input JSON: {error}")
            answer = Answer.json(bad.status, bad.body())
        answer.headers |= headers  # refused calls were counted too
        if found and found.route.writes:
            self._log(request, answer.status)
        return answer

    def _limits(
        self, account: Account, token: Token, found: Found | None
    ) -> tuple[Answer | None, dict[str, str]]:
        bucket = found.route.bucket if found else "general"
        inside = self.switches["association_bucket"] == "inside"
        verdict = account.budgets.spend(token.text, bucket, inside=inside)
        if verdict.refusal is None:
            return None, verdict.headers
        headers = verdict.headers
        if self.switches["retry_after"]:
            wait = account.budgets.wait(token.text, bucket)
            headers = headers | {"Retry-After": str(wait)}
        return Answer.json(429, verdict.refusal, headers), headers

    def _run(self, request: Request, found: Found, token: Token) -> Answer:
        account = self.accounts[token.portal]
        text, body = _parsed(request.body)
        query = _query(request.query)
        call = Call(
            account, token, request.method, found.version, query, body, len(text)
        )
        act = found.route.handler
        if v3_single(found):
            act = associations_v3.read_one
        try:
            with account.store.transaction():
                reply = call.run(act, found.values)
        except BaseException:
            account.forget()
            raise
        if reply.body is None:
            return Answer(reply.status, b"")
        return Answer.json(reply.status, reply.body)

    def _family(self, request: Request, found: Found | None) -> str:
        """Return a name for calls of one kind: `POST objects/contacts/batch/read`."""
        if found is None:
            return f"{request.method} unknown"
        path = found.route.template
        kinds = self.main.catalogue.kinds()
        for name in ("kind", "other"):
            word = found.values.get(name, "")
            kind = kinds.get(word.lower())
            path = path.replace(f"{{{name}}}", kind.plural if kind else word)
        return f"{request.method} {path}"

    def _log(self, request: Request, status: int) -> None:
        store = self.main.store
        body = request.body.decode("utf-8", "replace")
        row = (self.clock.now_ms(), request.method, request.path, body, status)
        with store.lock:
            cursor = store.run(
                "INSERT INTO write_log (at, method, path, body, status) "
                "VALUES (?, ?, ?, ?, ?)",
                *row,
            )
            last = cursor.lastrowid or 0
            store.run("DELETE FROM write_log WHERE seq <= ?", last - LOGGED_WRITES)

    def writes(self) -> list[Json]:
        """Return the logged writes, oldest first."""
        store = self.main.store
        with store.lock:
            rows = store.all(
                "SELECT at, method, path, body, status FROM write_log ORDER BY seq"
            )
        names = ("at", "method", "path", "body", "status")
        found = [dict(zip(names, row, strict=True)) for row in rows]
        for row in found:
            row["body"] = json.loads(row["body"]) if row["body"] else None
        return found


def _query(text: str) -> dict[str, str]:
    """Return a query's values; a list comes with commas or as a repeated name."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in found.items()}


def _parsed(body: bytes) -> tuple[str, Any]:
    """Return a body as text and as JSON.

    Raises: ApiError 400.
    """
    try:
        text = body.decode("utf-8")
        parsed = json.loads(text) if text else None
        if re.search(r"\\ud[89a-f]", text, re.IGNORECASE):
            dump(parsed).encode("utf-8")  # a lone surrogate is no text
    except ValueError as error:
        raise ApiError(
            400, "VALIDATION_ERROR", f"Invalid input JSON: {error}"
        ) from None
    return text, parsed
