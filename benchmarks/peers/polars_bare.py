"""The 25 rules as bare Polars expressions; the libraries that take Polars expressions are given these."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from benchmarks.peers.common import (
    AGENCY,
    ALONE,
    COLUMNS,
    DATES,
    DRINKING_DAYS,
    EARLIEST,
    EIGHT,
    LISTS,
    POSTCODE,
    SLASHED,
    TODAY,
    asked,
)

# ---- the rules -------------------------------------------------------------------------------------


def _blank(header: str) -> pl.Expr:
    return pl.col(header).is_null() | (pl.col(header).str.strip_chars() == "")


def _given(header: str) -> pl.Expr:
    return ~_blank(header)


def _day(header: str) -> pl.Expr:
    text = pl.col(header)
    eight = pl.when(text.str.contains(EIGHT)).then(text).str.to_date("%Y%m%d", strict=False)
    slashed = pl.when(text.str.contains(SLASHED)).then(text).str.to_date("%d/%m/%Y", strict=False)
    found = pl.coalesce(eight, slashed)
    return pl.when(found.is_between(EARLIEST, TODAY)).then(found).alias(f"{header}_day")


def _no_day(header: str) -> pl.Expr:
    return _given(header) & pl.col(f"{header}_day").is_null()


def _unlike(header: str, pattern: str) -> pl.Expr:
    return _given(header) & ~pl.col(header).str.contains(pattern)


def _unlisted(header: str) -> pl.Expr:
    return _given(header) & ~pl.col(header).is_in(LISTS[header])


def _sent_again() -> pl.Expr:
    client, episode, referral = (pl.col(h).str.strip_chars() for h in ("CLIENTID", "EPISODID", "REFERID"))
    undated = _given("REFDATE") & _blank("REFERID")
    return pl.struct("consents", undated, client, episode, referral).is_duplicated() & ~undated & _given("EPISODID")


_DISABLED = ("DISABLE1", "DISABLE2", "DISABLE3")
#: True where a row with consent breaks a rule.
_BROKEN: dict[str, pl.Expr] = {
    "R01": _blank("CLIENTID"),
    "R02": _blank("FINITIAL"),
    "R03": _blank("SINITIAL"),
    "R04": _blank("DOB"),
    "R05": _blank("SEX"),
    "R06": _blank("EPISODID"),
    "R08": _no_day("DOB"),
    "R09": _no_day("REFLD"),
    "R10": _no_day("TRIAGED"),
    "R11": _no_day("DISD"),
    "R12": _unlike("PC", POSTCODE),
    "R13": _unlike("AGNCY", AGENCY),
    "R14": _unlisted("SEX"),
    "R15": _unlisted("DISABLE1"),
    "R16": _unlisted("DISABLE2"),
    "R17": _unlisted("PRNTSTAT"),
    "R18": _unlisted("CJDISRSN"),
    "R19": _unlike("ALCDDAYS", DRINKING_DAYS),
    "R20": (_given("DISD") != _given("CJDISRSN")) & ~_no_day("DISD") & ~_unlisted("CJDISRSN"),
    "R21": (pl.col("DISD_day") < pl.col("TRIAGED_day")) & _blank("CPLANDT"),
    "R22": pl.col("REFLD_day") <= pl.col("DOB_day"),
    "R23": pl.col("DISABLE1").is_in(ALONE)
    & (_given("DISABLE2") | _given("DISABLE3"))
    & ~pl.any_horizontal(_unlisted(header) for header in _DISABLED),
    "R24": (pl.col("PARENT") == "N") & _given("PRNTSTAT") & ~_unlisted("PRNTSTAT"),
    "R25": _sent_again(),
}
#: True where a row breaks a rule, of a frame that `prepared` gives; never null.
BROKEN: dict[str, pl.Expr] = {
    rule: (pl.col("consents") & fails).fill_null(value=False) for rule, fails in _BROKEN.items()
} | {"R07": ~pl.col("consents")}


def prepared(source: Path) -> pl.LazyFrame:
    """The columns of a file that the rules read, with what several rules need made once.

    Args:
        source: A CSV file with the headers of dataset Q.

    Returns:
        A frame with `row` (UInt32, the first record is 2), each of COLUMNS (String, null where blank), `consents`
        (Boolean), and for each of DATES a column such as `DOB_day` (Date, null where blank or no day).

    """
    text = pl.scan_csv(source, infer_schema=False, row_index_name="row", row_index_offset=2).select("row", *COLUMNS)
    consents = (pl.col("CONSENT").str.strip_chars().str.to_uppercase() == "Y").fill_null(value=False)
    return text.with_columns(consents.alias("consents"), *(_day(header) for header in DATES))


# ---- the run ---------------------------------------------------------------------------------------


def run(source: Path, target: Path) -> None:
    """Read the file, judge every row, and write each finding as its row and its rule."""
    seen = prepared(source).select("row", *(fails.alias(rule) for rule, fails in BROKEN.items())).collect()
    found = [seen.filter(rule).select("row", pl.lit(rule).alias("rule")) for rule in BROKEN]
    pl.concat(found).write_csv(target)


if __name__ == "__main__":
    run(*asked())
