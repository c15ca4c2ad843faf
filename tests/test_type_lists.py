"""Association types by label, by id and in lists: found at set-up, merged as one link."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from associations.engine.types import PLAIN as PLAIN_BY_ID
from associations.engine.types import PRIMARY as PRIMARY_BY_ID
from associations.models import AssociationMapping
from associations.setup.applying import apply
from associations.setup.exporting import export
from associations.setup.labels import MissingLabel, make_labels, name_of
from associations.setup.problems import Problem, Problems, SetupRefused
from associations.setup.sync_parsing import read_sync
from associations.setup.types import UnknownLabel, choice_of, find_types
from connections.connectors.base import SchemaError
from connections.models import HubSpotAccount
from connections.records import AssociationType, AssociationTypeInfo, Side
from connections.sandbox.server import SandboxServer
from tests.sandbox.type_ids import CENTRES, CORE_PLAIN, OBJECT_TYPE_IDS, OTHERS
from tests.sandbox.type_ids import PRIMARY as PRIMARY_IDS
from tests.test_link_engine import A, B, Row, rule, run, types, written
from tests.world import World

HD, UD = "HUBSPOT_DEFINED", "USER_DEFINED"
unit = pytest.mark.unit


def info(category: str, type_id: int, label: str | None) -> AssociationTypeInfo:
    return AssociationTypeInfo(category, type_id, label, "0-1", "0-2")


KNOWN = (
    info(HD, 1, "Primary"),
    info(HD, 279, None),
    info(HD, 931, "Billing Contact"),
    info(UD, 31, "Decision maker"),
    info(UD, 33, "Billing contact"),
    info(UD, 35, "Twin"),
    info(UD, 37, "Twin"),
)
FOUND = {
    "left out, one record": ("", False, [(HD, 1)]),
    "left out, several records": ("", True, [(HD, 279)]),
    "a label as it is written": ("Decision maker", True, [(UD, 31)]),
    "a label in other letter case": ("DECISION maker", False, [(UD, 31)]),
    "letter case tells two labels apart": ("Billing contact", True, [(UD, 33)]),
    "HubSpot's own label": ("Billing Contact", True, [(HD, 931)]),
    "an id": ({"category": UD, "id": 37}, True, [(UD, 37)]),
    "a list keeps its order": (
        ["Decision maker", "default", {"category": UD, "id": 35}],
        True,
        [(UD, 31), (HD, 279), (UD, 35)],
    ),
}
REFUSED = {
    "a label there is not": ("Decision maker?", False, "Did you mean 'Decision maker'"),
    "a mistyped word": ("primry", False, "Did you mean 'primary'"),
    "letter case that fits two": ("BILLING CONTACT", False, "several labels"),
    "one text of two labels": ("Twin", False, "{category: USER_DEFINED, id: 35}"),
    "an id there is not": ({"category": UD, "id": 99}, False, "USER_DEFINED 99"),
    "the same twice": (["primary", {"category": HD, "id": 1}], False, "named twice"),
    "the primary for a list": ("primary", True, "one primary link"),
    "the primary's id for a list": ({"category": HD, "id": 1}, True, "one primary"),
    "the primary in a list for a list": (["default", "primary"], True, "one primary"),
}


@unit
@pytest.mark.parametrize(
    ("chosen", "many", "expected"),
    [pytest.param(*row, id=n) for n, row in FOUND.items()],
)
def test_a_type_is_found_by_what_names_it(chosen, many, expected):
    found = find_types(chosen, "0-1", "0-2", KNOWN, many=many)
    assert found == tuple(AssociationType(*each) for each in expected)


@unit
@pytest.mark.parametrize(
    ("chosen", "many", "says"), [pytest.param(*row, id=n) for n, row in REFUSED.items()]
)
def test_a_type_that_is_not_there_is_refused_with_what_is(chosen, many, says):
    with pytest.raises(SchemaError) as caught:
        find_types(chosen, "0-1", "0-2", KNOWN, many=many)
    assert says in caught.value.message
    assert caught.value.code == "TYPE_UNKNOWN"


@unit
def test_only_a_text_without_any_label_may_be_made():
    with pytest.raises(UnknownLabel) as caught:
        find_types(["default", "Adviser"], "0-1", "0-2", KNOWN, many=True)
    assert caught.value.label == "Adviser"


@unit
def test_primary_is_refused_where_a_pair_of_objects_has_none():
    plain = AssociationTypeInfo(HD, 4, None, "0-1", "0-3")
    with pytest.raises(SchemaError, match="no primary link from 0-1 to 0-3"):
        find_types("primary", "0-1", "0-3", [plain], many=False)


@unit
def test_a_company_may_have_many_contacts_of_which_it_is_the_primary_company():
    known = [info(HD, 2, "Primary"), info(HD, 280, None)]
    found = find_types("primary", "0-2", "0-1", known, many=True)
    assert found == (AssociationType(HD, 2),)


@unit
def test_a_file_writes_a_label_by_its_text_where_that_means_only_it():
    assert choice_of(AssociationType(UD, 31), KNOWN) == "Decision maker"
    assert choice_of(AssociationType(UD, 35), KNOWN) == {"category": UD, "id": 35}
    assert choice_of(AssociationType(UD, 33), KNOWN) == {"category": UD, "id": 33}


@unit
@pytest.mark.parametrize(
    ("given", "read", "bad"),
    [
        ("Decision maker", "Decision maker", []),
        (["primary"], "primary", []),
        (["default", " VIP "], ["default", "VIP"], []),
        ([], "", ["s.associations[0].type"]),
        (["default", 4], "default", ["s.associations[0].type[1]"]),
        ([["default"]], "", ["s.associations[0].type[0]"]),
        (
            [{"category": UD, "id": "x"}, "VIP"],
            "VIP",
            ["s.associations[0].type[0].id"],
        ),
    ],
)
def test_a_file_names_one_type_or_a_list(given, read, bad):
    problems = Problems()
    link = {"app_field": "firm_id", "to": "Companies", "type": given}
    tree = {"name": "S", "hubspot_object": "contacts", "app_object": "people"}
    spec = read_sync(tree | {"associations": [link]}, "s", problems)
    assert spec is not None
    assert spec.associations[0].type == read
    assert [p.path for p in problems.found] == bad


# One link of several types ---------------------------------------------------------------

TWO = rule("label", also=types("y"))
TWO_MANY = rule("label", also=types("y"), many=True)
OWNED = rule("default", also=types("x"), many=True)
LED = rule("primary", also=types("x"))
MERGED = {
    "the app's link puts all of them on the pair": (
        Row(TWO_MANY, app=[A]),
        {A: "associate nxy"},
    ),
    "types that no mapping names stay": (
        Row(TWO_MANY, app=[A], hubspot={A: "nu"}),
        {A: "associate nuxy"},
    ),
    "HubSpot's pair counts with any of them": (
        Row(TWO_MANY, hubspot={A: "ny", B: "nu"}, fills=[A]),
        {},
    ),
    "one taken off in HubSpot is not filled again": (
        Row(TWO_MANY, app=[A], hubspot={A: "nx"}, base={A: "nxy"}),
        {},
    ),
    "all taken off in HubSpot are an unlink": (
        Row(TWO_MANY, app=[A], hubspot={A: "nu"}, base={A: "nxy"}, fills=[]),
        {},
    ),
    "an unlink takes all off that stand": (
        Row(TWO_MANY, hubspot={A: "nuxy", B: "ny"}, base={A: "nxy", B: "ny"}),
        {A: "unlabel xy", B: "unlabel y"},
    ),
    "default in the list owns the pair": (
        Row(OWNED, hubspot={A: "nx"}, base={A: "nx"}),
        {A: "dissociate"},
    ),
    "default in the list: any pair counts": (
        Row(OWNED, hubspot={A: "n"}, fills=[A]),
        {},
    ),
    "default in the list: a foreign label stands up to an unlink": (
        Row(OWNED, hubspot={A: "nux"}, base={A: "nx"}, fills=[A]),
        {},
    ),
    "a moved primary takes its labels along": (
        Row(LED, app=[B], hubspot={A: "npx"}, base={A: "npx"}),
        {A: "unlabel px", B: "associate npx"},
    ),
    "a field that holds one moves by any of the types": (
        Row(TWO, app=[A], hubspot={A: "n", B: "ny"}, base={A: "nx"}, fills=[B]),
        {},
    ),
}


@unit
@pytest.mark.parametrize(
    ("row", "writes"), [pytest.param(*r, id=n) for n, r in MERGED.items()]
)
def test_a_list_of_types_is_one_link(row, writes):
    result = run([row.rule], {"f": row.app}, row.hubspot, {"f": row.base})
    spelt = {k: " ".join(_sorted(w.split())) for k, w in writes.items()}
    assert written(result) == spelt
    assert result.app == ({} if row.fills is None else {"f": tuple(row.fills)})
    told = {c.far_key for c in result.changes if c.side is Side.HUBSPOT}
    assert told == set(spelt)


def _sorted(word: list[str]) -> list[str]:
    return [word[0], *("".join(sorted(w)) for w in word[1:])]


# Set up and run --------------------------------------------------------------------------


@pytest.fixture
def world(pg_dsn: str) -> Iterator[World]:
    with SandboxServer(switches={"search_lag_s": 0}) as sandbox:
        yield World(sandbox, pg_dsn)


def label(world: World, text: str, inverse: str | None = None) -> None:
    """Make a label between contacts and companies, as an administrator of HubSpot does."""
    from hubspot.crm.associations.v4.schema import (
        PublicAssociationDefinitionCreateRequest,
    )

    made = PublicAssociationDefinitionCreateRequest(
        label=text, name=text.replace(" ", "_").lower(), inverse_label=inverse
    )
    world.client.crm.associations.v4.schema.definitions_api.create(
        "contacts", "companies", made
    )


def put(world: World, mappings: list[dict[str, Any]]) -> None:
    """Export the set-up, replace its links and apply it."""
    HubSpotAccount.objects.update(credential_env={"token": "${HUBSPOT_TOKEN}"})
    tree = yaml.safe_load(export())
    tree["apps"][0]["syncs"][1]["associations"] = mappings
    apply(yaml.safe_dump(tree), {"HUBSPOT_TOKEN": world.sandbox.token})


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_labels_on_their_own_fields_share_a_pair_and_come_out_as_they_went_in(world):
    world.sql("ALTER TABLE people ADD advises_id int REFERENCES companies")
    label(world, "Decision maker")
    label(world, "Adviser", "Advised by")
    label(world, "Adviser 2")
    world.set_up()
    mine: list[dict[str, Any]] = [
        {
            "app_field": "company_id",
            "to": "Companies",
            "type": ["primary", "Decision maker"],
        },
        {"app_field": "advises_id", "to": "Companies", "type": "adviser"},
    ]
    put(world, mine)
    assert yaml.safe_load(export())["apps"][0]["syncs"][1]["associations"] == mine
    with pytest.raises(SetupRefused, match="Did you mean 'Adviser 2'"):
        put(world, [*mine[:1], mine[1] | {"type": "Adviser 3"}])
    with pytest.raises(SetupRefused, match="mapped twice: give one mapping a list"):
        put(world, [mine[0], mine[0] | {"type": "default"}])

    world.sql("INSERT INTO companies (name, domain) VALUES ('A', 'a.example')")
    world.sql(
        "INSERT INTO people (email, company_id, advises_id) VALUES ('ann@x.example', 1, 1)"
    )
    assert world.run()["status"] == "succeeded"
    rows = AssociationMapping.objects.order_by("position")
    led, advises = ({(t.category, t.type_id) for t in r.types} for r in rows)
    assert len(led) == 2
    (held,) = world.links().values()
    assert held == led | advises | {(HD, 279)}
    # One label goes, its link stays for the other field, and the next run is silent.
    world.sql("UPDATE people SET advises_id = NULL")
    assert world.run()["status"] == "succeeded"
    assert set(world.links().values()) == {frozenset(led | {(HD, 279)})}
    report = world.run()
    assert report["syncs"][1]["associations"]["removed"] == {"hubspot": 0, "app": 0}
    world.sql("UPDATE people SET company_id = NULL")
    world.run()
    assert set(world.links().values()) == {frozenset({(HD, 279)})}


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_a_missing_label_is_made_in_hubspot_once_that_is_confirmed(world):
    world.sql(
        "CREATE TABLE works (person int REFERENCES people, company int REFERENCES "
        "companies, role text, UNIQUE (person, company, role))"
    )
    world.set_up()
    HubSpotAccount.objects.update(credential_env={"token": "${HUBSPOT_TOKEN}"})
    tree = yaml.safe_load(export())
    links: list[dict[str, Any]] = [
        {
            "app_field": "company_id",
            "to": "Companies",
            "type": ["default", "24/7 Hilfe"],
        }
    ]
    tree["apps"][0]["syncs"][1]["associations"] = links
    environ = {"HUBSPOT_TOKEN": world.sandbox.token}
    text = yaml.safe_dump(tree)
    with pytest.raises(SetupRefused, match="add --create-labels"):
        apply(text, environ)
    says = "HubSpot label '24/7 Hilfe' from 0-1 to 0-2 added"
    assert apply(text, environ, create_labels=True, check=True) == [says]
    with pytest.raises(SetupRefused, match="add --create-labels"):
        apply(text, environ)  # a check makes nothing
    assert apply(text, environ, create_labels=True)[0] == says
    assert apply(text, environ, create_labels=True) == []
    assert yaml.safe_load(export())["apps"][0]["syncs"][1]["associations"] == links
    # Nothing is made while anything else is wrong.
    links.append({"app_field": "nowhere", "to": "Companies", "type": "Other"})
    with pytest.raises(SetupRefused, match="nowhere"):
        apply(yaml.safe_dump(tree), environ, create_labels=True)
    links[:] = [works(["Adviser", "Speaker", "24/7 Hilfe"])]
    text = yaml.safe_dump(tree)
    with pytest.raises(SetupRefused, match="add --create-labels"):
        apply(text, environ)
    made = apply(text, environ, create_labels=True)
    assert [line for line in made if line.startswith("HubSpot label")] == [
        f"HubSpot label {text!r} from 0-1 to 0-2 added"
        for text in ("Adviser", "Speaker")
    ]
    assert apply(text, environ, create_labels=True) == []
    links[:] = [{"app_field": "company_id", "to": "Companies"}]
    links[0]["type"] = "Other"
    with pytest.raises(SetupRefused, match="no label 'Other'"):
        apply(yaml.safe_dump(tree), environ)


def works(texts: list[str]) -> dict[str, Any]:
    """A join table whose values stand for some labels."""
    join = {"name": "works", "from": "person", "to": "company", "label": "role"}
    labels = {f"role {at}": text for at, text in enumerate(texts)}
    return {"join_table": join, "to": "Companies", "labels": labels}


class FullHubSpot:
    """An account that has room for one label more."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def label_room(self, from_object: str, to_object: str) -> int:
        return 1

    def create_label(self, *ends: str, label: str, name: str) -> None:
        self.made.append(f"{label}: {name}")


