"""The engine's laws: valid stays silent, one mistake one message, file equals form, shuffled equals ordered."""

import dataclasses
import io
import re
from csv import writer
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cjit
from cjit.conditions import Cell
from cjit.dataset import OUR_READING, WITHDRAWN, WITHHELD, Kind, Rule, Severity
from cjit.datasets import dataset
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.engine import by_columns, by_rows, checking, judge
from cjit.engine.checking import UnknownHeader, UnknownRule, check, check_rows, in_full
from cjit.engine.checking import records as values_of
from cjit.engine.findings import Batch
from cjit.engine.records import prepared
from cjit.extract import extract
from cjit.files.opening import open_file
from cjit.files.source import Unusable


@pytest.fixture(scope="module", params=[0, checking.FEW_ROWS], ids=["by columns", "row by row"], autouse=True)
def engine(request):
    """Every test of this module is of both ways in which a table is put to the rule book."""
    few, checking.FEW_ROWS = checking.FEW_ROWS, request.param
    yield
    checking.FEW_ROWS = few


TODAY = EXAMPLE_TODAY
DATES = [field.header for field in Q.fields if field.kind is Kind.DATE]
#: The rules that are told once a file.
ONCE = {rule.id for rule in Q.rules if rule.once}
CLIENT, EPISODE, REFERRAL = "CLIENTID", "EPISODID", "REFERID"
CLOSED = {"DISD": "15/01/2026", "CJDISRSN": "10"}


def record(number=0, **values) -> dict[str, str]:
    """A faultless record of its own client, or that with some values changed."""
    own = {CLIENT: f"{20000 + number}", EPISODE: f"{30000 + number}", REFERRAL: f"{40000 + number}"}
    return {**EXAMPLE, **own, "CLIENT": f"C{number}", **values}


def frame(*records: dict[str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        [{h: r[h] or None for h in Q.headers} for r in records], schema=dict.fromkeys(Q.headers, pl.String)
    )


def found(findings) -> list[tuple[int, str]]:
    return [(row, rule) for row, rule, *_ in findings.frame.iter_rows()]


def csv(*records: dict[str, str]) -> bytes:
    return "\n".join([",".join(Q.headers), *(",".join(r[h] for h in Q.headers) for r in records), ""]).encode()


# ---- how a row is read -----------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("sent", ["N\r", '"N\r"'])
def test_a_carriage_return_at_the_end_of_a_cell_is_shown_as_it_was_sent(sent, end):
    records = [record(1), record(2, HOUSING=f"{EXAMPLE['HOUSING']}{sent.strip(chr(34))[1:]}"), record(3)]
    data = csv(*records).replace(b"\n", end.encode())
    if sent.startswith('"'):
        cell = records[1]["HOUSING"].encode()
        data = data.replace(cell, b'"' + cell + b'"')
    [seen] = check(data, today=TODAY).first(5)
    assert (seen.row, seen.rule, seen.value) == (3, "HOUSING.is_plainly_written", EXAMPLE["HOUSING"] + "\r")


def test_a_cell_that_is_nothing_but_a_carriage_return_is_blank():
    data = csv(record(1), record(2, HOUSING="?"), record(3)).replace(b"?", b"\r")
    found = check(data, today=TODAY)
    assert (found.total, found.completeness["HOUSING"].blank) == (0, 1)


@pytest.mark.parametrize(
    ("header", "sent"),
    [
        ("SEX", '"M"x'),
        ("SEX", '"F"M'),
        ("SEX", '""M'),
        ("SEX", '"M" '),
        ("SEX", '"x"é'),
        ("SEX", '""é'),
        ("DOB", '"12/05/1990"x'),
        ("CONSENT", '"Y"x'),
        ("CLIENT", '"C2"x'),
    ],
)
def test_what_follows_a_closing_quote_makes_the_file_unusable_and_is_never_lost(header, sent):
    rows = csv(record(1), record(2, **{header: sent}), record(3))
    with pytest.raises(Unusable, match="Row 3 of the file has a quotation mark out of place"):
        check(rows, today=TODAY)


@pytest.mark.parametrize(("sent", "shown"), [('x"M"', 'x"M"'), ('M"', 'M"'), ('"x""y"', 'x"y'), ('"x, y"', "x, y")])
def test_a_quote_within_a_cell_is_part_of_it(sent, shown):
    found = check(csv(record(1), record(2, SEX=sent), record(3)), today=TODAY)
    assert [(seen.row, seen.rule, seen.value) for seen in found.first(5)] == [(3, "SEX.is_in_list", shown)]


def test_cells_may_all_be_quoted():
    quoted = [{header: f'"{text}"' for header, text in record(number).items()} for number in range(20)]
    assert check(csv(*quoted), today=TODAY).total == 0


@pytest.mark.parametrize("blank", ["", " ", "\u00a0", "\u3000 "])
def test_a_row_of_nothing_but_spaces_of_any_kind_is_left_out_as_blank(blank):
    data = csv(record(1), record(2)) + f"{blank}{',' * (len(Q.headers) - 1)}\n".encode()
    found = check(data, today=TODAY)
    assert (found.rows, found.total) == (2, 0)
    assert "1 blank row was left out" in found.notes


# ---- what is said ----------------------------------------------------------------------------------


def test_a_faultless_file_is_met_with_silence():
    findings = check(csv(*(record(i) for i in range(20))), today=TODAY)
    assert (findings.rows, findings.accepted, findings.rejected, findings.queried) == (20, 20, 0, 0)
    assert findings.total == 0
    assert findings.frame.is_empty()
    assert not findings.notes


def test_an_id_of_nothing_but_spaces_is_blank_to_every_rule():
    spaces = record(1, REFERID="  ", REFDATE="")
    assert check(csv(record(0), spaces), today=TODAY).total == 0


def test_row_two_is_the_first_below_the_headers():
    findings = check(csv(record(0), record(1, SEX="")), today=TODAY)
    assert found(findings) == [(3, "SEX.is_given")]
    assert (findings.accepted, findings.rejected) == (1, 1)


@pytest.mark.parametrize("header", ["CLIENTID", "FINITIAL", "SINITIAL", "DOB", "SEX", "AGNCY", "CLIENT", "EPISODID"])
def test_a_record_without_what_must_be_completed_is_rejected(header):
    findings = check(frame(record(**{header: ""})), today=TODAY)
    assert findings.rejected == 1
    assert f"{header}.is_given" in dict(found(findings)).values()


@pytest.mark.parametrize("header", ["DAT", "REFLD", "TRIAGED"])
def test_a_record_without_these_may_be_excluded_but_is_accepted(header):
    findings = check(frame(record(**{header: ""})), today=TODAY)
    assert (findings.rejected, findings.gravest[Severity.EXCLUDE]) == (0, 1)
    assert findings.severities["exclude"] == 1


def test_a_blank_with_no_stated_consequence_is_no_finding_but_is_counted():
    findings = check(frame(record(RELIGION=""), record(1)), today=TODAY)
    assert findings.total == 0
    assert (findings.completeness["RELIGION"].filled, findings.completeness["RELIGION"].blank) == (1, 1)


def test_declined_and_not_stated_are_answers_counted_apart():
    findings = check(frame(record(ETHNIC="Z"), record(1, CHILDWTH="98", EHCS="")), today=TODAY)
    assert findings.completeness["ETHNIC"].not_answered == 1
    assert findings.completeness["CHILDWTH"].not_answered == 1


def test_a_bad_value_is_counted_as_filled_and_bad():
    completeness = check(frame(record(SEX="X")), today=TODAY).completeness["SEX"]
    assert (completeness.filled, completeness.blank, completeness.bad) == (1, 0, 1)


# ---- one mistake, one message ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"DOB": "31/02/1985"}, "DOB.is_a_date"),
        ({"TRIAGED": "nonsense"}, "TRIAGED.is_a_date"),
        ({"DISD": "32/01/2026"}, "DISD.is_a_date"),
        ({"CPLANDT": "01/01/2999"}, "CPLANDT.is_not_in_the_future"),
        ({"PARENT": "Y", "PRNTSTAT": "99"}, "PRNTSTAT.is_in_list"),
        ({"DISABLE1": "99"}, "DISABLE1.is_in_list"),
        ({"CHILDWTH": "-1"}, "CHILDWTH.is_in_range"),
        ({"PC": "NORWICH"}, "PC.is_a_postcode"),
    ],
)
def test_a_value_that_is_no_value_gives_one_message_and_quiets_the_rules_that_read_it(values, rule):
    assert [name for _, name in found(check(frame(record(**values)), today=TODAY))] == [rule]


