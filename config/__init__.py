"""The project: settings, addresses and the probes that operators call."""

from __future__ import annotations
