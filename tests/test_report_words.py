import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cjit.conditions import Never
from cjit.dataset import Code, CodeList, Status
from cjit.datasets import dataset
from cjit.datasets.q.example import EXAMPLE_TODAY
from cjit.engine.checking import check
from cjit.engine.findings import Filled
from cjit.files import place
from cjit.files.opening import open_file
from cjit.report import version, words
from cjit.report.formats import FORMATS, write
from cjit.report.spreadsheet import neutral, neutral_column

Q = dataset("Q")
NO_SEX, ISO_DATE, NO_CONSENT, NO_DAT = {"SEX": ""}, {"DOB": "1986-02-14"}, {"CONSENT": "N"}, {"DAT": ""}


# ---- the verdict -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([{}], "The one record would be accepted; nothing was found wrong"),
        ([ISO_DATE], "The one record would be accepted, with a query"),
        ([NO_SEX], "The one record would be rejected"),
        ([{}, {}], "All 2 records would be accepted; nothing was found wrong"),
        ([{}, ISO_DATE], "All 2 records would be accepted (1 with a query)"),
        ([ISO_DATE, ISO_DATE], "All 2 records would be accepted (each with a query)"),
        ([NO_SEX, NO_CONSENT], "All 2 records would be rejected"),
        ([{}, {}, NO_SEX], "2 of 3 records would be accepted, 1 rejected"),
        ([{}, ISO_DATE, NO_SEX], "2 of 3 records would be accepted (1 with a query), 1 rejected"),
        ([NO_DAT], "The one record would be accepted, but may be left out of reports"),
        ([{}, NO_DAT], "All 2 records would be accepted (1 may be left out of reports)"),
        ([NO_DAT, NO_DAT], "All 2 records would be accepted (each may be left out of reports)"),
        (
            [{}, NO_SEX, NO_DAT, {**NO_DAT, **ISO_DATE}, ISO_DATE],
            "4 of 5 records would be accepted (2 may be left out of reports, 1 with a query), 1 rejected",
        ),
    ],
)
def test_the_verdict_says_how_many_records_are_accepted_queried_and_rejected(checked, changes, said):
    assert words.verdict(checked(*changes)) == said


def test_a_mismatch_is_no_query(checked, csv_of):
    before = open_file(csv_of({"SEX": "F"}, {}), Q)

    assert words.verdict(checked({"SEX": "M"}, {}, previous=before)) == (
        "All 2 records would be accepted (1 would make a mismatch)"
    )


def test_the_verdict_of_no_records_promises_nothing(checked):
    nothing = replace(checked({}), rows=0)

    assert words.verdict(nothing) == "There are no records in the file, so there is nothing to accept or reject"


@pytest.mark.parametrize("asked", [{"skip": ["*"]}, {"only": ["DISD"]}, {"skip": ["DOB.*"]}])
def test_who_asked_only_some_rules_is_not_told_that_nothing_was_found_wrong(asked, checked):
    found = checked({}, {"CLIENTID": "2", "CLIENT": "A2", "EPISODID": "2", "REFERID": "2"}, **asked)
    ran = sum(run.state != "skipped" for run in found.ledger)

    said = words.verdict(found)

    assert said == f"Only {ran} of {len(found.ledger)} rules were asked: by these, all 2 records would be accepted"
    assert words.verdict(checked({}, **asked)).endswith("by these, the one record would be accepted")


def test_who_asked_all_rules_is_told_that_nothing_was_found_wrong(checked):
    assert words.verdict(checked({})) == "The one record would be accepted; nothing was found wrong"


def test_what_some_rules_find_is_in_the_verdict_all_the_same(checked):
    said = words.verdict(checked({"DOB": ""}, {"CLIENTID": "2", "CLIENT": "A2", "EPISODID": "2"}, only=["DOB"]))

    assert said.endswith("rules were asked: by these, 1 of 2 records would be accepted, 1 rejected")


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (["PC"], "1 column is missing: PC; "),
        (["PC", "UTLA"], "2 columns are missing: PC and UTLA; "),
        (
            ["ETHNIC", "NATION", "PC", "UTLA", "HOUSING", "PRISON"],
            "6 columns are missing: ETHNIC, NATION, PC, UTLA, PRISON and 1 more; ",
        ),
    ],
)
def test_missing_columns_are_said_beside_the_verdict(csv_of, gone, said):
    source = open_file(csv_of({}, headers=[h for h in Q.headers if h not in gone]), Q)
    (caution,) = words.cautions(check(source, Q, today=EXAMPLE_TODAY))

    assert caution.startswith(said)


