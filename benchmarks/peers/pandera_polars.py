"""The 25 rules with pandera on Polars: the expressions of `polars_bare` as checks of the column of row numbers.

A check of that column reports the row's number as its failure case, so nothing is left to look up.
"""

from __future__ import annotations

from pathlib import Path

import pandera.polars as pa
import polars as pl
from benchmarks.peers.common import asked
from benchmarks.peers.polars_bare import BROKEN, prepared

# ---- the rules -------------------------------------------------------------------------------------


def _check(rule: str, fails: pl.Expr) -> pa.Check:
    return pa.Check(lambda data: data.lazyframe.select(~fails), name=rule, error=rule)


RECORDS = pa.DataFrameSchema(
    {"row": pa.Column(pl.UInt32, checks=[_check(rule, fails) for rule, fails in BROKEN.items()])}
)

# ---- the run ---------------------------------------------------------------------------------------


def run(source: Path, target: Path) -> None:
    """Read the file, judge every row, and write each finding as its row and its rule."""
    found = pl.DataFrame(schema={"row": pl.String, "rule": pl.String})
    try:
        RECORDS.validate(prepared(source).collect(), lazy=True)
    except pa.errors.SchemaErrors as failed:
        found = failed.failure_cases.select(row="failure_case", rule="check")
    found.write_csv(target)


if __name__ == "__main__":
    run(*asked())
