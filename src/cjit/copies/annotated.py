"""A copy of a file with its findings beside each row."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, groupby
from operator import itemgetter
from typing import IO

from cjit.copies.consent import Reason, withheld
from cjit.copies.sent import CRLF, head_rows, rows_of
from cjit.dataset import Dataset, Kind, Rule, Severity
from cjit.engine.checking import Checked
from cjit.engine.findings import RAGGED, Line, lines_of
from cjit.engine.shown import truncated_postcode
from cjit.files.place import placed
from cjit.files.source import Source
from cjit.geography import TRUNCATED
from cjit.report.spreadsheet import neutral
from cjit.report.words import value_shown

#: The two columns that an annotated copy has after those of the file it was made from.
ADDED = ("FINDINGS", "SEVERITY")
#: Their names where the file has columns called so.
_ADDED_RENAMED = ("FINDINGS (cjit)", "SEVERITY (cjit)")

_TRUNCATED = re.compile(TRUNCATED, re.ASCII)
#: The end of a text in the first of the two columns.
_FINDINGS_END = re.compile(r"(\[[A-Z0-9]+\.[a-z0-9_]+\]|Values left out, because [^;]+)$")


def annotate(checked: Checked, path: str | os.PathLike[str] | IO[bytes]) -> None:
    """Write a file as it was sent, with two more columns: the findings of each row and the gravest severity.

    Rows, columns and values stay as they were, also blank rows and columns that the dataset does not have. Three
    things differ. Cells that a spreadsheet would run as formulas are neutralised. A row without consent keeps its
    place and none of its cells, and so does a ragged row, which may be of a client who does not consent. A postcode
    that is not truncated as it should be is masked, as in the findings. Encoding and separator are the sender's, with a
    byte order mark before UTF-8, which Excel needs; line ends are CRLF.

    When an annotated copy is annotated, its two columns are replaced. Where the sender has columns of those names, ours
    are FINDINGS (cjit) and SEVERITY (cjit).

    Args:
        checked: the file, checked. It need not have retained its findings.
        path: where the copy goes, by name or opened.

    Raises:
        Unusable: where the file changed meanwhile; nothing is written.
        WouldOverwrite: where `path` is the file itself.
        OSError: where it cannot be written.
    """
    source, judged = checked.source, checked.judged
    withheld_rows = {row: Reason.RAGGED for row, _ in judged.odd.ragged}
    numbers = judged.numbers(range(judged.height))
    withheld_rows |= {numbers[at]: reason for at, reason in withheld(judged).items()}
    encoding = "cp1252" if source.encoding == "cp1252" else "utf-8-sig"
    with placed(path, source) as out:
        text = io.TextIOWrapper(out, encoding, errors="replace", newline="")
        writer = csv.writer(text, delimiter=source.separator, lineterminator=CRLF)
        heads = head_rows(source)[-1]
        if is_annotated(source, heads):
            heads = heads[: -len(ADDED)]
        width = len(heads)
        gate = judged.gate.header
        writer.writerow([*map(neutral, heads), *(ADDED if not {*ADDED} & {*heads} else _ADDED_RENAMED)])
        postcodes = [
            at
            for at, header in enumerate(source.columns[:width])
            if header and source.dataset.by_header[header].kind is Kind.POSTCODE
        ]
        annotations = _annotations(checked)
        next_row, next_annotation = next(annotations, (0, ("", "")))
        for row, sent in rows_of(source):
            # A short or long row gets the width of the others, as it is read.
            cells = (sent + [""] * (width - len(sent)) if any(map(str.strip, sent)) else sent)[:width]
            annotation = ("", "")
            if row == next_row:
                annotation = next_annotation
                next_row, next_annotation = next(annotations, (0, ("", "")))
            if row in withheld_rows:
                note = f"Values left out, because {withheld_rows[row].because(gate)}"
                writer.writerow([*[""] * width, "; ".join(filter(None, (annotation[0], note))), annotation[1]])
                continue
            if not any(annotation) and not any(cell.strip() for cell in cells):
                writer.writerow(cells if len(cells) > 1 else [])
                continue
            for at in postcodes:
                cells[at] = _postcode(cells[at])
            writer.writerow([*(neutral(c) if c and not c[0].isalnum() else c for c in cells), *annotation])
        source.assure()
        # Flushes, and leaves `out` open.
        text.detach()


def _annotations(checked: Checked) -> Iterator[tuple[int, tuple[str, str]]]:
    """For each row with findings its number, and the texts of the two columns: the messages, the gravest severity."""
    rules = {run.rule.id: run.rule for run in checked.findings.ledger}
    dataset, order = checked.findings.dataset, list(Severity)
    lines = chain.from_iterable(map(lines_of, checked.batches()))
    for row, group in groupby(lines, key=itemgetter(0)):
        findings = [(rules[line.rule], line) for line in group]
        gravest = min((rule.severity for rule, _ in findings), key=order.index)
        texts = (f"{rule.message}{_value(rule, line, dataset)} [{rule.id}]" for rule, line in findings)
        yield row, ("; ".join(texts), gravest.value)


def _value(rule: Rule, line: Line, dataset: Dataset) -> str:
    """The end of a message: value and previous value where one is compared, the cells of a ragged row, else ""."""
    if line.previous is None and rule is not RAGGED:
        return ""
    return f" ({value_shown(dataset, rule, line.value, line.previous, quote=True)})"


@lru_cache(maxsize=65_536)
def _postcode(cell: str) -> str:
    """The cell of a postcode as it was sent, masked where it is not truncated as it should be."""
    if not cell.strip() or _TRUNCATED.fullmatch(" ".join(cell.upper().split())):
        return cell
    return truncated_postcode(cell)


def is_annotated(source: Source, heads: Sequence[str]) -> bool:
    """Whether a file is an annotated copy: its last two columns have the names and, in every cell, the texts of one.

    Args:
        source: the file.
        heads: its header row, as it was sent.
    """
    if tuple(heads[-len(ADDED) :]) not in (ADDED, _ADDED_RENAMED):
        return False
    return all(
        _is_annotation(cells[-2], cells[-1])
        for _, cells in rows_of(source)
        if len(cells) == len(heads) and any(cells[-2:])
    )


def _is_annotation(findings: str, severity: str) -> bool:
    return severity in ("", *Severity) and bool(_FINDINGS_END.search(findings))
