"""No token and no password leaves in an error, a repr or a log line."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

import pytest

from connections.connectors.base import ConnectorError, Context, SetupError
from connections.connectors.http import Door, Safety
from connections.connectors.hubspot import HubSpotConnector
from connections.connectors.postgres import PostgresConnector
from connections.records import ObjectType, Want
from tests.contract.harness import drafts, new_context
from tests.contract.hubspot_system import HubSpotSystem
from tests.contract.postgres_system import PostgresSystem
from tests.contract.scripted import Said, hang_up
from tests.contract.way import TOKEN, Way

pytestmark = pytest.mark.contract
PASSWORD = "s3cret-Pass/word 91"
QUOTED = "s3cret-Pass%2Fword%2091"
CONTACTS = ObjectType("contacts", "0-1")


def shown(error: BaseException) -> str:
    """All that an error can be printed as, with what it came from."""
    lines = traceback.format_exception(error)
    return "\n".join([*lines, str(error), repr(error), repr(error.args)])


ECHOES = [
    Said(400, {"message": f"The token {TOKEN} is odd"}),
    Said(400, f"<pre>Authorization: Bearer {TOKEN}</pre>"),
    Said(401, {"message": f"{TOKEN} has expired", "correlationId": TOKEN}),
    Said(403, {"message": f"{TOKEN} may not", "category": "MISSING_SCOPES"}),
    Said(404, {"message": f"nothing for {TOKEN}"}),
    Said(404, f"GET / with {TOKEN}"),
    Said(409, {"message": f"{TOKEN} already exists"}),
    Said(429, {"message": f"{TOKEN} has reached its daily limit"}),
    Said(500, {"message": f"{TOKEN} crashed us"}),
    Said(530, f"error 1016 {TOKEN}"),
    Said(200, f"not json, {TOKEN}"),
    Said(302, None, {"Location": f"https://{TOKEN}@x.example/?t={TOKEN}"}),
    Said(raw=hang_up),
]


@pytest.mark.parametrize("said", ECHOES, ids=lambda s: f"{s.status}")
def test_a_token_that_is_echoed_is_not_repeated(
    way: Way, said: Said, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    way.script.on("*", "", said)
    connector = HubSpotConnector(
        {"base_url": way.script.url}, {"token": TOKEN}, new_context()
    )
    connector._door._sleep = way.naps
    texts: list[str] = [repr(connector), repr(connector._door)]
    calls: list[Callable[[], object]] = [
        connector.test,
        connector.discover,
        lambda: list(connector.pages(CONTACTS, Want(("email",)))),
        lambda: connector.fetch(CONTACTS, ["1"], Want()),
        lambda: connector.create(CONTACTS, drafts([{"email": "a@x.example"}]), Want()),
        lambda: connector.archive(CONTACTS, ["1"]),
        lambda: connector.associations("0-1", "0-2", ["1"]),
    ]
    for call in calls:
        try:
            texts.append(repr(call()))
        except ConnectorError as error:
            texts.append(shown(error))
    connector.close()
    assert len(texts) == len(calls) + 2
    assert len(way.script.asked) >= len(calls) - 1
    assert TOKEN not in "\n".join([*texts, caplog.text])
    assert TOKEN[:12] not in "\n".join([*texts, caplog.text])


def test_what_is_read_is_not_masked_even_if_it_is_the_token(way: Way):
    """Masking belongs to errors: a value is never changed on its way."""
    way.says(Said(200, {"value": f"Bearer {TOKEN}"}))
    assert way.send().body == {"value": f"Bearer {TOKEN}"}


def test_a_token_in_an_address_is_not_shown():
    context = Context(allow_private_hosts=False)
    for base in (
        f"http://user:{TOKEN}@api.example.com",
        f"ftp://user:{TOKEN}@api.example.com",
        f"https://user:{TOKEN}@127.0.0.1",
        f"https://user:{TOKEN}@[::1",
    ):
        door = Door(base, {}, context)
        with pytest.raises(SetupError) as caught:
            door.send("POST", "/x", safety=Safety.ONCE)
        assert TOKEN not in shown(caught.value)


@pytest.mark.parametrize(
    "token", ["", "  ", "späß-token-1234567", "line\nbreak-123456"]
)
def test_a_token_that_no_header_can_hold_is_refused_without_its_text(token: str):
    with pytest.raises(ConnectorError) as caught:
        HubSpotConnector({}, {"token": token}, new_context())
    assert not token.strip() or token not in shown(caught.value)


# PostgreSQL ----------------------------------------------------------------------------


def dsns(system: PostgresSystem) -> list[str]:
    where = system.dsn.rpartition("@")[2]
    host, _, name = where.partition("/")
    return [
        f"postgresql://nobody_here:{QUOTED}@{where}",
        f"postgresql://postgres:{QUOTED}@{host}/no_such_database",
        f"postgresql://postgres:{QUOTED}@127.0.0.1:9/{name}",
        f"postgresql://postgres:{QUOTED}@{where}?sslmode=require",
        f"postgresql://postgres:{QUOTED}@{where}?sslmode=nonsense",
        f"postgresql://postgres:{QUOTED}@{where}?service=x",
        f"postgresql://postgres:{QUOTED}@{where}?nonsense=1",
        f"postgresql://postgres:{QUOTED}@[::1/x",
        f"host=127.0.0.1 port=9 password='{PASSWORD}'",
        f"host=127.0.0.1 password='{PASSWORD}",
        f"password={QUOTED}",
        f"{QUOTED}",
    ]


@pytest.mark.parametrize("place", range(12))
def test_a_password_is_not_shown_by_any_failure_to_connect(
    probes: PostgresSystem, place: int, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    connector = PostgresConnector({}, {"dsn": dsns(probes)[place]}, new_context())
    with pytest.raises(ConnectorError) as caught:
        connector.test()
    text = "\n".join([shown(caught.value), repr(connector), caplog.text])
    for secret in (PASSWORD, QUOTED, "s3cret"):
        assert secret not in text


def test_a_password_is_not_shown_by_a_statement_that_fails(probes: PostgresSystem):
    where = probes.dsn.rpartition("@")[2]
    connector = probes.connect(f"postgresql://postgres:{QUOTED}@{where}")
    assert QUOTED not in repr(connector.test())
    assert PASSWORD not in repr(connector.test())
    with pytest.raises(ConnectorError) as caught:
        connector.fetch(probes.obj, ["1"], Want(("no_such_column",)))
    assert "s3cret" not in shown(caught.value)
    connector.close()


def test_the_sandboxs_own_token_is_in_no_log_of_a_usual_day(
    hubspot: HubSpotSystem, caplog: pytest.LogCaptureFixture
):
    # Another test may have set up logging as a command does, which quiets it.
    caplog.set_level(logging.DEBUG, logger="urllib3")
    hubspot.plant([{"title": "t"}])
    list(hubspot.connector.pages(hubspot.obj, hubspot.want))
    hubspot.connector.test()
    assert caplog.records != []
    assert hubspot.sandbox.token not in caplog.text
