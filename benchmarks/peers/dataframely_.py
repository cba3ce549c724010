"""The 25 rules with dataframely: the expressions of `polars_bare` as the rules of a schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
from benchmarks.peers.common import COLUMNS, DATES, asked
from benchmarks.peers.polars_bare import BROKEN, prepared

# ---- the rules -------------------------------------------------------------------------------------


def _holds(fails: pl.Expr) -> Any:
    def rule(cls: type[dy.Schema]) -> pl.Expr:
        return ~fails

    return dy.rule()(rule)


Records: Any = type(
    "Records",
    (dy.Schema,),
    {
        "row": dy.UInt32(),
        **{header: dy.String(nullable=True) for header in COLUMNS},
        "consents": dy.Bool(),
        **{f"{header}_day": dy.Date(nullable=True) for header in DATES},
        **{rule: _holds(fails) for rule, fails in BROKEN.items()},
    },
)

# ---- the run ---------------------------------------------------------------------------------------


def run(source: Path, target: Path) -> None:
    """Read the file, judge every row, and write each finding as its row and its rule."""
    _, failed = Records.filter(prepared(source).collect())
    told = failed.details()
    found = [told.filter(pl.col(rule) == "invalid").select("row", pl.lit(rule).alias("rule")) for rule in BROKEN]
    pl.concat(found).write_csv(target)


if __name__ == "__main__":
    run(*asked())
