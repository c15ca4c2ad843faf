"""Under which values of the sandbox's switches the matrix is played."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from connections.sandbox.hubspot.switches import BY_NAME, Value

Setting = dict[str, Value]

NAMES = (
    "first_link_primary",
    "primary_archive",
    "link_moves_date",
    "second_primary",
    "labels_without_primary",
    "moved_primary_reported",
    "label_write",
    "limit_error",
    "equal_write_moves_date",
    "association_scopes",
    "id_form",
)
VALUES: dict[str, tuple[Value, ...]] = {n: BY_NAME[n].values for n in NAMES}
VALUES["association_page"] = (500, 2)
VALUES["archive_from_cap"] = (100, 3)
# An account that neither takes a primary off nor lets a write leave it out has no way to
# clear one: tests/test_links.py says what happens then.
BARRED: tuple[Mapping[str, Value], ...] = (
    {"primary_archive": "refused", "labels_without_primary": "keep"},
    {"primary_archive": "refused", "label_write": "add"},
    # Where a record's only company is primary again at once, its plain link goes, too.
    {"primary_archive": "removes_pair", "labels_without_primary": "keep"},
    {"primary_archive": "removes_pair", "label_write": "add"},
)


def each_value() -> Iterator[Setting]:
    """One switch after the other turned from its default."""
    for name, values in VALUES.items():
        for value in values[1:]:
            yield {name: value}


def every_pair() -> list[Setting]:
    """Few settings in which every two values meet, but for those that are barred."""
    open_ = {pair for pair in _pairs(VALUES) if not _barred(dict(pair))}
    found: list[Setting] = []
    while open_:
        setting: Setting = dict(min(open_, key=repr))
        for name in (n for n in VALUES if n not in setting):
            given = setting
            setting = max(
                (
                    given | {name: value}
                    for value in VALUES[name]
                    if not _barred(given | {name: value})
                ),
                key=lambda tried: sum(_meets(tried, pair) for pair in open_),
            )
        met = {pair for pair in open_ if _meets(setting, pair)}
        open_ -= met
        found.append(setting)
    return found


Pair = tuple[tuple[str, Value], tuple[str, Value]]


def _pairs(values: Mapping[str, tuple[Value, ...]]) -> Iterator[Pair]:
    for one, other in combinations(values, 2):
        for first in values[one]:
            for second in values[other]:
                yield (one, first), (other, second)


def _meets(setting: Setting, pair: Pair) -> bool:
    return all(setting.get(name) == value for name, value in pair)


def _barred(setting: Setting) -> bool:
    return any(bar.items() <= setting.items() for bar in BARRED)
