"""Kintone's calls a day and app: counted, forecast, shown, and told of before they end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from associations.drafts.forecast import app_cost
from connections.connectors.base import bucket_of
from connections.models import ConnectedApp, RateBudget
from connections.quotas import busiest, days_of
from connections.sandbox.kintone.server import KintoneServer
from connections.sandbox.server import SandboxServer
from syncs.models import LogEntry, SyncDraft
from tests.test_kintone_job import LOOKUP, KintoneWorld, plant

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world() -> Iterator[KintoneWorld]:
    with (
        SandboxServer(switches={"search_lag_s": 0}) as sandbox,
        KintoneServer() as kintone,
    ):
        yield KintoneWorld(sandbox, kintone)


def spend(app_id: str, calls: int) -> None:
    rows = RateBudget.objects.filter(bucket=bucket_of(app_id))
    assert rows.update(used_today=calls) == 1


def warnings() -> list[tuple[str, str]]:
    rows = LogEntry.objects.filter(text__contains="calls that a day has")
    return list(rows.order_by("pk").values_list("text", "code"))


def test_a_days_calls_are_counted_by_app_and_told_of_before_they_end(
    world, admin_client
):
    plant(world)
    world.apply(world.tree(LOOKUP))
    RateBudget.objects.all().delete()
    world.kintone.reset_counts()
    world.go()
    app = ConnectedApp.objects.get()
    firms, people = str(world.firms.id), str(world.people.id)
    days = days_of(app, [firms, people, "999"])
    assert {i: d.most for i, d in days.items()} == dict.fromkeys(days, 10_000)
    # A bulk request is one call of each app that it names.
    assert days["999"].used == 0
    assert days[firms].used + days[people].used >= world.kintone.count()
    assert min(days[firms].used, days[people].used) > 5
    assert not warnings()
    cost = app_cost(SyncDraft(app=app), 12_000, reading=24, writing=6)
    assert cost.share == pytest.approx(0.3)  # percent of what an app has a day
    spend(people, 8_500)  # from 80 % on the run says so
    world.go()
    ((text, code),) = warnings()
    assert "People" in text
    assert code == ""
    spend(people, 10_000)
    assert world.go()["status"] == "succeeded"  # nothing is refused
    assert [code for _, code in warnings()] == ["", "QUOTA_SPENT"]
    page = admin_client.get(
        reverse("admin:connections_connectedapp_overview", args=[app.pk])
    ).content.decode()
    assert "Calls today for People" in page
    assert "QUOTA_SPENT" in page
    assert {name for name, _ in busiest(app)} >= {"People", "Firms"}
    # What was bought is entered; yesterday's calls are not today's.
    for bought, near in ((100_000, False), (0.5, True)):
        app.settings = {**app.settings, "requests_per_day": bought}
        app.save()
        assert days_of(app, [people])[people].near is near
    RateBudget.objects.update(day=datetime.now(UTC).date() - timedelta(days=1))
    assert busiest(app) == []
