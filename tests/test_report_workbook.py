import io
from dataclasses import replace

import openpyxl
import polars as pl
import pytest

from cjit.datasets.q import Q
from cjit.report import workbook
from cjit.report.words import verdict

ISO_DATE, NO_SEX, NO_CONSENT = {"DOB": "1986-02-14"}, {"SEX": ""}, {"CONSENT": "N"}
SHEETS = ["Read me", "Summary", "Findings", "Completeness", "Rule ledger"]


def opened(findings):
    out = io.BytesIO()
    workbook.write(findings, out)
    return openpyxl.load_workbook(io.BytesIO(out.getvalue()))


def table(sheet):
    """The rows of a sheet below its header, as maps; the header is the frozen row."""
    rows = list(sheet.iter_rows(values_only=True))
    first = int(sheet.freeze_panes[1:]) - 2
    return [dict(zip(rows[first], row, strict=True)) for row in rows[first + 1 :]]


def test_the_workbook_has_its_sheets_and_the_verdict_first(checked):
    findings = checked({}, NO_SEX)
    book = opened(findings)

    assert book.sheetnames == SHEETS
    assert book["Read me"]["A1"].value == verdict(findings)


def test_findings_begin_with_the_senders_own_ids(checked):
    book = opened(checked(ISO_DATE, NO_SEX))

    assert table(book["Findings"]) == [
        {
            "CLIENTID": "10001",
            "EPISODID": "30001",
            "Row": 2,
            "Cell": "D2",
            "What to do": "Write the date of birth as dd/mm/yyyy or yyyymmdd, such as 27/03/1985 or 19850327",
            "Field": "Client date of birth",
            "Header": "DOB",
            "Value sent": "1986-02-14",
            "Severity": "Query",
            "Rule": "DOB.is_plainly_written",
            "Source": "Client details: DOB",
        },
        {
            "CLIENTID": "10002",
            "EPISODID": "30002",
            "Row": 3,
            "Cell": "E3",
            "What to do": "Select the client's stated sex",
            "Field": "Client stated sex",
            "Header": "SEX",
            "Value sent": "(blank)",
            "Severity": "Reject",
            "Rule": "SEX.is_given",
            "Source": "Client details: SEX",
        },
    ]


def test_ids_are_text_however_long_a_number_they_look(checked):
    book = opened(checked({**NO_SEX, "CLIENTID": "111000000000000000", "EPISODID": "1E5"}))
    client, episode = book["Findings"]["A2"], book["Findings"]["B2"]

    assert (client.value, client.data_type, client.number_format) == ("111000000000000000", "s", "@")
    assert (episode.value, episode.data_type) == ("1E5", "s")


def test_no_cell_is_a_formula_a_link_or_a_number_by_accident(checked):
    book = opened(checked({"SEX": "=1+1"}, {"SEX": "http://example.org"}, {"SEX": "@x"}, {"SEX": "007"}))
    values = [row["Value sent"] for row in table(book["Findings"])]

    assert values == ["=1+1", "http://example.org", "@x", "007"]
    assert all(cell.data_type in "sn" and not cell.hyperlink for sheet in book for row in sheet for cell in row)


def test_headers_stay_in_sight_and_can_be_filtered(checked):
    book = opened(checked(NO_SEX, NO_SEX))

    assert [book[name].freeze_panes for name in SHEETS[1:]] == ["A3", "A2", "A2", "A2"]
    assert book["Findings"].auto_filter.ref == "A1:K3"
    assert all(book[name].auto_filter.ref for name in SHEETS[1:])


def test_columns_fit_what_they_hold(checked):
    sheet = opened(checked({**NO_SEX, "CLIENTID": "c" * 30}))["Findings"]

    assert 30 < sheet.column_dimensions["A"].width < 40
    assert sheet.column_dimensions["E"].width >= len("Select the client's stated sex")


