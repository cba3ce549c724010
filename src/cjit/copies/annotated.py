"""A copy of a file with its findings beside each row."""

from __future__ import annotations

import csv
import io
import os
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from itertools import groupby, pairwise
from operator import itemgetter
from typing import IO

import polars as pl

from cjit.copies.consent import Why, gates_of
from cjit.copies.sent import CRLF, head_rows, rows_of
from cjit.dataset import Dataset, Kind, Rule, Severity
from cjit.derive import cut_postcodes as struck_postcodes
from cjit.engine.checking import check
from cjit.engine.findings import RAGGED, Batch, Findings, lines_of
from cjit.files.frames import pieces_of
from cjit.files.place import placed
from cjit.files.source import Source
from cjit.geography import TRUNCATED
from cjit.report.spreadsheet import neutral
from cjit.report.words import value_shown

#: The columns an annotated copy has more than the file it was made from.
ADDED = ("FINDINGS", "SEVERITY")
_OTHERWISE = ("FINDINGS (cjit)", "SEVERITY (cjit)")


# ---- the annotated copy ----------------------------------------------------------------------------


class _Marks:
    """A sink that keeps of each finding its row and its rule, ten bytes, for an annotated copy.

    Where the last submission has another value, both values are kept too, and of a row whose cells cannot be told
    apart how many it has.
    """

    def __init__(self) -> None:
        self._rows = array("L")
        self._rules = array("H")
        self._numbers: dict[str, int] = {}
        self.values: dict[tuple[int, str], tuple[str | None, str | None]] = {}

    def __call__(self, found: Batch) -> None:
        """Take a batch of findings."""
        for line in lines_of(found):
            self._rows.append(line.row)
            self._rules.append(self._numbers.setdefault(line.rule, len(self._numbers)))
            if line.previous is not None:
                self.values[line.row, line.rule] = line.value, line.previous
            elif line.rule == RAGGED.id:
                # Of a row whose cells cannot be told apart, how many it has.
                self.values[line.row, line.rule] = line.value, None

    def in_order(self) -> Iterator[tuple[int, str]]:
        """(row, rule id) of every finding, row by row."""
        ids = list(self._numbers)
        places: Iterable[int] = range(len(self._rows))
        if any(one > other for one, other in pairwise(self._rows)):
            places = sorted(places, key=self._rows.__getitem__)
        for at in places:
            yield self._rows[at], ids[self._rules[at]]

    def by_row(self, rules: Mapping[str, Rule], dataset: Dataset) -> Iterator[tuple[int, tuple[str, str]]]:
        """Row by row the messages of its findings, and the gravest severity."""
        order = list(Severity)
        for row, marks in groupby(self.in_order(), key=itemgetter(0)):
            found = [rules[name] for _, name in marks]
            gravest = min((rule.severity for rule in found), key=order.index)
            told = (f"{rule.message}{self._differs(row, rule, dataset)} [{rule.id}]" for rule in found)
            yield row, ("; ".join(told), gravest.value)

    def _differs(self, row: int, rule: Rule, dataset: Dataset) -> str:
        if (row, rule.id) not in self.values:
            return ""
        return f" ({value_shown(dataset, rule, *self.values[row, rule.id], quote=True)})"


