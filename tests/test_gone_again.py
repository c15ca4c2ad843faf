"""Records that are made again, merged, or lost while a run is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from connections.connectors.hubspot import HubSpotConnector
from connections.connectors.postgres import PostgresConnector
from connections.records import Outcome
from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import Change, RecordLink
from tests.graves import NOTHING, Graves
from tests.test_identity import merge
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
C0, C1 = "c0.example", "c1.example"


@pytest.fixture
def graves(pg_dsn: str, tmp_path: Path) -> Iterator[Graves]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield Graves(World(sandbox, pg_dsn), tmp_path / "setup.yaml")


def delete_row(graves: Graves, domain: str = C0) -> None:
    graves.world.sql("DELETE FROM companies WHERE domain = %s", domain)


# Create again --------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["hubspot", "app"])
def test_a_survivor_is_created_again_on_the_other_side(graves, side):
    graves.pairs(2, deletes="ask")
    if side == "hubspot":
        graves.archive_in_hubspot()
    else:
        delete_row(graves)
    graves.run("--full")
    services.create_again(links=[graves.link()])
    report = graves.run()
    assert report["created"] == NOTHING | {side: 1}
    assert report["awaiting"]["deletes"] == 0
    assert graves.hubspot() == graves.rows() == {C0, C1}
    assert graves.quiet()


def test_a_survivor_to_be_created_again_takes_a_record_that_has_its_key(graves):
    graves.pairs(2, deletes="ignore")
    delete_row(graves)
    graves.run("--full")
    graves.world.sql("INSERT INTO companies (name, domain) VALUES ('C0', %s)", C0)
    services.create_again(links=[graves.link()])
    report = graves.run()
    assert (report["created"], report["matched"]) == (NOTHING, 2)


def test_what_hubspot_cannot_restore_is_created_again(graves):
    graves.pairs(2, deletes="propagate")
    graves.world.sql("UPDATE companies SET archived = true WHERE id = 1")
    graves.run()
    graves.world.sql("UPDATE companies SET archived = false")
    graves.run()
    services.create_again(links=[graves.link()])
    assert graves.run()["created"] == NOTHING | {"hubspot": 1}
    assert graves.hubspot() == graves.rows() == {C0, C1}
    assert graves.quiet()


def test_create_again_is_offered_where_one_side_is_gone_and_nowhere_else(
    graves, admin_client
):
    graves.pairs(2, deletes="ignore")
    delete_row(graves)
    graves.run("--full")
    gone, whole = graves.link(), graves.link(C1)
    for link, offered in ((gone, True), (whole, False)):
        page = reverse("admin:syncs_recordlink_change", args=[link.pk])
        assert ("Create again" in admin_client.get(page).content.decode()) is offered
    with pytest.raises(services.PairError):
        services.create_again(links=[gone, whole])
    url = reverse("admin:syncs_recordlink_do", args=[gone.pk, "create-again"])
    admin_client.post(url)
    gone.refresh_from_db()
    assert (gone.app_id, gone.state, gone.dirty) == (None, "new", True)


# Deleted and made again between two runs -----------------------------------------------


@pytest.mark.parametrize("side", ["hubspot", "app"])
def test_a_record_made_again_with_its_key_pairs_in_an_incremental_run(graves, side):
    graves.pairs(2, deletes="propagate")
    other = graves.link().hubspot_id if side == "app" else graves.link().app_id
    if side == "app":
        delete_row(graves)
        graves.world.sql("INSERT INTO companies (name, domain) VALUES ('C0', %s)", C0)
    else:
        graves.archive_in_hubspot()
        graves.world.create("companies", [{"name": "C0", "domain": C0}])
    report = graves.run()
    assert (report["status"], report["matched"]) == ("succeeded", 2)
    assert (report["created"], report["archived"]) == (NOTHING, NOTHING)
    assert other in (graves.link().hubspot_id, graves.link().app_id)
    assert graves.quiet()


def test_a_survivor_whose_key_two_new_records_hold_is_not_archived(graves):
    graves.pairs(2, deletes="propagate")
    delete_row(graves)
    for _ in range(2):
        graves.world.sql("INSERT INTO companies (name, domain) VALUES ('C0', %s)", C0)
    for how in ("--full", "--full"):
        report = graves.run(how)
        assert (report["archived"], report["failing"]) == (NOTHING, 2)
        assert report["waiting"] == 1
    graves.world.sql("DELETE FROM companies WHERE domain = %s", C0)
    assert graves.run("--full")["archived"] == NOTHING | {"hubspot": 1}


# Merges --------------------------------------------------------------------------------


@pytest.mark.parametrize(("deletes", "primary"), [("ask", 0), ("propagate", 1)])
def test_a_merge_of_two_pairs_is_no_deletion(graves, deletes, primary):
    graves.pairs(2, deletes=deletes)
    ids = [graves.hubspot_id(d) for d in (C0, C1)]
    merge(graves.world, "companies", ids[primary], ids[1 - primary])
    for how in ("--full", "--full"):
        report = graves.run(how)
        assert (report["archived"], report["awaiting"]["deletes"]) == (NOTHING, 0)
    assert graves.rows() == {C0, C1}
    assert RecordLink.objects.get(error_code="RECORD_MERGED").state == "failing"


@pytest.mark.parametrize("queued", [True, False])
def test_a_deletion_does_not_travel_to_what_the_record_was_merged_into(graves, queued):
    graves.pairs(2, deletes="ask" if queued else "propagate")
    (unpaired,) = graves.world.create("companies", [{"name": "No key"}])
    delete_row(graves)
    if queued:
        graves.run("--full")
        assert len(graves.waiting()) == 1
    survivor = merge(graves.world, "companies", graves.hubspot_id(), unpaired)
    for how in ("--full", "--full"):
        report = graves.run(how)
        assert (report["archived"], report["awaiting"]["deletes"]) == (NOTHING, 0)
    assert survivor == graves.world.companies_in_hubspot()[C0]["id"]
    assert "merged" in graves.link().error_text


def test_an_approved_deletion_is_not_done_to_what_the_record_was_merged_into(graves):
    graves.pairs(2, deletes="ask")
    (unpaired,) = graves.world.create("companies", [{"name": "No key"}])
    delete_row(graves)
    graves.run("--full")
    merge(graves.world, "companies", graves.hubspot_id(), unpaired)
    graves.approve("deletes")
    assert Change.objects.get(kind="archive").outcome != "applied"
    assert C0 in graves.hubspot()


# Killed --------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    ("side", "sent"), [("hubspot", True), ("app", True), ("app", False)]
)
def test_a_kill_around_an_archive_neither_repeats_it_nor_lets_it_travel_back(
    graves, monkeypatch, side, sent
):
    graves.pairs(2, deletes="propagate")
    deleted = graves.archive_in_hubspot() if side == "app" else ""
    if side == "hubspot":
        delete_row(graves)
    connector, name = {
        "hubspot": (HubSpotConnector, "archive"),
        "app": (PostgresConnector, "update"),
    }[side]
    real = getattr(connector, name)

    def die(*args: Any) -> Any:
        if sent:
            real(*args)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(connector, name, die)
        with pytest.raises(Killed):
            graves.run("--full")
    assert Change.objects.get(kind="archive").outcome == "sent"
    if side == "app":
        # The deletion is undone before the next run hears of its own archive.
        graves.restore_in_hubspot(deleted)
        report = graves.run("--full")
        assert (report["archived"]["hubspot"], graves.hubspot()) == (0, {C0, C1})
        assert graves.rows() == {C0, C1}
    else:
        report = graves.run()
        assert report["archived"] == NOTHING | {"hubspot": 1}
        assert graves.hubspot() == {C1}
    assert graves.quiet()
    applied = Change.objects.filter(kind="archive", outcome="applied").count()
    assert applied == (1 if sent or side == "hubspot" else 0)


def test_an_archive_without_an_answer_is_looked_up_before_it_is_sent_again(
    graves, monkeypatch
):
    graves.pairs(2, deletes="propagate")
    delete_row(graves)
    calls: list[int] = []
    real = HubSpotConnector.archive

    def lose(self: HubSpotConnector, obj: Any, ids: Any) -> Any:
        calls.append(len(ids))
        real(self, obj, ids)
        return [Outcome(False, message="lost", uncertain=True) for _ in ids]

    monkeypatch.setattr(HubSpotConnector, "archive", lose)
    graves.run("--full")
    assert graves.run()["archived"] == NOTHING | {"hubspot": 1}
    assert calls == [1]
    assert graves.quiet()


# Links ---------------------------------------------------------------------------------


def test_links_stand_still_while_an_end_is_gone_and_are_there_once_it_is_back(graves):
    world = graves.world
    world.sandbox.control.set_switches(restore_brings_links=False)
    (company,) = world.create("companies", [{"name": "A", "domain": C0}])
    (ann,) = world.create("contacts", [{"email": "ann@x.example"}])
    world.make_primary(ann, company)
    archive = {"app": {"field": "archived", "value": True}}
    world.set_up(deletes="propagate", archive=archive)
    world.contacts.archive = {}
    world.contacts.deletes = "ignore"
    world.contacts.save()
    world.run()
    linked = {"ann@x.example": (None, None, C0)}
    assert world.people_rows() == linked
    world.client.crm.objects.basic_api.archive("companies", company)
    for _ in range(2):
        report = world.run(full=True)
        assert report["syncs"][1]["associations"]["removed"] == NOTHING
    assert graves.rows(archived=True) == {C0}
    assert world.people_rows() == linked
    graves.restore_in_hubspot(company)
    world.run(full=True)
    world.run(full=True)
    assert graves.rows() == {C0}
    assert world.people_rows() == linked
    assert world.primary() == {"ann@x.example": C0}