def test_an_untidy_value_is_understood_and_queried_once():
    for values in ({"SEX": " f "}, {"FINITIAL": "m"}, {"DOB": "1986-02-14"}, {"DISABLE1": "09"}, {"ALCDDAYS": "04"}):
        (header,) = values
        findings = check(frame(record(**values)), today=TODAY)
        assert [name for _, name in found(findings)] == [f"{header}.is_plainly_written"]
        assert findings.rejected == 0


@pytest.mark.parametrize("code", ["9996", "9997"])
def test_the_code_for_no_further_substance_is_read_as_blank(code):
    header = {"9996": "DRUG2", "9997": "DRUG3"}[code]
    findings = check(frame(record(**{header: code})), today=TODAY)
    assert [name for _, name in found(findings)] == [f"{header}.is_plainly_written"]


@pytest.mark.parametrize(
    "text",
    ["01/02/20", "1/2/2020", " 1/02/2020", "01-02-2020", "01/02/2020 10:00", "02/13/2020", "٠١/٠٢/٢٠٢٠", "+1/02/2020"],
)
def test_a_date_has_its_own_pattern_before_any_parser(text):
    findings = check(frame(record(REFLD=text, TRIAGED="")), today=TODAY)
    assert "REFLD.is_a_date" in [name for _, name in found(findings)]


def test_a_year_such_as_0020_is_a_slip():
    assert (2, "REFLD.is_after_1900") in found(check(frame(record(REFLD="01/02/0020")), today=TODAY))


def test_half_a_postcode_is_not_guessed():
    assert found(check(frame(record(PC="NR14")), today=TODAY)) == [(2, "PC.is_a_postcode")]


# ---- once a file -----------------------------------------------------------------------------------


def eight(row: dict[str, str], *headers: str) -> dict[str, str]:
    """A record with its dates written as eight figures, all or some."""
    return row | {h: "".join(reversed(row[h].split("/"))) for h in headers or DATES}


def test_a_file_whose_dates_are_all_eight_figures_is_met_with_silence():
    rows = [record(i, **CLOSED) for i in range(3)]
    plain, figures = (check(csv(*some), today=TODAY) for some in (rows, map(eight, rows)))
    assert figures.total == plain.total == 0
    assert figures.completeness == plain.completeness


def test_dates_of_both_kinds_in_one_column_are_told_once_at_the_first_that_departs():
    rows = [record(0), record(1), eight(record(2)), record(3), eight(record(4), "DOB")]
    findings = check(csv(*rows), today=TODAY)
    assert found(findings) == [(4, f"{h}.is_written_one_way") for h in DATES if EXAMPLE[h]]
    assert {run.count for run in findings.fired} == {1}
    assert findings.queried == 1


def test_columns_that_are_each_written_their_own_way_are_not_mixed():
    assert check(csv(*(eight(record(i), "DOB", "TRIAGED") for i in range(3))), today=TODAY).total == 0


@pytest.mark.parametrize(
    "values",
    [
        {"DOB": "19860214", "CONSENT": "N"},  # of a client who does not consent nothing is looked at
        {"DOB": "31021986"},  # no date is written in no way
        {"DOB": "29990101"},
        {"DOB": "1986-02-14"},
        {"DOB": ""},
    ],
)
def test_what_is_no_plain_date_mixes_nothing(values):
    names = [name for _, name in found(check(csv(record(0), record(1, **values), record(2)), today=TODAY))]
    assert "DOB.is_written_one_way" not in names


