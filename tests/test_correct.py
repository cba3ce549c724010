import csv
import io
import os
import re
from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cjit.copies.annotated import annotate
from cjit.copies.corrected import correct
from cjit.dataset import Code, CodeList, Kind, Status
from cjit.datasets import dataset
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.datasets.q.rules import OUT_OF_ENGLAND
from cjit.engine import by_rows, checking
from cjit.engine.checking import check, checked
from cjit.engine.records import Records
from cjit.files import frames, parsing
from cjit.files.frames import pieces_of
from cjit.files.opening import open_file
from cjit.files.place import WouldOverwrite
from cjit.files.source import Unusable

Q = dataset("Q")
_NOTHING = "Nothing needed mending"
_UNCLEAR = "1 row whose consent is none of its codes was left out"


@pytest.fixture(scope="module", params=[0, checking.FEW_ROWS], ids=["by columns", "row by row"], autouse=True)
def engine(request):
    """Every test of this module is of both ways in which a table is put to the rule book."""
    few, checking.FEW_ROWS = checking.FEW_ROWS, request.param
    yield
    checking.FEW_ROWS = few


def rows_of(path, separator=",", encoding="utf-8-sig"):
    return list(csv.reader(io.StringIO(path.read_bytes().decode(encoding), newline=""), delimiter=separator))


def records_of(path):
    header, *rows = rows_of(path)
    return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.fixture
def corrected(tmp_path, csv_of):
    """Correct a file and give the records of the copy, the list of changes, and the count.

    The copy is checked `again` where a test asks what is said of that.
    """

    def run(*changes, data=None, book=Q, again=False):
        data = csv_of(*changes) if data is None else data
        out, said = tmp_path / "corrected.csv", tmp_path / "corrected.changes.csv"
        done = correct(checked(data, book, today=EXAMPLE_TODAY), out, said, again=again)
        return records_of(out), records_of(said), done

    return run


@pytest.fixture
def annotated(tmp_path, csv_of):
    """Check and annotate a file, and give the rows of the copy."""

    def run(*changes, data=None, **options):
        source = open_file(csv_of(*changes) if data is None else data, Q)
        annotate(checked(source, Q, today=EXAMPLE_TODAY, **options), tmp_path / "annotated.csv")
        encoding = "cp1252" if source.encoding == "cp1252" else "utf-8-sig"
        return rows_of(tmp_path / "annotated.csv", source.separator, encoding)

    return run


def fired_in(findings):
    return {(row, rule) for row, rule, *_ in findings.frame.iter_rows()}


def fired(data):
    return fired_in(check(open_file(data, Q), Q, today=EXAMPLE_TODAY))


# ---- corrected: what is mended ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "was", "now", "what"),
    [
        ("DOB", "1986-02-14", "14/02/1986", "Date written as dd/mm/yyyy"),
        ("DOB", " 14/02/1986", "14/02/1986", "Spaces removed"),
        ("DOB", " 19860214", "19860214", "Spaces removed"),
        ("SEX", "m", "M", "Written in capitals"),
        ("SEX", "1", "M", "Code written as the list has it"),
        ("SEX", " 2 ", "F", "Code written as the list has it"),
        ("SEX", " m ", "M", "Written in capitals"),
        ("FINITIAL", "m", "M", "Written in capitals"),
        ("HOUSING", "03", "3", "Leading nought removed"),
        ("ALCDDAYS", "007", "7", "Leading noughts removed"),
        ("CMSID", " Example 1 ", "Example 1", "Spaces removed"),
        ("REFERID", " 3 ", "3", "Spaces removed"),
        ("CLIENT", "  ", "", "Spaces removed"),
        ("PRISON", "  ", "", "Spaces removed"),
        ("PC", "ne8  1", "NE8 1", "Postcode written in capitals with one space"),
        ("DRUG2", "9996", "", "Left blank: the code says that there is none"),
    ],
)
def test_a_mechanical_fault_is_mended_and_listed(corrected, header, was, now, what):
    (record,), changes, done = corrected({header: was})

    assert record[header] == now
    assert changes == [{"row": "2", "header": header, "was": was, "now": now, "what": what}]
    assert (done.cells, done.total) == (1, 1)


