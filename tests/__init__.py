"""The test suite; tests/README.md says how it is run."""

from __future__ import annotations
