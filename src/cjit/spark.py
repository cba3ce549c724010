"""The check on several machines: records in Spark, grouped by agency, through Spark Connect.

The rows of an agency are a group, which a worker gives to `cjit.check` as one frame, so rules and findings are the
same. No rule compares rows of two agencies: ids come from each agency's own system, so one id at two agencies is two
clients.

The group of an agency with too many rows for a worker is split into parts. Rules across rows compare rows with the same
id, so rows that share any id, directly or through others, are in one part. The rules that fire once a file read no id.
They are put to the first row with each text.

Needs `pip install '.[spark]'`, here and on the workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import reduce

import polars as pl

import cjit
from cjit.conditions import WHITE_SPACE
from cjit.dataset import Entity
from cjit.datasets import dataset as by_letter

try:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, Window, functions
    from pyspark.sql.types import IntegralType, StringType
except ImportError:
    raise ImportError(
        "Spark Connect is not installed, which this needs: run “pip install '.[spark]'” in the folder with cjit's files"
    ) from None

__all__ = ["ROWS_TOGETHER", "check"]

#: The most rows of one agency, those of its last submission included, that a worker holds in memory at once.
ROWS_TOGETHER = 2_000_000

#: The column with the agency where no other column is named.
_AGENCY = "AGNCY"
#: The columns that `_Plan.parts` gives.
_PARTS = "agency string, held boolean, row bigint, part bigint"
#: The columns of text of findings.
_TEXT = ("rule", "value", "client", "episode")

_Grouped = Callable[[pa.Table], pa.Table]


def check(
    frame: DataFrame,
    dataset: str = "Q",
    *,
    today: date,
    previous: DataFrame | None = None,
    submitter_column: str | None = None,
    row_column: str | None = None,
    rows_together: int = ROWS_TOGETHER,
) -> DataFrame:
    """Check the records of many agencies, those of each agency as `cjit.check` does.

    The rows of each agency are counted when this is called. Everything else runs when the findings are read. Where two
    rows of an agency have the same number, Spark raises an error then.

    Args:
        frame: the records, a row each: a column of text for each header of the dataset. A header without a column is
            blank. Other columns are ignored.
        dataset: the dataset's letter.
        today: the day nothing may be later than.
        previous: the last submission of each agency, in the same form; None where nothing is compared.
        submitter_column: the column that says which agency sent a row. AGNCY must then have that agency's code, as with
            `submitter` of `cjit.check`. Without it the agency is AGNCY, less outer spaces.
        row_column: a column of whole numbers, each once an agency, by which its rows are in order and findings name
            them. Without it the rows of each agency count from 2 in the order in which Spark reads them: that is the
            order of a file where each agency has one. `previous` has the same column or none.
        rows_together: an agency with more rows, those of its last submission included, is split.

    Returns:
        A row a finding, in no order: agency (string; null where none is given), row (bigint), rule, value, client and
        episode (string) and, where a last submission is compared, previous (string). They have the meaning that they
        have in `cjit.Findings.frame`.

    Raises:
        cjit.datasets.UnknownDataset: where there is no dataset of this letter.
        TypeError: where an argument or a column of the frame is of another type.
        ValueError: where the frame lacks a column that is named, or has none of the dataset's headers; where
            `rows_together` is less than 1.
    """
    if not isinstance(dataset, str):
        raise TypeError(f"The dataset must be its letter, such as Q, not {type(dataset).__name__}")
    if not isinstance(today, date):
        raise TypeError(f"today must be a date, such as date(2026, 3, 31), not {type(today).__name__}")
    if rows_together < 1:
        raise ValueError("rows_together must be at least 1")
    plan = _Plan(dataset, today, previous is not None, submitter_column is not None, rows_together)
    records = _records(frame, plan.headers, submitter_column, row_column, held=False)
    if previous is not None:
        records = records.unionByName(_records(previous, plan.headers, submitter_column, row_column, held=True))
    large = [
        row["agency"] for row in records.groupBy("agency").count().filter(f"count > {plan.rows_together}").collect()
    ]
    if not large:
        return _findings(records.withColumn("part", functions.lit(0).cast("bigint")), plan)
    is_large = functions.col("agency").isin(large)
    split = records.filter(is_large)
    of_ids = split.select("agency", "held", "row", *plan.ids).groupBy("agency")
    parts = of_ids.applyInArrow(_on_workers(plan.parts), _PARTS)
    together = records.filter(~is_large).withColumn("part", functions.lit(0).cast("bigint"))
    together = together.unionByName(split.join(parts, ["agency", "held", "row"]))
    return reduce(DataFrame.unionByName, [_findings(together, plan), *_findings_once(split, plan)])


def _records(
    frame: DataFrame, headers: Sequence[str], submitter_column: str | None, row_column: str | None, *, held: bool
) -> DataFrame:
    """The columns that are checked.

    Args:
        frame: the records of the caller.
        headers: the dataset's headers.
        submitter_column: the column with the agency; None for AGNCY.
        row_column: the column with row numbers; None where rows are counted.
        held: whether these are records of the last submission.

    Returns:
        agency (string; "" where none is given), held (boolean), row (bigint), and each header (string).

    Raises:
        TypeError: where a column is of another type.
        ValueError: where the frame lacks a column that is named, or has no header.
    """
    types = {field.name: field.dataType for field in frame.schema.fields}
    for column in (submitter_column or _AGENCY, row_column):
        if column is not None and column not in types:
            raise ValueError(f"The frame has no column {column}: name the one that is meant")
    given = [header for header in headers if header in types]
    if given in ([], [submitter_column]):
        raise ValueError(f"The frame has none of the headers of the dataset: its columns must be named {headers[0]}, …")
    for column in dict.fromkeys([submitter_column or _AGENCY, *given]):
        if not isinstance(types[column], StringType):
            kind = types[column].simpleString()
            raise TypeError(f"The column {column} must be text as a file has it, not {kind}: read it as string")
    if row_column is not None and not isinstance(types[row_column], IntegralType):
        raise TypeError(f"The column {row_column} must have whole numbers, not {types[row_column].simpleString()}")
    agency = frame[submitter_column] if submitter_column else _stripped(frame[_AGENCY])
    # A join drops rows whose key is null.
    agency = functions.coalesce(agency, functions.lit(""))
    cells = [frame[h] if h in given else functions.lit(None).cast("string").alias(h) for h in headers]
    row = functions.monotonically_increasing_id() if row_column is None else frame[row_column].cast("bigint")
    records = frame.select(agency.alias("agency"), functions.lit(held).alias("held"), row.alias("row"), *cells)
    if row_column is None:
        order = Window.partitionBy("agency").orderBy("row")
        records = records.withColumn("row", (functions.row_number().over(order) + 1).cast("bigint"))
    return records


def _stripped(text: Column) -> Column:
    return functions.regexp_replace(text, f"^{WHITE_SPACE}+|{WHITE_SPACE}+$", "")


def _findings(records: DataFrame, plan: _Plan) -> DataFrame:
    """The findings of records, with columns as `check` gives them.

    Args:
        records: the columns of `_records` and part (bigint; 0 for an agency that is not split).
        plan: what is asked.
    """
    findings = records.groupBy("agency", "part").applyInArrow(_on_workers(plan.findings), plan.schema)
    return _without_blank_agency(findings)


def _findings_once(records: DataFrame, plan: _Plan) -> Iterator[DataFrame]:
    """The findings of the rules that fire once a file, for agencies that are split, with columns as `check` gives them.

    The rules are put to the first row with each text of their field.

    Args:
        records: the columns of `_records`, of those agencies.
        plan: what is asked.

    Yields:
        The findings of the rules at one header.
    """
    for header in plan.once_headers:
        texts = list(dict.fromkeys([*plan.gates, header]))
        first = functions.min(functions.struct("row", *plan.named)).alias("first")
        filled = records.filter(~functions.col("held") & functions.col(header).isNotNull())
        of_first = [functions.col(f"first.{name}").alias(name) for name in ("row", *plan.named)]
        first_rows = filled.groupBy("agency", *texts).agg(first).select("agency", *of_first, *texts)
        findings = first_rows.groupBy("agency").applyInArrow(_on_workers(plan.findings_once), plan.schema)
        yield _without_blank_agency(findings)


def _without_blank_agency(findings: DataFrame) -> DataFrame:
    """Findings with null in place of "" as the agency."""
    return findings.withColumn("agency", functions.expr("nullif(agency, '')"))


class _Plan:
    """The arguments of a check, and the functions that workers apply to groups of rows.

    It is sent to the workers. Rules are not: a worker has the dataset by its letter.

    letter: that of the dataset.
    today: the day nothing may be later than.
    compared: whether a last submission is compared.
    submitted: whether AGNCY must have the code of the agency.
    rows_together: how many rows a worker may hold at once.
    headers: the dataset's headers.
    ids: the headers by which rules across rows group them.
    gates: the headers of the gates.
    named: the headers of the ids that a finding has.
    once_rules: the ids of the rules that fire once a file.
    once_headers: the headers of these rules.
    texts: the columns of text of findings.
    schema: the columns of findings, as Spark has them.
    """

    def __init__(self, letter: str, today: date, compared: bool, submitted: bool, rows_together: int) -> None:
        """Look the dataset up; arguments as the attributes of the same names."""
        known = by_letter(letter)
        self.letter = known.letter
        self.today = today
        self.compared = compared
        self.submitted = submitted
        self.rows_together = rows_together
        self.headers = known.headers
        self.ids = tuple(dict.fromkeys(rule.across for rule in known.rules if rule.across is not None))
        self.gates = tuple(dict.fromkeys(rule.header for rule in known.rules if rule.gate))
        self.named = tuple(known.entity(entity)[0].header for entity in (Entity.CLIENT, Entity.EPISODE))
        self.once_rules = tuple(rule.id for rule in known.rules if rule.once)
        self.once_headers = tuple(dict.fromkeys(rule.header for rule in known.rules if rule.once))
        self.texts = (*_TEXT, "previous") if compared else _TEXT
        self.schema = ", ".join(["agency string", "row bigint", *(f"{name} string" for name in self.texts)])

    def findings(self, table: pa.Table) -> pa.Table:
        """The findings of a group.

        Args:
            table: the columns of `_records` and part (int64); with the records of the last submission, where one is
                compared.

        Returns:
            The columns of `schema`; "" where no agency is given.
        """
        frame = _numbered(table, "held")
        agency, part = frame["agency"][0], frame["part"][0]
        records = frame.filter(~pl.col("held"))
        if records.is_empty():
            return self._as_arrow(records, None, agency)
        findings = cjit.check(
            records.select(self.headers),
            self.letter,
            today=self.today,
            previous=frame.filter("held").select(self.headers) if self.compared else None,
            submitter=(agency or None) if self.submitted else None,
            # A part does not show whether a rule fires once on the whole.
            skip=self.once_rules if part else (),
        )
        return self._as_arrow(records, findings.frame, agency)

    def findings_once(self, table: pa.Table) -> pa.Table:
        """The findings of the rules that fire once a file, for one agency.

        Args:
            table: agency (string), row (int64), and as text the ids that a finding has, the gates and one field: the
                first row with each text.

        Returns:
            The columns of `schema`; "" where no agency is given.
        """
        records = _polars(table).sort("row")
        frame = cjit.check(records.drop("agency", "row"), self.letter, today=self.today, only=self.once_rules).frame
        # The gates fire on the parts, whose rows are whole.
        frame = frame.filter(pl.col("rule").cast(pl.String).is_in(self.once_rules))
        return self._as_arrow(records, frame, records["agency"][0])

    def parts(self, table: pa.Table) -> pa.Table:
        """The part that each row of an agency is in; rows that share an id are in one part.

        Args:
            table: agency (string), held (boolean), row (int64), and the ids (string).

        Returns:
            The columns of `_PARTS`, with parts counted from 1.
        """
        frame = _numbered(table, "held")
        linked = linked_rows(frame.select(self.ids))
        # Linked rows are put into a part until it is full, then into the next.
        before = pl.col("rows").cum_sum() - pl.col("rows")
        sizes = linked.value_counts(name="rows").sort("linked").with_columns(part=before // self.rows_together + 1)
        rows = frame.select("agency", "held", "row", linked).join(sizes, on="linked")
        return _arrow(rows.select("agency", "held", "row", pl.col("part").cast(pl.Int64)))

    def _as_arrow(self, records: pl.DataFrame, findings: pl.DataFrame | None, agency: str) -> pa.Table:
        """Findings as Spark takes them: with the agency, and with the numbers that the rows have in Spark.

        Args:
            records: the rows that were checked, in order, with their numbers as the column row (Int64).
            findings: `Findings.frame`, which counts the rows from 2; None for no findings.
            agency: the agency.

        Returns:
            The columns of `schema`.
        """
        if findings is None:
            findings = pl.DataFrame(schema={"row": pl.UInt32, **dict.fromkeys(self.texts, pl.String)})
        rows = records["row"].gather(findings["row"] - 2).cast(pl.Int64)
        columns = [pl.col(name) if name in findings.columns else pl.lit(None).alias(name) for name in self.texts]
        texts = [column.cast(pl.String) for column in columns]
        return _arrow(findings.select(pl.lit(agency).alias("agency"), rows.alias("row"), *texts))


def _on_workers(work: _Grouped) -> _Grouped:
    """A method as a function whose parameter is annotated, from which Spark reads what to give it."""

    def of_group(table: pa.Table) -> pa.Table:
        return work(table)

    return of_group


# ---- on a worker -----------------------------------------------------------------------------------


def _polars(table: pa.Table) -> pl.DataFrame:
    """A table of Arrow as a frame, with the same columns."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table becomes one
    return frame


