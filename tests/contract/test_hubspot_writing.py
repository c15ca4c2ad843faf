"""HubSpot's own ways of writing: batches of 100, links with a create, archives, faults."""

from __future__ import annotations

import pytest

from connections.catalogue import Code
from connections.connectors.base import LimitError, TransientError
from connections.records import AssociationType, Draft, InlineEdge, Outcome, Patch
from tests.contract.harness import drafts, new_context, rows, until
from tests.contract.hubspot_system import HubSpotSystem

pytestmark = pytest.mark.contract
PLAIN = AssociationType("HUBSPOT_DEFINED", 279)
PRIMARY = AssociationType("HUBSPOT_DEFINED", 1)
CREATE, UPDATE = "objects/contacts/batch/create", "objects/contacts/batch/update"
ARCHIVE = "objects/contacts/batch/archive"


class LeaseLost(Exception):
    """The caller may not write any more."""


@pytest.fixture(autouse=True)
def _counted(hubspot: HubSpotSystem) -> None:
    assert hubspot.obj.name == "contacts"
    hubspot.sandbox.control.reset_counts()


def create(system: HubSpotSystem, drafts: list[Draft]) -> list[Outcome]:
    return system.connector.create(system.obj, drafts, system.want)


def update(system: HubSpotSystem, patches: list[Patch]) -> list[Outcome]:
    return system.connector.update(system.obj, patches, system.want)


def inputs(system: HubSpotSystem, part: str) -> list[dict[str, object]]:
    """Every input that was sent to a path, in all its calls."""
    return [
        item
        for write in system.sandbox.control.writes(part)
        for item in write["body"]["inputs"]
    ]


