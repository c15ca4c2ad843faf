"""A run tells how far it is while it reads, not only between its steps."""

from __future__ import annotations

import pytest
from django.db.models.signals import post_save

from connections.sandbox.server import SandboxServer
from syncs.models import SyncRun
from syncs.run import session
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


def test_what_is_read_shows_while_it_is_read(pg_dsn, monkeypatch):
    monkeypatch.setattr(session, "TELL_EACH_S", 0.0)
    told: list[tuple[str, int]] = []

    def saved(instance, update_fields, **_) -> None:
        if update_fields == set(session.TOLD):
            assert instance.phase_at is not None
            told.append((instance.phase, sum(instance.counters["read"].values())))

    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        world = World(sandbox, pg_dsn)
        world.create("companies", [{"name": f"n{i}"} for i in range(3)])
        world.sql("INSERT INTO companies (name, domain) VALUES ('Elm', 'elm.example')")
        world.set_up()
        post_save.connect(saved, sender=SyncRun)
        try:
            world.run()
        finally:
            post_save.disconnect(saved, sender=SyncRun)
    of_reads = [count for phase, count in told if phase == "reading"]
    assert {0, 4} < set(of_reads)  # begun, under way, done