def test_one_record_cannot_mix_whatever_its_fields_have():
    row = eight(record(), "DOB", "REFDATE")
    assert check_rows(Q, [row], today=TODAY) == []
    assert check(csv(row), today=TODAY).total == 0


def test_figures_for_sex_are_read_and_told_once():
    rows = [record(0), record(1, SEX="2"), record(2, SEX="1"), record(3, SEX="F")]
    findings = check(csv(*rows), today=TODAY)
    assert findings.frame.select("row", "rule", "value").rows() == [(3, "SEX.is_written_as_listed", "2")]
    assert findings.completeness["SEX"].bad == 0
    assert [told.rule.id for told in check_rows(Q, [rows[1]], today=TODAY)] == ["SEX.is_written_as_listed"]


def test_a_figure_no_sex_has_is_rejected_as_before():
    assert found(check(csv(record(SEX="3"), record(1, SEX="01")), today=TODAY)) == [
        (2, "SEX.is_in_list"),
        (3, "SEX.is_in_list"),
    ]


@pytest.mark.parametrize("size", [400, 700, 10_000])
def test_what_is_told_once_a_file_does_not_depend_on_its_pieces(size):
    rows = [
        *(record(i) for i in range(5)),
        eight(record(5, SEX="1"), "DOB"),
        *(record(i, SEX="2") for i in range(6, 9)),
    ]
    findings = check(open_file(csv(*rows), Q, piece=size), today=TODAY)
    assert sorted(found(findings)) == [(7, "DOB.is_written_one_way"), (7, "SEX.is_written_as_listed")]


def test_a_rule_told_once_is_chosen_like_any_other():
    rows = frame(record(), eight(record(1)))
    assert {name for _, name in found(check(rows, today=TODAY, only=["DOB"]))} == {"DOB.is_written_one_way"}
    skipped = check(rows, today=TODAY, skip=["*.is_written_one_way"])
    assert skipped.total == 0
    assert {run.rule.id for run in skipped.ledger if run.state == "skipped"} == {
        f"{h}.is_written_one_way" for h in DATES
    }


# ---- privacy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("consent", ["", "N", "X", "maybe"])
def test_a_row_without_consent_gives_its_number_and_nothing_else(consent):
    findings = check(frame(record(), record(1, CONSENT=consent, DOB="nonsense", PC="NR14 7UJ", SEX="")), today=TODAY)
    assert findings.frame.rows() == [(3, "CONSENT.is_given", None, None, None)]
    assert findings.rejected == 1


def test_rows_without_consent_are_not_in_the_completeness():
    findings = check(frame(record(), record(1, CONSENT="N", RELIGION="")), today=TODAY)
    assert findings.completeness["RELIGION"].blank == 0
    assert findings.completeness["RELIGION"].filled == 1


def test_rows_without_consent_take_no_part_in_rules_across_rows():
    findings = check(frame(record(), {**record(), "CONSENT": "N", "SEX": "F", REFERRAL: "9"}), today=TODAY)
    assert found(findings) == [(2, "CONSENT.is_the_same_on_every_row"), (3, "CONSENT.is_given")]


@pytest.mark.parametrize(
    ("consent", "withheld", "withdrawn"),
    [
        *[(text, True, True) for text in ("N", "n", " N ")],
        *[(text, True, False) for text in ("", "No", "no", "Yes", "YES", "1", "X", "Z", "NN")],
        *[(text, False, False) for text in ("Y", "y", "Y ")],
    ],
)
def test_only_the_code_that_says_no_withdraws_consent(consent, withheld, withdrawn):
    told = values_of(open_file(csv(record(CONSENT=consent)), Q), Q, today=TODAY)
    assert told.select(WITHHELD, WITHDRAWN).row(0) == (withheld, withdrawn)


@pytest.mark.parametrize("letter", ["P", "Q"])
def test_every_code_that_withdraws_is_in_its_list_and_shuts_the_gate(letter):
    book = dataset(letter)
    withdrawing = [(field.header, code) for field in book.fields for code in field.withdraws]
    assert withdrawing == [("CONSENT", "N")]
    for header, code in withdrawing:
        codes = book.codes_of(header)
        assert codes is not None
        assert code in codes.codes
        assert found(check(frame(record(**{header: code})), letter, today=TODAY))[0][1] == f"{header}.is_given"


@pytest.mark.parametrize("consent", ["", "N", "Yes"])
def test_a_client_whose_row_gives_no_consent_is_not_told_to_be_missing_from_the_file(consent):
    before = frame(record(0), record(0, **{EPISODE: "31", REFERRAL: "41"}), record(1), record(2))
    findings = check(frame(record(0, CONSENT=consent), record(1)), today=TODAY, previous=before)
    assert findings.notes == (
        "1 client, 1 episode and 1 referral of your last submission are not in this file: check that the extract is"
        " whole",
    )


@pytest.mark.parametrize("choice", [{"skip": ["CONSENT"]}, {"only": ["DOB"]}])
def test_consent_and_whole_rows_are_looked_at_whatever_is_chosen(choice):
    findings = check(csv(record(CONSENT="N", SEX="?")) + b"1,2\n", today=TODAY, **choice)
    assert findings.rejected == 2
    assert findings.frame["value"].to_list() == [None, f"2 cells, not {len(Q.headers)}"]


@pytest.mark.parametrize(
    "text",
    ["NE9 5CV.", "NE9-5CV", "NE9 5CV, Gateshead", "PC NE9 5CV", "NE9 OCV", "E1 1AA/E2 2BB", "E11AA.", "ＮＥ９ ５ＣＶ"],
)
def test_no_more_of_a_postcode_is_shown_than_its_beginning(text):
    (shown,) = check(frame(record(PC=text)), today=TODAY).frame["value"]
    assert shown == text[:3] + "**"
    (told,) = check_rows(Q, [record(PC=text)], today=TODAY)
    assert told.value == shown


