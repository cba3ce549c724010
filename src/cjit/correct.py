"""Copies of the sender's own file: one with the findings beside each row, one with mechanical faults mended.

The annotated copy is the file as it was sent, for a person with a spreadsheet. The corrected copy is a file
to submit, in the one form the dataset has; it mends only what is understood without doubt, guesses nothing,
and every change stands in a list beside it.

Of a record without consent both hold no more than what the clinical system needs to find it again.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import IO

import polars as pl

from cjit import derive
from cjit.check import Findings, check
from cjit.dataset import SUBMITTER, TODAY, Dataset, Entity, Field, Kind, Rule, Severity
from cjit.geography import upper_tier_for_sector
from cjit.read import Batch, Source
from cjit.report import placed
from cjit.report.spreadsheet import neutral, neutral_column

#: The columns an annotated copy has more than the file it was made from.
ADDED = ("FINDINGS", "SEVERITY")

_LEFT_OUT = "Values left out, because the client does not consent; take the client out of the file"
_CRLF = "\r\n"


# ---- rows without consent --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Gates:
    """The rules that hide a whole row, the columns they read, and the headers a hidden row may keep."""

    rules: tuple[Rule, ...]
    steps: tuple[list[pl.Expr], ...]
    kept: frozenset[str]

    def closed(self, frame: pl.DataFrame, today: date) -> pl.Series:
        """True for each row of text whose values must not be shown."""
        for step in (_constants(today), *self.steps):
            frame = frame.with_columns(step)
        return frame.select(self.fails())["closed"]

    def fails(self) -> pl.Expr:
        """The same as an expression over prepared columns."""
        return pl.any_horizontal(pl.lit(False), *(r.fails_when.fill_null(False) for r in self.rules)).alias("closed")


@lru_cache(maxsize=8)
def _gates(dataset: Dataset) -> _Gates:
    rules = tuple(rule for rule in dataset.rules if rule.gate)
    own = {rule.header for rule in rules}
    kept = own | {f.header for f in dataset.fields if f.system}
    return _Gates(rules, _steps(dataset, {h for rule in rules for h in rule.headers} | own), frozenset(kept))


def _steps(dataset: Dataset, wanted: Iterable[str]) -> tuple[list[pl.Expr], ...]:
    """The three steps of `derive.columns`, for some headers only."""
    headers = {_header(name) for name in wanted}
    return tuple(
        [expr for expr in step if _header(expr.meta.output_name()) in headers] for step in derive.columns(dataset)
    )


def _header(column: str) -> str:
    return column.removesuffix(" as sent").removesuffix(" as read")


def _constants(today: date) -> list[pl.Expr]:
    return [pl.lit(today).alias(TODAY), pl.lit(None, pl.String).alias(SUBMITTER)]


# ---- the annotated copy ----------------------------------------------------------------------------


class Marks:
    """A sink that keeps of each finding its row and its rule, eight bytes, for an annotated copy."""

    def __init__(self) -> None:
        self._batches: list[pl.DataFrame] = []
        self.ids: list[str] = []

    def __call__(self, found: pl.DataFrame) -> None:
        """Take a batch of findings."""
        if not self.ids:
            kind = found.schema["rule"]
            assert isinstance(kind, pl.Enum)  # noqa: S101 - for the type checker
            self.ids = kind.categories.to_list()
        self._batches.append(found.select("row", pl.col("rule").to_physical().cast(pl.UInt32)))

    def in_order(self) -> Iterator[tuple[int, str]]:
        """(row, rule id) of every finding, row by row."""
        if self._batches:
            for row, rule in pl.concat(self._batches).sort("row", "rule").iter_rows():
                yield row, self.ids[rule]


def annotate(
    source: Source,
    findings: Findings,
    path: str | os.PathLike[str],
    *,
    marks: Marks | None = None,
    submitter: str | None = None,
) -> None:
    """Write the file as it was sent, with two columns more: the findings of each row and the gravest severity.

    Rows, columns and values stay as they were, the sender's own columns and blank rows too. What differs:
    cells that a spreadsheet would take for formulas are neutralised; a row without consent keeps
    only its technical ids; a row with too few cells is filled up with blank ones, and one with too many has
    its findings after its last. Encoding and separator are the sender's (UTF-8 gets the byte order mark
    Excel asks for), line ends are CRLF.

    `marks` are the findings of the check as its sink kept them. Without them they are taken from
    `findings`, or, where a check kept only some, the file is checked again by the same rules.
    """
    marks = marks or _marks(source, findings, submitter)
    gates = _gates(source.dataset)
    closed = _closed_rows(source, gates, findings.today)
    rules = {run.rule.id: run.rule for run in findings.ledger}
    encoding = "cp1252" if source.encoding == "cp1252" else "utf-8-sig"
    with placed(path, source) as out, io.TextIOWrapper(out, encoding, errors="replace", newline="") as text:
        writer = csv.writer(text, delimiter=source.separator, lineterminator=_CRLF)
        heads = _heads(source)
        # A copy of a copy does not get the columns twice.
        width = len(heads) - len(ADDED) if tuple(heads[-len(ADDED) :]) == ADDED else len(heads)
        again = width < len(heads)
        writer.writerow([*map(neutral, heads[:width]), *ADDED])
        keeps = [header in gates.kept for header in source.columns[:width]]
        told = _by_row(marks.in_order(), rules)
        next_row, next_told = next(told, (0, ("", "")))
        for row, cells in _rows(source):
            here = ("", "")
            if row == next_row:
                here = next_told
                next_row, next_told = next(told, (0, ("", "")))
            if not any(cells):
                writer.writerow(cells)
                continue
            if again and len(cells) == len(heads):
                cells = cells[:width]  # noqa: PLW2901
            if row < len(closed) and closed[row]:
                kept = [cell if keep else "" for cell, keep in zip(cells, keeps, strict=True)]
                here = ("; ".join(filter(None, (here[0], _LEFT_OUT))), here[1] or Severity.REJECT.value)
                cells = kept  # noqa: PLW2901
            blank = [""] * (width - len(cells))
            writer.writerow([*(c if c[:1].isalnum() else neutral(c) for c in cells), *blank, *here])
        text.flush()
        text.detach()


def _marks(source: Source, findings: Findings, submitter: str | None) -> Marks:
    marks = Marks()
    if findings.frame.height == findings.total:
        if findings.total:
            marks(findings.frame)
        return marks
    skipped = [run.rule.id for run in findings.ledger if run.state == "skipped"]
    check(
        source, source.dataset, today=findings.today, submitter=submitter, skip=skipped, keep=0, sink=marks
    )
    return marks


def _closed_rows(source: Source, gates: _Gates, today: date) -> bytearray:
    """A byte a row, by row number: 1 where its values must not be shown."""
    closed = bytearray()
    for piece in source.pieces():
        batch = piece()
        for row in batch.rows.filter(gates.closed(batch.frame, today)):
            if row >= len(closed):
                closed.extend(bytes(row + 1 - len(closed)))
            closed[row] = 1
    return closed


def _by_row(
    marks: Iterator[tuple[int, str]], rules: Mapping[str, Rule]
) -> Iterator[tuple[int, tuple[str, str]]]:
    """Row by row the messages of its findings, and the gravest severity."""
    order = list(Severity)
    row, found = 0, list[Rule]()
    for at, name in marks:
        if at != row and found:
            yield row, _told(found, order)
            found = []
        row = at
        found.append(rules[name])
    if found:
        yield row, _told(found, order)


def _told(found: Sequence[Rule], order: Sequence[Severity]) -> tuple[str, str]:
    gravest = min((rule.severity for rule in found), key=order.index)
    return "; ".join(f"{rule.message} [{rule.id}]" for rule in found), gravest.value


def _heads(source: Source) -> list[str]:
    """The cells of the header row as they were sent."""
    with source.path.open("rb") as file:
        line = file.read(source.start).removeprefix(codecs.BOM_UTF8)
    return next(csv.reader([line.decode(source.encoding).rstrip("\r\n")], delimiter=source.separator))


def _rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Every row below the header with its number, blank and ragged ones too, told apart as `read` does."""
    line_end = "" if source.quoted_lines else "\r" if source.carriage_returns_only else "\n"
    with source.path.open("rb") as file:
        file.seek(source.start)
        with io.TextIOWrapper(file, source.encoding, newline=line_end) as text:
            if source.quoted_lines:
                yield from enumerate(csv.reader(text, delimiter=source.separator), 2)
                return
            for row, line in enumerate(text, 2):
                bare = line.rstrip("\r\n")
                if '"' in bare:
                    yield row, next(csv.reader([bare], delimiter=source.separator))
                else:
                    yield row, bare.split(source.separator)


