"""Say in a run's log that a day's calls go to their end, where a kind counts them."""

from __future__ import annotations

from connections.catalogue import Code
from connections.quotas import days_of
from connections.records import Side
from syncs.run.session import Session


def tell_of_day(session: Session) -> None:
    """Warn of an app's object whose calls of today are nearly spent, or over.

    Nothing is refused for that, and so the run's status stays what it is.
    """
    app, obj = session.sync.app, session.object_on(Side.APP)
    day = days_of(app, [obj.id]).get(obj.id)
    if day is None or not day.near:
        return
    session.log(
        f"{app.name}: {day.used:,} of the {day.most:,} calls that a day has for "
        f"{obj.name} were made ({day.percent} %). Let the sync run less often, or enter "
        "what was bought in the app's setting requests_per_day.",
        level="warning",
        code=Code.QUOTA_SPENT if day.over else "",
    )
