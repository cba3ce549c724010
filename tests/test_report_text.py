import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from cjit.dataset import Severity
from cjit.datasets import dataset
from cjit.datasets.q.example import EXAMPLE_TODAY
from cjit.engine.checking import check
from cjit.files.opening import open_file
from cjit.report import text
from cjit.report.words import verdict

Q = dataset("Q")
ISO_DATE, NO_SEX, NO_CONSENT, NO_DAT = {"DOB": "1986-02-14"}, {"SEX": ""}, {"CONSENT": "N"}, {"DAT": ""}


def test_the_first_line_is_the_verdict(checked):
    findings = checked({}, NO_SEX, ISO_DATE)

    assert text.plain(findings).splitlines()[0] == verdict(findings)


def test_the_second_line_names_file_dataset_and_day(checked):
    second = text.plain(checked({}, name="march.csv")).splitlines()[1]

    assert re.fullmatch(r"march\.csv: CJIT dataset Q, \d+ rules, checked as on 31/03/2026", second)


def test_a_perfect_file_says_so_plainly(checked):
    said = text.plain(checked({}, {}))

    assert said.startswith("All 2 records would be accepted; nothing was found wrong\n")
    assert "Would be rejected" not in said
    assert "Queries" not in said


def test_the_gravest_faults_come_first_and_then_the_most_frequent(checked):
    findings = checked(ISO_DATE, NO_SEX, NO_DAT, {"FINITIAL": ""}, {"FINITIAL": ""}, {"CHILDWTH": "many"})
    said = text.plain(findings)
    places = [
        said.index(part)
        for part in (
            "Would be rejected",
            "FINITIAL.is_given",
            "SEX.is_given",
            "May be left out of reports",
            "DAT.is_given",
            "Queries",
            "DOB.is_plainly_written",
        )
    ]

    assert places == sorted(places)


def test_what_is_told_once_is_said_of_the_file_and_where_it_first_shows(checked):
    said = " ".join(text.plain(checked({}, {}, {"DOB": "19860214"}, {"DOB": "19860214", "SEX": "1"})).split())

    assert "The file Write every date of birth the same way: this file has both dd/mm/yyyy" in said
    assert "first in row 4, client 10003, episode 30003, “19860214”" in said
    assert "The file Write the client's stated sex as M (Male) or F (Female), not as 1 or 2" in said
    assert "first in row 5, client 10004, episode 30004, “1” (Male)" in said


def test_a_fault_on_every_row_is_said_to_be_one_fault(checked):
    said = text.plain(checked(*[ISO_DATE] * 20))

    assert "All 20 rows  Write the date of birth as dd/mm/yyyy" in said
    assert "One fault in the extract, not 20" in said
    assert said.count("row 2, ") == 1
    assert "row 3, " not in said


def test_a_cause_names_its_first_rows_by_the_senders_own_ids(checked):
    said = text.plain(checked({}, *[ISO_DATE] * 5))

    assert "5 rows  Write the date of birth" in said
    assert "row 3, client 10002, episode 30002, “1986-02-14”" in said
    assert "row 5, client 10004" in said
    assert "row 6, " not in said


def test_a_row_without_consent_is_named_by_its_number_alone(checked):
    assert "row 2, values withheld" in text.plain(checked(NO_CONSENT))


def test_fields_filled_on_every_row_take_no_line(checked):
    said = text.plain(checked({}, {"PRISON": ""})).split("How complete each field is")[1]

    assert "fields are filled and answered on every row" in said
    assert "DOB" not in said
    assert re.search(r"PRISON +0% +2\n", said)


def test_bars_and_shares_show_how_far_a_field_is_filled(checked):
    said = text.plain(checked({}, {"DOB": ""}))

    assert re.search(r"DOB +50\.0%  █{10} +1\n", said)


@pytest.mark.parametrize("width", [80, 60, 40, 120])
def test_no_line_is_wider_than_the_console(checked, width):
    findings = checked({"SEX": "x" * 200, "CLIENTID": "c" * 300}, NO_SEX, ISO_DATE, name="n" * 200 + ".csv")

    assert max(map(len, text.plain(findings, width).splitlines())) <= width


