"""Many records that vanish at once hold the run until they are back or a person says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import reverse

from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync, RecordLink, SyncRun
from tests.graves import NOTHING, Graves
from tests.shell import manage
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
PAIRS = 24  # of which a quarter is six
DELETE = "DELETE FROM companies WHERE id <= %s"
ARCHIVE = "UPDATE companies SET archived = true WHERE id <= %s"


@pytest.fixture
def graves(pg_dsn: str, tmp_path: Path) -> Iterator[Graves]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield Graves(World(sandbox, pg_dsn), tmp_path / "setup.yaml")


def held() -> list[SyncRun]:
    return list(SyncRun.objects.filter(status="held").exclude(held={}))


@pytest.mark.parametrize("vanish", [DELETE, ARCHIVE])
def test_a_share_of_the_pairs_that_vanishes_is_held_and_nothing_concluded(
    graves, vanish
):
    graves.pairs(PAIRS, deletes="propagate")
    graves.world.sql(vanish, 7)
    graves.world.create("companies", [{"name": "New", "domain": "new.example"}])
    for how in ("--full", "--full", "--dry-run"):
        report = graves.run(how, status=1)
        assert (report["status"], report["matched"]) == ("held", PAIRS)
        assert (report["created"], report["archived"]) == (NOTHING, NOTHING)
        assert [e["code"] for e in report["errors"]] == ["HELD_BY_LIMITS"]
    (run,) = held()
    assert run.held == {"vanished": {"app": 7, "of": PAIRS}}
    assert "7 in Ops" in run.error_text
    assert run.entries.filter(code="HELD_BY_LIMITS").exists()
    assert not RecordLink.objects.filter(app_gone_at__isnull=False).exists()
    assert ObjectSync.objects.get().lease_until is None
    assert len(graves.hubspot()) == PAIRS + 1
    assert "new.example" not in graves.rows()


def test_what_is_back_is_found_by_an_incremental_run(graves):
    graves.pairs(PAIRS, deletes="propagate")
    rows = graves.world.sql("SELECT id, name, domain, phone FROM companies")
    graves.world.sql(DELETE, PAIRS)
    graves.run("--full", status=1)
    for row in rows:
        graves.world.sql(
            "INSERT INTO companies (id, name, domain, phone) VALUES (%s, %s, %s, %s)",
            *row,
        )
    report = graves.run()
    assert (report["status"], report["matched"]) == ("succeeded", PAIRS)
    assert held() == []
    assert graves.quiet()
    assert len(graves.hubspot()) == PAIRS


def test_approving_the_held_run_takes_them_for_gone_and_a_plan_has_its_own_limit(
    graves,
):
    graves.pairs(PAIRS, deletes="propagate")
    graves.world.sql(DELETE, 7)
    graves.run("--full", status=1)
    (run,) = held()
    # They are gone; that as many records are archived for it is another question.
    graves.approve(str(run.parent_id), status=1)
    (plan,) = held()
    assert set(plan.held) == {"percent"}
    assert len(graves.hubspot()) == PAIRS
    graves.approve(str(plan.parent_id))
    assert len(graves.hubspot()) == PAIRS - 7
    assert graves.quiet()


@pytest.mark.parametrize(
    ("limits", "lost", "status"),
    [
        ({"archive": 3}, 4, 1),
        ({"archive": "off", "percent": "off"}, PAIRS, 0),
    ],
)
def test_the_sync_s_own_limits_decide_how_many_are_many(graves, limits, lost, status):
    graves.pairs(PAIRS, deletes="ignore", limits=limits)
    graves.world.sql(DELETE, lost)
    report = graves.run("--full", status=status)
    assert report["matched"] == (PAIRS if status else PAIRS - lost)


def test_records_that_vanish_from_hubspot_are_held_too(graves, admin_client):
    graves.pairs(PAIRS, deletes="ask")
    for n in range(7):
        graves.archive_in_hubspot(f"c{n}.example")
    graves.run("--full", status=1)
    (run,) = held()
    assert run.held == {"vanished": {"hubspot": 7, "of": PAIRS}}
    listed = manage("approve", str(run.parent_id), "--list")
    assert (listed.status, "vanished" in listed.out) == (0, True), listed
    for name in ("syncs_approval_changelist", "index"):
        assert admin_client.get(reverse(f"admin:{name}")).status_code == 200
    graves.approve(str(run.parent_id))
    assert len(graves.waiting()) == 7
    assert held() == []


def test_links_stay_while_their_ends_vanish_and_the_far_sync_still_counts_them(
    graves,
):
    world = graves.world
    world.sql(
        "INSERT INTO companies (name, domain) SELECT 'C' || n, 'c' || n || '.example' "
        "FROM generate_series(1, %s) n",
        PAIRS,
    )
    world.sql(
        "INSERT INTO people (email, company_id) SELECT 'p' || id || '@x.example', id "
        "FROM companies"
    )
    world.set_up(deletes="ignore")
    world.run()
    world.sql(DELETE, 7)  # empties people.company_id by its foreign key
    companies, contacts = world.run(full=True)["syncs"]
    assert (companies["status"], contacts["status"]) == ("held", "succeeded")
    assert contacts["associations"]["removed"] == NOTHING
    assert len(world.primary()) == PAIRS
    assert not RecordLink.objects.filter(app_gone_at__isnull=False).exists()
    companies, contacts = world.run()["syncs"]
    assert (companies["status"], contacts["associations"]["removed"]) == (
        "held",
        NOTHING,
    )


def test_a_preview_that_is_held_leaves_nothing_to_approve(graves):
    graves.pairs(PAIRS, deletes="propagate")
    graves.world.sql(DELETE, 7)
    graves.run("--full", "--dry-run", status=1)
    assert held() == []
    assert SyncRun.objects.filter(dry_run=True, status="held").count() == 2


@pytest.mark.parametrize("vanish", [DELETE, ARCHIVE])
def test_a_run_with_a_limit_of_records_concludes_nothing_and_the_next_does(
    graves, vanish
):
    graves.pairs(3, deletes="propagate")
    graves.run()
    graves.world.sql(vanish, 1)
    report = graves.run("--limit", "2")
    assert (report["matched"], report["archived"]) == (3, NOTHING)
    assert len(graves.hubspot()) == 3
    report = graves.run()
    assert report["archived"] == {"hubspot": 1, "app": 0}
    assert len(graves.hubspot()) == 2
