"""How many calls a day each object of an app has, where its kind counts them so, and how
many were made today.

Only what this installation asked is known: what others do with the same object comes on
top. A day is a day in UTC, which is Kintone's own: it begins at 9 in the morning in Japan.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from connections.connectors import registry
from connections.connectors.base import bucket_of
from connections.models import ConnectedApp, RateBudget, RemoteObject
from connections.services import budget_key

SHOWN = 10  # objects of an app
NEAR = 0.8  # of a day's calls, from where on people are told


@dataclass(frozen=True, slots=True)
class Day:
    """The calls of one object's day: made until now, and allowed."""

    used: int
    most: int

    @property
    def near(self) -> bool:
        return self.used >= NEAR * self.most

    @property
    def over(self) -> bool:
        return self.used >= self.most

    @property
    def percent(self) -> int:
        return round(100 * self.used / self.most)


def most_a_day(app: ConnectedApp) -> int | None:
    """The calls that each object of an app has a day; None where none are counted."""
    kind = registry.KINDS.get(app.kind)
    if kind is None or kind.per_day is None:
        return None
    return max(1, int(app.settings.get("requests_per_day") or kind.per_day))


def days_of(app: ConnectedApp, object_ids: Iterable[str]) -> dict[str, Day]:
    """Today of some objects, by object id; nothing where no calls are counted."""
    kind, most = registry.KINDS.get(app.kind), most_a_day(app)
    if kind is None or most is None:
        return {}
    buckets = {bucket_of(i): i for i in object_ids}
    rows = RateBudget.objects.filter(
        key=budget_key(app, kind), bucket__in=buckets, day=datetime.now(UTC).date()
    )
    made = dict(rows.values_list("bucket", "used_today"))
    return {i: Day(made.get(bucket, 0), most) for bucket, i in buckets.items()}


def busiest(app: ConnectedApp) -> list[tuple[str, Day]]:
    """The objects of an app that were asked most today, with their names."""
    if most_a_day(app) is None:
        return []
    rows = RemoteObject.objects.filter(app=app)
    names = {row.object_id: str(row) for row in rows.only("object_id", "label", "name")}
    asked = [(names[i], day) for i, day in days_of(app, names).items() if day.used]
    return sorted(asked, key=lambda one: -one[1].used)[:SHOWN]
