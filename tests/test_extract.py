import csv
import io
import re
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cjit.dataset import Code, CodeList, Kind, Severity, Status
from cjit.datasets import dataset
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.dates import Style
from cjit.engine.checking import check
from cjit.extract import NOT_SENT, BadPattern, extract, file_name, is_blank, write
from cjit.extract import canonical as canonical_rows
from cjit.files.frames import pieces_of
from cjit.files.opening import open_file
from cjit.geography import TRUNCATED

Q = dataset("Q")
AGENCY = EXAMPLE["AGNCY"]
IDS = ["CLIENTID", "EPISODID", "REFERID"]
#: The dates of the example record as an extract writes them.
EIGHT = {"DOB": "19860214", "REFLD": "20251103", "TRIAGED": "20251106", "CPLANDT": "20251120", "REFDATE": "20251201"}


def record(number=1, **changes):
    """A faultless record, of another client for each number, with changes laid over it."""
    ids = {header: f"{10000 * place + number}" for place, header in enumerate(("CLIENTID", "EPISODID", "REFERID"), 1)}
    return {**EXAMPLE, **ids, "CLIENT": f"C{number}", **changes}


def canonical(book, rows, **options):
    """The canonical form of some records as a frame."""
    return pl.DataFrame(
        canonical_rows(book, rows, **options), schema=dict.fromkeys(book.headers, pl.String), orient="row"
    )


def of_example(*changes, book=Q):
    """The canonical form of some records of different clients, as texts by header, blank as None."""
    return canonical(book, [record(n, **change) for n, change in enumerate(changes, 1)]).to_dicts()


def extracted(*rows, **options):
    return extract(Q, rows, agency=AGENCY, today=EXAMPLE_TODAY, **options)


def bytes_of(frame, **options):
    out = io.BytesIO()
    write(Q, frame.rows(), out, **options)
    return out.getvalue()


def records_of(data):
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def fired(findings):
    return set(findings.frame["rule"].cast(str))


# ---- each value as the dataset plainly writes it ---------------------------------------------------


@pytest.mark.parametrize(
    ("header", "typed", "sent"),
    [
        ("DOB", "2026-02-01", "20260201"),
        ("DOB", " 01/02/2026 ", "20260201"),
        ("DOB", "20260201", "20260201"),
        ("DOB", "1/2/2026", "20260201"),
        ("DOB", " 1/12/2999", "29991201"),
        ("SEX", "1", "M"),
        ("SEX", "2 ", "F"),
        ("SEX", " m", "M"),
        ("FINITIAL", "m", "M"),
        ("HOUSING", "03", "3"),
        ("DRUG2", "9996", None),
        ("ALCDDAYS", "007", "7"),
        ("CMSID", " Example 1 ", "Example 1"),
        ("PRISON", " \t", None),
        ("CLIENT", "a\0b", "ab"),
        ("CLIENT", "a\ud800b", "ab"),
    ],
)
def test_a_value_that_is_understood_is_plainly_written(header, typed, sent):
    (row,) = of_example({header: typed})

    assert row[header] == sent


@pytest.mark.parametrize(
    ("header", "typed"),
    [
        ("DOB", "31/02/1986"),
        ("DOB", "31/2/1986"),
        ("DOB", "1/2/86"),
        ("FINITIAL", "mc"),
        ("ALCDDAYS", "31"),
        ("DRUG1", "zz"),
    ],
)
def test_what_is_no_value_stays_as_it_was_typed_and_the_check_says_so(header, typed):
    done = extracted(record(**{header: typed}))

    assert done.frame[header].to_list() == [typed]
    assert header in {rule.split(".")[0] for rule in fired(done.findings)}


@pytest.mark.parametrize(
    ("header", "typed"),
    [
        ("DOB", " 14 Feb 1986"),
        ("SEX", " x"),
        ("FINITIAL", "ı"),
        ("FINITIAL", "Max"),
        ("ALCDDAYS", "many "),
        ("ALCUNITS", "ten, brother John 01632 960123"),
        ("NATION", "came over from Ireland as a child"),
        ("TRIAGED", "01632960123"),
        ("ALCDDAYS", "01632960123"),
    ],
)
def test_of_a_text_that_does_not_look_like_a_value_nothing_is_sent_and_the_check_says_what_is_wrong(header, typed):
    done = extracted(record(**{header: typed}))

    assert done.frame[header].to_list() == [NOT_SENT]
    assert header in {rule.split(".")[0] for rule in fired(done.findings)}


