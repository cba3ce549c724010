"""Rows of a file as frames of text, by Polars: for large files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import polars as pl

from cjit.dataset import Dataset, Kind
from cjit.files.parsing import Oddities, Stretch, nothing_in, split_lines, stretches_of
from cjit.files.source import Source


@dataclass(frozen=True)
class Batch(Oddities):
    """Some rows of a file, and what was odd about those beside them.

    frame: a column of text for each header of the dataset, blank as null. Where texts repeat from row to row, in all
        but ids, a column may be a Categorical (`repeating`): each text is then kept once.
    rows: their numbers as the spreadsheet shows them (UInt32); the header is row 1.
    size: the bytes of the file they were in.
    """

    frame: pl.DataFrame
    rows: pl.Series
    size: int = 0

    def text(self) -> pl.DataFrame:
        """The frame with every column as plain text."""
        return self.frame.cast({pl.Categorical: pl.String})


#: Some rows, not yet parsed.
Piece = Callable[[], Batch]


def repeating(dataset: Dataset) -> dict[str, pl.Categorical]:
    """For each field but ids a type that keeps each of its texts once; fields of one code list share theirs.

    The types are new at each call: what a piece of a file holds goes when the piece goes.
    """
    fields = [f for f in dataset.fields if f.kind is not Kind.ID]
    lists = dict.fromkeys(f.codes or f.header for f in fields)
    made = {name: pl.Categorical(pl.Categories.random()) for name in lists}
    return {f.header: made[f.codes or f.header] for f in fields}


def pieces_of(source: Source, kinds: Mapping[str, pl.DataType] | None = None) -> Iterator[Piece]:
    """A file piece by piece, in order: each a call that parses it and may run in any thread.

    Texts that repeat are kept once a piece or, in the `kinds` given (`repeating`), once for them all.
    """
    return (partial(_parsed, stretch, kinds) for stretch in stretches_of(source))


def pieces_in(frame: pl.DataFrame, dataset: Dataset) -> Iterator[Piece]:
    """A frame of text as a file of one piece; its first row is row 2."""
    text = frame.select(
        pl.col(h).cast(pl.String).replace("", None) if h in frame.columns else pl.lit(None, pl.String).alias(h)
        for h in dataset.headers
    )
    yield lambda: Batch(text, pl.int_range(2, 2 + text.height, dtype=pl.UInt32, eager=True))


def _parsed(looked_over: Callable[[], Stretch], kinds: Mapping[str, pl.DataType] | None) -> Batch:
    stretch = looked_over()
    source, numbers = stretch.source, stretch.rows
    if isinstance(numbers, range):
        rows = pl.int_range(numbers.start, numbers.stop, dtype=pl.UInt32, eager=True)
    else:
        rows = pl.Series(numbers, dtype=pl.UInt32)
    if isinstance(stretch.lines, list):
        frame = _of_cells(stretch.lines, source)
        return Batch(frame, rows, size=stretch.size, **vars(stretch.oddities(numbers, 0)))
    frame = _frame(stretch, stretch.lines, kinds) if stretch.lines else _empty(source.dataset)
    blank = _blanks(frame)
    if blank.any() and source.unknown:
        # What is in a column that is not read is something all the same.
        lines = stretch.lines.split(b"\n")
        blank = blank.scatter([at for at in blank.arg_true() if not nothing_in(lines[at], source)], False)
    blanks = int(blank.sum())
    if blanks:
        frame, rows = frame.filter(~blank), rows.filter(~blank)
    if doubtful := stretch.doubtful():
        stays = ~rows.is_in(doubtful)
        frame, rows = frame.filter(stays), rows.filter(stays)
    return Batch(frame, rows, size=stretch.size, **vars(stretch.oddities(rows, blanks)))


def _blanks(frame: pl.DataFrame) -> pl.Series:
    """Where a row has nothing but spaces in it."""
    first = frame[:, 0].cast(pl.String)
    # What begins with a character that can be seen, as nearly all do, is not blank.
    blank = first.is_null() | (first < "!").fill_null(False) | (first >= "\x7f").fill_null(False)
    at = blank.arg_true()
    if not at.len():
        return blank
    empty = pl.all().is_null() | (pl.all().cast(pl.String).str.strip_chars() == "")
    return blank.scatter(at, frame[at].select(pl.all_horizontal(empty))[:, 0])


def _frame(stretch: Stretch, data: bytes, kinds: Mapping[str, pl.DataType] | None) -> pl.DataFrame:
    """Regular lines to a frame of text: a column for each header of the dataset, blank as null."""
    source = stretch.source
    names = _names(source)
    wanted = [i for i, h in enumerate(source.columns) if h]
    types: Mapping[str, pl.DataType] = kinds or repeating(source.dataset)
    try:
        if stretch.by_the_book:
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
        return _of_cells(split_lines(data, stretch.rows, source)[1], source)
    return _shaped(frame, source.dataset, blanks=b'""' in data)


def _of_cells(cells: list[list[str]], source: Source) -> pl.DataFrame:
    if not cells:
        return _empty(source.dataset)
    frame = pl.DataFrame(cells, schema=dict.fromkeys(_names(source), pl.String), orient="row")
    return _shaped(frame, source.dataset, blanks=True)


def _names(source: Source) -> list[str]:
    return [header or f"unknown {place}" for place, header in enumerate(source.columns)]


def _shaped(frame: pl.DataFrame, dataset: Dataset, *, blanks: bool) -> pl.DataFrame:
    have = set(frame.columns)
    columns = [pl.col(h) if h in have else pl.lit(None, pl.String).alias(h) for h in dataset.headers]
    frame = frame.select(columns)
    if blanks:
        frame = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
    return frame


def _empty(dataset: Dataset) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(dataset.headers, pl.String))
