"""What a network failure says about the call: was it sent at all?"""

from __future__ import annotations

from enum import Enum

import requests
from requests import exceptions as rx
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError


class Failure(Enum):
    """The kinds that matter to whoever decides about a second try."""

    BAD_ADDRESS = "the address cannot be called"
    NO_SUCH_HOST = "there is no such host"
    NOT_CONNECTED = "no connection could be made"
    CONNECT_TIMEOUT = "no connection could be made in time"
    CERTIFICATE = "its TLS certificate is not valid"
    NO_ANSWER = "no answer came in time"
    TOO_LARGE = "the answer was too large or garbled"
    BROKEN = "the connection broke"

    @property
    def reached(self) -> bool:
        """Whether the system may have received the call."""
        return self in (Failure.NO_ANSWER, Failure.TOO_LARGE, Failure.BROKEN)

    @property
    def timed_out(self) -> bool:
        return self in (Failure.NO_ANSWER, Failure.CONNECT_TIMEOUT)


def classify(exc: requests.RequestException) -> Failure:
    """Tell the failures apart; what is not surely unsent counts as sent.

    Source: https://requests.readthedocs.io/en/latest/api/#exceptions
    """
    reason = exc.args[0] if exc.args else None
    if isinstance(reason, MaxRetryError):
        reason = reason.reason
    if isinstance(exc, rx.InvalidURL | rx.MissingSchema | rx.InvalidSchema):
        return Failure.BAD_ADDRESS
    if isinstance(reason, NameResolutionError):
        return Failure.NO_SUCH_HOST
    if isinstance(exc, rx.ConnectTimeout):
        return Failure.CONNECT_TIMEOUT
    if isinstance(reason, NewConnectionError):
        return Failure.NOT_CONNECTED
    if isinstance(exc, rx.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(exc):
        return Failure.CERTIFICATE
    if isinstance(exc, rx.Timeout) or "timed out" in str(exc).lower():
        return Failure.NO_ANSWER
    if isinstance(exc, rx.ContentDecodingError):
        return Failure.TOO_LARGE
    return Failure.BROKEN
