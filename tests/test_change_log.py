"""Runs that read an app's change log rather than times of change."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import call_command

from connections import services as connection_services
from connections.connectors.postgres import change_log
from connections.sandbox.server import SandboxServer
from syncs.models import LogEntry, ObjectSync, RecordLink, SyncRun
from syncs.run import feeding
from syncs.run.session import Session
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
ANN, BOB, CID = (f"{name}@x.example" for name in ("ann", "bob", "cid"))


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        # No column tells when a row changed.
        world.sql("DROP TRIGGER touch ON people; DROP TRIGGER touch ON companies")
        world.create("contacts", [{"email": m, "firstname": "A"} for m in (ANN, BOB)])
        world.set_up(app_cursor="none")
        install(world)
        world.run()
        yield world


def install(world: World) -> None:
    out = io.StringIO()
    call_command("change_log", "--app", "Ops", stdout=out)
    world.sql(out.getvalue())
    world.app.settings = {"change_log": "crosslink_log"}
    world.app.save()
    connection_services.refresh_schema(world.app)


def name(world: World, mail: str, text: str) -> None:
    world.sql("UPDATE people SET first_name = %s WHERE email = %s", text, mail)


def first_names(world: World) -> dict[str, Any]:
    return {m: r["firstname"] for m, r in world.contacts_in_hubspot().items()}


def contacts(world: World, **how: Any) -> dict[str, Any]:
    (report,) = world.run(world.contacts, **how)["syncs"]
    assert report["status"] == "succeeded", report
    return dict(report)


def warnings() -> list[str]:
    found = LogEntry.objects.filter(level="warning").order_by("pk")
    return list(found.values_list("text", flat=True))


def test_a_change_travels_and_nothing_else_is_read(world: World) -> None:
    quiet = contacts(world)
    assert quiet["read"]["app"] == 0
    assert quiet["api_calls"]["app"] <= 3
    name(world, ANN, "Anna")
    report = contacts(world)
    assert (report["read"]["app"], report["updated"]["hubspot"]) == (1, 1)
    assert first_names(world) == {ANN: "Anna", BOB: "A"}


def test_what_we_wrote_is_not_read_again_unless_the_run_was_cut_short(
    world: World,
) -> None:
    ids = {mail: row["id"] for mail, row in world.contacts_in_hubspot().items()}
    for status, read_again in (("succeeded", 0), ("failed", 2)):
        world.update("contacts", str(ids[ANN]), firstname=f"Ann {status}")
        world.create("contacts", [{"email": f"{status}@x.example"}])
        report = contacts(world)
        assert (report["updated"]["app"], report["created"]["app"]) == (1, 1)
        last = SyncRun.objects.filter(sync=world.contacts).latest("pk")
        SyncRun.objects.filter(pk=last.pk).update(status=status)
        assert contacts(world)["read"]["app"] == read_again
    assert contacts(world)["read"]["app"] == 0


def test_a_late_commit_is_not_missed(world: World) -> None:
    with psycopg.connect(world.dsn) as slow:
        slow.execute("UPDATE people SET first_name = 'late' WHERE email = %s", [ANN])
        name(world, BOB, "soon")
        contacts(world)
        assert first_names(world)[ANN] == "A"
    contacts(world)
    assert first_names(world) == {ANN: "late", BOB: "soon"}


def test_a_deleted_row_is_gone_once_the_table_itself_says_so(world: World) -> None:
    world.sql("DELETE FROM people WHERE email = %s", BOB)
    world.sql(
        "INSERT INTO crosslink_log (tbl, op, pk) "
        "SELECT 'people', 'D', jsonb_build_array(id::text) FROM people"
    )
    contacts(world)
    gone = RecordLink.objects.filter(sync=world.contacts, app_gone_at__isnull=False)
    assert [link.hubspot_values["email"] for link in gone] == [BOB]
    assert set(first_names(world)) == {ANN, BOB}


def test_a_changed_key_is_another_row_of_the_same_record(world: World) -> None:
    world.sql("UPDATE people SET id = id + 1000 WHERE email = %s", ANN)
    contacts(world)
    name(world, ANN, "Anna")
    contacts(world)
    assert first_names(world) == {ANN: "Anna", BOB: "A"}
    assert set(world.people_rows()) == {ANN, BOB}


def test_after_a_gap_everything_is_read_once(world: World) -> None:
    gaps = (
        ("DELETE FROM crosslink_log", "pruned or emptied"),
        ("TRUNCATE crosslink_log", "pruned or emptied"),
        (
            "CREATE TEMP TABLE kept AS TABLE people; TRUNCATE people; "
            "INSERT INTO people TABLE kept",
            "emptied by TRUNCATE",
        ),
    )
    for number, (how, says) in enumerate(gaps, 1):
        name(world, ANN, f"Ann {number}")
        world.sql(how)
        assert contacts(world)["read"]["app"] == 2
        assert first_names(world) == {ANN: f"Ann {number}", BOB: "A"}
        assert says in warnings()[-1]
        assert contacts(world)["read"]["app"] == 0
        assert len(warnings()) == number


def test_without_its_triggers_a_table_is_read_in_full_each_time_and_this_is_said(
    world: World,
) -> None:
    world.sql("DROP TRIGGER crosslink_log ON people")
    for text in ("Anna", "Annie"):
        name(world, ANN, text)
        assert contacts(world)["read"]["app"] == 2
        assert first_names(world)[ANN] == text
    assert all("not in the change log" in text for text in warnings())
    assert len(warnings()) >= 2
    install(world)
    contacts(world)
    name(world, ANN, "Ann")
    assert contacts(world)["read"]["app"] == 1


def test_a_read_that_is_cut_short_goes_on_from_the_last_part(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_log, "LOG_PAGE", 1)
    for mail in (ANN, BOB):
        name(world, mail, "new")
    with monkeypatch.context() as patched:
        patched.setattr(Session, "breathe", lambda self: 1 / 0)
        report = world.run(world.contacts)
    assert report["status"] == "failed"
    assert report["syncs"][0]["read"]["app"] == 1
    assert contacts(world)["read"]["app"] == 1
    assert first_names(world) == {ANN: "new", BOB: "new"}


def test_a_limited_run_keeps_its_place_and_buries_nobody(world: World) -> None:
    name(world, ANN, "Anna")
    world.sql("DELETE FROM people WHERE email = %s", BOB)
    sync = ObjectSync.objects.get(pk=world.contacts.pk)
    before = feeding.PLACES, sync.read_state[feeding.PLACES]
    contacts(world, limit=1)
    sync.refresh_from_db()
    assert (feeding.PLACES, sync.read_state[feeding.PLACES]) == before
    assert not RecordLink.objects.filter(app_gone_at__isnull=False).exists()
    contacts(world)
    assert RecordLink.objects.filter(app_gone_at__isnull=False).count() == 1


def test_a_table_that_is_not_in_the_log_is_refused_at_set_up(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    world.sql("DROP TRIGGER crosslink_log ON people")
    path = tmp_path / "setup.yaml"
    call_command("setup", "export", "--app", "Ops")
    exported = capsys.readouterr().out
    assert "change_log: crosslink_log" in exported
    path.write_text(exported)
    with pytest.raises(SystemExit):
        call_command("setup", "apply", str(path), "--check", "--json")
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [p["path"] for p in problems] == ["apps[0].syncs[1].app_object"]
    assert "manage.py change_log" in problems[0]["text"]
    install(world)
    call_command("setup", "apply", str(path), "--check", "--json")
    assert json.loads(capsys.readouterr().out)["changed"] == []


def test_the_command_says_in_one_line_what_is_wrong(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, says in (
        (["--app", "Nobody"], "no connected app 'Nobody'"),
        (["--app", "Ops", "--table", "nothing"], "no table nothing"),
    ):
        with pytest.raises(SystemExit):
            call_command("change_log", *arguments)
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert says in line
