"""The systems of the contract, and the servers behind them, started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from connections.connectors.hubspot import HubSpotConnector
from connections.sandbox.airtable.app import Airtable
from connections.sandbox.airtable.switches import TABLE as AIRTABLE
from connections.sandbox.host import Host
from connections.sandbox.hubspot.switches import TABLE
from connections.sandbox.kintone.server import KintoneServer
from connections.sandbox.kintone.switches import TABLE as KINTONE
from connections.sandbox.server import SandboxServer
from tests.contract.airtable_system import AirtableSystem
from tests.contract.files_system import FilesSystem
from tests.contract.harness import Naps, System, new_context
from tests.contract.hubspot_system import HubSpotSystem
from tests.contract.kintone_system import KintoneSystem
from tests.contract.linkable import Linkable
from tests.contract.postgres_system import PROBES, PostgresSystem
from tests.contract.scripted import Scripted
from tests.contract.way import Way
from tests.plugins_postgres import Databases


@pytest.fixture(scope="session")
def _sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(switches={"search_lag_s": 0}) as server:
        yield server


@pytest.fixture
def sandbox(_sandbox: SandboxServer) -> Iterator[SandboxServer]:
    """The session's fake HubSpot: empty, with search up to date and no fault."""
    control = _sandbox.control
    yield _sandbox
    control.set_faults()
    control.set_hook(None)
    control.set_limits(
        enforced=False,
        general_per_10s=190,
        association_per_10s=150,
        search_per_second=5,
        daily=625_000,
    )
    control.set_switches(**{switch.name: switch.default for switch in TABLE})
    control.set_switches(search_lag_s=0)
    control.reset()


@pytest.fixture
def way(script: Scripted) -> Way:
    """A door to a server that says what the test scripts."""
    return Way(script)


@pytest.fixture
def script() -> Iterator[Scripted]:
    """A server that says what the test scripts."""
    with Scripted() as server:
        yield server


@pytest.fixture
def connector(script: Scripted) -> Iterator[HubSpotConnector]:
    """A HubSpot connector whose every answer the test scripts."""
    found = HubSpotConnector(
        {"base_url": script.url}, {"token": "t" * 20}, new_context()
    )
    found._door._sleep = Naps()
    yield found
    found.close()


@pytest.fixture
def hubspot(sandbox: SandboxServer) -> Iterator[HubSpotSystem]:
    system = HubSpotSystem(sandbox)
    assert system.obj.field("title") is not None
    sandbox.control.reset_counts()
    yield system
    system.connector.close()


@pytest.fixture(scope="session")
def _probes_dsn(postgres: Databases) -> str:
    dsn = postgres.dsn("contract")
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(PROBES)
    return dsn


@pytest.fixture
def probes(_probes_dsn: str) -> Iterator[PostgresSystem]:
    """The session's table `probes`, empty; a test that changes it takes `own_probes`."""
    system = PostgresSystem(_probes_dsn)
    system.run("TRUNCATE probes RESTART IDENTITY")
    yield system
    system.connector.close()


@pytest.fixture(scope="session")
def _scratch_dsn(postgres: Databases) -> str:
    return postgres.dsn("scratch")


@pytest.fixture
def database(_scratch_dsn: str) -> Iterator[PostgresSystem]:
    """A database without any table; making a new one for each test would be slow."""
    system = PostgresSystem(_scratch_dsn)
    for (schema,) in system.run(
        "SELECT quote_ident(nspname) FROM pg_namespace "
        "WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
    ):
        system.run(f"DROP SCHEMA {schema} CASCADE")
    system.run("CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC")
    yield system
    system.connector.close()


@pytest.fixture
def own_probes(database: PostgresSystem) -> PostgresSystem:
    """A table `probes` that the test may change."""
    database.run(PROBES)
    return database


@pytest.fixture(scope="session")
def _airtable_host() -> Iterator[Host]:
    with Host(Airtable()) as host:
        yield host


@pytest.fixture
def airtable(_airtable_host: Host) -> Iterator[AirtableSystem]:
    """The session's fake Airtable, empty but for the table `probes`."""
    host = _airtable_host
    host.reset()
    system = AirtableSystem(host)
    assert system.obj.field("title") is not None
    host.reset_counts()
    yield system
    system.connector.close()
    host.set_faults()
    host.set_hook(None)
    host.set_clock(0)
    system.fake.set_limits(enforced=False, per_base=5, monthly=0)
    host.set_switches(**{switch.name: switch.default for switch in AIRTABLE})


@pytest.fixture(scope="session")
def _kintone() -> Iterator[KintoneServer]:
    with KintoneServer() as server:
        yield server


@pytest.fixture
def kintone(_kintone: KintoneServer) -> Iterator[KintoneSystem]:
    """The session's fake Kintone with an empty app `probes`."""
    system = KintoneSystem(_kintone)
    assert system.obj.field("title") is not None
    _kintone.reset_counts()
    yield system
    system.connector.close()
    _kintone.set_faults()
    _kintone.set_hook(None)
    _kintone.set_switches(**{switch.name: switch.default for switch in KINTONE})
    _kintone.reset()


@pytest.fixture
def files(tmp_path: Path) -> FilesSystem:
    """A folder with an empty object type `probes`."""
    system = FilesSystem(tmp_path)
    assert system.obj.field("title") is not None
    return system


SYSTEMS = ["hubspot", "postgres", "airtable", "kintone", "files"]


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> System:
    """Each connected system in turn."""
    found: System = request.getfixturevalue(
        "probes" if request.param == "postgres" else request.param
    )
    return found


@pytest.fixture(params=SYSTEMS)
def own_system(request: pytest.FixtureRequest) -> System:
    """Each connected system in turn, its object type free to be changed."""
    found: System = request.getfixturevalue(
        "own_probes" if request.param == "postgres" else request.param
    )
    return found


@pytest.fixture
def linkable(hubspot: HubSpotSystem) -> Linkable:
    """Contacts and companies of the sandbox."""
    return Linkable(hubspot)