def test_a_postcode_in_another_field_is_struck_too():
    shown = check(frame(record(NATION="NE9 5CV", DOB="ne95cv")), today=TODAY).frame["value"].to_list()
    assert sorted(shown) == ["NE9 5**", "ne95**"]


@pytest.mark.parametrize("text", ["NE8 1UJ", "ne81uj", " NE8  1UJ "])
def test_a_whole_postcode_is_never_shown_whole(text):
    findings = check(frame(record(PC=text)), today=TODAY)
    assert [name for _, name in found(findings)] == ["PC.is_truncated"]
    assert "UJ" not in findings.frame["value"][0].upper()
    (told,) = check_rows(Q, [record(PC=text)], today=TODAY)
    assert "UJ" not in (told.value or "").upper()


# ---- across rows -----------------------------------------------------------------------------------


def test_two_rows_of_one_client_must_tell_one_story():
    rows = [record(), {**record(), REFERRAL: "5", "SEX": "F"}]
    assert found(check(frame(*rows), today=TODAY)) == [
        (2, "SEX.is_the_same_on_every_row"),
        (3, "SEX.is_the_same_on_every_row"),
    ]


def test_a_blank_on_one_row_contradicts_nothing():
    rows = [record(), {**record(), REFERRAL: "5", "ETHNIC": "", "OFFENCE": ""}]
    assert found(check(frame(*rows), today=TODAY)) == []


def test_untidy_is_not_another_story():
    rows = [record(), {**record(), REFERRAL: "5", "SEX": EXAMPLE["SEX"].lower()}]
    assert found(check(frame(*rows), today=TODAY)) == [(3, "SEX.is_plainly_written")]


def test_an_episode_belongs_to_one_client():
    rows = [record(), {**record(1), EPISODE: "30000"}]
    names = {name for _, name in found(check(frame(*rows), today=TODAY))}
    assert "EPISODID.belongs_to_one_client" in names


# ---- pieces, order, form ---------------------------------------------------------------------------

odd = st.sampled_from(
    [
        ("SEX", ""), ("SEX", "x"), ("SEX", " f"), ("DOB", "2001-01-01"), ("DOB", "31/02/2020"),
        ("SEX", "1"), ("SEX", "2"), ("DOB", "20010101"), ("REFLD", "20251103"), ("REFLD", "31022020"),
        ("DISD", "01/01/2026"),
        ("CJDISRSN", "99"), ("CONSENT", "N"), ("PC", "NR14 7UJ"), ("DISABLE2", "NN"), ("ETHNIC", "Q"),
        ("NATION", "XKX"),
        ("EHCS", "5"), ("PRISON", "ZZZ"), ("TRIAGED", "01/01/1950"), ("REFDATE", ""), ("CLIENTID", "20001"),
        ("EPISODID", "30001"), ("REFERID", "40001"), ("DRUG1", ""), ("DRUG2", "9996"), ("CHILDWTH", "98"),
        ("CLIENT", "C1"),
        ("ALCUNITS", "007"), ("AGNCY", "CJ999"), ("CPLANDT", ""), ("FINITIAL", "é"),
    ]
)  # fmt: skip
records = st.lists(
    st.tuples(st.integers(0, 5), st.lists(odd, max_size=4)).map(lambda p: record(p[0], **dict(p[1]))),
    min_size=1,
    max_size=12,
)
slow = pytest.mark.dear
#: Of a test that asks both ways itself, or neither.
whichever = pytest.mark.parametrize("engine", [checking.FEW_ROWS], ids=["once"], indirect=True)


def key(findings) -> list[tuple[object, ...]]:
    return sorted(findings.frame.iter_rows(), key=repr)


def summary(findings) -> tuple[object, ...]:
    return (
        findings.rows,
        findings.accepted,
        findings.rejected,
        findings.queried,
        findings.completeness,
        findings.notes,
    )


@slow
@given(records, st.integers(300, 3000))
def test_a_file_gives_the_same_each_time_and_however_it_is_cut_into_pieces(rows, size):
    data = csv(*rows)
    whole = check(data, today=TODAY)
    assert check(data, today=TODAY).frame.equals(whole.frame)
    cut = check(open_file(data, Q, piece=size), today=TODAY)
    assert key(cut) == key(whole)
    assert summary(cut) == summary(whole)


