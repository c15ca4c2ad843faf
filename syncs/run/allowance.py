"""Say in a run's log that a day's or month's calls go to their end, where they are counted."""

from __future__ import annotations

from connections.catalogue import Code
from connections.quotas import DAY, quotas_of
from connections.records import Side
from syncs.run.session import Session


def tell_of_quota(session: Session) -> None:
    """Warn of an app whose calls are nearly spent, or over.

    Nothing is refused for that here, and so the run's status stays what it is.
    """
    app, obj = session.sync.app, session.object_on(Side.APP)
    quota = quotas_of(app, [obj.id]).get(obj.id)
    if quota is None or not quota.near:
        return
    if quota.span == DAY:
        what, setting = f"a day has for {obj.name}", "requests_per_day"
    else:
        what, setting = "a month has", "requests_per_month"
    session.log(
        f"{app.name}: {quota.used:,} of the {quota.most:,} calls that {what} "
        f"were made ({quota.percent} %). Let its syncs run less often, or enter "
        f"what was bought in the app's setting {setting}.",
        level="warning",
        code=Code.QUOTA_SPENT if quota.over else "",
    )
