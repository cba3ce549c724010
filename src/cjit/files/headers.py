"""The header row: its separator, and which field each column is."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Sequence

from cjit.dataset import Dataset, Severity
from cjit.files.source import SEPARATORS, Unusable
from cjit.sentences import listed


def header_row(head: bytes, encoding: str, name: str, dataset: Dataset, notes: list[str]) -> tuple[str, list[str], int]:
    """The header row, parsed with the separator that makes most known headers.

    A first line such as "sep=;" only tells Excel the separator. It is skipped, and a note says so.

    Args:
        head: the first bytes of the file, without a byte order mark.
        encoding: the encoding of the file.
        name: the file's name, for messages.
        dataset: the dataset whose headers are known.
        notes: takes the sentences for the user.

    Returns:
        The separator; the cells of the header row, as they were sent; the bytes up to the end of that row.

    Raises:
        Unusable: where no cell of the first row is a known header.
    """
    lines = head.splitlines(keepends=True)
    skipped = 0
    if re.fullmatch(rb'"?sep=.?"?\s*', lines[0], re.IGNORECASE):
        notes.append("The first line only names the separator, for Excel, so it was passed over")
        skipped = len(lines.pop(0))
    known = {h.upper() for f in dataset.fields for h in (f.header, *f.also)}

    def count_known(cells: Sequence[str]) -> int:
        return sum(tidy_header(cell) in known for cell in cells)

    rows = [_first_record(lines, separator, encoding) for separator in SEPARATORS]
    best = max(range(len(rows)), key=lambda i: count_known(rows[i][0]))
    cells, size = rows[best]
    if not count_known(cells):
        for number, line in enumerate(lines[1:10], 2):
            if any(count_known(line.decode(encoding, "replace").split(separator)) > 1 for separator in SEPARATORS):
                raise Unusable(f"The headers of {name} are in row {number}: delete the rows above them")
        raise Unusable(
            f"The first row of {name} holds none of the headers of dataset {dataset.letter}, such as"
            f" {dataset.headers[0]}: make the extract again with a header row"
        )
    return list(SEPARATORS)[best], cells, skipped + size


def _first_record(lines: Sequence[bytes], separator: str, encoding: str) -> tuple[list[str], int]:
    """The first record, which may span lines: its cells and its bytes; no cells where a quote is never closed."""
    text = [line.decode(encoding, "replace") for line in lines[:200]]
    for count in range(1, len(text) + 1):
        try:
            cells = next(csv.reader(text[:count], delimiter=separator, strict=True), [])
        except csv.Error:
            continue
        return cells, sum(map(len, lines[:count]))
    return [], 0


def tidy_header(cell: str) -> str:
    """A header cell without white space, in upper case."""
    return re.sub(r"\s+", "", cell.replace("\ufeff", "")).upper()


def columns_of(
    cells: Sequence[str], name: str, dataset: Dataset, notes: list[str]
) -> tuple[tuple[str | None, ...], tuple[str, ...], tuple[str, ...], dict[str, str]]:
    """The field that each column of the file has.

    Args:
        cells: the header row, as it was sent.
        name: the file's name, for messages.
        dataset: the dataset.
        notes: takes the sentences for the user.

    Returns:
        For each column its header, as the dataset has it, or None where it is unknown; the dataset's headers that are
        missing; the unknown headers, fit to be shown; the headers that are spelt otherwise, as they were sent, with
        the header each is read as.

    Raises:
        Unusable: where two columns have one header, the file is of another dataset, or a column is missing without
            which every record would be rejected.
    """
    also = {other: f.header for f in dataset.fields for other in f.also}
    columns: list[str | None] = []
    unknown: list[str] = []
    renamed: dict[str, str] = {}
    for cell in cells:
        tidy = tidy_header(cell)
        header = tidy if tidy in dataset.by_header else also.get(tidy)
        columns.append(header)
        if header is None:
            unknown.append(_shown(cell) or f"(column {len(columns)}, no header)")
        elif cell != header:
            renamed[cell] = header
    twice = sorted({h for h in columns if h and columns.count(h) > 1}, key=dataset.headers.index)
    if twice:
        spelt = list(dict.fromkeys(tidy_header(c) for c, h in zip(cells, columns, strict=True) if h in twice))
        more = "more than once" if len(spelt) == len(twice) else "which are one and the same,"
        raise Unusable(f"{name} has the header {listed(spelt)} {more}: keep one column for each header")
    missing = tuple(h for h in dataset.headers if h not in columns)
    other = [h for h in map(tidy_header, unknown) if h in dataset.elsewhere]
    if other and missing:
        letter = dataset.elsewhere[other[0]]
        raise Unusable(
            f"{name} looks like dataset {letter}, because it has {listed(other[:3])}: check it with"
            f" --dataset {letter}, or ask your software supplier for dataset {dataset.letter}"
        )
    near = _near(missing, unknown)
    hints = [f"{header} by “{near[header]}”" for header in missing if header in near]
    hint = f" (did you mean {listed(hints)}?)" if hints else ""
    fatal = [h for h in missing if dataset.by_header[h].missing is Severity.REJECT]
    if fatal:
        raise Unusable(
            f"{name} has no {columns_called(fatal)}{hint}, without which every record would be rejected: ask your"
            " software supplier for a file that has every column"
        )
    if missing:
        notes.append(
            f"There {'is' if len(missing) == 1 else 'are'} no {columns_called(missing)}{hint}: read as blank on every"
            " row; ask your software supplier for a file that has every column"
        )
    others = [header for header in unknown if header not in near.values()]
    if others:
        shown = listed([f"“{header}”" for header in others[:5]] + ([f"{len(others) - 5:,} more"] if others[5:] else []))
        verb, was = ("is", "it was") if len(others) == 1 else ("are", "they were")
        column = "column" if len(others) == 1 else "columns"
        notes.append(f"The {column} {shown} {verb} not in dataset {dataset.letter}, so {was} not read")
    return tuple(columns), missing, tuple(unknown), renamed


def _shown(cell: str) -> str:
    """A header cell fit to be shown: printable, at most 40 characters."""
    text = "".join(c if c.isprintable() else " " for c in cell).strip()
    return text if len(text) <= 40 else text[:39] + "…"


def columns_called(headers: Sequence[str]) -> str:
    """The word “column” or “columns”, and the headers."""
    return f"column {headers[0]}" if len(headers) == 1 else f"columns {listed(headers)}"


def _near(missing: Sequence[str], unknown: Sequence[str]) -> dict[str, str]:
    """For each missing header the unknown header, if any, that may be a misspelling of it."""
    tidy = {tidy_header(header): header for header in unknown}
    near = {h: difflib.get_close_matches(h, tidy, n=1, cutoff=0.75) for h in missing}
    return {h: tidy[match[0]] for h, match in near.items() if match}