@pytest.mark.parametrize("count", [1, 100, 101, 250])
def test_a_batch_takes_as_few_calls_as_there_can_be(hubspot: HubSpotSystem, count: int):
    calls = -(-count // 100)
    ids = [o.record.id for o in create(hubspot, drafts(rows(count))) if o.record]
    assert hubspot.count(CREATE) == calls
    update(hubspot, [Patch(i, {"title": "new"}) for i in ids])
    assert hubspot.count(UPDATE) == calls
    hubspot.connector.archive(hubspot.obj, ids)
    assert hubspot.count(ARCHIVE) == calls
    assert hubspot.count("") == 3 * calls


def test_a_bad_record_in_a_full_batch_costs_no_further_call(hubspot: HubSpotSystem):
    """Trace ids let HubSpot refuse one input alone."""
    many = list(rows(250))
    many[120] = {"amount": "x"}
    outcomes = create(hubspot, drafts(many))
    assert [at for at, o in enumerate(outcomes) if not o.ok] == [120]
    assert hubspot.count(CREATE) == 3
    assert all(item["objectWriteTraceId"] for item in inputs(hubspot, "batch/create"))


def test_trace_ids_are_the_drafts_own(hubspot: HubSpotSystem):
    create(hubspot, [Draft("one", {"title": "a"}), Draft("two", {"title": "b"})])
    sent = {i["objectWriteTraceId"]: i["properties"] for i in inputs(hubspot, "create")}
    assert sent == {"one": {"title": "a"}, "two": {"title": "b"}}


def test_blanks_are_left_out_of_a_create_and_clear_in_an_update(
    hubspot: HubSpotSystem,
):
    (outcome,) = create(hubspot, [Draft("t", {"title": "a", "note": None, "tags": []})])
    assert outcome.record is not None
    update(hubspot, [Patch(outcome.record.id, {"note": None, "tags": []})])
    assert inputs(hubspot, "batch/create")[0]["properties"] == {"title": "a"}
    assert inputs(hubspot, "batch/update")[0]["properties"] == {"note": "", "tags": ""}


def test_the_same_email_in_another_case_is_not_sent_in_one_request(
    hubspot: HubSpotSystem,
):
    """HubSpot refuses a batch that holds it twice, whole."""
    many = drafts([{"email": e} for e in ("a@x.example", "A@X.example", "b@x.example")])
    outcomes = create(hubspot, many)
    assert [o.ok for o in outcomes] == [True, False, True]
    assert outcomes[0].record is not None
    assert outcomes[1].code == Code.DUPLICATE_KEY
    assert outcomes[1].existing_id == outcomes[0].record.id


def test_a_contact_that_exists_is_named_by_its_id(hubspot: HubSpotSystem):
    (holder,) = hubspot.plant([{"email": "a@x.example"}])
    outcomes = create(
        hubspot, drafts([{"email": "new@x.example"}, {"email": "A@x.example"}])
    )
    assert [o.ok for o in outcomes] == [True, False]
    assert (outcomes[1].code, outcomes[1].existing_id) == (Code.DUPLICATE_KEY, holder)


def test_a_merged_id_cannot_be_updated_and_fails_alone(hubspot: HubSpotSystem):
    one, two, three = hubspot.plant(rows(3))
    body = {"primaryObjectId": one, "objectIdToMerge": two}
    hubspot.api("POST", "/crm/objects/2026-03/contacts/merge", body).raise_for_status()
    outcomes = update(hubspot, [Patch(i, {"title": "new"}) for i in (one, two, three)])
    assert [o.ok for o in outcomes] == [False, False, True]
    assert {o.code for o in outcomes[:2]} == {Code.RECORD_GONE}


# Links with a create -------------------------------------------------------------------


def company(system: HubSpotSystem, name: str) -> str:
    body = {"properties": {"name": name}, "associations": []}
    answer = system.api("POST", "/crm/objects/2026-03/companies", body)
    return str(answer.json()["id"])


def test_a_create_carries_its_links(hubspot: HubSpotSystem):
    one, two = company(hubspot, "one"), company(hubspot, "two")
    made = create(
        hubspot,
        [
            Draft("a", {"title": "a"}),
            Draft(
                "b",
                {"title": "b"},
                edges=(
                    InlineEdge("0-2", one, frozenset({PLAIN})),
                    InlineEdge("0-2", two, frozenset({PLAIN, PRIMARY})),
                ),
            ),
        ],
    )
    ids = [o.record.id for o in made if o.record]
    assert hubspot.count(CREATE) == hubspot.count("batch")
    links = hubspot.connector.associations("0-1", "0-2", ids)
    assert links[ids[0]] == ()
    assert {link.to_id: link.types for link in links[ids[1]]} == {
        one: frozenset({PLAIN}),
        two: frozenset({PLAIN, PRIMARY}),
    }


def test_a_create_with_a_link_to_nobody_fails_alone(hubspot: HubSpotSystem):
    edge = InlineEdge("0-2", "404404", frozenset({PLAIN}))
    many = [Draft("a", {"title": "a"}), Draft("b", {"title": "b"}, edges=(edge,))]
    outcomes = create(hubspot, [*many, Draft("c", {"title": "c"})])
    assert [o.ok for o in outcomes] == [True, False, True]
    assert not outcomes[1].uncertain
    assert sorted(hubspot.titles().values()) == ["a", "c"]


# Archive -------------------------------------------------------------------------------


def test_an_archive_is_done_for_each_and_again_for_who_is_gone(
    hubspot: HubSpotSystem,
):
    ids = hubspot.plant(rows(3))
    hubspot.remove(ids[1])
    outcomes = hubspot.connector.archive(hubspot.obj, [ids[0], ids[1], ids[0], "4404"])
    assert [o.ok for o in outcomes] == [True] * 4
    assert set(hubspot.titles()) == {ids[2]}
    hubspot.sandbox.control.restore("contacts", ids[0])
    assert set(hubspot.titles()) == {ids[0], ids[2]}


# Upsert --------------------------------------------------------------------------------


def test_an_upsert_makes_or_changes_and_may_be_repeated(hubspot: HubSpotSystem):
    (there,) = hubspot.plant([{"code": "k1", "title": "old"}])
    many = [
        Draft("a", {"code": "k1", "title": "new"}),
        Draft("b", {"code": "k2", "title": "made"}),
        Draft("c", {"code": "k3", "amount": "x"}),
        Draft("d", {"title": "no key"}),
    ]
    for _ in range(2):
        outcomes = hubspot.connector.upsert(hubspot.obj, "code", many)
        assert [o.ok for o in outcomes] == [True, True, False, False]
        assert outcomes[0].record is not None
        assert outcomes[0].record.id == there
        assert [o.code for o in outcomes[2:]] == [
            Code.VALUE_INVALID,
            Code.REQUIRED_MISSING,
        ]
        assert sorted(hubspot.titles().values()) == ["made", "new"]


# Faults --------------------------------------------------------------------------------

EFFECT = ["status=503", "drop", "status=500", "garbage", "status=504"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", EFFECT)
def test_a_create_without_an_answer_is_uncertain_and_sent_once(
    hubspot: HubSpotSystem, fault: str, when: str
):
    hubspot.sandbox.control.set_faults(f"{fault},path=batch/create,nth=2,when={when}")
    outcomes = create(hubspot, drafts(rows(250)))
    assert [o.uncertain for o in outcomes] == [False] * 100 + [True] * 100 + [
        False
    ] * 50
    assert {o.code for o in outcomes if o.uncertain} == {Code.UNCERTAIN}
    assert all(o.ok for o in outcomes if not o.uncertain)
    sent = [i["objectWriteTraceId"] for i in inputs(hubspot, "batch/create")]
    assert len(sent) == len(set(sent))
    happened = when == "after" or fault == "garbage"
    assert len(hubspot.titles()) == (250 if happened else 150)
    assert len(hubspot.sandbox.control.calls()) == 3


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_create_that_times_out_is_uncertain_and_sent_once(
    hubspot: HubSpotSystem, when: str
):
    hubspot.use(new_context(timeout_s=0.3))
    control = hubspot.sandbox.control
    control.set_faults(f"timeout=0.6,path=batch/create,when={when}")
    outcomes = create(hubspot, drafts(rows(2)))
    assert [o.uncertain for o in outcomes] == [True, True]
    until(lambda: bool(control.calls()))
    assert len(control.calls()) == 1
    assert len(hubspot.titles()) == (2 if when == "after" else 0)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", EFFECT)
def test_an_update_is_repeated_and_ends_the_same(
    hubspot: HubSpotSystem, fault: str, when: str
):
    ids = hubspot.plant(rows(150))
    hubspot.sandbox.control.set_faults(f"{fault},path=batch/update,nth=1,when={when}")
    outcomes = update(hubspot, [Patch(i, {"title": "new"}) for i in ids])
    assert [o.ok for o in outcomes] == [True] * 150
    assert set(hubspot.titles().values()) == {"new"}
    assert len(hubspot.sandbox.control.calls()) == 3


@pytest.mark.parametrize("fault", ["status=503", "drop"])
def test_an_archive_is_repeated(hubspot: HubSpotSystem, fault: str):
    ids = hubspot.plant(rows(2))
    hubspot.sandbox.control.set_faults(f"{fault},path=archive,nth=1,when=after")
    assert [o.ok for o in hubspot.connector.archive(hubspot.obj, ids)] == [True] * 2
    assert hubspot.titles() == {}


@pytest.mark.parametrize("fault", ["status=503", "drop", "garbage", "status=429"])
def test_every_read_is_repeated(hubspot: HubSpotSystem, fault: str):
    ids = hubspot.plant(rows(150))
    obj, want, connector = hubspot.obj, hubspot.want, hubspot.connector
    hubspot.sandbox.control.set_faults(*[f"{fault},nth={n}" for n in (1, 2, 4)])
    pages = connector.pages(obj, want)
    assert sum(len(page.records) for page in pages) == 150
    assert set(connector.fetch(obj, ids, want).records) == set(ids)


def test_a_limit_before_anything_was_written_is_an_error(hubspot: HubSpotSystem):
    hubspot.sandbox.control.set_limits(enforced=True, general_per_10s=0)
    with pytest.raises(LimitError) as caught:
        create(hubspot, drafts(rows(150)))
    assert caught.value.code == Code.RATE_LIMITED
    assert hubspot.titles() == {}
    hubspot.sandbox.control.set_limits(daily=0)
    with pytest.raises(LimitError) as caught:
        create(hubspot, drafts(rows(150)))
    assert caught.value.code == Code.QUOTA_SPENT
    assert caught.value.retry_at is not None


def test_a_limit_after_something_was_written_is_the_rests_outcome(
    hubspot: HubSpotSystem,
):
    hubspot.sandbox.control.set_limits(enforced=True, general_per_10s=1)
    outcomes = create(hubspot, drafts(rows(350)))
    assert [o.ok for o in outcomes] == [True] * 100 + [False] * 250
    assert {(o.code, o.uncertain) for o in outcomes[100:]} == {
        (Code.RATE_LIMITED, False)
    }
    assert len(hubspot.titles()) == 100


def test_a_limit_that_passes_is_waited_for(hubspot: HubSpotSystem):
    hubspot.sandbox.control.set_faults("status=429,path=batch/create,times=2")
    outcomes = create(hubspot, drafts(rows(2)))
    assert [o.ok for o in outcomes] == [True, True]
    assert len(hubspot.titles()) == 2
    assert len(hubspot.naps.taken) == 2


def test_an_unreachable_hubspot_leaves_a_write_undone(hubspot: HubSpotSystem):
    connector = hubspot.connect(base_url="http://127.0.0.1:9")
    with pytest.raises(TransientError):
        connector.create(hubspot.obj, drafts(rows(2)), hubspot.want)


def test_the_right_lost_between_two_requests_stops_the_second(hubspot: HubSpotSystem):
    """The first hundred are there: whoever comes next finds them by their traces."""
    left = [True]

    def once() -> None:
        if not left:
            raise LeaseLost
        left.pop()

    hubspot.use(new_context(before_write=once))
    with pytest.raises(LeaseLost):
        create(hubspot, drafts(rows(150)))
    assert len(hubspot.titles()) == 100
    assert hubspot.count(CREATE) == 1
