"""The commands as scripts use them: exit codes, one-line errors, JSON, no secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from django.contrib.admin.models import LogEntry

from connections.audit import COMMAND_LINE
from connections.models import ConnectedApp, HubSpotAccount
from connections.sandbox.server import SandboxServer
from syncs.models import ObjectSync, RecordLink
from tests.shell import manage
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

FILE = """
version: 1
hubspot:
  - {name: Acme, token: "${HUBSPOT_TOKEN}", base_url: "${HUBSPOT_URL}",
     requests_per_10s: 100000, search_per_second: 1000}
apps:
  - name: Ops
    kind: postgres
    hubspot: Acme
    credentials: {dsn: "${OPS_DSN}"}
    syncs:
      - name: Companies
        hubspot_object: companies
        app_object: companies
        match: [{hubspot: domain, app: domain, normalize: domain}]
        fields:
          - {hubspot: name, app: name}
          - {hubspot: domain, app: domain}
          - {hubspot: annualrevenue, app: annual_revenue, conflict: app}
        app_cursor: updated_at
        every: off
      - name: Contacts
        hubspot_object: contacts
        app_object: people
        fields: [{hubspot: firstname, app: first_name}, {hubspot: email, app: email}]
        app_cursor: updated_at
        limits: {archive: 5, percent: off}
        associations: [{app_field: company_id, to: Companies}]
