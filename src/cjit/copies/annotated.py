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

from cjit.copies.consent import Why, withheld
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

#: The columns an annotated copy has more than the file it was made from.
ADDED = ("FINDINGS", "SEVERITY")
_OTHERWISE = ("FINDINGS (cjit)", "SEVERITY (cjit)")


# ---- the annotated copy ----------------------------------------------------------------------------


def annotate(checked: Checked, path: str | os.PathLike[str] | IO[bytes]) -> None:
    """Write a file as it was sent, with two columns more: the findings of each row and the gravest severity.

    Rows, columns and values stay as they were, the sender's own columns and blank rows too. What differs:
    cells that a spreadsheet would take for formulas are neutralised; a row without consent, and one whose cells
    cannot be told apart and so may be of a client who does not consent, keeps its place and none of its
    cells; a postcode that is not cut as it should be is struck out as in the findings. Encoding and separator
    are the sender's (UTF-8 gets the byte order mark Excel asks for), line ends are CRLF.

    The two columns of an annotated copy are not there twice when it is annotated; where the sender has columns of
    those names, ours are FINDINGS (cjit) and SEVERITY (cjit).

    Args:
        checked: the file, checked. It need not have kept its findings.
        path: where the copy goes, by name or opened.

    Raises:
        Unusable: where the file changed meanwhile; nothing is written.
        WouldOverwrite: where `path` is the file itself.
        OSError: where it cannot be written.
    """
    source, judged = checked.source, checked.judged
    blanked = {row: Why.RAGGED for row, _ in judged.odd.ragged}
    numbers = judged.numbers(range(judged.height))
    blanked |= {numbers[at]: why for at, why in withheld(judged).items()}
    encoding = "cp1252" if source.encoding == "cp1252" else "utf-8-sig"
    with placed(path, source) as out:
        text = io.TextIOWrapper(out, encoding, errors="replace", newline="")
        writer = csv.writer(text, delimiter=source.separator, lineterminator=CRLF)
        heads = head_rows(source)[-1]
        if is_annotated(source, heads):
            heads = heads[: -len(ADDED)]
        width = len(heads)
        asks = judged.gate.header
        writer.writerow([*map(neutral, heads), *(ADDED if not {*ADDED} & {*heads} else _OTHERWISE)])
        postcodes = [
            at
            for at, header in enumerate(source.columns[:width])
            if header and source.dataset.by_header[header].kind is Kind.POSTCODE
        ]
        texts = _by_row(checked)
        next_row, next_texts = next(texts, (0, ("", "")))
        for row, sent in rows_of(source):
            # As it is read, where blank cells at its end are too many or were left out.
            cells = (sent + [""] * (width - len(sent)) if any(map(str.strip, sent)) else sent)[:width]
            here = ("", "")
            if row == next_row:
                here = next_texts
                next_row, next_texts = next(texts, (0, ("", "")))
            if row in blanked:
                why = f"Values left out, because {blanked[row].because(asks)}"
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


def _by_row(checked: Checked) -> Iterator[tuple[int, tuple[str, str]]]:
    """Row by row the messages of its findings, and the gravest severity."""
    rules = {run.rule.id: run.rule for run in checked.findings.ledger}
    dataset, order = checked.findings.dataset, list(Severity)
    lines = chain.from_iterable(map(lines_of, checked.batches()))
    for row, group in groupby(lines, key=itemgetter(0)):
        found = [(rules[line.rule], line) for line in group]
        gravest = min((rule.severity for rule, _ in found), key=order.index)
        texts = (f"{rule.message}{_differs(rule, line, dataset)} [{rule.id}]" for rule, line in found)
        yield row, ("; ".join(texts), gravest.value)


def _differs(rule: Rule, line: Line, dataset: Dataset) -> str:
    """The value and the one before, where the last submission has another; how many cells a ragged row has."""
    if line.previous is None and rule is not RAGGED:
        return ""
    return f" ({value_shown(dataset, rule, line.value, line.previous, quote=True)})"


@lru_cache(maxsize=65_536)
def _postcode(cell: str) -> str:
    """The cell of a postcode as it was sent, or struck out where it is not cut as it should be."""
    if not cell.strip() or _TRUNCATED.fullmatch(" ".join(cell.upper().split())):
        return cell
    return truncated_postcode(cell)


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
