"""A file as columns of numbers: each text of a field kept once, and for each row its number.

Only the ids of clients, episodes and referrals stand there as text, for they rarely repeat. Everything else that is
said of a file reads this table: nothing is parsed, or typed, a second time.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import TypeVar

import polars as pl

from cjit.dataset import Dataset
from cjit.files.frames import Batch, Piece
from cjit.files.parsing import Oddities, together
from cjit.kinds import FieldKind

# One more than there are processors: while one waits for Polars, which has a thread for each, another works.
_WORKERS = max(2, min(4, os.cpu_count() or 2)) + 1

#: Numbers that are counted one by one: to compare a column with each costs less than to sort it out.
_FEW = 12
#: Numbers that are looked for one by one.
_FEWER = 6
#: One row in so many is counted where a rough number will do.
SAMPLE = 101

Progress = Callable[[int], None]
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Texts:
    """A field in which texts repeat.

    `numbers` has the number of each row's text (UInt8, UInt16 or UInt32); `texts` each text by its number, of which 0
    is blank. A text with nothing but spaces has a number of its own.
    """

    numbers: pl.Series
    texts: tuple[str | None, ...]

    @cached_property
    def sampled(self) -> Mapping[int, int]:
        """How often each number stands on one row in `SAMPLE`."""
        return dict(self.numbers.gather_every(SAMPLE).value_counts().iter_rows())

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How often each text stands there, by its number."""
        counts = [0] * len(self.texts)
        for number, count in self.numbers.value_counts().iter_rows():
            counts[number] = count
        return tuple(counts)

    def counted(self, wanted: Sequence[bool], without: pl.Series) -> dict[int, int]:
        """How often some of the texts stand there, by number, less the rows of a Boolean column. None is 0."""
        numbers = [number for number, each in enumerate(wanted) if each]
        if len(numbers) <= _FEW:
            rest = ~without if without.any() else None
            of_each = {number: self.numbers == number for number in numbers}
            counts = {number: int((at if rest is None else at & rest).sum()) for number, at in of_each.items()}
        else:
            some = self.numbers.filter(by_number(wanted, self.numbers) & ~without)
            counts = dict(some.value_counts().iter_rows())
        return {number: count for number, count in counts.items() if count}


def by_number(answers: Sequence[bool], numbers: pl.Series) -> pl.Series:
    """For each number of a column what is answered of it (Boolean)."""
    yes = sum(answers)
    if yes <= _FEWER or len(answers) - yes <= _FEWER:
        # A comparison with one number costs a tenth of looking each up.
        few = [number for number, answer in enumerate(answers) if answer is (yes <= _FEWER)]
        found = pl.repeat(False, numbers.len(), dtype=pl.Boolean, eager=True)
        for number in few:
            found |= numbers == number
        return found if yes <= _FEWER else ~found
    # Bytes are gathered in half the time of bits.
    return pl.Series(answers, dtype=pl.UInt8).gather(numbers) == 1


@dataclass(frozen=True)
class Table(Oddities):
    """The rows of a file that can be read, and what was odd about the others.

    rows: the number of each as a spreadsheet shows it (UInt32).
    texts: the fields in which texts repeat, by header.
    ids: the ids of clients, episodes, referrals, by header: text, null where there is none.
    """

    rows: pl.Series
    texts: Mapping[str, Texts]
    ids: Mapping[str, pl.Series]

    @property
    def height(self) -> int:
        """The rows that can be read."""
        return self.rows.len()


def repeating(dataset: Dataset, apart: Sequence[str]) -> dict[str, pl.Categorical]:
    """For each field but those `apart` a type that keeps each text once.

    Each has its own, as columns that are parsed side by side would wait for one another to add a text.
    """
    return {h: pl.Categorical(pl.Categories.random()) for h in dataset.headers if h not in apart}


# ---- reading ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """A piece of a file, less what is kept once for all of them. Its columns are taken out as they are put together."""

    batch: Batch
    numbers: dict[str, pl.Series]
    ids: dict[str, pl.Series]


def read(
    pieces: Iterator[Piece],
    kinds: Mapping[str, pl.Categorical],
    ids: Sequence[str],
    progress: Progress = lambda size: None,
) -> Table:
    """Pieces of a file as one table. `kinds` are the types its texts are kept by, `ids` the headers kept as text.

    `progress` is told the bytes of each piece that was read.
    """
    parts: list[_Part] = []
    for part in side_by_side(lambda piece: _part(piece(), kinds, ids), pieces):
        parts.append(part)
        progress(part.batch.size)
    # A text is looked up once no thread adds any more.
    texts = {header: _texts([part.numbers.pop(header) for part in parts], kinds[header]) for header in kinds}
    batches = [part.batch for part in parts]
    return Table(
        rows=pl.concat([batch.rows for batch in batches]).rechunk(),
        texts=texts,
        ids={header: pl.concat([part.ids.pop(header) for part in parts]).rechunk() for header in ids},
        **vars(together(batches)),
    )


def _part(batch: Batch, kinds: Mapping[str, pl.Categorical], ids: Sequence[str]) -> _Part:
    frame = batch.frame.cast({h: kind for h, kind in kinds.items() if batch.frame.schema[h] != kind})
    numbers = frame.select(pl.col(h).to_physical() for h in kinds)
    most = numbers.max().row(0)
    small = numbers.select(
        # One place for the blank, which is number 0.
        (pl.col(h).cast(_width((top or 0) + 1), wrap_numerical=True) + 1).fill_null(0)
        for h, top in zip(numbers.columns, most, strict=True)
    )
    kept = replace(batch, frame=frame.clear())
    return _Part(kept, {h: small[h] for h in kinds}, {h: frame[h] for h in ids})


def _width(most: int) -> type[pl.DataType]:
    """The smallest type that holds numbers up to some."""
    return pl.UInt8 if most < 1 << 8 else pl.UInt16 if most < 1 << 16 else pl.UInt32


def _texts(parts: Sequence[pl.Series], kind: pl.Categorical) -> Texts:
    """The numbers of all pieces in one column, and the texts they stand for."""
    most = max((int(part.max() or 0) for part in parts), default=0)  # type: ignore[arg-type]
    width = _width(most)
    numbers = pl.concat([part.cast(width) for part in parts]).rechunk()
    texts = pl.DataFrame({"n": pl.int_range(most, dtype=pl.UInt32, eager=True)}).select(
        pl.col("n").cat.to(kind).cast(pl.String)
    )
    return Texts(numbers, (None, *texts.to_series()))


def side_by_side(work: Callable[[_T], _R], items: Iterator[_T]) -> Iterator[_R]:
    """`map`, a few at a time in threads, in order, never far ahead."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        waiting: deque[Future[_R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > _WORKERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def column_type(kind: FieldKind) -> pl.DataType:
    """The type of a column of values of a field."""
    return {date: pl.Date(), int: pl.Int32()}.get(kind.typed, pl.String())
