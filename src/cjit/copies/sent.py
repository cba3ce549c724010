"""The rows of a file as they were sent: each cell with its spaces, and each row with its number of cells."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator

from cjit.files.source import Source

#: The line end of every copy.
CRLF = "\r\n"


def head_rows(source: Source) -> list[list[str]]:
    """The rows up to the header row, as they were sent.

    Args:
        source: the file.

    Returns:
        The cells of each row. The header row is the last; a row before it only names the separator, for Excel.
    """
    with source.path.open("rb") as file:
        text = file.read(source.start).removeprefix(codecs.BOM_UTF8).decode(source.encoding)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=source.separator))


def rows_of(source: Source) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header, blank and ragged ones too, parsed as the check parses them.

    Args:
        source: the file.

    Yields:
        For each row its number, as a spreadsheet shows it, and its cells.
    """
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
