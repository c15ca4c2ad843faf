"""The same links under every version of the API, by the paths of that version alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hubspot.crm.associations import (
    BatchInputPublicAssociation,
    BatchInputPublicObjectId,
)

from connections.catalogue import Code
from connections.connectors.hubspot import HubSpotConnector
from connections.connectors.hubspot.paths import VERSIONS, Paths
from connections.models import ApiVersion
from connections.records import AssociationType, Draft, Edge, InlineEdge, Linked, Want
from tests.contract.harness import new_context
from tests.contract.hubspot_system import HubSpotSystem
from tests.contract.linkable import PLAIN, PRIMARY, Linkable, edge
from tests.contract.scripted import Asked, Said, Scripted
from tests.contract.shapes import results
from tests.vendor import vendor_client

pytestmark = pytest.mark.contract
LABELLED = [name for name, version in VERSIONS.items() if not version.named_links]
BOSS = AssociationType("USER_DEFINED", 77)
# By version: records, one link call, properties, definitions, owners, limits, account.
PATHS = {
    "2026-03": "/crm/objects/2026-03/0-1 /crm/associations/2026-03/0-1/0-2/labels "
    "/crm/properties/2026-03/0-1 /crm-object-schemas/2026-03/schemas "
    "/crm/owners/2026-03 /crm/limits/2026-03/records /account-info/2026-03/details",
    "v4": "/crm/v3/objects/0-1 /crm/v4/associations/0-1/0-2/labels "
    "/crm/v3/properties/0-1 /crm/v3/schemas "
    "/crm/v3/owners /crm/v3/limits/records /account-info/v3/details",
    "v3": "/crm/v3/objects/0-1 /crm/v3/associations/0-1/0-2/labels "
    "/crm/v3/properties/0-1 /crm/v3/schemas "
    "/crm/v3/owners /crm/v3/limits/records /account-info/v3/details",
    "2026-09": "/crm/objects/2026-09/0-1 /crm/associations/2026-09/0-1/0-2/labels "
    "/crm/properties/2026-09/0-1 /crm-object-schemas/2026-09/schemas "
    "/crm/owners/2026-09 /crm/limits/2026-09/records /account-info/2026-09/details",
}


@pytest.fixture(params=list(VERSIONS))
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def versioned(hubspot: HubSpotSystem, version: str) -> Iterator[Linkable]:
    """Contacts and companies, linked through one version."""
    found = Linkable(hubspot)
    found.connector = hubspot.connect(api_version=version)
    yield found
    found.connector.close()


def through(linkable: Linkable, near: str) -> dict[str, set[int]]:
    """A contact's companies as the version that is no fallback shows them."""
    links = linkable.system.connector.associations("0-1", "0-2", [near])[near]
    return {link.to_id: {t.type_id for t in link.types} for link in links}


def test_a_set_up_may_name_each_version_there_is():
    assert list(VERSIONS) == ApiVersion.values
    assert [v for v in VERSIONS if "experimental" in ApiVersion(v).label] == ["2026-09"]


def test_each_family_of_endpoints_stands_where_the_version_has_it(version: str):
    at = Paths.of(version)
    labels = at.associations("0-1", "0-2", "labels")
    found = [at.objects("0-1"), labels, at.properties("0-1"), at.schemas, at.owners]
    assert [*found, at.limits("records"), at.account] == PATHS[version].split()


def test_records_and_definitions_stand_where_the_version_has_them(
    versioned: Linkable, version: str
):
    connector = versioned.connector
    report = connector.test()
    assert [VERSIONS[version].caution] == (list(report.warnings) or [""])
    schema = connector.discover()
    deals = schema.object("deals")
    assert schema.object("vessels")
    assert deals is not None
    stages = deals.field("dealstage")
    assert stages is not None
    assert len(stages.options) > 1
    contacts = schema.object("contacts")
    assert contacts is not None
    (made,) = connector.create(
        contacts, [Draft("trace-1", {"firstname": "Ann"})], Want(("firstname",))
    )
    assert made.record is not None
    fetched = connector.fetch(contacts, [made.record.id], Want(("firstname",)))
    assert fetched.records[made.record.id].values == {"firstname": "Ann"}


