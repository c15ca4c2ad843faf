"""The fake Airtable: from a request to an answer."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from connections.sandbox.airtable.bases import Bases
from connections.sandbox.airtable.calls import Call
from connections.sandbox.airtable.errors import ApiError, body_of, invalid, not_found
from connections.sandbox.airtable.limits import Limits
from connections.sandbox.airtable.records import Listings
from connections.sandbox.airtable.showing import Show
from connections.sandbox.airtable.store import Store
from connections.sandbox.airtable.switches import TABLE
from connections.sandbox.airtable.tokens import (
    MAIN_BASE,
    OTHER_BASE,
    TOKENS,
    admitted,
)
from connections.sandbox.airtable.webhooks import Webhooks
from connections.sandbox.airtable.writing import Writer
from connections.sandbox.clock import Clock
from connections.sandbox.hubspot.switches import Switches, Value
from connections.sandbox.wire import Answer, Request

Json = dict[str, Any]
Seed = Callable[["Airtable"], None]
logger = logging.getLogger(__name__)
MAX_URL = 16_000


class Airtable:
    """Every base of the fake.

    Args: path, the SQLite file of its state (None: memory); seed, plants what a new
        one holds; switches, by name; enforced, whether limits refuse anything.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        seed: Seed | None = None,
        switches: Mapping[str, Value] | None = None,
        enforced: bool = False,
    ) -> None:
        self.switches = Switches(switches, TABLE)
        self.clock = Clock()
        self.store = Store(path)
        self.bases = Bases(self.store)
        self.webhooks = Webhooks(self.store)
        self._limits = Limits(self.clock, enforced=enforced)
        self.listings = Listings(self.clock.now)
        self._seed = seed
        self._plant()

    def _plant(self) -> None:
        if self.store.one("SELECT 1 FROM note WHERE name = 'seeded'"):
            return
        with self.store.transaction():
            self.store.empty()  # of what a seed that was killed has left
            for base_id, name in ((MAIN_BASE, "Operations"), (OTHER_BASE, "Archive")):
                self.bases.keep({"id": base_id, "name": name, "tables": []})
        if self._seed is not None:
            self._seed(self)
        self.store.run("INSERT INTO note VALUES ('seeded', 'yes')")

    @property
    def tokens(self) -> dict[str, str]:
        """Every token by what it is for."""
        return {token.name: token.text for token in TOKENS}

    # A fake's levers ---------------------------------------------------------------------

    def close(self) -> None:
        self.store.close()

    def refusal(self, status: int, message: str) -> Json:
        kinds = {401: "UNAUTHORIZED", 429: "RATE_LIMIT_REACHED", 503: "RETRIABLE_ERROR"}
        return body_of(kinds.get(status, "SERVER_ERROR"), message)

    def state(self) -> Json:
        with self.store.lock:
            rows = self.store.all(
                "SELECT table_id, count(*) FROM record WHERE trashed IS NULL "
                "GROUP BY table_id"
            )
            names = {
                t["id"]: t["name"] for b in self.bases.listed() for t in b["tables"]
            }
        return {"records": {names.get(t, t): n for t, n in rows}}

    def limits(self) -> Json:
        return self._limits.report()

    def set_limits(self, **values: Any) -> None:
        self._limits.change(**values)

    def forget_calls(self) -> None:
        self._limits.forget()

    def reset(self) -> None:
        with self.store.transaction():
            self.store.empty()
        self.listings.forget()
        self._plant()

    # People in the base -------------------------------------------------------------------

    def table(self, name: str, base_id: str = MAIN_BASE) -> Json:
        """A table by its name or id."""
        return self.bases.table(self.bases.get(base_id), name)

    def add(
        self,
        table: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        base_id: str = MAIN_BASE,
        at_ms: int | None = None,
    ) -> list[str]:
        """Add records as a person would, cells by field name; their ids."""
        with self.store.transaction():
            writer, found = self._person(base_id, at_ms), self.table(table, base_id)
            ids = [writer.create(found, dict(row)).id for row in rows]
            self.note(base_id, writer, "client")
        return ids

    def edit(
        self,
        table: str,
        record_id: str,
        cells: Mapping[str, Any],
        *,
        base_id: str = MAIN_BASE,
    ) -> None:
        """Change a record as a person would."""
        with self.store.transaction():
            writer = self._person(base_id)
            found = self.table(table, base_id)
            writer.update(found, record_id, dict(cells), replace=False)
            self.note(base_id, writer, "client")

    def remove(self, table: str, record_id: str, *, base_id: str = MAIN_BASE) -> None:
        """Put a record into the trash as a person would."""
        with self.store.transaction():
            writer = self._person(base_id)
            writer.delete(self.table(table, base_id), record_id)
            self.note(base_id, writer, "client")

    def cells(self, table: str, *, base_id: str = MAIN_BASE) -> dict[str, Json]:
        """Every record's cells by field name, by record id."""
        with self.store.lock:
            base = self.bases.get(base_id)
            show, found = Show(self.store, base), self.bases.table(base, table)
            return {
                row.id: show.record(found, row, by_id=False)["fields"]
                for row in self.store.rows(found["id"])
            }

    def _person(self, base_id: str, at_ms: int | None = None) -> Writer:
        now = self.clock.now_ms() if at_ms is None else at_ms
        return Writer(
            self.store, self.bases.get(base_id), self.switches, now, typecast=True
        )

    def note(
        self, base_id: str, writer: Writer, source: str, user: str = "usrSandboxSecond2"
    ) -> None:
        self.bases.keep(writer.base)  # typecast may have made options
        self.webhooks.note(
            Show(self.store, writer.base),
            writer.happened,
            source=source,
            user=user,
            now=self.clock.now_ms(),
            inverse=bool(self.switches["inverse_in_payloads"]),
        )

    # Requests -----------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        parts = [unquote(p) for p in request.path.strip("/").split("/")]
        request.family = f"{request.method} {_family(parts)}"
        try:
            if len(request.path) + len(request.query) > MAX_URL:
                raise ApiError(414, "URI_TOO_LONG", "The URL is too long")
            token = admitted(request.headers)
            if parts[0] != "v0":
                raise not_found()
            call = Call(self, request, token, parts[1:])
            self._spend(call)
            with self.store.transaction():
                body = call.run()
            if isinstance(body, ApiError):  # what was stored before it stays
                raise body
            return Answer.json(200, body) if body is not None else Answer(200, b"")
        except ApiError as error:
            return Answer.json(error.status, error.body(), error.headers)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            logger.warning("%s: %r", request.family, error, exc_info=True)
            bad = invalid(f"Invalid request: {error}")
            return Answer.json(bad.status, bad.body())

    def _spend(self, call: Call) -> None:
        verdict = self._limits.refuses(
            call.base_id, call.token.user, self.switches.number("penalty_s")
        )
        if verdict == "rate":
            text = "Rate limit exceeded. Please try again later"
            raise ApiError(429, "RATE_LIMIT_REACHED", text)
        if verdict:
            kind = str(self.switches["quota_error"])
            raise ApiError(429, kind, "The API call limit of the month is reached")


def _family(parts: list[str]) -> str:
    """A name for calls of one kind: "records", "meta/bases/tables", "webhooks/payloads"."""
    rest = parts[1:]
    if rest and rest[0].startswith("app"):
        if len(rest) == 2:
            return "records"
        return "listRecords" if rest[2:] == ["listRecords"] else "record"
    return "/".join(p for p in rest if not re.match(r"(app|tbl|fld|ach)\w{12,}$", p))