def annotate(
    source: Source,
    findings: Findings,
    path: str | os.PathLike[str] | IO[bytes],
    *,
    submitter: str | None = None,
    previous: Source | None = None,
) -> None:
    """Write the file as it was sent, with two columns more: the findings of each row and the gravest severity.

    Rows, columns and values stay as they were, the sender's own columns and blank rows too. What differs:
    cells that a spreadsheet would take for formulas are neutralised; a row without consent, and one whose cells
    cannot be told apart and so may be of a client who does not consent, keeps its place and none of its
    cells; a postcode that is not cut as it should be is struck out as in the findings. Encoding and separator
    are the sender's (UTF-8 gets the byte order mark Excel asks for), line ends are CRLF.

    The two columns of an annotated copy are not there twice when it is annotated; where the sender has columns of
    those names, ours are FINDINGS (cjit) and SEVERITY (cjit).

    Where `findings` hold only the first of what was found, the file is checked again by the same rules, with
    the same agency (`submitter`) and last submission (`previous`). Raises `Unusable`, and writes nothing, where the
    file changed meanwhile.
    """
    marks = _marks(source, findings, submitter, previous)
    blanked = _blanked_rows(source, findings.today)
    rules = {run.rule.id: run.rule for run in findings.ledger}
    encoding = "cp1252" if source.encoding == "cp1252" else "utf-8-sig"
    with placed(path, source) as out:
        text = io.TextIOWrapper(out, encoding, errors="replace", newline="")
        writer = csv.writer(text, delimiter=source.separator, lineterminator=CRLF)
        heads = head_rows(source)[-1]
        if is_annotated(source, heads):
            heads = heads[: -len(ADDED)]
        width = len(heads)
        asks = gates_of(source.dataset).header
        writer.writerow([*map(neutral, heads), *(ADDED if not {*ADDED} & {*heads} else _OTHERWISE)])
        postcodes = [
            at
            for at, header in enumerate(source.columns[:width])
            if header and source.dataset.by_header[header].kind is Kind.POSTCODE
        ]
        told = marks.by_row(rules, source.dataset)
        next_row, next_told = next(told, (0, ("", "")))
        for row, sent in rows_of(source):
            # As it is read, where blank cells at its end are too many or were left out.
            cells = (sent + [""] * (width - len(sent)) if any(map(str.strip, sent)) else sent)[:width]
            here = ("", "")
            if row == next_row:
                here = next_told
                next_row, next_told = next(told, (0, ("", "")))
            if row < len(blanked) and blanked[row]:
                why = f"Values left out, because {Why(blanked[row]).because(asks)}"
                writer.writerow([*[""] * width, "; ".join(filter(None, (here[0], why))), here[1]])
                continue
            if not any(here) and not any(cell.strip() for cell in cells):
                writer.writerow(cells if len(cells) > 1 else [])
                continue
            for at in postcodes:
                cells[at] = _postcode(cells[at])
            writer.writerow([*(neutral(c) if c and not c[0].isalnum() else c for c in cells), *here])
        source.assure()
        # Flushes, and leaves closing to who opened.
        text.detach()


def _marks(source: Source, findings: Findings, submitter: str | None, previous: Source | None) -> _Marks:
    marks = _Marks()
    if findings.kept == findings.total:
        for batch in findings.batches:
            marks(batch)
        return marks
    skipped = [run.rule.id for run in findings.ledger if run.state == "skipped"]
    check(
        source,
        source.dataset,
        today=findings.today,
        previous=previous,
        submitter=submitter,
        skip=skipped,
        keep=0,
        sink=marks,
    )
    return marks


def _blanked_rows(source: Source, today: date) -> bytearray:
    """A byte a row, by row number: why nothing of it may be shown (`Why`), or 0."""
    gates = gates_of(source.dataset)
    blanked = bytearray()
    for piece in pieces_of(source):
        batch = piece()
        text = batch.text()
        shut = gates.closed(text, today)
        closed = zip(batch.rows.filter(shut), gates.why(text.filter(shut)), strict=True)
        ragged = ((row, Why.RAGGED) for row, _ in batch.ragged)
        for row, why in (*closed, *ragged):
            if row >= len(blanked):
                blanked.extend(bytes(row + 1 - len(blanked)))
            blanked[row] = why
    return blanked


@lru_cache(maxsize=65_536)
def _postcode(cell: str) -> str:
    """The cell of a postcode as it was sent, or struck out where it is not cut as it should be."""
    if not cell.strip() or _TRUNCATED.fullmatch(" ".join(cell.upper().split())):
        return cell
    return str(struck_postcodes(pl.Series([cell]))[0])


_TRUNCATED = re.compile(TRUNCATED, re.ASCII)


def is_annotated(source: Source, heads: Sequence[str]) -> bool:
    """Whether the last two columns are those of an annotated copy: by their names, and by every cell in them."""
    if tuple(heads[-len(ADDED) :]) not in (ADDED, _OTHERWISE):
        return False
    return all(
        _ours(cells[-2], cells[-1]) for _, cells in rows_of(source) if len(cells) == len(heads) and any(cells[-2:])
    )


def _ours(findings: str, severity: str) -> bool:
    return severity in ("", *Severity) and bool(_SAID.search(findings))


#: How what we say of a row ends.
_SAID = re.compile(r"(\[[A-Z0-9]+\.[a-z0-9_]+\]|Values left out, because [^;]+)$")
