"""Past one machine the findings are those of one machine, agency by agency."""

import os
import sys
from collections.abc import Iterator, Mapping

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cjit
from cjit.datasets import UnknownDataset
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.spark import check, linked_rows
from cjit.testdata.faults import with_faults
from cjit.testdata.histories import histories

TODAY = EXAMPLE_TODAY
SENT_BY, ROW = "sent_by", "number"


@pytest.fixture(scope="module")
def session() -> Iterator:
    """Spark Connect: Sail in this process, or the server at CJIT_SPARK_REMOTE."""
    from pyspark.sql import SparkSession

    remote = os.environ.get("CJIT_SPARK_REMOTE")
    server = None
    if remote is None:
        os.environ.setdefault("RUST_LOG", "error")
        from pysail.spark import SparkConnectServer

        server = SparkConnectServer()
        server.start(background=True)
        host, port = server.listening_address
        remote = f"sc://{host}:{port}"
    with pytest.MonkeyPatch.context() as patched:
        # A worker of pytest-xdist has no main file, which PySpark takes for a run of its own doctests.
        patched.setattr(sys.modules["__main__"], "__file__", __file__, raising=False)
        spark = SparkSession.builder.remote(remote).getOrCreate()
    yield spark
    spark.stop()
    if server is not None:
        server.stop()


def record(client: int, **values: str) -> dict[str, str]:
    own = {"CLIENTID": f"{20000 + client}", "EPISODID": f"{30000 + client}", "REFERID": f"{40000 + client}"}
    return {**EXAMPLE, **own, "CLIENT": f"C{client}", **values}


def frame(*records: Mapping[str, str]) -> pl.DataFrame:
    texts = dict.fromkeys(Q.headers, pl.String)
    return pl.DataFrame([{h: r[h] or None for h in Q.headers} for r in records], schema=texts)


def numbered(agency: str, records: pl.DataFrame, first: int = 2) -> pl.DataFrame:
    numbers = pl.int_range(first, first + records.height, dtype=pl.Int64, eager=True).alias(ROW)
    return records.with_columns(numbers, pl.lit(agency).alias(SENT_BY))


def sent(session, *frames: pl.DataFrame):
    """Frames as one in Spark, their rows in no order."""
    return session.createDataFrame(pl.concat(frames).sample(fraction=1, shuffle=True, seed=5).to_arrow())


def collected(found) -> pl.DataFrame:
    findings = pl.from_arrow(found.toArrow())
    assert isinstance(findings, pl.DataFrame)
    return in_order(findings)


def in_order(findings: pl.DataFrame) -> pl.DataFrame:
    return findings.sort(findings.columns, nulls_last=True)


def one_machine(frames: Mapping[str, pl.DataFrame], before: Mapping[str, pl.DataFrame] | None = None) -> pl.DataFrame:
    """What `cjit.check` finds in the records of each agency."""
    found = []
    for agency, records in frames.items():
        previous = None if before is None else before.get(agency, records.clear())
        findings = cjit.check(records, today=TODAY, submitter=agency, previous=previous).frame
        plain = findings.with_columns(pl.col("rule").cast(pl.String), pl.col("row").cast(pl.Int64))
        found.append(plain.select(pl.lit(agency).alias("agency"), pl.all()))
    return in_order(pl.concat(found))


def rules(findings: pl.DataFrame) -> list[str]:
    return findings["rule"].to_list()


#: Slips that no single row shows: what they are told of lies in rows of two clients, or anywhere in the file.
ACROSS = (
    record(1, EPISODID="one for two"),
    record(2, EPISODID=" one for two"),
    record(3, CLIENT="shared"),
    record(4, CLIENT="shared", EPISODID="begins a chain"),
    record(5, EPISODID="begins a chain", REFERID="ends it"),
    record(6, REFERID="ends it", SEX="X"),
    record(7, CONSENT="N"),
    record(7, EPISODID="another", REFERID=""),
    record(8, SEX="2", CONSENT=" y"),
    record(9, DOB="19860214"),
    record(10, SEX="1", CONSENT="N"),
    record(11, CLIENTID="NULL", EPISODID="NULL"),
    record(12, CLIENTID="NULL", EPISODID="NULL", DOB=""),
)


