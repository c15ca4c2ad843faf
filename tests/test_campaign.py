"""Whatever people and networks do, both systems end as the edits alone explain.

`make campaign` runs many seeds. CROSSLINK_CAMPAIGN=17 (or 1-5000, or 17,5001-5100) names
them; those above 5,000 map labels beside the primary company. A failure prints its seed and
all that was done.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from django.db import connection

from connections.sandbox.server import SandboxServer
from tests.campaign.bench import Bench
from tests.campaign.oracle import Violation
from tests.campaign.play import Campaign
from tests.campaign.real import Real

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
SEEDS = "CROSSLINK_CAMPAIGN"
USUAL = {"sqlite": "1-250,5001-5050", "postgresql": "301-305,5051-5055"}
AT_ONCE = 10  # seeds that share one bench
REAL_EACH = 50  # so many-th seed runs with sockets, threads and SIGKILL


def some_seeds() -> list[list[int]]:
    seeds: list[int] = []
    for named in os.environ.get(SEEDS, USUAL[connection.vendor]).split(","):
        first, _, last = named.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return [seeds[at : at + AT_ONCE] for at in range(0, len(seeds), AT_ONCE)]


@pytest.fixture
def bench(pg_dsn: str) -> Iterator[Bench]:
    with SandboxServer() as sandbox:
        bench = Bench(sandbox, pg_dsn)
        yield bench
        bench.close()


def play(bench: Bench, seed: int, figures: Counter[str] | None = None) -> str:
    """What went wrong under a seed, or "". `figures` is added to."""
    bench.start(seed)
    campaign = (Campaign if seed % REAL_EACH else Real)(bench, seed)
    try:
        campaign.play()
    except Violation as exc:
        campaign.tally["violations"] += 1
        return str(exc)
    finally:
        if figures is not None:
            figures.update(campaign.tally)
    return ""


@pytest.mark.parametrize("seeds", some_seeds(), ids=lambda s: f"{s[0]}-{s[-1]}")
def test_what_stands_after_edits_and_faults_is_explained_by_the_edits(
    bench, seeds, record_property
):
    figures: Counter[str] = Counter()
    wrong = [text for seed in seeds if (text := play(bench, seed, figures))]
    record_property("figures", dict(figures))
    assert not wrong, "\n\n".join(wrong)
