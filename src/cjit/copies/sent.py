"""The rows of a file as they were sent, cell by cell."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator

from cjit.files.source import Source

#: The line end of every copy.
CRLF = "\r\n"


def head_rows(source: Source) -> list[list[str]]:
    """The header row, last, as it was sent; a line before it only names the separator, for Excel."""
    with source.path.open("rb") as file:
        text = file.read(source.start).removeprefix(codecs.BOM_UTF8).decode(source.encoding)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=source.separator))


def rows_of(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Every row below the header with its number, blank and ragged ones too, told apart as `read` does."""
    line_end = "" if source.quoted_lines else "\r" if source.carriage_returns_only else "\n"
    with source.path.open("rb") as file:
        file.seek(source.start)
        with io.TextIOWrapper(file, source.encoding, newline=line_end) as text:
            if source.quoted_lines:
                yield from enumerate(csv.reader(text, delimiter=source.separator), 2)
                return
            for row, line in enumerate(text, 2):
                bare = line.rstrip("\r\n")
                if '"' in bare:
                    yield row, next(csv.reader([bare], delimiter=source.separator))
                else:
                    yield row, bare.split(source.separator)