@pytest.mark.dear
@pytest.mark.parametrize(("rows_together", "findings_together"), [(3, 10**6), (10**6, 2), (3, 2)])
@pytest.mark.parametrize("order", [lambda i: i % 7, lambda i: i // 2, lambda i: (i + 1) // 2])
def test_a_file_looked_at_some_rows_at_a_time_gives_the_same(monkeypatch, rows_together, findings_together, order):
    rows = [record(order(i), REFERID=str(40000 + i), ETHNIC="AB"[i % 2], CLIENT=f"C{i % 3}") for i in range(30)]
    whole = check(csv(*rows), today=TODAY)
    assert whole.total
    monkeypatch.setattr(judge, "ROWS_TOGETHER", rows_together)
    monkeypatch.setattr(by_columns, "_TOGETHER", findings_together)
    monkeypatch.setattr(by_rows, "_TOGETHER", findings_together)
    cut = check(open_file(csv(*rows), Q, piece=600), today=TODAY)
    assert key(cut) == key(whole)
    assert summary(cut) == summary(whole)


def test_a_client_who_consents_on_one_row_and_not_on_another_is_told():
    rows = [record(), {**record(), EPISODE: "9", REFERRAL: "9", "TRIAGED": "07/11/2025", "CONSENT": "N"}]
    names = found(check(frame(*rows), today=TODAY))
    assert (2, "CONSENT.is_the_same_on_every_row") in names
    assert [name for row, name in names if row == 3] == ["CONSENT.is_given"]


@slow
@given(records, st.randoms())
def test_shuffled_equals_ordered(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    straight = key(check(frame(*rows), today=TODAY))
    shuffled = check(frame(*(rows[i] for i in order)), today=TODAY).frame
    back = {place + 2: i + 2 for place, i in enumerate(order)}
    told = [(back[row], *rest) for row, *rest in shuffled.iter_rows()]
    # What is told of the file as a whole stands at another row.
    assert sorted((f for f in told if f[1] not in ONCE), key=repr) == [f for f in straight if f[1] not in ONCE]
    assert sorted(f[1] for f in told if f[1] in ONCE) == sorted(f[1] for f in straight if f[1] in ONCE)


@slow
@given(records)
def test_a_file_equals_its_rows_one_by_one_rules_across_rows_or_of_the_file_apart(rows):
    apart = {rule.id for rule in Q.rules if rule.across} | ONCE
    whole = [(row - 2, rule, value) for row, rule, value, *_ in check(frame(*rows), today=TODAY).frame.iter_rows()]
    single = [
        (place, finding.rule.id, finding.value)
        for place, one in enumerate(rows)
        for finding in check_rows(Q, [one], today=TODAY)
        if finding.rule.id not in ONCE
    ]
    assert sorted(single, key=repr) == sorted((f for f in whole if f[1] not in apart), key=repr)


@slow
@whichever
@given(records)
def test_a_text_looked_at_once_has_the_value_each_of_its_cells_would_have(rows):
    text = frame(*rows)
    columns = values_of(text.write_csv().encode(), Q, today=TODAY)
    columns = columns.filter(~pl.col(WITHHELD)).with_columns(pl.col("row") - 2)
    engine = prepared(Q, TODAY, None)
    kept = text[columns["row"]]

    assert {h: columns[h].to_list() for h in Q.headers} == {
        h: [engine.parse(h, each).value for each in kept[h]] for h in Q.headers
    }


@pytest.mark.parametrize("header", ["CLIENTID", "CLIENT", "EPISODID", "SEX"])
def test_a_text_of_nothing_but_spaces_is_shown_as_it_was_sent(header):
    told = check(csv(record(**{header: "  "})), today=TODAY).frame
    assert told.filter(pl.col("rule") == f"{header}.is_given")["value"].to_list() == ["  "]


@slow
@given(st.dictionaries(st.sampled_from(Q.headers), st.text(max_size=12), max_size=8))
def test_no_record_however_odd_gives_a_traceback(values):
    told = check_rows(Q, [record(**values)], today=TODAY)
    assert all(finding.rule.message for finding in told)
    check(frame(record(**values)), today=TODAY)


# ---- the calls -------------------------------------------------------------------------------------


def test_only_and_skip_choose_rules_and_the_ledger_says_so():
    bad = frame(record(SEX="", DOB=""))
    assert [name for _, name in found(check(bad, today=TODAY, only=["SEX.*"]))] == ["SEX.is_given"]
    skipped = check(bad, today=TODAY, skip=["SEX", "DOB"])
    assert skipped.total == 0
    assert {run.state for run in skipped.ledger if run.rule.header == "SEX"} == {"skipped"}


def test_a_dat_that_is_queried_is_not_counted_among_those_of_which_nothing_is_said(checked):
    notes = checked({"DAT": "A99B"}, {"DAT": "X99B"}, {"DAT": "#N/A"}).notes
    assert [note for note in notes if "(DAT)" in note and note.startswith("2 rows have codes")]
    assert not [note for note in checked({"DAT": "A99B"}).notes if "(DAT)" in note]


def test_an_unknown_rule_is_told_with_the_nearest():
    with pytest.raises(ValueError, match=r"did you mean SEX.is_given"):
        check(frame(record()), today=TODAY, only=["SEX.is_gven"])


def test_the_ledger_has_every_rule_run_or_not_applicable():
    findings = check(frame(record()), today=TODAY)
    assert {run.rule.id for run in findings.ledger} >= {rule.id for rule in Q.rules}
    assert [run.rule.id for run in findings.ledger if run.state == "not applicable"] == ["AGNCY.is_the_submitter"]


def test_a_sink_is_handed_what_the_frame_would_hold_and_keep_bounds_the_frame():
    rows = [record(i, SEX="") for i in range(9)]
    seen: list[Batch] = []
    findings = check(frame(*rows), today=TODAY, limit=4, sink=seen.append)
    assert findings.frame.height == 4
    assert findings.total == sum(part.height for part in seen) == 9


def test_each_finding_can_be_told_in_full():
    findings = check(frame(record(SEX="")), today=TODAY)
    (told,) = in_full(findings.frame, (run.rule for run in findings.ledger)).to_dicts()
    assert told["header"] == "SEX"
    assert told["severity"] == Severity.REJECT
    assert told["clause"] == "Client details: SEX"


def test_ragged_rows_are_rejected_and_nothing_in_them_is_taken_for_a_value():
    findings = check(csv(record()) + b"1,2,3\n", today=TODAY)
    assert findings.frame.rows() == [(3, "ROW.has_every_cell", f"3 cells, not {len(Q.headers)}", None, None)]
    assert (findings.rows, findings.rejected) == (2, 1)


def test_a_file_cut_off_in_its_last_row_is_said_to_be():
    findings = check(csv(record()) + b"1,2,3", today=TODAY)
    assert findings.frame["value"].to_list() == [f"3 cells, not {len(Q.headers)}, where the file ends"]
    assert findings.above == ("The file ends within row 3, so it may have been cut off: make the extract again",)
    assert check(csv(record()) + b"1,2,3\n", today=TODAY).above == ()


@pytest.mark.parametrize(
    ("end", "note"),
    [
        (
            b"",
            "2 rows are short by blank cells at the end, as spreadsheets write them; they were read with those cells"
            " blank",
        ),
        (b",,,", "2 rows have blank cells behind the last column; they were read without them"),
    ],
)
def test_records_that_a_spreadsheet_saved_short_or_long_are_checked_as_they_are_meant(end, note):
    tail = {"DISD": "", "CJDISRSN": "", "REFERID": "", "REFDATE": ""}
    lines = csv(record(**tail), record(1, **tail)).splitlines()
    findings = check(
        b"\n".join([lines[0], *(line.rstrip(b",") + (end and b",,,," + end) for line in lines[1:]), b""]), today=TODAY
    )
    assert (findings.rows, findings.total) == (2, 0)
    assert note in findings.notes


def test_rows_that_repeat_the_headers_are_a_note():
    again = dict(zip(Q.headers, Q.headers, strict=True))
    findings = check(csv(record(), again, record(1)), today=TODAY)
    assert found(findings) == [(3, "CONSENT.is_given")]
    assert findings.notes[0].startswith("1 row repeats the headers")


# ---- what stands for consent -----------------------------------------------------------------------


@pytest.mark.parametrize("word", ["Yes", "YES", "yes", "1", "TRUE", "true"])
def test_consent_spelt_otherwise_on_every_row_is_said_to_be_so_first_of_all(word):
    findings = check(csv(*(record(n, CONSENT=word) for n in range(30))), today=TODAY)
    assert findings.rejected == 30
    assert findings.above == (
        f"CONSENT says “{word}” on 30 rows and not Y: ask your software supplier to write Y, as a corrected copy"
        " has it",
    )
    assert set(findings.frame["value"]) == {None}


def test_consent_that_is_blank_on_every_row_is_a_column_that_was_not_exported():
    findings = check(csv(record(CONSENT=""), record(1, CONSENT=" ")), today=TODAY)
    assert findings.above == ("CONSENT is blank on every row: ask your software supplier to have it filled in",)
    assert check(csv(record(CONSENT=""), record(1)), today=TODAY).above == ()
    assert check(csv(record(CONSENT="N"), record(1, CONSENT="n")), today=TODAY).above == ()


def test_consent_spelt_otherwise_on_some_rows_is_not_said_to_be_mended():
    findings = check(
        csv(record(CONSENT="Yes"), record(1, CONSENT="Yes"), record(2, CONSENT="No"), record(3)), today=TODAY
    )
    assert findings.above == (
        "CONSENT says “Yes” on 2 rows and “No” on 1 row, which is none of its codes: ask your software supplier to"
        " write Y or N",
    )


@pytest.mark.parametrize(
    "texts",
    [
        ["14/02/1986"],
        ["1986-02-14"],
        ["NE8 1"],
        ["NE8 1AB"],
        ["900001"],
        ["MADEUP-005"],
        ["a sentence of many words"],
        ["eins", "zwei", "drei", "vier", "fünf", "sechs"],
        ["Yes", "14/02/1986"],
    ],
    ids=" ".join,
)
def test_where_columns_have_shifted_nothing_that_stands_in_the_place_of_consent_is_told(texts):
    findings = check(csv(*(record(n, CONSENT=text) for n, text in enumerate(texts))), today=TODAY)
    assert findings.above == (
        "CONSENT has texts on some rows that are none of its codes (Y or N): look whether the columns of those rows"
        " have shifted",
    )
    assert not any(text in str([*findings.notes, *findings.above]) for text in texts)


def wrong(value: object) -> Any:
    """A value of another type than is wanted, past the type checker."""
    return value


# ---- what is of another type -----------------------------------------------------------------------


@pytest.mark.parametrize("given_as", ["path", "text of a path", "bytes", "open file", "source"])
def test_the_last_submission_may_be_given_as_any_file_is(tmp_path, given_as):
    path = tmp_path / "last.csv"
    path.write_bytes(csv(record()))
    with path.open("rb") as file:
        ways = {"path": path, "text of a path": str(path), "bytes": csv(record()), "open file": file}
        previous = ways.get(given_as) or open_file(path, Q)
        findings = check(csv(record(SEX="F")), today=TODAY, previous=previous)
    assert found(findings) == [(2, "SEX.is_unchanged")]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: check_rows(Q, [record(ALCDDAYS=3)], today=TODAY),
            "The value of ALCDDAYS must be text as a file has it",
        ),
        (lambda: check_rows(Q, wrong(record()), today=TODAY), "put a single one into a list"),
        (lambda: check_rows(Q, wrong(None), today=TODAY), "put a single one into a list"),
        (lambda: check_rows(wrong(None), [record()], today=TODAY), "The dataset must be its letter, such as Q"),
        (lambda: check(csv(record()), wrong(5), today=TODAY), "The dataset must be its letter, such as Q"),
        (lambda: check(csv(record()), today=TODAY, only=wrong([5])), "must be named by text"),
        (lambda: check(csv(record()), today=TODAY, skip=wrong(None)), "must be named by text"),
        (lambda: check_rows(Q, wrong(["M"]), today=TODAY), "A record must be a mapping of text by header, not str"),
        (
            lambda: check_rows(Q, [record()], today=wrong("2026-03-31")),
            "today must be a date, such as date(2026, 3, 31), not str",
        ),
        (lambda: check(csv(record()), today=wrong("2026-03-31")), "today must be a date"),
        (lambda: check(wrong(7), today=TODAY), "A file must be given by its path, as bytes, or opened to read bytes"),
        (
            lambda: check(wrong(io.StringIO("CLIENTID")), today=TODAY),
            "opened to read bytes (mode “rb”), not as StringIO",
        ),
        (lambda: check(csv(record()), today=TODAY, previous=wrong([record()])), "A file must be given by its path"),
        (lambda: open_file(wrong(None), Q), "A file must be given by its path"),
        (lambda: values_of(wrong([record()]), Q, today=TODAY), "A file must be given by its path"),
        (lambda: extract(Q, [record(SEX=1)], agency="CJ123", today=TODAY), "The value of SEX must be text"),
    ],
)
def test_what_is_of_another_type_is_refused_in_a_sentence_that_says_what_is_wanted(call, sentence):
    with pytest.raises(TypeError) as refused:
        call()
    assert sentence in str(refused.value)