"""


@pytest.fixture
def world(pg_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        monkeypatch.setenv("HUBSPOT_TOKEN", sandbox.token)
        monkeypatch.setenv("HUBSPOT_URL", sandbox.hubspot_url)
        monkeypatch.setenv("OPS_DSN", pg_dsn)
        yield World(sandbox, pg_dsn)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "setup.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def history() -> list[tuple[str, str]]:
    """What the command line is said to have done, the first word of it, oldest first."""
    rows = LogEntry.objects.filter(user__username=COMMAND_LINE).order_by("pk")
    return [(row.object_repr, row.change_message.split(",")[0]) for row in rows]


def test_a_file_is_applied_and_applying_its_export_changes_nothing(world, file):
    applied = manage("setup", "apply", str(file))
    assert (applied.status, applied.err) == (0, ""), applied
    revisions = list(ObjectSync.objects.values_list("name", "revision"))
    assert revisions == [("Companies", 1), ("Contacts", 1)]
    exported = manage("setup", "export")
    assert world.sandbox.token not in exported.out
    assert world.dsn not in exported.out
    assert yaml.safe_load(exported.out)["hubspot"][0]["token"] == "${HUBSPOT_TOKEN}"
    file.write_text(exported.out, encoding="utf-8")
    again = manage("setup", "apply", str(file), "--json")
    said = {"checked": False, "changed": [], "problems": [], "warnings": []}
    assert said.items() <= again.json.items()
    assert list(ObjectSync.objects.values_list("name", "revision")) == revisions
    # What changed nothing is no change in anybody's history.
    assert history() == [
        (name, "Set up by setup apply")
        for name in ("Acme", "Ops", "Ops › Companies", "Ops › Contacts")
    ]


def test_credentials_typed_in_the_admin_are_left_out_of_an_export_and_kept(world, file):
    manage("setup", "apply", str(file))
    HubSpotAccount.objects.update(credential_env={})
    ConnectedApp.objects.update(credential_env={})
    HubSpotAccount.objects.create(
        name="A second portal whose name is so long that its line does not hold it",
        base_url=world.sandbox.hubspot_url,
        credentials={"token": "sandbox-token-second"},
        requests_per_10s=190,
    )
    exported = manage("setup", "export")
    assert (exported.status, exported.err) == (0, "")
    assert exported.out.count("stored here, not exported") == 3
    for secret in (*world.sandbox.tokens.values(), world.dsn):
        assert secret not in exported.out
    listed = yaml.safe_load(exported.out)
    assert len(listed["hubspot"]) == 2
    assert not any("token" in account for account in listed["hubspot"])
    file.write_text(exported.out, encoding="utf-8")
    again = manage("setup", "apply", str(file))
    assert (again.status, again.err) == (0, "")
    assert "nothing changed" in again.out
    assert HubSpotAccount.objects.get(name="Acme").credentials["token"]


def test_a_check_changes_nothing(world, file):
    checked = manage("setup", "apply", str(file), "--check")
    assert checked.status == 0, checked.err
    assert "nothing was changed" in checked.out
    assert not HubSpotAccount.objects.exists()


def test_a_change_raises_the_revision_and_keeps_what_is_left_out(world, file):
    manage("setup", "apply", str(file))
    file.write_text(FILE.replace("conflict: app}", "conflict: hubspot}"), "utf-8")
    changed = manage("setup", "apply", str(file))
    assert changed.out == "Sync 'Ops: Companies' changed\n"
    assert ObjectSync.objects.get(name="Companies").revision == 2
    assert ObjectSync.objects.get(name="Contacts").revision == 1
    (entry,) = LogEntry.objects.filter(change_message__startswith="Edited")
    assert entry.object_repr == "Ops › Companies"
    assert not entry.user.is_active
    said = entry.change_message
    assert (
        ", revision 2. fields: {hubspot: annualrevenue, app: annual_revenue, " in said
    )
    assert "conflict: app} → {" in said


def test_of_a_replaced_credential_the_history_says_only_that(world, file, monkeypatch):
    manage("setup", "apply", str(file))
    longer = f"{world.dsn}?application_name=crosslink"
    monkeypatch.setenv("OPS_DSN", longer)
    manage("setup", "apply", str(file))
    entry = LogEntry.objects.latest("pk")
    assert entry.object_repr == "Ops"
    assert entry.change_message.endswith(". credentials: replaced.")


def test_a_renamed_sync_keeps_its_row_and_pruning_archives_the_rest(world, file):
    manage("setup", "apply", str(file))
    companies = ObjectSync.objects.get(name="Companies")
    part = FILE.split("      - name: Contacts")[0]
    part = part.replace(
        "name: Companies", "name: Firms\n        renamed_from: Companies"
    )
    file.write_text(part, encoding="utf-8")
    assert manage("setup", "apply", str(file), "--prune").status == 0
    companies.refresh_from_db()
    assert companies.name == "Firms"
    assert ObjectSync.objects.get(name="Contacts").archived_at is not None
    rows = LogEntry.objects.order_by("pk")
    said = {row.object_repr: row.change_message for row in rows}
    assert "name: Companies → Firms" in said["Ops › Firms"]
    assert "archived: false → true" in said["Ops › Contacts"]


@pytest.mark.parametrize(
    ("old", "new", "path", "text"),
    [
        ("conflict: app}", "conflit: app}", "fields[2].conflit", "'conflict'"),
        ("hubspot: name,", "hubspot: nam,", "fields[0].hubspot", "'name'"),
        ("app_object: people", "app_object: peple", "app_object", "'people'"),
        ("to: Companies", "to: Company", "associations[0].to", "'Companies'"),
        ("app_field: company_id", "app_field: email", "app_field", "not a reference"),
        ("every: off", "every: soon", "every", "duration"),
        ("app_cursor: updated_at\n        every", "app_cursor: name\n        every",
         "app_cursor", "not a time"),
        ("every: off", "deletes: ask", "deletes", "hard_delete: true"),
        ("every: off", "deletes: never", "deletes", "cannot be 'never'"),
        ("every: off", "limits: {archive: -1}", "limits.archive", "whole number"),
        ("every: off", "limits: {archived: 5}", "limits.archived", "archive"),
        ("every: off", "filters: {ap: []}", "filters.ap", "'app'"),
        ("to: Companies}", "to: Companies, type: Boss}", "type", "no label 'Boss'"),
        ("kind: postgres", "kind: notion", "kind", "not available yet"),
        ("${OPS_DSN}", "${NO_SUCH}", "dsn", "NO_SUCH is not set"),
        ("conflict: app}", "conflict: latest}\n        direction: sideways",
         "direction", "cannot be 'sideways'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_path_and_changes_nothing(
    world, file, old, new, path, text
):
    assert old in FILE
    file.write_text(FILE.replace(old, new), encoding="utf-8")
    refused = manage("setup", "apply", str(file))
    assert refused.status == 2, refused
    line = next(x for x in refused.err.splitlines() if path in x)
    assert text in line
    assert not HubSpotAccount.objects.exists()


def test_an_older_or_newer_version_is_warned_of_and_v3_refuses_labels(world, file):
    def of(version: str, more: str = "") -> None:
        given = FILE.replace("{name: Acme,", f"{{name: Acme, api_version: {version},")
        file.write_text(
            given.replace("to: Companies}", f"to: Companies{more}}}"), "utf-8"
        )

    of("v3", ", type: {category: HUBSPOT_DEFINED, id: 931}")
    refused = manage("setup", "apply", str(file))
    assert refused.status == 2, refused
    assert "API version knows only primary and default, no labels" in refused.err
    of("v3", ", type: {category: HUBSPOT_DEFINED, id: 279}")
    checked = manage("setup", "apply", str(file), "--check")
    assert "shows a record's primary company alone" in checked.out
    of("'2026-09'")
    applied = manage("setup", "apply", str(file))
    assert applied.status == 0
    assert "API version 2026-09 is experimental" in applied.out
    assert HubSpotAccount.objects.get().api_version == "2026-09"
    exported = yaml.safe_load(manage("setup", "export").out)
    assert exported["hubspot"][0]["api_version"] == "2026-09"


def test_a_refused_token_and_an_unreachable_database_are_told_and_kept_secret(
    world, file, monkeypatch
):
    monkeypatch.setenv("HUBSPOT_TOKEN", "pat-na1-00000000-dead-beef")
    monkeypatch.setenv("OPS_DSN", "postgres://ann:hunter2hunter2@127.0.0.1:1/none")
    refused = manage("setup", "apply", str(file))
    assert refused.status == 2
    assert "CREDENTIALS_REFUSED" in refused.err
    assert "UNAVAILABLE" in refused.err
    assert "dead-beef" not in refused.err
    assert "hunter2" not in refused.err


def test_a_sync_prints_one_json_object_and_a_preview_writes_nothing(world, file):
    manage("setup", "apply", str(file))
    world.sql("INSERT INTO companies (name, domain) VALUES ('Acorn', 'acorn.example')")
    world.sql("INSERT INTO people (email, company_id) VALUES ('a@acorn.example', 1)")
    before = world.sandbox.control.writes()
    preview = manage("sync", "--dry-run", "--json")
    assert (preview.status, preview.err) == (0, ""), preview
    assert [s["created"]["hubspot"] for s in preview.json["syncs"]] == [1, 1]
    assert preview.json["syncs"][1]["associations"]["added"]["hubspot"] == 1
    assert world.sandbox.control.writes() == before
    applied = manage("sync", "--apply-plan", str(preview.json["run"]), "--json")
    assert applied.json["status"] == "succeeded", applied
    assert [s["created"]["hubspot"] for s in applied.json["syncs"]] == [1, 1]
    assert world.primary() == {"a@acorn.example": "acorn.example"}
    again = manage("sync", "--apply-plan", str(preview.json["run"]))
    assert again.status == 2
    assert "applied already" in again.err
    quiet = manage("sync")
    assert quiet.status == 0
    assert "Contacts: succeeded" in quiet.out


def test_unknown_names_and_bad_flags_end_with_2_and_one_line(world, file):
    manage("setup", "apply", str(file))
    for arguments, text in (
        (("sync", "--sync", "Contact"), "Did you mean 'Contacts'?"),
        (("sync", "--app", "Opps"), "Did you mean 'Ops'?"),
        (("sync", "--limit", "0"), "whole number"),
        (("sync", "--apply-plan", "999"), "no run 999"),
        (("sync", "--nonsense"), "--nonsense"),
        (("setup",), "setup apply"),
        (("setup", "apply"), "see manage.py setup apply --help"),
        (("setup", "document", "--app", "Opps"), "There is no connected app 'Opps'"),
        (("setup", "apply", "/no/such/file"), "cannot be read"),
    ):
        ended = manage(*arguments)
        assert ended.status == 2, arguments
        assert text in ended.err
        assert ended.err.count("\n") == 1, ended.err
        assert ended.out == ""


def test_two_records_are_tied_and_untied_by_hand(world, file):
    manage("setup", "apply", str(file))
    (company,) = world.create("companies", [{"name": "Acorn", "domain": "a.example"}])
    world.sql("INSERT INTO companies (name, domain) VALUES ('Acorn', NULL)")
    manage("sync", "--sync", "Companies")
    where = ("--app", "Ops", "--sync", "Companies", company)
    row = RecordLink.objects.get(hubspot_id=None)
    other = RecordLink.objects.get(hubspot_id=company)
    assert row.app_id is not None
    assert manage("unpair", *where, str(other.app_id)).status == 0
    assert manage("pair", *where, row.app_id).status == 0
    assert RecordLink.objects.get(hubspot_id=company).app_id == row.app_id
    again = manage("pair", *where, row.app_id)
    assert again.status == 2
    assert "paired already" in again.err


def test_rotated_keys_open_what_the_old_ones_sealed(world, file, settings):
    manage("setup", "apply", str(file))
    new = "mJ4yGxkXqk5zK0v8pWcYc0oN1b2d3e4f5g6h7i8j9k0="
    old = list(settings.ENCRYPTION_KEYS)
    settings.ENCRYPTION_KEYS = [new, *old]
    assert "2 connections" in manage("rotate_keys").out
    settings.ENCRYPTION_KEYS = [new]
    assert HubSpotAccount.objects.get().credentials == {"token": world.sandbox.token}
    assert ConnectedApp.objects.get().credentials == {"dsn": world.dsn}


@pytest.mark.parametrize(
    "name", ["setup", "sync", "approve", "pair", "unpair", "rotate_keys"]
)
def test_every_command_has_help(name):
    helped = manage(name, "--help")
    assert helped.status == 0
    assert len(helped.out) > 200