@pytest.mark.parametrize("typed", ["Heroin", "?", "from her brother John", "NR147UJ", "1011; 3201", "9990000018"])
def test_of_a_list_that_is_not_complete_such_a_text_is_sent_blank(typed):
    done = extracted(record(DRUG1=typed, DAT=typed))

    assert done.frame.select("DRUG1", "DAT").row(0) == (None, None)
    assert {"DRUG1.is_given", "DAT.is_given"} <= set(fired(done.findings))
    assert is_blank(Q, "DRUG1", typed)


@pytest.mark.parametrize("typed", ["1011", "01011", "9999", "a09b", "ZZ", "X01"])
def test_what_may_be_a_code_of_such_a_list_is_sent(typed):
    assert canonical(Q, [record(DRUG2=typed)])["DRUG2"].to_list() != [None]
    assert not is_blank(Q, "DRUG2", typed)


def test_a_very_long_text_is_blank_at_once():
    assert is_blank(Q, "DRUG1", "1" * 1_000_000 + "!")


@given(st.sampled_from(Q.headers), st.text(max_size=10) | st.from_regex(r"[0-9A-Z]{1,9}", fullmatch=True))
def test_a_form_and_a_file_agree_on_what_is_blank(header, typed):
    (row,) = canonical(Q, [record(**{"CLIENTID": "1", "EPISODID": "1", header: typed})]).to_dicts() or [{header: typed}]
    if Q.codes_of(header) and header not in ("CONSENT", "UTLA"):
        assert is_blank(Q, header, typed) == (row[header] is None)


def test_a_reference_that_says_who_the_client_is_holds_its_episodes_back():
    done = extracted(record(CLIENT="NR14 7UJ"))

    assert done.blocked
    assert [rule.id for rules in done.rejected.values() for rule in rules] == ["CLIENT.identifies_nobody"]


def test_a_faultless_record_is_sent_as_it_is_and_nothing_is_found():
    done = extracted(record())

    assert done.frame.columns == list(Q.headers)
    assert done.frame.to_dicts() == [{h: record(**EIGHT)[h] or None for h in Q.headers}]
    assert (done.findings.total, done.blocked, done.rejected, done.left_out) == (0, False, {}, {})
    assert (done.withdrawn, done.without_consent) == (0, 0)


def test_headers_left_out_are_blank_and_what_the_dataset_does_not_have_is_not_sent():
    (row,) = canonical(Q, iter([{"CONSENT": "Y", "destination": "HMP Example"}])).to_dicts()

    assert {h: v for h, v in row.items() if v is not None} == {"CONSENT": "Y"}


def test_of_no_rows_there_is_a_header_row():
    done = extracted()

    assert bytes_of(done.frame).decode() == ",".join(Q.headers) + "\r\n"
    assert not done.blocked


def test_dataset_p_has_its_own_headers():
    book = dataset("P")
    frame = canonical(book, [record(2, SUBMID="2"), record(SUBMID="1", PC="ne8 1ab")])

    assert frame.columns == list(book.headers)
    assert frame["PC"].to_list() == ["NE8 1", "NE8 1"]


# ---- the postcode ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed", ["NE8 1AB", "ne81ab", " Ne8  1aB ", "N\tE\n81 AB", "NE8\u00a01AB", "ne8\u20031 a b", "NE8 1", " ne8  1"]
)
def test_of_a_postcode_only_the_sector_is_sent(typed):
    (row,) = of_example({"PC": typed})

    assert row["PC"] == "NE8 1"


@pytest.mark.parametrize(
    "typed",
    [
        "flat 2, NE8 1AB",
        "NE8 1AB.",
        "(NE8 1AB)",
        "NE8-1AB",
        "NE8\u200b 1AB",
        "ＮＥ８ １ＡＢ",
        "NE8 1A",
        "NE81",
        "NE8 1AB NE8 1AC",
        "ſE8 1AB",
        "Norwich",
        "12A",
        "?",
    ],
)
def test_of_what_is_not_plainly_a_postcode_nothing_is_sent_and_the_check_says_so(typed):
    done = extracted(record(PC=typed))

    assert done.frame["PC"].to_list() == [NOT_SENT]
    assert "PC.is_a_postcode" in fired(done.findings)