@pytest.fixture(scope="module")
def months() -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame]]:
    """The last two submissions of some agencies by agency, with faults in both; one agency has none before."""
    before: dict[str, pl.DataFrame] = {}
    now: dict[str, pl.DataFrame] = {}
    for submission in histories(Q, agencies=3, clients=25, months=2, today=TODAY, seed=4):
        faulty, _ = with_faults(submission.frame, Q, 0.04, submission.name)
        (now if submission.month == TODAY else before)[submission.agency] = faulty
    now["CJ123"] = frame(*ACROSS)
    before["CJ123"] = frame(*(row | {"SINITIAL": "P", "ETHNIC": "Z"} for row in reversed(ACROSS)))
    now["CJ124"] = frame(*(row | {"AGNCY": "CJ124"} for row in ACROSS[:3]))
    return {agency: numbered(agency, rows) for agency, rows in now.items()}, {
        agency: numbered(agency, rows, first=90) for agency, rows in before.items()
    }


WAYS = pytest.mark.parametrize("rows_together", [1_000_000, 12], ids=["whole", "split"])


@WAYS
@pytest.mark.process
def test_the_findings_are_those_of_one_machine(session, months, rows_together):
    now, _ = months
    found = check(
        sent(session, *now.values()),
        today=TODAY,
        submitter_column=SENT_BY,
        row_column=ROW,
        rows_together=rows_together,
    )
    expected = one_machine(now)
    assert {
        "EPISODID.belongs_to_one_client",
        "REFERID.belongs_to_one_episode",
        "CLIENT.belongs_to_one_client",
        "CONSENT.is_the_same_on_every_row",
        "DOB.is_written_one_way",
        "SEX.is_written_as_listed",
    } <= set(rules(expected))
    assert collected(found).equals(expected)


@WAYS
@pytest.mark.process
def test_so_are_the_findings_of_what_changed_since_the_last_submission(session, months, rows_together):
    now, before = months
    found = check(
        sent(session, *now.values()),
        today=TODAY,
        previous=sent(session, *before.values()),
        submitter_column=SENT_BY,
        row_column=ROW,
        rows_together=rows_together,
    )
    expected = one_machine(now, before)
    assert {"SINITIAL.is_unchanged", "ETHNIC.is_unchanged"} <= set(rules(expected))
    assert collected(found).equals(expected)


@pytest.mark.process
def test_an_agency_that_sends_nothing_has_no_findings(session):
    rows = numbered("CJ123", frame(record(1)))
    others = numbered("CJ999", frame(record(2)))
    found = check(
        sent(session, rows), today=TODAY, previous=sent(session, others), submitter_column=SENT_BY, row_column=ROW
    )
    assert collected(found).is_empty()


@pytest.mark.process
def test_the_same_id_at_two_agencies_is_two_clients(session):
    here, there = numbered("CJ123", frame(record(1))), numbered("CJ124", frame(record(1, AGNCY="CJ124", SINITIAL="Z")))
    found = check(sent(session, here, there), today=TODAY, row_column=ROW)
    assert collected(found).is_empty()


@pytest.mark.process
def test_without_a_column_that_says_who_sent_it_the_agency_is_agncy_less_outer_spaces(session):
    rows = frame(record(1, SINITIAL="P"), record(1, AGNCY="\u2003CJ123 ", REFERID="5"), record(2, AGNCY=""))
    found = collected(check(sent(session, numbered("anybody", rows)), today=TODAY, row_column=ROW))
    told = [(agency, row, rule) for agency, row, rule in found.select("agency", "row", "rule").iter_rows()]
    assert ("CJ123", 2, "SINITIAL.is_the_same_on_every_row") in told
    assert ("CJ123", 3, "AGNCY.is_plainly_written") in told
    assert (None, 4, "AGNCY.is_given") in told
    assert {agency for agency, *_ in told} == {"CJ123", None}


@pytest.mark.process
def test_a_row_that_was_sent_for_somebody_else_is_told(session):
    rows = numbered("CJ999", frame(record(1)))
    found = collected(check(sent(session, rows), today=TODAY, submitter_column=SENT_BY, row_column=ROW))
    assert found.select("agency", "row", "rule", "value").rows() == [("CJ999", 2, "AGNCY.is_the_submitter", "CJ123")]


