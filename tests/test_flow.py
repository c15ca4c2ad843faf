"""The set-up flow: from two connected systems to links in step, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from associations import tasks
from associations.drafts import look
from associations.drafts.rereading import read_again
from associations.models import AssociationMapping
from associations.setup.exporting import export
from connections import services as connection_services
from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import ObjectSync, SyncDraft, SyncRun
from tests.flow import Flow, edited
from tests.vendor import all_records
from tests.world import PRIMARY, World

pytestmark = [pytest.mark.admin, pytest.mark.django_db(transaction=True)]

MOST_QUERIES = 20


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        made = World(sandbox, pg_dsn)
        made.connect()
        yield made


def run_queued() -> None:
    """Do what the task cluster would."""
    for run in SyncRun.objects.filter(parent=None, status="queued").order_by("pk"):
        services.execute(run)


def test_from_connected_systems_to_links_in_step(admin_client, world):
    companies = world.create(
        "companies",
        [
            {"name": "Acorn", "domain": "acorn.example"},
            {"name": "Birch", "domain": "birch.example"},
        ],
    )
    contacts = world.create("contacts", [{"email": "ann@x.example"}])
    world.make_primary(contacts[0], companies[0])
    world.sql(
        "INSERT INTO companies (name, domain) VALUES ('Acorn', 'https://acorn.example')"
    )
    flow = Flow(admin_client, world.app)

    # Contacts first: their reference leads to what has no sync yet.
    contact_draft = flow.begin(app_object="people", hubspot_object="contacts")
    shown = flow.see("configure").content.decode()
    assert "Set up companies first" in shown
    assert "email" in shown
    text = flow.see("link", "?app_field=company_id").content.decode()
    assert "has no sync yet" in text

    # The reference's target, set up on the way, leads back; what was chosen is kept.
    way = next(
        one["first"]
        for one in flow.see("configure").context["references"]
        if one["first"]
    )
    url = flow.send("configure", go=way, creates="to_app")["Location"]
    first = admin_client.get(url)
    assert first.context["form"]["hubspot_object"].value() == "companies"
    answer = admin_client.post(
        url,
        {
            "direction": "two_way",
            "app_object": "companies",
            "hubspot_object": "companies",
        },
    )
    flow.draft = SyncDraft.objects.latest("pk")
    assert answer["Location"] == flow.url("configure")
    flow.send("configure", then="limit")
    flow.send("limit", then="review", app_cursor="updated_at")
    review = flow.see("review")
    assert review.context["problems"] == []
    assert [c.records for c in review.context["costs"]] == [2, 1]
    answer = admin_client.post(flow.url("review"), {"go": "save"})
    flow.draft = contact_draft
    assert answer["Location"].split("#")[0] == flow.url("configure")
    assert flow.see("configure").context["form"]["creates"].value() == "to_app"
    run_queued()
    assert set(world.company_rows()) == {"https://acorn.example", "birch.example"}

    # The key lab looks at live records; what is typed is kept on every way out.
    flow.draft.refresh_from_db()
    flow.send("configure", go="link", conflict="app")
    assert flow.draft.tree["conflict"] == "app"
    flow.send("link", "?app_field=company_id", then="configure")
    assert "Primary" in flow.see("configure").content.decode()
    flow.send("configure", then="limit")
    flow.send("limit", then="review", app_cursor="updated_at", every="off")

    # Preview writes nothing; a test writes one; saved, all of it runs.
    admin_client.post(flow.url("review"), {"go": "preview"})
    sync = ObjectSync.objects.get(name="Contacts")
    assert not sync.enabled
    run_queued()
    assert world.people_rows() == {}
    review = flow.see("review")
    assert ("Records created", 0, 1) in review.context["runs"][0]["work"]
    assert review.context["from_preview"]
    admin_client.post(flow.url("review"), {"go": "test", "few": "1"})
    run_queued()
    assert set(world.people_rows()) == {"ann@x.example"}
    admin_client.post(flow.url("review"), {"go": "save"})
    run_queued()
    sync.refresh_from_db()
    assert (sync.enabled, sync.paused, sync.every_s) == (True, False, None)
    assert world.people_rows()["ann@x.example"][2] == "https://acorn.example"
    assert AssociationMapping.objects.get(sync=sync).type_id == PRIMARY[1]
    assert not SyncDraft.objects.exists()

    over = {page: n for page, n in flow.costs.items() if n > MOST_QUERIES}
    assert over == {}


def in_slices(monkeypatch: pytest.MonkeyPatch, draft_id: int) -> list[str]:
    """Preview an edit in slices of no length. Returns: what each said."""
    queue: list[Any] = [(draft_id, None)]
    monkeypatch.setattr(tasks, "SLICE_S", -1)
    monkeypatch.setattr(tasks, "queue_preview", lambda *place: queue.append(place))
    said = []
    while queue:
        said.append(tasks.rehearse(*queue.pop()))
    return said


def test_an_edit_of_a_sync_at_work_is_tried_apart_and_reads_only_what_it_lacks(
    admin_client, world, monkeypatch
):
    world.make_syncs()
    ids = world.create(
        "companies",
        [{"name": f"C{n}", "domain": f"c{n}.example", "city": "Ulm"} for n in range(3)],
    )
    world.create("contacts", [{"email": "ann@x.example"}])
    world.run()
    sync = world.companies
    flow = edited(admin_client, sync)
    assert edited(admin_client, sync).draft == flow.draft  # one draft, gone on with

    # One way instead of both: nothing has to be read again for that.
    world.update("companies", ids[0], name="C0 & Co")
    flow.send("configure", then="limit", direction="to_hubspot")
    review = flow.see("review")
    assert "No record is read again" in review.content.decode()
    sync.refresh_from_db()
    assert (sync.direction, sync.revision) == ("two_way", 1)

    # It is previewed on a copy, which nobody else sees; the sync goes on meanwhile.
    admin_client.post(flow.url("review"), {"go": "preview"})
    said = in_slices(monkeypatch, flow.draft.pk)
    assert len(said) > 2, said
    run_queued()
    work = {w: n for w, *n in flow.see("review").context["runs"][0]["work"]}
    # Its fields begin anew under the other direction: the app's old name would win.
    assert work["Records updated"] == [1, 0]
    assert work["Records created"] == [0, 0]  # the pairs are known to the copy
    assert ObjectSync.objects.filter(archived_at=None).count() == 2
    assert world.run(sync)["syncs"][0]["updated"] == {"hubspot": 0, "app": 1}
    assert world.company_rows()["c0.example"][0] == "C0 & Co"

    admin_client.post(flow.url("review"), {"go": "save"})
    run_queued()
    sync.refresh_from_db()
    assert (sync.direction, sync.revision) == ("to_hubspot", 2)
    (copy,) = ObjectSync.objects.exclude(archived_at=None)
    monkeypatch.undo()
    assert tasks.throw_away(copy.pk) == "thrown away"
    assert not ObjectSync.objects.exclude(archived_at=None).exists()
    part = SyncRun.objects.filter(sync=sync).latest("pk")
    assert (part.revision, part.status) == (2, "succeeded")
    assert part.counters["read"]["app"] < 3


def test_a_mapping_moved_to_a_renamed_field_promises_no_more_than_its_run_keeps(
    admin_client, world
):
    world.make_syncs()
    world.create("companies", [{"name": n, "domain": f"{n}.example"} for n in "abcde"])
    world.run(world.companies)
    world.sql("ALTER TABLE companies RENAME COLUMN name TO firm")
    connection_services.refresh_schema(world.app)
    flow = edited(admin_client, world.companies)
    draft = flow.draft
    (moved,) = [one for one in draft.tree["fields"] if one["app"] == "name"]
    moved["app"] = "firm"
    draft.save()
    found = read_again(draft, look(draft))
    assert (found.sides, found.why) == ((), "")
    assert found.tried[0].startswith(
        "firm of Ops stands in place of name, which is not"
    )

    said = flow.see("review").content.decode()
    assert "firm of Ops stands in place of name" in said
    assert "No record is read again" not in said
    admin_client.post(flow.url("review"), {"go": "save"})
    run_queued()
    part = SyncRun.objects.filter(sync=world.companies).latest("pk")
    assert part.status == "succeeded"
    told = "firm can be read again and holds what it held; only records that changed"
    assert part.entries.filter(text__contains=told).exists()


def test_a_field_added_later_asks_whose_values_it_begins_with(admin_client, world):
    world.make_syncs(conflict="hubspot")
    world.sql("ALTER TABLE companies ADD COLUMN city text")
    connection_services.refresh_schema(world.app)
    world.create(
        "companies", [{"name": "Acorn", "domain": "acorn.example", "city": "Ulm"}]
    )
    world.run(world.companies)
    world.sql("UPDATE companies SET city = 'Bonn'")

    flow = edited(admin_client, world.companies)
    page = flow.see("field", "?app=city")
    assert "Whose values it begins with" in page.content.decode()
    names = [name for name, _ in page.context["form"].fields["hubspot"].choices]
    assert "city" in names
    assert "hs_object_id" in names  # it can be read
    flow.send("field", "?app=city", then="configure", seed="app")
    flow.send("configure", then="limit")
    flow.send("limit", then="review")
    said = "city of Ops and city of HubSpot have never been read"
    assert said in flow.see("review").content.decode()
    admin_client.post(flow.url("review"), {"go": "save"})
    run_queued()
    (found,) = all_records(world.client, "companies", ("city",)).values()
    assert found["city"] == "Bonn"
    # Known to the file, too: an export says it, and says it again.
    assert "seed: app" in export()
