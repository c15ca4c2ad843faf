"""Whatever people and networks do, both systems end as the edits alone explain.

A few seeds run here; `make campaign` runs many. CROSSLINK_CAMPAIGN=17 (or 1-50) names
the seeds.
"""

from __future__ import annotations

import os

import pytest

from connections.sandbox.server import SandboxServer
from tests.campaign import Campaign
from tests.world import World

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
SEEDS = "CROSSLINK_CAMPAIGN"
FEW = "1-4"


def seeds() -> range:
    first, _, last = os.environ.get(SEEDS, FEW).partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.mark.parametrize("seed", seeds())
def test_what_stands_after_edits_and_faults_is_explained_by_the_edits(pg_dsn, seed):
    with SandboxServer() as sandbox:
        Campaign(World(sandbox, pg_dsn), seed).play()
