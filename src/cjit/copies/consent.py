"""Which rows a copy may show: those whose client consents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from functools import lru_cache

import polars as pl

from cjit import derive
from cjit.dataset import SUBMITTER, TODAY, Dataset, Rule
from cjit.derive import repeats_headers
from cjit.engine.columns import expression

RAGGED_WHY = "the row's cells cannot be told apart, so whether the client consents is not known"


# ---- rows without consent --------------------------------------------------------------------------


class Why(IntEnum):
    """Why a row is left blank in an annotated copy and left out of a corrected one."""

    REFUSED = 1
    RAGGED = 2
    BLANK = 3
    NO_CODE = 4
    HEADERS = 5

    def because(self, header: str) -> str:
        """The reason in words; `header` is that of consent."""
        return {
            Why.REFUSED: "the client does not consent",
            Why.RAGGED: RAGGED_WHY,
            Why.BLANK: f"consent is not given in it: {header} is blank",
            Why.NO_CODE: f"what stands in {header} is none of its codes",
            Why.HEADERS: "it repeats the headers",
        }[self]


@dataclass(frozen=True)
class Gates:
    """The rules that hide a whole row, and the columns they read."""

    rules: tuple[Rule, ...]
    steps: tuple[list[pl.Expr], ...]
    dataset: Dataset

    @property
    def header(self) -> str:
        """The field that the gate asks."""
        return self.rules[0].header

    def closed(self, frame: pl.DataFrame, today: date) -> pl.Series:
        """True for each row of text whose values must not be shown."""
        for step in (constants(today), *self.steps):
            frame = frame.with_columns(step)
        return frame.select(self.fails())["closed"]

    def why(self, shut: pl.DataFrame) -> list[Why]:
        """Why each of some rows of text, whose values must not be shown, must not."""
        said = pl.col(self.header).str.strip_chars().str.to_uppercase()
        asked = (
            pl.when(repeats_headers(shut, self.dataset))
            .then(Why.HEADERS)
            .when(said.is_null() | (said == ""))
            .then(Why.BLANK)
            .when(said.is_in(list(self.dataset.by_header[self.header].withdraws)))
            .then(Why.REFUSED)
            .otherwise(Why.NO_CODE)
        )
        return [Why(why) for why in shut.select(asked.alias("why"))["why"]]

    def fails(self) -> pl.Expr:
        """The same as an expression over prepared columns."""
        return pl.any_horizontal(pl.lit(False), *(expression(r.fails_when.surely) for r in self.rules)).alias("closed")


def giving(gate: Rule) -> str:
    """The code with which a gate holds."""
    holds = gate.holds if isinstance(gate.holds, Mapping) else gate.holds[0]
    return holds[gate.header]


@lru_cache(maxsize=8)
def gates_of(dataset: Dataset) -> Gates:
    """The gates of a dataset; made on the first call."""
    rules = tuple(rule for rule in dataset.rules if rule.gate)
    return Gates(rules, steps_of(dataset, {h for rule in rules for h in (*rule.headers, rule.header)}), dataset)


def steps_of(dataset: Dataset, wanted: Iterable[str]) -> tuple[list[pl.Expr], ...]:
    """The three steps of `derive.columns`, for some headers only."""
    headers = {header_of(name) for name in wanted}
    return tuple(
        [expr for expr in step if header_of(expr.meta.output_name()) in headers] for step in derive.columns(dataset)
    )


def header_of(column: str) -> str:
    """The header a column of any stage is of."""
    return column.removesuffix(" as sent").removesuffix(" as read")


def constants(today: date) -> list[pl.Expr]:
    """The columns that are the same on every row: the day, and no submitter."""
    return [pl.lit(today).alias(TODAY), pl.lit(None, pl.String).alias(SUBMITTER)]