def _numbered(table: pa.Table, *also: str) -> pl.DataFrame:
    """The rows of a group, in order of their numbers.

    Args:
        table: agency (string), row (int64) and other columns.
        also: columns that, with row, identify a row.

    Raises:
        ValueError: where a row has no number, or two have the same.
    """
    frame = _polars(table).sort("row", maintain_order=True)
    if frame["row"].has_nulls() or frame.select("row", *also).is_duplicated().any():
        agency = frame["agency"][0]
        raise ValueError(f"Give each row of agency {agency or 'no name'} a number of its own in the column of rows")
    return frame


def _arrow(frame: pl.DataFrame) -> pa.Table:
    """A frame as Spark takes it: its text is Arrow's string type, not large_string."""
    kinds = {pl.String: pa.string(), pl.Int64: pa.int64(), pl.Boolean: pa.bool_()}
    table = frame.to_arrow()
    return table.cast(pa.schema([(name, kinds[type(kind)]) for name, kind in frame.schema.items()]))


def linked_rows(ids: pl.DataFrame) -> pl.Series:
    """For each row the first of the rows that it shares an id with, directly or through others.

    Args:
        ids: columns of ids (String); a blank, or nothing but spaces, is no id. Ids are compared within a column only.

    Returns:
        A column `linked` (UInt32): the place of that first row in the frame.
    """
    known = [
        pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name).str.strip_chars().hash()).alias(name)
        for name in ids.columns
    ]
    # Two ids with the same hash would only link more rows than needed.
    frame = ids.select(known).with_columns(linked=pl.int_range(pl.len(), dtype=pl.UInt32))
    least = pl.min_horizontal(
        "linked", *(pl.when(pl.col(name).is_not_null()).then(pl.col("linked").min().over(name)) for name in ids.columns)
    )
    while True:
        # A row takes the least number of the rows with one of its ids, and so do all rows that had its old number.
        least_of_ids = frame.select("linked", least=least)
        linked = least_of_ids.select(pl.col("least").min().over("linked").alias("linked"))["linked"]
        while not (next_linked := linked.gather(linked)).equals(linked):
            linked = next_linked
        if linked.equals(frame["linked"]):
            return linked
        frame = frame.with_columns(linked)
