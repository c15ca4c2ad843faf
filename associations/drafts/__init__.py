"""A set-up in the making: a draft is checked and published as a set-up file is."""

from __future__ import annotations

from associations.drafts.looking import Look, look
from associations.drafts.publishing import Refused, publish
from associations.drafts.rehearsing import discard
from associations.drafts.trees import begin, edit, tree_of

__all__ = [
    "Look",
    "Refused",
    "begin",
    "discard",
    "edit",
    "look",
    "publish",
    "tree_of",
]