@pytest.mark.parametrize("was", ["NE8 1AB", "ne81ab", " NE8  1AB"])
def test_a_whole_postcode_is_cut_and_never_shown_whole(corrected, tmp_path, was):
    (record,), (change,), _ = corrected({"PC": was})

    assert record["PC"] == "NE8 1"
    assert change["what"] == "Last two characters of the postcode removed"
    assert change["was"].endswith("1**")
    assert not re.search(r"1\s*ab", (tmp_path / "corrected.changes.csv").read_text(), re.IGNORECASE)


@pytest.mark.parametrize(
    ("header", "was"),
    [
        ("DOB", "31/02/1986"),
        ("DOB", "2999-01-01"),
        ("DOB", "14/02/86"),
        ("DOB", " 14 Feb 1986"),
        ("SEX", " x"),
        ("FINITIAL", "mc"),
        ("PC", "norwich"),
        ("ALCDDAYS", " 99"),
        ("ALCDDAYS", "4.0"),
        ("HOUSING", "025"),
        # In capitals these would become other letters.
        ("FINITIAL", "ı"),
        ("SEX", "ſ"),
        # The list is known to be longer, so nobody knows how such a code is written.
        ("DRUG1", "zz"),
        ("DRUG1", " zz1 "),
    ],
)
def test_what_is_no_value_stays_as_it_was_sent(corrected, header, was):
    (record,), changes, done = corrected({header: was}, again=True)

    assert record[header] == was
    assert changes == []
    assert done.total == 0
    assert str(done) == ("Nothing could be mended; 1 record would still be rejected" if done.rejected else _NOTHING)


def test_a_faultless_file_in_the_datasets_form_stays_as_it_is(corrected, csv_of, tmp_path):
    corrected({}, {}, {"CMSID": 'a, "b" c'})

    assert (tmp_path / "corrected.csv").read_bytes() == csv_of({}, {}, {"CMSID": 'a, "b" c'})


def test_formulas_stay_in_the_copy_to_submit_and_not_in_the_list(corrected):
    (record,), (change,), _ = corrected({"CMSID": " =1+1"})

    assert record["CMSID"] == "=1+1"
    assert (change["was"], change["now"]) == ("' =1+1", "'=1+1")


# ---- corrected: one way to write a date ------------------------------------------------------------

EIGHT = {"DOB": "19860214", "REFLD": "20251103", "TRIAGED": "20251106", "CPLANDT": "20251120", "REFDATE": "20251201"}


@pytest.mark.parametrize("record", [{}, EIGHT, {"DOB": EIGHT["DOB"]}])
def test_dates_that_are_plain_stay_as_they_were_sent(corrected, record):
    records, changes, _ = corrected(record, record)

    assert [{h: row[h] for h in EIGHT} for row in records] == [{h: (EXAMPLE | record)[h] for h in EIGHT}] * 2
    assert changes == []


@pytest.mark.parametrize(
    ("most", "now"),
    [({}, "14/02/1986"), (EIGHT, "19860214")],
)
def test_a_column_of_both_is_written_as_most_dates_of_the_file_are(corrected, most, now):
    records, changes, done = corrected(most, most | {"DOB": "14/02/1986"}, most | {"DOB": "19860214"})

    assert [row["DOB"] for row in records] == [now] * 3
    assert {change["header"] for change in changes} == {"DOB"}
    assert done.cells == len(changes)


def test_where_both_are_as_many_eight_figures_are_written(corrected):
    records, _, _ = corrected({}, EIGHT)

    assert [{h: row[h] for h in EIGHT} for row in records] == [EIGHT] * 2


def test_a_date_of_a_database_is_written_as_the_rest_of_its_column(corrected):
    records, changes, _ = corrected(EIGHT | {"DOB": "14/02/1986"}, EIGHT | {"DOB": "1986-02-14"})

    assert [row["DOB"] for row in records] == ["14/02/1986"] * 2
    assert [change["what"] for change in changes] == ["Date written as dd/mm/yyyy"]


