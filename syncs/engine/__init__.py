"""Decides what a sync does, without doing anything: no database, no network."""

from __future__ import annotations
