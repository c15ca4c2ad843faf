"""The set-up flow: four steps over a saved draft, each with an address of its own."""

from __future__ import annotations

from associations.admin.flow.urls import flow_urls

__all__ = ["flow_urls"]
