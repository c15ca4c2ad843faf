"""Connecting: good credentials report who we are, bad ones say what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from connections.catalogue import Code
from connections.connectors.base import (
    AuthError,
    ConnectorError,
    SchemaError,
    ScopeError,
    SetupError,
    TransientError,
)
from connections.connectors.postgres import PostgresConnector
from connections.connectors.registry import KINDS, build
from connections.records import Patch, Want
from tests.contract.harness import System, drafts, new_context
from tests.contract.hubspot_system import HubSpotSystem
from tests.contract.postgres_system import PostgresSystem
from tests.plugins_postgres import Databases

pytestmark = pytest.mark.contract


def refused(connector: object) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        connector.test()  # type: ignore[attr-defined]
    assert caught.value.remedy
    return caught.value


@pytest.fixture
def nowhere() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def test_a_good_connection_says_who_we_are_in_one_call(system: System):
    before = system.context.meter.calls
    report = system.connector.test()
    assert report.account
    assert system.context.meter.calls - before == 1


def test_the_kinds_there_are_can_be_built_and_no_other():
    kintone = {"base_url": "https://x.example"}
    for kind, settings, credentials in (
        ("hubspot", {}, {"token": "x" * 20}),
        ("postgres", {}, {"dsn": "postgresql://a@127.0.0.1/b"}),
        ("kintone", kintone, {"api_tokens": "a,b"}),
        ("kintone", kintone, {"username": "a", "password": "b"}),
    ):
        connector = build(kind, settings, credentials, new_context())
        assert connector.kind == kind
        connector.close()
    with pytest.raises(SetupError, match="hubspot, postgres"):
        build("abacus", {}, {}, new_context())
    assert set(KINDS) >= {"hubspot", "postgres", "kintone"}


# HubSpot -------------------------------------------------------------------------------


def test_hubspot_tells_its_portal(hubspot: HubSpotSystem):
    report = hubspot.connector.test()
    assert "46000001" in report.account
    assert report.details["companyCurrency"] == "EUR"
    assert report.warnings == ()


@pytest.mark.parametrize("token", ["pat-eu1-00000000-0000", "x"])
def test_a_wrong_token_is_refused(hubspot: HubSpotSystem, token: str):
    error = refused(hubspot.connect(token))
    assert isinstance(error, AuthError)
    assert error.code == Code.CREDENTIALS_REFUSED
    assert error.correlation_id


def test_a_token_is_refused_by_every_call(hubspot: HubSpotSystem):
    connector = hubspot.connect("pat-eu1-00000000-0000")
    obj, want = hubspot.obj, hubspot.want
    for call in (
        connector.discover,
        lambda: list(connector.pages(obj, want)),
        lambda: connector.fetch(obj, ["1"], want),
        lambda: connector.lookup(obj, "email", ["a@x.example"], want),
        lambda: connector.create(obj, drafts([{"title": "t"}]), want),
        lambda: connector.update(obj, [Patch("1", {"title": "t"})], want),
        lambda: connector.archive(obj, ["1"]),
        lambda: connector.associations("0-1", "0-2", ["1"]),
        lambda: connector.association_types("0-1", "0-2"),
    ):
        with pytest.raises(AuthError):
            call()
    assert hubspot.titles() == {}


def test_a_missing_scope_is_named(hubspot: HubSpotSystem):
    tokens = hubspot.sandbox.tokens
    reader = hubspot.connect(tokens["Reader"])
    assert reader.test().account
    with pytest.raises(ScopeError, match=r"crm\.objects\.contacts\.write") as caught:
        reader.create(hubspot.obj, drafts([{"title": "t"}]), hubspot.want)
    assert caught.value.code == Code.SCOPE_MISSING
    narrow = hubspot.connect(tokens["Contacts only"])
    companies = hubspot.discover("companies")
    with pytest.raises(ScopeError, match=r"crm\.objects\.companies\.read"):
        list(narrow.pages(companies, hubspot.want))
    assert hubspot.titles() == {}


def test_discovery_shows_what_the_token_may_see(hubspot: HubSpotSystem):
    narrow = hubspot.connect(hubspot.sandbox.tokens["Contacts only"])
    assert [o.name for o in narrow.discover().objects] == ["contacts"]


def test_a_token_is_taken_with_blanks_around_it(hubspot: HubSpotSystem):
    assert hubspot.connect(f"  {hubspot.sandbox.token}\n").test().account


def test_an_unreachable_hubspot_is_unavailable(hubspot: HubSpotSystem, nowhere: int):
    error = refused(hubspot.connect(base_url=f"http://127.0.0.1:{nowhere}"))
    assert isinstance(error, TransientError)
    assert error.code == Code.UNAVAILABLE


def test_a_hubspot_on_this_machine_is_not_called_unless_that_is_allowed(
    hubspot: HubSpotSystem,
):
    context = new_context(allow_private_hosts=False)
    assert refused(hubspot.connect(context=context)).code == Code.UNAVAILABLE
    https = hubspot.sandbox.hubspot_url.replace("http:", "https:")
    error = refused(hubspot.connect(context=context, base_url=https))
    assert isinstance(error, SetupError)
    assert "only public addresses" in error.message


def test_an_api_version_there_is_not_is_refused():
    with pytest.raises(SetupError, match="1999-01"):
        build("hubspot", {"api_version": "1999-01"}, {"token": "x"}, new_context())


# PostgreSQL ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(postgres: Databases) -> str:
    """A database that two roles with a password may log in to."""
    dsn = postgres.dsn("guarded")
    with psycopg.connect(dsn, autocommit=True) as conn:
        for role in ("locked", "shut_out"):
            conn.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
        conn.execute("CREATE TABLE things (id int PRIMARY KEY, name text)")
        conn.execute("CREATE TABLE closed (id int PRIMARY KEY)")
        conn.execute("GRANT SELECT ON things TO locked")
        conn.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
        conn.execute("GRANT USAGE ON SCHEMA public TO locked")
        row = conn.execute("SHOW hba_file").fetchone()
        assert row is not None
        rules = Path(row[0])
        rule = "host all locked,shut_out 127.0.0.1/32 scram-sha-256\n"
        rules.write_text(rule + rules.read_text())
        conn.execute("SELECT pg_reload_conf()")
    return dsn


def as_role(dsn: str, role: str, password: str = "right") -> PostgresConnector:
    where = dsn.rpartition("@")[2]
    address = f"postgresql://{role}:{password}@{where}"
    return PostgresConnector({}, {"dsn": address}, new_context())


def test_postgresql_tells_who_and_where(probes: PostgresSystem):
    report = probes.connector.test()
    assert report.account.startswith("postgres at 127.0.0.1:")
    assert report.details["schema"] == "public"
    assert report.details["server"].startswith("PostgreSQL ")
    assert report.warnings == ()


def test_a_wrong_password_is_refused(guarded: str):
    assert as_role(guarded, "locked").test().account.startswith("locked at")
    error = refused(as_role(guarded, "locked", "wrong"))
    assert isinstance(error, AuthError)
    assert error.code == Code.CREDENTIALS_REFUSED


def test_a_role_or_a_database_there_is_not_is_refused(probes: PostgresSystem):
    where = probes.dsn.rpartition("@")[2]
    for dsn in (f"postgresql://nobody_here@{where}", f"{probes.dsn}_not"):
        error = refused(probes.connect(dsn))
        assert isinstance(error, AuthError)
        assert error.code == Code.CREDENTIALS_REFUSED


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "not an address",
        "https://example.com/db",
        "postgresql://a@127.0.0.1/b?nonsense=1",
        "postgresql://a@127.0.0.1/b?service=x",
        "postgresql://a@127.0.0.1/b?sslkey=/etc/passwd",
        "postgresql://a@127.0.0.1:port/b",
        "postgresql://a@127.0.0.1:99999/b",
        "postgresql://a@127.0.0.1/b?sslmode=nonsense",
        None,
        7,
    ],
)
def test_a_dsn_that_is_none_is_refused_before_any_call(dsn: object):
    error = refused(PostgresConnector({}, {"dsn": dsn}, new_context()))
    assert error.code == Code.CREDENTIALS_REFUSED


def test_an_unreachable_server_is_unavailable(nowhere: int):
    dsn = f"postgresql://a@127.0.0.1:{nowhere}/b"
    error = refused(PostgresConnector({}, {"dsn": dsn}, new_context()))
    assert isinstance(error, TransientError)
    assert error.code == Code.UNAVAILABLE


def test_a_schema_or_a_table_there_is_not_is_named(probes: PostgresSystem):
    for changes, name in (
        ({"schema": "no_such_schema"}, "no_such_schema"),
        ({"tables": ["probes", "no_such_table"]}, "no_such_table"),
    ):
        connector = probes.connect(**changes)
        with pytest.raises(SchemaError, match=name) as caught:
            connector.discover()
        assert caught.value.code == Code.SCHEMA_CHANGED
        connector.close()


def test_a_schema_that_the_role_may_not_use_is_a_missing_right(guarded: str):
    error = refused(as_role(guarded, "shut_out"))
    assert isinstance(error, ScopeError)
    assert "GRANT USAGE" in error.message


def test_what_the_role_may_not_do_shows_in_discovery_and_is_refused(guarded: str):
    connector = as_role(guarded, "locked")
    schema = connector.discover()
    things, closed = schema.object("things"), schema.object("closed")
    assert things is not None
    assert closed is not None
    assert (things.writable, things.refused) == (False, "")
    assert "grant it SELECT" in closed.refused
    (name,) = [f for f in things.fields if f.name == "name"]
    assert name.read_only
    with pytest.raises(ScopeError):
        connector.create(things, drafts([{"name": "x"}]), Want(("name",)))
    connector.close()


def test_a_server_that_only_reads_is_a_warning_and_refuses_writes(
    probes: PostgresSystem,
):
    dsn = f"{probes.dsn}?options=-c%20default_transaction_read_only%3Don"
    connector = probes.connect(dsn)
    assert any("only read" in warning for warning in connector.test().warnings)
    with pytest.raises(ScopeError):
        connector.create(probes.obj, drafts([{"title": "t"}]), probes.want)
    connector.close()


def test_hidden_rows_are_a_warning_and_never_called_gone(guarded: str):
    with psycopg.connect(guarded, autocommit=True) as conn:
        conn.execute("INSERT INTO things VALUES (1, 'seen'), (2, 'hidden')")
        conn.execute("ALTER TABLE things ENABLE ROW LEVEL SECURITY")
        conn.execute("CREATE POLICY one ON things USING (id = 1)")
    connector = as_role(guarded, "locked")
    assert any("things" in warning for warning in connector.test().warnings)
    things = connector.discover().object("things")
    assert things is not None
    fetched = connector.fetch(things, ["1", "2", "3"], Want(("name",)))
    assert (set(fetched.records), fetched.gone) == ({"1"}, frozenset())
    connector.close()
