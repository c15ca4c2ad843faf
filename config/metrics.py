"""The state of the installation in Prometheus' text format.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from django.db.models import Count, Min, QuerySet
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from associations.models import AssociationLink
from config.health import queue_length
from connections.models import RateBudget
from syncs.models import ObjectSync, RecordLink, SyncRun
from syncs.models.choices import OPEN_STATUSES, RecordState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True)
class Metric:
    """One metric with its samples, each a set of labels and a value."""

    name: str
    kind: str  # gauge or counter
    help: str
    samples: Iterable[Sample]

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            marks = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
            yield (
                f"{self.name}{{{marks}}} {value:g}"
                if marks
                else (f"{self.name} {value:g}")
            )


def render() -> str:
    """Read every metric and write them as one text."""
    return "\n".join(line for metric in _metrics() for line in metric.lines()) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _metrics() -> Iterator[Metric]:
    syncs = {
        pk: {"app": app, "sync": name}
        for pk, app, name in ObjectSync.objects.filter(
            archived_at__isnull=True
        ).values_list("pk", "app__name", "name")
    }
    yield Metric(
        "crosslink_runs",
        "gauge",
        "Runs of one object sync kept in the log, by status.",
        _by_sync(syncs, SyncRun.objects.filter(sync__in=syncs), "sync", "status"),
    )
    yield Metric(
        "crosslink_records",
        "gauge",
        "Record links by state.",
        _by_sync(syncs, RecordLink.objects.filter(sync__in=syncs), "sync", "state"),
    )
    yield Metric(
        "crosslink_links",
        "gauge",
        "Association links by state.",
        _by_sync(
            syncs,
            AssociationLink.objects.filter(mapping__sync__in=syncs),
            "mapping__sync",
            "state",
        ),
    )
    yield Metric(
        "crosslink_failures",
        "gauge",
        "Failing records by error code.",
        _by_sync(
            syncs,
            RecordLink.objects.filter(sync__in=syncs, state=RecordState.FAILING),
            "sync",
            "error_code",
        ),
    )
    yield Metric(
        "crosslink_api_calls_today",
        "gauge",
        "API calls counted against each budget since midnight UTC.",
        _calls_today(),
    )
    yield Metric(
        "crosslink_queue_length",
        "gauge",
        "Tasks that wait or are being worked on.",
        [({}, queue_length())],
    )
    yield Metric(
        "crosslink_oldest_unsynced_seconds",
        "gauge",
        "Time since the oldest change not dealt with yet was read.",
        _oldest_unsynced(syncs),
    )
    yield Metric(
        "crosslink_open_runs",
        "gauge",
        "Runs that are queued or running.",
        [({}, SyncRun.objects.filter(status__in=OPEN_STATUSES).count())],
    )


def _by_sync(
    syncs: Mapping[int, Mapping[str, str]],
    rows: QuerySet[SyncRun] | QuerySet[RecordLink] | QuerySet[AssociationLink],
    sync: str,
    label: str,
) -> Iterator[Sample]:
    """Count rows by sync and one more column, in one query."""
    counted = rows.order_by(sync, label).values_list(sync, label).annotate(Count("pk"))
    for pk, value, count in counted:
        yield {**syncs[pk], label.removesuffix("_code"): str(value)}, count


def _calls_today() -> Iterator[Sample]:
    today = timezone.now().date()
    for budget in RateBudget.objects.filter(day=today).order_by("key", "bucket"):
        labels = {"budget": budget.key, "bucket": budget.bucket}
        yield labels, budget.used_today


def _oldest_unsynced(syncs: Mapping[int, Mapping[str, str]]) -> Iterator[Sample]:
    # The later of the two reads is the one that found the change. Greatest of a null
    # differs between databases, hence the second look at each.
    found_at = Coalesce(
        Greatest("hubspot_read_at", "app_read_at"), "hubspot_read_at", "app_read_at"
    )
    waiting = RecordLink.objects.filter(sync__in=syncs, dirty=True).order_by("sync")
    oldest = dict(waiting.values_list("sync").annotate(since=Min(found_at)))
    now = timezone.now()
    for pk, labels in syncs.items():
        since = oldest.get(pk)
        yield labels, (now - since).total_seconds() if since else 0.0
