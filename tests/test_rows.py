"""Rows that are short or long by blank cells at their end, and rows that only look so."""

import csv
import io
from datetime import date

import polars as pl
import pytest

from cjit.copies.corrected import correct
from cjit.dataset import Kind
from cjit.datasets import dataset
from cjit.datasets.q.example import EXAMPLE
from cjit.dates import Style, day_of
from cjit.engine.checking import check, checked
from cjit.files.frames import pieces_of
from cjit.files.opening import open_file
from cjit.files.rows import Reading, WidthCheck
from cjit.files.source import PIECE, Source
from cjit.report.words import cautions, gaps
from cjit.testdata.histories import histories

Q = dataset("Q")
#: How many fields stand before the closure.
DISD = Q.headers.index("DISD")
WIDTHS = WidthCheck(Q, Q.headers)


@pytest.fixture(scope="module", params=list(Style))
def month(request) -> list[list[str]]:
    """A made-up month as cells, in which referrals and closures are rare: the headers, then 183 records.

    Once with its dates in each plain style.
    """
    *_, last = histories(Q, agencies=1, clients=150, months=3, today=date(2026, 3, 31), seed=5)
    frame = last.frame.with_columns(
        pl.when(pl.int_range(pl.len()) < 100).then(pl.col("REFERID", "REFDATE")).name.keep()
    )
    rows = [[cell or "" for cell in row] for row in frame.select(Q.headers).iter_rows()]
    for row in rows:
        for place in (Q.headers.index(f.header) for f in Q.fields if f.kind is Kind.DATE):
            if day := day_of(row[place]):
                row[place] = day.strftime(request.param.form)
    return [list(Q.headers), *rows]


def saved(rows: list[list[str]], together: int = 16) -> list[list[str]]:
    """Rows as a spreadsheet saves them: so many at a time, each as wide as the widest of them."""
    found = []
    for start in range(0, len(rows), together):
        block = rows[start : start + together]
        width = max(place for row in block for place, cell in enumerate(row, 1) if cell)
        found += [row[:width] for row in block]
    return found


def source(rows: list[list[str]], piece: int = PIECE, end: str = "\r\n") -> Source:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return open_file(out.getvalue().removesuffix("\r\n").encode() + end.encode(), Q, piece=piece)


def frame(opened: Source) -> pl.DataFrame:
    return pl.concat(piece().text() for piece in pieces_of(opened))


def told(opened: Source) -> tuple[list[tuple[int, int]], int, int]:
    batches = [piece() for piece in pieces_of(opened)]
    ragged = [each for batch in batches for each in batch.ragged]
    return ragged, sum(batch.short for batch in batches), sum(batch.long for batch in batches)


def split_over_lines(rows: list[list[str]]) -> list[list[str]]:
    """The same rows with a line end inside a quoted cell, which is read in another way."""
    place = Q.headers.index("CMSID")
    return [rows[0], [*rows[1][:place], "Case\nbook", *rows[1][place + 1 :]], *rows[2:]]


# ---- read as they are meant ------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [PIECE, 20_000, 600], ids=lambda size: f"pieces of {size}")
@pytest.mark.parametrize("together", [16, 1], ids=["sixteen at a time", "each by itself"])
def test_rows_that_a_spreadsheet_saved_short_are_read_as_they_were(month, together, piece):
    short = saved(month, together)
    assert frame(source(short, piece)).equals(frame(source(month)))
    assert told(source(short, piece)) == ([], sum(len(row) < len(Q.headers) for row in short), 0)
    assert any(not row[-1] for row in short if len(row) < len(Q.headers)) == (together == 16)


@pytest.mark.parametrize("more", [1, 3])
def test_separators_after_the_last_column_make_no_record_another(month, more):
    long = [month[0], *(row + [""] * more for row in month[1:])]
    assert frame(source(long)).equals(frame(source(month)))
    assert told(source(long)) == ([], 0, len(month) - 1)


@pytest.mark.parametrize("cell", ["  ", '""'])
def test_what_is_too_many_may_be_spaces_or_quotes(cell):
    row = ",".join(EXAMPLE[h] for h in Q.headers)
    opened = open_file("\n".join([",".join(Q.headers), f"{row},{cell}", ""]).encode(), Q)
    assert frame(opened).row(0, named=True) == {h: value or None for h, value in EXAMPLE.items()}


def test_line_ends_in_quotes_make_no_difference(month):
    for rows in (saved(month), [month[0], *([*row, ""] for row in month[1:])]):
        assert told(source(split_over_lines(rows))) == told(source(rows))
        assert frame(source(split_over_lines(rows)))["EPISODID"].equals(frame(source(month))["EPISODID"])