def test_a_column_of_such_dates_alone_is_written_as_most_of_the_file_is_or_as_eight_figures(corrected):
    iso = {h: f"{text[:4]}-{text[4:6]}-{text[6:]}" for h, text in EIGHT.items()}
    (row,), _, _ = corrected({"DOB": "1986-02-14"})
    assert row["DOB"] == "14/02/1986"
    (row,), changes, _ = corrected(iso)
    assert {h: row[h] for h in EIGHT} == EIGHT
    assert {change["what"] for change in changes} == {"Date written as yyyymmdd"}


def test_dates_of_clients_who_do_not_consent_settle_nothing(corrected):
    records, changes, _ = corrected({}, *[EIGHT | {"CONSENT": "N"}] * 5)

    assert [row["DOB"] for row in records] == ["14/02/1986"]
    assert {change["header"] for change in changes} == {""}


def test_a_corrected_file_has_nothing_left_that_is_told_once(corrected, csv_of, tmp_path):
    corrected({"SEX": "1"}, {"DOB": "19860214"}, EIGHT, {"TRIAGED": "2025-11-06"}, {"REFDATE": " 20251201"})

    assert fired((tmp_path / "corrected.csv").read_bytes()) == set()


# ---- corrected: the form of the file ---------------------------------------------------------------


def test_headers_separators_line_ends_and_encoding_are_put_in_the_datasets_form(corrected, tmp_path):
    values = {**EXAMPLE, "CMSID": "Café 1"}
    headers = ["my own" if h == "PRISON" else "EHCSC1" if h == "EHCS" else h.lower() for h in reversed(Q.headers)]
    cells = [values[h] for h in reversed(Q.headers)]
    data = (";".join(headers) + "\n" + ";".join(cells) + "\n").encode("cp1252")
    (record,), changes, done = corrected(data=data)
    said = {(change["was"] or change["header"], change["what"]) for change in changes}
    written = (tmp_path / "corrected.csv").read_bytes()

    assert record == {**values, "PRISON": ""}
    assert written.startswith(",".join(Q.headers).encode() + b"\r\n")
    assert "Café".encode() in written
    assert {
        ("", "Columns separated by commas"),
        ("", "Characters written as UTF-8, not Windows-1252"),
        ("", "Lines ended with carriage return and line feed"),
        ("", "Columns put in the document's order"),
        ("EHCSC1", "Header written as the dataset has it"),
        ("my own", "Column left out: dataset Q does not have it"),
        ("PRISON", "Column added, blank on every row"),
    } <= said
    assert done.form == len(changes)


def test_a_first_line_for_excel_is_left_out_of_both_copies_and_said_to_be(corrected, annotated, csv_of):
    data = b"sep=,\r\n" + csv_of({})
    _, (change,), done = corrected(data=data)

    assert change["what"] == "First line left out: it only names the separator, for Excel"
    assert annotated(data=data)[0] == [*Q.headers, "FINDINGS", "SEVERITY"]
    assert done.form == 1


def test_rows_that_cannot_be_mended_are_left_out_and_said_to_be(corrected, csv_of):
    data = csv_of({}, {}) + b"1,2,3\r\n\r\n"
    records, changes, done = corrected(data=data, again=True)

    assert len(records) == 2
    assert [(change["row"], change["what"]) for change in changes] == [
        ("4", f"Row left out: it has 3 cells, not {len(Q.headers)}"),
        ("", "1 blank row left out"),
    ]
    assert str(done) == "1 row whose cells cannot be told apart was left out; 1 blank row was left out"


@pytest.mark.parametrize(
    ("consent", "because", "said"),
    [
        ("n", "the client does not consent", "1 row without consent was left out"),
        (" N ", "the client does not consent", "1 row without consent was left out"),
        ("", "consent is not given in it: CONSENT is blank", "1 row without consent was left out"),
        ("?", "CONSENT says “?”, which is none of its codes", _UNCLEAR),
        ("Yes", "CONSENT says “Yes”, which is none of its codes", _UNCLEAR),
        ("14/02/1986", "what stands in CONSENT is none of its codes", _UNCLEAR),
    ],
)
def test_the_reason_why_a_row_is_left_out_is_true(corrected, annotated, consent, because, said):
    rows: list[dict[str, str]] = [{}, {"CONSENT": consent, "DOB": "1986-02-14"}, {}]
    records, (change,), done = corrected(*rows, again=True)

    assert len(records) == 2
    assert change == {"row": "3", "header": "", "was": "", "now": "", "what": f"Row left out, because {because}"}
    assert str(done) == said
    reason = annotated(*rows)[2][-2]
    assert reason.endswith(
        f"Values left out, because {because.replace(f'CONSENT says “{consent}”, which', 'what stands in CONSENT')}"
    )


