"""Rolling limits: what they count, what a refused call is told, when it may pass."""

from __future__ import annotations

import time

import pytest

from connections.sandbox.server import SandboxServer
from tests.sandbox.calls import Http, Reply

RATE = "X-HubSpot-RateLimit-"


def linked(http: Http) -> Reply:
    return http.link_batch("contacts", "companies", "read", [{"id": "1"}])


def page(http: Http) -> Reply:
    return http.page("contacts")


def search(http: Http) -> Reply:
    return http.search("contacts", {})


def spend(call, http: Http, most: int) -> list[int]:
    """Make a call once more than a limit allows; the statuses."""
    return [call(http).status for _ in range(most + 1)]


NOON = 86_400 * (int(time.time() // 86_400) + 1) + 43_200  # tomorrow's, UTC


def at(control: SandboxServer, moment_s: float) -> None:
    """Put the sandbox's clock to a moment, however long the test took till now."""
    control.set_clock(moment_s - time.time())


@pytest.fixture
def other(server) -> Http:
    """A second app on the same account."""
    return Http(server.hubspot_url, server.tokens["Second app"])


def test_the_limits_are_hubspot_s_own_unless_told_otherwise(control):
    limits = control.limits()
    assert limits["general_per_10s"] == 190
    assert limits["association_per_10s"] == 150
    assert limits["search_per_second"] == 5
    assert limits["daily"] == 625_000
    assert limits["association_daily"] == 500_000


def test_headers_tell_what_is_left_of_ten_seconds_and_of_the_day(http, control):
    control.set_limits(enforced=True, general_per_10s=3, daily=10)
    for left in (2, 1, 0):
        headers = page(http).headers
        assert headers[f"{RATE}Max"] == "3"
        assert headers[f"{RATE}Remaining"] == str(left)
        assert headers[f"{RATE}Interval-Milliseconds"] == "10000"
        assert headers[f"{RATE}Daily"] == "10"
        assert headers[f"{RATE}Daily-Remaining"] == str(7 + left)


def test_a_call_over_the_rolling_limit_is_429_with_its_policy(http, control):
    control.set_limits(enforced=True, general_per_10s=3)
    assert spend(page, http, 3) == [200, 200, 200, 429]
    refused = page(http)
    assert refused.body["status"] == "error"
    assert refused.body["errorType"] == "RATE_LIMIT"
    assert refused.body["policyName"] == "TEN_SECONDLY_ROLLING"
    assert refused.body["correlationId"]
    assert refused.body["requestId"]
    assert refused.headers[f"{RATE}Remaining"] == "0"
    assert "Retry-After" not in refused.headers


def test_a_refused_write_has_no_effect(http, control):
    control.set_limits(enforced=True, general_per_10s=1)
    page(http)
    assert http.create("contacts", {"email": "ann@x.example"}).status == 429
    control.set_limits(enforced=False)
    assert http.page("contacts").results == []


def test_the_window_rolls_and_does_not_start_anew(http, control):
    """Calls at 0 s and 6 s: at 11 s only the first has left the window."""
    control.set_limits(enforced=True, general_per_10s=2)
    at(control, NOON)
    page(http).ok()
    at(control, NOON + 6)
    page(http).ok()
    assert page(http).status == 429
    at(control, NOON + 11)
    page(http).ok()
    assert page(http).status == 429
    at(control, NOON + 16.5)
    page(http).ok()


def test_each_app_has_ten_seconds_of_its_own(http, other, control):
    control.set_limits(enforced=True, general_per_10s=2)
    assert spend(page, http, 2) == [200, 200, 429]
    assert page(other).status == 200


def test_search_has_five_a_second_for_the_whole_account(http, other, control):
    control.set_limits(enforced=True)
    statuses = []
    for app in (http, other, http, other, http, other):
        at(control, NOON)
        statuses.append(search(app).status)
    assert statuses == [200] * 5 + [429]
    at(control, NOON + 1.01)
    assert search(other).status == 200


def test_a_refused_search_names_the_second_and_carries_no_headers(http, control):
    control.set_limits(enforced=True, search_per_second=1)
    at(control, NOON)
    search(http).ok()
    at(control, NOON)
    refused = search(http)
    assert refused.status == 429
    assert refused.body["policyName"] == "SECONDLY"
    assert refused.body["message"] == "You have reached your secondly limit."
    names = [name.lower() for name in refused.headers]
    assert [name for name in names if name.startswith("x-hubspot-ratelimit")] == []


def test_searches_spend_nothing_of_ten_seconds(http, control):
    control.set_limits(enforced=True, general_per_10s=1)
    assert search(http).status == 200
    assert page(http).status == 200


@pytest.mark.parametrize(
    "call",
    [
        linked,
        lambda h: h.labels("contacts", "companies"),
        lambda h: h.read_links("contacts", "1", "companies"),
        lambda h: h.put_default("contacts", "1", "companies", "2"),
        lambda h: h.put_types("contacts", "1", "companies", "2", []),
        lambda h: h.remove_pair("contacts", "1", "companies", "2"),
        lambda h: h.link_batch("contacts", "companies", "create", []),
        lambda h: h.caps(),
    ],
)
def test_association_calls_spend_a_limit_of_their_own(http, control, call):
    control.set_limits(enforced=True, association_per_10s=2, general_per_10s=1)
    first, second, third = (call(http) for _ in range(3))
    assert 429 not in (first.status, second.status)
    assert third.status == 429
    assert third.body["policyName"] == "TEN_SECONDLY_ROLLING"
    assert first.headers[f"{RATE}Max"] == "2"
    assert page(http).status == 200


def test_the_day_s_limit_is_the_account_s_and_ends_at_midnight(http, other, control):
    control.set_limits(enforced=True, daily=3)
    at(control, NOON)
    statuses = [call(http).status for call in (page, search, linked)]
    assert statuses == [200, 200, 207]
    refused = page(other)
    assert refused.status == 429
    assert refused.body["policyName"] == "DAILY"
    assert refused.body["message"] == "You have reached your daily limit."
    at(control, NOON + 11)
    assert page(http).status == 429
    at(control, NOON + 43_200)
    assert page(http).status == 200


def test_association_calls_have_a_limit_of_the_day_too(http, control):
    control.set_limits(enforced=True, association_daily=2)
    at(control, NOON)
    assert spend(linked, http, 2) == [207, 207, 429]
    assert linked(http).body["policyName"] == "DAILY"
    assert page(http).status == 200
    at(control, NOON + 43_200)
    assert linked(http).status == 207


def test_calls_that_are_not_enforced_are_counted_all_the_same(http, control):
    control.set_limits(general_per_10s=1)
    assert spend(page, http, 1) == [200, 200]
    assert control.limits()["windows"]["general"] == {"peak": 2, "refused": 0}


def test_the_control_plane_counts_what_was_refused(http, control):
    control.set_limits(enforced=True, general_per_10s=1)
    spend(page, http, 2)
    assert control.limits()["windows"]["general"] == {"peak": 1, "refused": 2}


def test_the_control_plane_spends_nothing(http, control, server):
    control.set_limits(enforced=True, general_per_10s=1)
    for _ in range(3):
        http.get("/_sandbox/state").ok()
    assert page(http).status == 200
