"""Undo from the command line and from the admin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django_q.models import OrmQ

from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import SyncRun
from syncs.models.choices import Trigger
from tests.office import open_office, past_run
from tests.shell import manage
from tests.test_admin_actions import press, said
from tests.test_undo import ANN, BOB, MAILS, named, plant
from tests.world import World

# The command line ------------------------------------------------------------------------


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_the_command_shows_takes_back_and_says_what_it_left(world):
    ids = plant(world)
    for mail in MAILS:
        world.update("contacts", ids[mail], firstname="X")
    done = world.run()
    named(world, ANN, first_name="Mine")
    shown = manage("undo", str(done["run"]), "--dry-run", "--json")
    assert shown.status == 0
    assert (shown.json["dry_run"], shown.json["reverted"]) == (True, 2)
    assert shown.json["syncs"][0]["updated"] == {"hubspot": 0, "app": 2}
    assert world.people_rows()[BOB][0] == "X"
    told = manage("undo", str(done["run"]), "--dry-run")
    assert f"Would take back 2 changes of run {done['run']}." in told.out
    assert "left alone x 1, changed since CHANGED_SINCE_PLAN: ann@x.example" in told.out
    child = done["syncs"][1]["run"]
    ended = manage("undo", str(child), "--json")  # a child run's number does, too
    assert ended.status == 0, ended.err
    assert (ended.json["status"], ended.json["undo_of"]) == ("succeeded", child)
    assert ended.json["skipped"] == shown.json["skipped"]
    assert [row[0] for row in world.people_rows().values()].count("F") == 2
    again = manage("undo", str(done["run"]))
    assert again.status == 0  # one change still stands, and is left again
    assert "Took back 0 changes" in again.out


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_the_command_refuses_in_one_line_and_changes_nothing(world):
    plant(world)
    nothing = world.run()["run"]
    runs = SyncRun.objects.count()
    for argument, text in (
        (str(nothing), "wrote nothing"),
        ("999999", "There is no run 999999."),
        ("twelve", "not a whole number"),
    ):
        ended = manage("undo", argument, "--json")
        assert (ended.status, ended.out) == (2, "")
        assert text in ended.err
        assert len(ended.err.strip().splitlines()) == 1
    assert SyncRun.objects.count() == runs


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_a_run_that_fails_ends_with_1_and_the_rest_waits_for_another_undo(world):
    ids = plant(world)
    world.update("contacts", ids[ANN], firstname="X")
    done = world.run()
    world.sandbox.control.set_faults("status=401")
    ended = manage("undo", str(done["run"]), "--json")
    assert ended.status == 1
    assert (ended.json["status"], ended.json["reverted"]) == ("failed", 0)
    world.sandbox.control.set_faults()
    assert manage("undo", str(done["run"]), "--json").json["reverted"] == 1


# The admin -------------------------------------------------------------------------------


@pytest.fixture
def office():
    return open_office()


def page(client, run) -> str:
    url = reverse("admin:syncs_syncrun_change", args=[run.pk])
    return str(client.get(url).content.decode())


@pytest.mark.admin
@pytest.mark.django_db
def test_a_runs_page_offers_the_undo_and_previews_it_first(
    admin_client, admin_user, office, django_capture_on_commit_callbacks
):
    run = past_run(office, admin_user)
    assert "Undo this run" in page(admin_client, run)
    with django_capture_on_commit_callbacks(execute=True):
        answer = press(admin_client, run, "preview-undo")
    made = SyncRun.objects.get(undo_of=run)
    assert answer["Location"] == reverse("admin:syncs_syncrun_change", args=[made.pk])
    assert (made.dry_run, made.trigger, made.started_by) == (True, "admin", admin_user)
    children = list(made.children.order_by("pk").values_list("sync__name", flat=True))
    assert children == ["Contacts", "Companies"]  # the run's order, turned around
    assert [row.task["args"] for row in OrmQ.objects.all()] == [(made.pk,)]
    text = page(admin_client, made)
    assert f"Preview of the undo of run {run.pk}" in text
    assert f'Takes back</dt><dd><a href="/admin/syncs/syncrun/{run.pk}/' in text


@pytest.mark.admin
@pytest.mark.django_db
def test_an_undos_preview_says_what_is_left_and_is_applied(
    admin_client, admin_user, office, django_capture_on_commit_callbacks
):
    run = past_run(office, admin_user)
    made = services.start_undo(run_id=run.pk, trigger=Trigger.ADMIN, dry_run=True)
    SyncRun.objects.filter(pk=made.pk).update(status="succeeded")
    made.children.update(status="succeeded")
    child = made.children.all()[0]
    common = {"run": child, "sync": child.sync, "side": "app", "kind": "update"}
    child.changes.create(**common, record="Ann", outcome="planned", undoes=[1])
    for _ in range(2):
        child.changes.create(
            **common,
            record="Bob",
            outcome="skipped",
            rule="changed since",
            error_code="CHANGED_SINCE_PLAN",
            error_text="name changed since: it holds Mine.",
        )
    text = page(admin_client, made)
    assert "What would be left as it is" in text
    assert "Bob: name changed since: it holds Mine." in text
    with django_capture_on_commit_callbacks(execute=True):
        press(admin_client, made, "apply")
    applied = SyncRun.objects.get(plan=made)
    assert (applied.undo_of, applied.dry_run, applied.wait) == (run, False, True)
    kept = list(applied.children.order_by("pk").values_list("plan", "undo_of"))
    assert kept == list(made.children.order_by("pk").values_list("pk", "undo_of"))
    assert "Undone by" in page(admin_client, run)


@pytest.mark.admin
@pytest.mark.django_db
def test_the_lists_action_asks_and_undoes_the_newest_first(
    admin_client, admin_user, office, django_capture_on_commit_callbacks
):
    runs = [past_run(office, admin_user) for _ in range(2)]
    preview = past_run(office, admin_user, dry_run=True)
    url = reverse("admin:syncs_syncrun_changelist")
    data = {"action": "undo", "_selected_action": [r.pk for r in (*runs, preview)]}
    asked = admin_client.post(url, data).content.decode()
    assert "is taken back" in asked
    assert not SyncRun.objects.filter(undo_of__isnull=False).exists()
    with django_capture_on_commit_callbacks(execute=True):
        answer = admin_client.post(url, {**data, "confirmed": "yes"})
    made = SyncRun.objects.filter(undo_of__in=runs, parent=None).order_by("pk")
    assert [run.undo_of for run in made] == runs[::-1]
    assert all(run.wait and not run.dry_run for run in made)
    assert "not possible now for 1" in said(answer)


@pytest.mark.admin
@pytest.mark.django_db
def test_what_cannot_be_undone_is_said_on_the_page(admin_client, admin_user, office):
    run = past_run(office, admin_user, dry_run=True)
    child = run.children.all()[0]
    child.changes.create(
        sync=office.companies,
        side="app",
        kind="create",
        undoable=False,
        undo_text="A row cannot be archived.",
    )
    text = page(admin_client, run)
    assert "Cannot be undone: A row cannot be archived." in text
    assert "Undo this run" not in text


@pytest.mark.admin
@pytest.mark.django_db
def test_who_may_only_look_cannot_undo(client, django_user_model, office):
    viewer = django_user_model.objects.create_user("eve", password="x", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(viewer)
    run = past_run(office, viewer)
    assert "Undo this run" not in page(client, run)
    assert press(client, run, "undo").status_code == 403
    assert not SyncRun.objects.filter(undo_of=run).exists()
