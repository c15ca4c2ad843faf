"""How a system says "slow down" and "not you", and what becomes of the call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from connections.catalogue import Code
from connections.connectors import http
from connections.connectors.base import AuthError, LimitError, ScopeError
from connections.connectors.http import Safety
from tests.contract.scripted import Said
from tests.contract.way import OK, TOKEN, Way

pytestmark = pytest.mark.contract
TRIES = 5


def limited(policy: str, message: str = "", **headers: str) -> Said:
    body = {"status": "error", "errorType": "RATE_LIMIT", "policyName": policy}
    return Said(429, body | {"message": message}, headers)


@pytest.mark.parametrize(
    ("said", "pause"),
    [
        (limited("TEN_SECONDLY_ROLLING"), 10),
        (limited("SECONDLY"), 1),
        (Said(429, {"message": "You have reached your secondly limit."}), 1),
        (Said(429, {"category": "RATE_LIMITS", "message": "slow"}), 10),
        (Said(429, {}), 10),
        (Said(429, "<html>slow down</html>"), 10),
        (limited("TEN_SECONDLY_ROLLING", **{"Retry-After": "3"}), 3),
        (limited("SECONDLY", **{"Retry-After": "0.5"}), 0.5),
    ],
)
def test_a_429_is_waited_out_for_as_long_as_it_says(way: Way, said: Said, pause: float):
    way.says(said, OK)
    assert way.send(bucket="search").ok
    (nap,) = way.naps.taken
    assert pause <= nap <= pause + 0.5
    assert way.budget.penalties == [("search", pause, False)]


def test_retry_after_may_be_a_date(way: Way):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    way.says(Said(429, {}, {"Retry-After": later}), OK)
    assert way.send().ok
    assert 5 < way.naps.taken[0] < 21


@pytest.mark.parametrize("text", ["soon", "", "inf", "nan", "-5", "1e999"])
def test_an_odd_retry_after_does_no_harm(way: Way, text: str):
    way.says(Said(429, {"policyName": "SECONDLY"}, {"Retry-After": text}), OK)
    assert way.send().ok
    assert 0 <= way.naps.taken[0] < 2


def test_a_429_that_lasts_too_long_ends_the_call_with_its_time(way: Way):
    before = datetime.now(UTC)
    way.says(limited("TEN_SECONDLY_ROLLING", **{"Retry-After": "600"}))
    error = way.fails()
    assert isinstance(error, LimitError)
    assert error.code == Code.RATE_LIMITED
    assert error.retry_at is not None
    assert timedelta(seconds=599) < error.retry_at - before < timedelta(seconds=660)
    assert (way.calls, way.naps.taken) == (1, [])


def test_a_429_that_never_ends_is_given_up(way: Way):
    way.says(limited("TEN_SECONDLY_ROLLING"))
    error = way.fails(Safety.ONCE)
    assert isinstance(error, LimitError)
    assert error.code == Code.RATE_LIMITED
    assert way.calls <= TRIES
    assert sum(way.naps.taken) <= http.MAX_WAIT_S


@pytest.mark.parametrize(
    "said",
    [limited("DAILY"), Said(429, {"message": "You have reached your daily limit."})],
)
def test_a_spent_day_is_not_waited_for(way: Way, said: Said):
    way.says(said)
    error = way.fails(Safety.ONCE)
    assert isinstance(error, LimitError)
    assert error.code == Code.QUOTA_SPENT
    assert error.retry_at is not None
    assert error.retry_at > datetime.now(UTC)
    assert (way.calls, way.naps.taken) == (1, [])
    assert way.budget.penalties[0][2] is True


@pytest.mark.parametrize("headers", [{"Retry-After": "3600"}, {"Retry-After": "86400"}])
def test_an_account_on_the_move_is_left_alone(way: Way, headers: dict[str, str]):
    way.says(Said(477, {}, headers))
    error = way.fails(Safety.ONCE)
    assert isinstance(error, LimitError)
    assert error.code == Code.UNAVAILABLE
    assert error.retry_at is not None
    left = error.retry_at - datetime.now(UTC)
    assert abs(left.total_seconds() - float(headers["Retry-After"])) < 60
    assert (way.calls, way.naps.taken) == (1, [])


def test_a_budget_that_will_not_wait_stops_the_call_before_it(way: Way):
    way.says(OK)
    way.budget.refusal = LimitError("spent", code=Code.QUOTA_SPENT)
    assert way.fails(Safety.ONCE) is way.budget.refusal
    assert (way.calls, way.asked_to_write) == (0, 0)


def test_an_allowance_that_reaches_nought_is_told_to_the_budget(way: Way):
    headers = {
        "X-HubSpot-RateLimit-Remaining": "0",
        "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
    }
    way.says(Said(200, {}, headers))
    assert way.send().ok
    ((bucket, seconds, daily),) = way.budget.penalties
    assert (bucket, daily) == ("general", False)
    assert 0 < seconds <= 10


# Who we are ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 530])
def test_a_refused_token_ends_everything_at_once(way: Way, status: int):
    way.says(Said(status, {"category": "INVALID_AUTHENTICATION", "message": TOKEN}))
    for safety in Safety:
        error = way.fails(safety)
        assert isinstance(error, AuthError)
        assert error.code == Code.CREDENTIALS_REFUSED
    assert way.calls == 3


@pytest.mark.parametrize(
    "body", [None, "<html>1015</html>", b"\xff\xfe", {}, [], "null"]
)
def test_a_malformed_token_is_told_whatever_the_answer_holds(way: Way, body: object):
    way.says(Said(530, body))
    assert way.fails().code == Code.CREDENTIALS_REFUSED


@pytest.mark.parametrize(
    "body",
    [
        {
            "category": "MISSING_SCOPES",
            "errors": [{"context": {"requiredGranularScopes": ["a.read", "b.read"]}}],
        },
        {"context": {"requiredScopes": ["a.read", "b.read"]}},
    ],
)
def test_a_missing_scope_is_named(way: Way, body: object):
    way.says(Said(403, body))
    error = way.fails()
    assert isinstance(error, ScopeError)
    assert error.code == Code.SCOPE_MISSING
    assert "a.read, b.read" in error.message


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"errors": None, "context": None},
        {"errors": [{}]},
        {"errors": [{"context": None}], "message": None},
        {"errors": ["text"], "context": "text"},
        "<html>forbidden</html>",
        [],
        None,
    ],
)
def test_a_403_without_the_usual_parts_is_a_missing_right_still(way: Way, body: object):
    way.says(Said(403, body))
    assert way.fails().code == Code.SCOPE_MISSING
