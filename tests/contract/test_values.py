"""Every type's values, written and read back, are equal in canonical form."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connections.catalogue import Code
from connections.records import Canon, Patch
from tests.contract.harness import System, Values, drafts, needs, read_values
from tests.contract.hubspot_system import HubSpotSystem

pytestmark = pytest.mark.contract

VALUES: list[tuple[str, Canon]] = [
    ("title", "plain"),
    ("title", "Zażółć gęślą jaźń · Ünïcödé · 日本語 · العربية"),
    ("title", "\U0001f680\U0001f468\u200d\U0001f469\u200d\U0001f467 emoji"),
    ("title", " leading and trailing "),
    ("title", "two\nlines\r\nand\ta tab"),
    ("title", "quotes ' \" ` and \\ back\\slash"),
    ("title", "{curly},[square],(round)%s %(x)s %"),
    ("title", "<script>&amp;</script>"),
    ("title", "NULL"),
    ("title", "x" * 65_536),
    ("title", "\U0001f680" * 1_000),
    ("title", "e\u0301 is not \u00e9"),
    ("title", "\u0001\u001f\u007f\u200b"),
    ("amount", "0"),
    ("amount", "-12.5"),
    ("amount", "12345678901234.5678"),
    ("amount", "-0.0001"),
    ("flag", True),
    ("flag", False),
    ("day", "2026-01-31"),
    ("day", "2024-02-29"),
    ("day", "1899-12-31"),
    ("day", "9999-12-31"),
    ("moment", "2026-01-31T12:00:00.000Z"),
    ("moment", "2026-10-25T00:59:59.999Z"),
    ("moment", "1969-12-31T23:59:59.999Z"),
    ("moment", "1900-01-01T00:00:00.000Z"),
    ("moment", "9999-12-31T23:59:59.999Z"),
    ("colour", "red"),
    ("tags", ["a"]),
    ("tags", ["a", "b", "c d"]),
    ("code", "A-b/C 1"),
]


def kept(system: System, value: Canon) -> Canon:
    """A value as a system of coarser times keeps it: cut, never rounded up."""
    coarse = system.grain >= timedelta(minutes=1)
    moment = isinstance(value, str) and value.endswith("Z") and "T" in value
    return f"{str(value)[:17]}00.000Z" if coarse and moment else value


@pytest.mark.parametrize(("name", "value"), VALUES)
def test_a_created_value_reads_back_equal(system: System, name: str, value: Canon):
    needs(system, (name, value if isinstance(value, str) else ""))
    (outcome,) = system.connector.create(
        system.obj, drafts([{name: value}]), system.want
    )
    assert outcome.ok, outcome.message
    assert outcome.record is not None
    assert read_values(system, outcome.record.id)[name] == kept(system, value)


@pytest.mark.parametrize(("name", "value"), VALUES)
def test_an_updated_value_reads_back_equal(system: System, name: str, value: Canon):
    needs(system, (name, value if isinstance(value, str) else ""))
    (record_id,) = system.plant([{"title": "before"}])
    (outcome,) = system.connector.update(
        system.obj, [Patch(record_id, {name: value})], system.want
    )
    assert outcome.ok, outcome.message
    assert read_values(system, record_id)[name] == kept(system, value)


@pytest.mark.parametrize("name", sorted({name for name, _ in VALUES}))
def test_a_value_that_is_cleared_reads_back_blank(system: System, name: str):
    needs(system, (name, None))
    value = next(v for n, v in VALUES if n == name)
    (outcome,) = system.connector.create(
        system.obj, drafts([{name: value}]), system.want
    )
    assert outcome.record is not None
    record_id = outcome.record.id
    (cleared,) = system.connector.update(
        system.obj, [Patch(record_id, {name: None})], system.want
    )
    assert cleared.ok
    assert read_values(system, record_id)[name] is None


def test_all_types_at_once_are_kept_apart(system: System):
    values: dict[str, Canon] = {
        "title": "all",
        "code": "k",
        "amount": "1.5",
        "flag": False,
        "day": "2026-01-31",
        "moment": "2026-01-31T12:00:00.000Z",
        "colour": "green",
        "tags": ["b", "c d"],
        "note": "n",
    }
    (outcome,) = system.connector.create(system.obj, drafts([values]), system.want)
    assert outcome.record is not None
    assert read_values(system, outcome.record.id) == values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("amount", "abc"),
        ("amount", "NaN-ish"),
        ("flag", "perhaps"),
        ("day", "2026-13-01"),
        ("day", "31.01.2026"),
        ("day", "99999999-01-01"),
        ("moment", "99999999-01-01T00:00:00.000Z"),
        ("moment", "yesterday noon"),
        ("moment", "2026-01-31T25:00:00.000Z"),
    ],
)
def test_a_value_of_no_such_type_is_refused_by_its_field(
    system: System, name: str, value: Canon
):
    many: list[Values] = [
        {"title": "good"},
        {"title": "bad", name: value},
        {"title": "good"},
    ]
    outcomes = system.connector.create(system.obj, drafts(many), system.want)
    assert [o.ok for o in outcomes] == [True, False, True]
    assert (outcomes[1].code, outcomes[1].field) == (Code.VALUE_INVALID, name)
    assert sorted(system.titles().values()) == ["good", "good"]


@pytest.mark.parametrize(
    ("name", "value"), [("colour", "no_such"), ("colour", "Red"), ("tags", ["a", "z"])]
)
def test_an_option_there_is_not_is_refused(system: System, name: str, value: Canon):
    if name == "tags" and not isinstance(system, HubSpotSystem):
        value, name = "no_such", "colour"  # text[] takes any text
    outcomes = system.connector.create(
        system.obj, drafts([{name: value}, {"title": "good"}]), system.want
    )
    assert [(o.ok, o.code) for o in outcomes] == [
        (False, Code.OPTION_UNKNOWN),
        (True, ""),
    ]
    assert outcomes[0].field == name
