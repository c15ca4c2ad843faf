"""The one door to a PostgreSQL server: every statement goes through it.

Each statement is its own transaction, on a session of its own while it lasts; so any
number of threads may use one `Database`, and nothing depends on session state, which a
pooler in transaction mode would not keep.
"""

from __future__ import annotations

import random
import select
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from threading import Lock
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader

from connections.connectors.base import (
    AuthError,
    ConnectorError,
    Context,
    UncertainError,
)
from connections.connectors.postgres.errors import (
    AGAIN,
    RowError,
    connect_error,
    is_lost,
    is_row_error,
    statement_error,
    text_of,
)

CONNECT_TIMEOUT_S = 5
LOCK_TIMEOUT_MS = 5000
IDLE_TRANSACTION_MS = 60_000
ORIGIN = "sync.origin"  # the setting by which a session marks what it writes
TRIES = 3  # of a statement that another transaction, or a restart, was in the way of
PAUSE_S = 0.2  # before the second try; doubled, and jittered
KEPT = 4  # idle sessions

# They make libpq read files of this machine, or other settings than the ones written.
FORBIDDEN = (
    *("service", "servicefile", "passfile", "sslcert", "sslkey", "sslcrl"),
    *("sslcrldir", "sslkeylogfile", "require_auth", "oauth_issuer"),
)

Params = Sequence[Any] | Mapping[str, Any]
Statement = sql.SQL | sql.Composed
Row = tuple[Any, ...]


class _SoftDate(DateLoader):
    """Dates that Python cannot hold (infinity, BC) come as the text they are."""

    def load(self, data: Any) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


class _SoftTimestamp(TimestampLoader):
    def load(self, data: Any) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


class _SoftTimestamptz(TimestamptzLoader):
    def load(self, data: Any) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


LOADERS: dict[str, type[DateLoader | TimestampLoader | TimestamptzLoader]] = {
    "date": _SoftDate,
    "timestamp": _SoftTimestamp,
    "timestamptz": _SoftTimestamptz,
}


def parse_dsn(dsn: object) -> dict[str, str]:
    """The parts of a libpq URL.

    Raises: AuthError; its text never repeats the address, which holds a password.
    """
    text = dsn.strip() if isinstance(dsn, str) else ""
    try:
        parts = {k: str(v) for k, v in conninfo_to_dict(text).items() if v is not None}
    except psycopg.Error:
        parts = {}
    if not parts:
        raise AuthError(
            "The dsn is not an address that PostgreSQL understands: it should look like "
            "postgresql://user:password@host:5432/database."
        )
    if bad := sorted(set(parts) & set(FORBIDDEN)):
        raise AuthError(f"The dsn may not set {', '.join(bad)}.")
    return parts


