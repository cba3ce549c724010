"""Lines of a file to rows of cells, with the row numbers a spreadsheet shows.

A file is read in stretches of a few megabytes, so memory does not grow with its length. The structure of a stretch is
looked at before any of its values: what is odd about a row is found here, once, whoever parses the rest.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial

from cjit.conditions import WHITE
from cjit.dataset import Dataset
from cjit.files.rows import BLOCK, Ends, Reading
from cjit.files.rows import block as in_block
from cjit.files.source import Cut, Source, Unusable

#: Bytes whose structure is looked at together: where a line is odd, no more than these are split into lines.
_BLOCK = 256 << 10
#: Rows of a file with quoted line ends that are handed on together.
_TOGETHER = 50_000


@dataclass(frozen=True, kw_only=True)
class Oddities:
    """What was odd about the rows of a file, or of a part of it.

    ragged: row and number of cells of each row whose cells cannot be told apart; such rows are not read.
    blank: how many rows had nothing in them at all; these are left out.
    short, long: how many rows were read although blank cells at their end were left out, or were too many.
    uneven: the short rows beside which longer ones stand, as no spreadsheet writes them.
    cut_off: the ragged row within which the file ends.
    width: how many cells a row should have.
    """

    ragged: tuple[tuple[int, int], ...] = ()
    blank: int = 0
    short: int = 0
    long: int = 0
    cut_off: int | None = None
    width: int = 0
    uneven: tuple[int, ...] = ()


def together(parts: Sequence[Oddities]) -> Oddities:
    """What was odd in all parts of a file."""
    return Oddities(
        ragged=tuple(row for part in parts for row in part.ragged),
        blank=sum(part.blank for part in parts),
        short=sum(part.short for part in parts),
        long=sum(part.long for part in parts),
        cut_off=next((part.cut_off for part in parts if part.cut_off), None),
        width=parts[-1].width if parts else 0,
        uneven=tuple(row for part in parts for row in part.uneven),
    )


@dataclass(frozen=True)
class Stretch:
    """Some rows of a file, each with one cell for each of its columns.

    source: the file.
    lines: the rows as whole lines of UTF-8, each with its line end; or the cells of each, where a quoted cell spans
        lines.
    rows: their numbers.
    by_the_book: whether a quote or a carriage return stands where only a careful reader reads it right.
    size: the bytes of the file they take.
    blank: how many rows between them had nothing in them.
    """

    source: Source
    lines: bytes | list[list[str]]
    rows: Sequence[int]
    by_the_book: bool
    size: int
    blank: int
    _odd: _Odd
    _others: Callable[[int], Iterator[tuple[int, bytes]]] | None

    def doubtful(self) -> list[int]:
        """The rows that are not read after all, as no row near them is surely as short or long."""
        return self._odd.doubtful(self._others) if self._others else []

    def oddities(self, rows: Iterable[int], blanks: int) -> Oddities:
        """What was odd, where some rows are read and more blank ones were found."""
        return self._odd.oddities(rows, self.blank + blanks)


@dataclass(frozen=True)
class CellRows(Oddities):
    """Some rows of a file in plain Python.

    rows: their numbers. cells: a list a row, a text a column of the file; "" where it is blank.
    """

    rows: Sequence[int]
    cells: list[list[str]]


def stretches_of(source: Source) -> Iterator[Callable[[], Stretch]]:
    """A file stretch by stretch, in order: each a call that looks it over and may run in any thread."""
    if source.quoted_lines:
        yield from (partial(_itself, stretch) for stretch in _records(source))
    else:
        yield from (_Cut(source, cut).stretch for cut in source.cuts)


def _itself(stretch: Stretch) -> Stretch:
    return stretch


def cells_of(stretch: Stretch) -> CellRows:
    """The cells of some rows, less the rows that turn out to be blank or doubtful."""
    source, rows = stretch.source, list(stretch.rows)
    if isinstance(stretch.lines, list):
        return CellRows(rows, stretch.lines, **vars(stretch.oddities(rows, 0)))
    lines, cells = split_lines(stretch.lines, rows, source)
    wanted = [place for place, header in enumerate(source.columns) if header]
    first = source.columns.index(source.dataset.headers[0]) if source.dataset.headers[0] in source.columns else None
    blanks = {
        at
        for at, own in enumerate(cells)
        if (first is None or not own[first] or own[first][0] in WHITE)
        and not any(own[place].strip(WHITE) for place in wanted)
        and (not source.unknown or nothing_in(lines[at].encode(), source))
    }
    out = set(stretch.doubtful())
    if blanks or out:
        places = [at for at, row in enumerate(rows) if at not in blanks and row not in out]
        rows, cells = [rows[at] for at in places], [cells[at] for at in places]
    return CellRows(rows, cells, **vars(stretch.oddities(rows, len(blanks))))


def split_lines(data: bytes, rows: Sequence[int], source: Source) -> tuple[list[str], list[list[str]]]:
    """Whole lines as text, and the cells of each. Raises `Unusable` where a quote is out of place."""
    text = data.decode()
    lines = (text.replace("\r\n", "\n") if "\r" in text else text).split("\n")[:-1]
    separator = source.separator
    if '"' not in text:
        return lines, [line.split(separator) for line in lines]
    return lines, [
        split([line], separator, row, source.name)[0] if '"' in line else line.split(separator)
        for row, line in zip(rows, lines, strict=True)
    ]


def nothing_in(line: bytes, source: Source) -> bool:
    """Whether a line has nothing in it, neither in a column that is not read."""
    return not line.strip(source.separator.encode() + b'" \t\r')


# ---- odd rows --------------------------------------------------------------------------------------


class _Odd:
    """Lines that do not look like the rest, looked at one by one.

    `left_out` are the rows whose cells cannot be told apart, or that have nothing in them; `ragged` the former
    with their cells; `stray` says whether a quote or a carriage return stands where only a careful reader reads it
    right. `fitted` are the rows with fewer or more cells that are read all the same, with their cells, unless
    `doubtful` says otherwise.
    """

    def __init__(self, source: Source, last: int | None = None) -> None:
        self.source = source
        self.separator, self.width = source.separator.encode(), len(source.columns)
        self.ends = _ends(source.dataset, source.columns)
        #: The row that no line end follows.
        self.last = last
        self.left_out: list[int] = []
        self.ragged: list[tuple[int, int]] = []
        self.stray = False
        self.fitted: dict[int, int] = {}
        self.sure: set[tuple[int, int]] = set()
        self.asking: list[int] = []

    def examine(self, block: bytes, patterns: list[bytes], first: int) -> bytes:
        """Some lines less those left out; `patterns` are their separators and unpaired quotes."""
        straight = self.separator * (self.width - 1)
        lines = block[:-1].split(b"\n")
        left_out: set[int] = set()
        for place, pattern in enumerate(patterns):
            if pattern in (straight, straight + b"\r"):
                continue
            line, row = lines[place], first + place
            quoted = b'"' in pattern
            self.stray = self.stray or b"\r" in pattern.removesuffix(b"\r")
            self.stray = self.stray or (quoted and not _well_quoted(self.separator).fullmatch(line.rstrip(b"\r")))
            cells = _cells(line, self.separator, row, self.source.name)
            if len(cells) == self.width:
                continue
            if self.judge(cells, row):
                lines[place] = _fitted(line, self.separator, self.width - len(cells))
                continue
            left_out.add(place)
            self.left_out.append(row)
            if _filled(cells):
                self.ragged.append((row, len(cells)))
        return b"".join(line + b"\n" for place, line in enumerate(lines) if place not in left_out)

    def judge(self, cells: list[str], row: int) -> bool:
        """Whether a row is read, as it seems by itself, though it has fewer cells than there are headers, or more."""
        count = len(cells)
        if not _filled(cells) or (row == self.last and count < self.width):
            return False
        reading = self.ends.reading(cells)
        if reading is Reading.NOT:
            return False
        self.fitted[row] = count
        if reading is Reading.SURE:
            self.sure.add((in_block(row), count))
        else:
            self.asking.append(row)
        return True

    def doubtful(self, others: Callable[[int], Iterator[tuple[int, bytes]]]) -> list[int]:
        """The rows that are not read after all: in their block is none of as many cells that is sure.

        `others` gives the rows of a block that lie in another piece of the file.
        """
        for number in {in_block(row) for row in self.asking if not self._sure(row)}:
            for row, line in others(number):
                cells = _cells(line, self.separator, row, self.source.name)
                odd = len(cells) != self.width and row != _unended(self.source) and _filled(cells)
                if odd and self.ends.reading(cells) is Reading.SURE:
                    self.sure.add((number, len(cells)))
        doubtful = [row for row in self.asking if not self._sure(row)]
        self.ragged = sorted([*self.ragged, *((row, self.fitted.pop(row)) for row in doubtful)])
        return doubtful

    def _sure(self, row: int) -> bool:
        return (in_block(row), self.fitted[row]) in self.sure

    def oddities(self, rows: Iterable[int], blank: int) -> Oddities:
        """What was odd, where some rows are read and some were blank."""
        long = sum(count > self.width for count in self.fitted.values())
        # Where nearly all rows end at one place, their columns are missing, and that is said of the file.
        ends = self.source.shortened.cells if self.source.shortened else None
        short = {row: count for row, count in self.fitted.items() if count < self.width and count != ends}
        return Oddities(
            ragged=tuple(self.ragged),
            blank=blank,
            short=len(short),
            long=long,
            cut_off=self.last if self.last in dict(self.ragged) else None,
            width=self.width,
            uneven=tuple(sorted(self._uneven(short, rows))),
        )

    def _uneven(self, short: Mapping[int, int], rows: Iterable[int]) -> Iterator[int]:
        """The short rows in whose block there are longer ones."""
        if not short:
            return
        blocks: dict[int, list[int]] = {}
        for row, count in short.items():
            blocks.setdefault(in_block(row), []).append(count)
        # Which blocks have other rows too.
        there = Counter(map(in_block, rows))
        others = {block for block, counts in blocks.items() if len(counts) < there[block]}
        for row, count in short.items():
            block = in_block(row)
            if block in others or count < max(blocks[block]):
                yield row


def _unended(source: Source) -> int | None:
    """The last row, where no line end follows it: it may have been cut off."""
    return source.cuts[-1].first + source.cuts[-1].lines - 1 if source.unended else None


@lru_cache(maxsize=8)
def _ends(dataset: Dataset, columns: tuple[str | None, ...]) -> Ends:
    return Ends(dataset, columns)


def _filled(cells: Sequence[str]) -> bool:
    # Control-Z is how some old systems end a file.
    return any(cell.strip(_NOTHING) for cell in cells)


_NOTHING = " \t\r\n\x1a"


def _fitted(line: bytes, separator: bytes, lacks: int) -> bytes:
    """A line with the separators it lacks at its end, or less those it has too many there."""
    bare = line.removesuffix(b"\r")
    for _ in range(-lacks):
        # What follows is blank and has no separator in it.
        bare = bare[: bare.rindex(separator)]
    return bare + separator * lacks


@dataclass(frozen=True)
class _Cut:
    """Whole lines of a file in which no quoted cell spans lines."""

    source: Source
    cut: Cut

    def data(self) -> bytes:
        with self.source.path.open("rb") as file:
            file.seek(self.cut.at)
            data = file.read(self.cut.size)
        if len(data) != self.cut.size:
            self.source.assure()
        if self.source.carriage_returns_only:
            data = data.replace(b"\r", b"\n")
        if self.source.encoding == "cp1252":
            data = data.decode("cp1252").encode()
        return data if data.endswith(b"\n") else data + b"\n"

    def stretch(self) -> Stretch:
        """Look the lines over."""
        source, data, first = self.source, self.data(), self.cut.first
        separator = source.separator.encode()
        # With everything but separators, quotes and line ends taken out, a file whose rows all have
        # the same number of cells is one short pattern repeated.
        line_end = b"\r\n" if data[: data.find(b"\n")].endswith(b"\r") else b"\n"
        straight = separator * (len(source.columns) - 1) + line_end
        drop = bytes(b for b in range(256) if b not in separator + b'"\r\n')
        odd = _Odd(source, _unended(source))
        blocks: list[bytes] = []
        row = at = 0
        while at < len(data):
            end = data.rfind(b"\n", at, at + _BLOCK) + 1 or data.find(b"\n", at) + 1
            block = data[at:end]
            bare = block.translate(None, drop)
            if source.quotes:
                bare = bare.replace(b'""', b"")
            lines, short = divmod(len(bare), len(straight))
            if short or bare != straight * lines:
                patterns = bare[:-1].split(b"\n")
                lines = len(patterns)
                block = odd.examine(block, patterns, first + row)
            blocks.append(block)
            row, at = row + lines, end
        rows: Sequence[int] = range(first, first + row)
        if odd.left_out or odd.fitted:
            data = b"".join(blocks)
        if odd.left_out:
            out = set(odd.left_out)
            rows = [number for number in rows if number not in out]
        blank = len(odd.left_out) - len(odd.ragged)
        return Stretch(source, data, rows, odd.stray, self.cut.size, blank, odd, self.others)

    def others(self, number: int) -> Iterator[tuple[int, bytes]]:
        """The rows of a block that lie in the pieces beside this one."""
        first, last = self.cut.first, self.cut.first + self.cut.lines - 1
        before = list(range(max(2, number * BLOCK + 1), first))
        after = range(last + 1, (number + 1) * BLOCK + 1)
        start = max(self.source.start, self.cut.at - _BLOCK)
        with self.source.path.open("rb") as file:
            file.seek(start)
            ahead = self._lines(file.read(self.cut.at - start))[-len(before) - 1 : -1] if before else []
            file.seek(self.cut.at + self.cut.size)
            behind = self._lines(file.read(_BLOCK))[: len(after)] if after else []
        yield from zip(before[len(before) - len(ahead) :], ahead, strict=True)
        yield from zip(after, behind, strict=False)

    def _lines(self, data: bytes) -> list[bytes]:
        text = data.decode(self.source.encoding, "replace").encode()
        return (text.replace(b"\r", b"\n") if self.source.carriage_returns_only else text).split(b"\n")


def _cells(line: bytes, separator: bytes, row: int, name: str) -> list[str]:
    """The cells of a line."""
    line = line.removesuffix(b"\r")
    if b'"' not in line:
        return line.decode().split(separator.decode())
    return split([line.decode()], separator.decode(), row, name)[0]


@cache
def _well_quoted(separator: bytes) -> re.Pattern[bytes]:
    """A line whose quotes all begin or end a cell: the only kind on which every reader agrees."""
    sep = re.escape(separator)
    cell = rb'(?:"(?:[^"]|"")*"|[^"' + sep + rb"]*)"
    return re.compile(cell + rb"(?:" + sep + cell + rb")*")


def split(lines: Sequence[str], separator: str, first: int, name: str) -> list[list[str]]:
    """Lines by the book (RFC 4180), or the sentence that says which row breaks it."""
    found: list[list[str]] = []
    try:
        for cells in csv.reader(lines, delimiter=separator, strict=True):
            found.append(cells)
    except csv.Error:
        raise Unusable(
            f"Row {first + len(found)} of {name} has a quotation mark out of place: a cell in quotes must end with"
            " its quote, and a quote inside it must be doubled"
        ) from None
    return found


def _records(source: Source) -> Iterator[Stretch]:
    """The rows of a file in which a quoted cell spans lines: slower, by Python's csv module."""
    width = len(source.columns)
    cells: list[list[str]] = []
    rows: list[int] = []
    waiting: list[tuple[int, list[str]]] = []
    odd = _Odd(source)
    blank = row = 0

    def settle() -> None:
        # The rows of one block.
        doubtful = odd.doubtful(lambda _: iter(()))
        for number, record in waiting:
            if number not in doubtful:
                cells.append((record + [""] * (width - len(record)))[:width])
                rows.append(number)
        odd.asking.clear()
        waiting.clear()

    def stretch() -> Stretch:
        return Stretch(source, cells, rows, False, 0, blank, odd, None)

    with source.path.open("r", encoding=source.encoding, newline="") as text:
        text.seek(source.start)
        reader = csv.reader(text, delimiter=source.separator, strict=True)
        row = 1
        try:
            record = next(reader, None)
            while record is not None:
                row += 1
                following = next(reader, None)
                if following is None and source.unended:
                    odd.last = row
                if waiting and in_block(waiting[-1][0]) != in_block(row):
                    settle()
                    if len(cells) >= _TOGETHER:
                        yield stretch()
                        cells, rows, blank, odd = [], [], 0, _Odd(source, odd.last)
                if not _filled(record):
                    blank += 1
                elif len(record) == width or odd.judge(record, row):
                    waiting.append((row, record))
                else:
                    odd.ragged.append((row, len(record)))
                record = following
        except csv.Error:
            raise Unusable(
                f"A quotation mark in row {row + 1} of {source.name} is never closed, or stands inside a cell: a cell"
                " in quotes must end with its quote, and a quote inside it must be doubled"
            ) from None
    settle()
    yield stretch()