def test_a_workbook_without_findings_says_so(checked):
    book = opened(checked({}))
    said = [row[1].value for row in book["Read me"].iter_rows()]

    assert "Nothing was found, so there is nothing to put right" in said
    assert table(book["Findings"]) == []
    assert table(book["Summary"])[0]["What to do"] == "Nothing was found"
    assert len(table(book["Completeness"])) == len(Q.headers)


def test_the_ledger_tells_rules_that_ran_from_rules_that_did_not(checked):
    ledger = {row["Rule"]: row for row in table(opened(checked(NO_SEX, skip=["DOB.*"]))["Rule ledger"])}

    assert (ledger["SEX.is_given"]["State"], ledger["SEX.is_given"]["Findings"]) == ("run", 1)
    assert (ledger["CLIENT.is_given"]["State"], ledger["CLIENT.is_given"]["Findings"]) == ("run", 0)
    assert (ledger["DOB.is_given"]["State"], ledger["DOB.is_given"]["Findings"]) == ("skipped", None)
    assert ledger["AGNCY.is_the_submitter"]["State"] == "not applicable"


def test_a_workbook_that_cannot_hold_every_finding_says_so_twice(checked, monkeypatch):
    monkeypatch.setattr(workbook, "SHOWN", 2)
    book = opened(checked(NO_SEX, NO_SEX, NO_SEX))
    note = book["Findings"]["A1"].value

    assert note.startswith("The sheet Findings holds the first 2 of 3 findings")
    assert note in [row[1].value for row in book["Read me"].iter_rows()]
    assert len(table(book["Findings"])) == 2
    assert note.endswith("for all of them: cjit check --format csv --output findings.csv FILE")


def test_a_workbook_made_elsewhere_than_by_the_command_says_how_to_come_to_every_finding_there(checked, monkeypatch):
    monkeypatch.setattr(workbook, "SHOWN", 2)
    out = io.BytesIO()
    workbook.write(checked(NO_SEX, NO_SEX, NO_SEX), out, rest="ask whoever made it")
    book = openpyxl.load_workbook(out)

    assert book["Findings"]["A1"].value.endswith("of 3 findings; for all of them: ask whoever made it")
    assert not [row[1].value for row in book["Read me"].iter_rows() if "cjit check" in str(row[1].value)]


def test_a_value_longer_than_a_cell_is_cut_and_not_lost(checked):
    (row,) = table(opened(checked({"SEX": "x" * 40_000}))["Findings"])

    assert row["Value sent"].startswith("xxx")
    assert row["Value sent"].endswith("…")


def test_control_characters_do_not_break_the_workbook(checked):
    (row,) = table(opened(checked({"SEX": "a\x01b\x1bc"}))["Findings"])

    assert row["Value sent"] == "a\ufffdb\ufffdc"


def test_control_characters_in_an_id_do_not_break_the_workbook(checked):
    rows = table(opened(checked({**NO_SEX, "CLIENTID": "7\x01\ufffe8"}))["Findings"])

    assert [row["CLIENTID"][0] for row in rows] == ["7"] * len(rows) != []


def test_the_day_of_the_check_is_the_day_of_the_workbook(checked):
    assert f"{opened(checked({})).properties.created:%Y-%m-%d}" == "2026-03-31"


@pytest.mark.parametrize("count", [0, 1, 30])
def test_the_same_findings_give_the_same_bytes(checked, count):
    findings = checked({}, *[NO_SEX] * count)
    written = []
    for _ in range(2):
        out = io.BytesIO()
        workbook.write(findings, out)
        written.append(out.getvalue())

    assert written[0] == written[1]


def test_findings_that_came_late_stand_in_their_row(checked):
    findings = checked(NO_SEX, NO_SEX)
    late = replace(findings, batches=(pl.concat([findings.frame.tail(1), findings.frame.head(1)]),))

    assert [row["Row"] for row in table(opened(late)["Findings"])] == [2, 3]