POSTCODES = st.from_regex(r"(GIR|[A-Z]{1,2}[0-9][0-9A-Z]?)[0-9][A-Z]{2}", fullmatch=True)
JUNK = st.sampled_from(["", " ", "\u00a0", "-", ".", "\t", "\n", '"', ",", "\u200b", "\u0301", "\0", "\r\n", "xy", "1"])


@st.composite
def whole_postcodes(draw):
    """A whole postcode and a text that holds it, in either case, spaced anyhow, with anything around it."""
    whole = draw(POSTCODES)
    gap = draw(st.lists(JUNK, min_size=len(whole), max_size=len(whole)) | st.just([""] * len(whole)))
    inside = "".join(
        junk + (letter.lower() if draw(st.booleans()) else letter) for junk, letter in zip(gap, whole, strict=True)
    )
    return whole, draw(JUNK | st.text(max_size=5)) + inside + draw(JUNK | st.text(max_size=5))


@given(whole_postcodes())
def test_no_whole_postcode_is_ever_written(made):
    whole, typed = made
    data = bytes_of(canonical(Q, [record(PC=typed)]))
    (row,) = records_of(data)

    assert row["PC"] in ("", NOT_SENT) or re.fullmatch(TRUNCATED, row["PC"])
    assert whole not in re.sub(r"[^A-Z0-9]", "", data.decode().upper())


@given(st.text(st.characters(exclude_categories=()), max_size=12))
def test_whatever_is_typed_as_a_postcode_no_more_than_a_sector_is_written(typed):
    (row,) = of_example({"PC": typed})

    assert row["PC"] in (None, NOT_SENT) or re.fullmatch(TRUNCATED, row["PC"])


@pytest.mark.parametrize("header", ["DAT", "UTLA", "DRUG2", "HOUSING", "TRIAGED", "ALCUNITS", "SINITIAL"])
@pytest.mark.parametrize("typed", ["NE8 1AB", "ne81ab", "flat 2, NE8 1AB", "(NE8  1AB)", "ne8-1ab", "NE8, 1AB"])
def test_a_postcode_typed_into_another_field_is_not_sent_either(header, typed):
    done = canonical(Q, [record(**{header: typed})])

    # What is blank then, UTLA has from the sector.
    assert done[header].to_list() in ([NOT_SENT], [None], [EXAMPLE["UTLA"]])


@pytest.mark.parametrize("header", [f.header for f in Q.fields if f.codes])
def test_no_code_is_taken_for_a_postcode(header):
    codes = Q.codes_of(header)
    assert codes
    rows = [record(**{header: code, "CONSENT": "Y", "EPISODID": f"e{n}"}) for n, code in enumerate(codes.codes)]

    assert NOT_SENT not in canonical(Q, rows)[header].to_list()


# ---- the upper tier local authority ----------------------------------------------------------------


@pytest.mark.parametrize(("pc", "utla"), [("ne81ab", EXAMPLE["UTLA"]), ("ZZ99 3VZ", None), ("", None), ("x", None)])
def test_a_blank_authority_is_filled_in_where_the_sector_leaves_no_doubt(pc, utla):
    (row,) = of_example({"PC": pc, "UTLA": " "})

    assert row["UTLA"] == utla


def test_an_authority_that_was_typed_is_not_overwritten():
    first, second = of_example({"UTLA": "E10000020"}, {"UTLA": "E99999999"})

    assert (first["UTLA"], second["UTLA"]) == ("E10000020", "E99999999")


def test_an_authority_the_official_list_does_not_have_is_not_filled_in():
    codes = CodeList("UTLA", (Code("201", "Made up", status=Status.OFFICIAL),))
    (row,) = of_example({"UTLA": ""}, book=Q.with_lists({"UTLA": codes}))

    assert row["UTLA"] is None


# ---- the rows --------------------------------------------------------------------------------------


def test_rows_are_in_the_order_of_their_ids_by_code_point():
    ids = [("B", "1", "1"), ("a", "1", "1"), ("A", "2", ""), ("A", "10", "2"), ("A", "10", "1"), ("é", "1", "1")]
    frame = canonical(Q, [record(**dict(zip(IDS, row, strict=True))) for row in reversed(ids)])

    assert frame.select(IDS).rows() == [
        ("A", "10", "1"), ("A", "10", "2"), ("A", "2", None), ("B", "1", "1"), ("a", "1", "1"), ("é", "1", "1")
    ]  # fmt: skip


def test_rows_that_say_the_same_are_sent_once():
    assert len(canonical(Q, [record(PC="NE8 1AB"), record(PC="ne8 1ac"), record(2)])) == 2


