"""Three processes on one account, at HubSpot's own limits: nobody is told to slow down,
and little of what the account may spend is left lying.

The processes are forked and call a sandbox that refuses as HubSpot does; its own counts
are what is judged. https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections

from connections import services
from connections.budgets import SLACK_S, SharedBudget
from connections.connectors.base import AssociationConnector, LimitError
from connections.models import HubSpotAccount, RateBudget
from connections.records import ObjectType, Want
from connections.sandbox.server import SandboxServer

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
PROCESSES, THREADS = 3, 4
SPENDING_S = 10.5  # a little more than the longest window
USED = 0.9  # of a limit, at least
TRIES, LOOK_EACH_S = 3, 0.01
CONTACTS = ObjectType("contacts", "0-1")
Call = Callable[[AssociationConnector], object]


@pytest.fixture
def account() -> HubSpotAccount:
    return professional("http://hubspot.invalid", "pat-na1-none")


def professional(base_url: str, token: str) -> HubSpotAccount:
    """An account that may spend all that HubSpot grants a Professional portal."""
    return HubSpotAccount.objects.create(
        name=f"Acme {HubSpotAccount.objects.count()}",
        base_url=base_url,
        credentials={"token": token},
        requests_per_10s=190,
        association_requests_per_10s=150,
        search_per_second=5,
    )


def read_one(hubspot: AssociationConnector) -> object:
    return hubspot.fetch(CONTACTS, ["1"], Want(fields=("email",)))


def read_links(hubspot: AssociationConnector) -> object:
    return hubspot.associations("0-1", "0-2", ["1"])


def search(hubspot: AssociationConnector) -> object:
    now = datetime.now(UTC)
    return hubspot.window(CONTACTS, Want(), after=now - timedelta(hours=1), until=now)


def spend(account_id: int, call: Call, until: float) -> None:
    """Make a call again and again, as one thread of a run does."""
    account = HubSpotAccount.objects.get(pk=account_id)
    with closing(services.open_hubspot(account)) as hubspot:
        while time.monotonic() < until:
            call(hubspot)
    connections.close_all()


def spend_in_processes(account: HubSpotAccount, calls: list[Call]) -> None:
    """Spend in several processes of several threads for a while, and wait for them."""
    until = time.monotonic() + SPENDING_S
    connections.close_all()
    children = []
    for _ in range(PROCESSES):
        if pid := os.fork():
            children.append(pid)
            continue
        try:
            failed = _spend_in_threads(account.pk, calls, until)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(1 if failed else 0)
    ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert ended == [0] * PROCESSES


def _spend_in_threads(account_id: int, calls: list[Call], until: float) -> list[str]:
    failed: list[str] = []

    def work(call: Call) -> None:
        try:
            spend(account_id, call, until)
        except Exception:
            failed.append(traceback.format_exc())

    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for text in failed:
        print(text)  # noqa: T201
    return failed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "bucket", "limit"),
    [
        (read_one, "general", "general_per_10s"),
        (read_links, "association", "association_per_10s"),
    ],
)
def test_three_processes_use_the_budget_without_a_429(
    call: Call, bucket: str, limit: str
) -> None:
    for _ in range(TRIES):
        with (
            SandboxServer(
                rate_limits="real", switches={"association_bucket": "inside"}
            ) as sandbox,
            Stalls() as stalls,
        ):
            account = professional(sandbox.hubspot_url, sandbox.token)
            spend_in_processes(account, [call] * THREADS + [search])
            wrong = misspent(sandbox, bucket, limit)
        if not wrong or stalls.longest < SLACK_S:
            break
    else:
        pytest.skip(
            f"{wrong}, on a machine that stood still for {stalls.longest:.2f} s each time"
        )
    assert not wrong


def misspent(sandbox: SandboxServer, bucket: str, limit: str) -> list[str]:
    """What HubSpot says of how it was called: too often, or much less than it might."""
    wrong = []
    limits = sandbox.control.limits()
    windows = limits["windows"]
    if refused := sandbox.control.statuses().get(429, 0):
        wrong.append(f"{refused} calls were refused as too many")
    if windows[bucket]["peak"] < USED * limits[limit]:
        wrong.append(f"{bucket}: {windows[bucket]['peak']} of {limits[limit]}")
    searches = sandbox.control.count("search")
    if searches < USED * limits["search_per_second"] * SPENDING_S:
        wrong.append(f"{searches} searches")
    if bucket == "association":  # such calls count for both
        both = windows["general"]["peak"], windows["association"]["peak"]
        if both[0] != both[1]:
            wrong.append(f"the general and the association window differ: {both}")
    return wrong


class Stalls:
    """How long this process was kept from running at most: on a machine that stalls for
    longer than windows are guarded by, a call arrives when it was not sent."""

    def __enter__(self) -> Stalls:
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            self._over.wait(LOOK_EACH_S)
            self.longest = max(self.longest, time.monotonic() - began - LOOK_EACH_S)


def test_a_penalty_stops_every_process_for_its_time(account: HubSpotAccount) -> None:
    """What one was told by the system, the others obey without asking."""
    slept: list[float] = []
    told, other = (
        SharedBudget("one account", {"general": (10, 190)}, sleep=slept.append)
        for _ in range(2)
    )
    told.acquire("general")
    told.penalise("general", 7)
    other.penalise("general", 0)  # a lesser word does not shorten it
    with pytest.raises(AssertionError, match="waited"):
        _first_wait(other)
    assert not slept


def _first_wait(budget: SharedBudget) -> None:
    def sleep(seconds: float) -> None:
        assert 6 < seconds <= 7
        raise AssertionError("waited")

    budget._sleep = sleep
    budget.acquire("general")


def test_a_spent_day_stops_every_bucket_and_says_until_when(
    account: HubSpotAccount,
) -> None:
    budget = services.account_budget(account)
    budget.penalise("search", 3_600, daily=True)
    for bucket in ("general", "associations", "search"):
        with pytest.raises(LimitError) as refused:
            services.account_budget(account).acquire(bucket)
        until = refused.value.retry_at
        assert until is not None
        left = (until - datetime.now(UTC)).total_seconds()
        assert 3_500 < left < 3_700
        assert refused.value.code == "QUOTA_SPENT"
        assert f"{until:%Y-%m-%d %H:%M} UTC" in str(refused.value)


def test_the_days_calls_are_counted_for_both_buckets(account: HubSpotAccount) -> None:
    budget = services.account_budget(account)
    for _ in range(3):
        budget.acquire("associations")
    budget.acquire("general")
    used = dict(RateBudget.objects.values_list("bucket", "used_today"))
    assert used == {"associations": 3, "general": 4}


def test_accounts_that_are_not_stored_yet_share_no_budget(
    account: HubSpotAccount,
) -> None:
    for token in ("one", "two"):
        tried = HubSpotAccount(name=token, credentials={"token": token})
        services.account_budget(tried).acquire("general")
    keys = set(RateBudget.objects.values_list("key", flat=True))
    assert len(keys) == 2
    assert not any("None" in key or "one" in key.split(":")[1] for key in keys)
