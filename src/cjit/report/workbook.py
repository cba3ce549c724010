"""The report as an Excel workbook: first what to do, then every finding with the sender's ids."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import datetime, time
from typing import IO, Any

import xlsxwriter

from cjit.dataset import Entity, Severity
from cjit.engine.findings import Findings
from cjit.report import version, words
from cjit.report.texts import header_of

#: The most findings in the sheet: more would take minutes to write, and nobody reads them.
SHOWN = 20_000
#: The most characters of a value in a cell; Excel silently drops a text of over 32,767.
_LONGEST = 500
#: The most characters that a column is wide.
_WIDEST = 60
_COLOUR = {
    Severity.REJECT: "#F8D7D8",
    Severity.EXCLUDE: "#FBE3C4",
    Severity.MISMATCH: "#E9DAF5",
    Severity.QUERY: "#DCE9F8",
}
#: The command by which a user gets all findings where the sheet has no room for them.
COMMAND = "cjit check --format csv --output findings.csv FILE"


def write(findings: Findings, out: IO[bytes], *, rest: str = COMMAND) -> None:
    """Write the workbook. The same findings give the same bytes.

    Cells are text or numbers, never formulas or links, and ids are text also where they are digits. Excel and
    LibreOffice run no cell that is typed as text, also where it begins with "=", and its number format keeps it text
    when it is edited. So no apostrophe is needed, as in a CSV file.

    Args:
        findings: what the check found.
        out: where to write; nothing is written before the workbook is whole.
        rest: how a user gets all findings, where there are more than the sheet holds.
    """
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    # On a full disk a ZIP archive fails a second time when it is garbage collected, so it is written to memory.
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, options) as workbook:
        workbook.set_properties(
            {
                "title": words.verdict(findings),
                "subject": findings.dataset.title,
                "author": version.engine(),
                "created": datetime.combine(findings.today, time()),
            }
        )
        sheets = _Sheets(workbook)
        _read_me(sheets, findings, rest)
        _summary(sheets, findings)
        _findings(sheets, findings, rest)
        _completeness(sheets, findings)
        _ledger(sheets, findings)
    out.write(buffer.getbuffer())


class _Sheets:
    """A workbook, and the formats that its sheets share.

    workbook: the workbook.
    text: format of a text.
    figure: format of a whole number.
    share: format of a share from 0 to 1.
    head: format of a header cell.
    title: format of the verdict.
    strong: format of a name beside a text.
    severities: format of each severity.
    """

    def __init__(self, workbook: xlsxwriter.Workbook) -> None:
        self.workbook = workbook
        top = {"valign": "top", "text_wrap": True}
        self.text = workbook.add_format({**top, "num_format": "@"})
        self.figure = workbook.add_format({"valign": "top", "num_format": "#,##0"})
        self.share = workbook.add_format({"valign": "top", "num_format": "0.0%"})
        self.head = workbook.add_format({**top, "bold": True, "bottom": 1, "bg_color": "#E7E9EC"})
        self.title = workbook.add_format({"bold": True, "font_size": 16})
        self.strong = workbook.add_format({**top, "bold": True})
        self.severities = {s: workbook.add_format({**top, "bg_color": colour}) for s, colour in _COLOUR.items()}

    def table(self, name: str, heads: Sequence[str], rows: Iterable[Sequence[Any]], note: str = "") -> None:
        """Add a sheet with a frozen header row, a filter and fitted columns.

        Args:
            name: the name of the sheet.
            heads: the cells of the header row.
            rows: the other rows. A cell is a text, a whole number, a share (float), a severity, or None for blank.
            note: a line above the header row; "" for none.
        """
        sheet = self.workbook.add_worksheet(name)
        first = 0
        if note:
            sheet.write_string(0, 0, note, self.workbook.add_format({"bold": True}))
            first = 1
        for column, head in enumerate(heads):
            sheet.write_string(first, column, head, self.head)
        widths = [len(head) + 4 for head in heads]
        last = first
        for last, row in enumerate(rows, first + 1):
            for column, cell in enumerate(row):
                widths[column] = max(widths[column], self._cell(sheet, last, column, cell))
        for column, width in enumerate(widths):
            sheet.set_column(column, column, min(width + 1, _WIDEST))
        sheet.freeze_panes(first + 1, 0)
        sheet.autofilter(first, 0, last, len(heads) - 1)
        # Excel would mark an id of digits as a number that is stored as text.
        sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(first)

    def _cell(self, sheet: Any, row: int, column: int, cell: Any) -> int:
        """Write a cell of one of the types that `table` takes, and give its width in characters."""
        if isinstance(cell, Severity):
            sheet.write_string(row, column, words.WORDS[cell].short, self.severities[cell])
            return len(words.WORDS[cell].short)
        if isinstance(cell, str):
            text = cell if len(cell) <= _LONGEST else words.shown(cell, _LONGEST)
            sheet.write_string(row, column, text, self.text)
            return len(text)
        if isinstance(cell, float):
            sheet.write_number(row, column, cell, self.share)
            return 6
        if isinstance(cell, int):
            sheet.write_number(row, column, cell, self.figure)
            return len(f"{cell:,}")
        sheet.write_blank(row, column, None, self.text)
        return 0


def _read_me(sheets: _Sheets, findings: Findings, rest: str) -> None:
    """Add the sheet “Read me”: the verdict, and the lines of `_about`."""
    sheet = sheets.workbook.add_worksheet("Read me")
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 26)
    sheet.set_column(1, 1, 100)
    sheet.write_string(0, 0, words.verdict(findings), sheets.title)
    row = 2
    for name, text in _about(findings, rest):
        sheet.write_string(row, 0, name, sheets.strong)
        sheet.write_string(row, 1, words.shown(text, 2_000), sheets.text)
        row += 1
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)


def _about(findings: Findings, rest: str) -> Iterable[tuple[str, str]]:
    """The lines of the sheet “Read me”: a name ("" where it is that of the line before) and a text."""
    for caution in words.cautions(findings):
        yield "Please note", caution
    if note := _left_out(findings, rest):
        yield "Please note", note
    if findings.total:
        yield "What to do", "Begin with the sheet Summary: it has one line for each cause, the gravest first"
        yield "", "The sheet Findings has every finding with your own client and episode ids; filter it by any column"
    else:
        yield "What to do", "Nothing was found, so there is nothing to put right"
    yield "", "Correct the record in your clinical system, make the extract again and check it again"
    for severity in Severity:
        yield words.WORDS[severity].short, words.WORDS[severity].meaning
    yield "Row", "The row of the file as your spreadsheet shows it: the header is row 1"
    for note in words.notes(findings):
        yield "Note on the file", note
    if findings.source:
        yield "File", findings.source.name
        yield "SHA-256 of the file", findings.source.sha256()
    yield "Records", f"{findings.rows:,}"
    yield "Findings", f"{findings.total:,}"
    yield "Dataset", f"{findings.dataset.title}, in effect from {findings.dataset.effective:%d/%m/%Y}"
    yield "Checked as on", f"{findings.today:%d/%m/%Y}"
    yield "Checked by", f"{version.engine()}, rules {version.rules_version(findings.dataset)}; unofficial"
    yield (
        "Privacy",
        "Values of records without consent are left out; the workbook holds ids and values of the others, so keep it"
        " as safe as the file itself",
    )


def _left_out(findings: Findings, rest: str) -> str:
    """A sentence on the findings that the sheet has no room for; "" where it has all."""
    more = findings.total - min(findings.retained, SHOWN)
    if not more:
        return ""
    held = findings.total - more
    return f"The sheet Findings holds the first {held:,} of {findings.total:,} findings; for all of them: {rest}"


def _summary(sheets: _Sheets, findings: Findings) -> None:
    """Add the sheet “Summary”: a row for each rule that fired."""

    def rows() -> Iterable[Sequence[Any]]:
        for run in findings.fired:
            fault = words.one_fault(run, findings)
            yield (
                run.rule.severity,
                run.count,
                None if run.rule.once else run.count / findings.rows,
                run.rule.message + (f" ({fault})" if fault else ""),
                words.field_label(findings.dataset, run.rule),
                header_of(run.rule),
                ", ".join(str(seen.row) for seen in run.first),
                run.rule.id,
                words.clause_of(run.rule),
            )
        if not findings.total:
            yield None, 0, None, "Nothing was found", None, None, None, None, None

    heads = ("Severity", "Findings", "Share of rows", "What to do", "Field", "Header", "First rows", "Rule", "Source")
    sheets.table("Summary", heads, rows(), note=words.verdict(findings))


def _findings(sheets: _Sheets, findings: Findings, rest: str) -> None:
    """Add the sheet “Findings”: a row for each of the first `SHOWN` findings."""
    letters = words.letters(findings.source.columns) if findings.source else {}
    client_id, episode_id = (findings.dataset.entity(e)[0].header for e in (Entity.CLIENT, Entity.EPISODE))

    def rows() -> Iterable[Sequence[Any]]:
        for row, rule, value, previous, client, episode in words.first_findings(findings, SHOWN):
            letter = letters.get(rule.header)
            yield (
                client,
                episode,
                row,
                f"{letter}{row}" if letter else None,
                rule.message,
                words.field_label(findings.dataset, rule),
                header_of(rule),
                words.value_shown(findings.dataset, rule, value, previous, _LONGEST),
                rule.severity,
                rule.id,
                rule.clause,
            )

    heads = (
        client_id,
        episode_id,
        "Row",
        "Cell",
        "What to do",
        "Field",
        "Header",
        "Value sent",
        "Severity",
        "Rule",
        "Source",
    )
    sheets.table("Findings", heads, rows(), note=_left_out(findings, rest))


def _completeness(sheets: _Sheets, findings: Findings) -> None:
    """Add the sheet “Completeness”: a row for each field."""

    def rows() -> Iterable[Sequence[Any]]:
        for header, count in findings.completeness.items():
            total = count.filled + count.blank
            share = count.filled / total if total else None
            label = findings.dataset.by_header[header].label
            yield header, label, share, count.filled, count.blank, count.not_answered, count.bad

    heads = ("Header", "Field", "Filled", "Rows filled", "Rows blank", "Of filled: not answered", "Of filled: no value")
    sheets.table("Completeness", heads, rows(), note=words.uncounted(findings))


def _ledger(sheets: _Sheets, findings: Findings) -> None:
    """Add the sheet “Rule ledger”: a row for each rule."""
    rows = (
        (
            run.rule.id,
            run.state,
            run.count if run.state == "run" else None,
            run.rule.severity,
            run.rule.message,
            words.clause_of(run.rule),
        )
        for run in findings.ledger
    )
    sheets.table("Rule ledger", ("Rule", "State", "Findings", "Severity", "Message", "Source"), rows)