@pytest.mark.parametrize("word", ["Yes", "YES", "yes", "1", "TRUE", "true"])
def test_no_client_is_lost_because_the_extract_spells_consent_otherwise(corrected, word):
    records, changes, done = corrected({"CONSENT": word}, {"CONSENT": word, "SEX": "m"}, again=True)

    assert [(record["CONSENT"], record["SEX"]) for record in records] == [("Y", "M"), ("Y", "M")]
    assert [(c["row"], c["header"], c["was"], c["now"], c["what"]) for c in changes if c["header"] == "CONSENT"] == [
        ("2", "CONSENT", word, "Y", "Consent written as its code"),
        ("3", "CONSENT", word, "Y", "Consent written as its code"),
    ]
    assert str(done) == "3 cells were mended"


@pytest.mark.parametrize("other", ["", "N", "No", "Y"])
def test_consent_spelt_otherwise_on_some_rows_is_nobodys_consent(corrected, other):
    records, changes, done = corrected({"CONSENT": "Yes"}, {"CONSENT": other}, again=True)

    assert len(records) == (other == "Y")
    assert changes[0]["what"] == "Row left out, because CONSENT says “Yes”, which is none of its codes"
    assert ("no record is left" in str(done)) == (other != "Y")


def test_a_row_that_repeats_the_headers_is_left_out_as_that(corrected, annotated):
    again = dict(zip(Q.headers, Q.headers, strict=True))
    _, (change,), done = corrected({"CONSENT": "Y"}, again, {}, again=True)

    assert change["what"] == "Row left out, because it repeats the headers"
    assert str(done) == "1 row that repeats the headers was left out"
    assert annotated({}, again)[2][-2].endswith("Values left out, because it repeats the headers")
    # Nor is it a client who withholds the consent that the others spell otherwise.
    assert len(corrected({"CONSENT": "Yes"}, again)[0]) == 1


def test_what_would_still_be_rejected_is_said(corrected):
    wrong = {"DOB": "31/02/1986"}
    assert str(corrected(wrong, wrong, again=True)[2]) == "Nothing could be mended; 2 records would still be rejected"
    assert str(corrected(wrong, {"SEX": "m"}, again=True)[2]) == "1 cell was mended; 1 record would still be rejected"
    assert str(corrected({"CONSENT": "N"}, again=True)[2]) == "1 row without consent was left out; no record is left"
    assert str(corrected({"DISD": "31/02/1986"}, again=True)[2]) == _NOTHING


def test_records_that_a_spreadsheet_saved_short_are_all_in_the_copy(corrected, annotated, csv_of):
    tail = {"DISD": "", "CJDISRSN": "", "REFERID": "", "REFDATE": ""}
    whole = csv_of(tail, tail)
    for data, said in (
        (whole.replace(b",,,,\r\n", b"\r\n"), "2 rows were short by blank cells at the end, now written"),
        (whole.replace(b",,,,\r\n", b",,,,,\r\n"), "2 rows had blank cells behind the last column, now left out"),
    ):
        records, (change,), done = corrected(data=data, again=True)

        assert len(records) == 2
        assert change["what"] == said
        assert str(done) == "1 change was made to the file itself"
        assert [len(row) for row in annotated(data=data)] == [len(Q.headers) + 2] * 3


# ---- corrected: the upper tier local authority -----------------------------------------------------


def test_a_blank_authority_is_filled_in_from_the_postcode(corrected):
    records, changes, _ = corrected({"UTLA": "", "PC": "ne81ab"}, {"UTLA": ""})

    assert [record["UTLA"] for record in records] == [EXAMPLE["UTLA"]] * 2
    assert ("2", "UTLA", "Filled in from the postcode") in {(c["row"], c["header"], c["what"]) for c in changes}


