"""Code lists as CSV files: reading, checking and writing them. Packaged lists and those of users have one format."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from cjit import dates
from cjit.dataset import Code, CodeList, Status

#: The columns of a packaged list and of an installed one, and the columns that it has only where a row needs them.
COLUMNS = ("code", "label", "definition", "group", "status", "source", "start", "end")
SELDOM = ("also",)

_STATUSES = {status.value: status for status in Status}


class ListProblem(ValueError):  # noqa: N818  the message is the error
    """A file that is no code list. The message is one sentence that names the file and the place."""


def read_list(
    name: str,
    text: str,
    *,
    file: str,
    columns: Mapping[str, str] | None = None,
    status: Status = Status.STATED,
    source: str = "",
) -> CodeList:
    """The code list of a CSV text, in its order.

    The columns `code` and `label` are needed. Codes are put in capitals. `also` has other codes that are read as the
    row's, with spaces between them. Dates are parsed as a person types them. Case and spaces in headings do not matter,
    nor do spaces around a cell. Blank rows are left out.

    Args:
        name: the name of the list.
        text: the CSV text, with a row of headings.
        file: the name of the file, for messages.
        columns: the column, one of `COLUMNS` or `SELDOM`, by heading that the file may use (None: the same names).
        status: the status of each code, where the file has no column for it.
        source: the source of each code that has no other.

    Returns:
        The list.

    Raises:
        ListProblem: at the first thing that is wrong. Rows are numbered as in a spreadsheet: the headings are row 1.
    """
    columns = columns or {column: column for column in (*COLUMNS, *SELDOM)}
    try:
        table = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        raise ListProblem(f"{file} cannot be read as CSV: save the list again as a comma-separated file") from None
    numbered = [(i, row) for i, row in enumerate(table, start=1) if any(row) and any(map(str.strip, row))]
    if not numbered:
        raise ListProblem(f"{file} is empty: give it the columns code and label, and a row for each code")
    headings = _headings(numbered[0][1], columns, file)
    if len(numbered) == 1:
        raise ListProblem(f"{file} has headings but no codes: give it a row for each code")

    heading_of = {column: heading for heading, column in columns.items()}
    # A column that the file does not have is read from a blank cell after the last one.
    at = {column: headings.index(column) if column in headings else -1 for column in (*COLUMNS, *SELDOM)}
    blank = [""] * (len(headings) + 1)
    rows: list[Code] = []
    row_of: dict[tuple[str, str], int] = {}

    def problem(number: int, column: str, say: str) -> ListProblem:
        return ListProblem(f"{file}, row {number}, column {heading_of[column]}: {say}")

    for number, cells in numbered[1:]:
        if any(map(str.strip, cells[len(headings) :])):
            raise ListProblem(
                f"{file}, row {number} has more cells than there are columns: put quotes around text that holds a comma"
            )
        row = [*map(str.strip, cells[: len(headings)]), *blank[len(cells) :], ""]
        # In capitals, as the codes in a file are read.
        code, label, group = row[at["code"]].upper(), row[at["label"]], row[at["group"]]
        if not code or not label:
            needed = "label" if code else "code"
            raise problem(number, needed, f"enter the {needed}")
        if (code, group) in row_of:
            say = f"code {code} is in row {row_of[code, group]} already, list each code once"
            raise problem(number, "code", say)
        row_of[code, group] = number
        try:
            start, end = _day(row[at["start"]]), _day(row[at["end"]])
        except ValueError:
            bad = "end" if _is_day(row[at["start"]]) else "start"
            raise problem(number, bad, f"enter a real date, such as {dates.EXAMPLES}") from None
        if start and end and end < start:
            raise problem(number, "end", f"enter a date that is not before the one in {heading_of['start']}")
        row_status = _STATUSES.get(row[at["status"]], status)
        if "status" in headings and row[at["status"]] not in _STATUSES:
            raise problem(number, "status", f"enter one of {', '.join(_STATUSES)}")
        also = tuple(row[at["also"]].upper().split())
        facts = (row[at["definition"]], group, row_status, row[at["source"]] or source)
        rows.append(Code(code, label, *facts, start, end, also))
    return CodeList(name, tuple(rows))


def _headings(cells: Sequence[str], columns: Mapping[str, str], file: str) -> list[str]:
    """The column of each heading, without empty headings on the right.

    Args:
        cells: the cells of the row of headings.
        columns: the column by heading.
        file: the name of the file, for messages.

    Returns:
        The columns in the order of the headings.

    Raises:
        ListProblem: for a heading that is not known or is repeated, and where the code or the label is missing.
    """
    known = {_plain(heading): column for heading, column in columns.items()}
    used = max(i for i, cell in enumerate(cells, start=1) if cell.strip())
    if used == 1 and re.search(r"[;\t]", cells[0]):
        raise ListProblem(f"{file} has no commas between its columns: save it as a comma-separated file")
    headings: list[str] = []
    for cell in cells[:used]:
        column = known.get(_plain(cell))
        if column is None:
            raise ListProblem(
                f"{file} has a column “{cell.strip()[:40]}” that no code list has: "
                f"use only the columns {', '.join(columns)}"
            )
        if column in headings:
            raise ListProblem(f"{file} has the column {cell.strip()} twice: remove one")
        headings.append(column)
    if "code" not in headings or "label" not in headings:
        needed = "code" if "code" not in headings else "label"
        raise ListProblem(f"{file} has no column {needed}: add it, and name it in the first row")
    return headings


def _plain(heading: str) -> str:
    return "".join(heading.split()).casefold()


def _day(text: str) -> date | None:
    """A date, None for blank; raises ValueError for a text that is no date."""
    day = dates.day_of(text)
    if text and day is None:
        raise ValueError
    return day


def _is_day(text: str) -> bool:
    try:
        _day(text)
    except ValueError:
        return False
    return True


def write_list(codes: CodeList) -> str:
    """The CSV text of a list, of which `read_list` makes the same list."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    columns = (*COLUMNS, *(column for column in SELDOM if any(getattr(row, column) for row in codes.rows)))
    writer.writerow(columns)
    for row in codes.rows:
        cells = (getattr(row, column) or "" for column in columns)
        writer.writerow([" ".join(cell) if isinstance(cell, tuple) else cell for cell in cells])
    return text.getvalue()


def joined(name: str, lists: Iterable[CodeList]) -> CodeList:
    """One list with the rows of several. The group of each row is the name of the list that it is from."""
    return CodeList(name, tuple(replace(row, group=part.name) for part in lists for row in part.rows))
