"""A field's whole list is written only where it was shown whole."""

from __future__ import annotations

import pytest

from associations.run.ends import ReferenceEnd
from connections.records import ReferenceField
from syncs.models import Change, RecordLink
from syncs.models.choices import ChangeKind

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("planned", [["1", "2"], []])
def test_a_list_that_is_not_shown_whole_any_more_has_moved(planned, many):
    end = ReferenceEnd(ReferenceField("companies", "companies", many=many))
    near, far = RecordLink(app_id="7"), RecordLink(pk=3, app_id="3")
    change = Change(
        link=near,
        other_link=far,
        kind=ChangeKind.LINK,
        before={"ids": planned, "field": "companies"},
        after={"field": "companies"},
    )
    near.app_references = {"companies": {"ids": planned, "complete": True}}
    assert not end.moved(change)
    near.app_references = {"companies": {"ids": planned[:1], "complete": False}}
    assert end.moved(change)
