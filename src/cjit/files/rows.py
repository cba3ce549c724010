"""Whether a row with fewer or more cells than there are headers can be read all the same.

A spreadsheet saves sixteen rows at a time and leaves out the separators after the last column that any of them has
filled; other programs do so row by row, or write a separator after the last cell. What such a row lacks, or has too
many, are blank cells at its end. But a row may also lack a separator, or have one too many, somewhere before: read in
the same way, every cell behind that place would be taken for its neighbour.

The cells tell the two apart. They are looked at from the row's end: where more of them would be values of the fields
beside them (a date in a field of dates, a code that its list has) than are values of their own, the row is not read.
Where another place leaves as many, the row goes as the rows of its block do.
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
#: Cells, at the end of a row, that must speak against another place before the rest of the row need not be asked.
_ENOUGH = -4
#: Which share of the rows, and of how many, says that columns are missing.
_NEARLY_ALL, _FEWEST_ROWS = 0.9, 3
#: By how many places cells are looked for the other way than the missing ones would have moved them.
_OTHER_WAY = (1, 2)


class Reading(Enum):
    """How sure it is that a row differs from the headers by nothing but blank cells at its end."""

    SURE = "sure"
    AS_ITS_BLOCK = "as its block"  # where a row of as many cells in its block is sure
    NOT = "not"


def block(row: int) -> int:
    """The block that a row of the sheet is in."""
    return (row - 1) // BLOCK


class Shortened(NamedTuple):
    """Where nearly all rows of a file end before the headers do: at how many cells, how many rows, and of how many."""

    cells: int
    rows: int
    of: int

    def __str__(self) -> str:
        return f"All {self.of:,} rows" if self.rows == self.of else f"{self.rows:,} of {self.of:,} rows"


def shortened(rows: Iterable[Sequence[str]], width: int) -> Shortened | None:
    """Whether the columns at the end of a file are missing from it, though it has their headers.

    A spreadsheet leaves out blank cells by blocks, and never in the first, which has the headers. A program that leaves
    them out row by row ends each row elsewhere. Where nearly all rows, and those of the first block, end at one place,
    whatever made the file has lost what follows.
    """
    counts: Counter[int] = Counter()
    for cells in rows:
        if any(cell.strip() for cell in cells):
            counts[len(cells)] += 1
            # Of most files a look at their beginning is enough.
            if counts.total() == BLOCK - 1 and not _mostly_short(counts, width):
                return None
    if counts.total() < _FEWEST_ROWS or not _mostly_short(counts, width):
        return None
    return Shortened(*counts.most_common(1)[0], counts.total())


def _mostly_short(counts: Counter[int], width: int) -> bool:
    cells, number = counts.most_common(1)[0]
    return cells < width and number >= counts.total() * _NEARLY_ALL


class Ends:
    """The rows of a file with some columns: each a header of the dataset, or None where it is unknown."""

    def __init__(self, dataset: Dataset, columns: Sequence[str | None]) -> None:
        self.width = len(columns)
        fields = [dataset.by_header[header] if header else None for header in columns]
        must = [f is not None and f.missing is Severity.REJECT for f in fields]
        #: No row can do with fewer cells: without one of these it would be rejected, and blank is not what is meant.
        self.fewest = max((place for place, m in enumerate(must, 1) if m), default=1)
        kinds = kinds_of(dataset)
        #: Of each column its field, and how its texts look.
        self._of = [_Looks(kinds[f.header]) if f else None for f in fields]

    def reading(self, cells: Sequence[str]) -> Reading:
        """Whether a row of some cells is to be read by its first ones, with blank ones for those that it lacks."""
        more = len(cells) - self.width
        if more > 0 and any(cell.strip() for cell in cells[self.width :]):
            return Reading.NOT
        if len(cells) < self.fewest:
            return Reading.NOT
        filled = [place for place, cell in enumerate(cells) if cell.strip()]
        if more < 0 and filled and self._runs_together(filled[-1], cells[filled[-1]].strip()):
            # Where the missing separator is the last, no cell behind it tells of it.
            return Reading.NOT
        if any(self._moved(cells, filled, -by if more < 0 else by) for by in _OTHER_WAY):
            # One separator too many somewhere, and blank cells left out at the end; or the reverse.
            return Reading.NOT
        doubt = False
        for by in range(1, abs(more) + 1):
            gain = hits = 0
            for place in reversed(filled):
                there = place + by if more < 0 else place - by
                if there < 0:
                    break
                now, then = self._fits(place, cells[place]), self._fits(there, cells[place])
                gain += then - now
                hits += (then > 0) - (now > 0)
                if gain > 0 and hits > 0:
                    return Reading.NOT
                if gain <= _ENOUGH:
                    break
                # One separator too many makes blank cells; it is not taken for one that divides a cell.
                made = more < 0 or not any(cell.strip() for cell in cells[there:place])
                doubt = doubt or (gain >= 0 and made)
        # Whoever leaves out all blank cells at the end of a row ends it with a filled one.
        ends = more < 0 and bool(cells) and bool(cells[-1].strip())
        return Reading.SURE if ends or not doubt else Reading.AS_ITS_BLOCK

    def _moved(self, cells: Sequence[str], filled: Sequence[int], by: int) -> bool:
        """Whether the cells, from the end, are rather values of the fields so many places further on."""
        gain = hits = 0
        for place in reversed(filled):
            there = place + by
            if not 0 <= there < self.width or place >= self.width:
                return False
            now, then = self._fits(place, cells[place]), self._fits(there, cells[place])
            gain += then - now
            hits += (then > 0) - (now > 0)
            if gain > 0 and hits > 0:
                return True
            if gain <= _ENOUGH:
                return False
        return False

    def _runs_together(self, place: int, cell: str) -> bool:
        """Whether a cell is a value of its field with one of the next field behind it, and no value itself."""
        field, after = self._of[place], self._of[place + 1] if place + 1 < self.width else None
        if field is None or after is None or field.fits(cell) > 0:
            return False
        if field.field.kind is Kind.ID:
            return after.field.kind is Kind.DATE and any(after.fits(cell[at:]) > 0 for at in range(1, len(cell)))
        return any(field.fits(cell[:at]) > 0 and after.fits(cell[at:]) > 0 for at in range(1, len(cell)))

    def _fits(self, place: int, cell: str) -> int:
        field = self._of[place]
        return field.fits(cell.strip()) if field else 0


class _Looks:
    """Whether texts may be values of a field, by their look; each is looked at once."""

    def __init__(self, kind: FieldKind) -> None:
        self.field = kind.field
        self.fits = lru_cache(maxsize=8_192)(kind.fits)
