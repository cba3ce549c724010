"""The formats a report is written in: each a value in `FORMATS`, with its writer. A new one is one more value there.

A writer runs the check itself, for some hand their findings on as they are made.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from cjit.dataset import Rule
    from cjit.engine.findings import Findings, Sink
    from cjit.files.source import Source


@dataclass(frozen=True)
class Check:
    """A check to be run for a report.

    run: runs it; hands every batch of findings to the sink it is given, in order.
    source: the file that is checked.
    rules: every rule that may fire. compared: whether a last submission is compared.
    """

    run: Callable[[Sink | None], Findings]
    source: Source
    rules: Sequence[Rule]
    compared: bool


@dataclass(frozen=True)
class Format:
    """A format of a report.

    name: what --format calls it. suffix: the end of its files' names.
    limit: how many findings the check must keep for it.
    write: runs the check and writes the whole report; gives what was found.
    printable: whether it may be written to standard output.
    """

    name: str
    suffix: str
    limit: int
    write: Callable[[Check, IO[bytes]], Findings]
    printable: bool = True


def _text(check: Check, out: IO[bytes]) -> Findings:
    from cjit.report import text

    findings = check.run(None)
    printed = out is sys.stdout.buffer
    if printed and sys.stdout.isatty():
        from rich.console import Console

        text.render(findings, console=Console())
    elif printed:
        sys.stdout.write(text.plain(findings, encoding=sys.stdout.encoding))
    else:
        out.write(text.plain(findings).encode())
    return findings


def _json(check: Check, out: IO[bytes]) -> Findings:
    from cjit.report.findings_json import JsonFindings

    with JsonFindings(check.rules) as writer:
        findings = check.run(writer)
        writer.write(out, findings)
    return findings


def _csv(check: Check, out: IO[bytes]) -> Findings:
    from cjit.report.findings_csv import csv_findings

    return check.run(csv_findings(out, check.rules, check.source, compared=check.compared))


def _html(check: Check, out: IO[bytes]) -> Findings:
    from cjit.report import page

    findings = check.run(None)
    out.write(page.render(findings).encode())
    return findings


def _xlsx(check: Check, out: IO[bytes]) -> Findings:
    from cjit.report import workbook

    findings = check.run(None)
    workbook.write(findings, out)
    return findings


#: Every format, by name. A page and a workbook keep as many findings as they can hold and still be read.
FORMATS: Mapping[str, Format] = {
    each.name: each
    for each in (
        Format("text", ".txt", 0, _text),
        Format("json", ".json", 0, _json),
        Format("csv", ".csv", 0, _csv),
        Format("html", ".html", 5_000, _html),
        Format("xlsx", ".xlsx", 20_000, _xlsx, printable=False),
    )
}


def format_of(path: str) -> Format | None:
    """The format of which a file's name has the suffix; None where it is no format's."""
    suffix = os.path.splitext(path)[1].lower()
    return next((each for each in FORMATS.values() if each.suffix == suffix), None)


def write(
    run: Callable[[Sink | None], Findings],
    source: Source,
    form: Format,
    where: str | os.PathLike[str] | None,
    rules: Iterable[Rule] = (),
) -> Findings:
    """Run a check and write its report. Nothing is left at `where` when the check cannot be carried out.

    Args:
        run: runs the check, handing its findings to the sink it is given.
        source: the file that is checked.
        form: the format.
        where: the file to write; None is standard output.
        rules: those beyond the dataset's own that may fire, on what the last submission has otherwise.

    Returns:
        What was found.

    Raises:
        WouldOverwrite: where `where` is the file that is checked.
        OSError: where it cannot be written.
    """
    from cjit.files.place import placed
    from cjit.report.version import file_rules

    more = tuple(rules)
    check = Check(run, source, (*file_rules(source.dataset), *more), bool(more))
    with placed(where, source) if where is not None else _standard_output() as out:
        return form.write(check, out)


@contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    sys.stdout.flush()
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()
