"""Accounts, connected apps and the door out to them."""

from __future__ import annotations