def test_of_other_cells_of_a_row_that_has_its_authority_filled_in_is_said_what_was_done_to_them(corrected):
    _, changes, _ = corrected({"UTLA": " ", "SEX": "m", "DRUG2": "9996"})

    assert [(change["header"], change["was"], change["what"]) for change in changes] == [
        ("SEX", "m", "Written in capitals"),
        ("UTLA", " ", "Filled in from the postcode"),
        ("DRUG2", "9996", "Left blank: the code says that there is none"),
    ]


@pytest.mark.parametrize("pc", ["", "ZZ99 3", "norwich", "XX1 1"])
def test_without_a_telling_postcode_a_blank_authority_stays_blank(corrected, pc):
    (record,), _, _ = corrected({"UTLA": "", "PC": pc})

    assert record["UTLA"] == ""


def test_an_authority_that_was_sent_is_never_overwritten(corrected):
    (record,), changes, _ = corrected({"UTLA": "E10000020"})

    assert record["UTLA"] == "E10000020"
    assert changes == []


def test_an_authority_is_not_filled_in_where_the_episodes_rows_would_disagree(corrected):
    episode = {"EPISODID": "30001", "CLIENTID": "10001", "CLIENT": "20001"}
    records, _, _ = corrected({**episode, "UTLA": ""}, {**episode, "UTLA": "E10000020", "PC": "NR14 7"}, {"UTLA": ""})

    assert [record["UTLA"] for record in records] == ["", "E10000020", EXAMPLE["UTLA"]]


def test_an_authority_is_not_filled_in_where_a_rule_would_then_be_against_it(corrected, csv_of):
    record = {"UTLA": "", "DAT": OUT_OF_ENGLAND}
    (kept,), changes, _ = corrected(record)

    assert fired(csv_of({**record, "UTLA": EXAMPLE["UTLA"]})) - fired(csv_of(record))
    assert kept["UTLA"] == ""
    assert changes == []


def test_an_authority_the_official_list_does_not_have_is_not_filled_in(corrected):
    codes = tuple(Code(code, "Made up", status=Status.OFFICIAL) for code in ("201", "202"))
    (record,), _, _ = corrected({"UTLA": ""}, book=Q.with_lists({"UTLA": CodeList("UTLA", codes)}))

    assert record["UTLA"] == ""


#: Fields whose lists are known to be longer than ours.
UNSURE = {f.header for f in Q.fields if (codes := Q.codes_of(f.header)) and not codes.complete}

# ---- read once -------------------------------------------------------------------------------------


def test_a_file_is_read_and_each_of_its_texts_looked_at_once_for_the_check_and_both_copies(
    tmp_path, csv_of, monkeypatch
):
    parsed: Counter[tuple[str, str | None]] = Counter()
    opened, made = [], parsing.chunks_of

    def counting(source):
        opened.append(source.path)
        return made(source)

    def parse(self, header, text, real=Records.parse):
        parsed[header, text or None] += 1
        return real(self, header, text)

    for module in (by_rows, frames):
        monkeypatch.setattr(module, "chunks_of", counting)
    monkeypatch.setattr(Records, "parse", parse)
    data = csv_of({}, {"SEX": "m", "UTLA": ""}, {"CONSENT": "N"}, {"CLIENT": " x "}, {"DOB": "1986-02-14"}, {})
    done = checked(data, today=EXAMPLE_TODAY, limit=0)
    annotate(done, tmp_path / "annotated.csv")
    changed = correct(done, tmp_path / "corrected.csv", tmp_path / "changes.csv", again=False)

    assert changed.cells == 4
    assert len(opened) == 1
    given = {each: count for each, count in parsed.items() if each[1] is not None}
    assert {header for header, _ in given} >= {"SEX", "CONSENT", "PC", "CLIENT"}
    assert set(given.values()) == {1}


# ---- corrected: its laws ---------------------------------------------------------------------------