def test_rules_that_need_the_agency_are_a_note(checked):
    assert "--agency CODE" in words.notes(checked({}))[-1]
    assert words.notes(checked({}, submitter="CJ123")) == ()


def test_a_fault_on_every_row_is_one_fault_in_the_extract(checked):
    all_of_them, all_but_one, few = checked(*[ISO_DATE] * 20), checked(*[ISO_DATE] * 20, {}), checked(*[ISO_DATE] * 19)
    (run,) = all_of_them.fired

    assert words.extent(run, all_of_them) == "All 20 rows"
    assert words.one_fault(run, all_of_them) == "one fault in the extract, not 20"
    assert words.extent(run, all_but_one) == "20 rows"
    assert words.one_fault(run, all_but_one) == ""
    assert words.extent(few.fired[0], few) == "All 19 rows"
    assert words.one_fault(few.fired[0], few) == ""


def test_a_cause_that_leaves_no_row_to_look_at_is_one_fault_too(checked, csv_of):
    consent = checked(*[{"CONSENT": "Yes"}] * 20)
    assert words.extent(consent.fired[0], consent) == "All 20 rows"
    assert words.one_fault(consent.fired[0], consent) == "one fault in the extract, not 20"

    lines = csv_of(*[{}] * 20).splitlines()
    wide = check(
        open_file(b"\n".join([lines[0], *(line + b",x" for line in lines[1:]), b""]), Q), Q, today=EXAMPLE_TODAY
    )
    assert words.one_fault(wide.fired[0], wide) == "one fault in the extract, not 20"


# ---- values and figures ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (0, 0, "–"),
        (0, 9, "0%"),
        (9, 9, "100%"),
        (1, 3, "33.3%"),
        (99_999, 100_000, ">99.9%"),
        (1, 100_000, "<0.1%"),
        (9_994, 10_000, "99.9%"),
    ],
)
def test_a_share_is_all_or_nothing_only_when_it_is(part, whole, said):
    assert words.percent(part, whole) == said


def test_control_characters_of_a_file_never_reach_a_screen():
    assert words.shown("a\x1b[31mb\u202ec\n") == "a\ufffd[31mb\ufffdc\ufffd"


def test_a_long_value_is_cut_to_size():
    assert words.shown("x" * 60) == "x" * 60
    assert words.shown("x" * 61) == "x" * 59 + "…"


def test_a_value_is_told_from_a_blank_one_and_a_withheld_one(checked):
    findings = checked(NO_SEX, NO_CONSENT, {"SEX": " m"})
    said = {run.rule.id: words.value_shown(Q, run.rule, run.first[0].value) for run in findings.fired}

    assert said == {"SEX.is_given": "(blank)", "CONSENT.is_given": "(withheld)", "SEX.is_plainly_written": "“ m”"}


@pytest.mark.parametrize(
    ("header", "value", "said"),
    [
        ("SEX", "M", "M (Male)"),
        ("SEX", "X", "X"),
        ("HOUSING", "21", "21 (No home of their own – hostel)"),
        ("CHILDWTH", "98", "98 (client declined to answer)"),
        ("DOB", "x", "x"),
    ],
)
def test_a_code_is_shown_with_its_label_where_it_has_one(header, value, said):
    rule = next(rule for rule in Q.rules if rule.header == header)

    assert words.value_shown(Q, rule, value) == said


def test_a_label_that_is_our_stand_in_is_not_shown():
    codes = CodeList("SEX", (Code("M", "Made up", status=Status.PLACEHOLDER),))
    rule = next(rule for rule in Q.rules if rule.header == "SEX")

    assert words.value_shown(Q.with_lists({"SEX": codes}), rule, "M") == "M"