def test_a_misspelt_header_in_a_record_is_not_passed_over():
    for header, near in (
        ("CLIENTDI", "did you mean CLIENTID?"),
        ("EHCSC1", "did you mean EHCS?"),
        ("shoe size", "lists"),
    ):
        with pytest.raises(UnknownHeader) as refused:
            check_rows("Q", [record() | {header: "1"}], today=TODAY)
        assert near in str(refused.value)
    assert check_rows("Q", [record(PRISON=None)], today=TODAY) == []


def test_one_rule_may_be_named_without_a_list():
    findings = check(csv(record(SEX="", ETHNIC="?")), today=TODAY, only="SEX")
    assert found(findings) == [(2, "SEX.is_given")]


def test_codes_that_an_incomplete_list_does_not_have_are_a_note_and_no_finding():
    findings = check(frame(record(DRUG1="1234"), record(1, DRUG1="1235")), today=TODAY)
    assert findings.total == 0
    (note,) = findings.notes
    assert note.startswith("2 rows")
    assert "cjit reference install DRUG FILE" in note


def test_the_package_is_called_by_its_name_whatever_was_imported_first():
    assert cjit.check(frame(record()), today=TODAY).total == 0
    assert cjit.check(frame(record()), "Q", today=TODAY).rows == 1


def test_dataset_p_is_checked_by_the_same_engine():
    book = dataset("P")
    row = {h: EXAMPLE.get(h, "") for h in book.headers}
    text = pl.DataFrame([{h: v or None for h, v in row.items()}], schema=dict.fromkeys(book.headers, pl.String))
    findings = check(text, book, today=date(2021, 3, 31))
    assert findings.rows == 1


