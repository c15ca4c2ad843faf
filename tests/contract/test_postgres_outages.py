"""PostgreSQL with others at work, and a server that goes away."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from connections.catalogue import Code
from connections.connectors.base import ConnectorError, TransientError
from connections.connectors.postgres import database as database_module
from connections.records import Patch
from connections.sandbox.postgres import PostgresServer
from tests.contract.harness import drafts, new_context, read_values, rows, until
from tests.contract.postgres_system import PROBES, PostgresSystem

pytestmark = pytest.mark.contract


def test_a_row_that_another_transaction_holds_is_waited_for(probes: PostgresSystem):
    (record_id,) = probes.plant(rows(1))
    with psycopg.connect(probes.dsn) as other:
        other.execute("UPDATE probes SET note = 'theirs'")
        done: list[bool] = []

        def write() -> None:
            patch = Patch(record_id, {"title": "ours"})
            (outcome,) = probes.connector.update(probes.obj, [patch], probes.want)
            done.append(outcome.ok)

        thread = threading.Thread(target=write)
        thread.start()
        until(lambda: _waiting(probes) == 1)
        other.commit()
    thread.join(10)
    assert done == [True]
    values = read_values(probes, record_id)
    assert (values["title"], values["note"]) == ("ours", "theirs")


def _waiting(system: PostgresSystem) -> int:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    return int(system.run(query)[0][0])


def test_a_row_that_is_held_too_long_is_transient_and_unwritten(
    probes: PostgresSystem, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT_MS", 50)
    monkeypatch.setattr(database_module, "PAUSE_S", 0.01)
    (record_id,) = probes.plant(rows(1))
    connector = probes.connect()
    with psycopg.connect(probes.dsn) as other:
        other.execute("UPDATE probes SET note = 'theirs'")
        with pytest.raises(TransientError) as caught:
            connector.update(
                probes.obj, [Patch(record_id, {"title": "ours"})], probes.want
            )
    assert caught.value.code == Code.UNAVAILABLE
    assert probes.titles() == {record_id: "t0"}
    connector.close()


# A server that goes away ---------------------------------------------------------------


def end_sessions(system: PostgresSystem, *, writing: bool = False) -> int:
    """End the connector's sessions, as an administrator or a restart does."""
    return len(
        system.run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'crosslink' AND datname = current_database()"
            + (
                " AND state = 'active' AND query ~ '^(INSERT|UPDATE)'"
                if writing
                else ""
            )
        )
    )


def test_a_session_that_was_ended_meanwhile_is_replaced(probes: PostgresSystem):
    (record_id,) = probes.plant(rows(1))
    assert probes.connector.test().account
    for _ in range(2):
        assert end_sessions(probes) >= 1
        fetched = probes.connector.fetch(probes.obj, [record_id], probes.want)
        assert set(fetched.records) == {record_id}
        assert end_sessions(probes) >= 1
        (outcome,) = probes.connector.update(
            probes.obj, [Patch(record_id, {"title": "new"})], probes.want
        )
        assert outcome.ok
        assert end_sessions(probes) >= 1
        (made,) = probes.connector.create(
            probes.obj, drafts([{"title": "made"}]), probes.want
        )
        assert made.ok


def slow_down(system: PostgresSystem) -> None:
    system.run(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM pg_sleep(10); RETURN NEW; END $$; "
        "CREATE TRIGGER slow AFTER INSERT OR UPDATE ON probes FOR EACH ROW "
        "EXECUTE FUNCTION slow()"
    )


@pytest.mark.parametrize("verb", ["create", "update"])
def test_a_write_whose_session_ends_half_way_is_uncertain_and_not_sent_again(
    own_probes: PostgresSystem, verb: str
):
    (record_id,) = own_probes.plant([{"title": "before"}])
    slow_down(own_probes)
    asked: list[int] = []
    own_probes.use(new_context(before_write=lambda: asked.append(1)))
    obj, connector, want = own_probes.obj, own_probes.connector, own_probes.want
    ended = threading.Thread(
        target=lambda: until(lambda: end_sessions(own_probes, writing=True) > 0)
    )
    ended.start()
    if verb == "create":
        outcomes = connector.create(obj, drafts([{"title": "a"}, {"title": "b"}]), want)
    else:
        patches = [Patch(record_id, {"title": "a"}), Patch(record_id, {"note": "b"})]
        outcomes = connector.update(obj, patches[:1], want)
    ended.join(10)
    assert {(o.ok, o.uncertain, o.code) for o in outcomes} == {
        (False, True, Code.UNCERTAIN)
    }
    assert len(asked) == 1
    assert own_probes.titles() == {record_id: "before"}


def test_a_read_whose_session_ends_half_way_is_made_again(probes: PostgresSystem):
    probes.plant(rows(2_500))
    pages = probes.connector.pages(probes.obj, probes.want)
    count = len(next(pages).records)
    assert end_sessions(probes) >= 1
    count += sum(len(page.records) for page in pages)
    assert count == 2_500


def test_a_write_that_takes_too_long_had_no_effect(own_probes: PostgresSystem):
    slow_down(own_probes)
    own_probes.use(new_context(timeout_s=0.6))
    with pytest.raises(TransientError) as caught:
        own_probes.connector.create(
            own_probes.obj, drafts([{"title": "a"}]), own_probes.want
        )
    assert caught.value.code == Code.TIMED_OUT
    assert own_probes.titles() == {}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that may be stopped: the session's own is everybody's."""
    with tempfile.TemporaryDirectory(prefix="crosslink-pg-") as folder:
        os.chmod(folder, 0o755)  # the user that it runs as must get in
        found = PostgresServer(Path(folder) / "data", fast=True)
        found.start()
        try:
            yield found
        finally:
            found.destroy()


def test_a_restart_between_two_calls_is_survived(server: PostgresServer):
    system = PostgresSystem(server.dsn("app"))
    system.run(PROBES)
    (record_id,) = system.plant(rows(1))
    obj, want, connector = system.obj, system.want, system.connector
    calls = (
        lambda: connector.fetch(obj, [record_id], want),
        lambda: list(connector.pages(obj, want)),
        lambda: connector.create(obj, drafts([{"title": "new"}]), want),
        lambda: connector.update(obj, [Patch(record_id, {"title": "x"})], want),
        connector.discover,
        connector.test,
    )
    server.stop()
    for call in calls:
        with pytest.raises(TransientError) as caught:
            call()
        assert caught.value.code == Code.UNAVAILABLE
    server.port = system_port(system)
    server.start()
    assert system_port(PostgresSystem(server.dsn("app"))) == system_port(system)
    for call in calls:
        call()
    assert sorted(system.titles().values()) == ["new", "x"]
    connector.close()


def system_port(system: PostgresSystem) -> int:
    return int(system.dsn.rpartition(":")[2].partition("/")[0])


def test_a_server_without_a_free_session_is_busy(server: PostgresServer):
    name = sql.Identifier("crowded")
    dsn = server.dsn("crowded")
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        conn.execute("CREATE ROLE narrow LOGIN CONNECTION LIMIT 0")
        conn.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO narrow").format(name))
    connector = PostgresSystem(dsn.replace("postgres@", "narrow@")).connector
    with pytest.raises(ConnectorError) as caught:
        connector.test()
    assert caught.value.code == Code.RATE_LIMITED
