"""A fake Kintone domain, written from Kintone's own documentation alone."""

from __future__ import annotations