# ---- the corrected copy ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Corrected:
    """What was changed for a corrected copy, in numbers.

    `cells` mended or filled in; `left_out` rows whose cells cannot be told apart, and blank ones; `closed`
    rows without consent, whose values were left out; `form` changes to the file as a whole.
    """

    cells: int
    left_out: int
    closed: int
    form: int

    @property
    def total(self) -> int:
        """Every change in the list."""
        return self.cells + self.left_out + self.closed + self.form

    def __str__(self) -> str:
        """One sentence without its full stop."""
        said = [
            _counted(self.cells, "cell was mended", "cells were mended"),
            _counted(self.left_out, "row was left out", "rows were left out"),
            _counted(self.closed, "row without consent was emptied", "rows without consent were emptied"),
            _counted(self.form, "change was made to the file itself", "changes were made to the file itself"),
        ]
        return "; ".join(filter(None, said)) or "Nothing needed mending"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}" if count else ""


def correct(
    source: Source,
    path: str | os.PathLike[str],
    changes: str | os.PathLike[str],
    *,
    today: date,
) -> Corrected:
    """Write a copy in the dataset's one form with mechanical faults mended, and a list of every change.

    Mended: outer spaces, capitals, date style, leading noughts, whole postcodes, codes that say "none", and a
    blank upper tier local authority where the postcode leaves no doubt. A value that is no value stays as it
    was sent, since nobody but the sender knows what was meant. The copy has the dataset's headers in the
    document's order, commas, CRLF and UTF-8; columns the dataset does not have are left out, and so are
    rows whose cells cannot be told apart. Of a row without consent only technical ids stay.

    `changes` is a CSV for a spreadsheet: row (of the file that was sent; blank for the whole file), header, was,
    now, what. Whole postcodes are never whole in it. Correcting a corrected file changes nothing.
    """
    with ExitStack() as stack:
        out = stack.enter_context(placed(path, source))
        said = stack.enter_context(placed(changes, source))
        return _Corrector(source, today, out, said).run()


