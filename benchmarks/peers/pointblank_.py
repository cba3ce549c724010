"""The 25 rules with pointblank: the expressions of `polars_bare` as the steps of a validation."""

from __future__ import annotations

from pathlib import Path

import pointblank as pb
import polars as pl
from benchmarks.peers.common import asked
from benchmarks.peers.polars_bare import BROKEN, prepared

# ---- the rules -------------------------------------------------------------------------------------


def steps(frame: pl.DataFrame) -> pb.Validate:
    """A validation of a frame, a step for each rule."""
    validation = pb.Validate(frame)
    for fails in BROKEN.values():
        validation = validation.col_vals_expr(expr=~fails)
    return validation


# ---- the run ---------------------------------------------------------------------------------------


def run(source: Path, target: Path) -> None:
    """Read the file, judge every row, and write each finding as its row and its rule."""
    frame = prepared(source).collect()
    # It keeps 500 rows of a step unless it is told otherwise.
    failed = steps(frame).interrogate(extract_limit=frame.height).get_data_extracts()
    found = [
        failed[step].select("row", pl.lit(rule).alias("rule"))
        for step, rule in enumerate(BROKEN, 1)
        if failed.get(step) is not None and failed[step].height
    ]
    pl.concat(found or [pl.DataFrame(schema={"row": pl.UInt32, "rule": pl.String})]).write_csv(target)


if __name__ == "__main__":
    run(*asked())
