"""The report as text, for a terminal or a file: the verdict, then the causes with what to do, then the fields."""

from __future__ import annotations

import io

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cjit.dataset import Severity
from cjit.engine.findings import Findings, RuleRun, Seen
from cjit.report import words

#: Rows shown under each cause; the other formats show more.
_ROWS = 3
#: Characters of a bar that stands for all rows.
_BAR = 20
#: Columns of the table of fields; that of the bars has no name.
_COLUMNS = ("", "Filled", "", "Blank", "Not answered", "No value")
_BAR_AT = 2
#: Characters a line must have for the bars to fit.
_NARROW = 78
_STYLE = {
    Severity.REJECT: "bold red",
    Severity.EXCLUDE: "bold yellow",
    Severity.MISMATCH: "bold magenta",
    Severity.QUERY: "bold cyan",
}


def plain(findings: Findings, width: int = 80, encoding: str = "utf-8") -> str:
    """The report as text without colour.

    Args:
        findings: what the check found.
        width: how many characters a line has at most.
        encoding: the encoding whose characters it may have.

    Returns:
        The lines, without spaces at their ends.
    """
    buffer = io.BytesIO()
    out = io.TextIOWrapper(buffer, encoding, errors="replace", newline="")
    render(findings, console=Console(file=out, width=width, color_system=None, force_terminal=False))
    out.flush()
    return "".join(line.rstrip() + "\n" for line in buffer.getvalue().decode(encoding).splitlines())


def render(findings: Findings, *, console: Console) -> None:
    """Print the report. Rich shows colours only where the console is a terminal."""
    verdict = words.verdict(findings)
    cautions = words.cautions(findings)
    all_checked = findings.rows and not cautions and not any(run.state == "skipped" for run in findings.ledger)
    style = "bold red" if findings.rejected else "bold green" if all_checked else "bold"
    console.print(Text(verdict, style=style))
    for caution in cautions:
        console.print(Text(caution, style="yellow"))
    console.print(Text(_checked(findings), style="dim"))
    _causes(findings, console)
    _notes(findings, console)
    _completeness(findings, console)
    if len(findings.fired) > _ROWS:
        # The first line has scrolled out of sight.
        console.print()
        console.print(Text(verdict, style=style))


def _checked(findings: Findings) -> str:
    ran = sum(run.state == "run" for run in findings.ledger)
    name = f"{words.shown(findings.source.name)}: " if findings.source else ""
    return f"{name}{findings.dataset.title}, {ran:,} rules, checked as on {findings.today:%d/%m/%Y}"


def _causes(findings: Findings, console: Console) -> None:
    """Print each rule that fired, by severity: on how many rows, what to do, and the first rows."""
    for severity in Severity:
        runs = [run for run in findings.fired if run.rule.severity is severity]
        if not runs:
            continue
        severity_words = words.WORDS[severity]
        console.print()
        console.print(Text(severity_words.heading, style=_STYLE[severity]))
        console.print(Text(severity_words.meaning, style="dim"))
        # The counts of all causes stand in one column.
        width = max(len(words.extent(run, findings)) for run in findings.fired)
        for run in runs:
            table = Table.grid(padding=(0, 2), expand=False)
            table.add_column(justify="right", no_wrap=True, width=width, style=_STYLE[severity])
            table.add_column(overflow="fold")
            table.add_row(words.extent(run, findings), _cause(run, findings))
            console.print(Padding(table, (1, 0, 0, 2), expand=False))


def _cause(run: RuleRun, findings: Findings) -> Text:
    cause = Text(run.rule.message)
    if fault := words.one_fault(run, findings):
        cause.append(f"\n{fault[0].upper()}{fault[1:]}", style="bold")
    cause.append(f"\n{run.rule.id}", style="dim")
    # One row is enough as an example of a fault that is on every row.
    for seen in run.first[: 1 if words.one_fault(run, findings) else _ROWS]:
        cause.append("\n" + _place(seen, run, findings))
    return cause


def _place(seen: Seen, run: RuleRun, findings: Findings) -> str:
    """Where one of the first findings of a rule is: row, ids and value, in words."""
    parts = [f"{'first in ' if run.rule.once else ''}row {seen.row:,}"]
    for word, identifier in (("client", seen.client), ("episode", seen.episode)):
        if identifier is not None:
            parts.append(f"{word} {words.shown(identifier, 24)}")
    if value := words.sent(findings, run, seen, 32):
        parts.append(value)
    return ", ".join(parts)


def _notes(findings: Findings, console: Console) -> None:
    notes = words.notes(findings)
    if not notes:
        return
    console.print()
    console.print(Text("Notes on the file", style="bold"))
    for note in notes:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(overflow="fold")
        table.add_row("-", Text(note))
        console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _completeness(findings: Findings, console: Console) -> None:
    """Print how complete each field is: the full and the missing ones in a sentence, the others in a table."""
    if not findings.rows:
        return
    full, other, missing = words.gaps(findings)
    console.print()
    console.print(Text("How complete each field is", style="bold"))
    if full:
        fields = "1 field is" if len(full) == 1 else f"{len(full)} fields are"
        every = "All fields are" if not (other or missing) else fields
        _indented(f"{every} filled and answered on every row", console)
    if missing:
        _indented(f"{'1 column is' if len(missing) == 1 else f'{len(missing)} columns are'} not in the file", console)
    if uncounted := words.uncounted(findings):
        _indented(uncounted, console)
    if not other or not findings.examined:
        return
    narrow = console.width < _NARROW
    bar = _bar_of(console)
    table = Table(box=None, padding=(0, 1 if narrow else 2, 0, 0), pad_edge=False)
    # A narrow screen has the numbers and no bars.
    names = ("", "Filled", "Blank", "Not\nanswered", "No\nvalue") if narrow else _COLUMNS
    for place, name in enumerate(names):
        figure = place and (narrow or place != _BAR_AT)
        table.add_column(name, justify="right" if figure else "left", no_wrap=True, header_style="dim")
    for header, count in other.items():
        rows = count.filled + count.blank
        length = count.filled * _BAR // rows if rows else 0
        figures = [f"{n:,}" if n else "" for n in (count.blank, count.not_answered, count.bad)]
        bars = [] if narrow else [Text(bar * length, style="cyan")]
        table.add_row(Text(header), words.percent(count.filled, rows), *bars, *figures)
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _indented(text: str, console: Console) -> None:
    console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))


def _bar_of(console: Console) -> str:
    try:
        "█".encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return "#"
    return "█"
