"""What a document is made of, and how that looks as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

# What Markdown, or a table in it, would take for more than text.
_SPECIAL = re.compile(r"([\\`*\[\]<>|~]|(?<!\w)_|_(?!\w))")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; a table without rows is not shown."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass
class Section:
    """A heading and what stands under it; `level` 1 is the document's title."""

    title: str
    level: int
    blocks: list[Table | Text] = field(default_factory=list)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if rows:
            self.blocks.append(Table(tuple(head), [tuple(row) for row in rows]))

    def text(self, text: str) -> None:
        if text:
            self.blocks.append(Text(text))


def as_markdown(sections: Sequence[Section]) -> str:
    """The sections as GitHub's Markdown: tables stay tables whatever their cells hold."""
    lines: list[str] = []
    for section in sections:
        lines += [f"{'#' * section.level} {_inline(section.title)}", ""]
        for block in section.blocks:
            lines += [*_block(block), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _block(block: Table | Text) -> Iterator[str]:
    if isinstance(block, Text):
        yield _inline(block.text)
        return
    yield _row(block.head)
    yield _row(["---"] * len(block.head), plain=True)
    for row in block.rows:
        yield _row(row)


def _row(cells: Sequence[str], *, plain: bool = False) -> str:
    shown = cells if plain else [_inline(cell) or " " for cell in cells]
    return f"| {' | '.join(shown)} |"


def _inline(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
