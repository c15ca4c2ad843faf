"""How many calls a day or a month an app has, where its kind counts them, and how many were
made until now.

Kintone counts by object and day, Airtable by month. Only what this installation asked is
known: what others do with the same system comes on top. A day is a day in UTC, which is
Kintone's own: it begins at 9 in the morning in Japan. A month is a calendar month in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from connections.connectors import registry
from connections.connectors.base import bucket_of
from connections.connectors.kinds import Kind
from connections.models import ConnectedApp, RateBudget, RemoteObject
from connections.services import budget_key

SHOWN = 10  # objects of an app
NEAR = 0.8  # of the calls, from where on people are told
DAY, MONTH = "day", "month"


@dataclass(frozen=True, slots=True)
class Quota:
    """The calls of a `span`: made until now, and allowed (None: unlimited, or not known)."""

    span: str
    used: int
    most: int | None

    @property
    def near(self) -> bool:
        return self.most is not None and self.used >= NEAR * self.most

    @property
    def over(self) -> bool:
        return self.most is not None and self.used >= self.most

    @property
    def percent(self) -> int | None:
        return None if self.most is None else round(100 * self.used / self.most)


def _most(app: ConnectedApp, name: str, default: int | None) -> int | None:
    entered = app.settings.get(name)
    return max(1, int(entered)) if entered else default


def quotas_of(app: ConnectedApp, object_ids: Iterable[str]) -> dict[str, Quota]:
    """What some objects have used, by object id; nothing where no calls are counted.

    A month's calls are the whole app's, and the same for each of its objects.
    """
    kind = registry.KINDS.get(app.kind)
    if kind is None:
        return {}
    if kind.per_day is not None:
        return _days(app, kind, object_ids)
    if kind.monthly:
        return dict.fromkeys(object_ids, _month(app, kind))
    return {}


def _days(app: ConnectedApp, kind: Kind, object_ids: Iterable[str]) -> dict[str, Quota]:
    most = _most(app, "requests_per_day", kind.per_day)
    buckets = {bucket_of(i): i for i in object_ids}
    rows = RateBudget.objects.filter(
        key=budget_key(app, kind), bucket__in=buckets, day=datetime.now(UTC).date()
    )
    made = dict(rows.values_list("bucket", "used_today"))
    return {i: Quota(DAY, made.get(bucket, 0), most) for bucket, i in buckets.items()}


def _month(app: ConnectedApp, kind: Kind) -> Quota:
    first = datetime.now(UTC).date().replace(day=1)
    rows = RateBudget.objects.filter(key=budget_key(app, kind), month=first)
    used = rows.order_by("-used_this_month").values_list("used_this_month", flat=True)
    return Quota(MONTH, used.first() or 0, _most(app, "requests_per_month", None))


def shown(app: ConnectedApp) -> list[tuple[str, Quota]]:
    """What an app's page tells: its month, or the objects that were asked most today."""
    kind = registry.KINDS.get(app.kind)
    if kind is None:
        return []
    if kind.monthly:
        return [("", _month(app, kind))]
    rows = RemoteObject.objects.filter(app=app)
    names = {row.object_id: str(row) for row in rows.only("object_id", "label", "name")}
    found = quotas_of(app, names)
    asked = [(names[i], quota) for i, quota in found.items() if quota.used]
    return sorted(asked, key=lambda one: -one[1].used)[:SHOWN]
