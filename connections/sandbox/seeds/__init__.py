"""What a sandbox holds at first, by name."""

from __future__ import annotations

from connections.sandbox.seeds.registry import SEEDS, plant

__all__ = ["SEEDS", "plant"]
