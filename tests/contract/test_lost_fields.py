"""A field that is lost under a run is never read as blank and never half written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connections.catalogue import Code
from connections.connectors.base import SchemaError
from connections.records import Outcome, Page, Patch
from tests.contract.harness import System, drafts

pytestmark = pytest.mark.contract


def read(pages: Callable[[], list[Page]]) -> list[Page]:
    """Pages, or none where the connector says that a field is missing."""
    try:
        return pages()
    except SchemaError as error:
        if error.code != Code.FIELD_MISSING:
            raise
        return []


def test_a_lost_field_is_missing_or_an_error_and_not_blank(own_system: System):
    obj, want, connector = own_system.obj, own_system.want, own_system.connector
    own_system.plant([{"title": "t", "note": "n"}])
    (before,) = connector.pages(obj, want)
    assert before.records[0].values["note"] == "n"
    own_system.lose_field("note")
    for page in read(lambda: list(connector.pages(obj, want))):
        for record in page.records:
            assert "note" not in record.values
            assert record.values["title"] == "t"


def test_a_write_to_a_lost_field_writes_nothing_and_names_it(own_system: System):
    obj, want, connector = own_system.obj, own_system.want, own_system.connector
    (record_id,) = own_system.plant([{"title": "t", "note": "n"}])
    own_system.lose_field("note")
    writes: list[Callable[[], list[Outcome]]] = [
        lambda: connector.create(obj, drafts([{"title": "a", "note": "b"}] * 2), want),
        lambda: connector.update(
            obj, [Patch(record_id, {"title": "x", "note": "y"})], want
        ),
    ]
    for write in writes:
        try:
            outcomes = write()
        except SchemaError as error:
            found = {(error.code, "note" in error.message)}
        else:
            found = {(Code(o.code), o.field == "note") for o in outcomes}
            assert not any(o.ok or o.uncertain for o in outcomes)
        assert found == {(Code.FIELD_MISSING, True)}
    assert own_system.titles() == {record_id: "t"}
