"""A plain field holds the far record's key: `by: match_key`, in both systems."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from associations.models import AssociationLink, AssociationMapping, AssociationType
from associations.setup import applying
from associations.setup.problems import SetupRefused
from connections.sandbox.server import SandboxServer
from syncs import services
from syncs.models import FieldMapping, MatchKey
from tests.test_defaults_setup import COMPANIES, PEOPLE, apply, export, file
from tests.test_undo import undo
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
A, B, C, LATE, TWICE = (f"{name}.example" for name in ("a", "b", "c", "late", "twice"))
PLAIN, PRIMARY = 279, 1
USER_DEFINED = "USER_DEFINED"


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        made = World(sandbox, pg_dsn)
        made.sql("ALTER TABLE people ADD firm text")
        yield made


def label(world: World) -> int:
    """Make the label "Advisor" and return its id from contacts to companies."""
    from hubspot.crm.associations.v4.schema import (
        PublicAssociationDefinitionCreateRequest as Request,
    )

    api = world.client.crm.associations.v4.schema.definitions_api
    body = Request(label="Advisor", name="advisor")
    api.create("contacts", "companies", body)
    rows = api.get_all("contacts", "companies").results
    return next(int(r.type_id) for r in rows if r.label == "Advisor")


def set_up(world: World, kind: str, direction: str, normalize: str) -> int:
    """Both syncs, and people.firm by the domain of companies; the type's id."""
    type_id = {"default": PLAIN, "primary": PRIMARY}.get(kind) or label(world)
    world.set_up()
    MatchKey.objects.filter(sync=world.companies).update(normalize=normalize)
    AssociationMapping.objects.all().delete()
    category = "HUBSPOT_DEFINED" if kind != "label" else USER_DEFINED
    AssociationType.objects.filter(account=world.account).get(type_id=type_id)
    AssociationMapping.objects.create(
        sync=world.contacts,
        app_field="firm",
        to_sync=world.companies,
        by="match_key",
        category=category,
        type_id=type_id,
        direction=direction,
    )
    return type_id


def people(world: World, **firms: str | None) -> None:
    for name, firm in firms.items():
        world.sql(
            "INSERT INTO people (email, firm) VALUES (%s, %s)",
            f"{name}@p.example",
            firm,
        )


def companies(world: World, *domains: str) -> None:
    for domain in domains:
        world.sql("INSERT INTO companies (name, domain) VALUES ('N', %s)", domain)


def put(world: World, name: str, firm: str | None) -> None:
    mail = f"{name}@p.example"
    world.sql("UPDATE people SET firm = %s WHERE email = %s", firm, mail)


def firms(world: World) -> dict[str, str | None]:
    rows = world.sql("SELECT split_part(email, '@', 1), firm FROM people")
    return {str(name): firm for name, firm in rows}


def linked(world: World, type_id: int) -> dict[str, str]:
    """Who has a link of the type to which company, in HubSpot."""
    return {
        mail.partition("@")[0]: domain
        for (mail, domain), types in world.links().items()
        if type_id in {number for _, number in types}
    }


def open_links(world: World) -> dict[str, tuple[str, str]]:
    rows = AssociationLink.objects.exclude(state="in_sync").select_related("link")
    return {
        r.link.app_values["email"].partition("@")[0]: (r.state, r.code) for r in rows
    }


def run(world: World, **how: Any) -> dict[str, Any]:
    found: dict[str, Any] = world.run(**how)["syncs"][1]["associations"]
    return found


def settled(world: World) -> None:
    """The next run writes nothing."""
    links = run(world)
    nothing = {"hubspot": 0, "app": 0}
    assert [links[w] for w in ("added", "removed", "changed")] == [nothing] * 3


@pytest.mark.parametrize("direction", ["to_hubspot", "two_way"])
@pytest.mark.parametrize("kind", ["default", "primary", "label"])
def test_a_key_in_a_field_is_a_link_in_hubspot(world, kind, direction):
    exact = direction == "two_way"
    companies(world, A, B, C, TWICE, TWICE)
    spelt = A if exact else f"https://www.{A.upper()}/about"
    people(world, add=spelt, change=A, clear=A, renamed=C, late=LATE, twice=TWICE)
    people(world, nobody=None, free="n/a")
    type_id = set_up(world, kind, direction, "exact" if exact else "domain")
    run(world)
    one = {"add": A, "change": A, "clear": A, "renamed": C}
    assert linked(world, type_id) == one
    assert open_links(world) == {
        "late": ("pending", "TARGET_NOT_MATCHED"),
        "free": ("pending", "TARGET_NOT_MATCHED"),
        "twice": ("failing", "TARGET_AMBIGUOUS"),
    }
    settled(world)
    before = firms(world)
    put(world, "change", B)
    put(world, "clear", None)
    companies(world, LATE)
    world.sql(
        "DELETE FROM companies WHERE ctid = (SELECT max(ctid) FROM companies "
        "WHERE domain = %s)",
        TWICE,
    )
    world.sql("UPDATE companies SET domain = 'new.example' WHERE domain = %s", C)
    world.run(sweep=False)
    world.run(sweep=False)
    two = {"add": A, "change": B, "renamed": "new.example", "late": LATE}
    held = linked(world, type_id)
    assert {k: held.get(k) for k in two} == two
    assert "clear" not in held
    assert firms(world) == before | {"change": B, "clear": None}
    assert open_links(world).get("late") is None
    settled(world)
    if not exact:
        return
    # What people link and unlink in HubSpot stands in the field.
    ids = {m.partition("@")[0]: r["id"] for m, r in world.contacts_in_hubspot().items()}
    far = {d: str(r["id"]) for d, r in world.companies_in_hubspot().items()}
    link_in_hubspot(world, str(ids["nobody"]), far[B], kind, type_id)
    world.unlink(str(ids["add"]), far[A])
    run(world)
    after = firms(world)
    assert after["nobody"] == B
    assert after["add"] is None
    assert after["renamed"] == C, "what nobody linked anew is not rewritten"
    settled(world)


