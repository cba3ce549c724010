"""The check: a file, a frame or some records against the rule book of a dataset.

The plain engine (`by_rows`) judges small files row by row in Python. The engine of columns (`by_columns`) judges large
files and frames by Polars. Both find the same. Records of a form go to the plain engine without a file (`records`).

`check` returns the findings. `checked` returns the rows too, from which copies are made.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeGuard

from cjit.dataset import WITHHELD, Dataset, Kind, Record, Rule
from cjit.engine import by_rows, outcome
from cjit.engine.findings import RAGGED, Batch, Filled, Finding, Findings, RuleRun, Seen, Sink, in_full, polars
from cjit.engine.records import prepared as records_of
from cjit.engine.rulebook import RuleBook, rule_book
from cjit.engine.shown import value_shown
from cjit.files.opening import open_file
from cjit.files.source import Source, Unusable

if TYPE_CHECKING:
    import polars as pl

    from cjit.engine.table import Progress as Bytes
    from cjit.engine.table import Table

    Columns: TypeAlias = Mapping[str, Sequence[str | None]]
    Given: TypeAlias = str | os.PathLike[str] | IO[bytes] | bytes | Source | Columns | pl.DataFrame

__all__ = [
    "RAGGED",
    "Checked",
    "Filled",
    "Finding",
    "Findings",
    "RuleRun",
    "Seen",
    "UnknownHeader",
    "UnknownRule",
    "check",
    "check_rows",
    "checked",
    "in_full",
    "records",
]

#: A file with no more rows, counted with those of the last submission, is judged row by row. With 10,000 rows the plain
#: engine takes three quarters of the time of Polars, which has to be loaded first; with 20,000 it takes longer.
FEW_ROWS = 10_000

Progress = Callable[[int, int], None]


class UnknownRule(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """A rule named to `only` or `skip` that is not in the book."""


class UnknownHeader(ValueError):  # noqa: N818 - a slip of the caller's, told in one sentence
    """A record has a header that its dataset has not."""


# ---- the calls -------------------------------------------------------------------------------------


def check(  # noqa: PLR0913 - an argument an option
    source: Given,
    dataset: Dataset | str = "Q",
    *,
    today: date,
    previous: Given | None = None,
    submitter: str | None = None,
    full: bool = True,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    limit: int | None = None,
    sink: Sink | None = None,
    progress: Progress | None = None,
) -> Findings:
    """Check a dataset file, or columns of text by header, against a dataset.

    Args:
        source: the file, by its path, as bytes or opened; or columns of text by header, in a mapping or a frame.
        dataset: the dataset or its letter.
        today: the day nothing may be later than.
        previous: the last submission, given as the file is, or as the values that `records` gives. What should not have
            changed since is a finding, and findings have the value before.
        submitter: the agency code AGNCY must have.
        full: whether the file should have all records; where it has only new and changed ones, what of the last
            submission is not in it is no news.
        only: the rules that are asked, by id, header or pattern (`DISABLE*`); all where there are none.
        skip: the rules that are not.
        limit: how many findings stay in `Findings.batches`, the first ones (None: all).
        sink: is handed every batch of findings in order.
        progress: is told how much is done, and of how much, in bytes of the file.

    Returns:
        What was found.

    Raises:
        Unusable: where a file cannot be read.
        UnknownRule: where `only` or `skip` name a rule that there is not.
        Needed: where Polars is needed and not installed.
        TypeError: for what is of another type.
    """
    return checked(
        source,
        dataset,
        today=today,
        previous=previous,
        submitter=submitter,
        full=full,
        only=only,
        skip=skip,
        limit=limit,
        sink=sink,
        progress=progress,
    ).findings


@dataclass(frozen=True, eq=False)
class Checked:
    """A checked file. The whole file is in memory, as numbers or as text.

    findings: what was found. judged: its rows as they were read, from which copies are made.
    """

    findings: Findings
    judged: outcome.Judged

    @property
    def source(self) -> Source:
        """The file. Raises TypeError where columns of text were checked."""
        if self.findings.source is None:
            raise TypeError("A copy is made of a file: check the file, not columns of text")
        return self.findings.source

    def batches(self) -> Iterator[Batch]:
        """All findings in row order, then book order, also those that the check did not keep."""
        if self.findings.retained == self.findings.total:
            return iter(self.findings.batches)
        return self.judged.batches(outcome.ragged(self.judged.odd))


def checked(  # noqa: PLR0913 - what a check can be told, by name
    source: Given,
    dataset: Dataset | str = "Q",
    *,
    today: date,
    previous: Given | None = None,
    submitter: str | None = None,
    full: bool = True,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    limit: int | None = None,
    sink: Sink | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Check a file as `check` does, and keep its rows as they were read, so that copies of it need not read it again.

    It takes what `check` takes and raises what `check` raises.

    Returns:
        The findings and the rows.
    """
    dataset = _dataset(dataset)
    _day(today)
    _options(submitter, limit, sink, progress)
    book = rule_book(dataset, previous is not None)
    active = _chosen(book, only, skip)
    given = _opened(source, dataset)
    before = None if previous is None else _opened(previous, dataset)
    size = given.size if isinstance(given, Source) else 0

    def read_bytes(done: int) -> None:
        # Reading is about half of the work.
        if progress and size:
            progress(min(done, size) // 2, size)

    if _is_small(given, before):
        judged: outcome.Judged = _by_rows(book, given, active, today, submitter, before, full)
    else:
        judged = _by_columns(book, given, active, today, submitter, before, full, read_bytes)
    found = outcome.findings(judged, given if isinstance(given, Source) else None, limit, sink)
    if progress and size:
        progress(size, size)
    return Checked(found, judged)


def _opened(given: Given, dataset: Dataset) -> Source | Columns | pl.DataFrame:
    """Open a file; frames and columns stay as they are."""
    if isinstance(given, Source):
        return given
    if isinstance(given, Mapping):
        return _columns_of(given, dataset)
    if not _is_frame(given):
        return open_file(given, dataset)  # type: ignore[arg-type]
    return given.rename(_headers_of(given.columns, dataset))


def _columns_of(columns: Columns, dataset: Dataset) -> Columns:
    """Columns of text as lists, by header. Raises TypeError or ValueError where they are none, and `Unusable`."""
    headers = _headers_of(columns, dataset)
    listed = {}
    for name, texts in columns.items():
        if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
            raise TypeError(f"The column {name} must be a list of texts, not {type(texts).__name__}")
        # Polars does not take the subclasses of str that other libraries have.
        listed[headers[name]] = [str(text) if isinstance(text, str) else text for text in texts]
        if any(not isinstance(text, str | None) for text in listed[headers[name]]):
            raise TypeError(f"The column {name} must have text as a file has it, or None where it is blank")
    lengths = {len(texts) for texts in listed.values()}
    if len(lengths) > 1:
        raise ValueError("The columns must have a text for each record: they are of different lengths")
    return listed


def _headers_of(names: Iterable[str], dataset: Dataset) -> dict[str, str]:
    """The header of each column by its name; a name that the dataset does not have stays.

    Raises:
        Unusable: where no column is one of the dataset, or two are one and the same.
    """
    also = {other: field.header for field in dataset.fields for other in field.also}
    headers = {name: also.get(name, name) for name in names}
    if not any(header in dataset.by_header for header in headers.values()):
        raise Unusable(f"No column has a header of dataset {dataset.letter}: name them as “cjit dictionary” lists them")
    first: dict[str, str] = {}
    for name, header in headers.items():
        if first.setdefault(header, name) != name:
            raise Unusable(f"The columns {first[header]} and {name} are one and the same field: keep one of them")
    return headers


def _is_frame(given: object) -> TypeGuard[pl.DataFrame]:
    # Who hands in a frame has loaded Polars.
    loaded = sys.modules.get("polars")
    return loaded is not None and isinstance(given, loaded.DataFrame)


def _is_small(*given: Source | Columns | pl.DataFrame | None) -> bool:
    """Whether the plain engine judges these files and frames: they have few rows, or Polars is not installed."""
    if find_spec("polars") is None:
        return True
    return sum(_rows_in(each) for each in given if each is not None) <= FEW_ROWS


def _rows_in(given: Source | Columns | pl.DataFrame) -> int:
    if isinstance(given, Source):
        return given.lines
    return len(next(iter(given.values()), ())) if isinstance(given, Mapping) else given.height


def _refuse_if_unusable(source: Source | Columns | pl.DataFrame, height: int, ragged: int) -> None:
    """Raise `Unusable` where a file changed while it was read, or had nothing in it."""
    if isinstance(source, Source):
        source.assure()
        if not height and not ragged:
            raise Unusable(f"{source.name} has headers but no records: make the extract again and check its dates")


def _by_rows(
    book: RuleBook,
    given: Source | Columns | pl.DataFrame,
    active: frozenset[int],
    today: date,
    submitter: str | None,
    previous: Source | Columns | pl.DataFrame | None,
    full: bool,
) -> outcome.Judged:
    """Put a file or columns of text to the plain engine; `previous` is read, or is values, as `check` takes it."""
    held: by_rows.Previous | None = None
    if previous is not None and _is_typed(previous, book.dataset):
        if WITHHELD in previous.columns:
            previous = previous.filter(~previous[WITHHELD])
        held = by_rows.Previous(_values_of(previous, book.dataset), full)
    elif previous is not None:
        before = by_rows.ByRows(book, _rows_of(previous, book.dataset), frozenset(), today, None, None)
        held = before.as_previous(full=full)
    table = _rows_of(given, book.dataset)
    _refuse_if_unusable(given, len(table.numbers), len(table.ragged))
    return by_rows.ByRows(book, table, active, today, submitter, held)


def _rows_of(given: Source | Columns | pl.DataFrame, dataset: Dataset) -> by_rows.Rows:
    """The rows of a file, of columns or of a frame as text by header."""
    if isinstance(given, Source):
        return by_rows.read(given)
    if isinstance(given, Mapping):
        return by_rows.rows_of(((header, given[header]) for header in dataset.headers if header in given), dataset)
    text = {header: given[header].cast(polars().String) for header in dataset.headers if header in given.columns}
    return by_rows.rows_of(((header, column.to_list()) for header, column in text.items()), dataset)


def _values_of(frame: pl.DataFrame, dataset: Dataset) -> list[tuple[Any, ...]]:
    """The rows of a frame of values: a tuple a row, in the order of the dataset's headers; None where blank."""
    pl = polars()
    none = pl.lit(None, pl.String)
    columns = (pl.col(h) if h in frame.columns else none.alias(h) for h in dataset.headers)
    return list(frame.select(columns).with_columns(pl.col(pl.Categorical).cast(pl.String)).iter_rows())


def _by_columns(
    book: RuleBook,
    given: Source | Columns | pl.DataFrame,
    active: frozenset[int],
    today: date,
    submitter: str | None,
    previous: Source | Columns | pl.DataFrame | None,
    full: bool,
    read_bytes: Bytes,
) -> outcome.Judged:
    """Put a file or a frame to the engine of columns; `read_bytes` is called with the bytes read so far."""
    from cjit.engine.by_columns import ByColumns, Previous
    from cjit.engine.judge import Judge
    from cjit.files.frames import repeating

    before = None
    if previous is not None:
        dataset = book.dataset
        types: Mapping[str, pl.DataType]
        if _is_typed(previous, dataset):
            values, types = previous, previous.schema
        else:
            types = repeating(dataset)
            values = _values(previous, dataset, today, types)
        before = Previous(values.filter(~values[WITHHELD]) if WITHHELD in values.columns else values, types, full)
    table = _table(given, book, read_bytes)
    _refuse_if_unusable(given, table.height, len(table.ragged))
    judge = Judge(book, table, active, today, submitter)
    judge.judge()
    return ByColumns(judge, before)


def check_rows(
    dataset: Dataset | str,
    rows: Sequence[Record],
    *,
    today: date,
    submitter: str | None = None,
) -> list[Finding]:
    """Check some records at once, as a form does.

    With a single record the rules across rows do not run, as there is nothing to compare it with.

    Args:
        dataset: the dataset or its letter.
        rows: the records, each a mapping of text by header; a header left out is blank.
        today: the day nothing may be later than.
        submitter: the agency code AGNCY must have.

    Returns:
        The findings by row, then by the book; rows count from 0.

    Raises:
        UnknownHeader: where a record has a header that the dataset has not.
        TypeError: for anything but text, and for what is of another type.
    """
    dataset = _dataset(dataset)
    _day(today)
    rows = texts_of(rows)
    for row in rows:
        for header in row:
            if header not in dataset.by_header:
                raise UnknownHeader(_unknown(header, dataset))
    engine = records_of(dataset, today, submitter)
    book = engine.book
    seen = engine.rows(rows)
    found = {(at, i) for at, row in enumerate(seen) for i in row.fails}
    rows_seen = [(row.parsed, row.gated) for row in seen]
    found.update(engine.once(rows_seen))
    if len(rows) > 1:
        found.update(engine.across(rows_seen))
    return [
        Finding(at, rule := book.rules[i], _shown(rule, rows[at].get(rule.header), book)) for at, i in sorted(found)
    ]


def _shown(rule: Rule, text: str | None, book: RuleBook) -> str | None:
    return value_shown(text, gate=rule.gate, postcode=rule.header in book.postcodes)


def texts_of(rows: Iterable[Record]) -> list[Record]:
    """Records as a list. Raises TypeError, naming the header, where one has anything but text."""
    if isinstance(rows, Mapping | str) or not isinstance(rows, Iterable):
        raise TypeError("The records must be a list, each a mapping of text by header: put a single one into a list")
    listed = list(rows)
    for row in listed:
        if not isinstance(row, Mapping):
            raise TypeError(f"A record must be a mapping of text by header, not {type(row).__name__}")
        for header, value in row.items():
            if not isinstance(value, str | None):
                raise TypeError(
                    f"The value of {header} must be text as a file has it, not {type(value).__name__}: give it as str"
                )
    return listed


def _unknown(header: object, dataset: Dataset) -> str:
    names = {name: f.header for f in dataset.fields for name in (f.header, *f.also)}
    near = difflib.get_close_matches(str(header).strip().upper(), names, n=1)
    hint = f"did you mean {names[near[0]]}?" if near else "“cjit dictionary” lists its headers"
    return f"Dataset {dataset.letter} has no header {str(header)[:40]}: {hint}"


def _dataset(dataset: Dataset | str) -> Dataset:
    if isinstance(dataset, str):
        from cjit.datasets import dataset as by_letter

        return by_letter(dataset)
    if not isinstance(dataset, Dataset):
        raise TypeError(f"The dataset must be its letter, such as Q, or a Dataset, not {type(dataset).__name__}")
    return dataset


def _options(submitter: object, limit: object, sink: object, progress: object) -> None:
    """Raise TypeError or ValueError for options of a check that are none."""
    if not isinstance(submitter, str | None):
        raise TypeError(f"The submitter must be an agency's code as text, not {type(submitter).__name__}")
    if not isinstance(limit, int | None):
        raise TypeError(f"The limit must be a number of findings, or None for all, not {type(limit).__name__}")
    if limit is not None and limit < 0:
        raise ValueError("The limit must be 0 or more findings, or None for all")
    for name, call in (("sink", sink), ("progress", progress)):
        if call is not None and not callable(call):
            raise TypeError(f"The {name} must be something to call, not {type(call).__name__}")


def _day(today: object) -> None:
    if not isinstance(today, date) or isinstance(today, datetime):
        raise TypeError(f"today must be a date, such as date(2026, 3, 31), not {type(today).__name__}")


def records(
    source: str | os.PathLike[str] | IO[bytes] | bytes | Source,
    dataset: Dataset | str,
    *,
    today: date,
    kinds: Mapping[str, pl.DataType] | None = None,
) -> pl.DataFrame:
    """The values of a file.

    Args:
        source: the file, by its path, as bytes or opened.
        dataset: the dataset or its letter.
        today: the day nothing may be later than.
        kinds: types for columns of text, by header (`files.frames.repeating`); two files that are compared must share
            them. A column not named is String.

    Returns:
        A row for each row whose cells can be told apart: row (UInt32, its number in the file); a column for each header
        (Date, Int32 or text), null where there is no value; WITHHELD (Boolean), true where consent is not given, so
        that nothing but the client's id may be used; WITHDRAWN (Boolean), true where a code says that it is withdrawn.

    Raises:
        Unusable: where the file cannot be read.
    """
    dataset = _dataset(dataset)
    _day(today)
    return _values(_opened(source, dataset), dataset, today, kinds or {})


def _values(
    source: Source | Columns | pl.DataFrame, dataset: Dataset, today: date, types: Mapping[str, pl.DataType]
) -> pl.DataFrame:
    """The values of a file or of columns of text, as `records` returns them."""
    from cjit.engine.judge import Judge

    book = rule_book(dataset)
    return Judge(book, _table(source, book), frozenset(), today, None).values(types)


def _is_typed(given: Source | Columns | pl.DataFrame, dataset: Dataset) -> TypeGuard[pl.DataFrame]:
    """Whether this is a frame of values, as `records` returns it, and not of text."""
    return _is_frame(given) and bool(
        given.schema.get(next(f.header for f in dataset.fields if f.kind is Kind.DATE)) == polars().Date
    )


def _table(source: Source | Columns | pl.DataFrame, book: RuleBook, read_bytes: Bytes = lambda done: None) -> Table:
    """Read a file, or a frame or columns of text, into a table; `read_bytes` is called with the bytes read so far."""
    from cjit.engine.table import read, repeating
    from cjit.files.frames import pieces_in, pieces_of

    kinds = repeating(book.dataset, book.apart)
    done = 0

    def progress(size: int) -> None:
        nonlocal done
        done += size
        read_bytes(done)

    if isinstance(source, Source):
        return read(pieces_of(source, kinds), kinds, book.apart, progress)
    frame: pl.DataFrame = _framed(source) if isinstance(source, Mapping) else source
    return read(pieces_in(frame, book.dataset), kinds, book.apart, progress)


def _framed(columns: Columns) -> Any:
    """Columns of text as a frame."""
    return polars().DataFrame(columns, schema=dict.fromkeys(columns, polars().String))


def _chosen(book: RuleBook, only: Sequence[str], skip: Sequence[str]) -> frozenset[int]:
    """The numbers of the rules that are asked. Raises `UnknownRule` for a pattern that no rule matches."""
    only, skip = ([named] if isinstance(named, str) else named for named in (only, skip))
    for named in (only, skip):
        if not isinstance(named, Iterable) or not all(isinstance(each, str) for each in named):
            raise TypeError("The rules of only and skip must be named by text, such as DISD.* or ROUTE")
    rules, every = book.rules, rule_book(book.dataset, compared=True).rules
    for pattern in (*only, *skip):
        if not any(rule.matches(_cased(pattern)) for rule in every):
            known = dict.fromkeys([*(rule.id for rule in every), *(rule.header for rule in every)])
            near = difflib.get_close_matches(_cased(pattern), known, n=1)
            hint = f"did you mean {near[0]}?" if near else "“cjit rules” lists them all"
            raise UnknownRule(f"There is no rule called {pattern}: {hint}")
    only, skip = [_cased(p) for p in only], [_cased(p) for p in skip]
    for pattern in only:
        if not any(rule.matches(pattern) for rule in rules):
            raise UnknownRule(f"{pattern} holds a file against the last submission: give that one with --previous")
    # Without these the verdict would speak of rows that nobody has looked at.
    always = {i for i, rule in enumerate(rules) if rule.gate or rule is RAGGED}
    return frozenset(always) | frozenset(
        i
        for i, rule in enumerate(rules)
        if (not only or any(rule.matches(p) for p in only)) and not any(rule.matches(p) for p in skip)
    )


def _cased(pattern: str) -> str:
    """A pattern in the case of the book: headers in capitals, names of rules in small letters."""
    header, dot, name = pattern.partition(".")
    return header.upper() + dot + name.lower()