# ---- consent ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("consent", ["", " ", "?", "yes", "X"])
def test_a_row_without_an_answer_to_consent_is_in_no_extract_and_is_counted(consent):
    done = extracted(record(1, CONSENT=consent), record(1, CONSENT=consent), record(2, CONSENT=" y "))

    assert done.frame.select("CLIENTID", "CONSENT").rows() == [("10002", "Y")]
    assert done.without_consent == 2
    assert not done.blocked


def test_of_a_client_who_withdrew_one_line_is_sent_whatever_was_handed_in():
    done = extracted(record(1, CONSENT="n"), record(1, CONSENT="N", EPISODID="other", SEX="x"), record(2))
    line, _ = done.frame.to_dicts()

    assert {h: v for h, v in line.items() if v is not None} == {"CLIENTID": "10001", "AGNCY": AGENCY, "CONSENT": "N"}
    assert done.withdrawn == 1
    assert done.frame.height == 2


def test_a_withdrawn_line_is_rejected_by_the_check_and_blocks_nothing():
    done = extracted({"CLIENTID": "1", "AGNCY": AGENCY, "CONSENT": "N"}, record(2))

    assert done.findings.rejected == 1
    assert fired(done.findings) == {"CONSENT.is_given"}
    assert (done.rejected, done.blocked) == ({}, False)


def test_a_client_who_withdrew_on_one_row_is_withdrawn_on_all():
    done = extracted(record(1), record(1, EPISODID="another", CONSENT="N"), record(1, CLIENTID=""))

    assert done.frame.select("CLIENTID", "EPISODID", "CONSENT").rows() == [(None, "20001", "Y"), ("10001", None, "N")]


# ---- what would be rejected ------------------------------------------------------------------------


def test_an_episode_that_would_be_rejected_blocks_the_extract_and_its_rules_are_told_in_order():
    done = extracted(record(1), record(2, REFERID="", SEX=""), record(2, SEX="", DRUG1=""), record(3, PC="?"))

    assert done.blocked
    assert {episode: [rule.id for rule in rules] for episode, rules in done.rejected.items()} == {
        "20002": ["SEX.is_given", "DRUG1.is_given", "REFERID.is_given_with_a_date"]
    }
    assert done.frame.height == 4
    assert done.left_out == {}


def test_a_record_of_another_agency_is_rejected():
    done = extract(Q, [record()], agency="CJ999", today=EXAMPLE_TODAY)

    assert [rule.id for rule in done.rejected["20001"]] == ["AGNCY.is_the_submitter"]


def test_left_out_is_the_whole_episode_and_no_other():
    rows = [record(1), record(2, REFERID="a", DRUG1=""), record(2, REFERID="b"), record(2, EPISODID="else")]
    done = extracted(*rows, record(3, CONSENT="N"), leave_out=True)

    assert done.frame["EPISODID"].to_list() == ["20001", "else", None]
    assert {episode: [rule.id for rule in rules] for episode, rules in done.left_out.items()} == {
        "20002": ["DRUG1.is_given"]
    }
    assert (done.rejected, done.blocked, done.withdrawn) == ({}, False, 1)


def test_rows_without_an_episode_id_are_rejected_together_and_withdrawn_lines_stay():
    rows = [record(1, EPISODID=""), record(2, EPISODID=" "), record(3, CONSENT="N"), record(4)]

    assert list(extracted(*rows).rejected) == [""]
    assert extracted(*rows, leave_out=True).frame["CLIENTID"].to_list() == ["10003", "10004"]


def test_what_is_left_is_checked_anew():
    # Of two clients with one reference the second would be rejected; alone, the first is no one's double.
    rows = [record(1), record(2, CLIENT="C1", SEX="")]
    before, after = extracted(*rows), extracted(*rows, leave_out=True)

    assert "CLIENT.belongs_to_one_client" in fired(before.findings)
    assert after.findings.total == 0


# ---- the bytes -------------------------------------------------------------------------------------


def test_the_file_has_crlf_no_byte_order_mark_and_quotes_only_where_needed():
    data = bytes_of(canonical(Q, [record(CMSID='Café "a", b', CLIENT="x\ny")]))
    values = {**record(**EIGHT), "CMSID": '"Café ""a"", b"', "CLIENT": '"x\ny"'}

    assert data.decode() == ",".join(Q.headers) + "\r\n" + ",".join(values[h] for h in Q.headers) + "\r\n"


