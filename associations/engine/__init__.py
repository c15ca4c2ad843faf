"""Decides about links: pure, no Django and no I/O."""

from __future__ import annotations