def test_an_empty_frame_has_no_records_and_no_findings():
    findings = check(frame(record()).head(0), today=TODAY)
    assert (findings.rows, findings.total) == (0, 0)


# ---- since the last submission ---------------------------------------------------------------------


@pytest.mark.parametrize("header", ["FINITIAL", "SINITIAL", "DOB", "SEX", "AGNCY", "REFLD"])
def test_six_fields_make_a_validation_mismatch_when_changed(header):
    other = {"FINITIAL": "Q", "SINITIAL": "Q", "DOB": "15/02/1986", "SEX": "M", "AGNCY": "CJ987", "REFLD": "02/11/2025"}
    value = other[header] if other[header] != EXAMPLE[header] else "F"
    findings = check(frame(record(**{header: value})), today=TODAY, previous=frame(record()))
    (told,) = [f for f in findings.frame.to_dicts() if f["rule"] == f"{header}.is_unchanged"]
    assert (told["value"], told["previous"]) == (value, EXAMPLE[header])
    assert findings.severities["mismatch"] == 1


def test_a_value_that_should_not_change_is_taken_as_a_correction_with_a_query():
    findings = check(frame(record(ETHNIC="B")), today=TODAY, previous=frame(record(ETHNIC="A")))
    assert found(findings) == [(2, "ETHNIC.is_unchanged")]
    assert findings.severities["query"] == 1


def test_another_way_to_write_a_date_or_a_sex_is_no_change():
    now = [eight(record(i, SEX="1", **CLOSED)) for i in range(3)]
    findings = check(frame(*now), today=TODAY, previous=frame(*(record(i, SEX="M", **CLOSED) for i in range(3))))
    assert [name for _, name in found(findings)] == ["SEX.is_written_as_listed"]


def test_blank_to_filled_is_never_a_change():
    assert check(frame(record()), today=TODAY, previous=frame(record(ETHNIC="", OFFENCE=""))).total == 0


def test_filled_to_blank_is_a_query():
    findings = check(frame(record(ETHNIC="")), today=TODAY, previous=frame(record()))
    assert found(findings) == [(2, "ETHNIC.is_still_filled")]


def test_what_may_change_may_change():
    now = record(CMSID="OTHER 2", PC="NR14 8")
    assert [n for _, n in found(check(frame(now), today=TODAY, previous=frame(record()))) if "unchanged" in n] == []


def test_the_same_file_again_has_no_changes():
    rows = [record(i) for i in range(5)]
    assert check(frame(*rows), today=TODAY, previous=frame(*reversed(rows))).total == 0


def test_a_rule_that_no_pattern_finds_is_asked_of_every_id():
    rule = Rule(
        "CLIENTID.has_figures_only",
        Severity.QUERY,
        "Write the client ID in figures only",
        OUR_READING,
        ~Cell("CLIENTID").matches("^[0-9]+$"),
        breaks={"CLIENTID": "A1"},
        holds={"CLIENTID": "1"},
        reading="Made up.",
    )
    stricter = dataclasses.replace(Q, written=(*Q.written, rule))
    told = check(frame(record(), record(1, CLIENTID="A17"), record(2)), stricter, today=TODAY)
    assert found(told) == [(3, rule.id)]


@pytest.mark.parametrize("skip", [(), ("CLIENTID.is_no_placeholder",)])
def test_what_stands_for_an_id_and_is_none_makes_no_one_client_whichever_rules_are_asked(skip):
    rows = [record(CLIENTID="NULL"), record(1, CLIENTID="NULL", ETHNIC="B")]
    names = [name for _, name in found(check(frame(*rows), today=TODAY, skip=skip))]
    assert names == ([] if skip else ["CLIENTID.is_no_placeholder"] * 2)


# ---- what cannot be checked ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"today": datetime(2026, 3, 31, 9, tzinfo=UTC)}, "today must be a date"),
        ({"submitter": 3}, "The submitter must be an agency's code as text, not int"),
        ({"limit": "3"}, "The limit must be a number of findings, or None for all, not str"),
        ({"sink": 3}, "The sink must be something to call, not int"),
        ({"progress": "bar"}, "The progress must be something to call, not str"),
    ],
)
def test_options_of_another_type_are_refused_in_a_sentence(options, sentence):
    with pytest.raises(TypeError, match=sentence):
        check(csv(record()), **({"today": TODAY} | options))


def test_a_limit_below_nothing_is_refused():
    with pytest.raises(ValueError, match="The limit must be 0 or more"):
        check(csv(record()), today=TODAY, limit=-1)