def test_a_semicolon_between_cells_and_windows_1252_make_no_difference(month):
    rows = [[cell.replace("Casebook", "Sörvice") for cell in row] for row in saved(month)]
    data = "\r\n".join(";".join(row) for row in rows).encode("cp1252") + b"\r\n"
    opened = open_file(data, Q)
    assert opened.encoding == "cp1252" or not any("ö" in cell for row in rows for cell in row)
    assert frame(opened)["REFDATE"].equals(frame(source(month))["REFDATE"])


# ---- not read silently as something else -----------------------------------------------------------


def test_a_record_that_lacks_a_separator_is_never_taken_for_another(month):
    for row in month[1:]:
        for place in range(len(row) - 1):
            less = [*row[:place], row[place] + row[place + 1], *row[place + 2 :]]
            meant = row[: len(row) - 1] == less
            assert meant or WIDTHS.reading(less) is not Reading.SURE, Q.headers[place]


def test_a_record_that_has_a_separator_too_many_is_never_taken_for_another(month):
    for row in month[1:]:
        for place in range(len(row)):
            more = [*row[:place], "", *row[place:]]
            assert more[: len(Q.headers)] == row or WIDTHS.reading(more) is not Reading.SURE, Q.headers[place]


def test_a_separator_too_many_is_not_hidden_by_blank_cells_left_out_at_the_end(month):
    for row in month[1:]:
        filled = max(place for place, cell in enumerate(row) if cell)
        for place in range(filled + 1):
            more = [*row[:place], "", *row[place : filled + 1]]
            if len(more) < len(Q.headers) and more != row[: len(more)]:
                assert WIDTHS.reading(more) is Reading.NOT, Q.headers[place]


def test_a_comma_in_a_text_without_quotes_does_not_move_what_follows(month):
    row = [f"{cell},2" if header == "CMSID" else cell for header, cell in zip(Q.headers, month[150], strict=True)]
    assert WIDTHS.reading(",".join(row).split(",")) is Reading.NOT


def ending(**tail: str) -> list[str]:
    """A record from the caseload start date on of which only some fields are filled."""
    late = Q.headers[Q.headers.index("CPLANDT") :]
    return [tail.get(header, "") if header in late else EXAMPLE[header] for header in Q.headers]


def test_what_the_cells_leave_open_goes_as_the_rows_saved_with_it():
    # Naloxone issued, or administered: of a code that neither list has, none tells which was meant.
    open_ = ending(CPLANDT="22/01/2026", NALOXISS="Q9")[:DISD]
    assert WIDTHS.reading(open_) is Reading.AS_ITS_BLOCK

    full = ending(REFERID="970001", REFDATE="22/01/2026")
    assert told(source([list(Q.headers), full, open_]))[0] == [(3, DISD)]
    wide = ending(CPLANDT="22/01/2026", NALOXISS="Q9", NALOXAD="N")[:DISD]
    assert told(source([list(Q.headers), full, open_, wide])) == ([], 2, 0)
    assert told(source([list(Q.headers), *[full] * 14, open_, wide]))[0] == [(16, DISD)], "row 17 is of the next block"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["Example system 1.0", '"Example, 1.0"'])
def test_a_short_row_may_end_with_a_date(end, name):
    short = ending(CPLANDT="22/01/2026")[: DISD - 2]
    short[Q.headers.index("CMSID")] = name
    opened = open_file(end.join([",".join(Q.headers), ",".join(short), ""]).encode(), Q)
    assert frame(opened)["CPLANDT"].to_list() == ["22/01/2026"]


def test_a_row_without_a_cell_for_what_every_record_needs_is_not_completed():
    assert WIDTHS.reading(["1", "2", "3"]) is Reading.NOT
    assert WIDTHS.reading([EXAMPLE[h] for h in Q.headers[:11]]) is Reading.NOT


@pytest.mark.parametrize("lines", ["in one line", "with a line end in quotes"])
def test_a_file_cut_off_within_its_last_row_is_never_completed(month, lines):
    rows = [*month[:5], month[5][:DISD]]
    if lines != "in one line":
        rows = split_over_lines(rows)
    *_, batch = (piece() for piece in pieces_of(source(rows, end="")))
    assert (batch.ragged, batch.cut_off) == (((6, DISD),), 6)
    *_, batch = (piece() for piece in pieces_of(source(rows, end="\r\n")))
    assert (batch.ragged, batch.cut_off) == ((), None)


def test_a_whole_last_row_needs_no_line_end(month):
    assert frame(source(month, end="")).equals(frame(source(month)))


