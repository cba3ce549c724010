"""The 25 rules as one SQL statement in DuckDB."""

from __future__ import annotations

from pathlib import Path

import duckdb
from benchmarks.peers.common import (
    AGENCY,
    ALONE,
    COLUMNS,
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


def _blank(header: str) -> str:
    return f"coalesce(trim({header}), '') = ''"


def _day(header: str) -> str:
    return f"""CASE WHEN regexp_matches({header}, '{EIGHT}') THEN try_strptime({header}, '%Y%m%d')::DATE
        WHEN regexp_matches({header}, '{SLASHED}') THEN try_strptime({header}, '%d/%m/%Y')::DATE END"""


def _no_day(header: str) -> str:
    return f"NOT ({_blank(header)}) AND coalesce({header}_day NOT BETWEEN '{EARLIEST}' AND '{TODAY}', true)"


def _unlike(header: str, pattern: str) -> str:
    return f"NOT ({_blank(header)}) AND NOT regexp_matches({header}, '{pattern}')"


def _unlisted(header: str) -> str:
    return f"NOT ({_blank(header)}) AND {header} NOT IN {LISTS[header]}"


_UNDATED = f"({_blank('REFERID')} AND NOT ({_blank('REFDATE')}))"
_BROKEN = {
    "R01": _blank("CLIENTID"),
    "R02": _blank("FINITIAL"),
    "R03": _blank("SINITIAL"),
    "R04": _blank("DOB"),
    "R05": _blank("SEX"),
    "R06": _blank("EPISODID"),
    "R08": "no_dob",
    "R09": "no_refld",
    "R10": "no_triaged",
    "R11": "no_disd",
    "R12": _unlike("PC", POSTCODE),
    "R13": _unlike("AGNCY", AGENCY),
    "R14": _unlisted("SEX"),
    "R15": _unlisted("DISABLE1"),
    "R16": _unlisted("DISABLE2"),
    "R17": _unlisted("PRNTSTAT"),
    "R18": _unlisted("CJDISRSN"),
    "R19": _unlike("ALCDDAYS", DRINKING_DAYS),
    "R20": f"({_blank('DISD')}) != ({_blank('CJDISRSN')}) AND NOT no_disd AND NOT ({_unlisted('CJDISRSN')})",
    "R21": f"DISD_day < TRIAGED_day AND {_blank('CPLANDT')} AND NOT no_disd AND NOT no_triaged",
    "R22": "REFLD_day <= DOB_day AND NOT no_refld AND NOT no_dob",
    "R23": f"""DISABLE1 IN {ALONE} AND NOT ({_blank("DISABLE2")} AND {_blank("DISABLE3")})
        AND NOT ({_unlisted("DISABLE2")}) AND NOT ({_unlisted("DISABLE3")})""",
    "R24": f"PARENT = 'N' AND NOT ({_blank('PRNTSTAT')}) AND NOT ({_unlisted('PRNTSTAT')})",
    "R25": f"count(*) OVER (PARTITION BY trim(CLIENTID), trim(EPISODID), trim(REFERID), {_UNDATED}, consents) > 1"
    f" AND NOT {_UNDATED} AND NOT ({_blank('EPISODID')})",
}
_CASES = ",\n".join(f"CASE WHEN {fails} THEN '{rule}' END" for rule, fails in _BROKEN.items())
FINDINGS = f"""
WITH
    sent AS (SELECT {", ".join(COLUMNS)}, row_number() OVER () + 1 AS row
        FROM read_csv($source, all_varchar = true, header = true, delim = ',', quote = '"')),
    days AS (SELECT *, coalesce(upper(trim(CONSENT)) = 'Y', false) AS consents,
        {_day("DOB")} AS DOB_day, {_day("REFLD")} AS REFLD_day,
        {_day("TRIAGED")} AS TRIAGED_day, {_day("DISD")} AS DISD_day FROM sent),
    ready AS (SELECT *, {_no_day("DOB")} AS no_dob, {_no_day("REFLD")} AS no_refld,
        {_no_day("TRIAGED")} AS no_triaged, {_no_day("DISD")} AS no_disd FROM days),
    judged AS (SELECT row, CASE WHEN consents THEN [{_CASES}] ELSE ['R07'] END AS told FROM ready)
SELECT row, rule FROM (SELECT row, unnest(told) AS rule FROM judged) WHERE rule IS NOT NULL
"""

# ---- the run ---------------------------------------------------------------------------------------


def run(source: Path, target: Path) -> None:
    """Read the file, judge every row, and write each finding as its row and its rule."""
    found = duckdb.sql(FINDINGS, params={"source": str(source)})
    assert found is not None
    found.write_csv(str(target))


if __name__ == "__main__":
    run(*asked())
