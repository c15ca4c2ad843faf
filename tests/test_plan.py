"""A preview's plan is applied exactly, but for what moved since."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import Change, SyncRun
from syncs.models.choices import ChangeOutcome, Trigger
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def test_what_moved_since_the_plan_is_drifted_and_the_rest_goes(world):
    domains = [f"c{n}.example" for n in range(8)]
    companies = world.create("companies", [{"name": d, "domain": d} for d in domains])
    mails = [f"p{n}@x.example" for n in range(8)]
    contacts = world.create("contacts", [{"email": m, "firstname": "A"} for m in mails])
    for contact, company in zip(contacts, companies, strict=True):
        world.make_primary(contact, company)
    world.set_up()
    assert world.run()["status"] == "succeeded"
    # Work for a plan: six names, four links.
    for n in range(6):
        world.update("contacts", contacts[n], firstname="B")
    for n in range(4, 8):
        world.sql(
            "UPDATE people SET company_id = (SELECT id FROM companies WHERE domain = %s) "
            "WHERE email = %s",
            domains[(n + 1) % 8],
            mails[n],
        )
    preview = world.run(dry_run=True)
    assert preview["syncs"][1]["updated"] == {"hubspot": 0, "app": 6}
    assert preview["syncs"][1]["associations"]["changed"] == {"hubspot": 4, "app": 0}
    plan, children = services.plan_run(preview["run"])
    # Three records and two links are edited in between.
    world.sql("UPDATE people SET first_name = 'X' WHERE email = %s", mails[0])
    world.sql("UPDATE people SET first_name = 'Y' WHERE email = %s", mails[1])
    world.update("contacts", contacts[2], firstname="Z")
    world.make_primary(contacts[6], companies[0])
    world.sql("UPDATE people SET company_id = NULL WHERE email = %s", mails[7])
    syncs = [child.sync for child in children if child.sync is not None]
    run = services.start(syncs=syncs, trigger=Trigger.COMMAND, plan=plan)
    services.execute(run)
    changes = Change.objects.filter(run__in=SyncRun.objects.filter(parent=run))
    drifted = changes.filter(outcome=ChangeOutcome.DRIFTED)
    assert sorted(drifted.values_list("kind", "record")) == sorted(
        [("update", mails[n]) for n in (0, 1, 2)]
        + [("relabel", mails[n]) for n in (6, 7)]
    )
    assert set(drifted.values_list("error_code", flat=True)) == {"CHANGED_SINCE_PLAN"}
    applied = changes.filter(outcome=ChangeOutcome.APPLIED)
    assert sorted(applied.values_list("kind", "record")) == sorted(
        [("update", mails[n]) for n in (3, 4, 5)]
        + [("relabel", mails[n]) for n in (4, 5)]
    )
    names = {m: row[0] for m, row in world.people_rows().items()}
    assert [names[m] for m in mails] == ["X", "Y", "A", "B", "B", "B", "A", "A"]
    primary = world.primary()
    assert primary[mails[4]] == domains[5]
    assert primary[mails[5]] == domains[6]
    assert primary[mails[6]] == domains[0]
    assert primary[mails[7]] == domains[7]


def test_what_else_moved_since_the_plan_travels_with_the_next_run(world):
    (ann,) = world.create("contacts", [{"email": "a@x.example", "firstname": "A"}])
    world.set_up()
    world.run()
    world.update("contacts", ann, firstname="B")
    preview = world.run(dry_run=True)
    world.sql("UPDATE people SET last_name = 'Late'")
    plan, children = services.plan_run(preview["run"])
    syncs = [child.sync for child in children if child.sync is not None]
    services.execute(services.start(syncs=syncs, trigger=Trigger.COMMAND, plan=plan))
    assert world.people_rows()["a@x.example"][0] == "B"
    world.run()
    assert world.contacts_in_hubspot()["a@x.example"]["lastname"] == "Late"


def test_a_plan_is_refused_after_the_set_up_changed(world):
    world.set_up()
    preview = world.run(dry_run=True)
    world.companies.revision += 1
    world.companies.save(update_fields=["revision"])
    with pytest.raises(services.RunError, match="set-up changed"):
        services.plan_run(preview["run"])
