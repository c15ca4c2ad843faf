"""How dates and times are written, by language."""

from __future__ import annotations
