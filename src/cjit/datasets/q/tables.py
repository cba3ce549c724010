"""What is known beside the code lists of CJIT dataset Q: small tables, one CSV each in `tables/`.

A table has a row a fact: what it is of (`code`), what is said of it (`label`), how sure that is (`status`) and where it
is from (`source`). None of them is printed in the business definitions. `docs/codes.md` shows them all.
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

#: The tables, and what each says.
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
    """One fact of a table; `code` is empty where the fact is a name for something that has no code."""

    code: str
    label: str
    status: Status
    source: str


@cache
def table(name: str) -> tuple[Row, ...]:
    """The rows of a table, in its order."""
    text = (files("cjit.datasets.q") / "tables" / f"{name}.csv").read_text("utf-8")
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return tuple(Row(row["code"], row["label"], Status(row["status"]), row["source"]) for row in rows)


# ---- DATs, their regions and their authorities -----------------------------------------------------

#: The first letters of the DATs in England.
REGION_LETTERS = tuple(row.code for row in table("DAT-REGION") if len(row.code) == 1)


def region_of(dat: str) -> str | None:
    """The region of England in which a DAT lies, by its code; None for one outside England, or not known."""
    regions = {row.code: row.label for row in table("DAT-REGION")}
    return regions.get(dat) or regions.get(dat[:1])


@cache
def _authorities() -> Mapping[str, frozenset[str]]:
    """The authorities of each DAT, as the table has them."""
    of: dict[str, set[str]] = {}
    for row in table("DAT-UTLA"):
        of.setdefault(row.code, set()).add(row.label)
    return {dat: frozenset(authorities) for dat, authorities in of.items()}


@cache
def authorities_by_dat() -> Mapping[str, frozenset[str]]:
    """The codes of the authorities that may stand beside each DAT.

    They are its own and, as neither a DAT nor an authority need be renamed on the day, those that came before or after
    them, and those of the DATs that came before or after it.
    """
    own = _authorities()
    allowed = {dat: set(authorities) for dat, authorities in own.items()}
    for row in table("DAT-SUCCESSOR"):
        allowed.setdefault(row.code, set()).update(own.get(row.label, ()))
        allowed.setdefault(row.label, set()).update(own.get(row.code, ()))
    lines = [{authority.code for authority in geography.line(code)} for code in geography.authorities()]
    return {
        dat: frozenset(authorities.union(*(line for line in lines if not line.isdisjoint(authorities))))
        for dat, authorities in allowed.items()
    }


def dat_of(authority: str) -> str | None:
    """The DAT of an upper tier local authority of England, where that is certain; None where it is not."""
    for place in geography.line(authority):
        found = [dat for dat, authorities in _authorities().items() if place.code in authorities]
        if found:
            return found[0] if len(found) == 1 else None
    return None