def test_links_are_written_moved_and_taken_off_under_every_version(
    versioned: Linkable, version: str
):
    connector = versioned.connector
    types = connector.association_types("0-1", "0-2")
    listed = {AssociationType(t.category, t.type_id): t.label for t in types}
    assert listed[PLAIN] is None
    assert listed[PRIMARY]
    ann, bob = versioned.make("contacts", 2)
    one, two, three = versioned.make("companies", 3)
    written = versioned.link([edge(ann, one, PLAIN, PRIMARY), edge(ann, two)])
    assert [o.ok for o in written] == [True, True]
    assert through(versioned, ann) == {one: {279, 1}, two: {279}}
    assert versioned.link([edge(ann, two, PLAIN, PRIMARY)])[0].ok
    assert through(versioned, ann) == {one: {279}, two: {279, 1}}
    (off,) = connector.unlabel("0-1", "0-2", [edge(ann, two, PRIMARY)])
    assert off.ok
    assert through(versioned, ann) == {one: {279}, two: {279}}
    versioned.link([edge(bob, three, PLAIN, PRIMARY)])
    gone = connector.dissociate(
        "0-1", "0-2", [edge(ann, one), edge(bob, three), edge(bob, two)]
    )
    assert [o.ok for o in gone] == [True] * 3  # also the one that never was
    assert through(versioned, ann) == {two: {279}}
    assert through(versioned, bob) == {}


def test_a_create_carries_its_links_under_every_version(versioned: Linkable):
    (company,) = versioned.make("companies", 1)
    inline = InlineEdge("0-2", company, frozenset({PLAIN, PRIMARY}))
    draft = Draft("trace-2", {"firstname": "Ann"}, edges=(inline,))
    obj = versioned.system.obj
    (made,) = versioned.connector.create(obj, [draft], Want(("firstname",)))
    assert made.record is not None
    assert through(versioned, made.record.id) == {company: {279, 1}}


@pytest.mark.parametrize("name", LABELLED)
def test_a_label_is_written_beside_the_plain_type_where_labels_are_known(
    hubspot: HubSpotSystem, name: str
):
    linkable = Linkable(hubspot)
    made = hubspot.api(
        "POST",
        "/crm/associations/2026-03/contacts/companies/labels",
        {"label": "Boss", "name": "boss"},
    )
    boss = AssociationType("USER_DEFINED", made.json()["results"][0]["typeId"])
    connector = hubspot.connect(api_version=name)
    (ann,) = linkable.make("contacts", 1)
    (one,) = linkable.make("companies", 1)
    assert connector.associate("0-1", "0-2", [edge(ann, one, PLAIN, boss)])[0].ok
    assert connector.shows_all_links("0-1", "0-2")
    (found,) = connector.associations("0-1", "0-2", [ann])[ann]
    assert found == Linked(one, frozenset({PLAIN, boss}))
    assert connector.unlabel("0-1", "0-2", [edge(ann, one, boss)])[0].ok
    assert through(linkable, ann) == {one: {279}}
    connector.close()


def test_an_empty_list_a_long_one_and_one_of_companies_under_v3(
    hubspot: HubSpotSystem,
):
    """It goes on past its first page; of companies it shows the primary."""
    linkable = Linkable(hubspot)
    linkable.control.set_switches(association_page=2)
    v3 = hubspot.connect(api_version="v3")
    people = linkable.make("contacts", 5)
    one, two = linkable.make("companies", 2)
    linkable.link([edge(i, one) for i in people])
    linkable.link([edge(people[0], two, PLAIN, PRIMARY)])
    assert v3.shows_all_links("0-2", "0-1")
    held = v3.associations("0-2", "0-1", [one, two, "404404"])
    assert [link.to_id for link in held[one]] == people
    back = frozenset(AssociationType("HUBSPOT_DEFINED", i) for i in (280, 2))
    assert held[two] == (Linked(people[0], back),)
    assert held["404404"] == ()
    assert not v3.shows_all_links("0-1", "0-2")
    assert v3.associations("0-1", "0-2", people[:2]) == {
        people[0]: (Linked(two, frozenset({PLAIN, PRIMARY})),),
        people[1]: (),
    }
    v3.close()


