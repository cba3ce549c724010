"""Rows of a file to columns of text, with the row numbers a spreadsheet shows."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Protocol

import polars as pl

from cjit.dataset import Dataset, Kind
from cjit.files.rows import BLOCK, Ends, Reading
from cjit.files.rows import block as in_block
from cjit.files.source import Cut, Source, Unusable

#: Bytes whose structure is looked at together: where a line is odd, no more than these are split into lines.
_BLOCK = 256 << 10


@dataclass(frozen=True)
class Batch:
    """Some rows of a file. `frame` has a column of text for each header of the dataset, blank as null.

    Where texts repeat from row to row, in all but ids, a column may be a Categorical (`repeating`): each text is
    then kept once. `rows` are their numbers as the spreadsheet shows them (the header is row 1). `ragged` are
    (row, number of cells) of rows that are not in `frame` because their cells cannot be told apart;
    `blank` counts rows with nothing in them at all, `short` and `long` those that were read although blank cells at
    their end were left out, or were too many (`cjit.files.rows`); `uneven` are the short ones beside which longer
    ones stand, as no spreadsheet writes them. `cut_off` is the ragged row within which the file ends,
    `width` how many cells a row should have.
    """

    frame: pl.DataFrame
    rows: pl.Series
    ragged: tuple[tuple[int, int], ...] = ()
    blank: int = 0
    size: int = 0
    short: int = 0
    long: int = 0
    cut_off: int | None = None
    width: int = 0
    uneven: tuple[int, ...] = ()

    def text(self) -> pl.DataFrame:
        """The frame with every column as plain text."""
        return self.frame.cast({pl.Categorical: pl.String})


class Piece(Protocol):
    """A stretch of rows, not yet parsed."""

    def __call__(self) -> Batch:
        """Parse it."""

    def only(self, rows: pl.Series) -> Batch:
        """Parse no more than some rows, given by number in order."""


@dataclass(frozen=True)
class Made:
    """A piece that is parsed already."""

    batch: Batch

    def __call__(self) -> Batch:
        """The batch it was made of."""
        return self.batch

    def only(self, rows: pl.Series) -> Batch:
        """Some of its rows."""
        some = self.batch.rows.is_in(rows.implode())
        return Batch(self.batch.frame.filter(some), self.batch.rows.filter(some))


# ---- parsing ---------------------------------------------------------------------------------------


def repeating(dataset: Dataset) -> dict[str, pl.Categorical]:
    """For each field but ids a type that keeps each of its texts once; fields of one code list share theirs.

    The types are new at each call: what a piece of a file holds goes when the piece goes.
    """
    fields = [f for f in dataset.fields if f.kind is not Kind.ID]
    lists = dict.fromkeys(f.codes or f.header for f in fields)
    made = {name: pl.Categorical(pl.Categories.random()) for name in lists}
    return {f.header: made[f.codes or f.header] for f in fields}


class _Odd:
    """Lines that do not look like the rest, looked at one by one.

    `left_out` are the rows whose cells cannot be told apart, or that have nothing in them; `ragged` the former
    with their cells; `stray` says whether a quote stands where only a careful reader reads it right. `fitted` are the
    rows with fewer or more cells that are read all the same, with their cells, unless `doubtful` says otherwise.
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

    def look(self, block: bytes, patterns: list[bytes], first: int) -> bytes:
        """Some lines less those left out; `patterns` are their separators and unpaired quotes."""
        straight = self.separator * (self.width - 1)
        lines = block[:-1].split(b"\n")
        left_out: set[int] = set()
        for place, pattern in enumerate(patterns):
            if pattern == straight:
                continue
            line, row = lines[place], first + place
            quoted = b'"' in pattern
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

    def told(self, batch: Batch) -> Batch:
        """A batch with the counts of the rows that were fitted, and with those that were not."""
        long = sum(count > self.width for count in self.fitted.values())
        # Where nearly all rows end at one place, their columns are missing, and that is said of the file.
        ends = self.source.shortened.cells if self.source.shortened else None
        short = {row: count for row, count in self.fitted.items() if count < self.width and count != ends}
        cut = self.last if self.last in dict(self.ragged) else None
        return replace(
            batch,
            ragged=tuple(self.ragged),
            short=len(short),
            long=long,
            cut_off=cut,
            width=self.width,
            uneven=tuple(sorted(self._uneven(short, batch.rows))),
        )

    def _uneven(self, short: Mapping[int, int], rows: pl.Series) -> Iterator[int]:
        """The short rows in whose block there are longer ones."""
        if not short:
            return
        blocks: dict[int, list[int]] = {}
        for row, count in short.items():
            blocks.setdefault(in_block(row), []).append(count)
        # Which blocks have other rows too.
        there = dict(((rows - 1) // BLOCK).value_counts(name="count").iter_rows())
        others = {block for block, counts in blocks.items() if len(counts) < there.get(block, 0)}
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
class _Piece:
    """Whole lines of a file in which no quoted cell spans lines."""

    source: Source
    cut: Cut
    kinds: Mapping[str, pl.DataType] | None = None

    def _data(self) -> bytes:
        with self.source.path.open("rb") as file:
            file.seek(self.cut.at)
            data = file.read(self.cut.size)
        if len(data) != self.cut.size:
            self.source.assure()
        if self.source.carriage_returns_only:
            data = data.replace(b"\r", b"\n")
        return data if data.endswith(b"\n") else data + b"\n"

    def __call__(self) -> Batch:
        source, data, first = self.source, self._data(), self.cut.first
        separator = source.separator.encode()
        if source.encoding == "cp1252":
            data = data.decode("cp1252").encode()
        # With everything but separators, quotes and line ends taken out, a file whose rows all have
        # the same number of cells is one short pattern repeated.
        straight = separator * (len(source.columns) - 1) + b"\n"
        drop = bytes(b for b in range(256) if b not in separator + b'"\n')
        odd = _Odd(source, _unended(source))
        kept: list[bytes] = []
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
                block = odd.look(block, patterns, first + row)
            kept.append(block)
            row, at = row + lines, end
        rows = pl.int_range(first, first + row, dtype=pl.UInt32, eager=True)
        if odd.left_out or odd.fitted:
            data = b"".join(kept)
            rows = rows.filter(~rows.is_in(odd.left_out))
        frame = _frame(source, data, first, self.kinds, by_the_book=odd.stray) if data else _empty(source.dataset)
        blank = len(odd.left_out) - len(odd.ragged)
        batch = self._without_blanks(Batch(frame, rows, blank=blank, size=self.cut.size), data)
        if doubtful := odd.doubtful(self._others):
            stays = ~batch.rows.is_in(doubtful)
            batch = replace(batch, frame=batch.frame.filter(stays), rows=batch.rows.filter(stays))
        return odd.told(batch)

    def _others(self, number: int) -> Iterator[tuple[int, bytes]]:
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

    def only(self, rows: pl.Series) -> Batch:
        """Parse no more than some rows, given by number in order."""
        first = self.cut.first
        mine = rows.filter(rows.is_between(first, first + self.cut.lines - 1)).cast(pl.UInt32)
        if mine.is_empty():
            return Batch(_empty(self.source.dataset), mine)
        lines = self._data().split(b"\n")
        data = b"".join(self._whole(lines[row - first], row) + b"\n" for row in mine)
        if self.source.encoding == "cp1252":
            data = data.decode("cp1252").encode()
        return Batch(_frame(self.source, data, first, self.kinds), mine)

    def _whole(self, line: bytes, row: int) -> bytes:
        """A line with one cell for each header."""
        separator = self.source.separator.encode()
        lacks = len(self.source.columns) - 1 - line.count(separator)
        if b'"' in line:
            text = line.decode(self.source.encoding).encode()
            lacks = len(self.source.columns) - len(_cells(text, separator, row, self.source.name))
        return _fitted(line, separator, lacks) if lacks else line

    def _without_blanks(self, batch: Batch, data: bytes) -> Batch:
        """Rows with separators and nothing else, as spreadsheets leave them, are blank rows."""
        some = _blanks(batch)
        if not some.any():
            return batch
        if self.source.unknown:
            # What is in a column that is not read is something all the same.
            lines = data.split(b"\n")
            nothing = self.source.separator.encode() + b'" \t\r'
            some = some.scatter([at for at in some.arg_true() if lines[at].strip(nothing)], False)
        left = batch.blank + int(some.sum())
        return replace(batch, frame=batch.frame.filter(~some), rows=batch.rows.filter(~some), blank=left)


def _blanks(batch: Batch) -> pl.Series:
    """Where a row has nothing but spaces in it."""
    first = batch.frame[:, 0].cast(pl.String)
    blank = first.is_null()
    if first.str.starts_with(" ").any():
        blank |= (first.str.strip_chars() == "").fill_null(False)
    at = blank.arg_true()
    if not at.len():
        return blank
    empty = pl.all().is_null() | (pl.all().cast(pl.String).str.strip_chars() == "")
    return blank.scatter(at, batch.frame[at].select(pl.all_horizontal(empty))[:, 0])


def _cells(line: bytes, separator: bytes, row: int, name: str) -> list[str]:
    """The cells of a line."""
    line = line.removesuffix(b"\r")
    if b'"' not in line:
        return line.decode().split(separator.decode())
    return _split([line.decode()], separator.decode(), row, name)[0]


@cache
def _well_quoted(separator: bytes) -> re.Pattern[bytes]:
    """A line whose quotes all begin or end a cell: the only kind on which every reader agrees."""
    sep = re.escape(separator)
    cell = rb'(?:"(?:[^"]|"")*"|[^"' + sep + rb"]*)"
    return re.compile(cell + rb"(?:" + sep + cell + rb")*")


def _split(lines: Sequence[str], separator: str, first: int, name: str) -> list[list[str]]:
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


def _frame(
    source: Source, data: bytes, first: int, kinds: Mapping[str, pl.DataType] | None, *, by_the_book: bool = False
) -> pl.DataFrame:
    """Regular lines to a frame of text: a column for each header of the dataset, blank as null."""
    names = [h or f"unknown {i}" for i, h in enumerate(source.columns)]
    wanted = [i for i, h in enumerate(source.columns) if h]
    types: Mapping[str, pl.DataType] = kinds or repeating(source.dataset)
    try:
        if by_the_book:
            raise pl.exceptions.ComputeError
        frame = pl.read_csv(
            data,
            has_header=False,
            separator=source.separator,
            schema={name: types.get(name, pl.String) for name in names},
            columns=wanted if len(wanted) < len(names) else None,
            raise_if_empty=False,
            glob=False,
        )
    except pl.exceptions.PolarsError:
        lines = data.decode().split("\n")[:-1]
        cells = _split(lines, source.separator, first, source.name)
        frame = pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String), orient="row")
    return _shaped(frame, source.dataset, blanks=b'""' in data)


