"""A code list as a CSV file: how one is read and checked, packaged or brought by a user."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from cjit import dates
from cjit.dataset import Code, CodeList, Status

#: The columns of a packaged list, and of an installed one as it is kept; then those it has only where a row needs them.
COLUMNS = ("code", "label", "definition", "group", "status", "source", "start", "end")
SELDOM = ("also",)

_STATUSES = {status.value: status for status in Status}


class ListProblem(ValueError):  # noqa: N818  the message is the error
    """A file that is no code list; the message is one sentence that names the file and the place."""


def read_list(
    name: str,
    text: str,
    *,
    file: str,
    columns: Mapping[str, str] | None = None,
    status: Status = Status.STATED,
    source: str = "",
) -> CodeList:
    """The code list written in `text`, a CSV with a header row, in its order.

    `columns` maps each heading the file may use to one of `COLUMNS` or `SELDOM` (left out: the same names); case
    and spaces in headings do not matter, nor do spaces around a cell. `code` and `label` are needed.
    Codes are kept in capitals. `also` are other codes that are read as the row's, with spaces between them. Dates
    are read as those of a file are. `status` and `source` hold where the
    file has no such column. Rows are numbered as a spreadsheet does: the headings are row 1. Raises
    `ListProblem` at the first thing wrong, which calls the file `file`.
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
    # A column the file does not have is read from a blank cell put after the last.
    at = {column: headings.index(column) if column in headings else -1 for column in (*COLUMNS, *SELDOM)}
    blank = [""] * (len(headings) + 1)
    rows: list[Code] = []
    seen: dict[tuple[str, str], int] = {}

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
        if (code, group) in seen:
            say = f"code {code} is in row {seen[code, group]} already, list each code once"
            raise problem(number, "code", say)
        seen[code, group] = number
        try:
            start, end = _day(row[at["start"]]), _day(row[at["end"]])
        except ValueError:
            bad = "end" if _is_day(row[at["start"]]) else "start"
            raise problem(number, bad, f"enter a real date, such as {dates.EXAMPLES}") from None
        if start and end and end < start:
            raise problem(number, "end", f"enter a date that is not before the one in {heading_of['start']}")
        sure = _STATUSES.get(row[at["status"]], status)
        if "status" in headings and row[at["status"]] not in _STATUSES:
            raise problem(number, "status", f"enter one of {', '.join(_STATUSES)}")
        also = tuple(row[at["also"]].upper().split())
        facts = (row[at["definition"]], group, sure, row[at["source"]] or source)
        rows.append(Code(code, label, *facts, start, end, also))
    return CodeList(name, tuple(rows))


def _headings(cells: Sequence[str], columns: Mapping[str, str], file: str) -> list[str]:
    """The column each heading stands for, empty headings on the right left out."""
    known = {_plain(heading): column for heading, column in columns.items()}
    used = max(i for i, cell in enumerate(cells, start=1) if cell.strip())
    if used == 1 and re.search(r"[;\t]", cells[0]):
        raise ListProblem(f"{file} has no commas between its columns: save it as a comma-separated file")
    found: list[str] = []
    for cell in cells[:used]:
        column = known.get(_plain(cell))
        if column is None:
            raise ListProblem(
                f"{file} has a column “{cell.strip()[:40]}” that no code list has: "
                f"use only the columns {', '.join(columns)}"
            )
        if column in found:
            raise ListProblem(f"{file} has the column {cell.strip()} twice: remove one")
        found.append(column)
    if "code" not in found or "label" not in found:
        needed = "code" if "code" not in found else "label"
        raise ListProblem(f"{file} has no column {needed}: add it, and name it in the first row")
    return found


def _plain(heading: str) -> str:
    return "".join(heading.split()).casefold()


def _day(text: str) -> date | None:
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
    """The CSV text of a list: `read_list` gives the same list back."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    columns = (*COLUMNS, *(column for column in SELDOM if any(getattr(row, column) for row in codes.rows)))
    writer.writerow(columns)
    for row in codes.rows:
        cells = (getattr(row, column) or "" for column in columns)
        writer.writerow([" ".join(cell) if isinstance(cell, tuple) else cell for cell in cells])
    return out.getvalue()


def joined(name: str, lists: Iterable[CodeList]) -> CodeList:
    """One list that takes the codes of several, each row with its own list's name as group."""
    return CodeList(name, tuple(replace(row, group=part.name) for part in lists for row in part.rows))