_CELLS = {
    Kind.DATE: ["1986-02-14", " 01/02/2020 ", "31/02/2020", "2999-01-01", "01/02/20", "", "2025-11-30"],
    Kind.NUMBER: ["07", " 3", "98", "-1", "many", "", "29"],
    Kind.CODE: ["01", " m", "y", "N", "9996", "9997", "?", "", "zz", "NN", "=1", "6", "ſ"],
    Kind.INITIAL: ["m", " M", "Mc", "", "7", "ı"],
    Kind.POSTCODE: ["ne81ab", "ne8  1", "NR14 7UJ", "norwich", "", "ZZ99 3VZ", "zz993", "bt11"],
    Kind.ID: [" 10001", "10001", "", "=1+1", 'a,"b', "14021986", " \t"],
}


@st.composite
def files(draw):
    """Some records of few clients and episodes, with mechanical faults and others, in some form."""
    headers = list(Q.headers)
    separator, end = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(["\r\n", "\n"]))
    out = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer = csv.writer(out, delimiter=separator, lineterminator=end, quoting=quoting)
    order = draw(st.permutations(headers)) if draw(st.booleans()) else headers
    writer.writerow(["EHCSC1" if h == "EHCS" else h for h in order] + ["MINE"])
    for _ in range(draw(st.integers(1, 4))):
        number = draw(st.integers(1, 2))
        record = {
            **EXAMPLE,
            "CLIENTID": f"{number}",
            "EPISODID": f"2{number}",
            "REFERID": f"3{draw(st.integers(1, 3))}",
        }
        for header in draw(st.lists(st.sampled_from([*headers, "UTLA", "PC", "CONSENT"]), max_size=8)):
            record[header] = draw(st.sampled_from(_CELLS[Q.by_header[header].kind]))
        writer.writerow([record[h] for h in order] + ["x"])
    if draw(st.booleans()):
        out.write(f"1{separator}2{end}")
    for _ in range(draw(st.integers(0, 2))):
        bare = dict.fromkeys(order, "") | {draw(st.sampled_from(headers)): draw(st.sampled_from(["  ", "x", "Y"]))}
        writer.writerow([*bare.values(), draw(st.sampled_from(["", "x"]))])
    return out.getvalue().encode()


@pytest.mark.dear
@given(data=files())
def test_the_laws_of_correcting(tmp_path, data):
    once, twice, said = tmp_path / "once.csv", tmp_path / "twice.csv", tmp_path / "said.csv"
    first = open_file(data, Q)
    done = checked(first, Q, today=EXAMPLE_TODAY)
    before = fired_in(done.findings)
    correct(done, once, said, again=False)
    changes = records_of(said)
    gone = {int(c["row"]) for c in changes if c["what"].startswith("Row left out")}
    assert gone == {row for row, rule in before if rule in ("CONSENT.is_given", "ROW.has_every_cell")}
    if not records_of(once):
        return

    corrected = checked(once, Q, today=EXAMPLE_TODAY)
    again = correct(corrected, twice, said, again=False)

    assert once.read_bytes() == twice.read_bytes(), "correcting twice is correcting once"
    assert again.total == 0

    batches = [piece() for piece in pieces_of(first)]
    places = [row for batch in batches for row in batch.rows if row not in gone]
    after = {(places[row - 2], rule) for row, rule in fired_in(corrected.findings)}
    found = corrected.findings.frame.select("rule", "value")
    for rule, value in found.filter(pl.col("rule").cast(str).str.contains("is_plainly|is_truncated")).iter_rows():
        assert rule.split(".")[0] in UNSURE or value in "ıſ", "only what may be a value is left as it was sent"
    assert after <= before, "no new finding of any rule"

    sent = pl.concat([batch.frame.filter(~batch.rows.is_in(list(gone))) for batch in batches]).fill_null("")
    listed = {(int(c["row"]), c["header"]) for c in changes if c["row"]}
    for row, was, now in zip(places, sent.iter_rows(named=True), records_of(once), strict=True):
        differs = {header for header in Q.headers if was[header] != now[header]}
        assert differs == {header for at, header in listed if at == row}, "every change is listed"


