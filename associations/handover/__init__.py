"""The hand-over document: what is set up, and what is known not to be in sync."""

from __future__ import annotations

from associations.handover.writing import FORMATS, document

__all__ = ["FORMATS", "document"]
