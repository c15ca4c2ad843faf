"""What the contract leaves to each system, for the one that is files in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from connections.catalogue import Code
from connections.connectors.base import ConnectorError, SetupError, TransientError
from connections.records import Draft, Outcome, Patch, Reference, Want
from tests.contract.files_system import FilesSystem
from tests.contract.harness import new_context

pytestmark = pytest.mark.contract
BOTH = Want(references=("one", "more"))


def ids(*given: str) -> Reference:
    return Reference(given)


def put(
    system: FilesSystem, record_id: str, name: str, to: Reference, was: Reference
) -> Outcome:
    patch = Patch(record_id, references={name: to}, expected={name: was})
    (outcome,) = system.connector.update(system.obj, [patch], BOTH)
    return outcome


def linked(system: FilesSystem, record_id: str, name: str) -> tuple[str, ...]:
    found = system.connector.fetch(system.obj, [record_id], BOTH)
    return found.records[record_id].references[name].ids


def test_links_are_set_changed_and_cleared(files: FilesSystem):
    near, a, b = files.plant([{"title": t} for t in "nab"])
    for name, steps in (
        ("one", [ids(a), ids(b), ids()]),
        ("more", [ids(a, b), ids(b), ids()]),
    ):
        was = ids()
        for to in steps:
            assert put(files, near, name, to, was).ok
            assert linked(files, near, name) == to.ids
            was = to
    (made,) = files.connector.create(
        files.obj, [Draft("t", {"title": "x"}, {"one": ids(a)})], BOTH
    )
    assert made.record is not None
    assert made.record.references["one"] == ids(a)


def test_a_list_that_somebody_edits_meanwhile_keeps_the_edit(files: FilesSystem):
    a, b, c = files.plant([{"title": t} for t in "abc"])
    (near,) = files.plant([{"more": [a, c], "one": [c]}])  # planned with a, c was added
    assert put(files, near, "more", ids(b), was=ids(a)).ok
    assert linked(files, near, "more") == (c, b)
    refused = put(files, near, "one", ids(b), was=ids(a))
    assert (refused.code, refused.field) == (Code.CHANGED_SINCE_PLAN, "one")
    assert linked(files, near, "one") == (c,)


def test_a_link_to_nothing_is_refused_and_one_that_was_lost_stays(files: FilesSystem):
    (a,) = files.plant([{"title": "a"}])
    (near,) = files.plant([{"more": ["lost"]}])
    refused = put(files, near, "more", ids("lost", "x"), was=ids("lost"))
    assert (refused.code, refused.field) == (Code.TARGET_NOT_MATCHED, "more")
    refused = put(files, near, "one", ids(a, a + "0"), was=ids())
    assert refused.code == Code.LIMIT_REACHED
    assert files.held()[near] == {"more": ["lost"]}


def test_a_create_that_is_sent_again_makes_no_second_record(files: FilesSystem):
    reserved = files.connector.reserve(files.obj, 2)
    assert reserved is not None
    assert len(set(reserved)) == 2
    draft = Draft("t", {"title": "x"}, id=reserved[0])
    for _ in range(2):
        (outcome,) = files.connector.create(files.obj, [draft], files.want)
        assert outcome.record is not None
        assert outcome.record.id == reserved[0]
    assert files.titles() == {reserved[0]: "x"}


def test_a_file_that_cannot_be_read_is_not_gone(files: FilesSystem):
    good, bad = files.plant([{"title": "good"}, {"title": "bad"}])
    files.path(bad).write_text('{"title": "half')
    found = files.connector.fetch(files.obj, [good, bad], files.want)
    assert (set(found.records), found.gone) == ({good}, frozenset())
    (outcome,) = files.connector.update(files.obj, [Patch(bad, {"title": "x"})], BOTH)
    assert not outcome.ok
    assert files.path(bad).read_text() == '{"title": "half'


@pytest.mark.parametrize(
    "name", ["../secret", "a/b", "", "fields", "..", "/etc/passwd"]
)
def test_no_id_leads_out_of_the_folder(files: FilesSystem, name: str):
    (files.folder / "secret.json").write_text("{}")
    found = files.connector.fetch(files.obj, [name], files.want)
    assert not found.records
    assert found.gone == {name}
    files.connector.delete(files.obj, [name])
    assert (files.folder / "secret.json").exists()
    assert (files.folder / "probes" / "fields.json").exists()


def test_a_folder_that_is_not_there_or_another_one_is_said(
    files: FilesSystem, tmp_path: Path
):
    system = files.connector.test().system
    (tmp_path / "other").mkdir()
    cases: list[tuple[type[ConnectorError], dict[str, str]]] = [
        (TransientError, {"folder": str(tmp_path / "nowhere")}),
        (SetupError, {"folder": str(tmp_path / "other")}),
    ]
    for error, changes in cases:
        connector = files.connect(**changes, context=new_context(system=system))
        with pytest.raises(error):
            connector.test()
    with pytest.raises(SetupError, match="folder is missing"):
        files.connect(folder="")