class _Corrector:
    """One correction under way."""

    def __init__(self, source: Source, today: date, out: IO[bytes], said: IO[bytes]) -> None:
        self.source = source
        self.dataset = source.dataset
        self.today = today
        self.out = out
        self.said = said
        self.gates = _gates(self.dataset)
        self.steps = derive.columns(self.dataset)
        self.fill = _Fill(self.dataset, today)
        self.order = {header: place for place, header in enumerate(self.dataset.headers)}

    def run(self) -> Corrected:
        cells = ragged = closed = blank = 0
        self.said.write(codecs.BOM_UTF8 + b"row,header,was,now,what\r\n")
        form = list(_form(self.source))
        self._say(_changes(form))
        self.out.write(",".join(self.dataset.headers).encode() + b"\r\n")
        if self.fill.possible:
            for piece in self.source.pieces():
                self.fill.learn(self._open(piece()))
        for piece in self.source.pieces():
            batch = piece()
            written, mended, emptied = self._mended(batch)
            ragged_rows = _changes(
                (row, "", "", "", f"Row left out: it has {count:,} cells, not {len(self.source.columns):,}")
                for row, count in batch.ragged
            )
            self._say(pl.concat([mended, emptied, ragged_rows]))
            _csv(written, self.out)
            cells += mended.height
            closed += emptied.height
            ragged += ragged_rows.height
            blank += batch.blank
        if blank:
            self._say(_changes([(None, "", "", "", f"{_counted(blank, 'blank row', 'blank rows')} left out")]))
        return Corrected(cells, ragged + blank, closed, len(form))

    def _open(self, batch: Batch) -> pl.DataFrame:
        """The columns that filling in reads, of the rows with consent."""
        frame = batch.frame.filter(~self.gates.closed(batch.frame, self.today))
        return self.fill.prepared(frame)

    def _mended(self, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """The rows to write, the changes to their cells, and the rows emptied."""
        frame = batch.frame
        full = frame.with_columns(_constants(self.today))
        for step in self.steps:
            full = full.with_columns(step)
        closed = full.select(self.gates.fails())["closed"]
        new = full.select(_corrected(f, self.dataset, frame.schema) for f in self.dataset.fields)
        filled = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
        if self.fill.possible:
            certain = self.fill.certain(full, closed)
            filled = certain.is_not_null()
            new = new.with_columns(pl.coalesce(certain, pl.col(self.fill.header)).alias(self.fill.header))
        stub = frame.select(
            pl.col(h) if h in self.gates.kept else pl.lit(None, pl.String).alias(h) for h in frame.columns
        )
        differs = new.select(pl.col(h).ne_missing(frame[h]) & ~closed for h in new.columns)
        said = [_changes(())]
        for f in self.dataset.fields:
            at = differs[f.header].arg_true()
            if at.len():
                said.append(self._told(f, full[at], new[f.header].gather(at), batch.rows.gather(at), filled.gather(at)))
        mended = pl.concat(said)
        ranks = mended["header"].replace_strict(self.order, default=0, return_dtype=pl.Int64)
        mended = mended.with_columns(ranks.alias("rank")).sort("row", "rank").drop("rank")
        emptied = frame.select(
            (pl.any_horizontal(pl.col(h).ne_missing(stub[h]) for h in frame.columns) & closed).alias("x")
        )["x"]
        emptied_rows = _changes((row, "", "", "", _LEFT_OUT) for row in batch.rows.filter(emptied))
        written = new.select(pl.when(~closed).then(pl.col(h)).otherwise(stub[h]).alias(h) for h in new.columns)
        return written, mended, emptied_rows

    def _told(
        self, field: Field, full: pl.DataFrame, now: pl.Series, rows: pl.Series, filled: pl.Series
    ) -> pl.DataFrame:
        was = pl.col(field.header + " was")
        if field.kind is Kind.POSTCODE:
            # A whole postcode is never shown.
            whole = derive.whole_postcode(field.header)
            was = pl.when(whole).then(was.str.strip_chars().str.head(-2) + "**").otherwise(was)
        text = self.dataset_text(field, full)
        frame = full.with_columns(text.alias(field.header + " was"), now.alias("now"), filled.alias("filled"))
        return frame.select(
            rows.cast(pl.UInt32).alias("row"),
            pl.lit(field.header).alias("header"),
            was.alias("was"),
            pl.col("now"),
            _what(field, pl.col(field.header + " was")).alias("what"),
        )

    def _say(self, changes: pl.DataFrame) -> None:
        _csv(changes.with_columns(neutral_column("was"), neutral_column("now"), neutral_column("header")), self.said)
