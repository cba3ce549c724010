"""The same check past one machine: records in Spark, the rows of one agency together, through Spark Connect.

Each agency's rows are a group, which a worker hands to `cjit.check` as one frame: the rule book is the same, and so are
the findings. No rule looks across agencies. Ids are given by an agency's own system, so the same id at two agencies is
two clients.

An agency with too many rows for a worker is split. Rules across rows look at rows with the same id, so rows that share
any id, also by way of others, stay together. What is told once a file depends on no id: it is asked of the first row on
which each text stands.

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

#: Rows of one agency, with those of its last submission, that a worker has to hold at once.
ROWS_TOGETHER = 2_000_000

#: What the agency is known by where no column says who sent a row.
_AGENCY = "AGNCY"
#: What `_Plan.parts` and findings have.
_PARTS = "agency string, held boolean, row bigint, part bigint"
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
    """Check the records of many agencies, each agency's as `cjit.check` would by themselves.

    The rows of each agency are counted when this is called. All else is done when the findings are asked for: then
    Spark's own error also tells where two rows of an agency have the same number.

    Args:
        frame: The records, a row each: a column of text for each header of the dataset. A header without a column is
            blank. Other columns are passed over.
        dataset: The dataset's letter.
        today: The day nothing may be later than.
        previous: The last submission of each agency, in the same form; None where nothing is compared.
        submitter_column: The column that says which agency sent a row. AGNCY must then have that agency's code, as with
            `submitter` of `cjit.check`. Without it the agency is AGNCY, less outer spaces.
        row_column: A column of whole numbers, each once an agency, by which its rows are in order and findings name
            them. Without it the rows of each agency count from 2 in the order in which Spark reads them: that is the
            order of a file where each agency has one. `previous` has the same column or none.
        rows_together: An agency with more rows, its last submission among them, is split.

    Returns:
        A row a finding, in no order: agency (string; null where none is given), row (bigint), rule, value, client and
        episode (string) and, where a last submission is compared, previous (string). What they say stands at
        `cjit.Findings`.

    Raises:
        cjit.datasets.UnknownDataset: There is no dataset of this letter.
        TypeError: What is given is of another type, or a column of the frame is.
        ValueError: The frame lacks a column that is named, or has none of the dataset's headers.
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
    return reduce(DataFrame.unionByName, [_findings(together, plan), *_told_once(split, plan)])


def _records(
    frame: DataFrame, headers: Sequence[str], submitter_column: str | None, row_column: str | None, *, held: bool
) -> DataFrame:
    """The columns that are looked at: agency ("" where none is given), held, row, and every header."""
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
    # A group and a join need something to go by.
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
    """What is found in records with their parts: 0 where an agency has only one."""
    found = records.groupBy("agency", "part").applyInArrow(_on_workers(plan.found), plan.schema)
    return _shown(found)


def _told_once(records: DataFrame, plan: _Plan) -> Iterator[DataFrame]:
    """What is told once an agency, of agencies that are split: asked of the first row with each text of a field."""
    for header in plan.once_headers:
        texts = list(dict.fromkeys([*plan.gates, header]))
        first = functions.min(functions.struct("row", *plan.named)).alias("first")
        some = records.filter(~functions.col("held") & functions.col(header).isNotNull())
        of_first = [functions.col(f"first.{name}").alias(name) for name in ("row", *plan.named)]
        found_once = some.groupBy("agency", *texts).agg(first).select("agency", *of_first, *texts)
        yield _shown(found_once.groupBy("agency").applyInArrow(_on_workers(plan.once), plan.schema))


def _shown(found: DataFrame) -> DataFrame:
    return found.withColumn("agency", functions.expr("nullif(agency, '')"))


