"""What is Kintone's own: codes, batches, revisions, minutes, and calls that are lost."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

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
from connections.connectors.kintone import KintoneConnector
from connections.records import Patch, Want
from connections.sandbox.kintone.writes import Writer
from tests.contract.harness import Naps, Values, drafts, new_context, rows
from tests.contract.kintone_system import KintoneSystem
from tests.contract.scripted import Said, Scripted

pytestmark = pytest.mark.contract
NAME = Want(("title",))


@pytest.fixture(autouse=True)
def _no_limits(kintone: KintoneSystem) -> Iterator[None]:
    yield
    kintone.server.kintone.set_limits(enforced=False, at_once=100)


def error_of(call: Callable[[], object]) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        call()
    return caught.value


# Who calls -----------------------------------------------------------------------------


def test_each_way_to_be_refused_has_its_code(kintone: KintoneSystem):
    server, app = kintone.server, kintone.app
    other = server.domain.add_app("other", {})
    for switch in (520, 400):
        server.set_switches(unknown_token_status=switch)
        assert type(error_of(kintone.connect("no-such").test)) is AuthError
    for switch in (400, 403):
        server.set_switches(foreign_token_status=switch)
        foreign = kintone.connect(server.token(other))
        error = error_of(foreign.test)
        assert (type(error), error.code) == (ScopeError, Code.SCOPE_MISSING)
    server.set_switches(unknown_token_status=520)
    viewer = kintone.connect(server.token(app, "view"))
    assert viewer.test().account == "Kintone 127.0.0.1"
    for code in ("CB_NO02", "GAIA_NO01"):
        server.set_switches(missing_right_code=code)
        error = error_of(lambda: viewer.create(kintone.obj, drafts(rows(1)), NAME))
        assert type(error) is ScopeError
    adder = kintone.connect(server.token(app, "add"))
    assert type(error_of(adder.test)) is ScopeError
    wrong = {"username": "Administrator", "password": "wrong-password"}
    assert type(error_of(kintone.connect(credentials=wrong).test)) is AuthError
    gone = kintone.connect(app_ids=["999"], credentials=_user(kintone))
    assert type(error_of(gone.test)) is SchemaError
    with pytest.raises(AuthError):
        kintone.connect(credentials={"username": "only"})
    with pytest.raises(AuthError, match="9 API tokens"):
        kintone.connect(",".join(["t"] * 10))
    with pytest.raises(SetupError, match="base_url"):
        KintoneConnector({}, {"api_tokens": "t"}, new_context())


def _user(kintone: KintoneSystem) -> dict[str, str]:
    login, password = kintone.server.password
    return {"username": login, "password": password}


def test_apps_are_listed_for_a_user_and_named_for_a_token(kintone: KintoneSystem):
    kintone.server.domain.add_app("Probes", {})  # by another letter case the same
    user = kintone.connect(app_ids=[], credentials=_user(kintone))
    assert user.test().system == "kintone/127.0.0.1"
    names = [o.name for o in user.discover().objects]
    assert names == ["probes (1)", "Probes (2)"]
    error = error_of(kintone.connect(app_ids=[]).discover)
    assert type(error) is ScopeError
    assert "app_ids" in error.message
    kintone.server.set_switches(token_lists_apps=True)
    assert [o.name for o in kintone.connect(app_ids=[]).discover().objects] == [
        "probes"
    ]
    kintone.server.set_switches(token_reads_app=False)
    assert [o.name for o in kintone.connector.discover().objects] == ["App 1"]


SECRETS = ["token-one-1234567890", "token-two-1234567890"]
PASSWORD = "s3cret-Pass/word 91"


@pytest.mark.parametrize("how", ["tokens", "password"])
def test_no_secret_leaves_in_an_error(
    script: Scripted, how: str, kintone: KintoneSystem
):
    word = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    secrets = SECRETS if how == "tokens" else [PASSWORD, word]
    credentials = (
        {"api_tokens": SECRETS}
        if how == "tokens"
        else {"username": "ann", "password": PASSWORD}
    )
    echo = " ".join(secrets)
    connector = KintoneConnector(
        {"base_url": script.url, "app_ids": ["1"]}, credentials, new_context()
    )
    connector._door._sleep = Naps()
    texts = [repr(connector), repr(connector._door)]
    for said in (
        Said(400, {"code": "CB_VA01", "message": echo}),
        Said(401, {"code": "CB_WA01", "message": echo}),
        Said(403, {"code": "CB_NO02", "message": echo}),
        Said(404, {"code": "GAIA_AP01", "message": echo}),
        Said(520, echo),
    ):
        script.on("*", "", said)
        for call in (connector.test, connector.discover):
            error = error_of(call)
            texts += [*traceback.format_exception(error), str(error)]
    connector.close()
    assert not any(secret in "\n".join(texts) for secret in secrets)


# Batches -------------------------------------------------------------------------------


def test_two_thousand_records_are_one_write_and_four_reads(kintone: KintoneSystem):
    connector, server = kintone.connector, kintone.server
    outcomes = connector.create(kintone.obj, drafts(rows(2_000)), NAME)
    assert all(o.ok for o in outcomes)
    assert server.counts() == {
        "GET app/form/fields.json": 1,
        "POST bulkRequest.json": 1,
        "GET records.json": 4,
    }
    ids = [o.record.id for o in outcomes if o.record]
    assert kintone.titles() == {i: f"t{n}" for n, i in enumerate(ids)}
    server.reset_counts()
    pages = list(connector.pages(kintone.obj, NAME))
    assert [len(p.records) for p in pages] == [500] * 4
    assert server.counts() == {"GET records.json": 4}
    server.reset_counts()
    patches = [Patch(i, {"title": "new"}) for i in ids]
    assert all(o.ok for o in connector.update(kintone.obj, patches, NAME))
    assert server.count("bulkRequest") == 1
    server.reset_counts()
    assert all(o.ok for o in connector.delete(kintone.obj, ids))
    assert server.counts() == {"POST bulkRequest.json": 1}
    assert kintone.titles() == {}


@pytest.mark.parametrize("nested", [False, True])
def test_a_bad_record_far_in_a_bulk_request_fails_alone(
    kintone: KintoneSystem, nested: bool
):
    kintone.server.set_switches(update_errors_nested=nested)
    (taken,) = kintone.plant([{"code": "taken"}])
    ids = kintone.plant(rows(350))
    patches = [Patch(i, {"title": "new"}) for i in ids]
    patches[333] = Patch(ids[333], {"code": "taken"})
    patches[7] = Patch(ids[7], {"code": "taken", "title": "x"})
    outcomes = kintone.connector.update(kintone.obj, patches, NAME)
    bad = {n: (o.code, o.existing_id) for n, o in enumerate(outcomes) if not o.ok}
    assert bad[7] == (Code.DUPLICATE_KEY, taken)
    assert bad[333] == (Code.DUPLICATE_KEY, taken)
    assert len(bad) == 2
    assert list(kintone.titles().values()).count("new") == 348
    assert kintone.server.count("bulkRequest") <= 3


def test_deletes_name_what_is_not_there(kintone: KintoneSystem):
    ids = kintone.plant(rows(3))
    kintone.remove(ids[1])
    outcomes = kintone.connector.delete(kintone.obj, [*ids, "no number"])
    assert [o.code for o in outcomes] == [
        *("", Code.RECORD_GONE, ""),
        Code.RECORD_GONE,
    ]
    assert kintone.titles() == {}


# Revisions -----------------------------------------------------------------------------


def test_who_wrote_meanwhile_is_not_written_over(kintone: KintoneSystem):
    ids = kintone.plant(rows(5))
    list(kintone.connector.pages(kintone.obj, NAME))
    kintone.edit(ids[2], "by a user")
    patches = [Patch(i, {"title": "ours"}) for i in ids]
    outcomes = kintone.connector.update(kintone.obj, patches, NAME)
    assert [o.code for o in outcomes] == ["", "", Code.CHANGED_SINCE_PLAN, "", ""]
    assert kintone.titles()[ids[2]] == "by a user"
    kintone.connector.fetch(kintone.obj, ids, NAME)
    outcomes = kintone.connector.update(kintone.obj, patches, NAME)
    assert all(o.ok for o in outcomes)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["drop", "status=503"])
def test_an_update_whose_answer_is_lost_is_sent_again_and_happens_once(
    kintone: KintoneSystem, when: str, kind: str
):
    (record_id,) = kintone.plant(rows(1))
    list(kintone.connector.pages(kintone.obj, NAME))
    kintone.server.set_faults(f"{kind},method=PUT,times=1,when={when}")
    (outcome,) = kintone.connector.update(
        kintone.obj, [Patch(record_id, {"title": "new"})], NAME
    )
    assert outcome.ok
    assert kintone.app.records[int(record_id)].revision == 2
    assert outcome.record is not None
    assert outcome.record.values["title"] == "new"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("count", [1, 150])
def test_a_create_whose_answer_is_lost_is_uncertain_and_not_sent_again(
    kintone: KintoneSystem, when: str, count: int
):
    kintone.server.set_faults(
        f"drop,path=/records.json,method=POST,when={when}",
        f"drop,path=/bulkRequest.json,when={when}",
    )
    outcomes = kintone.connector.create(kintone.obj, drafts(rows(count)), NAME)
    assert all(o.uncertain for o in outcomes)
    kintone.server.set_faults()
    assert len(kintone.titles()) == (count if when == "after" else 0)
    found = kintone.connector.lookup(kintone.obj, "code", ["c0"], NAME)
    assert found is not None
    assert bool(found) is (when == "after")


# Minutes -------------------------------------------------------------------------------


def test_a_second_change_in_the_same_minute_is_not_missed(kintone: KintoneSystem):
    """The clock of a page is so far back that the minute is read again."""
    (record_id,) = kintone.plant(rows(1))
    (page,) = kintone.connector.pages(kintone.obj, NAME)
    stamp = page.records[0].modified_at
    assert stamp is not None
    assert page.read_at is not None
    cursor = min(stamp, page.read_at)
    kintone.edit(record_id, "again")
    found = kintone.connector.changed(kintone.obj, NAME, after=cursor)
    assert [r.values["title"] for p in found for r in p.records] == ["again"]


def test_a_window_is_added_up_where_one_call_shows_it(kintone: KintoneSystem):
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    kintone.plant(rows(500), at=at)
    minute = timedelta(minutes=1)
    ask = {"after": at - minute, "until": at}
    seen = kintone.connector.window(kintone.obj, NAME, **ask)
    assert (seen.count, len(seen.newest)) == (500, 500)
    assert seen.stamps == 500 * int(at.timestamp()) * 10**6
    kintone.plant(rows(1, start=500), at=at)
    seen = kintone.connector.window(kintone.obj, NAME, **ask)
    assert (seen.count, seen.stamps) == (501, None)
    assert kintone.server.count("records") == 2


@pytest.mark.parametrize("count", [0, 499, 500, 501])
def test_pages_end_where_no_total_is_told(kintone: KintoneSystem, count: int):
    kintone.server.set_switches(total_count=False)
    kintone.plant(rows(count))
    pages = kintone.connector.pages(kintone.obj, NAME)
    assert sum(len(p.records) for p in pages) == count


# What stands in the way ----------------------------------------------------------------


def test_a_crowded_domain_slows_us_down_before_it_refuses(kintone: KintoneSystem):
    class Budget:
        paused: list[float] = []

        def acquire(self, bucket: str) -> None:
            return None

        def penalise(self, bucket: str, seconds: float, *, daily: bool = False) -> None:
            self.paused.append(seconds)

        def count(self, bucket: str) -> None:
            return None

    budget = Budget()
    context = new_context(budget=budget)
    kintone.use(context)
    kintone.connector.test()
    assert budget.paused == []
    kintone.server.kintone.set_limits(at_once=1)
    kintone.connector.test()
    assert len(budget.paused) == 1
    kintone.server.kintone.set_limits(enforced=True, at_once=0)
    error = error_of(kintone.connector.test)
    assert (type(error).__name__, error.code) == ("LimitError", Code.RATE_LIMITED)
    assert len(budget.paused) > 2


def test_a_record_that_is_locked_is_tried_again(
    kintone: KintoneSystem, script: Scripted
):
    connector = kintone.connect(base_url=script.url)
    form: dict[str, Any] = {"properties": kintone.app.properties}
    script.on("GET", "/k/v1/app/form/fields.json", Said(200, form))
    script.on(
        "PUT",
        "/k/v1/records.json",
        Said(409, {"code": "GAIA_DA02", "message": "locked", "id": "x"}),
        Said(200, {"records": [{"id": "1", "revision": "2"}]}),
    )
    script.on("GET", "/k/v1/records.json", Said(200, {"records": []}))
    (outcome,) = connector.update(kintone.obj, [Patch("1", {"title": "t"})], NAME)
    assert outcome.ok
    connector.close()


def test_a_hidden_record_is_never_called_gone(kintone: KintoneSystem, script: Scripted):
    connector = kintone.connect(base_url=script.url)
    script.on(
        "GET", "/k/v1/records.json", Said(200, {"records": [], "totalCount": None})
    )
    script.on(
        "GET", "/k/v1/record.json", Said(403, {"code": "CB_NO02", "message": "m"})
    )
    assert connector.fetch(kintone.obj, ["5"], NAME).gone == frozenset()
    script.on(
        "GET", "/k/v1/record.json", Said(404, {"code": "GAIA_RE01", "message": "m"})
    )
    assert connector.fetch(kintone.obj, ["5"], NAME).gone == {"5"}
    script.on("GET", "/k/v1/record.json", Said(520, {"code": "x", "message": "m"}))
    assert type(error_of(lambda: connector.fetch(kintone.obj, ["5"], NAME))) is (
        TransientError
    )
    connector.close()


def test_a_guest_space_is_part_of_the_address(script: Scripted, kintone: KintoneSystem):
    connector = kintone.connect(base_url=f"{script.url}/k/guest/5/")
    name = {"type": "SINGLE_LINE_TEXT", "code": "Name"}
    script.on("*", "", Said(200, {"properties": {"Name": name}}))
    assert connector.test().system == "kintone/127.0.0.1.k.guest.5"
    assert script.asked[-1].path.startswith("/k/guest/5/v1/app/form/fields.json")
    assert connector._api.inner("records") == "/k/guest/5/v1/records.json"
    connector.close()


def test_people_and_other_types_read_and_write_as_texts(kintone: KintoneSystem):
    domain = kintone.server.domain
    for code, kind in (
        ("owner", {"type": "USER_SELECT"}),
        ("site", {"type": "LINK", "protocol": "WEB"}),
        ("at", {"type": "TIME"}),
        ("pick", {"type": "RADIO_BUTTON", "options": ["x", "y"]}),
        ("file", {"type": "FILE"}),
    ):
        domain.change_form(kintone.app, code, kind)
    obj = kintone.connector.discover().object("probes")
    assert obj is not None
    assert obj.field("file") is None
    assert obj.changed_field == "Updated_datetime"
    values: Values = {
        "owner": ["ann", "bob"],
        "site": "https://x.example",
        "at": "09:30",
    }
    want = Want((*values, "pick", "Created_by"))
    (made,) = kintone.connector.create(obj, drafts([values]), want)
    assert made.record is not None
    assert made.record.values == {
        **values,
        "pick": "x",
        "Created_by": "Administrator",
    }
    bad = drafts([{"site": "no address"}])
    (refused,) = kintone.connector.create(obj, bad, want)
    assert (refused.code, refused.field) == (Code.VALUE_INVALID, "site")
    with domain.change():
        Writer(domain, lambda _: True, "x").delete(kintone.app, made.record.id)