def test_with_labels_each_code_is_told_in_words_and_formulas_are_neutralised():
    data = bytes_of(canonical(Q, [record(CMSID="=1+1", DRUG2="zz", CHILDWTH="98")]), labels=True)
    (row,) = records_of(data.removeprefix(b"\xef\xbb\xbf"))

    assert data.startswith(b"\xef\xbb\xbf")
    assert (row["SEX"], row["DRUG1"], row["DRUG2"]) == ("M Male", "1011 Heroin", "zz")
    assert (row["ALCDDAYS"], row["CHILDWTH"]) == ("4", "98 client declined to answer")
    assert (row["CMSID"], row["DOB"]) == ("'=1+1", EXAMPLE["DOB"])


def test_dates_are_written_in_the_style_that_is_asked_for_and_shown_with_slashes():
    (slashed,) = extracted(record(**EIGHT, DISD="2026-02-30"), style=Style.SLASHED).frame.to_dicts()
    (figures,) = extracted(record(DISD="2026-02-30")).frame.to_dicts()

    assert {h: slashed[h] for h in EIGHT} == {h: EXAMPLE[h] for h in EIGHT}
    assert {h: figures[h] for h in EIGHT} == EIGHT
    assert slashed["DISD"] == figures["DISD"] == "2026-02-30"


@pytest.mark.parametrize(
    ("reason", "started", "told"),
    [
        ("99", "", "99 Transferred – not in custody (prior to caseload)"),
        ("99", "20/11/2025", "99 Transferred – not in custody (from caseload)"),
        ("73", "", "73 No further intervention required"),
        ("9", "20/11/2025", "9 Incomplete – client died"),
    ],
)
def test_a_closure_reason_that_is_printed_twice_is_told_by_the_caseload_start(reason, started, told):
    frame = canonical(Q, [record(CPLANDT=started, CJDISRSN=reason)])
    (row,) = records_of(bytes_of(frame, labels=True).removeprefix(b"\xef\xbb\xbf"))

    assert row["CJDISRSN"] == told


# ---- the name of the file --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{agency}_{until}_{scope}.csv", "CJ123_2026-03-31_full.csv"),
        ("ndtms.csv", "ndtms.csv"),
        ("{{{agency}}} {scope}.csv", "{CJ123} full.csv"),
    ],
)
def test_a_file_is_named_by_its_pattern(pattern, name):
    assert file_name(pattern, agency=AGENCY, until=EXAMPLE_TODAY, scope="full") == name


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{client}.csv", "no placeholders"),
        ("{}.csv", "no placeholders"),
        ("{agency.x}.csv", "no placeholders"),
        ("{agency!r}.csv", "no placeholders"),
        ("{until:%Y}.csv", "no placeholders"),
        ("{agency.csv", "in curly brackets"),
        ("agency}.csv", "in curly brackets"),
        ("a/{agency}.csv", "line breaks"),
        ("..\\{agency}.csv", "line breaks"),
        ("{agency}\r\n.csv", "line breaks"),
        ("{agency}\u202e.csv", "line breaks"),
        ("C:{agency}", "line breaks"),
        ("", "full stop"),
        ("..", "full stop"),
        (".{agency}", "full stop"),
        ("{agency}. ", "full stop"),
    ],
)
def test_a_pattern_that_makes_no_file_name_is_refused_in_one_sentence(pattern, said):
    with pytest.raises(BadPattern, match=said) as refused:
        file_name(pattern, agency=AGENCY, until=EXAMPLE_TODAY, scope="full")

    assert "\n" not in str(refused.value)


def test_what_is_put_into_a_pattern_cannot_leave_the_folder_either():
    with pytest.raises(BadPattern, match="line breaks"):
        file_name("{agency}.csv", agency="../CJ1", until=date(2026, 3, 31), scope="full")


@given(st.text(st.sampled_from("{}agencyuntilscope!:.[]0/\\ \n"), max_size=20))
def test_any_pattern_gives_a_name_or_a_sentence(pattern):
    try:
        name = file_name(pattern, agency=AGENCY, until=EXAMPLE_TODAY, scope="full")
    except BadPattern:
        return
    assert name
    assert not set(name) & set("/\\\n")


# ---- the laws of an extract ------------------------------------------------------------------------

