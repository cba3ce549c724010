"""Lines of a file to rows of cells, with the row numbers a spreadsheet shows.

A file is read in chunks of a few megabytes, so memory does not grow with its length. The structure of a chunk is
checked before any value in it is parsed: rows with too few or too many cells are found here, once for both engines.
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
from cjit.files.rows import BLOCK, Reading, WidthCheck
from cjit.files.rows import block as in_block
from cjit.files.source import ByteRange, Source, Unusable

#: Bytes whose structure is compared at once. Only where one of their lines is odd are they split into lines.
_WINDOW = 64 << 10
#: Quotes in a window that are looked at one by one; more are counted in five passes over it.
_FEW_QUOTES = 200
#: Bytes beside a chunk in which the rest of a block of rows is looked for.
_BESIDE = 256 << 10
#: Rows in a chunk of a file in which a quoted cell spans lines.
_CHUNK_ROWS = 50_000
#: Characters that a cell with nothing in it may have. Some old systems end a file with Control-Z.
_NOTHING = " \t\r\n\x1a"


@dataclass(frozen=True, kw_only=True)
class Oddities:
    """The rows of a file, or of a part of it, that are blank or have too few or too many cells.

    ragged: number and cells of each ragged row; such rows are not read.
    blank: how many rows had nothing in them; these are left out.
    short: how many rows were read although they lack blank cells at their end.
    long: how many rows were read although they have too many blank cells at their end.
    cut_off: the number of the ragged row within which the file ends.
    width: how many cells a row should have.
    uneven: the numbers of the short rows in whose block stand longer ones, as no spreadsheet writes them.
    """

    ragged: tuple[tuple[int, int], ...] = ()
    blank: int = 0
    short: int = 0
    long: int = 0
    cut_off: int | None = None
    width: int = 0
    uneven: tuple[int, ...] = ()


def together(parts: Sequence[Oddities]) -> Oddities:
    """The oddities of a file.

    Args:
        parts: the oddities of its parts, in order.
    """
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
class Chunk:
    """Some rows of a file whose structure was checked: each has one cell for each column of the file.

    source: the file.
    lines: the rows as whole lines of UTF-8, each with its line end; or the cells of each row (text, "" where blank),
        where a quoted cell spans lines.
    rows: their numbers, as a spreadsheet shows them.
    irregular: whether a quote or a carriage return stands where only a parser that follows RFC 4180 reads it right.
    size: the bytes of the file they take.
    blank: how many rows among them had nothing in them, and were left out.
    """

    source: Source
    lines: bytes | list[list[str]]
    rows: Sequence[int]
    irregular: bool
    size: int
    blank: int
    _odd: _OddRows
    _neighbours: Callable[[int], Iterator[tuple[int, bytes]]] | None

    def doubtful(self) -> list[int]:
        """The numbers of rows that are ragged after all: no row of their block with as many cells is sure."""
        return self._odd.doubtful(self._neighbours) if self._neighbours else []

    def oddities(self, rows: Iterable[int], blanks: int) -> Oddities:
        """The oddities of the chunk; to be asked after `doubtful`.

        Args:
            rows: the numbers of the rows that are read.
            blanks: how many rows were found blank when they were parsed.
        """
        return self._odd.oddities(rows, self.blank + blanks)


@dataclass(frozen=True)
class CellRows(Oddities):
    """Some rows of a file as lists of text.

    rows: their numbers, as a spreadsheet shows them.
    cells: for each row a list with a text for each column of the file, "" where it is blank.
    """

    rows: Sequence[int]
    cells: list[list[str]]


def chunks_of(source: Source) -> Iterator[Callable[[], Chunk]]:
    """The chunks of a file, in order.

    Args:
        source: the file.

    Yields:
        For each chunk a call that reads it and checks its structure; the calls may run in any thread.

    Raises:
        Unusable: where a quotation mark is out of place, or the file changed.
    """
    if source.quoted_lines:
        yield from (partial(_identity, chunk) for chunk in _chunks_of_records(source))
    else:
        yield from (_Lines(source, byte_range).chunk for byte_range in source.byte_ranges)


def _identity(chunk: Chunk) -> Chunk:
    return chunk


def cells_of(chunk: Chunk) -> CellRows:
    """The cells of a chunk, less the rows that turn out to be blank or doubtful.

    Args:
        chunk: some rows.

    Returns:
        Their cells, and what was odd about the others.

    Raises:
        Unusable: where a quotation mark is out of place.
    """
    source, rows = chunk.source, list(chunk.rows)
    if isinstance(chunk.lines, list):
        return CellRows(rows, chunk.lines, **vars(chunk.oddities(rows, 0)))
    lines, cells = split_lines(chunk.lines, rows, source)
    wanted = [place for place, header in enumerate(source.columns) if header]
    first = source.columns.index(source.dataset.headers[0]) if source.dataset.headers[0] in source.columns else None
    blanks = {
        at
        for at, texts in enumerate(cells)
        if (first is None or not texts[first] or texts[first][0] in WHITE)
        and not any(texts[place].strip(WHITE) for place in wanted)
        and (not source.unknown or is_blank_line(lines[at].encode(), source))
    }
    doubtful = set(chunk.doubtful())
    if blanks or doubtful:
        places = [at for at, row in enumerate(rows) if at not in blanks and row not in doubtful]
        rows, cells = [rows[at] for at in places], [cells[at] for at in places]
    return CellRows(rows, cells, **vars(chunk.oddities(rows, len(blanks))))


def split_lines(data: bytes, rows: Sequence[int], source: Source) -> tuple[list[str], list[list[str]]]:
    """The lines of a chunk, and their cells.

    Args:
        data: whole lines of UTF-8, each with its line end.
        rows: the number of each row, for the message.
        source: the file.

    Returns:
        The lines as text, without line ends; for each line a list of its cells.

    Raises:
        Unusable: where a quotation mark is out of place.
    """
    text = data.decode()
    lines = (text.replace("\r\n", "\n") if "\r" in text else text).split("\n")[:-1]
    separator = source.separator
    if '"' not in text:
        return lines, [line.split(separator) for line in lines]
    return lines, [
        split([line], separator, row, source.name)[0] if '"' in line else line.split(separator)
        for row, line in zip(rows, lines, strict=True)
    ]


def is_blank_line(line: bytes, source: Source) -> bool:
    """Whether a line has nothing but separators, quotes and spaces, also in the columns that are not read."""
    return not line.strip(source.separator.encode() + b'" \t\r')


# ---- odd rows --------------------------------------------------------------------------------------


class _OddRows:
    """The rows of a chunk with quotes, stray carriage returns, or too few or too many cells; examined one by one.

    source: the file.
    separator: the byte between cells.
    width: how many cells a row should have.
    widths: decides on rows with another number of cells.
    last: the number of the row that no line end follows.
    left_out: the numbers of the rows that are ragged or blank.
    ragged: number and cells of each ragged row.
    stray: whether a quote or a carriage return stands where only a parser that follows RFC 4180 reads it right.
    fitted: by number, the cells of each row that is read though it is short or long; `doubtful` takes some back.
    sure: block and number of cells of the fitted rows that are read whatever their block has.
    undecided: the numbers of the fitted rows that are read if their block has a sure one with as many cells.
    """

    def __init__(self, source: Source, last: int | None = None) -> None:
        self.source = source
        self.separator, self.width = source.separator.encode(), len(source.columns)
        self.widths = _width_check(source.dataset, source.columns)
        self.last = last
        self.left_out: list[int] = []
        self.ragged: list[tuple[int, int]] = []
        self.stray = False
        self.fitted: dict[int, int] = {}
        self.sure: set[tuple[int, int]] = set()
        self.undecided: list[int] = []

    def examine(self, window: bytes, patterns: list[bytes], first: int, *, quotes: bool) -> bytes:
        """Some lines as they are read: without ragged and blank ones, each with the right number of separators.

        Args:
            window: whole lines.
            patterns: for each line its separators, carriage returns and unpaired quotes.
            first: the number of the first row.
            quotes: whether a quote may stand elsewhere than at the ends of a cell.
        """
        regular = self.separator * (self.width - 1)
        straight = (regular, regular + b"\r")
        lines = window[:-1].split(b"\n")
        left_out: set[int] = set()
        fitted = False
        odd = [place for place, pattern in enumerate(patterns) if pattern not in straight]
        if quotes:
            odd = [place for place, line in enumerate(lines) if b'"' in line or patterns[place] not in straight]
        for place in odd:
            line, pattern, row = lines[place], patterns[place], first + place
            quoted = b'"' in line
            self.stray = self.stray or b"\r" in pattern.removesuffix(b"\r")
            self.stray = self.stray or (quoted and not _well_quoted(self.separator).fullmatch(line.rstrip(b"\r")))
            cells = _cells(line, self.separator, row, self.source.name)
            if len(cells) == self.width:
                continue
            if self.judge(cells, row):
                lines[place] = _fitted(line, self.separator, self.width - len(cells))
                fitted = True
                continue
            left_out.add(place)
            self.left_out.append(row)
            if _filled(cells):
                self.ragged.append((row, len(cells)))
        if not left_out and not fitted:
            return window
        return b"".join(line + b"\n" for place, line in enumerate(lines) if place not in left_out)

    def judge(self, cells: list[str], row: int) -> bool:
        """Whether a row with too few or too many cells is read, as far as its own cells say; it is noted if so.

        Args:
            cells: the cells of the row.
            row: its number, as a spreadsheet shows it.
        """
        count = len(cells)
        if not _filled(cells) or (row == self.last and count < self.width):
            return False
        reading = self.widths.reading(cells)
        if reading is Reading.NOT:
            return False
        self.fitted[row] = count
        if reading is Reading.SURE:
            self.sure.add((in_block(row), count))
        else:
            self.undecided.append(row)
        return True

    def doubtful(self, neighbours: Callable[[int], Iterator[tuple[int, bytes]]]) -> list[int]:
        """The fitted rows that are ragged after all: no row of their block with as many cells is sure.

        Args:
            neighbours: for the number of a block, its rows in the chunks beside this one: number and line of each.

        Returns:
            Their numbers.
        """
        for number in {in_block(row) for row in self.undecided if not self._is_sure(row)}:
            for row, line in neighbours(number):
                cells = _cells(line, self.separator, row, self.source.name)
                odd = len(cells) != self.width and row != _unended(self.source) and _filled(cells)
                if odd and self.widths.reading(cells) is Reading.SURE:
                    self.sure.add((number, len(cells)))
        doubtful = [row for row in self.undecided if not self._is_sure(row)]
        self.ragged = sorted([*self.ragged, *((row, self.fitted.pop(row)) for row in doubtful)])
        return doubtful

    def _is_sure(self, row: int) -> bool:
        return (in_block(row), self.fitted[row]) in self.sure

    def oddities(self, rows: Iterable[int], blank: int) -> Oddities:
        """The oddities of the chunk.

        Args:
            rows: the numbers of the rows that are read.
            blank: how many rows were blank.
        """
        long = sum(count > self.width for count in self.fitted.values())
        # The shortened rows of a file are no oddities of their own: their columns are missing, which a note says.
        common = self.source.shortened.cells if self.source.shortened else None
        short = {row: count for row, count in self.fitted.items() if count < self.width and count != common}
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
        """The numbers of the short rows in whose block there are longer ones.

        Args:
            short: by number, how many cells each short row has.
            rows: the numbers of all rows that are read.
        """
        if not short:
            return
        blocks: dict[int, list[int]] = {}
        for row, count in short.items():
            blocks.setdefault(in_block(row), []).append(count)
        sizes = Counter(map(in_block, rows))
        # The blocks that also have rows that are not short.
        mixed = {block for block, counts in blocks.items() if len(counts) < sizes[block]}
        for row, count in short.items():
            block = in_block(row)
            if block in mixed or count < max(blocks[block]):
                yield row


def _unended(source: Source) -> int | None:
    """The number of the last row, where no line end follows it: it may have been cut off."""
    if not source.unended:
        return None
    last = source.byte_ranges[-1]
    return last.first_row + last.lines - 1


@lru_cache(maxsize=8)
def _width_check(dataset: Dataset, columns: tuple[str | None, ...]) -> WidthCheck:
    return WidthCheck(dataset, columns)


def _filled(cells: Sequence[str]) -> bool:
    return any(cell.strip(_NOTHING) for cell in cells)


def _fitted(line: bytes, separator: bytes, lacking: int) -> bytes:
    """A line with some more separators at its end; with fewer, where `lacking` is less than 0."""
    bare = line.removesuffix(b"\r")
    for _ in range(-lacking):
        # The cell after the last separator is blank, so it has no separator in quotes.
        bare = bare[: bare.rindex(separator)]
    return bare + separator * lacking


@dataclass(frozen=True)
class _Lines:
    """Whole lines of a file in which no quoted cell spans lines."""

    source: Source
    byte_range: ByteRange

    def data(self) -> bytes:
        """The lines in UTF-8, each ended by a line feed."""
        with self.source.path.open("rb") as file:
            file.seek(self.byte_range.offset)
            data = file.read(self.byte_range.size)
        if len(data) != self.byte_range.size:
            self.source.assure()
        if self.source.carriage_returns_only:
            data = data.replace(b"\r", b"\n")
        if self.source.encoding == "cp1252":
            data = data.decode("cp1252").encode()
        return data if data.endswith(b"\n") else data + b"\n"

    def chunk(self) -> Chunk:
        """The lines with their structure checked."""
        source, data, first = self.source, self.data(), self.byte_range.first_row
        separator = source.separator.encode()
        # Without all bytes but separators, quotes and line ends, lines with the same number of cells are one short
        # pattern repeated: a comparison of bytes, far faster than to split each line.
        line_end = b"\r\n" if data[: data.find(b"\n")].endswith(b"\r") else b"\n"
        regular = separator * (len(source.columns) - 1) + line_end
        drop = bytes(b for b in range(256) if b not in separator + b'"\r\n')
        odd = _OddRows(source, _unended(source))
        windows: list[bytes] = []
        row = at = 0
        while at < len(data):
            end = data.rfind(b"\n", at, at + _WINDOW) + 1 or data.find(b"\n", at) + 1
            window = data[at:end]
            bare = window.translate(None, drop)
            quotes = False
            if source.quotes and (count := bare.count(b'"')):
                quotes = not _at_the_ends(window, separator, count)
                bare = bare.replace(b'""', b"")
            lines, rest = divmod(len(bare), len(regular))
            if quotes or rest or bare != regular * lines:
                patterns = bare[:-1].split(b"\n")
                lines = len(patterns)
                window = odd.examine(window, patterns, first + row, quotes=quotes)
            windows.append(window)
            row, at = row + lines, end
        rows: Sequence[int] = range(first, first + row)
        if odd.left_out or odd.fitted:
            data = b"".join(windows)
        if odd.left_out:
            left_out = set(odd.left_out)
            rows = [number for number in rows if number not in left_out]
        blank = len(odd.left_out) - len(odd.ragged)
        return Chunk(source, data, rows, odd.stray, self.byte_range.size, blank, odd, self.neighbours)

    def neighbours(self, number: int) -> Iterator[tuple[int, bytes]]:
        """The rows of a block that stand in the chunks beside this one.

        Args:
            number: the number of the block.

        Yields:
            The number and the line of each row.
        """
        here = self.byte_range
        first, last = here.first_row, here.first_row + here.lines - 1
        before = list(range(max(2, number * BLOCK + 1), first))
        after = range(last + 1, (number + 1) * BLOCK + 1)
        start = max(self.source.start, here.offset - _BESIDE)
        with self.source.path.open("rb") as file:
            file.seek(start)
            preceding = self._lines(file.read(here.offset - start))[-len(before) - 1 : -1] if before else []
            file.seek(here.offset + here.size)
            following = self._lines(file.read(_BESIDE))[: len(after)] if after else []
        yield from zip(before[len(before) - len(preceding) :], preceding, strict=True)
        yield from zip(after, following, strict=False)

    def _lines(self, data: bytes) -> list[bytes]:
        """Some bytes of the file as lines of UTF-8, without their line ends."""
        text = data.decode(self.source.encoding, "replace").encode()
        return (text.replace(b"\r", b"\n") if self.source.carriage_returns_only else text).split(b"\n")


def _cells(line: bytes, separator: bytes, row: int, name: str) -> list[str]:
    """The cells of a line; `row` and `name` are for the message of `split`."""
    line = line.removesuffix(b"\r")
    if b'"' not in line:
        return line.decode().split(separator.decode())
    return split([line.decode()], separator.decode(), row, name)[0]


def _at_the_ends(lines: bytes, separator: bytes, quotes: int) -> bool:
    """Whether each of some quotes begins or ends a cell, where those between two separators are in pairs."""
    if quotes <= _FEW_QUOTES:
        place = -1
        for _ in range(quotes):
            place = lines.index(b'"', place + 1)
            begins = not place or lines[place - 1 : place] in (separator, b"\n")
            if not begins and lines[place + 1 : place + 2] not in (separator, b"\r", b"\n"):
                return False
        return True
    begin = lines.count(separator + b'"') + lines.count(b'\n"') + lines.startswith(b'"')
    return quotes == begin + lines.count(b'"' + separator) + lines.count(b'"\n') + lines.count(b'"\r\n')


@cache
def _well_quoted(separator: bytes) -> re.Pattern[bytes]:
    """Matches a line whose quotes all begin or end a cell: the only kind that every CSV parser reads alike."""
    sep = re.escape(separator)
    cell = rb'(?:"(?:[^"]|"")*"|[^"' + sep + rb"]*)"
    return re.compile(cell + rb"(?:" + sep + cell + rb")*")


def split(lines: Sequence[str], separator: str, first: int, name: str) -> list[list[str]]:
    """The cells of some lines, parsed as RFC 4180 says.

    Args:
        lines: the lines, without line ends.
        separator: the character between cells.
        first: the number of the first row, for the message.
        name: the file's name, for the message.

    Returns:
        For each row a list of its cells.

    Raises:
        Unusable: where a quotation mark is out of place.
    """
    rows: list[list[str]] = []
    try:
        for cells in csv.reader(lines, delimiter=separator, strict=True):
            rows.append(cells)
    except csv.Error:
        raise Unusable(
            f"Row {first + len(rows)} of {name} has a quotation mark out of place: a cell in quotes must end with"
            " its quote, and a quote inside it must be doubled"
        ) from None
    return rows


def _chunks_of_records(source: Source) -> Iterator[Chunk]:
    """The chunks of a file in which a quoted cell spans lines, by Python's csv module, which is slower.

    Raises:
        Unusable: where a quotation mark is out of place.
    """
    width = len(source.columns)
    cells: list[list[str]] = []
    rows: list[int] = []
    block: list[tuple[int, list[str]]] = []
    odd = _OddRows(source)
    blank = row = 0

    def end_block() -> None:
        """Move the rows of the block that is complete to the chunk, less those that are doubtful."""
        doubtful = odd.doubtful(lambda _: iter(()))
        for number, record in block:
            if number not in doubtful:
                cells.append((record + [""] * (width - len(record)))[:width])
                rows.append(number)
        odd.undecided.clear()
        block.clear()

    def chunk() -> Chunk:
        return Chunk(source, cells, rows, False, 0, blank, odd, None)

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
                if block and in_block(block[-1][0]) != in_block(row):
                    end_block()
                    if len(cells) >= _CHUNK_ROWS:
                        yield chunk()
                        cells, rows, blank, odd = [], [], 0, _OddRows(source, odd.last)
                if not _filled(record):
                    blank += 1
                elif len(record) == width or odd.judge(record, row):
                    block.append((row, record))
                else:
                    odd.ragged.append((row, len(record)))
                record = following
        except csv.Error:
            raise Unusable(
                f"A quotation mark in row {row + 1} of {source.name} is never closed, or stands inside a cell: a cell"
                " in quotes must end with its quote, and a quote inside it must be doubled"
            ) from None
    end_block()
    yield chunk()
