"""HubSpot's owners are e-mail addresses in the app; stages are those of their pipeline."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from associations.models import AssociationMapping
from connections.records import Field, Option, ValueType
from connections.sandbox.hubspot.metadata import (
    archive_owner,
    keep_owner,
    keep_pipeline,
)
from connections.sandbox.server import SandboxServer
from syncs.engine.values import ValueProblem, convert
from syncs.models import FieldMapping, MatchKey, ObjectSync, RecordLink
from tests.vendor import all_records
from tests.world import World

TEXT = Field("owner", ValueType.TEXT)
OWNER = Field(
    "hubspot_owner_id",
    ValueType.OPTION,
    people=True,
    options=(
        Option("1", "ann@x.example"),
        Option("2", "bob@x.example"),
        Option("3", "bob@x.example", archived=True),
        Option("4", "gone@x.example", archived=True),
        Option("5", ""),
        Option("6", "two@x.example"),
        Option("7", "TWO@x.example"),
    ),
)
UNREAD = Field("o", ValueType.OPTION, people=True)  # no scope
OWNERS = Field("team", ValueType.OPTIONS, people=True, options=OWNER.options)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("value", "source", "target", "wanted"),
    [
        ("1", OWNER, TEXT, "ann@x.example"),
        ("4", OWNER, TEXT, "gone@x.example"),
        (["1", "2"], OWNERS, TEXT, "ann@x.example;bob@x.example"),
        (" Ann@X.example ", TEXT, OWNER, "1"),
        ("2", TEXT, OWNER, "2"),
        ("bob@x.example", TEXT, OWNER, "2"),
        ("bob@x.example; ann@x.example", TEXT, OWNERS, ["1", "2"]),
    ],
)
def test_a_user_is_known_by_an_e_mail_address(value, source, target, wanted):
    assert convert(value, source, target) == wanted


@pytest.mark.unit
@pytest.mark.parametrize(
    ("value", "source", "target", "why"),
    [
        ("5", OWNER, TEXT, "e-mail address is not known"),
        ("9", OWNER, TEXT, "e-mail address is not known"),
        ("gone@x.example", TEXT, OWNER, "belongs to a user who was removed"),
        ("two@x.example", TEXT, OWNER, "belongs to several users"),
        ("nobody@x.example", TEXT, OWNER, "is no user's e-mail address"),
        ("ann@x.example", TEXT, UNREAD, "is no user"),
        ("1", UNREAD, TEXT, "may not read the owners"),
    ],
)
def test_who_is_not_known_is_no_guess(value, source, target, why):
    with pytest.raises(ValueProblem, match=why) as caught:
        convert(value, source, target)
    assert caught.value.code == "OPTION_UNKNOWN"


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def owner(world: World, number: int, email: str) -> str:
    account = world.sandbox.hubspot.main
    with account.store.transaction():
        return keep_owner(account, number, email, "A", "Person")


def in_hubspot(world: World) -> dict[str, str | None]:
    rows = all_records(world.client, "contacts", ("email", "hubspot_owner_id"))
    return {str(r["email"]): r["hubspot_owner_id"] for r in rows.values()}


def in_app(world: World) -> dict[str, str | None]:
    return dict(world.sql("SELECT email, owner_email FROM people"))


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_owners_travel_as_e_mail_addresses_both_ways(world):
    world.sql("ALTER TABLE people ADD owner_email text")
    ann, gone = owner(world, 11, "ann@us.example"), owner(world, 12, "gone@us.example")
    world.create(
        "contacts",
        [
            {"email": "a@x.example", "hubspot_owner_id": ann},
            {"email": "g@x.example", "hubspot_owner_id": gone},
        ],
    )
    account = world.sandbox.hubspot.main
    with account.store.transaction():
        archive_owner(account, gone)
    people: list[tuple[str, str | None]] = [
        ("b@x.example", "Ann@US.example"),
        ("n@x.example", "new@us.example"),
    ]
    people += [("c@x.example", "gone@us.example"), ("a@x.example", None)]
    for row in people:
        world.sql("INSERT INTO people (email, owner_email) VALUES (%s, %s)", *row)
    world.set_up()
    FieldMapping.objects.create(
        sync=world.contacts, hubspot="hubspot_owner_id", app="owner_email", position=9
    )
    # Somebody joined since the schema was read.
    new = owner(world, 13, "new@us.example")
    world.sandbox.control.reset_counts()
    (report,) = world.run(world.contacts)["syncs"]
    assert world.sandbox.control.count("owners") == 2, "once, and once for the removed"
    assert in_app(world) == {
        "a@x.example": "ann@us.example",
        "g@x.example": "gone@us.example",
        "b@x.example": "Ann@US.example",
        "n@x.example": "new@us.example",
        "c@x.example": "gone@us.example",
    }
    assert in_hubspot(world) == {
        "a@x.example": ann,
        "g@x.example": gone,
        "b@x.example": ann,
        "n@x.example": new,
        "c@x.example": None,  # the rest of the record is there
    }
    (error,) = (e for e in report["errors"] if e["code"] == "OPTION_UNKNOWN")
    assert "a user who was removed" in error["example"]
    world.run(world.contacts)
    world.sandbox.control.reset_counts()
    (quiet,) = world.run(world.contacts)["syncs"]
    looked = "for the one who is refused may be there again"
    assert world.sandbox.control.count("owners") == 2, looked
    assert quiet["updated"] == {"hubspot": 0, "app": 0}
    # It moves on either side.
    world.sql("UPDATE people SET owner_email = 'NEW@us.example' WHERE email LIKE 'a%%'")
    world.sql("UPDATE people SET owner_email = NULL WHERE email LIKE 'b%%'")
    world.run(world.contacts)
    assert in_hubspot(world)["a@x.example"] == new
    assert in_hubspot(world)["b@x.example"] is None
    failing = RecordLink.objects.get(app_values__email="c@x.example")
    assert failing.error_code == "OPTION_UNKNOWN"


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_stages_are_options_and_one_of_another_pipeline_is_refused(world):
    account = world.sandbox.hubspot.main
    with account.store.transaction():
        keep_pipeline(account, "deals", "renewals", "Renewals", ("asked", "renewed"))
    world.sql(
        "CREATE TABLE deals (id serial PRIMARY KEY, name text, pipe text, stage text);"
        "INSERT INTO deals (name, pipe, stage) VALUES "
        "('By id', 'renewals', 'asked'), ('By label', 'Renewals', 'Renewals: Renewed'),"
        "('Crossed', 'renewals', 'Sales: Closedwon'), ('Odd', 'Sales', 'no stage')"
    )
    world.connect()
    deals = ObjectSync.objects.create(
        app=world.app,
        name="Deals",
        hubspot_object="deals",
        app_object="deals",
        app_cursor="none",
        matching="fields",
    )
    MatchKey.objects.create(sync=deals, hubspot="dealname", app="name")
    pairs = (("dealname", "name"), ("pipeline", "pipe"), ("dealstage", "stage"))
    for at, (hubspot, app) in enumerate(pairs):
        FieldMapping.objects.create(sync=deals, position=at, hubspot=hubspot, app=app)
    assert not AssociationMapping.objects.exists()
    (report,) = world.run(deals)["syncs"]
    made = all_records(world.client, "deals", ("dealname", "pipeline", "dealstage"))
    assert {r["dealname"]: (r["pipeline"], r["dealstage"]) for r in made.values()} == {
        "By id": ("renewals", "asked"),
        "By label": ("renewals", "renewed"),
    }
    codes = {r.app_values["name"]: r.error_code for r in RecordLink.objects.all()}
    assert codes["Crossed"] == "OPTION_UNKNOWN", report["errors"]
    assert codes["Odd"] in ("OPTION_UNKNOWN", "REQUIRED_MISSING")
    # Corrected, it goes.
    world.sql("UPDATE deals SET pipe = 'default' WHERE name = 'Crossed'")
    world.run(deals)
    made = all_records(world.client, "deals", ("dealname", "pipeline", "dealstage"))
    assert ("default", "closedwon") in {
        (r["pipeline"], r["dealstage"]) for r in made.values()
    }