_CELLS = {
    Kind.DATE: [
        "1986-02-14",
        " 01/02/2020 ",
        "31/02/2020",
        "2999-01-01",
        "1/2/2020",
        "31/2/2020",
        "01/02/20",
        "0001-01-01",
        "",
        "2025-11-30",
        "20251130",
        "20251301",
    ],
    Kind.NUMBER: ["07", " 3", "98", "-1", "many", "", "29", "999999999999"],
    Kind.CODE: ["01", "1", "2", " m", "y", "N", "9996", "9997", "?", "", "zz", "NN", "=1", "6", "ſ"],
    Kind.INITIAL: ["m", " M", "Mc", "", "7", "ı"],
    Kind.POSTCODE: ["ne81ab", "ne8  1", "NR14 7UJ", "norwich", "", "ZZ99 3VZ", "zz993", "bt11"],
    Kind.ID: [" 10001", "10001", "", "=1+1", 'a,"b', "14021986", " \t", "cj123"],
}
_ODD = st.text(st.characters(exclude_categories=()), max_size=6) | st.text(st.sampled_from('\r\n", \t\0=x'), max_size=4)


@st.composite
def made_up(draw):
    """Some rows of few clients, episodes and referrals, with slips of every kind and any text at all."""
    rows = []
    for _ in range(draw(st.integers(0, 5))):
        number = draw(st.integers(1, 3))
        row = record(number, EPISODID=f"2{draw(st.integers(1, 3))}", REFERID=draw(st.sampled_from(["", "31", "32"])))
        for header in draw(st.lists(st.sampled_from([*Q.headers, "UTLA", "PC", "CONSENT", *IDS]), max_size=6)):
            row[header] = draw(st.sampled_from(_CELLS[Q.by_header[header].kind]) | _ODD)
        rows.append(row)
    return rows


@pytest.mark.dear
@given(made_up(), st.randoms(use_true_random=False))
def test_the_same_data_in_another_order_give_the_same_bytes(rows, chance):
    shuffled = [dict(row) for row in rows]
    chance.shuffle(shuffled)

    assert bytes_of(canonical(Q, rows)) == bytes_of(canonical(Q, shuffled))


@pytest.mark.dear
@given(made_up(), st.sampled_from(Style), st.sampled_from(Style))
def test_extracting_an_extract_changes_nothing(rows, style, other):
    data = bytes_of(canonical(Q, rows, style=style))

    assert bytes_of(canonical(Q, records_of(data), style=style)) == data
    assert bytes_of(canonical(Q, canonical(Q, rows, style=other).to_dicts(), style=style)) == data


@pytest.mark.dear
@given(made_up(), st.sampled_from(Style))
def test_an_extract_mixes_no_ways_to_write_a_date(rows, style):
    done = extracted(*rows, style=style)

    assert not {name for name in fired(done.findings) if name.endswith(("is_written_one_way", "is_written_as_listed"))}


@pytest.mark.dear
@given(made_up())
def test_what_is_read_back_is_what_was_written(rows):
    frame = canonical(Q, rows)
    if frame.is_empty():
        return
    read = pl.concat(
        [
            piece().text()
            for piece in pieces_of(
                open_file(bytes_of(frame), Q),
            )
        ]
    )

    assert read.equals(frame)


@pytest.mark.dear
@given(made_up())
def test_whatever_is_handed_in_only_consenting_rows_and_bare_withdrawn_lines_are_sent(rows):
    bare = {"CLIENTID", "AGNCY", "CONSENT"}
    for row in canonical(Q, rows).iter_rows(named=True):
        assert row["CONSENT"] == "Y" or {h for h, v in row.items() if v is not None} <= bare


@pytest.mark.dear
@given(made_up())
def test_what_is_left_is_never_rejected(rows):
    done = extracted(*rows, leave_out=True)
    assert not done.blocked
    if done.frame.is_empty():
        return
    found = check(open_file(bytes_of(done.frame), Q), Q, today=EXAMPLE_TODAY, submitter=AGENCY)

    grave = {run.rule.id: run.count for run in found.fired if run.rule.severity is Severity.REJECT}
    assert grave == ({"CONSENT.is_given": done.withdrawn} if done.withdrawn else {})
    assert found.frame.equals(done.findings.frame)


@pytest.mark.dear
@given(st.lists(_ODD, min_size=len(Q.headers), max_size=len(Q.headers)))
def test_any_text_in_any_field_gives_an_extract(texts):
    row = dict(zip(Q.headers, texts, strict=True)) | {"CONSENT": "Y"}
    done = extracted(row)

    assert done.frame.height == 1
    assert bytes_of(done.frame, labels=True)
