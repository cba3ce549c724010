import csv
import io
import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cjit.dataset import Code, CodeList, Status
from cjit.datasets import dataset
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.engine.checking import check
from cjit.engine.findings import FindingBatch, Line, frame_of
from cjit.files.opening import open_file
from cjit.report import version
from cjit.report.findings_csv import csv_findings
from cjit.report.findings_json import JsonFindings, to_json

Q = dataset("Q")
ISO_DATE, NO_SEX, NO_CONSENT = {"DOB": "1986-02-14"}, {"SEX": ""}, {"CONSENT": "N"}
BOOK = version.file_rules(Q)
FAULTLESS = check(pl.DataFrame([EXAMPLE]), Q, today=EXAMPLE_TODAY)


def frame(*rows, **more):
    """A frame of findings as a check hands it to a sink, from (row, rule, value, client, episode)."""
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "row": pl.UInt32,
        "rule": pl.Enum([rule.id for rule in BOOK]),
        "value": pl.String,
        "client": pl.String,
        "episode": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(**more)


def lines_of(written: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written.decode("utf-8-sig"), newline="")))


def csv_written(source, *frames) -> bytes:
    out = io.BytesIO()
    sink = csv_findings(out, BOOK, source)
    for found in frames:
        sink(found)
    return out.getvalue()


# ---- JSON ------------------------------------------------------------------------------------------


def test_the_json_has_its_keys_in_their_order(checked):
    document = json.loads(to_json(checked(ISO_DATE, NO_SEX)))

    assert list(document) == [
        "dataset", "engine", "rules_version", "file", "summary", "completeness", "findings", "notes",
    ]  # fmt: skip
    assert list(document["file"]) == [
        "name", "sha256", "rows", "missing_headers", "unknown_headers", "renamed_headers",
    ]  # fmt: skip
    assert list(document["summary"]) == ["rows", "accepted", "rejected", "findings", "rules"]
    assert document["summary"]["findings"] == {"reject": 1, "exclude": 0, "mismatch": 0, "query": 1}
    assert list(document["completeness"]) == list(Q.headers)
    assert document["completeness"]["SEX"] == {"filled": 1, "blank": 1, "not_answered": 0, "bad": 0}
    assert document["findings"] == [
        {
            "row": 2,
            "header": "DOB",
            "rule": "DOB.is_plainly_written",
            "severity": "query",
            "value": "1986-02-14",
            "message": "Write the date of birth as dd/mm/yyyy or yyyymmdd, such as 27/03/1985 or 19850327",
            "clause": "Client details: DOB",
        },
        {
            "row": 3,
            "header": "SEX",
            "rule": "SEX.is_given",
            "severity": "reject",
            "value": None,
            "message": "Select the client's stated sex",
            "clause": "Client details: SEX",
        },
    ]


def test_the_json_names_the_file_and_its_hash(checked, csv_of):
    import hashlib

    file = json.loads(to_json(checked({}, name="march.csv")))["file"]

    assert file["name"] == "march.csv"
    assert file["rows"] == 1
    assert file["sha256"] == hashlib.sha256(csv_of({})).hexdigest()


def test_the_json_of_no_findings_is_whole(checked):
    document = json.loads(to_json(checked({}, submitter="CJ123")))

    assert document["findings"] == []
    assert document["notes"] == []


def test_the_json_says_which_official_lists_were_used(csv_of):
    codes = CodeList("SEX", tuple(Code(c, "Example", status=Status.OFFICIAL, source="installed") for c in "MF"))
    document = json.loads(to_json(check(csv_of({}), Q.with_lists({"SEX": codes}), today=EXAMPLE_TODAY)))

    assert document["notes"] == ["The official list for SEX was used, installed"]


def test_an_invisible_character_in_an_id_comes_whole_into_the_json(checked):
    (finding,) = json.loads(to_json(checked({"CLIENT": "C1\u200b\t\u00a02"})))["findings"]

    assert finding["rule"] == "CLIENT.has_no_invisible_characters"
    assert finding["value"] == "C1\u200b\t\u00a02"


def test_a_rule_that_did_not_run_has_no_count(checked):
    rules = json.loads(to_json(checked(NO_SEX, skip=["DOB.*"])))["summary"]["rules"]

    assert rules["SEX.is_given"] == 1
    assert rules["CLIENT.is_given"] == 0
    assert "DOB.is_given" not in rules
    assert "AGNCY.is_the_submitter" not in rules


def test_a_row_without_consent_has_its_number_and_no_value(checked):
    (finding,) = json.loads(to_json(checked(NO_CONSENT)))["findings"]

    assert (finding["row"], finding["header"], finding["value"]) == (2, "CONSENT", None)


def test_json_needs_all_findings_or_a_sink(checked):
    with pytest.raises(ValueError, match="limit=None"):
        to_json(checked(NO_SEX, NO_SEX, limit=1))


def test_findings_come_one_a_line(checked):
    written = to_json(checked(NO_SEX, NO_SEX))

    assert sum('"row": ' in line for line in written.splitlines()) == 2


@given(st.lists(st.none() | st.text(st.characters(codec="utf-8") | st.sampled_from('"\\\n\r\t\x00\x1f\x7f,{}'))))
def test_any_value_survives_json(values):
    out = io.BytesIO()
    with JsonFindings(BOOK) as kept:
        for value in values:
            kept(frame((2, "DOB.is_a_date", value, None, None)))
        kept.write(out, FAULTLESS)

    assert [finding["value"] for finding in json.loads(out.getvalue())["findings"]] == values