def test_columns_have_the_letters_of_a_spreadsheet():
    columns = [f"H{n}" if n != 2 else None for n in range(1, 704)]
    letters = words.letters(columns)

    assert [letters[h] for h in ("H1", "H3", "H26", "H27", "H52", "H53", "H702", "H703")] == [
        "A", "C", "Z", "AA", "AZ", "BA", "ZZ", "AAA",
    ]  # fmt: skip
    assert len(letters) == 702


def test_fields_filled_and_answered_on_every_row_are_told_apart(checked):
    findings = checked({})
    full, other, missing = words.gaps(findings)

    assert {*full, *other} == set(Q.headers)
    assert missing == ()
    assert "PRISON" in other
    assert "DOB" in full
    assert other["PRISON"] == Filled(filled=0, blank=1, not_answered=0, bad=0)


# ---- cells a spreadsheet takes for formulas --------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["=1+1", "+44", "-1", "@SUM(A1)", "\t=1", "\rx", "\tx", "  =1", '"=1', ' "=1', "\u00a0=1", "\n=1", "＝1"]
)
def test_a_cell_like_a_formula_is_made_text(text):
    assert neutral(text) == "'" + text


@pytest.mark.parametrize("text", ["", "1", "NR14 7", "a=b", "M-1", "'=1", " a", "27/03/1985"])
def test_other_cells_stay_as_they_are(text):
    assert neutral(text) == text


@given(st.lists(st.text(st.sampled_from("=+-@\t\r\n \"'\u00a0\u2007\x1c\u0085＝a1,") | st.characters(codec="utf-8"))))
def test_a_column_is_neutralised_as_its_cells_are(cells):
    column = pl.DataFrame({"x": cells}, schema={"x": pl.String}).select(neutral_column("x"))["x"]

    assert column.to_list() == [neutral(cell) for cell in cells]


@given(st.text(st.sampled_from("=+-@\t\r \"'a")))
def test_neutralising_twice_is_neutralising_once(text):
    assert neutral(neutral(text)) == neutral(text)


# ---- what was run ----------------------------------------------------------------------------------


