"""What PostgreSQL's refusals mean, by SQLSTATE; a failed connect has only its text.

Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import re

import psycopg

from connections.catalogue import Code
from connections.connectors.base import (
    AuthError,
    ConnectorError,
    LimitError,
    RejectedError,
    SchemaError,
    ScopeError,
    TransientError,
)
from connections.redaction import redact

AGAIN = ("40001", "40P01", "55P03")  # serialisation, deadlock, lock not available
CANCELLED = "57014"  # statement_timeout
TOO_MANY = "53300"
LOST_CLASSES = ("08", "57P")  # connection exceptions, shutdowns
ROW_CLASSES = ("22", "23", "44")  # data, constraints, a view's check option
ROW_STATES = ("428C9", "P0001", "54000")  # generated, a trigger's RAISE, index row size

COLUMN = re.compile(r'column "?(?:\w+\.)?"?(?P<name>[^"]+?)"? (?:of|does)')

# libpq gives no SQLSTATE where no session came about.
REFUSED = re.compile(
    r"authentication|password|pg_hba|role .* (?:does not exist|is not permitted)"
    r"|SSL|certificate|permission denied for database",
    re.IGNORECASE,
)
NO_DATABASE = re.compile(r'database ".*" does not exist', re.IGNORECASE | re.DOTALL)
BUSY = re.compile(r"too many|remaining connection slots", re.IGNORECASE)
MALFORMED = re.compile(
    r"invalid (?:integer|\w+) value|invalid port number", re.IGNORECASE
)
POOLER = re.compile(r"unsupported startup parameter", re.IGNORECASE)


class RowError(Exception):
    """The statement failed for what its rows held; `cause` is psycopg's error."""

    def __init__(self, cause: psycopg.Error) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.state = cause.sqlstate or ""


def is_row_error(exc: psycopg.Error) -> bool:
    """Whether other rows of the same statement could have been written."""
    state = exc.sqlstate or ""
    return state[:2] in ROW_CLASSES or state in ROW_STATES


def is_lost(exc: psycopg.Error) -> bool:
    """Whether the session is over, so that nobody knows what became of the statement."""
    if exc.sqlstate is None:
        return isinstance(exc, psycopg.OperationalError)
    return exc.sqlstate.startswith(LOST_CLASSES)


def text_of(exc: psycopg.Error) -> str:
    """The server's own sentence, without what could be a secret."""
    primary = exc.diag.message_primary if exc.sqlstate else None
    text = primary or " ".join(str(exc).split())
    return redact(text)[:500]


def connect_error(exc: psycopg.Error, where: str, secret: str) -> ConnectorError:
    """Why no session came about.

    Args: where, host and port in words; secret, a password to keep out of the text.
    """
    text = " ".join(str(exc).split())
    if secret:
        text = text.replace(secret, "***")
    text = redact(text)[:500]
    if POOLER.search(text):
        return ConnectorError(
            f"The pooler at {where} refuses start-up options. Let it ignore them "
            "(PgBouncer: ignore_startup_parameters = options), or connect directly.",
            code=Code.UNAVAILABLE,
        )
    if MALFORMED.search(text):
        return AuthError(f"The dsn says what cannot be: {text}")
    if NO_DATABASE.search(text):
        return AuthError(f"There is no such database at {where}: {text}")
    if BUSY.search(text):
        return LimitError(f"PostgreSQL at {where} has no connection free: {text}")
    if REFUSED.search(text):
        return AuthError(f"PostgreSQL at {where} refused the log-in: {text}")
    if isinstance(exc, psycopg.errors.ConnectionTimeout) or "timeout" in text:
        return TransientError(
            f"PostgreSQL at {where} did not answer in time.", code=Code.TIMED_OUT
        )
    return TransientError(f"PostgreSQL at {where} could not be reached: {text}")


def statement_error(exc: psycopg.Error) -> ConnectorError:
    """Why a statement failed as a whole."""
    state, text = exc.sqlstate or "", text_of(exc)
    if state.startswith("28"):
        return AuthError(f"PostgreSQL refused the log-in: {text}")
    if state == "42501":
        return ScopeError(f"The role lacks a right: {text}.")
    if state == "25006":
        return ScopeError(
            f"The database only lets this session read ({text}). On a read replica, or "
            "with a role that only reads, sync to HubSpot only (direction: to_hubspot), "
            "or give the dsn of the primary and a role that may write."
        )
    if state == "42703":
        return SchemaError(f"A column is gone: {text}.", code=Code.FIELD_MISSING)
    if state in ("42P01", "3F000"):
        return SchemaError(f"A table is gone: {text}.")
    if state[:2] in ("42", "22"):
        return SchemaError(f"A table is not what it was: {text}.")
    if state == CANCELLED:
        return TransientError(f"A statement took too long: {text}", code=Code.TIMED_OUT)
    if state == TOO_MANY:
        return LimitError(f"PostgreSQL has no connection free: {text}")
    if state in AGAIN:
        return TransientError(f"Another transaction was in the way: {text}")
    if is_lost(exc) or state.startswith(("53", "57", "58")):
        return TransientError(f"PostgreSQL went away: {text}")
    return RejectedError(f"PostgreSQL refused a statement: {text}")


def code_of(exc: psycopg.Error) -> Code:
    """The catalogue's code for a row that was refused."""
    state, text = exc.sqlstate or "", exc.diag.message_primary or ""
    if state == "22P02" and "enum" in text:
        return Code.OPTION_UNKNOWN
    return ROW_CODES.get(state, Code.VALUE_INVALID)


ROW_CODES = {
    "22001": Code.VALUE_TOO_LONG,
    "54000": Code.VALUE_TOO_LONG,
    "23502": Code.REQUIRED_MISSING,
    "23503": Code.TARGET_NOT_MATCHED,
    "23505": Code.DUPLICATE_KEY,
    "23514": Code.OPTION_UNKNOWN,
    "428C9": Code.FIELD_READ_ONLY,
}