def test_a_custom_objects_plain_type_is_known_by_its_schema_under_v3(
    hubspot: HubSpotSystem,
):
    linkable = Linkable(hubspot)
    v3 = hubspot.connect(api_version="v3")
    vessels = hubspot.discover("vessels")
    for ends in ((vessels.id, "0-1"), ("0-1", vessels.id)):
        (plain,) = v3.association_types(*ends)
        (same,) = (
            t for t in linkable.connector.association_types(*ends) if t.label is None
        )
        assert plain == same
    body = {"properties": {"vessel_name": "Anna"}, "associations": []}
    path = f"/crm/objects/2026-03/{vessels.id}"
    vessel = hubspot.api("POST", path, body).json()["id"]
    (ann,) = linkable.make("contacts", 1)
    type_ = AssociationType(plain.category, plain.type_id)
    made = Edge(ann, vessel, frozenset({type_}))
    assert v3.associate("0-1", vessels.id, [made])[0].ok
    assert v3.associations("0-1", vessels.id, [ann])[ann] == (
        Linked(vessel, frozenset({type_})),
    )
    v3.close()


@pytest.fixture
def v3(script: Scripted) -> Iterator[HubSpotConnector]:
    settings = {"base_url": script.url, "api_version": "v3"}
    found = HubSpotConnector(settings, {"token": "t" * 20}, new_context())
    names = {"1": "contact_to_company", "279": "contact_to_company_unlabeled"}
    listed = [{"id": i, "name": name} for i, name in names.items()]
    script.on("GET", "/0-1/0-2/types", results(*listed))
    yield found
    found.close()


def test_v3_writes_no_label_and_says_so_of_that_pair_alone(
    script: Scripted, v3: HubSpotConnector
):
    script.on("POST", "/0-1/0-2/batch/create", Said(201, {"results": []}))
    done = v3.associate(
        "0-1", "0-2", [edge("1", "8", PLAIN, BOSS), edge("2", "8"), edge("3", "9")]
    )
    assert [o.code for o in done] == [Code.TYPE_UNKNOWN, "", ""]
    assert "no label" in done[0].message
    (off,) = v3.unlabel("0-1", "0-2", [edge("1", "8", BOSS)])
    assert off.code == Code.TYPE_UNKNOWN
    (sent,) = [a for a in script.asked if a.method == "POST"]
    assert sent.path == "/crm/v3/associations/0-1/0-2/batch/create"
    assert [row["from"]["id"] for row in sent.body["inputs"]] == ["2", "3"]
    assert {row["type"] for row in sent.body["inputs"]} == {
        "contact_to_company_unlabeled"
    }


def test_v3_takes_few_calls_and_splits_a_refused_one(
    script: Scripted, v3: HubSpotConnector
):
    def write(asked: Asked) -> Said:
        bad = any(row["from"]["id"] == "7" for row in asked.body["inputs"])
        body = {"status": "error", "category": "VALIDATION_ERROR", "message": "no"}
        return Said(400, body) if bad else Said(204)

    script.on("POST", "/0-1/0-2/batch/archive", write)
    done = v3.dissociate("0-1", "0-2", [edge(str(i), "8") for i in range(100)])
    assert [i for i, o in enumerate(done) if not o.ok] == [7]
    sizes = [len(a.body["inputs"]) for a in script.asked if a.method == "POST"]
    assert sizes[0] == 100  # fifty pairs, with both their types
    assert sizes.count(100) == 2


def test_the_official_client_reads_and_writes_what_v3_does(hubspot: HubSpotSystem):
    """Types by name, and the primary company alone, in the client's own models."""
    linkable = Linkable(hubspot)
    v3 = hubspot.connect(api_version="v3")
    (ann,) = linkable.make("contacts", 1)
    one, two = linkable.make("companies", 2)
    v3.associate("0-1", "0-2", [edge(ann, one, PLAIN, PRIMARY), edge(ann, two)])
    api = vendor_client(hubspot.sandbox).crm.associations.batch_api
    asked = BatchInputPublicObjectId(inputs=[{"id": ann}])
    (row,) = api.read("contacts", "companies", asked).results
    assert [(t.id, t.type) for t in row.to] == [(one, "contact_to_company")]
    ends = {"from": {"id": ann}, "to": {"id": two}, "type": "contact_to_company"}
    api.create("contacts", "companies", BatchInputPublicAssociation(inputs=[ends]))
    assert v3.associations("0-1", "0-2", [ann])[ann] == (
        Linked(two, frozenset({PLAIN, PRIMARY})),
    )
    v3.close()