def test_a_comparison_adds_what_was_sent_before(checked):
    out = io.BytesIO()
    with JsonFindings(BOOK) as kept:
        kept(frame((2, "SEX.is_given", "M", None, None), previous=pl.lit("F")))
        kept.write(out, checked({}))

    assert json.loads(out.getvalue())["findings"][0]["previous"] == "F"


def test_a_file_name_that_is_not_utf_8_is_written_all_the_same(checked):
    assert json.loads(to_json(checked({}, name="m\udce4rz.csv")))["file"]["name"] == "m\ufffdrz.csv"


# ---- CSV -------------------------------------------------------------------------------------------


def test_the_csv_has_row_cell_rule_texts_and_the_senders_ids(csv_of, checked):
    source = open_file(csv_of(ISO_DATE, NO_SEX), Q)
    written = csv_written(source, checked(ISO_DATE, NO_SEX).frame)

    assert lines_of(written) == [
        {
            "row": "2",
            "cell": "D2",
            "header": "DOB",
            "rule": "DOB.is_plainly_written",
            "severity": "query",
            "value": "1986-02-14",
            "message": "Write the date of birth as dd/mm/yyyy or yyyymmdd, such as 27/03/1985 or 19850327",
            "clause": "Client details: DOB",
            "CLIENTID": "10001",
            "EPISODID": "30001",
        },
        {
            "row": "3",
            "cell": "E3",
            "header": "SEX",
            "rule": "SEX.is_given",
            "severity": "reject",
            "value": "",
            "message": "Select the client's stated sex",
            "clause": "Client details: SEX",
            "CLIENTID": "10002",
            "EPISODID": "30002",
        },
    ]


def test_the_cell_is_that_of_the_senders_own_order(csv_of):
    source = open_file(csv_of({}, headers=["Mine", *reversed(Q.headers)]), Q)
    (line,) = lines_of(csv_written(source, frame((7, "REFDATE.is_a_date", "x", "1", "2"))))

    assert line["cell"] == "B7"


def test_a_row_as_a_whole_and_a_column_that_is_missing_have_no_cell(csv_of):
    source = open_file(csv_of({}, headers=[h for h in Q.headers if h != "PC"]), Q)
    found = frame((2, "ROW.has_every_cell", None, None, None), (3, "PC.is_a_postcode", "x", "1", "2"))
    row, postcode = lines_of(csv_written(source, found))

    assert (row["cell"], row["header"], row["CLIENTID"]) == ("", "", "")
    assert postcode["cell"] == ""


def test_a_comparison_has_a_column_for_what_was_sent_before(csv_of):
    out = io.BytesIO()
    sink = csv_findings(out, BOOK, open_file(csv_of({}), Q), compared=True)
    sink(frame((2, "SEX.is_given", None, "1", "2"), previous=pl.lit("=F")))
    (line,) = lines_of(out.getvalue())

    assert list(line)[5:8] == ["value", "previous", "message"]
    assert (line["value"], line["previous"]) == ("", "'=F")


def test_the_csv_opens_in_excel(csv_of):
    written = csv_written(open_file(csv_of({}), Q), frame((2, "CMSID.is_plainly_written", " é", "1", "2")))

    assert written.startswith(b"\xef\xbb\xbfrow,cell,")
    assert written.count(b"\r\n") == 2
    assert written.count(b"\n") == 2


def test_the_csv_of_no_findings_has_its_header(csv_of):
    assert lines_of(csv_written(open_file(csv_of({}), Q))) == []
    assert csv_written(open_file(csv_of({}), Q)).endswith(b"EPISODID\r\n")


@given(value=st.text(), client=st.text(), episode=st.text())
def test_any_text_survives_csv_but_is_never_a_formula(value, client, episode):
    source = open_file((",".join(Q.headers) + "\n" + "," * 48 + "1\n").encode(), Q)
    (line,) = lines_of(csv_written(source, frame((2, "DOB.is_a_date", value, client, episode))))

    for was, now in ((value, line["value"]), (client, line["CLIENTID"]), (episode, line["EPISODID"])):
        assert now in (was, "'" + was)
        assert not now.lstrip().startswith(("=", "+", "-", "@"))


def test_batches_follow_one_another(csv_of):
    batches = [frame((row, "SEX.is_given", None, "1", "2")) for row in (2, 3, 4)]
    written = csv_written(open_file(csv_of({}), Q), *batches)

    assert [line["row"] for line in lines_of(written)] == ["2", "3", "4"]


# ---- from either engine ----------------------------------------------------------------------------

VALUES = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


@given(st.lists(st.tuples(st.integers(2, 10**6), st.sampled_from(BOOK), VALUES, VALUES, VALUES, VALUES), max_size=8))
def test_findings_as_lists_and_as_a_frame_are_written_in_the_same_bytes(found):
    batch = FindingBatch([Line(row, rule.id, *texts) for row, rule, *texts in found], compared=True)
    as_frame = frame_of(batch, [rule.id for rule in BOOK])
    source = open_file(",".join(Q.headers).encode() + b"\n" + b"," * (len(Q.headers) - 1) + b"1\n", Q)
    written = []
    for each in (batch, as_frame):
        out = io.BytesIO()
        csv_findings(out, BOOK, source, compared=True)(each)
        with JsonFindings(BOOK) as sink:
            sink(each)
            sink.write(out, FAULTLESS)
        written.append(out.getvalue())
    assert written[0] == written[1]
