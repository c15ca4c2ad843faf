"""Whether the installation works: the database answers and tasks get done."""

from __future__ import annotations

from datetime import timedelta

from django.db import DatabaseError, connection
from django.db.models import Max
from django.utils import timezone
from django_q.models import OrmQ, Task

from syncs.models import SyncRun

# Schedules run a task every minute. A cluster whose process lives but whose workers are
# stuck looks fine from outside, so only finished tasks count.
TASK_SILENCE = timedelta(minutes=3)


def problems() -> dict[str, str]:
    """Ask the database and look for signs of life of the task cluster.

    Returns: what is wrong, by part ("database", "task_cluster"); empty if nothing is.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        finished = Task.objects.order_by("-stopped").values_list("stopped", flat=True)
        # A worker may be busy with one slice of a run for longer than that.
        queued = SyncRun.objects.filter(queued_at__isnull=False)
        at_work = queued.aggregate(last=Max("heartbeat_at"))["last"]
        last = max(filter(None, (finished.first(), at_work)), default=None)
    except DatabaseError:
        # The driver's text may hold the address and user; the log has it.
        return {"database": "does not answer"}
    if last is None:
        return {"task_cluster": "has not finished a task yet"}
    silence = timezone.now() - last
    if silence > TASK_SILENCE:
        seconds = int(silence.total_seconds())
        return {"task_cluster": f"last finished a task {seconds} s ago"}
    return {}


def queue_length() -> int:
    """Count the tasks that wait or are being worked on."""
    return int(OrmQ.objects.count())