def _shaped(frame: pl.DataFrame, dataset: Dataset, *, blanks: bool) -> pl.DataFrame:
    have = set(frame.columns)
    columns = [pl.col(h) if h in have else pl.lit(None, pl.String).alias(h) for h in dataset.headers]
    frame = frame.select(columns)
    if blanks:
        frame = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
    return frame


def _empty(dataset: Dataset) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(dataset.headers, pl.String))


def _records(source: Source) -> Iterator[Piece]:
    """Batches of a file in which a quoted cell spans lines: slower, by Python's csv module."""
    width = len(source.columns)
    names = [h or f"unknown {i}" for i, h in enumerate(source.columns)]
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

    def batch() -> Batch:
        frame = pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String), orient="row")
        frame = _shaped(frame, source.dataset, blanks=True) if cells else _empty(source.dataset)
        return odd.told(Batch(frame, pl.Series(rows, dtype=pl.UInt32), blank=blank))

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
                    if len(cells) >= 50_000:
                        yield Made(batch())
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
    yield Made(batch())


def pieces_of(source: Source, kinds: Mapping[str, pl.DataType] | None = None) -> Iterator[Piece]:
    """A file piece by piece, in order: each a call that parses it and may run in any thread.

    Texts that repeat are kept once a piece or, in the `kinds` given (`repeating`), once for them all.
    """
    if source.quoted_lines:
        yield from _records(source)
    else:
        yield from (_Piece(source, cut, kinds) for cut in source.cuts)