@pytest.mark.process
def test_rows_without_a_number_count_from_two_in_the_order_of_the_file(session, tmp_path):
    path = tmp_path / "extract.csv"
    frame(*(record(i, SEX="" if i % 7 == 3 else "M") for i in range(50))).write_csv(path)
    read = session.read.csv(str(path), header=True, inferSchema=False)
    found = collected(check(read, today=TODAY))
    assert found["row"].to_list() == list(range(5, 52, 7))
    assert set(rules(found)) == {"SEX.is_given"}


@pytest.mark.process
def test_a_header_without_a_column_is_blank(session):
    rows = numbered("CJ123", frame(record(1)).drop("SEX"))
    found = collected(check(sent(session, rows), today=TODAY, row_column=ROW))
    assert rules(found) == ["SEX.is_given"]


@pytest.mark.process
def test_two_rows_with_the_same_number_are_told_of_and_not_put_in_some_order(session):
    rows = numbered("CJ123", frame(record(1), record(2))).with_columns(pl.lit(2).cast(pl.Int64).alias(ROW))
    with pytest.raises(Exception, match="Give each row of agency CJ123 a number of its own in the column of rows"):
        check(sent(session, rows), today=TODAY, row_column=ROW).collect()


@pytest.mark.process
def test_what_cannot_be_checked_is_told_in_one_sentence(session):
    rows = sent(session, numbered("CJ123", frame(record(1))))
    with pytest.raises(UnknownDataset, match="There is no CJIT dataset “Z” here"):
        check(rows, "Z", today=TODAY)
    with pytest.raises(TypeError, match="The dataset must be its letter, such as Q, not Dataset"):
        check(rows, Q, today=TODAY)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="today must be a date"):
        check(rows, today="2026-03-31")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="The frame has no column line: name the one that is meant"):
        check(rows, today=TODAY, row_column="line")
    with pytest.raises(ValueError, match="The frame has no column AGNCY"):
        check(rows.drop("AGNCY"), today=TODAY)
    with pytest.raises(ValueError, match="The frame has none of the headers of the dataset"):
        check(rows.select(SENT_BY, ROW), today=TODAY, submitter_column=SENT_BY)
    with pytest.raises(TypeError, match="The column number must have whole numbers, not string"):
        check(rows.withColumn(ROW, rows[ROW].cast("string")), today=TODAY, row_column=ROW)
    with pytest.raises(TypeError, match="The column CHILDWTH must be text as a file has it, not int"):
        check(rows.withColumn("CHILDWTH", rows["CHILDWTH"].cast("int")), today=TODAY)
    with pytest.raises(ValueError, match="rows_together must be at least 1"):
        check(rows, today=TODAY, rows_together=0)


# ---- which rows stay together ----------------------------------------------------------------------


def _told_apart(rows: list[tuple[str | None, ...]]) -> list[int]:
    """For each row the first one it is linked with, by going from row to row."""
    firsts: list[int] = []
    for start in range(len(rows)):
        reached, waiting = {start}, [start]
        while waiting:
            here = rows[waiting.pop()]
            for other, row in enumerate(rows):
                if other not in reached and any(
                    a and b and a.strip() == b.strip() != "" for a, b in zip(here, row, strict=True)
                ):
                    reached.add(other)
                    waiting.append(other)
        firsts.append(min(reached))
    return firsts


ID = st.sampled_from([None, "", " ", "1", " 1", "2", "3\u2003", "3", "4", "5", "6", "7"])


@given(st.lists(st.tuples(ID, ID, ID), min_size=1, max_size=25))
def test_rows_that_share_an_id_are_linked_also_by_way_of_others(rows):
    ids = pl.DataFrame(rows, schema=dict.fromkeys("abc", pl.String), orient="row")
    assert linked_rows(ids).to_list() == _told_apart(rows)


def test_a_long_chain_of_rows_is_one():
    places = pl.int_range(5000, eager=True).shuffle(seed=1)
    chain = pl.DataFrame({"a": (places // 2).cast(pl.String), "b": ((places + 1) // 2).cast(pl.String)})
    assert set(linked_rows(chain)) == {0}


# ---- without the extra -----------------------------------------------------------------------------


def test_without_spark_connect_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    monkeypatch.delitem(sys.modules, "cjit.spark")
    with pytest.raises(ImportError) as told:
        import cjit.spark  # noqa: F401
    assert str(told.value).startswith("Spark Connect is not installed, which this needs: run “pip install '.[spark]'”")
