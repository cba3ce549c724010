"""Rows of a file as frames of text, by Polars: for large files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import polars as pl

from cjit.dataset import Dataset, Kind
from cjit.files.parsing import Chunk, Oddities, chunks_of, is_blank_line, split_lines
from cjit.files.source import Source


@dataclass(frozen=True)
class Batch(Oddities):
    """Some rows of a file as a frame, and what was odd about those beside them.

    frame: a column of text (String) for each header of the dataset, null where blank. The columns of all fields but ids
        may be Categorical (`repeating`), which stores each distinct text once.
    rows: the number of each row, as the spreadsheet shows it (UInt32); the header is row 1.
    size: the bytes of the file they take.
    """

    frame: pl.DataFrame
    rows: pl.Series
    size: int = 0

    def text(self) -> pl.DataFrame:
        """The frame with every column as text (String)."""
        return self.frame.cast({pl.Categorical: pl.String})


#: A call that parses some rows; it may run in any thread.
Piece = Callable[[], Batch]


def repeating(dataset: Dataset) -> dict[str, pl.Categorical]:
    """A Categorical type for each field but ids, by header; fields with one code list share one type.

    The types are new at each call, so the texts of a file are freed with its frames.

    Args:
        dataset: the dataset.
    """
    fields = [f for f in dataset.fields if f.kind is not Kind.ID]
    lists = dict.fromkeys(f.codes or f.header for f in fields)
    types = {name: pl.Categorical(pl.Categories.random()) for name in lists}
    return {f.header: types[f.codes or f.header] for f in fields}


def pieces_of(source: Source, kinds: Mapping[str, pl.DataType] | None = None) -> Iterator[Piece]:
    """The rows of a file, chunk by chunk, in order.

    Args:
        source: the file.
        kinds: the types of columns, by header, as `repeating` gives them; then all chunks share them. By default each
            chunk has its own.

    Returns:
        For each chunk a call that parses it. The call raises `Unusable` where a quotation mark is out of place.
    """
    return (partial(_parsed, read, kinds) for read in chunks_of(source))


def pieces_in(frame: pl.DataFrame, dataset: Dataset) -> Iterator[Piece]:
    """A frame as a file of one chunk.

    Args:
        frame: records, with a column of text, or of what casts to text, for each header; a header without a column is
            blank, and other columns are ignored.
        dataset: the dataset.

    Yields:
        The call that gives the rows, the first of which is row 2.
    """
    text = frame.select(
        pl.col(h).cast(pl.String).replace("", None) if h in frame.columns else pl.lit(None, pl.String).alias(h)
        for h in dataset.headers
    )
    yield lambda: Batch(text, pl.int_range(2, 2 + text.height, dtype=pl.UInt32, eager=True))


def _parsed(read: Callable[[], Chunk], kinds: Mapping[str, pl.DataType] | None) -> Batch:
    """A chunk parsed, less the rows that turn out to be blank or doubtful; `kinds` as in `pieces_of`."""
    chunk = read()
    source, numbers = chunk.source, chunk.rows
    if isinstance(numbers, range):
        rows = pl.int_range(numbers.start, numbers.stop, dtype=pl.UInt32, eager=True)
    else:
        rows = pl.Series(numbers, dtype=pl.UInt32)
    if isinstance(chunk.lines, list):
        frame = _of_cells(chunk.lines, source)
        return Batch(frame, rows, size=chunk.size, **vars(chunk.oddities(numbers, 0)))
    frame = _frame(chunk, chunk.lines, kinds) if chunk.lines else _empty(source.dataset)
    blank = _blank_rows(frame)
    if blank.any() and source.unknown:
        # A row with a cell only in a column that is not read is not blank.
        lines = chunk.lines.split(b"\n")
        blank = blank.scatter([at for at in blank.arg_true() if not is_blank_line(lines[at], source)], False)
    blanks = int(blank.sum())
    if blanks:
        frame, rows = frame.filter(~blank), rows.filter(~blank)
    if doubtful := chunk.doubtful():
        certain = ~rows.is_in(doubtful)
        frame, rows = frame.filter(certain), rows.filter(certain)
    return Batch(frame, rows, size=chunk.size, **vars(chunk.oddities(rows, blanks)))


def _blank_rows(frame: pl.DataFrame) -> pl.Series:
    """For each row of a frame of text whether it has nothing but spaces (Boolean).

    The other columns are compared only on the rows that may be blank in the first.
    """
    first = frame[:, 0].cast(pl.String)
    # A text that begins with a visible character, as nearly all do, is not blank.
    blank = first.is_null() | (first < "!").fill_null(False) | (first >= "\x7f").fill_null(False)
    at = blank.arg_true()
    if not at.len():
        return blank
    empty = pl.all().is_null() | (pl.all().cast(pl.String).str.strip_chars() == "")
    return blank.scatter(at, frame[at].select(pl.all_horizontal(empty))[:, 0])


def _frame(chunk: Chunk, data: bytes, kinds: Mapping[str, pl.DataType] | None) -> pl.DataFrame:
    """The lines of a chunk as a frame, with columns as `Batch.frame` has.

    Args:
        chunk: the chunk.
        data: its lines, each with its line end.
        kinds: the types of columns, by header.

    Raises:
        Unusable: where a quotation mark is out of place.
    """
    source = chunk.source
    names = _names(source)
    wanted = [i for i, h in enumerate(source.columns) if h]
    types: Mapping[str, pl.DataType] = kinds or repeating(source.dataset)
    try:
        if chunk.irregular:
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
        return _of_cells(split_lines(data, chunk.rows, source)[1], source)
    return _shaped(frame, source.dataset, blanks=b'""' in data)


def _of_cells(cells: list[list[str]], source: Source) -> pl.DataFrame:
    """Rows of cells as a frame: a column of text (String) for each header of the dataset, null where blank."""
    if not cells:
        return _empty(source.dataset)
    frame = pl.DataFrame(cells, schema=dict.fromkeys(_names(source), pl.String), orient="row")
    return _shaped(frame, source.dataset, blanks=True)


def _names(source: Source) -> list[str]:
    return [header or f"unknown {place}" for place, header in enumerate(source.columns)]


def _shaped(frame: pl.DataFrame, dataset: Dataset, *, blanks: bool) -> pl.DataFrame:
    """A frame of text with the dataset's headers as columns; `blanks`: whether texts may be "", to be made null."""
    present = set(frame.columns)
    columns = [pl.col(h) if h in present else pl.lit(None, pl.String).alias(h) for h in dataset.headers]
    frame = frame.select(columns)
    if blanks:
        frame = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
    return frame


def _empty(dataset: Dataset) -> pl.DataFrame:
    """No rows: a column of text (String) for each header of the dataset."""
    return pl.DataFrame(schema=dict.fromkeys(dataset.headers, pl.String))
