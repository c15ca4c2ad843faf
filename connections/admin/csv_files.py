"""Lists as CSV files: sent as they are found, and never taken for formulas."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence

from django.http import StreamingHttpResponse
from django.utils.text import slugify

CONTENT_TYPE = "text/csv; charset=utf-8"
# Spreadsheets take what begins so for a formula, the full-width signs too.
SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
BREAKS = ("\t", "\r", "\n")


class _Line:
    """What `csv` writes to: each line is handed on at once."""

    def write(self, line: str) -> str:
        return line


def harmless(cell: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    wrong = cell.startswith(BREAKS) or cell.lstrip().startswith(SIGNS)
    return f"'{cell}" if wrong else cell


def lines(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a file, each as soon as its row is there."""
    writer = csv.writer(_Line())
    for row in rows:
        yield writer.writerow([harmless(cell) for cell in row])


def csv_answer(name: str, rows: Iterable[Sequence[str]]) -> StreamingHttpResponse:
    """A file of rows, the first of them its head.

    Args: name, what the file is called, without its ending.
    """
    answer = StreamingHttpResponse(lines(rows), content_type=CONTENT_TYPE)
    file = slugify(name) or "export"
    answer["Content-Disposition"] = f'attachment; filename="{file}.csv"'
    return answer