def test_the_copy_never_takes_the_place_of_the_file_that_was_sent(tmp_path, csv_of):
    path = tmp_path / "sent.csv"
    path.write_bytes(csv_of({}))
    done = checked(path, Q, today=EXAMPLE_TODAY)

    with pytest.raises(WouldOverwrite):
        correct(done, path, tmp_path / "changes.csv")
    with pytest.raises(WouldOverwrite):
        correct(done, tmp_path / "copy.csv", path)
    assert [p.name for p in tmp_path.iterdir()] == ["sent.csv"]


@pytest.mark.parametrize("change", ["more rows", "another time", "gone"])
def test_a_file_that_changes_while_it_is_read_gives_no_copy(tmp_path, csv_of, change):
    path = tmp_path / "growing.csv"
    path.write_bytes(csv_of({"SEX": "m"}, {}))
    done = checked(path, Q, today=EXAMPLE_TODAY)
    if change == "more rows":
        with path.open("ab") as file:
            file.write(csv_of({}).splitlines()[1])
    elif change == "another time":
        os.utime(path, ns=(1, 1))
    else:
        # On this system what is open can still be read; the name is another file's.
        path.rename(tmp_path / "old")
        path.write_bytes((tmp_path / "old").read_bytes())
        (tmp_path / "old").unlink()
    kept = tmp_path / "corrected.csv"
    kept.write_text("last month's")

    with pytest.raises(Unusable, match=r"growing\.csv changed while it was being read"):
        correct(done, kept, tmp_path / "changes.csv")
    with pytest.raises(Unusable, match=r"growing\.csv changed while it was being read"):
        annotate(done, tmp_path / "annotated.csv")

    assert sorted(p.name for p in tmp_path.iterdir()) == ["corrected.csv", "growing.csv"]
    assert kept.read_text() == "last month's"


# ---- annotated -------------------------------------------------------------------------------------


def test_the_findings_stand_beside_each_row(annotated):
    header, first, second, third = annotated({}, {"SEX": "", "DOB": "1986-02-14"}, {"DAT": ""})

    assert header == [*Q.headers, "FINDINGS", "SEVERITY"]
    assert first[-2:] == ["", ""]
    assert second[-2:] == [
        "Write the date of birth as dd/mm/yyyy or yyyymmdd, such as 27/03/1985 or 19850327 [DOB.is_plainly_written]; "
        "Select the client's stated sex [SEX.is_given]",
        "reject",
    ]
    assert third[-1] == "exclude"


def test_values_are_kept_as_they_were_sent_and_unknown_columns_too(annotated, csv_of):
    data = csv_of({"SEX": " m", "CMSID": 'a, "b"', "MINE": "own"}, headers=["MINE", *reversed(Q.headers)])
    header, row = annotated(data=data)
    sent = rows = list(csv.reader(io.StringIO(data.decode())))

    assert header[:-2] == sent[0]
    assert row[:-2] == rows[1]


def test_cells_like_formulas_are_neutralised(annotated, csv_of):
    data = csv_of({"CMSID": "=1+1", "MINE": "@x"}, headers=[*Q.headers, "MINE"])
    header, row = annotated(data=data)

    assert row[header.index("CMSID")] == "'=1+1"
    assert row[header.index("MINE")] == "'@x"


def test_a_row_without_consent_keeps_its_place_and_nothing_else(annotated, csv_of):
    data = csv_of({"CONSENT": "N", "MINE": "secret"}, {"SEX": ""}, headers=[*Q.headers, "MINE"])
    header, without, other = annotated(data=data)

    assert not any(without[:-2])
    assert without[-2].startswith("Record consent as Y")
    assert without[-2].endswith("; Values left out, because the client does not consent")
    assert without[-1] == "reject"
    assert other[header.index("DOB")] == EXAMPLE["DOB"]


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("NE8 1", "NE8 1"),
        (" ne8  1", " ne8  1"),
        ("NE8 1AB", "NE8 1**"),
        ("ne81ab", "ne81**"),
        ("NE8 1A", "NE8**"),
        ("Newcastle NE8 1AB", "New**"),
        ("", ""),
    ],
)
def test_a_postcode_that_is_not_cut_is_struck_out(annotated, was, now):
    header, row = annotated({"PC": was})

    assert row[header.index("PC")] == now