@unit
def test_no_label_is_made_where_there_is_no_room_for_all():
    hubspot = FullHubSpot()
    two = [MissingLabel(Problem(f"p{n}", ""), "0-1", "0-2", f"L {n}") for n in (1, 2)]
    found = make_labels(hubspot, two)  # type: ignore[arg-type]
    assert [p.path for p in found] == ["p1", "p2"]
    assert "room for 1 more" in found[0].text
    assert hubspot.made == []
    assert make_labels(hubspot, [two[0], two[0]]) == []  # type: ignore[arg-type]
    assert hubspot.made == ["L 1: l_1"]


@unit
def test_a_label_has_a_name_that_hubspot_takes():
    assert name_of("Decision maker") == "decision_maker"
    assert name_of("24/7 Hilfe!") == "label_24_7_hilfe"
    assert name_of("顧問").startswith("label_")


TABLES = [(PLAIN_BY_ID, CORE_PLAIN), (PRIMARY_BY_ID, PRIMARY_IDS)]


@unit
@pytest.mark.parametrize(("engine", "written_down"), TABLES)
def test_hubspots_own_ids_are_those_that_its_documentation_lists(engine, written_down):
    ids = {name: OBJECT_TYPE_IDS[name] for pair in written_down for name in pair}
    expected = {}
    for (one, other), (there, back) in written_down.items():
        expected[ids[one], ids[other]] = there
        if back is not None:
            expected[ids[other], ids[one]] = back
    known = {ends: type_id for ends, type_id in expected.items() if ends in engine}
    assert engine == known


@unit
def test_every_other_standard_object_is_linked_by_the_id_that_the_account_lists():
    seen = 0
    for name, ways in OTHERS.items():
        for centre, way in zip(CENTRES, ways, strict=True):
            one, other = OBJECT_TYPE_IDS[centre], OBJECT_TYPE_IDS[name]
            for ends, type_id in zip(
                ((one, other), (other, one)), way or (), strict=False
            ):
                if type_id is None:
                    continue
                known = [AssociationTypeInfo(HD, type_id, None, *ends)]
                (found,) = find_types("default", *ends, known, many=True)
                assert found == AssociationType(HD, type_id)
                seen += 1
    assert seen > 100