def link_in_hubspot(
    world: World, contact: str, company: str, kind: str, type_id: int
) -> None:
    from hubspot.crm.associations.v4 import AssociationSpec

    category = USER_DEFINED if kind == "label" else "HUBSPOT_DEFINED"
    spec = AssociationSpec(association_category=category, association_type_id=type_id)
    api = world.client.crm.associations.v4.basic_api
    api.create("contacts", contact, "companies", company, [spec])


# In the run's other ways ----------------------------------------------------------------


def test_a_plan_is_applied_and_taken_back_with_the_text_that_stood_there(world):
    companies(world, A, B)
    people(world, one=A, two=None)
    type_id = set_up(world, "default", "two_way", "exact")
    run(world)
    ids = {m.partition("@")[0]: r["id"] for m, r in world.contacts_in_hubspot().items()}
    far = {d: str(r["id"]) for d, r in world.companies_in_hubspot().items()}
    link_in_hubspot(world, str(ids["two"]), far[B], "default", type_id)
    put(world, "one", B)
    dry = world.run(dry_run=True)
    assert firms(world) == {"one": B, "two": None}
    assert linked(world, type_id) == {"one": A, "two": B}
    plan, _ = services.plan_run(dry["run"])
    done = world.run(plan=plan)
    assert firms(world) == {"one": B, "two": B}
    assert linked(world, type_id) == {"one": B, "two": B}
    undo(done["run"])
    assert firms(world) == {"one": B, "two": None}
    assert linked(world, type_id) == {"one": A, "two": B}
    settled(world)  # what was taken back travels nowhere


def test_a_preview_shows_the_first_link_of_a_record_that_lost_all_it_had(world):
    companies(world, A, B)
    people(world, one=A)
    type_id = set_up(world, "default", "to_hubspot", "exact")
    run(world)
    (contact,) = (str(r["id"]) for r in world.contacts_in_hubspot().values())
    far = {d: str(r["id"]) for d, r in world.companies_in_hubspot().items()}
    world.client.crm.associations.v4.basic_api.archive(
        "contacts", contact, "companies", far[A]
    )
    put(world, "one", B)
    dry = world.run(dry_run=True)
    assert dry["syncs"][1]["associations"]["added"] == {"hubspot": 1, "app": 0}
    plan, _ = services.plan_run(dry["run"])
    world.run(plan=plan)
    assert linked(world, type_id) == {"one": B}
    settled(world)


def test_the_file_says_what_a_field_names_records_by(world, tmp_path, monkeypatch):
    monkeypatch.setenv("HUBSPOT_TOKEN", world.sandbox.token)
    monkeypatch.setenv("PG_DSN", world.dsn)
    link = {"app_field": "firm", "by": "match_key", "to": "Companies"}
    near = PEOPLE | {"associations": [link]}
    apply(tmp_path, file(world, COMPANIES, near))
    mapping = AssociationMapping.objects.get()
    assert (mapping.by, mapping.direction) == ("match_key", "to_hubspot")
    assert "nothing changed" in apply(tmp_path, export())
    wide = PEOPLE | {"associations": [link | {"direction": "two_way"}]}
    both = near | {"fields": [{"hubspot": "company", "app": "firm"}]}
    both |= {"match": [{"hubspot": "email", "app": "email"}]}
    world.sql("ALTER TABLE people ADD company_name text")  # which fits company, too
    named = link | {"app_field": "company_name"}
    usual = PEOPLE | {"fields": "default", "associations": [named]}
    apply(tmp_path, file(world, COMPANIES, usual))
    taken = set(FieldMapping.objects.values_list("app", flat=True))
    assert "company_name" not in taken
    pair = [{"hubspot": "name", "app": "name"}, {"hubspot": "phone", "app": "phone"}]
    for syncs, why in (
        ((COMPANIES, wide), "compares its key domain as domain"),
        ((COMPANIES, both), "is mapped to the property company"),
        ((COMPANIES | {"match": [{"all": pair}]}, near), "made of several fields"),
        ((COMPANIES | {"matching": "none"}, near), "is missing"),
    ):
        with pytest.raises(SetupRefused, match=why):
            applying.apply(yaml.safe_dump(file(world, *syncs)), os.environ)