def test_ragged_and_blank_rows_keep_their_place(annotated, csv_of):
    lines = csv_of({}, {}).decode().splitlines()
    data = "\n".join([lines[0], "1,2", "", lines[1], lines[2] + ",more,=1"]).encode()
    header, short, blank, good, long = annotated(data=data)

    assert blank == []
    assert good[-2:] == ["", ""]
    for ragged in (short, long):
        # It may be of a client who does not consent.
        assert len(ragged) == len(header)
        assert not any(ragged[:-2])
        assert ragged[-2].startswith("Give the row exactly one cell")
        wanted = len(Q.headers)
        said = (
            f"(2 cells, not {wanted})"
            if ragged is short
            else f"({wanted + 2} cells, not {wanted}, where the file ends)"
        )
        assert said in ragged[-2]
        assert "cannot be told apart" in ragged[-2]
        assert ragged[-1] == "reject"


@pytest.mark.parametrize(
    "form",
    [
        lambda text: text.encode(),
        lambda text: text.replace("\r\n", "\n").encode(),
        lambda text: text.replace("\r\n", "\r").encode(),
        lambda text: text.replace(",", ";").encode(),
        lambda text: text.replace("Example system", "Système").encode("cp1252"),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("Example system 1.0", '"Example\nsystem"').encode(),
        lambda text: text.replace("\r\n", "\r").replace("Example system 1.0", '"Example\nsystem"').encode(),
    ],
    ids=["crlf", "lf", "cr", "semicolons", "cp1252", "mark", "quoted lines", "cr with quoted lines"],
)
def test_the_copy_has_the_findings_of_the_file_itself(tmp_path, csv_of, form):
    data = form(csv_of({}, {"SEX": ""}, {"DOB": "1986-02-14"}, {"CONSENT": "N"}, {"CMSID": " x"}).decode())
    done = checked(data, Q, today=EXAMPLE_TODAY)
    annotate(done, tmp_path / "copy.csv")

    assert fired(tmp_path / "copy.csv") == fired_in(done.findings)


def test_a_copy_of_a_copy_has_the_columns_once(tmp_path, csv_of):
    path = tmp_path / "copy.csv"
    for data in (csv_of({"SEX": ""}), None):
        annotate(checked(data if data else path.read_bytes(), Q, today=EXAMPLE_TODAY), path)
    header, row = rows_of(path)

    assert header == [*Q.headers, "FINDINGS", "SEVERITY"]
    assert row[-2:] == ["Select the client's stated sex [SEX.is_given]", "reject"]


def test_columns_of_the_senders_that_are_called_like_ours_are_kept(annotated, csv_of):
    own = {"FINDINGS": "own text", "SEVERITY": "mine"}
    data = csv_of({**own, "SEX": ""}, {**own, "SEVERITY": ""}, headers=[*Q.headers, *own])
    header, first, second = annotated(data=data)

    assert header[-4:] == ["FINDINGS", "SEVERITY", "FINDINGS (cjit)", "SEVERITY (cjit)"]
    assert first[-4:] == ["own text", "mine", "Select the client's stated sex [SEX.is_given]", "reject"]
    assert second[-4:] == ["own text", "", "", ""]
    assert annotated(data=(",".join(header) + "\r\n" + ",".join(first) + "\r\n").encode()) == [header, first]


def test_a_check_that_kept_nothing_gives_the_same_copy(annotated):
    _, whole = annotated({"SEX": "", "DOB": "1986-02-14"}, skip=["DOB.*"])
    _, again = annotated({"SEX": "", "DOB": "1986-02-14"}, skip=["DOB.*"], limit=0)

    assert whole == again
    assert whole[-2] == "Select the client's stated sex [SEX.is_given]"


def test_what_differs_from_the_last_submission_is_said_too(tmp_path, csv_of):
    source, before = (open_file(csv_of({"SEX": sex}), Q) for sex in "MF")
    annotate(checked(source, Q, today=EXAMPLE_TODAY, previous=before, limit=0), tmp_path / "copy.csv")

    assert rows_of(tmp_path / "copy.csv")[1][-1] == "mismatch"
    assert "(“M” (Male), last time “F” (Female)) [SEX.is_unchanged]" in rows_of(tmp_path / "copy.csv")[1][-2]