@pytest.mark.process
def test_the_version_of_the_rules_is_the_same_in_another_process():
    code = (
        "from cjit.report import version; from cjit.datasets import dataset; print(version.rules_version(dataset('Q')))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )

    assert run.stdout.strip() == version.rules_version(Q)


def test_the_version_of_the_rules_changes_with_a_rule_a_field_and_a_code_list():
    codes = replace(Q.lists["SEX"], rows=(*Q.lists["SEX"].rows, Code("X", "Made up")))
    field = replace(Q.fields[0], noun="other noun")
    rule = replace(Q.written[0], fails_when=Never())
    others = [
        Q.with_lists({"SEX": codes}),
        replace(Q, fields=(field, *Q.fields[1:])),
        replace(Q, written=(rule, *Q.written[1:])),
    ]

    assert len({version.rules_version(d) for d in (Q, *others)}) == 4


# ---- putting a file in its place -------------------------------------------------------------------


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path):
    path = tmp_path / "report.csv"
    path.write_text("old")

    with place.placed(path) as out:
        out.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_when_writing_fails(tmp_path):
    def fail(path):
        with place.placed(path) as out:
            out.write(b"half")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        fail(tmp_path / "report.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_file_keeps_its_permissions_and_a_link_stays_a_link(tmp_path):
    path, link = tmp_path / "report.csv", tmp_path / "link.csv"
    path.write_text("old")
    path.chmod(0o600)
    link.symlink_to(path)

    with place.placed(link) as out:
        out.write(b"new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("sent", "held", "mode"),
    [(0o600, None, 0o600), (0o640, None, 0o640), (0o755, None, 0o644), (0o400, None, 0o600), (0o644, 0o600, 0o600)],
)
def test_nobody_may_read_a_report_who_may_not_read_the_file(tmp_path, csv_of, sent, held, mode):
    path, out = tmp_path / "sent.csv", tmp_path / "report.csv"
    path.write_bytes(csv_of({}))
    path.chmod(sent)
    if held is not None:
        out.write_text("old")
        out.chmod(held)

    with place.placed(out, open_file(path, Q)):
        (beside,) = tmp_path.glob(".report.csv.*")
        assert beside.stat().st_mode & 0o077 == 0
    assert out.stat().st_mode & 0o777 == mode


def test_the_file_that_was_sent_is_never_written_over(tmp_path, csv_of):
    path = tmp_path / "sent.csv"
    path.write_bytes(csv_of({}))
    source = open_file(path, Q)

    with pytest.raises(place.WouldOverwrite, match="choose another name"), place.placed(path, source):
        pass
    assert path.read_bytes() == csv_of({})


def test_an_error_names_the_path_the_user_gave(tmp_path):
    missing = tmp_path / "no such folder" / "report.csv"

    with pytest.raises(FileNotFoundError) as error, place.placed(missing):
        pass
    assert error.value.filename == str(missing)
    with pytest.raises(IsADirectoryError), place.placed(tmp_path):
        pass


def test_a_device_is_written_to_straight():
    with place.placed("/dev/null") as out:
        out.write(b"gone")
    assert Path("/dev/null").is_char_device()


# ---- every form ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "json", "csv", "html", "xlsx"])
@pytest.mark.parametrize(
    "changes",
    [[{}], [{}, {}], [NO_SEX], [NO_SEX, ISO_DATE, NO_CONSENT], [NO_CONSENT]],
    ids=["one record", "faultless", "one rejected", "mixed", "no consent"],
)
def test_every_form_is_written_for_every_kind_of_file(tmp_path, csv_of, checked, form, changes):
    source = open_file(csv_of(*changes), Q, "made up.csv")
    paths = [tmp_path / "one", tmp_path / "two"]
    for path in paths:
        findings = write(lambda sink: checked(*changes, sink=sink), source, FORMATS[form], path)
    first, second = (path.read_bytes() for path in paths)

    assert findings.rows == len(changes)
    assert first == second
    assert first


@pytest.mark.parametrize("form", ["text", "json", "csv", "html", "xlsx"])
def test_a_record_without_consent_shows_its_row_and_nothing_of_itself(tmp_path, csv_of, checked, form):
    secret = {"CONSENT": "N", "CLIENTID": "SECRETID", "CLIENT": "SECRETREF", "EPISODID": "SECRETEP", "DOB": "SECRETDOB"}
    source = open_file(csv_of({}, secret), Q)
    write(lambda sink: checked({}, secret, sink=sink), source, FORMATS[form], tmp_path / "out")
    written = (tmp_path / "out").read_bytes()
    if form == "xlsx":
        import zipfile

        with zipfile.ZipFile(tmp_path / "out") as file:
            written = b"".join(file.read(name) for name in file.namelist())

    assert b"SECRET" not in written
    assert b"CONSENT.is_given" in written


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="This system has no device that is always full")
@pytest.mark.parametrize("form", ["text", "json", "csv", "html", "xlsx"])
def test_a_full_disk_is_told_once(csv_of, checked, form):
    # A complaint while something is thrown away would be a warning, and so fail the test.
    with pytest.raises(OSError, match="No space left"):
        write(lambda sink: checked({}, sink=sink), open_file(csv_of({}), Q), FORMATS[form], "/dev/full")


@pytest.mark.parametrize("form", ["text", "json", "csv", "html", "xlsx"])
def test_a_file_name_that_is_not_utf_8_is_no_hindrance(tmp_path, csv_of, form):
    source = open_file(csv_of({}), Q, "m\udce4rz.csv")
    write(lambda sink: check(source, Q, today=EXAMPLE_TODAY, sink=sink), source, FORMATS[form], tmp_path / "report")

    assert (tmp_path / "report").stat().st_size


def test_nothing_is_left_of_a_report_when_the_check_fails(tmp_path, csv_of):
    def check(sink):
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        write(check, open_file(csv_of({}), Q), FORMATS["json"], tmp_path / "report.json")
    assert list(tmp_path.iterdir()) == []