class Database:
    """Sessions with one server; safe to use from several threads.

    Args: dsn, a libpq URL; context, the caller's meter, right to write and time-out.
    """

    def __init__(self, dsn: object, context: Context) -> None:
        self._dsn = dsn
        self._context = context
        self.marks = False  # whether sessions say who writes, for a change log
        self._idle: list[psycopg.Connection[Row]] = []
        self._lock = Lock()

    @property
    def parts(self) -> dict[str, str]:
        """The address, taken apart. Raises: AuthError."""
        return parse_dsn(self._dsn)

    @property
    def where(self) -> str:
        """Host and port in words."""
        parts = self.parts
        host = parts.get("host") or parts.get("hostaddr") or "this machine"
        return f"{host}:{parts['port']}" if "port" in parts else host

    @property
    def is_local(self) -> bool:
        """Whether nothing travels over a network."""
        host = self.parts.get("hostaddr") or self.parts.get("host") or ""
        if not host or host.startswith(("/", "@")) or host == "localhost":
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False

    def close(self) -> None:
        """Close every session that is not at work."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def read(self, statement: Statement, params: Params = ()) -> list[Row]:
        """The rows of a statement that changes nothing; again where one was in the way.

        Raises: ConnectorError; RowError where a parameter does not fit its type.
        """
        for attempt in range(1, TRIES + 1):
            try:
                return self._run(statement, params)
            except psycopg.Error as exc:
                if is_row_error(exc):
                    raise RowError(exc) from exc
                again = is_lost(exc) or exc.sqlstate in AGAIN
                if not again or attempt == TRIES:
                    raise statement_error(exc) from exc
            _pause(attempt)
        raise AssertionError("unreachable")

    def write(self, statement: Statement, params: Params = ()) -> list[Row]:
        """The rows that a changing statement returns; it took effect whole or not at all.

        Raises: RowError for what a row held; UncertainError where the session broke and
            nobody knows; any other ConnectorError where it had no effect.
        """
        for attempt in range(1, TRIES + 1):
            try:
                return self._run(statement, params, changes=True)
            except psycopg.Error as exc:
                if is_lost(exc):
                    raise UncertainError(
                        "PostgreSQL went away during a write, and nobody knows whether "
                        f"it took effect: {text_of(exc)}"
                    ) from exc
                if is_row_error(exc):
                    raise RowError(exc) from exc
                if exc.sqlstate not in AGAIN or attempt == TRIES:
                    raise statement_error(exc) from exc
            _pause(attempt)
        raise AssertionError("unreachable")

    # Sessions --------------------------------------------------------------------------

    def _run(
        self, statement: Statement, params: Params, *, changes: bool = False
    ) -> list[Row]:
        session = self._take()
        try:
            if changes:
                self._context.before_write()
            self._context.meter.count()
            cursor = session.execute(_doubled(statement, session), params)
            rows = cursor.fetchall() if cursor.description else []
        except psycopg.Error:
            self._give(session)
            raise
        except BaseException:
            session.close()  # cut short: what it still does is nobody's
            raise
        self._give(session)
        return rows

    def _take(self) -> psycopg.Connection[Row]:
        while True:
            with self._lock:
                session = self._idle.pop() if self._idle else None
            if session is None:
                return self._connect()
            if not session.closed and not _spoke(session):
                return session
            session.close()

    def _give(self, session: psycopg.Connection[Row]) -> None:
        with self._lock:
            keep = not session.closed and len(self._idle) < KEPT
            if keep:
                self._idle.append(session)
        if not keep:
            session.close()

    def _connect(self) -> psycopg.Connection[Row]:
        parts = self.parts
        own: dict[str, str | int] = {
            "statement_timeout": int(self._context.timeout_s * 1000),
            "lock_timeout": LOCK_TIMEOUT_MS,
            "idle_in_transaction_session_timeout": IDLE_TRANSACTION_MS,
            "timezone": "UTC",
            "datestyle": "ISO",
            "intervalstyle": "postgres",
            "search_path": "",
        }
        if self.marks:
            own[ORIGIN] = self._context.origin
        options = " ".join(f"-c {name}={value}" for name, value in own.items())
        settings: dict[str, Any] = {
            "connect_timeout": str(CONNECT_TIMEOUT_S),
            "keepalives_idle": "30",
            "tcp_user_timeout": str(int(self._context.timeout_s * 1000)),
            **parts,
            "application_name": "crosslink",
            "client_encoding": "utf8",
            "options": f"{parts.get('options', '')} {options}".strip(),
        }
        try:
            session = psycopg.connect(
                autocommit=True, prepare_threshold=None, **settings
            )
        except psycopg.Error as exc:
            error: ConnectorError = connect_error(
                exc, self.where, parts.get("password", "")
            )
            raise error from None  # its chain would show the address
        for name, loader in LOADERS.items():
            session.adapters.register_loader(name, loader)
        return session


def _doubled(
    statement: sql.Composable, session: psycopg.Connection[Row]
) -> sql.Composed:
    """A statement whose identifiers may hold a "%", which parameters begin with."""
    if isinstance(statement, sql.Composed):
        return sql.Composed([_doubled(part, session) for part in statement])
    if isinstance(statement, sql.Identifier):
        name = statement.as_string(session).replace("%", "%%")
        return sql.Composed([sql.SQL(name)])
    return sql.Composed([statement])


def _spoke(session: psycopg.Connection[Row]) -> bool:
    """Whether an idle session has something to say: it was ended, as a rule.

    Asking the socket costs no call, and saves a write from an unknown end.
    """
    try:
        return bool(select.select([session.fileno()], [], [], 0)[0])
    except (OSError, ValueError, psycopg.Error):
        return True


def _pause(attempt: int) -> None:
    time.sleep(PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1))
