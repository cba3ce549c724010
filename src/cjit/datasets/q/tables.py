"""Facts beside the code lists of CJIT dataset Q: small tables, one CSV file each in `tables/`.

The columns of a table are those of `Row`. No table is printed in the business definitions. `docs/codes.md` shows all.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cjit import geography
from cjit.dataset import Status

#: The description of each table, by name.
TABLES: Mapping[str, str] = {
    "DAT-REGION": "The region of a DAT: by the first letter of its code, or by the code where that begins with figures",
    "DAT-UTLA": "The upper tier local authorities of a DAT: one, but in Cornwall and what was Cumbria",
    "DAT-SUCCESSOR": "The DATs that took the place of one when its local authority was reorganised",
    "AGNCY-PREFIX": "What the first characters of an agency code say",
    "CJDISRSN-GROUP": "The exit group of published figures that a case closure reason goes with",
    "SUBSTANCE-REPORTING": "The names under which published figures count substances",
    "AGE-BANDS": "The ages by which published figures count people",
    "LAYOUT": "How many letters (A), figures (N) or either (C) a field has at most in the adult dataset R, from which "
    "that of CJIT is inferred; a date is YYYYMMDD there, and other forms are read",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One fact of a table.

    code: the code that the fact is about ("": it is a name for something that has no code).
    label: the fact: a name, or another code.
    status: how certain it is.
    source: where it is from.
    """

    code: str
    label: str
    status: Status
    source: str


@cache
def table(name: str) -> tuple[Row, ...]:
    """The rows of a table of `TABLES`, by its name, in its order."""
    text = (files("cjit.datasets.q") / "tables" / f"{name}.csv").read_text("utf-8")
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return tuple(Row(row["code"], row["label"], Status(row["status"]), row["source"]) for row in rows)


# ---- DATs, their regions and their authorities -----------------------------------------------------

#: The first letters of the DATs in England.
REGION_LETTERS = tuple(row.code for row in table("DAT-REGION") if len(row.code) == 1)


def region_of(dat: str) -> str | None:
    """The region of England in which a DAT lies; None for a DAT outside England and for one that is not known."""
    regions = {row.code: row.label for row in table("DAT-REGION")}
    return regions.get(dat) or regions.get(dat[:1])


@cache
def _authorities() -> Mapping[str, frozenset[str]]:
    """The codes of the authorities of each DAT in the table, by the DAT's code."""
    by_dat: dict[str, set[str]] = {}
    for row in table("DAT-UTLA"):
        by_dat.setdefault(row.code, set()).add(row.label)
    return {dat: frozenset(authorities) for dat, authorities in by_dat.items()}


@cache
def authorities_by_dat() -> Mapping[str, frozenset[str]]:
    """The codes of the authorities that a record with a DAT may have, by the DAT's code.

    They are those of the DAT, their predecessors and successors, and those of the DAT's predecessors and successors,
    because a DAT and an authority need not be renamed on the day on which they change.
    """
    by_dat = _authorities()
    allowed = {dat: set(authorities) for dat, authorities in by_dat.items()}
    for row in table("DAT-SUCCESSOR"):
        allowed.setdefault(row.code, set()).update(by_dat.get(row.label, ()))
        allowed.setdefault(row.label, set()).update(by_dat.get(row.code, ()))
    lines = [{authority.code for authority in geography.line(code)} for code in geography.authorities()]
    return {
        dat: frozenset(authorities.union(*(line for line in lines if not line.isdisjoint(authorities))))
        for dat, authorities in allowed.items()
    }


def dat_of(authority: str) -> str | None:
    """The DAT of an upper tier local authority of England, where that is certain; None where it is not."""
    for place in geography.line(authority):
        dats = [dat for dat, authorities in _authorities().items() if place.code in authorities]
        if dats:
            return dats[0] if len(dats) == 1 else None
    return None
