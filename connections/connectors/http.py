"""The one door out: every HTTP call of every connector goes through it.

It waits for the budget, proves the right to write, counts, sends, bounds what comes
back, and decides what may be sent again. What differs between systems (how they say
"slow down" or "not you") is a `Dialect`.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import count
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import (
    DecodeError,
    HTTPError,
    LocationValueError,
    ReadTimeoutError,
)

from connections.catalogue import Code
from connections.connectors.base import (
    ConnectorError,
    Context,
    LimitError,
    SetupError,
    TransientError,
    UncertainError,
)
from connections.connectors.dialect import Answer, Dialect, Pause, retry_after
from connections.connectors.failures import Failure, classify
from connections.connectors.peers import AddressRefused, PublicOnly
from connections.redaction import MASK, redact

CONNECT_TIMEOUT_S = 10.0
UNLESS_ALLOWED = "(unless CROSSLINK_ALLOW_PRIVATE_HOSTS is on)"
MAX_ANSWER_BYTES = 50_000_000
READ_BYTES = 65_536  # at a time
MAX_WAIT_S = 120.0  # of all pauses of one call together
TRIES = 5  # of a call that reached the system
TRIES_UNREACHED = 3  # of one that did not
FIRST_PAUSE_S = 0.5  # doubled at each try, and jittered
LOCK_PAUSE_S = 2.0  # a 423 lasts this long
SECRET_LENGTH = 8  # characters; a shorter word could be any
USER_AGENT = "Crosslink/1.0"

TOO_MANY, MOVING = 429, 477
TIMED_OUT = 408


class Safety(Enum):
    """What sending a call twice would do."""

    READ = "read"
    REPEATABLE = "repeatable"  # a write that a second time changes nothing more
    ONCE = "once"  # a create


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    query: Mapping[str, str] | None
    body: bytes | None
    bucket: str
    safety: Safety
    headers: Mapping[str, str]


class _Trouble(Exception):
    """One try that failed: `reached` if it may have taken effect nevertheless."""

    def __init__(
        self,
        error: ConnectorError,
        *,
        reached: bool,
        tries: int = TRIES,
        pause_s: float | None = None,
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.reached = reached
        self.tries = tries
        self.pause_s = pause_s


class Door:
    """Calls to one system with one credential; safe to use from several threads.

    Args: base_url, scheme, host and perhaps a path prefix; headers, sent with every
        call (the credential is one of them); context, the caller's budget, meter and
        right to write; dialect, the system's own wording; secrets, what no error may
        repeat beside the Authorization header's; sleep, how pauses are spent.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        context: Context,
        *,
        dialect: Dialect | None = None,
        secrets: Iterable[str] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        self._headers |= headers
        self._secrets = _secrets(headers, secrets)
        self._context = context
        self._dialect = dialect or Dialect()
        self._sleep = sleep
        self._idle: list[requests.Session] = []
        self._lock = Lock()

    def close(self) -> None:
        """Close every kept connection."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        bucket: str = "general",
        safety: Safety = Safety.READ,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one call, again where that is safe.

        Args: body, anything JSON can hold; bucket, the budget it is taken from; safety,
            what a repetition would do; headers, more of them for this call.
        Returns: any 2xx answer, or a 4xx that refuses what this one call held.
        Raises: AuthError, ScopeError, SetupError; LimitError, TransientError once
            pauses and tries are spent; UncertainError for a write that may have taken
            effect.
        """
        raw = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        call = _Call(method, path, query, raw, bucket, safety, headers or {})
        self._check_scheme()
        doubt, waited = False, 0.0
        for attempt in count(1):
            try:
                return self._once(call, attempt)
            except _Trouble as trouble:
                doubt = doubt or trouble.reached
                pause = trouble.pause_s
                if pause is None:
                    pause = FIRST_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1)
                waited += pause
                unsafe = safety is Safety.ONCE and trouble.reached
                if unsafe or attempt >= trouble.tries or waited > MAX_WAIT_S:
                    raise self._final(trouble.error, doubt, safety) from trouble
                self._sleep(pause)
        raise AssertionError("unreachable")

    @staticmethod
    def _final(error: ConnectorError, doubt: bool, safety: Safety) -> ConnectorError:
        if doubt and safety is not Safety.READ:
            return UncertainError(
                f"A write was sent and its effect is not known: {error.message}",
                correlation_id=error.correlation_id,
            )
        return error

    def _check_scheme(self) -> None:
        try:
            scheme = urlsplit(self._base).scheme
        except ValueError:
            raise self._no_address() from None
        if scheme != "https" and not (
            scheme == "http" and self._context.allow_private_hosts
        ):
            raise SetupError(
                f"The address {redact(self._base)} must begin with https:// "
                f"{UNLESS_ALLOWED}.",
                code=Code.UNAVAILABLE,
            )

    # One try ---------------------------------------------------------------------------

    def _once(self, call: _Call, attempt: int) -> Answer:
        try:
            self._context.budget.acquire(call.bucket)
        except LimitError as exc:
            raise _Trouble(exc, reached=False, tries=0) from exc
        if call.safety is not Safety.READ:
            self._context.before_write()
        self._context.meter.count()
        status, headers, content = self._exchange(call)
        if status >= 300:  # an error's text is shown; what was read is left as it is
            for secret in self._secrets:
                content = content.replace(secret, MASK.encode())
        answer = Answer(status, self._json(status, content), headers)
        self._context.meter.hear(answer.at)
        if pause := self._dialect.exhausted(answer):
            self._penalise(call, pause)
        self._judge(call, answer, attempt)
        return answer

    def _exchange(self, call: _Call) -> tuple[int, Mapping[str, str], bytes]:
        headers = {**self._headers, **call.headers}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        session = self._take()
        try:
            with session.request(
                call.method,
                self._base + call.path,
                params=call.query,
                data=call.body,
                headers=headers,
                timeout=(CONNECT_TIMEOUT_S, self._context.timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = self._read(response)
                return response.status_code, response.headers, content
        except AddressRefused as exc:
            raise SetupError(
                f"{exc}; only public addresses are allowed {UNLESS_ALLOWED}.",
                code=Code.UNAVAILABLE,
            ) from exc
        except requests.RequestException as exc:
            failure = classify(exc)
            if failure is Failure.BAD_ADDRESS:
                raise self._no_address() from exc
            raise self._network_trouble(failure) from exc
        except LocationValueError as exc:  # found out only as it is looked up
            raise self._no_address() from exc
        finally:
            self._give_back(session)

    def _no_address(self) -> SetupError:
        return SetupError(
            f"{redact(self._base)} is not an address that can be called.",
            code=Code.UNAVAILABLE,
        )

    def _network_trouble(self, failure: Failure) -> _Trouble:
        return _Trouble(
            TransientError(
                f"{self._dialect.name} at {_host(self._base)}: {failure.value}.",
                code=Code.TIMED_OUT if failure.timed_out else Code.UNAVAILABLE,
            ),
            reached=failure.reached,
            tries=TRIES if failure.reached else TRIES_UNREACHED,
        )

    def _read(self, response: requests.Response) -> bytes:
        """Read an answer that neither floods the memory nor drips for ever."""
        until = time.monotonic() + 4 * self._context.timeout_s
        chunks: list[bytes] = []
        size = 0
        while chunk := _read_some(response):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise requests.exceptions.ContentDecodingError("too large")
            if time.monotonic() > until:
                raise requests.exceptions.ReadTimeout("too slow")
        return b"".join(chunks)

    def _json(self, status: int, content: bytes) -> Any:
        if not content and (status == 204 or status >= 300):
            return {}
        try:
            body = json.loads(content)
        except ValueError as exc:
            if status >= 300:
                return {"message": redact(content[:200].decode(errors="replace"))}
            error = TransientError(f"{self._dialect.name} answered what is not JSON.")
            raise _Trouble(error, reached=True) from exc
        return body if isinstance(body, dict | list) else {"value": body}

    # What an answer means --------------------------------------------------------------

    def _judge(self, call: _Call, answer: Answer, attempt: int) -> None:
        name, status = self._dialect.name, answer.status
        refusal = self._dialect.refused(answer)
        if refusal is not None:
            raise refusal
        if status == TOO_MANY:
            raise self._slow_down(call, answer, attempt)
        if self._dialect.locked(answer):
            error: ConnectorError = TransientError(f"{name} has locked the records.")
            wait = LOCK_PAUSE_S + random.uniform(0, LOCK_PAUSE_S) * attempt
            raise _Trouble(error, reached=False, pause_s=wait)
        if status == MOVING:
            raise self._moving(call, answer)
        if status >= 500 or status == TIMED_OUT:
            error = TransientError(f"{name} answered with status {status}.")
            pause = retry_after(answer.headers)
            raise _Trouble(error, reached=True, pause_s=pause)
        if 300 <= status < 400:
            target = _host(answer.headers.get("Location", "")) or "elsewhere"
            raise SetupError(
                f"{name} answered with a redirect to {redact(target)}, which is not "
                "followed: enter the final address.",
                code=Code.UNAVAILABLE,
            )

    def _slow_down(self, call: _Call, answer: Answer, attempt: int) -> _Trouble:
        pause = self._dialect.limit(answer, attempt)
        asked = retry_after(answer.headers)
        if asked is not None:
            pause = Pause(asked, pause.daily)
        self._penalise(call, pause)
        until = datetime.now(UTC) + timedelta(seconds=pause.seconds)
        if pause.daily:
            text = f"{self._dialect.name}: the {self._dialect.allowance} calls are used up."
            spent = LimitError(text, code=Code.QUOTA_SPENT, retry_at=until)
            return _Trouble(spent, reached=False, tries=0)
        error = LimitError(
            f"{self._dialect.name} asks for slower calls.", retry_at=until
        )
        jitter = random.uniform(0, 0.2)
        return _Trouble(error, reached=False, pause_s=pause.seconds + jitter)

    def _moving(self, call: _Call, answer: Answer) -> _Trouble:
        """The account is being moved between regions: up to a day."""
        seconds = retry_after(answer.headers) or 60.0
        self._penalise(call, Pause(seconds, daily=True))
        error = LimitError(
            f"{self._dialect.name} is moving the account to another region.",
            code=Code.UNAVAILABLE,
            retry_at=datetime.now(UTC) + timedelta(seconds=seconds),
        )
        return _Trouble(error, reached=False, pause_s=seconds)

    def count(self, bucket: str) -> None:
        """Count a call in a bucket of its own, besides the one it is taken from."""
        self._context.budget.count(bucket)

    def _penalise(self, call: _Call, pause: Pause) -> None:
        self._context.budget.penalise(call.bucket, pause.seconds, daily=pause.daily)

    # Connections -----------------------------------------------------------------------

    def _take(self) -> requests.Session:
        """A session that no other thread uses meanwhile."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        session = requests.Session()
        # Neither proxies, nor .netrc, which would replace our Authorization header.
        session.trust_env = False
        public = not self._context.allow_private_hosts
        adapter = PublicOnly() if public else HTTPAdapter()
        for scheme in ("https://", "http://"):
            session.mount(scheme, adapter)
        return session

    def _give_back(self, session: requests.Session) -> None:
        with self._lock:
            self._idle.append(session)


def _secrets(headers: Mapping[str, str], more: Iterable[str]) -> list[bytes]:
    """What no error may repeat, even where a system echoes it."""
    words = [*headers.get("Authorization", "").split(), *more]
    return [word.encode() for word in words if len(word) >= SECRET_LENGTH]


def _host(url: str) -> str:
    """The host and port of an address, without a password that may stand before them."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _read_some(response: requests.Response) -> bytes:
    """What one read of the socket gives, decoded; b"" at the end.

    `iter_content` waits until it has a whole chunk, so that an answer of a byte now and
    then would never come back here to be given up.
    """
    try:
        return bytes(response.raw.read1(READ_BYTES, decode_content=True))
    except ReadTimeoutError as exc:
        raise requests.exceptions.ReadTimeout(exc) from exc
    except DecodeError as exc:
        raise requests.exceptions.ContentDecodingError(exc) from exc
    except HTTPError as exc:
        raise requests.exceptions.ConnectionError(exc) from exc