def test_the_sign_with_which_old_systems_end_a_file_is_no_record(month):
    *_, batch = (piece() for piece in pieces_of(source(month, end="\r\n\x1a")))
    assert (batch.ragged, batch.blank, batch.cut_off) == ((), 1, None)


def test_a_short_row_with_something_wrong_in_it_is_still_read():
    row = ending(CPLANDT="2/1/26")[: DISD - 2]
    row[Q.headers.index("DOB")] = "31 Feb"
    row[Q.headers.index("HOUSING")] = "Owns home"
    assert WIDTHS.reading(row) is Reading.SURE


# ---- columns that every row has lost --------------------------------------------------------------


CUT = Q.headers[Q.headers.index("ROUTE") :]


def cut(rows: list[list[str]], at: int = -len(CUT)) -> list[list[str]]:
    """The headers whole, and every row cut behind a cell."""
    return [rows[0], *(row[:at] for row in rows[1:])]


@pytest.mark.parametrize("spread", [False, True], ids=["lines", "a cell over lines"])
def test_columns_that_every_row_has_lost_are_missing_and_no_blank_cells(month, spread):
    rows = cut(month)
    opened = source(split_over_lines(rows) if spread else rows)

    assert opened.missing == opened.lost == CUT
    assert told(opened) == ([], 0, 0)
    assert f"All {len(month) - 1} rows end before the columns ROUTE, DRUG2, DRUG3" in opened.notes[0]


def test_where_a_few_rows_have_what_nearly_all_have_lost_it_is_said_of_how_many(month):
    opened = source([*cut(month)[:-5], *month[-5:]])

    assert opened.lost == CUT
    assert opened.notes[0].startswith(f"{len(month) - 6} of {len(month) - 1} rows end before the columns ROUTE")
    assert frame(opened).tail(5).equals(frame(source(month)).tail(5))


@pytest.mark.parametrize("together", [1, 16])
def test_what_a_spreadsheet_or_a_program_leaves_out_of_blank_cells_is_no_missing_column(month, together):
    assert source(saved(month, together)).missing == ()


def test_a_file_in_which_no_case_is_closed_and_nobody_referred_has_all_columns_as_a_spreadsheet_saves_it(month):
    """The first rows, beside the headers, have a separator for each."""
    open_cases = [month[0], *([*row[:DISD], "", "", "", ""] for row in month[1:])]

    assert source(saved(open_cases)).missing == ()


def test_two_rows_that_end_at_one_place_are_no_sign_yet(month):
    assert source(cut(month)[:3]).missing == ()


def test_rows_cut_before_a_field_that_must_be_there_are_rejected_as_before(month):
    opened = source(cut(month, 30))

    assert opened.missing == ()
    assert len(told(opened)[0]) == len(month) - 1


def test_missing_columns_are_said_above_all_and_their_cells_are_not_called_blank(month):
    opened = source(cut(month))
    found = check(opened, Q, today=date(2026, 3, 31))

    (said,) = cautions(found)
    assert said.startswith(
        f"All {len(month) - 1} rows end before 11 columns: ROUTE, DRUG2, DRUG3, INJSTAT, CPLANDT and 6 more"
    )
    assert not any("blank cells at the end" in note for note in found.notes)
    assert gaps(found)[2] == CUT


def test_a_corrected_copy_says_which_columns_it_has_as_blank_because_they_were_lost(month):
    out, changes = io.BytesIO(), io.BytesIO()
    correct(checked(source(cut(month)), today=date(2026, 3, 31)), out, changes, again=False)

    lines = list(csv.DictReader(io.StringIO(changes.getvalue().decode("utf-8-sig"))))
    lost = {line["header"]: line["what"] for line in lines if "end before this column" in line["what"]}
    assert tuple(lost) == CUT
    assert set(lost.values()) == {
        f"All {len(month) - 1} rows end before this column: blank there in the copy, since what it had is not in the"
        " file"
    }


def test_a_row_that_lost_its_end_among_others_that_have_theirs_is_named(month):
    rows = [*month[:40], month[40][:DISD], *month[41:]]
    found = check(source(rows), Q, today=date(2026, 3, 31))

    assert "Row 41 ends before the rows beside it: look whether cells at its end were lost" in found.notes


@pytest.mark.parametrize("piece", [PIECE, 600])
def test_rows_that_a_spreadsheet_saved_short_are_not_said_to_have_lost_anything(month, piece):
    batches = [
        part()
        for part in pieces_of(
            source(saved(month), piece),
        )
    ]

    assert [row for batch in batches for row in batch.uneven] == []
