"""Tests that drive a real browser against the real server and a task cluster."""

from __future__ import annotations
