"""Whether a row with fewer or more cells than there are headers can be read all the same.

A spreadsheet saves sixteen rows at a time. It leaves out the separators after the last column that any of them has
filled. Other programs do so row by row, or write a separator after the last cell. Such a row differs from the headers
by nothing but blank cells at its end, and can be read. But a row may also lack a separator in its middle, or have one
too many there. If it were read in the same way, every cell after that place would be read as its neighbour's.

The cells show which case it is. They are compared with the fields from the row's end. A row is not read where more of
its cells are values of the fields beside their own (a date in a field of dates, a code that its list has) than are
values of their own fields. Where as many are, the row is read if the other rows of its block are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from cjit.dataset import Dataset, Kind, Severity
from cjit.kinds import FieldKind, kinds_of

#: Rows that a spreadsheet saves together, counted from the sheet's first.
BLOCK = 16
#: A score of cells from the row's end: at or below it the cells are in place, and the rest need not be compared.
_ENOUGH = -4
#: Columns are missing where at least this share of the rows, and at least so many rows, end before them.
_NEARLY_ALL, _FEWEST_ROWS = 0.9, 3
#: The distances at which cells are also compared in the other direction than the difference in width suggests.
_OTHER_WAY = (1, 2)


class Reading(Enum):
    """Whether a row differs from the headers by nothing but blank cells at its end."""

    SURE = "sure"
    AS_ITS_BLOCK = "as its block"  # yes, where another row of its block with as many cells is sure
    NOT = "not"


def block(row: int) -> int:
    """The number of the block that a row of the sheet is in."""
    return (row - 1) // BLOCK


class Shortened(NamedTuple):
    """That nearly all rows of a file have fewer cells than there are headers.

    cells: how many cells those rows have.
    rows: how many rows those are.
    total: how many rows there are, less blank ones.
    """

    cells: int
    rows: int
    total: int

    def __str__(self) -> str:
        return f"All {self.total:,} rows" if self.rows == self.total else f"{self.rows:,} of {self.total:,} rows"


def shortened(rows: Iterable[Sequence[str]], width: int) -> Shortened | None:
    """Whether a file lacks the columns at its end, though it has their headers.

    A spreadsheet leaves out blank cells block by block, and never in the first block, which has the headers. A program
    that leaves them out row by row ends rows at different places. So columns are lost where nearly all rows, also of
    the first block, end at one place.

    Args:
        rows: the rows below the header, as cells.
        width: how many headers there are.

    Returns:
        How many cells and rows; None where most rows are not short, or not equally.
    """
    counts: Counter[int] = Counter()
    for cells in rows:
        if any(cell.strip() for cell in cells):
            counts[len(cells)] += 1
            # The first block decides for most files.
            if counts.total() == BLOCK - 1 and not _mostly_short(counts, width):
                return None
    if counts.total() < _FEWEST_ROWS or not _mostly_short(counts, width):
        return None
    return Shortened(*counts.most_common(1)[0], counts.total())


def _mostly_short(counts: Counter[int], width: int) -> bool:
    cells, number = counts.most_common(1)[0]
    return cells < width and number >= counts.total() * _NEARLY_ALL


class WidthCheck:
    """Says of rows with too few or too many cells whether they can be read.

    width: how many cells a row should have.
    fewest: how many cells a row must have: with fewer it lacks a field without which it is rejected.
    """

    def __init__(self, dataset: Dataset, columns: Sequence[str | None]) -> None:
        """For a file with some columns: each a header of the dataset, or None where it is unknown."""
        self.width = len(columns)
        fields = [dataset.by_header[header] if header else None for header in columns]
        must = [f is not None and f.missing is Severity.REJECT for f in fields]
        self.fewest = max((place for place, m in enumerate(must, 1) if m), default=1)
        kinds = kinds_of(dataset)
        self._matchers = [_Matcher(kinds[f.header]) if f else None for f in fields]

    def reading(self, cells: Sequence[str]) -> Reading:
        """Whether a row can be read: cell by cell from its first, and blank where it has no cell.

        Args:
            cells: the cells of the row.
        """
        excess = len(cells) - self.width
        if excess > 0 and any(cell.strip() for cell in cells[self.width :]):
            return Reading.NOT
        if len(cells) < self.fewest:
            return Reading.NOT
        filled = [place for place, cell in enumerate(cells) if cell.strip()]
        if excess < 0 and filled and self._is_two_cells(filled[-1], cells[filled[-1]].strip()):
            # No cell stands after the missing separator that could show it.
            return Reading.NOT
        if any(self._fits_shifted(cells, filled, -by if excess < 0 else by) for by in _OTHER_WAY):
            # One separator too many somewhere, and blank cells left out at the end; or the reverse.
            return Reading.NOT
        doubt = False
        for by in range(1, abs(excess) + 1):
            score = hits = 0
            for place in reversed(filled):
                target = place + by if excess < 0 else place - by
                if target < 0:
                    break
                here, shifted = self._fits(place, cells[place]), self._fits(target, cells[place])
                score += shifted - here
                hits += (shifted > 0) - (here > 0)
                if score > 0 and hits > 0:
                    return Reading.NOT
                if score <= _ENOUGH:
                    break
                # A separator too many makes a blank cell. One that divides a cell is not assumed.
                possible = excess < 0 or not any(cell.strip() for cell in cells[target:place])
                doubt = doubt or (score >= 0 and possible)
        # A program that leaves out all blank cells at the end of a row ends the row with a filled one.
        ends_filled = excess < 0 and bool(cells) and bool(cells[-1].strip())
        return Reading.SURE if ends_filled or not doubt else Reading.AS_ITS_BLOCK

    def _fits_shifted(self, cells: Sequence[str], filled: Sequence[int], by: int) -> bool:
        """Whether the cells fit the fields some places further on better than their own.

        Args:
            cells: the cells of a row.
            filled: the places of those that are not blank.
            by: how many places further on; less than 0 for places before.
        """
        score = hits = 0
        for place in reversed(filled):
            target = place + by
            if not 0 <= target < self.width or place >= self.width:
                return False
            here, shifted = self._fits(place, cells[place]), self._fits(target, cells[place])
            score += shifted - here
            hits += (shifted > 0) - (here > 0)
            if score > 0 and hits > 0:
                return True
            if score <= _ENOUGH:
                return False
        return False

    def _is_two_cells(self, place: int, cell: str) -> bool:
        """Whether a cell is no value of its field, but a value of it followed by one of the next field."""
        field, after = self._matchers[place], self._matchers[place + 1] if place + 1 < self.width else None
        if field is None or after is None or field.fits(cell) > 0:
            return False
        if field.field.kind is Kind.ID:
            return after.field.kind is Kind.DATE and any(after.fits(cell[at:]) > 0 for at in range(1, len(cell)))
        return any(field.fits(cell[:at]) > 0 and after.fits(cell[at:]) > 0 for at in range(1, len(cell)))

    def _fits(self, place: int, cell: str) -> int:
        """How well a cell fits the field of a column: more than 0 where it may be a value of it."""
        field = self._matchers[place]
        return field.fits(cell.strip()) if field else 0


class _Matcher:
    """How well texts fit a field by their form; the answers are cached."""

    def __init__(self, kind: FieldKind) -> None:
        self.field = kind.field
        self.fits = lru_cache(maxsize=8_192)(kind.fits)
