"""An edit of a large sync is previewed on a copy: made in slices, with all that is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from associations import tasks
from associations.drafts import copying, edit, rehearsing
from associations.models import AssociationLink, AssociationMapping
from syncs.models import ObjectSync, RecordKey, RecordLink, SyncDraft, SyncRun
from tests.office import open_office, past_run, records

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Twelve pairs, each end of two linked within the object, and records of one side."""
    made = open_office()
    records(made, 12)
    links = list(RecordLink.objects.filter(sync=made.contacts).order_by("pk"))
    for link, lost in ((links[3], "hubspot_id"), (links[7], "app_id")):
        RecordLink.objects.filter(pk=link.pk).update(**{lost: None})
    own = AssociationMapping.objects.create(
        sync=made.contacts, app_field="boss_id", to_sync=made.contacts, position=1
    )
    for one, other in ((links[3], links[11]), (links[11], links[7])):
        AssociationLink.objects.create(mapping=own, link=one, other=other)
    made.mappings = list(AssociationMapping.objects.filter(sync=made.contacts))
    monkeypatch.setattr(copying, "AT_ONCE", 5)
    monkeypatch.setattr(copying, "DELETED_AT_ONCE", 5)
    return made


def copied(office: SimpleNamespace) -> tuple[ObjectSync, dict[int, int]]:
    copy = ObjectSync.objects.get(pk=office.contacts.pk)
    copy.pk, copy.name = None, "Copy"
    copy.save(force_insert=True)
    into = {}
    for mapping in office.mappings:
        was, mapping.pk, mapping.sync = mapping.pk, None, copy
        if mapping.to_sync_id == office.contacts.pk:
            mapping.to_sync = copy
        mapping.save(force_insert=True)
        into[was] = mapping.pk
    return copy, into


def known(sync: ObjectSync) -> dict[str, list[Any]]:
    """All that is known of a sync's records, whatever its rows are called."""
    near = ("link__hubspot_id", "link__app_id")
    links = RecordLink.objects.filter(sync=sync)
    keys = RecordKey.objects.filter(link__sync=sync, sync=sync)
    ties = AssociationLink.objects.filter(link__sync=sync, mapping__sync=sync)
    found = [
        links.values_list("hubspot_id", "app_id", "state", "baseline", "updated_at"),
        keys.values_list(*near, "side", "rank", "value"),
        ties.values_list(
            *("mapping__app_field", *near, "state", "code", "other_remote_id"),
            *("other__hubspot_id", "other__app_id", "other__sync__hubspot_object"),
        ),
        ties.filter(other__sync=sync).values_list(*near, "other__app_id"),
    ]
    return {str(at): sorted(rows, key=repr) for at, rows in enumerate(found)}


def test_a_copy_made_in_slices_knows_all_that_the_sync_does(office):
    copy, into = copied(office)
    place: Any = copying.START
    slices = 0
    while place is not None:
        slices += 1
        place = copying.copy_records(
            office.contacts, copy, into, dict(place), deadline=0
        )
    assert slices > 8
    expected = known(office.contacts)
    assert [len(rows) for rows in expected.values()] == [12, 12, 14, 2]
    assert known(copy) == expected

    past_run(SimpleNamespace(**vars(office) | {"contacts": copy}), None)
    slices = 0
    while not copying.throw_away(copy, deadline=0):
        slices += 1
    assert slices > 8
    assert not ObjectSync.objects.filter(name="Copy").exists()
    assert known(office.contacts) == expected


@pytest.mark.parametrize("slices", [1, 5])
def test_records_that_were_paired_meanwhile_stop_the_copy(office, slices):
    copy, into = copied(office)
    links = RecordLink.objects.filter(sync=office.contacts).order_by("pk")
    alone, *_, other = links
    links.filter(pk=alone.pk).update(app_id=None)
    place: Any = copying.START
    for _ in range(slices):
        place = copying.copy_records(office.contacts, copy, into, place, deadline=0)
    if slices == 1:
        alone.delete()
        links.filter(pk=other.pk).update(hubspot_id=alone.hubspot_id)
    else:
        links.filter(pk=alone.pk).update(app_id="now paired")
    with pytest.raises(copying.Moved):
        copying.copy_records(office.contacts, copy, into, place)


def test_a_draft_that_is_gone_or_previewed_anew_gets_no_copy(office, monkeypatch):
    checked = SimpleNamespace(problems=[])
    monkeypatch.setattr(rehearsing, "look", lambda draft: checked)
    run = SyncRun()
    monkeypatch.setattr(rehearsing, "_preview", lambda *a: run)
    draft = edit(office.contacts, None)
    place: Any = rehearsing.rehearse(draft, None, deadline=0)
    (first,) = ObjectSync.objects.exclude(archived_at=None)
    # A second press sets the first one's copy aside at once.
    anew: Any = rehearsing.rehearse(draft, None, deadline=0)
    assert rehearsing.rehearse(draft, None, place) is None
    assert rehearsing.rehearse(draft, None, anew) is run
    tasks.throw_away(first.pk)
    (copy,) = ObjectSync.objects.exclude(archived_at=None)
    SyncDraft.objects.all().delete()
    assert rehearsing.rehearse(draft, None, anew) is None  # its end, once more
    assert rehearsing.rehearse(draft, None) is None
    tasks.throw_away(copy.pk)
    assert not ObjectSync.objects.exclude(archived_at=None).exists()


def test_a_preview_that_breaks_off_says_so(office, monkeypatch):
    def fail(*args: Any, **how: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(tasks, "rehearse_draft", fail)
    draft = edit(office.contacts, None)
    with pytest.raises(RuntimeError):
        tasks.rehearse(draft.pk, None)
    draft.refresh_from_db()
    assert draft.findings["preview"] == {"refused": "It broke off. Preview again."}
