"""The 25 rules with pandas: a mask for each rule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
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


def _day(text: Any) -> Any:
    eight = pd.to_datetime(text.where(text.str.match(EIGHT)), format="%Y%m%d", errors="coerce")
    slashed = pd.to_datetime(text.where(text.str.match(SLASHED)), format="%d/%m/%Y", errors="coerce")
    found = eight.fillna(slashed)
    return found.where(found.between(pd.Timestamp(EARLIEST), pd.Timestamp(TODAY)))


def broken(frame: Any) -> Mapping[str, Any]:
    """A mask for each rule but R07, true where a row breaks it, of a frame of text with consent, "" for blank."""
    blank = {header: frame[header].str.strip() == "" for header in COLUMNS}
    day = {header: _day(frame[header]) for header in DATES}
    no_day = {header: ~blank[header] & found.isna() for header, found in day.items()}
    unlisted = {header: ~blank[header] & ~frame[header].isin(codes) for header, codes in LISTS.items()}

    def unlike(header: str, pattern: str) -> Any:
        return ~blank[header] & ~frame[header].str.match(pattern)

    undated = blank["REFERID"] & ~blank["REFDATE"]
    ids = frame[["CLIENTID", "EPISODID", "REFERID"]].apply(lambda column: column.str.strip())
    return {
        "R01": blank["CLIENTID"],
        "R02": blank["FINITIAL"],
        "R03": blank["SINITIAL"],
        "R04": blank["DOB"],
        "R05": blank["SEX"],
        "R06": blank["EPISODID"],
        "R08": no_day["DOB"],
        "R09": no_day["REFLD"],
        "R10": no_day["TRIAGED"],
        "R11": no_day["DISD"],
        "R12": unlike("PC", POSTCODE),
        "R13": unlike("AGNCY", AGENCY),
        "R14": unlisted["SEX"],
        "R15": unlisted["DISABLE1"],
        "R16": unlisted["DISABLE2"],
        "R17": unlisted["PRNTSTAT"],
        "R18": unlisted["CJDISRSN"],
        "R19": unlike("ALCDDAYS", DRINKING_DAYS),
        "R20": (blank["DISD"] != blank["CJDISRSN"]) & ~no_day["DISD"] & ~unlisted["CJDISRSN"],
        "R21": (day["DISD"] < day["TRIAGED"]) & blank["CPLANDT"],
        "R22": day["REFLD"] <= day["DOB"],
        "R23": frame["DISABLE1"].isin(ALONE)
        & ~(blank["DISABLE2"] & blank["DISABLE3"])
        & ~(unlisted["DISABLE2"] | unlisted["DISABLE3"]),
        "R24": (frame["PARENT"] == "N") & ~blank["PRNTSTAT"] & ~unlisted["PRNTSTAT"],
        "R25": ids.assign(undated=undated).duplicated(keep=False) & ~undated & ~blank["EPISODID"],
    }


# ---- the run ---------------------------------------------------------------------------------------


def run(source: Path, target: Path) -> None:
    """Read the file, judge every row, and write each finding as its row and its rule."""
    frame = pd.read_csv(source, dtype=str, usecols=list(COLUMNS), na_filter=False)
    frame.index += 2
    consents = frame["CONSENT"].str.strip().str.upper() == "Y"
    found = [pd.DataFrame({"row": frame.index[~consents], "rule": "R07"})]
    frame = frame[consents]
    for rule, fails in broken(frame).items():
        found.append(pd.DataFrame({"row": frame.index[fails], "rule": rule}))
    pd.concat(found).to_csv(target, index=False)


if __name__ == "__main__":
    run(*asked())
