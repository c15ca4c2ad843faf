"""What the deletion of one record of a pair means for the other, either way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from connections.connectors.hubspot import HubSpotConnector
from connections.connectors.postgres import PostgresConnector
from connections.records import Page
from connections.sandbox.server import SandboxServer
from syncs.models import Change
from tests.graves import NOTHING, Graves
from tests.shell import manage
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
C0, C1 = "c0.example", "c1.example"
ONE_IN_APP, ONE_IN_HUBSPOT = NOTHING | {"app": 1}, NOTHING | {"hubspot": 1}


@pytest.fixture
def graves(pg_dsn: str, tmp_path: Path) -> Iterator[Graves]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield Graves(World(sandbox, pg_dsn), tmp_path / "setup.yaml")


def deleted_in_hubspot(graves: Graves) -> None:
    graves.archive_in_hubspot()


def deleted_for_privacy(graves: Graves) -> None:
    """As by a GDPR request: nothing of it is left, not even among the archived."""
    account = graves.world.sandbox.hubspot.main
    with account.store.transaction():
        kind = account.catalogue.kind("companies")
        account.records.remove(kind, int(graves.hubspot_id()))


def deleted_in_app(graves: Graves) -> None:
    graves.world.sql("DELETE FROM companies WHERE domain = %s", C0)


def archived_in_app(graves: Graves) -> None:
    graves.world.sql("UPDATE companies SET archived = true WHERE domain = %s", C0)


Deletion = Callable[[Graves], None]
IN_HUBSPOT = [deleted_in_hubspot]
IN_APP = [deleted_in_app, archived_in_app]


# The three modes -----------------------------------------------------------------------


@pytest.mark.parametrize("delete", [*IN_HUBSPOT, archived_in_app])
def test_ignored_the_survivor_is_neither_changed_nor_created_again(graves, delete):
    graves.pairs(2, deletes="ignore")
    delete(graves)
    report = graves.run("--full")
    assert (report["matched"], report["archived"]) == (1, NOTHING)
    assert graves.quiet()
    assert graves.link().state == "gone"
    survivors = graves.rows() if delete in IN_HUBSPOT else graves.hubspot()
    assert survivors == {C0, C1}


@pytest.mark.parametrize("delete", IN_HUBSPOT)
def test_propagated_from_hubspot_the_row_s_column_says_archived(graves, delete):
    graves.pairs(2, deletes="propagate")
    delete(graves)
    assert graves.run("--full")["archived"] == ONE_IN_APP
    assert (graves.rows(archived=True), graves.rows()) == ({C0}, {C1})
    change = Change.objects.get(kind="archive")
    assert (change.outcome, change.before["name"]) == ("applied", "C0")
    assert (change.after, change.undoable) == ({"archived": True}, True)
    assert graves.quiet()
    assert graves.hubspot() == {C1}


@pytest.mark.parametrize("delete", IN_APP)
def test_propagated_from_the_app_the_record_is_in_hubspot_s_archive(graves, delete):
    graves.pairs(2, deletes="propagate")
    delete(graves)
    assert graves.run("--full")["archived"] == ONE_IN_HUBSPOT
    assert (graves.hubspot(archived=True), graves.hubspot()) == ({C0}, {C1})
    change = Change.objects.get(kind="archive")
    assert (change.after, change.undoable) == ({}, False)
    assert "recycling bin" in change.undo_text
    assert graves.quiet()
    assert graves.rows() == {C1}


@pytest.mark.parametrize(
    ("delete", "there"), [(deleted_in_hubspot, "app"), (archived_in_app, "hubspot")]
)
def test_asked_it_waits_over_runs_and_is_done_once_approved(graves, delete, there):
    graves.pairs(2, deletes="ask")
    delete(graves)
    for how in ("--full", "--full", "--dry-run"):
        report = graves.run(how)
        assert report["status"] == "succeeded"
        assert (report["awaiting"]["deletes"], report["archived"]) == (1, NOTHING)
    (row,) = graves.waiting()
    assert (row.side, row.link_id) == (there, graves.link().pk)
    assert graves.link().state == "gone"
    graves.approve("deletes", "--only", str(row.pk))
    row.refresh_from_db()
    assert (row.outcome, row.run.counters["archived"][there]) == ("applied", 1)
    assert graves.hubspot() == graves.rows() == {C1}
    assert graves.quiet()
    assert graves.waiting() == []


def test_a_preview_of_an_asked_deletion_queues_nothing(graves):
    graves.pairs(2, deletes="ask")
    deleted_in_hubspot(graves)
    report = graves.run("--full", "--dry-run")
    assert report["awaiting"]["deletes"] == 0
    assert Change.objects.get(kind="archive").outcome == "skipped"
    assert graves.run()["awaiting"]["deletes"] == 1


@pytest.mark.parametrize("back", [False, True])
def test_a_preview_s_archive_is_applied_unless_the_record_is_back(graves, back):
    graves.pairs(2, deletes="propagate")
    record_id = graves.archive_in_hubspot()
    preview = graves.run("--full", "--dry-run")
    assert (preview["archived"], graves.rows()) == (ONE_IN_APP, {C0, C1})
    if back:
        graves.restore_in_hubspot(record_id)
    report = graves.run("--apply-plan", str(preview["run"]))
    assert report["archived"] == (NOTHING if back else ONE_IN_APP)
    assert graves.rows(archived=True) == (set() if back else {C0})
    assert graves.quiet()


def test_a_deletion_against_the_direction_does_not_travel(graves):
    graves.pairs(2, deletes="propagate", direction="to_hubspot")
    deleted_in_hubspot(graves)
    assert graves.run("--full")["archived"] == NOTHING
    assert "nothing travels to Ops" in graves.link().error_text
    assert graves.rows() == {C0, C1}


def test_a_privacy_deletion_travels_like_any_other(graves):
    graves.pairs(2, deletes="propagate")
    deleted_for_privacy(graves)
    assert graves.run("--full")["archived"] == ONE_IN_APP
    assert graves.rows(archived=True) == {C0}


# The queue -----------------------------------------------------------------------------


def test_what_a_person_dropped_is_not_asked_again_for_that_deletion(graves):
    graves.pairs(2, deletes="ask")
    deleted_in_app(graves)
    graves.run("--full")
    graves.approve("deletes", "--drop")
    graves.world.update("companies", graves.hubspot_id(), phone="9")
    for _ in range(2):
        assert graves.run("--full")["awaiting"]["deletes"] == 0
    assert "a person decided so" in graves.link().error_text
    assert graves.hubspot() == {C0, C1}
    # Another deletion is another question.
    graves.world.sql(
        "INSERT INTO companies (id, name, domain) VALUES (1, 'C0', %s)", C0
    )
    assert graves.run("--full")["matched"] == 2
    deleted_in_app(graves)
    assert graves.run("--full")["awaiting"]["deletes"] == 1


@pytest.mark.parametrize("why", ["back", "both gone", "untied", "not asked"])
def test_a_queued_deletion_falls_by_itself(graves, why):
    graves.pairs(2, deletes="ask")
    record_id = graves.archive_in_hubspot()
    graves.run("--full")
    assert len(graves.waiting()) == 1
    if why == "back":
        graves.restore_in_hubspot(record_id)
    elif why == "both gone":
        deleted_in_app(graves)
    elif why == "untied":
        pair = ("--app", "Ops", "--sync", "Companies", record_id, "1")
        assert manage("unpair", *pair).status == 0
    else:
        graves.set_up(deletes="ignore")
    assert graves.run("--full")["awaiting"]["deletes"] == 0
    assert Change.objects.get(kind="archive").outcome == "skipped"
    assert graves.rows(archived=True) == set()


def test_an_edit_of_the_survivor_is_shown_before_the_deletion_is_approved(graves):
    graves.pairs(2, deletes="ask")
    deleted_in_hubspot(graves)
    graves.run("--full")
    (row,) = graves.waiting()
    graves.world.sql("UPDATE companies SET phone = '7' WHERE domain = %s", C0)
    graves.approve("deletes")
    row.refresh_from_db()
    assert (row.outcome, graves.rows()) == ("drifted", {C0, C1})
    graves.run()
    (again,) = graves.waiting()
    assert (again.before["phone"], "phone was changed" in again.reason) == ("7", True)
    graves.approve("deletes")
    assert graves.rows(archived=True) == {C0}


def test_a_survivor_with_edits_of_its_own_waits_even_if_deletions_propagate(graves):
    graves.pairs(2, deletes="propagate")
    deleted_in_hubspot(graves)
    graves.world.sql("UPDATE companies SET phone = '7' WHERE domain = %s", C0)
    report = graves.run("--full")
    assert (report["archived"], report["awaiting"]["deletes"]) == (NOTHING, 1)
    assert graves.rows() == {C0, C1}


# For good ------------------------------------------------------------------------------


def test_a_deletion_for_good_is_asked_for_even_if_deletions_propagate(graves):
    graves.pairs(2, deletes="propagate", archive=None, hard_delete=True)
    deleted_in_hubspot(graves)
    report = graves.run("--full")
    assert (report["archived"], report["awaiting"]["deletes"]) == (NOTHING, 1)
    (row,) = graves.waiting()
    assert (row.undoable, "for good" in row.undo_text) == (False, True)
    graves.approve("deletes")
    assert graves.rows() == {C1}
    assert graves.quiet()


def test_a_row_that_others_would_be_deleted_with_stays_and_fails_alone(graves):
    graves.world.sql(
        "CREATE TABLE orders (company int REFERENCES companies ON DELETE CASCADE)"
    )
    graves.pairs(2, deletes="ask", archive=None, hard_delete=True)
    graves.world.sql("INSERT INTO orders VALUES (1)")
    for domain in (C0, C1):
        graves.archive_in_hubspot(domain)
    graves.run("--full")
    graves.approve("deletes", status=0)
    assert graves.rows() == {C0}
    assert graves.world.sql("SELECT company FROM orders") == [(1,)]
    link = graves.link()
    assert (link.state, "orders" in link.error_text) == ("failing", True)


# Back again ----------------------------------------------------------------------------


def test_a_record_that_is_back_pairs_again_and_the_row_leaves_the_archive(graves):
    graves.pairs(2, deletes="propagate")
    record_id = graves.archive_in_hubspot()
    graves.run("--full")
    assert graves.rows(archived=True) == {C0}
    graves.restore_in_hubspot(record_id)
    report = graves.run("--full")
    assert (report["updated"], report["matched"]) == (ONE_IN_APP, 2)
    assert graves.rows() == {C0, C1}
    assert "is back" in Change.objects.get(rule="restored").reason
    assert graves.quiet()
    # It is an ordinary pair again: the next deletion travels, too.
    graves.archive_in_hubspot()
    assert graves.run("--full")["archived"] == ONE_IN_APP


def test_a_restored_record_pairs_again_in_an_incremental_run_that_sees_it(graves):
    graves.pairs(2, deletes="ignore")
    record_id = graves.archive_in_hubspot()
    graves.run("--full")
    graves.restore_in_hubspot(record_id)
    graves.world.update("companies", record_id, phone="3")
    report = graves.run()
    assert (report["matched"], report["updated"]) == (2, ONE_IN_APP)
    assert graves.quiet()


@pytest.mark.parametrize("deletes", ["propagate", "ignore"])
def test_a_row_that_leaves_its_archive_by_hand_pairs_again(graves, deletes):
    graves.pairs(2, deletes=deletes)
    archived_in_app(graves)
    graves.run()
    graves.world.sql("UPDATE companies SET archived = false, phone = '5'")
    report = graves.run()
    if deletes == "ignore":
        assert (report["matched"], report["updated"]["hubspot"]) == (2, 2)
    else:
        # HubSpot's API cannot bring the record back: said, and left.
        assert report["archived"] == NOTHING
        assert "Create again" in graves.link().error_text
        assert graves.rows() == {C0, C1}
        graves.restore_in_hubspot(str(graves.link().hubspot_id))
        assert graves.run("--full")["matched"] == 2
    assert graves.quiet()


def test_a_row_that_somebody_took_out_of_our_archive_is_left_alone(graves):
    graves.pairs(2, deletes="propagate")
    deleted_in_hubspot(graves)
    graves.run("--full")
    graves.world.sql("UPDATE companies SET archived = false")
    for how in ("--full", "--full"):
        assert graves.run(how)["archived"] == NOTHING
    assert "somebody brought it back" in graves.link().error_text
    assert (graves.rows(), graves.hubspot()) == ({C0, C1}, {C1})


def test_both_gone_and_one_back_says_so_and_archives_nothing(graves):
    graves.pairs(2, deletes="propagate")
    record_id = graves.archive_in_hubspot()
    deleted_in_app(graves)
    graves.run("--full")
    graves.restore_in_hubspot(record_id)
    assert graves.run("--full")["archived"] == NOTHING
    assert "both were gone" in graves.link().error_text
    assert graves.hubspot() == {C0, C1}


def test_an_archived_row_without_a_pair_is_never_created_in_hubspot(graves):
    graves.world.sql(
        "INSERT INTO companies (name, domain, archived) VALUES ('C0', %s, true)", C0
    )
    graves.set_up(deletes="propagate")
    assert graves.run()["created"] == NOTHING
    assert graves.quiet()
    graves.world.sql("UPDATE companies SET archived = false")
    assert graves.run()["created"] == ONE_IN_HUBSPOT


def test_what_is_gone_costs_a_quiet_run_nothing(graves):
    graves.pairs(3, deletes="propagate")
    graves.archive_in_hubspot(C1)
    archived_in_app(graves)
    graves.run("--full")
    # HubSpot tells its clock in whole seconds: what changed in this one is read again.
    time.sleep(1.1)
    for _ in range(2):
        graves.run()
    report = graves.run()
    assert report["read"] == NOTHING
    assert max(report["api_calls"].values()) <= 3


# Not deletions -------------------------------------------------------------------------


def test_rows_that_a_policy_hides_are_not_gone(graves):
    graves.pairs(2, deletes="propagate")
    world = graves.world
    world.sql("CREATE ROLE sees_c1 LOGIN PASSWORD 'sees_c1'")
    world.sql("GRANT SELECT, UPDATE ON companies TO sees_c1")
    world.sql("ALTER TABLE companies ENABLE ROW LEVEL SECURITY")
    world.sql(f"CREATE POLICY few ON companies USING (domain <> '{C0}')")
    parts = conninfo_to_dict(world.dsn) | {"user": "sees_c1", "password": "sees_c1"}
    host = f"{parts['host']}:{parts.get('port', 5432)}"
    owner = world.dsn
    try:
        world.dsn = f"postgresql://sees_c1:sees_c1@{host}/{parts['dbname']}"
        graves.set_up(deletes="propagate")
        report = graves.run("--full")
        assert (report["matched"], report["archived"]) == (2, NOTHING)
    finally:
        world.dsn = owner
        world.sql("DROP OWNED BY sees_c1")
        world.sql("DROP ROLE sees_c1")
    assert graves.hubspot() == {C0, C1}


def test_what_may_not_be_read_is_not_gone(graves):
    graves.pairs(2, deletes="propagate")
    for fault in ("status=403", "status=403,path=batch/read"):
        graves.world.sandbox.control.set_faults(fault)
        manage("sync", "--full", "--json")
    graves.world.sandbox.control.set_faults()
    assert graves.run("--full")["matched"] == 2
    assert graves.rows() == {C0, C1}
    assert not Change.objects.filter(kind="archive").exists()


def test_what_a_short_list_leaves_out_is_not_gone(graves, monkeypatch):
    graves.pairs(3, deletes="propagate")
    for connector in (HubSpotConnector, PostgresConnector):
        monkeypatch.setattr(connector, "pages", lambda *_: iter([Page(())]))
    report = graves.run("--full")
    assert (report["status"], report["matched"]) == ("succeeded", 3)
    assert report["archived"] == NOTHING
