"""Kintone's calls a day and app, Airtable's of a month: counted, forecast, shown, and told of before they end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from associations.admin.flow.base import address
from associations.drafts.forecast import app_cost
from associations.drafts.trees import edit
from connections.connectors.base import bucket_of
from connections.models import ConnectedApp, RateBudget
from connections.quotas import quotas_of, shown
from connections.sandbox.airtable.app import Airtable
from connections.sandbox.host import Host
from connections.sandbox.kintone.server import KintoneServer
from connections.sandbox.server import SandboxServer
from syncs.models import LogEntry, ObjectSync, SyncDraft
from tests.airtable_world import AirtableWorld
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
    days = quotas_of(app, [firms, people, "999"])
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
    assert {name for name, _ in shown(app)} >= {"People", "Firms"}
    # What was bought is entered; yesterday's calls are not today's.
    for bought, near in ((100_000, False), (0.5, True)):
        app.settings = {**app.settings, "requests_per_day": bought}
        app.save()
        assert quotas_of(app, [people])[people].near is near
    RateBudget.objects.update(day=datetime.now(UTC).date() - timedelta(days=1))
    assert shown(app) == []


@pytest.fixture
def base(tmp_path) -> Iterator[AirtableWorld]:
    with (
        SandboxServer(switches={"search_lag_s": 0}) as sandbox,
        Host(Airtable()) as host,
    ):
        yield AirtableWorld(sandbox, host, tmp_path)


def test_a_months_calls_are_counted_by_base_and_told_of_before_they_end(
    base, admin_client
):
    base.create("companies", [{"name": "A", "domain": "a.example"}])
    tree = base.tree()
    tree["apps"][0]["syncs"] = [base.companies_sync() | {"every": "10m"}]
    base.apply(tree)
    RateBudget.objects.all().delete()
    base.host.reset_counts()
    (first,) = base.run(base.companies)["syncs"]
    app = ConnectedApp.objects.get()
    ((name, month),) = shown(app)
    assert (name, month.span, month.most) == ("", "month", None)
    assert month.used == base.host.count() == first["api_calls"]["app"]
    overview = reverse("admin:connections_connectedapp_overview", args=[app.pk])
    assert f"<dt>Calls this month</dt><dd>{month.used}</dd>" in html(
        admin_client, overview
    )
    app.settings = {**app.settings, "requests_per_month": 1_000}
    app.save()
    RateBudget.objects.update(used_this_month=850)
    assert base.run(base.companies)["status"] == "succeeded"
    (entry,) = LogEntry.objects.filter(text__contains="calls that a month has")
    assert entry.level == "warning"
    assert "of the 1,000 calls that a month has were made (85 %)" in entry.text
    assert "Nearly spent" in html(admin_client, overview)
    draft = edit(ObjectSync.objects.get(), None)
    review = html(admin_client, address(draft, "review"))
    assert "calls to Base were made this month, of 1,000 that its plan has." in review
    assert "about 8,640 a month while nothing changes" in review
    # Last month's calls are not this month's; the day's count goes on beside it.
    RateBudget.objects.update(month=datetime(2020, 1, 1, tzinfo=UTC).date())
    assert shown(app)[0][1].used == 0
    used = RateBudget.objects.get(key__startswith="airtable:").used_today
    base.host.reset_counts()
    base.run(base.companies)
    assert shown(app)[0][1].used == base.host.count() > 0
    budget = RateBudget.objects.get(key__startswith="airtable:")
    assert budget.used_today == used + base.host.count()


def html(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    text: str = answer.content.decode()
    return text