@pytest.mark.parametrize(
    ("columns", "error", "sentence"),
    [
        ({"SEX": "M"}, TypeError, "The column SEX must be a list of texts, not str"),
        ({"SEX": [1]}, TypeError, "The column SEX must have text as a file has it"),
        ({"SEX": ["M"], "DOB": []}, ValueError, "a text for each record: they are of different lengths"),
        ({"sex": ["M"]}, Unusable, "No column has a header of dataset Q"),
        ({}, Unusable, "No column has a header of dataset Q"),
    ],
)
def test_columns_that_are_none_are_refused_in_a_sentence(columns, error, sentence):
    with pytest.raises(error, match=sentence):
        check(columns, today=TODAY)


def test_a_frame_without_a_known_header_is_refused_in_a_sentence():
    with pytest.raises(Unusable, match="No column has a header of dataset Q"):
        check(pl.DataFrame({"sex": ["M"]}), today=TODAY)


def test_a_frame_may_call_a_field_by_its_other_name():
    [other] = [(name, field.header) for field in Q.fields for name in field.also][:1]
    own = frame(record(1), record(2))
    renamed = own.rename({other[1]: other[0]})
    columns = renamed.to_dict(as_series=False)
    assert check(renamed, today=TODAY).frame.equals(check(own, today=TODAY).frame)
    assert check(columns, today=TODAY).frame.equals(check(own, today=TODAY).frame)


def test_two_columns_for_one_field_are_refused_and_none_is_lost():
    name, header = next((name, field.header) for field in Q.fields for name in field.also)
    own = frame(record(1))
    twice = own.with_columns(pl.lit("0").alias(name))
    sentence = re.escape(f"The columns {header} and {name} are one and the same field")
    for columns in (twice, twice.to_dict(as_series=False)):
        with pytest.raises(Unusable, match=sentence):
            check(columns, today=TODAY)


def test_a_rule_on_changes_may_be_left_out_where_nothing_is_compared_but_not_asked_for():
    assert check(csv(record()), today=TODAY, skip=["SEX.is_unchanged"]).total == 0
    with pytest.raises(UnknownRule, match=r"SEX\.is_unchanged holds a file against the last submission"):
        check(csv(record()), today=TODAY, only=["SEX.is_unchanged"])


def test_headers_after_the_mark_of_a_second_file_are_headers_again():
    whole = csv(record(1)) + b"\xef\xbb\xbf" + csv(record(2))
    found = check(whole, today=TODAY)
    assert "1 row repeats the headers" in " ".join(found.notes)
    assert found.above == ()


def test_a_row_of_nobody_hides_no_record_that_is_missing():
    before = [record(1), record(2, CLIENTID="", EPISODID="77", REFERID="")]
    now = [record(1), record(3, CLIENTID="", CONSENT="", EPISODID="", REFERID="")]
    notes = check(csv(*now), today=TODAY, previous=csv(*before)).notes
    assert any("1 episode of your last submission is not in this file" in note for note in notes)


# ---- engine against engine -------------------------------------------------------------------------

WORDS = """
a"b "x"y " "" , ,, é ſ NULL N/A 1e5 31/02/2020 2020-02-01 20200201 01/02/0020 Y N yes =1+1 １ 000 98 007
"""
ODD_TEXTS = st.sampled_from(
    [
        *WORDS.split(),
        "",
        " ",
        "\t",
        "\n",
        "\x0b",
        "\x1a",
        "\x85",
        "\u00a0",
        "\u200b",
        "N\r",
        "\r",
        "NR14 7UJ",
        "ZZ99 3VZ",
        "Z" * 50,
    ]
)
ID_PLACES = [Q.headers.index(header) for header in (CLIENT, EPISODE, REFERRAL, "CLIENT")]
DAMAGE = st.lists(
    st.one_of(
        st.tuples(st.just("cell"), st.integers(1, 9), st.integers(0, 48), ODD_TEXTS),
        st.tuples(st.just("copy"), st.integers(1, 9), st.integers(0, 48), st.integers(1, 9)),
        st.tuples(st.just("swap"), st.integers(1, 9), st.integers(0, 48), st.integers(1, 9)),
        st.tuples(st.just("spaced"), st.integers(1, 9), st.sampled_from(ID_PLACES), st.sampled_from([" ", "\u00a0"])),
        st.tuples(st.just("short"), st.integers(1, 9), st.integers(0, 48), st.none()),
        st.tuples(st.just("long"), st.integers(1, 9), st.integers(0, 48), st.sampled_from(["", "x"])),
        st.tuples(st.just("blank"), st.integers(1, 9), st.integers(0, 48), st.none()),
    ),
    max_size=12,
)


def damaged(damage, separator: str, end: str) -> bytes:
    rows = [list(Q.headers), *([r[h] for h in Q.headers] for r in (record(i // 2, REFERID=str(i)) for i in range(9)))]
    for what, row, place, with_what in damage:
        cells = rows[row]
        match what:
            case "cell":
                cells[place : place + 1] = [with_what]
            case "copy":
                cells[place : place + 1] = rows[with_what][place : place + 1]
            case "swap":
                rows[row], rows[with_what] = rows[with_what], rows[row]
            case "spaced":
                cells[place : place + 1] = [text + with_what for text in cells[place : place + 1]]
            case "short":
                del cells[place:]
            case "long":
                cells.insert(place, with_what)
            case "blank":
                cells[:] = [""] * len(cells)
    out = io.StringIO(newline="")
    writer(out, delimiter=separator, lineterminator=end).writerows(rows)
    return out.getvalue().encode()


@pytest.mark.dear
@whichever
@given(DAMAGE, st.sampled_from([",", ";"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_both_engines_say_the_same_of_any_damaged_file(damage, separator, end, compared):
    data = damaged(damage, separator, end)
    previous = damaged((), ",", "\n") if compared else None
    answers: list[tuple[object, ...]] = []
    few = checking.FEW_ROWS
    for limit in (-1, 10**9):
        checking.FEW_ROWS = limit
        try:
            found = check(data, today=TODAY, previous=previous)
            answers.append((key(found), summary(found), found.notes, found.above, found.ledger))
        except Unusable as refused:
            answers.append((str(refused),))
        finally:
            checking.FEW_ROWS = few
    assert answers[0] == answers[1]