def test_on_a_narrow_screen_the_bars_go_and_the_numbers_stay(checked):
    said = text.plain(checked({}, {"DOB": ""}, {"DOB": "x"}), width=40)

    assert "█" not in said
    assert re.search(r"DOB +66\.7% +1 +1\n", said)


def test_columns_that_are_missing_are_said_under_the_verdict_and_not_line_by_line(csv_of):
    headers = [h for h in Q.headers if Q.by_header[h].missing is Severity.REJECT]
    findings = check(open_file(csv_of({}, headers=headers), Q), Q, today=EXAMPLE_TODAY)
    said = text.plain(findings)
    missing = len(Q.headers) - len(headers)

    assert said.splitlines()[1].startswith(f"{missing} columns are missing: ETHNIC, NATION, ")
    assert f" and {missing - 5} more" in " ".join(said.splitlines()[1:3])
    assert f"{missing} columns are not in the file\n" in said
    assert not re.search(r"^ +PRISON +0%", said, re.MULTILINE)


def test_completeness_says_which_rows_it_does_not_count(checked):
    said = text.plain(checked({}, NO_CONSENT, NO_CONSENT))

    assert "Not counted: 2 rows without consent\n" in said
    assert "Not counted" not in text.plain(checked({}))


def test_a_code_is_told_with_its_label(checked):
    episode = {"EPISODID": "1", "CLIENT": "1", "CLIENTID": "1"}
    said = text.plain(checked({**episode, "HOUSING": "21"}, {**episode, "HOUSING": "14"}), width=120)

    assert "“21” (No home of their own – hostel)" in said


def test_what_was_sent_last_time_stands_beside_the_value(checked, csv_of):
    before = open_file(csv_of({"SEX": "F"}), Q)

    assert "“M” (Male), last time “F” (Female)" in text.plain(checked({"SEX": "M"}, previous=before), width=120)


def test_no_note_reaches_the_screen_with_control_characters_or_a_header_of_any_length(checked):
    evil = f"The column “\x1b[31m{'x' * 200}” is not read"
    said = text.plain(replace(checked({}), notes=(evil, *["a note"] * 3_000)))

    assert "\x1b" not in said
    assert "x" * 41 not in said
    assert said.count("a note") == 19
    assert "and 2,981 more notes" in said


def test_a_hundred_thousand_rows_fit_their_column(checked):
    findings = checked(NO_SEX, {})
    runs = tuple(replace(run, count=1_234_567) if run.count else run for run in findings.ledger)
    gravest = {**findings.gravest, Severity.REJECT: 1_234_567}
    many = replace(findings, ledger=runs, rows=1_234_567, examined=1_234_567, gravest=gravest)

    assert "All 1,234,567 rows  Select the client's stated sex" in text.plain(many)


def test_a_long_report_ends_with_its_verdict(checked):
    findings = checked(NO_SEX, ISO_DATE, NO_DAT, {"PC": "x"}, {"DRUG1": ""})

    assert text.plain(findings, width=120).splitlines()[-1] == verdict(findings)


def test_colour_is_for_terminals_only(checked):
    findings = checked(NO_SEX)
    dull, bright = io.StringIO(), io.StringIO()
    text.render(findings, console=Console(file=dull))
    text.render(findings, console=Console(file=bright, force_terminal=True, color_system="standard"))

    assert "\x1b[" not in dull.getvalue()
    assert "\x1b[1;31m" in bright.getvalue()


def test_what_a_file_holds_is_neither_markup_nor_an_escape_sequence(checked):
    said = text.plain(checked({"SEX": "[red]x\x1b[31m", "CLIENTID": "[bold]7"}))

    assert "“[red]x\ufffd[31m”" in said
    assert "client [bold]7" in said


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_where_there_are_no_block_letters_bars_are_plain(checked, encoding):
    said = text.plain(checked({}, {"DOB": ""}), encoding=encoding)

    assert re.search(r"DOB +50\.0%  #{10} +1\n", said)
    assert said.encode(encoding)
