"""An edit of a large sync is previewed on a copy: made in slices, with all that is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from associations.drafts import copying
from associations.models import AssociationLink, AssociationMapping
from syncs.models import ObjectSync, RecordKey, RecordLink
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


def test_records_that_were_paired_meanwhile_stop_the_copy(office):
    copy, into = copied(office)
    place = copying.copy_records(office.contacts, copy, into, deadline=0)
    assert place is not None
    one, *_, other = RecordLink.objects.filter(sync=office.contacts).order_by("pk")
    moved = one.hubspot_id
    one.delete()
    RecordLink.objects.filter(pk=other.pk).update(hubspot_id=moved)
    with pytest.raises(copying.Moved):
        copying.copy_records(office.contacts, copy, into, place)