class _Plan:
    """What is asked, and what workers do of it. Workers have the dataset by its letter: a rule does not travel.

    headers: the dataset's. ids: those by which rules look across rows. gates: the fields whose rule hides a row.
    named: the ids a finding names. once_rules, once_headers: what is told once a file, and of which fields.
    """

    def __init__(self, letter: str, today: date, compared: bool, submitted: bool, rows_together: int) -> None:
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

    def found(self, table: pa.Table) -> pa.Table:
        """The findings of a group of records and, where they are compared, of the last submission."""
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
            # Of a part nobody can say what is told once of the whole.
            skip=self.once_rules if part else (),
        )
        return self._as_arrow(records, findings.frame, agency)

    def once(self, table: pa.Table) -> pa.Table:
        """What is told once of an agency, of its first row with each text."""
        records = _polars(table).sort("row")
        found = cjit.check(records.drop("agency", "row"), self.letter, today=self.today, only=self.once_rules).frame
        # The gates speak where the rows are whole.
        found = found.filter(pl.col("rule").cast(pl.String).is_in(self.once_rules))
        return self._as_arrow(records, found, records["agency"][0])

    def parts(self, table: pa.Table) -> pa.Table:
        """Which part each row of an agency is in, from 1; rows that share an id are in the same."""
        frame = _numbered(table, "held")
        linked = linked_rows(frame.select(self.ids))
        # One after the other into a part until it is full.
        before = pl.col("rows").cum_sum() - pl.col("rows")
        sizes = linked.value_counts(name="rows").sort("linked").with_columns(part=before // self.rows_together + 1)
        rows = frame.select("agency", "held", "row", linked).join(sizes, on="linked")
        return _arrow(rows.select("agency", "held", "row", pl.col("part").cast(pl.Int64)))

    def _as_arrow(self, records: pl.DataFrame, found: pl.DataFrame | None, agency: str) -> pa.Table:
        """Findings with the numbers the rows came with; `cjit.check` counts the rows of a frame from 2."""
        if found is None:
            found = pl.DataFrame(schema={"row": pl.UInt32, **dict.fromkeys(self.texts, pl.String)})
        rows = records["row"].gather(found["row"] - 2).cast(pl.Int64)
        given = [pl.col(name) if name in found.columns else pl.lit(None).alias(name) for name in self.texts]
        texts = [column.cast(pl.String) for column in given]
        return _arrow(found.select(pl.lit(agency).alias("agency"), rows.alias("row"), *texts))


def _on_workers(work: _Grouped) -> _Grouped:
    """Some work as Spark takes it: a function that says what it is given."""

    def of_group(table: pa.Table) -> pa.Table:
        return work(table)

    return of_group


# ---- on a worker -----------------------------------------------------------------------------------


def _polars(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table becomes one
    return frame


def _numbered(table: pa.Table, *also: str) -> pl.DataFrame:
    """A group's rows in order, each with a number of its own."""
    frame = _polars(table).sort("row", maintain_order=True)
    if frame["row"].has_nulls() or frame.select("row", *also).is_duplicated().any():
        agency = frame["agency"][0]
        raise ValueError(f"Give each row of agency {agency or 'no name'} a number of its own in the column of rows")
    return frame


def _arrow(frame: pl.DataFrame) -> pa.Table:
    """A frame as Spark takes it: its text is Arrow's short kind."""
    kinds = {pl.String: pa.string(), pl.Int64: pa.int64(), pl.Boolean: pa.bool_()}
    table = frame.to_arrow()
    return table.cast(pa.schema([(name, kinds[type(kind)]) for name, kind in frame.schema.items()]))


def linked_rows(ids: pl.DataFrame) -> pl.Series:
    """For each row the first of all rows that it shares an id with, directly or by way of others.

    Args:
        ids: Columns of ids as text; blank, or nothing but spaces, is none. An id is the same within a column only.

    Returns:
        A column `linked` of places in the frame (UInt32).
    """
    known = [
        pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name).str.strip_chars().hash()).alias(name)
        for name in ids.columns
    ]
    # Two ids with the same hash would only keep more rows together.
    frame = ids.select(known).with_columns(linked=pl.int_range(pl.len(), dtype=pl.UInt32))
    least = pl.min_horizontal(
        "linked", *(pl.when(pl.col(name).is_not_null()).then(pl.col("linked").min().over(name)) for name in ids.columns)
    )
    while True:
        # A row takes the least number among those with one of its ids, and all that had its own take it too.
        own = frame.select("linked", least=least)
        seen = own.select(pl.col("least").min().over("linked").alias("linked"))["linked"]
        while not (further := seen.gather(seen)).equals(seen):
            seen = further
        if seen.equals(frame["linked"]):
            return seen
        frame = frame.with_columns(seen)
