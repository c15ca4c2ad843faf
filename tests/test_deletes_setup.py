"""How records are archived, and what a deletion means, as the set-up says it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from connections.sandbox.server import SandboxServer
from tests.graves import BY_COLUMN, Graves
from tests.shell import manage
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def graves(pg_dsn: str, tmp_path: Path) -> Iterator[Graves]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        graves = Graves(World(sandbox, pg_dsn), tmp_path / "setup.yaml")
        graves.world.sql("ALTER TABLE companies ADD status text, ADD level int")
        yield graves


def by(name: str, value: Any) -> dict[str, Any]:
    return {"archive": {"app": {"field": name, "value": value}}}


def test_what_says_how_records_go_comes_out_again_and_changes_nothing(graves):
    graves.set_up(deletes="ask", hard_delete=True, **by("level", "7"))
    sync = graves.sync
    assert (sync.deletes, sync.hard_delete) == ("ask", True)
    assert sync.archive == {"app": {"field": "level", "value": "7"}}
    exported = yaml.safe_load(manage("setup", "export").out)["apps"][0]["syncs"][0]
    assert exported["deletes"] == "ask"
    assert exported["archive"] == {"app": {"field": "level", "value": "7"}}
    tree = yaml.safe_load(graves.path.read_text(encoding="utf-8"))
    tree["apps"][0]["syncs"] = [exported]
    graves.path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    again = manage("setup", "apply", str(graves.path), "--json")
    assert again.json["changed"] == []


# What stands in the file, where the complaint stands, and what it says.
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"archive": None, "deletes": "ask"}, "deletes", "declare archive: {app: {fie"),
    ({"archive": None, "deletes": "propagate"}, "deletes", "hard_delete: true"),
    (by("archive", True), "archive.app.field", "Did you mean 'archived'"),
    (by("archived", "perhaps"), "archive.app.value", "VALUE_INVALID"),
    (by("archived", None), "archive.app.value", "value is missing"),
    (by("status", ""), "archive.app.value", "blank cannot tell"),
    (by("name", "gone"), "archive.app.field", "is mapped"),
    (by("updated_at", "2026-01-01"), "archive.app.field", "when a record changed"),
    ({"archive": {"crm": {}}}, "archive.crm", "Unknown key"),
    ({"archive": {"app": {"field": "archived"}}}, "archive.app.value", "missing"),
    ({"hard_delete": "maybe"}, "hard_delete", "true or false"),
    (by("archived", True) | {"on_create": {"app": {"archived": True}}},
     "archive.app.value", "archived at once"),
]  # fmt: skip
ACCEPTED: list[dict[str, Any]] = [
    {"archive": None, "deletes": "propagate", "direction": "to_hubspot"},
    {"archive": None, "deletes": "propagate", "hard_delete": True},
    {"archive": None, "deletes": "ignore"},
    {"deletes": "propagate", "archive": {
        "app": {"field": "status", "value": "closed"},
        "hubspot": {"field": "description", "value": "closed"}}},
]  # fmt: skip


def test_a_way_to_archive_that_cannot_be_is_named(graves):
    graves.set_up()
    good = yaml.safe_load(graves.path.read_text(encoding="utf-8"))
    (plain,) = good["apps"][0]["syncs"]
    for sync, path, says in REFUSED:
        spec = {k: v for k, v in (plain | sync).items() if v is not None}
        good["apps"][0]["syncs"] = [spec]
        graves.path.write_text(yaml.safe_dump(good), encoding="utf-8")
        refused = manage("setup", "apply", str(graves.path))
        assert refused.status == 2, sync
        line = next(line for line in refused.err.splitlines() if f"].{path}" in line)
        assert says in line
    assert graves.sync.archive == BY_COLUMN


def test_a_deletion_may_travel_where_there_is_a_way(graves):
    for sync in ACCEPTED:
        graves.set_up(**sync)
        assert graves.sync.deletes == sync["deletes"]
