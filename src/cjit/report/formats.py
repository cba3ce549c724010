"""The formats that a report is written in. Each is a value in `FORMATS`, with its writer; a new one is added there.

A writer runs the check itself, because some write each batch of findings as soon as it is made.
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
    """A check that a writer runs.

    run: runs it, and calls the sink, if given, with every batch of findings in order.
    source: the file that is checked.
    rules: every rule that may fire.
    compared: whether a last submission is compared.
    """

    run: Callable[[Sink | None], Findings]
    source: Source
    rules: Sequence[Rule]
    compared: bool


@dataclass(frozen=True)
class Format:
    """A format of a report.

    name: its name in --format.
    suffix: the suffix of its files' names.
    limit: how many findings the check must retain for it.
    write: runs the check, writes the whole report, and gives what was found.
    printable: whether it may be written to standard output.
    """

    name: str
    suffix: str
    limit: int
    write: Callable[[Check, IO[bytes]], Findings]
    printable: bool = True


# Each runs a check and writes the report on it to `out`.


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


#: Every format, by name. The limits of a page and a workbook are as many findings as a person can still read in them.
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
    """The format whose suffix a file's name has; None where it is no format's."""
    suffix = os.path.splitext(path)[1].lower()
    return next((each for each in FORMATS.values() if each.suffix == suffix), None)


def write(
    run: Callable[[Sink | None], Findings],
    source: Source,
    form: Format,
    where: str | os.PathLike[str] | None,
    rules: Iterable[Rule] = (),
) -> Findings:
    """Run a check and write its report. Where the check fails, no file is left at `where`.

    Args:
        run: runs the check, and calls the sink, if given, with every batch of findings in order.
        source: the file that is checked.
        form: the format.
        where: the file to write; None is standard output.
        rules: the rules on changes since the last submission, where one is compared.

    Returns:
        The findings.

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
